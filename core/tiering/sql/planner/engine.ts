/** SQL without a database engine: the planner over shards and the lake, the same in Workers and in Node.
 *
 *  What it does not do is refused by name; what it does has DuckDB's answers. README.md tells both. */
import { Failure } from '../../../errors.ts'
import type { Clock } from '../../../shard/clock.ts'
import type { Fabric } from '../../../shard/fabric.ts'
import type { Table } from '../../../shard/table.ts'
import { isPrimitive } from '../../iceberg/types.ts'
import type { ParquetCodecs } from '../../parquet/read-page.ts'
import { readCounts } from '../../parquet/read-source.ts'
import { ColdPlanner } from '../cold.ts'
import type { SqlColumn, SqlEngine, SqlRequest, SqlResult, SqlStats, SqlTable } from '../port.ts'
import { type FoundTable, mergeColumns, type SqlLake, SqlTables } from '../tables.ts'
import { bindSelect } from './bind-select.ts'
import { tablesOf } from './bind-source.ts'
import { type ColdReader, coldReader } from './cold-rows.ts'
import { explain } from './explain.ts'
import { type ParsedQuery, parseQuery } from './parse.ts'
import type { Query } from './plan.ts'
import { runQuery, type TableReader } from './run.ts'
import { checkStop, planCold, type ScanContext, TableScan } from './scan.ts'
import { Parameters, type SourceColumn } from './scope.ts'
import type { Row } from './sort.ts'

/** What the planner runs over. */
export interface PlannerOptions {
  readonly fabric: Fabric
  /** What the fabric's programs declare; tables without a relation are not shown. */
  readonly tables: readonly Table[]
  readonly lake?: SqlLake & { readonly codecs: ParquetCodecs }
  readonly clock: Clock
  /** Collections whose changes are written to the table `changes`; all that the log has when left out. */
  changed?(database: string): Promise<readonly string[] | undefined>
}

const hidden: ReadonlySet<string> = new Set(['_id', '_shard', '_seq', '_at'])

/** Make an engine. */
export function createPlannerEngine(options: PlannerOptions): SqlEngine {
  const { fabric, lake } = options
  const tables = new SqlTables({ fabric, tables: options.tables, lake })
  const planner = lake && new ColdPlanner(lake.files)
  const cold = lake && coldReader(lake.files, lake.codecs)
  return {
    query: (request) => new Run(request, { options, tables, planner, cold }).query(),
    describe: (database?: string): Promise<readonly SqlTable[]> => tables.describe(database),
  }
}

interface Shared {
  readonly options: PlannerOptions
  readonly tables: SqlTables
  readonly planner: ColdPlanner | undefined
  readonly cold: ColdReader | undefined
}

/** One query. */
class Run {
  private readonly request: SqlRequest
  private readonly shared: Shared
  private readonly startMs: number
  private readonly reads = readCounts()
  private readonly context: ScanContext
  private readonly found = new Map<string, FoundTable>()
  private rows = 0
  private endMs: number | undefined

  constructor(request: SqlRequest, shared: Shared) {
    const { options, tables, planner, cold } = shared
    const { clock, lake, changed } = options
    this.request = request
    this.shared = shared
    this.startMs = clock.nowMs()
    const counts = { files: 0, filesPruned: 0, bytesPruned: 0, hotRows: 0, shards: 0 }
    const { asOf, stop } = request
    const { reads } = this
    this.context = { tables, lake, planner, cold, clock, asOf, stop, changed: changed?.bind(options), counts, reads }
  }

  async query(): Promise<SqlResult> {
    const { text, database, stop } = this.request
    checkStop(stop)
    const parsed = parseQuery(text)
    for (const one of tablesOf(parsed.select, database)) await this.find(one.database, one.table)
    const query = this.bind(parsed)
    if (this.request.explain === true) {
      const lines = await explain(query, this.context, (name, table) => this.table(name, table))
      return this.result([{ name: 'plan', type: 'string' }], listed(lines.map((line) => [line])))
    }
    const columns = query.outputs.map(({ name, type }) => ({ name, type }))
    return this.result(columns, runQuery(query, this.reader()))
  }

  private async find(database: string, name: string): Promise<void> {
    const key = JSON.stringify([database, name])
    if (this.found.has(key)) return
    const found = await this.shared.tables.find(database, name)
    this.found.set(key, this.request.asOf === undefined ? found : await this.past(found))
  }

  /** See a table with the columns that it had then. */
  private async past(found: FoundTable): Promise<FoundTable> {
    const { metadata, relation, database, table } = found
    const plan = await planCold(this.context, metadata, [{ op: 'or', args: [] }])
    if (plan === undefined) {
      throw new Failure('not_found', `${database}.${table} is not in the lake, and so has no past`)
    }
    const names = new Set(plan.schema.fields.map(({ name }) => name))
    return { ...found, columns: mergeColumns(relation, plan.schema).filter(({ name }) => names.has(name)) }
  }

  private table(database: string, name: string): FoundTable {
    return this.found.get(JSON.stringify([database, name])) as FoundTable
  }

  private bind({ select, text }: ParsedQuery): Query {
    const { params = [], database } = this.request
    return bindSelect(select, {
      parameters: new Parameters(params, text.numbers),
      database,
      columnsOf: (name, table) => this.table(name, table).columns.map(toSourceColumn(this.table(name, table))),
    })
  }

  private reader(): TableReader {
    return {
      scan: (source, plan) => {
        const { database, table } = source.origin as { database: string; table: string }
        return new TableScan(this.context, this.table(database, table), { source, plan }).read()
      },
    }
  }

  private result(columns: readonly SqlColumn[], rows: AsyncGenerator<readonly Row[]>): SqlResult {
    const batches = this.counted(rows)
    return {
      columns,
      batches,
      stats: () => this.stats(),
      close: async () => {
        await batches.return(undefined)
        this.endMs ??= this.shared.options.clock.nowMs()
      },
    }
  }

  private async *counted(rows: AsyncGenerator<readonly Row[]>): AsyncGenerator<readonly Row[]> {
    try {
      for await (const batch of rows) {
        checkStop(this.request.stop)
        this.rows += batch.length
        yield batch
      }
    } finally {
      this.endMs ??= this.shared.options.clock.nowMs()
    }
  }

  private stats(): SqlStats {
    const { files, filesPruned, bytesPruned, hotRows, shards } = this.context.counts
    const { bytesRead, bytesCached } = this.reads
    const elapsedMs = (this.endMs ?? this.shared.options.clock.nowMs()) - this.startMs
    return { elapsedMs, rows: this.rows, files, filesPruned, bytesRead, bytesCached, bytesPruned, hotRows, shards }
  }
}

const toSourceColumn =
  ({ relation }: FoundTable) =>
  ({ name, type }: FoundTable['columns'][number]): SourceColumn => ({
    name,
    type: isPrimitive(type) ? type.replace(/\s/g, '') : type.type,
    ...(relation !== undefined && hidden.has(name) && { isHidden: true }),
  })

async function* listed(rows: readonly Row[]): AsyncGenerator<readonly Row[]> {
  yield rows
}
