import { afterEach, expect, test } from 'vitest'
import { openTestServer, type TestServer } from './testing.ts'

const open: TestServer[] = []
async function start(options: Parameters<typeof openTestServer>[0] = {}): Promise<TestServer> {
  const server = await openTestServer(options)
  open.push(server)
  return server
}

afterEach(async () => {
  const bugs = open.flatMap((server) => server.bugs)
  await Promise.all(open.splice(0).map((server) => server.close()))
  expect(bugs).toEqual([])
})

test('commands that arrive together are answered together, in order', async () => {
  const { session, ...client } = (await start()).connect()
  let writes = 0
  const { write } = session.transport
  session.transport.write = (bytes) => {
    writes += 1
    write(bytes)
  }
  const lines = Array.from({ length: 100 }, (_, i) => [`SET key:${i} ${i}`, 'PING', `GET key:${i}`]).flat()
  const replies = Array.from({ length: 100 }, (_, i) => `+OK\r\n+PONG\r\n$${`${i}`.length}\r\n${i}\r\n`).join('')
  session.receive(Buffer.from(`${lines.join('\r\n')}\r\n`))
  await session.busy
  expect(writes).toBe(1)
  expect(await client.ask('PING')).toBe(`${replies}+PONG\r\n`)
})
