/** The `redis` table of scripts.
 *  @source https://redis.io/docs/latest/develop/interact/programmability/lua-api/ */
import { type Arguments, library, type Native } from '../lua/library/arguments.ts'
import { toText } from '../lua/machine.ts'
import type { LuaTable } from '../lua/table.ts'
import { LuaTable as Table } from '../lua/table.ts'
import { type LuaValue, NONE, type Results } from '../lua/value.ts'
import { errorTable, raise, type ScriptRuntime } from './runtime.ts'
import { sha1Hex } from './sha1.ts'

const VERSION = '7.2.0'
const VERSION_NUMBER = 0x00070200

/** Functions and numbers that are there in every state. */
function common(): { readonly [name: string]: Native | string | number } {
  return {
    LOG_DEBUG: 0,
    LOG_VERBOSE: 1,
    LOG_NOTICE: 2,
    LOG_WARNING: 3,
    REDIS_VERSION: VERSION,
    REDIS_VERSION_NUM: VERSION_NUMBER,
    log,
  }
}

/** There is no log file here that a script could write to; its arguments are checked all the same. */
function log(args: Arguments): Results {
  const { machine } = args
  if (args.count < 2) raise(machine, errorTable('redis.log() requires two arguments or more.'))
  const level = args.any(1)
  if (typeof level !== 'number') raise(machine, errorTable('First argument must be a number (log level).'))
  if (!(level >= 0 && level <= 3)) raise(machine, errorTable('Invalid debug level.'))
  return NONE
}

function sha1(args: Arguments): Results {
  if (args.count !== 1) raise(args.machine, errorTable('wrong number of arguments'))
  return sha1Hex(toText(args.any(1)) ?? '')
}

function singleField(field: 'err' | 'ok'): Native {
  return (args) => {
    const text = args.any(1)
    if (args.count !== 1 || typeof text !== 'string') return errorTable('wrong number or type of arguments')
    if (field === 'ok') return Table.from({ ok: text })
    return errorTable(text.startsWith('-') ? text : `-${text}`)
  }
}

function setReplication(args: Arguments): Results {
  const flags = args.any(1)
  if (args.count !== 1) raise(args.machine, errorTable('redis.set_repl() requires one argument.'))
  if (typeof flags !== 'number' || flags < 0 || flags > 3) {
    const names = 'REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE'
    raise(args.machine, errorTable(`Invalid replication flags. Use ${names}.`))
  }
  // Every write here is in the log of its shard: to leave some out would be to lose them.
  if (flags !== 3) raise(args.machine, errorTable('Only REPL_ALL is supported: every write is logged.'))
  return NONE
}

function setProtocol(runtime: ScriptRuntime): Native {
  return (args) => {
    if (args.count !== 1) raise(args.machine, errorTable('redis.setresp() requires one argument.'))
    const version = args.any(1)
    if (version !== 2 && version !== 3) raise(args.machine, errorTable('RESP version must be 2 or 3.'))
    if (runtime.run !== undefined) runtime.run.protocol = version
    return NONE
  }
}

/** Raise the errors that a function answers. */
function raising(answer: (args: Arguments) => LuaValue): Native {
  return (args) => {
    const reply = answer(args)
    if (reply instanceof Table && typeof reply.getString('err') === 'string') raise(args.machine, reply)
    return reply
  }
}

/** Make the table that scripts and running functions have. */
export function redisTable(runtime: ScriptRuntime): LuaTable {
  return library(runtime.machine, {
    ...common(),
    REPL_NONE: 0,
    REPL_AOF: 1,
    REPL_SLAVE: 2,
    REPL_REPLICA: 2,
    REPL_ALL: 3,
    acl_check_cmd: raising((args) => runtime.mayRun(args.values)),
    breakpoint: () => false,
    call: raising((args) => runtime.command(args.values)),
    debug: () => NONE,
    error_reply: singleField('err'),
    pcall: (args) => runtime.command(args.values),
    replicate_commands: () => true,
    set_repl: setReplication,
    setresp: setProtocol(runtime),
    sha1hex: sha1,
    status_reply: singleField('ok'),
  })
}

/** Make the table that a library has while it is loaded. */
export function loadingTable(runtime: ScriptRuntime, register: Native): LuaTable {
  const table = library(runtime.machine, { ...common(), register_function: register })
  table.metatable = runtime.machine.globals.metatable
  return table
}
