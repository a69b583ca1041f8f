/** Arithmetic: integers exact to 64 bits and refused past them, division of integers truncates, division by zero is
 *  null; doubles else as IEEE has them. All as DuckDB does with `integer_division`. */
import type { Long } from '../../avro/binary.ts'
import { operands } from './conditions.ts'
import type { Evaluate, Make } from './expression.ts'
import { addLongs, checkInteger, type Datum, isInteger } from './values.ts'

type IntegerOp = (a: Long, b: Long) => Long | null

const both = (a: Long, b: Long): boolean => typeof a === 'number' && typeof b === 'number'

/** Compute with numbers while the result is exact, else with bigints. */
function exactly(fast: (a: number, b: number) => number, slow: (a: bigint, b: bigint) => bigint): IntegerOp {
  return (a, b) => {
    if (both(a, b)) {
      const result = fast(a as number, b as number)
      if (Number.isSafeInteger(result)) return result + 0
    }
    return checkInteger('long', slow(BigInt(a), BigInt(b)))
  }
}

const remainder = exactly(
  (a, b) => a % b,
  (a, b) => a % b,
)
// a - a % b is a multiple of b, so that the quotient of doubles is exact.
const quotient = exactly(
  (a, b) => (a - (a % b)) / b,
  (a, b) => a / b,
)
const isZero = (value: Long) => value === 0

const integerOps: { readonly [name: string]: IntegerOp } = {
  '+': addLongs,
  '-': exactly(
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  '*': exactly(
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  '/': (a, b) => (isZero(b) ? null : quotient(a, b)),
  '%': (a, b) => (isZero(b) ? null : remainder(a, b)),
}

const doubleOps: { readonly [name: string]: (a: number, b: number) => number | null } = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? null : a / b),
  '%': (a, b) => (b === 0 ? null : a % b),
}

const arithmetic: Make = (args, { name, type }) => {
  const [a, b] = operands(args)
  const integer = integerOps[name] as IntegerOp
  const double = doubleOps[name] as (a: number, b: number) => number | null
  const isLong = type === 'long'
  const compute = isInteger(type)
    ? (left: Datum, right: Datum) => {
        const result = integer(left as Long, right as Long)
        return result === null || isLong ? result : checkInteger(type, result)
      }
    : (left: Datum, right: Datum) => double(Number(left), Number(right))
  return (columns, row) => {
    const left = a(columns, row)
    const right = b(columns, row)
    return left === null || right === null ? null : compute(left, right)
  }
}

/** Make a function of one number that is not null. */
function ofOne(double: (value: number) => number, integer: (value: Long) => Long): Make {
  return ([value], { type }) => {
    const compute = isInteger(type)
      ? (one: Datum) => checkInteger(type, integer(one as Long))
      : (one: Datum) => double(Number(one))
    return (columns, row) => {
      const one = (value as Evaluate)(columns, row)
      return one === null ? null : compute(one)
    }
  }
}

/** Round half away from zero. */
function roundAway(value: number): number {
  const whole = Math.trunc(value)
  return Math.abs(value - whole) >= 0.5 ? whole + Math.sign(value) : whole
}

/** Round to a power of ten, as DuckDB does: scaled, rounded, scaled back; unchanged where that overflows. */
function roundTo(value: number, digits: number): number {
  const scale = 10 ** Math.abs(digits)
  const rounded = digits < 0 ? roundAway(value / scale) * scale : roundAway(value * scale) / scale
  if (Number.isFinite(rounded)) return rounded
  return digits < 0 ? 0 : value
}

/** Round an integer to a power of ten, half away from zero. */
function roundInteger(value: Long, digits: number): Long {
  if (digits >= 0) return value
  const [exact, scale] = [BigInt(value), 10n ** BigInt(Math.min(-digits, 20))]
  const half = exact < 0n ? -scale / 2n : scale / 2n
  return checkInteger('long', ((exact + half) / scale) * scale)
}

const round: Make = (args, call) => {
  if (args.length === 1) return ofOne(roundAway, (value) => value)(args, call)
  const [value, digits] = operands(args)
  const compute = isInteger(call.type)
    ? (one: Datum, places: number) => checkInteger(call.type, roundInteger(one as Long, places))
    : (one: Datum, places: number) => roundTo(Number(one), places)
  return (columns, row) => {
    const one = value(columns, row)
    const places = digits(columns, row)
    return one === null || places === null ? null : compute(one, Number(places))
  }
}

/** Arithmetic by name. */
export const numbers: { readonly [name: string]: Make } = {
  '+': arithmetic,
  '-': arithmetic,
  '*': arithmetic,
  '/': arithmetic,
  '%': arithmetic,
  negate: ofOne(
    (value) => -value,
    (value) => (typeof value === 'bigint' ? -value : 0 - value),
  ),
  abs: ofOne(Math.abs, (value) => (value < 0 ? -value : value)),
  floor: ofOne(Math.floor, (value) => value),
  ceil: ofOne(Math.ceil, (value) => value),
  round,
}
