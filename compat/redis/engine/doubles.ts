/** Doubles as Redis reads them: what C's strtod takes. */
import type { Bin } from '@dotdo/core/bytes'

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const infinity = /^([+-]?)inf(?:inity)?$/i
const hexadecimal = /^([+-]?)0x([\da-f]*)\.?([\da-f]*)(?:p([+-]?\d+))?$/i

/** Parse a few plain digits, which is what scores mostly are.
 *  @returns undefined for all else */
function parseWhole(text: Bin): number | undefined {
  const { length } = text
  const negative = text.charCodeAt(0) === 45
  let at = negative ? 1 : 0
  if (at === length || length > 15) return undefined
  let value = 0
  for (; at < length; at++) {
    const digit = text.charCodeAt(at) - 48
    if (!(digit >= 0 && digit <= 9)) return undefined
    value = value * 10 + digit
  }
  return negative ? -value : value
}

/** Parse a double; one too large is infinite.
 *  @param text without spaces
 *  @returns undefined when it is none; never NaN */
function parse(text: Bin): number | undefined {
  const digits = parseWhole(text)
  if (digits !== undefined) return digits
  if (decimal.test(text)) return Number(text)
  const endless = infinity.exec(text)
  if (endless !== null) return endless[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const [, sign, whole = '', fraction = '', exponent = '0'] = hexadecimal.exec(text) ?? []
  if (whole === '' && fraction === '') return undefined
  const value = Number.parseInt(whole + fraction, 16) * 2 ** (Number(exponent) - 4 * fraction.length)
  return sign === '-' ? -value : value
}

/** Parse a double strictly.
 *  @returns undefined when it is none: spaces, NaN and what is out of range among them
 *  @source redis 7.2 object.c getDoubleFromObject */
export function parseDouble(text: Bin): number | undefined {
  const value = parse(text)
  if (value === undefined || isOutOfRange(value, text)) return undefined
  return value
}

/** Whether a number became 0 or infinite because doubles end there. */
function isOutOfRange(value: number, text: Bin): boolean {
  if (value === 0) return text.length > 1 && /^[^ep]*[1-9a-f]/i.test(text.replace(/0x/i, ''))
  return !Number.isFinite(value) && !/inf/i.test(text)
}

/** Parse a bound: as strtod does, without looking at what it says of the range. An empty one is 0.
 *  @returns undefined when it is none
 *  @source redis 7.2 t_zset.c zslParseRange */
export function parseBound(text: Bin): number | undefined {
  return text === '' ? 0 : parse(text.replace(/^[ \t-\r]+/, ''))
}

const words = new DataView(new ArrayBuffer(8))

/** Write a finite double plainly, its first 17 decimals exact and no zero behind the last.
 *  @source redis 7.2 util.c ld2string, LD_STR_HUMAN */
export function formatPlain(value: number): Bin {
  words.setFloat64(0, value)
  const bits = words.getBigUint64(0) & (2n ** 63n - 1n)
  const field = Number(bits >> 52n)
  const mantissa = (bits & (2n ** 52n - 1n)) + (field === 0 ? 0n : 2n ** 52n)
  const exponent = Math.max(field, 1) - 1075
  const scaled = roundShift(mantissa * 10n ** 17n, exponent)
  const digits = `${scaled}`.padStart(18, '0')
  const text = `${digits.slice(0, -17)}.${digits.slice(-17)}`.replace(/\.?0+$/, '')
  return value < 0 && text !== '0' ? `-${text}` : text
}

/** Multiply by a power of two, ties to even. */
function roundShift(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value << BigInt(exponent)
  const shift = BigInt(-exponent)
  const whole = value >> shift
  const rest = value - (whole << shift)
  const half = 1n << (shift - 1n)
  return rest > half || (rest === half && whole % 2n === 1n) ? whole + 1n : whole
}
