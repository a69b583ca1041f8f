import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import Redis from './index.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { openTestServer, type TestServer, type TestServerOptions } from './test-server.ts'
import { list, push, type Wire, type Wires, wiresOf, wiresTo } from './wire.testing.ts'

/** One thing that every server does. */
interface Scenario {
  readonly name: string
  run(open: () => Promise<Wire>): Promise<void>
}

async function hears(wire: Wire, text: string): Promise<void> {
  expect(await wire.read(text.length)).toBe(text)
}

async function ask(wire: Wire, line: string, reply: string): Promise<void> {
  wire.send(line)
  await hears(wire, reply)
}

const context = '(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context'

const scenarios: readonly Scenario[] = [
  {
    name: 'channels and patterns, counted by subscription',
    async run(open) {
      const [a, b, c] = [await open(), await open(), await open()]
      await ask(a, 'SUBSCRIBE news other', list('subscribe', 'news', 1) + list('subscribe', 'other', 2))
      await ask(a, 'SUBSCRIBE news', list('subscribe', 'news', 2))
      await ask(b, 'PSUBSCRIBE n* [x', list('psubscribe', 'n*', 1) + list('psubscribe', '[x', 2))
      await ask(c, 'PUBLISH news hello', ':2\r\n')
      await hears(a, list('message', 'news', 'hello'))
      await hears(b, list('pmessage', 'n*', 'news', 'hello'))
      await ask(c, 'PUBLISH nobody hello', ':1\r\n')
      await ask(c, 'PUBLISH x hello', ':1\r\n')
      await ask(c, 'PUBSUB NUMSUB news other none', list('news', 1, 'other', 1, 'none', 0))
      await ask(c, 'PUBSUB NUMSUB', '*0\r\n')
      await ask(c, 'PUBSUB NUMPAT', ':2\r\n')
      await ask(c, 'PUBSUB CHANNELS o*', list('other'))
      await ask(a, 'UNSUBSCRIBE news none', list('unsubscribe', 'news', 1) + list('unsubscribe', 'none', 1))
      await ask(a, 'UNSUBSCRIBE', list('unsubscribe', 'other', 0))
      await ask(a, 'UNSUBSCRIBE', list('unsubscribe', null, 0))
      await ask(a, 'PUNSUBSCRIBE', list('punsubscribe', null, 0))
      await ask(c, 'PUBSUB CHANNELS', '*0\r\n')
      await ask(c, 'PUBSUB NOTHING', "-ERR unknown subcommand 'NOTHING'. Try PUBSUB HELP.\r\n")
      await ask(c, 'PUBLISH a', "-ERR wrong number of arguments for 'publish' command\r\n")
      await ask(c, 'SUBSCRIBE', "-ERR wrong number of arguments for 'subscribe' command\r\n")
    },
  },
  {
    name: 'shard channels are a world of their own',
    async run(open) {
      const [a, b] = [await open(), await open()]
      await ask(a, 'SSUBSCRIBE s', list('ssubscribe', 's', 1))
      await ask(a, 'SUBSCRIBE s', list('subscribe', 's', 1))
      await ask(b, 'SPUBLISH s one', ':1\r\n')
      await hears(a, list('smessage', 's', 'one'))
      await ask(b, 'PUBLISH s two', ':1\r\n')
      await hears(a, list('message', 's', 'two'))
      await ask(b, 'PUBSUB SHARDCHANNELS', list('s'))
      await ask(b, 'PUBSUB SHARDNUMSUB s t', list('s', 1, 't', 0))
      await ask(a, 'SUNSUBSCRIBE', list('sunsubscribe', 's', 0))
      await ask(a, 'SUNSUBSCRIBE', list('sunsubscribe', null, 0))
      await ask(b, 'SPUBLISH s three', ':0\r\n')
    },
  },
  {
    name: 'a RESP2 subscriber may say little else',
    async run(open) {
      const [a, b] = [await open(), await open()]
      await ask(a, 'SUBSCRIBE c', list('subscribe', 'c', 1))
      await ask(a, 'GET k', `-ERR Can't execute 'get': only ${context}\r\n`)
      await ask(a, 'CLIENT ID', `-ERR Can't execute 'client|id': only ${context}\r\n`)
      await ask(a, 'PING', list('pong', ''))
      await ask(a, 'PING hi', list('pong', 'hi'))
      await ask(a, 'RESET', '+RESET\r\n')
      await ask(a, 'GET k', '$-1\r\n')
      await ask(b, 'PUBLISH c x', ':0\r\n')
      await ask(a, 'PSUBSCRIBE p', list('psubscribe', 'p', 1))
      await ask(a, 'PUNSUBSCRIBE', list('punsubscribe', 'p', 0))
      await ask(a, 'PING', '+PONG\r\n')
      await ask(a, 'SUBSCRIBE c', list('subscribe', 'c', 1))
      await ask(a, 'QUIT', '+OK\r\n')
    },
  },
  {
    name: 'a RESP3 subscriber gets pushes and says what it likes',
    async run(open) {
      const [a, b] = [await open(), await open()]
      a.send('HELLO 3')
      await a.read(1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      a.rest()
      await ask(a, 'SUBSCRIBE c', push('subscribe', 'c', 1))
      await ask(a, 'SET k v', '+OK\r\n')
      await ask(a, 'PING', '+PONG\r\n')
      // To itself, before the reply.
      await ask(a, 'PUBLISH c self', `${push('message', 'c', 'self')}:1\r\n`)
      await ask(b, 'PUBLISH c x', ':1\r\n')
      await hears(a, push('message', 'c', 'x'))
      await ask(a, 'PUNSUBSCRIBE', push('punsubscribe', null, 1))
    },
  },
  {
    name: 'a pipeline keeps its order, MULTI publishes when it is committed',
    async run(open) {
      const [a, b] = [await open(), await open()]
      b.send('SUBSCRIBE c')
      await hears(b, list('subscribe', 'c', 1))
      await ask(a, 'SET k 1\r\nPUBLISH c one\r\nGET k\r\nPUBLISH c two', '+OK\r\n:1\r\n$1\r\n1\r\n:1\r\n')
      await hears(b, list('message', 'c', 'one') + list('message', 'c', 'two'))
      await ask(a, 'MULTI\r\nSET k 2\r\nPUBLISH c three', '+OK\r\n+QUEUED\r\n+QUEUED\r\n')
      expect(b.rest()).toBe('')
      await ask(a, 'EXEC', '*2\r\n+OK\r\n:1\r\n')
      await hears(b, list('message', 'c', 'three'))
      await ask(a, 'MULTI\r\nPUBLISH c four\r\nDISCARD', '+OK\r\n+QUEUED\r\n+OK\r\n')
      await ask(
        a,
        'CLIENT REPLY SKIP\r\nPUBLISH c five\r\nSET k 3\r\nCLIENT REPLY SKIP\r\nPUBLISH c six\r\nPING',
        '+OK\r\n+PONG\r\n',
      )
      await hears(b, list('message', 'c', 'five') + list('message', 'c', 'six'))
    },
  },
]

const version = installedVersion()
const servers: TestServer[] = []
async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await openTestServer(options)
  servers.push(server)
  return server
}

afterEach(async () => {
  const bugs = servers.flatMap(({ bugs }) => bugs)
  await Promise.all(servers.splice(0).map((server) => server.close()))
  expect(bugs).toEqual([])
})

describe('pub/sub', () => {
  test.each(scenarios)('$name', async ({ run }) => {
    const wires = wiresOf(await start())
    await run(() => wires.open())
  })
})

describe(version === undefined ? 'no redis-server is installed' : `pub/sub of Redis ${version}`, () => {
  let real: RealRedis | undefined
  let wires: Wires | undefined
  beforeAll(async () => {
    if (version === undefined) return
    real = await RealRedis.start()
    wires = wiresTo(real.port)
  })
  afterAll(async () => {
    wires?.close()
    await real?.stop()
  })

  test.each(scenarios)('$name', async ({ run }) => {
    if (wires === undefined) return expect(version).toBeUndefined()
    const { open, close } = wires
    await real?.run('FLUSHALL')
    await run(open)
    close()
    // Its subscriptions end with the connections.
    const active = async () => JSON.stringify(await real?.run('PUBSUB', 'CHANNELS')) !== '[]'
    while (await active()) await new Promise(setImmediate)
  })
})

test('ioredis subscribes and publishes in process', async () => {
  const { fabric } = await start()
  const [subscriber, publisher] = [new Redis({ fabric }), new Redis({ fabric })]
  const heard: string[] = []
  subscriber.on('message', (channel, message) => heard.push(`${channel}: ${message}`))
  subscriber.on('pmessage', (pattern, channel, message) => heard.push(`${pattern} ${channel}: ${message}`))
  subscriber.on('smessage', (channel, message) => heard.push(`shard ${channel}: ${message}`))
  expect(await subscriber.subscribe('a', 'b')).toBe(2)
  expect(await subscriber.psubscribe('*')).toBe(3)
  expect(await subscriber.ssubscribe('s')).toBe(1)
  expect(await publisher.publish('a', 'grüße')).toBe(2)
  expect(await publisher.spublish('s', '1')).toBe(1)
  await publisher.multi().set('k', 1).publish('c', '2').exec()
  expect(await subscriber.unsubscribe('a', 'b')).toBe(1)
  expect(await publisher.publish('b', '3')).toBe(1)
  expect(await subscriber.ping()).toBe('PONG')
  expect(heard).toEqual(['a: grüße', '* a: grüße', 'shard s: 1', '* c: 2', '* b: 3'])
  const closed = [subscriber, publisher].map((client) => once(client, 'end'))
  for (const client of [subscriber, publisher]) client.disconnect()
  await Promise.all(closed)
})

test('databases of the fabric do not hear each other; numbered ones inside do', async () => {
  const server = await start()
  const [a, b, c] = [server.connect(), server.connect(), server.connect()]
  await a.ask('SUBSCRIBE c', 'PSUBSCRIBE *')
  await b.ask('SELECT other', 'SUBSCRIBE c')
  await c.ask('SELECT 3', 'PUBLISH c here')
  expect(a.received).toBe(list('message', 'c', 'here') + list('pmessage', '*', 'c', 'here'))
  expect(b.received).toBe('')
  expect(await c.ask('SELECT other', 'PUBLISH c there', 'PUBSUB CHANNELS', 'PUBSUB NUMPAT')).toBe(
    `+OK\r\n:1\r\n${list('c')}:0\r\n`,
  )
  expect(b.received).toBe(list('message', 'c', 'there'))
  const three = server.connect()
  await three.ask('HELLO 3', 'SUBSCRIBE c')
  expect(await three.ask('SELECT other')).toMatch(/^-ERR SELECT of another database by name/)
})

test('who left hears nothing and is counted no more', async () => {
  const server = await start()
  const [a, b, other] = [server.connect(), server.connect(), server.connect()]
  await a.ask('SUBSCRIBE c', 'SSUBSCRIBE c', 'PSUBSCRIBE c')
  await b.ask('SUBSCRIBE c')
  expect(await other.ask('CLIENT LIST TYPE pubsub')).toMatch(/flags=P db=0 sub=1 psub=1 ssub=1/)
  a.session.end()
  expect(await other.ask('PUBLISH c x', 'CLIENT KILL TYPE pubsub', 'PUBLISH c y')).toBe(':1\r\n:1\r\n:0\r\n')
  expect(b.closed).toBe(true)
  expect(await other.ask('PUBSUB CHANNELS', 'PUBSUB SHARDCHANNELS', 'PUBSUB NUMPAT')).toBe('*0\r\n*0\r\n:0\r\n')
})

test('a subscriber that does not read is closed, and others hear on', async () => {
  const server = await start()
  const [slow, good, other] = [server.connect(), server.connect(), server.connect()]
  await slow.ask('SUBSCRIBE c')
  await good.ask('SUBSCRIBE c')
  slow.queuedBytes = 257 * 1024 * 1024
  expect(await other.ask('PUBLISH c one', 'PUBLISH c two')).toBe(':2\r\n:2\r\n')
  expect(slow.closed).toBe(true)
  expect(await other.ask('PUBLISH c three')).toBe(':1\r\n')
  expect(good.received).toBe(['one', 'two', 'three'].map((text) => list('message', 'c', text)).join(''))
  // What is published in one turn is written at once.
  expect(good.writes).toBe(3)
})

test('a server for one connection alone refuses to pretend', async () => {
  const client = (await start({ alone: true })).connect()
  const refused = /^(-ERR pub\/sub is not supported here: [^\r]*\r\n){4}$/
  expect(await client.ask('SUBSCRIBE c', 'PSUBSCRIBE c', 'PUBLISH c x', 'SPUBLISH c x')).toMatch(refused)
})

test('inside MULTI a subscription is refused', async () => {
  const client = (await start()).connect()
  expect(await client.ask('MULTI', 'SUBSCRIBE c', 'EXEC')).toMatch(
    /^\+OK\r\n-ERR Command not allowed inside a transaction\r\n-EXECABORT/,
  )
})

test('what a shard asks to publish with its answer is published when that is committed', async () => {
  const shout = {
    name: 'shout',
    arity: 3,
    keys: { first: 1, last: 1, step: 1 },
    mode: 'write',
    since: '1.0.0',
    group: 'test',
    summary: 'Publishes from the shard.',
    run: (_tx: unknown, [, key = '', text = '']: readonly string[]) => ({
      reply: 'done',
      effects: [{ publish: [key, text] as const }, { publish: [key, text] as const, shard: true as const }],
    }),
  } as const
  const server = await start({ extra: [shout] })
  const [a, b] = [server.connect(), server.connect()]
  await a.ask('SUBSCRIBE c', 'SSUBSCRIBE c')
  expect(await b.ask('SHOUT c one', 'MULTI', 'SHOUT c two', 'PUBLISH c three', 'EXEC')).toBe(
    '$4\r\ndone\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$4\r\ndone\r\n:1\r\n',
  )
  const heard = ['one', 'two'].map((text) => list('message', 'c', text) + list('smessage', 'c', text)).join('')
  expect(a.received).toBe(heard + list('message', 'c', 'three'))
})
