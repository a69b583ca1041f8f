/** What planners and shards are told never leaves out a row that a filter keeps. */
import { expect, it } from 'vitest'
import type { Condition, Literal } from '../condition.ts'
import { bindSelect } from './bind-select.ts'
import { conditionsOf, forShards } from './conditions-of.ts'
import { compileFilter } from './expression.ts'
import { parseQuery } from './parse.ts'
import { QueryMaker, randomTables } from './random-testing.ts'
import { Parameters, type SourceColumn } from './scope.ts'
import { type Datum, orderOf } from './values.ts'

function filterOf(sql: string, columns: readonly SourceColumn[]) {
  const { select, text } = parseQuery(sql)
  const parameters = new Parameters([], text.numbers)
  return bindSelect(select, { parameters, database: 'd', columnsOf: () => columns }).first?.filter
}

const plain = (value: Literal): Datum => {
  if (typeof value !== 'object') return value
  return 'micros' in value ? value.micros : value.days
}

/** What a condition means, told anew. */
function holds(condition: Condition, row: { readonly [column: string]: Datum }): boolean {
  if ('args' in condition) {
    const parts = condition.args.map((arg) => holds(arg, row))
    return condition.op === 'and' ? parts.every(Boolean) : parts.some(Boolean)
  }
  const value = row[condition.column] as Datum
  if (condition.op === 'is-null') return value === null
  if (value === null) return false
  if (!('value' in condition || 'values' in condition)) return true
  const order = orderOf(typeof value === 'number' ? 'double' : typeof value === 'string' ? 'string' : 'boolean')
  const sign = (other: Literal) => order?.(value, plain(other)) ?? Number.NaN
  if ('values' in condition) return condition.values.some((one) => sign(one) === 0)
  if (condition.op === 'starts-with') return `${value}`.startsWith(condition.value)
  const is = sign(condition.value)
  return { '=': is === 0, '<': is < 0, '<=': is <= 0, '>': is > 0, '>=': is >= 0 }[condition.op]
}

it('a row that meets a filter meets its conditions', () => {
  let told = 0
  for (let seed = 1; seed <= 600; seed++) {
    const maker = new QueryMaker(seed)
    const { t } = randomTables(maker)
    maker.query()
    const columns = t?.columns ?? []
    const sql = `select id from t where ${maker.plainCondition(columns.map(({ name, type }) => [name, type as 'int']))}`
    const filter = filterOf(sql, columns)
    const conditions = conditionsOf(filter, columns)
    told += conditions.length
    const test = compileFilter(filter)
    for (const values of t?.rows ?? []) {
      const row = Object.fromEntries(columns.map(({ name }, at) => [name, values[at] as Datum]))
      const isKept =
        test?.(
          values.map((value) => [value]),
          0,
        ) ?? true
      if (isKept) for (const one of conditions) expect([sql, row, one, holds(one, row)]).toEqual([sql, row, one, true])
    }
  }
  expect(told).toBeGreaterThan(50)
})

const columns: SourceColumn[] = [
  { name: 'i', type: 'int' },
  { name: 'l', type: 'long' },
  { name: 'x', type: 'double' },
  { name: 's', type: 'string' },
  { name: 'b', type: 'boolean' },
  { name: 'at', type: 'timestamptz' },
]

it.each<[where: string, conditions: Condition[]]>([
  ['i = 5', [{ op: '=', column: 'i', value: 5 }]],
  [
    "5 > i and s = 'a'",
    [
      { op: '<', column: 'i', value: 5 },
      { op: '=', column: 's', value: 'a' },
    ],
  ],
  ['i = 5000000000', [{ op: '=', column: 'i', value: 5_000_000_000 }]],
  [
    'l between 1 and 2',
    [
      { op: '>=', column: 'l', value: 1 },
      { op: '<=', column: 'l', value: 2 },
    ],
  ],
  ['l = 1e300', []],
  ['i = l', []],
  ['i + 1 = 2', []],
  ['not (i = 5)', []],
  ['i <> 5', []],
  ['b', [{ op: '=', column: 'b', value: true }]],
  ["s like 'ab%c'", [{ op: 'starts-with', column: 's', value: 'ab' }]],
  ["s like '%ab'", []],
  ["s ilike 'ab%'", []],
  ["s in ('a', null)", [{ op: 'in', column: 's', values: ['a'] }]],
  [
    's is null or i = 1',
    [
      {
        op: 'or',
        args: [
          { op: 'is-null', column: 's' },
          { op: '=', column: 'i', value: 1 },
        ],
      },
    ],
  ],
  ['s is null or i + 1 = 2', []],
  ["at >= '1970-01-01 00:00:01'", [{ op: '>=', column: 'at', value: { micros: 1_000_000 } }]],
])('of %s', (where, conditions) => {
  expect(conditionsOf(filterOf(`select i from t where ${where}`, columns), columns)).toEqual(conditions)
})

it('shards are not told what NaN meets', () => {
  const conditions = conditionsOf(
    filterOf('select i from t where x > 1 and x < 5 and x >= 2 and i > 3', columns),
    columns,
  )
  expect(conditions).toHaveLength(4)
  expect(forShards(conditions, columns)).toEqual([
    { op: '<', column: 'x', value: 5 },
    { op: '>', column: 'i', value: 3 },
  ])
})
