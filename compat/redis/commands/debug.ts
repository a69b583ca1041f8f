/** DEBUG, as far as tools use it and it can be done; the rest is refused.
 *  @source debug.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { Later } from '../routing.ts'
import type { Answer, Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'

/** The longest sleep: setTimeout takes no more, and nobody waits that long. */
const SLEEP_MS_MAX = 2 ** 31 - 1

/** Only this connection sleeps: others are served meanwhile. */
function sleep({ server }: Session, [, , given = '']: readonly Bin[]): Promise<Value> {
  const delayMs = Number(given) * 1000
  if (!(delayMs >= 0 && delayMs <= SLEEP_MS_MAX)) throw new Failure('invalid', 'ERR value is not a valid float')
  return new Promise((resolve) => server.clock.after(delayMs, () => resolve(OK)))
}

/** What is known of a value: where it lies and when it was used last is not. */
async function object(session: Session, [, , key = '']: readonly Bin[]): Promise<Value> {
  const row = session.server.commands.rows.get('object|encoding') as Row
  const asked = await session.perform(row, ['object', 'encoding', key])
  await session.runPlan()
  const encoding = asked instanceof Later ? asked.value() : asked
  if (encoding === null) throw new Failure('not_found', 'ERR no such key')
  return typeof encoding === 'string' ? { simple: `Value refcount:1 encoding:${encoding}` } : (encoding as Value)
}

/** Keys that have expired are absent whether they are swept or not, but the sweep cannot be stopped. */
function setActiveExpire(_: Session, [, , wanted = '']: readonly Bin[]): Value {
  if (wanted === '1') return OK
  throw new Failure('unsupported', 'ERR DEBUG SET-ACTIVE-EXPIRE is not supported but for 1: expired keys are removed')
}

const subcommands: Readonly<Record<string, (session: Session, argv: readonly Bin[]) => Answer>> = {
  sleep,
  object,
  'set-active-expire': setActiveExpire,
}

const helpLines = [
  'DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'OBJECT <key>',
  '    Show how the value of a key is encoded.',
  'SET-ACTIVE-EXPIRE 1',
  '    Does nothing: expired keys are always removed.',
  'SLEEP <seconds>',
  '    Make this connection wait. Decimals allowed.',
  'HELP',
  '    Print this help.',
]

function debug(session: Session, argv: readonly Bin[]): Answer {
  const word = argv[1] as Bin
  const name = word.toLowerCase()
  if (name === 'help' && argv.length === 2) return helpLines.map((simple): Value => ({ simple }))
  const run = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined
  if (run === undefined || argv.length !== 3) {
    const shown = word.slice(0, 128)
    throw new Failure('invalid', `ERR unknown subcommand or wrong number of arguments for '${shown}'. Try DEBUG HELP.`)
  }
  return run(session, argv)
}

/** DEBUG. */
export const debugCommands: readonly Row[] = [
  {
    name: 'debug',
    arity: -2,
    mode: 'session',
    group: 'server',
    since: '1.0.0',
    summary: 'SLEEP, OBJECT, SET-ACTIVE-EXPIRE 1, HELP; others are refused.',
    session: debug,
  },
]
