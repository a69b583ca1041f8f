/** Chunks of bodies, and bodies that stand on others.
 *
 *  1. A body belongs to the layer that it was made in; only what is on top of everything may be changed.
 *  2. Content of a layer below is written to through a body of its own, which shows the other where it has no chunk.
 *     So a write copies a chunk at most, whatever the file holds.
 *  3. A chunk hides all of the one below it, also where it is shorter. */
import { FSX_CHUNK_BYTES, FSX_CHUNKS_MAX } from '@dotdo/core/limits'
import { bodies, type ChunkRow, chunks } from '../tables.ts'
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

const selectChunks = 'select id, data from fs_chunks where id between ? and ? order by id'

/** Read a stretch of a body; it reaches no further than the file. */
export function readChunks(files: Files, body: number, from: number, end: number): Uint8Array {
  const first = Math.floor(from / FSX_CHUNK_BYTES)
  const last = Math.floor((end - 1) / FSX_CHUNK_BYTES)
  const levels = levelsOf(files, body)
  let out: Uint8Array | undefined
  for (let i = levels.length - 1; i >= 0; i--) {
    const level = levels[i] as Level
    const rows = files.tx.raw(selectChunks, chunkId(level.body, first), chunkId(level.body, last))
    const [row] = rows
    if (row !== undefined && i === 0 && first === last) {
      const data = row[1] as Uint8Array
      const offset = from - first * FSX_CHUNK_BYTES
      if (data.length >= offset + end - from) return data.subarray(offset, offset + end - from)
    }
    out ??= new Uint8Array(end - from)
    for (const [id, data] of rows) {
      const start = (Number(id) - chunkId(level.body, 0)) * FSX_CHUNK_BYTES
      if (i < levels.length - 1) out.fill(0, Math.max(0, start - from), Math.max(0, start + FSX_CHUNK_BYTES - from))
      const chunk = data as Uint8Array
      const skip = Math.max(0, from - start)
      const stop = Math.min(chunk.length, end - start, level.bytes - start)
      if (skip < stop) out.set(chunk.subarray(skip, stop), start + skip - from)
    }
  }
  return out as Uint8Array
}

/** Find a chunk of a body. */
export function findChunk(files: Files, body: number, index: number): Uint8Array | undefined {
  for (const level of levelsOf(files, body)) {
    const statement = 'select data from fs_chunks where id = ?'
    const data = files.tx.raw(statement, chunkId(level.body, index))[0]?.[0] as Uint8Array | undefined
    const seen = level.bytes - index * FSX_CHUNK_BYTES
    if (seen <= 0) return undefined
    if (data !== undefined) return data.length > seen ? data.subarray(0, seen) : data
  }
  return undefined
}

/** Tell how many bytes each chunk of a body has, from one on: those below it included. */
export function chunkLengths(files: Files, body: number, fromIndex = 0): Map<number, number> {
  const lengths = new Map<number, number>()
  for (const level of levelsOf(files, body).toReversed()) {
    const range = [chunkId(level.body, fromIndex), chunkId(level.body, FSX_CHUNKS_MAX - 1)] as const
    for (const [id, bytes] of files.tx.raw(
      'select id, length(data) from fs_chunks where id between ? and ?',
      ...range,
    )) {
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
    const id = chunkId(body, kept - 1)
    const last = tx.raw('select data from fs_chunks where id = ?', id)[0]?.[0] as Uint8Array | undefined
    if (last !== undefined && last.length > tail) tx.put(chunks, { id, data: last.subarray(0, tail) })
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
