/** Active expiry: removing keys whose time has come, a bounded number a call (due.ts remembers which slots are due). */
import { toBin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import { keys } from '../tables.ts'
import { type Due, dueOf, noteExpiry } from './due.ts'
import { alive, type Doomed, doom, removeDoomed } from './keys.ts'

/** Keys removed by one call. */
const KEYS_PER_SWEEP = 256
/** Slots settled by one call. */
const SLOTS_PER_SWEEP = 256

function earliestStored(tx: Tx): number {
  const [[expires] = []] = tx.raw('select min(expires) from redis_keys where expires is not null')
  return typeof expires === 'number' ? expires : Infinity
}

function open(tx: Tx, due: Due): void {
  tx.settle(keys)
  due.opened = true
  due.slots.clear()
  due.earliest = earliestStored(tx)
}

/** Settle slots that are due.
 *  @returns whether none is left */
function settleDue(tx: Tx, due: Due): boolean {
  let budget = SLOTS_PER_SWEEP
  for (const [slot, expires] of due.slots) {
    if (expires >= tx.nowMs) continue
    if (budget-- === 0) return false
    tx.settle(keys, slot, slot)
    due.slots.delete(slot)
  }
  return true
}

/** Remove keys that SQL says have expired; their slots are due again, so that the next call settles them.
 *  @returns whether there were none */
function removeDue(tx: Tx): boolean {
  const rows = tx.raw(
    'select slot, db, hash, key, expires from redis_keys where expires < ? order by expires limit ?',
    tx.nowMs,
    KEYS_PER_SWEEP,
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

/** Remove keys whose time has come.
 *  @returns when to call again, in ms since 1970; undefined when no key expires
 *  @cost at most 256 keys (with the fields of those that are hashes) and 256 slots settled */
export function sweepExpired(tx: Tx): number | undefined {
  const due = dueOf(tx)
  if (!due.opened) open(tx, due)
  if (due.earliest < tx.nowMs) {
    const settled = settleDue(tx, due)
    if (!removeDue(tx) || !settled) return tx.nowMs
    due.earliest = earliestStored(tx)
    for (const expires of due.slots.values()) if (expires < due.earliest) due.earliest = expires
  }
  return due.earliest === Infinity ? undefined : due.earliest + 1
}
