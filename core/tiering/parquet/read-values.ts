/** What stored values become: the forms of iceberg/values.ts, whatever the file stores them as.
 *
 *  1. Columns are read by the table's type: what was widened since the file was written comes wide.
 *  2. Units and widths of other writers (milliseconds, int96, unsigned) come in ours. */
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { Failure } from '../../errors.ts'
import { type Long, toLong } from '../avro/binary.ts'
import { type Kind, parsePrimitive } from '../iceberg/types.ts'
import { decimalFromBytes, formatUuid, type Value } from '../iceberg/values.ts'
import type { FileLeaf, Physical } from './read-footer.ts'
import { corruptParquet } from './read-source.ts'

/** Stored values that are there: numbers, or bytes with where each begins and ends. */
export type Stored =
  | { readonly kind: 'numbers'; readonly numbers: ArrayLike<Long | boolean> }
  | {
      readonly kind: 'bytes'
      readonly bytes: Uint8Array
      readonly starts: ArrayLike<number>
      readonly ends: ArrayLike<number>
    }

/** Turns stored values of one leaf into values of one type. */
export interface Form {
  readonly type: string
  /** Absent: numbers are values as they stand. */
  readonly fromNumber?: (number: Long | boolean) => Value
  readonly fromBytes?: (bytes: Uint8Array) => Value
  /** UTF-8, many of which are decoded at once. */
  readonly isText: boolean
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

const timesThousand = (number: Long | boolean): Value => toLong(BigInt(number) * 1000n)
/** Rounded down, as times before 1970 are negative. */
const byThousand = (number: Long | boolean): Value => {
  const exact = BigInt(number)
  return toLong((exact - (((exact % 1000n) + 1000n) % 1000n)) / 1000n)
}
const asBigInt = (number: Long | boolean): Value => BigInt(number)

const storages: { readonly [K in Kind]: readonly Physical[] } = {
  boolean: ['boolean'],
  int: ['int32'],
  long: ['int64', 'int32'],
  float: ['float'],
  double: ['double', 'float'],
  decimal: ['int32', 'int64', 'fixed', 'bytes'],
  date: ['int32'],
  time: ['int64', 'int32'],
  timestamp: ['int64', 'int96'],
  timestamptz: ['int64', 'int96'],
  string: ['bytes'],
  uuid: ['fixed'],
  fixed: ['fixed'],
  binary: ['bytes', 'fixed'],
}

/** Say how a leaf is read as a type.
 *  @throws invalid when it is stored as something else */
export function formOf(leaf: FileLeaf, type: string): Form {
  const { kind, scale, length } = parsePrimitive(type)
  const { physical } = leaf
  const wrong = (what: string) => new Failure('invalid', `column ${leaf.name} is ${what}, which is no ${type}`)
  if (!storages[kind].includes(physical)) throw wrong(`stored as ${physical}`)
  if ((kind === 'fixed' || kind === 'uuid') && leaf.width !== length) throw wrong(`of ${leaf.width} bytes`)
  if (kind === 'decimal') {
    if (leaf.scale !== scale) throw wrong(`a decimal with ${leaf.scale ?? 'no'} digits after its point`)
    return { type, isText: false, fromNumber: asBigInt, fromBytes: decimalFromBytes }
  }
  if (physical === 'bytes' || physical === 'fixed') return formOfBytes(kind, type)
  const fromNumber = numberForm(kind, leaf)
  return { type, isText: false, ...(fromNumber && { fromNumber }) }
}

function formOfBytes(kind: Kind, type: string): Form {
  if (kind === 'string') return { type, isText: true, fromBytes: (bytes) => utf8.decode(bytes) }
  // A page is larger than a value that is kept; and the slice of a Buffer would be a view.
  return { type, isText: false, fromBytes: kind === 'uuid' ? formatUuid : (bytes) => new Uint8Array(bytes) }
}

function numberForm(kind: Kind, { unit, isUnsigned, physical }: FileLeaf): Form['fromNumber'] {
  if (kind === 'time' || kind === 'timestamp' || kind === 'timestamptz') {
    if (unit === 'millis') return timesThousand
    return unit === 'nanos' ? byThousand : undefined
  }
  if (!isUnsigned) return undefined
  if (physical === 'int32') return (number) => Number(number) >>> 0
  return (number) => toLong(BigInt.asUintN(64, BigInt(number)))
}

/** Whether a stored number is the value itself, so that its bytes can be made from the value. */
export function isPlainForm({ fromNumber, fromBytes }: Form): boolean {
  return fromNumber === undefined || fromNumber === asBigInt || fromBytes !== undefined
}

/** Make the function that gives the n-th value.
 *  @param dense most of them will be asked for */
export function accessor(stored: Stored, form: Form, dense: boolean): (at: number) => Value {
  if (stored.kind === 'numbers') {
    const { numbers } = stored
    const { fromNumber } = form
    if (fromNumber === undefined) return (at) => numbers[at] as Value
    return (at) => fromNumber(numbers[at] as Long | boolean)
  }
  const { bytes, starts, ends } = stored
  if (dense && form.isText) return denseText(stored)
  const { fromBytes = (value: Uint8Array) => value } = form
  return (at) => fromBytes(bytes.subarray(starts[at], ends[at]))
}

/** Decode all texts of a page at once: one call takes less time than ten. Texts with characters past ASCII do not have
 *  a char a byte, so where there are any each is decoded for itself. */
function denseText({ bytes, starts, ends }: Extract<Stored, { kind: 'bytes' }>): (at: number) => string {
  const count = starts.length
  const [first = 0, last = 0] = count === 0 ? [] : [starts[0], ends[count - 1]]
  const all = utf8.decode(bytes.subarray(first, last))
  if (all.length === last - first) {
    return (at) => all.substring((starts[at] as number) - first, (ends[at] as number) - first)
  }
  return (at) => utf8.decode(bytes.subarray(starts[at], ends[at]))
}

/** Read 64-bit integers. */
function longsAt(view: DataView, count: number): Long[] {
  const longs: Long[] = new Array(count)
  for (let index = 0; index < count; index++) {
    const place = index * 8
    const high = view.getInt32(place + 4, true)
    // Within 2^53 for certain; the rest is seldom.
    const isNarrow = high > -0x200000 && high < 0x200000
    longs[index] = isNarrow ? high * 2 ** 32 + view.getUint32(place, true) : toLong(view.getBigInt64(place, true))
  }
  return longs
}

const nanosOfDay = 86_400_000_000_000n
/** The Julian day of 1970-01-01. */
const julianEpoch = 2_440_588

function int96At(view: DataView, at: number): Long {
  const days = BigInt(view.getInt32(at + 8, true) - julianEpoch)
  return toLong(days * nanosOfDay + view.getBigInt64(at, true))
}

/** Bytes of a value by how it is stored; of those that have no fixed number, 0. */
const sizes: { readonly [P in Physical]: number } = {
  boolean: 0,
  int32: 4,
  int64: 8,
  int96: 12,
  float: 4,
  double: 8,
  bytes: 0,
  fixed: 0,
}

/** Read plain values. */
export function readPlain(
  { physical, width }: Pick<FileLeaf, 'physical' | 'width'>,
  bytes: Uint8Array,
  count: number,
): Stored {
  const size = sizes[physical]
  if (size * count > bytes.length) throw corruptParquet(`${count} values in ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const numbers = (read: (at: number) => Long | boolean): Stored => {
    const list: (Long | boolean)[] = new Array(count)
    for (let at = 0; at < count; at++) list[at] = read(at * size)
    return { kind: 'numbers', numbers: list }
  }
  switch (physical) {
    case 'boolean':
      return booleans(bytes, count)
    case 'int32':
      return numbers((at) => view.getInt32(at, true))
    case 'int64':
      return { kind: 'numbers', numbers: longsAt(view, count) }
    case 'int96':
      return numbers((at) => int96At(view, at))
    case 'float':
      return numbers((at) => view.getFloat32(at, true))
    case 'double':
      return numbers((at) => view.getFloat64(at, true))
    case 'fixed':
      return fixedOf(bytes, width, count)
    case 'bytes':
      return plainBytes(view, bytes, count)
  }
}

function booleans(bytes: Uint8Array, count: number): Stored {
  if (count > bytes.length * 8) throw corruptParquet(`${count} values in ${bytes.length} bytes`)
  const numbers = Array.from({ length: count }, (_, at) => (((bytes[at >> 3] as number) >> (at & 7)) & 1) === 1)
  return { kind: 'numbers', numbers }
}

function fixedOf(bytes: Uint8Array, width: number, count: number): Stored {
  if (width * count > bytes.length) throw corruptParquet(`${count} values in ${bytes.length} bytes`)
  const starts = Array.from({ length: count }, (_, at) => at * width)
  return { kind: 'bytes', bytes, starts, ends: starts.map((start) => start + width) }
}

/** Each value after its length. */
function plainBytes(view: DataView, bytes: Uint8Array, count: number): Stored {
  if (count * 4 > bytes.length) throw corruptParquet(`${count} values in ${bytes.length} bytes`)
  const starts = new Int32Array(count)
  const ends = new Int32Array(count)
  let at = 0
  for (let index = 0; index < count; index++) {
    if (at + 4 > bytes.length) throw corruptParquet('a value ends early')
    starts[index] = at + 4
    at += 4 + view.getUint32(at, true)
    if (at > bytes.length) throw corruptParquet('a value ends early')
    ends[index] = at
  }
  return { kind: 'bytes', bytes, starts, ends }
}

/** Make values that stand one after the other.
 *  @param lengths of each
 *  @param from where the first begins */
export function lengthBytes(bytes: Uint8Array, lengths: readonly Long[], from: number): Stored {
  const starts = new Int32Array(lengths.length)
  const ends = new Int32Array(lengths.length)
  let at = from
  for (let index = 0; index < lengths.length; index++) {
    const length = Number(lengths[index])
    starts[index] = at
    at += length
    if (length < 0 || at > bytes.length) throw corruptParquet('a value ends early')
    ends[index] = at
  }
  return { kind: 'bytes', bytes, starts, ends }
}

/** Read values whose first bytes come first, then all second bytes, and so on (BYTE_STREAM_SPLIT). */
export function readSplit(leaf: FileLeaf, bytes: Uint8Array, count: number): Stored {
  const width = sizes[leaf.physical] || leaf.width
  if (width === 0 || width * count > bytes.length) throw corruptParquet(`${count} values in ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const joined = byteStreamSplit({ view, offset: 0 }, count, 'FIXED_LEN_BYTE_ARRAY', width) as Uint8Array[]
  const first = joined[0]
  const all = first === undefined ? new Uint8Array(0) : new Uint8Array(first.buffer, 0, width * count)
  return readPlain(leaf, all, count)
}
