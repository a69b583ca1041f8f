/** CONFIG and its subcommands. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { globMatches } from '../engine/glob.ts'
import { Setting } from '../notifications.ts'
import { resetCounters } from '../server.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { wrongArity } from './arguments.ts'

/** The parameter that keyspace notifications follow. */
const NOTIFY = 'notify-keyspace-events'

function get({ server }: Session, [, , ...patterns]: readonly Bin[]): Value {
  const wanted = patterns.map((pattern) => pattern.toLowerCase())
  const all = [...server.config.all(), [NOTIFY, server.notifications.setting.text] as const]
  return { map: all.filter(([name]) => wanted.some((pattern) => globMatches(pattern, name))) }
}

async function set({ server }: Session, [, , ...words]: readonly Bin[]): Promise<Value> {
  if (words.length % 2 !== 0) throw wrongArity('config|set')
  const pairs = words.flatMap((name, i) => (i % 2 === 0 ? [[name, words[i + 1] as Bin] as const] : []))
  const isNotify = ([name]: (typeof pairs)[number]) => name.toLowerCase() === NOTIFY
  const [notify, again] = pairs.filter(isNotify)
  // All or none: what is wrong with this one is found before the others are set.
  const events = notify && new Setting(notify[1])
  if (events?.isOn && server.alone) {
    throw new Failure('unsupported', 'ERR CONFIG SET failed - there is no pub/sub here')
  }
  server.config.set(again === undefined ? pairs.filter((pair) => !isNotify(pair)) : pairs)
  if (notify) await server.notifications.set(notify[1])
  return OK
}

function resetStat({ server }: Session): Value {
  resetCounters(server.counters)
  server.measured.reset()
  return OK
}

function rewrite(): never {
  throw new Failure('invalid', 'ERR The server is running without a config file')
}

const row = { mode: 'session', group: 'server', since: '2.0.0' } as const

/** CONFIG and its subcommands. */
export const configCommands: readonly Row[] = [
  { ...row, name: 'config', arity: -2, summary: 'A container for server configuration commands.' },
  { ...row, name: 'config|get', arity: -3, summary: 'Returns the parameters that match patterns.', session: get },
  { ...row, name: 'config|resetstat', arity: 2, summary: "Resets the server's statistics.", session: resetStat },
  {
    ...row,
    name: 'config|rewrite',
    arity: 2,
    since: '2.8.0',
    summary: 'Refused: there is no configuration file.',
    session: rewrite,
  },
  {
    ...row,
    name: 'config|set',
    arity: -4,
    summary:
      'Sets what can be set while the server runs: slow log, latency monitor, ACL log, events; others are as they are.',
    session: set,
  },
]
