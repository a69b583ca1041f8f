/** What scripts run on: a machine of Lua with the `redis` table, and the run that is under way.
 *
 *  1. One runtime a thread and kind (scripts, functions): runs are synchronous, so there is never more than one.
 *  2. Only errors of Lua are caught by pcall. All others (cold rows, a call to be run again in a savepoint, our own
 *     bugs, a used-up budget) end the run and undo it.
 *  3. What a script wrote before an error of Lua stays, as in Redis; a command that fails in it is undone alone.
 *
 *  @source https://redis.io/docs/latest/develop/interact/programmability/lua-api/ */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { ColdRows, type Tx } from '@dotdo/core/shard'
import type { User } from '../acl/user.ts'
import { errorText } from '../errors.ts'
import { native } from '../lua/library/arguments.ts'
import { installLibraries } from '../lua/library/install.ts'
import { Machine, NOWHERE, showPlain } from '../lua/machine.ts'
import { LuaTable } from '../lua/table.ts'
import { all, LuaError, type LuaValue, type Results } from '../lua/value.ts'
import type { Effect, Value } from '../value.ts'
import type { ScriptCommands } from './commands.ts'
import { toArgument, toLua, toReply } from './convert.ts'

/** A run of a script or function. */
export interface Run {
  readonly tx: Tx
  readonly commands: ScriptCommands
  /** The numbered database; SELECT inside changes it. */
  db: number
  readonly readOnly: boolean
  /** The only slots that keys may be in; undefined when all keys are here. */
  readonly slots: ReadonlySet<number> | undefined
  /** How it is called in errors: the script's SHA-1, or the function's name. */
  readonly label: Bin
  protocol: 2 | 3
  /** Who runs it, when not everything is allowed to them. */
  readonly user: User | undefined
  /** What it brings about once it is committed. */
  readonly effects: Effect[]
}

/** A machine with the API of Redis. */
export class ScriptRuntime {
  readonly machine = new Machine()
  run: Run | undefined = undefined
  private readonly reset: () => void

  constructor() {
    const { machine } = this
    this.reset = installLibraries(machine)
    machine.seed = () => (this.run?.tx.random() ?? 0) % 2 ** 31
    const metatable = new LuaTable()
    metatable.set(
      '__index',
      native(machine, '__index', (args) => {
        const name = showPlain(args.any(2))
        throw machine.fail(`Script attempted to access nonexistent global variable '${name}'`)
      }),
    )
    metatable.readonly = true
    machine.globals.metatable = metatable
    machine.globals.readonly = true
  }

  /** Run a function of Lua to its reply.
   *  @returns an error of Lua as a reply, with where it was raised
   *  @throws everything else */
  execute(run: Run, start: () => Results): Value {
    const { machine } = this
    this.run = run
    machine.begin()
    this.reset()
    try {
      return toReply(all(start())[0], run.protocol)
    } catch (error) {
      if (error instanceof LuaError) return this.errorReply(error, run)
      // Where it happened nobody knows: inside an engine, maybe. So the whole run is undone.
      if (error instanceof RangeError)
        throw new Failure('limit', 'ERR stack overflow: the script was undone', undefined, error)
      throw error
    } finally {
      this.run = undefined
    }
  }

  private errorReply({ value, site = this.machine.site }: LuaError, { label }: Run): Value {
    const err = value instanceof LuaTable ? value.getString('err') : undefined
    const text = typeof err === 'string' ? err : `ERR ${showPlain(value)}`
    const where = site === NOWHERE ? '' : `, on ${site.source}:${site.line}.`
    return { error: `${text} script: ${label}${where}`.replace(/[\r\n]/g, ' ') }
  }

  /** Run a command for `redis.call` and `redis.pcall`.
   *  @returns its reply in Lua; an error is a table with `err` */
  command(values: readonly LuaValue[]): LuaValue {
    const { run } = this
    if (run === undefined) return errorTable('redis.call can only be called inside a script')
    const argv = toArgv(values)
    if (!Array.isArray(argv)) return argv as LuaTable
    try {
      return toLua(run.commands.run(run, argv), run.protocol)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return errorTable(`-${errorText(error)}`)
    }
  }

  /** Tell whether the user may run a command, for `redis.acl_check_cmd`.
   *  @returns an error is a table with `err` */
  mayRun(values: readonly LuaValue[]): LuaValue {
    const { run } = this
    const argv = toArgv(values)
    if (!Array.isArray(argv)) return argv as LuaTable
    const allowed = run?.commands.allows(run, argv)
    return allowed ?? errorTable('Invalid command passed to redis.acl_check_cmd()')
  }
}

/** @returns a table of an error for what makes no command */
function toArgv(values: readonly LuaValue[]): Bin[] | LuaTable {
  if (values.length === 0) return errorTable('Please specify at least one argument for this redis lib call')
  const argv: Bin[] = []
  for (const value of values) {
    const argument = toArgument(value)
    if (argument === undefined) return errorTable('Lua redis lib command arguments must be strings or integers')
    argv.push(argument)
  }
  return argv
}

/** Make the table of an error.
 *  @param text with a `-` in front, its first of several words is the error's code; else the code is ERR */
export function errorTable(text: Bin): LuaTable {
  const trimmed = text.replace(/[\r\n]+$/, '')
  const plain = trimmed.replace(/^-/, '')
  const err = trimmed.startsWith('-') && plain.includes(' ') ? plain : `ERR ${plain}`
  return LuaTable.from({ err, ignore_error_stats_update: true })
}

/** Raise an error table. */
export function raise(machine: Machine, table: LuaTable): never {
  throw new LuaError(table, machine.site)
}

/** Add the cold ones among a run's own keys to those that stopped it, so that all are fetched at once.
 *  @param look reads a key whole */
export function gatherCold(stopped: ColdRows, keys: readonly Bin[], look: (key: Bin) => void): ColdRows {
  const rows = [...stopped.rows]
  for (const key of keys) {
    try {
      look(key)
    } catch (error) {
      if (!(error instanceof ColdRows)) throw error
      rows.push(...error.rows)
    }
  }
  return new ColdRows(rows)
}
