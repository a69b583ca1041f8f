/** Reads packed integers: the hybrid of runs and bits that levels and dictionary indices have, and differences.
 *  @source https://github.com/apache/parquet-format/blob/master/Encodings.md */
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { type Long, toLong } from '../avro/binary.ts'
import { corruptParquet } from './read-source.ts'

/** Bytes of a page, with a place in them. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
}

/** Read up to 32 bits, the lowest first; bits past the end are 0.
 *  @param shift of the first bit in its byte, 0 to 7 */
function bitsAt(bytes: Uint8Array, at: number, shift: number, width: number): number {
  const low = wordAt(bytes, at) >>> shift
  const rest = shift + width - 32
  const all = rest <= 0 ? low : low + ((bytes[at + 4] as number) & ((1 << rest) - 1)) * 2 ** (32 - shift)
  return width === 32 ? all : (all & ((1 << width) - 1)) >>> 0
}

/** Values of a miniblock: writers have 32, sometimes 256. */
const miniMax = 65_536

/** Read 32 bits, bytes past the end as 0. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  )
}

/** Read packed values `from` up to `to`, which stand from byte `start` on. */
function unpack(bytes: Uint8Array, start: number, width: number, into: Integers, from: number, to: number): void {
  let at = start
  let shift = 0
  // A word has the bits of a value wherever they begin.
  const isNarrow = width <= 25
  const mask = isNarrow ? (1 << width) - 1 : 0
  for (let index = from; index < to; index++) {
    into[index] = isNarrow ? (wordAt(bytes, at) >>> shift) & mask : wideBitsAt(bytes, at, shift, width)
    shift += width
    at += shift >>> 3
    shift &= 7
  }
}

type Integers = Uint8Array | Int32Array | Float64Array

/** Read a LEB128 varint below 2^53. */
export function readVarint(cursor: Cursor): number {
  let value = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = cursor.bytes[cursor.at++]
    if (byte === undefined || scale > 2 ** 49) throw corruptParquet('a number does not end')
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value
  }
}

/** Read a zigzag varint of 64 bits. */
function readZigzag(cursor: Cursor): bigint {
  let value = 0n
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = cursor.bytes[cursor.at++]
    if (byte === undefined) break
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
  }
  throw corruptParquet('a number does not end')
}

/** Read the hybrid of runs and packed bits.
 *  @param width bits of a value, 0 to 32
 *  @param into gets as many values as it has room for; its values are what it holds, all 0 before */
export function readHybrid(cursor: Cursor, width: number, into: Uint8Array | Int32Array): void {
  const { bytes } = cursor
  for (let seen = 0; seen < into.length; ) {
    const header = readVarint(cursor)
    const groups = Math.floor(header / 2)
    if (header % 2 === 0) {
      const size = Math.ceil(width / 8)
      if (groups === 0 || cursor.at + size > bytes.length) throw corruptParquet('a run ends early')
      const value = bitsAt(bytes, cursor.at, 0, width)
      cursor.at += size
      const end = Math.min(into.length, seen + groups)
      into.fill(value, seen, end)
      seen = end
    } else {
      const end = Math.min(into.length, seen + groups * 8)
      const last = cursor.at * 8 + (end - seen) * width
      if (groups === 0 || last > bytes.length * 8) throw corruptParquet('packed bits end early')
      unpack(bytes, cursor.at, width, into, seen, end)
      seen = end
      // The last group may be cut off after the bits that count.
      cursor.at = Math.min(bytes.length, cursor.at + groups * width)
    }
  }
}

/** Read integers packed as differences (DELTA_BINARY_PACKED).
 *  @param is32 differences wrap around at 32 bits, else at 64
 *  @returns integers past 2^53 as bigints */
export function readDelta(cursor: Cursor, count: number, is32: boolean): Long[] {
  const start = cursor.at
  const values = readDeltaFast(cursor, count, is32)
  if (values !== undefined) return values
  // Integers past 2^53, or differences that wide: in bigints.
  const { bytes } = cursor
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: start }
  const wide = new BigInt64Array(count)
  deltaBinaryUnpack(reader, count, wide)
  cursor.at = reader.offset
  return Array.from(wide, toLong)
}

/** Read in doubles.
 *  @returns undefined when those are not wide enough */
function readDeltaFast(cursor: Cursor, count: number, is32: boolean): number[] | undefined {
  const { bytes } = cursor
  const blockValues = readVarint(cursor)
  const minis = readVarint(cursor)
  const perMini = blockValues / minis
  if (!(perMini >= 8 && perMini <= miniMax && Number.isInteger(perMini / 8)))
    throw corruptParquet(`blocks of ${blockValues} in ${minis}`)
  if (readVarint(cursor) < count) throw corruptParquet('fewer differences than values')
  let value = Number(readZigzag(cursor))
  if (!Number.isSafeInteger(value)) return undefined
  const values: number[] = []
  const packed = new Float64Array(perMini)
  if (count > 0) values.push(value)
  while (values.length < count) {
    const least = Number(readZigzag(cursor))
    if (!Number.isSafeInteger(least)) return undefined
    const widths = cursor.at
    cursor.at += minis
    for (let mini = 0; mini < minis && values.length < count; mini++) {
      const width = bytes[widths + mini]
      if (width === undefined) throw corruptParquet('differences end early')
      if (width > 53) return undefined
      const end = Math.min(count, values.length + perMini)
      if (cursor.at * 8 + width * (end - values.length) > bytes.length * 8) {
        throw corruptParquet('differences end early')
      }
      if (width > 0) unpack(bytes, cursor.at, width, packed, 0, end - values.length)
      for (let at = 0; values.length < end; at++) {
        value += width > 0 ? least + (packed[at] as number) : least
        if (is32) value |= 0
        else if (!Number.isSafeInteger(value)) return undefined
        values.push(value)
      }
      cursor.at += (perMini / 8) * width
    }
  }
  return values
}

function wideBitsAt(bytes: Uint8Array, at: number, shift: number, width: number): number {
  if (width <= 32) return bitsAt(bytes, at, shift, width)
  return bitsAt(bytes, at, shift, 32) + bitsAt(bytes, at + 4, shift, width - 32) * 2 ** 32
}
