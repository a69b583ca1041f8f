/** Casts between the relation types. */
import { Failure } from '../../../errors.ts'
import type { Long } from '../../avro/binary.ts'
import { formatTimestamp } from '../../iceberg/calendar.ts'
import type { Evaluate, Make } from './expression.ts'
import { parseTime } from './time-functions.ts'
import { checkInteger, type Datum, kindOf } from './values.ts'

const wrong = (value: Datum, type: string) => {
  return new Failure('invalid', `could not turn ${JSON.stringify(`${value}`.slice(0, 80))} into ${type}`)
}

/** Write a double as DuckDB does: `1.0`, `1e+16`, `1e-05`. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  const [digits, exponent] = value.toExponential().split('e') as [string, string]
  const power = Number(exponent)
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? '-' : '+'}${`${Math.abs(power)}`.padStart(2, '0')}`
  }
  // Below these bounds JavaScript writes no exponent either, but for small ones.
  const plain = Math.abs(power) < 7 || power > 0 ? `${value}` : value.toFixed(20)
  const text = Object.is(value, -0) ? '-0' : plain
  return text.includes('.') ? text : `${text}.0`
}

/** Write a time as SQL shows it: `2026-01-02 03:04:05.5+00`. */
export function timeText(micros: Long): string {
  const [day, time] = formatTimestamp(micros).split('T') as [string, string]
  return `${day} ${time.replace(/\.?0+$/, '')}+00`
}

/** Round half to even, as C does. */
function roundEven(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1
  return down % 2 === 0 ? down : down + 1
}

function toInteger(type: string, from: string): (value: Datum) => Datum {
  switch (kindOf(from)) {
    case 'boolean':
      return Number
    case 'double':
      return (value) => {
        if (!Number.isFinite(value as number)) throw wrong(value, type)
        const whole = roundEven(value as number)
        return checkInteger(type, Number.isSafeInteger(whole) ? whole : BigInt(whole))
      }
    case 'string':
      return (value) => {
        const text = (value as string).trim()
        if (!/^[+-]?\d{1,30}$/.test(text)) throw wrong(value, type)
        return checkInteger(type, BigInt(text.replace('+', '')))
      }
    default:
      return (value) => checkInteger(type, value as Long)
  }
}

function textToDouble(value: Datum): number {
  const text = (value as string).trim().toLowerCase()
  const special = /^([+-]?)(nan|inf|infinity)$/.exec(text)
  if (special !== null) return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(text)) throw wrong(value, 'double')
  return Number(text)
}

function textToBoolean(value: Datum): boolean {
  const text = (value as string).toLowerCase()
  if (['true', 't', '1', 'yes', 'y'].includes(text)) return true
  if (['false', 'f', '0', 'no', 'n'].includes(text)) return false
  throw wrong(value, 'boolean')
}

function toText(from: string): (value: Datum) => Datum {
  switch (kindOf(from)) {
    case 'double':
      return (value) => doubleText(value as number)
    case 'timestamptz':
      return (value) => timeText(value as Long)
    default:
      return (value) => `${value}`
  }
}

/** Find how values of a type become those of another.
 *  @returns undefined when they do not */
export function converter(from: string, to: string): ((value: Datum) => Datum) | undefined {
  const [source, target] = [kindOf(from), kindOf(to)]
  if (source === target || source === 'null') return (value) => value
  if (source === 'other' || source === 'binary') return undefined
  const isNumeric = source === 'int' || source === 'long' || source === 'double' || source === 'boolean'
  switch (target) {
    case 'int':
    case 'long':
      return isNumeric || source === 'string' ? toInteger(target, from) : undefined
    case 'double':
      return source === 'string' ? textToDouble : isNumeric ? Number : undefined
    case 'boolean':
      return source === 'string' ? textToBoolean : isNumeric ? (value) => Number(value) !== 0 : undefined
    case 'timestamptz':
      return source === 'string' ? (value) => parseTime(value as string) : undefined
    case 'string':
      return toText(from)
    default:
      return undefined
  }
}

/** The cast. */
export const casts: { readonly [name: string]: Make } = {
  cast: ([value], { args, type }) => {
    const convert = converter(args[0]?.type ?? 'null', type) as (value: Datum) => Datum
    return (columns, row) => {
      const one = (value as Evaluate)(columns, row)
      return one === null ? null : convert(one)
    }
  },
}
