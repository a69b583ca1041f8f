/** What a shard has in memory: its log, its buffered tables, its ownership. All of it is read back from the database.
 * */

import { BufferedTable } from './buffer.ts'
import type { Clock } from './clock.ts'
import { type Capture, ChangeLog, type LogMark } from './log.ts'
import { Ownership, type OwnershipData } from './ownership.ts'
import type { TableShape } from './row-codec.ts'
import { migrate } from './schema.ts'
import type { ShardLimits } from './shard.ts'
import type { Sql } from './sql.ts'
import { Statements } from './statements.ts'
import type { Table } from './table.ts'

/** A point inside the running group. */
export interface StateMark {
  readonly log: LogMark
  readonly buffers: readonly number[]
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
  ownership: Ownership
  /** The seq up to which redo may be dropped when the drain under way is done; 0 when none is. */
  sealedSeq = 0
  private readonly buffers: BufferedTable[] = []
  private readonly byTable = new Map<Table, { shape: TableShape; buffer: BufferedTable | undefined; sql: Statements }>()

  constructor(sql: Sql, tables: readonly Table[], limits: ShardLimits, clock: Clock) {
    this.sql = sql
    this.clock = clock
    const shapes: TableShape[] = []
    for (const shape of migrate(sql, tables)) shapes[shape.id] = shape
    this.log = new ChangeLog(sql, shapes, limits.segmentBytes)
    const cache = { rows: limits.cachedRows, bytes: limits.cachedBytes }
    for (const shape of shapes) {
      if (shape === undefined) continue
      const buffer = shape.table.buffered ? new BufferedTable(sql, shape, cache) : undefined
      if (buffer !== undefined) this.buffers.push(buffer)
      this.byTable.set(shape.table, { shape, buffer, sql: new Statements(shape.table) })
    }
    this.incarnation = this.readMeta<string>('incarnation') ?? this.newIncarnation()
    this.ownership = new Ownership(this.readMeta<OwnershipData>('ownership'))
    this.captures = new Map(this.readMeta<[string, Capture][]>('captures') ?? [])
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
      else buffer.set(row, row, sizeBytes(row))
    })
    for (const buffer of this.buffers) buffer.commit()
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

  /** Where to roll back to when a call fails. */
  mark(): StateMark {
    return { log: this.log.mark(), buffers: this.buffers.map((buffer) => buffer.mark()) }
  }

  /** Undo what memory took on since `mark`. */
  rollback(mark: StateMark): void {
    this.log.rollback(mark.log)
    for (const [i, buffer] of this.buffers.entries()) buffer.rollback(mark.buffers[i] as number)
  }

  /** The group is committed. */
  commit(): void {
    this.log.settle()
    for (const buffer of this.buffers) buffer.commit()
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

  /** Write every dirty row to its table and drop the redo. */
  drainAll(): void {
    for (const buffer of this.buffers) buffer.settle(0, Number.MAX_SAFE_INTEGER)
    this.sql.raw('delete from dotdo_redo')
  }
}

/** @returns roughly what a row takes in memory */
function sizeBytes(row: Record<string, unknown>): number {
  let size = 0
  for (const value of Object.values(row)) {
    size += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  }
  return size
}
