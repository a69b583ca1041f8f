/** From the tables of a statement to views that DuckDB can read: the cold rows of a snapshot without what shards have
 *  changed since, and the rows of shards.
 *
 *  1. All that one statement reads of a table is of one state of the lake and one state of each shard.
 *  2. A table's shards are read after its snapshot is chosen; the transaction that reads both begins while nobody else
 *     changes the rows that were fetched. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import { SQL_HOT_SELECTED_ROWS_MAX } from '../../../limits.ts'
import type { Database } from '../../../shard/fabric.ts'
import type { Position } from '../../../shard/program.ts'
import type { RelationType } from '../../../shard/relation.ts'
import { type DataFile, isVector } from '../../../tiering/iceberg/data-file.ts'
import { readDeletionVector } from '../../../tiering/iceberg/deletion-vector.ts'
import type { AsOf } from '../../../tiering/iceberg/history.ts'
import type { ColdPlan, ColdPlanner } from '../../../tiering/sql/cold.ts'
import { type Condition, toWhere } from '../../../tiering/sql/condition.ts'
import { changesReader, type HotReader, rowsReader, Stale } from '../../../tiering/sql/hot.ts'
import { type FoundColumn, type FoundTable, mergeColumns, type SqlTables } from '../../../tiering/sql/tables.ts'
import { readPositions } from '../../../tiering/tier/positions.ts'
import { hiddenColumns } from '../../../tiering/tier/schemas.ts'
import { appendColumns } from './append.ts'
import { columnsRead, type Survey, type TableRef } from './ast.ts'
import { type ColdParts, coldSql, type FileShape, type HotDeletes } from './cold-sql.ts'
import { type DuckDBApi, run } from './duckdb.ts'
import type { HeldTable, HotCache } from './hot-cache.ts'
import type { HotColumn } from './hot-table.ts'
import type { Lease, LocalFiles } from './local-files.ts'
import { quoteName } from './quote.ts'
import type { FileShapes } from './shapes.ts'
import { duckType } from './types.ts'

/** A lake as the engine sees it. */
export interface EngineLake {
  readonly planner: ColdPlanner
  readonly local: LocalFiles
  readonly shapes: FileShapes
  readonly files: import('../../../tiering/iceberg/files.ts').LakeFiles
  /** The collections whose changes are written to `changes`; undefined: all. */
  changesOf(database: string): Promise<readonly string[] | undefined>
}

/** What views are made with. */
export interface ViewTools {
  readonly api: DuckDBApi
  readonly tables: SqlTables
  readonly cache: HotCache
  readonly lake: EngineLake | undefined
}

/** A table of a statement with what is to be read of it. */
export interface ResolvedTable {
  readonly ref: TableRef
  readonly found: FoundTable
  readonly columns: readonly FoundColumn[]
  /** Columns that the statement may read. */
  readonly needed: readonly FoundColumn[]
  readonly conditions: readonly Condition[]
  readonly asOf: AsOf | undefined
  readonly plan: ColdPlan | undefined
  readonly positions: ReadonlyMap<number, Position>
}

/** Rows of shards, as a view reads them. */
export interface HotRows {
  readonly held: HeldTable
  readonly deletes: HotDeletes
  readonly columns: readonly string[]
  readonly rows: number
  readonly fetched: number
  readonly shards: number
}

/** Thrown when the map of slots changed while shards were read. */
class SlotsMoved extends Stale {
  override name = 'SlotsMoved'
}

/** Name the kept rows of a table. */
export function cacheName({ database, table }: FoundTable): string {
  return JSON.stringify([database, table])
}

/** Say which columns of its shards a statement needs. */
function hotColumns({ found, needed }: Pick<ResolvedTable, 'found' | 'needed'>): HotColumn[] {
  const hidden = new Map(hiddenColumns.map(({ name, type }) => [name, type as RelationType]))
  return needed.flatMap(({ name, type, isHot }) => {
    if (!isHot) return []
    if (found.hot === 'changes') return [{ name, type: type as RelationType }]
    const declared = found.relation?.columns.find((column) => column.name === name)?.type ?? hidden.get(name)
    return declared === undefined ? [] : [{ name, type: declared }]
  })
}

/** Whether shards are read for a table. */
export function isReadHot({ found, asOf }: Pick<ResolvedTable, 'found' | 'asOf'>): boolean {
  return found.hot !== 'none' && asOf === undefined
}

/** Fetch the rows of shards that some references to one table need.
 *  @param checkStop throws when the query was stopped
 *  @throws Stale when the snapshot or the map is not the shards' any more */
export async function fetchHot(
  tools: ViewTools,
  refs: readonly ResolvedTable[],
  checkStop: () => void,
): Promise<HotRows> {
  const [first] = refs as readonly [ResolvedTable]
  const { found, positions, plan } = first
  const database = await tools.tables.database(found.database)
  const columns = [...new Map(refs.flatMap(hotColumns).map((column) => [column.name, column])).values()]
  const where = refs.length > 1 ? [] : toWhere(first.conditions, columns)
  const reader = await readerOf(tools, found, database)
  const name = cacheName(found)
  const { epoch, count: shards } = database.map
  const request = {
    reader,
    shards,
    epoch,
    positions,
    files: plan?.whole.ids ?? new Set<number>(),
    columns,
  }
  const read = async (held: HeldTable, more: Partial<Parameters<HeldTable['table']['refresh']>[0]>) => {
    try {
      const { fetched, rows, deletedFiles } = await held.table.refresh({ ...request, ...more })
      if (database.map.epoch !== epoch) throw new SlotsMoved('slots moved while shards were read')
      const deletes = { table: held.table.deletesName, files: deletedFiles }
      const kept = ['_shard', '_seq', '_id', ...held.table.state.columns]
      return { held, deletes, columns: kept, rows, fetched, shards: request.shards }
    } catch (error) {
      await held.release({ drop: error instanceof SlotsMoved })
      throw error
    }
  }
  if (where.length > 0 && !tools.cache.prefers(name, columns)) {
    try {
      return await read(await tools.cache.alone(), { where, check: refuseMany(checkStop) })
    } catch (error) {
      if (!(error instanceof TooMany)) throw error
      await tools.cache.want(name)
    }
  }
  return read(await tools.cache.take(name), { check: checkStop })
}

/** Thrown when what a query asks for is not few rows. */
class TooMany extends Error {
  override name = 'TooMany'
}

const refuseMany = (checkStop: () => void) => (rows: number) => {
  checkStop()
  if (rows > SQL_HOT_SELECTED_ROWS_MAX) throw new TooMany()
}

async function readerOf(tools: ViewTools, found: FoundTable, database: Database): Promise<HotReader> {
  if (found.hot === 'rows') return rowsReader(database, found.table)
  return changesReader(database, await tools.lake?.changesOf(found.database))
}

/** Resolve a table of a statement.
 *  @throws not_found */
export async function resolveTable(
  tools: ViewTools,
  { ref, found, conditions, asOf }: Pick<ResolvedTable, 'ref' | 'found' | 'conditions' | 'asOf'>,
  named: Survey['columns'],
): Promise<ResolvedTable> {
  const { metadata } = found
  const { lake } = tools
  if (asOf !== undefined && metadata === undefined) {
    const way = 'give its collection a policy; until then only its rows of now are there'
    throw new Failure('not_found', `${found.database}.${found.table} is not in the lake, so it has no past: ${way}`)
  }
  const plan = metadata && lake && (await lake.planner.plan(metadata, conditions, asOf))
  const positions = metadata && lake && asOf === undefined ? await readPositions(lake.files, metadata) : new Map()
  const columns = asOf === undefined || plan === undefined ? found.columns : mergeColumns(undefined, plan.schema)
  const needed = columnsRead(columns, named, ref.alias ?? ref.table)
  return { ref, found, columns, needed, conditions, asOf, plan, positions }
}

/** Begin the transaction that reads, while what it reads is held. */
export async function pin(connection: DuckDBConnection, hot: readonly HotRows[]): Promise<void> {
  await run(connection, 'begin transaction')
  for (const { held } of hot) await run(connection, `select 1 from ${held.table.rowsName} limit 0`)
}

/** Have a table's files where DuckDB reads them, and make its view. */
export async function makeView(
  tools: ViewTools,
  connection: DuckDBConnection,
  {
    name,
    table,
    hot,
    lease,
  }: { name: string; table: ResolvedTable; hot: HotRows | undefined; lease: Lease | undefined },
): Promise<void> {
  const { columns } = table
  const cold = lease === undefined ? undefined : await coldPart(tools, connection, { name, table, hot, lease })
  const parts = [cold, hot && hotPart(columns, hot)].filter((part) => part !== undefined)
  await run(connection, `create temp view ${quoteName(name)} as ${parts.join('\nunion all\n') || emptyPart(columns)}`)
}

/** Make a view of a table for its columns alone. */
export async function makeEmptyView(
  connection: DuckDBConnection,
  name: string,
  { columns }: ResolvedTable,
): Promise<void> {
  await run(connection, `create temp view ${quoteName(name)} as ${emptyPart(columns)}`)
}

/** Make a view of a table for a plan: of its files, when all of them are here; of no rows of shards. */
export async function makePlanView(
  tools: ViewTools,
  connection: DuckDBConnection,
  { name, table, lease }: { name: string; table: ResolvedTable; lease: Lease | undefined },
): Promise<void> {
  const files = (table.plan?.tasks ?? []).flatMap(({ file, deletes }) => [file, ...deletes])
  const isHere = lease !== undefined && files.every((file) => isVector(file) || lease.isHere(file))
  if (isHere) await makeView(tools, connection, { name, table, hot: undefined, lease })
  else await makeEmptyView(connection, name, table)
}

/** The select of no rows. */
function emptyPart(columns: readonly FoundColumn[]): string {
  const selected = columns.map(({ name, type }) => `null::${duckType(type)} as ${quoteName(name)}`)
  return `select ${selected.join(', ')} where false`
}

function hotPart(columns: readonly FoundColumn[], { held, columns: kept }: HotRows): string {
  const selected = columns.map(({ name, type, isHot }) => {
    const value = isHot && kept.includes(name) ? quoteName(name) : 'null'
    return `${value}::${duckType(type)} as ${quoteName(name)}`
  })
  return `select ${selected.join(', ')} from ${held.table.rowsName}`
}

async function coldPart(
  tools: ViewTools,
  connection: DuckDBConnection,
  { name, table, hot, lease }: { name: string; table: ResolvedTable; hot: HotRows | undefined; lease: Lease },
): Promise<string | undefined> {
  const { plan, found, columns, needed } = table
  const { lake, api } = tools
  if (plan === undefined || lake === undefined || plan.tasks.length === 0) return undefined
  const deletes = plan.tasks.flatMap((task) => task.deletes)
  const byFile = [...new Map(deletes.filter((one) => !isVector(one)).map((one) => [one.path, one])).values()]
  await Promise.all(byFile.map((file) => lease.need(file, 'all')))
  const shapes = await fileShapes(lake, connection, { table, lease, deletes: byFile })
  const byValue = new Set(byFile.flatMap(({ equalityIds = [] }) => equalityIds))
  const fields = plan.schema.fields.filter(
    ({ id, name: field }) => byValue.has(id) || needed.some((one) => one.name === field),
  )
  const need = (file: DataFile) => {
    const shape = shapes.get(file.path)
    const names = fields.map((field) => (shape === undefined ? field.name : (shape.get(field.id)?.name ?? '')))
    return lease.need(file, { names, ids: fields.map(({ id }) => id) })
  }
  await Promise.all(plan.tasks.map(({ file }) => need(file)))
  const parts: ColdParts = {
    tasks: plan.tasks,
    schema: plan.schema,
    columns,
    localPath: (file) => lease.path(file),
    shapeOf: (file) => shapes.get(file.path),
    hotDeletes: found.hot === 'rows' ? hot?.deletes : undefined,
    vectors: await vectorRows({ api, connection, lake }, name, deletes),
  }
  return coldSql(parts)
}

/** Look at what files' columns are called, where the schema has changed since some were written, or where what a delete
 *  file compares may have another name. */
async function fileShapes(
  lake: EngineLake,
  connection: DuckDBConnection,
  { table, lease, deletes }: { table: ResolvedTable; lease: Lease; deletes: readonly DataFile[] },
): Promise<ReadonlyMap<string, FileShape>> {
  const { plan, found } = table
  const byValue = deletes.filter(({ content }) => content === 'equality-deletes')
  const isEvolved = (found.metadata?.schemas.length ?? 1) > 1
  const data = isEvolved ? (plan?.tasks ?? []).map(({ file }) => file) : []
  const files = [...data, ...(isEvolved ? byValue : [])]
  if (files.length === 0) return new Map()
  await Promise.all(files.map((file) => lease.need(file, { names: [], ids: [] })))
  return lake.shapes.load(
    connection,
    files.map((file) => ({ file, local: lease.path(file) })),
  )
}

/** Put the rows of deletion vectors where SQL finds them. */
async function vectorRows(
  { api, connection, lake }: { api: DuckDBApi; connection: DuckDBConnection; lake: EngineLake },
  name: string,
  deletes: readonly DataFile[],
): Promise<ColdParts['vectors']> {
  const vectors = deletes.filter(isVector)
  if (vectors.length === 0) return undefined
  const table = `${name}_vectors`
  await run(connection, `create temp table ${quoteName(table)} (file_path varchar, pos bigint)`)
  const files = new Set<string>()
  for (const vector of vectors) {
    const positions = await readDeletionVector(lake.files, vector)
    const path = vector.referencedDataFile as string
    const paths = new Array<string>(positions.length).fill(path)
    await appendColumns(api, connection, {
      table,
      catalog: 'temp',
      types: ['string', 'long'],
      values: [paths, positions],
    })
    files.add(path)
  }
  return { table: quoteName(table), files }
}
