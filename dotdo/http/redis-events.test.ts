import { StopSwitch } from '@dotdo/core/cdc'
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import { createRedisServer, type RedisServer } from '@dotdo/redis/server'
import { Redis } from '@upstash/redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import { listenHttp } from '../serve/http.ts'
import type { Listener } from '../serve/listen.ts'
import { createApp } from './app.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let redis: RedisServer
let listener: Listener
let url: string
const stop = new StopSwitch()

beforeAll(async () => {
  folder = temporaryFolder()
  fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
  const info = { version: '1', runId: '0'.repeat(40), durability: 'normal', startedMs: 0 } as const
  redis = createRedisServer({ fabric, clock: nodeClock, info })
  const parts = { fabric, clock: nodeClock, version: '1', startedMs: 0, defaults: {}, redis, stop }
  listener = await listenHttp(createApp(parts), { host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${listener.port}/redis`
})

afterAll(async () => {
  listener.abort()
  await listener.close()
  await fabric.close()
  folder.remove()
})

test('the client library of Upstash subscribes to channels and patterns', async () => {
  const upstash = new Redis({ url, token: 'any' })
  const heard: unknown[] = []
  const channels = upstash.subscribe<{ n: number }>(['news', 'sport'])
  const patterns = upstash.psubscribe('n*')
  channels.on('message', (message) => heard.push(message))
  patterns.on('pmessage', (message) => heard.push(message))
  await expect.poll(() => redis.sessions.size, { interval: 5 }).toBe(3)
  expect(await upstash.publish('news', { n: 1 })).toBe(2)
  await expect.poll(() => heard, { interval: 5 }).toHaveLength(2)
  expect(heard).toEqual(
    expect.arrayContaining([
      { channel: 'news', message: { n: 1 } },
      { pattern: 'n*', channel: 'news', message: { n: 1 } },
    ]),
  )
  await channels.unsubscribe()
  await patterns.unsubscribe()
  // Whoever leaves is noticed, and hears no more.
  await expect.poll(() => redis.sessions.size, { interval: 5 }).toBe(0)
})

test('a subscription is what EventSource reads, and ends when the server stops', async () => {
  const response = await fetch(`${url}/subscribe/chat`)
  expect(response.headers.get('Content-Type')).toBe('text/event-stream')
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const read = async () => new TextDecoder().decode((await reader.read()).value)
  expect(await read()).toBe('data: subscribe,chat,1\n\n')
  expect(await (await fetch(`${url}/publish/chat`, { method: 'POST', body: 'two\nlines' })).json()).toEqual({
    result: 1,
  })
  expect(await read()).toBe('data: message,chat,two\ndata: lines\n\n')
  stop.abort()
  expect(await reader.read()).toEqual({ done: true, value: undefined })
  expect(redis.sessions.size).toBe(0)
})
