/** ACL beyond one connection: what is kept, who is let in, and what a real server says of the same commands. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeClock, openFabric } from '@dotdo/core/host/node'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commandTable } from '../commands/table.ts'
import { categoriesOf, flagsOf } from '../commands/traits.ts'
import { redisProgram } from '../program.ts'
import { installedVersion, RealRedis } from '../real-redis.testing.ts'
import { createRedisServer } from '../server.ts'
import { openTestServer, type TestServer } from '../test-server.ts'
import { checkCommand } from './check.ts'
import { applyRule } from './rules.ts'
import { sha256 } from './sha256.ts'
import { newUser, type User } from './user.ts'

const version = installedVersion()

test('hashes as SHA-256 does', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 200 }), (text) => {
      expect(sha256(text)).toBe(createHash('sha256').update(Buffer.from(text, 'latin1')).digest('hex'))
    }),
  )
  expect(sha256('\xff'.repeat(1000))).toBe(createHash('sha256').update(Buffer.alloc(1000, 0xff)).digest('hex'))
})

test('a function of user, row and arguments tells what scripts may call', () => {
  const commands = { has: (name: string) => commandTable.has(name), isContainer: () => false }
  const user = ['+get', '~a:*'].reduce<User>((made, rule) => applyRule(made, rule, commands), newUser('u'))
  const ask = (...argv: string[]) => {
    const row = commandTable.get((argv[0] as string).toLowerCase())
    return row && checkCommand(user, row, argv)
  }
  expect(ask('GET', 'a:1')).toBe(undefined)
  expect(ask('GET', 'b')).toEqual({ reason: 'key', at: 1, object: 'b' })
  expect(ask('SET', 'a:1', 'x')).toEqual({ reason: 'command', at: 0, object: 'set' })
  expect(ask('MGET', 'a:1', 'b')).toEqual({ reason: 'command', at: 0, object: 'mget' })
})

const commandName = fc.constantFrom(
  'get',
  'set',
  'config',
  'config|get',
  'config|set',
  'select',
  'copy',
  'pfcount',
  'publish',
)
const category = fc.constantFrom(
  'read',
  'write',
  'string',
  'fast',
  'slow',
  'dangerous',
  'keyspace',
  'connection',
  'all',
)
const sign = fc.constantFrom('+', '-')
const pattern = fc.constantFrom('a*', 'b', '[ab]', '*')
const rule = fc.oneof(
  fc.tuple(sign, commandName).map(([s, n]) => `${s}${n}`),
  fc.tuple(sign, category).map(([s, c]) => `${s}@${c}`),
  fc.tuple(fc.constantFrom('~', '%R~', '%W~', '&'), pattern).map(([s, p]) => `${s}${p}`),
  fc.constantFrom('+select|1', 'resetkeys', 'resetchannels', '(+get ~b)', '(+@all %R~a* &x)', 'clearselectors'),
)
const asked = [
  'GET a',
  'GET b',
  'SET a 1',
  'SET a 1 GET',
  'COPY a b',
  'COPY b a',
  'STRLEN b',
  'CONFIG GET x',
  'DEL a b',
]
asked.push('CONFIG SET x 1', 'SELECT 1', 'SELECT 2', 'PFCOUNT a b', 'PUBLISH a 1', 'PUBLISH x 1', 'PSUBSCRIBE a*')
asked.push('BITFIELD a GET u8 0', 'BITFIELD a SET u8 0 1', 'MSET a 1 b 2', 'RENAME a b', 'PING', 'AUTH x', 'FLUSHALL')

// Where no redis-server is installed, the other tests still hold this server to what is written here.
describe.skipIf(version === undefined)(`beside Redis ${version}`, () => {
  let real: RealRedis
  beforeAll(async () => {
    real = await RealRedis.start()
  })
  afterAll(() => real.stop())

  test('every command has the categories and flags it has there', async () => {
    const wrong: unknown[] = []
    for (const row of commandTable.values()) {
      const [there] = (await real.run('COMMAND', 'INFO', row.name)) as unknown[][]
      // A newer one, or one that is a container here and there has its own row.
      if (!there) continue
      const simples = (at: number) =>
        (there[at] as { set: { simple: string }[] }).set.map(({ simple }) => simple).sort()
      const categories = categoriesOf(row).map((category) => `@${category}`)
      const ours = { name: row.name, categories: categories.sort(), flags: [...flagsOf(row)].sort() }
      const theirs = { name: row.name, categories: simples(6), flags: simples(2) }
      if (JSON.stringify(ours) !== JSON.stringify(theirs)) wrong.push({ ours, theirs })
    }
    expect(wrong).toEqual([])
  })

  test('random rules allow and deny the same', async () => {
    const server = await openTestServer()
    const client = server.connect()
    await client.ask('HELLO 3')
    const allows = async (run: (...argv: string[]) => Promise<unknown>) => {
      const allowed: string[] = []
      for (const line of asked) {
        const reply = await run('ACL', 'DRYRUN', 'u', ...line.split(' '))
        if (JSON.stringify(reply) === '{"simple":"OK"}') allowed.push(line)
      }
      return allowed
    }
    const property = fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 8 }), async (rules) => {
      const argv = ['ACL', 'SETUSER', 'u', 'reset', ...rules]
      // A refused rule leaves the user as it was, on both.
      expect(await client.run(...argv)).toEqual(await real.run(...argv))
      expect(await allows(client.run)).toEqual(await allows((...words) => real.run(...words)))
    })
    await fc.assert(property, { numRuns: 60 })
    await server.close()
  })

  test('every category lists the commands it lists there, of those that are here', async () => {
    for (const category of (await real.run('ACL', 'CAT')) as string[]) {
      const theirs = (await real.run('ACL', 'CAT', category)) as string[]
      const ours = [...commandTable.values()].filter((row) => categoriesOf(row).includes(category))
      const here = theirs.filter((name) => commandTable.has(name)).sort()
      const known = new Set((await real.run('COMMAND', 'LIST')) as string[])
      const listed = ours.map(({ name }) => name).filter((name) => known.has(name.split('|')[0] as string))
      const newer = listed.filter((name) => !theirs.includes(name))
      // Subcommands that came after the installed version.
      expect(
        newer.every((name) => name.includes('|')),
        `${category}: ${newer}`,
      ).toBe(true)
      expect(listed.filter((name) => !newer.includes(name)).sort(), category).toEqual(here)
    }
  })
})

describe('users', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await openTestServer()
  })
  afterAll(async () => {
    expect(server.bugs).toEqual([])
    await server.close()
  })

  test('outlive the server, their secrets as hashes alone', async () => {
    const admin = server.connect()
    await admin.ask('ACL SETUSER keep on >sesame ~k:* +@read', 'ACL SETUSER default -keys')
    const before = await admin.ask('ACL LIST')
    expect(before).not.toContain('sesame')
    const { fabric, clock, info } = server.server
    const second = createRedisServer({ fabric, clock, info })
    expect(second.access.ready).toBe(false)
    const later = connectTo(second)
    expect(await later('ACL LIST')).toBe(before)
    expect(await later('KEYS *')).toMatch(/^-NOPERM User default has no permissions to run the 'keys' command/)
    expect(await later('AUTH keep sesame', 'GET k:1', 'GET other')).toBe(
      '+OK\r\n$-1\r\n-NOPERM No permissions to access a key\r\n',
    )
    second.close()
    await admin.ask('ACL SETUSER default +@all', 'ACL DELUSER keep')
  })

  test('who are removed lose their connections; others notice a change at once', async () => {
    const admin = server.connect()
    const user = server.connect()
    await admin.ask('ACL SETUSER gone on >pw +@all ~*')
    expect(await user.ask('AUTH gone pw', 'SET a 1')).toBe('+OK\r\n+OK\r\n')
    await admin.ask('ACL SETUSER gone -set')
    expect(await user.ask('SET a 1')).toMatch(/^-NOPERM User gone /)
    expect(await user.ask('MULTI', 'GET a')).toBe('+OK\r\n+QUEUED\r\n')
    await admin.ask('ACL SETUSER gone -get')
    expect(await user.ask('EXEC')).toMatch(/^\*1\r\n-NOPERM ACLs rules changed between .* command or subcommand\r\n/)
    await admin.ask('ACL DELUSER gone')
    expect(user.closed).toBe(true)
    expect(await server.connect().ask('AUTH gone pw')).toMatch(/^-WRONGPASS /)
  })

  test('hear the channels they may, and lose the connection with the right to one', async () => {
    const admin = server.connect()
    await admin.ask(
      'ACL SETUSER ear on nopass +@pubsub +auth &news.* &chat',
      'ACL SETUSER mouth on nopass +publish &chat',
    )
    const ear = server.connect()
    expect(await ear.ask('AUTH ear x', 'SUBSCRIBE other')).toBe('+OK\r\n-NOPERM No permissions to access a channel\r\n')
    expect(await ear.ask('PSUBSCRIBE news.i*')).toMatch(/^-NOPERM /)
    expect(await ear.ask('SUBSCRIBE news.it', 'PSUBSCRIBE news.*')).toMatch(/:1\r\n[^-]*:2\r\n$/)
    const mouth = server.connect()
    expect(await mouth.ask('AUTH mouth x', 'PUBLISH chat 1', 'PUBLISH news.it 1')).toMatch(/^\+OK\r\n:0\r\n-NOPERM /)
    await admin.ask('ACL SETUSER ear +get')
    expect(ear.closed).toBe(false)
    await admin.ask('ACL SETUSER ear resetchannels &news.it')
    expect(ear.closed).toBe(true)
    await admin.ask('ACL DELUSER ear mouth')
  })

  test('may be told to come with a password', async () => {
    const admin = server.connect()
    await admin.ask('PING', 'ACL SETUSER default resetpass >open')
    const stranger = server.connect()
    expect(await stranger.ask('GET a')).toBe('-NOAUTH Authentication required.\r\n')
    expect(await stranger.ask('AUTH wrong', 'AUTH open', 'EXISTS none', 'RESET', 'GET a')).toMatch(
      /^-WRONGPASS .*\r\n\+OK\r\n:0\r\n\+RESET\r\n-NOAUTH /,
    )
    expect(await admin.ask('GET nothing')).toBe('$-1\r\n')
    await admin.ask('ACL SETUSER default nopass')
    expect(await server.connect().ask('EXISTS none')).toBe(':0\r\n')
  })

  test('changed by another server are noticed as soon as this one was told to look', async () => {
    const { fabric, clock, info } = server.server
    const other = createRedisServer({ fabric, clock, info, usersRefreshMs: 5000 })
    const ask = connectTo(other)
    const admin = server.connect()
    await admin.ask('ACL SETUSER far on nopass +@all ~*')
    expect(await ask('AUTH far x', 'EXISTS none')).toBe('+OK\r\n:0\r\n')
    await admin.ask('ACL SETUSER far -exists')
    expect(await ask('EXISTS none')).toBe(':0\r\n')
    server.nowMs += 5000
    expect(await ask('EXISTS none')).toMatch(/^-NOPERM /)
    await admin.ask('ACL DELUSER far')
    server.nowMs += 5000
    expect(await ask('FLUSHALL', 'PING')).toBe('')
    expect(other.sessions.size).toBe(0)
    other.close()
  })

  test('denials are in the log, equal ones once', async () => {
    const client = server.connect()
    await client.ask('HELLO 3', 'ACL SETUSER l on nopass +get ~a', 'ACL LOG RESET', 'AUTH l x')
    await client.ask('GET b', 'GET b', 'SET a 1', 'AUTH l2 wrong', 'AUTH default x')
    const entries = (await client.run('ACL', 'LOG')) as unknown as { map: [string, unknown][] }[]
    const shown = entries.map(({ map }) => {
      const { count, reason, context, object, username } = Object.fromEntries(map)
      return [count, reason, context, object, username]
    })
    expect(shown).toEqual([
      [1, 'auth', 'toplevel', 'AUTH', 'l2'],
      [1, 'command', 'toplevel', 'set', 'l'],
      [2, 'key', 'toplevel', 'b', 'l'],
    ])
    expect(await client.ask('ACL LOG RESET', 'ACL LOG', 'ACL DELUSER l')).toBe('+OK\r\n*0\r\n:1\r\n')
  })

  test('GENPASS makes passwords of as many bits as it is asked for, never the same', async () => {
    const client = server.connect()
    const make = async (...bits: string[]) => (await client.run('ACL', 'GENPASS', ...bits)) as string
    expect(await make()).toMatch(/^[0-9a-f]{64}$/)
    expect(await make('5')).toMatch(/^[0-9a-f]{2}$/)
    expect(await make()).not.toBe(await make())
  })
})

test('a server with a password keeps it until it is taken from default, which never goes without', async () => {
  const authenticate = (user: string, password: string) => user === 'default' && password === 'start'
  const server = await openTestServer({ authenticate })
  try {
    const client = server.connect()
    expect(await client.ask('GET a', 'AUTH start', 'EXISTS a')).toMatch(/^-NOAUTH .*\r\n\+OK\r\n:0\r\n/)
    expect(await client.ask('ACL SETUSER default nopass')).toMatch(/^-ERR the server was started with a password/)
    expect(await client.ask('ACL SETUSER default >more', 'ACL SETUSER other on >o +@all')).toBe('+OK\r\n+OK\r\n')
    expect(await server.connect().ask('GET a', 'AUTH start', 'AUTH more', 'AUTH other o', 'AUTH other start')).toMatch(
      /^-NOAUTH .*\r\n\+OK\r\n\+OK\r\n\+OK\r\n-WRONGPASS /,
    )
    await client.ask('ACL SETUSER default resetpass >last')
    expect(await server.connect().ask('AUTH start', 'AUTH last')).toMatch(/^-WRONGPASS .*\r\n\+OK\r\n/)
  } finally {
    await server.close()
  }
})

test('in process, whoever is no user is let in as before', async () => {
  const server = await openTestServer({ authenticate: 'any' })
  try {
    const client = server.connect()
    expect(await client.ask('AUTH anyone any', 'AUTH x', 'ACL SETUSER known on >pw +get ~*')).toBe(
      '+OK\r\n+OK\r\n+OK\r\n',
    )
    expect(await client.ask('AUTH anyone any', 'SET a 1', 'AUTH known no', 'AUTH known pw', 'SET a 1')).toMatch(
      /^\+OK\r\n\+OK\r\n-WRONGPASS .*\r\n\+OK\r\n-NOPERM /,
    )
  } finally {
    await server.close()
  }
})

test('users survive a restart of the host, in a database of many shards too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-acl-'))
  const defaults = { count: 3, partitioner: 'crc16' } as const
  const info = { version: '0', runId: '0'.repeat(40), durability: 'full', startedMs: 0 } as const
  const open = async () => {
    const fabric = await openFabric({ data: folder, programs: [redisProgram], durability: 'full', defaults })
    const server = createRedisServer({ fabric, clock: nodeClock, info })
    return { fabric, ask: connectTo(server) }
  }
  const first = await open()
  const rules =
    'on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b %R~a:* resetchannels &n.* -@all +@read'
  const selector = '(%W~b:* resetchannels -@all +set)'
  // A description may say more than it must, and names may be any bytes.
  expect(await first.ask('ACL SETUSER all on nopass +get %R~* %W~* ~a "~\\xc3\\xa0"')).toBe('+OK\r\n')
  expect(await first.ask('ACL SETUSER all "(~a) ~b)"')).toMatch(/^-ERR Error in ACL SETUSER modifier/)
  expect(await first.ask(`ACL SETUSER "caf\xe9" ${rules} ${selector}`)).toBe('+OK\r\n')
  const listed = await first.ask('ACL LIST')
  expect(listed).toContain(`user caf\xe9 ${rules} ${selector}\r\n`)
  await first.fabric.close()
  const second = await open()
  expect(await second.ask('ACL LIST')).toContain(`user caf\xe9 ${rules} ${selector}\r\n`)
  expect(await second.ask('AUTH all x', 'GET any')).toBe('+OK\r\n$-1\r\n')
  expect(await second.ask('AUTH "caf\xe9" secret', 'GET a:1', 'SET b:1 x', 'SET a:1 x', 'GET b:1')).toMatch(
    /^\+OK\r\n\$-1\r\n\+OK\r\n-NOPERM No .* a key\r\n-NOPERM No .* a key\r\n$/,
  )
  await second.fabric.close()
  rmSync(folder, { recursive: true })
})

/** Connect to another server over the same fabric. @returns what asks it */
function connectTo(second: ReturnType<typeof createRedisServer>) {
  let received = ''
  const session = second.connect({
    address: '127.0.0.1:1',
    write: (bytes) => {
      received += Buffer.from(bytes).toString('latin1')
    },
    close: () => undefined,
    abort: () => undefined,
    queuedBytes: () => 0,
  })
  return async (...lines: string[]) => {
    received = ''
    session.receive(Buffer.from(lines.map((line) => `${line}\r\n`).join(''), 'latin1'))
    await session.busy
    return received
  }
}
