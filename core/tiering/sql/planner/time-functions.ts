/** Functions of time: microseconds since 1970, in UTC. */
import { Failure } from '../../../errors.ts'
import type { Long } from '../../avro/binary.ts'
import { dateOf, dayMicros, daysOf, floorDivide, parseTimestamp } from '../../iceberg/calendar.ts'
import type { Evaluate, Make } from './expression.ts'
import type { Datum } from './values.ts'

/** Units of `date_trunc` that are so many microseconds. */
const fixedUnits: { readonly [unit: string]: number } = {
  microsecond: 1,
  microseconds: 1,
  millisecond: 1_000,
  milliseconds: 1_000,
  second: 1_000_000,
  minute: 60_000_000,
  hour: 3_600_000_000,
  day: dayMicros,
}

/** Whole days from the Monday of 1969-12-29, the first before 1970. */
const weekDay = (days: number) => (((days + 3) % 7) + 7) % 7

/** Find the first day of the week, month, quarter or year of a day. */
const firstDay: { readonly [unit: string]: (days: number) => number } = {
  week: (days) => days - weekDay(days),
  month: (days) => daysOf({ ...dateOf(days), day: 1 }),
  quarter(days) {
    const { year, month } = dateOf(days)
    return daysOf({ year, month: month - ((month - 1) % 3), day: 1 })
  },
  year: (days) => daysOf({ year: dateOf(days).year, month: 1, day: 1 }),
}

/** Whether a unit can be cut to. */
export function isTruncUnit(unit: string): boolean {
  return Object.hasOwn(fixedUnits, unit) || Object.hasOwn(firstDay, unit)
}

function truncate(unit: string): (micros: Long) => Datum {
  const size = fixedUnits[unit]
  if (size !== undefined) return (micros) => floorDivide(micros, size) * size
  const first = firstDay[unit] as (days: number) => number
  return (micros) => first(floorDivide(micros, dayMicros)) * dayMicros
}

const daysIn = (micros: Long) => floorDivide(micros, dayMicros)
const restOf = (micros: Long, unit: number) => Number(micros) - floorDivide(micros, unit) * unit

/** The week of ISO 8601: the one with the Thursday. */
function isoWeek(days: number): number {
  const thursday = days - weekDay(days) + 3
  const first = daysOf({ year: dateOf(thursday).year, month: 1, day: 1 })
  return Math.floor((thursday - first) / 7) + 1
}

const fields: { readonly [field: string]: (micros: Long) => number } = {
  year: (micros) => dateOf(daysIn(micros)).year,
  quarter: (micros) => Math.ceil(dateOf(daysIn(micros)).month / 3),
  month: (micros) => dateOf(daysIn(micros)).month,
  week: (micros) => isoWeek(daysIn(micros)),
  day: (micros) => dateOf(daysIn(micros)).day,
  doy: (micros) => daysIn(micros) - daysOf({ year: dateOf(daysIn(micros)).year, month: 1, day: 1 }) + 1,
  dow: (micros) => (weekDay(daysIn(micros)) + 1) % 7,
  isodow: (micros) => weekDay(daysIn(micros)) + 1,
  hour: (micros) => Math.floor(restOf(micros, dayMicros) / 3_600_000_000),
  minute: (micros) => Math.floor(restOf(micros, 3_600_000_000) / 60_000_000),
  second: (micros) => Math.floor(restOf(micros, 60_000_000) / 1_000_000),
  millisecond: (micros) => Math.floor(restOf(micros, 60_000_000) / 1_000),
  milliseconds: (micros) => Math.floor(restOf(micros, 60_000_000) / 1_000),
  microsecond: (micros) => restOf(micros, 60_000_000),
  microseconds: (micros) => restOf(micros, 60_000_000),
  epoch: (micros) => Number(micros) / 1_000_000,
}

/** Whether a part of a time can be read. */
export function isTimeField(field: string): boolean {
  return Object.hasOwn(fields, field)
}

/** Read a time as SQL has it: `2026-01-02`, `2026-01-02 03:04`, with fractions and a zone, UTC without one.
 *  @throws invalid */
export function parseTime(text: string): Long {
  const shape = /^\s*(\S+?)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?)?\s*$/i
  const [, day, time = '00:00:00', zone = 'Z'] = shape.exec(text) ?? []
  if (day === undefined) throw new Failure('invalid', `${JSON.stringify(text)} is no timestamp`)
  const offset = zone.length === 3 ? `${zone}:00` : zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone
  return parseTimestamp(`${day}T${time}${offset.toUpperCase()}`, true)
}

const ofTime = (compute: (micros: Long) => Datum, value: Evaluate): Evaluate => {
  return (columns, row) => {
    const micros = value(columns, row)
    return micros === null ? null : compute(micros as Long)
  }
}

/** Functions of time by name. */
export const timeFunctions: { readonly [name: string]: Make } = {
  date_trunc: ([value], { option }) => ofTime(truncate(option as string), value as Evaluate),
  extract: ([value], { option }) => ofTime(fields[option as string] as (micros: Long) => number, value as Evaluate),
}
