/** Libraries that are built on scripts, unchanged, over TCP and in the process. */
import { RateLimiterRedis } from 'rate-limiter-flexible'
import Redlock, { type ExecutionError, ResourceLockedError } from 'redlock'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openPlaces, type Places, type Way } from './places.testing.ts'

let places: Places

beforeAll(async () => {
  places = await openPlaces()
})

afterEach(() => places.clear())

afterAll(() => places.close())

describe.each(['tcp', 'local'] as const)('%s', (which) => {
  let way: Way
  beforeAll(() => {
    way = places[which]
  })

  test('redlock locks, extends and releases', async () => {
    const redis = way.ioredis()
    const redlock = new Redlock([redis], { retryCount: 0 })
    const lock = await redlock.acquire(['{doc}a', '{doc}b'], 5_000)
    const { attempts } = await redlock.acquire(['{doc}b'], 5_000).then(
      () => ({ attempts: [] }),
      (error: ExecutionError) => error,
    )
    const votes = await Promise.all(attempts)
    expect(votes.flatMap(({ votesAgainst }) => [...votesAgainst.values()])).toEqual([expect.any(ResourceLockedError)])
    const longer = await lock.extend(50_000)
    expect(await redis.pttl('{doc}a')).toBeGreaterThan(40_000)
    await longer.release()
    expect(await redis.exists('{doc}a', '{doc}b')).toBe(0)
    const done = await redlock.using(['{doc}b'], 5_000, async (signal) => [
      signal.aborted,
      await redis.exists('{doc}b'),
    ])
    expect(done).toEqual([false, 1])
    expect(await redis.exists('{doc}b')).toBe(0)
  })

  test('rate-limiter-flexible counts within a duration', async () => {
    const limits = { points: 2, duration: 100, keyPrefix: 'limit' }
    const ioredis = new RateLimiterRedis({ storeClient: way.ioredis(), ...limits })
    const nodeRedis = new RateLimiterRedis({ storeClient: await way.nodeRedis(), useRedisPackage: true, ...limits })
    for (const [name, limiter] of Object.entries({ ioredis, nodeRedis })) {
      expect(await limiter.consume(name)).toMatchObject({ consumedPoints: 1, isFirstInDuration: true })
      const second = await limiter.consume(name)
      expect(second).toMatchObject({ consumedPoints: 2, remainingPoints: 0 })
      expect(second.msBeforeNext).toBeGreaterThan(90_000)
      await expect(limiter.consume(name)).rejects.toMatchObject({ consumedPoints: 3 })
      expect(await limiter.reward(name, 2)).toMatchObject({ consumedPoints: 1 })
    }
  })

  test('commands that ioredis defines by a script', async () => {
    const redis = way.ioredis()
    redis.defineCommand('double', { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1] * 2)" })
    const { double } = redis as unknown as { double(key: string, by: number): Promise<number> }
    expect(await double.call(redis, 'n', 21)).toBe(42)
    expect(await double.call(redis, 'n', 1)).toBe(44)
  })
})
