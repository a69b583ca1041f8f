/** Connections that watch others, or hold them up: CLIENT TRACKING, MONITOR and CLIENT PAUSE, by us and by Redis. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { openTestServer, type TestServer, type TestServerOptions } from './test-server.ts'
import { list, push, type Wire, type Wires, wiresOf, wiresTo } from './wire.testing.ts'

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

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Open a connection that speaks RESP3. */
async function third(open: () => Promise<Wire>): Promise<{ wire: Wire; id: number }> {
  const wire = await open()
  wire.send('HELLO 3', 'CLIENT ID')
  let text = ''
  while (!/\r\n:\d+\r\n$/.test(text) || !text.includes('modules')) text += await wire.read(1)
  return { wire, id: Number(/:(\d+)\r\n$/.exec(text)?.[1]) }
}

const invalid = (...keys: string[]) => `>2\r\n$10\r\ninvalidate\r\n${list(...keys)}`
const refusals: readonly (readonly [request: string, error: string])[] = [
  ['CLIENT TRACKING maybe', 'syntax error'],
  ['CLIENT TRACKING ON PREFIX a', 'PREFIX option requires BCAST mode to be enabled'],
  ['CLIENT TRACKING ON OPTIN OPTOUT', "You can't specify both OPTIN mode and OPTOUT mode"],
  ['CLIENT TRACKING ON BCAST OPTIN', 'OPTIN and OPTOUT are not compatible with BCAST'],
  ['CLIENT TRACKING ON REDIRECT 999', 'The client ID you want redirect to does not exist'],
  ['CLIENT TRACKING ON REDIRECT x', 'value is not an integer or out of range'],
  [
    'CLIENT TRACKING ON BCAST PREFIX ab PREFIX a',
    "Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
  ],
  [
    'CLIENT CACHING YES',
    'CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
  ],
  ['CLIENT PAUSE x', 'timeout is not an integer or out of range'],
  ['CLIENT PAUSE 10 SOME', 'CLIENT PAUSE mode must be WRITE or ALL'],
]

const scenarios: readonly Scenario[] = [
  {
    name: 'tracking: what was read is told once',
    async run(open) {
      const { wire: a } = await third(open)
      const b = await open()
      await ask(a, 'CLIENT TRACKING ON', '+OK\r\n')
      await ask(a, 'CLIENT GETREDIR', ':0\r\n')
      await ask(a, 'GET k', '_\r\n')
      await ask(a, 'MGET x y', '*2\r\n_\r\n_\r\n')
      await ask(b, 'SET k 1', '+OK\r\n')
      await hears(a, invalid('k'))
      await ask(b, 'SET k 2', '+OK\r\n')
      await ask(b, 'SET y 1', '+OK\r\n')
      await hears(a, invalid('y'))
      await ask(a, 'MULTI\r\nHGET h f\r\nEXEC', '+OK\r\n+QUEUED\r\n*1\r\n_\r\n')
      await ask(b, 'HSET h f 1', ':1\r\n')
      await hears(a, invalid('h'))
      await ask(a, 'GET e', '_\r\n')
      await ask(b, 'FLUSHALL', '+OK\r\n')
      await hears(a, '>2\r\n$10\r\ninvalidate\r\n_\r\n')
      await ask(a, 'GET k', '_\r\n')
      await ask(a, 'CLIENT TRACKING OFF', '+OK\r\n')
      await ask(b, 'SET k 3', '+OK\r\n')
      await ask(a, 'CLIENT GETREDIR', ':-1\r\n')
    },
  },
  {
    name: 'tracking: OPTIN, OPTOUT and CACHING',
    async run(open) {
      const { wire: a } = await third(open)
      const b = await open()
      await ask(a, 'CLIENT TRACKING ON OPTIN', '+OK\r\n')
      await ask(a, 'GET no', '_\r\n')
      await ask(a, 'CLIENT CACHING YES', '+OK\r\n')
      await ask(a, 'GET yes', '_\r\n')
      await ask(a, 'GET no2', '_\r\n')
      await ask(
        a,
        'CLIENT CACHING NO',
        '-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.\r\n',
      )
      await ask(b, 'MSET no 1 no2 1 yes 1', '+OK\r\n')
      await hears(a, invalid('yes'))
      await ask(a, 'CLIENT TRACKING OFF', '+OK\r\n')
      await ask(a, 'CLIENT TRACKING ON OPTOUT', '+OK\r\n')
      const info =
        '%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$6\r\noptout\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n'
      await ask(a, 'CLIENT TRACKINGINFO', info)
      await ask(a, 'CLIENT CACHING NO', '+OK\r\n')
      await ask(a, 'GET no', '$1\r\n1\r\n')
      await ask(a, 'GET yes', '$1\r\n1\r\n')
      await ask(b, 'MSET no 2 yes 2', '+OK\r\n')
      await hears(a, invalid('yes'))
    },
  },
  {
    name: 'tracking: BCAST with prefixes',
    async run(open) {
      const { wire: a } = await third(open)
      const b = await open()
      await ask(a, 'CLIENT TRACKING ON BCAST PREFIX user: PREFIX item:', '+OK\r\n')
      await ask(b, 'SET other 1', '+OK\r\n')
      await ask(b, 'SET user:1 1', '+OK\r\n')
      await hears(a, invalid('user:1'))
      await ask(b, 'SET item:1 1', '+OK\r\n')
      await hears(a, invalid('item:1'))
      const mode = 'before disabling tracking for this client, and then re-enabling it with a different mode.'
      await ask(a, 'CLIENT TRACKING ON', `-ERR You can't switch BCAST mode on/off ${mode}\r\n`)
    },
  },
  {
    name: 'tracking: RESP2 by REDIRECT',
    async run(open) {
      const [a, b, c] = [await open(), await open(), await open()]
      b.send('CLIENT ID')
      let text = ''
      while (!text.endsWith('\r\n')) text += await b.read(1)
      const id = text.slice(1, -2)
      await ask(b, 'SUBSCRIBE __redis__:invalidate', list('subscribe', '__redis__:invalidate', 1))
      await ask(a, `CLIENT TRACKING ON REDIRECT ${id}`, '+OK\r\n')
      await ask(a, 'CLIENT GETREDIR', `:${id}\r\n`)
      await ask(a, 'GET k', '$-1\r\n')
      await ask(c, 'SET k 1', '+OK\r\n')
      await hears(b, `*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n${list('k')}`)
    },
  },
  {
    name: 'refusals',
    async run(open) {
      const { wire } = await third(open)
      for (const [request, error] of refusals) await ask(wire, request, `-ERR ${error}\r\n`)
    },
  },
  {
    name: 'MONITOR shows requests, MULTI when it is run, no secrets',
    async run(open) {
      const [a, b] = [await open(), await open()]
      await ask(a, 'MONITOR', '+OK\r\n')
      await ask(b, 'SET k "a\\x00\\n\\"\\\\b"', '+OK\r\n')
      b.send('CONFIG GET port', 'AUTH secret', 'HELLO 2 AUTH default secret', 'SELECT 3', 'MULTI', 'INCR n', 'EXEC')
      b.send('PING last')
      let text = ''
      while (!text.endsWith('"last"\r\n')) text += await a.read(1)
      const shown = text.replace(/\+\d+\.\d{6} \[(\d) [\d.:]+\] /g, '$1 ').split('\r\n')
      // Redis shows the database after SELECT, we before.
      expect(shown.filter((line) => !line.includes('"SELECT"'))).toEqual([
        '0 "SET" "k" "a\\x00\\n\\"\\\\b"',
        '0 "AUTH" "(redacted)"',
        '0 "HELLO" "2" "AUTH" "(redacted)" "(redacted)"',
        '3 "MULTI"',
        '3 "INCR" "n"',
        '3 "EXEC"',
        '3 "PING" "last"',
        '',
      ])
      await ask(a, 'RESET', '+RESET\r\n')
      b.send('PING')
      await pause(10)
      expect(a.rest()).not.toContain('PING')
    },
  },
  {
    name: 'CLIENT PAUSE holds writes, or all, until it is over',
    async run(open) {
      const [a, b] = [await open(), await open()]
      await ask(a, 'CLIENT PAUSE 100000 WRITE', '+OK\r\n')
      await ask(b, 'GET k', '$-1\r\n')
      b.send('SET k 1', 'GET k')
      await pause(20)
      expect(b.rest()).toBe('')
      await ask(a, 'GET k', '$-1\r\n')
      await ask(a, 'CLIENT UNPAUSE', '+OK\r\n')
      await hears(b, '+OK\r\n$1\r\n1\r\n')
      const began = performance.now()
      await ask(a, 'CLIENT PAUSE 60', '+OK\r\n')
      await ask(b, 'GET k', '$1\r\n1\r\n')
      expect(performance.now() - began).toBeGreaterThan(50)
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

describe('by us', () => {
  test.each(scenarios)('$name', async ({ run }) => {
    const wires = wiresOf(await start())
    await run(() => wires.open())
  })
})

describe(version === undefined ? 'no redis-server is installed' : `by Redis ${version}`, () => {
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
  })
})

test('NOLOOP is refused; the numbered database does not matter, the fabric database does', async () => {
  const server = await start()
  const [a, b] = [server.connect(), server.connect()]
  expect(await a.ask('CLIENT TRACKING ON NOLOOP')).toMatch(/^-ERR NOLOOP is not supported/)
  await a.ask('HELLO 3', 'CLIENT TRACKING ON', 'GET k')
  expect(await a.ask('SELECT other')).toMatch(/^-ERR SELECT of another database by name is not allowed/)
  expect(await b.ask('SELECT other', 'SET k 1', 'SELECT default', 'SELECT 2')).toBe('+OK\r\n'.repeat(4))
  expect(a.received).toBe('')
  await b.ask('SET k 1')
  while (a.received === '') await pause(1)
  expect(a.received).toBe(invalid('k'))
  expect(await b.ask(`CLIENT LIST ID ${a.session.state.id}`)).toContain('flags=t')
})

test('a change between a read and its reply is told after the reply, over every shard, by expiry too', async () => {
  const server = await start({ shards: 3 })
  const [a, b] = [server.connect(), server.connect()]
  await a.ask('HELLO 3', 'CLIENT TRACKING ON')
  const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`)
  for (let round = 0; round < 5; round++) {
    a.received = ''
    a.send(keys.map((key) => `GET ${key}\r\n`).join(''))
    b.send(keys.map((key) => `SET ${key} ${round}\r\n`).join(''))
    await Promise.all([a.session.busy, b.session.busy])
    // Whatever was read before its change is told, behind its reply.
    const stale = () => {
      const replies = [
        ...a.received.matchAll(/(_\r\n|\$1\r\n(\d)\r\n)|>2\r\n\$10\r\ninvalidate\r\n\*1\r\n\$\d+\r\n(key:\d+)\r\n/g),
      ]
      const cache = new Map<string, string>()
      let at = 0
      for (const [, reply, value, key] of replies) {
        if (key !== undefined) cache.delete(key)
        else if (reply !== undefined) cache.set(keys[at++] as string, value ?? 'nil')
      }
      return [...cache].filter(([, value]) => value !== `${round}`)
    }
    while (stale().length > 0) await pause(1)
  }
  await b.ask('SET gone 1 PX 100')
  // The write before the read may be told behind it; what is read after that is gone only.
  for (let told = ''; !told.includes('_\r\n'); await pause(1)) {
    told = await a.ask('GET gone')
    while (told.includes('$1\r\n1') && !told.includes('invalidate')) {
      await pause(1)
      told += a.received
      a.received = ''
    }
  }
  a.session.end()
  expect((server.server.tracking as unknown as { open: Map<string, unknown> }).open.size).toBe(0)
})

test('a client that is paused and leaves, or is killed, does nothing more', async () => {
  const server = await start()
  const [a, b, c] = [server.connect(), server.connect(), server.connect()]
  await a.ask('CLIENT PAUSE 100000 WRITE')
  b.send('SET k 1\r\n')
  c.send('SELECT other\r\nSET k 1\r\n')
  await c.session.busy
  expect(c.received).toBe('+OK\r\n+OK\r\n')
  while (b.session.parked === undefined) await pause(1)
  b.session.finish()
  await b.session.busy
  expect(await a.ask('CLIENT UNPAUSE', 'GET k')).toBe('+OK\r\n$-1\r\n')
})

test('MONITOR shows no other database of the fabric', async () => {
  const server = await start()
  const [a, b] = [server.connect(), server.connect()]
  await a.ask('MONITOR')
  await b.ask('SELECT other', 'GET secret')
  expect(a.received).toContain('"SELECT" "other"')
  expect(a.received).not.toContain('secret')
  expect(await b.ask(`CLIENT LIST ID ${a.session.state.id}`)).toContain('flags=O')
  expect(push('x')).toBe('>1\r\n$1\r\nx\r\n')
})
