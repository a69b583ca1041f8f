/** Patches of rows in the redo, put together again when it is replayed.
 *
 *  1. A row of a table that declares `patched` has its columns in the redo once a generation, at its first change; then
 *     patches. So a generation can be replayed whatever SQL holds.
 *  2. A patch that is replayed without those columns is one of a generation that stands in the tables, and whose redo
 *     was being dropped, the oldest first: it is passed over. */
import type { Bin } from '../bytes.ts'
import type { TableShape } from './row-codec.ts'
import { type Chained, identityOf, RowMap } from './row-map.ts'
import type { Identity, Row } from './table.ts'

interface WholeRow extends Chained<WholeRow> {
  row: Row
}

/** The rows that a replay has met whole, of tables whose rows are patched. */
export class WholeRows {
  private readonly known = new Map<TableShape, { identity: Identity; rows: RowMap<WholeRow> }>()

  /** Take a row whose columns the redo has. */
  note(shape: TableShape, row: Row): void {
    if (shape.table.patched === undefined) return
    let known = this.known.get(shape)
    if (known === undefined) {
      const identity = identityOf(shape)
      known = { identity, rows: new RowMap<WholeRow>(identity) }
      this.known.set(shape, known)
    }
    const hash = known.identity.hash(row) | 0
    const entry = known.rows.find(hash, row)
    if (entry === undefined) known.rows.add({ key: row, hash, next: undefined, row })
    else entry.row = row
  }

  /** @returns the row that a patch makes; undefined when it is to be passed over */
  patch(shape: TableShape, key: Row, patch: Bin): Row | undefined {
    const known = this.known.get(shape)
    const entry = known?.rows.find(known.identity.hash(key) | 0, key)
    if (entry === undefined) return undefined
    entry.row = shape.table.patched?.(entry.row, patch) as Row
    return entry.row
  }
}
