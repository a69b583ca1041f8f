import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFabric } from '@dotdo/core/host/node'
import * as real from 'redis'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { redisProgram } from '../program.ts'
import * as ours from './node-redis.ts'
import { createClient, createClientPool, createCluster, createSentinel } from './node-redis.ts'

let folder: string
let place: { dotdo: ours.DataOptions }
const clients: { destroy(): void }[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-node-redis-'))
  place = { dotdo: { data: folder, durability: 'normal' } }
})

afterEach(async () => {
  for (const one of clients.splice(0)) one.destroy()
  vi.unstubAllEnvs()
  await folderIsFree()
  rmSync(folder, { recursive: true })
})

/** Wait until nobody in this process has the folder open. */
async function folderIsFree(): Promise<void> {
  const open = async () => (await openFabric({ data: folder, programs: [redisProgram] })).close()
  await expect.poll(() => open().then(() => true), { interval: 10 }).toBe(true)
}

async function client(options: ours.ClientOptions = place) {
  const made = createClient(options)
  made.on('error', () => undefined)
  clients.push(made)
  return made.connect()
}

test('it is node-redis: the same exports', () => {
  expect(Object.keys(ours).sort()).toEqual(
    Object.keys(real)
      .filter((name) => name !== 'default')
      .sort(),
  )
})

test('strings, hashes, buffers, errors and scans go through, in RESP2 and RESP3', async () => {
  for (const RESP of [2, 3] as const) {
    const redis = createClient({ ...place, RESP })
    clients.push(redis)
    await redis.connect()
    await redis.flushDb()
    expect(await redis.set('greeting', 'grüß dich', { expiration: { type: 'EX', value: 100 } })).toBe('OK')
    expect(await redis.get('greeting')).toBe('grüß dich')
    expect(await redis.hSet('h', { a: 1, b: 'two' })).toBe(2)
    expect({ ...(await redis.hGetAll('h')) }).toEqual({ a: '1', b: 'two' })
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    await redis.set('bytes', bytes)
    const buffers = redis.withTypeMapping({ [ours.RESP_TYPES.BLOB_STRING]: Buffer })
    expect(await buffers.get('bytes')).toEqual(bytes)
    await expect(redis.incr('h')).rejects.toThrow(/^WRONGTYPE/)
    await expect(redis.incr('greeting')).rejects.toBeInstanceOf(ours.ErrorReply)
    const keys: string[] = []
    for await (const page of redis.scanIterator({ MATCH: 'b*' })) keys.push(...page)
    expect(keys).toEqual(['bytes'])
    expect(await redis.info('server')).toContain('redis_version')
  }
})

test('MULTI, WATCH, and 1000 commands at once', async () => {
  const [redis, other] = [await client(), await client()]
  expect(await redis.multi().set('a', '1').incr('a').exec()).toEqual(['OK', 2])
  await redis.watch('a')
  await other.set('a', '9')
  await expect(redis.multi().incr('a').exec()).rejects.toBeInstanceOf(ours.WatchError)
  const counted = await Promise.all(Array.from({ length: 1_000 }, () => redis.incr('n')))
  expect(counted).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
})

test('close lets what was sent be answered, and the folder go', async () => {
  const redis = await client()
  const written = redis.set('last', 'words')
  await redis.close()
  expect(await written).toBe('OK')
  await folderIsFree()
  expect(await (await client()).get('last')).toBe('words')
})

test('duplicates and pools stay at the place', async () => {
  const redis = await client({ ...place, name: 'first' })
  await redis.set('a', '1')
  const copy = redis.duplicate()
  clients.push(copy)
  await copy.connect()
  expect([await copy.get('a'), await copy.clientGetName()]).toEqual(['1', 'first'])
  const pools = [createClientPool(place, { minimum: 2 }), redis.createPool({ minimum: 1 })]
  for (const pool of pools) {
    clients.push(pool)
    await pool.connect()
    expect(await Promise.all([pool.get('a'), pool.execute((one) => one.incr('a'))])).toHaveLength(2)
  }
  expect(await redis.get('a')).toBe('3')
})

test('a client whose connection another one killed reconnects', async () => {
  const redis = await client({ ...place, socket: { reconnectStrategy: 1 } })
  const other = await client()
  const id = await redis.clientId()
  const again = new Promise((resolve) => redis.once('ready', resolve))
  await other.clientKill({ filter: 'ID', id: String(id) } as never)
  await again
  expect(await redis.set('after', '1')).toBe('OK')
  expect(await redis.clientId()).not.toBe(id)
})

test('the cluster client finds every slot here', async () => {
  const sharded = { dotdo: { ...place.dotdo, defaults: { count: 4, partitioner: 'crc16' } } } as const
  const cluster = createCluster({ rootNodes: [sharded], defaults: { name: 'member' } })
  clients.push(cluster)
  await cluster.connect()
  const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key, i) => cluster.set(key, String(i))))
  expect(await Promise.all(keys.map((key) => cluster.get(key)))).toEqual(keys.map((_, i) => `${i}`))
  expect(await cluster.multi().set('{t}a', '1').incr('{t}a').exec()).toEqual(['OK', 2])
})

test('options, URLs and the environment name places', async () => {
  vi.stubEnv('DOTDO_DATA', folder)
  await (await client({})).set('k', 'zero')
  await (await client({ url: `dotdo:${folder}?db=2` })).set('k', 'two')
  await (await client({ database: 'agent-42' })).set('k', 'agent')
  expect(await (await client({ database: 2 })).get('k')).toBe('two')
  expect(await (await client({ url: `dotdo:${folder}?database=agent-42` })).get('k')).toBe('agent')
  expect(await (await client({ username: 'any', password: 'thing' })).get('k')).toBe('zero')
})

test('a folder that cannot be opened is told', async () => {
  await expect(client({ dotdo: '/dev/null/data', socket: { reconnectStrategy: false } })).rejects.toThrow(/null/)
})

test('an address means the network', async () => {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      const requests = bytes.toString().match(/^\*\d+\r$/gm) ?? []
      socket.write(requests.map(() => '+from-the-network\r\n').join(''))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const plain = { RESP: 2, disableClientInfo: true } as const
  for (const address of [{ url: `redis://127.0.0.1:${port}` }, { socket: { port, host: '127.0.0.1' } }]) {
    const redis = createClient({ ...plain, ...address })
    clients.push(redis)
    await redis.connect()
    expect(await redis.get('a')).toBe('from-the-network')
    redis.destroy()
  }
  server.close()
})

test('what contradicts itself is refused', () => {
  const url = 'redis://localhost'
  expect(() => createClient({ ...place, socket: { host: 'localhost' } })).toThrow(/both host and a place in this proc/)
  expect(() => createClient({ ...place, socket: { tls: true } })).toThrow(/both tls and a place in this process/)
  expect(() => createClient({ ...place, url })).toThrow(/both url and a place in this process/)
  expect(() => createClient({ ...place, url: 'dotdo:x' })).toThrow(/both url and a place in this process/)
  expect(() => createClient({ url, database: 'agent' })).toThrow(/a named database goes with data in this process/)
  expect(() => createCluster({ rootNodes: [place, { url }] })).toThrow(/the only node there is/)
  expect(() => createSentinel({ ...place, name: 'x', sentinelRootNodes: [] } as never)).toThrow(/no sentinels/)
})
