/** The states of tables as files: `metadata/v{N}.metadata.json`, each written once.
 *
 *  1. A version is written only if there is no such file: of two writers one succeeds.
 *  2. `version-hint.text` is a hint: it may be old or missing. From it on, versions are looked for one by one.
 *  3. A write whose outcome is not known is looked at: the file is ours if its bytes are.
 *  4. A version may be *prepared* for a transaction: it repeats the state before it, and has the next state beside it,
 *     in a field that other readers pass over. The transaction's record decides (catalog-transaction.ts). Whoever meets
 *     a prepared version whose record says `committed` writes the next state as the next version, and goes on. */
import { Failure } from '../../errors.ts'
import { ICEBERG_COMMIT_ATTEMPTS_MAX, ICEBERG_METADATA_LOG_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { type ObjectBody, type ObjectStore, storeFault, unavailable } from '../objects/port.ts'
import { backOff } from './back-off.ts'
import { listAll } from './catalog-keys.ts'
import type { LakeFiles } from './files.ts'
import { parseJson } from './json.ts'
import { encodeMetadata, numberProperty, type TableMetadata, toMetadata } from './metadata.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()
const preparedField = 'dotdo.transaction'

/** How a transaction ended. */
export type Decision = 'committed' | 'aborted'

/** What a version is prepared for. */
export interface Prepared {
  /** Of the transaction. */
  readonly id: string
  readonly next: TableMetadata
}

/** A table's state and where it is. */
export interface TableState {
  readonly version: number
  readonly metadata: TableMetadata
  /** Of the file: another table may have taken the place of one that was dropped. */
  readonly etag: string
  /** Set while the transaction is open. */
  readonly prepared?: Prepared
}

/** Reads and writes versions. */
export class TableVersions {
  private readonly files: LakeFiles
  private readonly store: ObjectStore
  private readonly clock: Clock
  /** Before every key of transactions. */
  private readonly prefix: string
  /** The newest state seen of each table: most loads only have to see that there is none after it. */
  private readonly seen = new Map<string, TableState>()

  constructor(files: LakeFiles, clock: Clock, prefix: string) {
    this.files = files
    this.store = files.store
    this.clock = clock
    this.prefix = prefix
  }

  /** Find where a version is. */
  locationOf(key: string, version: number): string {
    return this.files.locationOf(versionKey(key, version))
  }

  /** Find the newest state of a table.
   *  @param key the table's folder
   *  @returns undefined when there is no such table
   *  @cost two look-ups when nobody has committed since the last time */
  async newest(key: string): Promise<TableState | undefined> {
    const known = this.seen.get(key)
    let state = known ?? (await this.hinted(key))
    if (state === undefined) return undefined
    for (;;) {
      let next: TableState | undefined = await this.read(key, state.version + 1)
      if (next === undefined) {
        // The table may have been dropped by others, and be another one now.
        if (state === known && (await this.store.head(versionKey(key, state.version)))?.etag !== state.etag) {
          this.seen.delete(key)
          return this.newest(key)
        }
        next = await this.decided(key, state)
        if (next === undefined) break
      }
      state = next
    }
    this.seen.set(key, state)
    return state
  }

  /** Go on from a prepared version as its transaction's record says.
   *  @returns undefined when there is nothing to go on from: no transaction, or an open one */
  private async decided(key: string, { prepared, ...state }: TableState): Promise<TableState | undefined> {
    if (prepared === undefined) return undefined
    const decision = await this.decision(prepared.id)
    if (decision === 'aborted') return state
    if (decision === 'committed') {
      return (await this.write(key, state.version + 1, prepared.next)) ?? this.read(key, state.version + 1)
    }
    // The record may be so old that it was removed: the next version was written before.
    return this.read(key, state.version + 1)
  }

  private async hinted(key: string): Promise<TableState | undefined> {
    const hint = await this.store.get(hintKey(key))
    const version = hint === undefined ? Number.NaN : Number(text.decode(hint.bytes))
    const found = Number.isSafeInteger(version) && version > 0 ? await this.read(key, version) : undefined
    if (found !== undefined) return found
    return this.read(key, (await this.list(key)).at(-1) ?? 1)
  }

  /** List the versions that are there, in order. */
  private async list(key: string): Promise<number[]> {
    const { objects } = await listAll(this.store, `${key}/metadata/v`)
    const numbers = objects.map((object) => /\/v(\d+)\.metadata\.json$/.exec(object.key)?.[1])
    return numbers.flatMap((number) => (number === undefined ? [] : [Number(number)])).sort((a, b) => a - b)
  }

  private async read(key: string, version: number): Promise<TableState | undefined> {
    const found = await this.store.get(versionKey(key, version))
    if (found === undefined) return undefined
    const { [preparedField]: raw, ...metadata } = toMetadata(parseJson(text.decode(found.bytes)))
    const state = { version, metadata: metadata as TableMetadata, etag: found.etag }
    return raw === undefined ? state : { ...state, prepared: readPrepared(raw) }
  }

  /** Name the file of the state before in the log. */
  logged(key: string, base: TableState, metadata: TableMetadata): TableMetadata {
    const entry = {
      'metadata-file': this.locationOf(key, base.version),
      'timestamp-ms': base.metadata['last-updated-ms'],
    }
    const most = numberProperty(metadata, 'write.metadata.previous-versions-max', ICEBERG_METADATA_LOG_MAX)
    return { ...metadata, 'metadata-log': [...metadata['metadata-log'], entry].slice(-Math.max(1, most)) }
  }

  /** Write a state, if its version is free.
   *  @returns undefined when another commit came first
   *  @throws unavailable when the outcome is not known */
  async write(
    key: string,
    version: number,
    metadata: TableMetadata,
    prepared?: Prepared,
  ): Promise<TableState | undefined> {
    const content = prepared === undefined ? metadata : { ...metadata, [preparedField]: prepared }
    const etag = await this.putNew(versionKey(key, version), encodeMetadata(content))
    if (etag === undefined) return undefined
    const state = { version, metadata, etag, ...(prepared && { prepared }) }
    this.seen.set(key, state)
    try {
      await this.store.put(hintKey(key), utf8.encode(`${version}`))
    } catch (error) {
      // The commit is done; the hint catches up with the next one.
      if (!(error instanceof Failure)) throw error
    }
    return state
  }

  /** Delete every version, the newest last: a drop that is cut short leaves a table that can be dropped again. */
  async remove(key: string): Promise<void> {
    this.seen.delete(key)
    const files = (await this.list(key)).map((version) => versionKey(key, version))
    await this.store.delete(files.slice(0, -1))
    await this.store.delete(files.slice(-1))
    await this.store.delete([hintKey(key)])
  }

  /** Read how a transaction ended. @returns undefined while it is open */
  async decision(id: string): Promise<Decision | undefined> {
    const found = await this.store.get(recordKey(this.prefix, id))
    return found === undefined ? undefined : readRecord(found.bytes).decision
  }

  /** Decide how a transaction ends, unless that is decided already.
   *  @param keys of its tables
   *  @returns false when it ended otherwise
   *  @throws unavailable when the outcome is not known */
  async decide(id: string, decision: Decision, keys: readonly string[]): Promise<boolean> {
    const record = utf8.encode(JSON.stringify({ decision, keys }))
    return (await this.putNew(recordKey(this.prefix, id), record)) !== undefined
  }

  /** Remove records of transactions that are older than any attempt, when their tables have gone on from them.
   *  @cost a list */
  async removeRecords(olderThanMs: number): Promise<void> {
    const { objects } = await this.store.list({ prefix: recordKey(this.prefix, ''), limit: 100 })
    for (const { key } of objects.filter(({ modifiedMs }) => modifiedMs < this.clock.nowMs() - olderThanMs)) {
      const found = await this.store.get(key)
      if (found === undefined) continue
      for (const table of readRecord(found.bytes).keys) await this.newest(table)
      await this.store.delete([key])
    }
  }

  /** Write a file if there is none.
   *  @returns its etag, or undefined when there is another */
  private async putNew(key: string, bytes: Uint8Array): Promise<string | undefined> {
    let isUnclear = false
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.store.put(key, bytes, { ifNoneMatch: '*' })).etag
      } catch (error) {
        const fault = storeFault(error)
        const isTaken = error instanceof Failure && error.code === 'conflict'
        if (!isTaken && fault === undefined) throw error
        if (fault !== undefined && fault.outcome !== 'none') isUnclear = true
        // A conflict can be with ourselves: a request that was sent twice, or came late.
        const there = isTaken || isUnclear ? await this.look(key) : undefined
        if (there !== undefined) return sameBytes(there.bytes, bytes) ? there.etag : undefined
        if (attempt >= ICEBERG_COMMIT_ATTEMPTS_MAX) throw isUnclear ? unclear(key, error) : error
        await backOff(this.clock, attempt)
      }
    }
  }

  /** Look what a version holds. When that fails, it is not known whose it is. */
  private async look(key: string): Promise<ObjectBody | undefined> {
    try {
      return await this.store.get(key)
    } catch (error) {
      throw unclear(key, error)
    }
  }
}

function readPrepared(raw: unknown): Prepared {
  const { id, next } = raw as Partial<Prepared>
  if (typeof id !== 'string' || !/^[\da-f-]{36}$/.test(id)) {
    throw new Failure('invalid', `${JSON.stringify(id)} is no id of a transaction`)
  }
  return { id, next: toMetadata(next) }
}

function readRecord(bytes: Uint8Array): { decision: Decision; keys: readonly string[] } {
  return JSON.parse(text.decode(bytes)) as { decision: Decision; keys: readonly string[] }
}

const unclear = (key: string, cause: unknown) =>
  unavailable(`whether ${key} was written is not known`, { outcome: 'unknown' }, cause)
const versionKey = (key: string, version: number) => `${key}/metadata/v${version}.metadata.json`
const hintKey = (key: string) => `${key}/metadata/version-hint.text`
const recordKey = (prefix: string, id: string) => `${prefix}_transactions/${id}${id === '' ? '' : '.json'}`
const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, at) => byte === b[at])
