import { once } from 'node:events'
import { type PairedSocket, socketPair } from '@dotdo/core/host/socket-pair'
import { afterEach, expect, test } from 'vitest'
import { serveStream } from './stream.ts'
import { openTestServer, type TestServer } from './test-server.ts'

const open: TestServer[] = []

async function connect(): Promise<{ test: TestServer; near: PairedSocket; far: PairedSocket }> {
  const test = await openTestServer()
  open.push(test)
  const [near, far] = socketPair()
  serveStream(test.server, far, { address: 'here:1' })
  return { test, near, far }
}

afterEach(async () => {
  expect(open.flatMap(({ bugs }) => bugs)).toEqual([])
  await Promise.all(open.splice(0).map((test) => test.close()))
})

/** Read until `bytes` bytes have come. */
async function read(socket: PairedSocket, bytes: number): Promise<string> {
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += (chunk as Buffer).toString('latin1')
    if (text.length >= bytes) break
  }
  return text
}

test('requests go in and replies come out', async () => {
  const { near } = await connect()
  near.write('SET a 1\r\nGET a\r\n')
  expect(await read(near, 12)).toBe('+OK\r\n$1\r\n1\r\n')
})

test('QUIT ends the stream after its reply', async () => {
  const { near, test } = await connect()
  near.write('QUIT\r\nPING\r\n')
  expect(await read(near, 100)).toBe('+OK\r\n')
  await once(near, 'close')
  expect(test.server.sessions.size).toBe(0)
})

test('a client that sends and does not read stops being read, and gets everything once it does', async () => {
  const { near, far, test } = await connect()
  const value = 'x'.repeat(20_000)
  near.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${value.length}\r\n${value}\r\n`)
  await read(near, 5)
  const asked = 1_000
  for (let i = 0; i < asked; i++) near.write('GET k\r\n')
  // A batch's replies are written whole, and then nothing more is run until they have been taken.
  while (far.writableLength === 0) await new Promise(setImmediate)
  const [session] = test.server.sessions.values()
  const ran = test.server.counters.outputBytes
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  expect(test.server.counters.outputBytes).toBe(ran)
  expect(far.writableLength).toBeLessThan(101 * 20_020)
  expect(session?.ended).toBe(false)
  const size = `$${value.length}\r\n${value}\r\n`.length
  expect((await read(near, asked * size)).length).toBe(asked * size)
})

test('input is not read while a megabyte of it waits', async () => {
  const { near, far } = await connect()
  const request = Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$600000\r\n${'x'.repeat(600_000)}\r\n`)
  for (let i = 0; i < 40; i++) near.write(request)
  let paused = 0
  far.on('pause', () => paused++)
  expect(await read(near, 40 * 5)).toBe('+OK\r\n'.repeat(40))
  expect(paused).toBeGreaterThan(0)
})

test('a client that goes away ends its session', async () => {
  const { near, test } = await connect()
  near.write('PING\r\n')
  await read(near, 7)
  expect(test.server.sessions.size).toBe(1)
  near.destroy()
  await once(near, 'close')
  while (test.server.sessions.size > 0) await new Promise(setImmediate)
})
