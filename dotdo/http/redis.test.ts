import { StopSwitch } from '@dotdo/core/cdc'
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import { REDIS_REST_BODY_BYTES_MAX } from '@dotdo/core/limits'
import { createRedisServer, type RedisServer } from '@dotdo/redis/server'
import { Redis } from '@upstash/redis'
import type { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import { checkPassword } from '../serve/credentials.ts'
import { listenHttp } from '../serve/http.ts'
import type { Listener } from '../serve/listen.ts'
import { type AppParts, createApp } from './app.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let redis: RedisServer
let listener: Listener
let bugs: unknown[]

const password = 'correct horse'

function appOf(parts: Partial<AppParts> = {}): Hono {
  const defaults = { partitioner: 'crc16', count: 1 } as const
  const onBug = (error: unknown) => void bugs.push(error)
  return createApp({ fabric, clock: nodeClock, version: '1', startedMs: 0, defaults, redis, onBug, ...parts })
}

beforeAll(async () => {
  folder = temporaryFolder()
  bugs = []
  const onBug = (error: unknown) => void bugs.push(error)
  fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
  const info = { version: '1', runId: '0'.repeat(40), durability: 'normal', startedMs: 0 } as const
  const authenticate = checkPassword(password)
  redis = createRedisServer({ fabric, clock: nodeClock, info, authenticate, onBug })
  listener = await listenHttp(appOf({ authenticate }), { host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  expect(bugs).toEqual([])
  listener.abort()
  await listener.close()
  await fabric.close()
  folder.remove()
})

async function ask(app: Hono, path: string, init?: RequestInit): Promise<[number, unknown]> {
  const response = await app.request(path, init)
  return [response.status, await response.json()]
}

describe('the client library of Upstash', () => {
  const client = (path = '/redis') => new Redis({ url: `http://127.0.0.1:${listener.port}${path}`, token: password })

  it('works as against Upstash', async () => {
    const upstash = client()
    expect(await upstash.set('user', { name: 'Zoë', tags: ['a'] }, { ex: 100 })).toBe('OK')
    expect(await upstash.get('user')).toEqual({ name: 'Zoë', tags: ['a'] })
    expect(await upstash.type('user')).toBe('string')
    expect(await upstash.ping()).toBe('PONG')
    expect(await upstash.hset('h', { a: 1, b: 'two' })).toBe(2)
    expect(await upstash.hgetall('h')).toEqual({ a: 1, b: 'two' })
    expect(await upstash.mget('user', 'none')).toEqual([{ name: 'Zoë', tags: ['a'] }, null])
    expect(await upstash.scan(0, { match: 'u*' })).toEqual(['0', ['user']])
    await expect(upstash.incr('h')).rejects.toThrow(/WRONGTYPE/)
  })

  it('pipelines, transactions and pipelines of its own accord', async () => {
    const upstash = client()
    expect(await upstash.pipeline().set('p', 1).incr('p').get('p').exec()).toEqual(['OK', 2, 2])
    expect(await upstash.pipeline().get('p').incr('h').exec({ keepErrors: true })).toEqual([
      { result: 2 },
      { error: expect.stringMatching(/^WRONGTYPE/), result: undefined },
    ])
    expect(await upstash.multi().incr('p').incr('p').exec()).toEqual([3, 4])
    const counted = await Promise.all(Array.from({ length: 50 }, () => upstash.incr('counter')))
    expect(counted).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  it('is let in to another database, and by the right token only', async () => {
    await client('/redis/agent-42').set('k', 'named')
    expect(await client('/redis/agent-42').get('k')).toBe('named')
    expect(await client().get('k')).toBe(null)
    const stranger = new Redis({ url: `http://127.0.0.1:${listener.port}/redis`, token: 'wrong', retry: false })
    await expect(stranger.get('k')).rejects.toThrow(/WRONGPASS/)
  })
})

describe('who is let in', () => {
  it('takes the token from the header or the query', async () => {
    const app = appOf({ authenticate: checkPassword(password) })
    const headers = { Authorization: `Bearer ${password}` }
    expect(await ask(app, '/redis/ping', { headers })).toEqual([200, { result: 'PONG' }])
    expect(await ask(app, `/redis/echo/a%2Fb?_token=${encodeURIComponent(password)}`)).toEqual([200, { result: 'a/b' }])
    expect(await ask(app, '/redis/ping?_token=wrong')).toEqual([401, { error: 'WRONGPASS wrong token' }])
    expect(await ask(app, '/redis/ping')).toEqual([401, { error: expect.stringMatching(/^NOAUTH/) }])
    expect(await ask(app, '/redis', { method: 'POST', body: '["PING"]' })).toMatchObject([401, {}])
  })

  it.each([
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { Origin: 'https://elsewhere.example' },
  ])('refuses pages that send %o', async (headers) => {
    const app = appOf()
    expect(await ask(app, '/redis/flushall', { headers })).toEqual([403, { error: expect.stringMatching(/^NOPERM/) }])
    expect(await ask(app, '/redis/ping', { headers: { 'Sec-Fetch-Site': 'same-origin' } })).toMatchObject([200, {}])
  })
})

describe('HTTP', () => {
  it('writes by GET, HEAD, POST and PUT, and by nothing else', async () => {
    const app = appOf()
    await ask(app, '/redis/del/n')
    expect(await ask(app, '/redis/incr/n')).toEqual([200, { result: 1 }])
    const head = await app.request('/redis/incr/n', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(await ask(app, '/redis/incrby/n', { method: 'PUT', body: '5' })).toEqual([200, { result: 7 }])
    expect(await ask(app, '/redis/set/n?EX=100&GET', { method: 'POST', body: 'x' })).toEqual([200, { result: '7' }])
    expect(await ask(app, '/redis/incr/n', { method: 'DELETE' })).toMatchObject([405, { error: expect.any(String) }])
    expect(await ask(app, '/redis/', { method: 'POST', body: '["GET", "n"]' })).toEqual([200, { result: 'x' }])
  })

  it('bounds bodies', async () => {
    const body = 'x'.repeat(REDIS_REST_BODY_BYTES_MAX + 1)
    const answer = await ask(appOf(), '/redis/set/large', { method: 'POST', body })
    expect(answer).toEqual([413, { error: expect.stringMatching(/^ERR the body is larger/) }])
  })

  it('chooses how replies are written by header', async () => {
    const app = appOf()
    await ask(app, '/redis/set/a/bar')
    const headers = { 'Upstash-Encoding': 'base64' }
    expect(await ask(app, '/redis/get/a', { headers })).toEqual([200, { result: 'YmFy' }])
    const raw = await app.request('/redis/get/a', { headers: { 'Upstash-Response-Format': 'resp2' } })
    expect(raw.headers.get('Content-Type')).toBe('application/octet-stream')
    expect(await raw.text()).toBe('$3\r\nbar\r\n')
  })

  it('says that the server is stopping', async () => {
    const stop = new StopSwitch()
    stop.abort()
    expect(await ask(appOf({ stop }), '/redis/ping')).toMatchObject([503, { error: expect.stringMatching(/^UNAVAIL/) }])
  })

  it('is not there without a Redis', async () => {
    const { redis: _, ...parts } = { redis, fabric, clock: nodeClock, version: '1', startedMs: 0, defaults: {} }
    expect((await createApp(parts).request('/redis/ping')).status).toBe(404)
  })
})
