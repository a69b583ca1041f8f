/** What a shard has in memory: its log, its buffered tables, its ownership. All of it is read back from the database.
 * */

import { Failure } from '../errors.ts'
import { BufferedTable, type CacheLimits } from './buffer.ts'
import type { Clock } from './clock.ts'
import { Journal } from './journal.ts'
import { type Capture, ChangeLog, type LogMark } from './log.ts'
import { Ownership, type OwnershipData } from './ownership.ts'
import type { Position } from './program.ts'
import type { TableShape } from './row-codec.ts'
import type { Entry } from './row-map.ts'
import { migrate } from './schema.ts'
import type { ShardLimits } from './shard.ts'
import type { Sql } from './sql.ts'
import { Statements } from './statements.ts'
import type { Table } from './table.ts'

/** How far back the undo list is searched before a settle is taken to need a savepoint. */
const UNDO_SEARCHED_MAX = 300

/** A point inside the running group. */
export interface StateMark {
  readonly log: LogMark
  readonly undo: number
}

/** A shard's memory. */
export class ShardState {
  readonly sql: Sql
  readonly log: ChangeLog
  readonly clock: Clock
  readonly incarnation: string
  /** What programs keep in memory. */
  readonly memory = new Map<string, unknown>()
  /** Capture levels by collection; `key` where absent. */
  readonly captures: Map<string, Capture>
  /** Who holds the log, and the seq past which each does. */
  readonly holds: Map<string, number>
  ownership: Ownership
  /** The seq up to which redo may be dropped when the drain under way is done; 0 when none is. */
  sealedSeq = 0
  private readonly limits: ShardLimits
  /** What each buffer may keep now; they read it anew each time. */
  private readonly cache: CacheLimits = { rows: 1, bytes: 1 }
  /** The part of its limits on memory that the shard may use now, above 0 to 1. */
  share = 1
  private readonly journal = new Journal()
  private readonly buffers: BufferedTable[] = []
  private readonly byTable = new Map<Table, { shape: TableShape; buffer: BufferedTable | undefined; sql: Statements }>()

  constructor(sql: Sql, tables: readonly Table[], limits: ShardLimits, clock: Clock) {
    this.limits = limits
    this.useShare(1)
    this.sql = sql
    this.clock = clock
    const shapes: TableShape[] = []
    for (const shape of migrate(sql, tables)) shapes[shape.id] = shape
    this.log = new ChangeLog(sql, shapes, limits.segmentBytes)
    for (const shape of shapes) {
      if (shape === undefined) continue
      const buffer = shape.table.buffered
        ? new BufferedTable(sql, shape, { limits: this.cache, journal: this.journal })
        : undefined
      if (buffer !== undefined) this.buffers.push(buffer)
      this.byTable.set(shape.table, { shape, buffer, sql: new Statements(shape.table) })
    }
    this.incarnation = this.readMeta<string>('incarnation') ?? this.newIncarnation()
    this.ownership = new Ownership(this.readMeta<OwnershipData>('ownership'))
    this.captures = new Map(this.readMeta<[string, Capture][]>('captures') ?? [])
    this.holds = new Map(this.readMeta<[string, number][]>('holds') ?? [])
    this.replay()
  }

  private newIncarnation(): string {
    const incarnation = this.clock.random().toString(36)
    this.writeMeta('incarnation', incarnation)
    return incarnation
  }

  private replay(): void {
    this.log.replay((shape, op, row) => {
      const buffer = this.of(shape.table).buffer as BufferedTable
      if (op === 'truncate') buffer.truncate(row)
      else if (op === 'delete') buffer.set(row, undefined, 0)
      else {
        const payload = shape.table.relation?.payload
        // It may have come back after the row was written cold: that is in SQL, and in no redo.
        if (payload?.isCold(row)) row[payload.column] = buffer.storedPayload(row)
        buffer.set(row, row, sizeBytes(row))
      }
    })
    this.journal.commit()
  }

  /** @returns what is known of a declared table */
  of(table: Table): { shape: TableShape; buffer: BufferedTable | undefined; sql: Statements } {
    const known = this.byTable.get(table)
    if (known === undefined) throw new Error(`table ${table.name} is not declared by a program of this shard`)
    return known
  }

  /** Every declared table. */
  get tables(): Table[] {
    return [...this.byTable.keys()]
  }

  /** Read a value kept beside the data. */
  readMeta<T>(name: string): T | undefined {
    const value = this.sql.raw('select value from dotdo_meta where name = ?', name)[0]?.[0]
    return value === undefined ? undefined : (JSON.parse(String(value)) as T)
  }

  /** Keep a value beside the data, in the group's transaction. */
  writeMeta(name: string, value: unknown): void {
    const statement =
      'insert into dotdo_meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value'
    this.sql.raw(statement, name, JSON.stringify(value))
  }

  /** Find a position in the log.
   *  @throws out_of_range when it is of another history */
  seqOf({ incarnation, seq }: Position): number {
    if (incarnation === this.incarnation) return seq
    const message = `position ${seq} is of history ${incarnation}; this shard's is ${this.incarnation}`
    const position = { incarnation: this.incarnation, epoch: this.ownership.epoch, seq: this.log.seq }
    throw new Failure('out_of_range', message, { position })
  }

  /** Tell where to go on after a read of the log, and whether there is more at once. */
  placeAfter(seq: number, epoch = this.ownership.epoch): { next: Position; more: boolean } {
    return { next: { incarnation: this.incarnation, epoch, seq }, more: seq < this.log.committedSeq }
  }

  /** Where to roll back to when a call fails. */
  mark(): StateMark {
    return { log: this.log.mark(), undo: this.journal.mark() }
  }

  /** Whether rows of a table's slots that changed since `mark` are in memory only. Looks at no more than the latest
   *  changes: past those it says yes. */
  isDirtySince({ undo }: StateMark, buffer: BufferedTable, fromSlot: number, toSlot: number): boolean {
    return this.journal.some(undo, UNDO_SEARCHED_MAX, (table, changed) => {
      if (table !== buffer) return false
      const { generation, key } = changed as Entry
      const slot = key.slot as number
      return generation !== 0 && slot >= fromSlot && slot <= toSlot
    })
  }

  /** Log what is owed to the log, at the end of the group. */
  logOwed(): void {
    for (const buffer of this.buffers) {
      for (const row of buffer.takeOwed()) this.log.add({ shape: buffer.shape, op: 'put', row, isLast: true })
    }
  }

  /** Undo what memory took on since `mark`. */
  rollback(mark: StateMark): void {
    this.log.rollback(mark.log)
    this.journal.rollback(mark.undo)
  }

  /** Have `work` done if the running call is undone, or the part of it that is under way. */
  onUndo(work: () => void): void {
    this.journal.onUndo(work)
  }

  /** The group is committed. */
  commit(): void {
    this.log.settle()
    this.journal.commit()
  }

  /** Use a part of the limits on memory from now on. */
  useShare(share: number): void {
    this.share = share
    this.cache.rows = Math.max(1, this.limits.cachedRows * share)
    this.cache.bytes = this.limits.cachedBytes * share
  }

  /** Whether so much is dirty that it should reach the tables. */
  get dirtyEnough(): boolean {
    const { limits, share } = this
    return this.dirtyRows > limits.dirtyRows * share || this.log.redoBytes > limits.redoBytes * share
  }

  /** Dirty rows of the running generation. */
  get dirtyRows(): number {
    return this.buffers.reduce((sum, buffer) => sum + buffer.dirtyRows, 0)
  }

  /** Begin to write the dirty rows to their tables. */
  seal(): void {
    for (const buffer of this.buffers) buffer.seal()
    this.sealedSeq = this.log.seq
    this.log.sealRedo()
  }

  /** Go on with it; when all rows are there, drop their redo.
   *  @param rows at most so many */
  drain(rows: number): void {
    let budget = rows
    let left = 0
    for (const buffer of this.buffers) {
      const before = buffer.sealedRows
      left += buffer.drain(budget)
      budget -= before - buffer.sealedRows
    }
    if (left === 0 && this.log.dropRedo(this.sealedSeq)) this.sealedSeq = 0
  }

  /** Trim the log, as far as nobody holds it. */
  trim(): void {
    const { limits, holds } = this
    const hold = holds.size > 0 ? { seq: Math.min(...holds.values()), bytes: limits.heldBytes } : undefined
    this.log.trim(limits.logBytes, hold)
  }

  /** Write every dirty row to its table and drop the redo. */
  drainAll(): void {
    for (const buffer of this.buffers) buffer.settle(0, Number.MAX_SAFE_INTEGER)
    this.sql.raw('delete from dotdo_redo')
  }
}

/** @returns roughly what a row takes in memory */
export function sizeBytes(row: Record<string, unknown>): number {
  let size = 0
  for (const name in row) {
    const value = row[name]
    size += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  }
  return size
}
