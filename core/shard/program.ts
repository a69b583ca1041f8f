/** What an engine brings to a shard: its tables and a function that runs one call.
 *
 *  1. A program is synchronous, and has no clock, no randomness and no promises of its own: `tx` brings them.
 *  2. A call is atomic: when `run` throws, nothing of it is kept, whatever the rest of its group does.
 *  3. Programs run unchanged in every host. */
import type { Bin } from '../bytes.ts'
import type { ChangedKeys, LogColumns, LogRange } from './log-columns.ts'
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import type { Row, Table } from './table.ts'

/** A place in a shard's history. A bare seq is none: restore and re-creation rewind it. */
export interface Position {
  /** The history the seq belongs to: a random word, new whenever the file is created or restored. */
  incarnation: string
  /** The shard's epoch when the change was made. */
  epoch: number
  /** The change's number in that history, from 1, without holes; 0 is before the first. */
  seq: number
}

/** One request to one shard. Plain data: it crosses threads and networks. */
export interface Call {
  /** Which program runs it. */
  program: string
  /** What the program shall do. */
  name: string
  /** The slot of its keys, or -1 for a call to the shard as a whole. */
  slot: number
  /** More slots that its keys are in: the shard must own them all. */
  slots?: readonly number[]
  /** The caller's epoch of the map. */
  epoch: number
  /** What the program needs; plain data. */
  args: unknown
}

/** A row that is in memory only. */
export interface Unsettled<R extends Row = Row> {
  /** Has at least the primary key's columns. */
  readonly key: R
  /** The row as it is now; undefined when it is gone. */
  readonly row: R | undefined
}

/** Reads of one call. A function that takes a View cannot write, by its type. */
export interface View {
  /** Milliseconds since 1970, the same for the whole group. */
  readonly nowMs: number
  /** The newest change, uncommitted ones of this group included. */
  readonly position: Position
  /** What a program keeps in memory for this shard; emptied whenever the shard reads itself back from its file. */
  readonly memory: Map<string, unknown>
  /** The part of its limits on memory that the shard may use now, above 0 to 1: what programs keep in `memory` obeys
   *  it. */
  readonly share: number
  /** Ask the log whether anything that `matches` has changed since a position.
   *  @param matches gets the key columns of each change (borrowed); of a truncate, the columns it was given
   *  @returns true also when the history since then is gone or is another one
   *  @cost the segments written since */
  changedSince(position: Position, matches: (table: Table, key: Row, op: Op) => boolean): boolean
  /** Read committed changes after a position as columns: all at the speed of bytes, for those who take everything.
   *  @throws out_of_range when the history since then is gone or is another one
   *  @cost the segments read */
  logColumns(after: Position, range: LogRange): LogColumns
  /** Read which keys committed changes after a position were of, each once.
   *  @throws out_of_range when the history since then is gone or is another one
   *  @cost the segments read */
  changedKeys(after: Position, range: LogRange): ChangedKeys
  /** Find a row by its primary key.
   *  @param probe has at least the primary key's columns
   *  @returns the row (borrowed: do not change it), or undefined
   *  @cost a memory look-up for a buffered table when the row is cached, else one statement */
  find<R extends Row>(table: Table<R>, probe: Partial<R>): R | undefined
  /** Unless a row of a buffered table is in memory, read it together with those beside it, in the order of the last
   *  column of the key and alike in the others; for who is about to find one after the other.
   *  @param count how many at most, itself included
   *  @param step -1 for those before it
   *  @cost one statement, or nothing */
  readAhead<R extends Row>(table: Table<R>, probe: Partial<R>, count: number, step: 1 | -1): void
  /** Make buffered rows of these slots visible to SQL. Call it before `all`, `raw` or `iterate` on a buffered table.
   *  @cost a statement for some dirty rows of the slots */
  settle(table: Table, fromSlot?: number, toSlot?: number): void
  /** Find the rows of a slot that SQL does not see yet, so that a few need not be settled to be read.
   *  @returns rows (borrowed; some twice, perhaps); undefined when there may be more than `limit` */
  unsettled<R extends Row>(table: Table<R>, slot: number, limit: number): readonly Unsettled<R>[] | undefined
  /** Read with SQL. */
  readonly all: Sql['all']
  /** Read with SQL, rows as arrays. */
  readonly raw: Sql['raw']
  /** Read with SQL, one row at a time. */
  readonly iterate: Sql['iterate']
  /** Turn a row that SQL returned into a row of the table (blob columns to binary strings). */
  fromSql<R extends Row>(table: Table<R>, row: SqlRow): R
  /** Every declared table of every program of this shard, internal ones among them. */
  tables(): readonly Table[]
  /** Pass on a row whose payload is here; for one whose payload is in the lake alone, stop the call: the shard fetches
   *  it beside itself, and runs the call again. Whatever reads a payload column gets its row from here.
   *  @throws ColdRows; let it through */
  whole<R extends Row>(table: Table<R>, row: R): R
  /** As `whole`, for rows of which all cold ones are fetched at once. */
  wholeAll<R extends Row>(table: Table<R>, rows: readonly R[]): readonly R[]
}

/** What a change did: stored a row, removed it, or removed every row that agrees with a key prefix. */
export type Op = 'put' | 'delete' | 'truncate'

/** Reads and writes of one call. */
export interface Tx extends View {
  /** Store a row, replacing the one with the same key, and log the change (of an internal table, nothing is logged).
   *  @param row owned by the shard from here on
   *  @param isNew whether there is no such row, as the caller knows: one that soon goes again then never reaches SQL */
  put<R extends Row>(table: Table<R>, row: R, isNew?: boolean): void
  /** As `put`, for a table that declares `patched`: as long as the redo has the row, it takes the patch alone.
   *  @param row as the patch makes it of the one that is there */
  patch<R extends Row>(table: Table<R>, row: R, patch: Bin): void
  /** As `put`, but the log is told of the row once, at the end of the group, as it is then. For rows that keep the
   *  books of others: the call must change another row by which whoever looks for this one's changes learns of it. */
  putLast<R extends Row>(table: Table<R>, row: R): void
  /** Remove a row and log the change.
   *  @returns whether it was there */
  remove<R extends Row>(table: Table<R>, probe: Partial<R>): boolean
  /** Let go of a row's payload, which is in the lake: its column becomes null. The row did not change, so nothing is
   *  logged; after a crash the row may be whole again.
   *  @returns bytes freed; 0 when there is no such row, or no payload in it */
  evict<R extends Row>(table: Table<R>, key: Partial<R>): number
  /** Put the payload of a cold row back; not logged.
   *  @returns whether the row was there, and cold */
  restore<R extends Row>(table: Table<R>, key: Partial<R>, payload: SqlValue): boolean
  /** Remove every row of a table, logged as one change. Only in calls that `writesSql` names.
   *  @param where equality on key columns; empty for all */
  truncate<R extends Row>(table: Table<R>, where?: Partial<R>): void
  /** Write with SQL to an unbuffered table; log what it changed with `record`, unless the table is internal. */
  write(statement: string, ...values: readonly SqlValue[]): SqlRow[]
  /** Log a change that `write` made. */
  record<R extends Row>(table: Table<R>, op: 'put' | 'delete', row: R, before?: R): void
  /** Run part of a call so that its throw undoes that part only. */
  attempt<T>(work: () => T): T
  /** Have `work` done if what this call does from here on is undone: what `memory` derives from rows must follow
   *  them. */
  onUndo(work: () => void): void
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
  /** Whether a call writes with SQL (`write`, `truncate`, unbuffered tables), so that undoing it needs a savepoint.
   *  Left out: every call does when one of the tables is unbuffered, else none. */
  writesSql?(call: Call): boolean
  /** Called as the last of each group that was run: writes what its calls left in memory, so that a row which many of
   *  them change is written once. A throw fails the group. */
  finish?(tx: Tx): void
  /** Whether somebody relies on what it keeps in memory, so that a host does not close the shard. */
  busy?(memory: ReadonlyMap<string, unknown>): boolean
  /** Called when the shard has been opened or a group was run and `wakeAtMs` has come; does bounded background work
   *  such as active expiry.
   *  @returns when to be called again, in ms since 1970, or undefined for never (asked again after each write) */
  sweep?(tx: Tx): number | undefined
}
