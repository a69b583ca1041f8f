/** The call `since`: a shard's rows that are newer than a snapshot, in pieces that are consistent together.
 *
 *  1. The log says which keys have changed since; their rows are read as they are now. A row that changes while the
 *     pieces are told stands in the log past what has been told, so it comes again; the last piece ends where the
 *     shard is in that turn.
 *  2. Where the log does not reach back to the snapshot, every row is told, and every place that the index knows is
 *     deleted: the answer is right all the same.
 *  3. A truncate while pieces are told takes rows that came before, and nobody knows which: the reader begins anew. */
import { type Bin, fromBin, toBin } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import { TIER_DELETES_PER_TURN, TIER_SINCE_ROWS_MAX } from '../../limits.ts'
import type { Position, Tx } from '../../shard/program.ts'
import type { RelationColumn, RelationValue } from '../../shard/relation.ts'
import type { Row, Table } from '../../shard/table.ts'
import {
  type ChangedRow,
  changedRows,
  logFloor,
  type ScanCursor,
  scanRows,
  type Truncated,
  tableOf,
} from './changed.ts'
import { type Places, placeColumns, placesIn, placesOf } from './places.ts'
import type { SinceReply, SinceRequest } from './port.ts'
import { samePosition } from './positions.ts'
import { readPending, readState } from './state.ts'
import { agrees, keyRow } from './tables.ts'

/** Where an answer goes on. */
type Cursor = {
  /** Where the shard was at the first piece. */
  readonly began: number
  /** Rows have been told that may come again. */
  readonly told: boolean
} & (
  | { readonly phase: 'gone'; readonly file: number; readonly pos: number; readonly follows: Next }
  | {
      readonly phase: 'index' | 'pending'
      /** Places of rows whose keys agree with one of these. */
      readonly where: readonly Row[]
      /** Only of those that came with their slots and were not written here yet. */
      readonly arrived?: boolean
      /** Of the index nothing: it went with the slots. */
      readonly left?: boolean
      readonly slot: number
      readonly key: Bin
      readonly follows: Next
    }
  | { readonly phase: 'scan'; readonly scan?: ScanCursor | undefined }
  | { readonly phase: 'log'; readonly seq: number }
)

/** What follows on deleted places. */
type Next =
  | { readonly phase: 'scan' }
  | { readonly phase: 'log'; readonly seq: number }
  | { readonly phase: 'gone'; readonly file: number; readonly pos: number; readonly follows: Next }
  | Extract<Cursor, { readonly phase: 'index' | 'pending' }>

/** Answer a piece of what is newer than a snapshot.
 *  @throws not_found for the collection or a column */
export function since(tx: Tx, request: SinceRequest): SinceReply {
  const { collection, after } = request
  const table = tableOf(tx, collection)
  const rows = new Rows(tx, table, request)
  const { watermark } = readState(tx, collection)
  const isPending = samePosition(readPending(tx, collection)?.to, after) && after !== undefined
  // A snapshot that has nothing of this shard needs nothing of it to fit: all rows are told.
  const fits = after === undefined || isPending || samePosition(watermark ?? undefined, after)
  if (!fits) return rows.stale(watermark ?? undefined)
  // A shard that was restored may have missed rewrites: until it is written anew, its places are not the snapshot's.
  if (after !== undefined && after.incarnation !== tx.position.incarnation) return rows.stale(watermark ?? undefined)
  const overlay = isPending || readState(tx, collection).settling !== undefined
  if (request.known !== undefined && !continues(tx, request)) return rows.restart()
  let cursor = (request.cursor as Cursor | undefined) ?? begin(tx, request)
  for (;;) {
    const reply = step(tx, rows, { cursor, overlay, known: request.known })
    // Mostly there are no places to tell of: then the next phase is in the same piece.
    if (reply.cursor === undefined || reply.deletes.length > 0 || cursor.phase === 'scan' || cursor.phase === 'log') {
      return reply
    }
    cursor = reply.cursor as Cursor
  }
}

function step(
  tx: Tx,
  rows: Rows,
  { cursor, overlay, known }: { cursor: Cursor; overlay: boolean; known: Position | undefined },
): SinceReply {
  switch (cursor.phase) {
    case 'gone':
      return gone(tx, rows, cursor)
    case 'index':
    case 'pending':
      return index(tx, rows, { cursor, overlay })
    case 'scan':
      return scan(tx, rows, cursor)
    case 'log':
      return log(tx, rows, { cursor, overlay, known })
  }
}

/** Whether the log leads from an earlier answer of the same snapshot to now. */
function continues(tx: Tx, { known, after }: SinceRequest): boolean {
  // With slots that came, rows came that the log does not speak of.
  if (known?.incarnation !== tx.position.incarnation || known.epoch !== tx.position.epoch) return false
  const from = after?.incarnation === known.incarnation ? after.seq : 0
  return known.seq >= Math.max(from, logFloor(tx)) && known.seq <= tx.position.seq
}

function begin(tx: Tx, { known, after }: SinceRequest): Cursor {
  const began = tx.position.seq
  if (known !== undefined) return { began, told: true, phase: 'log', seq: known.seq }
  const start = { began, told: false }
  const reaches = after?.incarnation === tx.position.incarnation && after.seq >= logFloor(tx)
  if (reaches) {
    const gone = { phase: 'gone', file: -1, pos: -1, follows: { phase: 'log', seq: after.seq } } as const
    return { ...start, phase: 'index', where: [{}], arrived: true, slot: -2, key: '', follows: gone }
  }
  // Also of a shard that the snapshot does not know: rows may have come here from another, with their index.
  return { ...start, phase: 'pending', where: [{}], slot: -2, key: '', follows: { phase: 'scan' } }
}

/** Gathers one piece. */
class Rows {
  readonly table: Table
  readonly limit: number
  private readonly tx: Tx
  private readonly columns: readonly (readonly RelationValue[] & RelationValue[])[]
  private readonly read: readonly ((row: ChangedRow) => RelationValue)[]
  private readonly tests: readonly ((row: Row) => boolean)[]
  private readonly ids: string[] = []
  private readonly gone: string[] = []
  private readonly places = new Map<number, Set<number>>()

  constructor(tx: Tx, table: Table, request: SinceRequest) {
    this.tx = tx
    this.table = table
    this.limit = Math.max(1, Math.min(request.limit, TIER_SINCE_ROWS_MAX))
    this.columns = request.columns.map(() => [])
    this.read = request.columns.map((name) => reader(table, name))
    this.tests = (request.where ?? []).flatMap((test) => tester(table, test) ?? [])
  }

  /** Tell a row, or that it is gone. */
  add(changed: ChangedRow, told: boolean): void {
    const { row, id } = changed
    if (row !== null && this.tests.every((test) => test(row))) {
      this.ids.push(id)
      for (const [at, column] of this.columns.entries())
        column.push((this.read[at] as (row: ChangedRow) => RelationValue)(changed))
    } else if (told) this.gone.push(id)
  }

  /** Tell that a row is not so any more, wherever a reader may have it. */
  remove(places: Places): void {
    for (const { file, pos } of places) {
      const known = this.places.get(file)
      if (known === undefined) this.places.set(file, new Set([pos]))
      else known.add(pos)
    }
  }

  reply(cursor: Cursor | undefined, again = false): SinceReply {
    const deletes = [...this.places].map(([file, set]) => [file, [...set].sort((a, b) => a - b)] as const)
    const { columns, ids, gone } = this
    return { columns, ids, gone, again, deletes, cursor, ...(cursor === undefined && { position: this.tx.position }) }
  }

  restart(): SinceReply {
    return { columns: this.columns, ids: [], gone: [], again: true, deletes: [], cursor: undefined, restart: true }
  }

  stale(watermark: SinceRequest['after']): SinceReply {
    const columns = this.columns.map(() => [])
    return { columns, ids: [], gone: [], again: false, deletes: [], cursor: undefined, stale: { watermark } }
  }
}

function reader(table: Table, name: string): (changed: ChangedRow) => RelationValue {
  if (name === '_id') return ({ id }) => id
  if (name === '_seq') return ({ seq }) => seq
  if (name === '_at') return ({ at }) => at * 1000
  // A shard does not know its number; whoever asks does.
  if (name === '_shard') return () => null
  const column = columnOf(table, name)
  return ({ row }) => column.value(row as Row)
}

function columnOf(table: Table, name: string): RelationColumn {
  const found = table.relation?.columns.find((column) => column.name === name)
  if (found !== undefined) return found
  throw new Failure('not_found', `collection ${table.collection} has no column ${name}`)
}

/** Make a test that no row fails which agrees with the condition; undefined where that takes more than comparing. */
function tester(
  table: Table,
  [name, op, wanted]: NonNullable<SinceRequest['where']>[number],
): ((row: Row) => boolean) | undefined {
  if (name.startsWith('_')) return undefined
  const column = columnOf(table, name)
  // Text is ordered by code points, not by UTF-16.
  if (typeof wanted === 'string' && op !== '=') return undefined
  return (row) => {
    const value = column.value(row)
    if (value === null) return false
    if (typeof value !== typeof wanted) return true
    const number = value as number
    if (op === '=') return value === wanted
    if (op === '<') return number < Number(wanted)
    if (op === '<=') return number <= Number(wanted)
    return op === '>' ? number > Number(wanted) : number >= Number(wanted)
  }
}

/** Tell places that belong to no row here any more. */
function gone(tx: Tx, rows: Rows, cursor: Extract<Cursor, { phase: 'gone' }>): SinceReply {
  const { began, told, follows } = cursor
  const statement = `select file, pos from tier_gone where collection = ? and own = 0 and (file, pos) > (?, ?)
    order by file, pos limit ?`
  const found = tx.raw(statement, rows.table.collection, cursor.file, cursor.pos, TIER_DELETES_PER_TURN)
  for (const [file, pos] of found) rows.remove([{ file: Number(file), pos: Number(pos) }])
  const last = found.at(-1)
  const isEnd = found.length < TIER_DELETES_PER_TURN || last === undefined
  if (!isEnd) return rows.reply({ ...cursor, file: Number(last[0]), pos: Number(last[1]) })
  return rows.reply({ began, told, ...follows })
}

/** Tell the places of all rows whose keys agree with a truncate: first what is pending, as it is settled into the index
 *  between two pieces. */
function index(
  tx: Tx,
  rows: Rows,
  { cursor, overlay }: { cursor: Extract<Cursor, { phase: 'index' | 'pending' }>; overlay: boolean },
): SinceReply {
  const { began, told, follows, where, phase } = cursor
  const { table, tests } = { table: rows.table, tests: where }
  const { collection } = table
  const packed = fromBin(cursor.key)
  // Without a receipt of the snapshot's, what is pending is in no snapshot.
  const isPassed = phase === 'pending' && !overlay
  const found = isPassed
    ? []
    : phase === 'index'
      ? tx.raw(
          cursor.arrived ? pageOfArrived : pageOfIndex,
          collection,
          cursor.slot,
          collection,
          packed,
          TIER_DELETES_PER_TURN,
        )
      : tx.raw(pageOfPending, collection, packed, TIER_DELETES_PER_TURN)
  for (const [, bytes, ...places] of found) {
    const key = keyRow(table, toBin(bytes as Uint8Array))
    if (tests.some((one) => agrees(key, one))) rows.remove(placesIn(places))
  }
  const last = found.at(-1)
  if (found.length === TIER_DELETES_PER_TURN && last !== undefined) {
    return rows.reply({ ...cursor, slot: Number(last[0]), key: toBin(last[1] as Uint8Array) })
  }
  if (phase === 'pending' && !cursor.left) return rows.reply({ ...cursor, phase: 'index', slot: -2, key: '' })
  return rows.reply({ began, told, ...follows })
}

const pageOfIndex = `select slot, key, ${placeColumns} from tier_index where +collection = ?
  and (slot, collection, key) > (?, ?, ?) order by slot, collection, key limit ?`
const pageOfArrived = `select slot, key, ${placeColumns} from tier_index where collection = ? and arrived = 1
  and (slot, collection, key) > (?, ?, ?) order by slot, collection, key limit ?`
const pageOfPending = `select slot, key, ${placeColumns} from tier_pending where collection = ? and key > ?
  order by key limit ?`

function scan(tx: Tx, rows: Rows, cursor: Extract<Cursor, { phase: 'scan' }>): SinceReply {
  const { began } = cursor
  const piece = scanRows(tx, rows.table, { cursor: cursor.scan, limit: rows.limit })
  for (const row of whole(tx, rows.table, piece.rows)) rows.add(row, false)
  const next: Cursor =
    piece.cursor === undefined
      ? { began, told: true, phase: 'log', seq: began }
      : { began, told: true, phase: 'scan', scan: piece.cursor }
  const isEnd = piece.cursor === undefined && tx.position.seq === began
  return rows.reply(isEnd ? undefined : next)
}

function log(
  tx: Tx,
  rows: Rows,
  {
    cursor,
    overlay,
    known,
  }: { cursor: Extract<Cursor, { phase: 'log' }>; overlay: boolean; known: Position | undefined },
): SinceReply {
  const { began, told } = cursor
  const { table } = rows
  const changed = changedRows(tx, table, { after: cursor.seq, limit: rows.limit })
  const truncates = changed.truncates.filter(({ moved }) => !moved)
  if (told && truncates.some(({ seq }) => known !== undefined || seq > began)) {
    return known === undefined ? rows.stale(readState(tx, table.collection).watermark ?? undefined) : rows.restart()
  }
  for (const row of whole(tx, table, changed.rows)) {
    // A receipt of rows written anew ends where it begins: nobody here knows whether the snapshot has it. What it does
    // not have means nothing.
    if (overlay) rows.remove(placesOf(tx, table.collection, { ...row, overlay }))
    rows.remove(placesOf(tx, table.collection, row))
    rows.add(row, told)
  }
  const next: Cursor = { began, told: true, phase: 'log', seq: changed.next }
  if (changed.truncates.length === 0) return rows.reply(changed.done ? undefined : next, told)
  return rows.reply(placesAfter(next, changed.truncates), told)
}

/** Go on with the places of rows that were truncated, or left with their slots. Of the latter the index went too; but
 *  what the snapshot has by a receipt of here is pending until it is settled, and then among what is gone. */
function placesAfter(next: Cursor & { phase: 'log' }, truncates: readonly Truncated[]): Cursor {
  const start = { began: next.began, told: true, phase: 'pending', slot: -2, key: '' } as const
  const of = (moved: boolean) => truncates.filter((one) => one.moved === moved).map(({ where }) => where)
  const left: Cursor =
    of(true).length === 0
      ? next
      : { ...start, where: of(true), left: true, follows: { phase: 'gone', file: -1, pos: -1, follows: next } }
  return of(false).length === 0 ? left : { ...start, where: of(false), follows: left }
}

/** Have the payloads of rows fetched that are to be told and are cold. */
function whole(tx: Tx, table: Table, changed: readonly ChangedRow[]): readonly ChangedRow[] {
  tx.wholeAll(
    table,
    changed.flatMap(({ row }) => (row === null ? [] : [row])),
  )
  return changed
}
