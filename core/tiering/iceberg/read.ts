/** Reads tables: the rows of a snapshot that meet a predicate, deletes applied, columns as the schema has them today.
 *
 *  1. Batches come in the order of the plan's files, and of the rows in each.
 *  2. Some files are read at once, and of each no more than one row group waits: memory is bounded whatever the table.
 *  @source https://iceberg.apache.org/spec/, "Scan Planning" and "Column Projection" */
import { Failure } from '../../errors.ts'
import { ICEBERG_FILES_AHEAD } from '../../limits.ts'
import { type ColumnBatch, cutBatch, type RowFilter, readColumns } from '../parquet/read.ts'
import type { Cell } from '../parquet/read-assemble.ts'
import { openParquet, type ParquetReadContext } from '../parquet/read-file.ts'
import { objectSource } from '../parquet/read-source.ts'
import type { DataFile } from './data-file.ts'
import type { Predicate } from './expression.ts'
import type { LakeFiles } from './files.ts'
import type { AsOf } from './history.ts'
import { schemaOf, type TableMetadata } from './metadata.ts'
import { DeleteReader, type EqualityTest, nameMappingOfTable, readFile } from './read-deletes.ts'
import { compileColumnMatcher } from './read-match.ts'
import { planScan, type ScanPlan, type ScanTask } from './scan.ts'
import type { Schema } from './schema.ts'
import type { Field, StructType } from './types.ts'

/** How the rows of a plan are read. */
export interface TasksOptions extends ParquetReadContext {
  /** Names of columns, in the order wanted; all when left out. */
  readonly columns?: readonly string[] | undefined
  /** Rows at the most. */
  readonly limit?: number | undefined
  /** More rows to leave out, by their positions in a file: those that shards know to have changed since. */
  readonly exclude?: ((file: DataFile) => Iterable<number> | undefined) | undefined
  /** Files read at once. */
  readonly filesAhead?: number | undefined
  /** Bytes of values of a batch, about. */
  readonly batchBytes?: number | undefined
}

/** What to read of a table. */
export interface TableReadOptions extends TasksOptions {
  readonly where?: Predicate | undefined
  readonly asOf?: AsOf | undefined
}

/** Some rows of one file. `columns` are in the order asked for; `positionOf` tells where a row is. */
export interface TableBatch extends ColumnBatch {
  readonly file: DataFile
}

/** Read a table.
 *  @throws not_found for a column, snapshot or ref that is not there; invalid for a predicate of another type or a
 *    damaged file; unsupported for files that are no Parquet */
export async function* readTable(
  files: LakeFiles,
  table: TableMetadata,
  options: TableReadOptions,
): AsyncGenerator<TableBatch> {
  const { where, asOf } = options
  const plan = await planScan(files, table, { ...(where && { where }), ...(asOf && { asOf }) })
  yield* readTasks(files, table, plan, options)
}

/** Read what a plan says.
 *  @param plan tasks may have been left out of it
 *  @throws as `readTable` */
export async function* readTasks(
  files: LakeFiles,
  table: TableMetadata,
  plan: Pick<ScanPlan, 'schema' | 'tasks'>,
  options: TasksOptions,
): AsyncGenerator<TableBatch> {
  const { limit = Number.POSITIVE_INFINITY, filesAhead = ICEBERG_FILES_AHEAD } = options
  const reader = new TaskReader(files, table, plan.schema, options)
  // The first file has as many rows as are wanted, most times.
  const ahead = limit === Number.POSITIVE_INFINITY ? filesAhead : 1
  let left = limit
  for await (const batch of inOrder(plan.tasks, (task) => reader.read(task), ahead)) {
    if (left <= 0) return
    const kept = cutBatch(batch, left)
    left -= kept.rows
    yield { ...kept, file: batch.file }
    if (left <= 0) return
  }
}

/** Find columns by their names.
 *  @throws not_found */
export function fieldsOf(schema: StructType, columns: readonly string[] | undefined): readonly Field[] {
  if (columns === undefined) return schema.fields
  return columns.map((wanted) => {
    const field = schema.fields.find(({ name }) => name === wanted)
    if (field !== undefined) return field
    const known = schema.fields.map(({ name }) => name).join(', ')
    throw new Failure('not_found', `no column ${wanted}; there are ${known}`)
  })
}

class TaskReader {
  private readonly files: LakeFiles
  private readonly schema: Schema
  private readonly options: TasksOptions
  private readonly fields: readonly Field[]
  private readonly deletes: DeleteReader
  private readonly mapping: ReturnType<typeof nameMappingOfTable>

  constructor(files: LakeFiles, table: TableMetadata, schema: Schema, options: TasksOptions) {
    this.files = files
    this.schema = schema
    this.options = options
    this.fields = fieldsOf(schema, options.columns)
    this.deletes = new DeleteReader(files, table, options)
    this.mapping = nameMappingOfTable(table)
  }

  async *read(task: ScanTask): AsyncGenerator<TableBatch> {
    const { file, residual } = task
    const { exclude, limit, batchBytes } = this.options
    const filter = await this.filterOf(task, exclude?.(file))
    const batches = readFile(this.files, file, {
      fields: this.fields,
      where: residual,
      filter,
      nameMapping: this.mapping,
      hasNoNan: (id) => file.nanCounts?.get(id) === 0,
      limit,
      batchBytes,
      context: this.options,
    })
    for await (const batch of batches) yield { ...batch, file }
  }

  /** @returns undefined when every row is wanted */
  private async filterOf(task: ScanTask, excluded: Iterable<number> | undefined): Promise<RowFilter | undefined> {
    const { file, residual, deletes } = task
    const equality = deletes.length === 0 ? [] : await this.deletes.equalityOf(task)
    const positions = deletes.length === 0 ? [] : await this.deletes.positionsOf(task)
    const gone = new RowSet(file.recordCount)
    for (const position of positions) gone.add(position)
    for (const position of excluded ?? []) gone.add(position)
    if (residual.op === 'true' && equality.length === 0 && gone.size === 0) return undefined
    const matcher = compileColumnMatcher(residual, this.schema)
    return joinFilters(matcher, equality, gone)
  }
}

/** Rows of a file, a bit each. */
class RowSet {
  size = 0
  private readonly rows: number
  private bits: Uint8Array | undefined

  constructor(rows: number) {
    this.rows = rows
  }

  /** Positions past the file's end are nothing's. */
  add(row: number): void {
    if (!(row >= 0 && row < this.rows) || this.has(row)) return
    this.bits ??= new Uint8Array(Math.ceil(this.rows / 8))
    const byte = Math.floor(row / 8)
    this.bits[byte] = (this.bits[byte] as number) | (1 << (row % 8))
    this.size++
  }

  has(row: number): boolean {
    return this.bits !== undefined && ((this.bits[Math.floor(row / 8)] as number) & (1 << (row % 8))) !== 0
  }
}

function joinFilters(matcher: RowFilter, equality: readonly EqualityTest[], gone: RowSet): RowFilter {
  const all = [...matcher.fields, ...equality.flatMap(({ fields }) => fields)]
  const fields = [...new Map(all.map((field) => [field.id, field])).values()]
  const placesOf = (wanted: readonly Field[]) => wanted.map(({ id }) => fields.findIndex((field) => field.id === id))
  const matched = placesOf(matcher.fields)
  const compared = equality.map((test) => ({ test, places: placesOf(test.fields) }))
  return {
    fields,
    test(columns) {
      const pick = (places: readonly number[]) => places.map((place) => columns[place] as readonly Cell[])
      const matches = matcher.test(pick(matched))
      const tests = compared.map(({ test, places }) => ({ test, own: pick(places) }))
      return (at, position) => {
        if (gone.has(position) || !matches(at, position)) return false
        return tests.every(({ test, own }) => !test.isDeleted(own, at))
      }
    },
  }
}

/** Run generators of several items at once; what they give comes in the order of the items. */
async function* inOrder<T, R>(
  items: readonly T[],
  start: (item: T) => AsyncGenerator<R>,
  ahead: number,
): AsyncGenerator<R> {
  interface Run {
    readonly generator: AsyncGenerator<R>
    next: Promise<IteratorResult<R>>
  }
  if (ahead <= 1) {
    // Nothing is asked for before it is wanted.
    for (const item of items) yield* start(item)
    return
  }
  const runs: Run[] = []
  let started = 0
  const ask = (generator: AsyncGenerator<R>) => {
    const next = generator.next()
    // It is waited for when its turn comes; until then its failure is nobody's.
    next.catch(() => {})
    return next
  }
  const fill = () => {
    for (; started < items.length && runs.length < ahead; started++) {
      const generator = start(items[started] as T)
      runs.push({ generator, next: ask(generator) })
    }
  }
  try {
    for (fill(); runs.length > 0; fill()) {
      const [first] = runs as [Run]
      const result = await first.next
      if (result.done) runs.shift()
      else {
        first.next = ask(first.generator)
        yield result.value
      }
    }
  } finally {
    await Promise.allSettled(runs.map(({ generator }) => generator.return(undefined)))
  }
}

/** Rows of one file, by their positions. */
export interface RowsRequest {
  readonly path: string
  /** In any order. */
  readonly positions: readonly number[]
  /** All when left out. */
  readonly columns?: readonly string[] | undefined
}

/** Fetch rows by where they are, deleted ones as well.
 *  @param table its metadata, or the schema to read by
 *  @returns columns in the order asked for, each with a value for each position in the order of `positions`
 *  @throws not_found when the file or a column is gone, invalid for a position that the file has not
 *  @cost the file's tail, when the cache has it not, and the pages of the rows */
export async function rowsAt(
  files: LakeFiles,
  table: TableMetadata | StructType,
  { path, positions, columns }: RowsRequest,
  context: ParquetReadContext,
): Promise<Cell[][]> {
  const isTable = 'schemas' in table
  const fields = fieldsOf(isTable ? schemaOf(table) : table, columns)
  const { store, key } = files.placeOf(path)
  const reader = await openParquet(objectSource(store, key, path), context)
  const sorted = [...new Set(positions)].sort((a, b) => a - b)
  const wrong = sorted.find((position) => !(Number.isInteger(position) && position >= 0 && position < reader.rows))
  if (wrong !== undefined) throw new Failure('invalid', `position ${wrong} of ${path}, which has ${reader.rows} rows`)
  const mapping = isTable ? nameMappingOfTable(table) : undefined
  const found: Cell[][] = fields.map(() => [])
  for await (const batch of readColumns(reader, { fields, positions: sorted, nameMapping: mapping })) {
    for (const [at, column] of batch.columns.entries()) for (const value of column) (found[at] as Cell[]).push(value)
  }
  const places = new Map(sorted.map((position, at) => [position, at]))
  return found.map((column) => positions.map((position) => column[places.get(position) as number] as Cell))
}

/** Count the rows of a task's file that are deleted by position. Rows deleted by value are not among them.
 *  @cost one read a delete file */
export async function countDeletes(
  files: LakeFiles,
  table: TableMetadata,
  task: ScanTask,
  context: ParquetReadContext,
): Promise<number> {
  const gone = new RowSet(task.file.recordCount)
  for (const position of await new DeleteReader(files, table, context).positionsOf(task)) gone.add(position)
  return gone.size
}
