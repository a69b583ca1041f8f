/** What a shard remembers of the times at which its keys, and fields of hashes, expire.
 *
 *  1. The index on `expires` sees rows that have reached SQL; newer ones wait in memory. What is remembered of those is
 *     one number a slot, the earliest `expires` written since the shard was opened: the sweep settles what is due.
 *  2. Remembered times are lower bounds: a write that was undone or overwritten wakes the sweep once for nothing.
 *  3. When the shard has lost its memory, so has this: everything is settled once, then the index knows all. */
import type { Table, Tx, View } from '@dotdo/core/shard'
import { fields, keys } from '../tables.ts'

/** What a shard remembers of the times it was given. */
export interface Due {
  /** Whether SQL has been asked since the shard was opened. */
  opened: boolean
  /** The earliest of all; no key expires before it. */
  earliest: number
  /** The earliest `expires` written to a slot since it was last settled by the sweep. */
  readonly slots: Map<number, number>
}

/** Rows that expire, and the name under which it is remembered when. */
export interface Expiring {
  readonly table: Table
  readonly memory: string
}

/** Keys, as they expire. */
export const expiringKeys: Expiring = { table: keys, memory: 'redis.expiry' }
/** Fields of hashes, as they expire. */
export const expiringFields: Expiring = { table: fields, memory: 'redis.field-expiry' }

/** Get what is remembered. */
export function dueOf(view: View, { memory }: Expiring): Due {
  const known = view.memory.get(memory) as Due | undefined
  if (known !== undefined) return known
  const due: Due = { opened: false, earliest: Infinity, slots: new Map() }
  view.memory.set(memory, due)
  return due
}

/** Remember that a key (or a field) of the slot expires. */
export function noteExpiry(tx: Tx, slot: number, expires: number, what = expiringKeys): void {
  const due = dueOf(tx, what)
  if (expires < due.earliest) due.earliest = expires
  const known = due.slots.get(slot)
  if (known === undefined || expires < known) due.slots.set(slot, expires)
}
