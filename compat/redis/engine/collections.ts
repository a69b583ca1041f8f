/** What sets and sorted sets have in common: a key that counts its members, and an order of them in memory. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_RANDOM_FIELDS_MAX } from '@dotdo/core/limits'
import type { Tx, View } from '@dotdo/core/shard'
import { type KeyRow, type KeyType, keys } from '../tables.ts'
import { ask, follow, type Index } from './indexes.ts'
import { alive, findKey, type KeyProbe, probeKey, putCounted, removeElements, resized, wrongType } from './keys.ts'
import type { Elements } from './ranked.ts'

/** A collection's key about to be written. */
export interface Target {
  readonly probe: KeyProbe
  /** The row as it is in the table, even when expired. */
  readonly stored: KeyRow | undefined
  /** The row when it is alive. */
  readonly row: KeyRow | undefined
}

/** Find a collection that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findCollection(view: View, db: number, key: Bin, type: KeyType): KeyRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== type) throw wrongType()
  return row
}

/** Look at a key that is about to be written.
 *  @throws type_mismatch when the key holds another type */
export function targetCollection(view: View, db: number, key: Bin, type: KeyType): Target {
  const probe = probeKey(db, key)
  const stored = view.find(keys, probe)
  const row = alive(view, stored)
  if (row !== undefined && row.type !== type) throw wrongType()
  return { probe, stored, row }
}

/** Store how many members a key has now, after some came or went; it goes with the last one. */
export function storeSize(tx: Tx, row: KeyRow, index: Index | undefined, size: number): void {
  if (size === 0) {
    tx.remove(keys, row)
    index?.drop()
    return
  }
  if (size === row.size) return follow(tx, index, row)
  const next = resized(row, size)
  putCounted(tx, next)
  follow(tx, index, next)
}

/** Remove whatever a key holds, so that something else can be stored there.
 *  @param kept whether the key's row stays, to be overwritten */
export function clearKey(tx: Tx, db: number, key: Bin, kept: boolean): KeyProbe {
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  if (stored !== undefined) {
    removeElements(tx, stored)
    if (!kept) tx.remove(keys, probe)
  }
  return probe
}

/** Sort elements by order and name.
 *  @param order the order of the element at an index of `names` */
export function sortElements(names: readonly Bin[], order: (at: number) => number): Elements {
  const places = names.map((_, at) => at)
  places.sort((a, b) => {
    const difference = order(a) - order(b)
    // Infinities differ by NaN from themselves.
    if (difference < 0 || difference > 0) return difference
    return (names[a] as Bin) < (names[b] as Bin) ? -1 : 1
  })
  return { orders: places.map(order), names: places.map((at) => names[at] as Bin) }
}

/** Choose ranks that differ, in random order, each as likely as any other. */
function distinctRanks(tx: Tx, size: number, count: number): Iterable<number> {
  if (count === 1) return [tx.random() % size]
  if (count * 3 < size) {
    const chosen = new Set<number>()
    while (chosen.size < count) chosen.add(tx.random() % size)
    return chosen
  }
  const all = Array.from({ length: size }, (_, rank) => rank)
  for (let i = 0; i < count; i++) {
    const other = i + (tx.random() % (size - i))
    const chosen = all[other] as number
    all[other] = all[i] as number
    all[i] = chosen
  }
  return all.slice(0, count)
}

function elementsAt(tx: Tx, row: KeyRow, ranks: Iterable<number>): Elements {
  return ask(tx, row, (ranked) => {
    const found: Elements = { orders: [], names: [] }
    for (const rank of ranks) {
      ranked.walk(rank, 1, (order, name) => {
        found.orders.push(order)
        found.names.push(name)
        return false
      })
    }
    return found
  })
}

/** Choose members at random, each as likely as any other.
 *  @param count how many that differ, all when there are fewer; negative for as many that may be the same
 *  @throws limit when more than REDIS_RANDOM_FIELDS_MAX that may be the same are asked for
 *  @cost O(log n) for each */
export function randomElements(tx: Tx, row: KeyRow, count: number): Elements {
  const { size } = row
  if (count >= size) return ask(tx, row, (ranked) => ranked.slice(0, size))
  if (count >= 0) return elementsAt(tx, row, distinctRanks(tx, size, count))
  if (-count > REDIS_RANDOM_FIELDS_MAX) {
    const message = `ERR value is out of range: at most ${REDIS_RANDOM_FIELDS_MAX} members at a time`
    throw new Failure('limit', message)
  }
  return elementsAt(
    tx,
    row,
    Array.from({ length: -count }, () => tx.random() % size),
  )
}
