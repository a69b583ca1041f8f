/** Conformance: the parts of SQLite that engines are written with. */
import { expectFailure, makeNumbers, type SqlCase } from './sql-case.conformance.ts'

const tables: SqlCase[] = [
  {
    name: 'upsert, with the row that was there and the row that came',
    run(sql, expect) {
      sql.all('create table t (k text primary key, n integer not null) strict, without rowid')
      const upsert = 'insert into t values (?, ?) on conflict (k) do update set n = n + excluded.n returning n'
      expect([sql.raw(upsert, 'a', 1), sql.raw(upsert, 'a', 2), sql.raw(upsert, 'b', 5)]).toEqual([[[1]], [[3]], [[5]]])
      expect(sql.raw("insert into t values ('a', 0) on conflict do nothing returning n")).toEqual([])
    },
  },
  {
    name: 'a thousand rows go in as one JSON parameter, and keys are looked up by one',
    run(sql, expect) {
      makeNumbers(sql, 1_000)
      const found = sql.raw(
        'select square from numbers where n in (select value from json_each(?)) order by n',
        '[3, 999, 2000]',
      )
      expect(found).toEqual([[9], [998_001]])
    },
  },
  {
    name: 'generated columns are computed and indexed',
    run(sql, expect) {
      sql.all(`create table t (doc text not null, name text generated always as (doc ->> '$.name') stored,
        size integer generated always as (length(doc)) virtual) strict`)
      sql.all('create index t_name on t (name)')
      sql.all('insert into t (doc) values (?)', '{"name":"ada"}')
      expect(sql.all("select name, size from t where name = 'ada'")).toEqual([{ name: 'ada', size: 14 }])
      expect(String(sql.raw("explain query plan select size from t where name = 'ada'")[0]?.[3])).toContain('t_name')
    },
  },
  {
    name: 'partial and expression indexes are used',
    run(sql, expect) {
      sql.all('create table t (k text primary key, expires integer) strict, without rowid')
      sql.all('create index t_expires on t (expires) where expires is not null')
      sql.all('create index t_lower on t (lower(k))')
      const plan = (statement: string) => String(sql.raw(`explain query plan ${statement}`)[0]?.[3])
      expect(plan('select k from t where expires is not null and expires < 5')).toContain('t_expires')
      expect(plan("select k from t where lower(k) = 'x'")).toContain('t_lower')
    },
  },
  {
    name: 'foreign keys are on and cascade',
    run(sql, expect) {
      sql.all('create table a (id integer primary key) strict')
      sql.all('create table b (a integer not null references a (id) on delete cascade) strict')
      sql.all('insert into a values (1), (2)')
      sql.all('insert into b values (1), (1), (2)')
      sql.all('delete from a where id = 1')
      expect(sql.raw('select a from b')).toEqual([[2]])
    },
  },
  {
    name: 'triggers run, with names in double quotes and case inside',
    run(sql, expect) {
      makeNumbers(sql)
      sql.all('create table "a log" (what text) strict')
      sql.all(`create trigger changed after update on numbers when new.square <> old.square begin
        insert into "a log" values (case when new.square > old.square then 'up' else 'down' end);
        select case when 1 then 2 end;
      end;`)
      sql.all('update numbers set square = 0 where n = 2')
      sql.all('update numbers set square = 7 where n = 2')
      expect(sql.raw('select what from "a log" order by rowid')).toEqual([['down'], ['up']])
    },
  },
]

const queries: SqlCase[] = [
  {
    name: 'window functions',
    run(sql, expect) {
      makeNumbers(sql, 4)
      const statement = `select n, sum(square) over (order by n rows between 1 preceding and current row),
        row_number() over (order by n desc) from numbers order by n`
      expect(sql.raw(statement)).toEqual([
        [1, 1, 4],
        [2, 5, 3],
        [3, 13, 2],
        [4, 25, 1],
      ])
    },
  },
  {
    name: 'recursive queries, and a write that begins with one',
    run(sql, expect) {
      makeNumbers(sql, 1)
      const write = `with recursive up (n) as (select 2 union all select n + 1 from up where n < 4)
        insert into numbers select n, n * n from up returning n`
      expect(sql.raw(write)).toEqual([[2], [3], [4]])
      for (const _ of sql.iterate('with w as (select n from numbers) select * from w')) {
        const read = "with w (t) as (select 'delete') select replace(t, 'de', 'e') from w"
        expect(sql.raw(read)).toEqual([['elete']])
        expectFailure(expect, 'invalid', () => sql.raw(write))
      }
    },
  },
  {
    name: 'JSON is read, made and changed',
    run(sql, expect) {
      const statement =
        "select json_set(?, '$.a', json_array(1, 2)), ? ->> '$.b.c', json_group_array(value) from json_each(?)"
      expect(sql.raw(statement, '{}', '{"b":{"c":5}}', '[1,"x",null]')).toEqual([['{"a":[1,2]}', 5, '[1,"x",null]']])
    },
  },
  {
    name: 'values alone are a query, and rows compare as one value',
    run(sql, expect) {
      expect(sql.raw("values (1, 'a'), (2, 'b')")).toEqual([
        [1, 'a'],
        [2, 'b'],
      ])
      makeNumbers(sql)
      expect(sql.raw('select n from numbers where (n, square) > (?, ?) order by n limit 1', 3, 9)).toEqual([[4]])
    },
  },
]

const search: SqlCase[] = [
  {
    name: 'FTS5 finds, ranks and cuts out what it found, kept up by triggers',
    run(sql, expect) {
      sql.all('create table notes (id integer primary key, body text not null) strict')
      sql.all(`create virtual table found using fts5(body, content='notes', content_rowid='id',
        tokenize = "porter unicode61 remove_diacritics 2")`)
      sql.all(
        `create trigger notes_in after insert on notes begin
        insert into found (rowid, body) values (new.id, new.body); end`,
      )
      sql.all(`create trigger notes_out after delete on notes begin
        insert into found (found, rowid, body) values ('delete', old.id, old.body); end`)
      for (const body of ['running in Zürich', 'a runner ran', 'nothing here'])
        sql.all('insert into notes (body) values (?)', body)
      const statement =
        "select rowid, snippet(found, 0, '<', '>', '', 5) from found where found match ? order by bm25(found)"
      expect(sql.raw(statement, 'run zurich')).toEqual([[1, '<running> in <Zürich>']])
      sql.all('delete from notes where id = 1')
      expect(sql.raw(statement, 'zurich')).toEqual([])
      expectFailure(expect, 'invalid', () => sql.raw(statement, '"'))
    },
  },
  {
    name: 'the trigram tokenizer finds parts of words',
    run(sql, expect) {
      sql.all("create virtual table parts using fts5(body, tokenize = 'trigram')")
      sql.all("insert into parts values ('kubernetes'), ('cassandra')")
      expect(sql.raw("select body from parts where parts match 'berne'")).toEqual([['kubernetes']])
    },
  },
]

/** Cases about what SQL can be used for. */
export const featureCases: readonly SqlCase[] = [...tables, ...queries, ...search]
