/** Sets and sorted sets over time: random commands against a real Redis, memory that runs short, restarts, failures. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { Lake } from './cold.testing.ts'
import { compareHistories, line, word } from './histories.testing.ts'
import { openTestServer } from './test-server.ts'
import { TestRedis } from './testing.ts'
import { show } from './transcript.testing.ts'
import type { Value } from './value.ts'

const set = word('{k}s', '{k}t', '{k}u')
const zset = word('{k}y', '{k}z')
const member = fc.oneof(word('a', 'b', 'c', '', '10', '9'), fc.nat(300).map(String))
const score = fc.oneof(fc.integer({ min: -3, max: 9 }).map(String), word('inf', '-inf', '0.1', '1e20', '2.5', 'x'))
const bound = fc.oneof(
  score,
  score.map((text) => `(${text}`),
)
const rank = fc.integer({ min: -8, max: 300 }).map(String)
const many = (part: fc.Arbitrary<string>, maxLength = 3) => fc.array(part, { minLength: 1, maxLength })
const scored = fc.array(fc.tuple(score, member), { minLength: 1, maxLength: 3 }).map((pairs) => pairs.flat())
/** Members by the hundred, so that orders have several leaves. */
const filled = fc
  .nat(200)
  .map((from) => Array.from({ length: 300 }, (_, i) => [`${(i * 7) % 90}`, `${from + i}`]).flat())

const commands = fc.oneof(
  line('SADD', set, many(member)),
  line('SADD', set, filled),
  line('SREM', set, many(member)),
  line('SMOVE', set, set, member),
  line('SISMEMBER', set, member),
  line('SCARD', set),
  line('SMEMBERS', set),
  line(word('SINTER', 'SUNION', 'SDIFF'), set, set),
  line(word('SINTERSTORE', 'SUNIONSTORE', 'SDIFFSTORE'), set, set, set),
  line(
    'ZADD',
    zset,
    fc.oneof(
      fc.constant<string[]>([]),
      word('NX', 'XX', 'GT', 'LT', 'CH').map((w) => [w]),
    ),
    scored,
  ),
  line('ZADD', zset, filled),
  line('ZINCRBY', zset, score, member),
  line('ZREM', zset, many(member)),
  line('ZSCORE', zset, member),
  line(word('ZRANK', 'ZREVRANK'), zset, member),
  line('ZRANGE', zset, rank, rank, 'WITHSCORES'),
  line('ZREVRANGE', zset, rank, rank),
  line('ZRANGEBYSCORE', zset, bound, bound, 'LIMIT', rank, rank),
  line('ZREVRANGEBYSCORE', zset, bound, bound, 'WITHSCORES'),
  line('ZCOUNT', zset, bound, bound),
  line('ZREMRANGEBYRANK', zset, rank, rank),
  line('ZREMRANGEBYSCORE', zset, bound, bound),
  line(word('ZPOPMIN', 'ZPOPMAX'), zset, fc.nat(40).map(String)),
  line('ZRANGESTORE', zset, zset, rank, rank),
  line(word('ZUNIONSTORE', 'ZINTERSTORE', 'ZDIFFSTORE'), zset, '2', zset, fc.oneof(zset, set)),
  line('ZUNION', '2', zset, fc.oneof(zset, set), 'WEIGHTS', score, score, 'WITHSCORES'),
  line('DEL', fc.oneof(set, zset)),
  line('RENAME', set, set),
  line('EXPIREAT', fc.oneof(set, zset), word('33177117420', '1')),
)

/** Show a reply, that of a set in an order of its own. */
function normal(reply: Value): string {
  const isSet = typeof reply === 'object' && reply !== null && 'set' in reply
  return isSet ? reply.set.map(show).sort().join(' ') : show(reply)
}

compareHistories({
  commands,
  shown: normal,
  conditions: [
    { name: 'all in memory' },
    { name: 'next to nothing in memory', share: 0.0005, limits: { dirtyRows: 30, redoBytes: 3000 } },
  ],
})

describe('one shard', () => {
  let redis: TestRedis
  const run = (...argv: string[]) => redis.run(...argv)
  afterEach(() => redis.close())

  const pairs = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => [`${(from + i) * 2}`, `m${String(from + i).padStart(6, '0')}`]).flat()

  test('ranks a sorted set of 100,000 members that is larger than its memory', async () => {
    redis = await TestRedis.open()
    await redis.group(...Array.from({ length: 10 }, (_, i) => ['ZADD', 'z', ...pairs(i * 10_000, 10_000)]))
    await redis.reopen(false, 0.02)
    expect(await run('ZCARD', 'z')).toBe(100_000)
    for (const at of [0, 1, 255, 256, 77_777, 99_999]) {
      expect(await run('ZRANK', 'z', `m${String(at).padStart(6, '0')}`)).toBe(at)
      expect(await run('ZRANGE', 'z', `${at}`, `${at}`)).toEqual([`m${String(at).padStart(6, '0')}`])
    }
    expect(await run('ZADD', 'z', '100001', 'new', '-1', 'm050000')).toBe(1)
    expect(await run('ZRANK', 'z', 'new')).toBe(50_001)
    expect(await run('ZREVRANGE', 'z', '-2', '-1')).toEqual(['m000000', 'm050000'])
    expect(await run('ZCOUNT', 'z', '(100000', '100003')).toBe(2)
    expect(await run('ZREMRANGEBYRANK', 'z', '10', '2009')).toBe(2000)
    expect(await run('ZRANGE', 'z', '9', '10')).toEqual(['m000008', 'm002009'])
  })

  test('a transaction whose commands fail leaves the order as it was', async () => {
    redis = await TestRedis.open()
    await run('ZADD', 'z', '1', 'a', '2', 'b', 'inf', 'c')
    await run('SADD', 's', 'a')
    // The second command reads an order that the first has changed; the third is undone, after it changed it again.
    const replies = await redis.exec([
      ['ZADD', 'z', '9', 'a'],
      ['ZRANGE', 'z', '0', '-1'],
      ['ZADD', 'z', '0', 'b', '1', 'new', 'x', 'c'],
      ['ZINCRBY', 'z', '-inf', 'c'],
      ['SPOP', 's'],
      ['SPOP', 's', 'x'],
    ])
    const nan = { error: 'ERR resulting score is not a number (NaN)' }
    const notFloat = { error: 'ERR value is not a valid float' }
    const range = { error: 'ERR value is out of range, must be positive' }
    expect(replies).toEqual([0, ['b', 'a', 'c'], notFloat, nan, 'a', range])
    expect(await run('ZRANGE', 'z', '0', '-1')).toEqual(['b', 'a', 'c'])
    expect(await run('SCARD', 's')).toBe(0)
  })

  test.each([true, false])(
    'a call that is undone and run again finds the order as it was (known before: %s)',
    async (known) => {
      const lake = new Lake()
      redis = await TestRedis.open({}, lake)
      await run('ZADD', 'z', '1', 'a', '2', 'b', '3', 'c')
      await run('SADD', 's', 'a', 'b')
      await run('SET', 'cold', 'value')
      await redis.evictAll()
      if (!known) await redis.reopen()
      const commands = [
        ['ZADD', 'z', '9', 'a'],
        ['ZRANGE', 'z', '0', '-1'],
        ['SADD', 's', 'c'],
        ['SPOP', 's', '3'],
        // Its value must be fetched first: all before it is undone.
        ['GET', 'cold'],
      ]
      const replies = (await redis.exec(commands)) as Value[]
      expect(lake.fetches).toEqual([['cold']])
      expect(replies.slice(0, 3)).toEqual([0, ['b', 'c', 'a'], 1])
      expect(replies[4]).toBe('value')
      expect(await run('ZRANGE', 'z', '0', '-1')).toEqual(['b', 'c', 'a'])
      expect(await run('ZSCORE', 'z', 'a')).toEqual({ double: 9 })
      expect(await run('EXISTS', 's')).toBe(0)
    },
  )

  test('in steady state commands take no SQL of their own', async () => {
    redis = await TestRedis.open()
    await run('SADD', 's', ...Array.from({ length: 1000 }, (_, i) => `m${i}`))
    await run('ZADD', 'z', ...pairs(0, 1000))
    const { sql } = redis.test
    let statements = 0
    for (const name of ['all', 'raw', 'iterate'] as const) {
      const inner = sql[name].bind(sql) as (...args: unknown[]) => unknown
      Object.assign(sql, {
        [name](...args: unknown[]) {
          statements++
          return inner(...args)
        },
      })
    }
    for (const command of [
      (i: number) => ['SADD', 's', `new${i}`],
      () => ['SPOP', 's'],
      (i: number) => ['SISMEMBER', 's', `m${i}`],
      (i: number) => ['ZADD', 'z', `${i * 7}`, `new${i}`],
      (i: number) => ['ZADD', 'z', `${i * 5}`, `m000${i + 300}`],
      () => ['ZPOPMIN', 'z'],
      (i: number) => ['ZRANK', 'z', `m000${i + 700}`],
      (i: number) => ['ZRANGE', 'z', `${i}`, `${i + 10}`],
    ]) {
      statements = 0
      const replies = await redis.group(...Array.from({ length: 200 }, (_, i) => command(i)))
      expect(replies.filter((reply) => typeof reply === 'object' && reply !== null && 'error' in reply)).toEqual([])
      // A group's log takes a few.
      expect(statements, command(0).join(' ')).toBeLessThan(8)
    }
  })

  test('SPOP and SRANDMEMBER choose every member as often as any other', async () => {
    redis = await TestRedis.open()
    const names = Array.from({ length: 20 }, (_, i) => `${i}`)
    await run('SADD', 's', ...names)
    const counts = new Map(names.map((name) => [name, 0]))
    const note = (name: unknown) => counts.set(name as string, (counts.get(name as string) ?? 0) + 1)
    for (const name of (await run('SRANDMEMBER', 's', '-20000')) as string[]) note(name)
    for (let i = 0; i < 200; i++) for (const name of (await run('SRANDMEMBER', 's', '5')) as string[]) note(name)
    // 1,050 are expected of each, with a standard deviation of 32.
    for (const count of counts.values()) expect(Math.abs(count - 1050)).toBeLessThan(160)
    const popped = (await run('SPOP', 's', '20')) as { set: string[] }
    expect([...popped.set].sort()).toEqual([...names].sort())
  })

  test('SSCAN and ZSCAN meet what stays while other members come and go', async () => {
    redis = await TestRedis.open()
    const names = Array.from({ length: 500 }, (_, i) => `m${i}`)
    await run('SADD', 's', ...names)
    await run('ZADD', 'z', ...names.flatMap((name, i) => [`${i}`, name]))
    for (const [walk, add, remove] of [
      ['SSCAN', (name: string) => run('SADD', 's', name), (name: string) => run('SREM', 's', name)],
      ['ZSCAN', (name: string) => run('ZADD', 'z', '1', name), (name: string) => run('ZREM', 'z', name)],
    ] as const) {
      const met: string[] = []
      let cursor = '0'
      for (let step = 0; step === 0 || cursor !== '0'; step++) {
        const [next, found] = (await run(walk, walk === 'SSCAN' ? 's' : 'z', cursor)) as [string, string[]]
        met.push(...found.filter((_, i) => walk === 'SSCAN' || i % 2 === 0))
        cursor = next
        await remove(`m${step * 2 + 1}`)
        await add(`new${step}`)
      }
      for (let i = 0; i < 500; i += 2) expect(met.filter((name) => name === `m${i}`)).toHaveLength(1)
    }
  })
})

test('over several shards, reads are gathered and computed, and what stores answers CROSSSLOT', async () => {
  const server = await openTestServer({ shards: 4 })
  const client = server.connect()
  await client.ask('SADD a 1 2 3', 'SADD b 2 3 4', 'SADD c 3', 'ZADD y 1 2 2 3', 'ZADD z 10 3 20 4', 'SET s text')
  expect(await client.ask('SINTER a b c', 'SINTERCARD 2 a b', 'SINTERCARD 2 a b LIMIT 1')).toBe(
    '*1\r\n$1\r\n3\r\n:2\r\n:1\r\n',
  )
  expect(await client.ask('SDIFF a b none', 'SINTER a none')).toBe('*1\r\n$1\r\n1\r\n*0\r\n')
  expect(
    (await client.ask('SUNION a b c a'))
      .split('\r\n')
      .filter((text) => /^\d$/.test(text))
      .sort(),
  ).toEqual(['1', '2', '3', '4'])
  expect(await client.ask('ZUNION 3 y z c WEIGHTS 1 2 3 WITHSCORES')).toBe(
    '*6\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n$2\r\n25\r\n$1\r\n4\r\n$2\r\n40\r\n',
  )
  expect(await client.ask('ZINTER 2 z a', 'ZDIFF 2 z y', 'ZINTERCARD 2 y z')).toBe(
    '*1\r\n$1\r\n3\r\n*1\r\n$1\r\n4\r\n:1\r\n',
  )
  const wrong = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n'
  expect(await client.ask('SINTER a s', 'ZUNION 2 y s', 'SUNION a y')).toBe(wrong.repeat(3))
  expect(await client.ask('ZUNION 2 y z WEIGHTS 1 x')).toBe('-ERR weight value is not a float\r\n')
  const apart = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
  expect(await client.ask('SINTERSTORE d a b', 'ZUNIONSTORE d 2 y z', 'SMOVE a b 1', 'ZMPOP 2 y z MIN')).toBe(
    apart.repeat(4),
  )
  expect(server.bugs).toEqual([])
  await server.close()
})
