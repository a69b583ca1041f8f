/** Parsing what several commands take: integers, times, and the errors Redis gives for them. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { type Int64, parseInt64 } from '../engine/integers.ts'
import type { Value } from '../value.ts'

/** The last time that is stored exactly, in ms since 1970; Redis would go on to 2^63, some 292 million years. */
const TIME_MAX_MS = Number.MAX_SAFE_INTEGER

/** Make the failure of arguments that make no sense together. */
export function syntaxError(): Failure {
  return new Failure('invalid', 'ERR syntax error')
}

/** Make the failure of a wrong number of arguments. */
export function wrongArity(command: string): Failure {
  return new Failure('invalid', `ERR wrong number of arguments for '${command}' command`)
}

/** Parse an argument as an integer of 64 bits.
 *  @throws invalid */
export function toInt64(argument: Bin): Int64 {
  const value = parseInt64(argument)
  if (value === undefined) throw new Failure('invalid', 'ERR value is not an integer or out of range')
  return value
}

/** Parse an argument as a number: what is beyond 2^53 loses digits, which is right for sizes and counts. */
export function toInteger(argument: Bin): number {
  return Number(toInt64(argument))
}

/** Parse how many elements are wanted.
 *  @throws invalid when it is no integer, or negative */
export function toCount(argument: Bin): number {
  const value = parseInt64(argument)
  if (value === undefined || value < 0) throw new Failure('invalid', 'ERR value is out of range, must be positive')
  return Number(value)
}

/** Parse how many elements are chosen at random; negative for some that may be the same.
 *  @param withValues whether each comes with another value
 *  @source redis 7.2 t_hash.c hrandfieldCommand: the bounds keep `count * 2` within 64 bits */
export function toRandomCount(amount: Bin, withValues: boolean): number {
  const exact = toInt64(amount)
  if (exact === -(2n ** 63n)) {
    const range = `${-(2n ** 63n - 1n)} and ${2n ** 63n - 1n}`
    throw new Failure('invalid', `ERR value is out of range, value must between ${range}`)
  }
  const count = Number(exact)
  if (withValues && Math.abs(count) > 2 ** 62) throw new Failure('invalid', 'ERR value is out of range')
  return count
}

/** Write an integer as a reply. */
export function integerReply(value: Int64): Value {
  return typeof value === 'number' ? value : { int64: `${value}` }
}

/** How a time is given: what one unit is, and whether from now. */
export interface TimeUnit {
  readonly unitMs: number
  readonly relative: boolean
}

/** Units by the name of the option that takes them. */
export const timeOptions: { readonly [option: string]: TimeUnit } = {
  EX: { unitMs: 1000, relative: true },
  PX: { unitMs: 1, relative: true },
  EXAT: { unitMs: 1000, relative: false },
  PXAT: { unitMs: 1, relative: false },
}

/** Turn a time into ms since 1970; it may lie in the past.
 *  @throws invalid when it is out of range, naming the command */
export function toTimeMs(value: Int64, { unitMs, relative }: TimeUnit, nowMs: number, command: string): number {
  const timeMs = Number(value) * unitMs + (relative ? nowMs : 0)
  if (Math.abs(timeMs) <= TIME_MAX_MS) return timeMs
  throw invalidTime(command)
}

/** Parse the time of an option that must be positive.
 *  @throws invalid when it is no integer, not positive or out of range */
export function toPositiveTimeMs(argument: Bin, unit: TimeUnit, nowMs: number, command: string): number {
  const value = toInt64(argument)
  if (value <= 0) throw invalidTime(command)
  return toTimeMs(value, unit, nowMs, command)
}

function invalidTime(command: string): Failure {
  return new Failure('invalid', `ERR invalid expire time in '${command}' command`)
}

/** Parse a bit offset; `#n` counts in integers of `bits` bits when that is given.
 *  @throws invalid */
export function toBitOffset(argument: Bin, bits = 0): number {
  const scaled = bits > 0 && argument.startsWith('#')
  const value = parseInt64(scaled ? argument.slice(1) : argument)
  const offset = value === undefined ? -1 : Number(value) * (scaled ? bits : 1)
  // 512 MB, Redis' proto-max-bulk-len, are 2^32 bits; what fits a row is checked when something is written.
  if (!(offset >= 0 && offset < 2 ** 32)) {
    throw new Failure('invalid', 'ERR bit offset is not an integer or out of range')
  }
  return offset
}
