/** Tiers inside workerd: the storage of a Durable Object, and R2. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectStorage } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../core/host/sha256.ts'
import { workersClock } from '../core/host/workers/clock.ts'
import { r2Objects } from '../core/host/workers/r2-objects.ts'
import { createWorkersSql } from '../core/host/workers/sql.ts'
import { workersZstd } from '../core/host/workers/zstd.ts'
import { Shard, SYSTEM } from '../core/shard/index.ts'
import { type CountedStore, counted } from '../core/tiering/index.ts'
import { createFileSystem } from './api/filesystem.ts'
import { fsxProgram } from './program.ts'
import { type Tiered, tierCases } from './tiers.conformance.ts'
import { besideCaller, besideOf } from './tiers.testing.ts'

const bugs: unknown[] = []

async function open(storage: DurableObjectStorage, store: CountedStore): Promise<Tiered> {
  const beside = besideOf(() => shard, { store, codec: workersZstd, sha256 })
  const shard: Shard = new Shard({
    sql: createWorkersSql(storage),
    clock: workersClock,
    programs: [fsxProgram],
    fetchCold: beside.fetchCold,
    onBug: (error) => bugs.push(error),
  })
  await shard.submit([
    { program: SYSTEM, name: 'assign', slot: -1, epoch: 1, args: { epoch: 1, slots: [[0, 16_383]] } },
  ])
  return {
    fs: createFileSystem(besideCaller(shard, beside)),
    counts: store.counts,
    keys: async () => (await store.list()).objects.map(({ key }) => key),
    async reopen(crash = false) {
      if (!crash) shard.close()
      return open(storage, store)
    },
  }
}

describe('tiers over R2', () => {
  it.each(tierCases)('$name', async ({ run }) => {
    await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
      const store = counted(r2Objects(env.BUCKET))
      await store.delete((await store.list()).objects.map(({ key }) => key))
      await run(await open(storage, store), expect)
    })
    expect(bugs).toEqual([])
  })
})
