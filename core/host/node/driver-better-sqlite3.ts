/** better-sqlite3 as a driver. */
import type BetterSqlite3 from 'better-sqlite3'
import type { SqlRow, SqlValue } from '../../shard/sql.ts'
import { type CheckedStatement, checkColumns } from '../../shard/sql-check.ts'
import type { PreparedSql } from '../../shard/sql-driver.ts'
import {
  type Brackets,
  type Connect,
  type Connection,
  type ConnectOptions,
  makeBrackets,
  runBracketed,
  sizeStatement,
} from './driver.ts'

type Database = BetterSqlite3.Database
type Statement = BetterSqlite3.Statement<SqlValue[]>

/** Load better-sqlite3.
 *  @throws Error when it is missing, was built for another Node, or is a version that this Node cannot hold */
export function loadBetterSqlite3(require: NodeJS.Require): Connect {
  const { version } = require('better-sqlite3/package.json') as { version: string }
  const major = Number.parseInt(version, 10)
  const node = Number.parseInt(process.versions.node, 10)
  if (major >= 13 && node < 22) throw new Error(`better-sqlite3 ${version} needs Node 22; install better-sqlite3@12`)
  const Database = require('better-sqlite3') as typeof BetterSqlite3
  // The addon itself is only loaded with the first database.
  new Database(':memory:').close()
  return (path, options) => new BetterConnection(Database, path, options)
}

class BetterConnection implements Connection {
  private readonly database: Database
  private readonly brackets: Brackets
  private size: Statement | undefined

  constructor(Database: typeof BetterSqlite3, path: string, { readonly, busyTimeoutMs }: ConnectOptions) {
    this.database = new Database(path, { readonly, fileMustExist: readonly, timeout: busyTimeoutMs })
    this.brackets = makeBrackets((text) => {
      const statement = this.database.prepare(text)
      return () => statement.run()
    })
  }

  prepare({ text }: CheckedStatement): PreparedSql {
    const statement = this.database.prepare<SqlValue[]>(text)
    if (!statement.reader) return new BetterWrite(statement)
    checkColumns(statement.columns().length)
    return new BetterRead(statement, () => this.database.prepare<SqlValue[]>(text))
  }

  transact<T>(work: () => T, nested: boolean): T {
    return runBracketed(this.brackets, work, nested)
  }

  sizeBytes(): number {
    // Prepared late: to prepare it reads the file.
    this.size ??= this.database.prepare<SqlValue[]>(sizeStatement).raw()
    return (this.size.all() as number[][])[0]?.[0] as number
  }

  describe(error: unknown): { code: string; message: string } | undefined {
    if (!(error instanceof Error) || error.name !== 'SqliteError') return undefined
    return { code: (error as Error & { code: string }).code, message: error.message }
  }

  exec(statements: string): void {
    this.database.exec(statements)
  }

  value(statement: string): SqlValue {
    const prepared = this.database.prepare<SqlValue[]>(statement).raw()
    return (prepared.all() as SqlValue[][])[0]?.[0] ?? null
  }

  close(): void {
    this.database.close()
  }
}

/** A statement without rows. */
class BetterWrite implements PreparedSql {
  private readonly statement: Statement
  constructor(statement: Statement) {
    this.statement = statement
  }

  all(values: readonly SqlValue[]): SqlRow[] {
    this.statement.run(...values)
    return []
  }

  raw(values: readonly SqlValue[]): SqlValue[][] {
    this.statement.run(...values)
    return []
  }

  iterate(values: readonly SqlValue[]): IterableIterator<SqlRow> {
    return this.all(values).values()
  }
}

/** A statement with rows: one handle for `all` and `raw`, switched when the way of asking changes, and others for
 *  iterations, each busy until it ends. Blobs come as Buffers that nobody else holds. */
class BetterRead implements PreparedSql {
  private readonly statement: Statement
  private readonly again: () => Statement
  private isRaw = false
  private cursor: Statement | undefined

  constructor(statement: Statement, again: () => Statement) {
    this.statement = statement
    this.again = again
  }

  all(values: readonly SqlValue[]): SqlRow[] {
    if (this.isRaw) this.toggle(false)
    return this.statement.all(...values) as SqlRow[]
  }

  raw(values: readonly SqlValue[]): SqlValue[][] {
    if (!this.isRaw) this.toggle(true)
    return this.statement.all(...values) as SqlValue[][]
  }

  iterate(values: readonly SqlValue[]): IterableIterator<SqlRow> {
    if (this.cursor === undefined || this.cursor.busy) this.cursor = this.again()
    return this.cursor.iterate(...values) as IterableIterator<SqlRow>
  }

  private toggle(raw: boolean): void {
    this.statement.raw(raw)
    this.isRaw = raw
  }
}
