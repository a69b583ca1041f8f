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
  putCounted,
  removeElements,
  resized,
  UNSETTLED_MAX,
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
  // A key that is not there has no fields: only the same name twice can meet one.
  const isNew = row === undefined && stored === undefined
  const names = isNew ? new Set<Bin>() : undefined
  let added = 0
  for (let i = from; i < argv.length; i += 2) {
    const field = argv[i] as Bin
    const put: FieldRow = { slot, db, key, hash: placeOf(field), field, value: argv[i + 1] as Bin, expires: null }
    const mayBe = names === undefined || names.has(field)
    names?.add(field)
    const found = mayBe ? tx.find(fields, put) : undefined
    if (found === undefined) added++
    else if (keepExpires) put.expires = found.expires
    tx.put(fields, put, !mayBe)
  }
  if (row === undefined) putCounted(tx, newKey(probe, 'hash', added))
  else if (added > 0) putCounted(tx, resized(row, row.size + added))
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
  else if (removed > 0) putCounted(tx, resized(row, row.size - removed))
  return removed
}

/** Reads the fields of a hash, as `FieldCells`. */
const selectFields = 'select hash, field, value from redis_fields where slot = ? and db = ? and key = ?'

/** Read all fields, in the order of their hashes.
 *  @cost one row a field, and when many of the slot are dirty, their settling */
export function readCells(view: View, row: KeyRow): FieldCells[] {
  const { slot, db, key } = row
  const unsettled = view.unsettled(fields, slot, UNSETTLED_MAX)
  if (unsettled === undefined) view.settle(fields, slot, slot)
  const own = unsettled?.filter(({ key: name }) => name.key === key && name.db === db) ?? []
  const known = new Map(own.map(({ key: { field }, row }) => [field, row]))
  // Where memory has every field there is, SQL has none to add.
  if (known.size === row.size && !isDue(view, row) && [...known.values()].every((each) => each !== undefined)) {
    return inOrder(view, known, [])
  }
  const { and, bound } = andAlive(view, row)
  const cells = view.raw(selectFields + and, slot, db, fromBin(key), ...bound) as unknown as FieldCells[]
  return own.length === 0 ? cells : inOrder(view, known, cells)
}

/** Put fields of memory and those that SQL alone has in the order that SQL has. */
function inOrder(view: View, known: ReadonlyMap<Bin, FieldRow | undefined>, cells: readonly FieldCells[]) {
  const found = cells.map((each) => ({ name: toBin(each[1]), each })).filter(({ name }) => !known.has(name))
  for (const [name, row] of known) {
    if (row === undefined || isGone(view, row)) continue
    const { hash, value } = row
    const bytes = typeof value === 'string' ? fromBin(value) : (value as Uint8Array | null)
    found.push({ name, each: [hash, fromBin(name), bytes] })
  }
  found.sort((a, b) => a.each[0] - b.each[0] || (a.name < b.name ? -1 : 1))
  return found.map(({ each }) => each)
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
