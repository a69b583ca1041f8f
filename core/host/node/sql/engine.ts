/** SQL over hot and cold in Node: DuckDB reads Parquet files and rows of shards as one table. Node only.
 *
 *  1. Text from outside is parsed by DuckDB's own parser; every table in it is replaced by a view of ours, every
 *     function is checked. What is not a select is refused.
 *  2. A query is of one state: a snapshot, and for each shard all rows past it. When the lake or the map of slots moves
 *     under it, it begins anew.
 *  3. Rows of shards are kept in DuckDB between queries (hot-table.ts); a query fetches what is newer. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import {
  SQL_FILE_CACHE_BYTES,
  SQL_HOT_SHARE,
  SQL_MEMORY_BYTES,
  SQL_QUERY_PARAMETERS_MAX,
  SQL_RETRY_FIRST_MS,
  SQL_TRIES_MAX,
} from '../../../limits.ts'
import type { Clock } from '../../../shard/clock.ts'
import type { Fabric } from '../../../shard/fabric.ts'
import type { Program } from '../../../shard/program.ts'
import { ColdPlanner } from '../../../tiering/sql/cold.ts'
import { Stale } from '../../../tiering/sql/hot.ts'
import type { SqlEngine, SqlRequest, SqlResult, SqlTable } from '../../../tiering/sql/port.ts'
import { type SqlLake, SqlTables } from '../../../tiering/sql/tables.ts'
import { type DuckDBApi, loadDuckDB, openDuckDB } from './duckdb.ts'
import { duckFailure, isFatal } from './failures.ts'
import { HotCache } from './hot-cache.ts'
import { listResult } from './listing.ts'
import { LocalFiles } from './local-files.ts'
import { Query } from './query.ts'
import { FileShapes } from './shapes.ts'
import { parseStatement, type Statement } from './statement.ts'
import type { EngineLake } from './views.ts'

/** What the engine is opened with. */
export interface SqlEngineOptions {
  readonly fabric: Fabric
  /** The fabric's programs: their tables are what SQL shows. The program of tiering must be one of the fabric's. */
  readonly programs: readonly Program[]
  /** Left out: only what shards have. */
  readonly lake?: SqlLake & {
    /** The collections of a database whose changes go to the table `changes`; all when left out. */
    changesOf?(database: string): Promise<readonly string[] | undefined>
  }
  /** Where parts of the lake's files are kept, and what does not fit in memory. Left out: a folder that goes away. */
  readonly cacheFolder?: string
  /** Bytes of the lake's files that are kept there. */
  readonly cacheBytes?: number
  /** Memory for queries and rows of shards. */
  readonly memoryBytes?: number
  /** Threads of DuckDB; as many as there are processors when left out. */
  readonly threads?: number
  readonly clock: Clock
}

/** The engine, and its end. */
export interface NodeSqlEngine extends SqlEngine {
  /** End running queries and give everything back. */
  close(): Promise<void>
}

/** Open the engine. DuckDB itself is loaded with the first query.
 *  @throws invalid for options that cannot be */
export function openSqlEngine(options: SqlEngineOptions): NodeSqlEngine {
  return new DuckDBEngine(options)
}

interface Core {
  readonly api: DuckDBApi
  readonly instance: DuckDBInstance
  /** For parsing, one statement after the other. */
  readonly parser: DuckDBConnection
  readonly cache: HotCache
}

class DuckDBEngine implements NodeSqlEngine {
  private readonly options: SqlEngineOptions
  private readonly tables: SqlTables
  private readonly folder: { readonly path: string; readonly isTemporary: boolean }
  private readonly lake: EngineLake | undefined
  private core: Promise<Core> | undefined
  private readonly running = new Set<SqlResult>()
  private isClosed = false

  constructor(options: SqlEngineOptions) {
    this.options = options
    const { fabric, programs, lake, cacheFolder, cacheBytes = SQL_FILE_CACHE_BYTES } = options
    checkWhole('memoryBytes', options.memoryBytes, 16 * 1024 * 1024)
    checkWhole('threads', options.threads, 1)
    checkWhole('cacheBytes', options.cacheBytes, 0)
    const declared = programs.flatMap(({ tables }) => tables).filter(({ internal }) => internal !== true)
    this.tables = new SqlTables({ fabric, tables: declared, lake })
    const isTemporary = cacheFolder === undefined
    this.folder = { path: cacheFolder ?? mkdtempSync(join(tmpdir(), 'dotdo-sql-')), isTemporary }
    if (lake !== undefined) {
      const local = new LocalFiles({ files: lake.files, folder: join(this.folder.path, 'files'), cacheBytes })
      this.lake = {
        planner: new ColdPlanner(lake.files),
        local,
        shapes: new FileShapes(),
        files: lake.files,
        changesOf: async (database) => lake.changesOf?.(database),
      }
    }
  }

  /** Open DuckDB, once. */
  private open(): Promise<Core> {
    if (this.isClosed) throw new Failure('unavailable', 'the SQL engine is closed')
    this.core ??= this.openCore().catch((error) => {
      this.core = undefined
      throw error
    })
    return this.core
  }

  private async openCore(): Promise<Core> {
    const { memoryBytes = SQL_MEMORY_BYTES, threads = availableParallelism(), clock, lake } = this.options
    const api = await loadDuckDB()
    const temporaryFolder = join(this.folder.path, 'temporary')
    const files = join(this.folder.path, 'files')
    mkdirSync(files, { recursive: true })
    const folders = lake === undefined ? [files] : LocalFiles.folders(lake.files, files)
    const instance = await openDuckDB(api, { memoryBytes, threads, folders, temporaryFolder })
    const cache = new HotCache({ api, instance, clock, bytesMax: memoryBytes * SQL_HOT_SHARE })
    return { api, instance, parser: await instance.connect(), cache }
  }

  async query(request: SqlRequest): Promise<SqlResult> {
    const { params = [], stop } = request
    if (params.length > SQL_QUERY_PARAMETERS_MAX) {
      throw new Failure('limit', `${params.length} parameters; ${SQL_QUERY_PARAMETERS_MAX} are allowed`)
    }
    const startedMs = this.options.clock.nowMs()
    const core = await this.open()
    const statement = await parseStatement(core.parser, request.text).catch((error) => {
      throw duckFailure(error, () => ({ line: 1, column: 1 }))
    })
    checkParameters(statement, params.length)
    if (statement.listing !== undefined) return this.list(statement.listing, request.database, startedMs)
    for (let attempt = 1; ; attempt++) {
      try {
        if (stop?.aborted) throw new Failure('unavailable', 'the query was stopped')
        return await this.run(core, { statement, request, startedMs })
      } catch (error) {
        if (this.isClosed) throw new Failure('unavailable', 'the SQL engine is closed')
        if (isFatal(error)) await this.abandon(core)
        if (!(error instanceof Stale)) throw error
        if (attempt >= SQL_TRIES_MAX) throw new Failure('unavailable', `the tables keep changing: ${error.message}`)
        await this.wait(SQL_RETRY_FIRST_MS * 2 ** (attempt - 1))
      }
    }
  }

  private async run(
    core: Core,
    asked: { statement: Statement; request: SqlRequest; startedMs: number },
  ): Promise<SqlResult> {
    const { clock } = this.options
    const connection = await core.instance.connect()
    const tools = { api: core.api, tables: this.tables, cache: core.cache, lake: this.lake }
    const query = new Query({ ...asked, tools, connection, nowMs: () => clock.nowMs() })
    const result = await query.run()
    this.running.add(result)
    query.onEnd(() => this.running.delete(result))
    return result
  }

  /** Let go of an instance that cannot go on; the next query opens another. */
  private async abandon(core: Core): Promise<void> {
    if ((await this.core) === core) this.core = undefined
  }

  private wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.options.clock.after(delayMs, resolve))
  }

  private async list(
    listing: NonNullable<Statement['listing']>,
    database: string,
    startedMs: number,
  ): Promise<SqlResult> {
    return listResult(this.tables, { listing, database, elapsedMs: () => this.options.clock.nowMs() - startedMs })
  }

  async describe(database?: string): Promise<readonly SqlTable[]> {
    return this.tables.describe(database)
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    for (const result of [...this.running]) await result.close()
    const core = await this.core?.catch(() => undefined)
    core?.cache.close()
    core?.parser.closeSync()
    core?.instance.closeSync()
    if (this.folder.isTemporary) rmSync(this.folder.path, { recursive: true, force: true })
  }
}

function checkWhole(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
  throw new Failure('invalid', `${name} ${value}: want a whole number of at least ${least}`)
}

function checkParameters({ parameters }: Statement, given: number): void {
  for (const name of parameters) {
    if (!/^[1-9]\d{0,4}$/.test(name))
      throw new Failure('invalid', `parameter $${name}: parameters are $1, $2 and so on, or ?`)
    if (Number(name) > given) throw new Failure('invalid', `parameter $${name} has no value: ${given} were given`)
  }
  const wanted = Math.max(0, ...[...parameters].map(Number))
  if (given > wanted)
    throw new Failure('invalid', `${given} parameters were given, of which the statement names ${wanted}`)
}
