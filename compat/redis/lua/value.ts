/** Lua's values as JavaScript has them: nil is undefined, numbers are doubles, strings are Bins. */
import type { Bin } from '@dotdo/core/bytes'
import type { LuaTable } from './table.ts'

/** Any value of Lua. */
export type LuaValue = undefined | boolean | number | Bin | LuaTable | LuaFunction | LuaUserdata

/** What a function returns: one value as it stands, any other number of them as an array. Arrays are shared: nobody
 *  changes one that he did not make. */
export type Results = LuaValue | LuaValue[]

/** No value at all. */
export const NONE: LuaValue[] = []
Object.freeze(NONE)

/** A function, of Lua or of ours. */
export class LuaFunction {
  readonly name: string
  readonly call: (args: LuaValue[]) => Results
  /** @param call borrows its arguments */
  constructor(name: string, call: (args: LuaValue[]) => Results) {
    this.name = name
    this.call = call
  }
}

/** A value that is only itself. */
export class LuaUserdata {
  readonly shown: string
  constructor(shown: string) {
    this.shown = shown
  }
}

/** Where something stands in a script. */
export interface Site {
  /** As it stands in messages: `user_script`. */
  readonly chunk: string
  /** As debug information has it: `@user_script`. */
  readonly source: string
  readonly line: number
  /** Whether it is a call of a method: then the object does not count among the arguments. */
  readonly method?: boolean
}

/** What `error` throws: any value. Not an Error: making one costs more than a script's loop does. */
export class LuaError {
  readonly value: LuaValue
  /** Where it was raised, as far as that is known. */
  site: Site | undefined
  constructor(value: LuaValue, site: Site | undefined) {
    this.value = value
    this.site = site
  }
}

/** Take the first of a function's results. */
export function first(results: Results): LuaValue {
  return Array.isArray(results) ? results[0] : results
}

/** Take all of a function's results. */
export function all(results: Results): LuaValue[] {
  return Array.isArray(results) ? results : [results]
}

/** Name a value's type. */
export function typeOf(value: LuaValue): string {
  switch (typeof value) {
    case 'undefined':
      return 'nil'
    case 'object':
      if (value instanceof LuaFunction) return 'function'
      return value instanceof LuaUserdata ? 'userdata' : 'table'
    default:
      return typeof value
  }
}
