/** A small SQL engine over rows in memory, to test how results travel. It knows `select * from <table>`, `as of`
 *  nothing, and counts what is under way. For tests only. */
import { Failure } from '@dotdo/core/errors'
import type { SqlEngine, SqlRequest, SqlResult, SqlStats, SqlTable } from '@dotdo/core/tiering/sql'
import type { Rows } from './sql-formats.ts'

/** Rows by table: whole, or as they are asked for. */
export interface PlainTable {
  readonly columns: SqlTable['columns']
  batches(): Iterable<Rows> | AsyncIterable<Rows>
}

/** An engine that tells what was asked of it. */
export interface PlainEngine extends SqlEngine {
  readonly asked: SqlRequest[]
  /** Queries that were begun and not closed. */
  open: number
  /** Batches that were taken. */
  taken: number
}

/** Make an engine over tables of the database `default`. */
export function plainEngine(tables: Readonly<Record<string, PlainTable>>): PlainEngine {
  const engine: PlainEngine = {
    asked: [],
    open: 0,
    taken: 0,
    async query(request) {
      engine.asked.push(request)
      const name = /^select\s+\*\s+(?:--.*\n)?from\s+(\w+)$/.exec(request.text.trim())?.[1]
      if (name === undefined) throw new Failure('invalid', 'want select * from a table', { line: 1, column: 1 })
      const table = tables[name]
      if (table === undefined) throw new Failure('not_found', `no table ${name}`)
      engine.open++
      return resultOf(engine, table, request)
    },
    async describe(database) {
      if (database !== undefined && database !== 'default') throw new Failure('not_found', `no database ${database}`)
      return Object.entries(tables).map(([table, { columns }]) => {
        return { database: 'default', table, columns, hot: true, cold: false }
      })
    },
  }
  return engine
}

function resultOf(engine: PlainEngine, { columns, batches }: PlainTable, { stop }: SqlRequest): SqlResult {
  let rows = 0
  let isOpen = true
  async function* counted(): AsyncGenerator<Rows> {
    for await (const batch of batches()) {
      if (stop?.aborted) return
      rows += batch.length
      engine.taken++
      yield batch
    }
  }
  const stats = (): SqlStats => {
    const none = { files: 0, filesPruned: 0, bytesRead: 0, bytesCached: 0, bytesPruned: 0, shards: 1 }
    return { elapsedMs: 2, rows, hotRows: rows, ...none }
  }
  return {
    columns,
    batches: counted(),
    stats,
    async close() {
      if (isOpen) engine.open--
      isOpen = false
    },
  }
}
