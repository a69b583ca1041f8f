/** What buffered tables do for speed must not show: rows read ahead, the row at hand, rows written together. */
import { describe, expect, it } from 'vitest'
import { Failure } from '../errors.ts'
import { openTestShard } from '../host/node/testing.ts'
import type { Program, Tx } from './program.ts'
import { table } from './table.ts'

type ItemRow = { slot: number; list: string; place: number; text: string }

const items = table<ItemRow>({
  name: 'items',
  collection: 'items',
  columns: { slot: 'integer', list: 'bin', place: 'real', text: 'bin' },
  primaryKey: ['slot', 'list', 'place'],
  buffered: true,
  document: ({ text }) => ({ text }),
  documentId: ({ list, place }) => `${list}/${place}`,
})

interface Args {
  readonly list: string
  readonly from: number
  readonly count: number
  readonly step?: 1 | -1
  readonly text?: string
}

const places = ({ from, count, step = 1 }: Args) => Array.from({ length: count }, (_, i) => from + i * step)

const calls: { readonly [name: string]: (tx: Tx, args: Args) => unknown } = {
  put(tx, args) {
    const { list, text = '' } = args
    for (const place of places(args)) tx.put(items, { slot: 1, list, place, text: `${text}${place}` })
  },
  remove: (tx, args) => places(args).map((place) => tx.remove(items, { slot: 1, list: args.list, place })),
  read: (tx, args) => places(args).map((place) => tx.find(items, { slot: 1, list: args.list, place })?.text ?? null),
  ahead(tx, args) {
    const { list, from, count, step = 1 } = args
    tx.readAhead(items, { slot: 1, list, place: from }, count, step)
    return calls.read?.(tx, args)
  },
  clear: (tx, { list }) => tx.truncate(items, { slot: 1, list }),
  fail(tx, args) {
    if (args.count % 4 === 0) calls.clear?.(tx, args)
    calls.put?.(tx, { ...args, text: 'undone' })
    calls.remove?.(tx, { ...args, count: 1 })
    throw new Failure('invalid', 'as it was asked to')
  },
}

const program: Program = {
  name: 'items',
  tables: [items],
  run: (tx, { name, args }) => calls[name]?.(tx, args as Args),
}

describe('a buffered table', () => {
  it.each([
    { cachedRows: 3, dirtyRows: 2, drainRows: 1 },
    { cachedRows: 40, dirtyRows: 25, drainRows: 40 },
  ])('answers what was written, through read-ahead and calls that fail, with %j', async (limits) => {
    let test = await openTestShard([program], { limits })
    const model = new Map<string, string>()
    let seed = 7
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 1
      return (seed >>> 8) % below
    }
    for (let i = 0; i < 1000; i++) {
      const list = `l${random(2)}`
      const args: Args = {
        list,
        from: random(60),
        count: 1 + random(20),
        step: random(2) === 0 ? 1 : -1,
        text: `${i}:`,
      }
      const names = places(args).map((place) => [place, `${list}/${place}`] as const)
      const known = names.map(([, name]) => model.get(name) ?? null)
      switch (random(50) === 0 ? 3 + random(2) : random(3) === 0 ? random(3) : 5) {
        case 0:
          await test.call('items', 'put', args)
          for (const [place, name] of names) model.set(name, `${i}:${place}`)
          break
        case 1:
          expect(await test.call('items', 'remove', args)).toEqual(names.map(([, name]) => model.delete(name)))
          break
        case 2:
          await expect(test.call('items', 'fail', args)).rejects.toThrow('as it was asked to')
          break
        case 3:
          await test.call('items', 'clear', args)
          for (const name of [...model.keys()]) if (name.startsWith(`${list}/`)) model.delete(name)
          break
        case 4:
          test = await test.reopen({ crash: random(2) === 0 })
          break
        default:
          expect(await test.call('items', i % 2 === 0 ? 'ahead' : 'read', args)).toEqual(known)
      }
    }
    test.close()
  })

  it('asks SQL for no row while memory has let go of none', async () => {
    let test = await openTestShard([program])
    const asked = (): string[] => {
      const statements: string[] = []
      const { all } = test.sql
      test.sql.all = (statement, ...values) => {
        if (/select .* from items where/s.test(statement)) statements.push(statement)
        return all.call(test.sql, statement, ...values)
      }
      return statements
    }
    const before = asked()
    await test.call('items', 'put', { list: 'a', from: 0, count: 10 })
    expect(await test.call('items', 'read', { list: 'a', from: 9, count: 2 })).toEqual(['9', null])
    await test.call('items', 'remove', { list: 'a', from: 9, count: 2 })
    expect(before).toEqual([])
    test = await test.reopen()
    const after = asked()
    expect(await test.call('items', 'read', { list: 'a', from: 8, count: 2 })).toEqual(['8', null])
    expect(after).toHaveLength(2)
    test.close()
  })

  it('takes many more rows from one call than its cache holds, without copying them over and over', async () => {
    const test = await openTestShard([program], { limits: { cachedRows: 4 } })
    await test.call('items', 'put', { list: 'a', from: 0, count: 40_000, text: 't' })
    expect(await test.call('items', 'read', { list: 'a', from: 39_998, count: 3 })).toEqual(['t39998', 't39999', null])
    test.close()
  })
})
