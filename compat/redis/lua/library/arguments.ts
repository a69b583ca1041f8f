/** Reading the arguments of functions, with the errors of Lua's auxiliary library. */
import type { Bin } from '@dotdo/core/bytes'
import { type Machine, toNumber, toText } from '../machine.ts'
import { LuaTable } from '../table.ts'
import { LuaError, LuaFunction, type LuaValue, type Results, typeOf } from '../value.ts'

/** The arguments of one call of a function of ours; counted from 1, as messages count them. */
export class Arguments {
  readonly machine: Machine
  readonly values: readonly LuaValue[]
  readonly name: Bin

  constructor(machine: Machine, name: Bin, values: readonly LuaValue[]) {
    this.machine = machine
    this.name = name
    this.values = values
  }

  /** How many there are. */
  get count(): number {
    return this.values.length
  }

  /** Get one as it is. */
  any(at: number): LuaValue {
    return this.values[at - 1]
  }

  /** Make the error of a bad argument. */
  bad(at: number, message: Bin): LuaError {
    const shown = this.machine.site.method ? at - 1 : at
    if (shown === 0 && at === 1) return this.machine.fail(`calling '${this.name}' on bad self (${message})`)
    return this.machine.fail(`bad argument #${shown} to '${this.name}' (${message})`)
  }

  /** Make the error of an argument of the wrong type. */
  wrong(at: number, expected: Bin): LuaError {
    const got = at > this.count ? 'no value' : typeOf(this.any(at))
    return this.bad(at, `${expected} expected, got ${got}`)
  }

  /** Get one that must be there.
   *  @throws LuaError */
  value(at: number): LuaValue {
    if (at > this.count) throw this.bad(at, 'value expected')
    return this.any(at)
  }

  /** Get a string.
   *  @throws LuaError */
  text(at: number, otherwise?: Bin): Bin {
    const value = this.any(at)
    if (value === undefined && otherwise !== undefined) return otherwise
    const text = toText(value)
    if (text === undefined) throw this.wrong(at, 'string')
    return text
  }

  /** Get a number.
   *  @throws LuaError */
  number(at: number, otherwise?: number): number {
    const value = this.any(at)
    if (typeof value === 'number') return value
    if (value === undefined && otherwise !== undefined) return otherwise
    const number = toNumber(value)
    if (number === undefined) throw this.wrong(at, 'number')
    return number
  }

  /** Get a number without its fraction; what is none becomes C's smallest integer.
   *  @throws LuaError */
  integer(at: number, otherwise?: number): number {
    const value = Math.trunc(this.number(at, otherwise))
    return value >= -(2 ** 63) && value < 2 ** 63 ? value : -(2 ** 63)
  }

  /** Get a table.
   *  @throws LuaError */
  table(at: number): LuaTable {
    const value = this.any(at)
    if (!(value instanceof LuaTable)) throw this.wrong(at, 'table')
    return value
  }

  /** Get a table to change.
   *  @throws LuaError when it may not be changed */
  writable(at: number): LuaTable {
    const table = this.table(at)
    if (table.readonly) throw new LuaError('Attempt to modify a readonly table', this.machine.site)
    return table
  }

  /** Get a function.
   *  @throws LuaError */
  function(at: number): LuaFunction {
    const value = this.any(at)
    if (!(value instanceof LuaFunction)) throw this.wrong(at, 'function')
    return value
  }
}

/** What a function of a library does. */
export type Native = (args: Arguments) => Results

/** Make a function of Lua out of one of ours. */
export function native(machine: Machine, name: Bin, run: Native): LuaFunction {
  return new LuaFunction(name, (values) => {
    if (--machine.stepsLeft < 0) machine.enter()
    return run(new Arguments(machine, name, values))
  })
}

/** Make a table of functions, and of values. */
export function library(machine: Machine, functions: { readonly [name: string]: Native | LuaValue }): LuaTable {
  const table = new LuaTable()
  for (const [name, entry] of Object.entries(functions)) {
    table.set(name, typeof entry === 'function' ? native(machine, name, entry) : entry)
  }
  table.readonly = true
  return table
}
