import { StopSwitch } from '@dotdo/core/cdc'
import { type Code, codes, Failure } from '@dotdo/core/errors'
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import type { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import { type AppParts, createApp } from './app.ts'
import { statusOf } from './errors.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let bugs: unknown[]

beforeEach(async () => {
  folder = temporaryFolder()
  fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
  bugs = []
})

afterEach(async () => {
  await fabric.close()
  folder.remove()
})

function appOf(parts: Partial<AppParts> = {}): Hono {
  const onBug = (error: unknown) => void bugs.push(error)
  const defaults = { partitioner: 'crc16', count: 2 } as const
  return createApp({
    fabric,
    clock: nodeClock,
    version: '1.2.3',
    startedMs: nodeClock.nowMs(),
    defaults,
    onBug,
    ...parts,
  })
}

async function get(app: Hono, path: string, init?: RequestInit): Promise<[number, unknown]> {
  const response = await app.request(path, init)
  return [response.status, await response.json()]
}

const put = (app: Hono, path: string, body: unknown) => {
  return get(app, path, { method: 'PUT', body: typeof body === 'string' ? body : JSON.stringify(body) })
}

describe('GET /health', () => {
  it('tells version, uptime and every check', async () => {
    const app = appOf({ checks: { disk: async () => undefined }, startedMs: nodeClock.nowMs() - 5_000 })
    const [status, body] = await get(app, '/health')
    expect(status).toBe(200)
    const well = { ok: true, durationMs: expect.any(Number) }
    expect(body).toEqual({
      ok: true,
      version: '1.2.3',
      uptimeMs: expect.toSatisfy((ms: number) => ms >= 5_000 && ms < 60_000),
      checks: { catalog: well, disk: well },
    })
  })

  it('is 503 when a check fails, without telling paths', async () => {
    const checks = { disk: () => Promise.reject(new Failure('storage', 'cannot read /secret')) }
    const [status, body] = await get(appOf({ checks }), '/health')
    expect(status).toBe(503)
    expect(body).toMatchObject({ ok: false, checks: { catalog: { ok: true }, disk: { ok: false, code: 'storage' } } })
    expect(JSON.stringify(body)).not.toContain('secret')
  })

  it('does not wait for a check that hangs', async () => {
    // The clock's timers fire at once: what is tested is that the check gives up, not for how long it waits.
    const clock = { ...nodeClock, after: (_: number, work: () => void) => nodeClock.after(0, work) }
    const [status, body] = await get(appOf({ clock, checks: { stuck: () => new Promise(() => {}) } }), '/health')
    expect(status).toBe(503)
    expect(body).toMatchObject({ checks: { stuck: { ok: false, code: 'unavailable' } } })
  })

  it('fails when the catalog does', async () => {
    await fabric.close()
    const [status, body] = await get(appOf(), '/health')
    expect(status).toBe(503)
    expect(body).toMatchObject({ ok: false, checks: { catalog: { ok: false } } })
  })
})

describe('credentials', () => {
  const authenticate = (user: string, password: string) => user === 'default' && password === 's3:cret'
  const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

  it.each(['/databases', '/metrics', '/nothing'])('are wanted at %s', async (path) => {
    const app = appOf({ authenticate, metrics: async () => ({ contentType: 'text/plain', text: '' }) })
    const response = await app.request(path)
    expect(response.status).toBe(401)
    expect(response.headers.get('WWW-Authenticate')).toMatch(/^Basic /)
    expect(await response.json()).toEqual({
      error: { code: 'unauthenticated', message: 'this server wants a password' },
    })
  })

  it('are not wanted for /health', async () => {
    expect((await get(appOf({ authenticate }), '/health'))[0]).toBe(200)
  })

  it.each([
    ['Bearer s3:cret', 200],
    ['bearer s3:cret', 200],
    ['Bearer s3:cre', 401],
    ['Bearer', 401],
    [basic('anybody', 's3:cret'), 200],
    [basic('default', 'wrong'), 401],
    ['Basic !!', 401],
    ['s3:cret', 401],
  ])('%s is answered %i', async (Authorization, status) => {
    expect((await get(appOf({ authenticate }), '/databases', { headers: { Authorization } }))[0]).toBe(status)
  })
})

describe('a server for this machine only', () => {
  it.each([
    ['127.0.0.1:6480', 200],
    ['localhost', 200],
    ['[::1]:6480', 200],
    ['evil.example', 403],
    ['127.0.0.1.evil.example:6480', 403],
    ['localhost:6480@evil.example', 403],
  ])('answers host %s with %i', async (Host, status) => {
    expect((await get(appOf({ loopbackOnly: true }), '/health', { headers: { Host } }))[0]).toBe(status)
  })
})

describe('/databases', () => {
  it('creates, shows and lists', async () => {
    const app = appOf()
    const created = expect.stringMatching(/^\d{4}-\d\d-\d\dT/)
    const shape = {
      name: 'b',
      epoch: 1,
      created,
      strategy: { kind: 'hash', keys: 'raw', partitioner: 'crc16' },
      shards: [
        { index: 0, slots: 5462, ranges: [[0, 5461]] },
        { index: 1, slots: 5461, ranges: [[5462, 10_922]] },
        { index: 2, slots: 5461, ranges: [[10_923, 16_383]] },
      ],
    }
    expect(await put(app, '/databases/b', { shards: 3 })).toEqual([201, shape])
    expect(await get(app, '/databases/b')).toEqual([200, shape])
    await put(app, '/databases/a', '')
    const list = { name: 'a', shards: 2, strategy: 'hash', epoch: 1, created }
    expect(await get(app, '/databases')).toEqual([
      200,
      { databases: [list, { ...list, name: 'b', shards: 3 }], next: null },
    ])
    expect(await get(app, '/databases?limit=1')).toEqual([200, { databases: [list], next: 'a' }])
    expect(await get(app, '/databases?after=a')).toMatchObject([200, { databases: [{ name: 'b' }], next: null }])
  })

  it('keeps what it made over a restart of the host', async () => {
    await put(appOf(), '/databases/kept', { shards: 5, strategy: 'round-robin', keys: 'typed' })
    await fabric.close()
    fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
    const strategy = { kind: 'round-robin', keys: 'typed' }
    expect(await get(appOf(), '/databases/kept')).toMatchObject([200, { strategy, shards: { length: 5 } }])
  })

  it.each([
    [{ keys: 'typed' }, { kind: 'hash', keys: 'typed', partitioner: 'murmur3' }],
    [{ partitioner: 'murmur3' }, { kind: 'hash', keys: 'raw', partitioner: 'murmur3' }],
    [
      { strategy: 'range', boundaries: ['h', 'p'] },
      { kind: 'range', keys: 'raw', boundaries: ['h', 'p'] },
    ],
    [
      { strategy: 'range', keys: 'typed', boundaries: [null, 1, 'p'] },
      { kind: 'range', keys: 'typed', boundaries: [null, 1, 'p'] },
    ],
    [
      { strategy: 'directory', pins: [['vip', 1]], reserved: 8 },
      { kind: 'directory', keys: 'raw', reserved: 8, pins: [['vip', 1]] },
    ],
  ])('makes and shows %j', async (body, strategy) => {
    expect(await put(appOf(), '/databases/d', body)).toMatchObject([201, { strategy }])
  })

  it('refuses a name that exists', async () => {
    const app = appOf()
    await put(app, '/databases/d', {})
    const error = { code: 'exists', message: 'database d exists already' }
    expect(await put(app, '/databases/d', {})).toEqual([409, { error }])
  })

  it.each([
    ['d', { shards: 0 }, /^body: shards: /],
    ['d', { shards: '4' }, /^body: shards: /],
    ['d', { count: 4 }, /^body: Unrecognized key: "count"$/],
    ['d', { strategy: 'custom' }, /^body: strategy: /],
    ['d', { strategy: 'range' }, /boundaries/],
    ['d', { strategy: 'range', boundaries: ['b', 'a'] }, /"a" does not come after "b"/],
    ['d', { boundaries: ['a'] }, /goes with strategy range, not with hash/],
    ['d', { keys: 'typed', partitioner: 'crc16' }, /crc16 hashes raw keys/],
    ['d', '{', /^the body is not JSON: /],
    ['d', '[]', /^body: /],
    ['D', {}, /^bad database name "D"/],
    ['dotdo.catalog', {}, /^bad database name/],
  ])('refuses to make %s of %j', async (name, body, message) => {
    const app = appOf()
    const error = { code: 'invalid', message: expect.stringMatching(message) }
    expect(await put(app, `/databases/${name}`, body)).toMatchObject([400, { error }])
    expect(await get(app, '/databases')).toMatchObject([200, { databases: [] }])
  })

  it('refuses a body past the limit', async () => {
    const error = { code: 'limit', message: expect.stringContaining('1048576 bytes') }
    expect(await put(appOf(), '/databases/d', `"${'x'.repeat(1024 * 1024)}"`)).toEqual([413, { error }])
  })

  it.each(['limit=0', 'limit=1001', 'limit=x', 'page=2'])('refuses the query %s', async (query) => {
    expect(await get(appOf(), `/databases?${query}`)).toMatchObject([400, { error: { code: 'invalid' } }])
  })

  it.each(['/databases/d', '/databases/d/shards'])('says 404 at %s, and makes nothing', async (path) => {
    const app = appOf()
    expect(await get(app, path)).toEqual([404, { error: { code: 'not_found', message: 'no database d' } }])
    expect(await get(app, '/databases')).toMatchObject([200, { databases: [] }])
  })

  it('asks every shard for its state', async () => {
    const app = appOf()
    await put(app, '/databases/d', { shards: 2 })
    const { router, map } = await fabric.database('d')
    const set = { program: 'redis', name: 'set', args: { argv: ['set', 'a', '1'], db: 0 } }
    const slot = map.slotOf('a')
    await router.call(set, { slot })
    const [status, body] = await get(app, '/databases/d/shards')
    expect(status).toBe(200)
    const { shards } = body as {
      shards: { index: number; slots: number; sizeBytes: number; position: { seq: number } }[]
    }
    expect(shards.map(({ index }) => index)).toEqual([0, 1])
    expect(shards.map(({ position }) => position.seq)).toEqual([0, 1].map((index) => +(map.shardOf(slot) === index)))
    expect(shards[map.shardOf(slot)]).toMatchObject({ slots: 8192, sizeBytes: expect.any(Number) })
  })
})

describe('the app', () => {
  it('serves changes, and ends their streams when it stops', async () => {
    const stop = new StopSwitch()
    const counts: number[] = []
    const app = appOf({ stop, onStreams: (open) => counts.push(open) })
    const response = await app.request('/changes?database=d')
    expect(response.headers.get('Content-Type')).toBe('application/x-ndjson')
    stop.abort()
    const last = (await response.text()).trimEnd().split('\n').at(-1) as string
    expect(JSON.parse(last)).toMatchObject({ error: { code: 'unavailable' } })
    expect(counts).toEqual([1, 0])
    expect((await get(app, '/changes?nonsense=1'))[0]).toBe(400)
  })

  it('serves the metrics of its host, and has none without', async () => {
    const metrics = async () => ({ contentType: 'text/plain; version=0.0.4', text: 'a 1\n' })
    const response = await appOf({ metrics }).request('/metrics')
    expect(response.headers.get('Content-Type')).toBe('text/plain; version=0.0.4')
    expect(await response.text()).toBe('a 1\n')
    expect((await get(appOf(), '/metrics'))[0]).toBe(404)
  })

  it('says 404 as JSON', async () => {
    const error = { code: 'not_found', message: 'nothing is at /x/y' }
    expect(await get(appOf(), '/x/y')).toEqual([404, { error }])
  })

  it('says 405 and what is allowed', async () => {
    const response = await appOf().request('/databases/d', { method: 'DELETE' })
    expect(response.status).toBe(405)
    expect(response.headers.get('Allow')).toBe('GET, HEAD, PUT')
    expect(await response.json()).toMatchObject({ error: { code: 'unsupported' } })
  })

  it('tells a bug to its host and not to the client', async () => {
    const bug = new TypeError('x of undefined at /secret')
    const metrics = () => Promise.reject(bug)
    const [status, body] = await get(appOf({ metrics }), '/metrics')
    expect(status).toBe(500)
    expect(body).toEqual({ error: { code: 'internal', message: 'internal error; the server has logged it' } })
    expect(bugs).toEqual([bug])
  })

  it('has a status of an error for every code, and asks to retry where that helps', async () => {
    for (const code of Object.keys(codes) as Code[]) {
      const app = appOf({ metrics: () => Promise.reject(new Failure(code, 'm')) })
      const response = await app.request('/metrics')
      expect(response.status).toBe(statusOf(new Failure(code, 'm')))
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(response.headers.has('Retry-After')).toBe(response.status === 503)
    }
  })
})
