/** Signed 64-bit integers as Redis writes them: numbers while they are safe, BigInts beyond 2^53. */
import type { Bin } from '@dotdo/core/bytes'

/** An integer of 64 bits; a bigint only when a number cannot hold it. */
export type Int64 = number | bigint

const min = -(2n ** 63n)
const max = 2n ** 63n - 1n

/** Return a bigint as a number when it is safe. */
export function narrow(value: bigint): Int64 {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** Parse an integer strictly: no sign but `-`, no leading zeros, no spaces, within 64 bits.
 *  @returns undefined when it is none
 *  @source redis 7.2 util.c string2ll */
export function parseInt64(text: Bin): Int64 | undefined {
  const { length } = text
  if (length === 0 || length > 20) return undefined
  const negative = text.charCodeAt(0) === 45
  const start = negative ? 1 : 0
  const first = text.charCodeAt(start)
  if (first === 48 && length === 1) return 0
  if (!(first >= 49 && first <= 57)) return undefined
  let value = 0
  for (let at = start; at < length; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  if (length - start <= 15) return negative ? -value : value
  const exact = BigInt(text)
  return exact < min || exact > max ? undefined : narrow(exact)
}

/** Add two integers.
 *  @returns undefined when the sum does not fit 64 bits */
export function addInt64(left: Int64, right: Int64): Int64 | undefined {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right
    if (Number.isSafeInteger(sum)) return sum
  }
  const exact = BigInt(left) + BigInt(right)
  return exact < min || exact > max ? undefined : narrow(exact)
}

/** Negate an integer.
 *  @returns undefined for the smallest one, whose negative does not fit */
export function negateInt64(value: Int64): Int64 | undefined {
  if (typeof value === 'number') return 0 - value
  return value === min ? undefined : narrow(-value)
}
