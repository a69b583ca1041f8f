/** One query: from a checked statement to rows. */
import type { DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import type { RelationValue } from '../../../shard/relation.ts'
import type { AsOf } from '../../../tiering/iceberg/history.ts'
import { Stale } from '../../../tiering/sql/hot.ts'
import type { SqlRequest, SqlResult, SqlStats } from '../../../tiering/sql/port.ts'
import type { FoundTable } from '../../../tiering/sql/tables.ts'
import type { TableRef } from './ast.ts'
import { findConditions, workOutOne } from './conditions.ts'
import { explainTable } from './explain.ts'
import { duckFailure } from './failures.ts'
import type { Lease } from './local-files.ts'
import { fixedResult, listen, runningResult } from './running.ts'
import type { Statement } from './statement.ts'
import type { Place } from './text.ts'
import {
  cacheName,
  fetchHot,
  type HotRows,
  isReadHot,
  makeEmptyView,
  makePlanView,
  makeView,
  pin,
  type ResolvedTable,
  resolveTable,
  type ViewTools,
} from './views.ts'

/** What a query is made of. */
export interface QueryParts {
  readonly statement: Statement
  readonly request: SqlRequest
  readonly startedMs: number
  readonly tools: ViewTools
  /** Its own; closed at its end. */
  readonly connection: DuckDBConnection
  nowMs(): number
}

/** One attempt at a query. */
export class Query {
  private readonly parts: QueryParts
  private readonly lease: Lease | undefined
  private resolved: readonly ResolvedTable[] = []
  private hot: readonly HotRows[] = []
  private readonly endings: (() => void)[] = []
  private place: (byte: number) => Place

  constructor(parts: QueryParts) {
    this.parts = parts
    this.lease = parts.tools.lake?.local.lease()
    this.place = (byte) => parts.statement.text.place(byte)
  }

  /** Have something done when the query has ended. */
  onEnd(work: () => void): void {
    this.endings.push(work)
  }

  /** @throws Stale when it must begin anew */
  async run(): Promise<SqlResult> {
    const { connection, request, statement } = this.parts
    const { isStopped, off } = listen(connection, request.stop)
    try {
      this.resolved = await this.resolve()
      const isPlan = request.explain === true || statement.explain === 'plan'
      const views = await this.makeViews(statement.isDescribed ? 'nothing' : isPlan ? 'plan' : 'all')
      const { text, place } = this.replaced(views)
      this.place = place
      this.checkStop()
      if (isPlan) return await this.explained(text)
      return await this.started(text)
    } catch (error) {
      this.end()
      connection.closeSync()
      if (isStopped()) throw new Failure('unavailable', 'the query was stopped')
      throw this.fail(error)
    } finally {
      off()
    }
  }

  private fail(error: unknown): Error {
    if (error instanceof Stale) return error
    // Files go when their snapshot has expired: then there is a newer one.
    if (error instanceof Failure && error.code === 'not_found' && / is gone$/.test(error.message)) {
      return new Stale(error.message)
    }
    return duckFailure(error, this.place)
  }

  private checkStop(): void {
    if (this.parts.request.stop?.aborted) throw new Failure('unavailable', 'the query was stopped')
  }

  private end(): void {
    this.lease?.end()
    for (const work of this.endings.splice(0)) work()
  }

  /** Find every table that the statement names, and what it asks of it. */
  private async resolve(): Promise<ResolvedTable[]> {
    const { statement, request, tools, connection } = this.parts
    const { tables, selects, columns: named } = statement
    const found = new Map<TableRef, FoundTable>()
    const byName = new Map<string, Promise<FoundTable>>()
    for (const ref of tables) found.set(ref, await this.find(ref, byName))
    const parameters = request.params ?? []
    const columnsOf = (ref: TableRef) => found.get(ref)?.columns ?? []
    const conditions = await findConditions({ selects, tables }, { columnsOf, parameters, connection })
    const resolved: ResolvedTable[] = []
    for (const ref of tables) {
      const asOf = (await this.timeOf(ref)) ?? asOfRequest(request)
      const one = { ref, found: found.get(ref) as FoundTable, conditions: conditions.get(ref) ?? [], asOf }
      resolved.push(await resolveTable(tools, one, named))
    }
    return resolved
  }

  private async find(ref: TableRef, byName: Map<string, Promise<FoundTable>>): Promise<FoundTable> {
    const { statement, request, tools } = this.parts
    const { catalog, schema, table, location } = ref
    const placed = (message: string) => new Failure('not_found', message, statement.text.place(location))
    if (catalog !== '') throw placed(`no table ${catalog}.${schema}.${table}: tables are named database.table`)
    const database = schema === '' ? request.database : schema
    const key = JSON.stringify([database, table])
    const finding = byName.get(key) ?? tools.tables.find(database, table)
    byName.set(key, finding)
    try {
      return await finding
    } catch (error) {
      throw error instanceof Failure && error.code === 'not_found' ? placed(error.message) : error
    }
  }

  /** Read a time clause. */
  private async timeOf({ at, location }: TableRef): Promise<AsOf | undefined> {
    if (at === undefined) return undefined
    const { connection, request, statement } = this.parts
    const asked = { connection, parameters: request.params ?? [] }
    const isTime = at.unit.toUpperCase() === 'TIMESTAMP'
    const value = await workOutOne(at.expression, isTime ? 'timestamptz' : 'version', asked)
    if (typeof value === 'object' && 'micros' in value) return { timestampMs: Math.floor(Number(value.micros) / 1000) }
    if (typeof value === 'number' || typeof value === 'bigint') return { snapshotId: value }
    if (typeof value === 'string') return { ref: value }
    const want = isTime ? 'want an instant' : 'want the id of a snapshot, or the name of a branch or tag'
    throw new Failure('invalid', `at (${at.unit.toLowerCase()} => ...): ${want}`, statement.text.place(location))
  }

  /** Make a view of every table.
   *  @param reads `nothing`: only columns are asked for; `plan`: only how it would be done
   *  @returns their names, in order */
  private async makeViews(reads: 'all' | 'nothing' | 'plan'): Promise<string[]> {
    const { connection, tools } = this.parts
    const names = this.resolved.map((_, at) => `dotdo_${at}`)
    if (reads !== 'all') {
      for (const [at, table] of this.resolved.entries()) {
        const name = names[at] as string
        if (reads === 'nothing') await makeEmptyView(connection, name, table)
        else await makePlanView(tools, connection, { name, table, lease: this.lease })
      }
      return names
    }
    const byTable = await this.fetchHot()
    for (const [at, table] of this.resolved.entries()) {
      const hot = isReadHot(table) ? byTable.get(cacheName(table.found)) : undefined
      await makeView(tools, connection, { name: names[at] as string, table, hot, lease: this.lease })
    }
    return names
  }

  /** Fetch the rows of shards, and begin the transaction that reads them. */
  private async fetchHot(): Promise<Map<string, HotRows>> {
    const { connection, tools } = this.parts
    const groups = new Map<string, ResolvedTable[]>()
    for (const table of this.resolved.filter(isReadHot)) {
      const name = cacheName(table.found)
      groups.set(name, [...(groups.get(name) ?? []), table])
    }
    const fetched = new Map<string, HotRows>()
    try {
      // In one order for all queries, as each holds what it has while it waits for the next.
      for (const name of [...groups.keys()].sort())
        fetched.set(name, await fetchHot(tools, groups.get(name) ?? [], () => this.checkStop()))
      this.hot = [...fetched.values()]
      await pin(connection, this.hot)
    } finally {
      for (const { held } of fetched.values()) await held.release()
    }
    return fetched
  }

  private replaced(views: readonly string[]): { text: string; place(byte: number): Place } {
    const { statement } = this.parts
    const { text, tables, columnRefs } = statement
    const tableEdits = tables.flatMap((ref, at) => text.replaceTable(ref, views[at] as string))
    const isTable = ([schema, table]: readonly string[]) =>
      tables.some((ref) => ref.alias === undefined && same(ref.schema, schema) && same(ref.table, table))
    const long = columnRefs.filter(({ names }) => names.length > 2 && isTable(names))
    return text.apply([...tableEdits, ...long.map(({ location }) => text.dropFirstPart(location))])
  }

  private async prepare(prefix: string, text: string): Promise<DuckDBPreparedStatement> {
    const { connection, request } = this.parts
    const { place } = this
    this.place = (byte) => place(byte - prefix.length)
    const prepared = await connection.prepare(`${prefix}${text}`)
    bindValues(prepared, request.params ?? [])
    return prepared
  }

  private async started(text: string): Promise<SqlResult> {
    const { connection, request, statement, tools } = this.parts
    const prepared = await this.prepare(statement.explain === 'analyze' ? 'explain analyze ' : '', text)
    const result = await prepared.stream()
    return runningResult({
      api: tools.api,
      connection,
      result,
      stop: request.stop,
      fail: (error) => this.fail(error) as Failure,
      stats: () => this.stats(),
      end: () => this.end(),
    })
  }

  /** Say how the statement would be run. */
  private async explained(text: string): Promise<SqlResult> {
    const { connection, tools } = this.parts
    const lines: string[] = []
    for (const table of this.resolved) {
      const { found } = table
      const isHot = isReadHot(table)
      const shards = isHot ? (await tools.tables.database(found.database)).map.count : 0
      lines.push(...explainTable(table, { shards, kept: tools.cache.state(cacheName(found)) }), '')
    }
    const prepared = await this.prepare('explain ', text)
    const plan = (await (await prepared.run()).getRows()) as [string, string][]
    lines.push(...plan.flatMap(([, drawn]) => drawn.split('\n')))
    this.end()
    connection.closeSync()
    // What the plan looked at, the statement has not read.
    const stats = { ...this.stats(), bytesRead: 0, bytesCached: 0 }
    return fixedResult(
      [{ name: 'explain', type: 'string' }],
      lines.map((line) => [line]),
      () => stats,
    )
  }

  private stats(): Omit<SqlStats, 'rows'> {
    const { startedMs, nowMs } = this.parts
    const sum = (of: (table: ResolvedTable) => number) => this.resolved.reduce((total, table) => total + of(table), 0)
    const sumHot = (of: (hot: HotRows) => number) => this.hot.reduce((total, hot) => total + of(hot), 0)
    return {
      elapsedMs: nowMs() - startedMs,
      files: sum(({ plan }) => plan?.whole.files ?? 0),
      filesPruned: sum(({ plan }) => (plan === undefined ? 0 : plan.whole.files - plan.tasks.length)),
      bytesRead: this.lease?.counts.bytesRead ?? 0,
      bytesCached: this.lease?.counts.bytesCached ?? 0,
      bytesPruned: sum(({ plan }) => (plan === undefined ? 0 : plan.whole.bytes - plan.bytes)),
      hotRows: sumHot(({ rows }) => rows),
      shards: sumHot(({ shards }) => shards),
    }
  }
}

const same = (a: string, b: string | undefined) => a.toLowerCase() === b?.toLowerCase()

function asOfRequest({ asOf }: SqlRequest): AsOf | undefined {
  return asOf === undefined || Object.values(asOf).every((one) => one === undefined) ? undefined : asOf
}

/** Bind values, integers as integers: as doubles they would make doubles of what they are compared with. */
function bindValues(prepared: DuckDBPreparedStatement, values: readonly RelationValue[]): void {
  // Those of time clauses are not in the text any more.
  for (let index = 1; index <= prepared.parameterCount; index++) {
    const value = values[Number(prepared.parameterName(index)) - 1] ?? null
    if (value === null) prepared.bindNull(index)
    else if (typeof value === 'string') prepared.bindVarchar(index, value)
    else if (typeof value === 'boolean') prepared.bindBoolean(index, value)
    else if (typeof value !== 'number') prepared.bindBlob(index, value)
    else if ((value | 0) === value && !Object.is(value, -0)) prepared.bindInteger(index, value)
    else if (Number.isSafeInteger(value) && value !== 0) prepared.bindBigInt(index, BigInt(value))
    else prepared.bindDouble(index, value)
  }
}
