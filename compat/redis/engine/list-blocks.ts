/** Blocks: what rows hold the items of lists, and how.
 *
 *  1. The items of a list have numbers without gaps. Block k has those from k * BLOCK_ITEMS on, as far as there are
 *     any: a row that says which is its first, how many there are, and holds them packed. No block is empty.
 *  2. Packed, an item has its length before and after it, so that both ends are found without looking at the rest.
 *  3. An item of more than ITEM_BYTES_MAX stands in a row of its own, by its number; in the block a mark stands for it.
 *  4. A change of a block is a splice, and the redo gets no more than that. */
import { type Bin, binToJson, copyBin, jsonToBin } from '@dotdo/core/bytes'
import { murmur3, type RelationValue, type Tx, table } from '@dotdo/core/shard'
import type { Stored } from '../tables.ts'
import { idOf, idPart, keyColumns } from './columns.ts'

/** How many numbers a block has: at most so many items are copied when one is taken from a block just pushed to. */
export const BLOCK_ITEMS = 128

/** Larger items stand in rows of their own: so a block has at most 64 KB. */
export const ITEM_BYTES_MAX = 512

/** Beside a key of more bytes, every item has a row of its own: a block would not fit a row. */
const KEY_BYTES_MAX = 1024 * 1024

/** A block of a list. */
export type BlockRow = {
  slot: number
  db: number
  key: Bin
  block: number
  /** The number of its first item. */
  first: number
  count: number
  /** Its items, packed. */
  value: Stored
}

/** A change of a block: `removed` bytes from `at` on make way for `inserted`. */
export interface Splice {
  readonly at: number
  readonly removed: number
  readonly inserted: Bin
  /** What it adds to the number of the first item, and to the count. */
  readonly first: number
  readonly count: number
}

/** What was joined is copied into one piece after so many pushes: its parts take several times the room of small
 *  items. */
const ROPE_ITEMS = 16

const MARK_CODE = 0xffff
/** Stands for an item in a row of its own. */
const MARK = '\xff\xff\xff\xff'
const LENGTH_BYTES = 2

/** Every length as it is packed. */
const lengths = Array.from({ length: ITEM_BYTES_MAX + 1 }, (_, size) => String.fromCharCode(size >> 8, size & 0xff))

/** Whether an item stands in a row of its own. */
export function isLarge(key: Bin, item: Bin): boolean {
  return item.length > ITEM_BYTES_MAX || key.length > KEY_BYTES_MAX
}

/** Pack an item.
 *  @param isMarked whether it stands in a row of its own */
export function pack(item: Bin, isMarked: boolean): Bin {
  if (isMarked) return MARK
  const size = lengths[item.length] as string
  return size + item + size
}

function codeAt(packed: Bin, at: number): number {
  return packed.charCodeAt(at) * 256 + packed.charCodeAt(at + 1)
}

function packedLength(code: number): number {
  return code === MARK_CODE ? MARK.length : code + 2 * LENGTH_BYTES
}

/** Find where the item at an index begins, from the nearer end.
 *  @param index from 0 to the count */
export function offsetOf({ value, count }: BlockRow, index: number): number {
  const packed = value as Bin
  if (index * 2 <= count) {
    let at = 0
    for (let i = 0; i < index; i++) at += packedLength(codeAt(packed, at))
    return at
  }
  let end = packed.length
  for (let i = count; i > index; i--) end -= packedLength(codeAt(packed, end - LENGTH_BYTES))
  return end
}

/** Tell how long an item is, packed.
 *  @param at where it begins */
export function lengthAt({ value }: BlockRow, at: number): number {
  return packedLength(codeAt(value as Bin, at))
}

/** Read items of a block.
 *  @param onItem gets each; undefined for one in a row of its own */
export function unpack(
  row: BlockRow,
  index: number,
  count: number,
  onItem: (item: Bin | undefined, number: number) => void,
): void {
  const packed = row.value as Bin
  let at = offsetOf(row, index)
  for (let i = 0; i < count; i++) {
    const code = codeAt(packed, at)
    const end = at + packedLength(code)
    const item = code === MARK_CODE ? undefined : packed.slice(at + LENGTH_BYTES, end - LENGTH_BYTES)
    onItem(item, row.first + index + i)
    at = end
  }
}

function itemsOf(row: BlockRow): (ReturnType<typeof binToJson> | null)[] {
  const found: (ReturnType<typeof binToJson> | null)[] = []
  unpack(row, 0, row.count, (item) => found.push(item === undefined ? null : binToJson(item)))
  return found
}

function packLake({ items }: { readonly [name: string]: RelationValue }): Stored {
  const found = JSON.parse(items as string) as readonly (string | { $binary: string } | null)[]
  return found.map((item) => (item === null ? MARK : pack(jsonToBin(item), false))).join('')
}

function spliced({ slot, db, key, block, first, count, value }: BlockRow, change: Splice): BlockRow {
  const packed = value as Bin
  const { at, removed, inserted } = change
  const rest = at + removed
  let next = inserted
  if (at > 0) next = packed.slice(0, at) + next
  if (rest < packed.length) next += packed.slice(rest)
  const left = count + change.count
  if (inserted === '') {
    // A slice keeps all that it was cut from: it is copied each time that half is gone.
    if (Math.clz32(left) !== Math.clz32(count)) next = copyBin(next)
  } else if (Math.floor(count / ROPE_ITEMS) !== Math.floor(left / ROPE_ITEMS)) flatten(next)
  return { slot, db, key, block, first: first + change.first, count: left, value: next }
}

/** V8 joins strings when one looks inside. */
function flatten(packed: Bin): void {
  if (Number.isNaN(packed.charCodeAt(0))) throw new Error('a block has no items')
}

/** Offsets and lengths in a patch: within a block, they take three bytes. */
function writePatch({ at, removed, inserted, first, count }: Splice): Bin {
  return (
    String.fromCharCode(
      at >> 16,
      (at >> 8) & 0xff,
      at & 0xff,
      removed >> 16,
      (removed >> 8) & 0xff,
      removed & 0xff,
      // Fewer than BLOCK_ITEMS come or go: with all of them, the block would.
      first + BLOCK_ITEMS,
      count + BLOCK_ITEMS,
    ) + inserted
  )
}

function readPatch(patch: Bin): Splice {
  const number = (from: number) => codeAt(patch, from) * 256 + patch.charCodeAt(from + 2)
  return {
    at: number(0),
    removed: number(3),
    first: patch.charCodeAt(6) - BLOCK_ITEMS,
    count: patch.charCodeAt(7) - BLOCK_ITEMS,
    inserted: patch.slice(8),
  }
}

/** The blocks of all lists. */
export const blocks = table<BlockRow>({
  name: 'redis_blocks',
  collection: 'lists',
  columns: {
    slot: 'integer',
    db: 'integer',
    key: 'bin',
    block: 'integer',
    first: 'integer',
    count: 'integer',
    value: 'bin?',
  },
  primaryKey: ['slot', 'db', 'key', 'block'],
  buffered: true,
  cells: ({ slot, db, key, block, first, count, value }) => [slot, db, key, block, first, count, value],
  patched: (row, patch) => spliced(row, readPatch(patch)),
  identity: {
    hash: ({ db = 0, key = '', block = 0 }) => murmur3(key, block ^ db),
    same: (a, b) => a.block === b.block && a.key === b.key && a.db === b.db,
  },
  document: (row) => ({ db: row.db, key: binToJson(row.key), first: row.first, items: itemsOf(row) }),
  documentId: ({ db, key = '', block }) => idOf(db, `${idPart(key)}/${block}`),
  relation: {
    columns: [
      ...keyColumns<BlockRow>(),
      { name: 'first', type: 'long', required: true, value: ({ first }) => first },
      { name: 'count', type: 'long', required: true, value: ({ count }) => count },
      { name: 'items', type: 'string', value: (row) => (row.value === null ? null : JSON.stringify(itemsOf(row))) },
    ],
    payload: { column: 'value', isCold: ({ value }) => value === null, fromLake: packLake },
  },
})

/** Change a block. */
export function splice(tx: Tx, row: BlockRow, change: Splice): void {
  tx.patch(blocks, spliced(row, change), writePatch(change))
}
