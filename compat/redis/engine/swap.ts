/** Swapping two numbered databases: their rows change places, in one transaction of one shard. */
import { Failure } from '@dotdo/core/errors'
import { REDIS_SWAP_ROWS_MAX } from '@dotdo/core/limits'
import type { Row, Table, Tx } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { allElementTables } from './elements.ts'
import { putKey } from './keys.ts'

/** Read the rows of both databases, values that are in the lake alone included: they are stored under new names. */
function rowsOf(tx: Tx, table: Table, left: number, right: number): readonly Row[] {
  tx.settle(table)
  const statement = `select * from ${table.name} where db in (?, ?) limit ?`
  const found = tx.all(statement, left, right, REDIS_SWAP_ROWS_MAX + 1).map((row) => tx.fromSql(table, row))
  return table.relation?.payload === undefined ? found : tx.wholeAll(table, found)
}

/** Swap two numbered databases.
 *  @throws limit when they hold more than REDIS_SWAP_ROWS_MAX rows together
 *  @cost removes and stores every row of both */
export function swapDatabases(tx: Tx, left: number, right: number): void {
  if (left === right) return
  const tables = [keys, ...allElementTables]
  const found = tables.map((table) => ({ table, rows: rowsOf(tx, table, left, right) }))
  const total = found.reduce((sum, { rows }) => sum + rows.length, 0)
  if (total > REDIS_SWAP_ROWS_MAX) {
    throw new Failure('limit', `ERR SWAPDB moves at most ${REDIS_SWAP_ROWS_MAX} keys and elements`)
  }
  for (const { table } of found) for (const db of [left, right]) tx.truncate(table, { db })
  for (const { table, rows } of found) {
    for (const row of rows) {
      const moved = { ...row, db: row.db === left ? right : left }
      if (table === keys) putKey(tx, moved as KeyRow)
      else tx.put(table, moved)
    }
  }
}
