/** The life of a key: finding, storing, removing, copying.
 *
 *  1. A key whose time has come is absent to every read; its rows go when it is written or swept (expiry.ts).
 *  2. Writers get the row as it is `stored`, expired or not: what replaces it must know what it leaves behind.
 *  3. What a command needs of SQL it reads before its first write: one that settles after it wrote is undone and run
 *     again by the shard, in a savepoint. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_STRING_BYTES_MAX, SQL_ROW_BYTES_MAX } from '@dotdo/core/limits'
import { crc16Slot, murmur3, type Row, type Table, type Tx, type View } from '@dotdo/core/shard'
import { type KeyRow, type KeyType, keys } from '../tables.ts'
import { CHUNK_BYTES, putChunks, WHOLE_BYTES_MAX } from './chunks.ts'
import { expiringFields, noteExpiry } from './due.ts'
import { elementTablesOf } from './elements.ts'
import { changing, follow } from './indexes.ts'
import { readValue } from './values.ts'

/** What names a key: the primary key of its row. */
export type KeyProbe = Pick<KeyRow, 'slot' | 'db' | 'hash' | 'key'>

/** Bytes a row takes besides its key and value: numbers, type, record header. */
const rowOverheadBytes = 100

/** Place a key in its slot, or a field in its hash: 31 bits, so that it takes four bytes in SQLite. */
export function placeOf(name: Bin): number {
  return murmur3(name) >>> 1
}

/** Name a key of a numbered database. */
export function probeKey(db: number, key: Bin): KeyProbe {
  return { slot: crc16Slot(key), db, hash: placeOf(key), key }
}

/** Make the failure of a command that works on another type than the key has. */
export function wrongType(): Failure {
  return new Failure('type_mismatch', 'WRONGTYPE Operation against a key holding the wrong kind of value')
}

/** Pass a stored row on when the key is alive. */
export function alive(view: View, stored: KeyRow | undefined): KeyRow | undefined {
  if (stored === undefined || (stored.expires !== null && stored.expires < view.nowMs)) return undefined
  return stored
}

/** Find a key that is alive. */
export function findKey(view: View, db: number, key: Bin): KeyRow | undefined {
  return alive(view, view.find(keys, probeKey(db, key)))
}

/** Check that a value fits a row beside its key.
 *  @throws limit */
export function checkSize(key: Bin, valueBytes: number): void {
  if (key.length + valueBytes + rowOverheadBytes <= SQL_ROW_BYTES_MAX) return
  throw new Failure('limit', `ERR string exceeds maximum allowed size (${SQL_ROW_BYTES_MAX} bytes, its key included)`)
}

/** Check that a string can be stored.
 *  @throws limit */
export function checkString(key: Bin, sizeBytes: number): void {
  if (sizeBytes > REDIS_STRING_BYTES_MAX) {
    throw new Failure('limit', 'ERR string exceeds maximum allowed size (proto-max-bulk-len)')
  }
  checkSize(key, sizeBytes > WHOLE_BYTES_MAX ? CHUNK_BYTES : sizeBytes)
}

/** Make the row of a new key that is no string. */
export function newKey({ slot, db, hash, key }: KeyProbe, type: KeyType, size: number): KeyRow {
  return { slot, db, hash, key, type, value: null, size, expires: null, head: null, tail: null, meta: null }
}

/** Make a collection's row with another count: column by column, as a spread that overwrites is ten times slower. */
export function resized(
  { slot, db, hash, key, type, value, expires, head, tail, meta }: KeyRow,
  size: number,
  ends: { readonly head: number | null; readonly tail: number | null } = { head, tail },
): KeyRow {
  return { slot, db, hash, key, type, value, size, expires, head: ends.head, tail: ends.tail, meta }
}

/** Store a key's row; whatever it replaces must hold no elements. */
export function putKey(tx: Tx, row: KeyRow): void {
  if (row.expires !== null) noteExpiry(tx, row.slot, row.expires)
  tx.put(keys, row)
}

/** Store the row of a key after this call has changed its elements: by those, who looks for changes of the key learns
 *  of it. */
export function putCounted(tx: Tx, row: KeyRow): void {
  if (row.expires !== null) noteExpiry(tx, row.slot, row.expires)
  tx.putLast(keys, row)
}

/** Store a string, replacing whatever the key holds.
 *  @param stored the key's row as it is in the table
 *  @throws limit when it is too large */
export function putString(
  tx: Tx,
  probe: KeyProbe,
  stored: KeyRow | undefined,
  value: Bin,
  expires: number | null = null,
): void {
  if (value.length > WHOLE_BYTES_MAX) {
    putLarge(tx, probe, stored, { value, expires })
    return
  }
  const { slot, db, hash, key } = probe
  checkSize(key, value.length)
  if (stored !== undefined && (stored.type !== 'string' || stored.meta !== null)) removeElements(tx, stored)
  if (expires !== null) noteExpiry(tx, slot, expires)
  tx.put(keys, { slot, db, hash, key, type: 'string', value, size: 0, expires, head: null, tail: null, meta: null })
}

/** Store a string in chunks, whatever its length, replacing whatever the key holds.
 *  @returns the key's row */
export function putLarge(
  tx: Tx,
  probe: KeyProbe,
  stored: KeyRow | undefined,
  { value, expires }: { readonly value: Bin; readonly expires: number | null },
): KeyRow {
  checkString(probe.key, value.length)
  if (stored !== undefined) removeElements(tx, stored)
  putChunks(tx, probe, value)
  const row: KeyRow = { ...newKey(probe, 'string', value.length), value: '', expires, meta: 'chunks' }
  putKey(tx, row)
  return row
}

/** A key about to go, and its elements by their primary keys. */
export interface Doomed {
  readonly row: KeyRow
  readonly elements: readonly { readonly table: Table; readonly rows: readonly Row[] }[]
}

/** Read the elements of a key.
 *  @cost one row an element, and the slot's dirty rows settled */
function readElements(view: View, table: Table, { slot, db, key }: KeyRow): Row[] {
  view.settle(table, slot, slot)
  const columns = Object.keys(table.columns).join(', ')
  const statement = `select ${columns} from ${table.name} where slot = ? and db = ? and key = ?`
  return view.all(statement, slot, db, fromBin(key)).map((row) => view.fromSql(table, row))
}

/** How many rows of a slot that are in memory only are read there: more of a slot are settled first. */
export const UNSETTLED_MAX = 256

/** Read the primary keys of all elements of a key.
 *  @returns perhaps some of them twice, and some that have gone
 *  @cost one row an element, and when many of the slot are dirty, their settling */
function readElementKeys(view: View, table: Table, { slot, db, key }: KeyRow): Row[] {
  const unsettled = view.unsettled(table, slot, UNSETTLED_MAX)
  if (unsettled === undefined) view.settle(table, slot, slot)
  const statement = `select ${table.primaryKey.join(', ')} from ${table.name} where slot = ? and db = ? and key = ?`
  const rows = view.all(statement, slot, db, fromBin(key)).map((row) => view.fromSql(table, row))
  for (const { row } of unsettled ?? []) if (row?.key === key && row.db === db) rows.push(row)
  return rows
}

/** Look at what must go with a key. */
export function doom(view: View, row: KeyRow): Doomed {
  const elements = elementTablesOf(row).map((table) => ({
    table,
    rows: readElementKeys(view, table, row),
  }))
  return { row, elements }
}

/** Remove the elements, one by one: consumers see each go, and no savepoint is needed.
 *  @cost a look-up and a log entry an element */
function removeAll(tx: Tx, { elements }: Doomed): void {
  for (const { table, rows } of elements) for (const row of rows) tx.remove(table, row)
}

/** Remove the elements of a key. */
export function removeElements(tx: Tx, row: KeyRow): void {
  removeAll(tx, doom(tx, row))
}

/** Remove a key with all that was found of it.
 *  @returns whether it was still there */
export function removeDoomed(tx: Tx, doomed: Doomed): boolean {
  removeAll(tx, doomed)
  const { slot, db, hash, key } = doomed.row
  return tx.remove(keys, { slot, db, hash, key })
}

/** Remove a key with all it holds. */
export function removeKey(tx: Tx, stored: KeyRow): void {
  removeDoomed(tx, doom(tx, stored))
}

/** Set or take away when a key expires; a time that has come removes the key at once. */
export function setExpires(tx: Tx, row: KeyRow, expires: number | null): void {
  if (expires !== null && expires <= tx.nowMs) return removeKey(tx, row)
  const index = changing(tx, row)
  const next = { ...row, expires }
  putKey(tx, next)
  follow(tx, index, next)
}

/** Copy a key, its expiry included, to another name; whatever is there is replaced.
 *  @param stored the target's row as it is in the table */
export function copyKey(tx: Tx, source: KeyRow, target: KeyProbe, stored: KeyRow | undefined): void {
  const isWhole = source.type === 'string' && source.meta === null
  const value = isWhole ? readValue(tx, source) : source.value
  const { slot, db, hash, key } = target
  checkSize(key, isWhole ? (value as Bin).length : 0)
  const elements = elementTablesOf(source).map((table) => {
    const rows = readElements(tx, table, source)
    return { table, rows: tx.wholeAll(table, rows) }
  })
  for (const { rows } of elements) for (const row of rows) checkElement(key, row)
  if (stored !== undefined) removeElements(tx, stored)
  putKey(tx, { ...source, value, slot, db, hash, key })
  for (const { table, rows } of elements) for (const row of rows) tx.put(table, { ...row, slot, db, key })
  if (source.type === 'hash' && source.meta !== null) noteExpiry(tx, slot, Number(source.meta), expiringFields)
}

function checkElement(key: Bin, { key: _, ...rest }: Row): void {
  let sizeBytes = 0
  for (const value of Object.values(rest)) if (typeof value === 'string') sizeBytes += value.length
  checkSize(key, sizeBytes)
}
