/** What `show tables`, `show databases` and `show all tables` answer. */
import type { SqlResult, SqlStats } from '../../../tiering/sql/port.ts'
import type { SqlTables } from '../../../tiering/sql/tables.ts'
import { fixedResult } from './running.ts'
import type { Listing } from './statement.ts'

const texts = (...names: readonly string[]) => names.map((name) => ({ name, type: 'string' }))

/** List what there is. */
export async function listResult(
  tables: SqlTables,
  { listing, database, elapsedMs }: { listing: Listing; database: string; elapsedMs(): number },
): Promise<SqlResult> {
  const none = { files: 0, filesPruned: 0, bytesRead: 0, bytesCached: 0, bytesPruned: 0, hotRows: 0, shards: 0 }
  const stats = (): Omit<SqlStats, 'rows'> => ({ ...none, elapsedMs: elapsedMs() })
  if (listing === 'databases') {
    const names = await tables.databases()
    return fixedResult(
      texts('name'),
      names.map((name) => [name]),
      stats,
    )
  }
  if (listing === 'tables') {
    const found = await tables.describe(database)
    return fixedResult(
      texts('name'),
      found.map(({ table }) => [table]),
      stats,
    )
  }
  const rows = (await tables.describe()).flatMap(({ database: name, table, columns }) =>
    columns.map((column) => [name, table, column.name, column.type]),
  )
  return fixedResult(texts('database', 'table', 'column', 'type'), rows, stats)
}
