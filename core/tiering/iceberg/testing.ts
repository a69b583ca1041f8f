/** For tests: a lake in memory, files written by our own writer, and tables read by icebird. */
import { parquetReadObjects } from 'hyparquet'
import type { Clock } from '../../shard/clock.ts'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import type { FileSummary } from '../parquet/summary.ts'
import { readRows } from '../parquet/testing.ts'
import { createParquetWriter } from '../parquet/writer.ts'
import { uncompressed } from '../zstd.ts'
import type { Catalog, NewTable, TableName } from './catalog.ts'
import { fileCatalog } from './catalog-files.ts'
import { type Committed, type Committer, commitChange } from './commit.ts'
import {
  type DataFile,
  dataFile,
  isVector,
  positionDeleteFile,
  positionDeleteRows,
  positionDeleteSchema,
} from './data-file.ts'
import { writeDeletes } from './deletes.ts'
import { readDeletionVector } from './deletion-vector.ts'
import { LakeFiles, type Mount } from './files.ts'
import { schemaOf, specOf, type TableMetadata } from './metadata.ts'
import { compilePartition } from './partition.ts'
import type { ScanPlan } from './scan.ts'
import type { StructType } from './types.ts'
import type { Change } from './work.ts'

/** A clock that is ahead at once whenever somebody waits, and chance from a seed. */
export function testClock(seed = 1): Clock & { nowMsIs: number } {
  let state = seed >>> 0
  const word = () => {
    // A 32-bit mixer (splitmix32).
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  const clock = {
    nowMsIs: 1_763_000_000_000,
    nowMs: () => clock.nowMsIs++,
    random: () => (word() % 2 ** 16) * 2 ** 32 + word(),
    defer: (work: () => void) => queueMicrotask(work),
    after: (delayMs: number, work: () => void) => {
      let isOff = false
      queueMicrotask(() => {
        clock.nowMsIs += delayMs
        if (!isOff) work()
      })
      return () => {
        isOff = true
      }
    },
  }
  return clock
}

/** A row as the Parquet writer takes it. */
export type TestRow = Record<string, unknown>

/** The root of lakes in tests. */
export const testRoot = 'http://lake.test/bucket'

/** A lake in memory with one catalog. */
export class TestLake {
  readonly clock: ReturnType<typeof testClock>
  readonly store: ObjectStore
  readonly files: LakeFiles
  readonly catalog: Catalog
  readonly committer: Committer
  readonly name: TableName = { namespace: ['db'], name: 'events' }
  /** In the names of files, so that writers do not meet. */
  private readonly label: string
  private written = 0

  constructor(store?: ObjectStore, seed = 1, mounts: readonly Mount[] = []) {
    this.clock = testClock(seed)
    this.label = `${seed}`
    this.store = store ?? memoryObjects(this.clock)
    this.files = new LakeFiles({ store: this.store, root: testRoot, chance: this.clock, mounts })
    this.catalog = fileCatalog({ files: this.files, clock: this.clock })
    this.committer = { catalog: this.catalog, files: this.files, clock: this.clock }
  }

  /** Make the table. */
  async create(options: NewTable): Promise<void> {
    await this.catalog.createNamespace(this.name.namespace)
    await this.catalog.createTable(this.name, options)
  }

  /** Read the table's state. */
  async load(): Promise<TableMetadata> {
    return (await this.catalog.loadTable(this.name)).metadata
  }

  /** Commit. */
  async commit(change: Change, commitId?: string) {
    return commitChange(this.committer, this.name, change, commitId)
  }

  private async put(path: string, schema: StructType, rows: readonly TestRow[], options: object): Promise<FileSummary> {
    const parts: Uint8Array[] = []
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
    const writer = createParquetWriter({ schema, sink, compressor: uncompressed, ...options })
    await writer.writeRows(rows as never)
    const summary = await writer.finish()
    await this.files.write(path, new Uint8Array(Buffer.concat(parts)))
    return summary
  }

  /** Write a data file of rows that are all of one partition. */
  async dataFile(rows: readonly TestRow[], table?: TableMetadata): Promise<DataFile> {
    const metadata = table ?? (await this.load())
    const [schema, spec] = [schemaOf(metadata), specOf(metadata)]
    const path = `${metadata.location}/data/${this.label}-${`${this.written++}`.padStart(12, '0')}.parquet`
    const summary = await this.put(path, schema, rows, { metadata: { 'iceberg.schema': JSON.stringify(schema) } })
    const partition = compilePartition(spec, schema)(rows[0] as TestRow)
    return dataFile(summary, { path, spec, partition })
  }

  /** Write a file of deletes from data files of one partition. */
  async deleteFile(
    ...deletes: readonly (readonly [file: DataFile, positions: readonly number[]])[]
  ): Promise<DataFile> {
    const metadata = await this.load()
    const path = `${metadata.location}/data/${this.label}-${this.written++}-deletes.parquet`
    const byPath = new Map(deletes.map(([file, positions]) => [file.path, positions]))
    const rows = positionDeleteRows(byPath) as unknown as TestRow[]
    const summary = await this.put(path, positionDeleteSchema, rows, {})
    const [[{ specId, partition }]] = deletes as readonly [readonly [DataFile, unknown]]
    return positionDeleteFile(summary, { path, spec: specOf(metadata, specId), partition }, byPath.keys())
  }

  /** Delete rows by position, as the table's format has it. */
  async delete(
    ...deletes: readonly (readonly [file: Pick<DataFile, 'path'>, positions: readonly number[]])[]
  ): Promise<Committed> {
    const byPath = new Map(deletes.map(([{ path }, positions]) => [path, positions]))
    const options = { compressor: uncompressed, codecs: {} }
    return this.commit(await writeDeletes(this.files, await this.load(), byPath, options))
  }

  /** Append rows of one partition. */
  async append(rows: readonly TestRow[]): Promise<DataFile> {
    const file = await this.dataFile(rows)
    await this.commit({ addData: [file] })
    return file
  }

  /** Read the table with icebird. */
  async rows(metadata?: TableMetadata): Promise<TestRow[]> {
    const table = metadata ?? (await this.load())
    const state = table['current-snapshot-id'] === undefined ? undefined : JSON.parse(JSON.stringify(table))
    if (state === undefined) return []
    // Only here: one of its dependencies compiles WebAssembly when it is loaded, which workerd refuses.
    const { icebergRead } = await import('icebird')
    return withFetch(this.files, () => icebergRead({ tableUrl: table.location, metadata: state }))
  }
}

/** Read a Parquet file of a lake. */
export async function readParquet(files: LakeFiles, path: string): Promise<TestRow[]> {
  const bytes = await files.read(path)
  const file = { byteLength: bytes.length, slice: (from: number, to?: number) => bytes.slice(from, to).buffer }
  return parquetReadObjects({ file })
}

/** Read a Parquet file for the checker: days, microseconds and bytes as they are stored. */
export async function readExactly(bytes: Uint8Array): Promise<TestRow[]> {
  const rows = await readRows(bytes)
  const decoder = new TextDecoder()
  const isText = (name: string) => name === 'ns' || name === 'note' || name === 'file_path'
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => {
        return [name, isText(name) && value instanceof Uint8Array ? decoder.decode(value) : value]
      }),
    ),
  )
}

/** Read what a plan says, deletes by position applied; columns by the names they had when the file was written. */
export async function readPlan(files: LakeFiles, { tasks }: ScanPlan): Promise<TestRow[]> {
  const rows: TestRow[] = []
  for (const { file, deletes } of tasks) {
    const gone = new Set<number>()
    for (const one of deletes) {
      if (isVector(one)) {
        for (const position of await readDeletionVector(files, one)) gone.add(position)
        continue
      }
      for (const row of await readParquet(files, one.path)) {
        if (row.file_path === file.path) gone.add(Number(row.pos))
      }
    }
    rows.push(...(await readParquet(files, file.path)).filter((_, at) => !gone.has(at)))
  }
  return rows
}

/** Let `fetch` read from a store while `work` runs. */
export async function withFetch<T>(files: LakeFiles, work: () => Promise<T>): Promise<T> {
  const real = globalThis.fetch
  globalThis.fetch = async (url, init) => {
    const { store, key } = files.placeOf(`${url}`)
    const found = await store.get(key)
    if (found === undefined) return new Response(null, { status: 404, statusText: 'Not Found' })
    const range = /bytes=(\d+)-(\d*)/.exec(new Headers(init?.headers).get('range') ?? '')
    const from = Number(range?.[1] ?? 0)
    const to = range?.[2] ? Number(range[2]) + 1 : found.bytes.length
    const bytes = found.bytes.slice(from, to)
    const headers = { 'content-length': `${bytes.length}` }
    const isHead = init?.method === 'HEAD'
    return new Response(isHead ? null : bytes, { status: range === null ? 200 : 206, headers })
  }
  try {
    return await work()
  } finally {
    globalThis.fetch = real
  }
}

/** Stores whose process dies at its n-th request, before or after it takes effect: nothing of it goes on. */
export function dying(
  stores: readonly ObjectStore[],
  at: number,
  isDone: boolean,
): { readonly stores: ObjectStore[]; readonly died: Promise<true> } {
  let requests = 0
  let die: (value: true) => void = () => {}
  const died = new Promise<true>((resolve) => {
    die = resolve
  })
  const strike = async <T>(work: () => Promise<T>): Promise<T> => {
    const now = requests++
    if (now < at) return work()
    if (now === at && isDone) await work()
    die(true)
    return new Promise(() => {})
  }
  const doomed = stores.map(
    (store): ObjectStore => ({
      get: (...args) => strike(() => store.get(...args)),
      head: (...args) => strike(() => store.head(...args)),
      put: (...args) => strike(() => store.put(...args)),
      delete: (...args) => strike(() => store.delete(...args)),
      list: (...args) => strike(() => store.list(...args)),
      multipart: (...args) => strike(() => store.multipart(...args)),
    }),
  )
  return { stores: doomed, died }
}
