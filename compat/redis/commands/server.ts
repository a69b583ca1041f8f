/** What the server says of itself: INFO, TIME.
 *
 *  Nothing is invented: a field that is not known here is left out.
 *
 *  @source https://redis.io/docs/latest/commands/info/ and config.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Keyspace } from '../program.ts'
import { PROGRAM } from '../routing.ts'
import { REDIS_VERSION, type RedisServer } from '../server.ts'
import type { Answer, Row, Session } from '../session.ts'
import type { Value } from '../value.ts'

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

function commandFields({ measured }: RedisServer): Fields {
  return [...measured.histograms].map(([name, { calls, totalMs }]) => {
    const each = ((totalMs * 1000) / calls).toFixed(2)
    return [`cmdstat_${name}`, `calls=${calls},usec=${totalMs * 1000},usec_per_call=${each}`]
  })
}

/** The sections that are told only when they are asked for. */
const furtherSections: readonly string[] = ['Commandstats']

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
  Commandstats: commandFields,
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
  const every = wanted.some((name) => ['all', 'everything'].includes(name))
  const usual = every || wanted.length === 0 || wanted.includes('default')
  const texts = Object.entries(sections)
    .filter(([name]) => {
      return wanted.includes(name.toLowerCase()) || (furtherSections.includes(name) ? every : usual)
    })
    .map(([name, fields]) => section(name, fields(session.server)))
  const finish = (): Value => ({ verbatim: texts.join('\r\n'), format: 'txt' })
  if (!wanted.some((name) => ['keyspace', 'all', 'everything'].includes(name))) return finish()
  return keyspace(session).then((fields) => {
    texts.push(section('Keyspace', fields))
    return finish()
  })
}

function time({ server }: Session): Value {
  const nowMs = server.clock.nowMs()
  return [String(Math.floor(nowMs / 1000)), String((nowMs % 1000) * 1000)]
}

const row = { mode: 'session', group: 'server' } as const

/** The rows of the server group that ask no shard. */
export const serverCommands: readonly Row[] = [
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
