import { textToBin } from '@dotdo/core/bytes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Lake } from '../cold.testing.ts'
import { openTestServer, type TestClient, type TestServer } from '../test-server.ts'
import { TestRedis } from '../testing.ts'
import { ScriptCache } from './cache.ts'
import { sha1Hex } from './sha1.ts'

let server: TestServer
let client: TestClient

/** Send one command, and read its reply. */
async function ask(...argv: string[]): Promise<string> {
  client.send(`*${argv.length}\r\n${argv.map((one) => `$${one.length}\r\n${one}\r\n`).join('')}`)
  await client.session.busy
  const { received } = client
  client.received = ''
  return received
}

async function open(shards: number): Promise<void> {
  server = await openTestServer({ shards })
  client = server.connect()
}

afterEach(async () => {
  const open = server
  server = undefined as never
  if (open === undefined) return
  expect(open.bugs).toEqual([])
  await open.close()
})

const script = "return redis.call('incr', KEYS[1])"
const library = [
  '#!lua name=counting',
  "redis.register_function('up', function(keys) return redis.call('incr', keys[1]) end)",
  "redis.register_function{function_name='look', callback=function(keys) return redis.call('get', keys[1]) end,",
  "  flags={'no-writes'}, description='reads'}",
].join('\n')

describe('one shard', () => {
  beforeEach(() => open(1))

  test('what was written before an error stays, what failed is undone alone', async () => {
    const code = "redis.call('set', 'a', 1) redis.pcall('incrby', 'a', 'x') redis.call('set', 'b', 2) error('end')"
    expect(await ask('EVAL', code, '0')).toContain('-ERR user_script:1: end script: ')
    expect(await ask('MGET', 'a', 'b')).toBe('*2\r\n$1\r\n1\r\n$1\r\n2\r\n')
  })

  test('a script that does not end is stopped and undone whole, whatever it catches', async () => {
    const code = "redis.call('set', 'a', 1) pcall(function() while true do end end) return 1"
    expect(await ask('EVAL', code, '0')).toMatch(/^-ERR Script killed by user with SCRIPT KILL/)
    expect(await ask('EXISTS', 'a')).toBe(':0\r\n')
  })

  test('scripts run inside MULTI, in their places, by their SHA-1 as well', async () => {
    await ask('SCRIPT', 'LOAD', script)
    await ask('MULTI')
    await ask('SET', 'n', '5')
    await ask('EVALSHA', sha1Hex(script), '1', 'n')
    await ask('EVALSHA', 'f'.repeat(40), '1', 'n')
    await ask('EVAL', script, '1', 'n')
    await ask('SELECT', '1')
    await ask('EVAL', script, '1', 'n')
    const missing = '-NOSCRIPT No matching script. Please use EVAL.\r\n'
    expect(await ask('EXEC')).toBe(`*6\r\n+OK\r\n:6\r\n${missing}:7\r\n+OK\r\n:1\r\n`)
  })

  test('a watched key that a script changed stops EXEC', async () => {
    await ask('WATCH', 'n')
    await ask('EVAL', script, '1', 'n')
    await ask('MULTI')
    await ask('EVAL', script, '1', 'n')
    expect(await ask('EXEC')).toBe('*-1\r\n')
  })

  test('SELECT holds to the end of the script', async () => {
    expect(await ask('EVAL', "redis.call('select', 3) redis.call('set', 'k', 1) return 1", '0')).toBe(':1\r\n')
    expect(await ask('EXISTS', 'k')).toBe(':0\r\n')
    await ask('SELECT', '3')
    expect(await ask('EXISTS', 'k')).toBe(':1\r\n')
  })

  test('SCAN in a script gives cursors that it takes', async () => {
    for (let at = 0; at < 30; at++) await ask('SET', `k${at}`, '1')
    const code = [
      "local seen, cursor = 0, '0'",
      "repeat local page = redis.call('scan', cursor, 'count', 7) cursor = page[1] seen = seen + #page[2]",
      "until cursor == '0' return seen",
    ].join('\n')
    expect(await ask('EVAL', code, '0')).toBe(':30\r\n')
  })

  test('RESP3 replies keep their types after setresp(3)', async () => {
    await ask('HSET', 'h', 'f', 'v')
    const typed = "redis.setresp(3) return redis.call('hgetall', 'h').map.f"
    expect(await ask('EVAL', typed, '0')).toBe('$1\r\nv\r\n')
    await ask('HELLO', '3')
    expect(await ask('EVAL', 'return {double=1.5}', '0')).toBe(',1.5\r\n')
    expect(await ask('EVAL', 'return {map={a={set={b=true}}}}', '0')).toBe('%1\r\n$1\r\na\r\n~1\r\n$1\r\nb\r\n')
    expect(await ask('EVAL', "return {big_number='12345'}", '0')).toBe('(12345\r\n')
    expect(await ask('EVAL', 'redis.setresp(3) return {true, false}', '0')).toBe('*2\r\n#t\r\n#f\r\n')
    expect(await ask('EVAL', "return {verbatim_string={string='abc',format='txt'}}", '0')).toBe('=7\r\ntxt:abc\r\n')
    expect(await ask('EVAL', "redis.setresp(3) return redis.call('get', 'none') == nil", '0')).toBe('#t\r\n')
  })

  test('time, random numbers and errors without text', async () => {
    expect(await ask('EVAL', "local t = redis.call('time') return #t[1] + #redis.call('time')", '0')).toBe(':12\r\n')
    expect(await ask('EVAL', 'local r = math.random(3) return r >= 1 and r <= 3', '0')).toBe(':1\r\n')
    expect(await ask('EVAL', "error({a='x'})", '0')).toMatch(/^-ERR table: 0x/)
    expect(await ask('EVAL', 'local t = {} t[1] = t return t', '0')).toMatch(/^-ERR reached lua stack limit/)
  })

  test('SCRIPT FLUSH forgets, SCRIPT DEBUG is refused', async () => {
    await ask('SCRIPT', 'LOAD', script)
    expect(await ask('SCRIPT', 'EXISTS', sha1Hex(script).toUpperCase(), 'x')).toBe('*2\r\n:1\r\n:0\r\n')
    await ask('SCRIPT', 'FLUSH')
    expect(await ask('EVALSHA', sha1Hex(script), '1', 'n')).toBe('-NOSCRIPT No matching script. Please use EVAL.\r\n')
    expect(await ask('SCRIPT', 'DEBUG', 'yes')).toMatch(/^-ERR SCRIPT DEBUG is not supported/)
  })

  test('libraries are dumped and restored', async () => {
    await ask('FUNCTION', 'LOAD', library)
    const dumped = await ask('FUNCTION', 'DUMP')
    const payload = dumped.slice(dumped.indexOf('\n') + 1, -2)
    expect(await ask('FUNCTION', 'RESTORE', payload)).toBe("-ERR Library 'counting' already exists\r\n")
    expect(await ask('FUNCTION', 'RESTORE', payload, 'REPLACE')).toBe('+OK\r\n')
    expect(await ask('FUNCTION', 'FLUSH')).toBe('+OK\r\n')
    expect(await ask('FCALL', 'up', '1', 'k')).toBe('-ERR Function not found\r\n')
    expect(await ask('FUNCTION', 'RESTORE', payload, 'FLUSH')).toBe('+OK\r\n')
    expect(await ask('FCALL', 'UP', '1', 'k')).toBe(':1\r\n')
    expect(await ask('FUNCTION', 'RESTORE', `${payload.slice(0, -1)}x`)).toContain('checksum are wrong')
    expect(await ask('FUNCTION', 'STATS')).toContain('functions_count\r\n:2\r\n')
  })
})

/** Written by FUNCTION DUMP of Redis 7.0.15, which compresses. */
const realDump =
  "\xf5\xc3@\xb4@\xeb\x1f#!lua name=mylib\nredis.register_\rfunction('f', \xe0\x00\r\x12keys,args) return {\xe0" +
  "\x00\x12\x05} end)\xe0\x0fH\x00{\xc0C\x00_`t\x01'g V\x08callback=\xc0\x1b\x03(k,a\xe0\x00Y\x80\x91@#\x0f" +
  "('set',k[1],'x')@h \x94\x1alags={'no-writes'}, descrip@\xba\x01='@\x0c\x01'}\n\x00\xe6y4]\x06\xd7H\xf0"

test('a dump of a real Redis is restored', async () => {
  await open(1)
  expect(await ask('FUNCTION', 'RESTORE', realDump)).toBe('+OK\r\n')
  expect(await ask('FCALL', 'f', '1', 'a', 'b')).toBe('*2\r\n*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n')
  expect(await ask('FUNCTION', 'LIST')).toContain('no-writes')
})

describe('many shards', () => {
  beforeEach(() => open(4))

  test('a script runs where its keys are, and reaches no others', async () => {
    expect(await ask('EVAL', script, '1', 'a')).toBe(':1\r\n')
    expect(await ask('EVAL', script, '1', 'b')).toBe(':1\r\n')
    expect(await ask('EVAL', script, '2', 'a', 'b')).toMatch(/^-CROSSSLOT/)
    expect(await ask('EVAL', script, '2', '{a}1', '{a}2')).toBe(':1\r\n')
    const foreign = "return redis.call('get', 'b')"
    expect(await ask('EVAL', foreign, '1', 'a')).toMatch(
      /^-ERR Script attempted to access a non local key in a cluster/,
    )
    expect(await ask('EVAL', foreign, '0')).toMatch(/^-ERR Script attempted to access a non local key in a cluster/)
    expect(await ask('EVAL', "return redis.call('dbsize')", '0')).toMatch(/^-ERR dbsize asks every shard/)
    expect(await ask('EVAL', 'return 7', '0')).toBe(':7\r\n')
  })

  test('functions are the same on all shards, and a new one is seen at once by other connections', async () => {
    expect(await ask('FUNCTION', 'LOAD', library)).toBe('$8\r\ncounting\r\n')
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) expect(await ask('FCALL', 'up', '1', key)).toBe(':1\r\n')
    const other = server.connect()
    expect(await other.ask('FCALL_RO look 1 a')).toBe('$1\r\n1\r\n')
    await ask('FUNCTION', 'LOAD', 'REPLACE', library.replace("'incr', keys[1]", "'incrby', keys[1], 10"))
    expect(await other.ask('FCALL up 1 a')).toBe(':11\r\n')
    expect(await other.ask('FCALL nosuch 1 a')).toBe('-ERR Function not found\r\n')
    expect(await other.ask('MULTI', 'FCALL up 1 a', 'FCALL nosuch 1 a', 'EVAL "return 1" 0', 'EXEC')).toBe(
      '+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:21\r\n-ERR Function not found\r\n:1\r\n',
    )
  })
})

test('functions survive a restart and a crash', async () => {
  const shard = await TestRedis.open()
  await shard.call('function|load', { argv: ['FUNCTION', 'LOAD', library], db: 0 })
  for (const crash of [false, true]) {
    await shard.reopen(crash)
    expect(await shard.run('FCALL', 'look', '1', 'k')).toBe(null)
    const list = JSON.stringify(await shard.call('function|list', { argv: ['FUNCTION', 'LIST'], db: 0 }))
    expect(list).toContain('"description","reads"')
  }
  shard.close()
})

test('a script waits for cold values, whatever it catches; all that it names are fetched at once', async () => {
  const lake = new Lake()
  const shard = await TestRedis.open({}, lake)
  const names = Array.from({ length: 40 }, (_, at) => `k${at}`)
  await shard.run('MSET', ...names.flatMap((name) => [name, '1']))
  await shard.evictAll()
  const code = [
    "local sum = 0 redis.call('incr', 'runs')",
    "for _, key in ipairs(KEYS) do local ok, n = pcall(redis.call, 'get', key) sum = sum + n end return sum",
  ].join('\n')
  expect(await shard.run('EVAL', code, `${names.length}`, ...names)).toBe(40)
  expect(lake.fetches.map((fetched) => new Set(fetched).size)).toEqual([40])
  expect(await shard.run('GET', 'runs')).toBe('1')
  shard.close()
})

test('scripts are kept up to a bound, those in use longest', () => {
  const cache = new ScriptCache(32 * 1024)
  const first = cache.add('return 0')
  for (let at = 0; at < 40; at++) {
    cache.add(`return ${at} --${'x'.repeat(1024)}`)
    expect(cache.find(first)).toBe('return 0')
  }
  expect(cache.has(sha1Hex(`return 0 --${'x'.repeat(1024)}`))).toBe(false)
  expect(cache.has(sha1Hex(`return 39 --${'x'.repeat(1024)}`))).toBe(true)
})

test('sha1Hex is SHA-1', () => {
  expect(sha1Hex('')).toBe('da39a3ee5e6b4b0d3255bfef95601890afd80709')
  expect(sha1Hex('abc')).toBe('a9993e364706816aba3e25717850c26c9cd0d89d')
  expect(sha1Hex(textToBin('é').repeat(100))).toHaveLength(40)
  const long = 'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'
  expect(sha1Hex(long)).toBe('84983e441c3bd26ebaae4aa1f95129e5e54670f1')
})
