import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { root, startServer } from '../../test/crash/server.ts'
import { expectedOf, readDataset } from './dataset.ts'
import { Follower } from './feed.ts'
import { connect } from './load.ts'
import { runDemo } from './main.ts'
import { summary, tellerOf } from './report.ts'
import { verify } from './verify.ts'

it('loads, follows, is killed, recovers and proves it', async () => {
  const told: string[] = []
  const result = await runDemo({ quick: true, teller: tellerOf({ write: (text) => told.push(text) }) })
  expect(result).toMatchObject({
    ok: true,
    problems: [],
    dataset: { flights: 2000, airports: 300 },
    load: { rows: 2300 },
    feed: { resumed: 1 },
    check: { client: expect.stringMatching(/^redis-cli |redis-cli is not installed/), keys: 2610 },
  })
  expect(result.load.killedAtRow).toBeLessThan(2300)
  expect(result.shards.map(({ changes }) => changes).reduce((sum, one) => sum + one)).toBe(result.feed.events)
  expect(result.shards.every(({ keys }) => keys > 0)).toBe(true)
  expect(summary(result)).toContain('Nothing was lost, nothing was doubled.')
  expect(told.join('')).toMatch(/kill -9 at row \d+/)
})

it('notices what is missing, different or too much', async () => {
  const folder = temporaryFolder()
  const server = await startServer({ data: join(folder.path, 'data'), http: false })
  const client = await connect(server.redisPort, 'flights')
  const expected = expectedOf({
    ...readDataset(root, true),
    flights: [],
    airports: [
      { code: 'AAA', text: 'A, "quoted", back\\slash' },
      { code: 'BBB', text: 'B' },
      { code: 'CCC', text: 'C' },
    ],
  })
  await client.mset('airport:AAA', 'A, "quoted", back\\slash', 'airport:BBB', 'other', 'airport:DDD', 'D', 'more', '')
  const { problems } = await verify(server.redisPort, 'flights', expected)
  expect(problems).toEqual([
    'airport:BBB holds ["other"]; want "B"',
    expect.stringMatching(/^airport:CCC holds .*; want "C"$/),
    'there are 4 keys; want 3',
  ])
  client.disconnect()
  await server.stop()
  folder.remove()
})

it('notices a gap and a repeat in the feed', async () => {
  const line = (sequence: number) => {
    const change = { collection: 'keys', documentId: `k${sequence}`, sequence, source: { shard: 0, incarnation: 'a' } }
    return `${JSON.stringify({ change, token: `t${sequence}` })}\n`
  }
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.end([1, 2, 2, 4].map(line).join(''))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const follower = new Follower('flights')
  await follower.run(port, new AbortController().signal)
  expect(follower.problems).toEqual(['shard 0: change 2 came after 2', 'shard 0: change 4 came after 2'])
  await follower.run(port, new AbortController().signal)
  expect(asked).toEqual(['/changes?database=flights&since=start', '/changes?database=flights&since=t4'])
  expect(follower.resumed).toBe(1)
  server.close()
})
