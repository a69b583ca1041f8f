/** Rows of the lake as batches of the planner: one file after the other, the columns that a plan names. */
import { QUERY_CACHE_BYTES, QUERY_COLD_BATCH_BYTES, QUERY_FILES_AHEAD } from '../../../limits.ts'
import type { DataFile } from '../../iceberg/data-file.ts'
import type { LakeFiles } from '../../iceberg/files.ts'
import type { TableMetadata } from '../../iceberg/metadata.ts'
import { readTasks } from '../../iceberg/read.ts'
import type { ScanPlan } from '../../iceberg/scan.ts'
import { ParquetCache } from '../../parquet/read-cache.ts'
import type { ParquetCodecs } from '../../parquet/read-page.ts'
import type { ReadCounts } from '../../parquet/read-source.ts'
import type { Batch, Column } from './expression.ts'
import { type PartialPlan, placeColumns } from './partial.ts'
import { presenterOf } from './present.ts'
import type { Datum } from './values.ts'

/** How files are read: footers are kept between queries. */
export interface ColdReader {
  readonly files: LakeFiles
  readonly codecs: ParquetCodecs
  readonly cache: ParquetCache
}

/** Make a reader. */
export function coldReader(files: LakeFiles, codecs: ParquetCodecs): ColdReader {
  return { files, codecs, cache: new ParquetCache(QUERY_CACHE_BYTES) }
}

/** What to read. */
export interface ColdRequest {
  readonly plan: Pick<ScanPlan, 'schema' | 'tasks'>
  readonly metadata: TableMetadata
  readonly columns: PartialPlan['columns']
  /** Rows that are not so any more. */
  exclude(file: DataFile): Iterable<number> | undefined
  readonly counts: ReadCounts
}

/** Read rows, deletes applied. A column that the files' schema has not is null. */
export async function* readCold(reader: ColdReader, request: ColdRequest): AsyncGenerator<Batch> {
  const { files, codecs, cache } = reader
  const { plan, metadata, columns, exclude, counts } = request
  const fields = columns.map(([, name]) => plan.schema.fields.find((field) => field.name === name))
  const names = fields.flatMap((field) => (field === undefined ? [] : [field.name]))
  const presenters = fields.map((field) => field && presenterOf(field.type))
  const batches = readTasks(files, metadata, plan, {
    columns: names,
    exclude,
    codecs,
    cache,
    counts,
    filesAhead: QUERY_FILES_AHEAD,
    batchBytes: QUERY_COLD_BATCH_BYTES,
  })
  for await (const batch of batches) {
    let next = 0
    const nulls = fields.includes(undefined) ? new Array<Datum>(batch.rows).fill(null) : []
    const own = fields.map((field, at): Column => {
      if (field === undefined) return nulls
      const column = batch.columns[next++] as readonly unknown[]
      const present = presenters[at]
      return present === undefined ? (column as readonly Datum[]) : column.map(present)
    })
    yield placeColumns({ columns }, batch.rows, own)
  }
}
