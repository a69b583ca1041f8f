/** The transcripts of scripts and functions, against us and against a real Redis: they need a session. */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis, RespConnection } from '../real-redis.testing.ts'
import { openTestServer, type TestServer } from '../test-server.ts'
import { disagreements, parseTranscript } from '../transcript.testing.ts'

const folder = new URL('../transcripts/scripting/', import.meta.url)
const transcripts = readdirSync(folder).map((name) => ({
  name,
  exchanges: parseTranscript(readFileSync(new URL(name, folder), 'utf8')),
}))

describe('transcripts of scripts against dotdo', () => {
  let server: TestServer
  let listener: Server
  let client: RespConnection
  beforeAll(async () => {
    server = await openTestServer()
    listener = createServer((socket) => {
      const session = server.server.connect({
        address: '127.0.0.1:1',
        write: (bytes) => socket.write(bytes),
        close: () => socket.end(),
        abort: () => socket.destroy(),
        queuedBytes: () => 0,
      })
      socket.on('data', (bytes) => session.receive(new Uint8Array(bytes)))
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    client = await RespConnection.open((listener.address() as AddressInfo).port)
  })
  afterAll(async () => {
    client.close()
    listener.close()
    expect(server.bugs).toEqual([])
    await server.close()
  })

  test.each(transcripts)('$name', async ({ exchanges }) => {
    await client.run('FLUSHALL')
    const ours = exchanges.filter(({ only }) => only !== 'redis')
    expect(await disagreements(ours, (argv) => client.run(...argv))).toBe('')
  })
})

const version = installedVersion()
const title = version === undefined ? 'no redis-server is installed' : `against Redis ${version}`
describe(`transcripts of scripts: ${title}`, () => {
  let real: RealRedis | undefined
  beforeAll(async () => {
    if (version !== undefined) real = await RealRedis.start()
  })
  afterAll(() => real?.stop())

  test.each(transcripts)('$name', async ({ exchanges }) => {
    const compared = exchanges.filter(({ only, since }) => only !== 'ours' && since === undefined)
    expect(compared.length).toBeGreaterThan(0)
    if (real === undefined) return
    const server = real
    await server.run('FLUSHALL')
    expect(await disagreements(compared, (argv) => server.run(...argv))).toBe('')
  })
})
