/** Ids of entries that are in memory: the first and the newest ones of streams in use, so that adding, trimming and
 *  reading what was just added ask SQL for nothing.
 *
 *  1. What is known belongs to one version of the key's row, as an index does (indexes.ts): whoever changes entries
 *     says so (`changingIds`, `followIds`), and a row that came another way makes it void.
 *  2. `head` holds every id from the first entry on, up to its own last one; `tail` every id behind `floor`.
 *  3. What a call did to it cannot be undone: when the call is, it is dropped. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { REDIS_STREAM_IDS_MAX, REDIS_STREAM_NEWEST_MAX } from '@dotdo/core/limits'
import type { Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { ID_MAX, ID_MIN, readState } from './stream-ids.ts'
import { entries } from './stream-tables.ts'

/** Ids are read so many at a time from the head, so that trimming one by one reads seldom. */
const HEAD_IDS = 256
/** Taken one by one up to here; more are filtered out together. */
const SINGLE_IDS = 8

/** What is known of one stream. */
export interface KnownIds {
  row: KeyRow
  head: Bin[]
  floor: Bin
  tail: Bin[]
  counted: number
  readonly drop: () => void
}

interface AllKnown {
  readonly byKey: Map<string, KnownIds>
  /** Ids of all streams. */
  count: number
}

function allOf(view: View): AllKnown {
  const found = view.memory.get('redis.streams') as AllKnown | undefined
  if (found !== undefined) return found
  const all: AllKnown = { byKey: new Map(), count: 0 }
  view.memory.set('redis.streams', all)
  return all
}

const nameOf = ({ db, key }: KeyRow) => `${db}/${key}`

/** Find what is known of a stream. */
function recall(view: View, row: KeyRow): KnownIds | undefined {
  const known = allOf(view).byKey.get(nameOf(row))
  if (known === undefined || known.row === row) return known
  known.drop()
  return undefined
}

function begin(view: View, row: KeyRow): KnownIds {
  const all = allOf(view)
  const name = nameOf(row)
  all.byKey.get(name)?.drop()
  const known: KnownIds = {
    row,
    head: [],
    // What is added from now on is all that is known.
    floor: row.meta === null ? ID_MIN : readState(row.meta).last,
    tail: [],
    counted: 0,
    drop() {
      if (all.byKey.get(name) !== known) return
      all.byKey.delete(name)
      all.count -= known.counted
    },
  }
  all.byKey.set(name, known)
  return known
}

/** Keep to the limits: the streams used least recently go. */
function settleRoom(view: View, known: KnownIds): void {
  const all = allOf(view)
  if (known.tail.length > REDIS_STREAM_NEWEST_MAX) {
    const half = REDIS_STREAM_NEWEST_MAX / 2
    known.floor = known.tail[half - 1] as Bin
    known.tail = known.tail.slice(half)
  }
  // An empty one takes room, too.
  const now = known.head.length + known.tail.length + 8
  all.count += now - known.counted
  known.counted = now
  const name = nameOf(known.row)
  if (all.byKey.size > 1 && all.byKey.get(name) === known) {
    all.byKey.delete(name)
    all.byKey.set(name, known)
  }
  for (const other of all.byKey.values()) {
    if (all.count <= REDIS_STREAM_IDS_MAX * view.share || other === known) return
    other.drop()
  }
}

/** Begin to change the entries of a stream; before its rows are.
 *  @param row the key's row as it is; for a new stream, as it will be without its entries */
export function changingIds(tx: Tx, row: KeyRow): KnownIds {
  const known = recall(tx, row) ?? begin(tx, row)
  tx.onUndo(known.drop)
  return known
}

/** End a change, when the rows are written.
 *  @param row the key's row as it is stored now */
export function followIds(tx: Tx, known: KnownIds, row: KeyRow): void {
  known.row = row
  settleRoom(tx, known)
}

/** @returns where `id` stands in an ordered list, or would */
function placeIn(ids: readonly Bin[], id: Bin): number {
  let low = 0
  for (let high = ids.length; low < high; ) {
    const middle = (low + high) >> 1
    if ((ids[middle] as Bin) < id) low = middle + 1
    else high = middle
  }
  return low
}

function takeOut(ids: Bin[], removed: readonly Bin[]): Bin[] {
  if (ids.length === 0) return ids
  if (removed.length > SINGLE_IDS) {
    const gone = new Set(removed)
    return ids.filter((id) => !gone.has(id))
  }
  for (const id of removed) {
    const at = placeIn(ids, id)
    if (ids[at] === id) ids.splice(at, 1)
  }
  return ids
}

/** Tell that entries have gone. */
export function forgetIds(known: KnownIds, removed: readonly Bin[]): void {
  known.head = takeOut(known.head, removed)
  known.tail = takeOut(known.tail, removed)
}

/** Find the ids of the first entries, in order.
 *  @returns fewer when the stream has no more
 *  @cost as a rule nothing but memory; else one statement, and the slot's dirty entries settled */
export function firstIds(view: View, row: KeyRow, count: number): readonly Bin[] {
  const wanted = Math.min(count, row.size)
  if (wanted === 0) return []
  const known = recall(view, row) ?? begin(view, row)
  const { first } = readState(row.meta as Bin)
  if (known.floor < first) return known.tail.slice(0, wanted)
  if (known.head.length < wanted) {
    view.settle(entries, row.slot, row.slot)
    const statement = `select id from redis_entries where slot = ? and db = ? and key = ? order by id limit ?`
    const limit = Math.max(wanted, HEAD_IDS)
    const found = view.raw(statement, row.slot, row.db, fromBin(row.key), limit).map(([id]) => toBin(id as Uint8Array))
    if (limit > HEAD_IDS) return found
    known.head = found
    settleRoom(view, known)
  }
  return known.head.slice(0, wanted)
}

/** A stretch of a stream. */
export interface Stretch {
  /** The first id that counts, and the last one. */
  readonly from: Bin
  readonly to: Bin
  /** How many at most; undefined for all. */
  readonly count?: number | undefined
  /** Begin at the end. */
  readonly reverse?: boolean
}

/** Find the ids of a stretch, when memory knows all of them.
 *  @returns undefined when it does not */
export function knownIds(view: View, row: KeyRow, { from, to, count, reverse }: Stretch): readonly Bin[] | undefined {
  const { first, last } = readState(row.meta as Bin)
  if (row.size === 0 || from > to || from > last || to < first) return []
  const known = recall(view, row)
  if (known === undefined) return undefined
  const { tail, floor } = known
  const covers = floor < from || floor < first
  const end = to === ID_MAX ? tail.length : placeIn(tail, to) + (tail[placeIn(tail, to)] === to ? 1 : 0)
  if (!reverse) {
    if (!covers) return undefined
    const start = placeIn(tail, from)
    return tail.slice(start, count === undefined ? end : Math.min(end, start + count))
  }
  const start = covers ? placeIn(tail, from) : 0
  if (!covers && (to <= floor || count === undefined || end < count)) return undefined
  return tail.slice(count === undefined ? start : Math.max(start, end - count), Math.max(start, end)).reverse()
}
