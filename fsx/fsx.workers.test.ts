/** The filesystem inside workerd, over the storage of a Durable Object. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectStorage } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { StopSwitch } from '../core/cdc/index.ts'
import { Failure } from '../core/errors.ts'
import { workersClock } from '../core/host/workers/clock.ts'
import { createWorkersSql } from '../core/host/workers/sql.ts'
import { Shard, SYSTEM } from '../core/shard/index.ts'
import { createFileSystem } from './api/filesystem.ts'
import { fsxCases, type Opened } from './fsx.conformance.ts'
import { lockCases } from './locks.conformance.ts'
import { fsxProgram } from './program.ts'
import { spaceCases } from './space.conformance.ts'
import { watchCases } from './watch.conformance.ts'

const bugs: unknown[] = []

/** The shard that is open now: whatever was opened before goes on with it. */
interface Place {
  readonly storage: DurableObjectStorage
  readonly ended: StopSwitch
  shard?: Shard
}

async function open(place: Place): Promise<Opened> {
  const { storage, ended } = place
  const sql = createWorkersSql(storage)
  const shard = new Shard({ sql, clock: workersClock, programs: [fsxProgram], onBug: (error) => bugs.push(error) })
  place.shard = shard
  const here = () => place.shard as Shard
  const call = async (program: string, name: string, args: object) => {
    const [reply] = await here().submit([{ program, name, slot: program === SYSTEM ? -1 : 0, epoch: 1, args }])
    if (reply instanceof Failure) throw reply
    return reply
  }
  await call(SYSTEM, 'assign', { epoch: 1, slots: [[0, 16_383]] })
  const another = () =>
    createFileSystem({
      call: (name, args) => call('fsx', name, args),
      waiting: { clock: workersClock, ended, awaitChange: (seq, waitMs) => here().awaitChange(seq, waitMs) },
    })
  return {
    fs: another(),
    another,
    async reopen(crash = false) {
      if (!crash) shard.close()
      return open(place)
    },
  }
}

describe('a filesystem over the storage of a Durable Object', () => {
  it.each([...fsxCases, ...watchCases, ...lockCases, ...spaceCases])('$name', async ({ run }) => {
    await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
      const ended = new StopSwitch()
      await run(await open({ storage, ended }), expect)
      ended.abort()
    })
    expect(bugs).toEqual([])
  })
})
