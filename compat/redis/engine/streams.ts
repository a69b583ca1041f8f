/** Streams: a key's row that knows the state, and a row an entry. Groups of consumers are in stream-groups.ts.
 *
 *  1. Entries are added behind all others, and never change. An empty stream stays.
 *  2. What a change must know of SQL is read before its first write.
 *
 *  @source https://redis.io/docs/latest/develop/data-types/streams/ and t_stream.c of Redis 7.2 */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { addInt64, type Int64 } from './integers.ts'
import { alive, checkSize, findKey, newKey, probeKey, putCounted, putKey, removeElements, wrongType } from './keys.ts'
import { packFields } from './stream-fields.ts'
import {
  ID_MAX,
  ID_MIN,
  idAfter,
  NEW_STREAM,
  readState,
  type StreamState,
  toEight,
  toId,
  writeState,
} from './stream-ids.ts'
import { changingIds, firstIds, followIds, forgetIds, knownIds, type Stretch } from './stream-known.ts'
import { type EntryRow, entries } from './stream-tables.ts'

/** A stream that is there. */
export type StreamRow = KeyRow & { readonly meta: Bin }

/** Redis keeps entries in nodes of so many, and `~` trims whole nodes only. */
const NODE_ENTRIES = 100

/** Find a stream that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findStream(view: View, db: number, key: Bin): StreamRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== 'stream') throw wrongType()
  return row as StreamRow | undefined
}

/** Find a stream, or make an empty one.
 *  @throws type_mismatch when the key holds another type */
export function findOrCreate(tx: Tx, db: number, key: Bin): StreamRow {
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  const row = alive(tx, stored)
  if (row !== undefined && row.type !== 'stream') throw wrongType()
  if (row !== undefined) return row as StreamRow
  if (stored !== undefined) removeElements(tx, stored)
  const created: StreamRow = { ...newKey(probe, 'stream', 0), meta: writeState(NEW_STREAM) }
  putKey(tx, created)
  return created
}

/** What XADD and XTRIM keep. */
export interface Trim {
  /** How many entries stay; undefined when `minId` says which. */
  readonly max?: number
  /** Entries below it go. */
  readonly minId?: Bin
  /** Only as far as whole nodes go. */
  readonly approximate: boolean
  /** How many entries may go at most; 0 for any number. */
  readonly limit: number
}

/** How the id of a new entry is chosen: by the clock, by its milliseconds, or not at all. */
export type NewId = '*' | { readonly ms: Int64 } | { readonly id: Bin }

function chooseId(tx: Tx, last: Bin, wanted: NewId): Bin {
  if (last === ID_MAX) {
    throw new Failure('invalid', 'ERR The stream has exhausted the last possible ID, unable to add more items')
  }
  let id: Bin | undefined
  if (wanted === '*') {
    const now = toId(tx.nowMs, 0)
    id = now > last ? now : idAfter(last)
  } else if ('id' in wanted) id = wanted.id
  else {
    const ms = toEight(wanted.ms)
    // Not beyond its milliseconds, when their last number is taken.
    id = last.startsWith(ms) ? (last.endsWith(ID_MAX.slice(8)) ? last : idAfter(last)) : toId(wanted.ms, 0)
  }
  if (id !== undefined && id > last) return id
  const what = 'The ID specified in XADD is equal or smaller than the target stream top item'
  throw new Failure('invalid', `ERR ${what}`)
}

/** What a new entry brings. */
export interface NewEntry {
  readonly id: NewId
  /** Names and values in turn. */
  readonly fields: readonly Bin[]
  readonly create: boolean
  readonly trim?: Trim | undefined
}

/** Add an entry to the stream at `key`, creating it when absent, and trim it.
 *  @returns its id; undefined when there is no stream and none is to be made
 *  @throws type_mismatch when the key holds another type; invalid when the id is not above all others; limit when the
 *  fields are too large
 *  @source https://redis.io/docs/latest/commands/xadd/ */
export function addEntry(
  tx: Tx,
  db: number,
  key: Bin,
  { id: wanted, fields, create, trim }: NewEntry,
): Bin | undefined {
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  const row = alive(tx, stored) as StreamRow | undefined
  if (row !== undefined && row.type !== 'stream') throw wrongType()
  if (row === undefined && !create) return undefined
  const state = row === undefined ? NEW_STREAM : readState(row.meta)
  const id = chooseId(tx, state.last, wanted)
  const packed = packFields(fields)
  checkSize(key, packed.length)
  const base = row ?? { ...newKey(probe, 'stream', 0), meta: writeState(state) }
  const size = base.size + 1
  const trimmed = trim && planTrim(tx, { row: base, size, added: id }, trim)
  if (row === undefined && stored !== undefined) removeElements(tx, stored)
  const known = changingIds(tx, base)
  const { slot } = probe
  const added = addInt64(state.added, 1) ?? state.added
  const first = trimmed?.first ?? (base.size === 0 ? id : state.first)
  const removed = trimmed?.removed ?? []
  const isGone = removed.at(-1) === id
  if (isGone) known.floor = id
  else {
    known.tail.push(id)
    tx.put(entries, { slot, db, key, id, fields: packed })
  }
  for (const each of removed) if (each !== id) tx.remove(entries, { slot, db, key, id: each })
  if (removed.length > 0) forgetIds(known, removed)
  const next = { ...base, size: size - removed.length, meta: writeState({ ...state, last: id, first, added }) }
  // An entry that went at once is in no log: then the key's row must be.
  if (isGone) putKey(tx, next)
  else putCounted(tx, next)
  followIds(tx, known, next)
  return id
}

/** A stream to trim. */
interface Trimmed {
  readonly row: StreamRow
  /** How many entries it has, a new one included. */
  readonly size: number
  /** The id of a new one. */
  readonly added?: Bin
}

/** Count entries below an id, up to a limit. */
function countBelow(view: View, { row, size, added }: Trimmed, minId: Bin, limit: number): number {
  for (let count = 128; ; count *= 4) {
    const ids = firstIds(view, row, count)
    const at = ids.findIndex((id) => id >= minId)
    if (at >= 0) return at
    if (ids.length === row.size) return added !== undefined && added < minId ? size : row.size
    if (limit > 0 && ids.length >= limit + NODE_ENTRIES) return ids.length
  }
}

/** @returns how many entries go
 *  @source redis 7.2 t_stream.c streamTrim */
function countTrimmed(view: View, trimmed: Trimmed, { max, minId, approximate, limit }: Trim): number {
  const { size } = trimmed
  const most = max === undefined ? countBelow(view, trimmed, minId as Bin, limit) : Math.max(0, size - max)
  if (!approximate) return most
  let count = 0
  while (count < most) {
    const node = Math.min(NODE_ENTRIES, size - count)
    if ((limit > 0 && count + node > limit) || count + node > most) break
    count += node
  }
  return count
}

/** Choose what goes.
 *  @returns undefined when nothing does */
function planTrim(view: View, trimmed: Trimmed, trim: Trim): { removed: readonly Bin[]; first: Bin } | undefined {
  const count = countTrimmed(view, trimmed, trim)
  if (count === 0) return undefined
  const { row, added } = trimmed
  const ids = [...firstIds(view, row, count + 1)]
  if (added !== undefined && ids.length === row.size) ids.push(added)
  return { removed: ids.slice(0, count), first: ids[count] ?? ID_MIN }
}

/** Trim a stream.
 *  @returns how many entries went
 *  @source https://redis.io/docs/latest/commands/xtrim/ */
export function trimStream(tx: Tx, row: StreamRow, trim: Trim): number {
  const plan = planTrim(tx, { row, size: row.size }, trim)
  if (plan === undefined) return 0
  const { removed, first } = plan
  removeIds(tx, row, removed, { ...readState(row.meta), first })
  return removed.length
}

/** Remove entries that are there. */
function removeIds(tx: Tx, row: StreamRow, ids: readonly Bin[], state: StreamState): void {
  const { slot, db, key } = row
  const known = changingIds(tx, row)
  for (const id of ids) tx.remove(entries, { slot, db, key, id })
  forgetIds(known, ids)
  const next = { ...row, size: row.size - ids.length, meta: writeState(state) }
  if (ids.length > 0) putCounted(tx, next)
  else putKey(tx, next)
  followIds(tx, known, next)
}

/** Tell whether a stream has an entry. */
export function hasEntry(view: View, { slot, db, key }: KeyRow, id: Bin): boolean {
  return view.find(entries, { slot, db, key, id }) !== undefined
}

/** Remove entries by their ids.
 *  @returns how many were there
 *  @source https://redis.io/docs/latest/commands/xdel/ */
export function removeEntries(tx: Tx, row: StreamRow, ids: readonly Bin[]): number {
  const found = [...new Set(ids)].filter((id) => hasEntry(tx, row, id))
  if (found.length === 0) return 0
  const state = readState(row.meta)
  const gone = new Set(found)
  let { first, deleted } = state
  if (gone.size === row.size) first = ID_MIN
  else if (gone.has(first)) first = firstIds(tx, row, gone.size + 1).find((id) => !gone.has(id)) as Bin
  for (const id of found) if (id > deleted) deleted = id
  removeIds(tx, row, found, { ...state, first, deleted })
  return found.length
}

/** Read entries of a stretch.
 *  @cost O(log n) and the entries read; SQL is asked, and the slot's dirty entries settled, only for those that are not
 *  among the newest */
export function readEntries(view: View, row: StreamRow, stretch: Stretch): readonly EntryRow[] {
  const { slot, db, key } = row
  const ids = knownIds(view, row, stretch)
  if (ids !== undefined) {
    const found = ids.map((id) => view.find(entries, { slot, db, key, id }) as EntryRow)
    return view.wholeAll(entries, found)
  }
  view.settle(entries, slot, slot)
  const { from, to, count = -1, reverse } = stretch
  const statement = reverse ? selectBackwards : selectForwards
  const found = view.all(statement, slot, db, fromBin(key), fromBin(from), fromBin(to), count)
  return view.wholeAll(
    entries,
    found.map((each) => view.fromSql(entries, each)),
  )
}

const selectForwards = `select slot, db, key, id, fields from redis_entries
  where slot = ? and db = ? and key = ? and id between ? and ? order by id limit ?`
const selectBackwards = `select slot, db, key, id, fields from redis_entries
  where slot = ? and db = ? and key = ? and id between ? and ? order by id desc limit ?`

/** Read entries by their ids, all cold ones at once.
 *  @returns undefined for those that are not there */
export function readByIds(view: View, { slot, db, key }: KeyRow, ids: readonly Bin[]): (EntryRow | undefined)[] {
  const found = ids.map((id) => view.find(entries, { slot, db, key, id }))
  view.wholeAll(
    entries,
    found.filter((row) => row !== undefined),
  )
  return found
}

/** What XSETID sets. */
export interface SetId {
  readonly last: Bin
  readonly added?: Int64 | undefined
  readonly deleted?: Bin | undefined
}

/** Set the state of a stream.
 *  @throws invalid when it would contradict its entries
 *  @source https://redis.io/docs/latest/commands/xsetid/ */
export function setState(tx: Tx, row: StreamRow, { last, added, deleted }: SetId): void {
  const refuse = (message: string) => new Failure('invalid', `ERR ${message}`)
  const state = readState(row.meta)
  if (last < state.deleted) throw refuse('The ID specified in XSETID is smaller than current max_deleted_entry_id')
  if (row.size > 0) {
    const [top] = last < state.last ? readEntries(tx, row, { from: ID_MIN, to: ID_MAX, count: 1, reverse: true }) : []
    if (top !== undefined && last < top.id) {
      throw refuse('The ID specified in XSETID is smaller than the target stream top item')
    }
    if (added !== undefined && row.size > added) {
      throw refuse('The entries_added specified in XSETID is smaller than the target stream length')
    }
  }
  const kept = deleted === undefined || deleted === ID_MIN ? state.deleted : deleted
  // What is known of its newest entries ends: the next one may come below the last id as it was.
  putKey(tx, { ...row, meta: writeState({ ...state, last, added: added ?? state.added, deleted: kept }) })
}
