/** Migration of declared tables, over a file. */
import { afterEach, expect, test } from 'vitest'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import type { Program, Tx } from './program.ts'
import type { SqlValue } from './sql.ts'
import { type ColumnKind, type Row, table } from './table.ts'

let open: TestShard | undefined
afterEach(() => open?.close())

function program(columns: Record<string, ColumnKind>, indexes: Record<string, string> = {}): Program {
  const words = table<Row>({
    name: 'words',
    collection: 'words',
    columns: { slot: 'integer', word: 'text', ...columns },
    primaryKey: ['slot', 'word'],
    withoutRowid: true,
    buffered: true,
    indexes,
    document: (row) => row,
    documentId: ({ word }) => String(word),
  })
  return {
    name: 'words',
    tables: [words],
    run(tx: Tx, { name, args }) {
      if (name === 'find') return tx.find(words, args as Row) ?? null
      if (name === 'remove') return tx.remove(words, args as Row)
      if (name === 'clear') return tx.truncate(words)
      return tx.put(words, args as Row)
    },
    writesSql: ({ name }) => name === 'clear',
  }
}

const strict = program({ meaning: 'bin' }, { meaning: '(meaning)' })
const relaxed = program({ meaning: 'bin?', added: 'text?' }, { meaning: '(meaning)', added: '(added)' })
const row = (word: string, meaning: string | null): Row => ({ slot: 1, word, meaning })

test.each([true, false])('a column may be null from now on, and another is new (after a crash: %s)', async (crash) => {
  open = await openTestShard([strict])
  await open.call('words', 'put', row('gone', 'x'))
  await open.call('words', 'clear', null)
  for (const word of ['a', 'b', 'c']) await open.call('words', 'put', row(word, `${word}\xff`))
  await open.call('words', 'remove', row('b', ''))
  open = await open.reopen({ crash, programs: [relaxed] })
  const find = (word: string) => open?.call('words', 'find', { slot: 1, word })
  expect(await find('a')).toEqual({ ...row('a', 'a\xff'), added: null })
  expect(await find('b')).toBe(null)
  expect(await find('gone')).toBe(null)
  await open.call('words', 'put', { ...row('c', null), added: 'new' })
  open = await open.reopen({ crash: true, programs: [relaxed] })
  expect(await find('c')).toEqual({ ...row('c', null), added: 'new' })
  const indexes = open.sql.raw("select name from sqlite_master where type = 'index' and tbl_name = 'words' order by 1")
  expect(indexes.flat()).toEqual(['words_added', 'words_meaning'])
})

test('a column that becomes another kind, or may not be null any more, is refused', async () => {
  open = await openTestShard([relaxed])
  for (const columns of [{ meaning: 'bin' }, { meaning: 'text?' }, {}] as Record<string, ColumnKind>[]) {
    await expect(open.reopen({ programs: [program(columns)] })).rejects.toMatchObject({ code: 'unsupported' })
  }
})

test('a table that reads its cells in another order than it declares them is refused', () => {
  const columns = { slot: 'integer', id: 'text', note: 'text' } as const
  const plain = { name: 'notes', collection: 'notes', document: () => ({}), documentId: () => '' }
  const declare = (cells: (row: Record<string, SqlValue>) => SqlValue[]) =>
    table({ ...plain, columns, primaryKey: ['slot', 'id'], cells: cells as never })
  expect(() => declare(({ slot, id, note }) => [slot, id, note] as SqlValue[])).not.toThrow()
  expect(() => declare(({ slot, id, note }) => [slot, note, id] as SqlValue[])).toThrow('cells of notes')
})
