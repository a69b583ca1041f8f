/** Content that is in the object store: what of it memory has, and how a call asks for the rest.
 *
 *  1. Memory is a cache of pieces, and pieces never change: nothing of it has to be undone.
 *  2. What a parked call waits for stays until some call has used it, unless calls wait for far too much.
 *  3. A file that is read from one end to the other is fetched ahead. */
import {
  FSX_CHUNK_BYTES,
  FSX_COLD_AHEAD_CHUNKS,
  FSX_COLD_CACHED_BYTES_MAX,
  FSX_COLD_CACHED_TIMES_MAX,
  FSX_COLD_CALL_BYTES_MAX,
  FSX_COLD_READERS_MAX,
} from '@dotdo/core/limits'
import { ColdRows, type View } from '@dotdo/core/shard'
import { chunks } from '../tables.ts'
import { type SeenChunk, seenChunks } from './bodies.ts'
import type { Files } from './volume.ts'

/** What a shard's memory has of the store. */
interface Cache {
  /** By number, those used last at the end. */
  readonly pieces: Map<number, Uint8Array>
  /** In all of them. */
  bytes: number
  /** Pieces that calls wait for. */
  readonly awaited: Set<number>
  /** Bodies that are read, and the chunk with which somebody who goes on reading begins. */
  readonly readers: Map<number, number>
}

const memoryName = 'fsx.cold'

function cacheOf({ memory }: Pick<View, 'memory'>): Cache {
  const known = memory.get(memoryName) as Cache | undefined
  if (known !== undefined) return known
  const made: Cache = { pieces: new Map(), bytes: 0, awaited: new Set(), readers: new Map() }
  memory.set(memoryName, made)
  return made
}

/** Keep pieces that have been fetched, and let go of those that nobody has used for longest.
 *  @param fetched owned by the cache from here on */
export function keepPieces(view: View, fetched: readonly (readonly [piece: number, bytes: Uint8Array])[]): void {
  const cache = cacheOf(view)
  const { pieces, awaited } = cache
  for (const [piece, bytes] of fetched) {
    if (pieces.has(piece)) continue
    pieces.set(piece, bytes)
    cache.bytes += bytes.length
  }
  const room = FSX_COLD_CACHED_BYTES_MAX * view.share
  // However small the share, what one call waits for fits: else it would fetch for ever.
  const most = Math.max(room * FSX_COLD_CACHED_TIMES_MAX, FSX_COLD_CALL_BYTES_MAX)
  for (const isAwaited of [false, true]) {
    for (const [piece, bytes] of pieces) {
      if (cache.bytes <= (isAwaited ? most : room)) break
      if (awaited.has(piece) !== isAwaited) continue
      pieces.delete(piece)
      awaited.delete(piece)
      cache.bytes -= bytes.length
    }
  }
}

/** Get the content of a chunk; of a cold one, what a `need...` has made sure of.
 *  @returns as many bytes as are seen; borrowed */
export function contentOf({ tx }: Files, { data, piece, bytes: seen }: SeenChunk): Uint8Array {
  let bytes = data
  if (piece !== null) {
    const { pieces, awaited } = cacheOf(tx)
    const kept = pieces.get(piece)
    if (kept === undefined) throw new Error(`piece ${piece} was not asked for`)
    bytes = kept
    awaited.delete(piece)
    pieces.delete(piece)
    pieces.set(piece, kept)
  }
  return bytes.length > seen ? bytes.subarray(0, seen) : bytes
}

/** @throws ColdRows unless all of the chunks are here */
function need({ tx }: Files, wanted: readonly SeenChunk[], ahead: () => Iterable<SeenChunk>): void {
  const { pieces, awaited } = cacheOf(tx)
  const isMissing = ({ piece }: SeenChunk) => piece !== null && !pieces.has(piece)
  const missing = wanted.filter(isMissing)
  if (missing.length === 0) return
  for (const { piece } of missing) awaited.add(piece as number)
  const more = [...ahead()].filter(isMissing)
  throw new ColdRows([...missing, ...more].map(({ id }) => ({ table: chunks, key: { id } })))
}

/** Make sure of the content of a chunk.
 *  @throws ColdRows */
export function needChunk(files: Files, chunk: SeenChunk): void {
  if (chunk.piece !== null) need(files, [chunk], () => [])
}

/** Make sure of the content of chunks, of as many bytes as a call may read.
 *  @throws ColdRows */
export function needChunks(files: Files, wanted: readonly SeenChunk[]): void {
  need(files, wanted, () => [])
}

/** Make sure of the content of a stretch of a body.
 *  @param seen its chunks, by index
 *  @returns where the call shall end: at the end of the stretch, or before a chunk that would be too much at once
 *  @throws ColdRows */
export function needContent(
  files: Files,
  { body, from, end }: { body: number; from: number; end: number },
  seen: ReadonlyMap<number, SeenChunk>,
): number {
  if (![...seen.values()].some(({ piece }) => piece !== null)) return end
  const cold: SeenChunk[] = []
  let stop = end
  let bytes = 0
  for (const [index, chunk] of [...seen].sort(([a], [b]) => a - b)) {
    if (chunk.piece === null) continue
    bytes += chunk.bytes
    if (bytes > FSX_COLD_CALL_BYTES_MAX) {
      stop = index * FSX_CHUNK_BYTES
      break
    }
    cold.push(chunk)
  }
  const { readers } = cacheOf(files.tx)
  const first = Math.floor(from / FSX_CHUNK_BYTES)
  const next = Math.floor(stop / FSX_CHUNK_BYTES)
  const goesOn = first === 0 || readers.get(body) === first
  // What is counted from the first chunk on is one request to the store, for whoever reads by small pieces.
  const last = first + FSX_COLD_AHEAD_CHUNKS - 1
  need(files, cold, () => (goesOn && last >= next ? seenChunks(files, body, next, last).values() : []))
  if (readers.size >= FSX_COLD_READERS_MAX) readers.clear()
  readers.set(body, next)
  return stop
}
