/** Least and greatest values: of pages, column chunks and files, in the forms of Parquet and of Iceberg.
 *
 *  1. Bounds never lie: every value that is not null and not NaN is within them.
 *  2. NaN counts for nothing; a column of NaNs has no bounds. A bound of zero is -0 below and +0 above.
 *  3. Strings and bytes are ordered by their unsigned bytes, decimals by their value.
 *  @source https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (ColumnOrder)
 *  @source https://iceberg.apache.org/spec/ (v2), appendix D: single-value serialization */
import { bigEndian, type Values } from './convert.ts'
import type { Dictionary } from './dictionary.ts'
import type { Leaf } from './schema.ts'
import { truncateMax, truncateMin } from './truncate.ts'
import { BytesValues, FixedValues, IntegerValues, type NumberValues } from './values.ts'

/** A bound: a number, a 64-bit integer past 2^53, or bytes as Parquet stores them. */
export type Bound = number | bigint | Uint8Array

/** What is known of some values. */
export interface Extent {
  readonly min: Bound | undefined
  readonly max: Bound | undefined
  /** How many are NaN. */
  readonly nans: number
}

/** Find the least and greatest of the values `from` to `to`.
 *  @param dictionary the column's, when it has one: then each distinct value is looked at once
 *  @returns bytes are borrowed from the values */
export function extentOf(leaf: Leaf, values: Values, from: number, to: number, dictionary?: Dictionary): Extent {
  if (values instanceof BytesValues || values instanceof FixedValues) {
    return extentOfBytes(leaf, values, from, to, dictionary)
  }
  if (values instanceof IntegerValues) {
    return values.wide === undefined ? extentOfNumbers(values.narrow, from, to) : extentOfWide(values.wide, from, to)
  }
  return extentOfNumbers(values, from, to)
}

function extentOfNumbers({ array }: NumberValues, from: number, to: number): Extent {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  let nans = 0
  for (let at = from; at < to; at++) {
    const value = array[at] as number
    if (value < min) min = value
    if (value > max) max = value
    // biome-ignore lint/suspicious/noSelfCompare: the fastest test for NaN
    if (value !== value) nans++
  }
  if (to - from === nans) return { min: undefined, max: undefined, nans }
  return { min, max, nans }
}

function extentOfWide(array: BigInt64Array, from: number, to: number): Extent {
  if (from === to) return { min: undefined, max: undefined, nans: 0 }
  let min = array[from] as bigint
  let max = min
  for (let at = from + 1; at < to; at++) {
    const value = array[at] as bigint
    if (value < min) min = value
    if (value > max) max = value
  }
  return { min, max, nans: 0 }
}

/** Order of two stretches of the same bytes. */
type Order = (bytes: DataView, one: number, oneEnd: number, other: number, otherEnd: number) => number

/** Order by unsigned bytes, four at a time, the first byte the highest. */
const unsigned: Order = (bytes, one, oneEnd, other, otherEnd) => {
  const length = Math.min(oneEnd - one, otherEnd - other)
  let at = 0
  for (; at + 4 <= length; at += 4) {
    const a = bytes.getInt32(one + at)
    const b = bytes.getInt32(other + at)
    if (a !== b) return a >>> 0 < b >>> 0 ? -1 : 1
  }
  for (; at < length; at++) {
    const difference = bytes.getUint8(one + at) - bytes.getUint8(other + at)
    if (difference !== 0) return difference
  }
  return oneEnd - one - (otherEnd - other)
}

/** Order of numbers in two's complement, the highest byte first, of one width. */
const signed: Order = (bytes, one, oneEnd, other, otherEnd) => {
  const sign = bytes.getInt8(one) - bytes.getInt8(other)
  return sign !== 0 ? sign : unsigned(bytes, one, oneEnd, other, otherEnd)
}

const orderOf = ({ primitive }: Leaf) => (primitive === 'decimal' ? signed : unsigned)

function extentOfBytes(
  leaf: Leaf,
  values: BytesValues | FixedValues,
  from: number,
  to: number,
  dictionary: Dictionary | undefined,
): Extent {
  if (from === to) return { min: undefined, max: undefined, nans: 0 }
  const { bytes, start, end } = accessOf(values)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const order = orderOf(leaf)
  // A dictionary's indices are small: each distinct value is looked at when it is met first.
  const places = dictionary === undefined ? undefined : distinctPlaces(dictionary, from, to)
  const count = places?.length ?? to - from
  const first = places === undefined ? from : (places[0] as number)
  let min = start(first)
  let minEnd = end(first)
  let max = min
  let maxEnd = minEnd
  for (let index = 1; index < count; index++) {
    const at = places === undefined ? from + index : (places[index] as number)
    const here = start(at)
    const hereEnd = end(at)
    if (order(view, here, hereEnd, min, minEnd) < 0) {
      min = here
      minEnd = hereEnd
    } else if (order(view, here, hereEnd, max, maxEnd) > 0) {
      max = here
      maxEnd = hereEnd
    }
  }
  return { min: bytes.subarray(min, minEnd), max: bytes.subarray(max, maxEnd), nans: 0 }
}

function distinctPlaces({ indices, first, size }: Dictionary, from: number, to: number): number[] {
  const seen = new Uint8Array(size)
  const places: number[] = []
  for (let at = from; at < to; at++) {
    const index = indices[at] as number
    if (seen[index] === 1) continue
    seen[index] = 1
    places.push(first[index] as number)
  }
  return places
}

/** Where the bytes of each value begin and end. */
export function accessOf(values: BytesValues | FixedValues): {
  readonly bytes: Uint8Array
  start(at: number): number
  end(at: number): number
} {
  if (values instanceof BytesValues) {
    const { bytes, offsets } = values
    return { bytes, start: (at) => offsets[at] as number, end: (at) => offsets[at + 1] as number }
  }
  const { width, data } = values
  return { bytes: data.array, start: (at) => at * width, end: (at) => (at + 1) * width }
}

/** Compare two bounds of a leaf. */
export function compareBounds(leaf: Leaf, a: Bound, b: Bound): number {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return a < b ? -1 : a > b ? 1 : 0
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return orderOf(leaf)(new DataView(both.buffer), 0, a.length, a.length, both.length)
}

/** Join what is known of two sets of values. */
export function mergeExtents(leaf: Leaf, one: Extent, other: Extent): Extent {
  const pick = (a: Bound | undefined, b: Bound | undefined, sign: number) =>
    a === undefined ? b : b === undefined ? a : compareBounds(leaf, a, b) * sign <= 0 ? a : b
  return { min: pick(one.min, other.min, 1), max: pick(one.max, other.max, -1), nans: one.nans + other.nans }
}

/** A bound ready to be written. */
export interface EncodedBound {
  readonly bytes: Uint8Array
  /** Whether it is a value of the column, not a cut or raised one. */
  readonly exact: boolean
}

/** Write a lower bound as Parquet has it; long strings and bytes are cut. */
export function parquetMin(leaf: Leaf, min: Bound): EncodedBound {
  if (!(min instanceof Uint8Array)) return { bytes: plainBound(leaf, min === 0 ? -0 : min), exact: true }
  const bytes = leaf.storage === 'bytes' ? truncateMin(min, leaf.primitive === 'string') : min
  return { bytes: bytes.slice(), exact: bytes.length === min.length }
}

/** Write an upper bound as Parquet has it.
 *  @returns undefined when the value is long and nothing short lies above it */
export function parquetMax(leaf: Leaf, max: Bound): EncodedBound | undefined {
  if (!(max instanceof Uint8Array)) return { bytes: plainBound(leaf, max === 0 ? 0 : max), exact: true }
  const bytes = leaf.storage === 'bytes' ? truncateMax(max, leaf.primitive === 'string') : max
  return bytes && { bytes: bytes.slice(), exact: bytes === max }
}

function plainBound({ storage }: Leaf, value: number | bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  const take = (bytes: number) => new Uint8Array(view.buffer, 0, bytes)
  switch (storage) {
    case 'boolean':
      view.setUint8(0, Number(value))
      return take(1)
    case 'int32':
      view.setInt32(0, Number(value), true)
      return take(4)
    case 'float':
      view.setFloat32(0, Number(value), true)
      return take(4)
    case 'double':
      view.setFloat64(0, Number(value), true)
      return take(8)
    default:
      view.setBigInt64(0, BigInt(value), true)
      return take(8)
  }
}

/** Write a bound as Iceberg has it: decimals in as few bytes as hold them, all else as Parquet.
 *  @param parquet the bound as Parquet has it */
export function icebergBound({ primitive, storage }: Leaf, parquet: Uint8Array): Uint8Array {
  if (primitive !== 'decimal') return parquet
  const view = new DataView(parquet.buffer, parquet.byteOffset, parquet.byteLength)
  const wide =
    storage === 'fixed'
      ? parquet
      : storage === 'int32'
        ? bigEndian(BigInt(view.getInt32(0, true)), 4)
        : bigEndian(view.getBigInt64(0, true), 8)
  let start = 0
  // A leading byte that only repeats the sign of the next one says nothing.
  while (start < wide.length - 1 && wide[start] === ((wide[start + 1] as number) >= 0x80 ? 0xff : 0)) start++
  return wide.slice(start)
}
