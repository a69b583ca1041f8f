/** Consumer groups: who read what of a stream, and what was not acknowledged.
 *
 *  1. A group's row is written whenever one of its deliveries comes or goes: it counts them, as its consumers' rows do.
 *  2. Commands read first (`readNew`, `readHistory`, `chooseClaims`), and write then (`deliver`, `redeliver`, `claim`).
 *
 *  @source https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups and t_stream.c of Redis 7.2 */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { addInt64, type Int64 } from './integers.ts'
import { putKey } from './keys.ts'
import { fromEight, ID_MAX, ID_MIN, idAfter, readState, type StreamState, toEight } from './stream-ids.ts'
import {
  type ConsumerRow,
  consumers,
  deliveries,
  type EntryRow,
  type GroupRow,
  groups,
  type PendingRow,
} from './stream-tables.ts'
import { hasEntry, readByIds, readEntries, type StreamRow } from './streams.ts'

/** Deliveries are read so many at a time. */
const CHUNK_ROWS = 128

/** Find a group of a stream. */
export function findGroup(view: View, row: KeyRow, name: Bin): GroupRow | undefined {
  const { slot, db, key } = row
  return view.find(groups, { slot, db, key, name })
}

/** Find a consumer of a group. */
export function findConsumer(view: View, group: GroupRow, name: Bin): ConsumerRow | undefined {
  const { slot, db, key, name: group_name } = group
  return view.find(consumers, { slot, db, key, group_name, name })
}

function findPending(view: View, { slot, db, key, name: group_name }: GroupRow, id: Bin): PendingRow | undefined {
  return view.find(deliveries, { slot, db, key, group_name, id })
}

/** List the groups of a stream by name. */
export function listGroups(view: View, { slot, db, key }: KeyRow): GroupRow[] {
  view.settle(groups, slot, slot)
  const statement = `select slot, db, key, name, last, read, top, pending from redis_groups
    where slot = ? and db = ? and key = ? order by name`
  return view.all(statement, slot, db, fromBin(key)).map((row) => view.fromSql(groups, row))
}

/** List the consumers of a group by name. */
export function listConsumers(view: View, { slot, db, key, name }: GroupRow): ConsumerRow[] {
  view.settle(consumers, slot, slot)
  const statement = `select slot, db, key, group_name, name, seen, active, pending from redis_consumers
    where slot = ? and db = ? and key = ? and group_name = ? order by name`
  return view.all(statement, slot, db, fromBin(key), fromBin(name)).map((row) => view.fromSql(consumers, row))
}

const pendingColumns = 'slot, db, key, group_name, id, consumer, delivered, count'
const selectPending = `select ${pendingColumns} from redis_deliveries
  where slot = ? and db = ? and key = ? and group_name = ? and id >= ? and id <= ? order by id limit ?`
// SQLite would take the primary key, and pass over the deliveries of all others.
const selectOfConsumer = `select ${pendingColumns} from redis_deliveries indexed by redis_deliveries_consumer
  where slot = ? and db = ? and key = ? and group_name = ? and id >= ? and id <= ? and consumer = ?
  order by consumer, id limit ?`

/** Which deliveries of a group are looked at. */
export interface PendingStretch {
  readonly from: Bin
  readonly to?: Bin
  readonly consumer?: Bin | undefined
}

/** Walk over pending deliveries by id; read in chunks, so that whoever has enough stops.
 *  @cost O(log n) and the rows read, and the slot's dirty deliveries settled */
export function* scanPending(view: View, group: GroupRow, stretch: PendingStretch): Generator<PendingRow> {
  const { slot, db, key, name } = group
  const { to = ID_MAX, consumer } = stretch
  const place = [slot, db, fromBin(key), fromBin(name)]
  for (let from: Bin | undefined = stretch.from; from !== undefined && from <= to; ) {
    view.settle(deliveries, slot, slot)
    const bounds = [fromBin(from), fromBin(to)]
    const found =
      consumer === undefined
        ? view.all(selectPending, ...place, ...bounds, CHUNK_ROWS)
        : view.all(selectOfConsumer, ...place, ...bounds, fromBin(consumer), CHUNK_ROWS)
    const rows: PendingRow[] = found.map((row) => view.fromSql(deliveries, row))
    yield* rows
    from = rows.length < CHUNK_ROWS ? undefined : idAfter((rows.at(-1) as PendingRow).id)
  }
}

/** Read the first ones of a walk. */
export function take<T>(walk: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  if (count <= 0) return taken
  for (const each of walk) {
    taken.push(each)
    if (taken.length >= count) break
  }
  return taken
}

/** Find the first and the last pending id of a group. */
export function pendingEdges(view: View, { slot, db, key, name }: GroupRow): readonly [Bin, Bin] | undefined {
  view.settle(deliveries, slot, slot)
  const find = (order: 'asc' | 'desc') => {
    const statement = `select ${pendingColumns} from redis_deliveries
      where slot = ? and db = ? and key = ? and group_name = ? order by id ${order} limit 1`
    const [row] = view.all(statement, slot, db, fromBin(key), fromBin(name))
    return row && (view.fromSql(deliveries, row).id as Bin)
  }
  const [first, last] = [find('asc'), find('desc')]
  return first === undefined || last === undefined ? undefined : [first, last]
}

/** Where a group begins. */
export interface GroupStart {
  readonly last: Bin
  /** How many entries had been added up to there; undefined when that is not known. */
  readonly read: Int64 | undefined
}

const readOf = (read: Int64 | undefined) => (read === undefined ? null : toEight(read))

/** Create a group.
 *  @throws exists when there is one of that name
 *  @source https://redis.io/docs/latest/commands/xgroup-create/ */
export function createGroup(tx: Tx, row: StreamRow, name: Bin, { last, read }: GroupStart): void {
  if (findGroup(tx, row, name) !== undefined) {
    throw new Failure('exists', 'BUSYGROUP Consumer Group name already exists')
  }
  const { slot, db, key } = row
  tx.put(groups, { slot, db, key, name, last, read: readOf(read), top: ID_MIN, pending: 0 })
}

/** Set where a group goes on.
 *  @source https://redis.io/docs/latest/commands/xgroup-setid/ */
export function setGroup(tx: Tx, group: GroupRow, { last, read }: GroupStart): void {
  tx.put(groups, { ...group, last, read: readOf(read) })
}

/** Remove a group with all it has. Its stream counts as changed, so that those who wait for the group see it gone.
 *  @source https://redis.io/docs/latest/commands/xgroup-destroy/ */
export function destroyGroup(tx: Tx, row: StreamRow, group: GroupRow): void {
  const doomed = [...scanPending(tx, group, { from: ID_MIN })]
  const members = listConsumers(tx, group)
  for (const each of doomed) tx.remove(deliveries, each)
  for (const each of members) tx.remove(consumers, each)
  tx.remove(groups, group)
  putKey(tx, row)
}

function newConsumer(tx: Tx, { slot, db, key, name: group_name }: GroupRow, name: Bin): ConsumerRow {
  return { slot, db, key, group_name, name, seen: tx.nowMs, active: null, pending: 0 }
}

/** Create a consumer.
 *  @returns whether there was none of that name
 *  @source https://redis.io/docs/latest/commands/xgroup-createconsumer/ */
export function createConsumer(tx: Tx, group: GroupRow, name: Bin): boolean {
  if (findConsumer(tx, group, name) !== undefined) return false
  tx.put(consumers, newConsumer(tx, group, name))
  return true
}

/** Remove a consumer with its pending deliveries.
 *  @returns how many these were
 *  @source https://redis.io/docs/latest/commands/xgroup-delconsumer/ */
export function removeConsumer(tx: Tx, group: GroupRow, name: Bin): number {
  const consumer = findConsumer(tx, group, name)
  if (consumer === undefined) return 0
  const doomed = [...scanPending(tx, group, { from: ID_MIN, consumer: name })]
  for (const each of doomed) tx.remove(deliveries, each)
  tx.remove(consumers, consumer)
  if (doomed.length > 0) tx.put(groups, { ...group, pending: group.pending - doomed.length })
  return doomed.length
}

/** Changes to one group: its row and those of its consumers are written once, at the end. */
class Changes {
  private readonly tx: Tx
  private readonly group: GroupRow
  /** By how much the pending deliveries of consumers change. */
  private readonly counts = new Map<Bin, number>()
  private count = 0
  private top: Bin
  private moved: Partial<GroupRow> | undefined = undefined
  private reader: Bin | undefined = undefined
  private isServed = false

  /** @param group as it is stored */
  constructor(tx: Tx, group: GroupRow) {
    this.tx = tx
    this.group = group
    this.top = group.top
  }

  /** Note which consumer is here; it is made when it is new. */
  see(name: Bin): void {
    this.reader = name
  }

  /** Note that the consumer got something. */
  serve(): void {
    this.isServed = true
  }

  /** Have the group go on elsewhere. */
  move(to: Pick<GroupRow, 'last'> & Partial<Pick<GroupRow, 'read'>>): void {
    this.moved = to
  }

  private add(name: Bin, by: number): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by)
    this.count += by
  }

  /** Store a delivery.
   *  @param before what it was */
  put(row: PendingRow, before: PendingRow | undefined): void {
    if (before !== undefined) this.add(before.consumer, -1)
    this.add(row.consumer, 1)
    if (row.id > this.top) this.top = row.id
    this.tx.put(deliveries, row)
  }

  /** @returns whether it was there */
  remove(id: Bin): boolean {
    const row = findPending(this.tx, this.group, id)
    if (row === undefined) return false
    this.add(row.consumer, -1)
    return this.tx.remove(deliveries, row)
  }

  write(): void {
    const { tx, group, top, count, moved, reader } = this
    if (reader !== undefined && !this.counts.has(reader)) this.counts.set(reader, 0)
    for (const [name, by] of this.counts) this.writeConsumer(name, by)
    if (count !== 0 || top !== group.top || moved !== undefined) {
      tx.put(groups, { ...group, top, ...moved, pending: group.pending + count })
    }
  }

  private writeConsumer(name: Bin, by: number): void {
    const { tx, group } = this
    const isReader = name === this.reader
    const row = findConsumer(tx, group, name) ?? (isReader ? newConsumer(tx, group, name) : undefined)
    if (row === undefined || (by === 0 && !isReader)) return
    const seen = isReader ? tx.nowMs : row.seen
    const active = isReader && this.isServed ? tx.nowMs : row.active
    tx.put(consumers, { ...row, seen, active, pending: row.pending + by })
  }
}

/** Acknowledge deliveries.
 *  @returns how many were pending
 *  @cost O(1) each
 *  @source https://redis.io/docs/latest/commands/xack/ */
export function acknowledge(tx: Tx, group: GroupRow, ids: readonly Bin[]): number {
  const changes = new Changes(tx, group)
  let count = 0
  for (const id of ids) if (changes.remove(id)) count++
  if (count > 0) changes.write()
  return count
}

function hasTombstones({ size }: KeyRow, { deleted }: StreamState, from: Bin): boolean {
  return size > 0 && deleted !== ID_MIN && from <= deleted
}

/** Estimate how many entries had been added up to an id.
 *  @returns undefined when removals make that unknown
 *  @source redis 7.2 t_stream.c streamEstimateDistanceFromFirstEverEntry */
function estimateRead({ size }: KeyRow, { added, last, first, deleted }: StreamState, id: Bin): Int64 | undefined {
  if (added === 0) return 0
  if (size === 0 && id <= last) return added
  if (id !== ID_MIN && id < deleted) return undefined
  if (id === last) return added
  if (id > last) return undefined
  if (deleted !== ID_MIN && deleted >= first) return undefined
  if (id < first) return addInt64(added, -size)
  return id === first ? addInt64(added, 1 - size) : undefined
}

/** Tell how many entries had been added up to where a group is; undefined when that is not known. */
export function readCount({ read }: GroupRow): Int64 | undefined {
  return read === null ? undefined : fromEight(read)
}

/** Tell how many entries a group has not read yet.
 *  @returns undefined when removals make that unknown
 *  @source redis 7.2 t_stream.c streamReplyWithCGLag */
export function lagOf(row: StreamRow, group: GroupRow): Int64 | undefined {
  const state = readState(row.meta)
  if (state.added === 0) return 0
  const counted = hasTombstones(row, state, group.last) ? undefined : readCount(group)
  const read = counted ?? estimateRead(row, state, group.last)
  return read === undefined ? undefined : addInt64(state.added, -BigInt(read) as Int64)
}

/** Read entries that a group has not been given yet. */
export function readNew(view: View, row: StreamRow, group: GroupRow, count: number | undefined): readonly EntryRow[] {
  const from = idAfter(group.last)
  return from === undefined ? [] : readEntries(view, row, { from, to: ID_MAX, count })
}

/** Who reads, and whether it will acknowledge. */
export interface Reader {
  readonly consumer: Bin
  readonly noAck: boolean
}

/** Give entries to a consumer, making it when absent.
 *  @param found what `readNew` found
 *  @source https://redis.io/docs/latest/commands/xreadgroup/ */
export function deliver(tx: Tx, row: StreamRow, group: GroupRow, found: readonly EntryRow[], reader: Reader): void {
  const { consumer, noAck } = reader
  const { slot, db, key } = row
  const state = readState(row.meta)
  const changes = new Changes(tx, group)
  changes.see(consumer)
  let read = readCount(group)
  for (const { id } of found) {
    read = read !== undefined && !hasTombstones(row, state, id) ? addInt64(read, 1) : estimateRead(row, state, id)
    if (noAck) continue
    const before = id > group.top ? undefined : findPending(tx, group, id)
    changes.put({ slot, db, key, group_name: group.name, id, consumer, delivered: tx.nowMs, count: 1 }, before)
    changes.serve()
  }
  const last = found.at(-1)?.id
  if (last !== undefined) changes.move({ last, read: readOf(read) })
  changes.write()
}

/** A delivery with its entry; undefined when that is gone. */
export type Redelivery = readonly [PendingRow, EntryRow | undefined]

/** Read what is pending for a consumer, behind an id.
 *  @param count undefined for all */
export function readHistory(
  view: View,
  row: StreamRow,
  group: GroupRow,
  { consumer, after, count = Infinity }: { consumer: Bin; after: Bin; count?: number | undefined },
): Redelivery[] {
  const from = idAfter(after)
  const found = from === undefined ? [] : take(scanPending(view, group, { from, consumer }), count)
  const rows = readByIds(
    view,
    row,
    found.map(({ id }) => id),
  )
  return found.map((each, i) => [each, rows[i]])
}

/** Count deliveries once more. */
export function redeliver(tx: Tx, group: GroupRow, found: readonly Redelivery[], consumer: Bin): void {
  const changes = new Changes(tx, group)
  changes.see(consumer)
  for (const [row, entry] of found) {
    if (entry !== undefined) changes.put({ ...row, delivered: tx.nowMs, count: row.count + 1 }, row)
  }
  changes.write()
}

/** How deliveries are claimed. */
export interface Claim {
  readonly consumer: Bin
  /** The time they count as delivered at. */
  readonly delivered: number
  /** What their count becomes; undefined to add one. */
  readonly retries?: number | undefined
  /** Neither entries are asked for, nor is a delivery counted. */
  readonly justId: boolean
  /** Raises the group's last id when it is greater. */
  readonly last?: Bin
}

/** Deliveries to claim, and those whose entries are gone. */
export interface Claims {
  readonly claimed: Bin[]
  readonly gone: Bin[]
}

/** Choose deliveries by their ids.
 *  @param force claim also what is not pending, if it is an entry */
export function chooseClaims(
  view: View,
  row: StreamRow,
  group: GroupRow,
  { ids, minIdleMs, force }: { ids: readonly Bin[]; minIdleMs: number; force: boolean },
): Claims {
  const claims: Claims = { claimed: [], gone: [] }
  // One that is named twice has just been delivered the second time.
  for (const id of minIdleMs > 0 ? new Set(ids) : ids) {
    const before = findPending(view, group, id)
    if (!hasEntry(view, row, id)) {
      if (before !== undefined) claims.gone.push(id)
    } else if (before === undefined ? force : view.nowMs - before.delivered >= minIdleMs) {
      claims.claimed.push(id)
    }
  }
  return claims
}

/** Ten deliveries are looked at for each that is wanted. */
const ATTEMPTS = 10

/** Choose deliveries that have waited long enough, in order.
 *  @returns also the id to go on from; 0-0 when there are no more
 *  @source https://redis.io/docs/latest/commands/xautoclaim/ */
export function chooseIdle(
  view: View,
  row: StreamRow,
  group: GroupRow,
  { from, minIdleMs, count }: { from: Bin; minIdleMs: number; count: number },
): Claims & { readonly next: Bin } {
  const claims: Claims = { claimed: [], gone: [] }
  let attempts = count * ATTEMPTS
  for (const { id, delivered } of scanPending(view, group, { from })) {
    if (attempts-- === 0 || claims.claimed.length + claims.gone.length === count) return { ...claims, next: id }
    if (!hasEntry(view, row, id)) claims.gone.push(id)
    else if (view.nowMs - delivered >= minIdleMs) claims.claimed.push(id)
  }
  return { ...claims, next: ID_MIN }
}

/** Claim deliveries, and drop those whose entries are gone. */
export function claim(tx: Tx, group: GroupRow, claims: Claims, options: Claim): void {
  const { consumer, delivered, retries, justId, last = ID_MIN } = options
  const { slot, db, key, name: group_name } = group
  const changes = new Changes(tx, group)
  if (last > group.last) changes.move({ last })
  changes.see(consumer)
  for (const id of claims.gone) changes.remove(id)
  for (const id of claims.claimed) {
    const before = findPending(tx, group, id)
    // A forced delivery counts as one before this.
    const count = retries ?? (before?.count ?? 1) + (justId ? 0 : 1)
    changes.put({ slot, db, key, group_name, id, consumer, delivered, count }, before)
    changes.serve()
  }
  changes.write()
}
