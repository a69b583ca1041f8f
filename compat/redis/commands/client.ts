/** CLIENT and its subcommands.
 *  @source https://redis.io/docs/latest/commands/client/ and networking.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { countSubscriptions } from '../pubsub.ts'
import type { Answer, Row, Session } from '../session.ts'
import { readTimeout } from '../timeout.ts'
import { trackingInfo } from '../tracking.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError } from './arguments.ts'
import { describeClient } from './client-line.ts'
import { isPlainName, readInteger, setName } from './connection.ts'
import { caching, tracking } from './tracking.ts'

type Reader = (session: Session, argv: readonly Bin[]) => Answer

function describeAll(sessions: Iterable<Session>, nowMs: number): Value {
  const lines = [...sessions].map((session) => `${describeClient(session, nowMs)}\n`)
  return { verbatim: lines.join(''), format: 'txt' }
}

/** Make the test for clients of a type; replicas there are none.
 *  @throws invalid for a type Redis does not know */
function isOfType(type: Bin): (session: Session) => boolean {
  const name = type.toLowerCase()
  if (!['normal', 'master', 'replica', 'slave', 'pubsub'].includes(name)) {
    throw new Failure('invalid', `ERR Unknown client type '${type}'`)
  }
  return (session) => name === (countSubscriptions(session) > 0 ? 'pubsub' : 'normal')
}

const list: Reader = (session, argv) => {
  const { server } = session
  const nowMs = server.clock.nowMs()
  if (argv.length === 2) return describeAll(server.sessions.values(), nowMs)
  const [, , by = '', ...values] = argv
  if (/^type$/i.test(by) && values.length === 1) {
    return describeAll([...server.sessions.values()].filter(isOfType(values[0] as Bin)), nowMs)
  }
  if (!/^id$/i.test(by) || values.length === 0) throw syntaxError()
  const ids = values.map((value) => readInteger(value, 'ERR Invalid client ID'))
  const found = ids.map((id) => server.sessions.get(id)).filter((known) => known !== undefined)
  return describeAll(found, nowMs)
}

/** Read the filters of CLIENT KILL.
 *  @returns whether a session is meant */
function readFilters(session: Session, filters: readonly Bin[]): (other: Session) => boolean {
  const tests: ((other: Session) => boolean)[] = []
  let skipMe = true
  if (filters.length % 2 !== 0) throw syntaxError()
  for (let at = 0; at < filters.length; at += 2) {
    const value = filters[at + 1] as Bin
    const filter = (filters[at] as Bin).toLowerCase()
    if (filter === 'id') {
      const id = readInteger(value, 'ERR client-id should be greater than 0')
      if (id < 1) throw new Failure('invalid', 'ERR client-id should be greater than 0')
      tests.push(({ state }) => state.id === id)
    } else if (filter === 'type') {
      tests.push(isOfType(value))
    } else if (filter === 'addr') tests.push(({ state }) => state.address === value)
    else if (filter === 'laddr') tests.push(({ state }) => state.localAddress === value)
    else if (filter === 'user') tests.push(({ state }) => state.user === value)
    else if (filter === 'skipme' && /^(yes|no)$/i.test(value)) skipMe = /^yes$/i.test(value)
    else throw syntaxError()
  }
  return (other) => !(skipMe && other === session) && tests.every((test) => test(other))
}

function closeSession(session: Session, other: Session): void {
  if (other === session) session.closing = true
  else other.kill()
}

const kill: Reader = (session, argv) => {
  const { sessions } = session.server
  const [, , ...filters] = argv
  if (filters.length === 1) {
    const other = [...sessions.values()].find(({ state }) => state.address === filters[0])
    if (other === undefined) throw new Failure('invalid', 'ERR No such client')
    closeSession(session, other)
    return OK
  }
  const meant = [...sessions.values()].filter(readFilters(session, filters))
  for (const other of meant) closeSession(session, other)
  return meant.length
}

const setInfo: Reader = ({ state }, [, , attribute = '', value = '']) => {
  const name = attribute.toLowerCase()
  if (name !== 'lib-name' && name !== 'lib-ver') throw new Failure('invalid', `ERR Unrecognized option '${attribute}'`)
  if (!isPlainName(value)) {
    throw new Failure('invalid', `ERR ${attribute} cannot contain spaces, newlines or special characters.`)
  }
  if (name === 'lib-name') state.libraryName = value
  else state.libraryVersion = value
  return OK
}

const reply: Reader = ({ state }, [, , wanted = '']) => {
  const mode = wanted.toLowerCase()
  if (mode === 'on') {
    state.reply = 'on'
    return OK
  }
  if (mode !== 'off' && mode !== 'skip') throw syntaxError()
  if (mode === 'off' || state.reply !== 'off') state.reply = mode
  return undefined
}

function readSwitch([, , wanted = '']: readonly Bin[]): boolean {
  if (!/^(on|off)$/i.test(wanted)) throw syntaxError()
  return /^on$/i.test(wanted)
}

const unblock: Reader = ({ server }, argv) => {
  const id = readInteger(argv[2] as Bin)
  if (argv.length > 4 || (argv[3] !== undefined && !/^(timeout|error)$/i.test(argv[3]))) {
    throw new Failure('invalid', 'ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR')
  }
  const parked = server.sessions.get(id)?.parked
  parked?.release(/^error$/i.test(argv[3] ?? '') ? 'error' : 'timeout')
  return parked === undefined ? 0 : 1
}

const pause: Reader = ({ server, state }, [, , timeout = '', mode = 'all', ...more]) => {
  const timeoutMs = readTimeout({ timeoutAt: 0, unit: 'ms' }, [timeout]) as number
  if (more.length > 0) throw syntaxError()
  if (!/^(write|all)$/i.test(mode)) throw new Failure('invalid', 'ERR CLIENT PAUSE mode must be WRITE or ALL')
  server.pauses.begin(state.database, timeoutMs, /^all$/i.test(mode) ? 'all' : 'write')
  return OK
}

const unpause: Reader = ({ server, state }) => {
  server.pauses.end(state.database)
  return OK
}

interface Subcommand {
  name: string
  arity: number
  since: string
  summary: string
  run: Reader
  noMulti?: true
}

const subcommands: readonly Subcommand[] = [
  {
    name: 'caching',
    arity: 3,
    since: '6.0.0',
    summary: 'Instructs the server whether to track the keys in the next request.',
    run: caching,
  },
  {
    name: 'getname',
    arity: 2,
    since: '2.6.9',
    summary: 'Returns the name of the connection.',
    run: ({ state }) => state.name || null,
  },
  {
    name: 'getredir',
    arity: 2,
    since: '6.0.0',
    summary: "Returns the client ID to which the connection's tracking notifications are redirected.",
    run: ({ state }) => state.tracking?.redirect ?? -1,
  },
  {
    name: 'id',
    arity: 2,
    since: '5.0.0',
    summary: 'Returns the unique client ID of the connection.',
    run: ({ state }) => state.id,
  },
  {
    name: 'info',
    arity: 2,
    since: '6.2.0',
    summary: 'Returns information about the connection.',
    run: (session) => describeAll([session], session.server.clock.nowMs()),
  },
  { name: 'kill', arity: -3, since: '2.4.0', summary: 'Terminates open connections.', run: kill },
  { name: 'list', arity: -2, since: '2.4.0', summary: 'Lists open connections.', run: list },
  {
    name: 'no-evict',
    arity: 3,
    since: '7.0.0',
    summary: 'Sets the client eviction mode of the connection (no client is evicted here).',
    run: ({ state }, argv) => {
      state.noEvict = readSwitch(argv)
      return OK
    },
  },
  {
    name: 'no-touch',
    arity: 3,
    since: '7.2.0',
    summary: 'Controls whether commands sent by the client affect the LRU/LFU of accessed keys.',
    run: ({ state }, argv) => {
      state.noTouch = readSwitch(argv)
      return OK
    },
  },
  { name: 'pause', arity: -3, since: '3.0.0', summary: 'Suspends commands processing of the database.', run: pause },
  {
    name: 'reply',
    arity: 3,
    since: '3.2.0',
    summary: 'Instructs the server whether to reply to commands.',
    run: reply,
    noMulti: true,
  },
  {
    name: 'setinfo',
    arity: 4,
    since: '7.2.0',
    summary: 'Sets information specific to the client or connection.',
    run: setInfo,
  },
  {
    name: 'setname',
    arity: 3,
    since: '2.6.9',
    summary: 'Sets the connection name.',
    run: (session, argv) => {
      setName(session, argv[2] as Bin)
      return OK
    },
  },
  {
    name: 'tracking',
    arity: -3,
    since: '6.0.0',
    summary: 'Controls server-assisted client-side caching (NOLOOP is refused).',
    run: tracking,
  },
  {
    name: 'trackinginfo',
    arity: 2,
    since: '6.2.0',
    summary: 'Returns information about server-assisted client-side caching.',
    run: ({ state }) => trackingInfo(state.tracking),
  },
  {
    name: 'unblock',
    arity: -3,
    since: '5.0.0',
    summary: 'Unblocks a client blocked by a blocking command from a different connection.',
    run: unblock,
  },
  {
    name: 'unpause',
    arity: 2,
    since: '6.2.0',
    summary: 'Resumes processing commands from paused clients.',
    run: unpause,
  },
]

const row = { mode: 'session', group: 'connection' } as const

/** CLIENT and its subcommands. */
export const clientCommands: readonly Row[] = [
  { ...row, name: 'client', arity: -2, since: '2.4.0', summary: 'A container for client connection commands.' },
  ...subcommands.map(({ name, run, ...rest }): Row => ({ ...row, ...rest, name: `client|${name}`, session: run })),
]
