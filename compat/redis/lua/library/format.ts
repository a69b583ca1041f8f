/** `string.format`.
 *  @source Lua 5.1 reference manual, 5.4; ISO C99, 7.19.6.1 */
import type { Bin } from '@dotdo/core/bytes'
import { formatExponent, formatFixed, formatGeneral } from '../numbers.ts'
import type { Results } from '../value.ts'
import type { Arguments } from './arguments.ts'

interface Spec {
  readonly left: boolean
  readonly plus: boolean
  readonly space: boolean
  readonly alternate: boolean
  readonly zero: boolean
  readonly width: number
  readonly precision: number | undefined
  readonly conversion: string
}

const specPattern = /%(?:(%)|([-+ #0]*)(\d*)(?:(\.)(\d*))?([\s\S]?))/g

/** Format values. */
export function format(args: Arguments): Results {
  const { machine } = args
  let at = 1
  const text = args
    .text(1)
    .replace(specPattern, (_, percent, flags = '', width = '', dot, digits = '', conversion = '') => {
      if (percent !== undefined) return '%'
      if (flags.length > 5) throw machine.fail('invalid format (repeated flags)')
      if (width.length > 2 || digits.length > 2) throw machine.fail('invalid format (width or precision too long)')
      at += 1
      return formatOne(args, at, {
        left: flags.includes('-'),
        plus: flags.includes('+'),
        space: flags.includes(' '),
        alternate: flags.includes('#'),
        zero: flags.includes('0'),
        width: Number(width),
        precision: dot === undefined ? undefined : Number(digits),
        conversion,
      })
    })
  return machine.checkLength(text)
}

function formatOne(args: Arguments, at: number, spec: Spec): Bin {
  switch (spec.conversion) {
    case 'c':
      return pad(String.fromCharCode(args.integer(at) & 255), spec)
    case 'd':
    case 'i':
      return integer(args.integer(at), spec)
    case 'o':
    case 'u':
    case 'x':
    case 'X':
      return unsigned(args.integer(at), spec)
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G':
      return float(args.number(at), spec)
    case 'q':
      return quoted(args.text(at))
    case 's': {
      const text = args.text(at)
      if (spec.precision === undefined && text.length >= 100) return text
      return pad(spec.precision === undefined ? text : text.slice(0, spec.precision), spec)
    }
  }
  throw args.machine.fail(`invalid option '%${spec.conversion}' to 'format'`)
}

function pad(text: Bin, { left, width }: Spec): Bin {
  return left ? text.padEnd(width) : text.padStart(width)
}

/** Pad digits, after their sign with zeros where that is asked for. */
function padDigits(sign: string, digits: string, spec: Spec, zero: boolean): Bin {
  if (zero && spec.zero && !spec.left) return sign + digits.padStart(spec.width - sign.length, '0')
  return pad(sign + digits, spec)
}

function signOf(negative: boolean, { plus, space }: Spec): string {
  if (negative) return '-'
  return plus ? '+' : space ? ' ' : ''
}

function integer(value: number, spec: Spec): Bin {
  const digits = Number.isSafeInteger(value) ? `${Math.abs(value)}` : `${BigInt(Math.abs(value))}`
  const shown = value === 0 && spec.precision === 0 ? '' : digits.padStart(spec.precision ?? 1, '0')
  return padDigits(signOf(value < 0, spec), shown, spec, spec.precision === undefined)
}

function unsigned(value: number, spec: Spec): Bin {
  const exact = BigInt.asUintN(64, BigInt(value))
  const base = { o: 8, u: 10 }[spec.conversion] ?? 16
  let digits = exact.toString(base)
  if (spec.conversion === 'X') digits = digits.toUpperCase()
  digits = exact === 0n && spec.precision === 0 ? '' : digits.padStart(spec.precision ?? 1, '0')
  const prefix = spec.alternate && exact !== 0n ? { o: '0', x: '0x', X: '0X' }[spec.conversion] : undefined
  return padDigits(prefix ?? '', digits, spec, spec.precision === undefined)
}

function float(value: number, spec: Spec): Bin {
  const { conversion, alternate } = spec
  const precision = spec.precision ?? 6
  const lower = conversion.toLowerCase()
  let text: string
  if (lower === 'e') text = formatExponent(value, precision)
  else if (lower === 'f') text = formatFixed(value, precision)
  else text = formatGeneral(value, precision, alternate)
  if (conversion !== lower) text = text.toUpperCase()
  const negative = text.startsWith('-')
  return padDigits(signOf(negative, spec), negative ? text.slice(1) : text, spec, Number.isFinite(value))
}

/** Quote text so that Lua reads it back. */
function quoted(text: Bin): Bin {
  const escaped = text.replace(/["\\\n\r\0]/g, (char) => {
    if (char === '\r') return '\\r'
    return char === '\0' ? '\\000' : `\\${char}`
  })
  return `"${escaped}"`
}
