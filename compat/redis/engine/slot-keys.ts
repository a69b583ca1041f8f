/** The keys of one slot, as CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT ask for them. */
import { type Bin, toBin } from '@dotdo/core/bytes'
import type { View } from '@dotdo/core/shard'
import { keys } from '../tables.ts'

/** The arguments of the call `slotkeys`. */
export interface SlotKeysArgs {
  readonly slot: number
  readonly db: number
  /** How many keys at most; left out, they are counted. */
  readonly limit?: number
}

/** Count or list the keys of a slot that are alive.
 *  @cost reads the slot's rows */
export function slotKeys(view: View, { slot, db, limit }: SlotKeysArgs): number | Bin[] {
  view.settle(keys, slot, slot)
  const alive = 'from redis_keys where slot = ? and db = ? and (expires is null or expires >= ?)'
  if (limit === undefined) {
    const [[count] = []] = view.raw(`select count(*) ${alive}`, slot, db, view.nowMs)
    return Number(count)
  }
  const found = view.raw(`select key ${alive} limit ?`, slot, db, view.nowMs, limit)
  return found.map(([key]) => toBin(key as Uint8Array))
}
