/** Tiers in Node: over files, a store that fails, clocks and threads. */
import { afterEach, describe, expect, it } from 'vitest'
import { nodeClock } from '../core/host/node/clock.ts'
import { openTestShard, type TestShard } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { sha256 } from '../core/host/sha256.ts'
import { counted, memoryObjects, type ObjectStore } from '../core/tiering/index.ts'
import { createFileSystem, fsxProgram } from './index.ts'
import { type Tiered, tierCases } from './tiers.conformance.ts'
import { besideCaller, besideOf } from './tiers.testing.ts'

const codec = await openZstd()
let shard: TestShard | undefined
afterEach(async () => {
  expect(await shard?.call('fsx', 'fsck', {})).toEqual([])
  shard?.close()
})

async function keysOf(store: ObjectStore): Promise<string[]> {
  return (await store.list()).objects.map(({ key }) => key)
}

/** Open a filesystem over a store. */
async function openTiered(store: ObjectStore = memoryObjects(nodeClock)): Promise<Tiered> {
  const counting = counted(store)
  let test: TestShard
  const beside = besideOf(() => test.shard, { store: counting, codec, sha256 })
  const opened = (): Tiered => {
    shard = test
    return {
      fs: createFileSystem(besideCaller(test.shard, beside)),
      counts: counting.counts,
      keys: () => keysOf(store),
      async reopen(crash = false) {
        test = await test.reopen({ crash })
        return opened()
      },
    }
  }
  test = await openTestShard([fsxProgram], { fetchCold: (_, cold) => beside.fetchCold(cold) })
  return opened()
}

describe('tiers over files', () => {
  it.each(tierCases)('$name', async ({ run }) => {
    await run(await openTiered(), expect)
  })
})
