import { request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { type NodeFabric, type NodeFabricOptions, openFabric } from '@dotdo/core/host/node'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { testProgram } from '../../core/shard/testing.ts'
import { type ChangesParts, changesRoutes } from './changes.ts'
import { answerError } from './errors.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let stop: StopSwitch

async function open(options: Partial<NodeFabricOptions> = {}): Promise<void> {
  const defaults = { count: 2, partitioner: 'crc16' } as const
  fabric = await openFabric({ data: folder.path, programs: [testProgram], durability: 'normal', defaults, ...options })
}
beforeEach(async () => {
  folder = temporaryFolder()
  stop = new StopSwitch()
  await open()
})
afterEach(async () => {
  stop.abort()
  await fabric.close()
  folder.remove()
})

async function call(name: string, args: { slot?: number; key: string; by?: number }, database = 'default') {
  const { slot = 5 } = args
  return (await fabric.database(database)).router.call({ program: 'test', name, args: { slot, ...args } }, { slot })
}
const add = (key: string, slot = 5, database = 'default') => call('add', { key, slot }, database)

function appOf(parts: Partial<ChangesParts> = {}): Hono {
  const app = new Hono()
  app.route('/changes', changesRoutes({ fabric, stop, ...parts }))
  app.onError((error, context) => answerError(context, error, () => undefined))
  return app
}
const get = (query: string, init: RequestInit = {}, parts: Partial<ChangesParts> = {}) =>
  appOf(parts).request(`/changes${query}`, init)

interface Line {
  // biome-ignore lint/suspicious/noExplicitAny: whatever the test expects
  change?: any
  heartbeat?: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever the test expects
  error?: any
  end?: true
  token: string
}
/** The lines of a stream, as they come. */
async function* linesOf(response: Response): AsyncGenerator<Line, undefined> {
  expect(response.status).toBe(200)
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop() as string
    for (const part of parts) yield JSON.parse(part) as Line
  }
  expect(rest).toBe('')
  return undefined
}
async function all(query: string, init: RequestInit = {}): Promise<Line[]> {
  const lines: Line[] = []
  for await (const line of linesOf(await get(query, init))) lines.push(line)
  return lines
}
/** The documentIds up to the present end. */
async function ids(query: string, init: RequestInit = {}): Promise<string[]> {
  const lines = await all(`?since=start&follow=false${query}`, init)
  expect(lines.at(-1)?.end).toBe(true)
  return lines.slice(0, -1).map((line) => line.change.documentId)
}

describe('lines of JSON', () => {
  test('hold a change and its token each, and the end', async () => {
    await add('a')
    await add('b', 9000)
    const response = await get('?since=start&follow=false')
    expect(response.headers.get('Content-Type')).toBe('application/x-ndjson')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const lines: Line[] = []
    for await (const line of linesOf(response)) lines.push(line)
    expect(lines).toHaveLength(3)
    expect(lines.map(({ token }) => typeof token)).toEqual(['string', 'string', 'string'])
    expect(lines.find(({ change }) => change?.documentId === 'a')?.change).toEqual({
      id: expect.stringMatching(/^0\.[a-z0-9]+\.1\.1$/),
      operation: 'put',
      collection: 'counters',
      documentId: 'a',
      timestamp: expect.any(Number),
      sequence: 1,
      source: { database: 'default', shard: 0, incarnation: expect.any(String), epoch: 1, slot: 5 },
    })
  })

  test.each(['application/x-ndjson', 'application/jsonl', '*/*', 'text/html, */*;q=0.5', ''])(
    'are what %j gets',
    async (Accept) => {
      expect((await get('?follow=false', { headers: { Accept } })).headers.get('Content-Type')).toMatch('x-ndjson')
    },
  )
})

describe('server-sent events', () => {
  const headers = { Accept: 'text/event-stream' }
  test('carry the token as their id', async () => {
    await add('a')
    const response = await get('?since=start&follow=false', { headers })
    expect(response.headers.get('Content-Type')).toBe('text/event-stream')
    const [retry, change, end, rest] = (await response.text()).split('\n\n')
    expect(retry).toBe('retry: 1000')
    const [, id, data] = /^event: change\nid: ([\w-]+)\ndata: (.*)$/.exec(change as string) ?? []
    expect(JSON.parse(data as string)).toMatchObject({ documentId: 'a', operation: 'put' })
    expect(end).toBe(`event: end\nid: ${id}\ndata: {}`)
    expect(rest).toBe('')
  })

  test('begin with a heartbeat when they follow', async () => {
    const reader = (await get('', { headers })).body?.getReader()
    const first = await reader?.read()
    const second = await reader?.read()
    await reader?.cancel()
    const text = [first, second].map((one) => new TextDecoder().decode(one?.value)).join('')
    expect(text).toMatch(/^retry: 1000\n\nevent: heartbeat\nid: [\w-]+\ndata: \{"timestamp":\d+\}\n\n$/)
  })

  test('go on after the Last-Event-ID of a client that comes back, whatever its URL says', async () => {
    await add('a')
    const [line] = await all('?since=start&follow=false')
    await add('b')
    const again = { headers: { ...headers, 'Last-Event-ID': line?.token as string } }
    const text = await (await get('?since=start&follow=false', again)).text()
    expect([...text.matchAll(/"documentId":"(\w+)"/g)].map(([, id]) => id)).toEqual(['b'])
  })
})

describe('where a feed begins', () => {
  test('is the present end, the oldest change, or a token; a second client goes on after a restart', async () => {
    await add('a')
    await add('b')
    expect((await all('?follow=false')).map(({ end }) => end)).toEqual([true])
    expect((await all('?follow=false&since=now')).map(({ end }) => end)).toEqual([true])
    const lines = await all('?follow=false&since=start')
    expect(lines.map(({ change }) => change?.documentId)).toEqual(['a', 'b', undefined])
    await fabric.close()
    await open()
    await add('c')
    const rest = await all(`?follow=false&since=${lines[0]?.token}`)
    expect(rest.map(({ change }) => change?.documentId)).toEqual(['b', 'c', undefined])
  })

  test('that is not in the history any more is answered 410, with what remains', async () => {
    await add('a')
    const [line] = await all('?follow=false&since=start')
    await fabric.close()
    await open({ limits: { logBytes: 300, dirtyRows: 8, redoBytes: 500 } })
    for (let i = 0; i < 120; i++) await add(`k${i}`)
    const response = await get(`?since=${line?.token}`)
    expect(response.status).toBe(410)
    const { error } = (await response.json()) as { error: { code: string; detail: { token: string } } }
    expect(error).toMatchObject({ code: 'out_of_range', detail: { shards: [{ shard: 0, asked: { seq: 1 } }] } })
    const rest = await all(`?follow=false&since=${error.detail.token}`)
    expect(rest.at(-2)?.change.documentId).toBe('k119')
  })
})

describe('options', () => {
  beforeEach(async () => {
    await add('user:1')
    await add('order:1')
    await call('note', { key: 'text', by: 7 })
    await call('remove', { key: 'user:1' })
  })

  test('database', async () => {
    await add('elsewhere', 5, 'other')
    expect(await ids('&database=other')).toEqual(['elsewhere'])
    expect(await ids('')).toHaveLength(4)
  })

  test('collections', async () => {
    expect(await ids('&collections=notes')).toEqual(['7'])
    expect(await ids('&collections=notes,counters')).toHaveLength(4)
  })

  test('documentId', async () => {
    expect(await ids('&documentId=user:*')).toEqual(['user:1', 'user:1'])
    expect(await ids('&documentId=user:\\*')).toEqual([])
  })

  test('operations', async () => {
    expect(await ids('&operations=delete')).toEqual(['user:1'])
    expect(await ids('&operations=put,delete')).toHaveLength(4)
  })

  test('limit', async () => {
    const lines = await all('?since=start&limit=2')
    expect(lines.map(({ heartbeat, change, end }) => heartbeat ?? change?.documentId ?? end)).toEqual([
      expect.any(Number),
      'user:1',
      'order:1',
      true,
    ])
    expect(lines.at(-1)?.token).toBe(lines.at(-2)?.token)
  })

  test.each([
    ['key', { operation: 'put' }, ['before', 'after']],
    ['after', { operation: 'put', after: { value: 1 } }, ['before']],
    ['full', { operation: 'insert', before: null, after: { value: 1 } }, []],
  ])('capture=%s', async (capture, expected, missing) => {
    const lines = linesOf(await get(`?collections=counters&capture=${capture}`))
    expect((await lines.next()).value).toHaveProperty('heartbeat')
    await add('new')
    const { change } = (await lines.next()).value as Line
    expect(change).toMatchObject({ documentId: 'new', ...expected })
    for (const name of missing) expect(change).not.toHaveProperty(name)
    await lines.return(undefined)
  })

  test('encoding', async () => {
    const [line] = await all('?since=start&follow=false&encoding=debezium')
    expect(line?.change).toMatchObject({
      op: 'u',
      source: { connector: 'dotdo', db: 'default', table: 'counters', document_id: 'user:1' },
      ts_ms: expect.any(Number),
    })
    const [plain] = await all('?since=start&follow=false&encoding=event')
    expect(plain?.change).toMatchObject({ operation: 'put' })
  })

  test.each(['20ms', '1s'])('heartbeat=%s', async (heartbeat) => {
    const lines = linesOf(await get(`?heartbeat=${heartbeat}`))
    const beats = [(await lines.next()).value, (await lines.next()).value] as Line[]
    await lines.return(undefined)
    const apartMs = (beats[1]?.heartbeat as number) - (beats[0]?.heartbeat as number)
    expect(apartMs).toBeGreaterThanOrEqual(heartbeat === '1s' ? 990 : 19)
    // Far below the default.
    expect(apartMs).toBeLessThan(10_000)
  })

  test('follow', async () => {
    const lines = linesOf(await get('?follow=true'))
    expect((await lines.next()).value).toHaveProperty('heartbeat')
    await add('later')
    expect((await lines.next()).value).toMatchObject({ change: { documentId: 'later' } })
    await lines.return(undefined)
  })
})

describe('refused before the stream begins', () => {
  test.each([
    ['sinse=start', 'sinse'],
    ['since=yesterday', 'token'],
    ['since=', 'token'],
    ['since=now&since=start', 'since'],
    ['database=Not%20a%20name', 'database name'],
    ['follow=yes', 'follow'],
    ['limit=0', 'limit'],
    ['limit=1e3', 'limit'],
    ['limit=-1', 'limit'],
    ['collections=', 'collections'],
    ['collections=a,,b', 'collections'],
    ['documentId=', 'documentId'],
    ['documentId=a%5C', 'lone'],
    ['operations=put,replace', 'replace'],
    ['operations=insert', 'capture full'],
    ['capture=everything&collections=counters', 'capture'],
    ['capture=after', 'collections'],
    ['encoding=avro', 'encoding'],
    ['heartbeat=15', 'heartbeat'],
    ['heartbeat=1ms', 'heartbeat'],
    ['heartbeat=9999m', 'heartbeat'],
  ])('400 for %s', async (query, said) => {
    const response = await get(`?${query}`)
    expect(response.status).toBe(400)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect(error.code).toBe('invalid')
    expect(error.message).toContain(said)
  })

  test('404 for a collection to capture that does not exist', async () => {
    expect((await get('?collections=nothing&capture=after')).status).toBe(404)
  })

  test('406 for a format that there is not', async () => {
    for (const Accept of ['text/html', '__proto__']) {
      expect((await get('', { headers: { Accept } })).status).toBe(406)
    }
  })

  test('403 for a request that may not see the database', async () => {
    const authorise = (request: Request, database: string) => {
      if (request.headers.get('X-Key') !== database) throw new Failure('forbidden', 'not yours')
    }
    const ask = (key: string) => get('?follow=false&database=mine', { headers: { 'X-Key': key } }, { authorise })
    expect((await ask('other')).status).toBe(403)
    expect((await ask('mine')).status).toBe(200)
  })
})

describe('the end of a stream', () => {
  let server: Server
  const streams: number[] = []
  const listen = async () => {
    streams.length = 0
    const app = appOf({ onStreams: (open) => streams.push(open) })
    server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/changes`
  }
  afterEach(() => {
    server?.closeAllConnections()
    server?.close()
  })

  test('comes when the client goes away', async () => {
    const url = await listen()
    const client = request(url, (response) => {
      response.once('data', () => client.destroy())
    })
    client.on('error', () => undefined)
    client.end()
    await expect.poll(() => streams).toEqual([1, 0])
  })

  test('comes when the client of a busy stream goes away without reading', async () => {
    const url = await listen()
    for (let i = 0; i < 300; i++) await add('k'.repeat(200))
    const client = request(`${url}?since=start`, (response) => {
      response.pause()
      response.socket.destroy()
    })
    client.on('error', () => undefined)
    client.end()
    await expect.poll(() => streams).toEqual([1, 0])
  })

  test('is told when the server stops', async () => {
    const lines = linesOf(await get(''))
    expect((await lines.next()).value).toHaveProperty('heartbeat')
    stop.abort()
    expect((await lines.next()).value).toMatchObject({ error: { code: 'unavailable' } })
    expect((await lines.next()).done).toBe(true)
    expect((await get('')).status).toBe(503)
  })

  test('of a HEAD is its headers', async () => {
    const url = await listen()
    const response = await fetch(url, { method: 'HEAD', headers: { Accept: 'text/event-stream' } })
    expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'text/event-stream'])
    expect(streams).toEqual([])
  })

  test('is an error when the history is lost on the way', async () => {
    await fabric.close()
    await open({ limits: { logBytes: 300, dirtyRows: 8, redoBytes: 500 } })
    await Promise.all(Array.from({ length: 4_000 }, (_, i) => add(`first-${i}`)))
    const lines = linesOf(await get('?since=start'))
    expect((await lines.next()).value).toHaveProperty('heartbeat')
    // Nobody reads on, so nothing more is read from the log, which is trimmed meanwhile.
    for (let i = 0; i < 120; i++) await add(`then-${i}`)
    let last: Line | undefined
    for await (const line of lines) last = line
    expect(last?.error).toMatchObject({ code: 'out_of_range', detail: { token: expect.any(String) } })
  })
})
