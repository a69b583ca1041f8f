/** Bench `cold-open`: a server on a folder of 100,000 databases, of which 1,000 are touched at random.
 *
 *  Goals (issue 2): opening a database and answering its first read takes 10 ms at p99; the process takes 1 GB at most.
 *
 *  One database is made through the product, closed, and copied; the catalog gets its rows through the product too.
 *  What is measured is a client's `SELECT name` and `GET key`, sent together, until the answer. The floor opens the
 *  same kind of file with SQLite alone and reads the same row. The files were just written, so their pages are in
 *  memory: a disk's own time is not measured, nor is that of writing the copies down (they are synced first). */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openFabric, openSqlite, shardPath } from '@dotdo/core/host/node'
import { redisProgram } from '../compat/redis/program.ts'
import { startServer } from '../test/crash/server.ts'
import { type Bench, type BenchContext, type BenchRow, compare, exact, quantile } from './bench.ts'

const name = 'cold-open'
const GOAL_P99_MS = 10
const GOAL_RESIDENT_MB = 1024

const nameOf = (index: number) => `agent-${index}`

/** Make the folder: every database listed in the catalog, with a file of its own. */
async function prepare(data: string, count: number, progress: (text: string) => void): Promise<void> {
  const fabric = await openFabric({ data, programs: [redisProgram], durability: 'normal' })
  const database = await fabric.database(nameOf(0))
  const key = 'greeting'
  const args = { argv: ['SET', key, `hello ${'x'.repeat(200)}`], db: 0 }
  await database.router.call({ program: 'redis', name: 'set', args }, { slot: database.map.slotOf(key) })
  const together = 1_000
  for (let from = 1; from < count; from += together) {
    progress(`cataloguing ${from} of ${count} databases`)
    const names = Array.from({ length: Math.min(together, count - from) }, (_, i) => nameOf(from + i))
    await Promise.all(names.map((one) => fabric.create(one, { partitioner: 'crc16' })))
  }
  await fabric.close()
  const first = shardPath(data, nameOf(0), 0)
  for (let index = 1; index < count; index++) {
    if (index % 1_000 === 0) progress(`copying file ${index} of ${count}`)
    const path = shardPath(data, nameOf(index), 0)
    mkdirSync(dirname(path), { recursive: true })
    copyFileSync(first, path)
  }
  progress('waiting until the disk has the files')
  spawnSync('sync', ['--file-system', data])
}

/** Choose databases at random, none twice; the same ones in every run. */
function choose(count: number, from: number): number[] {
  let state = 0x2545f491
  const chosen = new Set<number>()
  while (chosen.size < count) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    chosen.add(state % from)
  }
  return [...chosen]
}

/** Send a request and wait until the reply holds a text. */
function ask(socket: Socket, request: string, last: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let reply = ''
    const read = (chunk: Buffer) => {
      reply += chunk.toString('latin1')
      if (reply.startsWith('-')) reject(new Error(reply))
      if (!reply.endsWith(last)) return
      socket.off('data', read)
      resolve()
    }
    socket.on('data', read)
    socket.write(request)
  })
}

/** Open and read a file with SQLite alone. @returns milliseconds */
function openBare(path: string): number {
  const startMs = performance.now()
  const sql = openSqlite(path, { durability: 'full', exclusive: true })
  const found = sql.raw('select value from redis_keys limit 1')
  const tookMs = performance.now() - startMs
  sql.close()
  if (found.length !== 1) throw new Error(`${path} holds nothing`)
  return tookMs
}

/** Tell the memory of a process. */
export function residentMb(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

interface Touched {
  readonly openMs: number[]
  readonly residentMb: number
}

async function touch(data: string, indexes: readonly number[], progress: (text: string) => void): Promise<Touched> {
  const server = await startServer({ data, http: false })
  const socket = connect(server.redisPort, '127.0.0.1').setNoDelay()
  try {
    await ask(socket, 'PING\r\n', 'PONG\r\n')
    const openMs: number[] = []
    for (const [at, index] of indexes.entries()) {
      if (at % 100 === 0) progress(`touching ${at} of ${indexes.length}`)
      const startMs = performance.now()
      await ask(socket, `SELECT ${nameOf(index)}\r\nGET greeting\r\n`, 'xxx\r\n')
      openMs.push(performance.now() - startMs)
    }
    return { openMs, residentMb: residentMb(server.pid) }
  } finally {
    socket.destroy()
    await server.stop()
  }
}

async function measure(data: string, count: number, { quick, progress }: BenchContext): Promise<BenchRow[]> {
  await prepare(data, count, progress)
  const indexes = choose(quick ? 50 : 1_000, count)
  const floorMs = indexes.map((index) => openBare(shardPath(data, nameOf(index), 0)))
  const { openMs, residentMb: memory } = await touch(data, indexes, progress)
  const p99Ms = quantile(openMs, 0.99)
  const label = `${indexes.length} of ${count}`
  return [
    { name, case: `open and first read, ${label}, against SQLite alone`, unit: 'ms', ...compare(openMs, floorMs) },
    { name, case: `the same, p99`, unit: 'ms', ...exact(p99Ms, quantile(floorMs, 0.99)) },
    { name, case: 'the same, p99, against the goal', unit: 'ms', ...exact(p99Ms, GOAL_P99_MS) },
    { name, case: 'memory of the process after, against the goal', unit: 'MB', ...exact(memory, GOAL_RESIDENT_MB) },
  ]
}

/** Databases that nobody has open. */
export const coldOpen: Bench = {
  name,
  about: 'opening one of 100,000 databases and its first read, against SQLite alone; memory',
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'dotdo-bench-cold-'))
    try {
      return await measure(join(folder, 'data'), context.quick ? 200 : 100_000, context)
    } finally {
      context.progress('removing the databases')
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
