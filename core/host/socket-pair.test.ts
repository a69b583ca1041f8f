import { once } from 'node:events'
import { expect, test, vi } from 'vitest'
import { type PairedSocket, socketPair } from './socket-pair.ts'

function collect(socket: PairedSocket): { text: string } {
  const seen = { text: '' }
  socket.on('data', (chunk: Buffer) => {
    seen.text += chunk.toString()
  })
  return seen
}

test('bytes written to one end come out of the other, both ways', async () => {
  const [client, server] = socketPair()
  server.on('data', (chunk: Buffer) => server.write(`echo ${chunk}`))
  const seen = collect(client)
  client.end('hello')
  await once(client, 'close')
  expect(seen.text).toBe('echo hello')
})

test('a write returns before the other end sees its bytes', async () => {
  const [client, server] = socketPair()
  const order: string[] = []
  server.on('data', (chunk: Buffer) => {
    order.push(`got ${chunk}`)
    server.write('pong')
    order.push('answered')
  })
  client.on('data', () => order.push('reply'))
  client.write('ping')
  order.push('written')
  await once(client, 'data')
  expect(order).toEqual(['written', 'got ping', 'answered', 'reply'])
})

test('writes of one turn arrive as few chunks, in order', async () => {
  const [client, server] = socketPair()
  const chunks: string[] = []
  server.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  for (let i = 0; i < 100; i++) client.write(`${i},`)
  client.end()
  await once(server, 'end')
  expect(chunks.join('')).toBe(Array.from({ length: 100 }, (_, i) => `${i},`).join(''))
  expect(chunks.length).toBeLessThan(4)
})

test('a writer waits while the other end does not read', async () => {
  const [client, server] = socketPair()
  const block = Buffer.alloc(64 * 1024, 1)
  let written = 0
  client.write(block, () => written++)
  client.write(block, () => written++)
  client.write(block, () => written++)
  const done = new Promise<void>((resolve) => client.write(block, () => resolve()))
  await new Promise(setImmediate)
  expect(written).toBeLessThan(3)
  expect(client.writableLength).toBeGreaterThan(0)
  let read = 0
  server.on('data', (chunk: Buffer) => {
    read += chunk.length
  })
  await done
  await new Promise(setImmediate)
  expect(read).toBe(4 * block.length)
})

test('destroying one end destroys the other and frees a waiting writer', async () => {
  const [client, server] = socketPair()
  client.on('error', () => undefined)
  client.write(Buffer.alloc(1_000_000))
  client.write(Buffer.alloc(1_000_000))
  await new Promise(setImmediate)
  const closed = once(client, 'close')
  server.destroy()
  await closed
  expect(client.destroyed).toBe(true)
})

test('an idle socket emits timeout; one in use does not before it is idle', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const [client, server] = socketPair()
    server.resume()
    let fired = 0
    client.setTimeout(60, () => fired++)
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(50)
      await new Promise((resolve) => client.write('x', resolve))
    }
    vi.advanceTimersByTime(59)
    expect(fired).toBe(0)
    vi.advanceTimersByTime(1)
    expect(fired).toBe(1)
    expect(client.destroyed).toBe(false)
  } finally {
    vi.useRealTimers()
  }
})

test('bytes that arrive keep a socket from being idle', async () => {
  const [client, server] = socketPair()
  client.resume()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    let fired = 0
    client.setTimeout(60, () => fired++)
    vi.advanceTimersByTime(50)
    server.write('x')
    await once(client, 'data')
    vi.advanceTimersByTime(50)
    expect(fired).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('setTimeout(0) takes the timeout back', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const [client] = socketPair()
    let fired = false
    const fire = () => {
      fired = true
    }
    client.setTimeout(5, fire)
    client.setTimeout(0, fire)
    vi.advanceTimersByTime(100)
    expect(fired).toBe(false)
    expect(client.listenerCount('timeout')).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
