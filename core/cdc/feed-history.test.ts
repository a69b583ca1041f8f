import { describe, expect, test } from 'vitest'
import type { Failure } from '../errors.ts'
import { FEED_REFRESH_MS } from '../limits.ts'
import type { SlotRange } from '../shard/map.ts'
import type { CopyReply } from '../shard/system.ts'
import type { HistoryLost } from './feed.ts'
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
  startAnew,
  system,
  take,
  useFabric,
} from './feed-testing.ts'
import { ManualClock, settle } from './testing.ts'

useFabric()

describe('history that is gone', () => {
  const tiny = { limits: { logBytes: 300, dirtyRows: 8, redoBytes: 500 } }
  const flood = async () => {
    for (let i = 0; i < 120; i++) await add(`flood-${i}`)
  }

  test('is told at the start, with what remains and a token for it', async () => {
    await add('a')
    await add('b', slots[1])
    const { token } = await rest()
    await restart(tiny)
    await flood()
    await add('c', slots[1])
    const failure = (await start({ since: token }).catch((error: unknown) => error)) as Failure
    expect(failure).toMatchObject({ code: 'out_of_range', detail: { shards: [{ shard: 0, asked: { seq: 1 } }] } })
    const { shards, token: remaining } = failure.detail as HistoryLost
    const [{ available }] = shards as [HistoryLost['shards'][number]]
    expect(available.to.seq).toBe(121)
    expect(available.after.seq).toBeGreaterThan(1)
    const { events } = await rest({ since: remaining })
    const kept = events.filter(({ source }) => source.shard === 0).map(({ sequence }) => sequence)
    expect([kept[0], kept.at(-1)]).toEqual([available.after.seq + 1, 121])
    expect(events.filter(({ source }) => source.shard === 1).map(({ documentId }) => documentId)).toEqual(['c'])
  })

  test('is told to a feed that runs and is too slow, after what it had read', async () => {
    await restart(tiny)
    const flooded = gate()
    let reads = 0
    const source = reading(async (index, read, after) => {
      if (index === 0 && after !== 'now' && ++reads > 2) await flooded.opened
      return read()
    })
    const feed = await start({ source })
    await beat(feed)
    await add('seen')
    expect(await take(feed, 1)).toMatchObject([{ documentId: 'seen' }])
    await flood()
    flooded.open()
    const failure = (await take(feed, 1_000).catch((error: unknown) => error)) as Failure
    expect(failure).toMatchObject({ code: 'out_of_range', detail: { shards: [{ shard: 0, asked: { seq: 1 } }] } })
    expect(await feed.next()).toEqual({ done: true, value: undefined })
    expect((await rest({ since: (failure.detail as HistoryLost).token })).ids.at(-1)).toBe('flood-119')
  })

  test('is told when the database was made anew', async () => {
    await add('a')
    const { token } = await rest()
    await startAnew()
    await add('b')
    await add('c')
    await expect(start({ since: token })).rejects.toMatchObject({ code: 'out_of_range' })
  })
})

describe('slots that move', () => {
  /** Give a slot of shard 0 to another shard, step by step as the slot mover does. */
  async function move(slot: number, to: number, count = 4): Promise<void> {
    const next = database.map.reassign([[slot, slot, to]], count)
    const { epoch } = next
    const run: SlotRange = [slot, slot]
    await system(to, 'assign', { epoch: epoch - 1, slots: database.map.slotsOf(to) })
    await system(to, 'prepare', { epoch, slots: [run] })
    await system(0, 'fence', { epoch, slots: [run], to })
    for (const table of ['test_counters', 'test_notes']) {
      const { rows } = (await system(0, 'copy', { table, slots: run, limit: 1_000 })) as CopyReply
      await system(to, 'import', { epoch, table, rows })
    }
    await system(to, 'activate', { epoch })
    await system(0, 'discard', { epoch, slots: [run] })
    await fabric.publish('shop', next.toData())
  }

  test('keep the order of a key, however slow the shard that it left', async () => {
    await add('k', 5)
    await add('k', 5)
    await move(5, 1)
    await add('k', 5)
    await add('other', slots[1])
    const waited = gate()
    const source = reading(async (index, read, after) => {
      if (index === 0 && after !== 'now') await waited.opened
      return read()
    })
    const feed = await start({ source, since: 'start', follow: false })
    const running = take(feed, 9)
    for (let i = 0; i < 20; i++) await settle()
    waited.open()
    const events = await running
    expect(events.map(({ source: { shard, epoch } }) => [shard, epoch])).toEqual([
      [0, 1],
      [0, 1],
      [1, 2],
      [1, 2],
    ])
  })

  test('end a feed without follow before changes that belong after what it will not see', async () => {
    await add('k', 5)
    let ends = 0
    const source = reading(async (index, read, after) => {
      const reply = await read()
      // The ends are measured first: shard 0's before its last change and the move, shard 1's after them.
      if (after !== 'now' || index !== 1 || ends++ > 0) return reply
      await add('k', 5)
      await move(5, 1)
      await add('k', 5)
      return read()
    })
    const { events, token } = await rest({ source })
    expect(events.map(({ source: { shard }, sequence }) => [shard, sequence])).toEqual([[0, 1]])
    const more = (await rest({ since: token })).events
    expect(more.map(({ source: { shard }, sequence }) => [shard, sequence])).toEqual([
      [0, 2],
      // Its first change is the row that came.
      [1, 2],
    ])
  })

  test('to a new shard are followed there', async () => {
    const clock = new ManualClock()
    const feed = await start({ clock })
    const { token } = await beat(feed)
    await add('k', 5)
    await move(5, 4, 5)
    await add('k', 5)
    const running = take(feed, 2)
    await clock.advance(FEED_REFRESH_MS)
    expect((await running).map(({ source: { shard } }) => shard)).toEqual([0, 4])
    expect((await rest({ since: token })).events.map(({ source: { shard } }) => shard)).toEqual([0, 4])
  })

  test('do not show as changes, neither where they were nor where they came', async () => {
    await start({ filter: { collections: ['counters'] }, capture: 'full' })
    await add('k', 5)
    await move(5, 1)
    expect(await call('get', 5, { key: 'k' })).toBe(1)
    expect((await rest()).events.map(({ operation }) => operation)).toEqual(['insert'])
  })
})
