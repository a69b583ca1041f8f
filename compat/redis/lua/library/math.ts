/** Lua's math library, with the random numbers of Redis: the same ones for the same seed.
 *  @source Lua 5.1 reference manual, 5.6; rand.c of Redis (drand48 of POSIX) */
import type { Machine } from '../machine.ts'
import type { LuaTable } from '../table.ts'
import type { Results } from '../value.ts'
import { type Arguments, library, type Native } from './arguments.ts'

const RANDOM_MAX = 2 ** 31 - 1

/** A generator that repeats itself for the same seed. */
class Random {
  private state: bigint | undefined = undefined
  private readonly first: () => number

  /** @param first seeds it when nobody has */
  constructor(first: () => number) {
    this.first = first
  }

  /** Forget the seed. */
  restart(): void {
    this.state = undefined
  }

  seed(value: number): void {
    this.state = (BigInt.asUintN(32, BigInt(Math.trunc(value))) << 16n) | 0x330en
  }

  /** @returns an integer from 0 up to 2^31 */
  next(): number {
    if (this.state === undefined) this.seed(this.first())
    this.state = ((this.state ?? 0n) * 0x5deece66dn + 0xbn) & 0xffffffffffffn
    return Number(this.state >> 17n)
  }
}

const one =
  (compute: (value: number) => number): Native =>
  (args) =>
    compute(args.number(1))

function fold(args: Arguments, choose: (a: number, b: number) => boolean): Results {
  let chosen = args.number(1)
  for (let at = 2; at <= args.count; at++) {
    const value = args.number(at)
    if (choose(value, chosen)) chosen = value
  }
  return chosen
}

function frexp(args: Arguments): Results {
  const value = args.number(1)
  if (value === 0 || !Number.isFinite(value)) return [value, 0]
  let exponent = Math.max(-1023, Math.floor(Math.log2(Math.abs(value))) + 1)
  let mantissa = value * 2 ** -exponent
  while (Math.abs(mantissa) < 0.5) {
    mantissa *= 2
    exponent--
  }
  while (Math.abs(mantissa) >= 1) {
    mantissa /= 2
    exponent++
  }
  return [mantissa, exponent]
}

function modf(args: Arguments): Results {
  const value = args.number(1)
  const whole = Math.trunc(value)
  return [whole, Number.isFinite(value) ? value - whole : 0]
}

function random(source: Random, args: Arguments): Results {
  const part = (source.next() % RANDOM_MAX) / RANDOM_MAX
  if (args.count === 0) return part
  const [low, high] = args.count === 1 ? [1, args.integer(1)] : [args.integer(1), args.integer(2)]
  if (args.count > 2) throw args.machine.fail('wrong number of arguments')
  if (low > high) throw args.bad(args.count === 1 ? 1 : 2, 'interval is empty')
  return Math.floor(part * (high - low + 1)) + low
}

/** Make the math library.
 *  @returns it, and what starts its random numbers anew */
export function mathLibrary(machine: Machine): { table: LuaTable; restart: () => void } {
  const source = new Random(() => machine.seed())
  const remainder: Native = (args) => args.number(1) % args.number(2)
  const table = library(machine, {
    abs: one(Math.abs),
    acos: one(Math.acos),
    asin: one(Math.asin),
    atan: one(Math.atan),
    atan2: (args) => Math.atan2(args.number(1), args.number(2)),
    ceil: one(Math.ceil),
    cos: one(Math.cos),
    cosh: one(Math.cosh),
    deg: one((value) => value / (Math.PI / 180)),
    exp: one(Math.exp),
    floor: one(Math.floor),
    fmod: remainder,
    frexp,
    huge: Number.POSITIVE_INFINITY,
    ldexp: (args) => args.number(1) * 2 ** args.integer(2),
    log: one(Math.log),
    log10: one(Math.log10),
    max: (args) => fold(args, (value, chosen) => value > chosen),
    min: (args) => fold(args, (value, chosen) => value < chosen),
    mod: remainder,
    modf,
    pi: Math.PI,
    pow: (args) => args.number(1) ** args.number(2),
    rad: one((value) => value * (Math.PI / 180)),
    random: (args) => random(source, args),
    randomseed: (args) => {
      source.seed(args.integer(1))
      return []
    },
    sin: one(Math.sin),
    sinh: one(Math.sinh),
    sqrt: one(Math.sqrt),
    tan: one(Math.tan),
    tanh: one(Math.tanh),
  })
  return { table, restart: () => source.restart() }
}
