/** Bench `parquet-read`: what reading a million rows costs, in bytes and in CPU, and what finding one key costs.
 *
 *  Goals (issue 3): 1 % of the time over 10 row groups reads at most 11 MB; a lookup by id through bloom filters reads
 *  at most 12 MB; in 100 files of 100,000 rows a key lookup opens at most 3 files: it reads pages of no more. That keys
 *  are in no order is the worst case; then footers and bloom filters are read of all files, once, and kept.
 *
 *  The peer is hyparquet on the same bytes with the same zstd: columns for the scan, its filters, page index and bloom
 *  filters for the rest. Times are CPU times of the process, the file is in memory. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeClock, openSqlite } from '@dotdo/core/host/node'
import { parquetRead, parquetReadObjects } from 'hyparquet'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { bind, compileColumnMatcher, type Predicate } from '../core/tiering/iceberg/index.ts'
import { memoryObjects, type ObjectStore } from '../core/tiering/index.ts'
import { objectSource, openParquet, type ReadCounts, readColumns, readCounts } from '../core/tiering/parquet/index.ts'
import type { Zstd } from '../core/tiering/zstd.ts'
import { alternate, type Bench, type BenchRow, exact } from './bench.ts'
import { eventsSchema, fillEvents } from './parquet-data.ts'
import { lookUpKeys } from './parquet-keys.ts'
import { writeOurs } from './parquet-run.ts'

const name = 'parquet-read'
const ROWS = 1_000_000
const ROWS_QUICK = 5_000
const megabyte = 1e6
const goalRangeMb = 11
const goalLookupMb = 12

interface Setting {
  readonly bytes: Uint8Array
  /** Has them as `events`. */
  readonly store: ObjectStore
  readonly rows: number
  readonly pairs: number
  readonly zstd: Zstd
  /** A hundredth of the time. */
  readonly range: readonly [from: number, to: number]
  readonly id: string
  progress(text: string): void
}

/** Make the file: ours, ten row groups, a bloom filter on the id. */
async function makeFile(rows: number, zstd: Zstd): Promise<Pick<Setting, 'bytes' | 'range' | 'id'>> {
  const folder = temporaryFolder()
  const sql = openSqlite(join(folder.path, 'events.sqlite'), { durability: 'normal' })
  try {
    fillEvents(sql, rows)
    const path = join(folder.path, 'events.parquet')
    await writeOurs(sql, path, zstd, ['id'])
    const at = (seq: number) => sql.raw('select ts, id from events where seq = ?', seq)[0] as [number, string]
    const [from] = at(Math.ceil(rows * 0.5))
    const [to] = at(Math.ceil(rows * 0.51))
    return { bytes: new Uint8Array(readFileSync(path)), range: [from, to], id: at(Math.ceil(rows * 0.3))[1] }
  } finally {
    sql.close()
    folder.remove()
  }
}

async function cpuOf(work: () => Promise<number>, rows: number): Promise<number> {
  const before = process.cpuUsage()
  const found = await work()
  const { user, system } = process.cpuUsage(before)
  if (found !== rows) throw new Error(`${found} rows were read, not ${rows}`)
  return user + system
}

/** Read with ours. @returns rows */
async function readOurs({ store, zstd }: Setting, where: Predicate, counts: ReadCounts = readCounts()) {
  const codecs = { ZSTD: zstd.decompress }
  const file = await openParquet(objectSource(store, 'events'), { codecs, counts })
  const bound = bind(where, { ...eventsSchema, 'schema-id': 0 })
  const filter = where.op === 'true' ? undefined : compileColumnMatcher(bound, eventsSchema)
  let rows = 0
  for await (const batch of readColumns(file, { fields: eventsSchema.fields, where: bound, filter })) rows += batch.rows
  return rows
}

function peerOf({ bytes, zstd }: Setting) {
  return {
    file: { byteLength: bytes.length, slice: (from: number, to?: number) => bytes.slice(from, to).buffer },
    compressors: { ZSTD: zstd.decompress },
    parsers: { timestampFromMicroseconds: Number },
  }
}

async function scanPeer(setting: Setting): Promise<number> {
  let values = 0
  const onChunk = ({ columnData }: { columnData: { length: number } }) => {
    values += columnData.length
  }
  await parquetRead({ ...peerOf(setting), onChunk })
  return values / eventsSchema.fields.length
}

async function measureCpu(setting: Setting): Promise<BenchRow[]> {
  const { rows, range, id, pairs, progress } = setting
  const between: Predicate = {
    op: 'and',
    args: [
      { op: 'gt-eq', column: 'ts', value: range[0] },
      { op: 'lt', column: 'ts', value: range[1] },
    ],
  }
  const isId: Predicate = { op: 'eq', column: 'id', value: id }
  const inRange = await readOurs(setting, between)
  const indexes = { useOffsetIndex: true, usePageIndex: true, useBloomFilters: true }
  const filterPeer = async (filter: object) =>
    (await parquetReadObjects({ ...peerOf(setting), ...indexes, filter } as never)).length
  const cases = [
    ['all columns of all rows', rows, { op: 'true' } as Predicate, () => scanPeer(setting)],
    ['1 % of the time', inRange, between, () => filterPeer({ ts: { $gte: range[0], $lt: range[1] } })],
    ['one id', 1, isId, () => filterPeer({ id: { $eq: id } })],
  ] as const
  const made: BenchRow[] = []
  for (const [what, count, where, peer] of cases) {
    const compared = await alternate({
      ours: async () => (await cpuOf(() => readOurs(setting, where), count)) / 1000,
      peer: async () => (await cpuOf(peer, count)) / 1000,
      pairs,
      progress: (text) => progress(`${what}: ${text}`),
    })
    made.push({ name, case: `CPU of ${what}, against hyparquet`, unit: 'ms', ...compared })
  }
  const bytesOf = async (where: Predicate) => {
    const counts = readCounts()
    await readOurs(setting, where, counts)
    return counts.bytesRead / megabyte
  }
  made.push({
    name,
    case: `bytes of 1 % of the time, against the goal of ${goalRangeMb} MB`,
    unit: 'MB',
    ...exact(await bytesOf(between), goalRangeMb),
  })
  made.push({
    name,
    case: `bytes of one id, against the goal of ${goalLookupMb} MB`,
    unit: 'MB',
    ...exact(await bytesOf(isId), goalLookupMb),
  })
  return made
}

/** Reading a million rows, and finding one. */
export const parquetReading: Bench = {
  name,
  about: 'a million rows from Parquet: bytes and CPU of a scan, a time range and a lookup; a key among 100 files',
  async run({ quick, progress }) {
    const zstd = await openZstd()
    const rows = quick ? ROWS_QUICK : ROWS
    progress(`making ${rows} rows`)
    const made = await makeFile(rows, zstd)
    const store = memoryObjects(nodeClock)
    await store.put('events', made.bytes)
    const setting = { ...made, store, rows, pairs: quick ? 1 : 5, zstd, progress }
    return [...(await measureCpu(setting)), ...(await lookUpKeys(name, { quick, zstd, progress }))]
  },
}
