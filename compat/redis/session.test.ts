import { Failure } from '@dotdo/core/errors'
import { REDIS_BATCH_COMMANDS_MAX, REDIS_QUEUED_INPUT_BYTES } from '@dotdo/core/limits'
import { crc16Slot } from '@dotdo/core/shard'
import { afterEach, expect, test } from 'vitest'
import { openTestServer, type TestServer } from './test-server.ts'

const open: TestServer[] = []
async function start(options: Parameters<typeof openTestServer>[0] = {}): Promise<TestServer> {
  const server = await openTestServer(options)
  open.push(server)
  return server
}

afterEach(async () => {
  const bugs = open.flatMap((server) => server.bugs)
  await Promise.all(open.splice(0).map((server) => server.close()))
  expect(bugs).toEqual([])
})

const lines = (...texts: string[]) => texts.map((text) => `${text}\r\n`).join('')
const CROSSSLOT = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"

test('commands that arrive together are answered together, in order', async () => {
  const client = (await start()).connect()
  const many = Array.from({ length: 30 }, (_, i) => [`SET key:${i} ${i}`, 'PING', `GET key:${i}`]).flat()
  const replies = Array.from({ length: 30 }, (_, i) => lines('+OK', '+PONG', `$${`${i}`.length}`, `${i}`)).join('')
  expect(await client.ask(...many)).toBe(replies)
  expect(client.writes).toBe(1)
})

test('chunks that come in one turn are all answered, without another to wake the session', async () => {
  const client = (await start()).connect()
  for (let i = 0; i < 5; i++) client.send('PING\r\n')
  await client.session.busy
  expect(client.received).toBe('+PONG\r\n'.repeat(5))
})

test('a large pipeline runs in batches, each written before the next is planned', async () => {
  const client = (await start()).connect()
  const many = Array.from({ length: 3_500 }, (_, i) => `INCRBY counter ${i}`)
  let sum = 0
  const replies = many.map((_, i) => {
    sum += i
    return `:${sum}\r\n`
  })
  expect(await client.ask(...many)).toBe(replies.join(''))
  // 100, 200, 400, 800, 1000 and 1000.
  expect(client.writes).toBe(6)
})

test('large replies make the next batches small', async () => {
  const client = (await start()).connect()
  const value = 'x'.repeat(200_000)
  client.send(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n${value}\r\n`)
  await client.ask(...Array.from({ length: 20 }, () => 'GET k'))
  const before = client.writes
  const replies = await client.ask(...Array.from({ length: 20 }, () => 'GET k'))
  expect(replies.length).toBe(20 * '$200000\r\n\r\n'.length + 20 * 200_000)
  // Five of them are a megabyte.
  expect(client.writes - before).toBeGreaterThanOrEqual(4)
  await client.ask(...Array.from({ length: 3_000 }, () => 'PING'))
  const pings = client.writes
  await client.ask(...Array.from({ length: 1_000 }, () => 'PING'))
  expect(client.writes - pings).toBe(1)
})

test('chunks that arrive while others run wait, and the transport is told when to stop reading', async () => {
  const client = (await start()).connect()
  const value = 'x'.repeat(600_000)
  const set = (key: string) => Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\n${key}\r\n$600000\r\n${value}\r\n`)
  expect(client.session.receive(set('a'))).toBe(undefined)
  expect(client.session.receive(set('b'))).toBe(undefined)
  const busy = client.session.receive(set('c'))
  expect(busy).toBeInstanceOf(Promise)
  await busy
  expect(client.received).toBe(lines('+OK', '+OK', '+OK'))
  expect(client.session.receive(Buffer.from('PING\r\n'))).toBe(undefined)
})

test('a client that does not read its replies is cut off', async () => {
  const { server, ...test } = await start()
  const client = test.connect()
  client.queuedBytes = 256 * 1024 * 1024 + 1
  await client.ask('PING')
  expect(client.closed).toBe(true)
  expect(server.sessions.size).toBe(0)
})

test('clients that send a byte at a time hold no more than what they sent, up to the bound of a request', async () => {
  const client = (await start()).connect()
  const { session } = client
  const request = `*2\r\n$4\r\nECHO\r\n$2000\r\n${'x'.repeat(2000)}\r\n`
  for (const [at, byte] of [...Buffer.from(request)].entries()) {
    session.receive(Uint8Array.of(byte))
    // Bytes are taken out of their chunks turn by turn: nothing stays but what the decoder waits with.
    if (at % 100 === 99) await session.busy
    expect(session.queuedInputBytes).toBeLessThanOrEqual(at + 1)
  }
  await session.busy
  expect(client.received).toBe(`$2000\r\n${'x'.repeat(2000)}\r\n`)
  expect(session.queuedInputBytes).toBe(0)
  // A line without an end is cut off at its bound.
  const inline = (await start()).connect()
  for (let sent = 0; sent <= 80 * 1024 && !inline.closed; sent += 1024) {
    inline.send('x'.repeat(1024))
    await inline.session.busy
  }
  expect(inline.closed).toBe(true)
  expect(inline.received).toBe(lines('-ERR Protocol error: too big inline request'))
})

test('a client that never reads makes its requests wait, not its replies pile up', async () => {
  const client = (await start()).connect()
  const { session } = client
  await client.ask(`SET big ${'x'.repeat(60_000)}`)
  let written = 0
  const { write } = session.transport
  session.transport.write = (bytes) => {
    written += bytes.length
    write(bytes)
  }
  // A socket whose buffer is full, for ever.
  session.transport.drained = () => (written > 0 ? new Promise(() => {}) : undefined)
  let told: Promise<void> | undefined
  let sent = 0
  while (told === undefined && sent < 4 * 1024 * 1024) {
    const request = 'GET big\r\n'.repeat(1000)
    sent += request.length
    told = session.receive(Buffer.from(request))
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  // The transport was told to read no more, and what was answered is one batch.
  expect(told).toBeInstanceOf(Promise)
  expect(session.queuedInputBytes).toBeLessThan(REDIS_QUEUED_INPUT_BYTES + 20_000)
  expect(written).toBeLessThan(REDIS_BATCH_COMMANDS_MAX * 60_100)
})

test('replies wait for a transport that says it is full', async () => {
  const client = (await start()).connect()
  let release = () => {}
  const full = new Promise<void>((resolve) => {
    release = resolve
  })
  // The first command waits for the users to be read.
  await client.ask('PING')
  client.session.transport.drained = () => full
  client.send('PING\r\n')
  client.send('PING\r\n')
  expect(client.received).toBe('+PONG\r\n')
  client.session.transport.drained = () => undefined
  release()
  await client.session.busy
  expect(client.received).toBe('+PONG\r\n+PONG\r\n')
})

test('nothing is answered to a client that has gone, and what it sent is done', async () => {
  const { connect } = await start()
  const [first, second] = [connect(), connect()]
  await first.ask('PING')
  first.send('SET gone 1\r\n')
  first.session.end()
  await first.session.busy
  expect(first.received).toBe('')
  expect(await second.ask('GET gone')).toBe(lines('$1', '1'))
})

test('where a password is asked for, strangers may do nothing else', async () => {
  const authenticate = (user: string, password: string) => user === 'ann' && password === 'wörd'
  const { connect } = await start({ authenticate })
  const client = connect()
  const [noauth, wrong] = [
    '-NOAUTH Authentication required.',
    '-WRONGPASS invalid username-password pair or user is disabled.',
  ]
  const utf8 = Buffer.from('wörd').toString('latin1')
  expect(await client.ask('GET a', 'NOPE', 'AUTH ann x', 'AUTH wrong', 'HELLO 3 AUTH ann x', 'PING')).toBe(
    lines(noauth, "-ERR unknown command 'NOPE', with args beginning with: ", wrong, wrong, wrong, noauth),
  )
  expect(await client.ask('HELLO 3')).toMatch(/^-NOAUTH HELLO must be called with the client already authenticated/)
  expect(await client.ask(`AUTH ann ${utf8}`, 'SET a 1', 'CLIENT LIST')).toMatch(/^\+OK\r\n\+OK\r\n.*user=ann /s)
  expect(await client.ask('RESET', 'GET a')).toBe(lines('+RESET', noauth))
  const large = `*2\r\n$4\r\nECHO\r\n$20000\r\n${'x'.repeat(20_000)}\r\n`
  client.send(large)
  await client.session.busy
  expect(client.received).toBe(lines('-ERR Protocol error: unauthenticated bulk length'))
  const other = connect()
  other.send(`AUTH ann ${utf8}\r\n${large}`)
  await other.session.busy
  expect(other.received).toMatch(/^\+OK\r\n\$20000\r\n/)
})

test('over several shards, keys of one command must live in one slot unless it can be cut', async () => {
  const client = (await start({ shards: 4 })).connect()
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
  expect(await client.ask(`MSET ${keys.map((key) => `${key} v-${key}`).join(' ')}`)).toBe('+OK\r\n')
  const values = keys.map((key) => `$${key.length + 2}\r\nv-${key}\r\n`).join('')
  expect(await client.ask(`MGET ${keys.join(' ')} none`)).toBe(`*41\r\n${values}$-1\r\n`)
  expect(await client.ask(`EXISTS ${keys.join(' ')} k1 none`, 'DBSIZE')).toBe(lines(':41', ':40'))
  expect(await client.ask('MSETNX a 1 b 2', 'MSETNX {x}a 1 {x}b 2', 'RENAME a b', 'MGET {x}a {x}b')).toBe(
    lines(
      "-CROSSSLOT Keys in request don't hash to the same slot",
      ':1',
      "-CROSSSLOT Keys in request don't hash to the same slot",
      '*2',
      '$1',
      '1',
      '$1',
      '2',
    ),
  )
  expect(await client.ask(`DEL ${keys.join(' ')} {x}a {x}b`, 'DBSIZE', 'RANDOMKEY')).toBe(lines(':42', ':0', '$-1'))
  expect(await client.ask('MSET a 1 b')).toBe(lines("-ERR wrong number of arguments for 'mset' command"))
})

test('SCAN walks all shards with a cursor that any client can carry', async () => {
  const client = (await start({ shards: 5 })).connect()
  const keys = Array.from({ length: 300 }, (_, i) => `scan:${i}`)
  await client.ask(`MSET ${keys.map((key) => `${key} 1`).join(' ')}`)
  const found: string[] = []
  let cursor = '0'
  do {
    const reply = await client.ask(`SCAN ${cursor} COUNT 20`)
    const [, , next = '', , ...rest] = reply.split('\r\n')
    expect(BigInt(next) < 2n ** 64n).toBe(true)
    found.push(...rest.filter((text) => text.startsWith('scan:')))
    cursor = next
  } while (cursor !== '0')
  expect(found.sort()).toEqual([...keys].sort())
  expect(await client.ask('SCAN x', 'SCAN 18446744073709551616', 'SCAN 1023')).toBe(
    lines('-ERR invalid cursor', '-ERR invalid cursor', '*2', '$1', '0', '*0'),
  )
})

test('over several shards, a transaction lives in one slot', async () => {
  const { connect } = await start({ shards: 4 })
  const client = connect()
  expect(crc16Slot('a')).not.toBe(crc16Slot('b'))
  expect(await client.ask('MULTI', 'SET a 1', 'SET b 1', 'EXEC', 'EXISTS a b')).toBe(
    lines('+OK', '+QUEUED', '+QUEUED') + CROSSSLOT + lines(':0'),
  )
  expect(await client.ask('MULTI', 'SET {t}a 1', 'SET {t}b 1', 'EXEC', 'DEL {t}a {t}b')).toBe(
    lines('+OK', '+QUEUED', '+QUEUED', '*2', '+OK', '+OK', ':2'),
  )
  expect(await client.ask('MULTI', 'DBSIZE', 'EXEC')).toBe(lines('+OK', '+QUEUED') + CROSSSLOT)
  expect(await client.ask('WATCH a', 'WATCH b', 'WATCH a c')).toBe(lines('+OK') + CROSSSLOT + CROSSSLOT)
  expect(await client.ask('MULTI', 'SET b 1', 'EXEC', 'GET b')).toBe(lines('+OK', '+QUEUED') + CROSSSLOT + lines('$-1'))
  expect(await client.ask('WATCH {t}w', 'SET {t}w 1', 'MULTI', 'SET {t}x 1', 'EXEC')).toBe(
    lines('+OK', '+OK', '+OK', '+QUEUED', '*-1'),
  )
})

test('SCAN, KEYS and DBSIZE inside MULTI where there is one shard', async () => {
  const client = (await start()).connect()
  await client.ask('SET a 1')
  expect(await client.ask('MULTI', 'SCAN 0', 'KEYS *', 'DBSIZE', 'SCAN 1', 'EXEC')).toBe(
    lines('+OK', '+QUEUED', '+QUEUED', '+QUEUED', '+QUEUED', '*4') +
      lines('*2', '$1', '0', '*1', '$1', 'a', '*1', '$1', 'a', ':1', '*2', '$1', '0', '*0'),
  )
})

test("another client's write makes EXEC answer nil, whether it came in one chunk or in two", async () => {
  const { connect } = await start()
  const [ann, bob] = [connect(), connect()]
  expect(await ann.ask('WATCH a')).toBe('+OK\r\n')
  await bob.ask('SET a 1')
  expect(await ann.ask('MULTI', 'SET a 2', 'PING', 'EXEC', 'GET a')).toBe(
    lines('+OK', '+QUEUED', '+QUEUED', '*-1', '$1', '1'),
  )
  expect(await ann.ask('WATCH a', 'MULTI', 'INCR a', 'EXEC', 'WATCH a', 'MULTI', 'INCR a', 'EXEC')).toBe(
    lines('+OK', '+OK', '+QUEUED', '*1', ':2', '+OK', '+OK', '+QUEUED', '*1', ':3'),
  )
})

test('SELECT by name goes over to another database of the fabric', async () => {
  const { connect } = await start()
  const client = connect()
  expect(await client.ask('SET k default', 'SELECT agent-42', 'GET k', 'SET k agent', 'SELECT 1', 'GET k')).toBe(
    lines('+OK', '+OK', '$-1', '+OK', '+OK', '$-1'),
  )
  expect(await client.ask('SELECT 0', 'GET k', 'SELECT default', 'GET k', 'SELECT agent-42', 'RESET', 'GET k')).toBe(
    lines('+OK', '$5', 'agent', '+OK', '$7', 'default', '+OK', '+RESET', '$7', 'default'),
  )
  const refused = '-ERR SELECT of another database by name is not allowed inside MULTI or while keys are watched'
  expect(await client.ask('WATCH k', 'SELECT agent-42', 'UNWATCH')).toBe(lines('+OK', refused, '+OK'))
  expect(await client.ask('SELECT dotdo.catalog', 'GET k')).toMatch(/^-ERR bad database name .*\r\n\$7\r\ndefault\r\n$/)
})

test('a database whose keys live elsewhere than Redis puts them is refused', async () => {
  const { connect, fabric } = await start()
  await fabric.create('typed', { partitioner: 'murmur3' })
  expect(await connect().ask('SELECT typed', 'PING')).toMatch(
    /^-ERR database typed is sharded by hash of typed keys.*\+PONG/s,
  )
})

test('when the fabric fails, commands fail and the connection goes on', async () => {
  const { server, connect } = await start()
  let broken = true
  const { fabric } = server
  const flaky = {
    database: (name: string) => (broken ? Promise.reject(new Failure('storage', 'disk full')) : fabric.database(name)),
  }
  Object.assign(server, { fabric: flaky })
  const client = connect()
  expect(await client.ask('PING', 'GET a', 'MULTI', 'GET a', 'EXEC')).toBe(
    lines('+PONG', '-MISCONF disk full', '+OK', '+QUEUED', '-MISCONF disk full'),
  )
  broken = false
  expect(await client.ask('GET a')).toBe(lines('$-1'))
})

test('MULTI holds so much and no more', async () => {
  const client = (await start()).connect()
  const value = 'x'.repeat(16 * 1024 * 1024)
  const set = `*3\r\n$3\r\nSET\r\n$1\r\na\r\n$${value.length}\r\n${value}\r\n`
  await client.ask('MULTI')
  for (let i = 0; i < 4; i++) client.send(set)
  expect(await client.ask('EXEC')).toBe(
    lines('+QUEUED', '+QUEUED', '+QUEUED') +
      lines('-ERR MULTI holds more than 67108864 bytes of commands') +
      lines('-EXECABORT Transaction discarded because of previous errors.'),
  )
})

test('CLIENT LIST, INFO and KILL tell and end connections', async () => {
  const { server, connect, ...test } = await start()
  const [ann, bob] = [connect(), connect()]
  await ann.ask('HELLO 3 SETNAME ann', 'CLIENT SETINFO LIB-NAME lib', 'CLIENT NO-TOUCH on', 'SELECT 3')
  await bob.ask('MULTI', 'GET a')
  Object.assign(open[0] as TestServer, { nowMs: (open[0] as TestServer).nowMs + 5_000 })
  const list = await bob.ask('RESET', 'MULTI', 'GET a', 'GET b', 'DISCARD', 'CLIENT LIST')
  expect(list).toContain('id=1 addr=127.0.0.1:40000 laddr=127.0.0.1:6379 name=ann age=5 idle=5 flags=T db=3 ')
  expect(list).toContain('cmd=select user=default redir=-1 resp=3 lib-name=lib lib-ver= database=default\n')
  expect(list).toContain('id=2 addr=127.0.0.1:40001 ')
  expect(await bob.ask('CLIENT LIST ID 2 99', 'CLIENT ID')).toMatch(/^\$\d+\r\nid=2 [^\n]*\n\r\n:2\r\n$/)
  expect(await bob.ask('CLIENT KILL ID 1', 'CLIENT KILL TYPE normal', 'CLIENT KILL 127.0.0.1:40000')).toBe(
    lines(':1', ':0', '-ERR No such client'),
  )
  expect([ann.closed, bob.closed, server.sessions.size]).toEqual([true, false, 1])
  expect(await bob.ask('CLIENT KILL ADDR 127.0.0.1:40001 SKIPME no', 'PING')).toBe(lines(':1'))
  expect([bob.closed, server.sessions.size]).toEqual([true, 0])
  expect(test.bugs).toEqual([])
})

test('INFO says what is known, and counts keys when it is asked to', async () => {
  const { connect } = await start({ shards: 3 })
  const client = connect()
  await client.ask('MSET a 1 b 2 c 3', 'SELECT 2', 'SET d 1 EX 100', 'SELECT 0', 'GET')
  const info = await client.ask('INFO')
  expect(info).toMatch(/^\$\d+\r\n# Server\r\nredis_version:7\.2\.0\r\n/)
  for (const line of ['loading:0', 'role:master', 'connected_clients:1', 'total_error_replies:1', 'run_id:0000']) {
    expect(info).toContain(`\r\n${line}`)
  }
  expect(info).not.toContain('# Keyspace')
  expect(await client.ask('INFO keyspace')).toBe(
    lines('$56', '# Keyspace', 'db0:keys=3,expires=0', 'db2:keys=1,expires=1', ''),
  )
  expect(await client.ask('INFO nothing')).toBe(lines('$0', ''))
  const all = await client.ask('HELLO 3', 'INFO all', 'CONFIG RESETSTAT', 'INFO stats')
  expect(all).toMatch(/=\d+\r\ntxt:# Server.*# Keyspace\r\ndb0:keys=3,expires=0.*total_error_replies:0/s)
})

test('COMMAND tells of every command in the table', async () => {
  const { connect, server } = await start()
  const client = connect()
  const count = [...server.commands.rows.keys()].filter((name) => !name.includes('|')).length
  expect(await client.ask('COMMAND COUNT')).toBe(`:${count}\r\n`)
  expect(await client.ask('COMMAND')).toMatch(new RegExp(`^\\*${count}\r\n\\*10\r\n`))
  expect(await client.ask('COMMAND INFO mset')).toContain(
    lines('$4', 'mset', ':-3', '*2', '+write', '+denyoom', ':1', ':-1', ':2', '*3', '+@write', '+@string', '+@slow'),
  )
  expect(await client.ask('COMMAND DOCS get nope')).toContain(lines('$7', 'summary'))
  expect(await client.ask('COMMAND GETKEYSANDFLAGS mset a 1 b 2')).toBe(
    lines('*2', '*2', '$1', 'a', '*2', '+OW', '+update', '*2', '$1', 'b', '*2', '+OW', '+update'),
  )
  expect(await client.ask('CLIENT HELP')).toContain('+SETNAME\r\n+    Sets the connection name.\r\n')
  expect(await client.ask('TIME')).toBe(lines('*2', '$10', '1800000000', '$1', '0'))
})

test('CLUSTER tells of one node that serves every slot, at the address it was reached by', async () => {
  const { connect } = await start({ shards: 4 })
  const client = connect()
  const id = '0'.repeat(40)
  expect(await client.ask('CLUSTER SLOTS')).toBe(
    lines('*1', '*4', ':0', ':16383', '*4', '$9', '127.0.0.1', ':6379', '$40', id, '*0').replace('*4', '*3'),
  )
  expect(await client.ask('CLUSTER INFO')).toContain('cluster_state:ok\r\n')
  expect(await client.ask('CLUSTER KEYSLOT {a}b', 'CLUSTER KEYSLOT a', 'CLUSTER MYID')).toBe(
    lines(':15495', ':15495', '$40', id),
  )
  expect(await client.ask('CLUSTER NODES')).toContain(
    `${id} 127.0.0.1:6379@0 myself,master - 0 0 1 connected 0-16383\n`,
  )
})
