/** node:sqlite as a driver, for Node 22.16 and later without better-sqlite3.
 *  @source https://nodejs.org/docs/latest-v22.x/api/sqlite.html */
import { Failure } from '../../errors.ts'
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

/** What is used of a StatementSync; @types/node 20 does not know node:sqlite. */
interface Statement {
  all(...values: readonly SqlValue[]): unknown[]
  iterate(...values: readonly SqlValue[]): IterableIterator<unknown>
  run(...values: readonly SqlValue[]): unknown
  columns(): unknown[]
  setReturnArrays(on: boolean): void
  setReadBigInts(on: boolean): void
}

interface Database {
  prepare(statement: string): Statement
  exec(statements: string): void
  close(): void
}

interface Options {
  readOnly: boolean
  enableForeignKeyConstraints: boolean
  enableDoubleQuotedStringLiterals: boolean
}

type Constructor = new (path: string, options: Options) => Database

/** How often the schema has changed. A handle made before counts the columns of `*` as they were. */
interface Schema {
  version: number
}

type Wide = SqlValue | bigint

/** Load node:sqlite.
 *  @throws Error before Node 22.16 */
export function loadNodeSqlite(require: NodeJS.Require): Connect {
  const { DatabaseSync, StatementSync } = require('node:sqlite') as {
    DatabaseSync: Constructor
    StatementSync: { prototype: Partial<Statement> }
  }
  const { setReturnArrays, columns } = StatementSync.prototype
  if (setReturnArrays === undefined || columns === undefined) throw new Error('node:sqlite of Node >= 22.16 is needed')
  const probe = new DatabaseSync(':memory:', openOptions(false)).prepare("select 'a' || char(0) || 'b' as text")
  const cutsText = (probe.all()[0] as { text: string }).text !== 'a\0b'
  return (path, options) => new NodeConnection(DatabaseSync, path, { ...options, cutsText })
}

function openOptions(readOnly: boolean): Options {
  return { readOnly, enableForeignKeyConstraints: true, enableDoubleQuotedStringLiterals: false }
}

class NodeConnection implements Connection {
  private readonly database: Database
  private readonly brackets: Brackets
  readonly schema: Schema = { version: 0 }
  readonly cutsText: boolean

  constructor(DatabaseSync: Constructor, path: string, options: ConnectOptions & { cutsText: boolean }) {
    const { readonly, busyTimeoutMs, cutsText } = options
    this.database = new DatabaseSync(path, openOptions(readonly))
    this.cutsText = cutsText
    this.database.exec(`pragma busy_timeout = ${busyTimeoutMs}`)
    this.brackets = makeBrackets((text) => {
      const statement = this.database.prepare(text)
      return () => statement.run()
    })
  }

  prepare(checked: CheckedStatement): PreparedSql {
    return new NodePrepared(() => this.database.prepare(checked.text), checked, this)
  }

  transact<T>(work: () => T, nested: boolean): T {
    try {
      return runBracketed(this.brackets, work, nested)
    } catch (error) {
      this.schema.version++
      throw error
    }
  }

  sizeBytes(): number {
    return this.value(sizeStatement) as number
  }

  describe(error: unknown): { code: string; message: string } | undefined {
    if (!(error instanceof Error) || !('errcode' in error)) return undefined
    return { code: codeName(error.errcode as number), message: error.message }
  }

  exec(statements: string): void {
    this.database.exec(statements)
  }

  value(statement: string): SqlValue {
    const prepared = this.database.prepare(statement)
    prepared.setReturnArrays(true)
    return (prepared.all() as SqlValue[][])[0]?.[0] ?? null
  }

  close(): void {
    this.database.close()
  }
}

/** A statement. Three things are evened out here.
 *
 *  1. node:sqlite throws at an integer past 2^53 where the others round it: a read is then run again with BigInt
 *     results; a write with rows cannot be run again and has them from the start.
 *  2. A handle does not see that `*` has more columns now: it is made anew when the schema has changed.
 *  3. Some versions cut text at a NUL when it is read: then such text is refused before it is stored. */
class NodePrepared implements PreparedSql {
  private readonly again: () => Statement
  private readonly checked: CheckedStatement
  private readonly connection: NodeConnection
  private statement: Statement
  private readonly changesSchema: boolean
  private version: number
  private isRaw = false
  private isWide = false

  constructor(again: () => Statement, checked: CheckedStatement, connection: NodeConnection) {
    this.again = again
    this.checked = checked
    this.connection = connection
    this.changesSchema = !checked.readonly && /\b(create|alter|drop)\b/i.test(checked.text)
    this.version = connection.schema.version
    this.statement = this.make()
  }

  all(values: readonly SqlValue[]): SqlRow[] {
    const rows = this.run(values, false) as Record<string, Wide>[]
    for (const row of rows) narrowRow(row)
    return rows as SqlRow[]
  }

  raw(values: readonly SqlValue[]): SqlValue[][] {
    const rows = this.run(values, true) as Wide[][]
    for (const row of rows) narrowArray(row)
    return rows as SqlValue[][]
  }

  *iterate(values: readonly SqlValue[]): IterableIterator<SqlRow> {
    if (this.connection.cutsText) refuseNul(values)
    // A handle of its own: two iterations of one handle would reset each other.
    const cursor = this.again()
    cursor.setReadBigInts(true)
    for (const row of cursor.iterate(...values) as IterableIterator<Record<string, Wide>>) yield narrowRow(row)
  }

  private make(): Statement {
    const statement = this.again()
    const columns = statement.columns().length
    checkColumns(columns)
    this.isRaw = false
    this.isWide = columns > 0 && !this.checked.readonly
    if (this.isWide) statement.setReadBigInts(true)
    return statement
  }

  private run(values: readonly SqlValue[], raw: boolean): unknown[] {
    const { schema, cutsText } = this.connection
    if (cutsText) refuseNul(values)
    if (this.version !== schema.version) {
      this.statement = this.make()
      this.version = schema.version
    }
    if (this.isRaw !== raw) {
      this.statement.setReturnArrays(raw)
      this.isRaw = raw
    }
    if (this.changesSchema) schema.version++
    try {
      return this.statement.all(...values)
    } catch (error) {
      const isTooWide = (error as { code?: string }).code === 'ERR_OUT_OF_RANGE'
      if (!isTooWide || this.isWide || !this.checked.readonly) throw error
      this.isWide = true
      this.statement.setReadBigInts(true)
      return this.statement.all(...values)
    }
  }
}

function refuseNul(values: readonly SqlValue[]): void {
  const at = values.findIndex((value) => typeof value === 'string' && value.includes('\0'))
  if (at < 0) return
  throw new Failure(
    'unsupported',
    `value ${at + 1} has a NUL: node:sqlite of Node ${process.version} cuts it off there`,
  )
}

function narrowRow(row: Record<string, Wide>): SqlRow {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'bigint' || typeof value === 'object') row[column] = narrow(value)
  }
  return row as SqlRow
}

function narrowArray(row: Wide[]): void {
  for (let at = 0; at < row.length; at++) {
    const value = row[at]
    if (typeof value === 'bigint' || typeof value === 'object') row[at] = narrow(value)
  }
}

/** Turn an integer into a number and a blob into a Buffer, as better-sqlite3 has them. */
function narrow(value: bigint | Uint8Array | null): SqlValue {
  if (typeof value === 'bigint') return Number(value)
  return value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

/** Result codes by number; those not named here are storage failures by any name.
 *  @source https://www.sqlite.org/rescode.html */
const names: { readonly [code: number]: string } = {
  1: 'SQLITE_ERROR',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  7: 'SQLITE_NOMEM',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  18: 'SQLITE_TOOBIG',
  19: 'SQLITE_CONSTRAINT',
  20: 'SQLITE_MISMATCH',
  23: 'SQLITE_AUTH',
  25: 'SQLITE_RANGE',
  26: 'SQLITE_NOTADB',
  275: 'SQLITE_CONSTRAINT_CHECK',
  787: 'SQLITE_CONSTRAINT_FOREIGNKEY',
  1299: 'SQLITE_CONSTRAINT_NOTNULL',
  1555: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  2067: 'SQLITE_CONSTRAINT_UNIQUE',
  2579: 'SQLITE_CONSTRAINT_ROWID',
}

function codeName(code: number): string {
  return names[code] ?? names[code & 0xff] ?? `SQLITE_${code}`
}
