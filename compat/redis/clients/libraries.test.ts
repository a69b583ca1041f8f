/** Libraries that people use over a Redis client, unchanged, over TCP and in the process. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import KeyvRedis from '@keyv/redis'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { Keyv } from 'keyv'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openPlaces, type Places, type Way } from './places.testing.ts'

let places: Places

beforeAll(async () => {
  places = await openPlaces()
})

afterEach(() => places.clear())

afterAll(() => places.close())

declare module 'express-session' {
  interface SessionData {
    views: number
  }
}

/** Serve how often each session has been here. */
async function serveViews(store: RedisStore) {
  const middleware = session({ store, secret: 'keyboard cat', resave: false, saveUninitialized: false })
  const server = createServer((request, response) => {
    middleware(request as never, response as never, () => {
      const { session } = request as unknown as { session: session.SessionData }
      session.views = (session.views ?? 0) + 1
      response.end(String(session.views))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    async visit(cookie = ''): Promise<[views: string, cookie: string]> {
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } })
      return [await response.text(), response.headers.get('set-cookie')?.split(';')[0] ?? cookie]
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

describe.each(['tcp', 'local'] as const)('%s', (which) => {
  let way: Way
  beforeAll(() => {
    way = places[which]
  })

  test('node-redis', async () => {
    const redis = await way.nodeRedis()
    expect(await redis.hSet('h', { a: 1, b: 'grüß' })).toBe(2)
    expect({ ...(await redis.hGetAll('h')) }).toEqual({ a: '1', b: 'grüß' })
    expect(await redis.multi().set('n', '1').incr('n').hLen('h').exec()).toEqual(['OK', 2, 2])
    await expect(redis.incr('h')).rejects.toThrow(/^WRONGTYPE/)
  })

  test('connect-redis keeps sessions of express-session', async () => {
    const redis = await way.nodeRedis()
    const store = new RedisStore({ client: redis, prefix: 'web:', ttl: 100 })
    const site = await serveViews(store)
    const [first, cookie] = await site.visit()
    const [second] = await site.visit(cookie)
    const [stranger] = await site.visit()
    await site.close()
    expect([first, second, stranger]).toEqual(['1', '2', '1'])
    const ids = (await store.ids()) as string[]
    expect(await store.length()).toBe(2)
    expect((await store.all()).map(({ views }: { views: number }) => views).sort()).toEqual([1, 2])
    expect(await redis.ttl(`web:${ids[0]}`)).toBe(100)
    await store.destroy(ids[0] as string)
    expect(await store.length()).toBe(1)
    await store.clear()
    expect(await store.ids()).toEqual([])
  })

  test('Keyv', async () => {
    const keyv = new Keyv(new KeyvRedis((await way.nodeRedis()) as never), { namespace: 'cache', useKeyPrefix: false })
    expect(await keyv.set('user', { name: 'Zoë' }, 60_000)).toBe(true)
    expect(await keyv.get('user')).toEqual({ name: 'Zoë' })
    await keyv.setMany([
      { key: 'a', value: 1 },
      { key: 'b', value: 2 },
    ])
    expect(await keyv.getMany(['a', 'none', 'b'])).toEqual([1, undefined, 2])
    expect(await keyv.has('a')).toBe(true)
    expect(await keyv.delete('a')).toBe(true)
    const found: string[] = []
    for await (const [key] of keyv.iterator?.(undefined) ?? []) found.push(key)
    expect(found.sort()).toEqual(['b', 'user'])
    await keyv.clear()
    expect(await keyv.get('user')).toBe(undefined)
  })

  test('rate-limiter-flexible, as far as it needs no scripts', async () => {
    const limits = { points: 2, duration: 0, keyPrefix: 'limit' }
    const ioredis = new RateLimiterRedis({ storeClient: way.ioredis(), ...limits })
    const nodeRedis = new RateLimiterRedis({ storeClient: await way.nodeRedis(), useRedisPackage: true, ...limits })
    for (const [name, limiter] of Object.entries({ ioredis, nodeRedis })) {
      expect((await limiter.consume(name)).remainingPoints).toBe(1)
      expect((await limiter.consume(name)).remainingPoints).toBe(0)
      await expect(limiter.consume(name)).rejects.toMatchObject({ consumedPoints: 3 })
      expect(await limiter.get(name)).toMatchObject({ consumedPoints: 3 })
      await limiter.block(name, 100)
      expect((await limiter.get(name))?.msBeforeNext).toBeGreaterThan(90_000)
      expect(await limiter.delete(name)).toBe(true)
      expect(await limiter.get(name)).toBe(null)
    }
  })
})

test('Keyv by a URL, over the node-redis 5 it brings', async () => {
  const store = new KeyvRedis(`redis://127.0.0.1:${places.port}/3`)
  const keyv = new Keyv(store, { namespace: 'cache', useKeyPrefix: false })
  await keyv.set('a', [1, 'zwölf'])
  expect(await keyv.get('a')).toEqual([1, 'zwölf'])
  await keyv.disconnect()
  expect(await places.local.ioredis().dbsize()).toBe(0)
})
