/** CONFIG and its subcommands. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { globMatches } from '../engine/glob.ts'
import { resetCounters } from '../server.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { wrongArity } from './arguments.ts'

function get({ server }: Session, [, , ...patterns]: readonly Bin[]): Value {
  const wanted = patterns.map((pattern) => pattern.toLowerCase())
  return { map: server.config.all().filter(([name]) => wanted.some((pattern) => globMatches(pattern, name))) }
}

function set({ server }: Session, [, , ...words]: readonly Bin[]): Value {
  if (words.length % 2 !== 0) throw wrongArity('config|set')
  server.config.set(words.flatMap((name, i) => (i % 2 === 0 ? [[name, words[i + 1] as Bin] as const] : [])))
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
    summary: 'Sets what can be set while the server runs: slow log, latency monitor, ACL log; others are as they are.',
    session: set,
  },
]
