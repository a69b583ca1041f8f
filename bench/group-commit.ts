/** Bench `group-commit`: what 64 writers get together against one that awaits each of its writes, at `full`.
 *
 *  Goal (issue 2): 20 times the writes a second. A write counts when it is acknowledged, after its fsync. How many
 *  fsyncs a server makes is counted by strace, where it is installed. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFabric } from '@dotdo/core/host/node'
import type { Database } from '@dotdo/core/shard'
import { Redis } from 'ioredis'
import { redisProgram } from '../compat/redis/program.ts'
import { startServer } from '../test/crash/server.ts'
import { alternate, type Bench, type BenchContext, type BenchRow, exact } from './bench.ts'

const name = 'group-commit'
const WRITERS = 64

/** Write and wait, over and over.
 *  @returns how many writes were acknowledged */
async function writer(database: Database, id: number, untilMs: number): Promise<number> {
  let writes = 0
  for (; performance.now() < untilMs; writes++) {
    const key = `writer:${id}:${writes}`
    const args = { argv: ['SET', key, 'x'.repeat(100)], db: 0 }
    await database.router.call({ program: 'redis', name: 'set', args }, { slot: database.map.slotOf(key) })
  }
  return writes
}

/** Acknowledged writes a second of so many writers. */
async function rateOf(database: Database, writers: number, durationMs: number): Promise<number> {
  const startedMs = performance.now()
  const running = Array.from({ length: writers }, (_, id) => writer(database, id, startedMs + durationMs))
  const writes = await Promise.all(running)
  return (1000 * writes.reduce((sum, count) => sum + count, 0)) / (performance.now() - startedMs)
}

async function rates({ quick, progress }: BenchContext): Promise<BenchRow> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-group-'))
  const fabric = await openFabric({ data: folder, programs: [redisProgram], durability: 'full' })
  try {
    const database = await fabric.database('bench')
    const durationMs = quick ? 50 : 1_000
    const result = await alternate({
      ours: () => rateOf(database, WRITERS, durationMs),
      peer: () => rateOf(database, 1, durationMs),
      pairs: quick ? 1 : 11,
      progress,
    })
    return { name, case: `${WRITERS} writers, against one that awaits each`, unit: 'writes/s', ...result }
  } finally {
    await fabric.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Count the fsyncs of a server while it writes what came together, and what came one by one. */
async function fsyncs({ quick, progress }: BenchContext): Promise<BenchRow[]> {
  if (spawnSync('strace', ['--version']).status !== 0) {
    progress('no strace here: fsyncs are not counted')
    return []
  }
  progress('counting fsyncs')
  const count = quick ? 32 : 512
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-fsync-'))
  const trace = join(folder, 'trace')
  const under = ['strace', '-f', '-qq', '-e', 'trace=fsync,fdatasync', '-o', trace]
  const server = await startServer({ data: join(folder, 'data'), http: false, under })
  const client = new Redis(server.redisPort, { enableAutoPipelining: false })
  const traced = () => readFileSync(trace, 'utf8').match(/f(data)?sync\(/g)?.length ?? 0
  try {
    await client.set('first', '')
    const before = traced()
    const pipeline = client.pipeline()
    for (let i = 0; i < count; i++) pipeline.set(`together:${i}`, 'x')
    await pipeline.exec()
    const between = traced()
    for (let i = 0; i < count; i++) await client.set(`apart:${i}`, 'x')
    const label = `fsyncs of ${count} writes in one pipeline, against one by one`
    return [{ name, case: label, unit: 'fsyncs', ...exact(between - before, traced() - between) }]
  } finally {
    client.disconnect()
    await server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Group commit. */
export const groupCommit: Bench = {
  name,
  about: `acknowledged writes/s of ${WRITERS} writers at full durability against one; fsyncs`,
  async run(context) {
    return [await rates(context), ...(await fsyncs(context))]
  },
}
