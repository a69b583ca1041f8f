/** Chunks of bodies, and bodies that stand on others.
 *
 *  1. A body belongs to the layer that it was made in; only what is on top of everything may be changed.
 *  2. Content of a layer below is written to through a body of its own, which shows the other where it has no chunk.
 *     So a write copies a chunk at most, whatever the file holds.
 *  3. A chunk hides all of the one below it, also where it is shorter. */
import { FSX_CHUNK_BYTES, FSX_CHUNKS_MAX } from '@dotdo/core/limits'
import type { SqlValue } from '@dotdo/core/shard'
import { bodies, type ChunkRow, chunks } from '../tables.ts'
import { contentOf, needContent } from './cold.ts'
import { type Files, takeIno, type Volume } from './volume.ts'

/** The key of a chunk. */
export const chunkId = (body: number, index: number) => body * FSX_CHUNKS_MAX + index

/** A body, and how many bytes of it are seen. */
interface Level {
  readonly body: number
  readonly bytes: number
}

/** Whether a body may be changed by a volume: it was made in its own layer. */
export function ownsBody(volume: Volume, body: number): boolean {
  return body >= volume.first
}

/** Take the number of a body for an inode without one. */
export function takeBody(files: Files, ino: number): number {
  return ownsBody(files.volume, ino) ? ino : takeIno(files)
}

/** Make a body that stands on another.
 *  @param bytes how many of the other show through */
export function coverBody(files: Files, base: number, bytes: number): number {
  const body = takeIno(files)
  files.tx.put(bodies, { body, base, bytes })
  return body
}

/** @returns a body and those it stands on, the topmost first */
function levelsOf({ tx, volume: { chain } }: Files, body: number): readonly Level[] {
  const levels: Level[] = [{ body, bytes: Number.POSITIVE_INFINITY }]
  // Whatever was made in the lowest layer stands on nothing.
  const lowest = chain[chain.length - 2]?.first ?? Number.POSITIVE_INFINITY
  for (let at = levels[0] as Level; at.body >= lowest; ) {
    const [row] = tx.raw('select base, bytes from fs_bodies where body = ?', at.body)
    if (row === undefined) break
    at = { body: Number(row[0]), bytes: Math.min(at.bytes, Number(row[1])) }
    levels.push(at)
  }
  return levels
}

/** A chunk as it is seen. */
export interface SeenChunk {
  readonly id: number
  readonly data: Uint8Array
  readonly piece: number | null
  /** How many bytes of it are seen. */
  readonly bytes: number
}

const columns = 'id, data, piece, bytes'
const selectChunks = `select ${columns} from fs_chunks where id between ? and ? order by id`
const selectData = 'select data from fs_chunks where id = ?'
const selectChunk = `select ${columns} from fs_chunks where id = ?`

/** Make the row of a chunk whose content is here. */
export function hotChunk(id: number, data: Uint8Array): ChunkRow {
  return { id, piece: null, bytes: null, data }
}

/** Make the row of a chunk that is stored as another is seen. */
export function chunkLike(id: number, { data, piece, bytes }: Omit<SeenChunk, 'id'>): ChunkRow {
  if (piece !== null) return { id, piece, bytes, data }
  return hotChunk(id, data.length > bytes ? data.subarray(0, bytes) : data)
}

/** @returns the chunk as a level shows it; undefined when it shows nothing of it */
function seenOf([id, data, piece, bytes]: readonly SqlValue[], level: Level): SeenChunk | undefined {
  const room = level.bytes - (Number(id) - chunkId(level.body, 0)) * FSX_CHUNK_BYTES
  if (room <= 0) return undefined
  const stored = bytes === null ? (data as Uint8Array).length : Number(bytes)
  const seen = { id: Number(id), data: data as Uint8Array, piece: piece === null ? null : Number(piece) }
  return { ...seen, bytes: Math.min(stored, room) }
}

/** Read the chunks of a body, by their index, as they are seen. */
export function seenChunks(files: Files, body: number, first: number, last: number): Map<number, SeenChunk> {
  const seen = new Map<number, SeenChunk>()
  for (const level of levelsOf(files, body).toReversed()) {
    const start = chunkId(level.body, 0)
    for (const row of files.tx.raw(selectChunks, start + first, start + last)) {
      const chunk = seenOf(row, level)
      if (chunk !== undefined) seen.set(chunk.id - start, chunk)
    }
  }
  return seen
}

/** Read a stretch of a body; it reaches no further than the file.
 *  @returns shorter when there is more cold content than a call reads
 *  @throws ColdRows when content must be fetched first */
export function readChunks(files: Files, body: number, from: number, end: number): Uint8Array {
  const first = Math.floor(from / FSX_CHUNK_BYTES)
  const last = Math.floor((end - 1) / FSX_CHUNK_BYTES)
  const start = first * FSX_CHUNK_BYTES
  if (first === last) {
    // Mostly it is here, whole, and on top of all.
    const data = files.tx.raw(selectData, chunkId(body, first))[0]?.[0] as Uint8Array | undefined
    if (data !== undefined && data.length >= end - start) return data.subarray(from - start, end - start)
  }
  const seen = seenChunks(files, body, first, last)
  const stop = needContent(files, { body, from, end }, seen)
  const only = seen.get(first)
  if (only !== undefined && start + only.bytes >= stop)
    return contentOf(files, only).subarray(from - start, stop - start)
  const out = new Uint8Array(stop - from)
  for (const [index, chunk] of seen) {
    const at = index * FSX_CHUNK_BYTES
    const skip = Math.max(0, from - at)
    const upTo = Math.min(chunk.bytes, stop - at)
    if (skip < upTo) out.set(contentOf(files, chunk).subarray(skip, upTo), at + skip - from)
  }
  return out
}

/** Find a chunk of a body. */
export function findChunk(files: Files, body: number, index: number): SeenChunk | undefined {
  for (const level of levelsOf(files, body)) {
    const [row] = files.tx.raw(selectChunk, chunkId(level.body, index))
    if (row !== undefined) return seenOf(row, level)
    if (level.bytes <= index * FSX_CHUNK_BYTES) return undefined
  }
  return undefined
}

/** Tell how many bytes each chunk of a body has, from one on: those below it included. */
export function chunkLengths(files: Files, body: number, fromIndex = 0): Map<number, number> {
  const lengths = new Map<number, number>()
  const statement = 'select id, coalesce(bytes, length(data)) from fs_chunks where id between ? and ?'
  for (const level of levelsOf(files, body).toReversed()) {
    const range = [chunkId(level.body, fromIndex), chunkId(level.body, FSX_CHUNKS_MAX - 1)] as const
    for (const [id, bytes] of files.tx.raw(statement, ...range)) {
      lengths.set(Number(id) - chunkId(level.body, 0), Number(bytes))
    }
    if (level.bytes === Number.POSITIVE_INFINITY) continue
    for (const [index, bytes] of lengths) {
      const seen = level.bytes - index * FSX_CHUNK_BYTES
      if (seen <= 0) lengths.delete(index)
      else if (bytes > seen) lengths.set(index, seen)
    }
  }
  return lengths
}

/** Make the row of a chunk that is cut off.
 *  @returns undefined when it is not longer */
export function cutChunk(row: ChunkRow, bytes: number): ChunkRow | undefined {
  const stored = row.bytes ?? row.data.length
  return stored > bytes ? chunkLike(row.id, { ...row, bytes }) : undefined
}

/** Cut a body off.
 *  @returns what it is from now on, and how many bytes less are stored */
export function cutBody(files: Files, body: number, size: number): { body: number; freed: number } {
  const { tx, volume } = files
  const kept = Math.ceil(size / FSX_CHUNK_BYTES)
  const tail = size % FSX_CHUNK_BYTES
  let freed = 0
  for (const [index, bytes] of chunkLengths(files, body, tail === 0 ? kept : kept - 1)) {
    freed += index >= kept ? bytes : Math.max(0, bytes - tail)
  }
  if (!ownsBody(volume, body)) return { body: coverBody(files, body, size), freed }
  removeChunks(files, body, kept)
  const below = tx.find(bodies, { body })
  if (below !== undefined && below.bytes > size) tx.put(bodies, { ...below, bytes: size })
  if (tail > 0) {
    const last = tx.find(chunks, { id: chunkId(body, kept - 1) })
    const cut = last && cutChunk(last, tail)
    if (cut !== undefined) tx.put(chunks, cut)
  }
  return { body, freed }
}

/** Remove the chunks of a body from one on. */
export function removeChunks({ tx }: Files, body: number, fromIndex: number): void {
  const statement = 'delete from fs_chunks where id between ? and ? returning id'
  for (const { id } of tx.write(statement, chunkId(body, fromIndex), chunkId(body, FSX_CHUNKS_MAX - 1))) {
    tx.record(chunks, 'delete', { id } as ChunkRow)
  }
}

/** Remove a body that nobody has any more, if it is this volume's own. */
export function dropBody(files: Files, body: number): void {
  if (!ownsBody(files.volume, body)) return
  removeChunks(files, body, 0)
  if (files.volume.chain.length > 1) files.tx.write('delete from fs_bodies where body = ?', body)
}
