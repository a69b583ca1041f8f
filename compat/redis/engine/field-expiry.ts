/** Fields of hashes that expire.
 *
 *  1. The `meta` of a hash's row is the first time at which a field of it may expire; null when none does. Until then a
 *     hash is read and written as one whose fields stay: its size is right, and no row is looked at for its time.
 *  2. From then on reads pass over fields whose time has come; a write removes them first (`withoutExpired`), and so
 *     does the sweep. Both set `meta` anew.
 *  3. As in Redis, a hash all of whose fields have expired is an empty one until it is written or swept.
 *  @source https://redis.io/docs/latest/commands/hexpire/ */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import { type FieldRow, fields, type KeyRow, keys } from '../tables.ts'
import { expiringFields, noteExpiry } from './due.ts'
import { putKey } from './keys.ts'

/** Whether a field has expired. */
export function isGone(view: View, { expires }: FieldRow): boolean {
  return expires !== null && expires < view.nowMs
}

/** Whether fields of a hash may have expired. */
export function isDue(view: View, { meta }: KeyRow): boolean {
  return meta !== null && Number(meta) < view.nowMs
}

const always = { and: '', bound: [] }

/** Make the end of a condition in SQL that leaves out fields which have expired. */
export function andAlive(view: View, row: KeyRow): { readonly and: string; readonly bound: readonly number[] } {
  if (!isDue(view, row)) return always
  return { and: ' and (expires is null or expires >= ?)', bound: [view.nowMs] }
}

/** Fields of a hash about to go, as they have expired. */
export interface Purge {
  readonly row: KeyRow
  readonly gone: readonly { readonly hash: number; readonly field: Bin }[]
  /** The row's next `meta`. */
  readonly meta: Bin | null
}

/** Look for fields of a hash that have expired.
 *  @param limit how many at most
 *  @cost two statements */
export function findExpired(view: View, row: KeyRow, limit: number): Purge {
  const { slot, db } = row
  view.settle(fields, slot, slot)
  const key = fromBin(row.key)
  const due = 'select hash, field from redis_fields where slot = ? and db = ? and key = ? and expires < ? limit ?'
  const found = view.raw(due, slot, db, key, view.nowMs, limit)
  const gone = found.map(([hash, field]) => ({ hash: hash as number, field: toBin(field as Uint8Array) }))
  // When there may be more, those are first.
  if (gone.length === limit) return { row, gone, meta: row.meta }
  const next = `select min(expires) from redis_fields
    where slot = ? and db = ? and key = ? and expires is not null and expires >= ?`
  const [[first] = [null]] = view.raw(next, slot, db, key, view.nowMs)
  return { row, gone, meta: typeof first === 'number' ? String(first) : null }
}

/** Remove what was found to have expired.
 *  @returns the hash's row, undefined when nothing is left of it */
export function purge(tx: Tx, { row, gone, meta }: Purge): KeyRow | undefined {
  const { slot, db, key } = row
  for (const each of gone) tx.remove(fields, { slot, db, key, ...each })
  const next: KeyRow = { ...row, size: row.size - gone.length, meta }
  if (next.size === 0) tx.remove(keys, row)
  else putKey(tx, next)
  return next.size === 0 ? undefined : next
}

/** Remove the fields that have expired, before others are written.
 *  @returns the hash's row, undefined when nothing is left of it */
export function withoutExpired(tx: Tx, row: KeyRow): KeyRow | undefined {
  return isDue(tx, row) ? purge(tx, findExpired(tx, row, Number.MAX_SAFE_INTEGER)) : row
}

/** Set when fields expire.
 *  @param row the hash's row, `withoutExpired`
 *  @param found fields of it
 *  @param expires later than now; null for never */
export function setFieldExpires(tx: Tx, row: KeyRow, found: readonly FieldRow[], expires: number | null): void {
  for (const field of tx.wholeAll(fields, found)) tx.put(fields, { ...field, expires })
  if (expires === null || found.length === 0) return
  noteExpiry(tx, row.slot, expires, expiringFields)
  if (row.meta === null || expires < Number(row.meta)) putKey(tx, { ...row, meta: String(expires) })
}
