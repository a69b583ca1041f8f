/** Libraries of functions in a shard: loading them, and calling what they registered.
 *
 *  What a library keeps in its own locals lives as long as the thread has it compiled, as in Redis as long as the
 *  server runs; what must last belongs in keys.
 *
 *  @source https://redis.io/docs/latest/develop/interact/programmability/functions-intro/; function_lua.c of Redis */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_SCRIPTS_COMPILED_MAX } from '@dotdo/core/limits'
import { compileLua, LuaSyntaxError } from '../lua/compile.ts'
import type { Arguments } from '../lua/library/arguments.ts'
import { showPlain } from '../lua/machine.ts'
import { LuaTable } from '../lua/table.ts'
import { LuaError, LuaFunction, type LuaValue, NONE, type Results } from '../lua/value.ts'
import type { Value } from '../value.ts'
import { loadingTable, redisTable } from './api.ts'
import { errorTable, type Run, raise, ScriptRuntime } from './runtime.ts'
import { type Call, runWhole, WRITES_REFUSED } from './scripts.ts'
import { checkName, isScriptFlag, readLibraryShebang, type ScriptFlag } from './shebang.ts'

/** A function that a library registered. */
export interface Registered {
  readonly name: Bin
  readonly description: Bin | undefined
  readonly flags: readonly ScriptFlag[]
  readonly callback: LuaFunction
}

/** A loaded library. */
export interface Library {
  readonly name: Bin
  /** By name in lower case. */
  readonly functions: ReadonlyMap<Bin, Registered>
}

/** Loads libraries and calls functions. */
export class Functions {
  private readonly runtime = new ScriptRuntime()
  private readonly loaded = new Map<Bin, Library>()
  private readonly running: LuaTable

  constructor() {
    this.running = redisTable(this.runtime)
    this.runtime.machine.globals.set('redis', this.running)
  }

  /** Load a library, or find it loaded.
   *  @throws invalid in Redis' words */
  load(text: Bin): Library {
    const known = this.loaded.get(text)
    if (known !== undefined) return known
    const { name, code } = readLibraryShebang(text)
    const functions = this.register(code)
    if (functions.size === 0) throw new Failure('invalid', 'ERR No functions registered')
    if (this.loaded.size >= REDIS_SCRIPTS_COMPILED_MAX) this.loaded.clear()
    const library = { name, functions }
    this.loaded.set(text, library)
    return library
  }

  /** Run a library's text: it registers its functions. */
  private register(code: Bin): Map<Bin, Registered> {
    const { machine } = this.runtime
    const functions = new Map<Bin, Registered>()
    const add = (args: Arguments): Results => {
      const registered = readRegistration(args)
      // Functions go by any case, libraries by theirs.
      const key = registered.name.toLowerCase()
      if (functions.has(key)) raise(machine, errorTable('Function already exists in the library'))
      functions.set(key, registered)
      return NONE
    }
    machine.globals.set('redis', loadingTable(this.runtime, add))
    machine.begin()
    try {
      compileLua(machine, code, { name: 'user_function', source: '@user_function' }).call([])
    } catch (error) {
      if (error instanceof LuaSyntaxError) {
        throw new Failure('invalid', `ERR Error compiling function: user_function:${error.line}: ${error.message}`)
      }
      if (error instanceof Failure && error.code === 'limit') throw new Failure('limit', 'ERR FUNCTION LOAD timeout')
      if (!(error instanceof LuaError)) throw error
      const { value } = error
      const text = value instanceof LuaTable ? showPlain(value.getString('err')) : `ERR ${showPlain(value)}`
      throw new Failure('invalid', `ERR Error registering functions: ${text}`)
    } finally {
      machine.globals.set('redis', this.running)
    }
    return functions
  }

  /** Call a function of a library.
   *  @param readOnly whether it was called as one that does not write
   *  @throws invalid when it may write and must not */
  call(registered: Registered, run: Omit<Run, 'readOnly'>, call: Call & { readonly readOnly: boolean }): Value {
    const noWrites = registered.flags.includes('no-writes')
    if (call.readOnly && !noWrites) throw new Failure('invalid', WRITES_REFUSED)
    const { keys, args } = call
    return runWhole(this.runtime, { ...run, readOnly: noWrites }, keys, () =>
      registered.callback.call([LuaTable.of(keys), LuaTable.of(args)]),
    )
  }
}

/** Read what `redis.register_function` is called with: name and function, or a table of named arguments. */
function readRegistration(args: Arguments): Registered {
  const { machine } = args
  const refuse = (message: Bin): never => raise(machine, errorTable(message))
  if (args.count < 1 || args.count > 2) refuse('wrong number of arguments to redis.register_function')
  const first = args.any(1)
  if (args.count === 1) {
    if (!(first instanceof LuaTable))
      refuse(
        'calling redis.register_function with a single argument is only applicable to Lua table ' +
          '(representing named arguments).',
      )
    return readNamed(first as LuaTable, refuse)
  }
  if (typeof first !== 'string') refuse('first argument to redis.register_function must be a string')
  const callback = args.any(2)
  if (!(callback instanceof LuaFunction)) refuse('second argument to redis.register_function must be a function')
  return { name: named(first as Bin, refuse), description: undefined, flags: [], callback: callback as LuaFunction }
}

function named(name: Bin, refuse: (message: Bin) => never): Bin {
  try {
    checkName(name)
  } catch (error) {
    refuse(`-${(error as Failure).message}`)
  }
  return name
}

function readNamed(table: LuaTable, refuse: (message: Bin) => never): Registered {
  let name: LuaValue
  let description: LuaValue
  let callback: LuaValue
  let flags: ScriptFlag[] = []
  for (const [key, value] of table.entries()) {
    if (key === 'function_name') {
      if (typeof value !== 'string') refuse('function_name argument given to redis.register_function must be a string')
      name = value
    } else if (key === 'description') {
      if (typeof value !== 'string') refuse('description argument given to redis.register_function must be a string')
      description = value
    } else if (key === 'callback') {
      if (!(value instanceof LuaFunction))
        refuse('callback argument given to redis.register_function must be a function')
      callback = value
    } else if (key === 'flags') {
      if (!(value instanceof LuaTable))
        refuse('flags argument to redis.register_function must be a table representing function flags')
      flags = [...(value as LuaTable).entries()].map(([, flag]) =>
        isScriptFlag(flag) ? flag : refuse('unknown flag given'),
      )
    } else refuse('unknown argument given to redis.register_function')
  }
  if (name === undefined) return refuse('redis.register_function must get a function name argument')
  if (callback === undefined) return refuse('redis.register_function must get a callback argument')
  return {
    name: named(name as Bin, refuse),
    description: description as Bin | undefined,
    flags,
    callback: callback as LuaFunction,
  }
}
