/** The Redis server of a Worker, for a tunnel's object or for one request over HTTP. Workers only. */
import { workersClock } from '@dotdo/core/host/workers'
import { REDIS_USERS_REFRESH_MS } from '@dotdo/core/limits'
import type { Fabric } from '@dotdo/core/shard'
import { createRedisServer, type RedisServer } from '@dotdo/redis/server'
import manifest from '../package.json' with { type: 'json' }
import { authenticateOf, type Environment, logBug } from './environment.ts'

/** Make the server over a fabric. */
export function redisServer(environment: Environment, fabric: Fabric): RedisServer {
  const authenticate = authenticateOf(environment)
  return createRedisServer({
    fabric,
    clock: workersClock,
    onBug: logBug,
    alone: true,
    // What another server changes of the users must hold here soon.
    usersRefreshMs: REDIS_USERS_REFRESH_MS,
    info: {
      version: manifest.version,
      runId: Buffer.from(crypto.getRandomValues(new Uint8Array(20))).toString('hex'),
      durability: 'full',
      startedMs: workersClock.nowMs(),
    },
    ...(authenticate && { authenticate }),
  })
}
