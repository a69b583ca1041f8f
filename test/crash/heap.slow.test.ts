/** A dataset of four times the heap that the process is allowed loads, and serves reads: of strings, of one list and of
 *  one sorted set. What has gone through a queue, and what is left of lists that were long, takes no memory. */
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { startServer } from './server.ts'

const HEAP_MB = 64
const KEYS = 200_000
const VALUE_BYTES = 1_000
const ELEMENTS = 200_000
const AT_ONCE = 500

const textOf = (i: number) => `${i}:`.padEnd(VALUE_BYTES, 'abcdefghij')

/** Write in pipelines. */
async function load(redis: Redis, count: number, write: (pipeline: ReturnType<Redis['pipeline']>, i: number) => void) {
  for (let at = 0; at < count; at += AT_ONCE) {
    const pipeline = redis.pipeline()
    for (let i = at; i < at + AT_ONCE; i++) write(pipeline, i)
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error
  }
}

/** Start a server with little heap, and use it. */
async function withLittleHeap(work: (redis: () => Redis) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  const server = await startServer({
    data: join(folder.path, 'data'),
    durability: 'normal',
    http: false,
    under: ['env', `NODE_OPTIONS=--max-old-space-size=${HEAP_MB}`],
  })
  const clients: Redis[] = []
  try {
    await work(() => {
      const client = new Redis(server.redisPort)
      clients.push(client)
      return client
    })
    for (const client of clients) client.disconnect()
    expect(server.logged()).not.toMatch(/heap out of memory|internal error/)
    await server.stop()
  } finally {
    for (const client of clients) client.disconnect()
    await server.kill()
    folder.remove()
  }
}

it(`serves ${4 * HEAP_MB} MB of data with a heap of ${HEAP_MB} MB`, async () => {
  await withLittleHeap(async (connect) => {
    const writer = connect()
    await load(writer, KEYS, (pipeline, i) => pipeline.set(`key:${i}`, textOf(i)))
    await load(writer, ELEMENTS, (pipeline, i) => {
      pipeline.rpush('list', `item ${i} of the list`)
      pipeline.zadd('scores', String((i * 7919) % ELEMENTS), `member ${(i * 7919) % ELEMENTS}`)
    })
    const reader = connect()
    for (let i = 0; i < KEYS; i += 997) expect(await reader.get(`key:${i}`)).toBe(textOf(i))
    expect(await reader.dbsize()).toBe(KEYS + 2)
    expect(await reader.lindex('list', ELEMENTS - 10)).toBe(`item ${ELEMENTS - 10} of the list`)
    expect(await reader.zrank('scores', 'member 123456')).toBe(123_456)
    expect(await reader.zrange('scores', 150_000, '150001')).toEqual(['member 150000', 'member 150001'])
  })
})

it('keeps nothing of what has gone through a queue, or been cut from a list', async () => {
  await withLittleHeap(async (connect) => {
    const redis = connect()
    const items = Array.from({ length: 128 }, (_, i) => textOf(i).slice(0, 500))
    await redis.rpush('queue', 'first')
    // 400 MB in all, of each.
    for (let round = 0; round < 6_400; round++) {
      const left = redis
        .pipeline()
        .rpush('queue', ...items)
        .lpop('queue', 128)
      left.rpush(`list:${round}`, ...items).ltrim(`list:${round}`, -1, -1)
      await left.exec()
    }
    expect(await redis.llen('queue')).toBe(1)
    expect(await redis.lrange('list:0', 0, -1)).toEqual(items.slice(-1))
  })
})
