/** Bench `lake-flush`: a million changes of a shard, from the log to a committed snapshot of the table `changes`, on
 *  one thread.
 *
 *  Goal (issue 3): at most 1.25 times the CPU of SQLite to Parquet of the same rows, measured in the same run. Ours
 *  begins when the lake is told to flush and ends when the snapshot is committed: log, columns, Parquet with a bloom
 *  filter on `id`, upload to a store on disk, manifests, catalog, settling. The floor is our own writer over the table
 *  the rows came from, as in the bench `parquet`; without a bloom filter, and with one. CPU times of the process. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import type { PolicyOptions, TierStatus } from '../core/tiering/tier/port.ts'
import { alternate, type Bench, type BenchRow } from './bench.ts'
import { collection, database, forgetLake, openBenchLake, readEvents } from './lake-data.ts'
import { fillEvents } from './parquet-data.ts'
import { writeOurs } from './parquet-run.ts'

const name = 'lake-flush'
const ROWS = 1_000_000
const ROWS_QUICK = 3_000
const KEPT_LOG_BYTES = 2 ** 33

async function cpuOf(work: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

interface Setting {
  readonly folder: string
  readonly rows: number
  readonly pairs: number
  progress(text: string): void
}

/** Write the rows to SQLite, and through the shard's program. */
async function prepare({ folder, rows, progress }: Setting, policy: PolicyOptions): Promise<void> {
  const data = join(folder, 'data')
  const bench = await openBenchLake({ data, place: join(folder, 'none'), logBytes: KEPT_LOG_BYTES })
  try {
    await bench.lake.setPolicy(database, collection, policy)
    // The first look has the shard keep documents.
    await bench.lake.flush(database)
    let written = 0
    for (const some of readEvents(join(folder, 'events.sqlite'))) {
      if (written % (rows / 20) === 0) progress(`${written} of ${rows} changes written`)
      await bench.put(some)
      written += some.length
    }
  } finally {
    await bench.close()
  }
}

/** Flush everything to an empty lake. @returns microseconds of CPU */
async function flush({ folder, rows }: Setting, table: string): Promise<number> {
  const data = join(folder, 'data')
  forgetLake(data)
  const place = temporaryFolder()
  const bench = await openBenchLake({ data, place: place.path, logBytes: KEPT_LOG_BYTES })
  try {
    let status: TierStatus | undefined
    const cpuUs = await cpuOf(async () => {
      status = await bench.lake.flush(database)
    })
    const there = status?.tables.find((one) => one.table === table)?.rows
    if (there !== rows) throw new Error(`${there} rows of ${table} are in the lake, not ${rows}`)
    return cpuUs
  } finally {
    await bench.close()
    place.remove()
  }
}

/** Write the rows' table to a Parquet file, as the bench `parquet` does. @returns microseconds of CPU */
async function writeFile({ folder }: Setting, bloom: string[]): Promise<number> {
  const sql = openSqlite(join(folder, 'events.sqlite'), { readonly: true })
  const path = join(folder, 'events.parquet')
  const zstd = await openZstd()
  try {
    return await cpuOf(() => writeOurs(sql, path, zstd, bloom))
  } finally {
    sql.close()
    rmSync(path)
  }
}

async function measure(setting: Setting, bloom: string[]): Promise<BenchRow> {
  const { rows, pairs, progress } = setting
  const what = `changes, against SQLite to Parquet ${bloom.length > 0 ? 'with' : 'without'} a bloom filter`
  const found = await alternate({
    ours: async () => (await flush(setting, 'changes')) / rows,
    peer: async () => (await writeFile(setting, bloom)) / rows,
    pairs,
    progress: (text) => progress(`${what}: ${text}`),
  })
  return { name, case: `CPU a row to a snapshot, ${what}`, unit: 'us', ...found }
}

/** A million changes from the log to a snapshot. */
export const lakeFlush: Bench = {
  name,
  about: 'a million changes from a shard to a committed snapshot: CPU against SQLite to Parquet of the same rows',
  async run({ quick, progress }) {
    const { path: folder, remove } = temporaryFolder()
    const rows = quick ? ROWS_QUICK : ROWS
    const setting: Setting = { folder, rows, pairs: quick ? 1 : 3, progress }
    try {
      progress(`making ${rows} rows`)
      const source = openSqlite(join(folder, 'events.sqlite'), { durability: 'normal' })
      fillEvents(source, rows)
      source.close()
      await prepare(setting, { mirror: false })
      return [await measure(setting, []), await measure(setting, ['id'])]
    } finally {
      remove()
    }
  },
}
