/** Partition transforms: what a value becomes in the tuple of its partition.
 *  @source https://iceberg.apache.org/spec/ (v2), "Partition Transforms" and appendix B */
import { toBin } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import { murmur3 } from '../../shard/hash.ts'
import { type Long, toLong } from '../avro/binary.ts'
import { dateOf, dayMicros, floorDivide, formatDate, formatYear } from './calendar.ts'
import { type Kind, parsePrimitive } from './types.ts'
import { toBinary, toJson, type Value } from './values.ts'

/** A transform, taken apart. `unknown` is one of a later version: its fields are not used to find files. */
export type Transform =
  | { readonly name: 'identity' | 'void' | 'year' | 'month' | 'day' | 'hour' | 'unknown' }
  | { readonly name: 'bucket' | 'truncate'; readonly width: number }

/** Take a transform's text apart.
 *  @throws invalid for a bucket or truncate without a width of 1 to 2^31 - 1 */
export function parseTransform(text: string): Transform {
  if (/^(identity|void|year|month|day|hour)$/.test(text)) return { name: text as 'identity' }
  const parts = /^(bucket|truncate)\[(\d+)\]$/.exec(text)
  if (parts === null) return { name: 'unknown' }
  const width = Number(parts[2])
  if (width < 1 || width > 2 ** 31 - 1)
    throw new Failure('invalid', `transform ${text}: its width must be 1 to 2^31 - 1`)
  return { name: parts[1] as 'bucket', width }
}

const temporal: readonly Kind[] = ['date', 'timestamp', 'timestamptz']
const sources: { readonly [name: string]: readonly Kind[] } = {
  bucket: ['int', 'long', 'decimal', 'date', 'time', 'timestamp', 'timestamptz', 'string', 'uuid', 'fixed', 'binary'],
  truncate: ['int', 'long', 'decimal', 'string', 'binary'],
  year: temporal,
  month: temporal,
  day: temporal,
  hour: ['timestamp', 'timestamptz'],
}

/** Find the type of what a transform makes of a primitive type.
 *  `day` gives a date, as every implementation has it, though the specification says int: the bytes are the same.
 *  @throws invalid when the transform does not take the type, unsupported when it is unknown */
export function resultType(transform: Transform, type: string): string {
  const { kind } = parsePrimitive(type)
  const taken = sources[transform.name]
  if (taken !== undefined && !taken.includes(kind)) {
    throw new Failure('invalid', `transform ${transform.name} does not take ${type}`)
  }
  switch (transform.name) {
    case 'unknown':
      throw new Failure('unsupported', 'a transform of a later version of Iceberg')
    case 'identity':
    case 'truncate':
    case 'void':
      return type
    case 'day':
      return 'date'
    default:
      return 'int'
  }
}

/** Hash a value to 32 bits.
 *  @source the specification, appendix B */
export function hashValue(type: string, value: Value): number {
  const { kind } = parsePrimitive(type)
  const isInteger = kind === 'int' || kind === 'date'
  return murmur3(toBin(toBinary(isInteger ? 'long' : type, value))) | 0
}

/** Make the function that transforms values of a type; null stays null.
 *  @throws as `resultType` */
export function compileTransform(transform: Transform, type: string): (value: Value | null) => Value | null {
  resultType(transform, type)
  const apply = compile(transform, type)
  return (value) => (value === null ? null : apply(value))
}

function compile(transform: Transform, type: string): (value: Value) => Value | null {
  switch (transform.name) {
    case 'bucket':
      return (value) => (hashValue(type, value) & 0x7fffffff) % transform.width
    case 'truncate':
      return truncation(type, transform.width)
    case 'void':
      return () => null
    case 'year':
    case 'month':
    case 'day':
    case 'hour':
      return period(transform.name, type)
    default:
      return (value) => value
  }
}

function truncation(type: string, width: number): (value: Value) => Value {
  switch (parsePrimitive(type).kind) {
    case 'string':
      return (value) => truncateText(value as string, width)
    case 'binary':
      return (value) => (value as Uint8Array).subarray(0, width)
    case 'decimal':
      return (value) => floorTo(value as bigint, BigInt(width))
    case 'int':
      return (value) => floorDivide(value as number, width) * width
    default:
      // At the lowest longs the product passes what a double holds exactly.
      return (value) => toLong(floorTo(BigInt(value as Long), BigInt(width)))
  }
}

function floorTo(value: bigint, width: bigint): bigint {
  return value - (((value % width) + width) % width)
}

/** Take the first `width` characters of a text. */
export function truncateText(text: string, width: number): string {
  if (text.length <= width) return text
  let end = 0
  for (let count = 0; count < width && end < text.length; count++)
    end += (text.codePointAt(end) as number) > 0xffff ? 2 : 1
  return text.slice(0, end)
}

function period(name: 'year' | 'month' | 'day' | 'hour', type: string): (value: Value) => number {
  const isDate = parsePrimitive(type).kind === 'date'
  const dayOf = (value: Value) => (isDate ? (value as number) : floorDivide(value as Long, dayMicros))
  switch (name) {
    case 'year':
      return (value) => dateOf(dayOf(value)).year - 1970
    case 'month':
      return (value) => {
        const { year, month } = dateOf(dayOf(value))
        return (year - 1970) * 12 + month - 1
      }
    case 'day':
      return dayOf
    case 'hour':
      return (value) => floorDivide(value as Long, dayMicros / 24)
  }
}

/** Write a partition value as people read it, and as it stands in the path of a file. */
export function formatPartition(transform: Transform, type: string, value: Value | null): string {
  if (value === null) return 'null'
  const number = Number(value)
  switch (transform.name) {
    case 'year':
      return formatYear(1970 + number)
    case 'month':
      return `${formatYear(1970 + Math.floor(number / 12))}-${`${(((number % 12) + 12) % 12) + 1}`.padStart(2, '0')}`
    case 'day':
      return formatDate(number)
    case 'hour':
      return `${formatDate(Math.floor(number / 24))}-${`${((number % 24) + 24) % 24}`.padStart(2, '0')}`
    default:
      return `${toJson(resultType(transform, type), value)}`
  }
}
