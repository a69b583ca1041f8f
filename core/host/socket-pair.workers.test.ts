import { expect, test } from 'vitest'
import { socketPair } from './socket-pair.ts'

test('in workerd, bytes go both ways and the end comes after them', async () => {
  const [client, server] = socketPair()
  server.on('data', (chunk: Uint8Array) => server.write(chunk))
  let seen = ''
  client.on('data', (chunk: Uint8Array) => {
    seen += new TextDecoder().decode(chunk)
  })
  for (let i = 0; i < 50; i++) client.write(`${i},`)
  client.end()
  await new Promise((resolve) => client.once('close', resolve))
  expect(seen).toBe(Array.from({ length: 50 }, (_, i) => `${i},`).join(''))
})

test('in workerd, a writer waits while the other end does not read', async () => {
  const [client, server] = socketPair()
  const block = new Uint8Array(64 * 1024)
  let written = 0
  const last = new Promise<void>((resolve) => {
    for (let i = 0; i < 4; i++) client.write(block, () => ++written === 4 && resolve())
  })
  await new Promise((resolve) => queueMicrotask(() => resolve(undefined)))
  expect(written).toBeLessThan(4)
  server.resume()
  await last
})

test('in workerd, an idle socket emits timeout', async () => {
  const [client] = socketPair()
  await new Promise<void>((resolve) => client.setTimeout(5, resolve))
  client.setTimeout(0)
  client.destroy()
})
