import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bind, compileMatcher } from '../iceberg/expression.ts'
import { makeSchema } from '../iceberg/schema.ts'
import { type Condition, findColumn, type Literal, showCondition, toPredicate, toWhere } from './condition.ts'

const schema = makeSchema([
  { name: 'i', type: 'int' },
  { name: 'l', type: 'long' },
  { name: 'd', type: 'double' },
  { name: 's', type: 'string' },
  { name: 'b', type: 'boolean' },
  { name: 't', type: 'timestamptz' },
  { name: 'day', type: 'date' },
  { name: 'f', type: 'float' },
  { name: 'dotted.name', type: 'int' },
  { name: 'Case', type: 'int' },
  { name: 'nested', type: { type: 'struct', fields: [{ id: 0, name: 'x', required: false, type: 'int' }] } },
])

const equal = (column: string, value: Literal): Condition => ({ op: '=', column, value })

describe('columns', () => {
  it('are found exactly, or in any case when one alone has that name', () => {
    const columns = [{ name: 'a' }, { name: 'B' }, { name: 'c' }, { name: 'C' }]
    expect(findColumn(columns, 'a')?.name).toBe('a')
    expect(findColumn(columns, 'b')?.name).toBe('B')
    expect(findColumn(columns, 'C')?.name).toBe('C')
    expect(findColumn([{ name: 'c1' }, { name: 'C1' }], 'C1')?.name).toBe('C1')
    expect(findColumn([{ name: 'Ab' }, { name: 'aB' }], 'ab')).toBeUndefined()
    expect(findColumn(columns, 'z')).toBeUndefined()
  })
})

describe('predicates', () => {
  it.each<[string, Condition, unknown]>([
    ['an int', equal('i', 5), { op: 'eq', column: 'i', value: 5 }],
    ['an int past 32 bits', equal('i', 2 ** 40), undefined],
    ['half an int', equal('i', 1.5), undefined],
    ['a long', equal('l', 2 ** 40), { op: 'eq', column: 'l', value: 2 ** 40 }],
    ['a long past 2^53', equal('l', 2n ** 60n), { op: 'eq', column: 'l', value: 2n ** 60n }],
    ['a long past 64 bits', equal('l', 2n ** 70n), undefined],
    ['a double', equal('d', 1.5), { op: 'eq', column: 'd', value: 1.5 }],
    ['infinity', equal('d', Number.POSITIVE_INFINITY), undefined],
    ['a float, whose literals are doubles', equal('f', 1.5), undefined],
    ['a text', equal('s', 'x'), { op: 'eq', column: 's', value: 'x' }],
    ['a text that is a number', equal('s', 5), undefined],
    ['a flag', equal('b', true), { op: 'eq', column: 'b', value: true }],
    ['an instant', equal('t', { micros: 7 }), { op: 'eq', column: 't', value: 7 }],
    ['an instant for a day', equal('day', { micros: 7 }), undefined],
    ['a day', equal('day', { days: 3 }), { op: 'eq', column: 'day', value: 3 }],
    ['a column that is not there', equal('nope', 1), undefined],
    ['a column with a dot', equal('dotted.name', 1), undefined],
    ['a column in another case', equal('CASE', 1), { op: 'eq', column: 'Case', value: 1 }],
    ['a nested column', equal('nested', 1), undefined],
    ['in', { op: 'in', column: 'i', values: [1, 2] }, { op: 'in', column: 'i', values: [1, 2] }],
    ['in, of which one is another type', { op: 'in', column: 'i', values: [1, 'x'] }, undefined],
    ['a prefix', { op: 'starts-with', column: 's', value: 'x' }, { op: 'starts-with', column: 's', value: 'x' }],
    ['a prefix of a number', { op: 'starts-with', column: 'i', value: 'x' }, undefined],
    ['null', { op: 'is-null', column: 'i' }, { op: 'is-null', column: 'i' }],
    [
      'and, of which one cannot be said',
      { op: 'and', args: [equal('i', 1), equal('f', 1)] },
      { op: 'and', args: [{ op: 'eq', column: 'i', value: 1 }] },
    ],
    ['and, of which none can', { op: 'and', args: [equal('f', 1)] }, undefined],
    ['or, of which one cannot be said', { op: 'or', args: [equal('i', 1), equal('f', 1)] }, undefined],
  ])('of %s', (_, condition, predicate) => {
    expect(toPredicate(condition, schema)).toEqual(predicate)
  })

  it('hold for every row that meets the condition', () => {
    const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(0.5, -0.5))
    const leaf: fc.Arbitrary<Condition> = fc.oneof(
      fc.record({
        op: fc.constantFrom('=', '<', '<=', '>', '>=') as fc.Arbitrary<'='>,
        column: fc.constantFrom('i', 'd', 'f'),
        value,
      }),
      fc.record({
        op: fc.constant('in' as const),
        column: fc.constantFrom('i', 'd'),
        values: fc.array(value, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ op: fc.constantFrom('is-null' as const, 'not-null' as const), column: fc.constantFrom('i', 'd') }),
    )
    const tree = fc.letrec<{ node: Condition }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.record({
          op: fc.constantFrom('and' as const, 'or' as const),
          args: fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
        }),
      ),
    })).node
    const cell = fc.option(fc.integer({ min: -3, max: 3 }))
    fc.assert(
      fc.property(tree, fc.record({ i: cell, d: cell, f: cell }), (condition, row) => {
        const predicate = toPredicate(condition, schema)
        if (predicate === undefined || !meets(condition, row)) return
        expect(compileMatcher(bind(predicate, schema), schema)(row)).toBe(true)
      }),
    )
  })
})

function meets(condition: Condition, row: Record<string, number | null>): boolean {
  switch (condition.op) {
    case 'and':
      return condition.args.every((arg) => meets(arg, row))
    case 'or':
      return condition.args.some((arg) => meets(arg, row))
    default: {
      const is = row[condition.column] ?? null
      if (condition.op === 'is-null') return is === null
      if (is === null) return false
      if (condition.op === 'in') return condition.values.includes(is)
      if (!('value' in condition) || condition.op === 'starts-with') return true
      const wanted = condition.value as number
      if (condition.op === '=') return is === wanted
      if (condition.op === '<') return is < wanted
      if (condition.op === '<=') return is <= wanted
      return condition.op === '>' ? is > wanted : is >= wanted
    }
  }
}

describe('what shards apply', () => {
  it('is comparisons with numbers and texts that all hold', () => {
    const columns = [
      { name: 'i', type: 'int' as const },
      { name: 's', type: 'string' as const },
      { name: 'b', type: 'boolean' as const },
      { name: 't', type: 'timestamptz' as const },
    ]
    const conditions: Condition[] = [
      { op: '>', column: 'I', value: 1 },
      { op: 'and', args: [equal('s', 'x'), { op: '<', column: 't', value: { micros: 9 } }] },
      { op: 'or', args: [equal('i', 1), equal('i', 2)] },
      { op: 'in', column: 'i', values: [1] },
      { op: 'starts-with', column: 's', value: 'x' },
      { op: 'is-null', column: 'i' },
      equal('b', true),
      equal('i', 1.5),
      equal('nope', 1),
    ]
    expect(toWhere(conditions, columns)).toEqual([
      ['i', '>', 1],
      ['s', '=', 'x'],
      ['t', '<', 9],
    ])
  })
})

describe('conditions for people', () => {
  it('are written as SQL has them', () => {
    const condition: Condition = {
      op: 'and',
      args: [
        { op: '>=', column: 't', value: { micros: 1_500_000 } },
        { op: 'or', args: [equal('s', 'it"s'), { op: 'in', column: 'i', values: [1, 2] }] },
        { op: 'starts-with', column: 's', value: 'a' },
        { op: 'not-null', column: 'b' },
        equal('day', { days: 3 }),
      ],
    }
    expect(showCondition(condition)).toBe(
      '(t >= 1970-01-01T00:00:01.500Z and (s = "it\\"s" or i in (1, 2))' +
        ' and s starts with "a" and b not null and day = day 3)',
    )
  })
})
