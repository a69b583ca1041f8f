/** kill -9 of a tiered server in short: one round. The others are in lake.slow.test.ts. */
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { lakeRounds } from './lake.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

it('hot and cold together are what was written, after a kill -9', async () => {
  const seed = Date.now() % 2 ** 31
  const { problems, writes, done } = await lakeRounds(
    join(folder.path, 'data'),
    { shards: 2, threads: 2, batches: 40 },
    { rounds: 1, seed },
  )
  expect(problems).toEqual([])
  expect(writes).toBeGreaterThan(0)
  expect([...done.keys()]).toEqual(expect.arrayContaining(['flush', 'maintain', 'sql']))
  // Some seconds; processes are started five times, on a machine that may be busy.
}, 90_000)
