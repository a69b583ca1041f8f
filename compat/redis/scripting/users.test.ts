/** What scripts do for users that may not do everything, and what they publish. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTestServer, type TestClient, type TestServer } from '../test-server.ts'
import { show } from '../transcript.testing.ts'

let server: TestServer
let admin: TestClient
let limited: TestClient

beforeEach(async () => {
  server = await openTestServer()
  admin = server.connect()
  limited = server.connect()
  for (const client of [admin, limited]) await client.run('HELLO', '3')
})
afterEach(async () => {
  expect(server.bugs).toEqual([])
  await server.close()
})

const denied = {
  command: "User u has no permissions to run the 'set' command",
  key: 'No permissions to access a key',
  channel: 'No permissions to access a channel',
}

describe('a user with rules', () => {
  const library = `#!lua name=l
redis.register_function('f', function(keys, args) return redis.pcall(unpack(args)) end)`
  beforeEach(async () => {
    await admin.run('FUNCTION', 'LOAD', library)
    await admin.run('ACL', 'SETUSER', 'u', 'on', 'nopass', '+@all', '-set', '-config|set', '~a*', '&c*')
    await admin.run('SET', 'b', '1')
    expect(await limited.run('AUTH', 'u', 'any')).toEqual({ simple: 'OK' })
  })

  const calls: readonly (readonly [readonly string[], string])[] = [
    [['set', 'a', '1'], denied.command],
    [['get', 'b'], denied.key],
    [['mget', 'a', 'b'], denied.key],
    [['publish', 'd', 'x'], denied.channel],
  ]

  test.each(calls)('%j is denied by EVAL and FCALL, inside MULTI as well', async (argv, reason) => {
    const wanted = { error: `NOPERM ACL failure in script: ${reason}` }
    const runs = [
      ['EVAL', 'return redis.pcall(unpack(ARGV))', '0', ...argv],
      ['FCALL', 'f', '0', ...argv],
    ]
    for (const run of runs) expect(await limited.run(...run)).toEqual(wanted)
    await limited.run('MULTI')
    for (const run of runs) expect(await limited.run(...run)).toEqual({ simple: 'QUEUED' })
    expect(await limited.run('EXEC')).toEqual([wanted, wanted])
    const shown = await limited.run('EVAL', 'return redis.call(unpack(ARGV))', '0', ...argv)
    expect(shown).toEqual({ error: expect.stringMatching(/^NOPERM ACL failure in script: .* script: \w+, on @user_/) })
    // The other user is asked for nothing.
    expect(show(await admin.run(...(runs[0] as string[])))).not.toContain('NOPERM')
  })

  test('redis.acl_check_cmd says so beforehand, of every command', async () => {
    const check = async (...argv: string[]) =>
      await limited.run('EVAL', 'return redis.acl_check_cmd(unpack(ARGV)) and 1 or 0', '0', ...argv)
    expect(await check('get', 'a')).toBe(1)
    expect(await check('get', 'b')).toBe(0)
    expect(await check('SET', 'a', '1')).toBe(0)
    expect(await check('publish', 'c', 'x')).toBe(1)
    expect(await check('publish', 'd', 'x')).toBe(0)
    expect(await check('config', 'get', 'x')).toBe(1)
    expect(await check('config', 'SET', 'x', 'y')).toBe(0)
    expect(await check('watch', 'a')).toBe(1)
    expect(await check('watch', 'b')).toBe(0)
    expect(await check('blpop', 'a', 'b', '0')).toBe(0)
  })
})

describe('what a script publishes', () => {
  let listener: TestClient
  const heard = async () => {
    await admin.run('PING')
    const { received } = listener
    listener.received = ''
    return received
  }
  const message = (text: string) => `*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$${text.length}\r\n${text}\r\n`
  beforeEach(async () => {
    listener = server.connect()
    await listener.ask('SUBSCRIBE c')
  })

  test('is heard once it is committed, in order, and by nobody when it is undone', async () => {
    const script =
      "redis.call('set', KEYS[1], 1) redis.call('publish', 'c', ARGV[1]) return redis.call('publish', 'c', 'end')"
    expect(await admin.run('EVAL', script, '1', 'k', 'one')).toBe(0)
    expect(await heard()).toBe(message('one') + message('end'))
    const endless = "redis.call('publish', 'c', 'never') redis.call('set', KEYS[1], 2) while true do end"
    expect(show(await admin.run('EVAL', endless, '1', 'k'))).toMatch(/^-ERR Script killed/)
    expect(await heard()).toBe('')
    expect(await admin.run('GET', 'k')).toBe('1')
  })

  test('before an error is heard, as what was written before it stays', async () => {
    await admin.run('EVAL', "redis.call('publish', 'c', 'before') error('end')", '0')
    expect(await heard()).toBe(message('before'))
  })

  test('inside MULTI is heard when EXEC has run, and not after DISCARD', async () => {
    const publish = (text: string) => ['EVAL', "return redis.call('publish', 'c', ARGV[1])", '0', text]
    await admin.run('MULTI')
    await admin.run(...publish('one'))
    await admin.run('PUBLISH', 'c', 'two')
    await admin.run(...publish('three'))
    expect(listener.received).toBe('')
    await admin.run('EXEC')
    const all = await heard()
    for (const text of ['one', 'two', 'three']) expect(all).toContain(message(text))
    await admin.run('MULTI')
    await admin.run(...publish('no'))
    await admin.run('DISCARD')
    expect(await heard()).toBe('')
  })
})
