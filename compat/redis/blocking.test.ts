import { planResize } from '@dotdo/core/shard'
import { afterEach, expect, test } from 'vitest'
import type { Command } from './command.ts'
import { twoKeys } from './commands/rows.ts'
import { findKey, probeKey, putString, removeKey, wrongType } from './engine/keys.ts'
import { readValue } from './engine/values.ts'
import { openTestServer, type TestClient, type TestServer, type TestServerOptions } from './test-server.ts'

/** Takes a string away: what BLPOP is to lists. TAKE key [key ...] timeout */
const take: Command = {
  name: 'take',
  arity: -3,
  keys: { first: 1, last: -2, step: 1 },
  mode: 'write',
  since: '1.0.0',
  group: 'test',
  summary: 'Takes the first string that there is.',
  block: { timeoutAt: -1, unit: 'seconds' },
  run(tx, argv, { db }) {
    for (const key of argv.slice(1, -1)) {
      const row = findKey(tx, db, key)
      if (row === undefined) continue
      if (row.type !== 'string') throw wrongType()
      const value = readValue(tx, row)
      removeKey(tx, row)
      return [key, value]
    }
    return { wouldBlock: { nilArray: true } }
  },
}

/** Moves a string to another key: what BLMOVE is to lists. SHIFT from to timeout */
const shift: Command = {
  ...take,
  name: 'shift',
  arity: 4,
  keys: twoKeys,
  block: { timeoutAt: 3, unit: 'seconds', keys: () => [1] },
  run(tx, [, from = '', to = ''], { db }) {
    const row = findKey(tx, db, from)
    if (row === undefined) return { wouldBlock: null }
    const value = readValue(tx, row)
    removeKey(tx, row)
    const probe = probeKey(db, to)
    putString(tx, probe, findKey(tx, db, to), value)
    return value
  },
}

/** Answers the first value that differs from what it was at first, like `$` of XREAD. NEWS key timeout */
const news: Command = {
  ...take,
  name: 'news',
  mode: 'read',
  block: { timeoutAt: 2, unit: 'ms' },
  keys: { first: 1, last: 1, step: 1 },
  run(tx, argv, { db }) {
    const row = findKey(tx, db, argv[1] as string)
    const value = row === undefined ? '' : readValue(tx, row)
    const known = argv[3] ?? value
    return known === value ? { wouldBlock: null, argv: [...argv.slice(0, 3), known] } : value
  },
}

const open: TestServer[] = []
async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await openTestServer({ extra: [take, shift, news], ...options })
  open.push(server)
  return server
}

afterEach(async () => {
  const bugs = open.flatMap((server) => server.bugs)
  await Promise.all(open.splice(0).map((server) => server.close()))
  expect(bugs).toEqual([])
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Wait until something holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

/** Send a request, and wait until its client waits for a key. */
async function park(client: TestClient, line: string): Promise<void> {
  client.send(`${line}\r\n`)
  await until(() => client.session.parked !== undefined)
}

async function read(client: TestClient): Promise<string> {
  await until(() => client.received !== '')
  const { received } = client
  client.received = ''
  return received
}

const took = (key: string, value: string) => `*2\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`

test('a command waits until another connection writes its key', async () => {
  const server = await start()
  const [waiter, other] = [server.connect(), server.connect()]
  await park(waiter, 'TAKE a b 0')
  expect(await other.ask('INFO clients')).toContain('blocked_clients:1')
  expect(await other.ask(`CLIENT LIST ID ${waiter.session.state.id}`)).toContain('flags=b')
  expect(await other.ask('SET c 1', 'SET b 2', 'GET b')).toBe('+OK\r\n+OK\r\n$1\r\n2\r\n')
  expect(await read(waiter)).toBe(took('b', '2'))
  expect(await other.ask('EXISTS b', 'INFO clients')).toMatch(/^:0[\s\S]*blocked_clients:0/)
})

test('what is there is taken at once; the requests before and after keep their places', async () => {
  const server = await start()
  const [waiter, other] = [server.connect(), server.connect()]
  expect(await waiter.ask('SET a 1', 'TAKE a 0', 'PING')).toBe(`+OK\r\n${took('a', '1')}+PONG\r\n`)
  await park(waiter, 'SET x 1\r\nTAKE a 0\r\nGET x')
  expect(await read(waiter)).toBe('+OK\r\n')
  await other.ask('SET a 2')
  await waiter.session.busy
  expect(waiter.received).toBe(`${took('a', '2')}$1\r\n1\r\n`)
})

test('who has waited longest is served first, and one write wakes as many as it serves', async () => {
  const server = await start()
  const clients = Array.from({ length: 6 }, () => server.connect())
  for (const [i, client] of clients.entries()) await park(client, i % 2 === 0 ? 'TAKE a b 0' : 'TAKE a 0')
  const other = server.connect()
  for (const [i, client] of clients.entries()) {
    await other.ask(`SET a ${i}`)
    expect(await read(client)).toBe(took('a', `${i}`))
    await until(() => server.server.waiters.size === 5 - i)
  }
})

test('one that comes while others wait goes behind them', async () => {
  const server = await start()
  const [first, second, other] = [server.connect(), server.connect(), server.connect()]
  await park(first, 'TAKE a 0')
  // The write and the second client's command are on their way together.
  other.send('SET a 1\r\n')
  second.send('TAKE a 0\r\n')
  expect(await read(first)).toBe(took('a', '1'))
  await until(() => second.session.parked !== undefined)
  await other.ask('SET a 2')
  expect(await read(second)).toBe(took('a', '2'))
})

test('EXEC, expiry, renaming and emptying wake as any write does', async () => {
  const server = await start()
  const [waiter, other] = [server.connect(), server.connect()]
  await park(waiter, 'TAKE a 0')
  await other.ask('MULTI', 'SET a 1', 'SET b 2', 'EXEC')
  expect(await read(waiter)).toBe(took('a', '1'))
  await park(waiter, 'TAKE a 0')
  await other.ask('RENAME b a')
  expect(await read(waiter)).toBe(took('a', '2'))
  await other.ask('SET n 1 PX 20')
  await park(waiter, 'NEWS n 0')
  expect(await read(waiter)).toBe('$0\r\n\r\n')
  await other.ask('SET n 1')
  await park(waiter, 'NEWS n 0')
  await other.ask('FLUSHALL')
  expect(await read(waiter)).toBe('$0\r\n\r\n')
})

test('a wait that moves a value on wakes the next one', async () => {
  const server = await start()
  const [one, two, three, other] = [server.connect(), server.connect(), server.connect(), server.connect()]
  await park(one, 'SHIFT a b 0')
  await park(two, 'SHIFT b c 0')
  await park(three, 'TAKE c 0')
  await other.ask('SET a v')
  expect(await read(three)).toBe(took('c', 'v'))
  expect(one.received + two.received).toBe('$1\r\nv\r\n$1\r\nv\r\n')
})

test('a key of another type does not end the wait; databases are apart', async () => {
  const server = await start()
  const [waiter, other] = [server.connect(), server.connect()]
  await park(waiter, 'TAKE a 0')
  await other.ask('HSET a f v', 'SELECT 1', 'SET a 1', 'SELECT other', 'SET a 2', 'SELECT default', 'SET b 1', 'GET b')
  expect(waiter.received).toBe('')
  await other.ask('SET a 3')
  expect(await read(waiter)).toBe(took('a', '3'))
  expect(await other.ask('HSET a f v', 'TAKE a 0')).toMatch(/^:1\r\n-WRONGTYPE/)
})

test('time-outs', async () => {
  const server = await start()
  const client = server.connect()
  const began = Date.now()
  expect(await client.ask('TAKE a 0.02', 'SHIFT a b 0.01', 'NEWS a 10')).toBe('*-1\r\n$-1\r\n$-1\r\n')
  expect(Date.now() - began).toBeGreaterThanOrEqual(39)
  expect(await client.ask('TAKE a x', 'TAKE a -1', 'TAKE a 1e300', 'NEWS a 1.5', 'NEWS a -1')).toBe(
    [
      '-ERR timeout is not a float or out of range',
      '-ERR timeout is negative',
      '-ERR timeout is out of range',
      '-ERR timeout is not an integer or out of range',
      '-ERR timeout is negative',
      '',
    ].join('\r\n'),
  )
  expect(server.server.waiters.size).toBe(0)
})

test('inside MULTI nothing waits', async () => {
  const client = (await start()).connect()
  const replies = await client.ask('MULTI', 'TAKE a 0', 'SET a 1', 'TAKE a 0', 'TAKE a x', 'EXEC')
  const refused = '-ERR timeout is not a float or out of range\r\n'
  expect(replies).toBe(`+OK\r\n${'+QUEUED\r\n'.repeat(4)}*4\r\n*-1\r\n+OK\r\n${took('a', '1')}${refused}`)
})

test('CLIENT UNBLOCK, CLIENT KILL and a client that leaves', async () => {
  const server = await start()
  const [waiter, gone, other] = [server.connect(), server.connect(), server.connect()]
  const { id } = waiter.session.state
  await park(waiter, 'TAKE a 0')
  expect(await other.ask(`CLIENT UNBLOCK ${id}`)).toBe(':1\r\n')
  expect(await read(waiter)).toBe('*-1\r\n')
  await park(waiter, 'TAKE a 0')
  expect(await other.ask(`CLIENT UNBLOCK ${id} ERROR`, `CLIENT UNBLOCK ${id} TIMEOUT`)).toBe(':1\r\n:0\r\n')
  expect(await read(waiter)).toBe('-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n')
  await park(gone, 'TAKE a 0\r\nSET gone 1')
  await park(waiter, 'TAKE a 0')
  expect(await other.ask(`CLIENT KILL ID ${gone.session.state.id}`)).toBe(':1\r\n')
  await until(() => server.server.waiters.size === 1)
  await other.ask('SET a 1')
  expect(await read(waiter)).toBe(took('a', '1'))
  await park(waiter, 'TAKE a 0')
  waiter.session.finish()
  expect(waiter.closed).toBe(true)
  expect(await other.ask('SET a 2', 'GET a', 'EXISTS gone')).toBe('+OK\r\n$1\r\n2\r\n:0\r\n')
  expect(server.server.waiters.size).toBe(0)
})

test('over several shards the keys live in one slot', async () => {
  const server = await start({ shards: 4 })
  const [waiter, other] = [server.connect(), server.connect()]
  expect(await waiter.ask('TAKE a b 0')).toMatch(/^-CROSSSLOT/)
  await park(waiter, 'TAKE {x}a {x}b 0')
  await other.ask('SET a 1', 'SET b 1', 'SET {x}b 2')
  expect(await read(waiter)).toBe(took('{x}b', '2'))
})

test('a wait goes on when its keys move to another shard', async () => {
  const server = await start()
  const [waiter, other] = [server.connect(), server.connect()]
  await other.ask('SET begin 1')
  const { map } = await server.fabric.database('default')
  const plan = planResize(map, 2)
  const names = Array.from({ length: 100 }, (_, i) => `key:${i}`)
  const leaves = names.find((name) => plan.map.shardOf(map.slotOf(name)) === 1) as string
  const stays = names.find((name) => plan.map.shardOf(map.slotOf(name)) === 0) as string
  await park(waiter, `TAKE ${leaves} 0`)
  await server.fabric.move('default', () => plan)
  // The next commit where it was shows that it has moved.
  await other.ask(`SET ${stays} 1`)
  await turn()
  await other.ask(`SET ${leaves} 2`)
  expect(await read(waiter)).toBe(took(leaves, '2'))
})

test('one that comes while others wait is answered for itself', async () => {
  const server = await start()
  const [waiter, second, other] = [server.connect(), server.connect(), server.connect()]
  await park(waiter, 'TAKE a 0')
  expect(await second.ask('TAKE a 0.01', 'TAKE a b 0.01')).toBe('*-1\r\n*-1\r\n')
  await other.ask('HSET a f v')
  expect(await second.ask('TAKE a 0')).toMatch(/^-WRONGTYPE/)
  expect(server.server.waiters.size).toBe(1)
})

test('many waits on many keys under many writes lose nothing', async () => {
  const server = await start()
  const clients = Array.from({ length: 20 }, () => server.connect())
  const writer = server.connect()
  for (const [i, client] of clients.entries()) client.send(`TAKE q${i % 5} 0\r\n`.repeat(20))
  for (let i = 0; i < 400; i++) {
    // One value a key at a time: a string holds one.
    const key = `q${i % 5}`
    while ((await writer.ask(`SETNX ${key} ${i}`)) === ':0\r\n') await turn()
  }
  await Promise.all(clients.map(({ session }) => session.busy))
  const values = clients.flatMap(({ received }) =>
    [...received.matchAll(/\$\d+\r\n(\d+)\r\n/g)].map(([, n]) => Number(n)),
  )
  expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, i) => i))
})
