/** The Tx that a program gets: the shard's state seen through one call. */
import type { Bin } from '../bytes.ts'
import { assert, Failure } from '../errors.ts'
import { SQL_ROW_BYTES_MAX } from '../limits.ts'
import { ColdRows, coldRow, isCold } from './cold.ts'
import type { Entry, Payload } from './log.ts'
import type { ChangedKeys, LogColumns, LogRange } from './log-columns.ts'
import type { Op, Position, Tx, Unsettled } from './program.ts'
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import { type ShardState, type StateMark, sizeBytes } from './state.ts'
import type { Row, Table } from './table.ts'

/** Reads and writes of one group, for one call after the other. */
export class ShardTx implements Tx {
  readonly state: ShardState
  readonly nowMs: number
  readonly all: Sql['all']
  readonly raw: Sql['raw']
  readonly iterate: Sql['iterate']
  /** Whether the work begun without a savepoint did what cannot be undone without one; it was stopped then. */
  needsSavepoint = false
  /** Where a call without a savepoint began. */
  private begun: StateMark | undefined = undefined
  private savepoint = true
  /** Whether the call has written what the log is told of later. */
  private hasOwed = false
  private drawn: number[] = []
  private drawnAt = 0

  constructor(state: ShardState, nowMs: number) {
    const { sql } = state
    this.state = state
    this.nowMs = nowMs
    this.all = (statement, ...values) => sql.all(statement, ...values)
    this.raw = (statement, ...values) => sql.raw(statement, ...values)
    this.iterate = (statement, ...values) => sql.iterate(statement, ...values)
  }

  /** A call begins, in a savepoint or not.
   *  @param mark where memory is as it begins */
  begin(savepoint: boolean, mark: StateMark): void {
    this.savepoint = savepoint
    this.begun = savepoint ? undefined : mark
    this.needsSavepoint = false
    this.hasOwed = false
    this.drawnAt = 0
  }

  /** The next call gets these random numbers first: when it is run again, it must need the same rows.
   *  @returns where those that it draws are, until the next call begins */
  draw(drawn?: number[]): number[] {
    if (drawn !== undefined) this.drawn = drawn
    else if (this.drawn.length > 0) this.drawn = []
    return this.drawn
  }

  /** Stop a call that is about to write with SQL, unless it can be undone. */
  private beforeSqlWrite(): void {
    if (this.savepoint) return
    this.needsSavepoint = true
    throw new Error('this call is run again, in a savepoint')
  }

  get memory(): Map<string, unknown> {
    return this.state.memory
  }

  get share(): number {
    return this.state.share
  }

  onUndo(work: () => void): void {
    this.state.onUndo(work)
  }

  get position(): Position {
    const { incarnation, ownership, log } = this.state
    return { incarnation, epoch: ownership.epoch, seq: log.seq }
  }

  find<R extends Row>(table: Table<R>, probe: Partial<R>): R | undefined {
    const { buffer, sql } = this.state.of(table)
    if (buffer !== undefined) return buffer.find(probe as Row) as R | undefined
    const [found] = this.state.sql.all(sql.find, ...sql.keyValues(probe as Row))
    return found === undefined ? undefined : (sql.fromSql(found) as R)
  }

  readAhead<R extends Row>(table: Table<R>, probe: Partial<R>, count: number, step: 1 | -1): void {
    this.state.of(table).buffer?.readAhead(probe as Row, count, step)
  }

  settle(table: Table, fromSlot = 0, toSlot = Number.MAX_SAFE_INTEGER): void {
    const { state, begun } = this
    const { buffer } = state.of(table)
    if (buffer === undefined) return
    // Rows that earlier calls made dirty may reach SQL now or later; this call's own only if that can be undone.
    const hasWritten = begun !== undefined && (this.hasOwed || state.log.seq > begun.log.seq)
    if (hasWritten && state.isDirtySince(begun, buffer, fromSlot, toSlot)) this.beforeSqlWrite()
    buffer.settle(fromSlot, toSlot)
  }

  unsettled<R extends Row>(table: Table<R>, slot: number, limit: number): readonly Unsettled<R>[] | undefined {
    const { buffer } = this.state.of(table)
    return buffer === undefined ? [] : (buffer.unsettled(slot, limit) as readonly Unsettled<R>[] | undefined)
  }

  fromSql<R extends Row>(table: Table<R>, row: SqlRow): R {
    return this.state.of(table).sql.fromSql(row) as R
  }

  tables(): readonly Table[] {
    return this.state.tables
  }

  whole<R extends Row>(table: Table<R>, row: R): R {
    if (isCold(table, row)) throw new ColdRows([coldRow(table, row)])
    return row
  }

  wholeAll<R extends Row>(table: Table<R>, rows: readonly R[]): readonly R[] {
    if (!rows.some((row) => isCold(table, row))) return rows
    throw new ColdRows(rows.filter((row) => isCold(table, row)).map((row) => coldRow(table, row)))
  }

  evict<R extends Row>(table: Table<R>, key: Partial<R>): number {
    const { buffer, sql } = this.ofPayload(table)
    return buffer?.evictPayload(key as Row) ?? sql.evict(this.state.sql, key as Row)
  }

  restore<R extends Row>(table: Table<R>, key: Partial<R>, payload: SqlValue): boolean {
    const { buffer, sql } = this.ofPayload(table)
    if (buffer !== undefined) return buffer.restorePayload(key as Row, payload)
    const row = this.find(table, key)
    if (row === undefined || !isCold(table, row)) return false
    sql.restore(this.state.sql, key as Row, payload)
    return true
  }

  private ofPayload(table: Table) {
    const { buffer, sql } = this.state.of(table)
    assert(sql.payload !== undefined, `table ${table.name} declares no payload`)
    this.beforeSqlWrite()
    return { buffer, sql }
  }

  changedSince(position: Position, matches: (table: Table, key: Row, op: Op) => boolean): boolean {
    const { log, incarnation } = this.state
    if (position.incarnation !== incarnation) return true
    // What `putLast` wrote has been told of by another change, perhaps before the position.
    const match = ({ shape, key, op, seq, isLast }: Entry) =>
      seq > position.seq && !isLast && matches(shape.table, key, op)
    if (log.readPending().some(match)) return true
    for (let after = position.seq; after < log.committedSeq; ) {
      if (after < log.floor) return true
      const entries = log.read(after, 1000)
      if (entries.some(match)) return true
      after = (entries.at(-1) as Entry).seq
    }
    return false
  }

  logColumns(after: Position, range: LogRange): LogColumns {
    const { last, lastEpoch, ...columns } = this.state.log.columns(this.state.seqOf(after), range)
    return { ...columns, ...this.state.placeAfter(last, lastEpoch) }
  }

  changedKeys(after: Position, range: LogRange): ChangedKeys {
    const { last, lastEpoch, ...changed } = this.state.log.changedKeys(this.state.seqOf(after), range)
    return { ...changed, ...this.state.placeAfter(last, lastEpoch) }
  }

  put<R extends Row>(table: Table<R>, row: R, isNew = false): void {
    const { captures } = this.state
    const before = () => this.find(table, row) ?? null
    this.store(table, row, captures.size === 0 ? undefined : this.payload(table, row, before), isNew)
  }

  patch<R extends Row>(table: Table<R>, row: R, patch: Bin): void {
    const { state } = this
    const { shape, buffer } = state.of(table)
    assert(buffer !== undefined && table.patched !== undefined, `rows of ${table.name} cannot be patched`)
    const size = fittingBytes(table, row)
    const payload =
      state.captures.size === 0 ? undefined : this.payload(table, row, () => this.find(table, row) ?? null)
    const isInRedo = buffer.isInRedo(row)
    state.log.add({ shape, op: 'put', row, payload, patch: isInRedo ? patch : undefined })
    buffer.set(row, row, size)
  }

  putLast<R extends Row>(table: Table<R>, row: R): void {
    const { state } = this
    const { buffer } = state.of(table)
    // Who captures documents is told of every one.
    if (buffer === undefined || state.captures.size > 0) return this.put(table, row)
    assert(table.patched === undefined, `a row of ${table.name} must be in the redo before it is patched`)
    const size = fittingBytes(table, row)
    this.hasOwed = true
    buffer.owe(row, size)
  }

  /** Store a row that comes with its slot from another shard. */
  receive<R extends Row>(table: Table<R>, row: R): void {
    this.store(table, table.arrived?.(row) ?? row, { moved: true })
  }

  private store(table: Table, row: Row, payload: Payload | undefined, isNew = false): void {
    const { state } = this
    const { shape, buffer, sql } = state.of(table)
    if (buffer === undefined) this.beforeSqlWrite()
    const sizeBytes = table.internal ? 0 : state.log.append(shape, 'put', row, payload)
    if (buffer !== undefined) buffer.set(row, row, sizeBytes, isNew)
    else state.sql.raw(sql.upsert, ...sql.values(row))
  }

  remove<R extends Row>(table: Table<R>, probe: Partial<R>): boolean {
    const before = this.find(table, probe)
    if (before === undefined) return false
    const { state } = this
    const { shape, buffer, sql } = state.of(table)
    if (buffer === undefined) this.beforeSqlWrite()
    const payload = state.captures.size === 0 ? undefined : this.payload(table, undefined, () => before)
    if (!table.internal) state.log.append(shape, 'delete', probe as Row, payload)
    if (buffer !== undefined) buffer.set(probe as Row, undefined, 0)
    else state.sql.raw(sql.remove, ...sql.keyValues(probe as Row))
    return true
  }

  /** The documents that the collection's capture level asks for.
   *  @param before finds the row as it was: null when there was none, undefined when nobody knows any more */
  private payload(table: Table, after: Row | undefined, before: () => Row | null | undefined): Payload | undefined {
    const level = this.state.captures.get(table.collection) ?? 'key'
    if (level === 'key') return undefined
    const payload: Payload = {}
    // The document of a cold row is not known here, and not worth stopping for a call that does without it.
    if (after !== undefined && isCold(table, after)) payload.omitted = true
    else if (after !== undefined) payload.after = table.document(after)
    if (level !== 'full') return payload
    const row = before()
    if (row === null) payload.before = null
    else if (row !== undefined && !isCold(table, row)) payload.before = table.document(row)
    return payload
  }

  truncate<R extends Row>(table: Table<R>, where: Partial<R> = {}): void {
    this.removeAll(table, where as Row, undefined)
  }

  /** Remove the rows of a slot that has moved to another shard.
   *  @param where names the slot, unless all rows of the table are of one */
  discard(table: Table, where: { slot?: number }): void {
    this.removeAll(table, where as Row, { moved: true })
  }

  private removeAll(table: Table, where: Row, payload: Payload | undefined): void {
    const { shape, buffer, sql } = this.state.of(table)
    this.beforeSqlWrite()
    if (!table.internal) this.state.log.append(shape, 'truncate', where, payload)
    if (buffer !== undefined) buffer.truncate(where)
    else sql.truncate(this.state.sql, where)
  }

  write(statement: string, ...values: readonly SqlValue[]): SqlRow[] {
    this.beforeSqlWrite()
    return this.state.sql.all(statement, ...values)
  }

  record<R extends Row>(table: Table<R>, op: 'put' | 'delete', row: R, before?: R): void {
    assert(!table.internal, `changes of internal table ${table.name} are not logged`)
    const { state } = this
    const payload =
      // The row has been written already, so only the caller can know what it was.
      state.captures.size === 0 ? undefined : this.payload(table, op === 'put' ? row : undefined, () => before)
    state.log.append(state.of(table).shape, op, row, payload)
  }

  attempt<T>(work: () => T): T {
    const { state } = this
    const mark = state.mark()
    try {
      // A call that runs without a savepoint does not write SQL: memory is all there is to undo.
      return this.savepoint ? state.sql.transact(work) : work()
    } catch (error) {
      state.rollback(mark)
      throw error
    }
  }

  random(): number {
    this.drawn[this.drawnAt] ??= this.state.clock.random()
    return this.drawn[this.drawnAt++] as number
  }
}

/** @returns roughly what a row takes in memory
 *  @throws limit when it can never be stored in its table */
function fittingBytes({ name }: Table, row: Row): number {
  const size = sizeBytes(row)
  if (size <= SQL_ROW_BYTES_MAX) return size
  throw new Failure('limit', `a row of ${name} may have at most ${SQL_ROW_BYTES_MAX} bytes`)
}
