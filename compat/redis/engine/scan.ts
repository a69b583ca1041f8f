/** Walking keys and fields with a numeric cursor that needs no memory.
 *
 *  1. Keys are walked in the order (slot, hash), fields in the order of their hash; both are functions of the name, so
 *     an element that is there during the whole walk is met, whatever is inserted or removed meanwhile.
 *  2. A cursor names the first place not yet walked: `slot * 2^31 + hash` for keys (below 2^45), `hash` for fields. As
 *     places with the same number must not be torn apart, those of the last one are returned beyond `count`.
 *  3. Slots are settled in windows that grow, so that a walk settles as much as it reads, and an empty stretch
 *     costs few statements. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { SLOT_COUNT } from '@dotdo/core/limits'
import type { Table, Tx, View } from '@dotdo/core/shard'
import { fields, type KeyRow, type KeyType, keys } from '../tables.ts'
import { members, scores } from './elements.ts'
import { andAlive } from './field-expiry.ts'
import type { FieldCells } from './values.ts'

const PLACES = 2 ** 31
const END = SLOT_COUNT * PLACES
const WINDOW_SLOTS = 256

/** What a walk tells of a key. */
export interface ScannedKey {
  readonly slot: number
  readonly hash: number
  readonly key: Bin
  readonly type: KeyType
  readonly expires: number | null
}

/** A stretch of a walk, and where it goes on: 0 when it is done. */
export interface Page<T> {
  readonly items: T[]
  readonly next: number
}

function toScanned(row: readonly unknown[]): ScannedKey {
  const [slot, hash, key, type, expires] = row as [number, number, Uint8Array, KeyType, number | null]
  return { slot, hash, key: toBin(key), type, expires }
}

/** Read from a place to the end of its slot. */
function readSlot(view: View, db: number, slot: number, hash: number, limit: number): ScannedKey[] {
  const rows = view.raw(
    `select slot, hash, key, type, expires from redis_keys
      where slot = ? and db = ? and hash >= ? order by hash, key limit ?`,
    slot,
    db,
    hash,
    limit,
  )
  return rows.map(toScanned)
}

function readSlots(view: View, db: number, from: number, to: number, limit: number): ScannedKey[] {
  const rows = view.raw(
    `select slot, hash, key, type, expires from redis_keys
      where slot >= ? and slot <= ? and +db = ? order by slot, db, hash, key limit ?`,
    from,
    to,
    db,
    limit,
  )
  return rows.map(toScanned)
}

/** Read the keys that share the last one's place and were cut off. */
function readTies(view: View, db: number, { slot, hash, key }: ScannedKey): ScannedKey[] {
  const rows = view.raw(
    `select slot, hash, key, type, expires from redis_keys
      where slot = ? and db = ? and hash = ? and key > ? order by key`,
    slot,
    db,
    hash,
    fromBin(key),
  )
  return rows.map(toScanned)
}

/** Walk keys of a numbered database, expired ones included.
 *  @param cursor 0 to begin, else `next` of the page before
 *  @param count how many at least, unless the walk ends
 *  @cost the rows returned, the dirty rows of the slots walked settled, a statement for each window of slots */
export function scanKeys(view: View, db: number, cursor: number, count: number): Page<ScannedKey> {
  if (cursor >= END) return { items: [], next: 0 }
  let slot = Math.floor(cursor / PLACES)
  let last = Math.min(slot + WINDOW_SLOTS, SLOT_COUNT) - 1
  view.settle(keys, slot, last)
  const items = readSlot(view, db, slot, cursor % PLACES, count)
  slot++
  for (let window = WINDOW_SLOTS * 2; items.length < count && slot < SLOT_COUNT; window *= 2) {
    for (const item of readSlots(view, db, slot, last, count - items.length)) items.push(item)
    slot = last + 1
    last = Math.min(slot + window, SLOT_COUNT) - 1
    if (items.length < count && slot < SLOT_COUNT) view.settle(keys, slot, last)
  }
  const end = items.at(-1)
  if (end === undefined || items.length < count) return { items, next: 0 }
  for (const item of readTies(view, db, end)) items.push(item)
  const next = end.slot * PLACES + end.hash + 1
  return { items, next: next >= END ? 0 : next }
}

const nothing = { and: '', bound: [] }

/** Where elements that are ordered by their hash stand. */
interface Walked {
  readonly table: Table
  readonly name: string
  readonly value?: string
}

/** Walk elements: their hashes, names and, where they have one, values. */
function scanElements<T>(
  view: View,
  row: KeyRow,
  { table, name, value }: Walked,
  { cursor, count }: { cursor: number; count: number },
): Page<T> {
  if (cursor >= PLACES) return { items: [], next: 0 }
  const { slot, db, key } = row
  const { and, bound } = row.type === 'hash' ? andAlive(view, row) : nothing
  view.settle(table, slot, slot)
  const owner = fromBin(key)
  const select = `select hash, ${name}${value === undefined ? '' : `, ${value}`} from ${table.name}
    where slot = ? and db = ? and key = ?${and}`
  const rows = view.raw(
    `${select} and hash >= ? order by hash, ${name} limit ?`,
    slot,
    db,
    owner,
    ...bound,
    cursor,
    count,
  )
  const last = rows.at(-1)
  let next = 0
  if (last !== undefined && rows.length >= count) {
    const [hash, found] = last as [number, Uint8Array]
    next = hash + 1 < PLACES ? hash + 1 : 0
    rows.push(
      ...view.raw(`${select} and hash = ? and ${name} > ? order by ${name}`, slot, db, owner, ...bound, hash, found),
    )
  }
  return { items: rows as unknown as T[], next }
}

/** Walk the fields of a hash. Values may be cold: `pairsOf` reads them.
 *  @param cursor 0 to begin, else `next` of the page before
 *  @param count how many at least, unless the walk ends */
export function scanFields(view: View, row: KeyRow, cursor: number, count: number): Page<FieldCells> {
  return scanElements(view, row, { table: fields, name: 'field', value: 'value' }, { cursor, count })
}

/** Walk the members of a set, or of a sorted set with their scores, as `scanFields`. */
export function scanMembers(
  view: View,
  row: KeyRow,
  cursor: number,
  count: number,
): Page<readonly [member: Bin, score: number | undefined]> {
  const walked: Walked =
    row.type === 'zset' ? { table: scores, name: 'member', value: 'score' } : { table: members, name: 'member' }
  const { items, next } = scanElements<[number, Uint8Array, number?]>(view, row, walked, { cursor, count })
  return { items: items.map(([, member, score]) => [toBin(member), score] as const), next }
}

/** How many elements to read around a random place before one of them is chosen: evens out the gaps between hashes. */
const SAMPLE = 16

/** Choose a key at random that `accept`s, approximately evenly.
 *  @returns undefined when there is none */
export function randomKey(tx: Tx, db: number, accept: (key: ScannedKey) => boolean): Bin | undefined {
  const start = tx.random() % END
  let cursor = start
  let wrapped = false
  const found: ScannedKey[] = []
  while (found.length < SAMPLE) {
    const page = scanKeys(tx, db, cursor, SAMPLE)
    for (const item of page.items) {
      const place = item.slot * PLACES + item.hash
      if (wrapped && place >= start) return pick(tx, found)?.key
      if (accept(item)) found.push(item)
    }
    cursor = page.next
    if (cursor !== 0) continue
    if (wrapped) break
    wrapped = true
  }
  return pick(tx, found)?.key
}

/** Choose a field of a hash at random, approximately evenly. */
export function randomField(tx: Tx, row: KeyRow): FieldCells {
  const start = tx.random() % PLACES
  const { items } = scanFields(tx, row, start, SAMPLE)
  if (items.length < SAMPLE) {
    for (const cells of scanFields(tx, row, 0, SAMPLE - items.length).items) items.push(cells)
  }
  return pick(tx, items) as FieldCells
}

/** Choose one element at random. */
export function pick<T>(tx: Tx, items: readonly T[]): T | undefined {
  return items[tx.random() % items.length]
}

/** Count the keys of a numbered database, and how many of them expire.
 *  @cost reads every row, and settles every dirty one */
export function countKeys(view: View, db: number): { keys: number; expires: number } {
  view.settle(keys)
  const [[total, expiring] = []] = view.raw(
    'select count(*), count(expires) from redis_keys where db = ? and (expires is null or expires >= ?)',
    db,
    view.nowMs,
  )
  return { keys: Number(total), expires: Number(expiring) }
}

/** List the keys of a numbered database that `accept`s and that are alive.
 *  @cost reads every row, and settles every dirty one */
export function listKeys(view: View, db: number, accept: (key: Bin) => boolean): Bin[] {
  view.settle(keys)
  const found: Bin[] = []
  const statement = 'select key from redis_keys where db = ? and (expires is null or expires >= ?)'
  for (const row of view.iterate(statement, db, view.nowMs)) {
    const key = toBin(row.key as Uint8Array)
    if (accept(key)) found.push(key)
  }
  return found
}
