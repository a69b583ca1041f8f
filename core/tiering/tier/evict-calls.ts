/** The calls about payloads that leave and come back.
 *
 *  1. A payload leaves only when its row has not changed since the watermark: then the snapshot holds it. What changed
 *     since is remembered as bits of hashes; a hash that two keys share only keeps a payload here for longer.
 *  2. While a receipt is being settled the index is between two snapshots: nothing leaves then.
 *  3. A payload comes back only to a row that is still cold, and only from the place that the index still names. */
import { type Bin, fromBin, toBin } from '../../bytes.ts'
import { TIER_CHANGES_PER_TURN } from '../../limits.ts'
import { murmur3 } from '../../shard/hash.ts'
import type { Tx, View } from '../../shard/program.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { Row } from '../../shard/table.ts'
import { entriesAfter, logFloor, payloadPlaces, tableOf } from './changed.ts'
import { haveCommon, type Places } from './places.ts'
import { changeState, readState } from './state.ts'
import { keyBytes, keyRow, slotOf } from './tables.ts'

/** Where an eviction goes on: the oldest rows go first. */
export interface EvictCursor {
  readonly at: number
  readonly slot: number
  readonly key: Bin
}

/** A row's key and where its payload is. */
export interface Located {
  readonly key: Bin
  readonly places: Places
}

/** Arguments by call name; the answers are named beside them. */
export interface EvictCalls {
  /** Let payloads go, the oldest first. Answers `{ rows, bytes, after?, busy? }`; no `after` at the end. `busy` says
   *  `reading` while what changed since the watermark is not known yet, `settling` when nothing may leave now.
   *  @param untilMs rows that changed later stay */
  evict: {
    collection: string
    untilMs: number
    /** Rows and bytes that may go in all; left out: no bound. */
    rows?: number | undefined
    bytes?: number | undefined
    after?: EvictCursor | undefined
    limit: number
  }
  /** Count a piece of the index. Answers `{ hotRows, hotBytes, coldRows, after? }`. */
  count: { collection: string; after?: { readonly slot: number; readonly key: Bin } | undefined; limit: number }
  /** Keep what was counted, for `status`. Answers null. */
  counted: { collection: string; hotRows: number; hotBytes: number; coldRows: number }
  /** Say where the payloads of rows are. Answers Places[]: none of one that is in no mirror. */
  locate: { collection: string; keys: readonly Row[] }
  /** Put payloads back that were found at a place. Answers how many were. */
  thaw: { collection: string; rows: readonly { key: Row; places: Places; payload: SqlValue }[] }
  /** Know rows as whole that are: after a crash some payloads are back by themselves. Answers null. */
  warm: { collection: string; keys: readonly Bin[] }
  /** List cold rows, for bringing all payloads back. Answers Located[]. */
  cold: { collection: string; limit: number }
}

/** The calls. */
export const evictCalls: { [Name in keyof EvictCalls]: (tx: Tx, args: EvictCalls[Name]) => unknown } = {
  evict,
  count,
  counted(tx, { collection, ...counts }) {
    changeState(tx, collection, { counts })
    return null
  },
  locate(tx, { collection, keys }): Places[] {
    const table = tableOf(tx, collection)
    return keys.map((key) => payloadPlaces(tx, collection, { slot: slotOf(table, key), key: keyBytes(table, key) }))
  },
  thaw(tx, { collection, rows }): number {
    const table = tableOf(tx, collection)
    let thawed = 0
    for (const { key, places, payload } of rows) {
      const at = { slot: slotOf(table, key), key: keyBytes(table, key) }
      // It was written anew and left again: what was fetched is its payload of before.
      if (!haveCommon(payloadPlaces(tx, collection, at), places) || !tx.restore(table, key, payload)) continue
      thawed++
      setCold(tx, collection, at, 0)
    }
    return thawed
  },
  warm(tx, { collection, keys }) {
    const table = tableOf(tx, collection)
    for (const key of keys) {
      const row = tx.find(table, keyRow(table, key))
      if (row !== undefined && table.relation?.payload?.isCold(row) === true) continue
      setCold(tx, collection, { slot: slotOf(table, keyRow(table, key)), key }, 0)
    }
    return null
  },
  cold(tx, { collection, limit }): Located[] {
    const statement = 'select slot, key from tier_index where collection = ? and cold = 1 limit ?'
    return tx.raw(statement, collection, limit).map(([slot, key]) => {
      const packed = toBin(key as Uint8Array)
      return { key: packed, places: payloadPlaces(tx, collection, { slot: Number(slot), key: packed }) }
    })
  },
}

function setCold(tx: Tx, collection: string, { slot, key }: { slot: number; key: Bin }, cold: 0 | 1): void {
  const packed = fromBin(key)
  tx.write(
    'update tier_index set cold = ?, at = ? where slot = ? and collection = ? and key = ?',
    cold,
    tx.nowMs,
    slot,
    collection,
    packed,
  )
  tx.write('update tier_pending set cold = ? where collection = ? and key = ?', cold, collection, packed)
}

function evict(tx: Tx, { collection, untilMs, rows = Infinity, bytes = Infinity, after, limit }: EvictCalls['evict']) {
  const table = tableOf(tx, collection)
  const nothing = { rows: 0, bytes: 0, after }
  const changed = changedSinceWatermark(tx, collection)
  if (typeof changed === 'string') return { ...nothing, busy: changed }
  const found = tx.raw(
    oldest,
    collection,
    after?.at ?? -1,
    after?.slot ?? -2,
    fromBin(after?.key ?? ''),
    untilMs,
    Math.min(limit, rows),
  )
  let freed = 0
  let gone = 0
  let last = after
  for (const [at, slot, key] of found) {
    if (freed >= bytes || gone >= rows) break
    const packed = toBin(key as Uint8Array)
    last = { at: Number(at), slot: Number(slot), key: packed }
    if (changed(packed)) continue
    const took = tx.evict(table, keyRow(table, packed))
    // A row without a payload, or one that went with its slot, is none that is hot.
    const statement = took > 0 ? markCold : markEmpty
    tx.write(statement, slot as number, collection, key as Uint8Array)
    if (took > 0) gone++
    freed += took
  }
  const isEnd = found.length < Math.min(limit, rows) || freed >= bytes || gone >= rows
  return { rows: gone, bytes: freed, after: isEnd ? undefined : last }
}

const oldest = `select at, slot, key from tier_index where collection = ? and cold = 0 and bytes > 0
  and (at, slot, key) > (?, ?, ?) and at <= ? order by at, slot, key limit ?`
const markCold = 'update tier_index set cold = 1 where slot = ? and collection = ? and key = ?'
const markEmpty = 'update tier_index set bytes = 0 where slot = ? and collection = ? and key = ?'

interface ChangedBits {
  readonly incarnation: string
  readonly from: number
  to: number
  readonly bits: Uint32Array
}

/** 2^22 bits: with 100,000 changed keys one row in 40 stays for longer than it had to. */
const hashBits = 22

/** Find which rows may have changed since the watermark.
 *  @returns why that is not known now */
function changedSinceWatermark(tx: View, collection: string): ((key: Bin) => boolean) | 'settling' | 'reading' {
  const { watermark, settling } = readState(tx, collection)
  const { incarnation } = tx.position
  // Without the log back to the watermark, every row may have changed: the next flush writes them all.
  const reaches = watermark?.incarnation === incarnation && watermark.seq >= logFloor(tx)
  if (settling !== undefined || !reaches) return 'settling'
  const name = `tier changed ${collection}`
  const known = tx.memory.get(name) as ChangedBits | undefined
  const isOurs = known?.from === watermark.seq && known.incarnation === incarnation
  const made = { incarnation, from: watermark.seq, to: watermark.seq, bits: new Uint32Array(2 ** (hashBits - 5)) }
  const changed = isOurs ? known : made
  tx.memory.set(name, changed)
  const table = tableOf(tx, collection)
  for (const { seq, shape, op, key } of entriesAfter(tx, changed.to, TIER_CHANGES_PER_TURN)) {
    // Rows that a truncate removed are not there to leave; those put since are marked themselves.
    if (shape.table === table && op !== 'truncate') mark(changed.bits, keyBytes(table, key))
    // What this group has changed may still be undone, and other changes get its seqs.
    if (seq <= committedSeq(tx)) changed.to = seq
  }
  if (changed.to < committedSeq(tx)) return 'reading'
  return (key) => isMarked(changed.bits, key)
}

function committedSeq(tx: View): number {
  return (tx as Tx & { state: { log: { committedSeq: number } } }).state.log.committedSeq
}

function mark(bits: Uint32Array, key: Bin): void {
  const hash = murmur3(key) >>> (32 - hashBits)
  bits[hash >>> 5] = (bits[hash >>> 5] as number) | (1 << (hash & 31))
}

function isMarked(bits: Uint32Array, key: Bin): boolean {
  const hash = murmur3(key) >>> (32 - hashBits)
  return ((bits[hash >>> 5] as number) & (1 << (hash & 31))) !== 0
}

function count(tx: View, { collection, after, limit }: EvictCalls['count']) {
  const found = tx.raw(
    `select slot, key, bytes, cold from tier_index where +collection = ? and (slot, collection, key) > (?, ?, ?)
      order by slot, collection, key limit ?`,
    collection,
    after?.slot ?? -2,
    collection,
    fromBin(after?.key ?? ''),
    limit,
  )
  let [hotRows, hotBytes, coldRows] = [0, 0, 0]
  for (const [, , bytes, cold] of found) {
    if (cold === 1) coldRows++
    else {
      hotRows++
      hotBytes += Number(bytes)
    }
  }
  const last = found.at(-1)
  const next = found.length === limit && last ? { slot: Number(last[0]), key: toBin(last[1] as Uint8Array) } : undefined
  return { hotRows, hotBytes, coldRows, after: next }
}
