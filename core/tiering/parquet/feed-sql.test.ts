import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Failure } from '../../errors.ts'
import { type NodeSql, openSqlite } from '../../host/node/sqlite.ts'
import { openZstd } from '../../host/node/zstd.ts'
import { uncompressed } from '../zstd.ts'
import { feedCases } from './feed-sql.conformance.ts'
import { feedSql } from './feed-sql.ts'
import { parseDistinct, parseIntegers, parsePacked, parseSeparated } from './parse-sql.ts'
import type { StructType } from './schema.ts'
import { createParquetWriter } from './writer.ts'

let sql: NodeSql
beforeEach(() => {
  sql = openSqlite(':memory:')
})
afterEach(() => sql.close())

// node:sqlite of Node 22 cuts text at a NUL when it reads; its driver refuses to store such text.
const refusesNul = () => {
  try {
    return sql.raw('select ?', 'a\0b')[0]?.[0] !== 'a\0b'
  } catch (error) {
    return (error as Failure).code === 'unsupported'
  }
}

describe('feeding from SQLite', () => {
  it.each(feedCases)('$name', async ({ name, run }) => {
    const fed = async () => run(sql, await openZstd(), expect)
    if (name.includes('NUL') && refusesNul()) await expect(fed()).rejects.toMatchObject({ code: 'unsupported' })
    else await fed()
  })

  const schema: StructType = {
    type: 'struct',
    fields: [
      { id: 1, name: 'k', required: true, type: 'long' },
      { id: 2, name: 'v', required: true, type: 'int' },
    ],
  }
  const start = () => createParquetWriter({ schema, compressor: uncompressed, sink: { write() {} } })
  const columns = [
    { field: 'k', sql: 'k' },
    { field: 'v', sql: 'v' },
  ]

  it.each([
    ['a field without a column', columns.slice(1)],
    ['a column without a field', [...columns, { field: 'w', sql: 'v' }]],
    ['a field twice', [...columns, { field: 'v', sql: 'v' }]],
  ])('refuses %s', async (_, given) => {
    sql.all('create table t (k integer primary key, v integer) strict')
    await expect(feedSql(start(), { sql, from: 't', key: 'k', columns: given })).rejects.toMatchObject({
      code: 'invalid',
    })
  })

  it.each([
    ['null', 'null'],
    ['a fraction', '1.5'],
    ['text', "'x'"],
    ['an integer of more than 32 bits', '5000000000'],
  ])('refuses %s where an integer is required', async (_, value) => {
    sql.all('create table t (k integer primary key, v any) strict')
    sql.all(`insert into t values (1, 1), (2, ${value})`)
    await expect(feedSql(start(), { sql, from: 't', key: 'k', columns })).rejects.toMatchObject({ code: 'invalid' })
  })
})

const bytes = (text: string) => new TextEncoder().encode(text)

describe('integers between commas', () => {
  it.each([
    ['1,-2,,30', 4, [1, -2, 0, 30], [0, 0, 1, 0]],
    [',', 2, [0, 0], [1, 1]],
    ['', 1, [0], [1]],
    ['123456789,1234567890,9007199254740991', 3, [123456789, 1234567890, 9007199254740991], undefined],
  ])('%j', (text, count, numbers, nulls) => {
    const parsed = parseIntegers(bytes(text), count)
    expect(parsed?.numbers).toEqual(Float64Array.from(numbers))
    expect(parsed?.nulls && [...parsed.nulls]).toEqual(nulls)
  })

  it('are of 64 bits when one of them needs that', () => {
    const parsed = parseIntegers(bytes('5,,-9223372036854775808,9007199254740992'), 4)
    expect(parsed?.numbers).toEqual(BigInt64Array.of(5n, 0n, -(2n ** 63n), 2n ** 53n))
    expect(parsed?.nulls).toEqual(Uint8Array.of(0, 1, 0, 0))
  })

  it.each([
    ['1,2', 1],
    ['1,2', 3],
    ['1.5', 1],
    ['x', 1],
    ['-', 1],
    ['1,,', 2],
    ['1 ', 1],
    ['9007199254740992.0', 1],
  ])('refuses %j as %i', (text, count) => expect(parseIntegers(bytes(text), count)).toBeUndefined())
})

describe('strings', () => {
  const lengthsOf = (text: string, count: number) => parseSeparated(bytes(text), count)?.lengths
  it('end to end are refused when their lengths do not make them up', () => {
    expect(parsePacked(bytes('abc'), bytes('1,,2'), 3)).toEqual({
      bytes: bytes('abc'),
      lengths: Int32Array.of(1, -1, 2),
    })
    expect(parsePacked(bytes('abc'), bytes('1,1'), 2)).toBeUndefined()
    expect(parsePacked(bytes('abc'), bytes('3'), 2)).toBeUndefined()
  })

  it('between line feeds are counted', () => {
    expect(lengthsOf('a\n\nbcd', 3)).toEqual(Int32Array.of(1, 0, 3))
    expect(lengthsOf('', 1)).toEqual(Int32Array.of(0))
    expect(lengthsOf('a\nb', 1)).toBeUndefined()
    expect(lengthsOf('a\nb', 3)).toBeUndefined()
  })

  it('are found by their places, nulls aside', () => {
    const text = Uint8Array.from(Buffer.from('aa\n\xff\nb\naa\n\nlonger than eight\nb', 'latin1'))
    const parsed = parseDistinct(text, 7)
    expect(parsed?.indices).toEqual(Int32Array.of(0, -1, 1, 0, 2, 3, 1))
    expect(parsed?.distinct.map((one) => Buffer.from(one).toString())).toEqual(['aa', 'b', '', 'longer than eight'])
    expect(parsed?.present).toBe(6)
    expect(parseDistinct(text, 6)).toBeUndefined()
    expect(parseDistinct(text, 8)).toBeUndefined()
  })

  it('that differ where their hash does not look stay apart', () => {
    const names = Array.from(
      { length: 200 },
      (_, at) => `start-${String(at).padStart(3, '0')}-and-a-long-and-equal-end`,
    )
    const parsed = parseDistinct(bytes([...names, ...names].join('\n')), 400)
    expect(parsed?.distinct.map((one) => Buffer.from(one).toString())).toEqual(names)
    expect(parsed?.indices).toEqual(Int32Array.from({ length: 400 }, (_, at) => at % 200))
  })

  it('are too many to be told by their places', () => {
    const names = Array.from({ length: 257 }, (_, at) => `${at}`)
    expect(parseDistinct(bytes(names.join('\n')), 257)).toBeUndefined()
  })
})
