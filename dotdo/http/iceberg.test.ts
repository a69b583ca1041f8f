import { Failure } from '@dotdo/core/errors'
import { memoryObjects } from '@dotdo/core/tiering'
import { type Catalog, fileCatalog, LakeFiles, makeSchema, parseJson, restCatalog } from '@dotdo/core/tiering/iceberg'
import { Hono } from 'hono'
import { beforeEach, describe, expect, it } from 'vitest'
import { catalogCases } from '../../core/tiering/iceberg/catalog.conformance.ts'
import { testClock } from '../../core/tiering/iceberg/testing.ts'
import { listenHttp } from '../serve/http.ts'
import { type IcebergParts, icebergRoutes } from './iceberg.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ts', type: 'timestamp' },
])
let clock: ReturnType<typeof testClock>
let catalog: Catalog
let bugs: unknown[]

beforeEach(() => {
  clock = testClock()
  const files = new LakeFiles({ store: memoryObjects(clock), root: 'file:///lake', chance: clock })
  catalog = fileCatalog({ files, clock })
  bugs = []
})

function appOf(parts: Partial<IcebergParts> = {}): Hono {
  return new Hono().route('/iceberg', icebergRoutes({ catalog, onBug: (bug) => void bugs.push(bug), ...parts }))
}

const clientOf = (app: Hono) =>
  restCatalog({
    uri: 'http://lake.test/iceberg',
    fetch: async (url, init) => app.request(url, init as RequestInit),
    // Nothing here takes long: timeouts never come.
    clock: { ...clock, after: () => () => undefined },
  })

async function call(app: Hono, path: string, init?: RequestInit): Promise<[number, unknown]> {
  const response = await app.request(`/iceberg/v1${path}`, init)
  const text = await response.text()
  return [response.status, text === '' ? undefined : parseJson(text)]
}
const post = (body: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(body) })
const errorOf = (type: string, code: number) => ({ error: { message: expect.any(String), type, code } })

describe('our client at our endpoint', () => {
  it.each(catalogCases.map((one) => [one.name, one] as const))('%s', async (_, { run }) => {
    const app = appOf()
    await run({ catalog: clientOf(app), other: clientOf(app), nowMs: () => clock.nowMs() }, expect)
    expect(bugs).toEqual([])
  })
})

describe('the endpoint', () => {
  const table = { namespace: ['db'], name: 't' }
  beforeEach(async () => {
    await catalog.createNamespace(['db'])
    await catalog.createTable(table, { schema })
  })

  it('says what it can do, and what clients must follow', async () => {
    const [status, body] = await call(appOf({ overrides: { 's3.endpoint': 'http://s3' } }), '/config?warehouse=any')
    expect(status).toBe(200)
    expect(body).toMatchObject({ defaults: {}, overrides: { 's3.endpoint': 'http://s3' } })
    const { endpoints } = body as { endpoints: string[] }
    expect(endpoints).toContain('POST /v1/{prefix}/transactions/commit')
    expect(endpoints.every((one) => /^(GET|HEAD|POST|DELETE) \/v1\/\{prefix\}\//.test(one))).toBe(true)
  })

  it('gives each table its configuration', async () => {
    const tableConfig: IcebergParts['tableConfig'] = ({ name }, metadata) => ({ name, at: metadata.location })
    const [, body] = await call(appOf({ tableConfig }), '/namespaces/db/tables/t')
    expect(body).toMatchObject({ config: { name: 't', at: 'file:///lake/db@/t' } })
    expect((await call(appOf(), '/namespaces/db/tables/t'))[1]).toMatchObject({ config: {} })
  })

  it('answers 304 to whoever has the state, by table and by form', async () => {
    const app = appOf()
    const path = '/iceberg/v1/namespaces/db/tables/t'
    const first = await app.request(path)
    const etag = first.headers.get('ETag') as string
    const headers = { 'If-None-Match': etag }
    expect((await app.request(path, { headers })).status).toBe(304)
    expect((await app.request(`${path}?snapshots=refs`, { headers })).status).toBe(200)
    const update = { action: 'set-properties', updates: { a: '1' } } as const
    const committed = await app.request(path, post({ requirements: [], updates: [update] }))
    expect(committed.headers.get('ETag')).not.toBe(etag)
    expect((await app.request(path, { headers })).status).toBe(200)
    // Another table of the name has files of the same names.
    await catalog.dropTable(table)
    await catalog.createTable(table, { schema })
    expect((await app.request(path, { headers })).status).toBe(200)
  })

  it('leaves out snapshots that nothing is at when only refs are asked for', async () => {
    let { metadata } = await catalog.loadTable(table)
    for (const id of [1, 2]) {
      const snapshot = {
        'snapshot-id': id,
        'sequence-number': id,
        'timestamp-ms': clock.nowMs(),
        'manifest-list': `file:///lake/${id}`,
        summary: { operation: 'append' as const },
      }
      const ref = { 'ref-name': 'main', type: 'branch', 'snapshot-id': id } as const
      const updates = [
        { action: 'add-snapshot', snapshot },
        { action: 'set-snapshot-ref', ...ref },
      ] as const
      metadata = (await catalog.commitTable(table, { requirements: [], updates })).metadata
    }
    const idsOf = async (query: string) => {
      const [, body] = await call(appOf(), `/namespaces/db/tables/t${query}`)
      const { snapshots } = (body as { metadata: typeof metadata }).metadata
      return snapshots.map((one) => one['snapshot-id'])
    }
    expect(await idsOf('?snapshots=refs')).toEqual([2])
    expect(await idsOf('?snapshots=all')).toEqual([1, 2])
    expect(await idsOf('')).toEqual([1, 2])
  })

  it.each([
    ['/namespaces/db', 204],
    ['/namespaces/no', 404],
    ['/namespaces/db/tables/t', 204],
    ['/namespaces/db/tables/no', 404],
  ])('HEAD %s is %i', async (path, status) => {
    const response = await appOf().request(`/iceberg/v1${path}`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([status, ''])
  })

  it('lists by pages when asked to, and all at once when not', async () => {
    const app = appOf()
    for (const name of ['a', 'c', 'b/ü']) await catalog.createTable({ namespace: ['db'], name }, { schema })
    const seen: string[][] = []
    let token = ''
    for (;;) {
      const query = `?pageSize=3&pageToken=${encodeURIComponent(token)}`
      const [, body] = await call(app, `/namespaces/db/tables${query}`)
      const page = body as { identifiers: { name: string }[]; 'next-page-token': string | null }
      seen.push(page.identifiers.map(({ name }) => name))
      if (page['next-page-token'] === null) break
      token = page['next-page-token']
    }
    expect(seen).toEqual([['a', 'b/ü', 'c'], ['t']])
    const [, all] = await call(app, '/namespaces/db/tables')
    expect(all).toMatchObject({ identifiers: { length: 4 }, 'next-page-token': null })
    for (const name of ['n1', 'n2']) await catalog.createNamespace([name])
    const [, first] = await call(app, '/namespaces?pageSize=2')
    expect(first).toMatchObject({ namespaces: [['db'], ['n1']] })
    expect(await call(app, '/namespaces?pageSize=0')).toEqual([400, errorOf('BadRequestException', 400)])
    expect(await call(app, '/namespaces?pageToken=x')).toEqual([400, errorOf('BadRequestException', 400)])
  })

  it('gives columns and partition fields ids of its own, as Spark and PyIceberg expect', async () => {
    const body = {
      name: 'spark',
      schema: {
        type: 'struct',
        'schema-id': 0,
        'identifier-field-ids': [0],
        fields: [
          { id: 0, name: 'id', required: true, type: 'long' },
          { id: 1, name: 'tags', required: false, type: listOf(3) },
          { id: 2, name: 'ts', required: false, type: 'timestamp' },
        ],
      },
      'partition-spec': { 'spec-id': 5, fields: [{ 'source-id': 2, name: 'ts_day', transform: 'day' }] },
      'write-order': { 'order-id': 1, fields: [{ 'source-id': 0, transform: 'identity', ...ascending }] },
      properties: { owner: 'me', 'format-version': '2' },
    }
    const [status, made] = await call(appOf(), '/namespaces/db/tables', post(body))
    expect(status).toBe(200)
    const { metadata } = made as { metadata: Record<string, unknown> }
    expect(metadata).toMatchObject({
      'format-version': 2,
      'last-column-id': 4,
      schemas: [{ 'identifier-field-ids': [1], fields: [{ id: 1 }, { id: 2, type: listOf(4) }, { id: 3 }] }],
      'partition-specs': [{ 'spec-id': 0, fields: [{ 'source-id': 3, 'field-id': 1000 }] }],
      'default-sort-order-id': 1,
      properties: { owner: 'me' },
    })
    const wrong = {
      ...body,
      name: 'w',
      'partition-spec': { fields: [{ 'source-id': 9, name: 'x', transform: 'day' }] },
    }
    expect(await call(appOf(), '/namespaces/db/tables', post(wrong))).toMatchObject([400, {}])
    const newer = { ...body, name: 'v9', properties: { 'format-version': '9' } }
    const unsupported = errorOf('UnsupportedOperationException', 406)
    expect(await call(appOf(), '/namespaces/db/tables', post(newer))).toEqual([406, unsupported])
  })

  it('takes reports of metrics, and checks them', async () => {
    const path = '/namespaces/db/tables/t/metrics'
    const report = { 'report-type': 'scan-report', 'table-name': 't', 'snapshot-id': 1, filter: true, metrics: {} }
    expect(await call(appOf(), path, post(report))).toEqual([204, undefined])
    expect(await call(appOf(), path, post({}))).toMatchObject([400, {}])
  })

  it('purges only when asked to', async () => {
    const app = appOf()
    const purges: unknown[] = []
    const dropTable: Catalog['dropTable'] = async (_, options) => void purges.push(options?.purge)
    const watched = appOf({ catalog: Object.assign(Object.create(catalog), { dropTable }) as Catalog })
    for (const query of ['', '?purgeRequested=false', '?purgeRequested=true']) {
      await call(watched, `/namespaces/db/tables/t${query}`, { method: 'DELETE' })
    }
    expect(purges).toEqual([false, false, true])
    expect(await call(app, '/namespaces/db/tables/t', { method: 'DELETE' })).toEqual([204, undefined])
    expect((await call(app, '/namespaces/db/tables/t'))[0]).toBe(404)
  })

  it('refuses a property that is removed and set, and tells what it did with the others', async () => {
    const app = appOf()
    const path = '/namespaces/db/properties'
    await catalog.updateNamespace(['db'], { set: { old: '1' } })
    const both = await call(app, path, post({ updates: { a: '1' }, removals: ['a'] }))
    expect(both).toEqual([422, errorOf('UnprocessableEntityException', 422)])
    const told = { updated: ['a'], removed: ['old'], missing: ['none'] }
    expect(await call(app, path, post({ updates: { a: '1' }, removals: ['old', 'none'] }))).toEqual([200, told])
  })

  const wrongUuid = { requirements: [{ type: 'assert-table-uuid', uuid: 'x' }], updates: [] }
  it.each<[string, string, RequestInit | undefined, string, number]>([
    ['no namespace', '/namespaces/no', undefined, 'NoSuchNamespaceException', 404],
    ['tables of no namespace', '/namespaces/no/tables', undefined, 'NoSuchNamespaceException', 404],
    ['no table', '/namespaces/db/tables/no', undefined, 'NoSuchTableException', 404],
    ['a namespace twice', '/namespaces', post({ namespace: ['db'] }), 'AlreadyExistsException', 409],
    ['a table twice', '/namespaces/db/tables', post({ name: 't', schema }), 'AlreadyExistsException', 409],
    ['a namespace in use', '/namespaces/db', { method: 'DELETE' }, 'NamespaceNotEmptyException', 409],
    ['a requirement', '/namespaces/db/tables/t', post(wrongUuid), 'CommitFailedException', 409],
    ['a body that is none', '/namespaces', { method: 'POST', body: '{' }, 'BadRequestException', 400],
    ['a field that is wrong', '/namespaces', post({ namespace: 'db' }), 'BadRequestException', 400],
    ['half a separator', '/namespaces/a%1F', undefined, 'BadRequestException', 400],
    [
      'an update nobody knows',
      '/namespaces/db/tables/t',
      post({ requirements: [], updates: [{ action: 'make-coffee' }] }),
      'BadRequestException',
      400,
    ],
    [
      'an update that is not whole',
      '/namespaces/db/tables/t',
      post({ requirements: [], updates: [{ action: 'add-schema' }] }),
      'BadRequestException',
      400,
    ],
    [
      'another table than the path names',
      '/namespaces/db/tables/t',
      post({ identifier: { namespace: ['db'], name: 'u' }, updates: [] }),
      'BadRequestException',
      400,
    ],
    [
      'another name',
      '/tables/rename',
      post({ source: table, destination: { namespace: ['db'], name: 'u' } }),
      'UnsupportedOperationException',
      406,
    ],
    [
      'a table from elsewhere',
      '/namespaces/db/register',
      post({ name: 'r', 'metadata-location': 's3://x/v1.metadata.json' }),
      'UnsupportedOperationException',
      406,
    ],
    ['views', '/namespaces/db/views', undefined, 'UnsupportedOperationException', 406],
  ])('tells %s by the protocol', async (_, path, init, type, code) => {
    expect(await call(appOf(), path, init)).toEqual([code, errorOf(type, code)])
    expect(bugs).toEqual([])
  })

  it.each<[unknown, string, number, number]>([
    [new Failure('unavailable', 'm', { outcome: 'none' }), 'ServiceUnavailableException', 503, 0],
    [new Failure('unavailable', 'm', { outcome: 'unknown' }), 'CommitStateUnknownException', 500, 0],
    [new Failure('unavailable', 'm'), 'CommitStateUnknownException', 500, 0],
    [new Failure('storage', 'm'), 'CommitStateUnknownException', 500, 0],
    [new TypeError('secret'), 'CommitStateUnknownException', 500, 1],
  ])('tells a commit that ended with %s whether it may have been done', async (error, type, code, count) => {
    const failing = Object.assign(Object.create(catalog), { commitTable: () => Promise.reject(error) }) as Catalog
    const answer = await call(appOf({ catalog: failing }), '/namespaces/db/tables/t', post({ updates: [] }))
    expect(answer).toEqual([code, errorOf(type, code)])
    expect(JSON.stringify(answer)).not.toContain('secret')
    expect(bugs.length).toBe(count)
  })

  it('refuses a body past the limit, in one piece and in chunks', async () => {
    const body = 'x'.repeat(16 * 1024 * 1024 + 1)
    const init = { method: 'POST', body, headers: { 'Content-Length': `${body.length}` } }
    expect(await call(appOf(), '/namespaces', init)).toEqual([413, errorOf('BadRequestException', 413)])
    let sent = 0
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      sent += 1024 * 1024
      controller.enqueue(new Uint8Array(1024 * 1024))
    }
    const chunked = { method: 'POST', body: new ReadableStream({ pull }), duplex: 'half' } as RequestInit
    expect(await call(appOf(), '/namespaces', chunked)).toEqual([413, errorOf('BadRequestException', 413)])
    expect(sent).toBeLessThan(20 * 1024 * 1024)
  })

  it('takes a body in chunks over a socket', async () => {
    const listener = await listenHttp(appOf(), { host: '127.0.0.1', port: 0 })
    const body = new Blob([JSON.stringify({ namespace: ['chunked'] })]).stream()
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit
    const response = await fetch(`http://127.0.0.1:${listener.port}/iceberg/v1/namespaces`, init)
    expect([response.status, await response.json()]).toEqual([200, { namespace: ['chunked'], properties: {} }])
    expect(bugs).toEqual([])
    listener.abort()
    await listener.close()
  })
})

const ascending = { direction: 'asc', 'null-order': 'nulls-first' }
const listOf = (id: number) => ({ type: 'list', 'element-id': id, element: 'string', 'element-required': false })
