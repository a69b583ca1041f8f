/** The Sql port over a driver: what all hosts share, so that they cannot differ in it.
 *
 *  1. A host brings a driver of four functions; statements, values, cursors, nesting and failures are handled here.
 *  2. While an iteration is open only reads are let through: better-sqlite3 would throw, workerd would see its own
 *     writes (an endless loop). An iteration does not outlive the transaction it began in.
 *  3. A storage failure inside a transaction breaks the transaction: SQLite may have undone all of it already, and what
 *     ran next would commit on its own. So every later statement fails too, and the outermost `transact` throws.
 *  4. A callback that returns a promise is undone and refused: workerd would commit and go on. */
import { assert, Failure } from '../errors.ts'
import { SQL_STATEMENTS_CACHED_MAX } from '../limits.ts'
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import { type CheckedStatement, checkStatement, checkValues, sqlFailure } from './sql-check.ts'

/** A statement as a host runs it. Every method finishes the statement before it returns, but for `iterate`. */
export interface PreparedSql {
  all(values: readonly SqlValue[]): SqlRow[]
  raw(values: readonly SqlValue[]): SqlValue[][]
  /** Start a read; several may be open at once, of the same statement too. */
  iterate(values: readonly SqlValue[]): IterableIterator<SqlRow>
}

/** What a host brings. Its errors stay as they are; `describe` explains them. */
export interface SqlDriver {
  /** Prepare a checked statement; may leave finding fault with it to its first run. */
  prepare(statement: CheckedStatement): PreparedSql
  /** Run synchronous work between begin and commit (nested: between savepoint and release), undone when it throws. */
  transact<T>(work: () => T, nested: boolean): T
  /** @returns bytes the database takes, free pages excluded */
  sizeBytes(): number
  /** @returns the extended result code by name and SQLite's message; undefined for an error not of SQLite */
  describe(error: unknown): { code: string; message: string } | undefined
  /** Let go of the database. */
  close(): void
}

/** Values by text in two generations: the old one goes when the young one is full. One look-up when it hits. */
export class GenerationCache<V> {
  private young = new Map<string, V>()
  private old = new Map<string, V>()
  private readonly capacity: number
  /** @param capacity entries per generation; at most twice as many are held */
  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Find a value; one of the old generation becomes young again. */
  find(key: string): V | undefined {
    const value = this.young.get(key)
    if (value !== undefined) return value
    const kept = this.old.get(key)
    if (kept !== undefined) this.set(key, kept)
    return kept
  }

  /** Keep a value. */
  set(key: string, value: V): void {
    if (this.young.size >= this.capacity) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(key, value)
  }

  /** Forget everything. */
  clear(): void {
    this.young.clear()
    this.old.clear()
  }
}

interface Entry {
  readonly prepared: PreparedSql
  readonly parameters: number
  readonly readonly: boolean
}

interface Cursor {
  readonly rows: IterableIterator<SqlRow>
  cut: boolean
}

/** A database seen through the port. Its methods need their receiver: pass `sql`, not `sql.all`. */
export class HostSql implements Sql {
  private readonly driver: SqlDriver
  private readonly entries = new GenerationCache<Entry>(SQL_STATEMENTS_CACHED_MAX)
  private readonly cursors = new Set<Cursor>()
  private depth = 0
  private broken: Failure | undefined
  private closed = false
  // Whether any of the three above stands in the way of some statement: the one thing a hot path asks.
  private guarded = false

  constructor(driver: SqlDriver) {
    this.driver = driver
  }

  all(statement: string, ...values: readonly SqlValue[]): SqlRow[] {
    const { prepared } = this.admit(statement, values)
    try {
      return prepared.all(values)
    } catch (error) {
      throw this.failed(error)
    }
  }

  raw(statement: string, ...values: readonly SqlValue[]): SqlValue[][] {
    const { prepared } = this.admit(statement, values)
    try {
      return prepared.raw(values)
    } catch (error) {
      throw this.failed(error)
    }
  }

  iterate(statement: string, ...values: readonly SqlValue[]): IterableIterator<SqlRow> {
    const entry = this.admit(statement, values)
    // What writes is finished first: workerd loses the whole turn when RETURNING is left half read.
    return entry.readonly ? this.walk(entry.prepared, values) : this.all(statement, ...values).values()
  }

  transact<T>(work: () => T): T {
    this.admitWrite('a transaction')
    const nested = this.depth > 0
    this.depth++
    try {
      return this.driver.transact(() => this.finish(work), nested)
    } catch (error) {
      throw this.broken ?? this.failed(error)
    } finally {
      this.depth--
      if (!nested && this.broken !== undefined) {
        this.broken = undefined
        this.guard()
      }
    }
  }

  sizeBytes(): number {
    this.admitRead()
    try {
      return this.driver.sizeBytes()
    } catch (error) {
      throw this.failed(error)
    }
  }

  /** Close the database; a second time does nothing. What is asked of it afterwards fails with `unavailable`. */
  close(): void {
    if (this.closed) return
    assert(this.depth === 0, 'a database is closed inside its own transaction')
    this.cutCursors()
    this.closed = true
    this.guard()
    this.entries.clear()
    this.driver.close()
  }

  private admit(statement: string, values: readonly SqlValue[]): Entry {
    const entry = this.entries.find(statement) ?? this.enter(statement)
    if (this.guarded) {
      if (entry.readonly) this.admitRead()
      else this.admitWrite('a write')
    }
    checkValues(values, entry.parameters)
    return entry
  }

  private enter(statement: string): Entry {
    this.admitRead()
    const checked = checkStatement(statement)
    try {
      const prepared = this.driver.prepare(checked)
      const entry = { prepared, parameters: checked.parameters, readonly: checked.readonly }
      this.entries.set(statement, entry)
      return entry
    } catch (error) {
      throw this.failed(error)
    }
  }

  private admitRead(): void {
    if (this.closed) throw closedFailure()
    if (this.broken !== undefined) throw this.broken
  }

  private admitWrite(what: string): void {
    this.admitRead()
    if (this.cursors.size > 0) throw new Failure('invalid', `${what} while an iteration is open; finish reading first`)
  }

  private guard(): void {
    this.guarded = this.closed || this.broken !== undefined || this.cursors.size > 0
  }

  /** Read row by row. The query starts with the first row asked for, so an iterator nobody asks blocks nobody. */
  private *walk(prepared: PreparedSql, values: readonly SqlValue[]): IterableIterator<SqlRow> {
    this.admitRead()
    let cursor: Cursor | undefined
    try {
      cursor = { rows: prepared.iterate(values), cut: false }
      this.cursors.add(cursor)
      this.guarded = true
      for (const row of cursor.rows) {
        yield row
        if (cursor.cut) throw new Failure('invalid', 'an iteration was continued after its transaction ended')
      }
    } catch (error) {
      throw this.failed(error)
    } finally {
      if (cursor !== undefined) this.cursors.delete(cursor)
      this.guard()
    }
  }

  private cutCursors(): void {
    for (const cursor of this.cursors) {
      cursor.cut = true
      cursor.rows.return?.()
    }
    this.cursors.clear()
    this.guard()
  }

  /** Run the work of a transaction, and look at how it ended before anything is committed. */
  private finish<T>(work: () => T): T {
    try {
      const result = work()
      if (this.broken !== undefined) throw this.broken
      if (isThenable(result)) {
        // What it still does is beyond us; that it then fails is no news.
        result.then(undefined, () => {})
        throw new Failure('invalid', 'the work of a transaction returned a promise; it must be synchronous')
      }
      return result
    } finally {
      if (this.cursors.size > 0) this.cutCursors()
    }
  }

  private failed(error: unknown): unknown {
    if (error instanceof Failure) return error
    const described = this.driver.describe(error)
    if (described === undefined) return error
    const failure = sqlFailure(described.code, described.message, error)
    if (failure.code === 'storage' && this.depth > 0) {
      this.broken = failure
      this.guarded = true
    }
    return failure
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function closedFailure(): Failure {
  return new Failure('unavailable', 'the database is closed')
}
