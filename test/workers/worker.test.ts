/** The Worker's HTTP side and its tunnels' doors, and `dotdo connect` when things go wrong. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis as Upstash } from '@upstash/redis'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { RespConnection } from '../../compat/redis/real-redis.testing.ts'
import { mainPath, runDotdo } from '../../dotdo/testing.ts'
import { type Connected, startConnect, startWorkerd, type Workerd } from './workerd.ts'

const folder = mkdtempSync(join(tmpdir(), 'dotdo-worker-'))
let open: Workerd
let locked: Workerd
const tunnels: Connected[] = []
const clients: Redis[] = []

beforeAll(async () => {
  open = await startWorkerd({ folder: join(folder, 'open'), bindings: { DOTDO_SHARDS: '2' } })
  locked = await startWorkerd({ folder: join(folder, 'locked'), bindings: { DOTDO_PASSWORD: 'sesame' } })
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
  for (const tunnel of tunnels.splice(0)) await tunnel.stop()
})

afterAll(async () => {
  await open.stop()
  await locked.stop()
  rmSync(folder, { recursive: true })
})

async function tunnelTo({ url }: Workerd, env: Record<string, string> = {}): Promise<Connected> {
  const tunnel = await startConnect(url, env)
  tunnels.push(tunnel)
  return tunnel
}

function clientOf(tunnel: Connected): Redis {
  const client = new Redis(tunnel.port, '127.0.0.1', { retryStrategy: null })
  client.on('error', () => undefined)
  clients.push(client)
  return client
}

describe('the HTTP app in a Worker', () => {
  test('is well, and says so to all', async () => {
    for (const workerd of [open, locked]) {
      const health = await workerd.get('/health')
      expect(health.status).toBe(200)
      expect(await health.json()).toMatchObject({ ok: true, checks: { catalog: { ok: true } } })
    }
  })

  test('spreads a database over four shards, each an object of its own', async () => {
    const made = await open.get('/databases/four', { method: 'PUT', body: JSON.stringify({ shards: 4 }) })
    expect(made.status).toBe(201)
    const again = await open.get('/databases/four', { method: 'PUT', body: '{}' })
    expect(again.status).toBe(409)
    const redis = clientOf(await tunnelTo(open))
    await redis.call('SELECT', 'four')
    await Promise.all(Array.from({ length: 400 }, (_, i) => redis.set(`key:${i}`, i)))
    const keys = Array.from({ length: 400 }, (_, i) => `key:${i}`)
    expect(await redis.mget(...keys)).toEqual(keys.map((_, i) => String(i)))
    expect(await redis.dbsize()).toBe(400)
    const { shards } = (await (await open.get('/databases/four/shards')).json()) as {
      shards: { slots: number; position: { seq: number } }[]
    }
    expect(shards.map(({ slots }) => slots)).toEqual([4096, 4096, 4096, 4096])
    expect(shards.reduce((sum, { position }) => sum + position.seq, 0)).toBe(400)
    for (const { position } of shards) expect(position.seq).toBeGreaterThan(50)
  })

  test('makes databases on first use with DOTDO_SHARDS shards, and counts them', async () => {
    const redis = clientOf(await tunnelTo(open))
    await redis.call('SELECT', 'first-used')
    await redis.set('a', 1)
    expect(await (await open.get('/databases/first-used')).json()).toMatchObject({ shards: [{}, {}] })
    const { databases } = (await (await open.get('/databases')).json()) as { databases: { shards: number }[] }
    const metrics = await (await open.get('/metrics')).text()
    expect(metrics).toMatch(new RegExp(`^dotdo_databases ${databases.length}$`, 'm'))
    expect(metrics).toMatch(new RegExp(`^dotdo_shards ${databases.reduce((sum, { shards }) => sum + shards, 0)}$`, 'm'))
  })

  test('answers Redis commands over HTTP, to the client library of Upstash too', async () => {
    const upstash = new Upstash({ url: `${locked.url}/redis/rest`, token: 'sesame' })
    expect(await upstash.multi().set('a', { n: 1 }).get('a').exec()).toEqual(['OK', { n: 1 }])
    expect(await (await locked.get('/redis/rest/strlen/a?_token=sesame')).json()).toEqual({ result: 7 })
    expect((await locked.get('/redis/rest/get/a')).status).toBe(401)
  })

  test('streams changes as they are made, and resumes after the last one seen', async () => {
    const redis = clientOf(await tunnelTo(open))
    await redis.call('SELECT', 'changing')
    await redis.set('first', 1)
    const stop = new AbortController()
    const response = await open.get('/changes?database=changing&since=start', { signal: stop.signal })
    const lines = readLines(response)
    const first = await nextChange(lines)
    expect(first.change).toMatchObject({ operation: 'put' })
    await redis.set('second', 2)
    const second = await nextChange(lines)
    expect(second.change.documentId).toContain('second')
    stop.abort()
    const rest = await open.get(`/changes?database=changing&since=${encodeURIComponent(first.token)}&follow=false`)
    const text = await rest.text()
    const ids = text.match(/"documentId":"[^"]*"/g)
    expect(ids, text).toEqual([expect.stringContaining('second')])
  })
})

async function* readLines(response: Response): AsyncGenerator<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    yield* lines
  }
}

interface Line {
  change: { documentId: string; operation: string }
  token: string
}

async function nextChange(lines: AsyncGenerator<string>): Promise<Line> {
  for (;;) {
    const { value } = await lines.next()
    const line = JSON.parse(value as string) as Line
    if (line.change !== undefined) return line
  }
}

/** Ask for a WebSocket. @returns the status that refuses it, or 101 */
function upgrade(url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
    socket.on('open', () => {
      socket.close()
      resolve(101)
    })
    socket.on('unexpected-response', (_, { statusCode = 0 }) => resolve(statusCode))
    socket.on('error', () => undefined)
  })
}

describe('the door of a tunnel', () => {
  test('opens for WebSockets only, and for dialects there are', async () => {
    const plain = await open.get('/tunnel/redis')
    expect(plain.status).toBe(426)
    expect(await plain.json()).toMatchObject({ error: { message: expect.stringContaining('dotdo connect') } })
    expect(await upgrade(`${open.url}/tunnel/redis`)).toBe(101)
    expect(await upgrade(`${open.url}/tunnel/nothing`)).toBe(404)
  })

  test('is closed to pages of other sites, and without a password to names that are not this machine', async () => {
    expect(await upgrade(`${open.url}/tunnel/redis`, { Origin: 'https://evil.example' })).toBe(403)
    expect(await upgrade(`${open.url}/tunnel/redis`, { Origin: open.url })).toBe(101)
    expect(await upgrade(`${open.url}/tunnel/redis`, { Host: 'rebound.example' })).toBe(403)
    expect(await upgrade(`${locked.url}/tunnel/redis`, { Host: 'dotdo.example' })).toBe(101)
  })

  test('takes a password in Authorization, or later in AUTH', async () => {
    expect(await upgrade(`${locked.url}/tunnel/redis`, { Authorization: 'Bearer wrong' })).toBe(401)
    const admitted = clientOf(await tunnelTo(locked, { DOTDO_PASSWORD: 'sesame' }))
    expect(await admitted.set('a', 1)).toBe('OK')
    const stranger = await RespConnection.open((await tunnelTo(locked)).port)
    expect(await stranger.run('GET', 'a')).toMatchObject({ error: expect.stringMatching(/^NOAUTH/) })
    expect(await stranger.run('AUTH', 'wrong')).toMatchObject({ error: expect.stringMatching(/^WRONGPASS/) })
    expect(await stranger.run('AUTH', 'sesame')).toEqual({ simple: 'OK' })
    expect(await stranger.run('GET', 'a')).toBe('1')
    stranger.close()
    expect((await locked.get('/databases')).status).toBe(401)
    const authorised = await locked.get('/databases', { headers: { Authorization: 'Bearer sesame' } })
    expect(authorised.status).toBe(200)
  })
})

/** Send frames to a tunnel and wait until it closes. */
function hangUp(frames: (string | Buffer)[]): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${open.url.replace(/^http/, 'ws')}/tunnel/redis`)
    socket.on('open', () => {
      for (const frame of frames) socket.send(frame)
    })
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
}

test('a tunnel hangs up on what is no tunnel', async () => {
  expect(await hangUp(['hello'])).toMatchObject({ code: 1008, reason: expect.stringContaining('no count of bytes') })
  const flood = Buffer.from('*2\r\n$3\r\nGET\r\n$2000000\r\n'.padEnd(1_100_000, 'x'))
  expect(await hangUp([flood])).toMatchObject({ code: 1008, reason: expect.stringContaining('ahead of') })
})

describe('dotdo connect', () => {
  test('says what is wrong in a line, and how to set it right', () => {
    const run = (...args: string[]) => {
      const { status, stderr } = runDotdo(['connect', ...args])
      return [status, stderr.trim()]
    }
    expect(run('nowhere')).toEqual([2, expect.stringContaining('"nowhere" is no URL of a server; write https://')])
    expect(run('http://127.0.0.1:1', '--redis', '0')).toEqual([
      1,
      'dotdo: no dotdo answers at http://127.0.0.1:1/: ECONNREFUSED',
    ])
    expect(run(open.url, '--redis', 'x')).toEqual([2, expect.stringContaining('--redis: x is not a port')])
    expect(run(`${open.url}/elsewhere`)).toEqual([1, expect.stringContaining('no dotdo with a tunnel for redis')])
    expect(run(locked.url, '--password', 'wrong')).toEqual([1, expect.stringContaining('give it with DOTDO_PASSWORD')])
    const taken = new URL(open.url).port
    expect(run(open.url, '--redis', taken)).toEqual([1, expect.stringContaining(`port ${taken} is taken`)])
  })

  test('ends on SIGTERM, taking its ready file with it', async () => {
    const readyFile = join(folder, 'ready.json')
    const child = spawn(process.execPath, [mainPath, 'connect', open.url, '--redis', '0', '--ready-file', readyFile])
    while (!existsSync(readyFile)) await new Promise((resolve) => setTimeout(resolve, 10))
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(existsSync(readyFile)).toBe(false)
  })

  test('outlives the Worker: connections end, new ones are told why', async () => {
    const workerd = await startWorkerd({ folder: join(folder, 'mortal') })
    const tunnel = await tunnelTo(workerd)
    const redis = clientOf(tunnel)
    await redis.set('a', 1)
    const ended = new Promise((resolve) => redis.once('end', resolve))
    await workerd.kill()
    await ended
    const socket = dial(tunnel.port, '127.0.0.1')
    socket.write('PING\r\n')
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer).toMatch(/^-ERR no dotdo answers at http:.*ECONNREFUSED\r\n$/)
    expect(tunnel.output()).toContain('the tunnel was closed')
  })
})
