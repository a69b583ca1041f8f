/** Bench `redis`: `dotdo serve` against Debian's redis-server, both loaded by redis-benchmark, in alternating runs.
 *
 *  Goals in requests a second: at `normal`, of redis with appendfsync everysec, 0.4x pipelined and 0.6x without
 *  (issue 4); at `full`, of redis with appendfsync always, 1x pipelined and 0.5x without (issue 2). Each durability is
 *  compared with what promises the same. With one key, which is what redis-benchmark asks for unless it is told
 *  otherwise, and with 100,000: then memory is slower than either server. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { alternate, type Bench, type BenchContext, type BenchRow, compare } from './bench.ts'
import { startDotdo, startRedis, type Target } from './redis-servers.ts'

const name = 'redis'
const run = promisify(execFile)

/** What redis-benchmark tells of one test. */
interface Load {
  readonly rps: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Shape {
  readonly test: string
  readonly pipeline: number
  readonly requests: number
  /** Undefined for redis-benchmark's default: one. */
  readonly keys: number | undefined
}

async function load(port: number, { test, pipeline, requests, keys }: Shape): Promise<Load> {
  const settings = { p: port, c: 50, P: pipeline, n: requests, t: test, ...(keys && { r: keys }) }
  const flags = Object.entries(settings).flatMap(([flag, value]) => [`-${flag}`, String(value)])
  const { stdout } = await run('redis-benchmark', [...flags, '--csv'])
  // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
  const cells = stdout.trim().split('\n').at(-1)?.split(',') ?? []
  const [rps, , , p50Ms, , p99Ms] = cells.slice(1).map((cell) => Number(cell.replaceAll('"', '')))
  if (!(rps && p50Ms && p99Ms)) throw new Error(`redis-benchmark says what cannot be read: ${stdout}`)
  return { rps, p50Ms, p99Ms }
}

async function measure(
  label: string,
  { ours, peer, shape }: { ours: Target; peer: Target; shape: Shape },
  { quick, progress }: BenchContext,
): Promise<BenchRow[]> {
  const warmups = quick ? 0 : 1
  const loads: { ours: Load[]; peer: Load[] } = { ours: [], peer: [] }
  const sample =
    (into: Load[], { port }: Target) =>
    async () => {
      const one = await load(port, shape)
      into.push(one)
      return one.rps
    }
  const rate = await alternate({
    ours: sample(loads.ours, ours),
    peer: sample(loads.peer, peer),
    pairs: quick ? 1 : 3,
    warmups,
    progress: (text) => progress(`${label}: ${text}`),
  })
  const latency = (field: 'p50Ms' | 'p99Ms') => {
    const [left, right] = [loads.ours, loads.peer].map((all) => all.slice(warmups).map((one) => one[field]))
    return compare(left as number[], right as number[])
  }
  return [
    { name, case: label, unit: 'requests/s', ...rate },
    { name, case: `${label}, p50`, unit: 'ms', ...latency('p50Ms') },
    { name, case: `${label}, p99`, unit: 'ms', ...latency('p99Ms') },
  ]
}

/** Tests in the order in which redis-benchmark runs them: what is popped has been pushed. */
const allTests = [
  ...['set', 'get', 'incr', 'lpush', 'rpush', 'lpop', 'rpop'],
  ...['sadd', 'hset', 'spop', 'zadd', 'zpopmin', 'lrange_100', 'mset'],
]
const fewTests = ['set', 'get', 'hset', 'incr']

const pairings = [
  { durability: 'normal', appendfsync: 'everysec', tests: allTests },
  { durability: 'full', appendfsync: 'always', tests: fewTests },
] as const

/** Requests of these do the work of many: fewer of them say as much. */
const isHeavy = (test: string) => test === 'lrange_100' || test === 'mset'

/** @returns how many requests a sample sends */
function requestsOf(test: string, pipeline: number, quick: boolean): number {
  if (quick) return isHeavy(test) ? 100 : 300
  return (pipeline > 1 ? 200_000 : 30_000) / (isHeavy(test) ? 5 : 1)
}

function keyspaces(durability: 'normal' | 'full', quick: boolean): readonly (number | undefined)[] {
  if (quick) return [100]
  return durability === 'normal' ? [undefined, 100_000] : [undefined]
}

async function compareAt(pairing: (typeof pairings)[number], context: BenchContext): Promise<BenchRow[]> {
  const { durability, appendfsync, tests } = pairing
  const { quick, progress } = context
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-redis-'))
  const open: Target[] = []
  const keep = async (starting: Promise<Target>) => {
    const target = await starting
    open.push(target)
    return target
  }
  progress(`starting both servers at ${durability}`)
  try {
    const peer = await keep(startRedis(folder, appendfsync))
    const ours = await keep(startDotdo(folder, durability))
    const rows: BenchRow[] = []
    for (const keys of keyspaces(durability, quick)) {
      for (const pipeline of [16, 1]) {
        // Each run takes a tenth of a second at the least.
        for (const test of quick && (pipeline === 1 || durability === 'full') ? ['set'] : tests) {
          const label = `${test}, ${keys ?? 1} keys, -P ${pipeline}, ${durability}, against redis ${appendfsync}`
          const shape = { test, pipeline, requests: requestsOf(test, pipeline, quick), keys }
          rows.push(...(await measure(label, { ours, peer, shape }, context)))
        }
      }
    }
    return rows
  } finally {
    for (const target of open) await target.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The Redis protocol, end to end, against the real server. */
export const redis: Bench = {
  name,
  about: 'requests/s, p50 and p99 of redis-benchmark against redis-server, at both durabilities',
  missing() {
    const absent = ['redis-server', 'redis-benchmark'].filter((program) => spawnSync(program, ['--version']).error)
    if (absent.length === 0) return undefined
    return `${absent.join(' and ')} not found; install the Debian packages redis-server and redis-tools`
  },
  async run(context) {
    const rows: BenchRow[] = []
    for (const pairing of pairings) rows.push(...(await compareAt(pairing, context)))
    return rows
  },
}
