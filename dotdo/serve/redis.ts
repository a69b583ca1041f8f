/** Redis as a dialect of the server. Node only. */
import { randomBytes } from 'node:crypto'
import { REDIS_CLIENTS_MAX } from '@dotdo/core/limits'
import { createRedisServer, type RedisServer, type ServerInfo } from '@dotdo/redis/server'
import type { Dialect, DialectParts } from './dialects.ts'
import { addCounter } from './metrics.ts'

/** @source https://redis.io/docs/latest/develop/reference/clients/ : said once, then the connection is closed */
const tooMany = new TextEncoder().encode('-ERR max number of clients reached\r\n')

function infoOf({ version, startedMs, durability }: DialectParts): ServerInfo {
  return {
    version,
    runId: randomBytes(20).toString('hex'),
    durability,
    startedMs,
    processId: process.pid,
    memory() {
      const { heapUsed, rss } = process.memoryUsage()
      return { usedBytes: heapUsed, residentBytes: rss }
    },
    cpu() {
      const { system, user } = process.cpuUsage()
      return { systemSeconds: system / 1e6, userSeconds: user / 1e6 }
    },
  }
}

function count(server: RedisServer, { registry }: DialectParts): void {
  const add = (name: string, help: string, read: () => number) => {
    addCounter(registry, { name: `dotdo_redis_${name}`, help, read: () => [[{}, read()]] })
  }
  const { counters } = server
  add('connections_accepted_total', 'Connections accepted.', () => counters.connections)
  add('connections_refused_total', 'Connections refused: too many.', () => counters.rejectedConnections)
  add('commands_total', 'Commands received.', () => counters.commands)
  addCounter(registry, {
    name: 'dotdo_redis_commands_by_name_total',
    help: 'Known commands received, by name.',
    labelNames: ['command'],
    read: () => [...counters.byCommand].map(([command, calls]) => [{ command }, calls]),
  })
  add('error_replies_total', 'Replies that were errors.', () => counters.errorReplies)
  add('received_bytes_total', 'Bytes of requests.', () => counters.inputBytes)
  add('sent_bytes_total', 'Bytes of replies.', () => counters.outputBytes)
}

/** Redis: RESP2 and RESP3 over TCP. */
export const redis: Dialect = {
  name: 'redis',
  title: 'Redis',
  portDefault: 6379,
  connectionsMax: REDIS_CLIENTS_MAX,
  example: (host, port) => `redis-cli -h ${host} -p ${port}`,
  start(parts) {
    const { fabric, clock, authenticate, onBug } = parts
    const info = infoOf(parts)
    const shutdown = () => parts.shutdown('SHUTDOWN')
    const server = createRedisServer({ fabric, clock, info, onBug, shutdown, ...(authenticate && { authenticate }) })
    count(server, parts)
    return {
      connect: (connection) => server.connect(connection),
      http: { redis: server },
      listening(port) {
        info.port = port
      },
      refuse() {
        server.counters.rejectedConnections += 1
        return tooMany
      },
    }
  },
}
