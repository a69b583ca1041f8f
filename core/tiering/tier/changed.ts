/** What has changed in a shard since a position: distinct keys with the rows as they are now.
 *
 *  Changes of the group that runs are among them: the rows are read as this group leaves them, so what has changed them
 *  must be told too. They have their seqs already, and when the group fails nobody gets the answer. */

import type { Bin } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import { TIER_READ_BYTES } from '../../limits.ts'
import type { Entry } from '../../shard/log.ts'
import type { Position, Tx, View } from '../../shard/program.ts'
import type { Row, Table } from '../../shard/table.ts'
import type { ShardTx } from '../../shard/tx.ts'
import { type Places, placesOf } from './places.ts'
import { keyBytes, slotOf } from './tables.ts'

/** A row that changed, as it is now. */
export interface ChangedRow {
  readonly key: Bin
  readonly slot: number
  readonly id: string
  /** Of the change that was read; the row may be newer. */
  readonly seq: number
  readonly at: number
  /** Null when it is gone. */
  readonly row: Row | null
  /** Of a cold row, where its payload is; none when nobody knows. */
  readonly cold?: Places
}

/** A truncate: every row that agrees with `where` has changed. */
export interface Truncated {
  readonly where: Row
  readonly seq: number
  readonly moved: boolean
}

/** A piece of what changed. */
export interface Changed {
  readonly rows: readonly ChangedRow[]
  readonly truncates: readonly Truncated[]
  /** Where to go on. */
  readonly next: number
  /** Whether that is where the shard is now: the rows read so far are its state at `position`. */
  readonly done: boolean
  readonly position: Position
}

/** Find the table of a collection that has a relation.
 *  @throws not_found */
export function tableOf(view: View, collection: string): Table {
  const found = view.tables().find((table) => table.collection === collection && table.relation !== undefined)
  if (found === undefined) throw new Failure('not_found', `no collection ${collection} that the lake could hold`)
  return found
}

/** Read entries of the log, those of the running group included.
 *  @param limit of the committed ones
 *  @throws out_of_range when they have been trimmed */
export function entriesAfter(view: View, after: number, limit: number): Entry[] {
  const { log } = (view as ShardTx).state
  const entries = after < log.committedSeq ? log.read(after, limit) : []
  if ((entries.at(-1)?.seq ?? after) < log.committedSeq) return entries
  for (const entry of log.readPending()) if (entry.seq > after) entries.push({ ...entry, atMs: view.nowMs })
  return entries
}

/** The seq before the oldest change that the log still has. */
export function logFloor(view: View): number {
  return (view as ShardTx).state.log.floor
}

/** Keys that changed, in the order of their last change, from where nobody has read them yet. */
interface Unread {
  readonly keys: readonly { readonly key: Row; readonly seq: number; readonly atMs: number }[]
  readonly truncates: readonly Truncated[]
  /** The seq that these are read up to, of what is committed. */
  readonly next: number
}

/** Read which keys of a table committed changes were of.
 *  @param after whole segments are read, so what one turn leaves over is kept for the next */
function unread(view: View, table: Table, { after, limit }: { after: number; limit: number }): Unread {
  const { incarnation, epoch } = view.position
  const name = `tier unread ${table.name}`
  const known = view.memory.get(name) as (Unread & { after: number }) | undefined
  view.memory.delete(name)
  if (known?.after === after) return known
  if (after >= (view as ShardTx).state.log.committedSeq) return { keys: [], truncates: [], next: after }
  const range = { changes: limit, bytes: TIER_READ_BYTES, wanted: (one: Table) => one === table }
  const { keys, truncates, next } = view.changedKeys({ incarnation, epoch, seq: after }, range)
  return { keys, truncates: truncates.map(({ where, seq, moved }) => ({ where, seq, moved })), next: next.seq }
}

/** Read what changed in a table after a seq.
 *  @param limit rows at most, but for those of the running group
 *  @throws out_of_range when the log has been trimmed past it */
export function changedRows(tx: View, table: Table, { after, limit }: { after: number; limit: number }): Changed {
  const { position } = tx
  const { keys, truncates, next: end } = unread(tx, table, { after, limit })
  const rows = new Map<Bin, ChangedRow>()
  let next = after
  let bytes = 0
  let taken = 0
  for (const { key, seq, atMs } of keys) {
    if (taken >= limit || bytes > TIER_READ_BYTES) break
    const packed = keyBytes(table, key)
    const found = rowNow(tx, table, { packed, key })
    rows.set(packed, { ...found, seq, at: atMs })
    bytes += sizeOf(found.row)
    next = seq
    taken++
  }
  if (taken < keys.length) {
    const left = {
      keys: keys.slice(taken),
      truncates: truncates.filter(({ seq }) => seq > next),
      next: end,
      after: next,
    }
    tx.memory.set(`tier unread ${table.name}`, left)
    const passed = truncates.filter(({ seq }) => seq <= next)
    return { rows: [...rows.values()], truncates: passed, next, done: false, position }
  }
  next = end
  const all = [...truncates]
  if (next === (tx as ShardTx).state.log.committedSeq) next = readRunning(tx, table, { next, rows, truncates: all })
  return { rows: [...rows.values()], truncates: all, next, done: next === position.seq, position }
}

/** Read what the running group has changed. @returns the seq up to which it has */
function readRunning(
  tx: View,
  table: Table,
  { next, rows, truncates }: { next: number; rows: Map<Bin, ChangedRow>; truncates: Truncated[] },
): number {
  for (const { seq, shape, op, key, payload } of (tx as ShardTx).state.log.readPending()) {
    if (seq <= next || shape.table !== table) continue
    if (op === 'truncate') truncates.push({ where: key, seq, moved: payload?.moved === true })
    else {
      const packed = keyBytes(table, key)
      rows.set(packed, { ...rowNow(tx, table, { packed, key }), seq })
    }
  }
  return tx.position.seq
}

/** Read a row as it is now. */
export function rowNow(view: View, table: Table, { packed, key }: { packed: Bin; key: Row }): ChangedRow {
  const row = view.find(table, key) ?? null
  return changedRow(view, table, { packed, key, row })
}

/** Describe a row that has been read. */
export function changedRow(
  view: View,
  table: Table,
  { packed, key, row }: { packed: Bin; key: Row; row: Row | null },
): ChangedRow {
  const slot = slotOf(table, key)
  const common = { key: packed, slot, id: table.documentId(key), seq: view.position.seq, at: view.nowMs, row }
  if (row === null || table.relation?.payload?.isCold(row) !== true) return common
  return { ...common, cold: payloadPlaces(view, table.collection, { slot, key: packed }) }
}

/** Find where a row's payload is: a row that is cold has not been written anew, so its place of before is as good. */
export function payloadPlaces(view: View, collection: string, row: { slot: number; key: Bin }): Places {
  const indexed = placesOf(view, collection, row)
  return indexed.length > 0 ? indexed : placesOf(view, collection, { ...row, overlay: true })
}

/** Estimate the bytes of a row in memory. */
export function sizeOf(row: Row | null): number {
  let bytes = 50
  for (const value of Object.values(row ?? {})) {
    bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  }
  return bytes
}

/** Where a scan of a table goes on. */
export interface ScanCursor {
  /** The first slot of the run that is being read, and how many there are in it. */
  readonly slot: number
  readonly width: number
  /** The row read last in this run. */
  readonly after?: Row
}

const slotsMax = 16_384

/** Read rows of a table in the order of its key, in runs of slots: making rows of all slots visible to SQL would hold
 *  the shard up.
 *  @returns no cursor at the end */
export function scanRows(
  tx: Tx,
  table: Table,
  { cursor = { slot: 0, width: 64 }, limit }: { cursor?: ScanCursor | undefined; limit: number },
): { rows: ChangedRow[]; cursor: ScanCursor | undefined } {
  const { primaryKey: key, name } = table
  const { state } = tx as ShardTx
  const { sql } = state.of(table)
  const bySlot = key[0] === 'slot'
  const last = Math.min(slotsMax, cursor.slot + cursor.width) - 1
  tx.settle(table, bySlot ? cursor.slot : 0, bySlot ? last : Number.MAX_SAFE_INTEGER)
  const after = cursor.after === undefined ? '' : `(${key.join(', ')}) > (${key.map(() => '?').join(', ')})`
  const where = [bySlot ? 'slot between ? and ?' : '', after].filter((text) => text !== '').join(' and ')
  const statement = `select * from ${name}${where && ` where ${where}`} order by ${key.join(', ')}`
  const values = [...(bySlot ? [cursor.slot, last] : []), ...(cursor.after ? sql.keyValues(cursor.after) : [])]
  const rows: ChangedRow[] = []
  let bytes = 0
  for (const found of tx.iterate(statement, ...values)) {
    const row = sql.fromSql(found) as Row
    rows.push(changedRow(tx, table, { packed: keyBytes(table, row), key: row, row }))
    bytes += sizeOf(row)
    if (rows.length < limit && bytes <= TIER_READ_BYTES) continue
    return { rows, cursor: { ...cursor, after: keyColumns(table, row) } }
  }
  if (!bySlot || last === slotsMax - 1) return { rows, cursor: undefined }
  const width = rows.length < limit / 4 ? cursor.width * 2 : cursor.width
  return { rows, cursor: { slot: last + 1, width: Math.min(width, slotsMax) } }
}

function keyColumns(table: Table, row: Row): Row {
  return Object.fromEntries(table.primaryKey.map((column) => [column, row[column] as Row[string]]))
}
