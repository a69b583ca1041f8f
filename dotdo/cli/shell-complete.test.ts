import { describe, expect, it } from 'vitest'
import { complete } from './shell-complete.ts'

const column = (name: string) => ({ name, type: 'string' })
const table = (database: string, name: string, columns: string[]) => {
  return { database, table: name, columns: columns.map(column), hot: true, cold: true }
}
const vocabulary = {
  tables: [
    table('default', 'keys', ['key', 'value', 'Odd Name']),
    table('default', 'changes', ['seq']),
    table('my-shop', 'orders', ['total']),
  ],
  database: 'default',
  before: '',
}
const fits = (line: string, before = '') => complete(line, { ...vocabulary, before })

describe('completion', () => {
  it.each([
    ['\\', ['\\d', '\\timing', '\\format', '\\use', '\\q', '\\help'], '\\'],
    ['\\ti', ['\\timing'], '\\ti'],
    ['sel', ['select'], 'sel'],
    ['SEL', ['select'], 'SEL'],
    ['select * from ', ['"my-shop".', 'changes', 'default.', 'keys'], ''],
    ['select * from k', ['keys'], 'k'],
    ['select * from default.', ['default.changes', 'default.keys'], 'default.'],
    ['select * from "my-shop".', ['"my-shop".orders'], '"my-shop".'],
    ['select * from keys where keys.v', ['keys.value'], 'keys.v'],
    ['select * from keys where default.keys.k', ['default.keys.key'], 'default.keys.k'],
    ['select * from keys where va', ['value', 'values'], 'va'],
    ['select * from "my-shop".orders where to', ['total'], 'to'],
    ['\\d ch', ['changes'], 'ch'],
  ])('of %j', (line, words, typed) => {
    expect(fits(line)).toEqual([words, typed])
  })

  it('knows the tables of earlier lines', () => {
    expect(fits('where se', 'select * from changes\n')).toEqual([['select', 'seq'], 'se'])
    expect(fits('where se')).toEqual([['select'], 'se'])
  })

  it('quotes names that need it', () => {
    expect(fits('select * from keys order by ')[0]).toContain('"Odd Name"')
  })
})
