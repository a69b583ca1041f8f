/** `npm run demo`: the main job on real data.
 *
 *      npm run demo -- [--quick] [--json]
 *
 *  Loads flights and airports through ioredis into four shards on two threads, follows the change feed, kills the
 *  server with -9 in the middle, starts it again, finishes the load and the feed, and has redis-cli prove that nothing
 *  was lost or doubled. Exits with 1 when anything was. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, type ServerProcess, startServer } from '../../test/crash/server.ts'
import { type Dataset, expectedOf, readDataset } from './dataset.ts'
import { Follower } from './feed.ts'
import { connect, Loader } from './load.ts'
import { type Result, silent, summary, type Teller, tellerOf } from './report.ts'
import { type Verdict, verify } from './verify.ts'

const DATABASE = 'flights'
const SHARDS = 4
const THREADS = 2
const FEED_WAIT_MS = 60_000

/** A shard as `GET /databases/:name/shards` shows it. */
interface ShardStatus {
  index: number
  position: { seq: number }
  sizeBytes: number
}

async function createDatabase({ httpPort }: ServerProcess): Promise<void> {
  const body = JSON.stringify({ shards: SHARDS })
  const response = await fetch(`http://127.0.0.1:${httpPort}/databases/${DATABASE}`, { method: 'PUT', body })
  if (response.status !== 201) throw new Error(`PUT /databases/${DATABASE}: ${await response.text()}`)
}

async function readShards({ httpPort }: ServerProcess): Promise<ShardStatus[]> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/databases/${DATABASE}/shards`)
  if (!response.ok) throw new Error(`GET /databases/${DATABASE}/shards: ${await response.text()}`)
  return ((await response.json()) as { shards: ShardStatus[] }).shards
}

/** What is under way while servers come and go. */
interface Job {
  readonly data: string
  readonly loader: Loader
  readonly follower: Follower
  readonly teller: Teller
}

const start = (data: string) => startServer({ data, shards: SHARDS, threads: THREADS, durability: 'full' })

/** Load and follow; with `killAt`, kill the server when so many rows are acknowledged. @returns seconds of loading */
async function load({ loader, teller }: Job, server: ServerProcess, killAt?: number): Promise<number> {
  const startMs = performance.now()
  const bar = teller.bar(killAt === undefined ? 'loading on' : 'loading', loader.total, loader.acknowledged)
  let killed: Promise<void> | undefined
  const done = await loader.run(server.redisPort, () => {
    bar.update(loader.acknowledged)
    if (killAt !== undefined && loader.acknowledged >= killAt) killed ??= server.kill()
  })
  bar.stop()
  await killed
  const lost = !done && killed === undefined
  if (lost) throw new Error(`the server ended by itself:\n${server.logged()}`)
  return (performance.now() - startMs) / 1000
}

/** The first life of the server, up to its violent death. */
async function beforeCrash(job: Job): Promise<number> {
  const { data, loader, follower, teller } = job
  const server = await start(data)
  try {
    teller.say(
      `dotdo serve is ready after ${Math.round(server.startMs)} ms: ${SHARDS} shards on ${THREADS} threads, full`,
    )
    await createDatabase(server)
    const following = follower.run(server.httpPort, new AbortController().signal)
    const seconds = await load(job, server, Math.floor(loader.total / 2))
    await following
    teller.say(`  kill -9 at row ${loader.acknowledged}; the feed had read ${follower.events} changes`)
    return seconds
  } finally {
    await server.kill()
  }
}

/** What the second life found out. */
interface After {
  readonly seconds: number
  readonly recovery: Result['recovery']
  readonly verdict: Verdict
  readonly statuses: readonly ShardStatus[]
}

/** The second life: recover, finish, prove. */
async function afterCrash(job: Job, dataset: Dataset): Promise<After> {
  const { data, follower, teller } = job
  const server = await start(data)
  const stop = new AbortController()
  try {
    const readyMs = performance.now()
    const client = await connect(server.redisPort, DATABASE)
    await client.dbsize()
    client.disconnect()
    const recovery = { startMs: server.startMs, firstReadMs: performance.now() - readyMs }
    teller.say(`dotdo serve is ready again after ${Math.round(server.startMs)} ms`)
    const following = follower.run(server.httpPort, stop.signal)
    const seconds = await load(job, server)
    const statuses = await readShards(server)
    const ends = statuses.map(({ position }) => position.seq)
    if (!(await follower.reach(ends, FEED_WAIT_MS)))
      follower.problems.push('the feed did not reach the end of every shard')
    stop.abort()
    await following
    teller.say('reading everything back with a second client')
    const verdict = await verify(server.redisPort, DATABASE, expectedOf(dataset))
    await server.stop()
    return { seconds, recovery, verdict, statuses }
  } finally {
    stop.abort()
    await server.kill()
  }
}

function spread(follower: Follower, statuses: readonly ShardStatus[]): Result['shards'] {
  return statuses.map(({ index, position, sizeBytes }) => {
    return { index, keys: follower.lanes.get(index)?.keys.size ?? 0, changes: position.seq, bytes: sizeBytes }
  })
}

/** Run the demo on a folder that goes away. */
export async function runDemo({ quick, teller }: { quick: boolean; teller: Teller }): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-demo-'))
  const dataset = readDataset(root, quick)
  const { name, flights, airports } = dataset
  const job: Job = {
    data: join(folder, 'data'),
    loader: new Loader(dataset, DATABASE),
    follower: new Follower(DATABASE),
    teller,
  }
  const { loader, follower } = job
  teller.say(`${name} of vega-datasets: ${flights.length} flights, ${airports.length} airports`)
  try {
    const before = await beforeCrash(job)
    const killedAtRow = loader.acknowledged
    const after = await afterCrash(job, dataset)
    const seconds = before + after.seconds
    const shards = spread(follower, after.statuses)
    const { client, commands, keys, problems } = after.verdict
    const fed = shards.reduce((sum, shard) => sum + shard.keys, 0)
    const all = [...follower.problems, ...problems]
    if (fed !== keys) all.push(`the feed named ${fed} keys, there are ${keys}`)
    if (follower.resumed !== 1) all.push(`the feed was resumed ${follower.resumed} times, not once`)
    return {
      ok: all.length === 0,
      problems: all,
      dataset: { name, flights: flights.length, airports: airports.length },
      load: {
        rows: loader.acknowledged,
        seconds,
        rowsPerSecond: loader.acknowledged / seconds,
        killedAtRow,
        doubted: loader.doubted,
      },
      recovery: after.recovery,
      feed: { events: follower.events, resumed: follower.resumed, seconds: follower.readMs / 1000 },
      check: { client, commands, keys },
      shards,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// Imported by its test, this file runs nothing; started (scripts/run.mjs names the source in argv), it does.
if ((process.argv[1] ?? '').endsWith(join('examples', 'demo', 'main.ts'))) {
  const flags = process.argv.slice(2)
  const unknown = flags.filter((flag) => flag !== '--quick' && flag !== '--json')
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(' ')}\nusage: npm run demo -- [--quick] [--json]`)
    process.exit(2)
  }
  const json = flags.includes('--json')
  const result = await runDemo({ quick: flags.includes('--quick'), teller: json ? silent : tellerOf(process.stdout) })
  console.log(json ? JSON.stringify(result) : summary(result))
  process.exitCode = result.ok ? 0 : 1
}
