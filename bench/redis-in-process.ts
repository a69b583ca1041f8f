/** Bench `redis-in-process`: ioredis over our in-process transport against ioredis over TCP to redis-server, one
 *  call at a time, in alternating runs.
 *
 *  Goal in calls a second (issue 4): 5x, at `normal` against appendfsync everysec. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Redis as Client } from 'ioredis'
import { Redis } from '../compat/redis/index.ts'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { alternate, type Bench, type BenchRow } from './bench.ts'
import { startRedis } from './redis-servers.ts'

const name = 'redis-in-process'

/** ioredis in this process. */
export const redisInProcess: Bench = {
  name,
  about: 'ioredis in process against ioredis over TCP to redis-server: calls a second, one at a time',
  missing: () =>
    spawnSync('redis-server', ['--version']).error ? 'redis-server (apt install redis-server)' : undefined,
  async run({ quick, progress }) {
    const folder = temporaryFolder()
    const calls = quick ? 200 : 20_000
    const server = await startRedis(folder.path, 'everysec')
    const peer = new Client(server.port)
    const ours = new Redis({ dotdo: { data: join(folder.path, 'dotdo'), durability: 'normal' } })
    const cases: readonly (readonly [string, (redis: Client) => Promise<unknown>])[] = [
      ['set', (redis) => redis.set('key', 'value')],
      ['get', (redis) => redis.get('key')],
    ]
    const rateOf = (redis: Client, work: (redis: Client) => Promise<unknown>) => async () => {
      const startMs = performance.now()
      for (let i = 0; i < calls; i++) await work(redis)
      return calls / ((performance.now() - startMs) / 1000)
    }
    const rows: BenchRow[] = []
    try {
      for (const [test, work] of cases) {
        const sides = { ours: rateOf(ours, work), peer: rateOf(peer, work) }
        const rate = await alternate({
          ...sides,
          pairs: quick ? 1 : 5,
          progress: (text) => progress(`${test}: ${text}`),
        })
        rows.push({ name, case: `${test}, one call at a time`, unit: 'calls/s', ...rate })
      }
      return rows
    } finally {
      await Promise.all([ours.quit(), peer.quit()])
      await server.stop()
      folder.remove()
    }
  },
}
