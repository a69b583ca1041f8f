/** What queries answer: values, places of errors, names, parameters, lists. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StopSwitch } from '../../../cdc/follow.ts'
import { Failure } from '../../../errors.ts'
import { SQL_QUERY_CHARS_MAX, SQL_QUERY_PARAMETERS_MAX } from '../../../limits.ts'
import type { RelationValue } from '../../../shard/relation.ts'
import { SqlRig } from './testing.ts'

let sql: SqlRig

beforeAll(async () => {
  sql = await SqlRig.open({ shards: 2 })
  await sql.rig.putAll(['a', 'b', 'c', 'd'], (id) => ({ title: `title ${id}`, rank: id.charCodeAt(0) - 96 }))
  await sql.tier('docs')
  await sql.rig.doc('put', { id: 'e', title: 'title e', rank: 5 })
  await sql.rig.doc('note', { id: 'n1', title: 'a note' })
})

afterAll(() => sql.close())

async function failureOf(text: string, params: readonly RelationValue[] = []): Promise<Failure> {
  const found = await sql.rows(text, { params }).catch((error: unknown) => error)
  if (found instanceof Failure) return found
  throw new Error(`${text} was answered with ${JSON.stringify(found)}`)
}

describe('results', () => {
  it('have the types of Iceberg, and plain values', async () => {
    const result =
      await sql.query(`select true as a, 1::tinyint as b, 2 as c, 9007199254740993 as d, sum(1::bigint) as e,
      18446744073709551615::ubigint as f, 1.5::float as g, 2.5::double as h, 1.25::decimal(5,2) as i,
      date '2026-01-02' as j, time '01:02:03.5' as k, timestamp '1970-01-01 00:00:01' as l,
      timestamptz '1970-01-01 00:00:01+00' as m, 'x' as n, 'ab'::blob as o,
      '00000000-0000-0000-0000-000000000001'::uuid as p, '{"a":1}'::json as q, [1, 2] as r, {'a': [1::bigint]} as s,
      map {'k': 1} as t, interval 1 day as u, null as v, 4000000000::uinteger as w, map {1: 2} as x,
      timestamp_ns '1970-01-01 00:00:00.000000001' as y, 'NaN'::double as z`)
    const rows: unknown[] = []
    for await (const batch of result.batches) rows.push(...batch)
    expect(Object.fromEntries(result.columns.map(({ name, type }) => [name, type]))).toEqual({
      a: 'boolean',
      b: 'int',
      c: 'int',
      d: 'long',
      e: 'long',
      f: 'decimal(20,0)',
      g: 'float',
      h: 'double',
      i: 'decimal(5,2)',
      j: 'date',
      k: 'time',
      l: 'timestamp',
      m: 'timestamptz',
      n: 'string',
      o: 'binary',
      p: 'uuid',
      q: 'json',
      r: 'list',
      s: 'struct',
      t: 'map',
      u: 'string',
      v: 'int',
      w: 'long',
      x: 'map',
      y: 'string',
      z: 'double',
    })
    expect(rows).toEqual([
      [
        ...[true, 1, 2, 9007199254740993n, 1, '18446744073709551615', 1.5, 2.5, '1.25', '2026-01-02', '01:02:03.5'],
        ...[1_000_000, 1_000_000, 'x', new Uint8Array([97, 98]), '00000000-0000-0000-0000-000000000001', '{"a":1}'],
        ...[
          [1, 2],
          { a: [1] },
          { k: 1 },
          '1 day',
          null,
          4000000000,
          [[1, 2]],
          '1970-01-01 00:00:00.000000001',
          Number.NaN,
        ],
      ],
    ])
  })

  it('divide integers as Postgres does', async () => {
    expect(await sql.rows('select 7 / 2, -7 / 2, 7 / 2.0, 7::double / 2')).toEqual([[3, -3, 3.5, 3.5]])
  })

  it('refuse what no long holds, with what to do', async () => {
    const failure = await failureOf('select 170141183460469231731687303715884105727::hugeint as big')
    expect([failure.code, failure.message]).toEqual(['limit', expect.stringMatching(/column big.*cast it to decimal/)])
  })

  it('come in batches, as they are taken', async () => {
    const result = await sql.query('select i from range(100000) t(i)')
    let batches = 0
    let rows = 0
    for await (const batch of result.batches) {
      batches++
      rows += batch.length
      expect(batch.length).toBeLessThanOrEqual(10_000)
    }
    expect(rows).toBe(100_000)
    expect(batches).toBeGreaterThan(10)
    expect(result.stats()).toMatchObject({ rows: 100_000, files: 0, hotRows: 0 })
  })

  it('tell what they cost', async () => {
    const result = await sql.query('select * from docs')
    for await (const _ of result.batches);
    const { files, bytesRead, bytesCached, hotRows, shards, rows } = result.stats()
    expect({ files, hotRows, shards, rows }).toEqual({ files: 2, hotRows: 1, shards: 2, rows: 5 })
    expect(bytesRead + bytesCached).toBeGreaterThan(0)
  })
})

describe('a query', () => {
  it('takes values for $1 and ?', async () => {
    const params = ['a', 2]
    expect(await sql.rows('select id from docs where id = $1 or rank = $2 order by 1', { params })).toEqual([
      ['a'],
      ['b'],
    ])
    expect(await sql.rows('select id from docs where id = ? or rank = ? order by 1', { params })).toEqual([
      ['a'],
      ['b'],
    ])
    const all: RelationValue[] = [true, 2.5, 'text', null, new Uint8Array([1]), 2 ** 40, -0]
    expect(await sql.rows('select $1, $2, $3, $4, $5, $6, $7::text', { params: all })).toEqual([
      [true, 2.5, 'text', null, new Uint8Array([1]), 2 ** 40, '-0.0'],
    ])
  })

  it('refuses parameters that do not fit', async () => {
    expect((await failureOf('select $2', [1])).message).toMatch(/\$2 has no value/)
    expect((await failureOf('select 1', [1])).message).toMatch(
      /1 parameters were given, of which the statement names 0/,
    )
    expect((await failureOf('select $name')).message).toMatch(/\$name: parameters are/)
    const many = Array.from({ length: SQL_QUERY_PARAMETERS_MAX + 1 }, () => 1)
    expect((await failureOf('select 1', many)).code).toBe('limit')
    expect((await failureOf(`select ${' '.repeat(SQL_QUERY_CHARS_MAX)}1`)).code).toBe('limit')
  })

  it('names tables with or without their database, in any case, and columns of three parts', async () => {
    for (const text of [
      'select count(*) from docs',
      'select count(*) from shop.docs',
      'select count(*) from SHOP.Docs'.replace('SHOP', 'shop'),
      'select count(*) from "shop"."docs"',
      'select count(shop.docs.id) from shop.docs',
      'select count(docs.id) from shop . docs',
      'select count(shop.docs.id) from /* here */ shop./* and */docs -- there',
      'select count(d.id) from shop.docs as d',
      'select count(x) from shop.docs d(x)',
      'select count(*) from (table docs)',
      'select count(DOCS.ID) from docs where docs.RANK > 0',
      'select count(*) from docs tablesample 100%',
      'with dotdo_0 as (select 1) select count(*) from docs',
      'select count(*) from (select docs.* from shop.docs)',
      'select count(*) from docs, (describe docs) d where d.column_name = $$id$$',
    ]) {
      expect(await sql.value(text), text).toBe(5)
    }
    expect(await sql.value('select count(*) from docs, "shop".notes n')).toBe(5)
    expect(await sql.value('select count(*) from docs where exists (select 1 from notes)', { database: 'shop' })).toBe(
      5,
    )
    expect(await sql.value('select count(*) from shop.docs', { database: 'elsewhere' })).toBe(5)
    expect(await sql.value('select docs from docs where id = $1', { params: ['a'] })).toMatchObject({
      id: 'a',
      rank: 1,
    })
  })

  it('describes and summarizes tables', async () => {
    expect((await sql.rows('describe docs')).map(([name, type]) => [name, type])).toEqual([
      ['id', 'VARCHAR'],
      ['title', 'VARCHAR'],
      ['body', 'VARCHAR'],
      ['rank', 'BIGINT'],
      ['_id', 'VARCHAR'],
      ['_shard', 'INTEGER'],
      ['_seq', 'BIGINT'],
      ['_at', 'TIMESTAMP WITH TIME ZONE'],
    ])
    expect(await sql.rows('describe select count(*) as n from docs')).toEqual([
      ['n', 'BIGINT', 'YES', null, null, null],
    ])
    const [rank] = (await sql.rows('summarize shop.docs')).filter(([name]) => name === 'rank')
    expect(rank?.slice(0, 4)).toEqual(['rank', 'BIGINT', '1', '5'])
  })

  it('lists tables and databases', async () => {
    expect(await sql.rows('show tables')).toEqual([['changes'], ['dead_letters'], ['docs'], ['notes']])
    expect(await sql.rows('show databases')).toEqual([['shop']])
    expect(await sql.rows('show all tables')).toContainEqual(['shop', 'docs', 'rank', 'long'])
    expect((await failureOf('select * from (show tables)')).code).not.toBe('internal')
    expect(await sql.sql.describe('shop')).toContainEqual(
      expect.objectContaining({ database: 'shop', table: 'docs', hot: true, cold: true }),
    )
    expect(await sql.sql.describe()).toContainEqual(expect.objectContaining({ table: 'notes', hot: true, cold: false }))
    await expect(sql.sql.describe('nowhere')).rejects.toMatchObject({ code: 'not_found' })
    expect((await sql.rig.fabric.list('', 10)).map(({ name }) => name)).toEqual(['shop'])
  })

  it('has the hidden columns, hot and cold alike', async () => {
    const rows = await sql.rows(
      "select _id, _shard is not null, _seq > 0, _at > timestamptz '2020-01-01' from docs order by 1",
    )
    expect(rows).toEqual(['a', 'b', 'c', 'd', 'e'].map((id) => [id, true, true, true]))
  })

  it('answers with nothing from tables that hold nothing', async () => {
    expect(await sql.rows('select * from dead_letters')).toEqual([])
    expect(await sql.rows('select type, reason from shop.dead_letters')).toEqual([])
  })
})

describe('errors', () => {
  it.each([
    ['selec 1', 'invalid', 1, 1],
    ['select 1\n  from from', 'invalid', 2, 8],
    ['select nope from docs', 'not_found', 1, 8],
    ['select 1,\n  nope from shop.docs', 'not_found', 2, 3],
    ["select 'é', nope from docs", 'not_found', 1, 13],
    ['select d.nope from shop.docs as d', 'not_found', 1, 8],
    ['select count(*) from shop.docs where nope = 1', 'not_found', 1, 38],
    ['select * from docs join nowhere on true', 'not_found', 1, 25],
    ['select * from nowhere.docs', 'not_found', 1, 15],
    ['select * from a.b.c', 'not_found', 1, 15],
    ['select shop.docs.id, foo(1) from shop.docs', 'invalid', 1, 22],
    ["select rank + 'x' from docs", 'invalid', 1, 15],
    ['select * from docs at (version => 1.5)', 'invalid', 1, 15],
    ['explain select nope from docs', 'not_found', 1, 16],
  ])('%s', async (text, code, line, column) => {
    const failure = await failureOf(text)
    expect([failure.code, failure.detail], failure.message).toEqual([code, { line, column }])
    expect(failure.message).not.toMatch(/dotdo_\d|read_parquet|memory\.main/)
  })

  it('while rows are read are failures as well', async () => {
    expect((await failureOf("select (id || 'x')::int from docs")).code).toBe('invalid')
    expect((await failureOf("select error('boo')")).message).toBe('boo')
  })

  it('of a query do not stop the next', async () => {
    await failureOf('select nope from docs')
    expect(await sql.value('select count(*) from docs')).toBe(5)
  })
})

describe('a stop', () => {
  it('ends a query before it begins, while it runs, and while its rows are taken', async () => {
    const early = new StopSwitch()
    early.abort()
    await expect(sql.rows('select 1', { stop: early })).rejects.toMatchObject({ code: 'unavailable' })
    const stop = new StopSwitch()
    const result = await sql.query('select i from range(100000000) t(i)', { stop })
    const taking = (async () => {
      for await (const _ of result.batches) stop.abort()
    })()
    await expect(taking).rejects.toMatchObject({ code: 'unavailable' })
    const late = new StopSwitch()
    const working = sql.rows('select count(*) from range(1000000000) a, range(1000) b', { stop: late })
    await new Promise((resolve) => setImmediate(resolve))
    late.abort()
    await expect(working).rejects.toMatchObject({ code: 'unavailable', message: 'the query was stopped' })
  })

  it('is also to close a result early', async () => {
    const result = await sql.query('select i from range(100000000) t(i)')
    for await (const _ of result.batches) break
    await result.close()
    await result.close()
    expect(await sql.value('select count(*) from docs')).toBe(5)
  })
})
