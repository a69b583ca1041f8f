import { fromBin, textToBin } from '@dotdo/core/bytes'
import { StopSwitch } from '@dotdo/core/cdc'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeValue } from './codec.ts'
import type { Command } from './command.ts'
import { commandTable } from './commands/table.ts'
import { ReplyDecoder } from './replies.ts'
import { answerRest, type RestAnswer, type RestOptions, type RestRequest } from './rest.ts'
import type { Row } from './session.ts'
import { openTestServer, type TestServer } from './test-server.ts'
import type { Value } from './value.ts'

/** Stand-ins for what another session would send: events, and a reply that waits. */
const events: Row = {
  name: 'psubscribe',
  arity: -2,
  mode: 'session',
  since: '2.0.0',
  group: 'pubsub',
  summary: 'Says what it is told to.',
  session({ transport }, argv) {
    for (const message of argv.slice(2)) {
      queueMicrotask(() => transport.write(fromBin(encodeValue(['message', argv[1] as string, message], 2))))
    }
    return ['psubscribe', argv[1] as string, 1]
  },
}
const waiting: Command = { ...events, name: 'wait', arity: -1, session: () => new Promise(() => undefined) } as never

let test: TestServer

beforeEach(async () => {
  test = await openTestServer({
    commands: new Map([...commandTable, ['psubscribe', events], ['wait', waiting as Row]]),
  })
})

afterEach(async () => {
  expect(test.bugs).toEqual([])
  await test.close()
})

const ask = (request: Partial<RestRequest>, options: Partial<RestOptions> = {}): Promise<RestAnswer> => {
  return answerRest(test.server, { path: [], ...request }, { address: '127.0.0.1:1', ...options })
}

async function post(path: string, body: unknown, rest: Partial<RestRequest> = {}): Promise<[number, unknown]> {
  const parts = path.split('/').filter((part) => part !== '')
  const answer = await ask({ path: parts, body: fromBin(textToBin(JSON.stringify(body))), ...rest })
  return [answer.status, JSON.parse(answer.body as string)]
}

async function get(path: string, rest: Partial<RestRequest> = {}): Promise<[number, unknown]> {
  const answer = await ask({ path: path.split('/').filter((part) => part !== ''), ...rest })
  return [answer.status, JSON.parse(answer.body as string)]
}

describe('one command', () => {
  it('comes as a JSON array', async () => {
    expect(await post('', ['SET', 'a', 'grüß', 'EX', 100])).toEqual([200, { result: 'OK' }])
    expect(await post('', ['get', 'a'])).toEqual([200, { result: 'grüß' }])
    expect(await post('', ['GET', 'none'])).toEqual([200, { result: null }])
    expect(await post('', ['SET', 'flag', true])).toEqual([200, { result: 'OK' }])
    expect(await post('', ['MGET', 'flag', 'none'])).toEqual([200, { result: ['true', null] }])
    expect(await post('', ['HSET', 'h', 'f', 1])).toEqual([200, { result: 1 }])
    expect(await post('', ['HGETALL', 'h'])).toEqual([200, { result: ['f', '1'] }])
  })

  it('comes as a path, with a body and a query', async () => {
    expect(await get('set/a/b')).toEqual([200, { result: 'OK' }])
    const body = fromBin('\xff\0 raw')
    expect(await ask({ path: ['set', 'bytes'], query: [['EX', '100']], body })).toMatchObject({ status: 200 })
    expect(await get('ttl/bytes')).toEqual([200, { result: 100 }])
    expect(await get('strlen/bytes')).toEqual([200, { result: 6 }])
    expect(await get('get/bytes')).toEqual([200, { result: '\ufffd\0 raw' }])
    expect(await get('set/a/c', { query: [['NX', undefined]] })).toEqual([200, { result: null }])
  })

  it('is in the database that the path begins with', async () => {
    await get('agent-42/set/a/named')
    await get('2/set/a/numbered')
    await post('agent-42', ['APPEND', 'a', '!'])
    expect(await get('agent-42/get/a')).toEqual([200, { result: 'named!' }])
    expect(await get('2/get/a')).toEqual([200, { result: 'numbered' }])
    expect(await get('get/a')).toEqual([200, { result: null }])
    expect(await post('agent-42/pipeline', [['GET', 'a']])).toEqual([200, [{ result: 'named!' }]])
    expect(await get('99/get/a')).toMatchObject([400, { error: expect.stringMatching(/^ERR /) }])
  })

  it('keeps integers whole', async () => {
    await get('set/n/9223372036854775806')
    expect((await ask({ path: ['incr', 'n'] })).body).toBe('{"result":9223372036854775807}')
  })

  it('answers errors with 400', async () => {
    expect(await get('get')).toEqual([400, { error: "ERR wrong number of arguments for 'get' command" }])
    await get('hset/h/f/v')
    expect(await get('incr/h')).toMatchObject([400, { error: expect.stringMatching(/^WRONGTYPE/) }])
    expect(await post('', ['NOSUCH', 'é'])).toEqual([
      400,
      { error: "ERR unknown command 'NOSUCH', with args beginning with: 'é' " },
    ])
  })

  it.each([
    ['not JSON', '{'],
    ['an object', { a: 1 }],
    ['an empty array', []],
    ['a null argument', ['GET', null]],
    ['an array argument', ['GET', ['a']]],
  ])('refuses %s', async (_, body) => {
    const [status, answer] = await post('', body)
    expect([status, answer]).toEqual([400, { error: expect.stringMatching(/^ERR /) }])
  })

  it.each([
    ['SELECT', '1'],
    ['MULTI'],
    ['SUBSCRIBE', 'a'],
    ['MONITOR'],
    ['client', 'REPLY', 'OFF'],
    ['QUIT'],
    ['HELLO', 3],
  ])('refuses %s, which would be forgotten at once', async (...argv) => {
    expect(await post('', argv)).toMatchObject([400, { error: expect.stringContaining('is not available') }])
    expect(await post('pipeline', [argv])).toMatchObject([400, { error: expect.stringContaining('not available') }])
  })
})

describe('encodings', () => {
  it('base64 for every string but OK', async () => {
    const encoding = 'base64'
    expect(await get('set/foo/bar', { encoding })).toEqual([200, { result: 'OK' }])
    expect(await get('get/foo', { encoding })).toEqual([200, { result: 'YmFy' }])
    expect(await get('type/foo', { encoding })).toEqual([200, { result: btoa('string') }])
    expect(await get('mget/foo/none', { encoding })).toEqual([200, { result: ['YmFy', null] }])
    expect(await post('pipeline', [['GET', 'foo'], ['GET']], { encoding })).toEqual([
      200,
      [{ result: 'YmFy' }, { error: "ERR wrong number of arguments for 'get' command" }],
    ])
  })

  it('RESP2 as it is', async () => {
    const raw = async (request: Partial<RestRequest>) => {
      const { status, contentType, body } = await ask({ format: 'resp2', ...request })
      return [status, contentType, Buffer.from(body as Uint8Array).toString('latin1')]
    }
    const type = 'application/octet-stream'
    expect(await raw({ path: ['set', 'a', '\xff'] })).toEqual([200, type, '+OK\r\n'])
    expect(await raw({ path: ['mget', 'a', 'b'] })).toEqual([200, type, '*2\r\n$1\r\n\xff\r\n$-1\r\n'])
    expect(await raw({ path: ['get'] })).toMatchObject([400, type, expect.stringMatching(/^-ERR wrong.*\r\n$/)])
    expect(await raw({ path: ['pipeline'], body: fromBin('[["INCR","n"],["INCR","n"]]') })).toEqual([
      200,
      type,
      ':1\r\n:2\r\n',
    ])
    expect(await post('multi-exec', [['INCR', 'n']], { format: 'resp2' })).toEqual([200, [{ result: 3 }]])
  })

  it('refuses those that do not exist', async () => {
    for (const wrong of [{ encoding: 'gzip' }, { format: 'resp3' }, { format: 'resp2', encoding: 'base64' }]) {
      expect(await get('get/a', wrong)).toEqual([400, { error: expect.stringMatching(/^ERR /) }])
    }
  })
})

describe('many commands', () => {
  it('a pipeline answers each by itself', async () => {
    const commands = [['SET', 'a', 'x'], ['INCR', 'a'], ['nosuch'], ['APPEND', 'a', 'y']]
    expect(await post('pipeline', commands)).toEqual([
      200,
      [
        { result: 'OK' },
        { error: 'ERR value is not an integer or out of range' },
        { error: "ERR unknown command 'nosuch', with args beginning with: " },
        { result: 2 },
      ],
    ])
    expect(await post('pipeline', [])).toMatchObject([400, { error: expect.any(String) }])
    expect(await post('pipeline', ['GET', 'a'])).toMatchObject([400, { error: expect.any(String) }])
  })

  it('a transaction is whole, or discarded as a whole', async () => {
    expect(
      await post('multi-exec', [
        ['SET', 'a', 'x'],
        ['INCR', 'a'],
        ['GET', 'a'],
      ]),
    ).toEqual([200, [{ result: 'OK' }, { error: 'ERR value is not an integer or out of range' }, { result: 'x' }]])
    expect(await post('multi-exec', [['SET', 'a', 'y'], ['GET']])).toEqual([
      400,
      { error: "ERR wrong number of arguments for 'get' command" },
    ])
    expect(await get('get/a')).toEqual([200, { result: 'x' }])
  })

  it('bounds what replies may take', async () => {
    await ask({ path: ['set', 'large'], body: new Uint8Array(1_500_000) })
    const gets = (count: number) => Array.from({ length: count }, () => ['STRLEN', 'large']).concat([['GET', 'large']])
    expect(await post('pipeline', gets(5))).toMatchObject([200, { length: 6 }])
    const many = Array.from({ length: 50 }, () => ['GET', 'large'])
    expect(await post('pipeline', many)).toEqual([400, { error: expect.stringMatching(/^ERR the replies are larger/) }])
    expect(test.server.sessions.size).toBe(0)
  })

  it('leaves no connection behind', async () => {
    await post('pipeline', [
      ['SET', 'a', '1'],
      ['GET', 'a'],
    ])
    await post('', ['nosuch'])
    expect(test.server.sessions.size).toBe(0)
  })
})

describe('streams', () => {
  const read = async (body: RestAnswer['body']) => {
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    const decoder = new TextDecoder()
    return { reader, next: async () => decoder.decode((await reader.read()).value) }
  }

  it('tell events as they come', async () => {
    const { status, contentType, body } = await ask({ path: ['psubscribe', 'chat', 'hello', 'two\r\nlines'] })
    expect([status, contentType]).toEqual([200, 'text/event-stream'])
    const { reader, next } = await read(body)
    const told = [await next(), await next(), await next()]
    expect(told.sort()).toEqual([
      'data: message,chat,hello\n\n',
      'data: message,chat,two\ndata: lines\n\n',
      'data: psubscribe,chat,1\n\n',
    ])
    await reader.cancel()
    expect(test.server.sessions.size).toBe(0)
  })

  it('end when the server stops or the client has left', async () => {
    for (const way of ['stop', 'gone'] as const) {
      const ending = new StopSwitch()
      const { body } = await ask({ path: ['psubscribe', 'chat'] }, { [way]: ending })
      const { reader, next } = await read(body)
      await next()
      const last = reader.read()
      ending.abort()
      expect(await last).toEqual({ done: true, value: undefined })
      expect(test.server.sessions.size).toBe(0)
    }
  })

  it('answer an error before they begin', async () => {
    expect(await get('psubscribe')).toEqual([400, { error: "ERR wrong number of arguments for 'psubscribe' command" }])
  })
})

it('a client that leaves does not keep a command waiting', async () => {
  const gone = new StopSwitch()
  const asked = ask({ path: ['wait'] }, { gone })
  await Promise.resolve()
  gone.abort()
  expect(await asked).toMatchObject({ status: 503 })
  expect(test.server.sessions.size).toBe(0)
})

it('replies are read however they are cut', () => {
  const values: Value[] = [
    null,
    5,
    { int64: '9223372036854775807' },
    '',
    'a\r\nb',
    { simple: 'OK' },
    { error: 'ERR x' },
  ]
  const all: Value[] = [...values, values, [], [[], [values, ['x']], null]]
  const bytes = fromBin(all.map((value) => encodeValue(value, 2)).join(''))
  for (const size of [1, 2, 3, 7, 1000]) {
    const decoder = new ReplyDecoder()
    const read: Value[] = []
    for (let at = 0; at < bytes.length; at += size) {
      decoder.push(bytes.subarray(at, at + size))
      for (let value = decoder.next(); value !== undefined; value = decoder.next()) read.push(value)
    }
    expect(read).toEqual(all)
    expect(decoder.heldBytes).toBe(0)
  }
})
