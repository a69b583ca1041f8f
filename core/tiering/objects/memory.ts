/** An object store in memory: for tests, the simulator and fabrics that keep nothing. */
import type { Clock } from '../../shard/clock.ts'
import { checkCondition, checkKey, checkRange, compareKeys, Parts, placeRange } from './check.ts'
import { Page } from './page.ts'
import {
  conflict,
  type GetOptions,
  type Listing,
  type ListOptions,
  type MultipartOptions,
  type MultipartUpload,
  type ObjectBody,
  type ObjectHead,
  type ObjectStore,
  type PutOptions,
  type Written,
} from './port.ts'

interface Stored {
  readonly head: ObjectHead
  readonly bytes: Uint8Array
}

/** Objects of this process; every call takes effect in the turn it is made in. */
class MemoryObjects implements ObjectStore {
  private readonly stored = new Map<string, Stored>()
  private readonly clock: Pick<Clock, 'nowMs'>
  /** Keys in order, made when a list needs them. */
  private sorted: string[] | undefined
  private writes = 0

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.clock = clock
  }

  async get(key: string, { range, ifMatch }: GetOptions = {}): Promise<ObjectBody | undefined> {
    checkKey(key)
    checkRange(range)
    const found = this.stored.get(key)
    if (found === undefined) return undefined
    const { etag, sizeBytes } = found.head
    if (ifMatch !== undefined && ifMatch !== etag) throw conflict(key, { ifMatch })
    const { start, end } = placeRange(range, sizeBytes)
    return { bytes: found.bytes.slice(start, end), etag, sizeBytes }
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    checkKey(key)
    return this.stored.get(key)?.head
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<Written> {
    checkKey(key)
    checkCondition(options)
    return this.store(key, bytes.slice(), options)
  }

  private store(key: string, bytes: Uint8Array, { ifNoneMatch, ifMatch, marker }: PutOptions): Written {
    const old = this.stored.get(key)
    if (ifNoneMatch !== undefined && old !== undefined) throw conflict(key, {})
    if (ifMatch !== undefined && old?.head.etag !== ifMatch) throw conflict(key, { ifMatch })
    const etag = `m${++this.writes}`
    const common = { key, sizeBytes: bytes.length, etag, modifiedMs: this.clock.nowMs() }
    this.stored.set(key, { head: { ...common, ...(marker !== undefined && { marker }) }, bytes })
    if (old === undefined) this.sorted = undefined
    return { etag }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey)
    for (const key of keys) if (this.stored.delete(key)) this.sorted = undefined
  }

  async list(options: ListOptions = {}): Promise<Listing> {
    const page = new Page(options)
    this.sorted ??= [...this.stored.keys()].sort(compareKeys)
    for (const key of this.sorted) {
      const answer = page.offer(key)
      if (answer === 'past') return page.done(key.startsWith(options.prefix ?? ''))
      if (answer === 'object') page.add(withoutMarker((this.stored.get(key) as Stored).head))
    }
    return page.done(false)
  }

  async multipart(key: string, { marker, partBytes }: MultipartOptions = {}): Promise<MultipartUpload> {
    checkKey(key)
    checkCondition({ marker })
    const parts = new Parts(partBytes)
    const arrived: Uint8Array[] = []
    return {
      write: async (number, bytes) => {
        parts.check(number, bytes.length)
        arrived[number - 1] = bytes.slice()
        parts.arrived(number, bytes.length)
      },
      complete: async (options = {}) => {
        checkCondition(options)
        const bytes = new Uint8Array(parts.checkComplete().sizeBytes)
        for (const [i, part] of arrived.entries()) bytes.set(part, i * parts.partBytes)
        const written = this.store(key, bytes, { ...options, marker })
        parts.close()
        return written
      },
      abort: async () => {
        parts.close()
        arrived.length = 0
      },
    }
  }
}

/** Lists of the stores of the network do not tell it, so none does. */
function withoutMarker({ marker: _, ...head }: ObjectHead): ObjectHead {
  return head
}

/** Make an empty store in memory.
 *  @param clock for the times of objects */
export function memoryObjects(clock: Pick<Clock, 'nowMs'>): ObjectStore {
  return new MemoryObjects(clock)
}
