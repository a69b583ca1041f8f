/** Days, months and years of the proleptic Gregorian calendar, exact over the whole range of 64-bit microseconds. */
import { Failure } from '../../errors.ts'
import { type Long, toLong } from '../avro/binary.ts'

/** Microseconds of a day. */
export const dayMicros = 86_400_000_000

/** Divide and round down; exact, where a division of doubles near 2^53 is not. */
export function floorDivide(value: Long, by: number): number {
  if (typeof value === 'bigint') {
    const rest = value % BigInt(by)
    return Number((value - rest) / BigInt(by)) - (rest < 0n ? 1 : 0)
  }
  const rest = value % by
  return (value - rest) / by - (rest < 0 ? 1 : 0)
}

/** A day by its parts; months and days from 1. */
export interface Day {
  readonly year: number
  readonly month: number
  readonly day: number
}

/** Find the date of a day.
 *  @param days since 1970-01-01
 *  @source Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days */
export function dateOf(days: number): Day {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}

/** Count the days from 1970-01-01 to a date.
 *  @source as `dateOf`, days_from_civil */
export function daysOf({ year, month, day }: Day): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

const two = (value: number) => `${value}`.padStart(2, '0')

/** Write a day as ISO 8601: four digits of year, more with a sign. */
export function formatDate(days: number): string {
  const { year, month, day } = dateOf(days)
  return `${formatYear(year)}-${two(month)}-${two(day)}`
}

/** Write a year as ISO 8601. */
export function formatYear(year: number): string {
  if (year >= 0 && year <= 9999) return `${year}`.padStart(4, '0')
  return `${year < 0 ? '-' : '+'}${`${Math.abs(year)}`.padStart(4, '0')}`
}

/** Write a time of day with six digits after the second. */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000)
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':')
  return `${clock}.${`${micros % 1_000_000}`.padStart(6, '0')}`
}

/** Write a point in time, without zone. */
export function formatTimestamp(micros: Long): string {
  const days = floorDivide(micros, dayMicros)
  const rest = BigInt(micros) - BigInt(days) * BigInt(dayMicros)
  return `${formatDate(days)}T${formatTime(Number(rest))}`
}

const wrong = (text: string, what: string) => new Failure('invalid', `${JSON.stringify(text)} is no ${what}`)

/** Read a day.
 *  @throws invalid for text that is none */
export function parseDate(text: string): number {
  const parts = /^([+-]?\d{4,})-(\d\d)-(\d\d)$/.exec(text)
  if (parts === null) throw wrong(text, 'date such as 2017-11-16')
  const day = { year: Number(parts[1]), month: Number(parts[2]), day: Number(parts[3]) }
  const days = daysOf(day)
  const back = dateOf(days)
  // A day that does not exist becomes another.
  if (back.year !== day.year || back.month !== day.month || back.day !== day.day) throw wrong(text, 'date')
  return days
}

/** Read a time of day: seconds and up to six digits after them may be left out.
 *  @throws invalid for text that is none */
export function parseTime(text: string): number {
  const parts = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})0*)?)?$/.exec(text)
  if (parts === null) throw wrong(text, 'time such as 22:31:08.123456')
  const [hour, minute, second] = [Number(parts[1]), Number(parts[2]), Number(parts[3] ?? 0)]
  if (hour > 23 || minute > 59 || second > 59) throw wrong(text, 'time')
  return ((hour * 60 + minute) * 60 + second) * 1_000_000 + Number((parts[4] ?? '').padEnd(6, '0'))
}

/** Read a point in time.
 *  @param zoned whether a zone is needed (and turned into UTC), or must not be there
 *  @throws invalid for text that is none */
export function parseTimestamp(text: string, zoned: boolean): Long {
  const parts = /^(.+?)[T ]([\d:.]+)(Z|[+-]\d\d:\d\d)?$/.exec(text)
  const zone = parts?.[3]
  if (parts === null || (zone !== undefined) !== zoned) {
    throw wrong(text, `timestamp such as 2017-11-16T22:31:08.123456${zoned ? '+00:00' : ''}`)
  }
  const local = BigInt(parseDate(parts[1] as string)) * BigInt(dayMicros) + BigInt(parseTime(parts[2] as string))
  return toLong(local - BigInt(zoneMicros(zone)))
}

function zoneMicros(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return minutes * 60_000_000 * (zone.startsWith('-') ? -1 : 1)
}
