/** What a running script has besides its code: its globals, its call stack, its budget; and what operators do when
 *  their operands are not the plain ones: metamethods and errors.
 *  @source Lua 5.1 reference manual, 2.8 (metatables) */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { LUA_CALLS_MAX, LUA_STEPS_MAX, LUA_STORED_BYTES_MAX, LUA_STRING_BYTES_MAX } from '@dotdo/core/limits'
import { parseNumber, showNumber } from './numbers.ts'
import { LuaTable, meter } from './table.ts'
import { first, LuaError, LuaFunction, type LuaValue, type Results, type Site, typeOf } from './value.ts'

/** What an operator tells of itself when it fails. */
export interface Where {
  readonly site: Site
  /** What its operand is called: `local 'x'`; empty when it has no name. */
  readonly what: string
}

/** Where no Lua code is. */
export const NOWHERE: Site = { chunk: '', source: '=[C]', line: -1 }

/** How often `__index` and the like lead on to another table. */
const META_LOOPS_MAX = 100

/** The state of running scripts. */
export class Machine {
  readonly globals = new LuaTable()
  /** The metatable of all strings. */
  stringMetatable: LuaTable | undefined = undefined
  /** Where the innermost call was made. */
  site: Site = NOWHERE
  /** How many Lua calls are inside one another, and where each was made. */
  depth = 0
  readonly sites: Site[] = []
  stepsLeft = LUA_STEPS_MAX
  /** Where the random numbers of a script begin, unless it says so. */
  seed: () => number = () => 0
  /** The iterators of `pairs` and `ipairs`: loops over them need no calls. */
  next: LuaFunction | undefined = undefined
  ipairs: LuaFunction | undefined = undefined

  /** Make ready for a script: all of its budget is left. */
  begin(): void {
    this.depth = 0
    this.site = NOWHERE
    this.stepsLeft = LUA_STEPS_MAX
    meter.leftBytes = LUA_STORED_BYTES_MAX
  }

  /** A call begins.
   *  @throws LuaError when too many are inside one another; Failure when the budget is used up */
  enter(): void {
    if (this.depth >= LUA_CALLS_MAX) throw this.error('stack overflow', this.site)
    this.sites[this.depth++] = this.site
    if (--this.stepsLeft < 0) outOfSteps()
  }

  /** Make a runtime error with its position in front. */
  error(message: Bin, site: Site): LuaError {
    const prefix = site === NOWHERE ? '' : `${site.chunk}:${site.line}: `
    return new LuaError(prefix + message, site === NOWHERE ? this.site : site)
  }

  /** Make the error of a function of ours: positioned where Lua called it. */
  fail(message: Bin): LuaError {
    return this.error(message, this.site)
  }

  /** Find a value's metamethod. */
  metamethod(value: LuaValue, event: Bin): LuaValue {
    if (value instanceof LuaTable) return value.metatable?.getString(event)
    return typeof value === 'string' ? this.stringMetatable?.getString(event) : undefined
  }

  /** Call any value.
   *  @param args borrowed */
  call(value: LuaValue, args: LuaValue[], where?: Where): Results {
    if (value instanceof LuaFunction) return value.call(args)
    const handler = this.metamethod(value, '__call')
    if (handler instanceof LuaFunction) return handler.call([value, ...args])
    throw this.error(`attempt to call ${described(value, where?.what)}`, where?.site ?? this.site)
  }

  /** `object[key]` where the plain look-up found nothing. */
  index(object: LuaValue, key: LuaValue, where: Where): LuaValue {
    let holder = object
    for (let loop = 0; loop < META_LOOPS_MAX; loop++) {
      let handler: LuaValue
      if (holder instanceof LuaTable) {
        const value = holder.get(key)
        if (value !== undefined) return value
        handler = holder.metatable?.getString('__index')
        if (handler === undefined) return undefined
      } else {
        handler = this.metamethod(holder, '__index')
        if (handler === undefined) {
          const what = holder === object ? where.what : ''
          throw this.error(`attempt to index ${described(holder, what)}`, where.site)
        }
      }
      if (handler instanceof LuaFunction) {
        this.site = where.site
        return first(handler.call([holder, key]))
      }
      holder = handler
    }
    throw this.error('loop in gettable', where.site)
  }

  /** `object[key] = value` in full. */
  setIndex(object: LuaValue, key: LuaValue, value: LuaValue, where: Where): void {
    let holder = object
    for (let loop = 0; loop < META_LOOPS_MAX; loop++) {
      let handler: LuaValue
      if (holder instanceof LuaTable) {
        handler = holder.metatable?.getString('__newindex')
        if (handler === undefined || holder.get(key) !== undefined) return this.store(holder, key, value, where.site)
      } else {
        handler = this.metamethod(holder, '__newindex')
        if (handler === undefined) throw this.error(`attempt to index ${described(holder, where.what)}`, where.site)
      }
      if (handler instanceof LuaFunction) {
        this.site = where.site
        handler.call([holder, key, value])
        return
      }
      holder = handler
    }
    throw this.error('loop in settable', where.site)
  }

  private store(table: LuaTable, key: LuaValue, value: LuaValue, site: Site): void {
    if (table.readonly) throw this.error('Attempt to modify a readonly table', site)
    try {
      table.set(key, value)
    } catch (error) {
      if (error instanceof LuaError && error.site === undefined) throw this.error(error.value as Bin, site)
      throw error
    }
  }

  private binaryHandler(left: LuaValue, right: LuaValue, event: Bin): LuaValue {
    return this.metamethod(left, event) ?? this.metamethod(right, event)
  }

  /** An arithmetic operator whose operands are not both numbers.
   *  @param whats how the operands are called */
  arithmetic(event: Bin, left: LuaValue, right: LuaValue, site: Site, whats: readonly [Bin, Bin]): LuaValue {
    const a = toNumber(left)
    const b = toNumber(right)
    if (a !== undefined && b !== undefined) return (operators[event] as (a: number, b: number) => number)(a, b)
    const handler = this.binaryHandler(left, right, event)
    if (handler !== undefined) {
      this.site = site
      return first(this.call(handler, [left, right]))
    }
    const wrong = a === undefined ? described(left, whats[0]) : described(right, whats[1])
    throw this.error(`attempt to perform arithmetic on ${wrong}`, site)
  }

  /** `left .. right` */
  concat(left: LuaValue, right: LuaValue, site: Site, whats: readonly [Bin, Bin]): LuaValue {
    const a = toText(left)
    const b = toText(right)
    if (a !== undefined && b !== undefined) return this.checkLength(a + b)
    const handler = this.binaryHandler(left, right, '__concat')
    if (handler !== undefined) {
      this.site = site
      return first(this.call(handler, [left, right]))
    }
    const wrong = a === undefined ? described(left, whats[0]) : described(right, whats[1])
    throw this.error(`attempt to concatenate ${wrong}`, site)
  }

  /** Pass a string on that is not too long.
   *  @throws LuaError as for a lack of memory */
  checkLength(text: Bin): Bin {
    if (text.length > LUA_STRING_BYTES_MAX) throw new LuaError('not enough memory', this.site)
    return text
  }

  /** `left == right` for two tables that are not the same. */
  equalTables(left: LuaTable, right: LuaTable, site: Site): boolean {
    const handler = left.metatable?.getString('__eq')
    if (handler === undefined || handler !== right.metatable?.getString('__eq')) return false
    this.site = site
    return isTrue(first(this.call(handler, [left, right])))
  }

  /** `left < right` for what is neither two numbers nor two strings. */
  lessThan(left: LuaValue, right: LuaValue, site: Site): boolean {
    const handler = this.comparisonHandler(left, right, '__lt')
    if (handler === undefined) throw this.error(incomparable(left, right), site)
    this.site = site
    return isTrue(first(this.call(handler, [left, right])))
  }

  /** `left <= right` for what is neither two numbers nor two strings. */
  lessOrEqual(left: LuaValue, right: LuaValue, site: Site): boolean {
    const handler = this.comparisonHandler(left, right, '__le')
    if (handler === undefined) return !this.lessThan(right, left, site)
    this.site = site
    return isTrue(first(this.call(handler, [left, right])))
  }

  /** Both operands must have the same metamethod. */
  private comparisonHandler(left: LuaValue, right: LuaValue, event: Bin): LuaValue {
    if (typeOf(left) !== typeOf(right)) return undefined
    const handler = this.metamethod(left, event)
    return handler !== undefined && handler === this.metamethod(right, event) ? handler : undefined
  }

  /** `a < b` of any two values. */
  less(a: LuaValue, b: LuaValue): boolean {
    if (typeof a === 'number' && typeof b === 'number') return a < b
    if (typeof a === 'string' && typeof b === 'string') return a < b
    return this.lessThan(a, b, NOWHERE)
  }

  /** `tostring(value)`, as a value: `__tostring` may return anything. */
  show(value: LuaValue): LuaValue {
    const handler = this.metamethod(value, '__tostring')
    if (handler !== undefined) return first(this.call(handler, [value]))
    return showPlain(value)
  }
}

/** End a script that has used up its steps: it is undone whole, and no pcall sees it. */
export function outOfSteps(): never {
  throw new Failure(
    'limit',
    `ERR Script killed by user with SCRIPT KILL. (It took more than ${LUA_STEPS_MAX} steps and was undone.)`,
  )
}

/** Tell whether a value counts as true. */
export function isTrue(value: LuaValue): boolean {
  return value !== undefined && value !== false
}

/** Take a value as a number, text of one included. */
export function toNumber(value: LuaValue): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' ? parseNumber(value) : undefined
}

/** Take a value as text, numbers included. */
export function toText(value: LuaValue): Bin | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' ? showNumber(value) : undefined
}

/** Do what `%` does. */
export function modulo(a: number, b: number): number {
  return a - Math.floor(a / b) * b
}

const operators: Record<string, (a: number, b: number) => number> = {
  __add: (a, b) => a + b,
  __sub: (a, b) => a - b,
  __mul: (a, b) => a * b,
  __div: (a, b) => a / b,
  __mod: modulo,
  __pow: (a, b) => a ** b,
  __unm: (a) => -a,
}

function described(value: LuaValue, what: Bin | undefined): Bin {
  const type = typeOf(value)
  return what ? `${what} (a ${type} value)` : `a ${type} value`
}

function incomparable(left: LuaValue, right: LuaValue): Bin {
  const [a, b] = [typeOf(left), typeOf(right)]
  return a === b ? `attempt to compare two ${a} values` : `attempt to compare ${a} with ${b}`
}

const addresses = new WeakMap<object, string>()
let lastAddress = 0

/** Show a value without metamethods. */
export function showPlain(value: LuaValue): Bin {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return showNumber(value)
  if (value === undefined) return 'nil'
  if (typeof value === 'boolean') return `${value}`
  const type = typeOf(value)
  if (type === 'userdata') return `userdata: ${(value as { shown: string }).shown}`
  let address = addresses.get(value)
  if (address === undefined) {
    lastAddress += 16
    address = `0x${lastAddress.toString(16).padStart(12, '0')}`
    addresses.set(value, address)
  }
  return `${type}: ${address}`
}
