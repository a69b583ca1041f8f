/** Fields of hashes that expire, over time. Replies are in the transcripts. */
import type { ChangesReply } from '@dotdo/core/shard'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TestRedis } from './testing.ts'

let redis: TestRedis
const run = (...argv: string[]) => redis.run(...argv)

beforeEach(async () => {
  redis = await TestRedis.open()
})
afterEach(() => redis.close())

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    redis.clock.advance(1)
  }
}

const deleted = async () => {
  const { changes } = (await redis.test.system('changes', { after: 'start', limit: 5000 })) as ChangesReply
  return changes.filter(({ op }) => op === 'delete').map(({ collection }) => collection)
}
const metaOf = (key: string) =>
  redis.test.sql.raw('select meta from redis_keys where key = cast(? as blob)', key)[0]?.[0]

describe('a field whose time has come', () => {
  const reads = [
    [['HGET', 'h', 'a'], null],
    [
      ['HMGET', 'h', 'a', 'b'],
      [null, '2'],
    ],
    [['HGETALL', 'h'], { map: [['b', '2']] }],
    [['HKEYS', 'h'], ['b']],
    [['HVALS', 'h'], ['2']],
    [['HLEN', 'h'], 1],
    [['HEXISTS', 'h', 'a'], 0],
    [['HSTRLEN', 'h', 'a'], 0],
    [
      ['HSCAN', 'h', '0'],
      ['0', ['b', '2']],
    ],
    [['HRANDFIELD', 'h'], 'b'],
    [['HRANDFIELD', 'h', '5'], ['b']],
    [
      ['HRANDFIELD', 'h', '-2'],
      ['b', 'b'],
    ],
    [
      ['HTTL', 'h', 'FIELDS', '2', 'a', 'b'],
      [-2, -1],
    ],
    [['HPERSIST', 'h', 'FIELDS', '1', 'a'], [-2]],
    [['HEXPIRE', 'h', '1', 'FIELDS', '1', 'a'], [-2]],
    [['HDEL', 'h', 'a'], 0],
    [['HSETNX', 'h', 'a', '9'], 1],
    [['HSET', 'h', 'a', '9'], 1],
    [['HINCRBY', 'h', 'a', '9'], 9],
    [['HINCRBYFLOAT', 'h', 'a', '9'], '9'],
  ] as const

  test('is absent to every command, and there until then', async () => {
    for (const [argv, reply] of reads) {
      await run('DEL', 'h')
      await run('HSET', 'h', 'a', '1', 'b', '2')
      expect(await run('HPEXPIRE', 'h', '100', 'FIELDS', '1', 'a')).toEqual([1])
      redis.clock.advance(100)
      expect(await redis.group(['HGET', 'h', 'a'], ['HLEN', 'h'])).toEqual(['1', 2])
      redis.clock.advance(1)
      expect(await redis.group([...argv]), argv.join(' ')).toEqual([reply])
    }
  })

  test('takes the hash along when it was the last', async () => {
    await run('HSET', 'h', 'a', '1', 'b', '2')
    await run('HPEXPIRE', 'h', '100', 'FIELDS', '2', 'a', 'b')
    redis.clock.advance(101)
    expect(await redis.group(['HGETALL', 'h'], ['HLEN', 'h'], ['HRANDFIELD', 'h', '-2'], ['HRANDFIELD', 'h'])).toEqual([
      { map: [] },
      0,
      [],
      null,
    ])
    await settle()
    expect(await run('EXISTS', 'h')).toBe(0)
    expect((await deleted()).sort()).toEqual(['fields', 'fields', 'keys'])
  })
})

describe('the sweep', () => {
  test.each([false, true])('removes what has come, a bounded number a call (restarted: %s)', async (restarted) => {
    const pairs = Array.from({ length: 600 }, (_, i) => [`f${i}`, 'v'])
    await run('HSET', 'h', ...pairs.flat(), 'stays', 'v', 'later', 'v')
    await run('HPEXPIRE', 'h', '100', 'FIELDS', '600', ...pairs.map(([name]) => name as string))
    await run('HPEXPIRE', 'h', '5000', 'FIELDS', '1', 'later')
    if (restarted) await redis.reopen()
    redis.clock.advance(101)
    await run('EXISTS', 'h')
    expect((await deleted()).length).toBeLessThanOrEqual(256)
    await settle()
    expect((await deleted()).length).toBe(600)
    expect(await run('HLEN', 'h')).toBe(2)
    redis.clock.advance(5000)
    await settle()
    expect(await run('HKEYS', 'h')).toEqual(['stays'])
    await redis.reopen()
    expect(metaOf('h')).toBeNull()
  })

  test('leaves fields that were rewritten, persisted or given more time', async () => {
    await run('HSET', 'h', 'a', '1', 'b', '1', 'c', '1', 'd', '1')
    await run('HPEXPIRE', 'h', '100', 'FIELDS', '4', 'a', 'b', 'c', 'd')
    await run('HSET', 'h', 'a', '2')
    await run('HPERSIST', 'h', 'FIELDS', '1', 'b')
    await run('HPEXPIRE', 'h', '5000', 'FIELDS', '1', 'c')
    redis.clock.advance(101)
    await settle()
    expect(await run('HGETALL', 'h')).toEqual({
      map: expect.arrayContaining([
        ['a', '2'],
        ['b', '1'],
        ['c', '1'],
      ]),
    })
    expect(await run('HLEN', 'h')).toBe(3)
  })

  test('finds the fields of a copy, and of what was in memory at a crash', async () => {
    await run('HSET', 'h', 'a', '1', 'b', '1')
    await run('HPEXPIRE', 'h', '100', 'FIELDS', '1', 'a')
    await run('COPY', 'h', 'copy')
    await redis.reopen(true)
    redis.clock.advance(101)
    await settle()
    await redis.reopen()
    expect(redis.test.sql.raw('select count(*) from redis_fields')).toEqual([[2]])
  })
})

test('a hash without such fields says nothing of them in its row', async () => {
  await run('HSET', 'h', 'a', '1')
  await redis.reopen()
  expect(metaOf('h')).toBeNull()
})
