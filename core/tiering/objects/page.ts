/** One page of a list, made from keys in order: for stores that have no list of their own. */
import { Failure } from '../../errors.ts'
import { checkList, compareKeys } from './check.ts'
import type { Listing, ListOptions, ObjectHead } from './port.ts'

/** Collects a page. Offer it keys in order (compareKeys); it knows which ones to leave out. */
export class Page {
  private readonly objects: ObjectHead[] = []
  private readonly prefixes: string[] = []
  private readonly limit: number
  private readonly prefix: string
  private readonly after: string
  private readonly delimiter: string | undefined
  /** A prefix whose keys have been told on this page or the one before. */
  private told: string | undefined
  private last: string | undefined

  /** @throws invalid for options that no list can have, and for a cursor of another store */
  constructor(options: ListOptions) {
    this.limit = checkList(options)
    const { prefix = '', after = '', delimiter, cursor } = options
    this.prefix = prefix
    this.delimiter = delimiter
    this.after = after
    if (cursor === undefined) return
    if (!/^[kp]./s.test(cursor)) throw new Failure('invalid', `not a cursor of this store: ${cursor.slice(0, 80)}`)
    const from = cursor.slice(1)
    if (compareKeys(from, after) > 0) this.after = from
    if (cursor.startsWith('p')) this.told = from
  }

  /** Whether keys that begin with `folder` (which ends with a slash) can still be on this page. */
  mayHold(folder: string): boolean {
    if (this.told !== undefined && folder.startsWith(this.told)) return false
    if (!folder.startsWith(this.prefix) && !this.prefix.startsWith(folder)) return false
    return compareKeys(folder, this.after) > 0 || this.after.startsWith(folder)
  }

  /** Decide about the next key.
   *  @returns `object`: look it up and `add` it; `past`: the page is full, or the keys are past the prefix */
  offer(key: string): 'object' | 'skip' | 'past' {
    if (!key.startsWith(this.prefix)) return compareKeys(key, this.prefix) < 0 ? 'skip' : 'past'
    if (compareKeys(key, this.after) <= 0) return 'skip'
    if (this.told !== undefined && key.startsWith(this.told)) return 'skip'
    if (this.objects.length + this.prefixes.length >= this.limit) return 'past'
    const slash = this.delimiter === undefined ? -1 : key.indexOf(this.delimiter, this.prefix.length)
    if (slash < 0) return 'object'
    this.told = key.slice(0, slash + 1)
    this.prefixes.push(this.told)
    this.last = `p${this.told}`
    return 'skip'
  }

  /** Put an object on the page. */
  add(head: ObjectHead): void {
    this.objects.push(head)
    this.last = `k${head.key}`
  }

  /** The page. @param more whether keys were left when it was full */
  done(more: boolean): Listing {
    const { objects, prefixes, last } = this
    return { objects, prefixes, ...(more && last !== undefined && { next: last }) }
  }
}
