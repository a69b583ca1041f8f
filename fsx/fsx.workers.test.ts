/** The filesystem inside workerd, over the storage of a Durable Object. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectStorage } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { workersClock } from '../core/host/workers/clock.ts'
import { createWorkersSql } from '../core/host/workers/sql.ts'
import { Shard, SYSTEM } from '../core/shard/index.ts'
import { createFileSystem } from './api/filesystem.ts'
import { fsxCases, type Opened } from './fsx.conformance.ts'
import { fsxProgram } from './program.ts'

const bugs: unknown[] = []

async function open(storage: DurableObjectStorage): Promise<Opened> {
  const sql = createWorkersSql(storage)
  const shard = new Shard({ sql, clock: workersClock, programs: [fsxProgram], onBug: (error) => bugs.push(error) })
  const call = async (program: string, name: string, args: object) => {
    const [reply] = await shard.submit([{ program, name, slot: program === SYSTEM ? -1 : 0, epoch: 1, args }])
    if (reply instanceof Failure) throw reply
    return reply
  }
  await call(SYSTEM, 'assign', { epoch: 1, slots: [[0, 16_383]] })
  return {
    fs: createFileSystem({ call: (name, args) => call('fsx', name, args) }),
    async reopen(crash = false) {
      if (!crash) shard.close()
      return open(storage)
    },
  }
}

describe('a filesystem over the storage of a Durable Object', () => {
  it.each(fsxCases)('$name', async ({ run }) => {
    await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
      await run(await open(storage), expect)
    })
    expect(bugs).toEqual([])
  })
})
