import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { runDotdo, type ServeOptions, type ServeProcess, startServe } from '../testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let servers: ServeProcess[]
const path = (name: string) => join(folder.path, name)
const has = (command: string) => spawnSync('which', [command]).status === 0

beforeEach(() => {
  folder = temporaryFolder()
  servers = []
})

afterEach(async () => {
  for (const { child, pid } of servers)
    if (child.exitCode === null && child.signalCode === null) process.kill(pid, 'SIGKILL')
  await Promise.all(servers.map(({ ended }) => ended))
  folder.remove()
})

const free = ['--redis', '0', '--http', '0']

async function serve(args: readonly string[] = [], options: Partial<ServeOptions> = {}): Promise<ServeProcess> {
  const all = [...free, '--data', path('data'), ...args]
  const server = await startServe({ args: all, readyFile: path('ready.json'), ...options })
  servers.push(server)
  return server
}

/** Ask with the second client there is. */
function redisCli(server: ServeProcess, ...args: string[]): string {
  const { stdout, stderr } = spawnSync('redis-cli', ['-p', String(server.port('redis')), ...args], { encoding: 'utf8' })
  return stdout + stderr
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const lines = (server: ServeProcess) => server.output().trim().split('\n').filter(Boolean)

describe('dotdo serve', () => {
  it('says where it listens, in the ready file and in the log', async () => {
    const server = await serve()
    const { ready, pid } = server
    expect(ready).toEqual({
      pid: server.child.pid,
      redis: { port: expect.any(Number) },
      http: { port: expect.any(Number) },
    })
    expect(readdirSync(folder.path).sort()).toEqual(['data', 'ready.json'])
    // The line follows the ready file.
    await expect.poll(() => lines(server).length).toBe(1)
    expect(lines(server).map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        msg: 'listening',
        pid,
        host: '127.0.0.1',
        redis: ready.redis,
        http: ready.http,
        data: path('data'),
      }),
    ])
  })

  it('keeps data over a restart, for another client', async () => {
    const first = await serve()
    expect(await first.redis('SET k v\r\nHSET h f 1\r\n')).toBe('+OK\r\n:1\r\n')
    expect(await first.stop()).toBe(0)
    const second = await serve()
    expect(await second.redis('GET k\r\nHGET h f\r\n')).toBe('$1\r\nv\r\n$1\r\n1\r\n')
  })

  // The second client is a program of its own, which not every machine has.
  it.skipIf(!has('redis-cli'))('serves redis-cli', async () => {
    const server = await serve()
    expect(redisCli(server, 'SET', 'greeting', 'hello')).toBe('OK\n')
    expect(redisCli(server, '-3', 'HSET', 'h', 'a', '1', 'b', '2')).toBe('2\n')
    await server.stop()
    expect(redisCli(await serve(), 'GET', 'greeting')).toBe('hello\n')
  })

  it('loses nothing it acknowledged when it is killed, and starts again over what is left', async () => {
    const first = await serve()
    const socket = connect(first.port('redis'), '127.0.0.1')
    let acknowledged = 0
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      for (const reply of bytes.toString().split('\r\n'))
        if (reply.startsWith(':')) acknowledged = Number(reply.slice(1))
      socket.write('INCR n\r\n'.repeat(10))
    })
    socket.write('INCR n\r\n')
    await expect.poll(() => acknowledged).toBeGreaterThan(200)
    expect(await first.stop('SIGKILL')).toBe('SIGKILL')
    expect(existsSync(path('ready.json'))).toBe(true)
    const second = await serve()
    const kept = Number((await second.redis('GET n\r\n')).split('\r\n')[1])
    expect(kept).toBeGreaterThanOrEqual(acknowledged)
    expect(second.ready.pid).not.toBe(first.ready.pid)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s: closes connections, removes the ready file', async (signal) => {
    const server = await serve()
    const socket = connect(server.port('redis'), '127.0.0.1')
    const closed = new Promise((resolve) => socket.on('end', () => resolve('clean')).on('error', resolve))
    socket.write('PING\r\n')
    await new Promise((resolve) => socket.once('data', resolve))
    expect(await server.stop(signal)).toBe(0)
    expect(await closed).toBe('clean')
    expect(existsSync(path('ready.json'))).toBe(false)
    const messages = lines(server).map((line) => JSON.parse(line).msg)
    expect(messages).toEqual(['listening', 'stopping', 'stopped'])
  })

  it('stops on SHUTDOWN of a client, with what it has acknowledged', async () => {
    const first = await serve()
    expect(await first.redis('SHUTDOWN SAVE NOSAVE\r\nSET k v\r\nSHUTDOWN NOSAVE\r\nSET k late\r\n')).toBe(
      '-ERR syntax error\r\n+OK\r\n',
    )
    expect(await first.ended).toBe(0)
    expect(first.output()).toContain('"signal":"SHUTDOWN"')
    const second = await serve()
    expect(await second.redis('GET k\r\n')).toBe('$1\r\nv\r\n')
  })

  it('stops at once although somebody follows its changes', async () => {
    const server = await serve()
    const response = await server.get('/changes')
    const text = response.text()
    const startedMs = performance.now()
    expect(await server.stop()).toBe(0)
    expect(await text).toContain('the server is stopping')
    expect(performance.now() - startedMs).toBeLessThan(4_000)
  })

  /** Make the server owe more to a client than the client takes. */
  async function stall(server: ServeProcess): Promise<void> {
    const socket = connect(server.port('redis'), '127.0.0.1')
    socket.on('error', () => undefined)
    const value = 'x'.repeat(1_000_000)
    socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${value.length}\r\n${value}\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.pause()
    socket.write('GET k\r\n'.repeat(40))
    const sent = async () => {
      const text = await (await server.get('/metrics')).text()
      return Number(/^dotdo_redis_sent_bytes_total (\d+)$/m.exec(text)?.[1])
    }
    await expect.poll(sent).toBeGreaterThan(20_000_000)
  }

  it('ends at once on a second signal', async () => {
    const server = await serve()
    await stall(server)
    process.kill(server.pid, 'SIGTERM')
    await expect.poll(server.output).toContain('stopping')
    expect(await server.stop('SIGTERM')).toBe(128 + 15)
    expect(existsSync(path('ready.json'))).toBe(false)
  })

  it('cuts off a client that does not take its replies, and still ends well', async () => {
    const server = await serve()
    await stall(server)
    expect(await server.stop()).toBe(0)
    expect(server.output()).toContain('cutting off connections')
  })
})

describe('an option of dotdo serve', () => {
  it('--data says where the files are', async () => {
    await serve(['--data', path('elsewhere')])
    expect(readdirSync(path('elsewhere'))).toContain('catalog.sqlite')
    expect(existsSync(path('data'))).toBe(false)
  })

  it('--redis and --http choose the ports', async () => {
    const [redis, http] = [await freePort(), await freePort()]
    const server = await serve(['--redis', String(redis), '--http', String(http)])
    expect(server.ready).toMatchObject({ redis: { port: redis }, http: { port: http } })
    expect(await server.redis('PING\r\n')).toBe('+PONG\r\n')
  })

  it('off closes a port', async () => {
    const withoutRedis = await serve(['--redis', 'off'])
    expect(withoutRedis.ready).toEqual({ pid: expect.any(Number), http: { port: expect.any(Number) } })
    await withoutRedis.stop()
    const withoutHttp = await serve(['--http', 'off'])
    expect(withoutHttp.ready).toEqual({ pid: expect.any(Number), redis: { port: expect.any(Number) } })
  })

  // Only Linux has all of 127.0.0.0/8 without being told.
  it.skipIf(process.platform !== 'linux')('--host chooses the address', async () => {
    const server = await serve(['--host', '127.0.0.2'], { host: '127.0.0.2' })
    expect(await server.redis('PING\r\n')).toBe('+PONG\r\n')
    expect((await server.get('/health')).status).toBe(200)
    const refused = new Promise((resolve) => connect(server.port('redis'), '127.0.0.1').on('error', resolve))
    expect(await refused).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it.each([
    ['flag', ['--password', 'opensesame'], {}],
    ['environment', [], { DOTDO_PASSWORD: 'opensesame' }],
  ])('--password, from the %s, is asked for and never logged', async (_, args, env) => {
    const server = await serve(['--log-level', 'trace', ...args], { env })
    expect(await server.redis('GET k\r\n')).toMatch(/^-NOAUTH /)
    expect(await server.redis('AUTH wrong\r\nGET k\r\n')).toMatch(/^-WRONGPASS .*\r\n-NOAUTH /)
    expect(await server.redis('AUTH other opensesame\r\n')).toMatch(/^-WRONGPASS /)
    expect(await server.redis('AUTH opensesame\r\nGET k\r\n')).toBe('+OK\r\n$-1\r\n')
    expect((await server.get('/databases')).status).toBe(401)
    expect((await server.get('/health')).status).toBe(200)
    const headers = { Authorization: 'Bearer opensesame' }
    expect((await server.get('/databases', { headers })).status).toBe(200)
    const { port } = server.ready.http as { port: number }
    const url = `http://127.0.0.1:${port}`
    expect(runDotdo(['status', '--url', url]).stderr).toContain('give it with DOTDO_PASSWORD')
    expect(runDotdo(['status', '--url', url], { DOTDO_PASSWORD: 'opensesame' }).status).toBe(0)
    await server.stop()
    expect(server.output()).not.toContain('opensesame')
  })

  it('--password opens other addresses than loopback', async () => {
    const server = await serve(['--host', '0.0.0.0', '--password', 'p'])
    expect(await server.redis('AUTH p\r\n')).toBe('+OK\r\n')
  })

  it('--shards says over how many a new database is spread', async () => {
    const server = await serve(['--shards', '3'])
    await server.redis('SET a 1\r\nSET b 2\r\nSET c 3\r\n')
    expect(await (await server.get('/databases/default')).json()).toMatchObject({ shards: { length: 3 } })
    const { shards } = (await (await server.get('/databases/default/shards')).json()) as {
      shards: { position: { seq: number } }[]
    }
    expect(shards.map(({ position }) => position.seq)).toEqual([1, 1, 1])
  })

  // Where a process shows its threads as files.
  it.skipIf(!existsSync('/proc/self/task'))('--threads runs shards on that many threads', async () => {
    const threads = (server: ServeProcess) => readdirSync(`/proc/${server.pid}/task`).length
    const alone = await serve()
    await alone.redis('SET a 1\r\n')
    const before = threads(alone)
    await alone.stop()
    const spread = await serve(['--threads', '3', '--shards', '4'])
    expect(await spread.redis('SET b 1\r\nGET b\r\nMGET a b\r\n')).toBe(
      '+OK\r\n$1\r\n1\r\n*2\r\n$1\r\n1\r\n$1\r\n1\r\n',
    )
    expect(threads(spread)).toBe(before + 3)
    expect(await spread.stop()).toBe(0)
  })

  // What reaches the disk can be seen from outside only by tracing the process.
  it.skipIf(!has('strace'))('--durability full waits for the disk at every commit, normal does not', async () => {
    const syncs = async (durability: string) => {
      const trace = path(`${durability}.trace`)
      const under = ['strace', '-f', '-qq', '-o', trace, '-e', 'trace=fsync,fdatasync']
      const server = await serve(['--durability', durability, '--data', path(durability)], { under })
      const count = () => (readFileSync(trace, 'utf8').match(/f(data)?sync\(/g) ?? []).length
      await server.redis('SET warm 1\r\n')
      const before = count()
      for (let i = 0; i < 20; i++) expect(await server.redis(`SET k ${i}\r\n`)).toBe('+OK\r\n')
      const during = count() - before
      await server.stop()
      return during
    }
    expect(await syncs('full')).toBeGreaterThanOrEqual(20)
    expect(await syncs('normal')).toBeLessThan(5)
  })

  it('--log-level decides what is logged', async () => {
    const silent = await serve(['--log-level', 'silent'])
    await silent.stop()
    expect(silent.output()).toBe('')
    const talkative = await serve(['--log-level', 'debug'])
    expect(JSON.parse(lines(talkative)[0] as string)).toMatchObject({ msg: 'starting', level: 20 })
  })

  // Needs a terminal, which `script` (util-linux) can make.
  it.skipIf(!has('script') || process.platform !== 'linux')('--json logs JSON on a terminal too', async () => {
    const under = ['sh', '-c', 'script -qec "$*" /dev/null', 'sh']
    const pretty = await serve([], { under })
    await expect.poll(pretty.output).toContain('Ctrl-C stops it.')
    expect(pretty.output()).toContain(`redis-cli -h 127.0.0.1 -p ${pretty.port('redis')}`)
    await pretty.stop()
    expect(pretty.output()).toMatch(/\d\d:\d\d:\d\d info stopping signal="SIGTERM"/)
    const json = await serve(['--json'], { under })
    await json.stop()
    expect(lines(json).map((line) => JSON.parse(line).msg)).toEqual(['listening', 'stopping', 'stopped'])
  })

  it('--config reads a file, which flags and environment override', async () => {
    const config = path('dotdo.json')
    writeFileSync(config, JSON.stringify({ shards: 2, data: path('from-file'), logLevel: 'silent' }))
    const args = [...free, '--config', config]
    const first = await startServe({ args, readyFile: path('ready.json') })
    servers.push(first)
    await first.redis('SET a 1\r\n')
    expect(await (await first.get('/databases/default')).json()).toMatchObject({ shards: { length: 2 } })
    expect(existsSync(path('from-file'))).toBe(true)
    await first.stop()
    expect(first.output()).toBe('')
    const env = { DOTDO_CONFIG: config, DOTDO_DATA: path('from-env'), DOTDO_SHARDS: '5' }
    const second = await startServe({ args: [...free, '--shards', '4'], env, readyFile: path('ready.json') })
    servers.push(second)
    await second.redis('SET a 1\r\n')
    expect(await (await second.get('/databases/default')).json()).toMatchObject({ shards: { length: 4 } })
    expect(existsSync(path('from-env'))).toBe(true)
  })
})

describe('dotdo serve refuses, in one line and without a stack,', () => {
  const refused = (args: readonly string[], env: Record<string, string> = {}) => {
    const { status, stdout, stderr } = runDotdo(['serve', ...free, '--data', path('data'), ...args], env)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^dotdo: [^\n]+\n$/)
    return [status, stderr.slice('dotdo: '.length, -1)]
  }

  it('an unknown option', () => {
    const said = "unknown option '--shard' (Did you mean --shards?); see --help"
    expect(refused(['--shard', '2'])).toEqual([2, said])
  })

  it('an argument too many', () => {
    expect(refused(['here'])).toEqual([2, expect.stringContaining('too many arguments')])
  })

  it('a bad number', () => {
    expect(refused(['--shards', '0'])).toEqual([2, '--shards: 0 is not a whole number from 1 to 1000'])
    expect(refused([], { DOTDO_THREADS: 'x' })).toEqual([2, 'DOTDO_THREADS: "x" is not a whole number from 0 to 256'])
  })

  it('a configuration file that is missing or wrong', () => {
    expect(refused(['--config', path('none.json')])).toEqual([2, expect.stringMatching(/^cannot read .*none\.json/)])
    writeFileSync(path('bad.json'), '{ "port": 1 }')
    expect(refused(['--config', path('bad.json')])).toEqual([2, expect.stringContaining('no such setting: port')])
  })

  it('an address that others can reach, without a password', () => {
    expect(refused(['--host', '0.0.0.0'])).toEqual([2, expect.stringContaining('there is no password')])
  })

  it('an address that is not of this machine', () => {
    const said = '192.0.2.1 is not an address of this machine'
    expect(refused(['--host', '192.0.2.1', '--password', 'p'])).toEqual([1, said])
  })

  it('a port that is taken', async () => {
    const server = await serve()
    const taken = server.port('redis')
    const said = `127.0.0.1 port ${taken} is taken; choose another with --redis, or any free one with --redis 0`
    expect(refused(['--data', path('other'), '--redis', String(taken)])).toEqual([1, said])
    const http = server.port('http')
    expect(refused(['--data', path('other'), '--http', String(http)])).toEqual([1, expect.stringContaining('--http 0')])
  })

  it('a folder that is in use, leaving its server and the ready file alone', async () => {
    const server = await serve()
    const said = `${path('data')} is in use by another process; choose another folder with --data`
    expect(refused(['--ready-file', path('ready.json')])).toEqual([1, said])
    expect(JSON.parse(readFileSync(path('ready.json'), 'utf8'))).toEqual(server.ready)
    expect(await server.redis('PING\r\n')).toBe('+PONG\r\n')
  })

  it('a folder that cannot be made', () => {
    writeFileSync(path('file'), '')
    expect(refused(['--data', path('file')])).toEqual([1, expect.stringContaining(path('file'))])
    expect(refused(['--data', path('file/data')])).toEqual([1, expect.stringContaining(path('file/data'))])
  })

  it('a ready file that cannot be written', () => {
    mkdirSync(path('taken'))
    const said = expect.stringMatching(/^cannot write the ready file: /)
    expect(refused(['--ready-file', path('none/ready.json')])).toEqual([1, said])
  })
})
