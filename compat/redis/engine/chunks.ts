/** Strings larger than a row: a key's row that knows the size, and a row a chunk.
 *
 *  1. The key's row has `meta` 'chunks', an empty `value`, and the length of the string as its `size`.
 *  2. Chunk n holds the bytes from `n * CHUNK_BYTES` on. What a chunk lacks of its bytes, and a chunk that is not
 *     there, are zeros: a bit set far away takes one row. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_LARGE_STRING_READ_BYTES_MAX } from '@dotdo/core/limits'
import type { Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { type ChunkRow, chunks } from './elements.ts'

/** Bytes of a string in one row. */
export const CHUNK_BYTES = 256 * 1024
/** Longer strings are kept in chunks. */
export const WHOLE_BYTES_MAX = 1024 * 1024

/** Whether a string is kept in chunks.
 *  @param row of a key that is a string */
export function isLarge(row: KeyRow): boolean {
  return row.meta !== null
}

/** Read chunks, all cold ones at once.
 *  @returns undefined where all is zeros */
function readChunks(view: View, { slot, db, key }: KeyRow, first: number, last: number): (ChunkRow | undefined)[] {
  const found: (ChunkRow | undefined)[] = []
  for (let number = first; number <= last; number++) found.push(view.find(chunks, { slot, db, key, number }))
  const whole = view.wholeAll(
    chunks,
    found.filter((chunk) => chunk !== undefined),
  )
  let next = 0
  return found.map((chunk) => chunk && whole[next++])
}

function pad(value: Bin, length: number): Bin {
  return value.length >= length ? value : value + '\0'.repeat(length - value.length)
}

/** Read part of a large string.
 *  @param from index of the first byte
 *  @param to index after the last byte; within the string
 *  @throws limit when that is more than can be read at once
 *  @cost the chunks it touches */
export function readLarge(view: View, row: KeyRow, from = 0, to = row.size): Bin {
  if (from >= to) return ''
  if (to - from > REDIS_LARGE_STRING_READ_BYTES_MAX) {
    throw new Failure('limit', `ERR a string of ${to - from} bytes is too large to be read at once: use GETRANGE`)
  }
  const first = Math.floor(from / CHUNK_BYTES)
  const found = readChunks(view, row, first, Math.floor((to - 1) / CHUNK_BYTES))
  const parts = found.map((chunk) => pad((chunk?.value ?? '') as Bin, CHUNK_BYTES))
  return parts.join('').slice(from - first * CHUNK_BYTES, to - first * CHUNK_BYTES)
}

/** Store the chunks of a string.
 *  @param key names the key; none of its chunks are there */
export function putChunks(tx: Tx, { slot, db, key }: Pick<KeyRow, 'slot' | 'db' | 'key'>, value: Bin): void {
  for (let number = 0; number * CHUNK_BYTES < value.length; number++) {
    const part = value.slice(number * CHUNK_BYTES, (number + 1) * CHUNK_BYTES)
    tx.put(chunks, { slot, db, key, number, value: part })
  }
}

/** Overwrite part of a large string's chunks; the key's row is the caller's.
 *  @cost the chunks it touches */
export function writeChunks(tx: Tx, row: KeyRow, offset: number, part: Bin): void {
  const { slot, db, key } = row
  const first = Math.floor(offset / CHUNK_BYTES)
  const found = readChunks(tx, row, first, Math.floor((offset + part.length - 1) / CHUNK_BYTES))
  for (const [i, chunk] of found.entries()) {
    const start = (first + i) * CHUNK_BYTES
    const from = Math.max(0, offset - start)
    const to = Math.min(CHUNK_BYTES, offset + part.length - start)
    const old = (chunk?.value ?? '') as Bin
    const value = pad(old.slice(0, from), from) + part.slice(start + from - offset, start + to - offset) + old.slice(to)
    tx.put(chunks, { slot, db, key, number: first + i, value })
  }
}
