/** EVAL, FCALL and their like, as the shard runs them.
 *
 *  1. What the shard needs besides the client's arguments travels in their first place, instead of the command's name:
 *     `1` when the database has one shard, else `n`; then the script's SHA-1, or the library's text (of a database with
 *     one shard it is in that shard). `commands/scripts.ts` completes them so.
 *  2. Where there are many shards, a script stays in the slots of the keys it names; one that names none may run on any
 *     shard, as on any node of a Redis Cluster, and can reach no key.
 *
 *  @source https://redis.io/docs/latest/commands/eval/, /fcall/, Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { crc16Slot, type Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { parseInt64 } from '../engine/integers.ts'
import { ScriptCommands } from '../scripting/commands.ts'
import { Functions } from '../scripting/functions.ts'
import { findCode, runFunctionCommand } from '../scripting/libraries.ts'
import type { Run } from '../scripting/runtime.ts'
import { Scripts, WRITES_REFUSED } from '../scripting/scripts.ts'
import { sha1Hex } from '../scripting/sha1.ts'
import type { Effect, Value, WithEffects } from '../value.ts'

/** What scripts of this thread run on: they are synchronous, so that one of each is enough for all shards. */
const engine: { scripts?: Scripts; functions?: Functions } = {}

function scriptEngine(): Scripts {
  engine.scripts ??= new Scripts()
  return engine.scripts
}

/** Get the functions of this thread. */
export function functionEngine(): Functions {
  engine.functions ??= new Functions()
  return engine.functions
}

/** Check a script as SCRIPT LOAD does.
 *  @throws invalid in Redis' words */
export function checkScript(sha: Bin, body: Bin): void {
  scriptEngine().compile(sha, body)
}

/** Read how many keys there are.
 *  @throws invalid in Redis' words */
function keyCount(argv: readonly Bin[], message: string): number {
  const count = parseInt64(argv[2] as Bin)
  if (count === undefined) throw new Failure('invalid', message)
  if (count > argv.length - 3) throw new Failure('invalid', "ERR Number of keys can't be greater than number of args")
  if (count < 0) throw new Failure('invalid', "ERR Number of keys can't be negative")
  return Number(count)
}

const placesOf =
  (message: string) =>
  (argv: readonly Bin[]): number[] =>
    Array.from({ length: keyCount(argv, message) }, (_, index) => index + 3)

/** Find the keys of EVAL and its like.
 *  @throws invalid in Redis' words */
export const scriptPlaces = placesOf('ERR value is not an integer or out of range')
const functionPlaces = placesOf('ERR Bad number of keys provided')

function cut(argv: readonly Bin[], places: readonly number[]): { keys: readonly Bin[]; args: readonly Bin[] } {
  const end = 3 + places.length
  return { keys: argv.slice(3, end), args: argv.slice(end) }
}

function slotsOf(argv: readonly Bin[], keys: readonly Bin[]): ReadonlySet<number> | undefined {
  return argv[0]?.startsWith('n') ? new Set(keys.map((key) => crc16Slot(key))) : undefined
}

/** Whether the first argument was completed. */
const isCompleted = (argv: readonly Bin[]) => /^[1n]/.test(argv[0] as Bin)

type Runner = (tx: Tx, argv: readonly Bin[], context: Context) => Value | WithEffects

/** Add what a run brings about to its reply. */
function answer(reply: Value, effects: readonly Effect[]): Value | WithEffects {
  return effects.length === 0 ? reply : { reply, effects }
}

function evaluate(commands: ScriptCommands, readOnly: boolean): Runner {
  return (tx, argv, { db, user }) => {
    const body = argv[1] as Bin
    const sha = isCompleted(argv) ? (argv[0] as Bin).slice(1) : sha1Hex(body)
    const script = scriptEngine().compile(sha, body)
    const noWrites = script.flags?.includes('no-writes') ?? readOnly
    if (readOnly && !noWrites) throw new Failure('invalid', WRITES_REFUSED)
    const call = cut(argv, scriptPlaces(argv))
    const slots = slotsOf(argv, call.keys)
    const effects: Effect[] = []
    const run: Run = { tx, commands, db, user, effects, readOnly: noWrites, slots, label: sha, protocol: 2 }
    return answer(scriptEngine().run(script, run, call), effects)
  }
}

function evaluateSha(commands: ScriptCommands, readOnly: boolean): Runner {
  const run = evaluate(commands, readOnly)
  return (tx, argv, context) => {
    if (!isCompleted(argv)) throw new Failure('not_found', 'NOSCRIPT No matching script. Please use EVAL.')
    return run(tx, argv, context)
  }
}

function callFunction(commands: ScriptCommands, readOnly: boolean): Runner {
  return (tx, argv, { db, user }) => {
    const head = argv[0] as Bin
    const name = argv[1] as Bin
    const code = head.startsWith('n') ? head.slice(1) : findCode(tx, name)
    const registered = code ? functionEngine().load(code).functions.get(name.toLowerCase()) : undefined
    if (registered === undefined) throw new Failure('not_found', 'ERR Function not found')
    const call = { ...cut(argv, functionPlaces(argv)), readOnly }
    const slots = slotsOf(argv, call.keys)
    const effects: Effect[] = []
    const run = { tx, commands, db, user, effects, slots, label: name, protocol: 2 } as const
    return answer(functionEngine().call(registered, { ...run }, call), effects)
  }
}

type Line = [name: string, mode: 'read' | 'write', since: string, run: Runner, summary: string]

/** The rows of scripts and functions.
 *  @param rows the commands that they can run */
export function scriptCommands(rows: readonly Command[]): Command[] {
  const commands = new ScriptCommands(rows)
  const lines: Line[] = [
    ['eval', 'write', '2.6.0', evaluate(commands, false), 'Executes a Lua script.'],
    ['eval_ro', 'read', '7.0.0', evaluate(commands, true), 'Executes a Lua script that does not write.'],
    ['evalsha', 'write', '2.6.0', evaluateSha(commands, false), 'Executes a Lua script by its SHA-1.'],
    ['evalsha_ro', 'read', '7.0.0', evaluateSha(commands, true), 'Executes a Lua script by its SHA-1, read-only.'],
    ['fcall', 'write', '7.0.0', callFunction(commands, false), 'Calls a function.'],
    ['fcall_ro', 'read', '7.0.0', callFunction(commands, true), 'Calls a function that does not write.'],
  ]
  return lines.map(([name, mode, since, run, summary]) => ({
    name,
    arity: -3,
    findKeys: name.startsWith('fcall') ? functionPlaces : scriptPlaces,
    keyless: 'any',
    mode,
    since,
    group: 'scripting',
    summary,
    run,
  }))
}

/** Whether a call is one of FUNCTION's. */
export const isFunctionCall = (name: string): boolean => name.startsWith('function|')

/** Run one of FUNCTION's calls. */
export function runFunctions(tx: Tx, name: string, argv: readonly Bin[]): Value {
  return runFunctionCommand(tx, functionEngine(), name, argv)
}
