import { expect, it } from 'vitest'
import { onOneLine } from './shell-history.ts'
import { cutStatements, isBlank } from './sql-statements.ts'

it.each([
  ['select 1; select 2', ['select 1'], ' select 2'],
  ['select 1;', ['select 1'], ''],
  [';;select 1;', ['select 1'], ''],
  ["select ';', 'it''s;'; x", ["select ';', 'it''s;'"], ' x'],
  ['select "a;""b"; x', ['select "a;""b"'], ' x'],
  ['select 1 -- ; no\n; x', ['select 1 -- ; no'], ' x'],
  ['select 1 /* ; */; x', ['select 1 /* ; */'], ' x'],
  ['select $$ ; $$; x', ['select $$ ; $$'], ' x'],
  ['select $a$ ; $$ ; $a$; x', ['select $a$ ; $$ ; $a$'], ' x'],
  ['select $1 - 2 / 3; x', ['select $1 - 2 / 3'], ' x'],
  ['-- only a comment\n;', [], ''],
])('%j is cut', (text, whole, rest) => {
  expect(cutStatements(text)).toEqual({ whole, rest })
})

it.each(["select 'a;", 'select "a;', 'select /* a;', 'select $$ a;', "select 'a''; x"])('%j is open', (text) => {
  expect(cutStatements(text)).toEqual({ whole: [], rest: text })
})

it('a long text is cut in no time and no stack', () => {
  const long = `select '${"it''s;".repeat(500_000)}'`
  expect(cutStatements(`${long};`).whole).toEqual([long])
})

it.each([
  ['', true],
  [' \n-- a\n/* b */', true],
  ['-- a\nx', false],
])('%j is blank: %s', (text, expected) => {
  expect(isBlank(text)).toBe(expected)
})

it.each([
  ['select 1\n  from a', 'select 1 from a'],
  ['select 1 -- one\nfrom a', 'select 1 /* one */ from a'],
  ["select 'a\n  b' -- it's */\n, 2", "select 'a\n  b' /* it's * / */ , 2"],
  ['select 1 /* a -- b */ - 1', 'select 1 /* a -- b */ - 1'],
])('%j is remembered on one line', (statement, line) => {
  expect(onOneLine(statement)).toBe(line)
})
