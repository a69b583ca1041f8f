import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { SQL_QUERIES_MAX } from '@dotdo/core/limits'
import { createAdaptorServer } from '@hono/node-server'
import { tableFromIPC } from 'apache-arrow'
import { Hono } from 'hono'
import { beforeEach, describe, expect, it } from 'vitest'
import { answerError } from './errors.ts'
import { type SqlOutcome, type SqlParts, sqlRoutes } from './sql.ts'
import type { Rows } from './sql-formats.ts'
import { type PlainEngine, plainEngine } from './sql-testing.ts'

const column = (name: string, type: string) => ({ name, type })
const two = [
  [1, 'one, "quoted"', null],
  [2, '', new Uint8Array([1, 255])],
] as Rows
const columns = [column('id', 'int'), column('name', 'string'), column('name', 'binary')]

let engine: PlainEngine
let outcomes: SqlOutcome[]
let bugs: unknown[]
/** Let the batches after the first of `slow` come, one a call. */
let letOne: () => void
let closedByConsumer: boolean

beforeEach(() => {
  outcomes = []
  bugs = []
  closedByConsumer = false
  const waiting: (() => void)[] = []
  let permits = 0
  letOne = () => {
    const next = waiting.shift()
    if (next === undefined) permits++
    else next()
  }
  const turn = async () => {
    if (permits > 0) permits--
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }
  async function* slow(): AsyncGenerator<Rows> {
    try {
      for (let n = 0; n < 1_000; n++) {
        if (n > 0) await turn()
        yield [[n]]
      }
    } finally {
      closedByConsumer = true
    }
  }
  function* endless(): Generator<Rows> {
    for (let n = 0; ; n++) yield Array.from({ length: 1_000 }, (_, index) => [n * 1_000 + index])
  }
  function* failing(code: 'limit' | 'internal', after: number): Generator<Rows> {
    for (let n = 0; n < after; n++) yield [[n]]
    throw new Failure(code, 'it broke at /secret')
  }
  const number = [column('n', 'int')]
  engine = plainEngine({
    two: { columns, batches: () => [two.slice(0, 1), [], two.slice(1)] },
    empty: { columns, batches: () => [] },
    slow: { columns: number, batches: slow },
    endless: { columns: number, batches: endless },
    early: { columns: number, batches: () => failing('limit', 0) },
    late: { columns: number, batches: () => failing('limit', 1) },
    bug: { columns: number, batches: () => failing('internal', 1) },
  })
})

function appOf(parts: Partial<SqlParts> = {}): Hono {
  const app = new Hono()
  const onBug = (error: unknown) => void bugs.push(error)
  app.route('/sql', sqlRoutes({ sql: engine, onSql: (outcome) => void outcomes.push(outcome), onBug, ...parts }))
  app.onError((error, context) => answerError(context, error, onBug))
  return app
}

const ask = (body: unknown, Accept = '*/*', parts: Partial<SqlParts> = {}) =>
  appOf(parts).request('/sql', {
    method: 'POST',
    headers: { Accept, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
const select = (table: string, accept?: string) => ask({ sql: `select * from ${table}` }, accept)

const stats = {
  elapsedMs: 2,
  rows: 2,
  hotRows: 2,
  files: 0,
  filesPruned: 0,
  bytesRead: 0,
  bytesCached: 0,
  bytesPruned: 0,
  shards: 1,
}
const rows = [
  [1, 'one, "quoted"', null],
  [2, '', 'Af8='],
]
const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

describe('POST /sql', () => {
  it.each(['*/*', '', 'application/json', 'text/html, application/*;q=0.5'])('answers %j with JSON', async (accept) => {
    const response = await select('two', accept)
    expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'application/json'])
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await response.json()).toEqual({ columns, rows, stats })
    expect(engine.open).toBe(0)
    expect(outcomes).toEqual([{ stats }])
  })

  it('answers with an object a line', async () => {
    const response = await select('two', 'application/x-ndjson')
    expect(response.headers.get('Content-Type')).toBe('application/x-ndjson')
    expect(lines(await response.text())).toEqual([
      { id: 1, name: 'one, "quoted"', name_2: null },
      { id: 2, name: '', name_2: 'Af8=' },
      { $stats: stats },
    ])
  })

  it('answers with an array a line', async () => {
    const response = await select('two', 'application/vnd.dotdo.rows+ndjson')
    expect(lines(await response.text())).toEqual([{ columns }, ...rows, { stats }])
  })

  it('answers with CSV', async () => {
    const response = await select('two', 'text/csv')
    expect(response.headers.get('Content-Type')).toBe('text/csv; charset=utf-8; header=present')
    expect(await response.text()).toBe('id,name,name\r\n1,"one, ""quoted""",\r\n2,"",Af8=\r\n')
  })

  it('answers with an Arrow stream', async () => {
    const response = await select('two', 'application/vnd.apache.arrow.stream')
    expect(response.headers.get('Content-Type')).toBe('application/vnd.apache.arrow.stream')
    const table = tableFromIPC(await response.arrayBuffer())
    expect(table.schema.fields.map(String)).toEqual(['id: Int32', 'name: Utf8', 'name_2: Binary'])
    expect([...table].map((row) => [...row].map(([, value]) => value))).toEqual(two)
  })

  it.each([
    ['application/json', `{"columns":${JSON.stringify(columns)},"rows":[],"stats":`],
    ['text/csv', 'id,name,name\r\n'],
    ['application/x-ndjson', '{"$stats":'],
  ])('writes nothing as %s', async (accept, start) => {
    expect(await (await select('empty', accept)).text()).toMatch(new RegExp(`^${start.replace(/[{}[\]$]/g, '\\$&')}`))
  })

  it('answers nothing as an Arrow stream with the columns', async () => {
    const table = tableFromIPC(await (await select('empty', 'application/vnd.apache.arrow.stream')).arrayBuffer())
    expect([table.numRows, table.numCols]).toEqual([0, 3])
  })

  it('refuses formats that it has not', async () => {
    const response = await select('two', 'image/png')
    expect(response.status).toBe(406)
    expect(await response.json()).toMatchObject({
      error: { code: 'invalid', message: expect.stringContaining('application/vnd.apache.arrow.stream') },
    })
  })
})

describe('the request', () => {
  it.each([
    [{}, { database: 'default', explain: false }],
    [{ database: 'shop' }, { database: 'shop' }],
    [{ explain: true }, { explain: true }],
    [{ params: [1, 'a', null, true] }, { params: [1, 'a', null, true] }],
    [{ asOf: '2026-11-21' }, { asOf: { timestampMs: Date.UTC(2026, 10, 21) } }],
    [{ asOf: '2026-11-21 10:00' }, { asOf: { timestampMs: Date.UTC(2026, 10, 21, 10) } }],
    [{ asOf: '2026-11-21T10:00:00+01:00' }, { asOf: { timestampMs: Date.UTC(2026, 10, 21, 9) } }],
    [{ asOf: { timestamp: 5 } }, { asOf: { timestampMs: 5 } }],
    [{ asOf: '17' }, { asOf: { snapshotId: 17 } }],
    [{ asOf: { snapshotId: '9007199254740993' } }, { asOf: { snapshotId: 9007199254740993n } }],
    [{ asOf: 'nightly' }, { asOf: { ref: 'nightly' } }],
    [{ asOf: { ref: '2026-11-21' } }, { asOf: { ref: '2026-11-21' } }],
  ])('%j is passed on', async (more, expected) => {
    await ask({ sql: 'select * from two', ...more })
    expect(engine.asked).toMatchObject([{ text: 'select * from two', ...expected }])
  })

  it.each(['text/plain', 'application/sql; charset=utf-8'])('may be the SQL alone, as %s', async (type) => {
    const query = 'database=shop&asOf=nightly&explain=true'
    const init = { method: 'POST', headers: { 'Content-Type': type }, body: 'select * from two' }
    expect((await appOf().request(`/sql?${query}`, init)).status).toBe(200)
    expect(engine.asked).toMatchObject([
      { text: 'select * from two', database: 'shop', asOf: { ref: 'nightly' }, explain: true },
    ])
  })

  it.each([
    [{}, /^body: sql: /],
    [{ sql: '' }, /^body: sql: /],
    [{ sql: 'x', limit: 1 }, /^body: Unrecognized key: "limit"$/],
    [{ sql: 'x', params: [{}] }, /^body: params\.0: /],
    [{ sql: 'x', params: [2 ** 60] }, /^params: 1152921504606847000 is past 2\^53/],
    [{ sql: 'x', asOf: '2026-13-01' }, /^2026-13-01 is no time/],
    [{ sql: 'x', asOf: {} }, /^body: asOf: /],
  ])('%j is refused', async (body, message) => {
    const response = await ask(body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'invalid', message: expect.stringMatching(message) } })
    expect(engine.asked).toEqual([])
  })

  it.each([
    ['application/json', '{', '', /^the body is not JSON/],
    ['application/json', '{"sql":"x"}', '?database=a', /^query: database belongs into the JSON body$/],
    ['text/plain', '', '', /^body: /],
    ['text/plain', 'x', '?explain=1', /^query: explain: /],
    ['text/xml', 'x', '', /^the body is text\/xml/],
  ])('as %s, %s%s is refused', async (type, body, query, message) => {
    const response = await appOf().request(`/sql${query}`, { method: 'POST', headers: { 'Content-Type': type }, body })
    expect(await response.json()).toMatchObject({ error: { code: 'invalid', message: expect.stringMatching(message) } })
  })

  it('is at most as large as it may be', async () => {
    expect((await ask({ sql: 'x'.repeat(1024 * 1024) })).status).toBe(413)
  })
})

describe('failures', () => {
  it.each([
    ['selct', 400, { code: 'invalid', message: 'want select * from a table', detail: { line: 1, column: 1 } }],
    ['select * from none', 404, { code: 'not_found', message: 'no table none' }],
    ['select * from early', 413, { code: 'limit', message: 'it broke at /secret' }],
  ])('%s is answered %i', async (sql, status, error) => {
    const response = await ask({ sql }, 'text/csv')
    expect([response.status, await response.json()]).toEqual([status, { error }])
    expect([engine.open, outcomes.length, outcomes[0]?.failure?.code]).toEqual([0, 1, error.code])
  })

  const limit = { code: 'limit', message: 'it broke at /secret' }
  it.each([
    ['application/json', { columns: [column('n', 'int')], rows: [[0]], error: limit }],
    ['application/x-ndjson', [{ n: 0 }, { $error: limit }]],
    ['application/vnd.dotdo.rows+ndjson', [{ columns: [column('n', 'int')] }, [0], { error: limit }]],
  ])('that come late are told in %s', async (accept, expected) => {
    const response = await select('late', accept)
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(Array.isArray(expected) ? lines(text) : JSON.parse(text)).toEqual(expected)
  })

  it.each(['text/csv', 'application/vnd.apache.arrow.stream'])('that come late break %s off', async (accept) => {
    await expect((await select('late', accept)).text()).rejects.toThrow('it broke')
    expect(engine.open).toBe(0)
  })

  it('that are bugs are logged, not told', async () => {
    const text = await (await select('bug')).text()
    expect(text).not.toContain('secret')
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'internal' } })
    expect(bugs).toHaveLength(1)
  })
})

describe('the pace', () => {
  it('is the client’s: nothing is read that it does not take', async () => {
    const response = await select('endless', 'text/csv')
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    await reader.read()
    expect(engine.taken).toBeLessThanOrEqual(2)
    expect(engine.open).toBe(1)
    await reader.cancel()
    expect(engine.open).toBe(0)
    expect(outcomes).toEqual([{}])
  })

  it('ends when the client leaves, even before it reads', async () => {
    const response = await select('slow')
    await response.body?.cancel()
    expect(engine.open).toBe(0)
  })

  it('ends when a client over TCP hangs up', async () => {
    const server = createAdaptorServer({ fetch: appOf().fetch, overrideGlobalObjects: false }) as Server
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const body = '{"sql":"select * from slow"}'
    socket.write(
      [
        'POST /sql HTTP/1.1',
        'Host: a',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        '',
        body,
      ].join('\r\n'),
    )
    await once(socket, 'data')
    letOne()
    socket.destroy()
    await expect.poll(() => engine.open).toBe(0)
    letOne()
    await expect.poll(() => closedByConsumer).toBe(true)
    server.close()
  })

  it('ends when the server stops, and says so', async () => {
    const stop = new StopSwitch()
    const response = await ask({ sql: 'select * from slow' }, 'application/x-ndjson', { stop })
    stop.abort()
    letOne()
    expect(lines(await response.text())).toEqual([
      { n: 0 },
      { $error: { code: 'unavailable', message: 'the server is stopping' } },
    ])
    expect((await ask({ sql: 'select * from slow' }, '*/*', { stop })).status).toBe(503)
  })

  it('has room for so many queries', async () => {
    const app = appOf()
    const init = () => ({ method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: 'select * from slow' })
    const open = await Promise.all(Array.from({ length: SQL_QUERIES_MAX }, () => app.request('/sql', init())))
    const refused = await app.request('/sql', init())
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, '1'])
    await open[0]?.body?.cancel()
    const next = await app.request('/sql', init())
    expect(next.status).toBe(200)
    for (const response of [...open.slice(1), next]) await response.body?.cancel()
    expect(engine.open).toBe(0)
  })
})

describe('GET /sql/tables', () => {
  it('lists tables with their columns', async () => {
    const response = await appOf().request('/sql/tables?database=default')
    const { tables } = (await response.json()) as { tables: unknown[] }
    expect(tables[0]).toEqual({ database: 'default', table: 'two', columns, hot: true, cold: false })
  })

  it('refuses what it does not know', async () => {
    expect((await appOf().request('/sql/tables?database=none')).status).toBe(404)
    expect((await appOf().request('/sql/tables?schema=a')).status).toBe(400)
  })
})
