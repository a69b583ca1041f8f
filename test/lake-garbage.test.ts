/** What a server with a lake does with garbage over HTTP: bodies, names, locations and SQL that are wrong on purpose.
 *  Every answer is a refusal in the form of its part, nothing is written by halves or outside the lake, the server
 *  lives. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { nodeClock } from '../core/host/node/clock.ts'
import { openLakeStores } from '../core/host/node/lake-stores.ts'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { commitChange, dataFile, makeSchema, parseJson, restCatalog, specOf } from '../core/tiering/iceberg/index.ts'
import { writeRows } from '../core/tiering/parquet/testing.ts'
import { connect } from './crash/load.ts'
import { type ServerProcess, startServer } from './crash/server.ts'

let folder: ReturnType<typeof temporaryFolder>
let server: ServerProcess
let url: string
let lake: string
let before: string[]

const schema = makeSchema([{ name: 'id', type: 'long', required: true }])
const big = 'x'.repeat(10 * 1024 * 1024)
const deep = '['.repeat(500_000)
const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

interface Answer {
  readonly status: number
  readonly body: { readonly error?: unknown; readonly rows?: unknown; readonly metadata?: unknown }
}

async function ask(method: string, path: string, body?: string | Uint8Array<ArrayBuffer>): Promise<Answer> {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(url + path, { method, headers, ...(body !== undefined && { body }) })
  const said = await response.text()
  return { status: response.status, body: said === '' ? {} : (parseJson(said) as Answer['body']) }
}

/** Expect a refusal: a status from 400 to 499, or 501 for what is known and not supported. */
function expectRefusal({ status, body }: Answer): void {
  expect(body).toEqual({ error: expect.objectContaining({ message: expect.stringMatching(/./) }) })
  expect(status === 501 || (status >= 400 && status < 500)).toBe(true)
}

/** List what is in the lake, but for the records of transactions that were called off. */
const filesOf = () =>
  (readdirSync(lake, { recursive: true }) as string[])
    .filter((name) => !/^(\.temporary|_transactions)/.test(name))
    .sort()

const namespaces = '/iceberg/v1/namespaces'
const victim = `${namespaces}/default/tables/victim`

beforeAll(async () => {
  folder = temporaryFolder()
  writeFileSync(join(folder.path, 'secret.txt'), 'secret')
  server = await startServer({ data: join(folder.path, 'data'), durability: 'normal' })
  url = `http://127.0.0.1:${server.httpPort}`
  lake = join(folder.path, 'data', 'lake')
  const client = connect(server.redisPort)
  await client.set('a', '1')
  client.disconnect()
  for (const [method, path, body] of [
    ['PUT', '/databases/default/tier/keys', { maxHotRows: 0 }],
    ['POST', '/databases/default/tier/flush', {}],
    ['POST', `${namespaces}/default/tables`, { name: 'victim', schema }],
  ] as const) {
    expect((await ask(method, path, text(body))).status).toBe(200)
  }
})

beforeEach(() => {
  before = filesOf()
})

afterEach(async () => {
  expect(filesOf()).toEqual(before)
  expect(readdirSync(folder.path).sort()).toEqual(['data', 'data.ready.json', 'secret.txt'])
  expect(readFileSync(join(folder.path, 'secret.txt'), 'utf8')).toBe('secret')
  expect(await ask('POST', '/sql', text({ sql: 'select key, value from keys' }))).toMatchObject({
    status: 200,
    body: { rows: [['a', '1']] },
  })
})

afterAll(async () => {
  await server.stop()
  // A bug would have been logged.
  expect(server.logged()).toBe('')
  folder.remove()
})

describe('POST /sql', () => {
  const bodies: readonly (readonly [string, string | Uint8Array<ArrayBuffer>])[] = [
    ['nothing', ''],
    ['half a body', '{"sql":'],
    ['a list', '[]'],
    ['null', 'null'],
    ['bytes that are no text', new Uint8Array([0xff, 0xfe, 0x80, 0])],
    ['10 MB of no JSON', big],
    ['10 MB of SQL', text({ sql: `select '${big}'` })],
    ['depth', deep],
    ['a number for SQL', '{"sql":1}'],
    ['an unknown field', '{"sql":"select 1","x":1}'],
    ['NUL', '{"sql":"select \\u0000"}'],
    ['half a surrogate', '{"sql":"select \\ud800"}'],
    ['a number that is none', '{"sql":"select $1","params":[1e400]}'],
    ['a number past 2^53', '{"sql":"select $1","params":[123456789012345678901234567890]}'],
    ['a list as a parameter', '{"sql":"select $1","params":[[1]]}'],
    ['a snapshot that cannot be', '{"sql":"select * from keys","asOf":"9999999999999999999"}'],
    ['a time that cannot be', '{"sql":"select * from keys","asOf":{"timestamp":1e300}}'],
    ['a path for a branch', '{"sql":"select * from keys","asOf":"../../etc/passwd"}'],
    ['a branch of every object', '{"sql":"select * from keys","asOf":{"ref":"constructor"}}'],
    ['the prototype for a branch', '{"sql":"select * from keys","asOf":{"ref":"__proto__"}}'],
  ]
  it.each(bodies)('refuses %s', async (_, body) => expectRefusal(await ask('POST', '/sql', body)))

  it.each([
    '../../etc',
    'd"; drop table keys; --',
    "d'",
    '',
    '__proto__',
    'memory',
    'temp',
    'system',
    '\0',
    'x'.repeat(99_999),
  ])('refuses database %j', async (database) =>
    expectRefusal(await ask('POST', '/sql', text({ sql: 'select * from keys', database }))),
  )

  it.each([
    "select * from read_text('/etc/passwd')",
    "with x as (from read_csv('/etc/passwd')) select (select count(*) from x)",
    "from read_blob('/etc/*')",
    "select * from '/etc/passwd'",
    `select * from "../../etc"."passwd"`,
    `select * from "default"."keys"; drop table "keys"`,
    "from glob('/*')",
    "copy (select 1) to '/tmp/dotdo-garbage'",
    "attach '/tmp/dotdo-garbage.db'",
    "export database '/tmp/dotdo-garbage'",
    'install httpfs',
    'load httpfs',
    "set memory_limit = '1gb'",
    'pragma database_list',
    "select getenv('HOME')",
    'create table x as select 1',
    'drop table keys',
    'delete from keys',
    'select * from duckdb_settings()',
    'select * from memory.main.x',
    'select * from information_schema.tables',
    `select ${'('.repeat(100_000)}1${')'.repeat(100_000)}`,
    `select ${'1+'.repeat(100_000)}1`,
    "select repeat(repeat('x', 1000000), 100000)",
    "select '",
    ';',
  ])('refuses %.60s', async (sql) => expectRefusal(await ask('POST', '/sql', text({ sql }))))
})

describe('tiering', () => {
  const policy = '/databases/default/tier/keys'
  it.each([
    '{',
    '[]',
    'null',
    '"x"',
    deep,
    big,
    '{"hotFor":1}',
    '{"hotFor":"-1s"}',
    '{"hotFor":"99999999999999999999999d"}',
    '{"maxHotRows":1e300}',
    '{"maxHotRows":-1}',
    '{"maxHotRows":0.5}',
    '{"flushBytes":"0b"}',
    '{"flushEvery":"0s"}',
    '{"mirror":"yes"}',
    '{"__proto__":{"mirror":false}}',
    '{"cold":{"after":"1d","store":"../../etc"}}',
    '{"cold":{"after":"1d","store":"__proto__"}}',
    '{"mirror":false,"changes":false}',
  ])('refuses the policy %.60s', async (body) => {
    expectRefusal(await ask('PUT', policy, body))
    expect(await ask('GET', policy)).toEqual({ status: 200, body: { maxHotRows: 0 } })
  })

  it.each([
    '..%2f..%2fetc',
    '__proto__',
    'constructor',
    'changes',
    'dead_letters',
    "x'%3b--",
    '%00',
    '%ff',
    '%',
    'x'.repeat(7_000),
  ])('refuses the collection %.60s', async (name) => {
    for (const method of ['PUT', 'GET', 'DELETE'])
      expectRefusal(await ask(method, `/databases/default/tier/${name}`, method === 'PUT' ? '{}' : undefined))
  })

  it.each(['..%2f..%2fetc', '__proto__', 'dotdo.catalog', 'DEFAULT', '%00', '%ff', 'x'.repeat(7_000)])(
    'refuses the database %.60s, and makes none',
    async (name) => {
      expectRefusal(await ask('GET', `/databases/${name}/tier`))
      expectRefusal(await ask('PUT', `/databases/${name}/tier/keys`, '{}'))
      expectRefusal(await ask('POST', `/databases/${name}/tier/flush`))
      expect((await ask('GET', '/databases')).body).toMatchObject({ databases: [{ name: 'default' }] })
    },
  )

  it.each([
    ['flush', '{"x":1}'],
    ['pause', '['],
    ['backfill', '{"collection":null}'],
    ['backfill', '{"collection":"../.."}'],
    ['compact', '{"table":"../../etc"}'],
    ['maintain', '{"table":"__proto__"}'],
    ['maintain', '{"table":"victim"}'],
    ['explode', '{}'],
  ])('refuses to %s %s', async (action, body) => {
    expectRefusal(await ask('POST', `/databases/default/tier/${action}`, body))
  })
})

describe('/iceberg', () => {
  const lists = (type: string, depth: number) =>
    `${'{"type":"list","element-id":2,"element-required":true,"element":'.repeat(depth)}${type}${'}'.repeat(depth)}`
  const tableOf = (type: string) =>
    `{"name":"t","schema":{"type":"struct","fields":[{"id":1,"name":"a","required":true,"type":${type}}]}}`

  it.each([
    '{',
    '[]',
    'null',
    deep,
    'x'.repeat(17 * 1024 * 1024),
    '{"namespace":[]}',
    '{"namespace":[""]}',
    '{"namespace":["\\ud800"]}',
    '{"namespace":["a"],"properties":{"b":1}}',
    '{"namespace":["none","child"]}',
    text({ namespace: ['n'.repeat(5_000)] }),
    text({ namespace: Array(2_000).fill('a') }),
    `{"namespace":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  ])('refuses the namespace %.60s', async (body) => expectRefusal(await ask('POST', namespaces, body)))

  it.each(['..%2f..%2fetc', '%2e%2e%1f%2e%2e', '%00', '%ff', '%', '%1f', 'n'.repeat(5_000)])(
    'finds nothing at %.60s',
    async (name) => {
      expectRefusal(await ask('GET', `${namespaces}/${name}`))
      expectRefusal(await ask('GET', `${namespaces}/${name}/tables`))
      expectRefusal(await ask('POST', `${namespaces}/${name}/properties`, '{"updates":{"a":"b"}}'))
      expectRefusal(await ask('DELETE', `${namespaces}/${name}`))
      expectRefusal(await ask('GET', `${namespaces}/default/tables/${name}`))
      expectRefusal(await ask('DELETE', `${namespaces}/default/tables/${name}?purgeRequested=true`))
    },
  )

  it.each([
    ['"nonsense"'],
    ['"decimal(99,1)"'],
    ['"fixed[99999999999999999999]"'],
    ['1e300'],
    [lists('"long"', 3_000)],
    [lists('"long"', 100_000)],
  ])('refuses a table with a column of type %.60s', async (type) => {
    expectRefusal(await ask('POST', `${namespaces}/default/tables`, tableOf(type)))
  })

  it.each([
    ['', {}],
    [1, {}],
    ['n'.repeat(5_000), {}],
    ['t', { schema: null }],
    ['t', { properties: { a: 1 } }],
    ['t', { properties: { 'format-version': '99' } }],
    ['t', { properties: { 'write.data.path': 'file:///etc' } }],
    ['t', { properties: { 'write.metadata.path': '../../etc' } }],
    ['t', { 'partition-spec': { fields: [{ 'source-id': 1, name: 'x', transform: 'bucket[0]' }] } }],
    ['t', { 'partition-spec': { fields: [{ 'source-id': -5, name: '../..', transform: 'identity' }] } }],
  ])('refuses table %.20s with %j', async (name, more) => {
    expectRefusal(await ask('POST', `${namespaces}/default/tables`, text({ name, schema, ...more })))
  })

  const outside = ['file:///etc/passwd', '/etc/passwd', '../../etc/passwd', 's3://other/x', 'http://127.0.0.1:1/x']
  const upwards = () => [
    ...outside,
    `file://${lake}/../../secret.txt`,
    `file://${lake}/default@/victim/../../../secret.txt`,
  ]

  it('keeps tables where they are', async () => {
    for (const location of [...upwards(), `file://${lake}`, `file://${lake}/default@/keys`]) {
      const body = { name: 't', schema, location }
      expectRefusal(await ask('POST', `${namespaces}/default/tables`, text(body)))
      expectRefusal(await ask('POST', `${namespaces}/default/tables`, text({ ...body, 'stage-create': true })))
      const updates = [{ action: 'set-location', location }]
      expectRefusal(await ask('POST', victim, text({ updates })))
    }
    const elsewhere = { name: 'r', 'metadata-location': 'file:///etc/passwd' }
    expectRefusal(await ask('POST', `${namespaces}/default/register`, text(elsewhere)))
  })

  const snapshotOf = (list: string, more: object = {}) => ({
    'snapshot-id': 7,
    'sequence-number': 1,
    'timestamp-ms': Date.now(),
    'manifest-list': list,
    summary: { operation: 'append' },
    ...more,
  })

  it('takes no places outside of the lake', async () => {
    for (const place of upwards()) {
      for (const update of [
        { action: 'add-snapshot', snapshot: snapshotOf(place) },
        { action: 'set-statistics', statistics: { 'snapshot-id': 1, 'statistics-path': place } },
        { action: 'set-partition-statistics', 'partition-statistics': { 'snapshot-id': 1, 'statistics-path': place } },
        { action: 'set-properties', updates: { 'write.data.path': place } },
        { action: 'set-properties', updates: { 'write.metadata.path': place } },
      ]) {
        expectRefusal(await ask('POST', victim, text({ updates: [update] })))
      }
    }
  })

  it.each([
    [[{ action: 'add-snapshot', snapshot: { 'sequence-number': 1e300 } }]],
    [[{ action: 'upgrade-format-version', 'format-version': 99 }]],
    [[{ action: 'set-current-schema', 'schema-id': 99 }]],
    [[{ action: 'assign-uuid', uuid: '../..' }]],
    [[{ action: 'set-snapshot-ref', 'ref-name': 'constructor', type: 'branch', 'snapshot-id': 1 }]],
    [
      [
        { action: 'set-properties', updates: { a: 'b' } },
        { action: 'set-current-schema', 'schema-id': 99 },
      ],
    ],
    [[{ action: '__proto__' }]],
    [[[]]],
    [1],
  ])('refuses the commit %j', async (updates) => expectRefusal(await ask('POST', victim, text({ updates }))))

  it('commits to several tables all or none', async () => {
    const good = {
      identifier: { namespace: ['default'], name: 'victim' },
      updates: [{ action: 'set-properties', updates: { half: 'yes' } }],
    }
    for (const bad of [
      { identifier: { namespace: ['..', '..'], name: 'etc' }, updates: [] },
      {
        identifier: { namespace: ['default'], name: 'keys' },
        updates: [{ action: 'set-location', location: 'file:///etc' }],
      },
    ]) {
      expectRefusal(await ask('POST', '/iceberg/v1/transactions/commit', text({ 'table-changes': [good, bad] })))
    }
    expect(JSON.stringify((await ask('GET', victim)).body)).not.toContain('half')
  })
})

it('a manifest that names a file outside of the lake is not followed', async () => {
  const { summary, bytes } = await writeRows(schema, [{ id: 1 }])
  const outside = join(folder.path, 'data', 'outside.parquet')
  writeFileSync(outside, bytes)
  const catalog = restCatalog({
    uri: `${url}/iceberg`,
    fetch: (to, init) => fetch(to, init as RequestInit),
    clock: nodeClock,
  })
  const stores = await openLakeStores({ location: lake }, { isShared: true })
  const name = { namespace: ['default'], name: 'follows' }
  const { metadata } = await catalog.createTable(name, { schema })
  const committer = { catalog, files: stores.files, clock: nodeClock }
  for (const path of [`file://${outside}`, `file://${lake}/../outside.parquet`]) {
    const file = dataFile(summary, { path, spec: specOf(metadata), partition: [] })
    await commitChange(committer, name, { addData: [file] })
    expectRefusal(await ask('POST', '/sql', text({ sql: 'select * from follows' })))
  }
  stores.close()
  await catalog.dropTable(name, { purge: true })
  before = filesOf()
})
