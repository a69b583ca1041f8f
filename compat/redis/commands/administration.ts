/** Durability and replication as administrators and libraries ask for them: what is true here is answered, and what
 *  cannot be done is refused.
 *  @source https://redis.io/docs/latest/commands/?group=server, Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { parseInt64 } from '../engine/integers.ts'
import { REDIS_VERSION } from '../server.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'

function checkTimeout(argument: Bin): void {
  if (parseInt64(argument) === undefined) throw new Failure('invalid', 'ERR timeout is not an integer or out of range')
  if (toInteger(argument) < 0) throw new Failure('invalid', 'ERR timeout is negative')
}

/** There are no replicas to wait for: waiting would change nothing. */
function wait(_: Session, argv: readonly Bin[]): Value {
  toInteger(argv[1] as Bin)
  checkTimeout(argv[2] as Bin)
  return 0
}

/** Under durability `full` a write is on disk before it is acknowledged. */
function waitaof({ server }: Session, argv: readonly Bin[]): Value {
  const local = toInteger(argv[1] as Bin)
  if (local < 0 || local > 1) throw new Failure('invalid', 'ERR value is out of range, must be between 0 and 1')
  if (toInteger(argv[2] as Bin) < 0) throw new Failure('invalid', 'ERR value is out of range, must be positive')
  checkTimeout(argv[3] as Bin)
  return [server.info.durability === 'full' ? 1 : 0, 0]
}

/** Whatever has been acknowledged is saved; under `normal` it may take the system a moment to write it to the disk. */
function save({ server }: Session): Value {
  if (server.info.durability === 'full') return OK
  throw new Failure(
    'unsupported',
    'ERR SAVE is not supported under durability normal: writes are not synced one by one',
  )
}

function saveInBackground(_: Session, argv: readonly Bin[]): Value {
  if (argv.length > 2 || (argv[1] !== undefined && !/^schedule$/i.test(argv[1]))) throw syntaxError()
  return { simple: 'Every write is in the log already' }
}

/** Stop the process. As after a signal, nothing that was acknowledged is lost, whatever NOSAVE, NOW and FORCE say.
 *  @source https://redis.io/docs/latest/commands/shutdown/ : no reply when it succeeds, the connection is closed */
function shutdown(session: Session, argv: readonly Bin[]): undefined {
  const words = argv.slice(1).map((word) => word.toLowerCase())
  if (words.some((word) => !['nosave', 'save', 'now', 'force', 'abort'].includes(word))) throw syntaxError()
  if (words.includes('abort')) throw new Failure('invalid', 'ERR No shutdown in progress.')
  if (words.includes('save') && words.includes('nosave')) throw syntaxError()
  if (session.server.shutdown === undefined) {
    throw new Failure('unsupported', "ERR SHUTDOWN is not supported here: the process is not the clients' to stop")
  }
  session.closing = true
  session.server.shutdown()
}

function lolwut(_: Session, argv: readonly Bin[]): Value {
  if (argv.length > 1 && /^version$/i.test(argv[1] as Bin)) toInteger(argv[2] ?? '')
  const art = ['      .--.', '  .--(    )--.', ' (  dot    do  )', "  '--.____.--'"].join('\n')
  return { verbatim: `${art}\nRedis ver. ${REDIS_VERSION}\n`, format: 'txt' }
}

const row = { mode: 'session', group: 'server' } as const

/** Rows of the groups `server` and `generic` that speak of durability and replication. */
export const administrationCommands: readonly Row[] = [
  {
    ...row,
    name: 'bgrewriteaof',
    arity: 1,
    since: '1.0.0',
    summary: 'Does nothing: the log is let go of as it is materialised.',
    session: () => ({ simple: 'The log is kept short on its own' }),
  },
  {
    ...row,
    name: 'bgsave',
    arity: -1,
    since: '1.0.0',
    summary: 'Does nothing: every write is in the log before it is acknowledged.',
    session: saveInBackground,
  },
  {
    ...row,
    name: 'lastsave',
    arity: 1,
    since: '1.0.0',
    summary: 'Returns the present second: every write is saved as it is made.',
    session: ({ server }) => Math.floor(server.clock.nowMs() / 1000),
  },
  { ...row, name: 'lolwut', arity: -1, since: '5.0.0', summary: 'Shows art and the version.', session: lolwut },
  {
    ...row,
    name: 'role',
    arity: 1,
    since: '2.8.12',
    summary: 'Returns master without replicas.',
    session: () => ['master', 0, []],
  },
  {
    ...row,
    name: 'save',
    arity: 1,
    since: '1.0.0',
    noMulti: true,
    summary: 'Returns OK under durability full, where every write is synced; refused under normal.',
    session: save,
  },
  {
    ...row,
    name: 'shutdown',
    arity: -1,
    since: '1.0.0',
    noMulti: true,
    summary: 'Stops `dotdo serve` as SIGTERM does; refused in process and in Workers.',
    session: shutdown,
  },
  {
    ...row,
    group: 'generic',
    name: 'wait',
    arity: 3,
    since: '3.0.0',
    summary: 'Returns 0 at once: there are no replicas to wait for.',
    session: wait,
  },
  {
    ...row,
    group: 'generic',
    name: 'waitaof',
    arity: 4,
    since: '7.2.0',
    summary: 'Returns 1 under durability full, else 0, and no replicas.',
    session: waitaof,
  },
]
