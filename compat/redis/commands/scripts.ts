/** SCRIPT and FUNCTION, and what the session adds to EVAL and FCALL: scripts by SHA-1, libraries from their shard.
 *  @source https://redis.io/docs/latest/commands/script/, /function/, Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { replyOf } from '../errors.ts'
import { Later, PROGRAM } from '../routing.ts'
import { scriptsOf } from '../scripting/cache.ts'
import { LIBRARY_SLOT } from '../scripting/libraries.ts'
import { sha1Hex } from '../scripting/sha1.ts'
import type { Answer, Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { checkScript, scriptCommands, scriptPlaces } from './scripting.ts'

type Argv = readonly Bin[]

const head = (shards: number) => (shards > 1 ? 'n' : '1')

function prepareEval({ server }: Session, argv: Argv, shards: number): Argv {
  // Before the script is kept: what Redis refuses it does not keep.
  scriptPlaces(argv)
  const sha = scriptsOf(server).add(argv[1] as Bin)
  return [head(shards) + sha, ...argv.slice(1)]
}

function prepareSha({ server }: Session, argv: Argv, shards: number): Argv {
  const sha = (argv[1] as Bin).toLowerCase()
  const body = scriptsOf(server).find(sha)
  // Not found: the shard says so, in the place of the command's reply.
  return body === undefined ? argv : [head(shards) + sha, body, ...argv.slice(2)]
}

/** Where there are many shards, the library's text is asked for each time: so a new one is seen at once, by all. */
async function fetchLibrary(session: Session, argv: Argv): Promise<Argv> {
  const call = { program: PROGRAM, name: 'function|code', args: { argv: [argv[1] as Bin], db: 0 } }
  const pending = await session.withPlan((plan) => plan.one(LIBRARY_SLOT, call))
  await session.runPlan()
  if (pending.reply instanceof Failure) throw pending.reply
  return [`n${(pending.reply as Bin | null) ?? ''}`, ...argv.slice(1)]
}

function prepareFunction(session: Session, argv: Argv, shards: number): Argv | Promise<Argv> {
  return shards > 1 ? fetchLibrary(session, argv) : ['1', ...argv.slice(1)]
}

const preparations: Record<string, NonNullable<Row['prepare']>> = {
  eval: prepareEval,
  eval_ro: prepareEval,
  evalsha: prepareSha,
  evalsha_ro: prepareSha,
  fcall: prepareFunction,
  fcall_ro: prepareFunction,
}

function load({ server }: Session, argv: Argv): Value {
  const body = argv[2] as Bin
  checkScript(sha1Hex(body), body)
  return scriptsOf(server).add(body)
}

function exists({ server }: Session, argv: Argv): Value {
  return argv.slice(2).map((sha) => (scriptsOf(server).has(sha.toLowerCase()) ? 1 : 0))
}

function flush({ server }: Session, argv: Argv): Value {
  if (argv.length > 3 || !/^(?:sync|async)$/i.test(argv[2] ?? 'sync')) {
    throw new Failure('invalid', 'ERR SCRIPT FLUSH only support SYNC|ASYNC option')
  }
  scriptsOf(server).clear()
  return OK
}

/** Nothing else is served by a shard while a script runs, and the script ends by itself: there is never one to kill. */
function kill(): never {
  throw new Failure('invalid', 'NOTBUSY No scripts in execution right now.')
}

function debug(): never {
  throw new Failure('unsupported', 'ERR SCRIPT DEBUG is not supported: there is no debugger here')
}

/** FUNCTION's commands run in the shard of the libraries. */
function inLibraryShard(session: Session, argv: Argv): Answer {
  const name = `function|${(argv[1] as Bin).toLowerCase()}`
  return session.withPlan((plan) => {
    const pending = plan.one(LIBRARY_SLOT, { program: PROGRAM, name, args: { argv, db: 0 } })
    return new Later(() => replyOf(pending.reply))
  })
}

const row = { mode: 'session', group: 'scripting' } as const
const since = (name: string) => (name.startsWith('function') ? '7.0.0' : '2.6.0')

type Line = [name: string, arity: number, session: Row['session'], summary: string]

const lines: Line[] = [
  ['function', -2, undefined, 'A container for function commands.'],
  ['function|delete', 3, inLibraryShard, 'Deletes a library and its functions.'],
  ['function|dump', 2, inLibraryShard, 'Dumps all libraries.'],
  ['function|flush', -2, inLibraryShard, 'Deletes all libraries.'],
  ['function|kill', 2, kill, 'Kills a running function.'],
  ['function|list', -2, inLibraryShard, 'Returns all libraries.'],
  ['function|load', -3, inLibraryShard, 'Creates a library.'],
  ['function|restore', -3, inLibraryShard, 'Restores libraries from a dump.'],
  ['function|stats', 2, inLibraryShard, 'Returns how many libraries and functions there are.'],
  ['script', -2, undefined, 'A container for Lua scripts management commands.'],
  ['script|debug', 3, debug, 'Refused: there is no debugger.'],
  ['script|exists', -3, exists, 'Tells which scripts are known by their SHA-1.'],
  ['script|flush', -2, flush, 'Forgets all scripts.'],
  ['script|kill', 2, kill, 'Kills a running script.'],
  ['script|load', 3, load, 'Keeps a script, to be called by its SHA-1.'],
]

/** The rows of the scripting group. */
export const scriptingCommands: readonly Row[] = [
  ...scriptCommands([]).map((command): Row => {
    const prepare = preparations[command.name] as NonNullable<Row['prepare']>
    return { ...(command as Row), prepare }
  }),
  ...lines.map(([name, arity, session, summary]): Row => {
    const base = { ...row, name, arity, since: since(name), summary }
    return session === undefined ? base : { ...base, session }
  }),
]
