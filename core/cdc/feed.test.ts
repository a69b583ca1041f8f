import { beforeEach, describe, expect, test } from 'vitest'
import { Failure } from '../errors.ts'
import { FEED_PATIENCE_MS, FEED_TOKEN_EACH_SHARDS_MAX } from '../limits.ts'
import type { FeedItem, FeedOptions } from './feed.ts'
import {
  add,
  beat,
  call,
  database,
  fabric,
  gate,
  reading,
  rest,
  restart,
  slots,
  start,
  take,
  use,
  useFabric,
} from './feed-testing.ts'
import { databaseSource, type FeedSource } from './source.ts'
import { ManualClock, settle } from './testing.ts'
import { decodeToken } from './token.ts'

useFabric()

describe('a feed', () => {
  test('merges the changes of all shards, each shard in order', async () => {
    for (let i = 0; i < 20; i++) await add(`k${i}`, slots[i % 4])
    const { events } = await rest()
    expect(events).toHaveLength(20)
    for (const shard of [0, 1, 2, 3]) {
      const own = events.filter(({ source }) => source.shard === shard)
      expect(own.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
      expect(own.map(({ documentId }) => documentId)).toEqual([0, 1, 2, 3, 4].map((i) => `k${shard + 4 * i}`))
    }
    expect(new Set(events.map(({ id }) => id)).size).toBe(20)
  })

  test('begins at the present end by default, with a heartbeat that holds its token, and goes on', async () => {
    await add('old')
    const feed = await start()
    const { token } = await beat(feed)
    await add('new')
    expect((await take(feed, 1)).map(({ documentId }) => documentId)).toEqual(['new'])
    expect((await rest({ since: token })).ids).toEqual(['new'])
  })

  test('begins at the oldest change kept when told to', async () => {
    await add('old')
    expect((await rest({ since: 'start' })).ids).toEqual(['old'])
    expect((await rest({ since: 'now' })).ids).toEqual([])
  })

  test('without follow ends at the end that was there when it began', async () => {
    await add('a')
    const feed = await start({ since: 'start', follow: false })
    await add('b')
    await add('c', slots[2])
    const { value } = await feed.next()
    expect(value).toMatchObject({ event: { documentId: 'a' } })
    expect(await feed.next()).toEqual({ done: true, value: undefined })
    expect((await rest({ since: feed.token() })).ids.sort()).toEqual(['b', 'c'])
  })

  test('does not let a busy shard starve the others', async () => {
    await Promise.all(Array.from({ length: 1_500 }, (_, i) => add(`busy${i}`, slots[0])))
    await add('quiet', slots[3])
    const quiet = gate()
    const source = reading(async (index, read) => {
      // Only what has arrived can be taken in turn: the busy shard's changes come after the quiet one's.
      if (index === 0) await quiet.opened
      const reply = await read()
      if (index === 3) quiet.open()
      return reply
    })
    const feed = await start({ source, since: 'start', follow: false })
    const first = await take(feed, 500)
    expect(first.map(({ documentId }) => documentId)).toContain('quiet')
  })

  test('says of a database with many shards where it stands at the end of each batch', async () => {
    const count = FEED_TOKEN_EACH_SHARDS_MAX + 1
    use(await fabric.create('wide', { count, partitioner: 'crc16' }))
    for (let i = 0; i < 6; i++) await add(`k${i}`, 7)
    const feed = await start({ since: 'start', follow: false })
    await expect.poll(async () => (await databaseSource(fabric, database).shard(0).read('now', 0)).next.seq).toBe(6)
    const seen: FeedItem[] = []
    for (let batch = await feed.nextBatch(4); batch.length > 0; batch = await feed.nextBatch(4)) {
      expect(batch.slice(0, -1).every(({ token }) => token === undefined)).toBe(true)
      expect(decodeToken(batch.at(-1)?.token ?? '', 'wide').positions[0]?.seq).toBe(seen.length + batch.length)
      seen.push(...batch)
    }
    expect(seen).toHaveLength(6)
  })
})

describe('a token', () => {
  test('of any event resumes right after it, for a second consumer after a restart', async () => {
    for (let i = 0; i < 12; i++) await add(`k${i}`, slots[(i * i) % 4])
    const { events } = await rest()
    await restart()
    for (const [at, { token }] of events.entries()) {
      const ids = events.slice(at + 1).map(({ id }) => id)
      const again = (await rest({ since: token })).events.map(({ id }) => id)
      expect(again.toSorted()).toEqual(ids.toSorted())
    }
  })

  test('resumes a running feed', async () => {
    const feed = await start()
    const { token } = await beat(feed)
    await add('a')
    await add('b', slots[1])
    await restart()
    await add('c')
    const again = await start({ since: token })
    expect((await take(again, 3)).map(({ documentId }) => documentId).sort()).toEqual(['a', 'b', 'c'])
  })

  test('of another database is refused', async () => {
    const { token } = await rest()
    use(await fabric.database('other'))
    await expect(start({ since: token })).rejects.toMatchObject({ code: 'invalid' })
    await expect(start({ since: 'yesterday' })).rejects.toMatchObject({ code: 'invalid' })
  })
})

describe('filters', () => {
  beforeEach(async () => {
    await add('user:1')
    await add('order:1', slots[1])
    await call('note', slots[0], { key: 'text', by: 7 })
    await call('remove', slots[0], { key: 'user:1' })
  })

  test('by collection', async () => {
    expect((await rest({ filter: { collections: ['notes'] } })).ids).toEqual(['7'])
    expect((await rest({ filter: { collections: ['notes', 'counters'] } })).ids).toHaveLength(4)
  })

  test('by documentId', async () => {
    expect((await rest({ filter: { documentId: 'user:*' } })).ids).toEqual(['user:1', 'user:1'])
  })

  test('by operation', async () => {
    const { events } = await rest({ filter: { operations: ['delete'] } })
    expect(events).toMatchObject([{ operation: 'delete', documentId: 'user:1' }])
  })

  test.each<Partial<FeedOptions>>([
    { filter: { operations: ['insert'] } },
    { filter: { operations: ['update'], collections: ['counters'] }, capture: 'after' },
    { capture: 'after' },
    { filter: { collections: [] } },
    { heartbeatMs: 1 },
    { heartbeatMs: Number.NaN },
  ])('and options that cannot be honoured are refused: %j', async (options) => {
    await expect(start(options)).rejects.toMatchObject({ code: 'invalid' })
  })

  test('move the token past what they leave out', async () => {
    const { token } = await rest({ filter: { documentId: 'nobody' } })
    const positions = decodeToken(token, 'shop').positions.map(({ seq }) => seq)
    expect(positions).toEqual([3, 1, 0, 0])
    expect((await rest({ since: token })).ids).toEqual([])
  })
})

describe('capture', () => {
  const counters = { collections: ['counters'] }
  test('is raised on every shard before the feed begins', async () => {
    const feed = await start({ filter: counters, capture: 'full' })
    for (const slot of slots) await add('a', slot)
    await add('a', slots[0], 4)
    await call('remove', slots[0], { key: 'a' })
    const events = await take(feed, 6)
    expect(events.filter(({ operation }) => operation === 'insert')).toHaveLength(4)
    const [, update, removal] = events.filter(({ source }) => source.shard === 0)
    expect(update).toMatchObject({
      operation: 'update',
      before: { key: 'a', value: 1, note: 'odd' },
      after: { key: 'a', value: 5, note: 'odd' },
      changedFields: ['value'],
    })
    expect(removal).toMatchObject({ operation: 'delete', before: { value: 5 } })
    expect(removal).not.toHaveProperty('after')
  })

  test('is not lowered by a feed that asks for less', async () => {
    await start({ filter: counters, capture: 'full' })
    await start({ filter: counters, capture: 'after' })
    await add('a')
    await add('a')
    expect((await rest()).events.map(({ operation }) => operation)).toEqual(['insert', 'update'])
  })

  test('after keeps the new document only', async () => {
    const feed = await start({ filter: counters, capture: 'after' })
    await add('a')
    const [event] = await take(feed, 1)
    expect(event).toMatchObject({ operation: 'put', after: { key: 'a', value: 1 } })
    expect(event).not.toHaveProperty('before')
  })

  test('key keeps no document', async () => {
    await add('a')
    const { events } = await rest()
    expect(events[0]).not.toHaveProperty('after')
  })

  test('of a collection that does not exist is refused', async () => {
    const filter = { collections: ['nothing'] }
    await expect(start({ filter, capture: 'after' })).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('heartbeats', () => {
  test('come when there was nothing for so long, with a token that moves past filtered changes', async () => {
    const clock = new ManualClock()
    const feed = await start({ clock, heartbeatMs: 1_000, filter: { documentId: 'wanted' } })
    const first = await beat(feed)
    let second: IteratorResult<FeedItem, undefined> | undefined
    feed.next().then((result) => {
      second = result
    })
    await add('other')
    const seq = () => decodeToken(feed.token(), 'shop').positions[0]?.seq
    // Not by heartbeat alone: the filtered change is taken when it arrives.
    while (seq() !== 1) await settle()
    await clock.advance(999)
    expect(second).toBeUndefined()
    await clock.advance(1)
    expect(second?.value).toMatchObject({ heartbeat: first.heartbeat + 1_000 })
    expect(second?.value?.token).not.toBe(first.token)
  })

  test('wait for silence', async () => {
    const clock = new ManualClock()
    const feed = await start({ clock, heartbeatMs: 1_000 })
    await beat(feed)
    await clock.advance(900)
    await add('a')
    await take(feed, 1)
    let next: unknown
    feed.next().then((result) => {
      next = result
    })
    await clock.advance(999)
    expect(next).toBeUndefined()
    await clock.advance(1)
    expect(next).toMatchObject({ value: { heartbeat: clock.nowMs() } })
  })
})

describe('a consumer', () => {
  test('that takes nothing holds the reading back', async () => {
    await Promise.all(Array.from({ length: 2_400 }, (_, i) => add(`k${i}`)))
    let read = 0
    const source = reading(async (_, work) => {
      const reply = await work()
      read += reply.changes.length
      return reply
    })
    const feed = await start({ source, since: 'start' })
    await expect.poll(() => read).toBe(2_000)
    for (let i = 0; i < 50; i++) await add('more', slots[1])
    expect(read).toBeLessThanOrEqual(2_000 + 50)
    expect(await take(feed, 2_450)).toHaveLength(2_450)
  })

  test('that leaves ends the feed at once, also while it waits', async () => {
    const clock = new ManualClock()
    const feed = await start({ clock })
    await beat(feed)
    const waiting = feed.next()
    await feed.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await settle()
    expect(clock.pending).toBe(0)
  })

  test('may break out of a loop', async () => {
    await add('a')
    const feed = await start({ since: 'start' })
    for await (const item of feed) if ('event' in item) break
    expect(await feed.next()).toEqual({ done: true, value: undefined })
  })
})

describe('a shard that does not answer', () => {
  const failing = (isDown: () => boolean): FeedSource => {
    const source = databaseSource(fabric, database)
    const guard = () => {
      if (isDown()) throw new Failure('unavailable', 'no answer')
    }
    return {
      ...source,
      shard: (index, collections) => {
        const real = source.shard(index, collections)
        if (index !== 1) return real
        return {
          read: async (after, limit) => {
            guard()
            return real.read(after, limit)
          },
          wait: async (after, waitMs) => {
            guard()
            return real.wait(after, waitMs)
          },
        }
      },
    }
  }

  test('for a while delays its changes only', async () => {
    let down = false
    const clock = new ManualClock()
    const feed = await start({ clock, source: failing(() => down) })
    await beat(feed)
    down = true
    await add('b', slots[1])
    await add('a', slots[0])
    expect(await take(feed, 1)).toMatchObject([{ documentId: 'a' }])
    down = false
    const next = take(feed, 1)
    await clock.advance(10_000)
    expect(await next).toMatchObject([{ documentId: 'b' }])
  })

  test('for too long ends the feed', async () => {
    let down = false
    const clock = new ManualClock()
    const feed = await start({ clock, source: failing(() => down) })
    await beat(feed)
    down = true
    await add('b', slots[1])
    let failure: unknown
    take(feed, 1).catch((error: unknown) => {
      failure = error
    })
    await clock.advance(FEED_PATIENCE_MS / 2)
    expect(failure).toBeUndefined()
    await clock.advance(FEED_PATIENCE_MS)
    expect(failure).toMatchObject({ code: 'unavailable' })
  })
})
