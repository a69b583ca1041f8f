/** The part of bench `parquet-read` that looks up keys among many files: a table with ids in no order, one bloom filter
 *  a file; and one partitioned by the hash of the id. */
import { join } from 'node:path'
import { nodeClock, openDiskObjects } from '@dotdo/core/host/node'
import { temporaryFolder } from '../core/host/node/testing.ts'
import {
  commitChange,
  compilePartition,
  dataFile,
  fileCatalog,
  LakeFiles,
  makeSchema,
  makeSpec,
  planScan,
  readTable,
  type TableMetadata,
} from '../core/tiering/iceberg/index.ts'
import { createParquetWriter, ParquetCache, readCounts } from '../core/tiering/parquet/index.ts'
import type { Zstd } from '../core/tiering/zstd.ts'
import { type BenchRow, exact } from './bench.ts'

const FILES = 100
const ROWS_PER_FILE = 100_000
const ROWS_PER_FILE_QUICK = 200
/** Rows of a file where only planning is measured. */
const ROWS_PLANNED = 200
const LOOKUPS = 40
const goalFiles = 3
const buckets = 50

const schema = makeSchema([
  { name: 'seq', type: 'long', required: true },
  { name: 'id', type: 'string', required: true },
  { name: 'amount', type: 'double' },
])

/** Make the n-th id: 32 hexadecimal digits in no order (splitmix32, four words). */
function idOf(n: number): string {
  let id = ''
  for (let word = 0; word < 4; word++) {
    let mixed = (Math.imul(n * 4 + word + 1, 0x9e3779b9) >>> 0) ^ n
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    id += ((mixed ^ (mixed >>> 15)) >>> 0).toString(16).padStart(8, '0')
  }
  return id
}

interface KeySetting {
  readonly quick: boolean
  readonly zstd: Zstd
  progress(text: string): void
}

/** Make a table of files of ids.
 *  @param idsOf those of the n-th file */
async function makeTable(
  files: LakeFiles,
  name: string,
  {
    partition,
    idsOf,
    zstd,
    progress,
  }: { partition?: string; idsOf(file: number): string[] } & Omit<KeySetting, 'quick'>,
): Promise<TableMetadata> {
  const catalog = fileCatalog({ files, clock: nodeClock })
  const table = { namespace: ['bench'], name }
  const columns = partition === undefined ? [] : [{ column: 'id', transform: partition }]
  const { spec } = makeSpec(columns, { schema, specs: [], lastPartitionId: 999 })
  await catalog.createTable(table, { schema, spec })
  const { location } = (await catalog.loadTable(table)).metadata
  const partitionOf = compilePartition(spec, schema)
  const added = []
  for (let file = 0; file < FILES; file++) {
    progress(`${name}: file ${file + 1} of ${FILES}`)
    const ids = idsOf(file)
    const parts: Uint8Array[] = []
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
    const writer = createParquetWriter({ schema, sink, compressor: zstd, bloom: ['id'] })
    const seqs = Float64Array.from(ids, (_, at) => file * ids.length + at)
    const amounts = Float64Array.from(ids, (_, at) => at / 4)
    await writer.writeColumns(ids.length, { seq: { numbers: seqs }, id: { values: ids }, amount: { numbers: amounts } })
    const path = `${location}/data/${file}.parquet`
    const summary = await writer.finish()
    await files.writeParts(path, parts)
    added.push(dataFile(summary, { path, spec, partition: partitionOf({ id: ids[0] }) }))
  }
  await commitChange({ catalog, files, clock: nodeClock }, table, { addData: added })
  return (await catalog.loadTable(table)).metadata
}

/** Look up keys, one after the other. */
async function lookUp(files: LakeFiles, table: TableMetadata, { quick, zstd, progress }: KeySetting) {
  const perFile = quick ? ROWS_PER_FILE_QUICK : ROWS_PER_FILE
  const cache = new ParquetCache()
  const costs = []
  for (let lookup = 0; lookup < LOOKUPS; lookup++) {
    progress(`lookup ${lookup + 1} of ${LOOKUPS}`)
    const counts = readCounts()
    const id = idOf((lookup * 7919 * 131) % (FILES * perFile))
    const where = { op: 'eq', column: 'id', value: id } as const
    let rows = 0
    for await (const batch of readTable(files, table, { codecs: { ZSTD: zstd.decompress }, cache, counts, where })) {
      rows += batch.rows
    }
    if (rows < 1) throw new Error(`id ${id} was not found`)
    costs.push(counts)
  }
  return costs
}

/** Measure lookups.
 *  @param name the bench's */
export async function lookUpKeys(name: string, setting: KeySetting): Promise<BenchRow[]> {
  const folder = temporaryFolder()
  const store = await openDiskObjects(join(folder.path, 'lake'), { clock: nodeClock })
  try {
    const files = new LakeFiles({ store, root: `file://${folder.path}/lake`, chance: nodeClock })
    await fileCatalog({ files, clock: nodeClock }).createNamespace(['bench'])
    const perFile = setting.quick ? ROWS_PER_FILE_QUICK : ROWS_PER_FILE
    const idsOf = (file: number) => Array.from({ length: perFile }, (_, at) => idOf(file * perFile + at))
    const plain = await makeTable(files, 'plain', { ...setting, idsOf })
    const [first, ...others] = await lookUp(files, plain, setting)
    const mean = (pick: (counts: ReturnType<typeof readCounts>) => number) =>
      others.reduce((sum, counts) => sum + pick(counts), 0) / others.length
    const row = (what: string, unit: string, ours: number, peer: number): BenchRow => {
      return { name, case: what, unit, ...exact(ours, peer) }
    }
    const of = `of ${FILES} files of ${perFile} rows`
    const firstMb = (first?.bytesRead ?? 0) / 1e6
    const planned = await plannedFiles(files, setting)
    return [
      row(
        `files ${of} whose pages a key lookup reads, against the goal`,
        'files',
        mean((one) => one.filesRead),
        goalFiles,
      ),
      row(`bytes of it, against the first, when nothing is kept`, 'MB', mean((one) => one.bytesRead) / 1e6, firstMb),
      row(
        `requests of it, against the first`,
        'requests',
        mean((one) => one.requests),
        first?.requests ?? 0,
      ),
      row(
        `files that planning leaves of ${FILES} in ${buckets} buckets by id, against the goal`,
        'files',
        planned,
        goalFiles,
      ),
    ]
  } finally {
    await store.close()
    folder.remove()
  }
}

async function plannedFiles(files: LakeFiles, setting: KeySetting): Promise<number> {
  const transform = `bucket[${buckets}]`
  const { spec } = makeSpec([{ column: 'id', transform }], { schema, specs: [], lastPartitionId: 999 })
  const partitionOf = compilePartition(spec, schema)
  const byBucket = Array.from({ length: buckets }, (): string[] => [])
  for (let n = 0; n < FILES * ROWS_PLANNED; n++) byBucket[partitionOf({ id: idOf(n) })[0] as number]?.push(idOf(n))
  const idsOf = (file: number) => {
    const ids = byBucket[file % buckets] as string[]
    const half = Math.ceil(ids.length / 2)
    return file < buckets ? ids.slice(0, half) : ids.slice(half)
  }
  const table = await makeTable(files, 'buckets', { ...setting, partition: transform, idsOf })
  const plan = await planScan(files, table, { where: { op: 'eq', column: 'id', value: idOf(1234) } })
  return plan.tasks.length
}
