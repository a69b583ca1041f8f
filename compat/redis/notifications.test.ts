import { planResize } from '@dotdo/core/shard'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Setting } from './notifications.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { openTestServer, type TestClient, type TestServer, type TestServerOptions } from './test-server.ts'
import { type Wire, type Wires, wiresOf, wiresTo } from './wire.testing.ts'

/** Requests, and the events that come of them. */
const happenings: readonly (readonly [request: string, ...events: string[]])[] = [
  ['SET a 1', 'new a', 'set a'],
  ['SET a 2 EX 100', 'set a', 'expire a'],
  ['SETEX a 100 3', 'set a', 'expire a'],
  ['SETNX a 3'],
  ['GETSET a 4', 'set a'],
  ['INCR a', 'incrby a'],
  ['DECRBY a 2', 'incrby a'],
  ['INCRBYFLOAT a 0.5', 'incrbyfloat a'],
  ['APPEND a x', 'append a'],
  ['SETRANGE a 0 y', 'setrange a'],
  ['SETBIT bits 1 1', 'new bits', 'setbit bits'],
  ['BITFIELD bits SET u8 0 1', 'setbit bits'],
  ['BITOP NOT other bits', 'new other', 'set other'],
  ['MSET m 1 n 2', 'new m', 'set m', 'new n', 'set n'],
  ['GETDEL m', 'del m'],
  ['GETEX n EX 100', 'expire n'],
  ['GETEX n PERSIST', 'persist n'],
  ['GETEX n'],
  ['EXPIRE n 100', 'expire n'],
  ['PERSIST n', 'persist n'],
  ['PERSIST n'],
  ['EXPIRE n -1', 'del n'],
  ['EXPIRE none 100'],
  ['HSET h f 1 g 2', 'new h', 'hset h'],
  ['HSETNX h f 2'],
  ['HINCRBY h f 1', 'hincrby h'],
  ['HDEL h f', 'hdel h'],
  ['HDEL h g', 'hdel h', 'del h'],
  ['RENAME a b', 'new b', 'rename_from a', 'rename_to b'],
  ['COPY b c', 'new c', 'copy_to c'],
  ['SET r 1', 'new r', 'set r'],
  ['RENAME r b', 'new b', 'rename_from r', 'rename_to b'],
  ['DEL b c none', 'del b', 'del c'],
  ['UNLINK bits', 'del bits'],
  ['SET x 1', 'new x', 'set x'],
  ['MOVE x 1', 'move_from x'],
  ['GET other'],
  ['MULTI\r\nSET t 1\r\nINCR t\r\nDEL t\r\nEXEC', 'new t', 'set t', 'incrby t', 'del t'],
  ['HSET wrong f v', 'new wrong', 'hset wrong'],
  ['INCR wrong'],
  ['FLUSHALL'],
  ['SET end 1', 'new end', 'set end'],
]

/** Run the requests, and compare the events. */
async function compare(open: () => Promise<Wire>): Promise<void> {
  const [listener, writer] = [await open(), await open()]
  writer.send('CONFIG SET notify-keyspace-events AnE')
  expect(await writer.read(5)).toBe('+OK\r\n')
  listener.send('PSUBSCRIBE __keyevent*')
  await listener.read('*3\r\n$10\r\npsubscribe\r\n$11\r\n__keyevent*\r\n:1\r\n'.length)
  for (const [request] of happenings) writer.send(request)
  let received = ''
  while (!received.includes('\r\nend\r\n')) received += await listener.read(1)
  while (!received.endsWith('set\r\n$3\r\nend\r\n')) received += await listener.read(1)
  const heard = [...received.matchAll(/__keyevent@0__:(\w+)\r\n\$\d+\r\n([^\r]*)\r\n/g)]
  expect(heard.map(([, event, key]) => `${event} ${key}`)).toEqual(happenings.flatMap(([, ...events]) => events))
}

const open: TestServer[] = []
async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await openTestServer(options)
  open.push(server)
  return server
}

afterEach(async () => {
  const bugs = open.flatMap((server) => server.bugs)
  await Promise.all(open.splice(0).map((server) => server.close()))
  expect(bugs).toEqual([])
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Wait until a client has heard of an event, and tell what it heard before. */
async function heard(client: TestClient, last: string): Promise<string[]> {
  while (!client.received.includes(last)) await turn()
  const found = [...client.received.matchAll(/(__key\w+@\d+__:\w+)\r\n\$\d+\r\n([^\r]*)\r\n/g)]
  client.received = ''
  return found.map(([, channel, message]) => `${channel} ${message}`)
}

test('events have the names and order that Redis gives them', async () => {
  const wires = wiresOf(await start())
  await compare(() => wires.open())
})

const version = installedVersion()
describe(version === undefined ? 'no redis-server is installed' : `events of Redis ${version}`, () => {
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

  test('names and order', async () => {
    if (wires === undefined) return expect(version).toBeUndefined()
    const { open } = wires
    await compare(open)
  })

  test.each(['KEA', 'AnKE', 'Kg$lshzxetdn', 'g$lshzxetd', 'xE', 'K', '', 'Az'])('the setting %s', async (flags) => {
    if (real === undefined) return expect(version).toBeUndefined()
    await real.run('CONFIG', 'SET', 'notify-keyspace-events', flags)
    const reply = await real.run('CONFIG', 'GET', 'notify-keyspace-events')
    expect(reply).toEqual({ map: [['notify-keyspace-events', new Setting(flags).text]] })
  })
})

test('classes and channels are those of the setting; it is off at first', async () => {
  const server = await start()
  const [listener, writer] = [server.connect(), server.connect()]
  expect(await writer.ask('CONFIG GET notify-keyspace-events')).toContain('$0\r\n\r\n')
  await listener.ask('PSUBSCRIBE *')
  await writer.ask('SET a 1', 'PUBLISH done 0')
  expect(listener.received).not.toContain('__key')
  listener.received = ''
  await writer.ask('CONFIG SET notify-keyspace-events K$', 'SET a 1', 'HSET h f v', 'SELECT 3', 'SET b 1')
  expect(await heard(listener, '@3__:b')).toEqual(['__keyspace@0__:a set', '__keyspace@3__:b set'])
  await writer.ask('CONFIG SET notify-keyspace-events Eh', 'SET a 1', 'HSET h f v')
  expect(await heard(listener, ':hset')).toEqual(['__keyevent@3__:hset h'])
  await writer.ask("CONFIG SET notify-keyspace-events ''", 'HSET h f v')
  expect(await writer.ask('CONFIG GET notify-keyspace-events')).toContain('$0\r\n\r\n')
})

test('bad settings are refused', async () => {
  const client = (await start()).connect()
  const failed = "-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - "
  expect(await client.ask('CONFIG SET notify-keyspace-events Kq')).toBe(
    `${failed}Invalid event class character. Use 'Ag$lszhxeKEtmdn'.\r\n`,
  )
  expect(await client.ask('CONFIG SET notify-keyspace-events Km')).toBe(
    `${failed}key-miss events (m) are not supported\r\n`,
  )
})

test('expiry is told, by the sweep and by a write that finds the key expired', async () => {
  const server = await start()
  const [listener, writer] = [server.connect(), server.connect()]
  await writer.ask('CONFIG SET notify-keyspace-events AE')
  await listener.ask('SUBSCRIBE __keyevent@0__:expired __keyevent@0__:del')
  await writer.ask('SET a 1 PX 10', 'HSET h f v', 'PEXPIRE h 10')
  expect((await heard(listener, '\r\nh\r\n')).sort()).toEqual(['__keyevent@0__:expired a', '__keyevent@0__:expired h'])
})

test('a database of the fabric hears of its own keys only; every shard of it is followed', async () => {
  const server = await start({ shards: 3 })
  const [here, there, writer] = [server.connect(), server.connect(), server.connect()]
  await writer.ask('CONFIG SET notify-keyspace-events KA')
  await here.ask('PSUBSCRIBE __keyspace@0__:*')
  await there.ask('SELECT other', 'PSUBSCRIBE __keyspace@0__:*')
  await writer.ask('SET a 1', 'SET b 1', 'SET c 1', 'SET d 1')
  const names: string[] = []
  while (names.length < 4) names.push(...(await heard(here, '@0__:')))
  expect(names.sort()).toEqual(['a', 'b', 'c', 'd'].map((key) => `__keyspace@0__:${key} set`))
  await writer.ask('SELECT other', 'SET e 1')
  expect(await heard(there, '@0__:e')).toEqual(['__keyspace@0__:e set'])
  expect(here.received).toBe('')
})

test('many writes in one batch are told in order, and nothing is followed when nobody listens', async () => {
  const server = await start()
  const [listener, writer] = [server.connect(), server.connect()]
  await writer.ask('CONFIG SET notify-keyspace-events EA')
  await listener.ask('SUBSCRIBE __keyevent@0__:set')
  const keys = Array.from({ length: 2_000 }, (_, i) => `key:${i}`)
  await writer.ask(...keys.map((key) => `SET ${key} 1`))
  expect(await heard(listener, 'key:1999\r\n')).toEqual(keys.map((key) => `__keyevent@0__:set ${key}`))
  await listener.ask('UNSUBSCRIBE')
  const { notifications } = server.server
  expect((notifications as unknown as { followed: Map<string, unknown> }).followed.size).toBe(0)
})

test('shards that a database gets later are followed too', async () => {
  const server = await start()
  const [listener, cache, writer] = [server.connect(), server.connect(), server.connect()]
  await writer.ask('CONFIG SET notify-keyspace-events EA', 'SET begin 1')
  await listener.ask('SUBSCRIBE __keyevent@0__:set')
  await cache.ask('HELLO 3', 'CLIENT TRACKING ON BCAST')
  const { map } = await server.fabric.database('default')
  const plan = planResize(map, 2)
  const names = Array.from({ length: 100 }, (_, i) => `key:${i}`)
  const [stays, leaves] = [0, 1].map((shard) => names.find((name) => plan.map.shardOf(map.slotOf(name)) === shard))
  await server.fabric.move('default', () => plan)
  // The next commit where it was shows that it has grown.
  await writer.ask(`SET ${stays} 1`)
  while (!cache.received.includes('_\r\n')) await turn()
  for (let last = ''; !last.includes(`${leaves}`); ) {
    await writer.ask(`SET ${leaves} 1`)
    await turn()
    last = listener.received
  }
  while (!cache.received.includes(`${leaves}`)) await turn()
})
