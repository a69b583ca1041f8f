/** The calls of a flush: begin, read, put, stage; and those of the committer: receipt, deletes, settle, discard.
 *
 *  1. Every call is bounded, so that other calls to the shard go on: what takes longer is asked for again.
 *  2. A flush puts what it has written as it goes; nothing of it counts before `stage`.
 *  3. A row that changes again while the flush goes on is put again: where it was put first becomes a deleted position
 *     of the flush's own file. */
import { type Bin, fromBin, toBin } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import { TIER_DEAD_LETTER_CHARS_MAX, TIER_DEAD_LETTERS_MAX, TIER_READ_BYTES } from '../../limits.ts'
import type { Position, Tx, View } from '../../shard/program.ts'
import type { Row } from '../../shard/table.ts'
import {
  type Changed,
  type ChangedRow,
  changedRows,
  entriesAfter,
  logFloor,
  rowNow,
  type ScanCursor,
  scanRows,
  tableOf,
} from './changed.ts'
import { type Places, placeColumns, placesIn } from './places.ts'
import {
  changeState,
  checkBuilding,
  type KeptReceipt,
  readPending,
  readState,
  readValue,
  writePending,
  writeValue,
} from './state.ts'
import { agrees, type DeadRow, keyRow } from './tables.ts'

/** A row that a flush has written; `file` is null for one that has gone. */
export interface PutRow {
  readonly slot: number
  readonly key: Bin
  readonly file: number | null
  readonly pos: number
  readonly seq: number
  readonly at: number
  readonly bytes: number
  readonly cold: boolean
}

/** What could not be written. */
export type DeadLetter = Omit<DeadRow, 'number'>

/** How a flush begins. */
export interface Begun {
  /** A receipt that waits already: there is nothing to write before it is committed. */
  readonly pending?: KeptReceipt
  /** A receipt that is being settled, or what an earlier flush left is being cleared: ask again. */
  readonly busy?: boolean
  readonly from: Position | null
  readonly position: Position
  /** The seq before the oldest change that the log still has. */
  readonly floor: number
}

/** Arguments by call name; the answers are named beside them. */
export interface FlushCalls {
  /** Begin a flush of a table. Answers Begun; the table is the flush's once it is not busy. */
  begin: { table: string; receipt: string; limit: number }
  /** Read rows of a collection that changed after a seq. Answers Changed. */
  read: { collection: string; after: number; limit: number }
  /** Read rows of a collection in the order of its key. Answers `{ rows, cursor? }`. */
  scan: { collection: string; cursor?: ScanCursor | undefined; limit: number }
  /** Read rows, as they are now, whose indexed or pending keys agree with a truncate's. Answers `{ rows, after? }`. */
  matching: {
    collection: string
    where: Row
    /** Only those that are not there any more, or that came with their slots and were not written here yet. */
    only?: 'gone' | 'arrived'
    after?: MatchCursor | undefined
    limit: number
  }
  /** Read changes of collections from the log. Answers LogColumns. */
  log: { after: Position; changes: number; collections: readonly string[] }
  /** Keep what was written. Answers null. */
  put: { table: string; receipt: string; rows: readonly PutRow[]; dead?: readonly DeadLetter[] }
  /** Make a receipt durable. Answers null. */
  stage: { table: string; receipt: KeptReceipt }
  /** Answers the table's KeptReceipt, or null. */
  receipt: { table: string }
  /** Tell a piece of a receipt's deleted rows. Answers `{ deletes: Places[], after? }`; those that are `gone` may be
   *  told twice, once by each file that a rewrite knows, of which the table has one. */
  deletes: { table: string; receipt: string; after?: DeletesCursor | undefined; limit: number }
  /** A receipt is committed: bring the index to it, a slice at a time. Answers `{ more }`. */
  settle: { table: string; receipt: string; limit: number }
  /** A receipt will never be committed: forget it, a slice at a time. Answers `{ more }`. */
  discard: { table: string; receipt: string; limit: number }
  /** Read dead letters past a number. Answers DeadRow[]. */
  dead: { after: number; limit: number }
}

/** Where `matching` goes on. */
export interface MatchCursor {
  readonly phase: 'index' | 'pending'
  readonly slot: number
  readonly key: Bin
}

/** Where `deletes` goes on. */
export type DeletesCursor =
  | { readonly phase: 'pending'; readonly key: Bin }
  | { readonly phase: 'gone'; readonly file: number; readonly pos: number }

/** The calls. */
export const flushCalls: { [Name in keyof FlushCalls]: (tx: Tx, args: FlushCalls[Name]) => unknown } = {
  begin,
  read: (tx, { collection, after, limit }): Changed => changedRows(tx, tableOf(tx, collection), { after, limit }),
  scan: (tx, { collection, cursor, limit }) => scanRows(tx, tableOf(tx, collection), { cursor, limit }),
  matching,
  log(tx, { after, changes, collections }) {
    const wanted = new Set(collections)
    return tx.logColumns(after, { changes, bytes: TIER_READ_BYTES, wanted: (table) => wanted.has(table.collection) })
  },
  put,
  stage(tx, { table, receipt }) {
    checkBuilding(tx, table, receipt.id)
    writePending(tx, table, receipt)
    changeState(tx, table, { building: undefined })
    return null
  },
  receipt: (tx, { table }) => readPending(tx, table) ?? null,
  deletes,
  settle,
  discard(tx, { table, receipt, limit }) {
    if (readPending(tx, table)?.id === receipt) writePending(tx, table, undefined)
    // Another flush has begun since: what is there is its.
    if (readPending(tx, table) !== undefined || readState(tx, table).building !== undefined) return { more: false }
    return { more: clear(tx, table, limit) }
  },
  dead: (tx, { after, limit }): DeadRow[] =>
    tx.all('select * from tier_dead where number > ? order by number limit ?', after, limit) as unknown as DeadRow[],
}

function begin(tx: Tx, { table, receipt, limit }: FlushCalls['begin']): Begun {
  const state = readState(tx, table)
  const pending = readPending(tx, table)
  const common = { from: state.watermark, position: tx.position, floor: logFloor(tx) }
  if (pending !== undefined) return { ...common, pending }
  if (state.settling !== undefined) {
    settle(tx, { table, receipt: state.settling, limit })
    return { ...common, busy: true }
  }
  if (state.building !== receipt) changeState(tx, table, { building: receipt })
  return clear(tx, table, limit) ? { ...common, busy: true } : common
}

/** Remove what a flush put that came to nothing.
 *  @returns whether there is more */
function clear(tx: Tx, table: string, limit: number): boolean {
  const rows = `delete from tier_pending where collection = ? and key in
    (select key from tier_pending where collection = ? order by key limit ?) returning 1`
  const gone = `delete from tier_gone where collection = ? and own = 1 and (file, pos) in
    (select file, pos from tier_gone where collection = ? and own = 1 limit ?) returning 1`
  const removed = [rows, gone].map((statement) => tx.write(statement, table, table, limit).length)
  return removed.some((count) => count === limit)
}

function put(tx: Tx, { table, receipt, rows, dead = [] }: FlushCalls['put']): null {
  checkBuilding(tx, table, receipt)
  for (const { slot, key, file, pos, seq, at, bytes, cold } of rows) {
    const packed = fromBin(key)
    const [before] = tx.raw(findPending, table, packed)
    if (before?.[0] != null) tx.write(insertGone, table, before[0], before[1] as number, 1)
    tx.write(upsertPending, table, packed, slot, file, pos, seq, at, bytes, cold ? 1 : 0)
  }
  putDead(tx, dead)
  return null
}

const findPending = 'select file, pos from tier_pending where collection = ? and key = ?'
const insertGone = `insert into tier_gone (collection, file, pos, own) values (?, ?, ?, ?)
  on conflict (collection, file, pos) do nothing`
const upsertPending = `insert into tier_pending (collection, key, slot, file, pos, seq, at, bytes, cold)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (collection, key) do update set slot = excluded.slot,
  file = excluded.file, pos = excluded.pos, alt_file = null, alt_pos = null, seq = excluded.seq, at = excluded.at,
  bytes = excluded.bytes, cold = excluded.cold`

/** Keep dead letters until they are written, the newest ones first to go when nobody writes them. */
export function putDead(tx: Tx, dead: readonly DeadLetter[]): void {
  if (dead.length === 0) return
  let number = readValue<number>(tx, 'dead letters') ?? 0
  const there = Number(tx.raw('select count(*) from tier_dead')[0]?.[0])
  for (const { type, id, reason, data, at, seq } of dead.slice(0, Math.max(0, TIER_DEAD_LETTERS_MAX - there))) {
    const kept = data?.slice(0, TIER_DEAD_LETTER_CHARS_MAX) ?? null
    tx.write(
      'insert into tier_dead (number, type, id, reason, data, at, seq) values (?, ?, ?, ?, ?, ?, ?)',
      ++number,
      type,
      wellFormed(id),
      wellFormed(reason),
      kept && wellFormed(kept),
      at,
      seq,
    )
  }
  writeValue(tx, 'dead letters', number)
}

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Replace lone surrogates, which no file takes. */
const wellFormed = (value: string) => (value.isWellFormed() ? value : text.decode(utf8.encode(value)))

function matching(tx: Tx, { collection, where, only, after, limit }: FlushCalls['matching']) {
  const table = tableOf(tx, collection)
  const cursor = after ?? { phase: 'index', slot: -2, key: '' }
  const found =
    cursor.phase === 'index'
      ? tx.raw(
          only === 'arrived' ? pageOfArrived : pageOfIndex,
          collection,
          cursor.slot,
          collection,
          fromBin(cursor.key),
          limit,
        )
      : tx.raw(pageOfPending, collection, fromBin(cursor.key), limit)
  const rows: ChangedRow[] = []
  let last = cursor
  for (const [slot, bytes] of found) {
    const packed = toBin(bytes as Uint8Array)
    last = { phase: cursor.phase, slot: Number(slot), key: packed }
    const key = keyRow(table, packed)
    if (!agrees(key, where)) continue
    const row = rowNow(tx, table, { packed, key })
    if (row.row === null || only !== 'gone') rows.push(row)
  }
  if (found.length === limit) return { rows, after: last }
  // What is pending was read here as it was: when it has gone since, the log says so.
  const isEnd = cursor.phase === 'pending' || only !== undefined
  return { rows, after: isEnd ? undefined : { phase: 'pending', slot: 0, key: '' } }
}

const pageOfIndex = `select slot, key from tier_index where +collection = ?
  and (slot, collection, key) > (?, ?, ?) order by slot, collection, key limit ?`
const pageOfArrived = `select slot, key from tier_index where collection = ? and arrived = 1
  and (slot, collection, key) > (?, ?, ?) order by slot, collection, key limit ?`
const pageOfPending = 'select slot, key from tier_pending where collection = ? and key > ? order by key limit ?'

/** Places whose rows are not so any more once the receipt is committed: those that the index has of its keys, and what
 *  is no row's here. */
function deletes(tx: Tx, { table, receipt, after, limit }: FlushCalls['deletes']) {
  const isPending = readPending(tx, table)?.id === receipt
  if (!isPending) throw new Failure('conflict', `the receipt ${receipt} of ${table} is not pending here`)
  const cursor: DeletesCursor = after ?? { phase: 'pending', key: '' }
  if (cursor.phase === 'pending') {
    const found = tx.raw(pageOfDeletes, table, fromBin(cursor.key), limit)
    const deleted = found.map(([, ...places]) => placesIn(places)).filter((places) => places.length > 0)
    const last = found.at(-1)
    const next: DeletesCursor =
      found.length === limit && last
        ? { phase: 'pending', key: toBin(last[0] as Uint8Array) }
        : { phase: 'gone', file: -1, pos: -1 }
    return { deletes: deleted, after: next }
  }
  const found = tx.raw(pageOfGone, table, cursor.file, cursor.pos, limit)
  const deleted = found.map(([file, pos]): Places => [{ file: Number(file), pos: Number(pos) }])
  const last = found.at(-1)
  const isEnd = found.length < limit || last === undefined
  return {
    deletes: deleted,
    gone: true,
    after: isEnd ? undefined : { phase: 'gone', file: Number(last[0]), pos: Number(last[1]) },
  }
}

const pageOfDeletes = `select p.key, i.file, i.pos, i.alt_file, i.alt_pos from tier_pending p left join tier_index i
  on i.slot = p.slot and i.collection = p.collection and i.key = p.key
  where p.collection = ? and p.key > ? order by p.key limit ?`
const pageOfGone = `select file, pos from tier_gone where collection = ? and (file, pos) > (?, ?)
  order by file, pos limit ?`

function settle(tx: Tx, { table, receipt, limit }: FlushCalls['settle']): { more: boolean } {
  const pending = readPending(tx, table)
  if (pending?.id === receipt) {
    changeState(tx, table, { watermark: pending.to, settling: receipt })
    writePending(tx, table, undefined)
    writeValue(tx, `gone ${table}`, true)
  } else if (readState(tx, table).settling !== receipt) return { more: false }
  // First what the commit has deleted, then what settling finds to be deleted by the next one.
  if (readValue(tx, `gone ${table}`) !== undefined) {
    const statement = `delete from tier_gone where collection = ? and (file, pos) in
      (select file, pos from tier_gone where collection = ? limit ?) returning 1`
    if (tx.write(statement, table, table, limit).length === limit) return { more: true }
    writeValue(tx, `gone ${table}`, undefined)
  }
  if (table === deadTable) {
    const { watermark } = readState(tx, table)
    tx.write('delete from tier_dead where number <= ?', watermark?.seq ?? 0)
  }
  if (settleRows(tx, table, limit)) return { more: true }
  changeState(tx, table, { settling: undefined })
  return { more: false }
}

/** The table whose positions are numbers of dead letters. */
export const deadTable = 'dead_letters'

function settleRows(tx: Tx, table: string, limit: number): boolean {
  const page = tx.raw('select key from tier_pending where collection = ? order by key limit ?', table, limit)
  const last = page.at(-1)?.[0]
  if (last === undefined) return false
  const left = slotsLeft(tx, table)
  if (left !== undefined) {
    const moved = JSON.stringify(left)
    for (const [file, pos] of [
      ['file', 'pos'],
      ['alt_file', 'alt_pos'],
    ] as const) {
      const gone = `insert into tier_gone (collection, file, pos, own) select collection, ${file}, ${pos}, 0
        from tier_pending where collection = ? and key <= ? and ${file} is not null and ${pos} >= 0
        and slot in (select value from json_each(?)) on conflict (collection, file, pos) do nothing`
      tx.write(gone, table, last, moved)
    }
    const drop = `delete from tier_pending where collection = ? and key <= ?
      and slot in (select value from json_each(?))`
    tx.write(drop, table, last, moved)
  }
  tx.write(
    `delete from tier_index where (slot, collection, key) in (select slot, collection, key from tier_pending
      where collection = ? and key <= ? and file is null)`,
    table,
    last,
  )
  tx.write(
    `insert into tier_index (slot, collection, key, ${placeColumns}, seq, at, bytes, cold, arrived)
      select slot, collection, key, ${placeColumns}, seq, at, bytes, cold, 0 from tier_pending
      where collection = ? and key <= ? and file is not null
      on conflict (slot, collection, key) do update set file = excluded.file, pos = excluded.pos,
      alt_file = excluded.alt_file, alt_pos = excluded.alt_pos, seq = excluded.seq, at = excluded.at,
      bytes = excluded.bytes, cold = excluded.cold, arrived = 0`,
    table,
    last,
  )
  tx.write('delete from tier_pending where collection = ? and key <= ?', table, last)
  return page.length === limit
}

/** Find the slots that have moved away since the receipt that is being settled was written. */
function slotsLeft(tx: View, table: string): number[] | undefined {
  const { watermark } = readState(tx, table)
  if (watermark === null || watermark.epoch === tx.position.epoch) return undefined
  const name = `tier left ${table}`
  const known = tx.memory.get(name) as { seq: number; to: number; slots: Set<number> } | undefined
  const left =
    known?.seq === watermark.seq ? known : { seq: watermark.seq, to: watermark.seq, slots: new Set<number>() }
  for (;;) {
    const entries = entriesAfter(tx, left.to, 10_000)
    for (const { seq, op, payload, key } of entries) {
      left.to = seq
      if (op === 'truncate' && payload?.moved === true) left.slots.add(Number(key.slot))
    }
    if (left.to >= tx.position.seq || entries.length === 0) break
  }
  tx.memory.set(name, left)
  return left.slots.size === 0 ? undefined : [...left.slots]
}
