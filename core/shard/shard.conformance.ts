/** What every host's shard does: run in Node over files and in workerd over the storage of a Durable Object. */
import type { ExpectStatic } from 'vitest'
import { LOG_HOLD_NAME_CHARS_MAX, LOG_HOLDS_MAX } from '../limits.ts'
import type { ColdRow } from './cold.ts'
import type { Call } from './program.ts'
import type { Shard, ShardLimits } from './shard.ts'
import type { Sql } from './sql.ts'
import type { ChangesReply, CopyReply, ShardStatus, SystemCalls } from './system.ts'
import { type TestArgs, testProgram } from './testing.ts'

/** A shard of the test program, owning every slot, as a host opened it. */
export interface OpenedShard {
  readonly shard: Shard
  readonly sql: Sql
  /** Run one call to the shard as such. @throws Failure when that is the reply */
  system<Name extends keyof SystemCalls>(name: Name, args: SystemCalls[Name]): Promise<unknown>
  /** Open its database again. @param options.crash without closing the shard first, as a kill would */
  reopen(options?: { crash?: boolean }): Promise<OpenedShard>
}

/** How a case wants its shard. */
export interface OpenOptions {
  readonly limits?: Partial<ShardLimits>
  /** Told of bugs; without it one fails the test. */
  readonly onBug?: (error: unknown) => void
  /** Brings payloads back to the shard. */
  readonly fetchCold?: (shard: Shard, cold: readonly ColdRow[]) => Promise<void>
}

/** What a host brings: a shard of `testProgram` on a new database. */
export type OpenShard = (options: OpenOptions) => Promise<OpenedShard>

/** One thing every shard does. */
export interface ShardCase {
  readonly name: string
  run(t: ShardTest, expect: ExpectStatic): Promise<void>
}

const tiny: Partial<ShardLimits> = { dirtyRows: 8, redoBytes: 500, cachedRows: 4 }

const call = (name: string, args: Partial<TestArgs> = {}): Call => {
  return { program: testProgram.name, name, slot: 1, epoch: 1, args: { slot: 1, key: 'a', ...args } }
}

/** The shard of a case. */
export class ShardTest {
  private readonly open: OpenShard
  private opened: OpenedShard | undefined

  constructor(open: OpenShard) {
    this.open = open
  }

  private get current(): OpenedShard {
    if (this.opened === undefined) throw new Error('the case has not started its shard')
    return this.opened
  }

  get shard(): Shard {
    return this.current.shard
  }

  get sql(): Sql {
    return this.current.sql
  }

  /** Open the shard. */
  async start(options: OpenOptions = {}): Promise<ShardTest> {
    this.opened = await this.open(options)
    return this
  }

  /** Run one call of the test program. */
  run(name: string, args: Partial<TestArgs> = {}): Promise<unknown[]> {
    return this.shard.submit([call(name, args)])
  }

  system: OpenedShard['system'] = (name, args) => this.current.system(name, args)

  async changes(after: ChangesReply['next'] | 'start' = 'start'): Promise<ChangesReply> {
    return (await this.system('changes', { after, limit: 1000 })) as ChangesReply
  }

  async reopen(): Promise<void> {
    this.opened = await this.current.reopen()
  }

  async crash(): Promise<void> {
    this.opened = await this.current.reopen({ crash: true })
  }
}

const calls: ShardCase[] = [
  {
    name: 'run in order, each reply in its place',
    async run(t, expect) {
      const { shard } = await t.start()
      expect(await shard.submit([call('add'), call('add', { by: 4 }), call('get')])).toEqual([1, 5, 5])
    },
  },
  {
    name: 'fail alone, and leave nothing behind',
    async run(t, expect) {
      const { shard } = await t.start()
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
      expect(await t.run('notes')).toEqual([[]])
      expect((await t.changes()).changes).toHaveLength(1)
    },
  },
  {
    name: 'undo a removal, a truncate and a row that was not in memory',
    async run(t, expect) {
      await t.start({ limits: tiny })
      for (let i = 0; i < 40; i++) await t.run('add', { key: `k${i}` })
      await t.run('remove', { key: 'k3', fail: true })
      await t.run('add', { key: 'k4', fail: true })
      await t.run('clear', { fail: true })
      expect((await t.run('list'))[0]).toHaveLength(40)
      expect(await t.run('get', { key: 'k3' })).toEqual([1])
      await t.crash()
      expect((await t.run('list'))[0]).toHaveLength(40)
    },
  },
  {
    name: 'undo part of themselves with attempt',
    async run(t, expect) {
      await t.start()
      expect(await t.run('attempt')).toEqual([null])
      expect(await t.run('get', { key: 'a-kept' })).toEqual([1])
    },
  },
  {
    name: 'that answer with a promise are refused',
    async run(t, expect) {
      const bugs: unknown[] = []
      await t.start({ onBug: (error) => bugs.push(error) })
      expect((await t.run('later'))[0]).toMatchObject({ code: 'internal' })
      expect((await t.run('bug'))[0]).toMatchObject({ code: 'internal', message: 'a bug' })
      expect(bugs).toHaveLength(2)
    },
  },
  {
    name: 'to a program that is not there are unsupported',
    async run(t, expect) {
      const { shard } = await t.start()
      expect(await shard.submit([{ ...call('add'), program: 'none' }])).toMatchObject([{ code: 'unsupported' }])
    },
  },
]

const groups: ShardCase[] = [
  {
    name: 'is one log segment for everything that arrived together',
    async run(t, expect) {
      const { shard, sql } = await t.start()
      await Promise.all(Array.from({ length: 64 }, () => shard.submit([call('add')])))
      expect(sql.raw('select first, last from dotdo_log')).toEqual([[1, 64]])
    },
  },
  {
    name: 'whose commit fails fails whole, and memory forgets it',
    async run(t, expect) {
      const { shard, sql } = await t.start()
      await shard.submit([call('add')])
      sql.all("create trigger refuse before insert on dotdo_log begin select raise(abort, 'no space'); end")
      const results = await Promise.allSettled([shard.submit([call('add')]), shard.submit([call('note', { by: 1 })])])
      expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected'])
      sql.all('drop trigger refuse')
      expect(await shard.submit([call('get'), call('notes'), call('add')])).toEqual([1, [], 2])
    },
  },
]

const durability: ShardCase[] = [
  ...[{}, tiny].map((limits) => ({
    name: `is there after a crash: puts, rewrites and removals, ${limits === tiny ? 'drained' : 'not drained'}`,
    async run(t: ShardTest, expect: ExpectStatic) {
      await t.start({ limits })
      for (let i = 0; i < 60; i++) await t.run('add', { key: `k${i % 20}`, bytes: '\u00ff\u0000x' })
      for (let i = 0; i < 20; i += 2) await t.run('remove', { key: `k${i}` })
      await t.run('note', { key: 'hello', by: 7 })
      await t.crash()
      expect((await t.run('list'))[0]).toHaveLength(10)
      for (let i = 1; i < 20; i += 2) expect(await t.run('get', { key: `k${i}` })).toEqual([3])
      for (let i = 0; i < 20; i += 2) expect(await t.run('get', { key: `k${i}` })).toEqual([null])
      expect(await t.run('notes')).toEqual([[[7, 'hello']]])
    },
  })),
  {
    name: 'is there after a truncate and a crash',
    async run(t, expect) {
      await t.start()
      await t.run('add', { key: 'before' })
      await t.run('clear')
      await t.run('add', { key: 'after' })
      await t.crash()
      expect((await t.run('list'))[0]).toEqual([['after', 1]])
    },
  },
  {
    name: 'stands in its table, with no redo left, after a clean close',
    async run(t, expect) {
      await t.start()
      for (let i = 0; i < 10; i++) await t.run('add', { key: `k${i}` })
      expect(await t.run('stored')).toEqual([0])
      await t.reopen()
      expect(t.sql.raw('select count(*) from test_counters')).toEqual([[10]])
      expect(t.sql.raw('select count(*) from dotdo_redo')).toEqual([[0]])
      expect(await t.run('get', { key: 'k9' })).toEqual([1])
    },
  },
  {
    name: 'is drained in the background once there is enough of it',
    async run(t, expect) {
      const { sql } = await t.start({ limits: tiny })
      for (let i = 0; i < 100; i++) await t.run('add', { key: `k${i}` })
      expect(Number(sql.raw('select count(*) from test_counters')[0]?.[0])).toBeGreaterThan(50)
      expect(Number(sql.raw('select sum(length(bytes)) from dotdo_redo')[0]?.[0])).toBeLessThan(2000)
    },
  },
]

const logs: ShardCase[] = [
  {
    name: 'has every change once, in order, with operation and key',
    async run(t, expect) {
      await t.start()
      await t.run('add')
      await t.run('note', { key: 'hi', by: 3 })
      await t.run('remove')
      const { changes: list, next } = await t.changes()
      expect(list.map(({ seq, op, collection, documentId }) => [seq, op, collection, documentId])).toEqual([
        [1, 'put', 'counters', 'a'],
        [2, 'put', 'notes', '3'],
        [3, 'delete', 'counters', 'a'],
      ])
      expect(next.seq).toBe(3)
      await t.run('add')
      expect((await t.changes(next)).changes.map(({ seq }) => seq)).toEqual([4])
    },
  },
  {
    name: 'keeps what the capture level asks for, also after a restart',
    async run(t, expect) {
      await t.start()
      await t.system('capture', { collection: 'counters', level: 'full' })
      await t.run('add')
      await t.crash()
      await t.run('add')
      await t.run('remove')
      const { changes: list } = await t.changes()
      expect(list.map(({ before, after }) => [before?.value, after?.value])).toEqual([
        [undefined, 1],
        [1, 2],
        [2, undefined],
      ])
      await t.system('capture', { collection: 'counters', level: 'after' })
      await t.run('add')
      await t.system('capture', { collection: 'counters', level: 'key' })
      await t.run('add')
      const later = (await t.changes()).changes.slice(3)
      expect(later.map(({ before, after }) => [before?.value, after?.value])).toEqual([
        [undefined, 1],
        [undefined, undefined],
      ])
    },
  },
  {
    name: 'drops its oldest segments, and says so to whom it left behind',
    async run(t, expect) {
      await t.start({ limits: { ...tiny, logBytes: 200 } })
      const { next } = await t.changes()
      for (let i = 0; i < 200; i++) await t.run('add', { key: `k${i}` })
      await expect(t.changes(next)).rejects.toMatchObject({ code: 'out_of_range' })
      const { floor, position } = (await t.system('status', null)) as ShardStatus
      expect(floor).toBeGreaterThan(100)
      expect((await t.changes()).changes).toHaveLength(position.seq - floor)
      await expect(t.changes({ ...next, incarnation: 'other' })).rejects.toMatchObject({ code: 'out_of_range' })
      await expect(t.changes({ ...next, seq: 10_000 })).rejects.toMatchObject({ code: 'out_of_range' })
    },
  },
  {
    name: 'keeps what is held, up to a bound, also after a restart, and lets it go',
    async run(t, expect) {
      await t.start({ limits: { ...tiny, logBytes: 200, heldBytes: 2_000 } })
      const fill = async (from: number, to: number) => {
        for (let i = from; i < to; i++) await t.run('add', { key: `k${i}` })
      }
      const floor = async () => ((await t.system('status', null)) as ShardStatus).floor
      await fill(0, 10)
      await t.system('hold', { name: 'slow', seq: 5 })
      await t.system('hold', { name: 'fast', seq: 9 })
      await fill(10, 60)
      expect(await floor()).toBe(5)
      await t.crash()
      expect((await t.system('status', null)) as ShardStatus).toMatchObject({
        holds: [
          ['slow', 5],
          ['fast', 9],
        ],
      })
      await t.system('hold', { name: 'slow', seq: 8 })
      await fill(60, 61)
      expect(await floor()).toBe(8)
      await t.system('hold', { name: 'slow', seq: null })
      await fill(61, 70)
      expect(await floor()).toBe(9)
      await fill(70, 600)
      const kept = await floor()
      expect(kept).toBeGreaterThan(9)
      expect(kept).toBeLessThan(500)
      await t.system('hold', { name: 'fast', seq: null })
      await fill(600, 601)
      expect(await floor()).toBeGreaterThan(560)
    },
  },
  {
    name: 'refuses holds that make no sense',
    async run(t, expect) {
      await t.start()
      for (const seq of [-1, 1.5, Number.NaN]) {
        await expect(t.system('hold', { name: 'a', seq })).rejects.toMatchObject({ code: 'invalid' })
      }
      for (const name of ['', 'x'.repeat(LOG_HOLD_NAME_CHARS_MAX + 1)]) {
        await expect(t.system('hold', { name, seq: 1 })).rejects.toMatchObject({ code: 'invalid' })
      }
      const calls = Array.from({ length: LOG_HOLDS_MAX + 1 }, (_, i) => ({
        ...call('hold', {}),
        program: 'shard',
        args: { name: `h${i}`, seq: 1 },
      }))
      const replies = await t.shard.submit(calls)
      expect(replies[LOG_HOLDS_MAX - 1]).toBe(null)
      expect(replies[LOG_HOLDS_MAX]).toMatchObject({ code: 'limit' })
    },
  },
  {
    name: 'cuts a large group into segments that fit a row',
    async run(t, expect) {
      const { shard, sql } = await t.start()
      const bytes = 'x'.repeat(300_000)
      await shard.submit(Array.from({ length: 20 }, (_, i) => call('add', { key: `k${i}`, bytes })))
      const sizes = sql.raw('select length(bytes) from dotdo_redo').map(([size]) => Number(size))
      expect(sizes.length).toBeGreaterThan(4)
      expect(Math.max(...sizes)).toBeLessThan(1_400_000)
      await t.crash()
      expect((await t.run('list'))[0]).toHaveLength(20)
    },
  },
  {
    name: 'refuses a row that its table could never hold',
    async run(t, expect) {
      const { shard } = await t.start()
      const replies = await shard.submit([call('add', { bytes: 'x'.repeat(2_000_001) }), call('add')])
      expect(replies).toMatchObject([{ code: 'limit' }, 1])
    },
  },
]

const ownership: ShardCase[] = [
  {
    name: 'is asked for, given once, and kept',
    async run(t, expect) {
      const { shard } = await t.start()
      await t.system('assign', { epoch: 9, slots: [] })
      expect((await t.system('status', null)) as ShardStatus).toMatchObject({ slots: 16_384 })
      await t.system('fence', { epoch: 2, slots: [[1, 1]], to: 3 })
      const moved = { code: 'moved', detail: { epoch: 2, slots: [[1, 1, 3, 2]] } }
      expect(await shard.submit([call('add')])).toMatchObject([moved])
      await t.crash()
      expect(await t.run('add')).toMatchObject([moved])
      expect(await t.shard.submit([{ ...call('add'), slot: 2 }])).toEqual([1])
    },
  },
  {
    name: 'answers calls to the whole shard at its own epoch only',
    async run(t, expect) {
      const { shard } = await t.start()
      const all = (epoch: number): Call => ({ ...call('list'), slot: -1, epoch })
      expect(await shard.submit([all(1), all(2)])).toEqual([[], []])
      await t.system('fence', { epoch: 2, slots: [[7, 9]], to: 1 })
      expect(await shard.submit([all(1), all(2)])).toMatchObject([{ code: 'moved' }, { code: 'moved' }])
      await t.system('discard', { epoch: 2, slots: [[7, 9]] })
      expect(await shard.submit([all(1), all(2)])).toMatchObject([{ code: 'moved' }, []])
      await t.system('prepare', { epoch: 3, slots: [[7, 9]] })
      expect(await shard.submit([all(2), all(3)])).toMatchObject([{ code: 'moved' }, { code: 'moved' }])
      await t.system('activate', { epoch: 3 })
      expect(await shard.submit([all(2), all(3)])).toMatchObject([{ code: 'moved' }, []])
    },
  },
  {
    name: 'copies a slot in key order, in pieces',
    async run(t, expect) {
      await t.start()
      for (const key of ['c', 'a', 'b']) await t.run('add', { key })
      const first = (await t.system('copy', { table: 'test_counters', slots: [1, 1], limit: 2 })) as CopyReply
      expect([first.rows.map(({ key }) => key), first.more]).toEqual([['a', 'b'], true])
      const after = first.rows[1] as CopyReply['rows'][0]
      const rest = (await t.system('copy', { table: 'test_counters', slots: [1, 1], after, limit: 2 })) as CopyReply
      expect([rest.rows.map(({ key }) => key), rest.more]).toEqual([['c'], false])
    },
  },
]

const waiting: ShardCase[] = [
  {
    name: 'waiting for a change ends when one is committed, and when the time is up',
    async run(t, expect) {
      const { shard } = await t.start()
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
    },
  },
]

/** Every case, by what it is about; each wants a database of its own. */
export const shardCases: readonly (ShardCase & { readonly about: string })[] = [
  ...calls.map((one) => ({ ...one, about: 'calls' })),
  ...groups.map((one) => ({ ...one, about: 'a group' })),
  ...durability.map((one) => ({ ...one, about: 'what was acknowledged' })),
  ...logs.map((one) => ({ ...one, about: 'the log' })),
  ...ownership.map((one) => ({ ...one, about: 'ownership' })),
  ...waiting.map((one) => ({ ...one, about: 'waiting' })),
]
