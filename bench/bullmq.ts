/** Bench `bullmq`: jobs that do nothing, through BullMQ over TCP, on `dotdo serve` and on Debian's redis-server.
 *
 *  Goal (issue 4): 0.5x of redis at `normal` against appendfsync everysec, both in adding and in processing. Client and
 *  worker run in this process, the same for both. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { type Bench, type BenchContext, type BenchRow, compare } from './bench.ts'
import { startDotdo, startRedis, type Target } from './redis-servers.ts'

const name = 'bullmq'

/** How many jobs are under way at once, in adding and in processing. */
const CONCURRENCY = 50
/** How many `addBulk` sends in one transaction. */
const BULK = 100

const cases = ['added one by one', 'added in bulk', 'processed'] as const

type Rates = Record<(typeof cases)[number], number>

async function rateOf(jobs: number, work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return (jobs / (performance.now() - startedMs)) * 1_000
}

async function addSingly(queue: Queue, jobs: number): Promise<void> {
  let added = 0
  const loop = async () => {
    while (added < jobs) await queue.add('job', { n: added++ })
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, loop))
}

async function addInBulk(queue: Queue, jobs: number): Promise<void> {
  for (let added = 0; added < jobs; added += BULK) {
    const length = Math.min(BULK, jobs - added)
    await queue.addBulk(Array.from({ length }, (_, i) => ({ name: 'job', data: { n: added + i } })))
  }
}

async function processAll(queue: Queue, port: number, jobs: number): Promise<void> {
  let left = jobs
  const worker = new Worker(queue.name, async () => undefined, {
    connection: { host: '127.0.0.1', port },
    concurrency: CONCURRENCY,
    autorun: false,
    removeOnComplete: { count: 100 },
  })
  await new Promise<void>((resolve, reject) => {
    worker.on('completed', () => --left === 0 && resolve())
    worker.on('failed', (_job, error) => reject(error))
    worker.on('error', reject)
    worker.run().catch(reject)
  })
  await worker.close()
}

/** Send jobs through a queue of their own, half of them added either way. */
async function sample({ port }: Target, { queueName, jobs }: { queueName: string; jobs: number }): Promise<Rates> {
  const queue = new Queue(queueName, { connection: { host: '127.0.0.1', port } })
  await queue.waitUntilReady()
  const half = jobs / 2
  const singly = await rateOf(half, () => addSingly(queue, half))
  const inBulk = await rateOf(half, () => addInBulk(queue, half))
  const processed = await rateOf(jobs, () => processAll(queue, port, jobs))
  await queue.obliterate({ force: true })
  await queue.close()
  return { 'added one by one': singly, 'added in bulk': inBulk, processed }
}

async function measure(servers: { ours: Target; peer: Target }, context: BenchContext): Promise<BenchRow[]> {
  const { quick, progress } = context
  const [jobs, pairs, warmups] = quick ? [40, 1, 0] : [4_000, 5, 1]
  const rates: { ours: Rates[]; peer: Rates[] } = { ours: [], peer: [] }
  for (let pair = -warmups; pair < pairs; pair++) {
    progress(pair < 0 ? 'warming up' : `pair ${pair + 1} of ${pairs}`)
    // Who begins alternates as well.
    for (const side of pair % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) {
      const taken = await sample(servers[side], { queueName: `q${pair}`, jobs })
      if (pair >= 0) rates[side].push(taken)
    }
  }
  return cases.map((which) => {
    const [ours, peer] = [rates.ours, rates.peer].map((all) => all.map((one) => one[which]))
    const comparison = compare(ours as number[], peer as number[])
    return { name, case: `${which}, normal, against redis everysec`, unit: 'jobs/s', ...comparison }
  })
}

/** A job queue over scripts, streams and blocking commands, end to end, against the real server. */
export const bullmq: Bench = {
  name,
  about: 'jobs/s that BullMQ adds and processes, 50 at once, against redis-server',
  missing() {
    if (!spawnSync('redis-server', ['--version']).error) return undefined
    return 'redis-server not found; install the Debian package redis-server'
  },
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-bullmq-'))
    const open: Target[] = []
    try {
      context.progress('starting both servers')
      const peer = await startRedis(folder, 'everysec')
      open.push(peer)
      const ours = await startDotdo(folder, 'normal')
      open.push(ours)
      return await measure({ ours, peer }, context)
    } finally {
      for (const target of open) await target.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
