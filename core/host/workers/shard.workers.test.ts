/** The conformance list of the shard, inside workerd over the storage of a Durable Object. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectStorage } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { coldCases } from '../../shard/cold.conformance.ts'
import { coldProgram } from '../../shard/cold.testing.ts'
import type { ColdRow } from '../../shard/cold.ts'
import { patchCases } from '../../shard/patch.conformance.ts'
import { tapeProgram } from '../../shard/patch.testing.ts'
import { type OpenedShard, type OpenOptions, ShardTest, shardCases } from '../../shard/shard.conformance.ts'
import { Shard } from '../../shard/shard.ts'
import { SYSTEM } from '../../shard/system.ts'
import { testProgram } from '../../shard/testing.ts'
import { workersClock } from './clock.ts'
import { createWorkersSql } from './sql.ts'

const bugs: unknown[] = []

async function open(storage: DurableObjectStorage, options: OpenOptions): Promise<OpenedShard> {
  const { limits, onBug, fetchCold } = options
  const sql = createWorkersSql(storage)
  const parts = {
    sql,
    clock: workersClock,
    programs: [testProgram, coldProgram, tapeProgram],
    ...(limits && { limits }),
  }
  const shard: Shard = new Shard({
    ...parts,
    onBug: onBug ?? ((error) => bugs.push(error)),
    ...(fetchCold && { fetchCold: (cold: readonly ColdRow[]) => fetchCold(shard, cold) }),
  })
  const system: OpenedShard['system'] = async (name, args) => {
    const [reply] = await shard.submit([{ program: SYSTEM, name, slot: -1, epoch: 1, args }])
    if (reply instanceof Failure) throw reply
    return reply
  }
  await system('assign', { epoch: 1, slots: [[0, 16_383]] })
  return {
    shard,
    sql,
    system,
    reopen({ crash = false } = {}) {
      if (!crash) shard.close()
      return open(storage, options)
    },
  }
}

describe('a shard over the storage of a Durable Object', () => {
  it.each([...shardCases, ...coldCases, ...patchCases])('$about: $name', async ({ run }) => {
    await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), (_, { storage }) => {
      return run(new ShardTest((options) => open(storage, options)), expect)
    })
    expect(bugs).toEqual([])
  })
})
