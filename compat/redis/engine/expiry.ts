/** Active expiry: removing keys and fields of hashes whose time has come, a bounded number a call (due.ts remembers
 *  which slots are due). */
import { type Bin, toBin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { type Due, dueOf, type Expiring, expiringFields, expiringKeys, noteExpiry } from './due.ts'
import { findExpired, type Purge, purge } from './field-expiry.ts'
import { alive, type Doomed, doom, probeKey, removeDoomed } from './keys.ts'

/** Keys, or fields, removed by one call. */
const ROWS_PER_SWEEP = 256
/** Slots settled by one call. */
const SLOTS_PER_SWEEP = 256

function earliestStored(tx: Tx, { table }: Expiring): number {
  const [[expires] = []] = tx.raw(`select min(expires) from ${table.name} where expires is not null`)
  return typeof expires === 'number' ? expires : Infinity
}

function open(tx: Tx, what: Expiring, due: Due): void {
  tx.settle(what.table)
  due.opened = true
  due.slots.clear()
  due.earliest = earliestStored(tx, what)
}

/** Settle slots that are due.
 *  @returns whether none is left */
function settleDue(tx: Tx, { table }: Expiring, due: Due): boolean {
  let budget = SLOTS_PER_SWEEP
  for (const [slot, expires] of due.slots) {
    if (expires >= tx.nowMs) continue
    if (budget-- === 0) return false
    tx.settle(table, slot, slot)
    due.slots.delete(slot)
  }
  return true
}

/** Remove keys that SQL says have expired; their slots are due again, so that the next call settles them.
 *  @returns whether there were none */
function removeDueKeys(tx: Tx): boolean {
  const rows = tx.raw(
    'select slot, db, hash, key, expires from redis_keys where expires < ? order by expires limit ?',
    tx.nowMs,
    ROWS_PER_SWEEP,
  )
  const doomed: Doomed[] = []
  for (const [slot, db, hash, key, expires] of rows as [number, number, number, Uint8Array, number][]) {
    noteExpiry(tx, slot, expires)
    // The row in memory may be a newer one that lives on.
    const row = tx.find(keys, { slot, db, hash, key: toBin(key) })
    if (row !== undefined && alive(tx, row) === undefined) doomed.push(doom(tx, row))
  }
  for (const each of doomed) removeDoomed(tx, each)
  return rows.length === 0
}

/** Find the hashes that SQL says have fields which have expired. */
function hashesDue(tx: Tx): Map<string, { db: number; key: Bin }> {
  const found = new Map<string, { db: number; key: Bin }>()
  const rows = tx.raw(
    'select slot, db, key, expires from redis_fields where expires < ? order by expires limit ?',
    tx.nowMs,
    ROWS_PER_SWEEP,
  )
  for (const [slot, db, name, expires] of rows as [number, number, Uint8Array, number][]) {
    noteExpiry(tx, slot, expires, expiringFields)
    const key = toBin(name)
    found.set(`${db}/${key}`, { db, key })
  }
  return found
}

/** Remove fields that have expired.
 *  @returns whether there were none */
function removeDueFields(tx: Tx): boolean {
  const hashes = hashesDue(tx)
  const purges: Purge[] = []
  let budget = ROWS_PER_SWEEP
  for (const { db, key } of hashes.values()) {
    const row: KeyRow | undefined = tx.find(keys, probeKey(db, key))
    if (row === undefined || budget <= 0) continue
    const found = findExpired(tx, row, budget)
    budget -= found.gone.length
    purges.push(found)
  }
  for (const each of purges) purge(tx, each)
  return hashes.size === 0
}

/** @returns when to call again */
function sweep(tx: Tx, what: Expiring, removeDue: (tx: Tx) => boolean): number {
  const due = dueOf(tx, what)
  if (!due.opened) open(tx, what, due)
  if (due.earliest >= tx.nowMs) return due.earliest + 1
  const settled = settleDue(tx, what, due)
  if (!removeDue(tx) || !settled) return tx.nowMs
  due.earliest = earliestStored(tx, what)
  for (const expires of due.slots.values()) if (expires < due.earliest) due.earliest = expires
  return due.earliest + 1
}

/** Remove keys and fields whose time has come.
 *  @returns when to call again, in ms since 1970; undefined when nothing expires
 *  @cost at most 256 keys (with the elements of those that have some), 256 fields, and 256 slots settled for each */
export function sweepExpired(tx: Tx): number | undefined {
  // Fields first: what is read of SQL is read before keys are removed.
  const dueFields = dueOf(tx, expiringFields)
  const fieldsAtMs = sweep(tx, expiringFields, removeDueFields)
  if (fieldsAtMs === tx.nowMs && dueFields.earliest < tx.nowMs) return tx.nowMs
  const keysAtMs = sweep(tx, expiringKeys, removeDueKeys)
  const atMs = Math.min(fieldsAtMs, keysAtMs)
  return atMs === Infinity ? undefined : atMs
}
