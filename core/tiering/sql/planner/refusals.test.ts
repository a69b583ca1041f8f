/** What the planner does not do is refused by name, with the way out; what is wrong is told with its place. */
import { describe, expect, it } from 'vitest'
import { QUERY_DEPTH_MAX, QUERY_TEXT_CHARS_MAX, QUERY_TOKENS_MAX } from '../../../limits.ts'
import { parseQuery } from './parse.ts'
import { type MemoryTables, runSql } from './testing.ts'

const tables: MemoryTables = {
  t: {
    columns: [
      { name: 'id', type: 'int' },
      { name: 'n', type: 'long' },
      { name: 's', type: 'string' },
      { name: 'Mixed', type: 'string' },
      { name: 'd', type: 'date' },
      { name: 'ts', type: 'timestamptz' },
      { name: '_seq', type: 'long', isHidden: true },
    ],
    rows: [[1, 2, 'a', 'm', '2026-01-01', 0, 5]],
  },
  u: { columns: [{ name: 'id', type: 'int' }], rows: [[1]] },
}

const unsupported = [
  'select id from t union all select id from u',
  'with x as (select id from t) select id from x',
  'values (1)',
  'insert into t values (1)',
  'delete from t',
  'create table x (a int)',
  'select id from t; select id from u',
  'select id from t, u',
  'select t.id from t cross join u',
  'select t.id from t right join u on t.id = u.id',
  'select t.id from t full join u on t.id = u.id',
  'select t.id from t join u on t.id < u.id',
  'select t.id from t join lateral (select 1) x on true',
  'select * from generate_series(1, 2)',
  'select distinct on (id) id from t',
  'select id from t for update',
  'select row_number() over (order by id) from t',
  'select sum(id) filter (where id > 1) from t',
  'select sum(distinct id) from t',
  'select string_agg(s, s) from t',
  'select id from t where id in (select id from u)',
  'select id from t where exists (select 1 from u)',
  'select (select 1)',
  'select random()',
  'select now()',
  'select current_timestamp',
  'select s ~ s from t',
  'select id ^ 2 from t',
  'select array[1]',
  'select cast(id as numeric) from t',
  'select cast(s as varchar(3)) from t',
  'select cast(s as date) from t',
  "select interval '1 day'",
  'select ts - ts from t',
  'select extract(century from ts) from t',
  "select date_trunc('decade', ts) from t",
  'select date_trunc(s, ts) from t',
  'select id from t order by d',
  'select d, count(*) from t group by d',
  'select min(d) from t',
  "select s ->> '$.a' from t",
  "select s like 'a' escape '!' from t",
  'select id is distinct from n from t',
  "select trim(both 'x' from s) from t",
  'select id from t for system_version as of 3',
  'select id from t for system_time as of 3',
  'select count(*) from t having count(*) > 1',
  "select x'ff'",
  'select a.id from t as a(x)',
]

const invalid = [
  'select',
  '',
  '-- nothing',
  'selec id from t',
  'select id from t where',
  'select id t.n from t',
  "select 'a",
  'select (1',
  'select 1)',
  'select n + s from t',
  "select id + 'x' from t",
  'select s + 1 from t',
  'select not id from t',
  'select id from t where s',
  'select case when id then 1 end from t',
  'select coalesce(id, ts) from t',
  'select coalesce() from t',
  'select nullif(1)',
  'select lower(1), lower(s, s) from t',
  'select lower(id) from t',
  'select abs(s) from t',
  'select substr(s) from t',
  'select date_trunc(1) from t',
  'select extract(year from s) from t',
  'select id -> 1 from t',
  "select s ->> 'a' from t",
  'select sum(s) from t',
  'select sum(count(*)) from t',
  'select sum(*) from t',
  'select count() from t',
  'select id from t where count(*) > 1',
  'select id, count(*) from t',
  'select * from t group by id',
  'select id from t group by 2',
  'select id from t order by 2',
  'select distinct id from t order by n',
  'select * from t a join t a on a.id = a.id',
  'select id from t a join t b on a.id = b.id',
  'select *',
  'select id from t limit -1',
  "select id from t limit 'x'",
  'select id from t where s = $1',
  'select ? + $1',
  "select 'x'::int",
  'select 9223372036854775807 + 1',
  'select 2147483647 + 1',
  "select '2026-13-01'::timestamptz",
  "select ts from t where ts > 'soon'",
  'select cast(ts as int) from t',
]

const absent = [
  'select nothing from t',
  'select x.id from t',
  'select id from nothing',
  'select id from t join u using (n)',
]

const failure = (sql: string) =>
  runSql(sql, tables).then(
    (done) => `answered ${JSON.stringify(done.rows)}`,
    (error) => error,
  )

describe('what is not done', () => {
  it.each(unsupported)('%s', async (sql) => {
    const error = await failure(sql)
    expect(error).toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/ is not supported (here|in Workers): \S/),
    })
  })
})

describe('what is wrong', () => {
  it.each(invalid)('%s', async (sql) => {
    expect(await failure(sql)).toMatchObject({ code: 'invalid' })
  })

  it.each(absent)('%s', async (sql) => {
    expect(await failure(sql)).toMatchObject({ code: 'not_found' })
  })

  it('is told with its place', async () => {
    expect(await failure('select id\nfrom t\nwhere id == 1')).toMatchObject({
      message: expect.stringMatching(/^line 3, column 11: /),
      detail: { line: 3, column: 11 },
    })
    // Numbers before it were replaced by longer or shorter names.
    expect(await failure('select 1e3, 12345678901234567890, 1.5 frm t x')).toMatchObject({
      detail: { line: 1, column: 43 },
    })
    expect(await failure('select id from')).toMatchObject({ code: 'invalid', detail: { line: 1 } })
  })
})

describe('bounds', () => {
  it('of texts, words and depth', () => {
    expect(() => parseQuery(`select 1 --${'x'.repeat(QUERY_TEXT_CHARS_MAX)}`)).toThrow(
      expect.objectContaining({ code: 'limit' }),
    )
    const many = `select 1 in (${'1,'.repeat(QUERY_TOKENS_MAX / 2)}1)`
    expect(() => parseQuery(many)).toThrow(expect.objectContaining({ code: 'limit' }))
    const deep = `select ${'('.repeat(QUERY_DEPTH_MAX + 1)}1${')'.repeat(QUERY_DEPTH_MAX + 1)}`
    expect(() => parseQuery(deep)).toThrow(expect.objectContaining({ code: 'limit' }))
    expect(() => parseQuery(`select ${'1 + '.repeat(400)}1`)).toThrow(expect.objectContaining({ code: 'limit' }))
  })

  it('do not count a long chain of conditions as deep', async () => {
    const chain = Array.from({ length: 600 }, (_, id) => `id = ${id}`).join(' or ')
    expect((await runSql(`select id from t where ${chain}`, tables)).rows).toEqual([[1]])
  })
})

describe('names', () => {
  it('are found in any case, exactly when quoted, and columns are called as in Postgres', async () => {
    const { names, rows } = await runSql(
      'select MIXED, "Mixed", S as x, count(*), lower(s), 1 + 1 from t group by 1, 2, 3, 5',
      tables,
    )
    expect(names).toEqual(['mixed', 'Mixed', 'x', 'count', 'lower', '?column?'])
    expect(rows).toEqual([['m', 'm', 'a', 1, 'a', 2]])
  })

  it('of hidden columns are left out by *', async () => {
    expect((await runSql('select * from t', tables)).names).toEqual(['id', 'n', 's', 'Mixed', 'd', 'ts'])
    expect((await runSql('select _seq from t', tables)).rows).toEqual([[5]])
  })

  it("of types are Iceberg's", async () => {
    const { types } = await runSql(
      'select id, n, s, ts, d, id + n, id / 2, 1.5, true, null, 1e3, 3000000000 from t',
      tables,
    )
    expect(types).toEqual([
      'int',
      'long',
      'string',
      'timestamptz',
      'date',
      'long',
      'int',
      'double',
      'boolean',
      'null',
      'double',
      'long',
    ])
    expect((await runSql('select sum(id), avg(id), count(*), min(s), sum(n * 1.5) from t', tables)).types).toEqual([
      'long',
      'double',
      'long',
      'string',
      'double',
    ])
  })
})

describe('parameters', () => {
  it('have the types of their values, text that of what it meets', async () => {
    const params = ['1970-01-01', 2n ** 60n, 1.5, true, null, new Uint8Array([1])]
    const { rows, types } = await runSql('select ts = $1, $2 + 1, $3 * 2, not $4, $5 is null, $6 from t', tables, {
      params,
    })
    expect(rows).toEqual([[true, 2n ** 60n + 1n, 3, false, true, new Uint8Array([1])]])
    expect(types).toEqual(['boolean', 'long', 'double', 'boolean', 'boolean', 'binary'])
    expect((await runSql("select ?, '?', ? from t where s = ?", tables, { params: [1, 2, 'a'] })).rows).toEqual([
      [1, '?', 2],
    ])
  })
})
