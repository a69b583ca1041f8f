import { type NodeLake, nodeClock, openLake } from '@dotdo/core/host/node'
import type { LakeControl, TierStatus } from '@dotdo/core/tiering/tier'
import Redis from '@dotdo/redis'
import type { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import { createApp } from './app.ts'

let folder: ReturnType<typeof temporaryFolder>
let lake: NodeLake
let redis: Redis
let app: Hono

beforeEach(async () => {
  folder = temporaryFolder()
  // What is tested is asked for; by itself the service does nothing within an hour.
  const rhythm = { pollMs: 3_600_000, commitEveryMs: 0 }
  lake = await openLake({ data: folder.path, programs, durability: 'normal', rhythm })
  redis = new Redis({ fabric: lake.fabric })
  await redis.mset('a', '1', 'b', '2')
  const { fabric, engine, tier, catalog } = lake
  app = createApp({
    fabric,
    clock: nodeClock,
    version: '1',
    startedMs: 0,
    defaults: {},
    sql: engine,
    lake: tier as LakeControl,
    ...(catalog && { iceberg: { catalog } }),
  })
})

afterEach(async () => {
  await redis.quit()
  await lake.close()
  folder.remove()
})

async function ask(method: string, path: string, body?: unknown): Promise<[status: number, body: TierStatus]> {
  const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) }
  const response = await app.request(`/databases${path}`, init)
  return [response.status, (await response.json()) as TierStatus]
}

const rowsOf = async (sql: string, more: object = {}) => {
  const headers = { 'Content-Type': 'application/json' }
  const response = await app.request('/sql', { method: 'POST', headers, body: JSON.stringify({ sql, ...more }) })
  return (await response.json()) as { rows: unknown[][]; stats: { files: number; hotRows: number } }
}

describe('/databases/:name/tier', () => {
  it('sets, shows and ends policies', async () => {
    expect(await ask('GET', '/default/tier')).toMatchObject([200, { state: 'running', policies: {}, tables: [] }])
    const policy = { hotFor: '7d', maxHotRows: 5, maxHotBytes: '1mb', flushEvery: '1m', flushBytes: '64kb' }
    const [status, body] = await ask('PUT', '/default/tier/keys', { ...policy, changes: false })
    expect([status, body.policies]).toEqual([200, { keys: { ...policy, changes: false } }])
    expect(body.tables.map(({ table }) => table)).toContain('keys')
    expect(await ask('GET', '/default/tier/keys')).toEqual([200, { ...policy, changes: false }])
    expect(await ask('DELETE', '/default/tier/keys')).toMatchObject([200, { policies: {} }])
    expect(await ask('GET', '/default/tier/keys')).toMatchObject([404, { error: { code: 'not_found' } }])
  })

  it('flushes when it is told to, and SQL sees hot and cold as one', async () => {
    await ask('PUT', '/default/tier/keys', {})
    const [status, { tables }] = await ask('POST', '/default/tier/flush', {})
    expect(status).toBe(200)
    expect(tables.find(({ table }) => table === 'keys')).toMatchObject({ rows: 2, dataFiles: 1, deleteFiles: 0 })
    await redis.set('a', '3')
    await redis.del('b')
    await redis.set('c', '4')
    const { rows, stats } = await rowsOf('select key, value from keys order by key')
    expect(rows).toEqual([
      ['a', '3'],
      ['c', '4'],
    ])
    expect(stats).toMatchObject({ files: 1 })
  })

  it('reads the past', async () => {
    await ask('PUT', '/default/tier/keys', {})
    const [, { tables }] = await ask('POST', '/default/tier/flush')
    const snapshotId = tables.find(({ table }) => table === 'keys')?.snapshotId
    await redis.set('c', '4')
    const asOf = { snapshotId }
    expect((await rowsOf('select count(*) from keys', { asOf })).rows).toEqual([[2]])
    expect((await rowsOf('select count(*) from keys')).rows).toEqual([[3]])
  })

  it('pauses and resumes', async () => {
    await ask('PUT', '/default/tier/keys', {})
    expect(await ask('POST', '/default/tier/pause')).toMatchObject([200, { state: 'paused' }])
    expect(await ask('POST', '/default/tier/resume', {})).toMatchObject([200, { state: 'running' }])
  })

  it('compacts, cleans and writes anew', async () => {
    await ask('PUT', '/default/tier/keys', {})
    for (const key of ['r', 's', 't', 'x', 'y', 'z']) {
      await redis.set(key, '1')
      await ask('POST', '/default/tier/flush')
    }
    const files = (body: TierStatus) => body.tables.find(({ table }) => table === 'keys')?.dataFiles
    expect(files((await ask('GET', '/default/tier'))[1])).toBe(6)
    const [status, compacted] = await ask('POST', '/default/tier/compact', { table: 'keys' })
    expect([status, files(compacted)]).toEqual([200, 1])
    expect((await ask('POST', '/default/tier/maintain', { table: 'keys' }))[0]).toBe(200)
    const [anew, { tables }] = await ask('POST', '/default/tier/backfill', { collection: 'keys' })
    expect([anew, tables.find(({ table }) => table === 'keys')?.rows]).toEqual([200, 8])
    expect((await rowsOf('select count(*) from keys')).rows).toEqual([[8]])
  })

  it.each([
    ['GET', '/none/tier', undefined, 404, /no database none/],
    ['PUT', '/none/tier/keys', {}, 404, /no database none/],
    ['PUT', '/default/tier/nothing', {}, 404, /no collection nothing/],
    ['PUT', '/default/tier/keys', { hotFor: 7 }, 400, /^body: hotFor: /],
    ['PUT', '/default/tier/keys', { hotFor: 'a week' }, 400, /hotFor "a week" is no duration/],
    ['PUT', '/default/tier/keys', { hot: '7d' }, 400, /^body: Unrecognized key: "hot"$/],
    ['PUT', '/default/tier/keys', { cold: { after: '1d', store: 'attic' } }, 400, /attic/],
    ['DELETE', '/default/tier/keys', undefined, 404, /no policy/],
    ['POST', '/default/tier/backfill', {}, 400, /^body: collection: /],
    ['POST', '/default/tier/compact', { table: 'keys', now: true }, 400, /^body: Unrecognized key: "now"$/],
    ['POST', '/default/tier/pause', { for: 'ever' }, 400, /^body: Unrecognized key/],
  ])('%s %s with %j is refused', async (method, path, body, status, message) => {
    const [answered, said] = await ask(method, path, body)
    expect([answered, said]).toEqual([
      status,
      { error: expect.objectContaining({ message: expect.stringMatching(message) }) },
    ])
    // Nothing of it makes a database.
    expect((await app.request('/databases/none')).status).toBe(404)
  })

  it('refuses other methods', async () => {
    const response = await app.request('/databases/default/tier/flush', { method: 'PATCH' })
    expect([response.status, response.headers.get('Allow')]).toEqual([405, expect.stringContaining('POST')])
  })
})

describe('the lake of an app', () => {
  it('is served as an Iceberg catalog', async () => {
    await ask('PUT', '/default/tier/keys', {})
    await ask('POST', '/default/tier/flush')
    const response = await app.request('/iceberg/v1/namespaces/default/tables/keys')
    const { metadata } = (await response.json()) as { metadata: { location: string } }
    expect(metadata.location).toBe(`file://${folder.path}/lake/default@/keys`)
  })

  it.each([
    ['POST', '/databases/default/tier/pause'],
    ['PUT', '/databases/other'],
    ['POST', '/sql'],
  ])('takes no %s %s from a page of another origin', async (method, path) => {
    const headers = { Origin: 'https://evil.example', Host: '127.0.0.1' }
    const response = await app.request(path, { method, headers, body: '{}' })
    expect([response.status, await response.json()]).toMatchObject([403, { error: { code: 'forbidden' } }])
    const own = await app.request(path, { method, headers: { ...headers, Origin: 'http://127.0.0.1' }, body: '{}' })
    expect(own.status).not.toBe(403)
  })

  it('is read by pages of other origins as before: a browser keeps the answer from them', async () => {
    expect((await app.request('/databases', { headers: { Origin: 'https://evil.example' } })).status).toBe(200)
  })
})
