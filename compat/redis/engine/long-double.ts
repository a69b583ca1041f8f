/** The 80-bit floating point numbers of x86 in which Redis adds (INCRBYFLOAT, HINCRBYFLOAT).
 *
 *  1. A number is `mantissa * 2^exponent`, the mantissa rounded to 64 bits, half to even, after every step: as the
 *     processor does, so that '10.5' + '0.1' is '10.6' here as there.
 *  2. Printing is exact: 17 digits after the point, rounded half to even, zeros at the end cut off. */
import type { Bin } from '@dotdo/core/bytes'

/** A long double: finite, or one of the infinities. NaN never gets this far. */
export type LongDouble = { readonly mantissa: bigint; readonly exponent: number } | 'inf' | '-inf'

const precisionBits = 64
/** Exponent of the lowest bit of the largest number: 2^16384 overflows. */
const exponentMax = 16_384 - precisionBits
/** Exponent of the lowest bit of the smallest denormal number. */
const exponentMin = -16_445
/** Decimal exponents beyond this are infinite or zero, however long the mantissa's text (at most 5 KB) is. */
const decimalMax = 20_000

const decimalForm = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i
const hexForm = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i
const infiniteForm = /^([+-]?)inf(?:inity)?$/i

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length
}

/** Divide, rounding half to even. Both at least 0. */
function divideEven(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  const twice = (dividend % divisor) * 2n
  const up = twice > divisor || (twice === divisor && (quotient & 1n) === 1n)
  return up ? quotient + 1n : quotient
}

/** Round `numerator / denominator * 2^exponent` to a long double. */
function round(numerator: bigint, denominator: bigint, exponent: number): LongDouble {
  const negative = numerator < 0n
  const size = negative ? -numerator : numerator
  if (size === 0n) return { mantissa: 0n, exponent: 0 }
  // The quotient has `bits` or `bits + 1` bits: start so that it has at least one too many, then cut exactly.
  const spare = Math.max(0, precisionBits + 2 - (bitLength(size) - bitLength(denominator)))
  const dividend = size << BigInt(spare)
  const bits = bitLength(dividend / denominator)
  const cut = Math.max(bits - precisionBits, exponentMin - (exponent - spare))
  const mantissa = divideEven(dividend, denominator << BigInt(Math.max(cut, 0)))
  const lowest = exponent - spare + Math.max(cut, 0)
  if (lowest + bitLength(mantissa) - precisionBits > exponentMax) return negative ? '-inf' : 'inf'
  return { mantissa: negative ? -mantissa : mantissa, exponent: lowest }
}

function parseDigits(sign: string, digits: string, base: 10 | 16, scale: number): LongDouble | undefined {
  const size = BigInt(base === 16 ? `0x${digits}` : digits)
  const signed = sign === '-' ? -size : size
  if (size === 0n) return { mantissa: 0n, exponent: 0 }
  const limit = base === 16 ? decimalMax * 4 : decimalMax
  if (!(Math.abs(scale) <= limit)) return undefined
  let value: LongDouble
  if (base === 16) value = round(signed, 1n, scale)
  else value = scale >= 0 ? round(signed * 10n ** BigInt(scale), 1n, 0) : round(signed, 10n ** BigInt(-scale), 0)
  // Overflow and underflow of the text are errors (ERANGE); 'inf' as a word is not.
  return typeof value === 'string' || value.mantissa === 0n ? undefined : value
}

/** Parse a number as strtold does, where Redis lets it: decimal, hexadecimal or `inf`, no spaces, no NaN.
 *  @returns undefined when it is none, overflows or underflows
 *  @source redis 7.2 util.c string2ld */
export function parseLongDouble(text: Bin): LongDouble | undefined {
  if (text.length === 0 || text.length >= 5 * 1024) return undefined
  const infinite = infiniteForm.exec(text)
  if (infinite !== null) return infinite[1] === '-' ? '-inf' : 'inf'
  const decimal = decimalForm.exec(text)
  const [, sign = '', whole = '', part = '', power = '0'] = decimal ?? hexForm.exec(text) ?? []
  if (whole === '' && part === '') return undefined
  if (decimal !== null) return parseDigits(sign, whole + part, 10, Number(power) - part.length)
  return parseDigits(sign, whole + part, 16, Number(power) - 4 * part.length)
}

/** Add two long doubles.
 *  @returns undefined for inf - inf, which is NaN */
export function addLongDoubles(left: LongDouble, right: LongDouble): LongDouble | undefined {
  if (typeof left === 'string') return typeof right === 'string' && left !== right ? undefined : left
  if (typeof right === 'string') return right
  const exponent = Math.min(left.exponent, right.exponent)
  const sum =
    (left.mantissa << BigInt(left.exponent - exponent)) + (right.mantissa << BigInt(right.exponent - exponent))
  return round(sum, 1n, exponent)
}

/** Print a finite long double as Redis stores it.
 *  @source redis 7.2 util.c ld2string, LD_STR_HUMAN: %.17Lf, then zeros at the end cut off */
export function formatLongDouble({ mantissa, exponent }: Exclude<LongDouble, string>): Bin {
  const negative = mantissa < 0n
  const size = (negative ? -mantissa : mantissa) * 10n ** 17n
  const scaled = exponent >= 0 ? size << BigInt(exponent) : divideEven(size, 1n << BigInt(-exponent))
  if (scaled === 0n) return '0'
  const digits = scaled.toString().padStart(18, '0')
  const fraction = digits.slice(-17).replace(/0+$/, '')
  return `${negative ? '-' : ''}${digits.slice(0, -17)}${fraction === '' ? '' : `.${fraction}`}`
}
