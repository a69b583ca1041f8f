/** Where a Parquet file is read from: ranges of bytes, neighbours fetched together, and what that cost counted. */
import { Failure } from '../../errors.ts'
import { PARQUET_GAP_BYTES, PARQUET_READ_BYTES_MAX } from '../../limits.ts'
import type { ObjectStore } from '../objects/port.ts'

/** A file that is read by ranges. It never changes. */
export interface ParquetSource {
  /** What messages call it, and by what caches know it. */
  readonly name: string
  /** Read the last bytes, or all when there are fewer. */
  tail(bytes: number): Promise<{ readonly bytes: Uint8Array; readonly sizeBytes: number }>
  /** Read bytes `start` up to `end`. */
  read(start: number, end: number): Promise<Uint8Array>
}

/** What reading cost, and what was left out; live numbers that add up over files. */
export interface ReadCounts {
  /** Requests to the store, and bytes they brought. */
  requests: number
  bytesRead: number
  /** Bytes of footers and filters that a cache had. */
  bytesCached: number
  /** Files of which more than footer, indexes and bloom filters was read. */
  filesRead: number
  groups: number
  groupsPruned: number
  /** Of columns that are read, in groups that are. Pages of files without a page index count as read. */
  pages: number
  pagesPruned: number
}

/** Make counts of nothing. */
export function readCounts(): ReadCounts {
  return {
    requests: 0,
    bytesRead: 0,
    bytesCached: 0,
    filesRead: 0,
    groups: 0,
    groupsPruned: 0,
    pages: 0,
    pagesPruned: 0,
  }
}

/** Make the failure of a file that is damaged, or none. */
export function corruptParquet(what: string, cause?: unknown): Failure {
  return new Failure('invalid', `damaged Parquet file: ${what}`, undefined, cause)
}

/** Read a file of an object store.
 *  @param name what it is called; its key when left out */
export function objectSource(store: ObjectStore, key: string, name: string = key): ParquetSource {
  const get = async (range: { start: number; end: number } | { suffix: number }) => {
    const found = await store.get(key, { range })
    if (found === undefined) throw new Failure('not_found', `the file ${name} is gone`)
    return found
  }
  return {
    name,
    tail: (bytes) => get({ suffix: bytes }),
    async read(start, end) {
      const { bytes } = await get({ start, end })
      if (bytes.length !== end - start) throw corruptParquet(`${name} ends before byte ${end}`)
      return bytes
    },
  }
}

/** A stretch of a file; its end is excluded. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Bytes that were fetched. */
export interface Block {
  readonly start: number
  readonly bytes: Uint8Array
}

/** Join neighbours: what is read besides costs less than a request. */
export function coalesce(spans: readonly Span[]): Span[] {
  const joined: { start: number; end: number }[] = []
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1)
    const near = last !== undefined && start - last.end <= PARQUET_GAP_BYTES
    if (near && (end <= last.end || end - last.start <= PARQUET_READ_BYTES_MAX)) last.end = Math.max(last.end, end)
    else joined.push({ start, end })
  }
  return joined
}

/** Bytes of a file that are in memory. */
export class Fetched {
  readonly blocks: readonly Block[]

  constructor(blocks: readonly Block[]) {
    this.blocks = blocks
  }

  /** View some of them; undefined when they were not fetched. */
  find({ start, end }: Span): Uint8Array | undefined {
    for (const { start: at, bytes } of this.blocks) {
      if (start >= at && end <= at + bytes.length) return bytes.subarray(start - at, end - at)
    }
    return undefined
  }

  /** View some of them. */
  get(span: Span): Uint8Array {
    const bytes = this.find(span)
    if (bytes === undefined) throw corruptParquet(`bytes ${span.start} to ${span.end} are not where its indexes say`)
    return bytes
  }
}

/** Fetch stretches of a file; those that are in memory are not fetched again.
 *  @param known blocks in memory, such as the file's tail */
export async function fetchSpans(
  source: ParquetSource,
  spans: readonly Span[],
  { known, counts }: { readonly known: readonly Block[]; readonly counts: ReadCounts },
): Promise<Fetched> {
  const there = new Fetched(known)
  const missing = coalesce(spans.filter((span) => there.find(span) === undefined))
  const blocks = await Promise.all(
    missing.map(async ({ start, end }) => {
      counts.requests++
      const bytes = await source.read(start, end)
      counts.bytesRead += bytes.length
      return { start, bytes }
    }),
  )
  return new Fetched([...known, ...blocks])
}
