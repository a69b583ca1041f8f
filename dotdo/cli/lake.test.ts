/** The built server and commands: rows written through Redis, tiered, asked for with SQL, over restarts and kills. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { startTestS3, type TestS3 } from '../../test/s3/server.ts'
import { mainPath, runDotdo, type ServeOptions, type ServeProcess, startServe } from '../testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let servers: ServeProcess[]
let stores: TestS3[]
const path = (name: string) => join(folder.path, name)

beforeEach(() => {
  folder = temporaryFolder()
  servers = []
  stores = []
})

afterEach(async () => {
  for (const { child, pid } of servers)
    if (child.exitCode === null && child.signalCode === null) process.kill(pid, 'SIGKILL')
  await Promise.all(servers.map(({ ended }) => ended))
  await Promise.all(stores.map((store) => store.close()))
  folder.remove()
})

async function serve(args: readonly string[] = [], options: Partial<ServeOptions> = {}): Promise<ServeProcess> {
  const all = ['--redis', '0', '--http', '0', '--data', path('data'), '--log-level', 'warn', ...args]
  const server = await startServe({ args: all, readyFile: path(`ready-${servers.length}.json`), ...options })
  servers.push(server)
  return server
}

/** Have one server for the tests of a group; the key `a` of its database `default` is 1. */
function sharedServer(): () => ServeProcess {
  let own: ReturnType<typeof temporaryFolder>
  let server: ServeProcess
  beforeAll(async () => {
    own = temporaryFolder()
    const args = ['--redis', '0', '--http', '0', '--data', join(own.path, 'data'), '--log-level', 'warn']
    server = await startServe({ args, readyFile: join(own.path, 'ready.json') })
    await server.redis('SET a 1\r\n')
  })
  afterAll(async () => {
    await server.stop()
    own.remove()
  })
  return () => server
}

const urlOf = (server: ServeProcess) => `http://127.0.0.1:${server.port('http')}`
const dotdo = (server: ServeProcess, ...args: string[]) => runDotdo(args, { DOTDO_URL: urlOf(server) })

/** Run SQL by the command. */
function sql(server: ServeProcess, text: string, ...more: string[]): unknown[][] {
  const { status, stdout, stderr } = dotdo(server, 'sql', '--json', text, ...more)
  expect([status, stderr.replace(/ in .*\n$/, '')]).toEqual([0, expect.stringMatching(/^\d+ rows?$/)])
  return (JSON.parse(stdout) as { rows: unknown[][] }).rows
}

/** Change the tiering by the command. @returns the state */
function tier(server: ServeProcess, ...args: string[]) {
  const { status, stdout, stderr } = dotdo(server, 'tier', ...args, '--json')
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as { tables: { table: string; snapshotId?: string; rows: number; dataFiles: number }[] }
}

const tableOf = (status: ReturnType<typeof tier>, name: string) => status.tables.find(({ table }) => table === name)

const everything = 'select key, value from keys order by key'

describe.each([
  ['on the main thread', ['--threads', '0']],
  ['on worker threads', ['--threads', '2']],
])('a lake with shards %s', (_, threads) => {
  // A dozen processes, one after the other.
  it('takes rows in, and gives them back over a kill', { timeout: 90_000 }, async () => {
    const first = await serve(['--shards', '3', ...threads])
    await first.redis('MSET a 1 b 2 c 3\r\n')
    tier(first, 'set', 'default', 'keys', '--max-hot-rows', '0')
    const flushed = tier(first, 'flush', 'default')
    const { snapshotId } = tableOf(flushed, 'keys') ?? {}
    expect(tableOf(flushed, 'keys')?.rows).toBe(3)
    await first.redis('SET a 9\r\nDEL b\r\nSET d 4\r\n')
    const now = [
      ['a', '9'],
      ['c', '3'],
      ['d', '4'],
    ]
    expect(sql(first, everything)).toEqual(now)
    await first.stop('SIGKILL')
    const second = await serve(['--shards', '3', ...threads])
    expect(sql(second, everything)).toEqual(now)
    expect(sql(second, everything, '--as-of', String(snapshotId))).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ])
    // Payloads leave with the commit, and come back for whoever reads them.
    tier(second, 'flush', 'default')
    expect(await second.redis('MGET a b c d\r\n')).toBe('*4\r\n$1\r\n9\r\n$-1\r\n$1\r\n3\r\n$1\r\n4\r\n')
    expect(await second.stop()).toBe(0)
  })
})

describe('dotdo tier', () => {
  const shared = sharedServer()

  it('shows what there is', async () => {
    const server = await serve()
    await server.redis('SET a 1\r\n')
    expect(dotdo(server, 'tier', 'status', 'default').stdout).toBe(
      'tiering of default is running\n\nNo collection has a policy; `dotdo tier set` gives it one.\n',
    )
    const options = [
      '--hot-for',
      '7d',
      '--max-hot-bytes',
      '1mb',
      '--flush-every',
      '1h',
      '--flush-bytes',
      '1mb',
      '--no-changes',
    ]
    dotdo(server, 'tier', 'set', 'default', 'keys', ...options)
    const { stdout } = dotdo(server, 'tier', 'flush', 'default')
    expect(stdout).toContain('  keys        newest rows, hotFor 7d, maxHotBytes 1mb, flushEvery 1h, flushBytes 1mb\n')
    expect(stdout).toMatch(/\n {2}table +rows +files +size +committed +not yet there +hot payloads +cold payloads\n/)
    expect(stdout).toMatch(/\n {2}keys +1 +1 +\d.* KB +[\d,]+ (ms|seconds) ago +none +1 \(1 byte\) +0/)
    await server.redis('SET b 1\r\n')
    expect(dotdo(server, 'tier', 'status', 'default').stdout).toMatch(/ago +1 changes, for [\d,]+ (ms|seconds)/)
    expect(dotdo(server, 'tier', 'pause', 'default').stdout).toContain('tiering of default is paused')
    expect(dotdo(server, 'tier', 'resume', 'default').stdout).toContain('is running')
    expect(dotdo(server, 'tier', 'remove', 'default', 'keys').stdout).toContain('No collection has a policy')
  })

  it('does the rest of what can be asked', { timeout: 90_000 }, async () => {
    const server = await serve()
    await server.redis('SET a 1\r\n')
    tier(server, 'set', 'default', 'keys', '--no-mirror')
    expect(tier(server, 'flush', 'default').tables.map(({ table }) => table)).not.toContain('keys')
    tier(server, 'set', 'default', 'keys')
    tier(server, 'flush', 'default')
    expect(tableOf(tier(server, 'backfill', 'default', 'keys'), 'keys')).toMatchObject({ rows: 1 })
    for (const table of ['keys', 'changes']) {
      tier(server, 'compact', 'default', table)
      tier(server, 'maintain', 'default', table)
    }
    expect(sql(server, 'select id, op from changes')).toEqual([['a', 'put']])
  })

  it.each([
    [['status', 'none'], 1, 'dotdo: no database none\n'],
    [['set', 'default', 'keys', '--hot-for', 'soon'], 2, /^dotdo: hotFor "soon" is no duration/],
    [['set', 'default', 'keys', '--cold-after', '1d'], 2, 'dotdo: --cold-after and --cold-store go together\n'],
    [
      ['set', 'default', 'keys', '--cold-after', '1d', '--cold-store', 'x'],
      2,
      /no archive of this lake: none is set up/,
    ],
    [['set', 'default', 'keys', '--max-hot-rows', 'few'], 2, 'dotdo: --max-hot-rows: few is not a whole number\n'],
    [['remove', 'default', 'keys'], 1, /^dotdo: .*keys.* has no policy/],
    [['polish', 'default'], 2, /unknown command 'polish'/],
  ])('refuses %j', (args, code, said) => {
    const { status, stderr } = dotdo(shared(), 'tier', ...args)
    expect([status, stderr]).toEqual([code, typeof said === 'string' ? said : expect.stringMatching(said)])
  })
})

describe('dotdo sql', () => {
  const shared = sharedServer()

  it('runs a query, a script, and what it is piped', () => {
    const server = shared()
    const { status, stdout, stderr } = dotdo(server, 'sql', 'select key, value from keys')
    expect([status, stdout]).toEqual([0, ' key │ value\n─────┼───────\n a   │ 1\n'])
    expect(stderr).toMatch(/^1 row in [\d,]+ ms · 1 row from 1 shard\n$/)
    const env = { ...process.env, DOTDO_URL: urlOf(server) }
    const input = "select 1 as one;\nselect ';' as two -- ; \n; select 3 as three"
    const piped = spawnSync(process.execPath, [mainPath, 'sql', '--format', 'csv', '--no-timing'], {
      env,
      input,
      encoding: 'utf8',
    })
    expect([piped.stdout, piped.stderr]).toEqual(['one\r\n1\r\ntwo\r\n;\r\nthree\r\n3\r\n', ''])
    expect(dotdo(server, 'sql', '--format', 'markdown', '--no-timing', 'select 1 as a; select 2 as b').stdout).toBe(
      '| a |\n| ---: |\n| 1 |\n| b |\n| ---: |\n| 2 |\n',
    )
  })

  it('binds parameters, explains, and looks into other databases', async () => {
    const server = shared()
    await server.redis('SELECT shop\r\nSET a 1\r\n')
    expect(sql(server, 'select $1 as a, $2 as b, $3 as c', '--param', '7', 'x', '"8"')).toEqual([[7, 'x', '8']])
    expect(sql(server, 'select key from keys', '--database', 'shop')).toEqual([['a']])
    expect(sql(server, 'select key from shop.keys')).toEqual([['a']])
    expect(dotdo(server, 'sql', '--explain', '--database', 'shop', 'select key from keys').stdout).toContain('shard')
  })

  it.each([
    [['sql', 'selct 1'], 2, /^dotdo: .*selct.* \(line 1, column 1\)\n$/],
    [['sql', 'select * from nothing'], 1, /^dotdo: .*nothing/],
    [['sql', ''], 2, 'dotdo: there is no SQL to run\n'],
    [['sql', '--format', 'xml', 'select 1'], 2, /^dotdo: option '--format <format>' argument 'xml' is invalid/],
    [['sql', '--as-of', '2026-13-01', 'select 1'], 2, /2026-13-01 is no time/],
  ])('%j is refused in one line', (args, code, said) => {
    const { status, stdout, stderr } = dotdo(shared(), ...args)
    expect([status, stdout]).toEqual([code, ''])
    expect(stderr).toEqual(typeof said === 'string' ? said : expect.stringMatching(said))
    expect(stderr.trimEnd()).not.toContain('\n')
  })

  it('finds the server by its ready file', async () => {
    const server = await serve()
    const env = { DOTDO_READY_FILE: path('ready-0.json') }
    expect(runDotdo(['sql', '--no-timing', '--format', 'ndjson', 'select 1 as a'], env).stdout).toBe('{"a":1}\n')
    expect(runDotdo(['status'], env).stdout).toContain(`at ${urlOf(server)}: ok`)
  })

  it('asks with a password, and says so when it is missing', async () => {
    const server = await serve(['--password', 'p'])
    const env = { DOTDO_URL: urlOf(server) }
    expect(runDotdo(['sql', 'select 1'], env)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('--password'),
    })
    expect(runDotdo(['sql', '--no-timing', '--format', 'csv', 'select 1 as a', '--password', 'p'], env).stdout).toBe(
      'a\r\n1\r\n',
    )
  })

  it('ends the query when whoever reads has enough', async () => {
    const server = shared()
    const env = { ...process.env, DOTDO_URL: urlOf(server) }
    const child = spawn(process.execPath, [mainPath, 'sql', '--format', 'csv', 'select * from range(1000000000)'], {
      env,
    })
    await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
    child.stdout.destroy()
    await new Promise<void>((resolve) => child.once('close', () => resolve()))
    await expect
      .poll(async () => (await server.get('/metrics')).text(), { timeout: 10_000 })
      .toMatch(/dotdo_sql_queries_total\{outcome="abandoned"\} 1/)
  })
})

describe('an option of dotdo serve', () => {
  const startS3 = async () => {
    const store = await startTestS3()
    stores.push(store)
    return store
  }
  const keysOf = ({ credentials }: TestS3) => ({
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_REGION: credentials.region,
  })

  it('--lake says where cold rows go', async () => {
    const server = await serve(['--lake', path('cold')])
    await server.redis('SET a 1\r\n')
    tier(server, 'set', 'default', 'keys')
    tier(server, 'flush', 'default')
    expect(readdirSync(path('cold/default@/keys/data')).length).toBeGreaterThan(0)
    expect(existsSync(path('data/lake'))).toBe(false)
  })

  it('--lake off has none, and SQL sees what is hot', async () => {
    const server = await serve(['--lake', 'off'])
    await server.redis('SET a 1\r\n')
    expect(sql(server, everything)).toEqual([['a', '1']])
    expect(dotdo(server, 'tier', 'status', 'default')).toMatchObject({ status: 1 })
    expect((await server.get('/iceberg/v1/config')).status).toBe(404)
  })

  /** Ask over HTTP: a command would be waited for, and the store of the test is in this process. */
  const ask = async (server: ServeProcess, method: string, where: string, body: unknown) => {
    const headers = { Authorization: 'Bearer tok', 'Content-Type': 'application/json' }
    const response = await server.get(where, {
      method,
      headers,
      ...(method !== 'GET' && { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as { rows?: unknown; overrides?: unknown }
    expect([response.status, answer]).toEqual([200, expect.anything()])
    return answer
  }

  it('--lake may be in S3, where others find the tables through the catalog of a server', async () => {
    const store = await startS3()
    const env = keysOf(store)
    const shared = ['--lake', `s3://${store.bucketName}/my/lake`, '--lake-endpoint', store.url]
    const first = await serve(['--password', 'tok', ...shared], { env })
    await first.redis('AUTH tok\r\nSET a 1\r\n')
    await ask(first, 'PUT', '/databases/default/tier/keys', {})
    await ask(first, 'POST', '/databases/default/tier/flush', {})
    expect(store.seen.some(({ key }) => /^my\/lake\/default@\/keys\/data\/.*\.parquet$/.test(key ?? ''))).toBe(true)
    const { overrides } = await ask(first, 'GET', '/iceberg/v1/config', undefined)
    expect(overrides).toEqual({
      's3.endpoint': store.url,
      's3.path-style-access': 'true',
      's3.region': store.credentials.region,
      'client.region': store.credentials.region,
    })
    const catalog = ['--catalog', `${urlOf(first)}/iceberg`, '--catalog-token', 'tok', '--data', path('other')]
    const second = await serve([...shared, ...catalog], { env })
    await second.redis('SELECT copy\r\nSET b 2\r\n')
    // The database is not one of its own; the table of the first is found in the catalog.
    const question = { sql: 'select key, value from "default".keys', database: 'copy', asOf: 'main' }
    expect((await ask(second, 'POST', '/sql', question)).rows).toEqual([['a', '1']])
  })

  it('--stores are what policies name', async () => {
    const server = await serve(['--stores', `attic=${path('attic')}`])
    await server.redis('SET a 1\r\n')
    tier(server, 'set', 'default', 'keys', '--cold-after', '1d', '--cold-store', 'attic')
    expect(existsSync(path('attic'))).toBe(true)
    expect(dotdo(server, 'tier', 'status', 'default').stdout).toContain('to attic after 1d')
  })

  it('--stores may come from the file, in S3 and of another class', async () => {
    const store = await startS3()
    const attic = { location: `s3://${store.bucketName}/attic`, endpoint: store.url, storageClass: 'GLACIER_IR' }
    writeFileSync(path('dotdo.json'), JSON.stringify({ stores: { attic } }))
    const server = await serve(['--config', path('dotdo.json')], { env: keysOf(store) })
    await server.redis('SET a 1\r\n')
    await ask(server, 'PUT', '/databases/default/tier/keys', { cold: { after: '1d', store: 'attic' } })
  })

  it('--sql-memory bounds queries', async () => {
    const server = await serve(['--sql-memory', '32mb'])
    const big = "select list(i || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxx') from range(3000000) t(i)"
    expect(dotdo(server, 'sql', big)).toMatchObject({ status: 1, stderr: expect.stringMatching(/memory/i) })
    expect(sql(server, 'select 1')).toEqual([[1]])
  })

  // Where a process shows its threads as files.
  it.skipIf(!existsSync('/proc/self/task'))('--sql-threads is how many threads SQL has', async () => {
    const threads = async (count: number) => {
      const server = await serve(['--sql-threads', String(count), '--data', path(`data-${count}`)])
      sql(server, 'select count(*) from range(1000000)')
      return readdirSync(`/proc/${server.pid}/task`).length
    }
    const one = await threads(1)
    expect(await threads(6)).toBe(one + 5)
  })

  it.each([
    [['--lake', 's3://b'], 'dotdo: s3://b wants credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n'],
    [['--lake', 'gs://b'], 'dotdo: gs://b is neither a folder nor s3://bucket/prefix\n'],
  ])('%j is refused', (args, said) => {
    const env = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }
    expect(runDotdo(['serve', '--data', path('data'), ...args], env)).toEqual({ status: 2, stdout: '', stderr: said })
  })

  it('--lake of another server is refused, and so is its data folder', async () => {
    await serve(['--lake', path('cold')])
    const twice = (...args: string[]) => runDotdo(['serve', '--redis', '0', '--http', '0', ...args]).stderr
    expect(twice('--data', path('other'), '--lake', path('cold'))).toBe(
      `dotdo: ${path('cold')} is in use by another process; choose another folder with --lake\n`,
    )
    expect(twice('--data', path('data'), '--lake', path('warm'))).toBe(
      `dotdo: ${path('data')} is in use by another process; choose another folder with --data\n`,
    )
  })
})

it('counts what the lake and SQL do', async () => {
  const server = await serve()
  await server.redis('SET a 1\r\n')
  tier(server, 'set', 'default', 'keys')
  tier(server, 'flush', 'default')
  sql(server, everything)
  await server.redis('SET b 1\r\n')
  const text = await (await server.get('/metrics')).text()
  expect(text).toMatch(/^dotdo_tier_events_total\{kind="committed"\} [1-9]/m)
  expect(text).toMatch(/^dotdo_tier_rows_total\{kind="flushed"\} [1-9]/m)
  expect(text).toMatch(/^dotdo_lake_lag_changes\{database="default",table="keys"\} 1$/m)
  expect(text).toMatch(/^dotdo_lake_data_files\{database="default",table="keys"\} 1$/m)
  expect(text).toMatch(/^dotdo_lake_rows\{database="default",table="keys"\} 1$/m)
  expect(text).toMatch(/^dotdo_store_requests_total\{store="lake",kind="put"\} [1-9]/m)
  expect(text).toMatch(/^dotdo_store_bytes_total\{store="lake",direction="written"\} [1-9]/m)
  expect(text).toMatch(/^dotdo_sql_queries_total\{outcome="ok"\} 1$/m)
  expect(text).toMatch(/^dotdo_sql_rows_total 1$/m)
})
