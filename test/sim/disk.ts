/** A disk that fails: the real SQLite of the Node host in memory, under the real Sql port, with faults between the two.
 *
 *  1. A planned fault strikes one outermost transaction: its n-th statement or its commit fails, or the process dies just
 *     before or just after the commit.
 *  2. A full disk is SQLite's own: the file may not grow.
 *  3. What was committed outlives every crash. */

import type { Connection } from '../../core/host/node/driver.ts'
import { connect } from '../../core/host/node/sqlite.ts'
import type { CheckedStatement } from '../../core/shard/sql-check.ts'
import type { PreparedSql, SqlDriver } from '../../core/shard/sql-driver.ts'

/** What strikes the next outermost transaction. */
export type Fault =
  | { readonly kind: 'statement'; readonly after: number; readonly undone: boolean }
  | { readonly kind: 'commit' }
  | { readonly kind: 'die-before' }
  | { readonly kind: 'die-after' }

/** An input or output error, as `describe` knows it. */
class DiskError extends Error {}
/** The end of the process, inside a transaction. */
class Death extends Error {}

/** One database file and what happens to it. */
export class Disk implements SqlDriver {
  /** Strikes once. */
  fault: Fault | undefined
  private readonly inner: Connection
  private readonly die: () => void
  private statementsLeft = Number.POSITIVE_INFINITY
  private undone = false

  /** @param die ends the process; called inside a transaction */
  constructor(die: () => void) {
    this.inner = connect(':memory:', {})
    this.die = die
  }

  prepare(statement: CheckedStatement): PreparedSql {
    const inner = this.inner.prepare(statement)
    return {
      all: (values) => {
        this.strike()
        return inner.all(values)
      },
      raw: (values) => {
        this.strike()
        return inner.raw(values)
      },
      iterate: (values) => {
        this.strike()
        return inner.iterate(values)
      },
    }
  }

  private strike(): void {
    if (this.statementsLeft-- > 0) return
    this.statementsLeft = Number.POSITIVE_INFINITY
    // SQLite rolls back by itself after some errors, and not after others.
    if (this.undone) this.inner.exec('rollback')
    throw new DiskError('planned: a statement fails')
  }

  transact<T>(work: () => T, nested: boolean): T {
    const { fault } = this
    if (nested || fault === undefined) return this.inner.transact(work, nested)
    this.fault = undefined
    if (fault.kind === 'statement') {
      this.statementsLeft = fault.after
      this.undone = fault.undone
    }
    const result = this.inner.transact(() => {
      const result = work()
      // A transaction too short for its fault meets it at the commit.
      if (fault.kind === 'commit' || this.statementsLeft !== Number.POSITIVE_INFINITY) throw this.failCommit()
      if (fault.kind !== 'die-before') return result
      this.die()
      throw new Death('planned: the process dies before the commit')
    }, nested)
    if (fault.kind === 'die-after') this.die()
    return result
  }

  private failCommit(): Error {
    this.statementsLeft = Number.POSITIVE_INFINITY
    return new DiskError('planned: the commit fails')
  }

  /** Let the file grow no further, or again. */
  setFull(full: boolean): void {
    const pages = Number(this.inner.value('pragma page_count'))
    this.inner.value(`pragma max_page_count = ${full ? pages : 1_000_000}`)
  }

  sizeBytes(): number {
    return this.inner.sizeBytes()
  }

  describe(error: unknown): { code: string; message: string } | undefined {
    if (error instanceof DiskError) return { code: 'SQLITE_IOERR_WRITE', message: error.message }
    return this.inner.describe(error)
  }

  close(): void {
    this.inner.close()
  }
}
