/** Transcripts of whole connections, in RESP3: what the server says of itself, and whom it lets do what. */
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { openTestServer, type TestServer } from './test-server.ts'
import { atLeast, disagreements, parseTranscript } from './transcript.testing.ts'

const folder = new URL('./transcripts/connection/', import.meta.url)
const transcripts = readdirSync(folder).map((name) => {
  return { name, exchanges: parseTranscript(readFileSync(new URL(name, folder), 'utf8')) }
})
const version = installedVersion()

describe('this server', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await openTestServer()
  })
  afterAll(async () => {
    expect(server.bugs).toEqual([])
    await server.close()
  })

  test.each(transcripts)('$name', async ({ exchanges }) => {
    const client = server.connect()
    await client.ask('HELLO 3', 'FLUSHALL')
    const own = exchanges.filter(({ only }) => only !== 'redis')
    expect(await disagreements(own, (argv) => client.run(...argv))).toBe('')
  })
})

// Where no redis-server is installed, the other tests still hold this server to what is written here.
describe.skipIf(version === undefined)(`Redis ${version}`, () => {
  let real: RealRedis
  beforeAll(async () => {
    real = await RealRedis.start()
  })
  afterAll(() => real.stop())

  test.each(transcripts)('$name', async ({ exchanges }) => {
    await real.run('FLUSHALL')
    const compared = exchanges.filter(
      ({ only, since }) => only !== 'ours' && (since === undefined || atLeast(version as string, since)),
    )
    expect(await disagreements(compared, (argv) => real.run(...argv))).toBe('')
  })
})
