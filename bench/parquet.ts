/** Bench `parquet`: a million changes from SQLite to a Parquet file, on one thread.
 *
 *  Goals (issue 3): at most twice the CPU of the floor; at least twice hyparquet-writer's rate; 250 MB of memory; 62 MB
 *  of file.
 *
 *  The floor is what nobody can leave out: SQLite reads every value of the same table in C, and the same codec
 *  compresses the same bytes, page by page as our file has them. hyparquet-writer gets the rows through the same port,
 *  and the same codec, row groups and schema; it writes no page bounds, ours does. Times are CPU times of the process,
 *  files are written to disk. Memory is the peak of a process that does nothing else. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openSqlite } from '@dotdo/core/host/node'
import type { Sql } from '@dotdo/core/shard'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import type { Compressor } from '../core/tiering/zstd.ts'
import { alternate, type Bench, type BenchRow, exact } from './bench.ts'
import { fillEvents } from './parquet-data.ts'
import { type RunResult, writeOurs, writePeer } from './parquet-run.ts'

const name = 'parquet'
const ROWS = 1_000_000
const ROWS_QUICK = 5_000
const GOAL_RESIDENT_MB = 250

/** Every value of the table, touched in C; numbers by their greatest, as a sum of them would overflow. */
const scan = `select max(seq), max(ts), sum(octet_length(ns)), sum(octet_length(type)), sum(octet_length(op)),
  sum(octet_length(id)), sum(octet_length(data)), max(amount) from events`

/** Microseconds of CPU that some work takes; the file it writes is removed afterwards. */
async function cpuOf(work: (path: string) => unknown): Promise<number> {
  const folder = temporaryFolder()
  try {
    const before = process.cpuUsage()
    await work(join(folder.path, 'events.parquet'))
    const { user, system } = process.cpuUsage(before)
    return user + system
  } finally {
    folder.remove()
  }
}

/** Take down what our writer compresses. */
async function bodiesOf(sql: Sql, path: string, zstd: Compressor): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = []
  await writeOurs(sql, path, {
    name: 'zstd',
    compress(bytes) {
      bodies.push(bytes.slice())
      return zstd.compress(bytes)
    },
  })
  return bodies
}

/** Run one side in a process of its own. */
async function runAlone(side: 'ours' | 'peer', database: string, path: string): Promise<RunResult> {
  const arguments_ = [join('scripts', 'run.mjs'), 'bench/parquet-run.ts', side, database, path]
  const { stdout } = await promisify(execFile)(process.execPath, arguments_)
  return JSON.parse(stdout) as RunResult
}

/** What the cases share. */
interface Setting {
  readonly sql: Sql
  readonly folder: string
  readonly database: string
  readonly rows: number
  readonly pairs: number
  readonly zstd: Compressor
  progress(text: string): void
}

/** Compare CPU times, by row. */
async function measureCpu({ sql, folder, rows, pairs, zstd, progress }: Setting): Promise<BenchRow[]> {
  const ours = (bloom: string[] = []) => cpuOf((path) => writeOurs(sql, path, zstd, bloom))
  const perRow = async (cpuUs: Promise<number>) => (await cpuUs) / rows
  const rate = async (cpuUs: Promise<number>) => (rows / (await cpuUs)) * 1_000_000
  const compare = (what: string, mine: () => Promise<number>, peer: () => Promise<number>) =>
    alternate({ ours: mine, peer, pairs, progress: (text) => progress(`${what}: ${text}`) })
  const bodies = await bodiesOf(sql, join(folder, 'bodies.parquet'), zstd)
  const runFloor = () => {
    sql.raw(scan)
    for (const body of bodies) zstd.compress(body)
  }
  const floor = await compare(
    'floor',
    () => perRow(ours()),
    () => perRow(cpuOf(runFloor)),
  )
  bodies.length = 0
  const runPeer = () => cpuOf((path) => writePeer(sql, path, zstd))
  const peer = await compare(
    'hyparquet-writer',
    () => rate(ours()),
    () => rate(runPeer()),
  )
  const bloom = await compare(
    'bloom filter',
    () => perRow(ours(['id'])),
    () => perRow(ours()),
  )
  return [
    { name, case: 'CPU a row, against a C scan and zstd of the same bytes', unit: 'us', ...floor },
    { name, case: 'rows a CPU second, against hyparquet-writer', unit: 'rows/s', ...peer },
    { name, case: 'CPU a row with a bloom filter on id, against without', unit: 'us', ...bloom },
  ]
}

/** Compare memory and files. */
async function measureSizes({ database, folder, progress }: Setting): Promise<BenchRow[]> {
  progress('memory')
  const ours = await runAlone('ours', database, join(folder, 'ours.parquet'))
  const peer = await runAlone('peer', database, join(folder, 'peer.parquet'))
  const memory = (of: string, against: number): BenchRow => ({
    name,
    case: `memory, against ${of}`,
    unit: 'MB',
    ...exact(ours.residentMb, against),
  })
  return [
    memory(`the goal of ${GOAL_RESIDENT_MB} MB`, GOAL_RESIDENT_MB),
    memory('hyparquet-writer', peer.residentMb),
    { name, case: 'file, against hyparquet-writer', unit: 'MB', ...exact(ours.sizeBytes / 1e6, peer.sizeBytes / 1e6) },
  ]
}

/** A million changes from SQLite to Parquet. */
export const parquet: Bench = {
  name,
  about: 'a million rows from SQLite to Parquet: CPU against a C scan and zstd, and against hyparquet-writer',
  async run({ quick, progress }) {
    const { path: folder, remove } = temporaryFolder()
    const database = join(folder, 'events.sqlite')
    const rows = quick ? ROWS_QUICK : ROWS
    progress(`making ${rows} rows`)
    const filled = openSqlite(database, { durability: 'normal' })
    fillEvents(filled, rows)
    filled.close()
    const sql = openSqlite(database, { readonly: true })
    try {
      const setting = { sql, folder, database, rows, pairs: quick ? 1 : 7, zstd: await openZstd(), progress }
      return [...(await measureCpu(setting)), ...(await measureSizes(setting))]
    } finally {
      sql.close()
      remove()
    }
  },
}
