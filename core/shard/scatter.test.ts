import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../errors.ts'
import { canonicalKey, type Scalar } from './hash.ts'
import type { AggregateRow, AggregateSpec, ResultRow } from './scatter.ts'
import { compareBy, compareScalars, final, mergeOrdered, partial } from './scatter.ts'

const json = <T>(value: T): T => JSON.parse(JSON.stringify(value))

describe('mergeOrdered', () => {
  interface Item {
    readonly key: number
    readonly list: number
    readonly place: number
  }
  const byKey = (a: Item, b: Item) => a.key - b.key
  const lists = fc
    .array(fc.array(fc.nat({ max: 20 }), { maxLength: 30 }), { maxLength: 12 })
    .map((all) => all.map((keys, list) => keys.sort((a, b) => a - b).map((key, place): Item => ({ key, list, place }))))

  it('is the sorted whole, cut, with the earlier list first among equals', () => {
    const cut = fc.record({ limit: fc.nat({ max: 400 }), offset: fc.nat({ max: 100 }) }, { requiredKeys: [] })
    fc.assert(
      fc.property(lists, cut, (all, options) => {
        const { offset = 0, limit = Number.POSITIVE_INFINITY } = options
        const naive = all.flat().sort((a, b) => a.key - b.key || a.list - b.list || a.place - b.place)
        expect(mergeOrdered(all, byKey, options)).toEqual(naive.slice(offset, offset + limit))
      }),
      { numRuns: 500 },
    )
  })

  it('needs of each list only what the limit lets through', () => {
    fc.assert(
      fc.property(lists, fc.nat({ max: 20 }), fc.nat({ max: 20 }), (all, limit, offset) => {
        const pushed = all.map((list) => list.slice(0, offset + limit))
        expect(mergeOrdered(pushed, byKey, { limit, offset })).toEqual(mergeOrdered(all, byKey, { limit, offset }))
      }),
    )
  })

  it('compares about k log n times for a small limit', () => {
    const all = Array.from({ length: 1000 }, (_, list) => Array.from({ length: 100 }, (_, i) => i * 1000 + list))
    let compared = 0
    const counted = (a: number, b: number) => {
      compared++
      return a - b
    }
    expect(mergeOrdered(all, counted, { limit: 100 })).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(compared).toBeLessThan(2 * 1000 + 100 * 2 * 10)
  })
})

describe('compareScalars and compareBy', () => {
  it('order as SQLite does', () => {
    const ordered: Scalar[] = [null, Number.NEGATIVE_INFINITY, -1, 0, 1.5, 2, '', 'a', '\uffff', '😀', new Uint8Array()]
    for (let i = 0; i < ordered.length; i++) {
      for (let j = 0; j < ordered.length; j++) {
        expect(Math.sign(compareScalars(ordered[i] as Scalar, ordered[j] as Scalar))).toBe(Math.sign(i - j))
      }
    }
  })

  it('order rows by columns, absent ones as null, descending where asked', () => {
    const rows = [{ a: 1, b: 1 }, { a: 2, b: 1 }, { b: 0 }, { a: 1, b: 2 }]
    expect(rows.toSorted(compareBy([{ column: 'a' }, { column: 'b', descending: true }]))).toEqual([
      { b: 0 },
      { a: 1, b: 2 },
      { a: 1, b: 1 },
      { a: 2, b: 1 },
    ])
  })
})

const every: AggregateSpec['values'] = {
  rows: { op: 'count' },
  count: { op: 'count', column: 'v' },
  sum: { op: 'sum', column: 'n' },
  avg: { op: 'avg', column: 'n' },
  min: { op: 'min', column: 'v' },
  max: { op: 'max', column: 'v' },
  distinct: { op: 'distinct', column: 'v' },
  different: { op: 'count_distinct', column: 'v' },
}

/** Every aggregate of one group, from all its rows at once. */
function naive(rows: readonly AggregateRow[]): ResultRow {
  const values = rows.map(({ v }) => v ?? null).filter((v) => v !== null)
  const numbers = rows.map(({ n }) => n ?? null).filter((n) => n !== null) as number[]
  const sum = numbers.reduce((a, b) => a + b, 0)
  const distinct = [...new Set(values)].sort(compareScalars)
  return {
    rows: rows.length,
    count: values.length,
    sum: numbers.length > 0 ? sum : null,
    avg: numbers.length > 0 ? sum / numbers.length : null,
    min: distinct[0] ?? null,
    max: distinct.at(-1) ?? null,
    distinct,
    different: distinct.length,
  }
}

describe('partial and final', () => {
  const value = fc.option(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom('a', 'b', '😀', '\uffff')))
  const row: fc.Arbitrary<AggregateRow> = fc.record(
    { g: fc.constantFrom<Scalar>(null, 1, '1', 'x'), h: fc.boolean(), v: value, n: fc.option(fc.integer()) },
    { requiredKeys: ['h'] },
  )
  const shards = fc.array(fc.array(row, { maxLength: 20 }), { maxLength: 6 })

  it('give what the rows give together, without groups', () => {
    fc.assert(
      fc.property(shards, (all) => {
        const spec = { values: every }
        expect(final(spec, json(all.map((rows) => partial(spec, rows))))).toEqual([naive(all.flat())])
      }),
    )
  })

  it('give what the rows give together, by groups, in order', () => {
    const spec = { groupBy: ['g', 'h'], values: every }
    fc.assert(
      fc.property(shards, (all) => {
        const groups = new Map<string, AggregateRow[]>()
        for (const one of all.flat()) {
          const key = canonicalKey(one.g ?? null) + canonicalKey(one.h as boolean)
          groups.set(key, [...(groups.get(key) ?? []), one])
        }
        const expected = [...groups]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, rows]) => ({ g: rows[0]?.g ?? null, h: rows[0]?.h, ...naive(rows) }))
        expect(final(spec, json(all.map((rows) => partial(spec, rows))))).toEqual(expected)
      }),
    )
  })

  it('of no rows is one row without groups, and none with', () => {
    expect(final({ values: every }, [])).toEqual([naive([])])
    expect(final({ groupBy: ['g'], values: every }, [partial({ groupBy: ['g'], values: every }, [])])).toEqual([])
  })

  it('take -0 for 0 and bytes by their content', () => {
    const spec: AggregateSpec = { groupBy: ['g'], values: { v: { op: 'distinct', column: 'v' } } }
    const bytes = () => new Uint8Array([1, 2])
    const parts = [partial(spec, [{ g: -0, v: bytes() }]), partial(spec, [{ g: 0, v: bytes() }])]
    expect(final(spec, parts)).toEqual([{ g: 0, v: [bytes()] }])
  })

  it('refuse to hold more groups and distinct values than the limit, in a shard or together', () => {
    const spec: AggregateSpec = { groupBy: ['g'], values: { v: { op: 'distinct', column: 'v' } }, entriesMax: 4 }
    const rows = (...values: number[]) => values.map((v) => ({ g: v % 2, v }))
    expect(final(spec, [partial(spec, rows(1, 2)), partial(spec, rows(1, 2))])).toHaveLength(2)
    for (const run of [
      () => partial(spec, rows(1, 2, 3)),
      () => final(spec, [partial(spec, rows(1, 2)), partial(spec, rows(2, 3))]),
    ]) {
      expect(run).toThrow(expect.objectContaining({ code: 'limit', detail: { max: 4 } }))
    }
  })

  it('refuse sums of what is no number', () => {
    const spec: AggregateSpec = { values: { v: { op: 'sum', column: 'v' } } }
    expect(() => partial(spec, [{ v: '1' }])).toThrow(expect.objectContaining({ code: 'type_mismatch' }))
  })

  it('refuse specs that cannot be', () => {
    const bad = [
      { values: { v: { op: 'median', column: 'v' } } },
      { values: { v: { op: 'toString', column: 'v' } } },
      { values: { v: { op: 'sum' } } },
      { groupBy: ['v'], values: { v: { op: 'count' } } },
      { values: {}, entriesMax: 0 },
      { values: {}, entriesMax: 1e9 },
    ]
    for (const spec of bad) expect(() => partial(spec as AggregateSpec, [])).toThrow(Failure)
  })
})
