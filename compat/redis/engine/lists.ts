/** Lists: a key's row that knows the numbers of both ends, and blocks of items (list-blocks.ts).
 *
 *  1. The item at index i has the number `head + i`: its block is found without an order in memory.
 *  2. What goes from the middle, or comes there, moves the items on its shorter side.
 *  3. The key's `meta` is 'large' from the first item on that stands in a row of its own. */
import { type Bin, copyBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { items } from './elements.ts'
import { alive, checkSize, findKey, newKey, probeKey, putCounted, removeElements, wrongType } from './keys.ts'
import { BLOCK_ITEMS, type BlockRow, blocks, isLarge, lengthAt, offsetOf, pack, splice, unpack } from './list-blocks.ts'

/** V8 copies shorter parts of strings by itself. */
const SLICED_CHARS_MIN = 13

/** The end of a list. */
export type End = 'left' | 'right'

/** A list that is there. */
export type ListRow = KeyRow & { readonly head: number; readonly tail: number }

/** Find a list that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findList(view: View, db: number, key: Bin): ListRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== 'list') throw wrongType()
  return row as ListRow | undefined
}

const blockOf = (number: number) => Math.floor(number / BLOCK_ITEMS)

function findBlock(view: View, { slot, db, key }: KeyRow, block: number): BlockRow {
  const found = view.find(blocks, { slot, db, key, block })
  if (found !== undefined) return found
  throw new Failure(
    'unsupported',
    `ERR block ${block} of this list is missing: a build without blocks may have written it`,
  )
}

/** Find a block with its items. */
function wholeBlock(view: View, row: KeyRow, block: number): BlockRow {
  return view.whole(blocks, findBlock(view, row, block))
}

function withEnds(row: KeyRow, head: number, tail: number, meta = row.meta): ListRow {
  const { slot, db, hash, key, expires } = row
  return { slot, db, hash, key, type: 'list', value: null, size: tail - head + 1, expires, head, tail, meta }
}

/** Store a list's row after its items have changed; the list goes with its last item. */
function store(tx: Tx, row: ListRow): void {
  if (row.size === 0) tx.remove(keys, row)
  else putCounted(tx, row)
}

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
  const next = extend(tx, row ?? withEnds(newKey(probe, 'list', 0), 0, -1), values, end)
  store(tx, next)
  return next.size
}

/** Put items at an end; the list's row is the caller's.
 *  @returns the row as it is now
 *  @cost a change a block */
function extend(tx: Tx, row: ListRow, values: readonly Bin[], end: End): ListRow {
  let { head, tail, meta } = row
  for (let at = 0; at < values.length; ) {
    const number = end === 'left' ? head - 1 : tail + 1
    const block = blockOf(number)
    const room = end === 'left' ? number - block * BLOCK_ITEMS + 1 : (block + 1) * BLOCK_ITEMS - number
    const count = Math.min(room, values.length - at)
    let inserted = ''
    for (let i = 0; i < count; i++) {
      const value = values[at + i] as Bin
      const isMarked = isLarge(row.key, value)
      if (isMarked) {
        meta = 'large'
        putItem(tx, row, end === 'left' ? number - i : number + i, value)
      }
      inserted = end === 'left' ? pack(value, isMarked) + inserted : inserted + pack(value, isMarked)
    }
    const first = end === 'left' ? number - count + 1 : number
    if (tail < head || room === BLOCK_ITEMS) {
      const { slot, db, key } = row
      tx.put(blocks, { slot, db, key, block, first, count, value: inserted }, true)
    } else {
      const known = wholeBlock(tx, row, block)
      if (end === 'left') splice(tx, known, { at: 0, removed: 0, inserted, first: -count, count })
      else splice(tx, known, { at: (known.value as Bin).length, removed: 0, inserted, first: 0, count })
    }
    if (end === 'left') head = first
    else tail = number + count - 1
    at += count
  }
  return withEnds(row, head, tail, meta)
}

function putItem(tx: Tx, { slot, db, key }: KeyRow, position: number, value: Bin): void {
  tx.put(items, { slot, db, key, position, value })
}

/** Remove the items of a block that stand in rows of their own. */
function removeItems(tx: Tx, row: ListRow, block: BlockRow, index: number, count: number): void {
  if (row.meta === null) return
  const { slot, db, key } = row
  unpack(tx.whole(blocks, block), index, count, (item, position) => {
    if (item === undefined) tx.remove(items, { slot, db, key, position })
  })
}

/** Take items away from an end; the list's row is the caller's.
 *  @returns the row as it is now
 *  @cost a change a block */
function cut(tx: Tx, row: ListRow, taken: number, end: End): ListRow {
  let { head, tail } = row
  const isLeft = end === 'left'
  for (let left = taken; left > 0; ) {
    const number = blockOf(isLeft ? head : tail)
    const block = findBlock(tx, row, number)
    const count = Math.min(left, block.count)
    if (count === block.count) {
      removeItems(tx, row, block, 0, count)
      tx.remove(blocks, block)
    } else {
      const whole = tx.whole(blocks, block)
      const { length } = whole.value as Bin
      const from = isLeft ? 0 : block.count - count
      removeItems(tx, row, whole, from, count)
      const at = offsetOf(whole, isLeft ? count : from)
      if (isLeft) splice(tx, whole, { at: 0, removed: at, inserted: '', first: count, count: -count })
      else splice(tx, whole, { at, removed: length - at, inserted: '', first: 0, count: -count })
    }
    if (isLeft) head += count
    else tail -= count
    left -= count
  }
  return withEnds(row, head, tail)
}

/** Find the blocks that hold the items with the numbers from one to another. */
function readBlocks(view: View, row: ListRow, from: number, to: number): readonly BlockRow[] {
  const last = blockOf(to)
  const { slot, db, key } = row
  const found: BlockRow[] = []
  for (let block = blockOf(from); block <= last; block++) {
    if (block < last) view.readAhead(blocks, { slot, db, key, block }, last - block + 1, 1)
    found.push(findBlock(view, row, block))
  }
  return view.wholeAll(blocks, found)
}

/** Read items from an index on.
 *  @returns fewer when the list ends
 *  @cost the blocks they are in */
export function readItems(view: View, row: ListRow, from: number, count: number): Bin[] {
  const length = Math.min(count, row.size - from)
  const values: Bin[] = []
  if (length <= 0) return values
  const first = row.head + from
  const last = first + length - 1
  const large: number[] = []
  for (const block of readBlocks(view, row, first, last)) {
    const index = Math.max(0, first - block.first)
    unpack(block, index, Math.min(block.count, last - block.first + 1) - index, (item, number) => {
      if (item === undefined) large.push(number)
      values.push(item ?? '')
    })
  }
  if (large.length > 0) readLarge(view, row, large, (item, number) => (values[number - first] = item))
  return values
}

/** Read items that stand in rows of their own, all cold ones at once. */
function readLarge(
  view: View,
  row: ListRow,
  numbers: readonly number[],
  onItem: (item: Bin, at: number) => void,
): void {
  const { slot, db, key } = row
  const found = numbers.map((position) => view.find(items, { slot, db, key, position }))
  const rows = found.filter((item) => item !== undefined)
  if (rows.length < numbers.length) throw new Failure('storage', 'a large item of this list is missing')
  for (const { value, position } of view.wholeAll(items, rows)) onItem(value as Bin, position)
}

/** Read one item.
 *  @param index from 0; negative ones count from the end
 *  @returns undefined when the list has no such item */
export function readItem(view: View, row: ListRow, index: number): Bin | undefined {
  const at = index < 0 ? row.size + index : index
  return at < 0 || at >= row.size ? undefined : readItems(view, row, at, 1)[0]
}

/** Overwrite one item.
 *  @returns whether the list has it */
export function setItem(tx: Tx, row: ListRow, index: number, value: Bin): boolean {
  const place = index < 0 ? row.size + index : index
  if (!(place >= 0 && place < row.size)) return false
  checkSize(row.key, value.length)
  const number = row.head + place
  const block = wholeBlock(tx, row, blockOf(number))
  const isMarked = isLarge(row.key, value)
  removeItems(tx, row, block, number - block.first, 1)
  if (isMarked) {
    putItem(tx, row, number, value)
    if (row.meta === null) putCounted(tx, withEnds(row, row.head, row.tail, 'large'))
  }
  const at = offsetOf(block, number - block.first)
  splice(tx, block, { at, removed: lengthAt(block, at), inserted: pack(value, isMarked), first: 0, count: 0 })
  return true
}

/** Take items from an end, and the list with its last one.
 *  @returns their values, the one at the end first */
export function pop(tx: Tx, row: ListRow, end: End, count: number): Bin[] {
  const taken = Math.min(count, row.size)
  if (taken === 0) return []
  const values = readEnd(tx, row, end, taken)
  store(tx, cut(tx, row, taken, end))
  return values
}

/** Read items from an end, to be taken away and perhaps kept elsewhere: they keep no block alive.
 *  @returns their values, the one at the end first */
function readEnd(view: View, row: ListRow, end: End, count: number): Bin[] {
  const values = readItems(view, row, end === 'left' ? 0 : row.size - count, count)
  if (end === 'right') values.reverse()
  return values.map((value) => (value.length < SLICED_CHARS_MIN ? value : copyBin(value)))
}

/** Remove all items but those from one index to another.
 *  @cost the blocks of those removed */
export function trim(tx: Tx, row: ListRow, start: number, stop: number): void {
  const left = Math.min(start, row.size)
  const right = Math.min(Math.max(0, row.size - 1 - stop), row.size - left)
  if (left + right === 0) return
  store(tx, cut(tx, cut(tx, row, left, 'left'), right, 'right'))
}

/** Visit the items of a list until `visit` returns false.
 *  @param step -1 to begin at the tail */
export function scanItems(view: View, row: ListRow, step: 1 | -1, visit: (item: Bin, index: number) => boolean): void {
  for (let seen = 0, chunk = 32; seen < row.size; seen += chunk, chunk = Math.min(chunk * 2, 1024)) {
    const count = Math.min(chunk, row.size - seen)
    const from = step > 0 ? seen : row.size - seen - count
    const found = readItems(view, row, from, count)
    for (let i = 0; i < count; i++) {
      const at = step > 0 ? i : count - 1 - i
      if (!visit(found[at] as Bin, from + at)) return
    }
  }
}

/** Edit the items from one index to another, moving those on the shorter side of them.
 *  @param edit gets the items on that side, and the index of the first
 *  @returns the list's row as it is now, not stored
 *  @cost reads and writes the items on that side */
function editFrom(
  tx: Tx,
  row: ListRow,
  [from, to]: readonly [number, number],
  edit: (found: Bin[], first: number) => Bin[],
): ListRow {
  if (to <= row.size - from) {
    const values = edit(readItems(tx, row, 0, to), 0)
    return extend(tx, cut(tx, row, to, 'left'), values.reverse(), 'left')
  }
  const values = edit(readItems(tx, row, from, row.size - from), from)
  return extend(tx, cut(tx, row, row.size - from, 'right'), values, 'right')
}

/** Remove items that equal a value.
 *  @param limit how many at most; negative to begin at the tail, 0 for all
 *  @returns how many
 *  @cost reads items up to the last that is removed; then moves those on the shorter side of all removed
 *  @source https://redis.io/docs/latest/commands/lrem/ */
export function removeEqual(tx: Tx, row: ListRow, limit: number, value: Bin): number {
  const places: number[] = []
  const max = limit === 0 ? row.size : Math.abs(limit)
  scanItems(tx, row, limit < 0 ? -1 : 1, (item, index) => {
    if (item === value) places.push(index)
    return places.length < max
  })
  if (places.length === 0) return 0
  places.sort((a, b) => a - b)
  const [from, to] = [places[0] as number, (places.at(-1) as number) + 1]
  const removed = new Set(places)
  const next = editFrom(tx, row, [from, to], (found, first) => found.filter((_, at) => !removed.has(first + at)))
  store(tx, next)
  return places.length
}

/** Put an item before or after the first one that equals a pivot.
 *  @returns the new length; -1 when there is no such item
 *  @cost reads items up to the pivot; then moves those on the shorter side of it
 *  @source https://redis.io/docs/latest/commands/linsert/ */
export function insertBeside(tx: Tx, row: ListRow, side: 'before' | 'after', pivot: Bin, value: Bin): number {
  checkSize(row.key, value.length)
  let at = -1
  scanItems(tx, row, 1, (item, index) => {
    if (item === pivot) at = index
    return at < 0
  })
  if (at < 0) return -1
  const rank = side === 'before' ? at : at + 1
  const next = editFrom(tx, row, [rank, rank], (found, first) => {
    found.splice(rank - first, 0, value)
    return found
  })
  store(tx, next)
  return next.size
}

/** Move an item from an end of a list to an end of another, or of the same.
 *  @param row the list it is taken from
 *  @returns the item
 *  @throws type_mismatch when the target is no list */
export function moveItem(tx: Tx, row: ListRow, from: End, target: { key: Bin; end: End }): Bin {
  if (target.key === row.key) {
    // The key is there all the while, with its time to live.
    const [value] = readEnd(tx, row, from, 1) as [Bin]
    store(tx, extend(tx, cut(tx, row, 1, from), [value], target.end))
    return value
  }
  findList(tx, row.db, target.key)
  const [value] = pop(tx, row, from, 1) as [Bin]
  push(tx, row.db, target.key, [value], target.end)
  return value
}
