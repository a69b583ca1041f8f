/** Values of SQL, their types and their order.
 *
 *  1. Types are Iceberg's names. An `int` or `long` is a number within 2^53 and a bigint past it.
 *  2. Order is DuckDB's: text by code points, NaN above every number and equal to itself, one zero.
 *  3. What is no relation type (`date`, `decimal(9,2)`, structs) is carried, counted and asked for null, no more. */
import { Failure } from '../../../errors.ts'
import { type Long, toLong } from '../../avro/binary.ts'
import { compareValues, type Value } from '../../iceberg/values.ts'
import type { SqlResultValue } from '../port.ts'

/** One value. */
export type Datum = SqlResultValue

/** What can be computed with. `json` is text that holds JSON, `null` the type of a bare null. */
export type Kind =
  | 'boolean'
  | 'int'
  | 'long'
  | 'double'
  | 'string'
  | 'binary'
  | 'timestamptz'
  | 'json'
  | 'null'
  | 'other'

const kinds: readonly string[] = ['boolean', 'int', 'long', 'double', 'string', 'binary', 'timestamptz', 'json', 'null']

/** See what a type can be used for. */
export function kindOf(type: string): Kind {
  if (type === 'float') return 'double'
  return kinds.includes(type) ? (type as Kind) : 'other'
}

/** Whether a type is of integers. */
export function isInteger(type: string): boolean {
  return type === 'int' || type === 'long'
}

/** Whether a type is of numbers. */
export function isNumber(type: string): boolean {
  return isInteger(type) || kindOf(type) === 'double'
}

const int64Max = 2n ** 63n - 1n
const int32Max = 2 ** 31 - 1

/** Bring an integer into its one form.
 *  @throws invalid when it does not fit its type */
export function checkInteger(type: string, value: Long): Long {
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    if (type === 'int' && (value > int32Max || value < -int32Max - 1)) throw outOfRange(type, value)
    // One zero only: -0 is no integer.
    return value + 0
  }
  const exact = BigInt(value)
  const narrow = toLong(exact)
  if (typeof narrow === 'number') return checkInteger(type, narrow)
  if (type === 'int' || exact > int64Max || exact < -int64Max - 1n) throw outOfRange(type, value)
  return narrow
}

const outOfRange = (type: string, value: Long) => new Failure('invalid', `${value} is out of the range of type ${type}`)

/** Add two integers, exactly.
 *  @throws invalid past 64 bits */
export function addLongs(a: Long, b: Long): Long {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return checkInteger('long', BigInt(a) + BigInt(b))
}

/** Compares two values that are not null. */
export type Compare = (a: Datum, b: Datum) => number

const plain: Compare = (a, b) => ((a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0)

const doubles: Compare = (a, b) => {
  const [x, y] = [Number(a), Number(b)]
  if (x < y) return -1
  if (x > y) return 1
  if (x === y) return 0
  // One of them is NaN at the least.
  return Number(Number.isNaN(x)) - Number(Number.isNaN(y))
}

const texts: Compare = (a, b) => (a === b ? 0 : compareValues(a as Value, b as Value))

/** Find the order of a type's values.
 *  @returns undefined for types that have none here */
export function orderOf(type: string): Compare | undefined {
  switch (kindOf(type)) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'timestamptz':
    case 'null':
      return plain
    case 'double':
      return doubles
    case 'string':
    case 'json':
      return texts
    case 'binary':
      return (a, b) => compareValues(a as Value, b as Value)
    default:
      return undefined
  }
}

/** Make the key by which equal values of a type meet in a Map; null is a key of its own. */
export function keyOf(type: string): ((value: Datum) => unknown) | undefined {
  const kind = kindOf(type)
  if (kind === 'other') return undefined
  if (kind === 'binary') return (value) => (value instanceof Uint8Array ? bytesKey(value) : value)
  if (kind === 'double') return (value) => (typeof value === 'bigint' ? Number(value) : value)
  return (value) => value
}

/** Bytes as text, one unit a byte. */
function bytesKey(bytes: Uint8Array): string {
  let key = ''
  for (let at = 0; at < bytes.length; at += 4096) key += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return key
}

/** Estimate the bytes that a value takes in memory. */
export function sizeOf(value: Datum): number {
  if (typeof value === 'string') return 24 + 2 * value.length
  if (typeof value === 'object' && value !== null) {
    return 64 + (value instanceof Uint8Array ? value.length : 2 * JSON.stringify(value, bigintText).length)
  }
  return 8
}

const bigintText = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)

/** Counts down what a query may hold in memory. */
export interface Budget {
  /** @throws limit when nothing is left */
  spend(sizeBytes: number): void
}

/** Make a budget.
 *  @param what is held, and `way` out, for the failure's sentence */
export function budget(max: number, what: string, way: string): Budget {
  let left = max
  return {
    spend(sizeBytes) {
      left -= sizeBytes
      if (left < 0) throw new Failure('limit', `the query holds more than ${max} bytes of ${what}: ${way}`, { max })
    },
  }
}
