/** Every transcript, against us and against a real Redis when one is installed. */
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shardCommands } from './commands/shard.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'
import { atLeast, disagreements, type Exchange, parseTranscript, type Reply } from './transcript.testing.ts'

const folder = new URL('./transcripts/', import.meta.url)
const transcripts = readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .map((name) => ({ name, exchanges: parseTranscript(readFileSync(new URL(name, folder), 'utf8')) }))
const version = installedVersion()

async function compare(exchanges: readonly Exchange[], run: (argv: Exchange['argv']) => Promise<Reply>) {
  expect(await disagreements(exchanges, run)).toBe('')
}

describe('transcripts against dotdo', () => {
  let ours: TestRedis
  beforeAll(async () => {
    ours = await TestRedis.open()
  })
  afterAll(() => ours.close())

  test.each(transcripts)('$name', async ({ exchanges }) => {
    await ours.run('FLUSHALL')
    await compare(
      exchanges.filter(({ only }) => only !== 'redis'),
      (argv) => ours.run(...argv),
    )
  })
})

const title =
  version === undefined ? 'no redis-server is installed: not compared with Redis' : `against Redis ${version}`
describe(`transcripts: ${title}`, () => {
  let real: RealRedis | undefined
  beforeAll(async () => {
    if (version !== undefined) real = await RealRedis.start()
  })
  afterAll(() => real?.stop())

  test.each(transcripts)('$name', async ({ exchanges }) => {
    // Without a server there is still something to hold: that each transcript has requests a server would get.
    const compared = exchanges.filter(
      ({ only, since }) => only !== 'ours' && (since === undefined || version === undefined || atLeast(version, since)),
    )
    expect(compared.length).toBeGreaterThan(0)
    if (real === undefined) return
    const server = real
    await server.run('FLUSHALL')
    await compare(compared, (argv) => server.run(...argv))
  })
})

test('every command of the shards is in a transcript', () => {
  const asked = new Set<string>()
  for (const { exchanges } of transcripts) {
    for (const { argv } of exchanges) {
      const [name = '', subcommand = ''] = argv.map((word) => word.toLowerCase())
      asked.add(name).add(`${name}|${subcommand}`)
    }
  }
  expect(shardCommands.map(({ name }) => name).filter((name) => !asked.has(name))).toEqual([])
})
