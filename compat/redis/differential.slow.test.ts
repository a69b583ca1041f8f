/** Random commands, against us and against a real Redis: the long run. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { compareSessions } from './differential.testing.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'

const version = installedVersion()
const title = version === undefined ? 'no redis-server is installed: only that no command is a bug' : `Redis ${version}`

describe(`random commands: ${title}`, () => {
  let ours: TestRedis
  let real: RealRedis | undefined
  beforeAll(async () => {
    ours = await TestRedis.open({ dirtyRows: 20, cachedRows: 10, redoBytes: 2000 })
    if (version !== undefined) real = await RealRedis.start()
  })
  afterAll(async () => {
    ours.close()
    await real?.stop()
  })

  test('have the same replies', () =>
    compareSessions(ours, real, { sessions: Number(process.env.DOTDO_DIFFERENTIAL_RUNS ?? 2000), length: 60 }))
})
