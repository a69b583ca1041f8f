/** Hashes: a key's row that counts, and a row a field. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import { type FieldRow, fields, type KeyRow, keys } from '../tables.ts'
import { andAlive, isDue, isGone, withoutExpired } from './field-expiry.ts'
import {
  alive,
  checkSize,
  findKey,
  newKey,
  placeOf,
  probeKey,
  putKey,
  removeElements,
  resized,
  wrongType,
} from './keys.ts'
import { type FieldCells, type Pair, pairsOf, readFieldValue, readFieldValues } from './values.ts'

/** Find a hash that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findHash(view: View, db: number, key: Bin): KeyRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== 'hash') throw wrongType()
  return row
}

/** Find a field that is there. */
export function findField(
  view: View,
  { slot, db, key }: Pick<KeyRow, 'slot' | 'db' | 'key'>,
  field: Bin,
): FieldRow | undefined {
  const found = view.find(fields, { slot, db, key, hash: placeOf(field), field })
  return found === undefined || isGone(view, found) ? undefined : found
}

/** Read a field of a hash.
 *  @returns undefined when there is no such hash or field */
export function readField(view: View, row: KeyRow | undefined, field: Bin): Bin | undefined {
  const found = row && findField(view, row, field)
  return found && readFieldValue(view, found)
}

/** Read several fields of a hash.
 *  @returns undefined for those that are not there */
export function readNamedFields(view: View, row: KeyRow | undefined, names: readonly Bin[]): (Bin | undefined)[] {
  return readFieldValues(
    view,
    names.map((field) => (row === undefined ? undefined : findField(view, row, field))),
  )
}

/** Tell whether a hash has a field. */
export function hasField(view: View, row: KeyRow | undefined, field: Bin): boolean {
  return row !== undefined && findField(view, row, field) !== undefined
}

/** Set fields of the hash at `key`, creating it when absent.
 *  @param argv fields and values in turn, from index `from` on
 *  @param keepExpires whether fields go on to expire when they did
 *  @returns how many fields are new (overwritten ones do not count)
 *  @throws type_mismatch when the key holds another type; limit when a value is too large
 *  @source https://redis.io/docs/latest/commands/hset/ */
export function setFields(tx: Tx, db: number, argv: readonly Bin[], from: number, keepExpires = false): number {
  const key = argv[1] as Bin
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  let row = alive(tx, stored)
  if (row !== undefined && row.type !== 'hash') throw wrongType()
  const { slot } = probe
  for (let i = from; i < argv.length; i += 2) {
    checkSize(key, (argv[i] as Bin).length + (argv[i + 1] as Bin).length)
  }
  if (row !== undefined) row = withoutExpired(tx, row)
  else if (stored !== undefined) removeElements(tx, stored)
  let added = 0
  for (let i = from; i < argv.length; i += 2) {
    const field = argv[i] as Bin
    const put: FieldRow = { slot, db, key, hash: placeOf(field), field, value: argv[i + 1] as Bin, expires: null }
    const found = tx.find(fields, put)
    if (found === undefined) added++
    else if (keepExpires) put.expires = found.expires
    tx.put(fields, put)
  }
  if (row === undefined) putKey(tx, newKey(probe, 'hash', added))
  else if (added > 0) putKey(tx, resized(row, row.size + added))
  return added
}

/** Remove fields, and the hash with its last one.
 *  @returns how many were there */
export function removeNamedFields(tx: Tx, db: number, key: Bin, names: readonly Bin[]): number {
  const found = findHash(tx, db, key)
  const row = found && withoutExpired(tx, found)
  if (row === undefined) return 0
  const { slot } = row
  let removed = 0
  for (const field of names) if (tx.remove(fields, { slot, db, key, hash: placeOf(field), field })) removed++
  if (removed === row.size) tx.remove(keys, row)
  else if (removed > 0) putKey(tx, resized(row, row.size - removed))
  return removed
}

/** Reads the fields of a hash, as `FieldCells`. */
const selectFields = 'select hash, field, value from redis_fields where slot = ? and db = ? and key = ?'

/** Read all fields as they stand in SQL.
 *  @cost one row a field, and the slot's dirty rows settled */
export function readCells(view: View, row: KeyRow): FieldCells[] {
  const { slot, db, key } = row
  view.settle(fields, slot, slot)
  const { and, bound } = andAlive(view, row)
  return view.raw(selectFields + and, slot, db, fromBin(key), ...bound) as unknown as FieldCells[]
}

/** Read all fields and values.
 *  @cost as `readCells` */
export function readPairs(view: View, row: KeyRow): Pair[] {
  return pairsOf(view, row, readCells(view, row))
}

/** Read all field names. */
export function readNames(view: View, row: KeyRow): Bin[] {
  const { slot, db, key } = row
  view.settle(fields, slot, slot)
  const { and, bound } = andAlive(view, row)
  const statement = `select field from redis_fields where slot = ? and db = ? and key = ?${and}`
  const rows = view.raw(statement, slot, db, fromBin(key), ...bound)
  return rows.map(([field]) => toBin(field as Uint8Array))
}

/** Count the fields of a hash.
 *  @cost one statement when some have expired and are not swept yet, else nothing */
export function countFields(view: View, row: KeyRow): number {
  if (!isDue(view, row)) return row.size
  const { slot, db, key } = row
  view.settle(fields, slot, slot)
  const statement = 'select count(*) from redis_fields where slot = ? and db = ? and key = ? and expires < ?'
  const [[gone] = [0]] = view.raw(statement, slot, db, fromBin(key), view.nowMs)
  return row.size - Number(gone)
}
