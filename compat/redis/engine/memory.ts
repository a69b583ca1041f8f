/** What a key takes: bytes of its row and of its elements' rows, as they are stored. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import type { SqlRow, Table, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { elementTablesOf } from './elements.ts'

/** A row's number of columns and pointers, roughly: record header, b-tree cell. */
const ROW_BYTES = 16
const NUMBER_BYTES = 8

function rowBytes(row: SqlRow | KeyRow): number {
  let total = ROW_BYTES
  for (const cell of Object.values(row)) {
    if (typeof cell === 'string' || cell instanceof Uint8Array) total += cell.length
    else if (typeof cell === 'number') total += NUMBER_BYTES
  }
  return total
}

/** Read some elements of a key; all of them for a limit of -1. */
function sample(view: View, { name }: Table, { slot, db, key }: KeyRow, limit: number): SqlRow[] {
  const statement = `select * from ${name} where slot = ? and db = ? and key = ? limit ?`
  return view.all(statement, slot, db, fromBin(key as Bin), limit)
}

/** Tell how many rows of a table hold elements of a key. */
function rowCount(view: View, { name }: Table, { type, slot, db, key, size }: KeyRow): number {
  if (type !== 'list' && type !== 'string') return size
  const statement = `select count(*) from ${name} where slot = ? and db = ? and key = ?`
  return Number(view.raw(statement, slot, db, fromBin(key))[0]?.[0])
}

/** Tell what a key takes, its elements by a sample. A value that is in the lake alone counts for nothing here.
 *  @param samples elements to look at; 0 for all
 *  @cost a statement, and the rows of the sample; of a list, one that counts its rows */
export function keyBytes(view: View, row: KeyRow, samples: number): number {
  let total = rowBytes(row)
  for (const table of elementTablesOf(row)) {
    view.settle(table, row.slot, row.slot)
    const rows = sample(view, table, row, samples === 0 ? -1 : samples)
    const seen = rows.reduce((sum, each) => sum + rowBytes(each), 0)
    if (rows.length > 0) total += Math.round((seen / rows.length) * rowCount(view, table, row))
  }
  return total
}
