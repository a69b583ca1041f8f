/** Bench `fsx-many`: a server with 10,000 filesystems, of which 200 are worked on all the time.
 *
 *  Goals (issue 5): the first read of one that nobody has open takes 10 ms at p99; the process takes 1 GB at most.
 *
 *  One filesystem is made through the product, closed, and copied; the catalog gets its rows through the product. Each
 *  of the others is read once, over HTTP, while the 200 are written and read in turn. The floor opens the same kind of
 *  file with SQLite alone and reads the same row. The files were just written, so their pages are in memory. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { openFabric, openSqlite, shardPath } from '@dotdo/core/host/node'
import { fsx } from '@dotdo/fsx'
import { programs } from '../dotdo/programs.ts'
import { startServer } from '../test/crash/server.ts'
import { type Bench, type BenchContext, type BenchRow, compare, exact, quantile } from './bench.ts'
import { residentMb } from './cold-open.ts'

const name = 'fsx-many'
const GOAL_P99_MS = 10
const GOAL_RESIDENT_MB = 1024

const nameOf = (index: number) => `agent-${index}`
const content = Buffer.alloc(1024, 'x')

/** Make the folder: every filesystem listed in the catalog, with a file of its own. */
async function prepare(data: string, count: number, progress: (text: string) => void): Promise<void> {
  const fabric = await openFabric({ data, programs, durability: 'normal' })
  const fs = await fsx({ fabric, database: nameOf(0) })
  await fs.write('/notes/today.md', content)
  const together = 1_000
  for (let from = 1; from < count; from += together) {
    progress(`cataloguing ${from} of ${count} filesystems`)
    const names = Array.from({ length: Math.min(together, count - from) }, (_, i) => nameOf(from + i))
    await Promise.all(names.map((one) => fabric.create(one, {})))
  }
  await fabric.close()
  const first = shardPath(data, nameOf(0), 0)
  for (let index = 1; index < count; index++) {
    const path = shardPath(data, nameOf(index), 0)
    mkdirSync(dirname(path), { recursive: true })
    copyFileSync(first, path)
  }
  progress('waiting until the disk has the files')
  spawnSync('sync', ['--file-system', data])
}

/** Open and read a file with SQLite alone. @returns milliseconds */
function openBare(path: string): number {
  const startMs = performance.now()
  const sql = openSqlite(path, { durability: 'normal', exclusive: true })
  const found = sql.raw('select data from fs_inodes where data is not null')
  const tookMs = performance.now() - startMs
  sql.close()
  if (found.length !== 1) throw new Error(`${path} holds ${found.length} files`)
  return tookMs
}

/** Ask for a file, or write it. */
async function ask(agent: Agent, url: string, body?: Buffer): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { agent, method: body === undefined ? 'GET' : 'PUT' }, resolve)
      .on('error', reject)
      .end(body)
  })
  const { length } = await buffer(response)
  const isRight = body === undefined ? response.statusCode === 200 && length === content.length : length === 0
  if (!isRight) throw new Error(`${url}: ${response.statusCode}, ${length} bytes`)
}

interface Worked {
  readonly openMs: number[]
  readonly residentMb: number
}

async function work(
  data: string,
  sizes: { count: number; active: number },
  { progress }: BenchContext,
): Promise<Worked> {
  const { count, active } = sizes
  const server = await startServer({ data, durability: 'normal' })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const urlOf = (index: number) => `http://127.0.0.1:${server.httpPort}/fs/${nameOf(index)}/notes/today.md`
  try {
    for (let index = 0; index < active; index++) await ask(agent, urlOf(index), content)
    const openMs: number[] = []
    for (let index = active; index < count; index++) {
      if (index % 100 === 0) progress(`reading the first file of ${index} of ${count}`)
      const startMs = performance.now()
      await ask(agent, urlOf(index))
      openMs.push(performance.now() - startMs)
      await ask(agent, urlOf(index % active), content)
      await ask(agent, urlOf((index + 1) % active))
    }
    return { openMs, residentMb: residentMb(server.pid) }
  } finally {
    agent.destroy()
    await server.stop()
  }
}

async function measure(data: string, context: BenchContext): Promise<BenchRow[]> {
  const sizes = context.quick ? { count: 100, active: 10 } : { count: 10_000, active: 200 }
  const { count, active } = sizes
  await prepare(data, count, context.progress)
  const floorMs: number[] = []
  for (let index = active; index < count; index++) floorMs.push(openBare(shardPath(data, nameOf(index), 0)))
  const { openMs, residentMb: memory } = await work(data, sizes, context)
  const p99Ms = quantile(openMs, 0.99)
  const label = `first read of ${count - active} cold filesystems, ${active} active`
  return [
    { name, case: `${label}, against SQLite alone`, unit: 'ms', ...compare(openMs, floorMs) },
    { name, case: 'the same, p99', unit: 'ms', ...exact(p99Ms, quantile(floorMs, 0.99)) },
    { name, case: 'the same, p99, against the goal', unit: 'ms', ...exact(p99Ms, GOAL_P99_MS) },
    { name, case: 'memory of the process after, against the goal', unit: 'MB', ...exact(memory, GOAL_RESIDENT_MB) },
  ]
}

/** Many filesystems in one process. */
export const filesystemMany: Bench = {
  name,
  about: '10,000 filesystems in a server, 200 active: the first read of a cold one, against SQLite alone; memory',
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-many-'))
    try {
      return await measure(join(folder, 'data'), context)
    } finally {
      context.progress('removing the filesystems')
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
