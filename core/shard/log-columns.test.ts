/** The log as columns and as keys, against the same log as changes. */
import { afterEach, expect, test } from 'vitest'
import { ByteWriter } from '../bytes.ts'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import type { Capture } from './log.ts'
import { type ChangedKeys, changeFlags, type LogColumns, type LogRange, logOps, readLogColumns } from './log-columns.ts'
import { readEntries } from './log-entry.ts'
import type { Position, Program, Tx } from './program.ts'
import { shapeOf, writeColumns } from './row-codec.ts'
import type { ChangesReply } from './system.ts'
import { type CounterRow, counters, notes, type TestArgs, testProgram } from './testing.ts'

let open: TestShard | undefined
afterEach(() => {
  open?.close()
  open = undefined
})

const everything = { changes: 1_000_000, bytes: 1_000_000_000 }

interface Ask extends LogRange {
  readonly after: Position
}

/** Reads the log as programs do. */
const readers: Program = {
  name: 'readers',
  tables: [],
  run(tx: Tx, { name, args }) {
    const { after, ...range } = args as Ask
    return name === 'columns' ? tx.logColumns(after, range) : tx.changedKeys(after, range)
  },
}

async function start(capture: Capture): Promise<TestShard> {
  open = await openTestShard([testProgram, readers])
  for (const collection of ['counters', 'notes']) await open.system('capture', { collection, level: capture })
  return open
}

const run = (name: string, args: Partial<TestArgs>) => {
  return (open as TestShard).call('test', name, { slot: 1, key: 'a', ...args }, 1)
}
const from = async (seq: number): Promise<Position> => {
  const { position } = (await (open as TestShard).system('status', null)) as { position: Position }
  return { ...position, seq }
}
const columns = async (seq: number, range: LogRange = everything) => {
  return (await open?.call('readers', 'columns', { after: await from(seq), ...range })) as LogColumns
}
const changedKeys = async (seq: number, range: LogRange = everything) => {
  return (await open?.call('readers', 'keys', { after: await from(seq), ...range })) as ChangedKeys
}

/** Everything there is to see, in a group of its own each. */
async function write(): Promise<void> {
  await run('add', { key: 'gr\xf6\xdfer/x' })
  await run('add', { key: 'gr\xf6\xdfer/x' })
  await run('note', { key: 'größer 𝕏 "quoted"', by: 7 })
  await run('remove', { key: 'gr\xf6\xdfer/x' })
  await run('add', { key: 'a', bytes: 'x'.repeat(1_000) })
  await run('clear', {})
  await run('add', { key: 'b' })
}

/** Show columns as the rows they stand for. */
function rowsOf({ first, count, groups, tables, table, op, flags, ids, after, afterBytes }: LogColumns): unknown[] {
  const times = groups.flatMap((group) => Array.from({ length: group.count }, () => group))
  let end = 0
  return Array.from({ length: count }, (_, i) => {
    const begin = end
    end += afterBytes[i] as number
    const text = new TextDecoder().decode(after.subarray(begin, end))
    const bits = flags[i] as number
    return {
      seq: first + i,
      atMs: times[i]?.atMs,
      epoch: times[i]?.epoch,
      collection: tables[table[i] as number]?.collection,
      op: logOps[op[i] as number],
      documentId: ids[i],
      after: text === '' ? undefined : JSON.parse(text),
      isNew: (bits & changeFlags.isNew) !== 0,
      moved: (bits & changeFlags.moved) !== 0,
      omitted: (bits & changeFlags.omitted) !== 0,
    }
  })
}

/** The same of changes. */
function expected({ changes }: ChangesReply, after = 0): unknown[] {
  return changes
    .filter(({ seq }) => seq > after)
    .map(({ seq, atMs, epoch, collection, op, documentId, before, ...change }) => {
      const { after, moved = false, omitted = false } = change
      return { seq, atMs, epoch, collection, op, documentId, after, isNew: before === null, moved, omitted }
    })
}

test.each(['key', 'after', 'full'] as const)('columns say what changes say (captured: %s)', async (capture) => {
  const { system } = await start(capture)
  await write()
  const changes = (await system('changes', { after: 'start', limit: 100 })) as ChangesReply
  for (let after = 0; after <= 7; after++) {
    const found = await columns(after)
    expect(rowsOf(found)).toEqual(expected(changes, after))
    expect(found.next).toEqual({ ...changes.next, epoch: 1 })
    expect(found.more).toBe(false)
  }
})

test('a read ends with the segment that reaches a limit, and goes on from there', async () => {
  const { shard, system } = await start('after')
  const add = (key: string) => ({ program: 'test', name: 'add', slot: 1, epoch: 1, args: { slot: 1, key } })
  for (let group = 0; group < 5; group++) await shard.submit(['a', 'b', 'c'].map((key) => add(`${key}${group}`)))
  const changes = (await system('changes', { after: 'start', limit: 100 })) as ChangesReply
  const read = async (range: LogRange) => {
    const rows: unknown[] = []
    const counts: number[] = []
    for (let after = 0, more = true; more; ) {
      const found = await columns(after, range)
      rows.push(...rowsOf(found))
      counts.push(found.count)
      expect((await changedKeys(after, range)).next).toEqual(found.next)
      after = found.next.seq
      more = found.more
    }
    expect(rows).toEqual(expected(changes))
    return counts
  }
  expect(await read(everything)).toEqual([15])
  expect(await read({ ...everything, changes: 4 })).toEqual([6, 6, 3])
  expect(await read({ ...everything, bytes: 1 })).toEqual([3, 3, 3, 3, 3])
  expect((await columns(4, { ...everything, changes: 1 })).count).toBe(2)
})

test('tables that are not wanted have neither ids nor documents', async () => {
  await start('after')
  await write()
  const wanted = (table: unknown) => table === notes
  const found = await columns(0, { ...everything, wanted })
  expect(found.count).toBe(7)
  expect(found.ids.filter((id) => id !== '')).toEqual(['7'])
  expect(JSON.parse(new TextDecoder().decode(found.after))).toEqual({ id: 7, text: 'größer 𝕏 "quoted"' })
  expect((await changedKeys(0, { ...everything, wanted })).keys).toHaveLength(1)
  expect((await changedKeys(0, { ...everything, wanted })).truncates).toEqual([])
})

test('changed keys come once, with their last change; truncates with what they were given', async () => {
  await start('full')
  await write()
  const { keys, truncates } = await changedKeys(0)
  expect(keys.map(({ table, key, op, seq }) => [table.collection, key.key ?? key.id, op, seq])).toEqual([
    ['notes', 7, 'put', 3],
    ['counters', 'gr\xf6\xdfer/x', 'delete', 4],
    ['counters', 'a', 'put', 5],
    ['counters', 'b', 'put', 7],
  ])
  expect(truncates).toMatchObject([{ table: counters, where: {}, seq: 6, moved: false }])
  expect((await changedKeys(5)).keys).toMatchObject([{ key: { slot: 1, key: 'b' } }])
})

test('what came with its slot, and what went with it, is marked', async () => {
  const { shard, system } = await start('after')
  await system('fence', { epoch: 2, slots: [[1, 2]], to: 3 })
  await system('discard', { epoch: 2, slots: [[1, 2]] })
  await system('prepare', { epoch: 3, slots: [[1, 1]] })
  const row: CounterRow = { slot: 1, key: 'a', value: 1, note: null, bytes: '' }
  await system('import', { epoch: 3, table: 'test_counters', rows: [row] })
  const changes = (await system('changes', { after: 'start', limit: 100 })) as ChangesReply
  expect(changes.changes.map(({ op, moved }) => [op, moved])).toEqual([
    ['truncate', true],
    ['truncate', true],
    ['truncate', true],
    ['truncate', true],
    ['put', true],
  ])
  const args = { after: { ...changes.next, seq: 0 }, ...everything }
  const [found, keys] = (await shard.submit(
    ['columns', 'keys'].map((name) => ({ program: 'readers', name, slot: 0, epoch: 3, args })),
  )) as [LogColumns, ChangedKeys]
  expect(rowsOf(found)).toEqual(expected(changes))
  expect(keys.keys).toMatchObject([{ op: 'put', moved: true }])
  expect(keys.truncates.map(({ where, moved }) => [where, moved])).toEqual([
    [{ slot: 1 }, true],
    [{ slot: 2 }, true],
    [{ slot: 1 }, true],
    [{ slot: 2 }, true],
  ])
})

test('a history that is gone or another one is out of range', async () => {
  await start('key')
  await write()
  const after = { ...(await from(3)), incarnation: 'other' }
  for (const name of ['columns', 'keys']) {
    const asked = open?.call('readers', name, { after, ...everything })
    await expect(asked).rejects.toMatchObject({ code: 'out_of_range', detail: { position: { seq: 7 } } })
    const future = open?.call('readers', name, { after: await from(8), ...everything })
    await expect(future).rejects.toMatchObject({ code: 'out_of_range' })
  }
})

test('documents larger than the log keeps are marked as left out', async () => {
  await start('after')
  await run('note', { key: 'x'.repeat(600_000), by: 1 })
  expect(rowsOf(await columns(0))).toMatchObject([{ after: undefined, omitted: true }])
})

test('logs written before documents stood by themselves are read as before', () => {
  const shape = shapeOf(notes, 1)
  const writer = new ByteWriter()
  const payloads = [{ after: { id: 1, text: 'ü' }, before: null }, { moved: true }, { omitted: true }]
  for (const [id, payload] of payloads.entries()) {
    writer.byte(4)
    writer.uint(1)
    writeColumns(writer, shape.key, { slot: 1, id })
    writer.text(JSON.stringify(payload))
  }
  const shapes = [shape, shape]
  const segment = { first: 1, last: 3, atMs: 5, epoch: 1, bytes: writer.view() }
  expect(readEntries(segment, shapes).map(({ payload }) => payload)).toEqual(payloads)
  const read = readLogColumns([segment], shapes, { after: 0, range: everything })
  const next = { incarnation: '', epoch: 1, seq: 3 }
  expect(rowsOf({ ...read, next, more: false })).toMatchObject([
    { documentId: '0', after: { id: 1, text: 'ü' }, isNew: true },
    { documentId: '1', moved: true, isNew: false },
    { documentId: '2', omitted: true },
  ])
})
