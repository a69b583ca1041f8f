/** Lists: a key's row that knows both ends, and a row an item.
 *
 *  1. Without gaps the item at index i stands at `head + i`: both ends and every index are found without an order in
 *     memory. An item put in or taken out between others makes the list sparse: then indexes.ts finds its places.
 *  2. An item is put between two others at the middle of their positions; when no number is left there, all are
 *     numbered anew. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { type ItemRow, items } from './elements.ts'
import { ask, changing, follow, type Index } from './indexes.ts'
import { alive, checkSize, findKey, newKey, probeKey, putKey, removeElements, resized, wrongType } from './keys.ts'

/** The end of a list. */
export type End = 'left' | 'right'

/** Items read one by one: more are read with one statement. */
const SINGLE_ITEMS_MAX = 256

/** Items read along with one that is popped: the next ones to go. */
const ITEMS_AHEAD = 64

/** A list that is there. */
export type ListRow = KeyRow & { readonly head: number; readonly tail: number }

/** Find a list that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findList(view: View, db: number, key: Bin): ListRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== 'list') throw wrongType()
  return row as ListRow | undefined
}

const isSparse = (row: KeyRow) => row.meta !== null

/** Push items at an end, creating the list when absent.
 *  @param values the first is pushed first
 *  @returns the length of the list
 *  @throws type_mismatch when the key holds another type; limit when an item is too large
 *  @source https://redis.io/docs/latest/commands/lpush/ */
export function push(tx: Tx, db: number, key: Bin, values: readonly Bin[], end: End): number {
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  const row = alive(tx, stored) as ListRow | undefined
  if (row !== undefined && row.type !== 'list') throw wrongType()
  for (const value of values) checkSize(key, value.length)
  if (row === undefined && stored !== undefined) removeElements(tx, stored)
  const index = row === undefined ? undefined : changing(tx, row)
  const step = end === 'left' ? -1 : 1
  let at = firstFree(row, end)
  const { slot } = probe
  for (const value of values) {
    index?.ranked.add(at, '')
    tx.put(items, { slot, db, key, position: at, value }, true)
    at += step
  }
  const base = row ?? newKey(probe, 'list', 0)
  const head = end === 'left' ? at + 1 : (row?.head ?? 0)
  const tail = end === 'right' ? at - 1 : (row?.tail ?? 0)
  const next = resized(base, base.size + values.length, { head, tail })
  putKey(tx, next)
  follow(tx, index, next)
  return next.size
}

/** @returns the first free position at an end: a whole number, so that positions never run out */
function firstFree(row: ListRow | undefined, end: End): number {
  if (row === undefined) return 0
  return end === 'left' ? Math.ceil(row.head) - 1 : Math.floor(row.tail) + 1
}

/** Read the positions of items from an index on.
 *  @param step -1 to go from there to the head */
function positions(view: View, row: ListRow, from: number, count: number, step: 1 | -1 = 1): number[] {
  const room = step > 0 ? row.size - from : from + 1
  const length = Math.max(0, Math.min(count, room))
  if (!isSparse(row)) return Array.from({ length }, (_, i) => row.head + from + i * step)
  return ask(view, row, (ranked) => ranked.slice(from, length, step).orders, from)
}

function itemAt(view: View, { slot, db, key }: KeyRow, position: number): ItemRow {
  return view.find(items, { slot, db, key, position }) as ItemRow
}

function readAhead(view: View, { slot, db, key }: KeyRow, position: number, count: number, step: 1 | -1): void {
  view.readAhead(items, { slot, db, key, position }, count, step)
}

/** Read items from an index on.
 *  @returns fewer when the list ends
 *  @cost O(log n) and the items read */
export function readItems(view: View, row: ListRow, from: number, count: number): readonly ItemRow[] {
  const length = Math.min(count, row.size - from)
  if (length > SINGLE_ITEMS_MAX) return readStretch(view, row, from, length)
  const places = positions(view, row, from, length)
  if (length > 1) readAhead(view, row, places[0] as number, length, 1)
  const found = places.map((position) => itemAt(view, row, position))
  return view.wholeAll(items, found)
}

function readStretch(view: View, row: ListRow, from: number, count: number): readonly ItemRow[] {
  const [first] = positions(view, row, from, 1)
  view.settle(items, row.slot, row.slot)
  const { slot, db, key } = row
  const statement = `select slot, db, key, position, value from redis_items
    where slot = ? and db = ? and key = ? and position >= ? order by position limit ?`
  const found = view.all(statement, slot, db, fromBin(key), first as number, count)
  return view.wholeAll(
    items,
    found.map((each) => view.fromSql(items, each)),
  )
}

/** Take the value out of an item that is whole. */
export function itemValue({ value }: ItemRow): Bin {
  return value as Bin
}

/** Read one item.
 *  @param index from 0; negative ones count from the end
 *  @returns undefined when the list has no such item */
export function readItem(view: View, row: ListRow, index: number): Bin | undefined {
  const at = index < 0 ? row.size + index : index
  if (at < 0 || at >= row.size) return undefined
  return itemValue(readItems(view, row, at, 1)[0] as ItemRow)
}

/** Overwrite one item.
 *  @returns whether the list has it */
export function setItem(tx: Tx, row: ListRow, index: number, value: Bin): boolean {
  const at = index < 0 ? row.size + index : index
  if (!(at >= 0 && at < row.size)) return false
  checkSize(row.key, value.length)
  const { slot, db, key } = row
  tx.put(items, { slot, db, key, position: positions(tx, row, at, 1)[0] as number, value })
  return true
}

/** Take items from an end, and the list with its last one.
 *  @returns their values, the one at the end first */
export function pop(tx: Tx, row: ListRow, end: End, count: number): Bin[] {
  const taken = Math.min(count, row.size)
  if (taken === 0) return []
  const from = end === 'left' ? 0 : row.size - 1
  const step = end === 'left' ? 1 : -1
  const places = positions(tx, row, from, taken, step)
  readAhead(tx, row, places[0] as number, ITEMS_AHEAD, step)
  const found = tx.wholeAll(
    items,
    places.map((position) => itemAt(tx, row, position)),
  )
  removeAtEnd(tx, row, places, end)
  return found.map(itemValue)
}

/** Remove all items but those from one index to another.
 *  @cost the items removed */
export function trim(tx: Tx, row: ListRow, start: number, stop: number): void {
  const left = Math.min(start, row.size)
  const right = Math.max(0, row.size - 1 - stop)
  if (left + right >= row.size) {
    removeAtEnd(tx, row, positions(tx, row, 0, row.size), 'left')
    return
  }
  const rest = left === 0 ? row : removeAtEnd(tx, row, positions(tx, row, 0, left), 'left')
  if (right > 0 && rest !== undefined) {
    removeAtEnd(tx, rest, positions(tx, rest, rest.size - 1, right, -1), 'right')
  }
}

/** Store a list's row after items went or came; the list goes with its last item.
 *  @returns the row as it is now, undefined when the list is gone */
function store(tx: Tx, row: ListRow, index: Index | undefined, change: Partial<ListRow>): ListRow | undefined {
  const next: ListRow = { ...row, ...change }
  if (next.size === 0) {
    tx.remove(keys, row)
    index?.drop()
    return undefined
  }
  return keep(tx, index, next)
}

function keep(tx: Tx, index: Index | undefined, next: ListRow): ListRow {
  putKey(tx, next)
  follow(tx, index, next)
  return next
}

function removeAtEnd(tx: Tx, row: ListRow, places: readonly number[], end: End): ListRow | undefined {
  const { slot, db, key } = row
  const index = changing(tx, row)
  for (const position of places) {
    index?.ranked.remove(position, '')
    tx.remove(items, { slot, db, key, position })
  }
  const size = row.size - places.length
  if (size === 0) return store(tx, row, index, { size })
  if (!isSparse(row)) {
    const head = end === 'left' ? row.head + places.length : row.head
    const tail = end === 'left' ? row.tail : row.tail - places.length
    return keep(tx, index, resized(row, size, { head, tail }) as ListRow)
  }
  return store(tx, row, index, { size, ...endsOf(index as Index) })
}

/** Read both ends of a list from its index. */
function endsOf({ ranked }: Index): { head: number; tail: number } {
  const [head] = ranked.slice(0, 1).orders
  const [tail] = ranked.slice(ranked.size - 1, 1).orders
  return { head: head as number, tail: tail as number }
}

/** Have the order of a list in memory before its rows change. */
function withIndex(tx: Tx, row: ListRow): Index {
  ask(tx, row, ({ size }) => size)
  return changing(tx, row) as Index
}

/** Visit the items of a list until `visit` returns false.
 *  @param step -1 to begin at the tail */
export function scanItems(
  view: View,
  row: ListRow,
  step: 1 | -1,
  visit: (item: ItemRow, index: number) => boolean,
): void {
  for (let seen = 0, chunk = 32; seen < row.size; seen += chunk, chunk = Math.min(chunk * 2, 1024)) {
    const count = Math.min(chunk, row.size - seen)
    const from = step > 0 ? seen : row.size - seen - count
    const found = readItems(view, row, from, count)
    for (let i = 0; i < count; i++) {
      const at = step > 0 ? i : count - 1 - i
      if (!visit(found[at] as ItemRow, from + at)) return
    }
  }
}

/** Remove items that equal a value.
 *  @param limit how many at most; negative to begin at the tail, 0 for all
 *  @returns how many
 *  @source https://redis.io/docs/latest/commands/lrem/ */
export function removeEqual(tx: Tx, row: ListRow, limit: number, value: Bin): number {
  const places: number[] = []
  const max = limit === 0 ? row.size : Math.abs(limit)
  scanItems(tx, row, limit < 0 ? -1 : 1, (item) => {
    if (itemValue(item) === value) places.push(item.position)
    return places.length < max
  })
  if (places.length === 0) return 0
  const { slot, db, key } = row
  const index = withIndex(tx, row)
  for (const position of places) {
    index.ranked.remove(position, '')
    tx.remove(items, { slot, db, key, position })
  }
  const size = row.size - places.length
  const ends = size === 0 ? {} : endsOf(index)
  const { head, tail } = { ...row, ...ends }
  // What went from the ends leaves no gap.
  const meta = isSparse(row) || tail - head + 1 !== size ? 'sparse' : null
  store(tx, row, index, { size, ...ends, meta })
  return places.length
}

/** Put an item before or after the first one that equals a pivot.
 *  @returns the new length; -1 when there is no such item
 *  @source https://redis.io/docs/latest/commands/linsert/ */
export function insertBeside(tx: Tx, row: ListRow, side: 'before' | 'after', pivot: Bin, value: Bin): number {
  checkSize(row.key, value.length)
  let at = -1
  scanItems(tx, row, 1, (item, index) => {
    if (itemValue(item) === pivot) at = index
    return at < 0
  })
  if (at < 0) return -1
  const rank = side === 'before' ? at : at + 1
  const { db, key, slot } = row
  if (rank === 0) return push(tx, db, key, [value], 'left')
  if (rank === row.size) return push(tx, db, key, [value], 'right')
  const [left, right] = positions(tx, row, rank - 1, 2) as [number, number]
  const middle = left + (right - left) / 2
  if (middle === left || middle === right) return insertBeside(tx, renumber(tx, row), side, pivot, value)
  const index = withIndex(tx, row)
  index.ranked.add(middle, '')
  tx.put(items, { slot, db, key, position: middle, value })
  store(tx, row, index, { size: row.size + 1, meta: 'sparse' })
  return row.size + 1
}

/** Number all items anew, without gaps.
 *  @cost two changes an item: rare, as it takes 50 insertions at one place */
function renumber(tx: Tx, row: ListRow): ListRow {
  const { slot, db, key, size } = row
  const found = readItems(tx, row, 0, size)
  const head = Math.floor(row.tail) + 1
  for (const { position } of found) tx.remove(items, { slot, db, key, position })
  for (const [i, { value }] of found.entries()) tx.put(items, { slot, db, key, position: head + i, value })
  const next: ListRow = { ...row, head, tail: head + size - 1, meta: null }
  putKey(tx, next)
  return next
}

/** Move an item from an end of a list to an end of another, or of the same.
 *  @param row the list it is taken from
 *  @returns the item
 *  @throws type_mismatch when the target is no list */
export function moveItem(tx: Tx, row: ListRow, from: End, target: { key: Bin; end: End }): Bin {
  findList(tx, row.db, target.key)
  const [value] = pop(tx, row, from, 1) as [Bin]
  push(tx, row.db, target.key, [value], target.end)
  return value
}
