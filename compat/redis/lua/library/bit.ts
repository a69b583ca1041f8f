/** Bit operations on 32 bits, as LuaBitOp has them.
 *  @source https://bitop.luajit.org/api.html */
import type { Machine } from '../machine.ts'
import type { LuaTable } from '../table.ts'
import { type Arguments, library, type Native } from './arguments.ts'

/** Take a number's low 32 bits, as a signed integer. */
function bits(args: Arguments, at: number): number {
  const value = args.number(at)
  if (!Number.isFinite(value)) return 0
  // Rounded to the nearest, halves to even, as the addition of 2^52 does it.
  const floor = Math.floor(value)
  const rest = value - floor
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0)
  const whole = up ? floor + 1 : floor
  return Number.isSafeInteger(whole) ? Number(BigInt.asIntN(32, BigInt(whole))) : whole | 0
}

function fold(combine: (a: number, b: number) => number): Native {
  return (args) => {
    let value = bits(args, 1)
    for (let at = 2; at <= args.count; at++) value = combine(value, bits(args, at))
    return value | 0
  }
}

function shift(move: (value: number, by: number) => number): Native {
  return (args) => move(bits(args, 1), bits(args, 2) & 31) | 0
}

function swap(value: number): number {
  return ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)
}

const toHex: Native = (args) => {
  const value = bits(args, 1)
  const size = args.count < 2 ? 8 : bits(args, 2)
  const digits = (value >>> 0)
    .toString(16)
    .padStart(8, '0')
    .slice(-Math.min(8, Math.abs(size)))
  if (size === 0) return ''
  return size < 0 ? digits.toUpperCase() : digits
}

/** Make the bit library. */
export function bitLibrary(machine: Machine): LuaTable {
  return library(machine, {
    arshift: shift((value, by) => value >> by),
    band: fold((a, b) => a & b),
    bnot: (args) => ~bits(args, 1),
    bor: fold((a, b) => a | b),
    bswap: (args) => swap(bits(args, 1)) | 0,
    bxor: fold((a, b) => a ^ b),
    lshift: shift((value, by) => value << by),
    rol: shift((value, by) => (value << by) | (value >>> (32 - by))),
    ror: shift((value, by) => (value >>> by) | (value << (32 - by))),
    rshift: shift((value, by) => value >>> by),
    tobit: (args) => bits(args, 1),
    tohex: toHex,
  })
}
