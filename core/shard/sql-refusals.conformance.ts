/** Conformance: what every Sql refuses, and the failures that SQLite's own errors become. */
import type { ExpectStatic } from 'vitest'
import type { Code, Failure } from '../errors.ts'
import type { Sql, SqlValue } from './sql.ts'
import { countNumbers, expectFailure, makeNumbers, type SqlCase } from './sql-case.conformance.ts'

/** Run each statement in every way there is and check that it is refused. */
function refuseAll(sql: Sql, expect: ExpectStatic, code: Code, statements: readonly string[]): void {
  for (const statement of statements) {
    expectFailure(expect, code, () => sql.all(statement))
    expectFailure(expect, code, () => sql.raw(statement))
    expectFailure(expect, code, () => sql.iterate(statement).next())
  }
}

function refusal(name: string, code: Code, statements: readonly string[]): SqlCase {
  return {
    name,
    run(sql, expect) {
      makeNumbers(sql)
      refuseAll(sql, expect, code, statements)
      expect(countNumbers(sql)).toBe(5)
    },
  }
}

const statements: SqlCase[] = [
  refusal('transactions are not begun or ended in SQL', 'unsupported', [
    'begin',
    'BEGIN IMMEDIATE',
    'commit',
    'end',
    'rollback',
    'savepoint s',
    'release s',
    'rollback to s',
    '/* x */ begin',
    'explain begin',
  ]),
  refusal('nothing reaches outside the database', 'unsupported', [
    "attach 'other.db' as other",
    'detach other',
    'vacuum',
    "vacuum into 'copy.db'",
    "select load_extension('x')",
  ]),
  refusal('nothing is temporary', 'unsupported', [
    'create temp table t (a)',
    'create temporary table t (a)',
    'create table temp.t (a)',
    'select * from temp.sqlite_master',
    'create temp trigger r after insert on numbers begin select 1; end',
    'create temp view v as select 1',
    'select * from sqlite_temp_schema',
  ]),
  refusal('what rolls back the whole transaction is refused', 'unsupported', [
    'insert or rollback into numbers values (1, 1)',
    'update or ROLLBACK numbers set n = 2 where n = 1',
    'create table t (a integer unique on conflict rollback)',
    "create trigger r before delete on numbers begin select raise(rollback, 'no'); end",
  ]),
  refusal('pragmas a Durable Object does not have are refused, and those that set something', 'unsupported', [
    'pragma user_version',
    'pragma user_version = 3',
    'pragma journal_mode',
    'pragma main.synchronous = 0',
    'pragma foreign_keys = off',
    'pragma defer_foreign_keys = on',
    'pragma case_sensitive_like = 1',
    'pragma cache_size = 1',
    'pragma wal_checkpoint',
    'pragma page_count',
    'select * from pragma_user_version',
    'select * from pragma_database_list',
  ]),
  refusal('functions and tables that one host lacks are refused', 'unsupported', [
    'select sqlite_version()',
    'select SQLITE_SOURCE_ID()',
    "select soundex('x')",
    "select json_pretty('[1]')",
    "select unistr('x')",
    "select * from jsonb_each('[1]')",
    'select median(n) from numbers',
    'select * from dbstat',
    'create virtual table v using rtree(id, low, high)',
    'create virtual table v using fts4(a)',
  ]),
  refusal('names of the platform are refused', 'unsupported', [
    'create table _cf_t (a)',
    'create table "_CF_t" (a)',
    'select * from _cf_KV',
    'create table [_cf_t] (a)',
  ]),
  refusal('foreign keys that wait for the end of the turn are refused', 'unsupported', [
    'create table t (a integer references numbers (n) deferrable initially deferred)',
  ]),
  refusal('several statements in one text are refused, and none', 'invalid', [
    'delete from numbers; delete from numbers',
    'select 1; begin',
    'select 1;;select 2',
    '',
    ' -- nothing',
    ';',
    'create trigger r after delete on numbers begin select 1; end; delete from numbers',
  ]),
  refusal('named and numbered parameters are refused', 'unsupported', [
    'select ?1',
    'select :name',
    'select @name',
    'select $name',
    'select ?1 + ?1',
    'select n from numbers where n = :n',
  ]),
  refusal('text in double quotes is a name, never a text', 'invalid', [
    'select "nothing" from numbers',
    'delete from numbers where n = "nothing"',
  ]),
  refusal('wrong SQL is told as such', 'invalid', [
    'select * from nowhere',
    'select nothing(1)',
    'insert into numbers values (1)',
    "select 'never closed",
    'select (1',
    'select n from numbers where "n = 1',
    "select json('{')",
  ]),
  refusal('limits of a Durable Object hold everywhere', 'limit', [
    `select ${Array.from({ length: 101 }, () => '1').join(', ')}`,
    `create table t (${Array.from({ length: 101 }, (_, at) => `c${at}`).join(', ')})`,
    `select ${Array.from({ length: 101 }, () => '?').join(' + ')}`,
    Array.from({ length: 6 }, () => 'select 1').join(' union all '),
    `select 1 -- ${'x'.repeat(100_000)}`,
    `select '${'é'.repeat(50_000)}'`,
  ]),
  refusal('a written LIKE pattern has at most 50 bytes', 'limit', [
    `select 'x' like '${'x'.repeat(51)}'`,
    `select 'x' glob '${'é'.repeat(26)}'`,
  ]),
]

/** What only looks like something refused. */
const allowed = [
  ["select 'begin; commit -- ? :x ?1'", 'begin; commit -- ? :x ?1'],
  ["select 'it''s /* no comment */'", "it's /* no comment */"],
  ['select 1 -- ; begin', 1],
  ['/* begin; */ select 2 /* ; */ ; -- ?', 2],
  ['select 3 as "rollback; ""x"', 3],
  ['select "n" from "numbers" where "n" = 4', 4],
  ['select `n` from [numbers] where "numbers"."n" = 5', 5],
  ["select replace('abc', 'b', 'x')", 'axc'],
  ["with w as (select 1 as replaced) select replace('b', 'b', 'c') from w", 'c'],
  ["select count(*) from pragma_table_info('numbers')", 2],
  [`select 'x' like '${'x'.repeat(50)}'`, 0],
  [Array.from({ length: 5 }, () => 'select 6').join(' union '), 6],
  [
    'select count(*) from (select 1 union select 2 union select 3) where 1 in (select 1 union select 2 union select 3)',
    3,
  ],
] as const

const looks: SqlCase[] = [
  {
    name: 'text, comments and quoted names may hold anything',
    run(sql, expect) {
      makeNumbers(sql)
      for (const [statement, result] of allowed)
        expect([statement, sql.raw(statement)[0]?.[0]]).toEqual([statement, result])
    },
  },
  {
    name: 'pragmas that only look are allowed',
    run(sql, expect) {
      makeNumbers(sql)
      expect(sql.all('pragma table_info(numbers)').map(({ name }) => name)).toEqual(['n', 'square'])
      expect(sql.raw('pragma quick_check')).toEqual([['ok']])
      expect(sql.raw('pragma foreign_key_check')).toEqual([])
      for (const _ of sql.iterate('pragma index_list(numbers)')) expect(countNumbers(sql)).toBe(5)
    },
  },
]

const odd = (value: unknown) => value as SqlValue

const values: SqlCase[] = [
  {
    name: 'values that some host would mangle are refused',
    run(sql, expect) {
      makeNumbers(sql)
      const refused = [true, false, 1n, undefined, new Date(0), {}, [], [1], Symbol('s'), () => 1, new ArrayBuffer(2)]
      for (const value of [...refused, new DataView(new ArrayBuffer(2)), new Uint16Array(2), 'half a \ud83e']) {
        expectFailure(expect, 'invalid', () => sql.all('select ?', odd(value)))
        expectFailure(expect, 'invalid', () => sql.raw('select ?, ?', 1, odd(value)))
        expectFailure(expect, 'invalid', () => sql.iterate('update numbers set square = ?', odd(value)))
      }
      expect(sql.raw('select sum(square) from numbers')).toEqual([[55]])
    },
  },
  {
    name: 'the number of values is that of the parameters',
    run(sql, expect) {
      makeNumbers(sql)
      for (const given of [[], [1], [1, 2, 3]]) {
        expectFailure(expect, 'invalid', () => sql.all('insert into numbers values (?, ?)', ...given))
      }
      expectFailure(expect, 'invalid', () => sql.all('delete from numbers', 1))
      expect(countNumbers(sql)).toBe(5)
    },
  },
  {
    name: 'values have at most 2,000,000 bytes together',
    run(sql, expect) {
      expect(sql.raw('select length(?)', 'x'.repeat(2_000_000))).toEqual([[2_000_000]])
      expectFailure(expect, 'limit', () => sql.raw('select length(?)', 'x'.repeat(2_000_001)))
      expectFailure(expect, 'limit', () => sql.raw('select length(?)', 'é'.repeat(1_000_001)))
      expectFailure(expect, 'limit', () => sql.raw('select length(?)', new Uint8Array(2_000_001)))
      const half = new Uint8Array(1_000_001)
      expectFailure(expect, 'limit', () => sql.raw('select length(?), length(?)', half, half))
      expect(sql.raw('select length(?), length(?)', half.subarray(1), half.subarray(1))).toEqual([
        [1_000_000, 1_000_000],
      ])
    },
  },
]

const constraints: SqlCase[] = [
  {
    name: 'each constraint is told by its kind',
    run(sql, expect) {
      sql.all('create table parents (id integer primary key, code text unique) strict')
      sql.all(`create table t (id integer primary key, a integer not null check (a < 10),
        p integer references parents (id), unique (a, p)) strict`)
      sql.all('create table w (k text primary key) strict, without rowid')
      sql.all("insert into parents values (1, 'one')")
      sql.all('insert into t values (1, 1, 1)')
      sql.all("insert into w values ('x')")
      sql.all("create trigger r before delete on t begin select raise(abort, 'kept for good'); end")
      const kinds: [string, string, string][] = [
        ['insert into t values (1, 2, 1)', 'unique', 'UNIQUE constraint failed: t.id'],
        ['insert into t values (2, 1, 1)', 'unique', 'UNIQUE constraint failed: t.a, t.p'],
        ["insert into w values ('x')", 'unique', 'UNIQUE constraint failed: w.k'],
        ['insert into t values (2, null, 1)', 'notnull', 'NOT NULL constraint failed: t.a'],
        ['insert into t values (2, 11, 1)', 'check', 'CHECK constraint failed: a < 10'],
        ['insert into t values (2, 2, 7)', 'foreignkey', 'FOREIGN KEY constraint failed'],
        ['delete from parents', 'foreignkey', 'FOREIGN KEY constraint failed'],
        ["insert into t values (2, 'text', 1)", 'other', 'cannot store TEXT value in INTEGER column t.a'],
        ['delete from t', 'other', 'kept for good'],
      ]
      for (const [statement, constraint, message] of kinds) {
        const failure: Failure = expectFailure(expect, 'conflict', () => sql.all(statement))
        expect([failure.detail, failure.message]).toEqual([{ constraint }, message])
      }
      expect(sql.raw('select * from t')).toEqual([[1, 1, 1]])
    },
  },
]

/** Cases about what is refused. */
export const refusalCases: readonly SqlCase[] = [...statements, ...looks, ...values, ...constraints]
