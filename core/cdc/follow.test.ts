import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Failure } from '../errors.ts'
import { nodeClock } from '../host/node/index.ts'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import type { Position } from '../shard/program.ts'
import type { ChangesReply } from '../shard/system.ts'
import { testProgram } from '../shard/testing.ts'
import { type Batch, type Bookmark, type FollowOptions, follow, type Source } from './follow.ts'
import { ManualClock } from './testing.ts'

let shard: TestShard
beforeEach(async () => {
  shard = await openTestShard([testProgram], { limits: { logBytes: 400, dirtyRows: 8, redoBytes: 500 } })
})
afterEach(() => shard.close())

async function add(...keys: string[]): Promise<void> {
  for (const key of keys) await shard.call('test', 'add', { slot: 1, key }, 1)
}
const source: Source = {
  read: async (after, limit) => (await shard.system('changes', { after, limit })) as ChangesReply,
  wait: (after, waitMs) => shard.shard.awaitChange(after.seq, waitMs),
}
const without = (collection: string): Source => ({
  ...source,
  read: async (after, limit) => {
    const reply = (await shard.system('changes', { after, limit, collections: ['counters'] })) as ChangesReply
    expect(reply.changes.every((change) => change.collection !== collection)).toBe(true)
    return reply
  },
})

class Memory implements Bookmark {
  position: Position | undefined
  saved: number[] = []
  async load() {
    return this.position
  }
  async save(position: Position) {
    this.position = position
    this.saved.push(position.seq)
  }
}

/** Follow until `count` changes were delivered. */
async function collect(count: number, options: Partial<FollowOptions> & { bookmark?: Memory; from?: Source } = {}) {
  const { bookmark = new Memory(), from = source, ...more } = options
  const stop = new AbortController()
  const batches: Batch[] = []
  let left = count
  const deliver = async (batch: Batch) => {
    batches.push(batch)
    left -= batch.changes.length
    if (left <= 0) stop.abort()
  }
  await follow(from, bookmark, deliver, { clock: nodeClock, stop: stop.signal, ...more })
  const changes = batches.flatMap((batch) => batch.changes)
  return { batches, bookmark, seqs: changes.map(({ seq }) => seq), ids: changes.map(({ documentId }) => documentId) }
}

describe('what is delivered', () => {
  test('is everything, in order, and what comes while it runs; the bookmark goes behind it', async () => {
    await add('a', 'b')
    const running = collect(4)
    await add('c', 'd')
    const { ids, seqs, bookmark } = await running
    expect(ids).toEqual(['a', 'b', 'c', 'd'])
    expect(seqs).toEqual([1, 2, 3, 4])
    expect(bookmark.position?.seq).toBe(4)
  })

  test('goes on after the bookmark, across a restart of the shard', async () => {
    await add('a', 'b')
    const { bookmark } = await collect(2)
    await add('c')
    shard = await shard.reopen()
    expect((await collect(1, { bookmark })).ids).toEqual(['c'])
  })

  test('comes in batches of at most batchMax', async () => {
    await add('a', 'b', 'c', 'd', 'e')
    const { batches, seqs } = await collect(5, { batchMax: 2 })
    expect(batches.map(({ changes }) => changes.length)).toEqual([2, 2, 1])
    expect(batches.map(({ next }) => next.seq)).toEqual([2, 4, 5])
    expect(seqs).toEqual([1, 2, 3, 4, 5])
  })

  test('begins at the present end when asked to, and that place is saved at once', async () => {
    await add('a')
    const bookmark = new Memory()
    const running = collect(1, { start: 'now', bookmark })
    while (bookmark.saved.length === 0) await shard.shard.submit([])
    await add('b')
    expect((await running).ids).toEqual(['b'])
    expect(bookmark.saved).toEqual([1, 2])
  })

  test('comes again when the bookmark was not saved', async () => {
    await add('a', 'b')
    const crash = new Error('crash')
    const bookmark = new Memory()
    bookmark.save = () => Promise.reject(crash)
    await expect(collect(2, { bookmark })).rejects.toBe(crash)
    expect((await collect(2)).ids).toEqual(['a', 'b'])
  })

  test('leaves out what a source filters, and moves the bookmark past it', async () => {
    await shard.call('test', 'note', { slot: 1, key: 'x', by: 1 }, 1)
    await add('a')
    await shard.call('test', 'note', { slot: 1, key: 'x', by: 2 }, 1)
    const { ids, bookmark } = await collect(1, { from: without('notes'), filtered: true })
    expect(ids).toEqual(['a'])
    expect(bookmark.position?.seq).toBe(3)
    await expect(collect(1, { from: without('notes') })).rejects.toThrow('assertion failed: changes up to 2 end at 3')
  })
})

describe('a source that breaks its promise', () => {
  const broken = (change: (reply: ChangesReply) => ChangesReply): Source => ({
    ...source,
    read: async (after, limit) => change(await source.read(after, limit)),
  })
  const bookmarked = async () => {
    await add('a', 'b', 'c', 'd')
    return (await collect(1, { batchMax: 1 })).bookmark
  }
  test.each([
    ['a gap', (reply: ChangesReply) => ({ ...reply, changes: reply.changes.slice(1) })],
    ['a hole', (reply: ChangesReply) => ({ ...reply, changes: reply.changes.filter(({ seq }) => seq !== 3) })],
    ['an end missing', (reply: ChangesReply) => ({ ...reply, changes: reply.changes.slice(0, -1) })],
    ['everything missing', (reply: ChangesReply) => ({ ...reply, changes: [] })],
    ['another order', (reply: ChangesReply) => ({ ...reply, changes: reply.changes.toReversed() })],
    ['another history', (reply: ChangesReply) => ({ ...reply, next: { ...reply.next, incarnation: 'other' } })],
    ['a step back', (reply: ChangesReply) => ({ ...reply, changes: [], next: { ...reply.next, seq: 0 } })],
  ])('is found out: %s', async (_, change) => {
    const bookmark = await bookmarked()
    await expect(collect(9, { bookmark, from: broken(change) })).rejects.toThrow('assertion failed')
    expect(bookmark.position?.seq).toBe(1)
  })
})

describe('history that is gone', () => {
  test('fails the follower that was too slow', async () => {
    await add('a')
    const { bookmark } = await collect(1)
    await add(...Array.from({ length: 100 }, (_, i) => `key-${i}`))
    await expect(collect(1, { bookmark })).rejects.toMatchObject({ code: 'out_of_range' })
  })

  test('fails the follower of a shard that was made anew', async () => {
    await add('a')
    const { bookmark } = await collect(1)
    shard.close()
    shard = await openTestShard([testProgram])
    await add('b', 'c')
    await expect(collect(1, { bookmark })).rejects.toMatchObject({ code: 'out_of_range' })
  })
})

describe('failures', () => {
  /** Fails `times` times. */
  const failing = (times: number, code: 'unavailable' | 'invalid' = 'unavailable') => {
    let left = times
    return () => {
      if (left-- > 0) throw new Failure(code, 'not now')
    }
  }

  test('that pass are tried again: a delivery with the same batch, a bookmark without a second delivery', async () => {
    await add('a', 'b')
    const stop = new AbortController()
    const delivered: string[] = []
    const [deliveryFails, saveFails, readFails] = [failing(1), failing(1), failing(1)]
    const bookmark = new Memory()
    const flaky: Bookmark = {
      load: () => bookmark.load(),
      async save(position) {
        saveFails()
        await bookmark.save(position)
        stop.abort()
      },
    }
    const from: Source = {
      ...source,
      async read(after, limit) {
        readFails()
        return source.read(after, limit)
      },
    }
    const deliver = async ({ changes }: Batch) => {
      delivered.push(changes.map(({ documentId }) => documentId).join())
      deliveryFails()
    }
    await follow(from, flaky, deliver, { clock: nodeClock, stop: stop.signal })
    expect(delivered).toEqual(['a,b', 'a,b'])
    expect(bookmark.saved).toEqual([2])
  })

  test('that do not pass end it', async () => {
    await add('a')
    const fail = failing(1, 'invalid')
    const running = follow(source, new Memory(), async () => fail(), { clock: nodeClock })
    await expect(running).rejects.toMatchObject({ code: 'invalid' })
  })

  test('are waited out by the clock, longer each time, up to a bound', async () => {
    const clock = new ManualClock()
    const stop = new AbortController()
    const from: Source = { ...source, read: () => Promise.reject(new Failure('unavailable', 'gone')) }
    const running = follow(from, new Memory(), async () => {}, { clock, stop: stop.signal })
    await clock.advance(60_000)
    expect(clock.asked.slice(0, 9)).toEqual([37.5, 75, 150, 300, 600, 1200, 2400, 3750, 3750])
    stop.abort()
    expect(await running).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  test('are thrown when they last longer than patience, which begins anew with every success', async () => {
    await add('a')
    const clock = new ManualClock()
    let fails = true
    let error: unknown
    const from: Source = {
      read: (after, limit) =>
        fails
          ? Promise.reject(new Failure('unavailable', 'gone'))
          : source.read(after, limit).finally(() => (fails = true)),
      wait: async () => {},
    }
    const delivered: number[] = []
    const deliver = async ({ next }: Batch) => void delivered.push(next.seq)
    follow(from, new Memory(), deliver, { clock, patienceMs: 1_000 }).catch((reason: unknown) => {
      error = reason
    })
    await clock.advance(900)
    fails = false
    while (delivered.length === 0) await clock.advance(100)
    await clock.advance(900)
    expect(error).toBeUndefined()
    await clock.advance(2_000)
    expect(error).toMatchObject({ code: 'unavailable' })
  })
})

describe('a stop', () => {
  test('ends it at once while it waits', async () => {
    await add('a')
    const stop = new AbortController()
    let waiting = () => {}
    const waits = new Promise<void>((resolve) => {
      waiting = resolve
    })
    const from: Source = {
      ...source,
      wait(after, waitMs) {
        waiting()
        return source.wait(after, waitMs)
      },
    }
    const running = follow(from, new Memory(), async () => {}, { clock: nodeClock, stop: stop.signal, waitMs: 600_000 })
    await waits
    stop.abort()
    expect((await running)?.seq).toBe(1)
  })

  test('that comes during a delivery lets its bookmark be saved', async () => {
    await add('a', 'b')
    const { bookmark } = await collect(1, { batchMax: 1 })
    expect(bookmark.saved).toEqual([1])
  })

  test('that came before the start means that nothing is read', async () => {
    const stop = new AbortController()
    stop.abort()
    const from: Source = { ...source, read: () => Promise.reject(new Error('was read')) }
    expect(await follow(from, new Memory(), async () => {}, { clock: nodeClock, stop: stop.signal })).toBeUndefined()
  })
})
