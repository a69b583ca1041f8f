/** Numbers and text: what `tonumber` reads, and what C's printf writes.
 *  @source Lua 5.1 reference manual, 2.2.1; ISO C99, 7.19.6.1 (fprintf), 7.20.1.3 (strtod) */
import type { Bin } from '@dotdo/core/bytes'

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const hexadecimal = /^([+-]?)0[xX]([\da-fA-F]*)\.?([\da-fA-F]*)(?:[pP]([+-]?\d+))?$/
const named = /^([+-]?)(inf|infinity|nan)$/i

/** Read a number as Lua does, spaces round it allowed.
 *  @returns undefined when it is none */
export function parseNumber(text: Bin): number | undefined {
  const trimmed = /[ \t\n\v\f\r]/.test(text) ? text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '') : text
  if (decimal.test(trimmed)) return Number(trimmed)
  const hex = hexadecimal.exec(trimmed)
  if (hex !== null) return parseHex(hex)
  const word = named.exec(trimmed)
  if (word === null) return undefined
  if ((word[2] as string).toLowerCase() === 'nan') return Number.NaN
  return word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

function parseHex([, sign, whole = '', part = '', power]: RegExpExecArray): number | undefined {
  if (whole === '' && part === '') return undefined
  let value = whole === '' ? 0 : Number(`0x${whole}`)
  if (part !== '') value += Number(`0x${part}`) / 16 ** part.length
  if (power !== undefined) value *= 2 ** Number(power)
  return sign === '-' ? -value : value
}

/** Read an integer in a base, as `tonumber(text, base)` does. */
export function parseInBase(text: Bin, base: number): number | undefined {
  const trimmed = text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '').toLowerCase()
  let digits = trimmed.replace(/^[+-]/, '')
  if (base === 16) digits = digits.replace(/^0x(?=.)/, '')
  if (digits === '') return undefined
  let value = 0
  for (const char of digits) {
    const digit = /[\da-z]/.test(char) ? Number.parseInt(char, 36) : 99
    if (digit >= base) return undefined
    value = value * base + digit
  }
  return trimmed.startsWith('-') ? -value : value
}

/** Show a number as Lua does: `%.14g`. */
export function showNumber(value: number): Bin {
  if (Number.isInteger(value) && value < 1e14 && value > -1e14 && value !== 0) return `${value}`
  return formatGeneral(value, 14)
}

/** What printf writes for values that are no numbers of digits; undefined for the others. */
function special(value: number): string | undefined {
  if (Number.isNaN(value)) return '-nan'
  if (value === Number.POSITIVE_INFINITY) return 'inf'
  return value === Number.NEGATIVE_INFINITY ? '-inf' : undefined
}

const isNegative = (value: number) => value < 0 || Object.is(value, -0)

/** `%.{precision}e`; at most 100 digits. */
export function formatExponent(value: number, precision: number): string {
  const shown = special(value)
  if (shown !== undefined) return shown
  const digits = Math.abs(value).toExponential(precision)
  const text = digits.replace(/e([+-])(\d)$/, 'e$10$2')
  return isNegative(value) ? `-${text}` : text
}

/** `%.{precision}f`; at most 100 digits. */
export function formatFixed(value: number, precision: number): string {
  const shown = special(value)
  if (shown !== undefined) return shown
  const size = Math.abs(value)
  const text =
    size < 1e21 ? size.toFixed(precision) : `${BigInt(size)}${precision > 0 ? `.${'0'.repeat(precision)}` : ''}`
  return isNegative(value) ? `-${text}` : text
}

/** `%.{precision}g`.
 *  @param keep whether trailing zeros stay (`%#g`) */
export function formatGeneral(value: number, precision: number, keep = false): string {
  const shown = special(value)
  if (shown !== undefined) return shown
  const digits = precision === 0 ? 1 : precision
  if (value === 0) return `${Object.is(value, -0) ? '-0' : '0'}${keep ? `.${'0'.repeat(digits - 1)}` : ''}`
  const exponential = formatExponent(value, digits - 1)
  const exponent = Number(exponential.slice(exponential.indexOf('e') + 1))
  if (exponent < -4 || exponent >= digits) {
    if (keep) return exponential
    return exponential.replace(/(\.\d*?)0+e/, '$1e').replace('.e', 'e')
  }
  const fixed = formatFixed(value, digits - 1 - exponent)
  return keep || !fixed.includes('.') ? fixed : fixed.replace(/\.?0+$/, '')
}
