/** A statement that runs: its rows as they come, its end, and what it cost. */
import type { DuckDBConnection, DuckDBResult } from '@duckdb/node-api'
import type { Stop } from '../../../cdc/follow.ts'
import { Failure } from '../../../errors.ts'
import type { SqlColumn, SqlResult, SqlResultValue, SqlStats } from '../../../tiering/sql/port.ts'
import type { DuckDBApi } from './duckdb.ts'
import { type ResultColumn, resultColumn, rowsOfChunk } from './results.ts'

/** What a running statement needs. */
export interface RunningParts {
  readonly api: DuckDBApi
  readonly connection: DuckDBConnection
  readonly result: DuckDBResult
  readonly stop: Stop | undefined
  /** Turns what DuckDB throws into a failure. */
  fail(error: unknown): Failure
  /** What it cost, without its rows. */
  stats(): Omit<SqlStats, 'rows'>
  /** Called once, at the end. */
  end(): void
}

const stopped = () => new Failure('unavailable', 'the query was stopped')

/** Stop a connection's work when asked to.
 *  @returns what stops listening, and whether it was asked */
export function listen(connection: DuckDBConnection, stop: Stop | undefined): { isStopped(): boolean; off(): void } {
  const interrupt = () => connection.interrupt()
  stop?.addEventListener('abort', interrupt)
  if (stop?.aborted) interrupt()
  return { isStopped: () => stop?.aborted === true, off: () => stop?.removeEventListener('abort', interrupt) }
}

/** Make the result of a statement that has begun. */
export function runningResult(parts: RunningParts): SqlResult {
  const { api, connection, result, stop } = parts
  const names = result.columnNames()
  const columns = result.columnTypes().map((type, at) => resultColumn(api, names[at] as string, type))
  const { isStopped, off } = listen(connection, stop)
  let rows = 0
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    off()
    connection.interrupt()
    connection.closeSync()
    parts.end()
  }
  async function* batches(): AsyncGenerator<SqlResultValue[][]> {
    try {
      for (;;) {
        // What an interrupted result gives is its end, too soon: it must not pass for the whole.
        if (isStopped()) throw stopped()
        const chunk = isOpen ? await result.fetchChunk() : null
        if (isStopped()) throw stopped()
        if (chunk === null || chunk.rowCount === 0) return
        const batch = rowsOfChunk(chunk, columns)
        rows += batch.length
        yield batch
      }
    } catch (error) {
      throw parts.fail(error)
    } finally {
      close()
    }
  }
  return {
    columns: columns.map(plainColumn),
    batches: batches(),
    stats: () => ({ ...parts.stats(), rows }),
    close: async () => close(),
  }
}

const plainColumn = ({ name, type }: ResultColumn): SqlColumn => ({ name, type })

/** Make a result of rows that are known. */
export function fixedResult(
  columns: readonly SqlColumn[],
  rows: readonly (readonly SqlResultValue[])[],
  stats: () => Omit<SqlStats, 'rows'>,
): SqlResult {
  async function* batches() {
    if (rows.length > 0) yield rows
  }
  return { columns, batches: batches(), stats: () => ({ ...stats(), rows: rows.length }), close: async () => {} }
}
