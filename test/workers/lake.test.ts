/** The lake of a Worker: Redis writes flow into Iceberg tables in R2, SQL sees both, what left comes back. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TierStatus } from '@dotdo/core/tiering/tier'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  bundleWorker,
  type Connected,
  startConnect,
  startWorkerd,
  type Workerd,
  type WorkerdOptions,
} from './workerd.ts'

let folder: string
let workerd: Workerd
const tunnels: Connected[] = []
const clients: Redis[] = []

async function start(options: Partial<WorkerdOptions> = {}): Promise<void> {
  workerd = await startWorkerd({ folder, ...options })
}

async function connect(): Promise<Redis> {
  const tunnel = await startConnect(workerd.url)
  tunnels.push(tunnel)
  const client = new Redis(tunnel.port, '127.0.0.1', { retryStrategy: null })
  client.on('error', () => undefined)
  clients.push(client)
  return client
}

async function disconnect(): Promise<void> {
  for (const client of clients.splice(0)) client.disconnect()
  for (const tunnel of tunnels.splice(0)) await tunnel.stop()
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-lake-'))
})

afterEach(async () => {
  await disconnect()
  await workerd.stop()
  rmSync(folder, { recursive: true })
})

async function answer(method: string, path: string, body?: unknown): Promise<[status: number, body: unknown]> {
  const headers = { 'Content-Type': 'application/json' }
  const response = await workerd.get(path, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return [response.status, text === '' ? undefined : JSON.parse(text)]
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const [status, said] = await answer(method, path, body)
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(said)}\n${workerd.output()}`)
  return said as T
}

interface Answer {
  readonly rows: unknown[][]
  readonly stats: { readonly files: number; readonly hotRows: number }
}

interface Loaded {
  readonly 'metadata-location': string
  readonly metadata: {
    readonly location: string
    readonly 'table-uuid': string
    readonly properties: Record<string, string>
    readonly snapshots: { readonly 'snapshot-id': number }[]
  }
}

const tierPath = '/databases/default/tier'
const sql = (text: string, more: object = {}) => ask<Answer>('POST', '/sql', { sql: text, ...more })
const flush = () => ask<TierStatus>('POST', `${tierPath}/flush`)
const status = () => ask<TierStatus>('GET', tierPath)
const tableOf = ({ tables }: TierStatus, name: string) => tables.find(({ table }) => table === name)
const coldRows = (said: TierStatus) => tableOf(said, 'keys')?.shards.reduce((sum, { coldRows: rows }) => sum + rows, 0)
const loadTable = (name: string) => ask<Loaded>('GET', `/iceberg/v1/namespaces/default/tables/${name}`)
const keysOf = (count: number) => Array.from({ length: count }, (_, i) => `key:${i}`)
const textOf = (i: number) => `value ${i} ${'x'.repeat(200)}`

/** Lists every object of both buckets, from another Worker. */
const listing = `export default {
  async fetch(request, env) {
    const all = await Promise.all(['LAKE', 'LAKE_ARCHIVE'].map(async (name) => {
      const { objects } = await env[name].list()
      return objects.map(({ key }) => [name, key].join(' '))
    }))
    return Response.json(all.flat())
  },
}`

describe('the lake in a Worker', { timeout: 60_000 }, () => {
  test('rows flow into it, SQL sees hot and cold as one, payloads leave and come back', async () => {
    await start({ bindings: { DOTDO_SHARDS: '2' } })
    const redis = await connect()
    const keys = keysOf(300)
    await Promise.all(keys.map((key, i) => redis.set(key, textOf(i))))
    await ask('PUT', `${tierPath}/keys`, { hotFor: '1ms', flushEvery: '1h' })
    const flushed = await flush()
    expect(tableOf(flushed, 'keys')).toMatchObject({ rows: 300, dataFiles: 2 })
    expect(tableOf(flushed, 'changes')).toMatchObject({ rows: 300 })
    expect(coldRows(flushed)).toBe(300)

    // Newer than the snapshot: one changed, one gone, one new.
    await redis.set('key:7', 'changed')
    await redis.del('key:8')
    await redis.set('new', 'n')
    const all = await sql('select count(*), count(distinct key), sum(length(value)) from keys')
    const length = keys.reduce((sum, _, i) => sum + (i === 7 || i === 8 ? 0 : textOf(i).length), 'changedn'.length)
    expect(all.rows).toEqual([[300, 300, length]])
    expect([all.stats.files, all.stats.hotRows]).toEqual([2, 2])
    const some = await sql("select key, value from keys where key in ('key:7', 'key:8', 'key:9', 'new') order by key")
    expect(some.rows).toEqual([
      ['key:7', 'changed'],
      ['key:9', textOf(9)],
      ['new', 'n'],
    ])
    expect((await sql('select op, count(*) from changes group by op order by op')).rows).toEqual([
      ['delete', 1],
      ['put', 302],
    ])
    const { snapshotId } = tableOf(flushed, 'keys') as { snapshotId: string }
    expect((await sql('select count(*) from keys', { asOf: snapshotId })).rows).toEqual([[300]])

    // The objects end, nothing is in memory: a second client reads what is in the lake alone.
    await workerd.kill()
    await disconnect()
    await start({ bindings: { DOTDO_SHARDS: '2' } })
    const second = await connect()
    expect(await second.get('key:0')).toBe(textOf(0))
    expect(await second.mget(...keys)).toEqual(keys.map((_, i) => (i === 7 ? 'changed' : i === 8 ? null : textOf(i))))
    expect((await sql('select count(*) from keys')).rows).toEqual([[300]])
    expect(tableOf(await flush(), 'keys')).toMatchObject({ rows: 300 })
  })

  test('other engines load its tables and commit to them, by the object that commits for the shards', async () => {
    await start({ bindings: { DOTDO_LAKE: 's3://mine/folder/', DOTDO_LAKE_ENDPOINT: 'https://a.r2.example' } })
    const redis = await connect()
    await redis.set('a', '1')
    await ask('PUT', `${tierPath}/keys`, { changes: false })
    await flush()
    expect(await ask('GET', '/iceberg/v1/config')).toMatchObject({
      overrides: { 's3.endpoint': 'https://a.r2.example', 's3.region': 'auto', 's3.path-style-access': 'true' },
    })
    expect(await ask('GET', '/iceberg/v1/namespaces')).toMatchObject({ namespaces: [['default']] })
    const { metadata, ...rest } = await loadTable('keys')
    expect(metadata.location).toBe('s3://mine/folder/default@/keys')
    expect(rest['metadata-location']).toMatch(/^s3:\/\/mine\/folder\/default@\/keys\/metadata\/v\d+\.metadata\.json$/)
    expect(metadata.snapshots.length).toBe(1)
    const update = {
      requirements: [{ type: 'assert-table-uuid', uuid: metadata['table-uuid'] }],
      updates: [{ action: 'set-properties', updates: { owner: 'me' } }],
    }
    await ask('POST', '/iceberg/v1/namespaces/default/tables/keys', update)
    await redis.set('b', '2')
    await flush()
    const after = (await loadTable('keys')).metadata
    expect([after.snapshots.length, after.properties.owner]).toEqual([2, 'me'])
    const [code, body] = await answer('POST', '/iceberg/v1/namespaces/default/tables/keys', {
      ...update,
      requirements: [{ type: 'assert-table-uuid', uuid: '00000000-0000-4000-8000-000000000000' }],
    })
    expect([code, body]).toMatchObject([409, { error: { type: 'CommitFailedException' } }])
    expect(await answer('GET', '/iceberg/v1/namespaces/default/tables/none')).toMatchObject([404, {}])
  })

  test.each([
    ['infrequent', /^LAKE _infrequent\/.*\.parquet$/],
    ['archive', /^LAKE_ARCHIVE part\/.*\.parquet$/],
  ])('files that are old enough move to the store %s, and are read from there', async (store, place) => {
    const bindings = { DOTDO_LAKE_POLL: '200ms', DOTDO_LAKE_ARCHIVE: 's3://old/part' }
    const options = { bindings, beside: listing, buckets: { LAKE_ARCHIVE: 'old' } }
    await start(options)
    const redis = await connect()
    await redis.set('a', '1')
    const [refused, why] = await answer('PUT', `${tierPath}/keys`, { cold: { after: '1ms', store: 'nowhere' } })
    expect([refused, why]).toMatchObject([
      400,
      { error: { message: expect.stringContaining('there are infrequent, archive') } },
    ])
    await ask('PUT', `${tierPath}/keys`, { flushEvery: '1ms', changes: false })
    await flush()
    await ask('PUT', `${tierPath}/keys`, { hotFor: '1ms', flushEvery: '1ms', cold: { after: '1ms', store } })
    while (!workerd.output().includes('tiering: archived')) await new Promise((resolve) => setTimeout(resolve, 50))
    const objects = JSON.parse(await workerd.beside('/')) as string[]
    expect(objects).toContainEqual(expect.stringMatching(place))
    expect((await sql('select value from keys')).rows).toEqual([['1']])
    while (coldRows(await status()) !== 1) await new Promise((resolve) => setTimeout(resolve, 50))
    await workerd.kill()
    await disconnect()
    await start(options)
    expect(await (await connect()).get('a')).toBe('1')
  })

  test('flows by itself, by alarm, also when nobody calls after a restart', async () => {
    await start({ bindings: { DOTDO_LAKE_POLL: '200ms' } })
    const redis = await connect()
    await redis.set('a', '1')
    await ask('PUT', `${tierPath}/keys`, { flushEvery: '1ms' })
    const committed = async (rows: number) => {
      while (tableOf(await status(), 'keys')?.rows !== rows) await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await committed(1)
    await ask('POST', `${tierPath}/pause`)
    await redis.set('b', '2')
    await ask('POST', `${tierPath}/resume`)
    await workerd.kill()
    await disconnect()
    await start({ bindings: { DOTDO_LAKE_POLL: '200ms' } })
    // The first look at the health wakes no shard and no lake.
    expect((await workerd.get('/health')).status).toBe(200)
    while (!/committed: .* 1 rows of 1 shards/.test(workerd.output())) await new Promise((done) => setTimeout(done, 50))
    await committed(2)
  })

  test('an object that ends between a commit and the news of it finds it: no row is lost or doubled', async () => {
    const main = await bundleWorker('crashing-worker', 'test/workers/crashing-worker.ts')
    await start({ main, bindings: { DOTDO_SHARDS: '2' } })
    const redis = await connect()
    await Promise.all(keysOf(50).map((key, i) => redis.set(key, textOf(i))))
    await ask('PUT', `${tierPath}/keys`, { flushEvery: '1h' })
    // A round by alarm, or this one, whichever is first.
    await answer('POST', `${tierPath}/flush`)
    while (!workerd.output().includes('ended after a commit')) await new Promise((done) => setTimeout(done, 20))
    expect((await loadTable('keys')).metadata.snapshots.length).toBe(1)
    await redis.set('key:1', 'again')
    const flushed = await flush()
    expect(tableOf(flushed, 'keys')).toMatchObject({ rows: 50 })
    expect((await loadTable('keys')).metadata.snapshots.length).toBe(2)
    expect((await sql('select count(*), count(distinct key) from keys')).rows).toEqual([[50, 50]])
    expect((await sql('select count(*), count(distinct seq * 2 + shard) from changes')).rows).toEqual([[51, 51]])
    expect(workerd.output()).not.toContain('a bug of dotdo')
  })
})

describe('a Worker without a bucket', () => {
  test('says what is missing at the addresses of the lake, and does everything else', async () => {
    await start({ isBucketBound: false, bindings: { DOTDO_PASSWORD: 'sesame' } })
    const headers = { Authorization: 'Bearer sesame', 'Content-Type': 'application/json' }
    for (const path of [tierPath, `${tierPath}/keys`, '/iceberg/v1/config', '/iceberg/v1/namespaces']) {
      expect((await workerd.get(path)).status).toBe(401)
      const refused = await workerd.get(path, { headers })
      expect([refused.status, await refused.json()]).toMatchObject([
        501,
        {
          error: { code: 'unsupported', message: expect.stringMatching(/no lake: bind an R2 bucket as LAKE .*deploy/) },
        },
      ])
    }
    const made = await workerd.get('/databases/tier', { method: 'PUT', headers, body: '{}' })
    expect(made.status).toBe(201)
    expect((await workerd.get('/databases/tier', { headers })).status).toBe(200)
    const body = JSON.stringify({ sql: 'select count(*) from keys', database: 'tier' })
    const counted = await workerd.get('/sql', { method: 'POST', headers, body })
    expect(await counted.json()).toMatchObject({ rows: [[0]] })
  })
})
