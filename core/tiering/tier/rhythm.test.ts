import { afterEach, expect, it } from 'vitest'
import { openZstd } from '../../host/node/zstd.ts'
import { murmur3Slot } from '../../shard/hash.ts'
import { Lake } from './lake.ts'
import { parseDuration, parseSize } from './policy.ts'
import type { PolicyOptions, TierEvent } from './port.ts'
import { Rig } from './testing.ts'

const minuteMs = 60_000
const shards = 64

let rig: Rig | undefined
afterEach(() => {
  rig?.close()
  rig = undefined
})

type Told = TierEvent & { readonly atMs: number }

/** Find an id for each shard. */
async function idsByShard(of: Rig): Promise<string[]> {
  const { map } = await of.database()
  const ids: string[] = []
  for (let at = 0; Object.keys(ids).length < shards; at++) ids[map.owner[murmur3Slot(`d${at}`)] as number] ??= `d${at}`
  return ids
}

/** Write to every shard each minute, and look at the lake each minute.
 *  @param chars of a document that a shard gets each minute */
async function run(policy: PolicyOptions, { minutes, chars }: { minutes: number; chars: (shard: number) => number }) {
  rig = await Rig.open({ shards, compressor: await openZstd() })
  const { clock, fabric, tools } = rig
  const told: Told[] = []
  const listener = (event: TierEvent) => void told.push({ ...event, atMs: clock.nowMsIs })
  const lake = new Lake({ ...tools, fabric, listener, compactEveryMs: 0 })
  await lake.setPolicy('shop', 'docs', policy)
  const ids = await idsByShard(rig)
  const places = new Map(ids.map((id, shard) => [id, shard]))
  const text = (length: number) => {
    let made = ''
    while (made.length < length) made += clock.random().toString(16)
    return made.slice(0, length)
  }
  const startMs = clock.nowMsIs
  for (let minute = 1; minute <= minutes; minute++) {
    await rig.putAll(ids, (id) => ({ body: text(chars(places.get(id) as number)) }))
    clock.nowMsIs = Math.max(clock.nowMsIs, startMs + minute * minuteMs)
    await lake.runDue()
  }
  const of = (kind: TierEvent['kind']) => told.filter((event) => event.kind === kind && event.table === 'changes')
  expect(told.filter(({ kind }) => kind === 'failed')).toEqual([])
  return { flushed: of('flushed'), committed: of('committed') }
}

it('commits a table once a minute at the most, and files are large or far apart', async () => {
  const [flushBytes, flushEvery] = ['16kb', '15m']
  // One shard in four fills a file in some minutes, one in none of a quarter of an hour.
  const chars = (shard: number) => [8_000, 5_000, 500, 50][shard % 4] as number
  const policy = { mirror: false, flushBytes, flushEvery }
  const { flushed, committed } = await run(policy, { minutes: 100, chars })
  for (const [at, { atMs }] of committed.entries()) {
    expect(atMs - (committed[at - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(minuteMs)
  }
  expect(committed.length).toBeGreaterThan(20)
  const byShard = new Map<string, Told[]>()
  for (const event of flushed) {
    const shard = event.message.split(' ')[1] as string
    byShard.set(shard, [...(byShard.get(shard) ?? []), event])
  }
  expect(byShard.size).toBe(shards)
  let large = 0
  for (const files of byShard.values()) {
    for (const [at, { atMs, bytes = 0, files: count }] of files.entries()) {
      expect(count).toBe(1)
      const before = files[at - 1]
      // What is there when a policy is set comes into the lake at once.
      if (before === undefined) continue
      const isLarge = bytes >= parseSize('', flushBytes)
      if (isLarge) large++
      else expect(atMs - before.atMs).toBeGreaterThanOrEqual(parseDuration('', flushEvery))
    }
  }
  expect(large).toBeGreaterThan(shards)
}, 120_000)

it('commits what 64 shards write each minute once a minute', async () => {
  const { flushed, committed } = await run({ mirror: false, flushEvery: '30s' }, { minutes: 12, chars: () => 50 })
  for (const [at, { atMs }] of committed.entries()) {
    expect(atMs - (committed[at - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(minuteMs)
  }
  expect(committed.length).toBeGreaterThanOrEqual(6)
  expect(flushed.length).toBeGreaterThan(5 * shards)
}, 60_000)
