/** What DuckDB answers, so do we: the same expressions and queries, over the same rows, by both. */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, it } from 'vitest'
import { duckRows, loadTable, sameRows } from './duckdb-testing.ts'
import { type MemoryTables, runSql } from './testing.ts'

let duck: DuckDBConnection

const tables: MemoryTables = {
  t: {
    columns: [
      { name: 'id', type: 'int' },
      { name: 'n', type: 'long' },
      { name: 'x', type: 'double' },
      { name: 's', type: 'string' },
      { name: 'b', type: 'boolean' },
      { name: 'ts', type: 'timestamptz' },
      { name: 'doc', type: 'string' },
    ],
    rows: [
      [1, 10, 1.5, 'apple', true, 1_767_323_045_123_456, '{"a":1,"b":{"c":"x"},"l":[1,2.5,"z"]}'],
      [2, -7, -2.5, 'Äpfel', false, 0, '{"a":2,"b":null,"big":9007199254740993}'],
      [3, null, null, null, null, null, null],
      [4, 9_007_199_254_740_993n, Number.NaN, '', true, -1, '{"a":"t","e":1000,"f":[{"g":true}]}'],
      [5, 0, 0, 'a%b_c', null, 951_782_400_000_000, '[1,2]'],
      [6, 3, Number.POSITIVE_INFINITY, '😀￿', false, 4_102_444_799_999_999, '{"a.b":1,"u":"\\u00e9"}'],
      [7, 10, 1e20, 'apple', true, 1_767_225_600_000_000, '{"a":1e-7}'],
    ],
  },
  u: {
    columns: [
      { name: 'id', type: 'long' },
      { name: 'name', type: 'string' },
      { name: 'w', type: 'double' },
    ],
    rows: [
      [1, 'one', 0.5],
      [2, 'two', null],
      [2, 'zwei', 2],
      [9, 'nine', 9],
      [null, 'none', 1],
    ],
  },
}

beforeAll(async () => {
  duck = await (await DuckDBInstance.create(':memory:')).connect()
  await duck.run("set TimeZone = 'UTC'")
  await duck.run('set integer_division = true')
  for (const [name, table] of Object.entries(tables)) await loadTable(duck, name, table)
})

async function agree(sql: string, isOrdered = false): Promise<void> {
  sameRows((await runSql(sql, tables)).rows, await duckRows(duck, sql), sql, isOrdered)
}

const expressions = [
  'n / 3, n % 3, -n, n + id, n * 2, n / 0, n % 0, abs(n), id - 10',
  'x / 3, x + n, x * 2, -x, abs(x), floor(x), ceil(x), round(x), x / 0, floor(n), round(id), ceil(id)',
  'round(x, 1), round(n, -1), round(2.5::double), round(-2.5::double), round(-0.4::double)',
  "s || '-' || id, s || n, s || b, upper(s), lower(s), length(s), x || ''",
  'substr(s, 2), substr(s, 2, 2), substr(s, -2), substr(s, -3, 2), substr(s, 0), substr(s, 0, 2), substr(s, 3, -1)',
  'substring(s from 2 for 3), substring(s from 2), substr(s, 100), substr(s, -100, 3)',
  "s like 'a%', s like '%e', s like '%pp%', s like '_pple', s like '%', s like '', s like 'a%b', s like '_'",
  "s like 'a%b%c', s like '%l_', s not like 'a%', s ilike 'ä%', s ilike 'APPLE', s like '__', s like s",
  "s = 'apple', s < 'b', s > 'a', s >= '', s <> 'apple', s between 'a' and 'b', s in ('apple', '', null)",
  'n = 10, n < 3, n <= x, n <> 0, n in (10, 0), n not in (1, null), n between -10 and 5, n not between 0 and 10',
  'x = x, x > 1, x < 1, x in (1.5, 0), x is null, x is not null, n = 9007199254740993',
  'b and x > 0, b or n > 0, not b, b is true, b is not true, b is false, b is not false, b = true',
  "case when n > 5 then 'big' when n is null then 'none' else s end, case n when 10 then 1 when 3 then 2 end",
  "case when b then 1 else 2.5::double end, coalesce(n, 0), coalesce(s, '?'), nullif(n, 10), nullif(s, '')",
  'coalesce(null, x, n), case when id = 1 then null else id end, nullif(x, 1.5), coalesce(b, false)',
  'cast(n as text), cast(id as bigint), id::double, b::int, b::text, n::boolean, id::boolean, ts::text',
  "'12'::int, ' 7 '::bigint, '1.5'::double, 'true'::boolean, '1e3'::double, 't'::boolean, '-0'::int, 'inf'::double",
  '2.5::double::int, 3.5::double::int, -2.5::double::int, 1.0::double::text, 1e16::double::text, 1e-5::double::text',
  '0.0001::double::text, 123456.789::double::text, 1e15::double::text, 1.5e300::double::text, 0.1::double::text',
  'extract(year from ts), extract(month from ts), extract(day from ts), extract(hour from ts), extract(week from ts)',
  'extract(minute from ts), extract(second from ts), extract(dow from ts), extract(isodow from ts)',
  'extract(doy from ts)',
  'extract(quarter from ts), extract(millisecond from ts), extract(microsecond from ts), extract(epoch from ts)',
  "date_trunc('day', ts), date_trunc('week', ts), date_trunc('month', ts), date_trunc('quarter', ts)",
  "date_trunc('year', ts), date_trunc('hour', ts), date_trunc('minute', ts), date_trunc('second', ts)",
  "date_trunc('millisecond', ts), ts < '2026-01-02', ts >= timestamptz '2026-01-01 00:00:00+00'",
  "ts = '2026-01-01', ts between '1970-01-01' and '2000-03-01 00:00:00', '2026-01-02 03:04:05.5+02:00'::timestamptz",
  "doc ->> 'a', doc -> 'b' ->> 'c', doc -> 'l' ->> 0, doc -> 'l' ->> 1, doc -> 'l' ->> -1, doc ->> 'l', doc ->> 'b'",
  "doc ->> 'big', doc ->> 'e', doc -> 'f' -> 0 ->> 'g', doc ->> 0, doc ->> 'a.b', doc ->> 'u', doc ->> 'zz'",
  "doc ->> 'f'",
  'null and b, null or b, not null, null = null, 1 in (null, 2), 1 not in (null, 2), 3 between null and 2',
  "2147483647, 2147483648, 1.5 + id, 1e3, .5, 'x', true, null, 7 / 2, -7 / 2, -7 % 3, 1 - - 1",
  'length(s) + 1, upper(s) = lower(s), id % 2 = 0 and n > 0 or b, -id * -1, (id + 1) * 2 - 3 / 2',
]

describe('expressions', () => {
  it.each(expressions)('%s', async (list) => {
    await agree(`select id, ${list} from t`)
  })
})

const queries: [sql: string, isOrdered: boolean][] = [
  ['select * from t where n > 0', false],
  ['select id from t order by n, id desc', true],
  ['select id from t order by x desc, id', true],
  ['select id from t order by s, id', true],
  ['select id from t order by s desc nulls first, id', true],
  ['select id from t order by n nulls first, id limit 3 offset 1', true],
  ['select id, n from t order by 2 desc, 1 limit 2', true],
  ['select n as k, id from t order by k, id', true],
  ['select id from t order by length(s), ts desc nulls first', true],
  ['select count(*), count(n), count(distinct n), sum(id), avg(n), min(x), max(x), min(s), max(s) from t', false],
  ['select count(*), sum(n), avg(x), min(b), max(ts), count(distinct s) from t where id > 100', false],
  ['select b, count(*), sum(id) from t group by b', false],
  ['select s, b, count(*) from t group by s, b having count(*) > 1', false],
  ['select n % 2 as odd, count(*) as c from t group by odd order by c desc, odd', true],
  ['select n % 2, sum(id) from t group by 1 order by 1', true],
  ['select upper(s), count(*) + 1, max(id) - min(id) from t group by s order by upper(s)', true],
  ["select coalesce(s, '-') as k, count(*) from t group by coalesce(s, '-') order by 2 desc, 1", true],
  ['select distinct b from t order by b', true],
  ['select distinct b, n > 0 from t', false],
  ['select distinct count(*) from t group by s', false],
  ['select sum(id) from t group by b having sum(id) > 5 order by 1', true],
  ['select 1, 2 + 3', false],
  ["select 'a' where false", false],
  ['select x from (select id as x, b from t where b) s where x > 1', false],
  ['select k, count(*) from (select b as k, n from t order by id limit 4) s group by k', false],
  ['select t.id, name from t join u on t.id = u.id', false],
  ['select t.id, name, w from t left join u on t.id = u.id order by 1, 2', true],
  ['select t.id, name from t left join u on t.id = u.id and u.w > 1 order by 1', true],
  ['select t.id, name from t left join u on t.id = u.id and t.b order by 1, 2', true],
  ['select t.id, name from t left join u on t.id = u.id where u.name is null', false],
  ['select id, s, name from t join u using (id) where w is not null', false],
  ['select * from t left join u using (id) order by id, name', true],
  ['select name, count(*), sum(n) from t join u on t.id = u.id group by name order by name', true],
  ['select a.id, b.id from t a join t b on a.n = b.n and a.id < b.id', false],
  ['select a.id, c from t a join (select n, count(*) as c from t group by n) g on a.n = g.n order by a.id', true],
  ["select id from t where b is not true and (s is null or s like '%l') order by id", true],
  ['select min(id), max(length(s)), sum(x * 2) from t where x < 100', false],
  ["select date_trunc('month', ts) as m, count(*) from t group by m order by m nulls first", true],
  ["select doc ->> 'a' as a, count(*) from t group by 1 order by 1", true],
  ['select x, count(*) from t group by x order by x', true],
  ['select T.ID, "s" from t as T order by Id', true],
]

describe('queries', () => {
  it.each(queries)('%s', async (sql, isOrdered) => {
    await agree(sql, isOrdered)
  })
})
