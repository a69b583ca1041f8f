/** The orders of collections that are in memory: made from rows when first asked for, kept up with writes, dropped when
 *  others need the room.
 *
 *  1. An index belongs to one version of its key's row. Whoever changes elements tells the index of each before its
 *     row is written, and at last of the key's row (`changing`, `follow`); a row that came another way (with its
 *     slot, after a restore) makes the index void.
 *  2. What a call did to an index cannot be undone: when the call is, the index is dropped, and made anew from the
 *     rows.
 *  3. Indexes share REDIS_INDEXED_ELEMENTS_MAX elements of memory a shard; one that needs more alone keeps an
 *     outline. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { assert } from '@dotdo/core/errors'
import { REDIS_INDEXED_ELEMENTS_MAX } from '@dotdo/core/limits'
import type { Table, Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { members, scores } from './elements.ts'
import { type Elements, LEAF_SIZE, Ranked } from './ranked.ts'

/** By which columns the elements of a type are ordered. */
interface Ordering {
  readonly table: Table
  readonly order: string
  readonly name: string
}

const orderings: { readonly [type: string]: Ordering } = {
  set: { table: members, order: 'hash', name: 'member' },
  zset: { table: scores, order: 'score', name: 'member' },
}

/** An index takes as much room as so many elements when it has none. */
const INDEX_OVERHEAD = 8

/** The order of one key's elements, as it is in memory. */
export interface Index {
  readonly ranked: Ranked
  /** The key's row as it was stored last. */
  row: KeyRow
  /** The elements in memory that have been counted. */
  counted: number
  readonly drop: () => void
}

interface Indexes {
  readonly byKey: Map<string, Index>
  /** The one used last: of many commands in turn it is asked for again. */
  last: Index | undefined
  /** Elements in memory, of all indexes. */
  loaded: number
}

function indexesOf(view: View): Indexes {
  const known = view.memory.get('redis.indexes') as Indexes | undefined
  if (known !== undefined) return known
  const indexes: Indexes = { byKey: new Map(), last: undefined, loaded: 0 }
  view.memory.set('redis.indexes', indexes)
  return indexes
}

/** In database 0, the key itself: no text is made for it. No key has a char past 255. */
function nameOf({ db, key }: Pick<KeyRow, 'db' | 'key'>): string {
  return db === 0 ? key : `\u0100${db}/${key}`
}

/** Keep an index of a key. */
function begin(indexes: Indexes, row: KeyRow, ranked: Ranked): Index {
  const name = nameOf(row)
  indexes.byKey.get(name)?.drop()
  const index: Index = {
    ranked,
    row,
    counted: INDEX_OVERHEAD,
    drop() {
      if (indexes.byKey.get(name) !== index) return
      indexes.byKey.delete(name)
      indexes.loaded -= index.counted
      if (indexes.last === index) indexes.last = undefined
    },
  }
  indexes.byKey.set(name, index)
  indexes.loaded += INDEX_OVERHEAD
  return index
}

/** Find the index of a key's row, if it is in memory. */
function recall(indexes: Indexes, row: KeyRow): Index | undefined {
  if (indexes.last?.row === row) return indexes.last
  if (indexes.byKey.size === 0) return undefined
  const index = indexes.byKey.get(nameOf(row))
  if (index === undefined || index.row === row) return index
  index.drop()
  return undefined
}

function count(indexes: Indexes, index: Index): void {
  const now = index.ranked.held + INDEX_OVERHEAD
  indexes.loaded += now - index.counted
  index.counted = now
}

/** Make room: the indexes used least recently go, and of the one that stays all but one leaf if need be. */
function makeRoom(view: View, indexes: Indexes, current: Index, rank: number): void {
  count(indexes, current)
  const max = REDIS_INDEXED_ELEMENTS_MAX * view.share
  if (indexes.loaded <= max) return
  for (const index of indexes.byKey.values()) {
    if (index !== current) index.drop()
    if (indexes.loaded <= max) return
  }
  current.ranked.unload(rank)
  count(indexes, current)
}

/** Statements that read elements from one on, by type. */
const readStatements = Object.fromEntries(
  Object.entries(orderings).map(([type, { table, order, name }]) => {
    const columns = `${order}, ${name}`
    const where = `slot = ? and db = ? and key = ? and (${columns}) >= (?, ?)`
    return [type, `select ${columns} from ${table.name} where ${where} order by ${columns} limit ?`]
  }),
)

/** Make the function that reads elements of a key from SQL. */
function reader(view: View, row: KeyRow): (order: number, name: Bin, count: number) => Elements {
  return (first, firstName, count) => {
    const { table } = orderings[row.type] as Ordering
    view.settle(table, row.slot, row.slot)
    const statement = readStatements[row.type] as string
    return toElements(view.raw(statement, row.slot, row.db, fromBin(row.key), first, fromBin(firstName), count))
  }
}

function toElements(rows: readonly (readonly unknown[])[]): Elements {
  const elements: Elements = { orders: [], names: [] }
  for (const [order, name] of rows) {
    elements.orders.push(order as number)
    elements.names.push(toBin(name as Uint8Array))
  }
  return elements
}

/** Read the first element of every leaf. */
function readOutline(view: View, row: KeyRow): Elements {
  const { table, order, name } = orderings[row.type] as Ordering
  view.settle(table, row.slot, row.slot)
  const columns = `${order}, ${name}`
  const statement = `select ${columns} from (
      select ${columns}, row_number() over (order by ${columns}) as at from ${table.name}
      where slot = ? and db = ? and key = ?)
    where at % ${LEAF_SIZE} = 1 order by ${columns}`
  return toElements(view.raw(statement, row.slot, row.db, fromBin(row.key)))
}

function build(view: View, row: KeyRow): Ranked {
  const read = reader(view, row)
  const ranked = new Ranked(read, row.type === 'zset')
  if (row.size <= REDIS_INDEXED_ELEMENTS_MAX * view.share * 0.25) {
    ranked.fill(read(Number.NEGATIVE_INFINITY, '', row.size))
  } else ranked.outline(readOutline(view, row), row.size)
  assert(ranked.size === row.size, `a key of ${row.size} elements has ${ranked.size} rows`)
  return ranked
}

/** Ask the order of a key's elements something.
 *  @param row the key's row as it is now
 *  @param rank whereabouts the question is, when that is known
 *  @cost the first time, reads every element, or for large ones the first of each leaf; then O(log n) and what is
 *  read */
export function ask<T>(view: View, row: KeyRow, question: (ranked: Ranked) => T, rank = 0): T {
  const indexes = indexesOf(view)
  let index = recall(indexes, row)
  if (index === undefined) index = begin(indexes, row, build(view, row))
  else index.ranked.read = reader(view, row)
  const answer = question(index.ranked)
  if (indexes.last !== index) {
    // The one used last stands last.
    const name = nameOf(row)
    indexes.byKey.delete(name)
    indexes.byKey.set(name, index)
    indexes.last = index
  }
  makeRoom(view, indexes, index, rank)
  return answer
}

/** Begin to change the elements of a key; before its rows are.
 *  @param row the key's row as it is
 *  @returns the index, to be told of every element before its row is written, and at last of the key's row; undefined
 *  when none is in memory */
export function changing(tx: Tx, row: KeyRow): Index | undefined {
  const indexes = indexesOf(tx)
  const index = recall(indexes, row)
  if (index === undefined) {
    // One may be made from what this call writes, under a row that stays as it is: it must not outlive the call.
    tx.onUndo(() => indexes.byKey.get(nameOf(row))?.drop())
    return undefined
  }
  index.ranked.read = reader(tx, row)
  tx.onUndo(index.drop)
  return index
}

/** End a change, when the rows are written.
 *  @param row the key's row as it is stored now */
export function follow(tx: Tx, index: Index | undefined, row: KeyRow): void {
  if (index === undefined) return
  index.row = row
  makeRoom(tx, indexesOf(tx), index, index.ranked.size)
}

/** Begin the index of a new key.
 *  @param row the key's row as it is stored now
 *  @param elements all it has, in order */
export function indexNew(tx: Tx, row: KeyRow, elements: Elements): void {
  const indexes = indexesOf(tx)
  const ranked = new Ranked(reader(tx, row), row.type === 'zset')
  ranked.fill(elements)
  const index = begin(indexes, row, ranked)
  tx.onUndo(index.drop)
  makeRoom(tx, indexes, index, ranked.size)
}

/** Look at the order of a key's elements if it is in memory, to ask what needs no row. */
export function peek(view: View, row: KeyRow): Ranked | undefined {
  return recall(indexesOf(view), row)?.ranked
}

/** Tell how many elements the index of a key holds in memory, undefined when there is none: for tests. */
export function loadedElements(view: View, row: KeyRow): number | undefined {
  return recall(indexesOf(view), row)?.ranked.loaded
}
