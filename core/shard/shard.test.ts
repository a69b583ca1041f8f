import { afterEach, describe, expect, test } from 'vitest'
import { openTestShard, type TestShard, type TestShardOptions } from '../host/node/testing.ts'
import type { Call } from './program.ts'
import type { ShardLimits } from './shard.ts'
import type { ChangesReply, CopyReply, ShardStatus } from './system.ts'
import { type TestArgs, testProgram } from './testing.ts'

let open: TestShard | undefined
afterEach(() => {
  open?.close()
  open = undefined
})

const tiny: Partial<ShardLimits> = { dirtyRows: 8, redoBytes: 500, cachedRows: 4 }
async function start(options: TestShardOptions = {}): Promise<TestShard> {
  open = await openTestShard([testProgram], options)
  return open
}
const call = (name: string, args: Partial<TestArgs> = {}): Call => {
  return { program: 'test', name, slot: 1, epoch: 1, args: { slot: 1, key: 'a', ...args } }
}
const run = (name: string, args: Partial<TestArgs> = {}) => (open as TestShard).shard.submit([call(name, args)])
const changes = async (after: ChangesReply['next'] | 'start' = 'start') =>
  (await (open as TestShard).system('changes', { after, limit: 1000 })) as ChangesReply
async function crash(): Promise<void> {
  open = await (open as TestShard).reopen({ crash: true })
}

describe('calls', () => {
  test('run in order, each reply in its place', async () => {
    const { shard } = await start()
    expect(await shard.submit([call('add'), call('add', { by: 4 }), call('get')])).toEqual([1, 5, 5])
  })

  test('fail alone, and leave nothing behind', async () => {
    const { shard } = await start()
    const replies = await shard.submit([
      call('add'),
      call('add', { fail: true }),
      call('note', { fail: true }),
      call('get'),
    ])
    expect(replies[0]).toBe(1)
    expect(replies[1]).toMatchObject({ code: 'invalid', message: 'asked to fail' })
    expect(replies[2]).toMatchObject({ code: 'invalid' })
    expect(replies[3]).toBe(1)
    expect(await run('notes')).toEqual([[]])
    expect((await changes()).changes).toHaveLength(1)
  })

  test('undo a removal, a truncate and a row that was not in memory', async () => {
    await start({ limits: tiny })
    for (let i = 0; i < 40; i++) await run('add', { key: `k${i}` })
    await run('remove', { key: 'k3', fail: true })
    await run('add', { key: 'k4', fail: true })
    await run('clear', { fail: true })
    expect((await run('list'))[0]).toHaveLength(40)
    expect(await run('get', { key: 'k3' })).toEqual([1])
    await crash()
    expect((await run('list'))[0]).toHaveLength(40)
  })

  test('undo part of themselves with attempt', async () => {
    await start()
    expect(await run('attempt')).toEqual([null])
    expect(await run('get', { key: 'a-kept' })).toEqual([1])
  })

  test('that answer with a promise are refused', async () => {
    const bugs: unknown[] = []
    await start({ onBug: (error) => bugs.push(error) })
    expect((await run('later'))[0]).toMatchObject({ code: 'internal' })
    expect((await run('bug'))[0]).toMatchObject({ code: 'internal', message: 'a bug' })
    expect(bugs).toHaveLength(2)
  })

  test('to a program that is not there are unsupported', async () => {
    const { shard } = await start()
    expect(await shard.submit([{ ...call('add'), program: 'none' }])).toMatchObject([{ code: 'unsupported' }])
  })
})

describe('a group', () => {
  test('is one log segment for everything that arrived together', async () => {
    const { shard, sql } = await start()
    await Promise.all(Array.from({ length: 64 }, () => shard.submit([call('add')])))
    expect(sql.raw('select first, last from dotdo_log')).toEqual([[1, 64]])
  })

  test('whose commit fails fails whole, and memory forgets it', async () => {
    const { shard, sql } = await start()
    await shard.submit([call('add')])
    sql.all("create trigger refuse before insert on dotdo_log begin select raise(abort, 'no space'); end")
    const results = await Promise.allSettled([shard.submit([call('add')]), shard.submit([call('note', { by: 1 })])])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected'])
    sql.all('drop trigger refuse')
    expect(await shard.submit([call('get'), call('notes'), call('add')])).toEqual([1, [], 2])
  })
})

describe('what was acknowledged', () => {
  test('is there after a crash: puts, rewrites and removals, drained or not', async () => {
    for (const limits of [{}, tiny]) {
      await start({ limits })
      for (let i = 0; i < 60; i++) await run('add', { key: `k${i % 20}`, bytes: '\u00ff\u0000x' })
      for (let i = 0; i < 20; i += 2) await run('remove', { key: `k${i}` })
      await run('note', { key: 'hello', by: 7 })
      await crash()
      expect((await run('list'))[0]).toHaveLength(10)
      for (let i = 1; i < 20; i += 2) expect(await run('get', { key: `k${i}` })).toEqual([3])
      for (let i = 0; i < 20; i += 2) expect(await run('get', { key: `k${i}` })).toEqual([null])
      expect(await run('notes')).toEqual([[[7, 'hello']]])
      open?.close()
    }
  })

  test('is there after a truncate and a crash', async () => {
    await start()
    await run('add', { key: 'before' })
    await run('clear')
    await run('add', { key: 'after' })
    await crash()
    expect((await run('list'))[0]).toEqual([['after', 1]])
  })

  test('stands in its table, with no redo left, after a clean close', async () => {
    await start()
    for (let i = 0; i < 10; i++) await run('add', { key: `k${i}` })
    expect(await run('stored')).toEqual([0])
    open = await (open as TestShard).reopen()
    expect(open.sql.raw('select count(*) from test_counters')).toEqual([[10]])
    expect(open.sql.raw('select count(*) from dotdo_redo')).toEqual([[0]])
    expect(await run('get', { key: 'k9' })).toEqual([1])
  })

  test('is drained in the background once there is enough of it', async () => {
    const { sql } = await start({ limits: tiny })
    for (let i = 0; i < 100; i++) await run('add', { key: `k${i}` })
    expect(Number(sql.raw('select count(*) from test_counters')[0]?.[0])).toBeGreaterThan(50)
    expect(Number(sql.raw('select sum(length(bytes)) from dotdo_redo')[0]?.[0])).toBeLessThan(2000)
  })
})

describe('the log', () => {
  test('has every change once, in order, with operation and key', async () => {
    await start()
    await run('add')
    await run('note', { key: 'hi', by: 3 })
    await run('remove')
    const { changes: list, next } = await changes()
    expect(list.map(({ seq, op, collection, documentId }) => [seq, op, collection, documentId])).toEqual([
      [1, 'put', 'counters', 'a'],
      [2, 'put', 'notes', '3'],
      [3, 'delete', 'counters', 'a'],
    ])
    expect(next.seq).toBe(3)
    await run('add')
    expect((await changes(next)).changes.map(({ seq }) => seq)).toEqual([4])
  })

  test('keeps what the capture level asks for, also after a restart', async () => {
    await start()
    await open?.system('capture', { collection: 'counters', level: 'full' })
    await run('add')
    await crash()
    await run('add')
    await run('remove')
    const { changes: list } = await changes()
    expect(list.map(({ before, after }) => [before?.value, after?.value])).toEqual([
      [undefined, 1],
      [1, 2],
      [2, undefined],
    ])
    await open?.system('capture', { collection: 'counters', level: 'after' })
    await run('add')
    await open?.system('capture', { collection: 'counters', level: 'key' })
    await run('add')
    const later = (await changes()).changes.slice(3)
    expect(later.map(({ before, after }) => [before?.value, after?.value])).toEqual([
      [undefined, 1],
      [undefined, undefined],
    ])
  })

  test('drops its oldest segments, and says so to whom it left behind', async () => {
    await start({ limits: { ...tiny, logBytes: 200 } })
    const { next } = await changes()
    for (let i = 0; i < 200; i++) await run('add', { key: `k${i}` })
    await expect(changes(next)).rejects.toMatchObject({ code: 'out_of_range' })
    const { floor, position } = (await open?.system('status', null)) as ShardStatus
    expect(floor).toBeGreaterThan(100)
    expect((await changes()).changes).toHaveLength(position.seq - floor)
    await expect(changes({ ...next, incarnation: 'other' })).rejects.toMatchObject({ code: 'out_of_range' })
    await expect(changes({ ...next, seq: 10_000 })).rejects.toMatchObject({ code: 'out_of_range' })
  })

  test('cuts a large group into segments that fit a row', async () => {
    const { shard, sql } = await start()
    const bytes = 'x'.repeat(300_000)
    await shard.submit(Array.from({ length: 20 }, (_, i) => call('add', { key: `k${i}`, bytes })))
    const sizes = sql.raw('select length(bytes) from dotdo_redo').map(([size]) => Number(size))
    expect(sizes.length).toBeGreaterThan(4)
    expect(Math.max(...sizes)).toBeLessThan(1_400_000)
    await crash()
    expect((await run('list'))[0]).toHaveLength(20)
  })

  test('refuses a row that its table could never hold', async () => {
    const { shard } = await start()
    const replies = await shard.submit([call('add', { bytes: 'x'.repeat(2_000_001) }), call('add')])
    expect(replies).toMatchObject([{ code: 'limit' }, 1])
  })
})

describe('ownership', () => {
  test('is asked for, given once, and kept', async () => {
    const { shard } = await start()
    await open?.system('assign', { epoch: 9, slots: [] })
    expect((await open?.system('status', null)) as ShardStatus).toMatchObject({ slots: 16_384 })
    await open?.system('fence', { epoch: 2, slots: [[1, 1]], to: 3 })
    const moved = { code: 'moved', detail: { epoch: 2, slots: [[1, 1, 3, 2]] } }
    expect(await shard.submit([call('add')])).toMatchObject([moved])
    await crash()
    expect(await run('add')).toMatchObject([moved])
    expect(await open?.shard.submit([{ ...call('add'), slot: 2 }])).toEqual([1])
  })

  test('answers calls to the whole shard at its own epoch only', async () => {
    const { shard } = await start()
    const all = (epoch: number): Call => ({ ...call('list'), slot: -1, epoch })
    expect(await shard.submit([all(1), all(2)])).toEqual([[], []])
    await open?.system('fence', { epoch: 2, slots: [[7, 9]], to: 1 })
    expect(await shard.submit([all(1), all(2)])).toMatchObject([{ code: 'moved' }, { code: 'moved' }])
    await open?.system('discard', { epoch: 2, slots: [[7, 9]] })
    expect(await shard.submit([all(1), all(2)])).toMatchObject([{ code: 'moved' }, []])
    await open?.system('prepare', { epoch: 3, slots: [[7, 9]] })
    expect(await shard.submit([all(2), all(3)])).toMatchObject([{ code: 'moved' }, { code: 'moved' }])
    await open?.system('activate', { epoch: 3 })
    expect(await shard.submit([all(2), all(3)])).toMatchObject([{ code: 'moved' }, []])
  })

  test('copies a slot in key order, in pieces', async () => {
    await start()
    for (const key of ['c', 'a', 'b']) await run('add', { key })
    const first = (await open?.system('copy', { table: 'test_counters', slots: [1, 1], limit: 2 })) as CopyReply
    expect([first.rows.map(({ key }) => key), first.more]).toEqual([['a', 'b'], true])
    const after = first.rows[1] as CopyReply['rows'][0]
    const rest = (await open?.system('copy', { table: 'test_counters', slots: [1, 1], after, limit: 2 })) as CopyReply
    expect([rest.rows.map(({ key }) => key), rest.more]).toEqual([['c'], false])
  })
})

test('waiting for a change ends when one is committed, and when the time is up', async () => {
  const { shard } = await start()
  let ended = false
  const waiting = shard.awaitChange(0, 60_000).then(() => {
    ended = true
  })
  await shard.submit([call('get')])
  expect(ended).toBe(false)
  await shard.submit([call('add')])
  await waiting
  await shard.awaitChange(0, 60_000)
  await shard.awaitChange(1, 1)
})
