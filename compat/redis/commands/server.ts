/** What the server says of itself: INFO, CONFIG, TIME.
 *
 *  Nothing is invented: a field that is not known here is left out, and a setting that cannot be changed is refused.
 *
 *  @source https://redis.io/docs/latest/commands/info/ and config.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_BULK_BYTES_MAX } from '@dotdo/core/limits'
import { globMatches } from '../engine/glob.ts'
import type { Keyspace } from '../program.ts'
import { PROGRAM } from '../routing.ts'
import { REDIS_VERSION, type RedisServer, resetCounters } from '../server.ts'
import type { Answer, Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'

type Fields = [name: string, value: string | number][]

function serverFields({ info, clock }: RedisServer): Fields {
  const nowMs = clock.nowMs()
  const upSeconds = Math.max(0, Math.floor((nowMs - info.startedMs) / 1000))
  const fields: Fields = [
    ['redis_version', REDIS_VERSION],
    ['dotdo_version', info.version],
    ['redis_mode', 'standalone'],
    ['run_id', info.runId],
    ['server_time_usec', nowMs * 1000],
    ['uptime_in_seconds', upSeconds],
    ['uptime_in_days', Math.floor(upSeconds / 86_400)],
  ]
  if (info.processId !== undefined) fields.push(['process_id', info.processId])
  if (info.port !== undefined) fields.push(['tcp_port', info.port])
  return fields
}

function memoryFields({ info }: RedisServer): Fields {
  const memory = info.memory?.()
  const policy: Fields = [
    ['maxmemory', 0],
    ['maxmemory_policy', 'noeviction'],
  ]
  if (memory === undefined) return policy
  return [['used_memory', memory.usedBytes], ['used_memory_rss', memory.residentBytes], ...policy]
}

function statsFields({ counters }: RedisServer): Fields {
  return [
    ['total_connections_received', counters.connections],
    ['total_commands_processed', counters.commands],
    ['total_net_input_bytes', counters.inputBytes],
    ['total_net_output_bytes', counters.outputBytes],
    ['rejected_connections', counters.rejectedConnections],
    ['total_error_replies', counters.errorReplies],
  ]
}

function cpuFields({ info }: RedisServer): Fields {
  const cpu = info.cpu?.()
  if (cpu === undefined) return []
  return [
    ['used_cpu_sys', cpu.systemSeconds.toFixed(6)],
    ['used_cpu_user', cpu.userSeconds.toFixed(6)],
  ]
}

/** The sections in the order of INFO, but for Keyspace, which asks the shards. */
const sections: Record<string, (server: RedisServer) => Fields> = {
  Server: serverFields,
  Clients: ({ sessions, waiters }) => [
    ['connected_clients', sessions.size],
    ['blocked_clients', waiters.size],
  ],
  Memory: memoryFields,
  Persistence: () => [
    ['loading', 0],
    ['async_loading', 0],
  ],
  Stats: statsFields,
  Replication: () => [
    ['role', 'master'],
    ['connected_slaves', 0],
  ],
  CPU: cpuFields,
  Cluster: () => [['cluster_enabled', 0]],
}

function section(name: string, fields: Fields): string {
  return `# ${name}\r\n${fields.map(([field, value]) => `${field}:${value}\r\n`).join('')}`
}

/** Count the keys of every numbered database. */
async function keyspace(session: Session): Promise<Fields> {
  const pendings = await session.withPlan((plan) => plan.all({ program: PROGRAM, name: 'keyspace', args: {} }))
  await session.runPlan()
  const totals = new Map<number, Keyspace>()
  for (const { reply } of pendings) {
    if (reply instanceof Failure) throw reply
    for (const { db, keys, expires } of reply as Keyspace[]) {
      const total = totals.get(db) ?? { db, keys: 0, expires: 0 }
      totals.set(db, { db, keys: total.keys + keys, expires: total.expires + expires })
    }
  }
  return [...totals.values()]
    .sort((a, b) => a.db - b.db)
    .map(({ db, keys, expires }) => [`db${db}`, `keys=${keys},expires=${expires}`])
}

/** INFO asks no shard unless its section Keyspace is named: clients send it whenever they connect. */
function info(session: Session, argv: readonly Bin[]): Answer {
  const wanted = argv.slice(1).map((name) => name.toLowerCase())
  const all = wanted.length === 0 || wanted.some((name) => ['default', 'all', 'everything'].includes(name))
  const texts = Object.entries(sections)
    .filter(([name]) => all || wanted.includes(name.toLowerCase()))
    .map(([name, fields]) => section(name, fields(session.server)))
  const finish = (): Value => ({ verbatim: texts.join('\r\n'), format: 'txt' })
  if (!wanted.some((name) => ['keyspace', 'all', 'everything'].includes(name))) return finish()
  return keyspace(session).then((fields) => {
    texts.push(section('Keyspace', fields))
    return finish()
  })
}

/** The settings of Redis that have an equivalent here. */
function settings({ info, notifications }: RedisServer): Record<string, string> {
  return {
    // Every write is in the log before it is acknowledged; there are no snapshots to schedule.
    appendonly: 'yes',
    appendfsync: info.durability === 'full' ? 'always' : 'no',
    save: '',
    databases: '16',
    maxmemory: '0',
    'maxmemory-policy': 'noeviction',
    'proto-max-bulk-len': String(REDIS_BULK_BYTES_MAX),
    timeout: '0',
    'cluster-enabled': 'no',
    'notify-keyspace-events': notifications.setting.text,
    ...(info.port === undefined ? {} : { port: String(info.port) }),
  }
}

function configGet({ server }: Session, [, , ...patterns]: readonly Bin[]): Value {
  const wanted = patterns.map((pattern) => pattern.toLowerCase())
  const found = Object.entries(settings(server)).filter(([name]) =>
    wanted.some((pattern) => globMatches(pattern, name)),
  )
  return { map: found }
}

function configSet({ server }: Session, [, , name = '', value = '', ...more]: readonly Bin[]): Promise<Value> {
  if (name.toLowerCase() === 'notify-keyspace-events' && more.length === 0) {
    if (server.alone && value !== '')
      throw new Failure('unsupported', 'ERR CONFIG SET failed - there is no pub/sub here')
    return server.notifications.set(value).then(() => OK)
  }
  if (!Object.hasOwn(settings(server), name.toLowerCase())) {
    throw new Failure('invalid', `ERR Unknown option or number of arguments for CONFIG SET - '${name}'`)
  }
  const why = "can't set immutable config"
  throw new Failure('invalid', `ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`)
}

function configResetStat({ server }: Session): Value {
  resetCounters(server.counters)
  return OK
}

function configRewrite(): never {
  throw new Failure('invalid', 'ERR The server is running without a config file')
}

function time({ server }: Session): Value {
  const nowMs = server.clock.nowMs()
  return [String(Math.floor(nowMs / 1000)), String((nowMs % 1000) * 1000)]
}

const row = { mode: 'session', group: 'server' } as const

/** The rows of the server group that ask no shard. */
export const serverCommands: readonly Row[] = [
  { ...row, name: 'config', arity: -2, since: '2.0.0', summary: 'A container for server configuration commands.' },
  {
    ...row,
    name: 'config|get',
    arity: -3,
    since: '2.0.0',
    summary: 'Returns the effective values of configuration parameters.',
    session: configGet,
  },
  {
    ...row,
    name: 'config|resetstat',
    arity: 2,
    since: '2.0.0',
    summary: "Resets the server's statistics.",
    session: configResetStat,
  },
  {
    ...row,
    name: 'config|rewrite',
    arity: 2,
    since: '2.8.0',
    summary: 'Refused: there is no configuration file.',
    session: configRewrite,
  },
  {
    ...row,
    name: 'config|set',
    arity: -4,
    since: '2.0.0',
    summary: 'Refused: parameters are set when the server starts.',
    session: configSet,
  },
  {
    ...row,
    name: 'info',
    arity: -1,
    since: '1.0.0',
    summary: 'Returns information and statistics about the server.',
    session: info,
  },
  { ...row, name: 'time', arity: 1, since: '2.6.0', summary: 'Returns the server time.', session: time },
]
