/** What every host's shard does with rows that are patched, and with rows that are logged at the end of the group. */
import type { ExpectStatic } from 'vitest'
import { type TapeArgs, tapeCall } from './patch.testing.ts'
import type { Call, Position } from './program.ts'
import type { ShardCase, ShardTest } from './shard.conformance.ts'

const tiny = { dirtyRows: 6, redoBytes: 2000, drainRows: 1, cachedRows: 3 }

async function ask(t: ShardTest, name: string, args: Partial<TapeArgs> = {}): Promise<unknown> {
  const [reply] = await t.shard.submit([tapeCall(name, args)])
  return reply
}

function redoBytes(t: ShardTest): number {
  return Number(t.sql.raw('select coalesce(sum(length(bytes)), 0) from dotdo_redo')[0]?.[0])
}

/** Makes the same choices in every run. */
function chances(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 1
    return (state >>> 8) % below
  }
}

type Model = Map<string, { body: string; cuts: number }>

/** Choose a call, and do to the model what it does. */
function step(random: (below: number) => number, model: Model): Call {
  const name = `t${random(9)}`
  const known = model.get(name)
  const text = `${random(1000)};`.repeat(1 + random(6))
  const count = random(9)
  const fail = random(8) === 0
  const args = { name, text, count, fail }
  const set = (body: string, cuts: number) => {
    if (!fail) model.set(name, { body, cuts })
  }
  switch (random(12)) {
    case 0:
      set(text, 0)
      return tapeCall('write', args)
    case 1:
      if (!fail) model.delete(name)
      return tapeCall('remove', args)
    case 2:
      return tapeCall('list', args)
    case 3:
      return tapeCall('leave', args)
    case 4:
      set(`${known?.body ?? ''}kept`, known?.cuts ?? 0)
      return tapeCall('attempt', args)
    case 5:
    case 6:
    case 7:
      if (known !== undefined) set(known.body.slice(count), known.cuts + 1)
      return tapeCall('cut', args)
    default:
      set((known?.body ?? '') + text, known?.cuts ?? 0)
      return tapeCall('append', args)
  }
}

async function compare(t: ShardTest, expect: ExpectStatic, model: Model): Promise<void> {
  for (let i = 0; i < 9; i++) {
    const known = model.get(`t${i}`)
    const wanted = known === undefined ? null : [known.body, known.cuts, known.body.length]
    expect(await ask(t, 'read', { name: `t${i}` })).toEqual(wanted)
  }
}

const patches: ShardCase[] = [
  {
    name: 'take no more redo than the patch, until the row stands in its table',
    async run(t, expect) {
      await t.start()
      await ask(t, 'append', { text: 'x'.repeat(10_000) })
      const before = redoBytes(t)
      for (let i = 0; i < 10; i++) await ask(t, 'append', { text: `${i}` })
      expect(redoBytes(t) - before).toBeLessThan(500)
      await t.crash()
      expect(await ask(t, 'read')).toEqual([`${'x'.repeat(10_000)}0123456789`, 0, 10_010])
    },
  },
  {
    name: 'are passed over where the redo before them has been dropped',
    async run(t, expect) {
      await t.start()
      await ask(t, 'append', { text: 'first,' })
      await ask(t, 'append', { text: 'second,' })
      await ask(t, 'cut', { count: 2 })
      await ask(t, 'list')
      // The rows stand in their tables: their redo goes, the oldest first.
      t.sql.raw('delete from dotdo_redo where first = (select min(first) from dotdo_redo)')
      await t.crash()
      expect(await ask(t, 'read')).toEqual(['rst,second,', 1, 11])
      await ask(t, 'append', { text: 'third' })
      await t.crash()
      expect(await ask(t, 'read')).toEqual(['rst,second,third', 1, 16])
    },
  },
  {
    name: 'are told of as puts, with their documents',
    async run(t, expect) {
      await t.start()
      await t.system('capture', { collection: 'tapes', level: 'full' })
      await ask(t, 'append', { text: 'ab' })
      await ask(t, 'cut', { count: 1 })
      const { changes } = await t.changes()
      expect(changes.filter(({ collection }) => collection === 'tapes')).toMatchObject([
        { op: 'put', before: null, after: { body: 'ab' } },
        { op: 'put', before: { body: 'ab' }, after: { body: 'b' } },
      ])
      await t.crash()
      expect(await ask(t, 'read')).toEqual(['b', 1, 1])
    },
  },
  ...[1, 2, 3].map(
    (seed): ShardCase => ({
      name: `make the rows they should, through failures, drains, crashes and payloads that leave (${seed})`,
      async run(t, expect) {
        await t.start(seed === 3 ? {} : { limits: tiny })
        const random = chances(seed)
        const model: Model = new Map()
        for (let i = 0; i < 120; i++) {
          await t.shard.submit(Array.from({ length: 1 + random(5) }, () => step(random, model)))
          if (random(10) === 0) await t.crash()
          if (random(20) === 0) await t.reopen()
          if (random(3) === 0) await compare(t, expect, model)
        }
        await t.crash()
        await compare(t, expect, model)
      },
    }),
  ),
]

const last: ShardCase[] = [
  {
    name: 'are logged once a group, as they are at its end',
    async run(t, expect) {
      await t.start()
      const append = (text: string) => tapeCall('append', { text })
      await t.shard.submit([append('a'), append('bc'), tapeCall('append', { text: 'd', fail: true })])
      const { changes } = await t.changes()
      expect(changes.map(({ collection, op }) => [collection, op])).toEqual([
        ['tapes', 'put'],
        ['tapes', 'put'],
        ['meters', 'put'],
      ])
      await t.crash()
      expect(await ask(t, 'read')).toEqual(['abc', 0, 3])
    },
  },
  {
    name: 'are no news to who knows of the change they belong to',
    async run(t, expect) {
      await t.start()
      const [, after] = await t.shard.submit([tapeCall('append', { text: 'a' }), tapeCall('place')])
      expect(await ask(t, 'changed', { after: after as Position })).toBe(false)
      await ask(t, 'append', { text: 'b' })
      expect(await ask(t, 'changed', { after: after as Position })).toBe(true)
    },
  },
  {
    name: 'are not logged when their calls fail, nor when they have gone',
    async run(t, expect) {
      await t.start()
      await ask(t, 'append', { text: 'a', fail: true })
      expect((await t.changes()).changes).toEqual([])
      await t.shard.submit([tapeCall('append', { text: 'a' }), tapeCall('remove')])
      expect((await t.changes()).changes.map(({ op }) => op)).toEqual(['put', 'delete', 'delete'])
      await t.crash()
      expect(await ask(t, 'read')).toBe(null)
    },
  },
  {
    name: 'are logged though SQL has them before the group ends',
    async run(t, expect) {
      await t.start()
      await ask(t, 'append', { text: 'a' })
      await t.shard.submit([tapeCall('append', { text: 'b' }), tapeCall('list')])
      await t.crash()
      expect(await ask(t, 'read')).toEqual(['ab', 0, 2])
    },
  },
  {
    name: 'are logged at once for who captures documents',
    async run(t, expect) {
      await t.start()
      await t.system('capture', { collection: 'meters', level: 'after' })
      await t.shard.submit([tapeCall('append', { text: 'a' }), tapeCall('append', { text: 'b' })])
      const { changes } = await t.changes()
      expect(changes.filter(({ collection }) => collection === 'meters')).toMatchObject([
        { after: { length: 1 } },
        { after: { length: 2 } },
      ])
    },
  },
]

/** The list: patches, and rows that are logged last. */
export const patchCases: readonly (ShardCase & { readonly about: string })[] = [
  ...patches.map((each) => ({ ...each, about: 'patches' })),
  ...last.map((each) => ({ ...each, about: 'rows logged last' })),
]
