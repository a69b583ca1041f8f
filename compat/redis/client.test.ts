import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFabric, openLake } from '@dotdo/core/host/node'
import { socketPair } from '@dotdo/core/host/socket-pair'
import IORedis from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { clientCases } from './client.conformance.ts'
import RedisDefault, { Cluster, Command, Redis, type RedisOptions, ReplyError } from './index.ts'
import { redisProgram } from './program.ts'

let folder: string
const clients: (Redis | IORedis | Cluster)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-client-'))
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => end(client)))
  rmSync(folder, { recursive: true })
})

/** Leave, and wait until the client's stream is closed. */
async function end(client: Redis | IORedis | Cluster): Promise<void> {
  if (client.status === 'end') return
  const ended = once(client, 'end')
  client.disconnect()
  await ended
}

function client(options: RedisOptions = {}): Redis {
  const made = new Redis({ dotdo: folder, ...options } as { dotdo: string })
  clients.push(made)
  return made
}

/** Open the folder as another would, which works when this process has let go of it. */
async function openElsewhere(): Promise<void> {
  for (;;) {
    const fabric = await openFabric({ data: folder, programs: [redisProgram] }).catch(() => undefined)
    if (fabric !== undefined) return fabric.close()
    await new Promise(setImmediate)
  }
}

test('it is ioredis: the same class, exports and shape', async () => {
  const redis = client()
  expect(redis).toBeInstanceOf(IORedis)
  expect(RedisDefault).toBe(Redis)
  expect(Redis.Cluster).toBe(Cluster)
  expect(Redis.Command).toBe(Command)
  expect(typeof ReplyError).toBe('function')
  const made = Redis.createClient({ dotdo: folder })
  clients.push(made)
  expect(made).toBeInstanceOf(Redis)
  expect(await made.ping()).toBe('PONG')
})

test.each(clientCases)('$name', async ({ run }) => {
  const sharded = async (count: number) =>
    client({ dotdo: { data: folder, defaults: { count, partitioner: 'crc16' } } })
  await run({ client: (options) => client(options), sharded }, expect)
})

test('options and URLs name databases, and key prefixes', async () => {
  const [zero, two, agent] = [client(), client({ db: 2 }), client({ database: 'agent-42', keyPrefix: 'p:' })]
  await Promise.all([zero.set('k', 'zero'), two.set('k', 'two'), agent.set('k', 'agent')])
  expect(await Promise.all([zero.get('k'), two.get('k'), agent.get('k')])).toEqual(['zero', 'two', 'agent'])
  const url = new Redis(`dotdo:${folder}?db=2`)
  const named = new Redis(`dotdo:${folder}?database=agent-42`)
  clients.push(url, named)
  expect(await url.get('k')).toBe('two')
  expect(await named.get('p:k')).toBe('agent')
})

test('credentials guard nothing inside one process', async () => {
  const redis = client({ username: 'app', password: 'secret' })
  expect(await redis.set('a', 1)).toBe('OK')
  expect(await redis.auth('whatever')).toBe('OK')
})

test('clients of one folder share it, and the last to leave closes it', async () => {
  const [first, second] = [client(), client({ dotdo: `${folder}/./` })]
  await first.set('shared', 1)
  expect(await second.get('shared')).toBe('1')
  await first.quit()
  expect(await second.get('shared')).toBe('1')
  await second.quit()
  await openElsewhere()
  const third = client()
  expect(await third.get('shared')).toBe('1')
})

test('what was sent before disconnect is kept', async () => {
  const redis = client()
  await redis.ping()
  const written = redis.set('last', 'words').catch(() => 'no reply')
  redis.disconnect()
  await written
  await openElsewhere()
  expect(await client().get('last')).toBe('words')
})

test('a client whose connection another one killed reconnects', async () => {
  const [redis, other] = [client({ retryStrategy: () => 1 }), client()]
  const id = await redis.client('ID')
  await other.client('KILL', 'ID', id)
  expect(await redis.set('after', 1)).toBe('OK')
  expect(await redis.client('ID')).not.toBe(id)
})

test('duplicate keeps the place, or goes to another', async () => {
  const redis = client()
  await redis.set('a', 1)
  const same = redis.duplicate()
  const elsewhere = redis.duplicate({ dotdo: join(folder, 'other') })
  clients.push(same, elsewhere)
  expect(await same.get('a')).toBe('1')
  expect(await elsewhere.get('a')).toBe(null)
})

test('a fabric that is open already is used, and left open', async () => {
  const fabric = await openFabric({ data: folder, programs: [redisProgram] })
  const redis = new Redis({ fabric })
  await redis.set('a', 1)
  await redis.quit()
  const again = new Redis({ fabric })
  expect(await again.get('a')).toBe('1')
  await end(again)
  await fabric.close()
})

test('without an address the folder is DOTDO_DATA', async () => {
  const before = process.env.DOTDO_DATA
  process.env.DOTDO_DATA = join(folder, 'from-environment')
  const redis = new Redis()
  clients.push(redis)
  await redis.set('a', 1)
  const named = client({ dotdo: join(folder, 'from-environment') })
  expect(await named.get('a')).toBe('1')
  if (before === undefined) delete process.env.DOTDO_DATA
  else process.env.DOTDO_DATA = before
})

test('an address means the network', async () => {
  const server: Server = createServer((socket) => {
    socket.on('data', (bytes) => {
      const requests = bytes.toString().match(/^\*\d+\r$/gm) ?? []
      socket.write(requests.map(() => '+from-the-network\r\n').join(''))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const plain = { enableReadyCheck: false, protocol: 2, disableClientInfo: true } as const
  const made = [
    new Redis(port, '127.0.0.1', plain),
    new Redis(`redis://127.0.0.1:${port}`, plain),
    new Redis({ port, host: '127.0.0.1', ...plain }),
    new Redis({ port, ...plain }),
  ]
  clients.push(...made)
  expect(await Promise.all(made.map((redis) => redis.get('a')))).toEqual(made.map(() => 'from-the-network'))
  await Promise.all(made.map((redis) => end(redis)))
  server.close()
})

test('what contradicts itself is refused', async () => {
  expect(() => new Redis({ dotdo: folder, host: 'localhost' })).toThrow(/both host and a place in this process/)
  expect(() => new Redis('dotdo:x', { port: 1 })).toThrow(/both port and a place in this process/)
  expect(() => new Redis(1234, { dotdo: folder })).toThrow(/both an address and a place in this process/)
  expect(() => new Redis({ port: 1, database: 'x' })).toThrow(/the option database goes with data in this process/)
  const first = client()
  await first.ping()
  const second = new Redis({ dotdo: { data: folder, durability: 'normal' }, retryStrategy: null })
  second.on('error', () => undefined)
  await expect(second.ping()).rejects.toThrow(/is open in this process with other options/)
})

test('a folder that cannot be opened is told to every command', async () => {
  const redis = new Redis({ dotdo: '/dev/null/data' })
  const told = new Promise<Error>((resolve) => redis.once('error', resolve))
  await expect(redis.get('a')).rejects.toThrow()
  expect(await told).toBeInstanceOf(Error)
})

test('the cluster client finds every slot here', async () => {
  const place = { dotdo: { data: folder, defaults: { count: 4, partitioner: 'crc16' } } } as const
  const cluster = new Cluster([place])
  clients.push(cluster)
  const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key, i) => cluster.set(key, i)))
  expect(await Promise.all(keys.map((key) => cluster.get(key)))).toEqual(keys.map((_, i) => `${i}`))
  expect(await cluster.multi().set('{t}a', 1).incr('{t}a').exec()).toEqual([
    [null, 'OK'],
    [null, 2],
  ])
  expect(cluster.nodes('master')).toHaveLength(1)
})

test('another Connector of the user is left alone', async () => {
  class Echo extends (await import('ioredis')).AbstractConnector {
    constructor() {
      super(10)
    }
    async connect() {
      const [near, far] = socketPair()
      far.on('data', (bytes: Buffer) => {
        const requests = bytes.toString().match(/^\*\d+\r$/gm) ?? []
        far.write(requests.map(() => '+mine\r\n').join(''))
      })
      this.stream = near as never
      return this.stream
    }
  }
  const redis = new Redis({ Connector: Echo, enableReadyCheck: false, protocol: 2, disableClientInfo: true })
  clients.push(redis)
  expect(await redis.get('a')).toBe('mine')
})

test('values that have left for the lake come back', async () => {
  const lake = await openLake({ data: folder, programs: [redisProgram], rhythm: { evictEveryMs: 1, pollMs: 1 } })
  const given = new Redis({ fabric: lake.fabric })
  await given.set('k', 'v'.repeat(1000))
  await given.quit()
  await lake.tier?.setPolicy('default', 'keys', { hotFor: '1ms' })
  await expect
    .poll(async () => (await lake.tier?.flush('default'))?.tables.find(({ table }) => table === 'keys')?.shards)
    .toMatchObject([{ coldRows: 1 }])
  await lake.close()
  expect(await client().get('k')).toBe('v'.repeat(1000))
})
