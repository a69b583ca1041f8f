/** Writes the rows of several data files as one: without the deleted ones, in order, one row group in memory.
 *
 *  1. Columns are those that the table has today; what was dropped is left out, what was widened is written wide.
 *  2. In format v3 rows keep their ids and the number of their last change: both become columns of the new file. */
import { Failure } from '../../errors.ts'
import { type ColumnBatch, positionOf, type RowFilter, readColumns } from '../parquet/read.ts'
import type { Cell } from '../parquet/read-assemble.ts'
import { type FileReader, openParquet } from '../parquet/read-file.ts'
import type { FileNode } from '../parquet/read-footer.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import { objectSource } from '../parquet/read-source.ts'
import type { FileSummary } from '../parquet/summary.ts'
import { createParquetWriter } from '../parquet/writer.ts'
import type { Compressor } from '../zstd.ts'
import type { Bin } from './compact-plan.ts'
import { type ColumnSink, plainColumns, sortColumns } from './compact-sort.ts'
import { type DataFile, dataFile } from './data-file.ts'
import { nameOf } from './deletes.ts'
import { FileOutput } from './file-output.ts'
import type { LakeFiles } from './files.ts'
import { schemaOf, sortOrderOf, specOf, type TableMetadata } from './metadata.ts'
import { type DeleteReader, nameMappingOfTable } from './read-deletes.ts'
import type { ScanTask } from './scan.ts'
import { fieldIdMax, indexFields } from './schema.ts'
import type { Field, StructType } from './types.ts'
import { dataFolder } from './work.ts'

/** How rows are read and written. */
export interface RewriteOptions {
  readonly compressor: Compressor
  readonly codecs: ParquetCodecs
  /** Columns to make bloom filters for; those that any of the old files has one for when left out. */
  readonly bloom?: readonly string[]
  readonly rowGroupRows?: number
  /** Bring rows into the table's order. All of a file are in memory then. */
  readonly sort?: boolean
  /** Lets others run, between pages. */
  readonly pause: () => Promise<void>
  /** Of the state of the table that the bin is of. */
  readonly deletes: DeleteReader
}

/** Where the rows of an old file are now. */
export interface Source {
  readonly task: ScanTask
  /** The place in the new file of the first row that stays. */
  readonly offset: number
  /** Positions that were left out, ascending. */
  readonly without: readonly number[]
}

/** A bin that was written anew. */
export interface Rewritten {
  /** Undefined when every row was deleted. */
  readonly file: DataFile | undefined
  readonly sources: readonly Source[]
}

const rowIdField: Field = { id: 2_147_483_540, name: '_row_id', required: false, type: 'long' }
const updatedField: Field = { id: 2_147_483_539, name: '_last_updated_sequence_number', required: false, type: 'long' }

/** Write the files of a bin as one.
 *  @throws unsupported for files that are no Parquet */
export async function rewriteBin(
  files: LakeFiles,
  table: TableMetadata,
  bin: Bin,
  options: RewriteOptions,
): Promise<Rewritten> {
  const readers = await Promise.all(bin.tasks.map((task) => openFile(files, task, options.codecs)))
  const schema = schemaOf(table)
  const isLineage = table['format-version'] >= 3
  const fields = isLineage ? [...schema.fields, rowIdField, updatedField] : schema.fields
  const path = `${bin.mount.root}/${files.placeOf(dataFolder(table)).key}/${nameOf(files)}.parquet`
  const output = new FileOutput(files, path)
  try {
    const { compressor, pause, rowGroupRows } = options
    const writer = createParquetWriter({
      schema: isLineage ? { type: 'struct', fields } : schema,
      sink: output,
      compressor,
      pause,
      bloom: options.bloom ?? [...new Set(readers.flatMap((reader) => bloomed(reader, schema)))],
      metadata: { 'iceberg.schema': JSON.stringify(schema) },
      ...(rowGroupRows !== undefined && { rowGroupRows }),
    })
    const sink = options.sort === true ? sortColumns(table, writer, fields) : plainColumns(writer, fields)
    const sources: Source[] = []
    for (const [at, task] of bin.tasks.entries()) {
      const read = { table, task, fields, reader: readers[at] as FileReader, deletes: options.deletes }
      sources.push({ task, offset: sink.rows, without: await copyRows(read, sink.write) })
    }
    await sink.finish()
    if (sink.rows === 0) {
      await output.abort(new Failure('invalid', 'every row was deleted'))
      return { file: undefined, sources }
    }
    const summary = withoutReserved(await writer.finish())
    await output.finish()
    const [{ file: like }] = bin.tasks as readonly [ScanTask]
    const spec = specOf(table, like.specId)
    const place = { path, spec, partition: like.partition, sortOrderId: sortOrderIdOf(table, bin, options) }
    return { file: dataFile(summary, place), sources }
  } catch (error) {
    await output.abort(error)
    throw error
  }
}

async function openFile(files: LakeFiles, { file }: ScanTask, codecs: ParquetCodecs): Promise<FileReader> {
  if (file.format !== 'PARQUET')
    throw new Failure('unsupported', `${file.path} is ${file.format}; Parquet is rewritten`)
  const { store, key } = files.placeOf(file.path)
  return openParquet(objectSource(store, key, file.path), { codecs })
}

function sortOrderIdOf(table: TableMetadata, { tasks }: Bin, { sort }: RewriteOptions): number {
  if (sort === true) return sortOrderOf(table)['order-id']
  return tasks.length === 1 ? (tasks[0]?.file.sortOrderId ?? 0) : 0
}

interface Reading {
  readonly table: TableMetadata
  readonly task: ScanTask
  readonly fields: readonly Field[]
  readonly reader: FileReader
  readonly deletes: DeleteReader
}

/** Copy the rows that stay.
 *  @returns the positions of the others */
async function copyRows(reading: Reading, write: ColumnSink['write']): Promise<number[]> {
  const { table, task, fields, reader } = reading
  const filter = await filterOf(reading)
  const without: number[] = []
  let next = 0
  const skipTo = (position: number) => {
    while (next < position) without.push(next++)
  }
  for await (const batch of readColumns(reader, { fields, filter, nameMapping: nameMappingOfTable(table) })) {
    for (let at = 0; at < batch.rows; at++) {
      skipTo(positionOf(batch, at))
      next++
    }
    await write(batch.rows, table['format-version'] >= 3 ? withLineage(batch, task) : batch.columns)
  }
  skipTo(reader.rows)
  return without
}

/** @returns undefined when every row stays */
async function filterOf({ deletes, task }: Reading): Promise<RowFilter | undefined> {
  const tests = await deletes.equalityOf(task)
  const gone = new Set(await deletes.positionsOf(task))
  if (gone.size === 0 && tests.length === 0) return undefined
  const fields = [...new Map(tests.flatMap((test) => test.fields).map((field) => [field.id, field])).values()]
  const placed = tests.map((test) => ({
    test,
    places: test.fields.map(({ id }) => fields.findIndex((field) => field.id === id)),
  }))
  return {
    fields,
    test(columns) {
      const own = placed.map(({ test, places }) => ({ test, of: places.map((at) => columns[at] as readonly Cell[]) }))
      return (at, position) => !gone.has(position) && !own.some(({ test, of }) => test.isDeleted(of, at))
    },
  }
}

/** Say in the last two columns what the rows have by their place in the old file. */
function withLineage(batch: ColumnBatch, { file: { firstRowId }, sequenceNumber }: ScanTask): (readonly Cell[])[] {
  const [ids, updated] = batch.columns.slice(-2) as [readonly Cell[], readonly Cell[]]
  // Rows of a snapshot before v3 have no ids.
  const idOf = (at: number) => (firstRowId === undefined ? null : firstRowId + positionOf(batch, at))
  return [
    ...batch.columns.slice(0, -2),
    ids.map((id, at) => id ?? idOf(at)),
    updated.map((sequence) => sequence ?? sequenceNumber),
  ]
}

/** Find the columns that have a bloom filter, by their names today. */
function bloomed({ footer }: FileReader, schema: StructType): string[] {
  const [group] = footer.groups
  const ids: number[] = []
  const visit = (id: number | undefined, node: FileNode) => {
    const own = node.id ?? id
    const chunk = node.leaf === undefined ? undefined : group?.chunks[node.leaf.index]
    if (chunk?.bloom !== undefined && own !== undefined) ids.push(own)
    for (const child of node.children) visit(undefined, child)
  }
  for (const field of footer.fields) visit(undefined, field)
  const index = indexFields(schema)
  return ids.flatMap((id) => index.get(id)?.path.join('.') ?? [])
}

/** Leave the metrics of reserved columns out: no schema has them. */
function withoutReserved(summary: FileSummary): FileSummary {
  const known = <V>(map: ReadonlyMap<number, V>) => new Map([...map].filter(([id]) => id <= fieldIdMax))
  return {
    ...summary,
    columnSizes: known(summary.columnSizes),
    valueCounts: known(summary.valueCounts),
    nullCounts: known(summary.nullCounts),
    nanCounts: known(summary.nanCounts),
    lowerBounds: known(summary.lowerBounds),
    upperBounds: known(summary.upperBounds),
  }
}
