/** Publish and subscribe by every client library, and what is built on it, over TCP and in the process. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter } from '@socket.io/redis-adapter'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openPlaces, type Places, type Way } from './places.testing.ts'
import { Redis as Upstash } from './upstash.ts'

let places: Places

beforeAll(async () => {
  places = await openPlaces()
})

afterEach(() => places.clear())

afterAll(() => places.close())

/** Serve Socket.IO, joined with other servers by Redis. */
async function serveSockets(way: Way) {
  const [publisher, subscriber] = [way.ioredis(), way.ioredis()]
  const http = createServer()
  const server = new Server(http, { adapter: createAdapter(publisher, subscriber), transports: ['websocket'] })
  server.on('connection', (socket) => {
    socket.on('join', (room: string, done: () => void) => {
      socket.join(room)
      done()
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const client: Socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'] })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return {
    server,
    client,
    async close() {
      client.close()
      await server.close()
    },
  }
}

describe.each(['tcp', 'local'] as const)('%s', (which) => {
  let way: Way
  beforeAll(() => {
    way = places[which]
  })

  test('ioredis', async () => {
    const [subscriber, publisher] = [way.ioredis(), way.ioredis()]
    expect(await subscriber.subscribe('news')).toBe(1)
    expect(await subscriber.psubscribe('n*')).toBe(2)
    const message = new Promise((resolve) => subscriber.once('message', (...all) => resolve(all)))
    const matched = new Promise((resolve) => subscriber.once('pmessage', (...all) => resolve(all)))
    expect(await publisher.publish('news', 'grüß')).toBe(2)
    expect(await message).toEqual(['news', 'grüß'])
    expect(await matched).toEqual(['n*', 'news', 'grüß'])
    expect(await subscriber.unsubscribe('news')).toBe(1)
  })

  test('node-redis', async () => {
    const [subscriber, publisher] = [await way.nodeRedis(), await way.nodeRedis()]
    const heard: string[] = []
    await subscriber.subscribe('news', (message, channel) => heard.push(`${channel} ${message}`))
    await subscriber.pSubscribe('n*', (message, channel) => heard.push(`n* ${channel} ${message}`))
    expect(await publisher.publish('news', 'one')).toBe(2)
    await expect.poll(() => heard, { interval: 5 }).toEqual(['news one', 'n* news one'])
    await subscriber.unsubscribe('news')
    expect(await publisher.publish('news', 'two')).toBe(1)
  })

  test("Socket.IO's adapter joins two servers", async () => {
    const [first, second] = [await serveSockets(way), await serveSockets(way)]
    await new Promise<void>((resolve) => second.client.emit('join', 'room', resolve))
    const heard = new Promise((resolve) => second.client.once('greeting', resolve))
    // Each server knows of the other once its subscriptions stand.
    await expect.poll(() => first.server.of('/').adapter.serverCount(), { interval: 10 }).toBe(2)
    first.server.to('room').emit('greeting', { from: 'first' })
    expect(await heard).toEqual({ from: 'first' })
    expect(await first.server.in('room').fetchSockets()).toHaveLength(1)
    await first.close()
    await second.close()
  })
})

test('the client of Upstash, in the process', async () => {
  const publisher = places.local.ioredis()
  const upstash = new Upstash({ fabric: places.fabric })
  const subscriber = upstash.subscribe<{ n: number }>('news')
  const standing = new Promise((resolve) => subscriber.on('subscribe', resolve))
  const heard = new Promise((resolve) => subscriber.on('message', resolve))
  expect(await standing).toBe(1)
  expect(await publisher.publish('news', '{"n":1}')).toBe(1)
  expect(await heard).toEqual({ channel: 'news', message: { n: 1 } })
  await subscriber.unsubscribe()
  await expect.poll(() => publisher.publish('news', 'x'), { interval: 5 }).toBe(0)
  await upstash.close()
})
