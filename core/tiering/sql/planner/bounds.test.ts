/** What a query holds is bounded; what is cut and merged is what one run over all would be. */
import { describe, expect, it } from 'vitest'
import { Groups } from './aggregate.ts'
import type { Expr } from './expression.ts'
import { HotRows } from './hot-rows.ts'
import { JoinSide } from './join.ts'
import type { JoinPlan } from './plan.ts'
import { TopRows } from './sort.ts'
import { budget, type Datum } from './values.ts'

const column = (at: number, type = 'long'): Expr => ({ op: 'column', at, type })
const free = () => budget(Number.POSITIVE_INFINITY, 'things', 'use less')
const limit = expect.objectContaining({ code: 'limit', message: expect.stringMatching(/use less|Spark/) })
const batch = (...columns: Datum[][]) => ({ rows: columns[0]?.length ?? 0, columns })

describe('groups', () => {
  const grouping = {
    by: [column(0)],
    aggregates: [{ op: 'count distinct', arg: column(1, 'string'), type: 'long' }],
  } as const

  it('are bounded by their number and by their bytes', () => {
    const three = batch([1, 2, 3], ['a', 'b', 'c'])
    expect(() => new Groups(grouping, free(), 2).add(three)).toThrow(limit)
    expect(() => new Groups(grouping, budget(200, 'groups', 'use less')).add(three)).toThrow(limit)
    const groups = new Groups(grouping, free(), 3)
    groups.add(three)
    expect(groups.results()).toEqual(batch([1, 2, 3], [1, 1, 1]))
  })

  it('charge what is counted distinct, once a value', () => {
    const groups = new Groups(grouping, budget(1_000, 'groups', 'use less'))
    for (let n = 0; n < 1_000; n++) groups.add(batch([1], ['a']))
    expect(() => groups.add(batch([1], ['x'.repeat(1_000)]))).toThrow(limit)
  })
})

describe('the first rows', () => {
  const order = [{ at: 0, type: 'long', isDescending: false, nullsFirst: false }]

  it('are all that is held, whatever comes', () => {
    const top = new TopRows(order, 3, budget(1_000_000, 'rows', 'use less'))
    for (let n = 0; n < 200_000; n++) top.add([(n * 7_919) % 200_003])
    expect(top.finish()).toEqual([[0], [1], [2]])
  })

  it('are bounded by their bytes', () => {
    const top = new TopRows(order, Number.POSITIVE_INFINITY, budget(1_000, 'rows', 'use less'))
    expect(() => {
      for (let n = 0; n < 100; n++) top.add([n])
    }).toThrow(limit)
  })

  it('are none, or any, when that is what is wanted', () => {
    const none = new TopRows(order, 0, free())
    none.add([1])
    expect([none.finish(), none.isFull]).toEqual([[], true])
    const any = new TopRows([], 1, free())
    any.add([2])
    any.add([1])
    expect([any.finish(), any.isFull]).toEqual([[[2]], true])
  })
})

describe('the small side of a join', () => {
  const plan: JoinPlan = {
    kind: 'inner',
    right: { origin: { kind: 'table', database: 'd', table: 't' }, alias: 't', columns: [], offset: 1, used: [0, 1] },
    leftKeys: [column(0)],
    rightKeys: [column(0)],
  }

  it('is bounded by its bytes', () => {
    const side = new JoinSide(plan, budget(1_000, 'rows', 'use less'))
    expect(() => side.hold(batch([1], ['x'.repeat(1_000)]))).toThrow(limit)
  })

  it('comes in batches when a row meets many', () => {
    const side = new JoinSide(plan, free())
    side.hold(batch(new Array(20_000).fill(1), new Array(20_000).fill('x')))
    const sizes = [...side.probe(batch([1, 2]))].map(({ rows }) => rows)
    expect(sizes).toEqual([8_192, 8_192, 3_616])
  })
})

describe('rows of shards', () => {
  const piece = { deletes: [], gone: [], again: false }

  it('are bounded by their bytes', () => {
    const hot = new HotRows(1, budget(1_000, 'rows', 'use less'))
    expect(() => hot.add({ ...piece, ids: ['a'], columns: [['x'.repeat(1_000)]] })).toThrow(limit)
  })

  it('are replaced and taken back by later pieces', () => {
    const hot = new HotRows(1, free())
    hot.add({ ...piece, ids: ['a', 'b', 'c'], columns: [[1, 2, 3]] })
    hot.add({ ...piece, ids: ['b'], columns: [[20]], gone: ['c', 'z'], again: true })
    hot.add({ ...piece, ids: [], columns: [[]], gone: ['a'], again: true })
    hot.add({ ...piece, ids: ['a'], columns: [[10]], again: true })
    expect(hot.batch({ columns: [[2, 'n']] }, 7)).toEqual({ rows: 2, columns: [undefined, undefined, [20, 10]] })
    expect(hot.batch({ columns: [[0, '_shard']] }, 7)).toEqual({ rows: 2, columns: [[7, 7]] })
  })
})
