/** What the lake must hold: the documents as they are, and every change that made them. */
import type { Collection } from './lake-program.ts'
import { check } from './world.ts'

/** A document of the model. */
export interface Doc {
  readonly body: string
  readonly stamp: number
}

/** A change of the model; `stamp` is what the document had after it. */
export interface Made {
  readonly table: Collection
  readonly op: 'put' | 'delete' | 'truncate'
  readonly id: string
  readonly stamp: number | undefined
}

const keyOf = (table: Collection, id: string) => `${table} ${id}`
const textOf = ({ table, op, id, stamp }: Made) => `${op} ${table} ${op === 'truncate' ? '' : id} ${stamp ?? ''}`

interface ShardHistory {
  changes: Made[]
  /** How many of them the newest backup has. */
  kept: number
  /** Whether the shard has been restored: its log then tells again what it still has. */
  isRestored: boolean
}

/** The documents and the changes of every shard. */
export class LakeModel {
  readonly docs = new Map<string, Doc>()
  private readonly histories: ShardHistory[]
  private backup = new Map<string, Doc>()

  constructor(shards: number) {
    this.histories = Array.from({ length: shards }, () => ({ changes: [], kept: 0, isRestored: false }))
  }

  find(table: Collection, id: string): Doc | undefined {
    return this.docs.get(keyOf(table, id))
  }

  /** The documents of a table by id. */
  of(table: Collection): Map<string, Doc> {
    const prefix = `${table} `
    return new Map(
      [...this.docs].flatMap(([key, doc]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), doc]] : [])),
    )
  }

  put(shard: number, table: Collection, id: string, doc: Doc): void {
    this.docs.set(keyOf(table, id), doc)
    this.history(shard).changes.push({ table, op: 'put', id, stamp: doc.stamp })
  }

  remove(shard: number, table: Collection, id: string): void {
    this.docs.delete(keyOf(table, id))
    this.history(shard).changes.push({ table, op: 'delete', id, stamp: undefined })
  }

  /** Remove every document of a slot. */
  clear(shard: number, table: Collection, slot: number): void {
    for (const id of this.of(table).keys()) if (slotOf(id) === slot) this.docs.delete(keyOf(table, id))
    this.history(shard).changes.push({ table, op: 'truncate', id: '', stamp: undefined })
  }

  private history(shard: number): ShardHistory {
    return this.histories[shard] as ShardHistory
  }

  /** A shard is backed up. */
  backUp(shard: number): void {
    const history = this.history(shard)
    history.kept = history.changes.length
    this.backup = new Map(this.docs)
  }

  /** A shard becomes what it was when it was backed up.
   *  @param owns whether it has a slot */
  restore(shard: number, owns: (slot: number) => boolean): void {
    const history = this.history(shard)
    history.isRestored = true
    history.changes = history.changes.slice(0, history.kept)
    const isOf = (key: string) => owns(slotOf(key.slice(key.indexOf(' ') + 1)))
    for (const key of [...this.docs.keys()]) if (isOf(key)) this.docs.delete(key)
    for (const [key, doc] of this.backup) if (isOf(key)) this.docs.set(key, doc)
  }

  /** Hold what the table of changes has against what was done: per shard, in order, each once.
   *  @param changes by shard, in the order of their seqs
   *  @param all whether nothing may be missing at the end
   *  @throws Violation */
  checkChanges(
    shard: number,
    changes: readonly (Made & { readonly isNewest: boolean })[],
    { collections, all }: { readonly collections: readonly Collection[]; readonly all: boolean },
  ): void {
    const { isRestored, changes: history } = this.history(shard)
    const made = history.filter(({ table }) => collections.includes(table))
    const told = changes.filter(({ isNewest }) => isNewest)
    if (isRestored && !all) return
    const what = () => `the changes of shard ${shard} in the lake`
    const isEnough = isRestored || !all || told.length === made.length
    check(told.length <= made.length && isEnough, () => `${what()} are ${told.length}; ${made.length} were made`)
    const first = isRestored ? made.length - told.length : 0
    for (const [at, one] of told.entries()) {
      const done = made[first + at] as Made
      const wanted = textOf(done)
      // Documents of changes from before there was a policy were not kept.
      const isSame = textOf(one) === wanted || textOf({ ...done, stamp: undefined }) === textOf(one)
      check(isSame, () => `${what()}: ${at} is ${textOf(one)}, not ${wanted}`)
    }
  }
}

/** The slot of a document; ids begin with it. */
export function slotOf(id: string): number {
  return Number(id.slice(0, id.indexOf('/')))
}
