/** The life of a key: finding, storing, removing, copying.
 *
 *  1. A key whose time has come is absent to every read; its rows go when it is written or swept (expiry.ts).
 *  2. Writers get the row as it is `stored`, expired or not: what replaces it must know what it leaves behind.
 *  3. What a command needs of SQL it reads before its first write: one that settles after it wrote is undone and run
 *     again by the shard, in a savepoint. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { SQL_ROW_BYTES_MAX } from '@dotdo/core/limits'
import { crc16Slot, murmur3, type Tx, type View } from '@dotdo/core/shard'
import { fields, type KeyRow, keys } from '../tables.ts'
import { noteExpiry } from './due.ts'
import { type FieldCells, pairsOf, readValue } from './values.ts'

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

/** Store a key's row; whatever it replaces must hold no fields. */
export function putKey(tx: Tx, row: KeyRow): void {
  if (row.expires !== null) noteExpiry(tx, row.slot, row.expires)
  tx.put(keys, row)
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
  const { slot, db, hash, key } = probe
  checkSize(key, value.length)
  if (stored !== undefined && stored.type === 'hash') removeFields(tx, stored)
  if (expires !== null) noteExpiry(tx, slot, expires)
  tx.put(keys, { slot, db, hash, key, type: 'string', value, size: 0, expires })
}

/** Reads the fields of a hash, as `FieldCells`. */
export const selectFields = 'select hash, field, value from redis_fields where slot = ? and db = ? and key = ?'

/** A key about to go, and where its fields are. */
export interface Doomed {
  readonly row: KeyRow
  readonly places: readonly FieldPlace[]
}

type FieldPlace = readonly [hash: number, field: Bin]

/** Look at what must go with a key. */
export function doom(view: View, row: KeyRow): Doomed {
  if (row.type !== 'hash') return { row, places: [] }
  const { slot, db, key } = row
  view.settle(fields, slot, slot)
  const found = view.raw(
    'select hash, field from redis_fields where slot = ? and db = ? and key = ?',
    slot,
    db,
    fromBin(key),
  )
  return { row, places: found.map(([hash, field]): FieldPlace => [hash as number, toBin(field as Uint8Array)]) }
}

/** Remove the fields, one by one: consumers see each go, and no savepoint is needed.
 *  @cost a look-up and a log entry a field */
function removePlaces(tx: Tx, { row: { slot, db, key }, places }: Doomed): void {
  for (const [hash, field] of places) tx.remove(fields, { slot, db, key, hash, field })
}

/** Remove the fields of a hash. */
export function removeFields(tx: Tx, row: KeyRow): void {
  removePlaces(tx, doom(tx, row))
}

/** Remove a key with all that was found of it.
 *  @returns whether it was still there */
export function removeDoomed(tx: Tx, doomed: Doomed): boolean {
  removePlaces(tx, doomed)
  const { slot, db, hash, key } = doomed.row
  return tx.remove(keys, { slot, db, hash, key })
}

/** Remove a key with all it holds. */
export function removeKey(tx: Tx, stored: KeyRow): void {
  removeDoomed(tx, doom(tx, stored))
}

/** Set or take away when a key expires; a time that has come removes the key at once. */
export function setExpires(tx: Tx, row: KeyRow, expires: number | null): void {
  if (expires !== null && expires <= tx.nowMs) removeKey(tx, row)
  else putKey(tx, { ...row, expires })
}

/** Copy a key, its expiry included, to another name; whatever is there is replaced.
 *  @param stored the target's row as it is in the table */
export function copyKey(tx: Tx, source: KeyRow, target: KeyProbe, stored: KeyRow | undefined): void {
  const value = source.type === 'string' ? readValue(tx, source) : null
  checkSize(target.key, value?.length ?? 0)
  let cells: readonly FieldCells[] = []
  if (source.type === 'hash') {
    tx.settle(fields, source.slot, source.slot)
    cells = tx.raw(selectFields, source.slot, source.db, fromBin(source.key)) as unknown as FieldCells[]
  }
  const pairs = pairsOf(tx, source, cells)
  for (const [field, stored] of pairs) checkSize(target.key, field.length + stored.length)
  if (stored?.type === 'hash') removeFields(tx, stored)
  const { slot, db, hash, key } = target
  putKey(tx, { ...source, value, slot, db, hash, key })
  for (const [i, [field, value]] of pairs.entries()) {
    tx.put(fields, { slot, db, key, hash: (cells[i] as FieldCells)[0], field, value })
  }
}
