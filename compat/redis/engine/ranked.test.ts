/** The order of elements against a sorted array, whole in memory and read leaf by leaf. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Elements, LEAF_SIZE, Ranked } from './ranked.ts'

type Element = readonly [order: number, name: string]
const inOrder = (a: Element, b: Element) => a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0)
const columns = (all: readonly Element[]): Elements => ({ orders: all.map(([o]) => o), names: all.map(([, n]) => n) })

/** A model: the rows, sorted. */
class Rows {
  all: Element[] = []
  reads = 0
  readonly read = (order: number, name: string, count: number): Elements => {
    this.reads++
    const from = this.all.findIndex((each) => inOrder(each, [order, name]) >= 0)
    return columns(from < 0 ? [] : this.all.slice(from, from + count))
  }
}

function many(count: number): Element[] {
  return Array.from({ length: count }, (_, i): Element => [Math.floor(i / 3), `m${i % 3}`])
}

describe('elements in order', () => {
  test('are what a sorted array says, whatever is added, removed and forgotten', () => {
    const element = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.constantFrom('a', 'b', 'c'))
    const step = fc.tuple(fc.constantFrom('toggle', 'toggle', 'toggle', 'forget'), element)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1200 }), fc.array(step, { maxLength: 60 }), (begun, steps) => {
        const rows = new Rows()
        rows.all = many(begun)
        const ranked = new Ranked(rows.read)
        ranked.outline(columns(rows.all.filter((_, i) => i % LEAF_SIZE === 0)), begun)
        for (const [what, [order, name]] of steps) {
          const at = rows.all.findIndex((each) => inOrder(each, [order, name]) === 0)
          if (what === 'forget') ranked.unload(order)
          else if (at >= 0) {
            ranked.remove(order, name)
            rows.all.splice(at, 1)
          } else {
            ranked.add(order, name)
            rows.all = [...rows.all, [order, name] as Element].sort(inOrder)
          }
          expect(ranked.size).toBe(rows.all.length)
          const before = rows.all.filter((each) => inOrder(each, [order, name]) < 0).length
          expect(ranked.rankOf(order, name)).toBe(before)
          expect(ranked.slice(before, 5)).toEqual(columns(rows.all.slice(before, before + 5)))
        }
        expect(ranked.slice(0, ranked.size)).toEqual(columns(rows.all))
        expect(ranked.slice(ranked.size - 1, ranked.size, -1)).toEqual(columns([...rows.all].reverse()))
      }),
      { numRuns: 60 },
    )
  })

  test('read one leaf for one question', () => {
    const rows = new Rows()
    rows.all = many(100_000)
    const ranked = new Ranked(rows.read)
    ranked.outline(columns(rows.all.filter((_, i) => i % LEAF_SIZE === 0)), rows.all.length)
    expect(ranked.rankOf(20_000, 'm1')).toBe(60_001)
    expect(rows.reads).toBe(1)
    expect(ranked.loaded).toBe(LEAF_SIZE)
    expect(ranked.slice(99_999, 1).names).toEqual(['m0'])
    expect(rows.reads).toBe(2)
    ranked.unload(0)
    expect(ranked.loaded).toBe(0)
  })
})
