/** What every host's shard does with rows whose payload is in the lake alone. */
import type { ExpectStatic } from 'vitest'
import { Failure } from '../errors.ts'
import { COLD_TRIES_MAX } from '../limits.ts'
import { coldCall, fetchFromLake, type TextArgs } from './cold.testing.ts'
import type { ColdRow } from './cold.ts'
import type { OpenOptions, ShardCase, ShardTest } from './shard.conformance.ts'
import type { Shard } from './shard.ts'
import type { ChangesReply, CopyReply, ShardStatus } from './system.ts'

const tables = ['scrolls', 'stones'] as const
const tiny = { dirtyRows: 4, redoBytes: 300, cachedRows: 2 }
/** Nothing is drained, so that all rows stay dirty. */
const lazy = { dirtyRows: 1_000, redoBytes: 1_000_000 }

/** A lake that counts, and that tests may make wait or fail. */
class Lake {
  readonly asked: string[][] = []
  /** Runs before the rows are fetched. */
  before: (shard: Shard) => Promise<void> | void = () => undefined
  readonly fetchCold: NonNullable<OpenOptions['fetchCold']> = async (shard, cold: readonly ColdRow[]) => {
    this.asked.push(cold.map(({ key }) => String(key.name)))
    await this.before(shard)
    await fetchFromLake(shard, cold)
  }
}

async function ask(t: ShardTest, name: string, args: Partial<TextArgs> = {}): Promise<unknown> {
  const [reply] = await t.shard.submit([coldCall(name, args)])
  return reply
}

/** One case a table. */
function eachTable(
  name: string,
  run: (t: ShardTest, expect: ExpectStatic, table: TextArgs['table']) => Promise<void>,
): ShardCase[] {
  return tables.map((table) => ({ name: `${name} (${table})`, run: (t, expect) => run(t, expect, table) }))
}

const payloads: ShardCase[] = [
  ...eachTable('leave and come back, logged neither time', async (t, expect, table) => {
    await t.start()
    await ask(t, 'write', { table, body: 'hello' })
    expect(await ask(t, 'evict', { table })).toBe(5)
    expect(await ask(t, 'peek', { table })).toMatchObject({ body: null, touched: 0 })
    expect(await ask(t, 'evict', { table })).toBe(0)
    expect(await ask(t, 'evict', { table, name: 'none' })).toBe(0)
    expect(await ask(t, 'restore', { table })).toBe(true)
    expect(await ask(t, 'restore', { table, body: 'other' })).toBe(false)
    expect(await ask(t, 'restore', { table, name: 'none', body: 'other' })).toBe(false)
    expect(await ask(t, 'read', { table })).toBe('hello')
    expect((await t.changes()).changes.map(({ collection, op }) => [collection, op])).toEqual([[table, 'put']])
  }),
  ...eachTable('of rows that never have one stay as they are', async (t, expect, table) => {
    await t.start()
    await ask(t, 'write', { table, kind: 'empty', body: null })
    expect(await ask(t, 'evict', { table })).toBe(0)
    expect(await ask(t, 'read', { table })).toBe(null)
    expect(await ask(t, 'restore', { table, body: 'x' })).toBe(false)
  }),
  ...eachTable('that left stay away after a close, and a touched row keeps its own', async (t, expect, table) => {
    await t.start()
    for (const name of ['a', 'b']) await ask(t, 'write', { table, name, body: name })
    await t.reopen()
    expect(await ask(t, 'evictUnseen', { table })).toBe(1)
    await ask(t, 'evict', { table, name: 'b' })
    await ask(t, 'touch', { table, name: 'b' })
    await t.reopen()
    expect(await ask(t, 'peek', { table })).toMatchObject({ body: null, touched: 0 })
    expect(await ask(t, 'peek', { table, name: 'b' })).toMatchObject({ body: null, touched: 1 })
    await ask(t, 'restore', { table, name: 'b' })
    expect(await ask(t, 'peek', { table, name: 'b' })).toMatchObject({ body: 'b', touched: 1 })
  }),
  ...eachTable('of calls that fail are as they were before', async (t, expect, table) => {
    await t.start()
    // In memory and clean, in memory and dirty, in SQL alone.
    await ask(t, 'write', { table, name: 'sql', body: 'sql' })
    await ask(t, 'write', { table, name: 'clean', body: 'clean' })
    await t.reopen()
    await ask(t, 'read', { table, name: 'clean' })
    await ask(t, 'write', { table, name: 'dirty', body: 'dirty' })
    for (const name of ['sql', 'clean', 'dirty']) {
      expect(await ask(t, 'evictUnseen', { table, name, fail: true })).toMatchObject({ code: 'invalid' })
      expect(await ask(t, 'read', { table, name })).toBe(name)
      await ask(t, 'evict', { table, name })
      expect(await ask(t, 'restore', { table, name, fail: true })).toMatchObject({ code: 'invalid' })
      expect(await ask(t, 'peek', { table, name })).toMatchObject({ body: null })
      await ask(t, 'touch', { table, name })
      await ask(t, 'restore', { table, name, fail: true })
      expect(await ask(t, 'peek', { table, name })).toMatchObject({ body: null, touched: 1 })
    }
  }),
  {
    name: 'survive a crash with the redo: whole as they were put, or as they came back',
    async run(t, expect) {
      await t.start({ limits: lazy })
      for (const name of ['put', 'touched', 'back', 'newer']) await ask(t, 'write', { name, body: name })
      await t.reopen()
      await ask(t, 'write', { name: 'put', body: 'put again' })
      for (const name of ['put', 'touched', 'back', 'newer']) await ask(t, 'evict', { name })
      for (const name of ['touched', 'back', 'newer']) await ask(t, 'touch', { name })
      for (const name of ['back', 'newer']) await ask(t, 'restore', { name })
      await ask(t, 'write', { name: 'newer', body: 'newest' })
      await t.crash()
      expect(await ask(t, 'peek', { name: 'put' })).toMatchObject({ body: 'put again' })
      expect(await ask(t, 'peek', { name: 'touched' })).toMatchObject({ body: null, touched: 1 })
      expect(await ask(t, 'peek', { name: 'back' })).toMatchObject({ body: 'back', touched: 1 })
      expect(await ask(t, 'peek', { name: 'newer' })).toMatchObject({ body: 'newest', touched: 0 })
    },
  },
  {
    name: 'come and go while rows are drained, trimmed from memory and crash',
    async run(t, expect) {
      await t.start({ limits: tiny })
      const names = Array.from({ length: 12 }, (_, i) => `n${i}`)
      for (let round = 0; round < 6; round++) {
        for (const [i, name] of names.entries()) {
          if ((i + round) % 3 === 0) await ask(t, 'write', { name, body: `${name}-${round}` })
          if ((i + round) % 4 === 1) await ask(t, 'evict', { name })
          if ((i + round) % 5 === 2) await ask(t, 'touch', { name })
          if ((i + round) % 6 === 3) await ask(t, 'restore', { name })
        }
        if (round % 2 === 1) await t.crash()
        for (const [i, name] of names.entries()) {
          const last = [0, 1, 2, 3, 4, 5].filter((at) => at <= round && (i + at) % 3 === 0).at(-1)
          const row = (await ask(t, 'peek', { name })) as { body: string | null } | null
          expect(row?.body ?? `${name}-${last}`).toBe(`${name}-${last}`)
        }
      }
    },
  },
  {
    name: 'that are away are copied as away, and tables of nobody with them',
    async run(t, expect) {
      await t.start()
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      const copy = async (table: string) => {
        return (await t.system('copy', { table, slots: [1, 1], limit: 9 })) as CopyReply
      }
      expect((await copy('test_scrolls')).rows).toMatchObject([{ name: 'a', body: null }])
      expect((await copy('test_lake')).rows).toMatchObject([{ place: 'scrolls/a', body: 'hello' }])
      expect(await t.system('tables', null)).toContain('test_lake')
    },
  },
]

const internal: ShardCase[] = [
  {
    name: 'are in no log, whatever is done to them, and in no list but the programs own',
    async run(t, expect) {
      await t.start()
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      expect(await ask(t, 'lake')).toEqual(['scrolls/a'])
      expect(await ask(t, 'forget')).toBe(true)
      await ask(t, 'clearLake')
      const status = (await t.system('status', null)) as ShardStatus
      expect(status.position.seq).toBe(1)
      expect(status.tables).not.toContain('test_lake')
      expect(await ask(t, 'tables')).toEqual(expect.arrayContaining(['test_counters', 'test_lake']))
      await expect(t.system('capture', { collection: '', level: 'after' })).rejects.toMatchObject({ code: 'not_found' })
    },
  },
  {
    name: 'keep what was written, and undo what failed',
    async run(t, expect) {
      await t.start()
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      await ask(t, 'forget', { fail: true })
      await t.crash()
      expect(await ask(t, 'lake')).toEqual(['scrolls/a'])
    },
  },
]

/** Start with cold rows a, b, c, each holding its own name. */
async function startCold(t: ShardTest, lake: Lake): Promise<void> {
  await t.start({ fetchCold: lake.fetchCold })
  for (const name of ['a', 'b', 'c']) {
    await ask(t, 'write', { name, body: name })
    await ask(t, 'evict', { name })
  }
}

const calls: ShardCase[] = [
  {
    name: 'get them whole, in the order in which they were submitted',
    async run(t, expect) {
      const lake = new Lake()
      await startCold(t, lake)
      const write = coldCall('write', { name: 'b', body: 'new' })
      const replies = await t.shard.submit([
        coldCall('peek', { name: 'b' }),
        coldCall('read'),
        write,
        coldCall('read', { name: 'b' }),
        coldCall('read', { name: 'c' }),
      ])
      expect(replies).toMatchObject([{ body: null }, 'a', null, 'new', 'c'])
      // What comes after the stopped call is looked at: one fetch for all, though in the end b is not needed.
      expect(lake.asked).toEqual([['a', 'b', 'c']])
      expect((await t.changes()).changes.map(({ documentId }) => documentId)).toEqual(['a', 'b', 'c', 'b'])
    },
  },
  {
    name: 'of others go on meanwhile, and ask for each row once',
    async run(t, expect) {
      const lake = new Lake()
      await startCold(t, lake)
      let others: unknown[] = []
      lake.before = async (shard) => {
        expect(shard.busy).toBe(true)
        if (lake.asked.length === 1) others = await shard.submit([coldCall('touch'), coldCall('peek', { name: 'b' })])
      }
      const reads = ['a', 'b', 'a'].map((name) => t.shard.submit([coldCall('read', { name })]))
      expect(await Promise.all(reads)).toEqual([['a'], ['b'], ['a']])
      expect(others).toMatchObject([1, { body: null }])
      expect(lake.asked).toEqual([['a', 'b']])
      expect(t.shard.busy).toBe(false)
      expect(await ask(t, 'read')).toBe('a')
    },
  },
  {
    name: 'that chance leads to cold rows are led to the same ones again',
    async run(t, expect) {
      const lake = new Lake()
      await t.start({ fetchCold: lake.fetchCold })
      const names = Array.from({ length: 200 }, (_, i) => `n${i}`)
      await t.shard.submit(names.map((name) => coldCall('write', { name, body: name })))
      await t.shard.submit(names.map((name) => coldCall('evict', { name })))
      // Chance may lead to one row twice.
      const bodies = [...new Set((await ask(t, 'readRandom', { names })) as string[])]
      expect(bodies).toEqual(lake.asked[0])
      expect(lake.asked).toHaveLength(1)
    },
  },
  {
    name: 'are unavailable when nobody fetches, when it fails, and when rows leave again each time',
    async run(t, expect) {
      await t.start()
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      const both = [coldCall('read'), coldCall('touch')]
      expect(await t.shard.submit(both)).toMatchObject([{ code: 'unavailable' }, 1])
      const lake = new Lake()
      await startCold(t, lake)
      lake.before = () => {
        throw new Failure('storage', 'no bucket')
      }
      const failed = await t.shard.submit([coldCall('touch', { name: 'b' }), ...both])
      expect(failed).toMatchObject([1, { code: 'unavailable', message: expect.stringContaining('no bucket') }, 1])
      lake.before = () => undefined
      lake.asked.length = 0
      const fetchCold = lake.fetchCold
      await t.start({
        async fetchCold(shard, cold) {
          await fetchCold(shard, cold)
          await shard.submit([coldCall('evict')])
        },
      })
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      expect(await ask(t, 'read')).toMatchObject({ code: 'unavailable' })
      expect(lake.asked).toHaveLength(COLD_TRIES_MAX + 1)
    },
  },
  {
    name: 'that wait when the shard is closed are answered, those before them as they were',
    async run(t, expect) {
      const lake = new Lake()
      await startCold(t, lake)
      const { shard } = t
      const asked = new Promise<void>((resolve) => {
        lake.before = () => {
          resolve()
          return new Promise<void>(() => undefined)
        }
      })
      const waiting = shard.submit([coldCall('touch', { name: 'b' }), coldCall('read'), coldCall('touch')])
      const alone = shard.submit([coldCall('read')])
      await asked
      shard.close()
      expect(await waiting).toMatchObject([1, { code: 'unavailable' }, { code: 'unavailable' }])
      await expect(alone).rejects.toMatchObject({ code: 'unavailable' })
    },
  },
]

const captured: ShardCase[] = [
  {
    name: 'has documents of whole rows only, and says where one is left out',
    async run(t, expect) {
      await t.start()
      await t.system('capture', { collection: 'scrolls', level: 'full' })
      await ask(t, 'write', { body: 'hello' })
      await ask(t, 'evict')
      await ask(t, 'touch')
      await ask(t, 'write', { body: 'new' })
      await ask(t, 'evict')
      await ask(t, 'remove')
      const { changes } = (await t.changes()) as ChangesReply
      expect(
        changes.map(({ op, before, after, omitted }) => [op, before, (after as { body: string })?.body, omitted]),
      ).toEqual([
        ['put', null, 'hello', undefined],
        ['put', undefined, undefined, true],
        ['put', undefined, 'new', undefined],
        ['delete', undefined, undefined, undefined],
      ])
    },
  },
]

/** Every case, by what it is about; each wants a database of its own. */
export const coldCases: readonly (ShardCase & { readonly about: string })[] = [
  ...payloads.map((one) => ({ ...one, about: 'payloads' })),
  ...internal.map((one) => ({ ...one, about: 'internal tables' })),
  ...calls.map((one) => ({ ...one, about: 'calls that need cold rows' })),
  ...captured.map((one) => ({ ...one, about: 'a log of cold rows' })),
]
