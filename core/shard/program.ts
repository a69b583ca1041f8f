/** What an engine brings to a shard: its tables and a function that runs one call.
 *
 *  1. A program is synchronous, and has no clock, no randomness and no promises of its own: `tx` brings them.
 *  2. A call is atomic: when `run` throws, nothing of it is kept, whatever the rest of its group does.
 *  3. Programs run unchanged in every host. */
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import type { Row, Table } from './table.ts'

/** One request to one shard. Plain data: it crosses threads and networks. */
export interface Call {
  /** Which program runs it. */
  program: string
  /** What the program shall do. */
  name: string
  /** The slot of its keys, or -1 for a call to the shard as a whole. */
  slot: number
  /** The caller's epoch of the map. */
  epoch: number
  /** What the program needs; plain data. */
  args: unknown
}

/** Reads of one call. A function that takes a View cannot write, by its type. */
export interface View {
  /** Milliseconds since 1970, the same for the whole group. */
  readonly nowMs: number
  /** The seq of the newest change, uncommitted ones of this group included. */
  readonly seq: number
  /** Find a row by its primary key.
   *  @param probe has at least the primary key's columns
   *  @returns the row (borrowed: do not change it), or undefined
   *  @cost a memory look-up for a buffered table when the row is cached, else one statement */
  find<R extends Row>(table: Table<R>, probe: Partial<R>): R | undefined
  /** Make buffered rows of these slots visible to SQL. Call it before `all`, `raw` or `iterate` on a buffered table.
   *  @cost one statement per dirty row of the slots */
  settle(table: Table, fromSlot?: number, toSlot?: number): void
  /** Read with SQL. */
  readonly all: Sql['all']
  /** Read with SQL, rows as arrays. */
  readonly raw: Sql['raw']
  /** Read with SQL, one row at a time. */
  readonly iterate: Sql['iterate']
  /** Turn a row that SQL returned into a row of the table (blob columns to binary strings). */
  fromSql<R extends Row>(table: Table<R>, row: SqlRow): R
}

/** Reads and writes of one call. */
export interface Tx extends View {
  /** Store a row, replacing the one with the same key, and log the change.
   *  @param row owned by the shard from here on */
  put<R extends Row>(table: Table<R>, row: R): void
  /** Remove a row and log the change.
   *  @returns whether it was there */
  remove<R extends Row>(table: Table<R>, probe: Partial<R>): boolean
  /** Remove every row of a table in the slots, logged as one change (op `truncate`).
   *  @param where equality on key columns after the slot, in key order; empty for all */
  truncate<R extends Row>(table: Table<R>, where?: Partial<R>): void
  /** Write with SQL to an unbuffered table; log what it changed with `record`. */
  write(statement: string, ...values: readonly SqlValue[]): SqlRow[]
  /** Log a change that `write` made. */
  record<R extends Row>(table: Table<R>, op: 'put' | 'delete', row: R, before?: R): void
  /** Run part of a call so that its throw undoes that part only. */
  attempt<T>(work: () => T): T
  /** A random integer below 2^48. */
  random(): number
}

/** An engine, as a shard runs it. */
export interface Program {
  /** Its name in calls. */
  readonly name: string
  /** Everything it stores; declared, so that creation, migration, the log and copying need no code of its own. */
  readonly tables: readonly Table[]
  /** Run one call.
   *  @throws Failure; the call's changes are then undone */
  run(tx: Tx, call: Call): unknown
  /** Called when the shard has been opened or a group was run and `wakeAtMs` has come; does bounded background work
   *  such as active expiry.
   *  @returns when to be called again, in ms since 1970, or undefined for never (asked again after each write) */
  sweep?(tx: Tx): number | undefined
}
