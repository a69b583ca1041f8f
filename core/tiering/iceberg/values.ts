/** Single values of primitive types: in memory, as the bytes of bounds, as JSON, and in order.
 *
 *  In memory: boolean; int, date (days since 1970-01-01), float and double: a number; long, time, timestamp and
 *  timestamptz (microseconds): a number within 2^53, a bigint beyond; decimal: its unscaled integer as a bigint;
 *  string; uuid: lower-case text with hyphens; fixed and binary: a Uint8Array.
 *  @source https://iceberg.apache.org/spec/ (v2), appendix D */
import { Failure } from '../../errors.ts'
import { type Long, toLong } from '../avro/binary.ts'
import { formatDate, formatTime, formatTimestamp, parseDate, parseTime, parseTimestamp } from './calendar.ts'
import { type Primitive, parsePrimitive } from './types.ts'

/** A value of a primitive type that is not null. */
export type Value = boolean | number | bigint | string | Uint8Array

const utf8 = new TextEncoder()
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const wrong = (type: string, value: unknown) => {
  const shown = typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value)?.slice(0, 80) ?? 'undefined')
  return new Failure('invalid', `${shown} is no ${type}`)
}

/** Bring a value into the form it has in memory: integers of 64 bits as Longs, decimals as bigints, and text of a type
 *  that is not text parsed.
 *  @throws invalid when it is no value of the type */
export function normalizeValue(type: string, value: unknown): Value {
  const primitive = parsePrimitive(type)
  switch (primitive.kind) {
    case 'boolean':
      if (typeof value === 'boolean') return value
      break
    case 'float':
    case 'double':
      if (typeof value === 'number') return value
      // JSON has one kind of number: 9007199254740993 may be a double.
      if (typeof value === 'bigint') return Number(value)
      break
    case 'string':
      if (typeof value === 'string') return value
      break
    case 'fixed':
    case 'binary':
      if (value instanceof Uint8Array && (primitive.length === 0 || value.length === primitive.length)) return value
      if (typeof value === 'string') return fromJson(type, value) as Value
      break
    case 'uuid':
      if (typeof value === 'string') return fromJson(type, value) as Value
      if (value instanceof Uint8Array && value.length === 16) return formatUuid(value)
      break
    default:
      return normalizeInteger(type, primitive, value)
  }
  throw wrong(type, value)
}

function normalizeInteger(type: string, { kind }: Primitive, value: unknown): Value {
  if (typeof value === 'string') return fromJson(type, value) as Value
  const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value)
  if (!isInteger) throw wrong(type, value)
  if (kind === 'decimal') return BigInt(value as Long)
  return typeof value === 'bigint' ? toLong(value) : (value as number)
}

/** Write a value as the bytes of a bound.
 *  @throws invalid when it is no value of the type */
export function toBinary(type: string, value: Value): Uint8Array {
  const { kind } = parsePrimitive(type)
  switch (kind) {
    case 'string':
      return utf8.encode(value as string)
    case 'uuid':
      return parseUuid(value as string)
    case 'fixed':
    case 'binary':
      return value as Uint8Array
    case 'decimal':
      return decimalToBytes(BigInt(value as Long))
    case 'boolean':
      return new Uint8Array([value === true ? 1 : 0])
    default:
      return numberToBytes(type, kind, value as Long)
  }
}

function numberToBytes(type: string, kind: string, value: Long): Uint8Array {
  const is32 = kind === 'int' || kind === 'date' || kind === 'float'
  const view = new DataView(new ArrayBuffer(is32 ? 4 : 8))
  if (kind === 'float') view.setFloat32(0, Number(value), true)
  else if (kind === 'double') view.setFloat64(0, Number(value), true)
  else if (is32) {
    if ((Number(value) | 0) !== Number(value)) throw wrong(type, value)
    view.setInt32(0, Number(value), true)
  } else view.setBigInt64(0, BigInt(value), true)
  return new Uint8Array(view.buffer)
}

/** Read a value from the bytes of a bound. A bound that was written before its column was widened is read, too.
 *  @throws invalid when the bytes are no value of the type */
export function fromBinary(type: string, bytes: Uint8Array): Value {
  const { kind, length } = parsePrimitive(type)
  switch (kind) {
    case 'string':
      return decodeText(bytes)
    case 'uuid':
      if (bytes.length === 16) return formatUuid(bytes)
      break
    case 'fixed':
      if (bytes.length === length) return bytes
      break
    case 'binary':
      return bytes
    case 'decimal':
      if (bytes.length > 0) return decimalFromBytes(bytes)
      break
    case 'boolean':
      if (bytes.length === 1) return bytes[0] !== 0
      break
    default:
      return numberFromBytes(type, kind, bytes)
  }
  throw new Failure('invalid', `${bytes.length} bytes are no ${type}`)
}

/** A bound may be cut within a character, by writers that count bytes. */
function decodeText(bytes: Uint8Array): string {
  try {
    return text.decode(bytes)
  } catch {
    throw new Failure('invalid', 'a string bound is not UTF-8')
  }
}

function numberFromBytes(type: string, kind: string, bytes: Uint8Array): Value {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const is32 = kind === 'int' || kind === 'date' || kind === 'float'
  if (bytes.length === 4) {
    if (kind === 'float' || kind === 'double') return view.getFloat32(0, true)
    if (is32 || kind === 'long') return view.getInt32(0, true)
  }
  if (bytes.length === 8 && !is32) {
    return kind === 'double' ? view.getFloat64(0, true) : toLong(view.getBigInt64(0, true))
  }
  throw new Failure('invalid', `${bytes.length} bytes are no ${type}`)
}

/** Write an unscaled decimal big endian, in as few bytes as hold it. */
export function decimalToBytes(value: bigint): Uint8Array {
  let length = 1
  while (BigInt.asIntN(length * 8, value) !== value) length++
  return decimalToFixed(value, length)
}

/** Write an unscaled decimal big endian, in so many bytes. */
export function decimalToFixed(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let rest = value
  for (let at = length - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  if (rest !== 0n && rest !== -1n) throw new Failure('invalid', `decimal ${value} needs more than ${length} bytes`)
  return bytes
}

/** Read an unscaled decimal. */
export function decimalFromBytes(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return BigInt.asIntN(bytes.length * 8, value)
}

const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function bytesOf(type: string, hex: string): Uint8Array {
  if (hex.length % 2 !== 0 || !/^[\da-f]*$/i.test(hex)) throw wrong(type, hex)
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16))
}

/** Write 16 bytes as a uuid. */
export function formatUuid(bytes: Uint8Array): string {
  return hexOf(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Read a uuid.
 *  @throws invalid for other text */
export function parseUuid(uuid: string): Uint8Array {
  if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuid)) throw wrong('uuid', uuid)
  return bytesOf('uuid', uuid.replaceAll('-', ''))
}

/** Write a decimal with its point: `14.20`. */
export function formatDecimal(value: bigint, scale: number): string {
  const digits = `${value < 0n ? -value : value}`.padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`
}

function parseDecimal(type: string, decimal: string, { precision, scale }: Primitive): bigint {
  const parts = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal)
  const fraction = parts?.[3] ?? ''
  if (parts === null || fraction.length > scale) throw wrong(type, decimal)
  const digits = `${parts[2]}${fraction.padEnd(scale, '0')}`
  if (digits.replace(/^0+/, '').length > precision) throw wrong(type, decimal)
  return BigInt(`${parts[1]}${digits}`)
}

/** Write a value as JSON. */
export function toJson(type: string, value: Value): unknown {
  const { kind, scale } = parsePrimitive(type)
  switch (kind) {
    case 'decimal':
      return formatDecimal(BigInt(value as Long), scale)
    case 'date':
      return formatDate(value as number)
    case 'time':
      return formatTime(Number(value))
    case 'timestamp':
      return formatTimestamp(value as Long)
    case 'timestamptz':
      return `${formatTimestamp(value as Long)}+00:00`
    case 'fixed':
    case 'binary':
      return hexOf(value as Uint8Array)
    default:
      return value
  }
}

/** Read a value from JSON.
 *  @returns null for null
 *  @throws invalid when it is no value of the type */
export function fromJson(type: string, json: unknown): Value | null {
  if (json === null || json === undefined) return null
  const primitive = parsePrimitive(type)
  if (typeof json !== 'string') return normalizeValue(type, json)
  switch (primitive.kind) {
    case 'string':
      return json
    case 'decimal':
      return parseDecimal(type, json, primitive)
    case 'date':
      return parseDate(json)
    case 'time':
      return parseTime(json)
    case 'timestamp':
    case 'timestamptz':
      return parseTimestamp(json, primitive.kind === 'timestamptz')
    case 'uuid':
      parseUuid(json)
      return json.toLowerCase()
    case 'fixed':
    case 'binary':
      return normalizeValue(type, bytesOf(type, json))
    default:
      throw wrong(type, json)
  }
}

/** Compare values of one type: text by code points, bytes unsigned, numbers by value.
 *  @returns below, above or equal to 0 */
export function compareValues(a: Value, b: Value): number {
  if (typeof a === 'string') return compareText(a, b as string)
  if (a instanceof Uint8Array) return compareBytes(a, b as Uint8Array)
  return a < b ? -1 : a > b ? 1 : 0
}

/** Surrogates stand for characters past U+FFFF, so they come after every other unit. */
const rank = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)

function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
