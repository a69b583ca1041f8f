/** A shard's object inside workerd: what crosses its wire, when its alarm is set, how it ends when storage fails. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectState } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { redisProgram } from '../../../compat/redis/program.ts'
import { Failure } from '../../errors.ts'
import { coldCall, coldProgram, fetchFromLake } from '../../shard/cold.testing.ts'
import type { ShardWork } from '../../shard/job.ts'
import type { Call } from '../../shard/program.ts'
import { SYSTEM } from '../../shard/system.ts'
import { createPlacement } from './fabric.ts'
import { shardObject } from './shard-object.ts'
import type { ShardRpc, WireReplies } from './wire.ts'

const TestShard = shardObject({ programs: [redisProgram] })
type TestShard = InstanceType<typeof TestShard>

const system = (name: string, args: unknown): Call => ({ program: SYSTEM, name, slot: -1, epoch: 1, args })
const redis = (...argv: string[]): Call => {
  const name = (argv[0] as string).toLowerCase()
  return { program: 'redis', name, slot: -1, epoch: 1, args: { argv, db: 0 } }
}

async function open(state: DurableObjectState): Promise<TestShard> {
  const object = new TestShard(state as never, {})
  await object.submit([system('assign', { epoch: 1, slots: [[0, 16_383]] })])
  return object
}

const run = async (object: TestShard, ...calls: Call[]) => ((await object.submit(calls)) as WireReplies).replies

/** Work on an object of its own. */
function inside(work: (object: TestShard, state: DurableObjectState) => Promise<void>): Promise<void> {
  return runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, state) => work(await open(state), state))
}

describe("a shard's object", () => {
  it('answers failures as plain data, each in its place', () =>
    inside(async (object) => {
      expect(await run(object, redis('SET', 'a', '1'), redis('HGET', 'a', 'f'), redis('GET', 'a'))).toEqual([
        { simple: 'OK' },
        { failure: 'type_mismatch', message: expect.any(String) },
        '1',
      ])
      expect(await run(object, { ...redis('GET', 'a'), program: 'none' })).toMatchObject([{ failure: 'unsupported' }])
    }))

  it('tells who waits of a change', () =>
    inside(async (object) => {
      const waiting = object.awaitChange(0, 60_000)
      await run(object, redis('SET', 'a', '1'))
      expect(await waiting).toBe(null)
      expect(await object.awaitChange(1, 1)).toBe(null)
    }))

  it('sets its alarm for the first time something is due, and moves it only forward', () =>
    inside(async (object, { storage }) => {
      const due = async () => Math.round(((await storage.getAlarm()) ?? Number.NaN) / 1_000 - Date.now() / 1_000)
      await run(object, redis('SET', 'a', '1'))
      expect(await storage.getAlarm()).toBe(null)
      await run(object, redis('SET', 'a', '1', 'EX', '500'))
      expect(await due()).toBe(501)
      await run(object, redis('SET', 'b', '1', 'EX', '100'))
      expect(await due()).toBe(101)
      await run(object, redis('SET', 'c', '1', 'EX', '300'))
      expect(await due()).toBe(101)
    }))

  it('sets it again when it goes off before its time', () =>
    inside(async (object, { storage }) => {
      await run(object, redis('SET', 'a', '1', 'EX', '500'))
      const dueMs = await storage.getAlarm()
      await storage.deleteAlarm()
      await object.alarm?.()
      expect(await storage.getAlarm()).toBe(dueMs)
    }))

  it('started again, knows its alarm and goes on where it was', () =>
    inside(async (object, state) => {
      await run(object, redis('SET', 'a', '1', 'EX', '500'))
      const dueMs = await state.storage.getAlarm()
      const again = new TestShard(state as never, {})
      expect(await run(again, redis('GET', 'a'))).toEqual(['1'])
      expect(await state.storage.getAlarm()).toBe(dueMs)
    }))
})

describe('work beside it', () => {
  const bugs: unknown[] = []
  const work = (env: unknown): ShardWork => ({
    jobs: [
      {
        name: 'tell',
        async run({ database, index, submit }, args) {
          const [reply] = await submit([redis('GET', 'a')])
          return { database, index, args, reply, env }
        },
      },
      {
        name: 'fail',
        async run(_, args) {
          if (args === 'bug') throw new TypeError('a bug')
          if (args === 'large') return 'x'.repeat(40_000_000)
          throw new Failure('conflict', 'asked to fail', { why: args })
        },
      },
    ],
    fetchCold: (shard, cold) => fetchFromLake(shard, cold),
  })
  const programs = [redisProgram, coldProgram]
  const Working = shardObject({ programs, work, onBug: (error) => bugs.push(error) })

  /** Work on an object that a placement has named. */
  function working(run: (object: InstanceType<typeof Working>) => Promise<void>): Promise<void> {
    return runInDurableObject(env.SQL.get(env.SQL.idFromName('shop.eu/3')), async (_, state) => {
      const object = new Working(state as never, { BUCKET: 'lake' })
      await object.submit([system('assign', { epoch: 1, slots: [[0, 16_383]] })])
      await run(object)
    })
  }

  it('runs jobs with the shard, its place and the bindings', () =>
    working(async (object) => {
      await run(object, redis('SET', 'a', '1'))
      const answer = { database: 'shop.eu', index: 3, args: [7], reply: '1', env: { BUCKET: 'lake' } }
      expect(await object.job('tell', [7])).toEqual({ value: answer })
      const namespace = { idFromName: String, newUniqueId: String, get: () => object as ShardRpc }
      const client = createPlacement({ SHARDS: namespace, CATALOG: namespace }).client('shop.eu', 3)
      expect(await client.job('tell', [7])).toEqual(answer)
      await expect(client.job('fail', 'so')).rejects.toMatchObject({ code: 'conflict', detail: { why: 'so' } })
    }))

  it('answers failures of jobs as plain data', () =>
    working(async (object) => {
      expect(await object.job('none', null)).toMatchObject({ failure: 'unsupported' })
      expect(await object.job('fail', 'so')).toMatchObject({ failure: 'conflict', detail: { why: 'so' } })
      expect(await object.job('fail', 'large')).toMatchObject({ failure: 'limit' })
      expect(await object.job('fail', 'bug')).toMatchObject({ failure: 'internal' })
      expect(bugs.splice(0)).toMatchObject([{ message: 'a bug' }])
    }))

  it('fetches cold rows', () =>
    working(async (object) => {
      await run(object, coldCall('write', { body: 'hello' }), coldCall('evict'))
      expect(await run(object, coldCall('peek'), coldCall('read'))).toMatchObject([{ body: null }, 'hello'])
    }))
})

describe('when storage fails', () => {
  it('answers the group with it, and then has itself reset', () =>
    inside(async (object, state) => {
      const aborted = new Promise((resolve) => Object.defineProperty(state, 'abort', { value: resolve }))
      // What workerd throws when the disk fails, in place of a disk that does.
      const fail = () => {
        throw new Error('disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_READ)')
      }
      Object.defineProperty(state.storage.sql, 'exec', { value: fail })
      const set = (key: string) => object.submit([redis('SET', key, '1')])
      for (const answer of await Promise.all([set('a'), set('b')])) expect(answer).toMatchObject({ failure: 'storage' })
      expect(await aborted).toContain('disk I/O error')
    }))
})
