/** Bench `parquet`: a million changes from SQLite to a Parquet file, on one thread.
 *
 *  Goals (issue 3): at most twice the CPU of the floor; at least twice hyparquet-writer's rate; 250 MB of memory; a file
 *  of 62 MB.
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

/** A million changes from SQLite to Parquet. */
export const parquet: Bench = {
  name,
  about: 'a million rows from SQLite to Parquet: CPU against a C scan and zstd, and against hyparquet-writer',
  async run({ quick, progress }) {
    const folder = temporaryFolder()
    const database = join(folder.path, 'events.sqlite')
    const rows = quick ? ROWS_QUICK : ROWS
    const pairs = quick ? 1 : 5
    progress(`making ${rows} rows`)
    const filled = openSqlite(database, { durability: 'normal' })
    fillEvents(filled, rows)
    filled.close()
    const sql = openSqlite(database, { readonly: true })
    try {
      const zstd = await openZstd()
      const bodies = await bodiesOf(sql, join(folder.path, 'bodies.parquet'), zstd)
      const ours = (bloom: string[] = []) => cpuOf((path) => writeOurs(sql, path, zstd, bloom))
      const floor = () =>
        cpuOf(() => {
          sql.raw(scan)
          for (const body of bodies) zstd.compress(body)
        })
      const rate = async (cpuUs: Promise<number>) => (rows / (await cpuUs)) * 1_000_000
      const perRow = async (cpuUs: Promise<number>) => (await cpuUs) / rows
      const tell = (what: string) => (text: string) => progress(`${what}: ${text}`)
      const results: BenchRow[] = []
      const floorPairs = await alternate({
        ours: () => perRow(ours()),
        peer: () => perRow(floor()),
        pairs,
        progress: tell('floor'),
      })
      results.push({ name, case: 'CPU a row, against a C scan and zstd of the same bytes', unit: 'us', ...floorPairs })
      bodies.length = 0
      const peerPairs = await alternate({
        ours: () => rate(ours()),
        peer: () => rate(cpuOf((path) => writePeer(sql, path, zstd))),
        pairs,
        progress: tell('hyparquet-writer'),
      })
      results.push({ name, case: 'rows a CPU second, against hyparquet-writer', unit: 'rows/s', ...peerPairs })
      const bloomPairs = await alternate({
        ours: () => perRow(ours(['id'])),
        peer: () => perRow(ours()),
        pairs,
        progress: tell('bloom filter'),
      })
      results.push({ name, case: 'CPU a row with a bloom filter on id, against without', unit: 'us', ...bloomPairs })
      progress('memory')
      const alone = await runAlone('ours', database, join(folder.path, 'ours.parquet'))
      const peerAlone = await runAlone('peer', database, join(folder.path, 'peer.parquet'))
      results.push(
        {
          name,
          case: `memory, against the goal of ${GOAL_RESIDENT_MB} MB`,
          unit: 'MB',
          ...exact(alone.residentMb, GOAL_RESIDENT_MB),
        },
        {
          name,
          case: 'memory, against hyparquet-writer',
          unit: 'MB',
          ...exact(alone.residentMb, peerAlone.residentMb),
        },
        {
          name,
          case: 'file, against hyparquet-writer',
          unit: 'MB',
          ...exact(alone.sizeBytes / 1e6, peerAlone.sizeBytes / 1e6),
        },
      )
      return results
    } finally {
      sql.close()
      folder.remove()
    }
  },
}
