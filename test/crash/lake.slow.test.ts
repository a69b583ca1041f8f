/** kill -9 of a tiered server, DOTDO_ROUNDS times (50), shared out over shards, threads and stores: hot and cold
 *  together stay what was written. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { startTestS3, type TestS3 } from '../s3/server.ts'
import { Random } from '../sim/random.ts'
import { failNowAndThen, type LakeSetup, lakeRounds } from './lake.ts'

const setups: readonly LakeSetup[] = [1, 4].flatMap((shards) => [0, 2].map((threads) => ({ shards, threads })))
const rounds = Math.ceil(Number(process.env.DOTDO_ROUNDS ?? 50) / (setups.length + 1))

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

async function kill(setup: LakeSetup, seed: number): Promise<void> {
  const { problems, writes, done } = await lakeRounds(join(folder.path, 'data'), setup, { rounds, seed })
  expect(problems).toEqual([])
  expect(writes).toBeGreaterThan(rounds)
  expect(done.get('flush')).toBeGreaterThan(0)
}

it.each(setups)(`${rounds} rounds of kill -9: $shards shards, $threads threads`, async (setup) => {
  await kill(setup, Date.now() % 2 ** 31)
})

describe('a lake in S3', () => {
  let s3: TestS3
  beforeEach(async () => {
    s3 = await startTestS3()
  })
  afterEach(() => s3.close())

  it(`that fails now and then: ${rounds} rounds of kill -9`, async () => {
    const seed = Date.now() % 2 ** 31
    failNowAndThen(s3, new Random(seed, 1))
    await kill({ shards: 4, threads: 2, s3 }, seed)
  })
})
