/** A shard's database in Cloudflare Workers: the storage of its Durable Object.
 *
 *  1. A cursor is read to its end before a call returns, all but that of `iterate`, which only reads.
 *  2. Durability is always `full`: the output gate holds replies back until the turn's writes are on disk. */
import type { Sql, SqlRow, SqlValue } from '../../shard/sql.ts'
import { HostSql, type PreparedSql, type SqlDriver } from '../../shard/sql-driver.ts'

/** A value as workerd returns it. */
type Stored = null | number | string | ArrayBuffer

interface Cursor {
  toArray(): Record<string, Stored>[]
  raw(): Iterable<Stored[]>
  [Symbol.iterator](): IterableIterator<Record<string, Stored>>
}

/** What is used of `ctx.storage`. */
export interface WorkersStorage {
  readonly sql: {
    // biome-ignore lint/suspicious/noExplicitAny: the platform declares its parameters as any
    exec(statement: string, ...values: any[]): Cursor
    readonly databaseSize: number
  }
  transactionSync<T>(work: () => T): T
}

/** See the storage of a Durable Object through the port.
 *  @param storage `ctx.storage` of an object whose class is declared with `useSQLite` (`new_sqlite_classes`) */
export function createWorkersSql(storage: WorkersStorage): Sql {
  return new HostSql(driverOf(storage))
}

function driverOf(storage: WorkersStorage): SqlDriver {
  const { sql } = storage
  return {
    prepare: ({ text }) => new WorkersPrepared(sql, text),
    transact: (work) => storage.transactionSync(work),
    sizeBytes: () => sql.databaseSize,
    describe,
    close() {
      // The platform opens and closes the storage.
    },
  }
}

class WorkersPrepared implements PreparedSql {
  private readonly sql: WorkersStorage['sql']
  private readonly text: string
  constructor(sql: WorkersStorage['sql'], text: string) {
    this.sql = sql
    this.text = text
  }

  all(values: readonly SqlValue[]): SqlRow[] {
    const rows = this.sql.exec(this.text, ...values).toArray()
    for (const row of rows) asRow(row)
    return rows as SqlRow[]
  }

  raw(values: readonly SqlValue[]): SqlValue[][] {
    const rows = [...this.sql.exec(this.text, ...values).raw()]
    for (const row of rows) {
      for (let at = 0; at < row.length; at++) {
        const value = row[at]
        if (value instanceof ArrayBuffer) (row as SqlValue[])[at] = Buffer.from(value)
      }
    }
    return rows as SqlValue[][]
  }

  *iterate(values: readonly SqlValue[]): IterableIterator<SqlRow> {
    for (const row of this.sql.exec(this.text, ...values)) yield asRow(row)
  }
}

/** Turn blobs into Buffers, as Node has them. */
function asRow(row: Record<string, Stored>): SqlRow {
  for (const column in row) {
    const value = row[column]
    if (value instanceof ArrayBuffer) (row as SqlRow)[column] = Buffer.from(value)
  }
  return row as SqlRow
}

const resultCode = /: (SQLITE_\w+)(?: \(extended: (SQLITE_\w+)\))?$/

/** Read the result code off the end of a message, where workerd puts it:
 *  `UNIQUE constraint failed: t.c: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)`. */
function describe(error: unknown): { code: string; message: string } | undefined {
  if (!(error instanceof Error)) return undefined
  const found = resultCode.exec(error.message)
  if (found === null) return undefined
  return { code: found[2] ?? (found[1] as string), message: error.message.slice(0, found.index) }
}
