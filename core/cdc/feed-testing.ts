/** A database of four shards on files, and feeds of it: for tests. */
import { afterEach, beforeEach, expect } from 'vitest'
import { type NodeFabric, type NodeFabricOptions, nodeClock, openFabric } from '../host/node/index.ts'
import { temporaryFolder } from '../host/node/testing.ts'
import type { Database } from '../shard/fabric.ts'
import { type ChangesReply, SYSTEM, type SystemCalls } from '../shard/system.ts'
import { testProgram } from '../shard/testing.ts'
import type { ChangeEvent } from './event.ts'
import { type Feed, type FeedItem, type FeedOptions, openFeed } from './feed.ts'
import type { Source } from './follow.ts'
import { databaseSource, type FeedSource } from './source.ts'

/** The data folder of the test that runs. */
export let folder: ReturnType<typeof temporaryFolder>
/** Its fabric. */
export let fabric: NodeFabric
/** The database that its calls and feeds go to. */
export let database: Database
let feeds: Feed[] = []

/** Open the fabric of the folder. */
export async function open(options: Partial<NodeFabricOptions> = {}): Promise<void> {
  const defaults = { count: 4, partitioner: 'crc16' } as const
  fabric = await openFabric({ data: folder.path, programs: [testProgram], durability: 'normal', defaults, ...options })
  database = await fabric.database('shop')
}
/** Close the fabric and open it again. */
export async function restart(options: Partial<NodeFabricOptions> = {}): Promise<void> {
  await fabric.close()
  await open(options)
}
/** Send calls and feeds to another database. */
export function use(other: Database): void {
  database = other
}
/** Lose everything, and begin on an empty folder. */
export async function startAnew(): Promise<void> {
  await fabric.close()
  folder.remove()
  folder = temporaryFolder()
  await open()
}
/** Give every test of the file a fabric of its own. */
export function useFabric(): void {
  beforeEach(async () => {
    folder = temporaryFolder()
    await open()
  })
  afterEach(async () => {
    for (const feed of feeds) await feed.return()
    feeds = []
    await fabric.close()
    folder.remove()
  })
}

/** A slot of each of the four shards. */
export const slots = [5, 5000, 9000, 13_000] as const
/** Run a call of the test program. */
export const call = (name: string, slot: number, args: object) =>
  database.router.call({ program: 'test', name, args: { slot, ...args } }, { slot })
/** Add to a counter. */
export const add = (key: string, slot: number = slots[0], by = 1) => call('add', slot, { key, by })
/** Run a call of a shard as such. */
export const system = <Name extends keyof SystemCalls>(shard: number, name: Name, args: SystemCalls[Name]) =>
  database.router.call({ program: SYSTEM, name, args }, { shard })

/** Begin a feed. */
export async function start(options: Partial<FeedOptions> & { source?: FeedSource } = {}): Promise<Feed> {
  const { source = databaseSource(fabric, database), ...more } = options
  const feed = await openFeed(source, { clock: nodeClock, ...more })
  feeds.push(feed)
  return feed
}
/** The database's logs, with something done about every read of changes. */
export function reading(
  around: (
    shard: number,
    read: () => Promise<ChangesReply>,
    after: Parameters<Source['read']>[0],
  ) => Promise<ChangesReply>,
): FeedSource {
  const source = databaseSource(fabric, database)
  return {
    ...source,
    shard(index, collections) {
      const real = source.shard(index, collections)
      const read: Source['read'] = (after, limit) => {
        const work = () => real.read(after, limit)
        return limit === 0 && after !== 'now' ? work() : around(index, work, after)
      }
      return { ...real, read }
    },
  }
}
/** Something to wait for. */
export function gate(): { opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
/** Everything up to the present end. */
export async function rest(options: Partial<FeedOptions> & { source?: FeedSource } = {}) {
  const events: (ChangeEvent & { token: string })[] = []
  const feed = await start({ since: 'start', follow: false, ...options })
  for await (const item of feed) if ('event' in item) events.push({ ...item.event, token: item.token as string })
  return { events, ids: events.map(({ documentId }) => documentId), token: feed.token() }
}
/** The next events, past heartbeats. */
export async function take(feed: Feed, count: number): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  while (events.length < count) {
    const { value, done } = await feed.next()
    if (done) break
    if ('event' in value) events.push(value.event)
  }
  return events
}
/** The next item, which must be a heartbeat. */
export const beat = async (feed: Feed) => {
  const { value } = await feed.next()
  expect(value).toHaveProperty('heartbeat')
  return value as Extract<FeedItem, { heartbeat: number }>
}
