/** Conformance: values and rows, in and out. */
import { expectFailure, makeNumbers, type SqlCase } from './sql-case.conformance.ts'

const blob = (...bytes: number[]) => new Uint8Array(bytes)
const bytes = (value: unknown) => (value instanceof Uint8Array ? [...value] : value)

/** Cases about what becomes of values. */
export const valueCases: readonly SqlCase[] = [
  {
    name: 'rows come back as objects and as arrays',
    run(sql, expect) {
      makeNumbers(sql, 2)
      const statement = 'select n, square from numbers order by n'
      expect(sql.all(statement)).toEqual([
        { n: 1, square: 1 },
        { n: 2, square: 4 },
      ])
      expect(sql.raw(statement)).toEqual([
        [1, 1],
        [2, 4],
      ])
      expect([...sql.iterate(statement)]).toEqual([
        { n: 1, square: 1 },
        { n: 2, square: 4 },
      ])
      expect(sql.all(statement)).toEqual([
        { n: 1, square: 1 },
        { n: 2, square: 4 },
      ])
    },
  },
  {
    name: 'statements without rows return none',
    run(sql, expect) {
      expect(sql.all('create table t (a integer) strict')).toEqual([])
      expect(sql.raw('insert into t values (?)', 1)).toEqual([])
      expect([...sql.iterate('update t set a = ?', 2)]).toEqual([])
      expect(sql.raw('select a from t where a > 5')).toEqual([])
      expect(sql.raw('select a from t')).toEqual([[2]])
    },
  },
  {
    name: 'every kind of value is kept',
    run(sql, expect) {
      sql.all('create table t (i integer, r real, t text, b blob) strict')
      const insert = 'insert into t values (?, ?, ?, ?) returning *'
      const [row] = sql.raw(insert, 7, 1.5, 'zürich 🦉', blob(0, 255, 1))
      expect(row?.slice(0, 3)).toEqual([7, 1.5, 'zürich 🦉'])
      expect(row?.[3]).toBeInstanceOf(Uint8Array)
      expect(bytes(row?.[3])).toEqual([0, 255, 1])
      expect(sql.raw(insert, null, null, null, null)).toEqual([[null, null, null, null]])
    },
  },
  {
    name: 'numbers are bound as real, and integer columns make them integers again',
    run(sql, expect) {
      expect(sql.raw("select typeof(?), ? || '', typeof(cast(? as integer))", 1, 1, 1)).toEqual([
        ['real', '1.0', 'integer'],
      ])
      sql.all('create table t (i integer, r real) strict')
      sql.all('insert into t values (?, ?)', 3, 3)
      expect(sql.raw('select typeof(i), typeof(r), i, r from t')).toEqual([['integer', 'real', 3, 3]])
    },
  },
  {
    name: 'a number with a fraction is not put into an integer column of a strict table',
    run(sql, expect) {
      sql.all('create table t (i integer) strict')
      expectFailure(expect, 'conflict', () => sql.all('insert into t values (?)', 1.5))
    },
  },
  {
    name: 'NaN is null; infinities and -0 are kept',
    run(sql, expect) {
      expect(sql.raw('select ?, ?, ?', Number.NaN, Infinity, -Infinity)).toEqual([[null, Infinity, -Infinity]])
      expect(Object.is(sql.raw('select ?', -0)[0]?.[0], -0)).toBe(true)
    },
  },
  {
    name: 'integers are exact to 2^53, and further as text',
    run(sql, expect) {
      sql.all('create table t (i integer) strict')
      const insert = 'insert into t values (?) returning cast(i as text)'
      const most = Number.MAX_SAFE_INTEGER
      expect(sql.raw(insert, most)).toEqual([[String(most)]])
      expect(sql.raw(insert, -most)).toEqual([[String(-most)]])
      expect(sql.raw(insert, '9223372036854775807')).toEqual([['9223372036854775807']])
      expect(sql.raw(insert, '-9223372036854775808')).toEqual([['-9223372036854775808']])
    },
  },
  {
    name: 'an integer past 2^53 that is read as a number is rounded, by every way of reading',
    run(sql, expect) {
      sql.all('create table t (i integer) strict')
      const written = sql.all('insert into t values (?) returning i', '9223372036854775807')
      expect(written).toEqual([{ i: 2 ** 63 }])
      expect(sql.all('select i from t')).toEqual([{ i: 2 ** 63 }])
      expect(sql.raw('select i from t')).toEqual([[2 ** 63]])
      expect([...sql.iterate('select i from t')]).toEqual([{ i: 2 ** 63 }])
      expect(sql.raw('select count(*) from t')).toEqual([[1]])
    },
  },
  {
    name: 'blobs may be empty, large, and part of a larger buffer',
    run(sql, expect) {
      sql.all('create table t (id integer primary key, b blob not null) strict')
      const insert = 'insert into t (b) values (?) returning b, length(b), typeof(b)'
      expect(sql.raw(insert, blob()).map(([b, ...rest]) => [bytes(b), ...rest])).toEqual([[[], 0, 'blob']])
      const part = blob(1, 2, 3, 4, 5).subarray(1, 4)
      expect(sql.raw(insert, part).map(([b, ...rest]) => [bytes(b), ...rest])).toEqual([[[2, 3, 4], 3, 'blob']])
      const large = new Uint8Array(1_900_000).fill(7)
      const [stored] = sql.raw('insert into t (b) values (?) returning b', large)[0] ?? []
      expect((stored as Uint8Array).length).toBe(large.length)
      expect((stored as Uint8Array).every((byte) => byte === 7)).toBe(true)
    },
  },
  {
    name: 'a blob belongs to the caller: changing it changes nothing stored',
    run(sql, expect) {
      sql.all('create table t (b blob) strict')
      const given = blob(1, 2, 3)
      sql.all('insert into t values (?)', given)
      given[0] = 9
      const read = sql.raw('select b from t')[0]?.[0] as Uint8Array
      expect(bytes(read)).toEqual([1, 2, 3])
      read[1] = 9
      expect(bytes(sql.raw('select b from t')[0]?.[0])).toEqual([1, 2, 3])
    },
  },
  {
    name: 'text keeps every char, of the empty text and of 1.9 MB too',
    run(sql, expect) {
      sql.all('create table t (id integer primary key, s text not null) strict')
      const insert = 'insert into t (s) values (?) returning s'
      for (const text of ['', '\ufeff', '\u{10ffff}', "o''clock", 'é'.repeat(950_000)]) {
        expect(sql.raw(insert, text)[0]?.[0] === text).toBe(true)
        expect(sql.raw('select s from t where s = ?', text)[0]?.[0] === text).toBe(true)
      }
    },
  },
  {
    name: 'text keeps a NUL and what follows it',
    run(sql, expect) {
      sql.all('create table t (s text primary key) strict')
      expect(sql.raw('insert into t values (?) returning s', 'a\0b')).toEqual([['a\0b']])
      expect(sql.all('select s, octet_length(s) as size from t where s = ?', 'a\0b')).toEqual([{ s: 'a\0b', size: 3 }])
    },
  },
  {
    name: 'of two columns of one name, raw has both and all the last',
    run(sql, expect) {
      expect(sql.raw('select 1 as a, 2 as a')).toEqual([[1, 2]])
      expect(sql.all('select 1 as a, 2 as a')).toEqual([{ a: 2 }])
    },
  },
  {
    name: 'a hundred parameters and a hundred columns are right',
    run(sql, expect) {
      const names = Array.from({ length: 100 }, (_, at) => `c${at}`)
      sql.all(`create table t (${names.join(' integer, ')} integer, check (c0 = 0)) strict`)
      const row = names.map((_, at) => at)
      sql.all(`insert into t values (${names.map(() => '?').join(', ')})`, ...row)
      expect(sql.raw('select * from t')).toEqual([row])
    },
  },
  {
    name: 'ten thousand rows are read the same way three times',
    run(sql, expect) {
      makeNumbers(sql, 10_000)
      const statement = 'select n, square from numbers order by n'
      expect(sql.all(statement).length).toBe(10_000)
      expect(sql.raw(statement)[9_999]).toEqual([10_000, 100_000_000])
      let sum = 0
      for (const { n } of sql.iterate(statement)) sum += n as number
      expect(sum).toBe(50_005_000)
    },
  },
]
