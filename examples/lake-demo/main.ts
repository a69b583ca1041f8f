/** `npm run demo:lake`: rows flow into the lake while they are written, and SQL sees all of them at every moment.
 *
 *      npm run demo:lake -- [--quick] [--json] [--page FILE.html]
 *
 *  Writes flights through ioredis into four shards, with corrections and cancellations, and lets all but the newest
 *  payloads leave for Iceberg tables on disk. After every step SQL must answer as a model does, before and after the
 *  commit; at the end tables are compacted, every past commit is read again, the server is killed and started, and
 *  payloads are read back through Redis. Exits with 1 when any answer is wrong. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { SqlStats } from '@dotdo/core/tiering/sql'
import type { TierStatus } from '@dotdo/core/tiering/tier'
import type { Redis } from 'ioredis'
import { root, type ServerProcess, startServer } from '../../test/crash/server.ts'
import { readDataset } from '../demo/dataset.ts'
import { connect } from '../demo/load.ts'
import { silent, type Teller, tellerOf } from '../demo/report.ts'
import { Api } from './api.ts'
import { pageOf, type Sample } from './chart.ts'
import { Model, type Step, stepsOf, type Totals, writeStep } from './flights.ts'
import { type Commit, type Result, summary } from './report.ts'

const DATABASE = 'flights'
const SHARDS = 4
const STEPS = 24
const BACK_READS = 50

const flightRows = "from keys where key like '%:flight:%'"
const delaySum = "cast(sum(cast(value->>'$.delay' as bigint)) as bigint)"
const totalsSql = `select count(*) as flights, ${delaySum} as delay ${flightRows}`
const busiestSql = `select value->>'$.origin' as origin, count(*) as n,
  ${delaySum} as delay ${flightRows} group by 1 order by n desc, origin limit 5`

/** What is under way. */
interface Job {
  readonly data: string
  readonly model: Model
  readonly samples: Sample[]
  readonly commits: Commit[]
  readonly problems: string[]
  readonly teller: Teller
  written: number
  checks: number
}

function sampleOf(job: Job, { tables }: TierStatus, event?: string): Sample {
  const hotBytes = tables.flatMap(({ shards }) => shards).reduce((sum, shard) => sum + shard.hotBytes, 0)
  const coldBytes = tables.reduce((sum, { bytes }) => sum + bytes, 0)
  const files = tables.reduce((sum, { dataFiles, deleteFiles }) => sum + dataFiles + deleteFiles, 0)
  return { written: job.written, hotBytes, coldBytes, files, ...(event !== undefined && { event }) }
}

function check(job: Job, what: string, found: unknown, wanted: unknown): void {
  job.checks++
  if (JSON.stringify(found) === JSON.stringify(wanted)) return
  job.problems.push(`${what}: ${JSON.stringify(found)}; want ${JSON.stringify(wanted)}`)
}

/** Ask for totals and compare them. @returns what it cost */
async function checkTotals(job: Job, api: Api, what: string, wanted: Totals, asOf?: unknown): Promise<SqlStats> {
  const more = asOf === undefined ? {} : { asOf }
  const totals = await api.sql(totalsSql, more)
  check(job, `totals ${what}`, totals.rows, [[wanted.flights, wanted.delay]])
  const busiest = await api.sql(busiestSql, more)
  check(job, `busiest airports ${what}`, busiest.rows, wanted.busiest)
  return busiest.stats
}

async function runStep(job: Job, api: Api, client: Redis, step: Step): Promise<void> {
  const { model, samples, commits } = job
  job.written += await writeStep(client, step)
  model.apply(step)
  const totals = model.totals()
  const number = commits.length + 1
  await checkTotals(job, api, `after step ${number}, not committed`, totals)
  const status = await api.tier('/flush', 'POST', {})
  const before = samples.at(-1)?.files ?? 0
  const isFewer = sampleOf(job, status).files < before / 2
  samples.push(sampleOf(job, status, isFewer ? 'compacted by itself' : undefined))
  const keys = status.tables.find(({ table }) => table === 'keys')
  if (keys?.snapshotId === undefined) throw new Error('the flush has committed nothing')
  commits.push({ snapshotId: keys.snapshotId, totals })
  await checkTotals(job, api, `after step ${number}, committed`, totals)
}

/** Compact both tables. @returns how many files there were, and are */
async function compact(job: Job, api: Api): Promise<Result['compaction']> {
  const before = sampleOf(job, await api.tier())
  for (const table of ['keys', 'changes']) await api.tier('/compact', 'POST', { table })
  const after = sampleOf(job, await api.tier(), 'compacted')
  job.samples.push(after)
  return {
    filesBefore: before.files,
    filesAfter: after.files,
    bytesBefore: before.coldBytes,
    bytesAfter: after.coldBytes,
  }
}

/** Read every past commit, and see that each says what it said then. */
async function travel(job: Job, api: Api): Promise<void> {
  const bar = job.teller.bar('reading the past', job.commits.length, 0)
  for (const [index, { snapshotId, totals }] of job.commits.entries()) {
    await checkTotals(job, api, `as of commit ${index + 1}`, totals, { snapshotId })
    bar.update(index + 1)
  }
  bar.stop()
}

/** Read payloads that left, through Redis. @returns milliseconds of each */
async function readBack(job: Job, client: Redis): Promise<number[]> {
  const took: number[] = []
  for (let n = 0; n < BACK_READS; n++) {
    const [key, { origin, delay }] = job.model.sample(n * 13)
    const startMs = performance.now()
    const text = await client.get(key)
    took.push(performance.now() - startMs)
    const found = JSON.parse(text ?? 'null') as { origin?: string; delay?: number } | null
    check(job, `GET ${key}`, [found?.origin, found?.delay], [origin, delay])
  }
  return took.sort((a, b) => a - b)
}

const start = (data: string) => startServer({ data, shards: SHARDS, durability: 'full' })

/** The first life of the server: everything is written, tiered, compacted. */
async function firstLife(job: Job, steps: readonly Step[]) {
  const server: ServerProcess = await start(job.data)
  const api = new Api(server.httpPort, DATABASE)
  try {
    await api.create(SHARDS)
    const client = await connect(server.redisPort, DATABASE)
    // The newest 500 payloads of each shard stay in SQLite; commits come when the demo asks for them.
    await api.setPolicy('keys', { maxHotRows: 500, flushEvery: '1h', flushBytes: '1gb' })
    const bar = job.teller.bar('writing, tiering, asking', steps.length, 0)
    const startMs = performance.now()
    for (const [index, step] of steps.entries()) {
      await runStep(job, api, client, step)
      bar.update(index + 1)
    }
    bar.stop()
    const seconds = (performance.now() - startMs) / 1000
    const changes = (await api.sql('select count(*) from changes')).rows[0]?.[0]
    check(job, 'changes in the lake', changes, job.written)
    const compaction = await compact(job, api)
    const stats = await checkTotals(job, api, 'after compaction', job.model.totals())
    await travel(job, api)
    client.disconnect()
    return { seconds, compaction, stats }
  } finally {
    await server.kill()
  }
}

/** The second life, after kill -9. */
async function secondLife(job: Job) {
  const server = await start(job.data)
  const api = new Api(server.httpPort, DATABASE)
  try {
    const client = await connect(server.redisPort, DATABASE)
    await checkTotals(job, api, 'after kill -9', job.model.totals())
    const took = await readBack(job, client)
    job.samples.push(sampleOf(job, await api.tier(), 'restarted'))
    client.disconnect()
    await server.stop()
    return { startMs: server.startMs, took }
  } finally {
    await server.kill()
  }
}

/** How the demo is run. */
export interface LakeDemoOptions {
  /** A tenth of the data, in fewer steps. */
  readonly quick: boolean
  readonly teller: Teller
}

/** Run the demo on a folder that goes away. */
export async function runLakeDemo({ quick, teller }: LakeDemoOptions): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-lake-demo-'))
  const dataset = readDataset(root, quick)
  const steps = stepsOf(dataset, quick ? 6 : STEPS)
  const data = join(folder, 'data')
  const job: Job = {
    data,
    model: new Model(),
    samples: [],
    commits: [],
    problems: [],
    teller,
    written: 0,
    checks: 0,
  }
  teller.say(`${dataset.name} of vega-datasets: ${dataset.flights.length} flights in ${steps.length} steps`)
  try {
    const first = await firstLife(job, steps)
    teller.say('kill -9, and up again')
    const { startMs, took } = await secondLife(job)
    const { samples, commits, problems, written, checks } = job
    return {
      ok: problems.length === 0,
      problems,
      dataset: dataset.name,
      written,
      seconds: first.seconds,
      commits: commits.length,
      checks,
      compaction: first.compaction,
      query: first.stats,
      restartMs: startMs,
      readBack: { keys: took.length, medianMs: took[took.length >> 1] ?? 0, worstMs: took.at(-1) ?? 0 },
      samples,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function main(flags: readonly string[]): Promise<void> {
  const usage = 'usage: npm run demo:lake -- [--quick] [--json] [--page FILE.html]'
  const at = flags.indexOf('--page')
  const page = at < 0 ? join(root, 'node_modules/.cache/dotdo/lake-demo.html') : flags[at + 1]
  const unknown = flags.filter((flag, index) => !(/^--(quick|json|page)$/.test(flag) || (at >= 0 && index === at + 1)))
  if (unknown.length > 0 || page === undefined) {
    console.error(`${unknown.length > 0 ? `unknown: ${unknown.join(' ')}\n` : ''}${usage}`)
    process.exit(2)
  }
  const json = flags.includes('--json')
  return runLakeDemo({ quick: flags.includes('--quick'), teller: json ? silent : tellerOf(process.stdout) }).then(
    (result) => {
      const lines = summary(result)
      mkdirSync(dirname(page), { recursive: true })
      writeFileSync(page, pageOf(result.samples, `The lake: ${result.dataset}`, lines))
      console.log(json ? JSON.stringify(result) : `${lines.join('\n')}\n\nThe chart, larger: ${page}`)
      process.exitCode = result.ok ? 0 : 1
    },
  )
}

// Imported by its test, this file runs nothing; started (scripts/run.mjs names the source in argv), it does.
if ((process.argv[1] ?? '').endsWith(join('examples', 'lake-demo', 'main.ts'))) await main(process.argv.slice(2))
