/** SQL from outside gets at nothing but the tables: neither files, nor settings, nor DuckDB's own catalog. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Failure } from '../../../errors.ts'
import { temporaryFolder } from '../testing.ts'
import { loadDuckDB, openDuckDB } from './duckdb.ts'
import { SqlRig } from './testing.ts'

let sql: SqlRig
const folder = temporaryFolder()
const secret = join(folder.path, 'secret.csv')

beforeAll(async () => {
  writeFileSync(secret, 'a,b\n1,secret\n')
  sql = await SqlRig.open({ shards: 2 })
  await sql.rig.putAll(['a', 'b', 'c'])
  await sql.tier('docs')
  await sql.rig.doc('put', { id: 'hot', body: 'hot' })
  expect(await sql.value('select count(*) from docs')).toBe(4)
})

afterAll(async () => {
  await sql.close()
  folder.remove()
})

/** Run what must be refused. */
async function refused(text: string, database = 'shop'): Promise<Failure> {
  const rows = sql.rows(text, { database })
  const error = await rows.then(
    (found) => found,
    (failure: unknown) => failure,
  )
  if (error instanceof Failure) return error
  throw new Error(`${text} was answered with ${JSON.stringify(error)?.slice(0, 300)}`)
}

describe('statements that are no selects', () => {
  it.each([
    'create table t (a int)',
    'create temp view v as select 1',
    'create macro m() as 1',
    'drop view dotdo_0',
    'insert into docs values (1)',
    'update docs set rank = 1',
    'delete from docs',
    `copy (select 1) to '${secret}'`,
    `copy docs from '${secret}'`,
    `attach '${secret}' as x`,
    "attach ':memory:' as x",
    'detach memory',
    'install httpfs',
    'load httpfs',
    'set threads = 1',
    'reset threads',
    'set variable x = 1',
    'pragma database_list',
    "pragma enable_profiling = 'json'",
    'call pragma_version()',
    'export database x',
    "import database 'x'",
    'begin transaction',
    'commit',
    'checkpoint',
    'vacuum',
    'prepare p as select 1',
    'execute p',
    'use memory',
    'analyze',
    'pivot docs on title using count(*)',
    'alter table docs add column x int',
    'truncate docs',
    "comment on table docs is 'x'",
    "create secret (type s3, key_id 'x')",
  ])('%s', async (text) => {
    const failure = await refused(text)
    expect(['unsupported', 'invalid'], failure.message).toContain(failure.code)
  })

  it('are refused with what can be had instead', async () => {
    const failure = await refused('delete from docs')
    expect(failure.message).toMatch(/^delete is not to be had here.*select, with.*another protocol/s)
    expect(failure.detail).toEqual({ line: 1, column: 1 })
  })

  it('hide behind no other', async () => {
    expect((await refused('select 1; drop table x')).code).toBe('unsupported')
    expect((await refused('select 1; select 2')).message).toMatch(/one statement at a time/)
    expect((await refused('explain create table t (a int)')).code).toBe('unsupported')
    expect((await refused('explain analyze delete from docs')).code).toBe('unsupported')
    expect((await refused('with x as (delete from docs) select 1')).code).toBe('invalid')
    expect((await refused('')).message).toMatch(/no statement/)
    expect((await refused('-- nothing')).message).toMatch(/no statement/)
    expect((await refused('select 1 \0; drop')).code).toBe('invalid')
  })
})

describe('functions that read what is not theirs', () => {
  it.each([
    `read_csv('${secret}')`,
    `read_csv_auto('${secret}')`,
    `read_text('${secret}')`,
    `read_blob('${secret}')`,
    `read_json('${secret}')`,
    "read_parquet('/etc/*.parquet')",
    "parquet_scan(['x'])",
    "parquet_schema('x')",
    "parquet_metadata('x')",
    "glob('/*')",
    `sniff_csv('${secret}')`,
    "query('select 1')",
    "query_table('docs')",
    "json_execute_serialized_sql('{}')",
    'duckdb_settings()',
    'duckdb_tables()',
    'duckdb_views()',
    'duckdb_columns()',
    'duckdb_databases()',
    'duckdb_secrets()',
    'duckdb_logs()',
    'duckdb_external_file_cache()',
    'duckdb_prepared_statements()',
    'pragma_database_size()',
    "pragma_table_info('hot')",
    "pragma_storage_info('hot')",
    "which_secret('x', 's3')",
    "seq_scan('x')",
    "summary('docs')",
    "histogram('docs', rank)",
    "sql_auto_complete('select')",
    'checkpoint()',
    'enable_logging()',
    'system.main.duckdb_tables()',
    'system.main.read_text($$/etc/passwd$$)',
  ])('select * from %s', async (text) => {
    expect((await refused(`select * from ${text}`)).code).toBe('unsupported')
    expect((await refused(`select (select count(*) from ${text}) from docs`)).code).toBe('unsupported')
    expect((await refused(`with x as (from ${text}) select 1`)).code).toBe('unsupported')
  })

  it.each([
    "current_setting('threads')",
    "getvariable('x')",
    "json_serialize_plan('select 1')",
    "nextval('x')",
    "write_log('x')",
    'sleep_ms(1)',
    'pg_sleep(1)',
    'pg_get_viewdef(1)',
    "system.main.current_setting('threads')",
    'current_query()',
    "parse_duckdb_log_message('x', 'y')",
    'stats(1)',
  ])('select %s', async (text) => {
    expect((await refused(`select ${text}`)).code).toBe('unsupported')
    expect((await refused(`select 1 from docs order by ${text}`)).code).toBe('unsupported')
    expect((await refused(`select list_transform([1], x -> ${text})`)).code).toBe('unsupported')
    expect((await refused(`select 1 from docs qualify row_number() over (partition by ${text}) = 1`)).code).toBe(
      'unsupported',
    )
  })

  it('leave those that make rows of their arguments', async () => {
    expect(await sql.rows('select * from range(3)')).toEqual([[0], [1], [2]])
    expect(await sql.rows('select unnest([1, 2]) as x')).toEqual([[1], [2]])
    expect(await sql.rows('select value from json_each($1)', { params: ['[5]'] })).toEqual([['5']])
    expect(
      await sql.rows("select i from generate_series(date '2026-01-01', date '2026-01-02', interval 1 day) t(i)"),
    ).toHaveLength(2)
  })
})

describe('names', () => {
  it.each([
    `'${secret}'`,
    `"${secret}"`,
    "'https://example.com/x.parquet'",
    'information_schema.tables',
    'information_schema.schemata',
    'pg_catalog.pg_class',
    'duckdb_tables',
    'duckdb_settings',
    'sqlite_master',
    'pragma_database_list',
    'system.main.duckdb_views',
    'temp.main.dotdo_0',
    'temp.dotdo_0',
    'memory.main.hot',
    'main.dotdo_0',
    'dotdo_0',
    'dotdo_1',
  ])('select * from %s', async (text) => {
    expect((await refused(`select * from ${text}`)).code).toBe('not_found')
    expect((await refused(`select * from docs, ${text}`)).code).toBe('not_found')
    expect((await refused(`describe ${text}`)).code).toBe('not_found')
    expect((await refused(`with x as (from ${text}) select 1 from docs`)).code).toBe('not_found')
  })

  it('of common table expressions hide nothing where they cannot be seen', async () => {
    const attempts = [
      'with duckdb_tables as (select * from duckdb_tables) select * from duckdb_tables',
      'with a as (select * from duckdb_settings), duckdb_settings as (select 1) select * from a',
      'with recursive duckdb_views as (from duckdb_views union all from duckdb_views where false) from duckdb_views',
      'select * from duckdb_tables where exists (with duckdb_tables as (select 1) from duckdb_tables)',
      '(with sqlite_master as (select 1) select 1) union all select count(*) from sqlite_master',
      'select (with duckdb_columns as (select 1) select 1), * from duckdb_columns',
      'with duckdb_tables(a) as (select 1) select * from main.duckdb_tables',
    ]
    for (const text of attempts) expect((await refused(text)).code, text).toBe('not_found')
  })

  it('of common table expressions are found where they can be seen', async () => {
    const both = 'with docs as (select 1 as one) select * from docs'
    expect(await sql.rows(both)).toEqual([[1]])
    expect(
      await sql.rows('with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) from r'),
    ).toEqual([[1], [2], [3]])
    expect(await sql.value('with a as (from docs), docs as (select 1) select count(*) from a')).toBe(4)
    expect(await sql.value('with A as (select 5 as x) select (select max(x) from a)')).toBe(5)
  })
})

describe('DuckDB itself', () => {
  it('is shut off, should anything slip through', async () => {
    const api = await loadDuckDB()
    const allowed = join(folder.path, 'allowed')
    mkdirSync(allowed)
    const options = { memoryBytes: 64 * 1024 * 1024, threads: 1, folders: [allowed], temporaryFolder: allowed }
    const instance = await openDuckDB(api, options)
    const connection = await instance.connect()
    const attempts = [
      `from read_csv('${secret}')`,
      `from '${secret}'`,
      `from read_text('${allowed}/../secret.csv')`,
      `from glob('${folder.path}/*')`,
      `copy (select 1) to '${folder.path}/out.csv'`,
      `attach '${folder.path}/x.db' as x`,
      'install httpfs',
      'load httpfs',
      "from 'https://example.com/x.csv'",
      'set enable_external_access = true',
      `set allowed_directories = ['${folder.path}']`,
      'set lock_configuration = false',
      `set temp_directory = '${folder.path}'`,
    ]
    for (const text of attempts) {
      await expect(connection.run(text), text).rejects.toThrow(/Permission|Invalid Input|Missing Extension|IO/)
    }
    connection.closeSync()
    instance.closeSync()
  })
})
