/** Redis through `dotdo connect` and a Worker: the cases and transcripts that hold in Node, unmodified. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ClientOptions, clientCases } from '../../compat/redis/client.conformance.ts'
import { RespConnection } from '../../compat/redis/real-redis.testing.ts'
import { disagreements, parseTranscript } from '../../compat/redis/transcript.testing.ts'
import { transcripts } from '../../compat/redis/transcripts/session.ts'
import { type Connected, startConnect, startWorkerd, type Workerd } from './workerd.ts'

const folder = mkdtempSync(join(tmpdir(), 'dotdo-workers-'))
const clients: Redis[] = []
let workerd: Workerd
let tunnel: Connected

beforeAll(async () => {
  workerd = await startWorkerd({ folder })
  tunnel = await startConnect(workerd.url)
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
})

afterAll(async () => {
  await tunnel.stop()
  await workerd.stop()
  rmSync(folder, { recursive: true })
})

function client(options: ClientOptions = {}): Redis {
  const made = new Redis({ ...options, host: '127.0.0.1', port: tunnel.port })
  clients.push(made)
  return made
}

async function sharded(count: number): Promise<Redis> {
  const name = `sharded-${count}-${clients.length}`
  const { status } = await workerd.get(`/databases/${name}`, {
    method: 'PUT',
    body: JSON.stringify({ shards: count }),
  })
  expect(status).toBe(201)
  const made = client()
  await made.call('SELECT', name)
  return made
}

describe('the cases of every client', () => {
  beforeEach(async () => {
    await client().flushall()
  })
  test.each(clientCases)('$name', ({ run }) => run({ client, sharded }, expect))
})

/** Send lines and read until the connection closes or an ECHO after them is answered. */
async function ask(lines: readonly string[]): Promise<string> {
  const socket = connect(tunnel.port, '127.0.0.1')
  const mark = '$16\r\nend-of-exchange.\r\n'
  let received = ''
  socket.write(`${lines.join('\r\n')}\r\nECHO end-of-exchange.\r\n`, 'latin1')
  for await (const chunk of socket) {
    received += (chunk as Buffer).toString('latin1')
    if (received.endsWith(mark)) break
  }
  socket.destroy()
  return received.replace(mark, '')
}

describe('transcripts of sessions, byte for byte', () => {
  beforeEach(async () => {
    await client().flushall()
  })
  test.each(transcripts)('$name', async ({ send, reply }) => {
    // What HELLO tells of versions and ids is left out, as the transcripts do.
    const received = (await ask(send)).replace(/%7\r\n\$6\r\nserver[\s\S]*?modules\r\n\*0\r\n/g, '%7\r\n...\r\n')
    expect(received).toBe(reply.map((line) => `${line}\r\n`).join(''))
  })
})

describe('transcripts of commands', () => {
  const texts = new URL('../../compat/redis/transcripts/', import.meta.url)
  const names = readdirSync(texts).filter((name) => name.endsWith('.txt'))

  test.each(names)('%s', async (name) => {
    const exchanges = parseTranscript(readFileSync(new URL(name, texts), 'utf8'))
    const connection = await RespConnection.open(tunnel.port)
    await connection.run('FLUSHALL')
    const ours = exchanges.filter(({ only }) => only !== 'redis')
    expect(await disagreements(ours, (argv) => connection.run(...argv))).toBe('')
    connection.close()
  })
})

test('a client that has sent its last byte gets every answer', async () => {
  const socket = connect({ port: tunnel.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(`${'PING\r\n'.repeat(2_000)}SET last words\r\n`)
  let received = ''
  for await (const chunk of socket) received += (chunk as Buffer).toString('latin1')
  expect(received).toBe(`${'+PONG\r\n'.repeat(2_000)}+OK\r\n`)
})

test('a client that does not read its replies gets them all when it does; others are served', async () => {
  const value = 'x'.repeat(1_000_000)
  const redis = client()
  await redis.set('large', value)
  const slow = connect(tunnel.port, '127.0.0.1')
  slow.pause()
  slow.write('GET large\r\n'.repeat(40))
  expect(await redis.get('large')).toBe(value)
  let bytes = 0
  for await (const chunk of slow) {
    bytes += (chunk as Buffer).length
    if (bytes === 40 * (value.length + '$1000000\r\n\r\n'.length)) break
  }
  slow.destroy()
})
