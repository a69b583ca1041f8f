/** R2 SQL's client against a server that answers as the API does. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { R2_SQL_REPLY_BYTES_MAX } from '../../limits.ts'
import type { SqlRequest } from '../../tiering/sql/port.ts'
import { nodeClock } from '../node/clock.ts'
import { r2Sql } from './sql-engine-r2.ts'

interface Asked {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly body: unknown
}

const asked: Asked[] = []
let answer: { status: number; body: string; headers?: Record<string, string> } | 'nothing'
let endpoint = ''

const text = async (request: IncomingMessage) => {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}

const server = createServer(async (request, response) => {
  const { method, url, headers } = request
  asked.push({ method, url, authorization: headers.authorization, body: JSON.parse(await text(request)) })
  if (answer === 'nothing') return
  response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.body)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  asked.length = 0
})

const open = () => r2Sql({ accountId: 'abc123', bucket: 'my-lake', token: 'secret', clock: nodeClock, fetch, endpoint })

async function ask(request: Partial<SqlRequest> = {}) {
  const result = await open().query({ text: 'select 1', database: 'shop', ...request })
  const rows: unknown[] = []
  for await (const batch of result.batches) rows.push(...batch)
  await result.close()
  return { rows, columns: result.columns, stats: result.stats() }
}

const ok = (result: unknown) => ({
  status: 200,
  body: JSON.stringify({ success: true, errors: [], messages: [], result }),
})
const column = (name: string, type: string) => ({ name, descriptor: { type: { name: type }, nullable: true } })

describe('R2 SQL', () => {
  it('is asked as its documentation says, and answers with rows', async () => {
    answer = ok({
      request_id: 'r',
      schema: [column('id', 'int64'), column('name', 'string'), column('at', 'timestamp')],
      rows: [
        { id: 1, name: 'a', at: '2026-01-01T00:00:00Z' },
        { name: 'b', id: 2 },
      ],
      metrics: { r2_requests_count: 3, files_scanned: 2, bytes_scanned: 1234 },
    })
    const { rows, columns, stats } = await ask({ text: 'select * from shop.orders' })
    expect(asked).toEqual([
      {
        method: 'POST',
        url: '/api/v1/accounts/abc123/r2-sql/query/my-lake',
        authorization: 'Bearer secret',
        body: { query: 'select * from shop.orders' },
      },
    ])
    expect(columns).toEqual([
      { name: 'id', type: 'long' },
      { name: 'name', type: 'string' },
      { name: 'at', type: 'string' },
    ])
    expect(rows).toEqual([
      [1, 'a', '2026-01-01T00:00:00Z'],
      [2, 'b', null],
    ])
    expect(stats).toMatchObject({ rows: 2, files: 2, bytesRead: 1234, shards: 0 })
  })

  it('keeps integers past 2^53 exact', async () => {
    answer = {
      status: 200,
      body: '{"success":true,"result":{"schema":[{"name":"n"}],"rows":[{"n":9007199254740993}]}}',
    }
    expect((await ask()).rows).toEqual([[9007199254740993n]])
  })

  it('explains', async () => {
    answer = ok({ schema: [], rows: [] })
    await ask({ explain: true })
    expect(asked[0]?.body).toEqual({ query: 'explain select 1' })
  })

  it.each([
    [200, 'invalid'],
    [400, 'invalid'],
    [401, 'unauthenticated'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [429, 'unavailable'],
    [500, 'unavailable'],
  ])('answers %i with %s', async (status, code) => {
    const body = JSON.stringify({ success: false, errors: [{ code: 40003, message: 'not so' }] })
    answer = { status, body, ...(status === 429 && { headers: { 'retry-after': '7' } }) }
    const failure = await ask().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code, message: 'R2 SQL: not so (40003)' })
    if (status === 429) expect(failure).toMatchObject({ detail: { retryAfterMs: 7_000 } })
  })

  it('is unavailable when it does not answer, or not with JSON', async () => {
    answer = { status: 502, body: '<html>' }
    await expect(ask()).rejects.toMatchObject({ code: 'unavailable', message: 'R2 SQL: <html>' })
    const nowhere = r2Sql({
      accountId: 'a',
      bucket: 'abc',
      token: '',
      clock: nodeClock,
      fetch,
      endpoint: 'http://127.0.0.1:1',
    })
    await expect(nowhere.query({ text: '', database: '' })).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is called off', async () => {
    answer = 'nothing'
    const stop = new AbortController()
    const waiting = ask({ stop: stop.signal })
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable', message: 'the query was called off' })
  })

  it('refuses what it cannot do, and answers that are too large', async () => {
    await expect(ask({ params: [1] })).rejects.toMatchObject({ code: 'unsupported' })
    await expect(ask({ asOf: { ref: 'main' } })).rejects.toMatchObject({ code: 'unsupported' })
    await expect(open().describe()).rejects.toMatchObject({ code: 'unsupported' })
    expect(() => r2Sql({ accountId: '../x', bucket: 'abc', token: '', clock: nodeClock, fetch })).toThrow(/accountId/)
    expect(() => r2Sql({ accountId: 'a', bucket: 'a/b', token: '', clock: nodeClock, fetch })).toThrow(/bucket/)
    answer = { status: 200, body: JSON.stringify({ success: true, result: 'x'.repeat(R2_SQL_REPLY_BYTES_MAX) }) }
    await expect(ask()).rejects.toMatchObject({ code: 'limit' })
  })
})
