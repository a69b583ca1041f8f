import { catalogProgram } from '../../../shard/catalog.ts'
import { commitUpdates } from '../../../tiering/iceberg/commit.ts'
import { type DataFile, dataFile } from '../../../tiering/iceberg/data-file.ts'
import { evolveSchema, type SchemaChange } from '../../../tiering/iceberg/evolve.ts'
import { schemaOf, specOf } from '../../../tiering/iceberg/metadata.ts'
import { makeSchema } from '../../../tiering/iceberg/schema.ts'
import { TestLake, type TestRow } from '../../../tiering/iceberg/testing.ts'
import { createParquetWriter } from '../../../tiering/parquet/writer.ts'
import type { SqlRequest, SqlStats } from '../../../tiering/sql/port.ts'
import { uncompressed } from '../../../tiering/zstd.ts'
import { openFabric } from '../index.ts'
import { temporaryFolder } from '../testing.ts'
import { type NodeSqlEngine, openSqlEngine, type SqlEngineOptions } from './engine.ts'
import { allRows } from './testing.ts'

/** What is given back at a test's end, the last first. */
export const endings: (() => unknown)[] = []

/** Give back what the test has opened. */
export async function endAll(): Promise<void> {
  for (const end of endings.splice(0).reverse()) await end()
}

/** Make a folder that goes away. */
export function folder(): string {
  const { path, remove } = temporaryFolder()
  endings.push(remove)
  return path
}

/** The table's first schema. */
export const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'ts', type: 'timestamptz' },
  { name: 'x', type: 'double' },
])

/** A lake with one table, and SQL over it. */
export class ColdRig {
  readonly lake: TestLake
  readonly sql: NodeSqlEngine

  static async open(lake: TestLake, more: Partial<SqlEngineOptions> = {}): Promise<ColdRig> {
    const fabric = await openFabric({ data: folder(), programs: [] })
    const { catalog, files } = lake
    const sql = openSqlEngine({
      fabric,
      programs: [catalogProgram],
      lake: { catalog, files },
      clock: lake.clock,
      threads: 2,
      ...more,
    })
    endings.push(
      () => fabric.close(),
      () => sql.close(),
    )
    return new ColdRig(lake, sql)
  }

  private constructor(lake: TestLake, sql: NodeSqlEngine) {
    this.lake = lake
    this.sql = sql
  }

  async run(text: string, more: Partial<SqlRequest> = {}): Promise<{ rows: unknown[]; stats: SqlStats }> {
    const result = await this.sql.query({ text, database: 'db', ...more })
    const rows = await allRows(result)
    return { rows, stats: result.stats() }
  }

  async rows(text: string, more: Partial<SqlRequest> = {}): Promise<unknown[]> {
    return (await this.run(text, more)).rows
  }

  /** Change the table's schema. */
  async evolve(...changes: SchemaChange[]): Promise<void> {
    const { committer, name } = this.lake
    await commitUpdates(committer, name, (metadata) => {
      const evolved = evolveSchema({ schema: schemaOf(metadata), lastColumnId: metadata['last-column-id'] }, changes)
      return {
        requirements: [],
        updates: [
          { action: 'add-schema', schema: evolved.schema, 'last-column-id': evolved.lastColumnId },
          { action: 'set-current-schema', 'schema-id': -1 },
        ],
      }
    })
  }

  /** Commit delete files. */
  async delete(...addDeletes: DataFile[]): Promise<void> {
    const baseSnapshotId = (await this.lake.load())['current-snapshot-id'] ?? null
    await this.lake.commit({ addDeletes, baseSnapshotId })
  }

  /** Write a file of deletes by value. */
  async equalityDelete(names: readonly string[], rows: readonly TestRow[]): Promise<DataFile> {
    const metadata = await this.lake.load()
    const whole = schemaOf(metadata)
    const fields = whole.fields.filter(({ name }) => names.includes(name))
    const parts: Uint8Array[] = []
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
    const writer = createParquetWriter({ schema: { type: 'struct', fields }, sink, compressor: uncompressed })
    await writer.writeRows(rows)
    const path = `${metadata.location}/data/eq-${rows.length}-${names.join('-')}.parquet`
    const summary = await writer.finish()
    await this.lake.files.write(path, new Uint8Array(Buffer.concat(parts)))
    const file = dataFile(summary, { path, spec: specOf(metadata), partition: [] })
    return { ...file, content: 'equality-deletes', equalityIds: fields.map(({ id }) => id) }
  }
}

/** Open a lake with an empty table, and SQL over it. */
export async function coldRig(more: Partial<SqlEngineOptions> = {}, lake = new TestLake()): Promise<ColdRig> {
  await lake.create({ schema })
  return ColdRig.open(lake, more)
}

/** Make a row. */
export const row = (id: number, ns: string | null = 'a') => ({ id, ns, ts: id * 1_000_000, x: id / 2 })
/** Make rows of a run of ids. */
export const span = (from: number, to: number, ns?: string) =>
  Array.from({ length: to - from }, (_, at) => row(from + at, ns))
