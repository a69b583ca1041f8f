/** Calls to a shard as such: what it owns, its log, its state, and the copying of slots to another shard.
 *  They are answered whatever the shard owns. */
import { Failure } from '../errors.ts'
import { CHANGES_PER_READ_MAX, COPY_BYTES_MAX, LOG_HOLD_NAME_CHARS_MAX, LOG_HOLDS_MAX } from '../limits.ts'
import type { Capture, Entry } from './log.ts'
import type { SlotRange } from './map.ts'
import { Ownership, type OwnershipData } from './ownership.ts'
import type { Call, Op, Position, Program, Tx } from './program.ts'
import type { Row, Table } from './table.ts'
import type { ShardTx } from './tx.ts'

/** The name of the program of these calls. */
export const SYSTEM = 'shard'

/** One change as a shard gives it to followers. Plain data. */
export interface ChangeRecord {
  seq: number
  epoch: number
  atMs: number
  collection: string
  op: Op
  /** The slot of the row; -1 for a truncate. */
  slot: number
  documentId: string
  /** Null when there was no row before; absent when that is not known. */
  before?: Record<string, unknown> | null
  after?: Record<string, unknown>
  /** True when the documents were too large to keep. */
  omitted?: boolean
  /** True of a row that came with its slot from another shard: it was put there, and is in that shard's log. */
  moved?: boolean
}

/** What a follower asks for. */
export interface ChangesRequest {
  /** Where it stands; `start` is the oldest change kept, `now` the newest. */
  after: Position | 'start' | 'now'
  /** Changes at most. */
  limit: number
  /** Only these collections; all when left out. */
  collections?: readonly string[]
}

/** What a follower gets. */
export interface ChangesReply {
  changes: ChangeRecord[]
  /** Where to go on. Moves past filtered changes too. */
  next: Position
  /** Whether there is more at once. */
  more: boolean
}

/** What a shard tells of itself. */
export interface ShardStatus {
  position: Position
  /** The seq before the oldest change kept. */
  floor: number
  slots: number
  sizeBytes: number
  dirtyRows: number
  redoBytes: number
  captures: [string, Capture][]
  /** Who holds the log, and past which seq. */
  holds: [string, number][]
  /** The tables that are in the log. */
  tables: string[]
}

/** One run of rows on its way to another shard. */
export interface CopyReply {
  rows: Row[]
  /** Whether the table has more rows in the slots. */
  more: boolean
}

/** Arguments by call name; the answers are named beside them. */
export interface SystemCalls {
  /** First word to a new shard. Answers OwnershipData. */
  assign: { epoch: number; slots: SlotRange[] }
  /** Before slots arrive: refuse shard-wide calls until `activate`. Answers null. */
  prepare: { epoch: number; slots: SlotRange[] }
  /** Stop serving slots that go to shard `to`. Answers the last Position that names them. */
  fence: { epoch: number; slots: SlotRange[]; to: number }
  /** Read rows of a run of slots in key order. Answers CopyReply. */
  copy: { table: string; slots: SlotRange; after?: Row; limit: number }
  /** Store copied rows of slots that were prepared for that epoch. Answers null. */
  import: { epoch: number; table: string; rows: Row[] }
  /** Serve the slots that were prepared. Answers null. */
  activate: { epoch: number }
  /** Remove rows of slots that were fenced at that epoch; runs that lie within those of the fence. Answers null. */
  discard: { epoch: number; slots: SlotRange[] }
  /** Set what the log keeps of a collection; with `raise`, a lower level changes nothing. Answers null. */
  capture: { collection: string; level: Capture; raise?: boolean }
  /** Keep the log past a seq (up to ShardLimits.heldBytes) until the hold of that name moves on; null ends it. Answers
   *  null. */
  hold: { name: string; seq: number | null }
  /** Read the log. Answers ChangesReply. */
  changes: ChangesRequest
  /** Answers the names of the tables whose rows move with their slots. */
  tables: null
  /** Answers ShardStatus. */
  status: null
}

/** The program of these calls; every shard runs it. */
export const systemProgram: Program = {
  name: SYSTEM,
  tables: [],
  writesSql: ({ name }) => name !== 'changes' && name !== 'tables' && name !== 'status',
  run(tx: Tx, call: Call): unknown {
    const handler = handlers[call.name as keyof SystemCalls]
    if (handler === undefined) throw new Failure('unsupported', `a shard has no call ${call.name}`)
    return (handler as (tx: ShardTx, args: unknown) => unknown)(tx as ShardTx, call.args)
  },
}

const handlers: { [Name in keyof SystemCalls]: (tx: ShardTx, args: SystemCalls[Name]) => unknown } = {
  assign: (tx, { epoch, slots }) => keep(tx, tx.state.ownership.assign(epoch, slots)),
  prepare: (tx, { epoch, slots }) => keep(tx, tx.state.ownership.prepare(epoch, slots)),
  fence(tx, { epoch, slots, to }) {
    keep(tx, tx.state.ownership.fence(epoch, slots, to))
    return tx.position
  },
  copy: (tx, args) => copy(tx, declared(tx, args.table), args),
  import(tx, { epoch, table, rows }) {
    const target = declared(tx, table)
    tx.state.ownership.admit(
      epoch,
      rows.map((row) => slotOf(target, row)),
    )
    for (const row of rows) tx.receive(target, row)
    return null
  },
  activate(tx, { epoch }) {
    // What programs remember of the shard knows nothing of the rows that came.
    tx.state.memory.clear()
    return keep(tx, tx.state.ownership.activate(epoch))
  },
  discard(tx, { epoch, slots }) {
    const data = tx.state.ownership.discard(epoch, slots)
    if (data === undefined) return null
    for (const table of moving(tx)) {
      for (const run of slots) discardRun(tx, table, run)
    }
    return keep(tx, data)
  },
  capture,
  hold,
  changes,
  tables: (tx) => moving(tx).map(({ name }) => name),
  status(tx): ShardStatus {
    const { state } = tx
    return {
      position: tx.position,
      floor: state.log.floor,
      slots: state.ownership.size,
      sizeBytes: state.sql.sizeBytes(),
      dirtyRows: state.dirtyRows,
      redoBytes: state.log.redoBytes,
      captures: [...state.captures],
      holds: [...state.holds],
      tables: state.tables.filter(({ internal }) => !internal).map(({ name }) => name),
    }
  },
}

function keep(tx: ShardTx, data: OwnershipData | undefined): null {
  if (data === undefined) return null
  tx.state.writeMeta('ownership', data)
  tx.state.ownership = new Ownership(data)
  return null
}

function declared(tx: ShardTx, name: string): Table {
  const table = tx.state.tables.find((table) => table.name === name)
  if (table === undefined) throw new Failure('not_found', `no table ${name}`)
  return table
}

/** The tables whose rows go where their slot goes. */
function moving(tx: ShardTx): Table[] {
  return tx.state.tables.filter(({ primaryKey, slot }) => primaryKey[0] === 'slot' || slot !== undefined)
}

/** @returns the slot of a row; -1 when neither the row nor its table says it */
function slotOf(table: Table, row: Row): number {
  return Number(table.slot ?? row.slot ?? -1)
}

function discardRun(tx: ShardTx, table: Table, [from, to]: SlotRange): void {
  const own = table.slot
  if (own === undefined) for (let slot = from; slot <= to; slot++) tx.discard(table, { slot })
  else if (own >= from && own <= to) tx.discard(table, {})
}

function copy(tx: ShardTx, table: Table, { slots: [from, to], after, limit }: SystemCalls['copy']): CopyReply {
  const own = table.slot
  if (own !== undefined && (own < from || own > to)) return { rows: [], more: false }
  tx.settle(table, from, to)
  const { sql } = tx.state.of(table)
  const key = table.primaryKey
  const names = Object.keys(table.columns).join(', ')
  const conditions = own === undefined ? ['slot between ? and ?'] : []
  if (after !== undefined) conditions.push(`(${key.join(', ')}) > (${key.map(() => '?').join(', ')})`)
  const where = conditions.length > 0 ? ` where ${conditions.join(' and ')}` : ''
  const statement = `select ${names} from ${table.name}${where} order by ${key.join(', ')}`
  const values = [...(own === undefined ? [from, to] : []), ...(after === undefined ? [] : sql.keyValues(after))]
  const rows: Row[] = []
  let sizeBytes = 0
  for (const found of tx.iterate(statement, ...values)) {
    // At least one row, however large: else there would be no progress.
    if (rows.length >= limit || sizeBytes > COPY_BYTES_MAX) return { rows, more: true }
    const row = sql.fromSql(found)
    for (const value of Object.values(row)) sizeBytes += typeof value === 'number' ? 8 : (value?.length ?? 0)
    rows.push(row)
  }
  return { rows, more: false }
}

const captureLevels: readonly Capture[] = ['key', 'after', 'full']

function capture(tx: ShardTx, { collection, level, raise = false }: SystemCalls['capture']): null {
  const { state } = tx
  if (!state.tables.some((table) => table.collection === collection && !table.internal)) {
    throw new Failure('not_found', `no collection ${collection}`)
  }
  const kept = state.captures.get(collection) ?? 'key'
  // Followers ask at every start, and several may ask for one collection: none may take from another.
  if (kept === level || (raise && captureLevels.indexOf(kept) > captureLevels.indexOf(level))) return null
  if (level === 'key') state.captures.delete(collection)
  else state.captures.set(collection, level)
  state.writeMeta('captures', [...state.captures])
  return null
}

function hold({ state }: ShardTx, { name, seq }: SystemCalls['hold']): null {
  const { holds } = state
  if ((holds.get(name) ?? null) === seq) return null
  if (typeof name !== 'string' || name === '' || name.length > LOG_HOLD_NAME_CHARS_MAX) {
    throw new Failure('invalid', `a hold's name has 1 to ${LOG_HOLD_NAME_CHARS_MAX} chars`)
  }
  if (seq !== null && !(Number.isSafeInteger(seq) && seq >= 0)) throw new Failure('invalid', `no seq to hold: ${seq}`)
  if (seq !== null && !holds.has(name) && holds.size >= LOG_HOLDS_MAX) {
    throw new Failure('limit', `a log has at most ${LOG_HOLDS_MAX} holds`)
  }
  if (seq === null) holds.delete(name)
  else holds.set(name, seq)
  state.writeMeta('holds', [...holds])
  return null
}

function startOf(tx: ShardTx, after: ChangesRequest['after']): number {
  const { state } = tx
  if (after === 'start') return state.log.floor
  if (after === 'now') return state.log.committedSeq
  return state.seqOf(after)
}

function changes(tx: ShardTx, { after, limit, collections }: ChangesRequest): ChangesReply {
  const { log } = tx.state
  const from = startOf(tx, after)
  const entries = log.read(from, Math.min(limit, CHANGES_PER_READ_MAX))
  const wanted = collections && new Set(collections)
  const records = entries.filter((entry) => wanted?.has(entry.shape.table.collection) ?? true).map(toRecord)
  const last = entries.at(-1)
  return { changes: records, ...tx.state.placeAfter(last?.seq ?? from, last?.epoch) }
}

function toRecord({ seq, epoch, atMs, shape, op, key, payload }: Entry): ChangeRecord {
  const { table } = shape
  const documentId = op === 'truncate' ? '' : table.documentId(key)
  return { seq, epoch, atMs, collection: table.collection, op, slot: slotOf(table, key), documentId, ...payload }
}
