/** Lua's basic functions.
 *  @source Lua 5.1 reference manual, 5.1; pcall as Redis 7 has it (script_lua.c, luaRedisPcall) */
import type { Bin } from '@dotdo/core/bytes'
import { LUA_VALUES_MAX } from '@dotdo/core/limits'
import { compileLua, LuaSyntaxError } from '../compile.ts'
import { isTrue, type Machine, NOWHERE, toNumber } from '../machine.ts'
import { parseInBase } from '../numbers.ts'
import { LuaTable } from '../table.ts'
import { all, LuaError, type LuaFunction, type LuaValue, NONE, type Results, typeOf } from '../value.ts'
import { type Arguments, type Native, native } from './arguments.ts'

function assertTrue(args: Arguments): Results {
  if (isTrue(args.value(1))) return [...args.values]
  throw args.machine.fail(args.text(2, 'assertion failed!'))
}

function raise(args: Arguments): Results {
  const { machine } = args
  const value = args.any(1)
  const level = args.integer(2, 1)
  // Level 1 is where `error` was called, level 2 where the function that called it was called.
  const site = level === 1 ? machine.site : (machine.sites[machine.depth - level + 1] ?? NOWHERE)
  if (typeof value === 'string' && level > 0 && site !== NOWHERE && machine.depth - level + 1 >= 0) {
    throw new LuaError(`${site.chunk}:${site.line}: ${value}`, machine.site)
  }
  throw new LuaError(value, machine.site)
}

/** Run work whose errors are caught; only those of Lua are.
 *  @returns its results, or the error's value */
function protect(machine: Machine, work: () => Results): { results: Results } | { failed: LuaValue } {
  const { depth, site } = machine
  try {
    // What pcall calls itself is called from nowhere.
    machine.site = NOWHERE
    machine.enter()
    const results = work()
    machine.depth = depth
    return { results }
  } catch (error) {
    machine.depth = depth
    machine.site = site
    if (error instanceof LuaError) return { failed: error.value }
    throw error
  }
}

function protectedCall(args: Arguments): Results {
  const { machine } = args
  const outcome = protect(machine, () => machine.call(args.value(1), args.values.slice(1)))
  if ('results' in outcome) return [true, ...all(outcome.results)]
  const { failed } = outcome
  const text = failed instanceof LuaTable ? failed.get('err') : undefined
  return [false, typeof text === 'string' ? text : failed]
}

function protectedCallWithHandler(args: Arguments): Results {
  const { machine } = args
  const handler = args.any(2)
  const outcome = protect(machine, () => machine.call(args.any(1), []))
  if ('results' in outcome) return [true, ...all(outcome.results)]
  const handled = protect(machine, () => machine.call(handler, [outcome.failed]))
  return [false, ...('results' in handled ? all(handled.results) : [handled.failed])]
}

function getMetatable(args: Arguments): Results {
  const value = args.value(1)
  const metatable =
    value instanceof LuaTable ? value.metatable : typeof value === 'string' ? args.machine.stringMetatable : undefined
  return metatable?.get('__metatable') ?? metatable
}

function setMetatable(args: Arguments): Results {
  const table = args.writable(1)
  const metatable = args.any(2)
  if (metatable !== undefined && !(metatable instanceof LuaTable)) throw args.bad(2, 'nil or table expected')
  if (args.count < 2) throw args.bad(2, 'nil or table expected')
  if (table.metatable?.get('__metatable') !== undefined) throw args.machine.fail('cannot change a protected metatable')
  table.metatable = metatable
  return table
}

function next(args: Arguments): Results {
  const table = args.table(1)
  const at = table.findFrom(table.positionAfter(args.any(2)))
  return at === undefined ? undefined : [table.keyAt(at), table.valueAt(at)]
}

function ipairsStep(args: Arguments): Results {
  const at = args.number(2) + 1
  const value = args.table(1).get(at)
  return value === undefined ? undefined : [at, value]
}

function select(args: Arguments): Results {
  if (args.any(1) === '#') return args.count - 1
  const from = args.integer(1)
  if (from < 0 && -from < args.count) return args.values.slice(args.count + from)
  if (from <= 0) throw args.bad(1, 'index out of range')
  return args.values.slice(from)
}

function toNumberIn(args: Arguments): Results {
  const base = args.integer(2, 10)
  if (base === 10) return toNumber(args.value(1))
  const text = args.text(1)
  if (base < 2 || base > 36) throw args.bad(2, 'base out of range')
  return parseInBase(text, base)
}

/** `unpack(list, i, j)` */
export function unpack(args: Arguments): Results {
  const table = args.table(1)
  const from = args.integer(2, 1)
  const to = args.integer(3, table.length)
  if (from > to) return NONE
  if (to - from >= LUA_VALUES_MAX) throw args.machine.fail('too many results to unpack')
  const values: LuaValue[] = []
  for (let at = from; at <= to; at++) values.push(table.get(at))
  return values
}

function rawSet(args: Arguments): Results {
  const table = args.table(1)
  if (table.readonly) throw new LuaError('Attempt to modify a readonly table', args.machine.site)
  table.set(args.value(2), args.value(3))
  return table
}

/** Compile what a script brings.
 *  @param name the chunk's name: with `@` or `=` in front as it stands, else it is text to quote */
function compileText({ machine }: Arguments, code: Bin, name: Bin): Results {
  const shown = /^[@=]/.test(name) ? name.slice(1) : quoteChunk(name)
  if (code.startsWith('\x1b')) return [undefined, `${shown}: bytecode is not supported`]
  try {
    return compileLua(machine, code, { name: shown, source: name })
  } catch (error) {
    if (!(error instanceof LuaSyntaxError)) throw error
    return [undefined, `${shown}:${error.line}: ${error.message}`]
  }
}

/** @source luaO_chunkid of Lua 5.1: the first line, at most 60 characters with the words around it */
function quoteChunk(name: Bin): Bin {
  const line = name.split('\n', 1)[0] as Bin
  const shown = line.length > 44 || line !== name ? `${line.slice(0, 44)}...` : line
  return `[string "${shown}"]`
}

function load(args: Arguments): Results {
  const reader = args.function(1)
  let code = ''
  for (;;) {
    const piece = all(reader.call([]))[0]
    if (piece === undefined || piece === '') break
    if (typeof piece !== 'string') return [undefined, 'reader function must return a string']
    code = args.machine.checkLength(code + piece)
  }
  return compileText(args, code, args.text(2, '=(load)'))
}

function collectGarbage(args: Arguments): Results {
  const option = args.text(1, 'collect')
  const known = ['collect', 'stop', 'restart', 'count', 'step', 'setpause', 'setstepmul']
  if (!known.includes(option)) throw args.bad(1, `invalid option '${option}'`)
  // The garbage is JavaScript's: there is nothing to ask for. What `count` says is what a small state of Lua takes.
  return option === 'count' ? 40 : 0
}

const functions: { readonly [name: string]: Native } = {
  assert: assertTrue,
  collectgarbage: collectGarbage,
  error: raise,
  gcinfo: () => [40, 0],
  getmetatable: getMetatable,
  load,
  loadstring: (args) => compileText(args, args.text(1), args.text(2, args.text(1))),
  next,
  pcall: protectedCall,
  rawequal: (args) => args.value(1) === args.value(2),
  rawget: (args) => args.table(1).get(args.value(2)),
  rawset: rawSet,
  select,
  setmetatable: setMetatable,
  tonumber: toNumberIn,
  tostring: (args) => args.machine.show(args.value(1)),
  type: (args) => typeOf(args.value(1)),
  unpack,
  xpcall: protectedCallWithHandler,
}

/** Give a machine the basic functions. */
export function installBase(machine: Machine): void {
  const { globals } = machine
  for (const [name, run] of Object.entries(functions)) globals.set(name, native(machine, name, run))
  const nextFunction = globals.get('next') as LuaFunction
  const step = native(machine, 'ipairs', ipairsStep)
  machine.next = nextFunction
  machine.ipairs = step
  globals.set(
    'pairs',
    native(machine, 'pairs', (args) => [nextFunction, args.table(1), undefined]),
  )
  globals.set(
    'ipairs',
    native(machine, 'ipairs', (args) => [step, args.table(1), 0]),
  )
  globals.set('_G', globals)
  globals.set('_VERSION', 'Lua 5.1')
}
