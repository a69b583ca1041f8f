/** A disk that fails: the real SQLite of the Node host in memory, under the real Sql port, with faults between the two.
 *
 *  1. A planned fault strikes one outermost transaction: its n-th statement or its commit fails, or the process dies
 *     just before or just after the commit.
 *  2. A full disk is SQLite's own: the file may not grow.
 *  3. What was committed outlives every crash. */
import type { Connection } from '../../core/host/node/driver.ts'
import { connect } from '../../core/host/node/sqlite.ts'
import type { Program } from '../../core/shard/program.ts'
import { migrate } from '../../core/shard/schema.ts'
import type { CheckedStatement } from '../../core/shard/sql-check.ts'
import { HostSql, type PreparedSql, type SqlDriver } from '../../core/shard/sql-driver.ts'

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
  /** Ends the process; called inside a transaction. */
  die: () => void = () => undefined
  private readonly inner: Connection
  private statementsLeft = Number.POSITIVE_INFINITY
  private undone = false
  private hasBackup = false

  constructor() {
    this.inner = connect(':memory:', {})
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

  /** Forget every row, but not the tables. */
  empty(): void {
    this.fault = undefined
    this.die = () => undefined
    if (this.hasBackup) this.inner.exec('detach kept')
    this.hasBackup = false
    for (const name of this.tables()) this.inner.exec(`delete from ${name}`)
  }

  /** Take a copy of everything, in place of the one before. */
  backUp(): void {
    if (!this.hasBackup) this.inner.exec("attach ':memory:' as kept")
    this.hasBackup = true
    for (const name of this.tables()) {
      this.inner.exec(`drop table if exists kept.${name}; create table kept.${name} as select * from main.${name}`)
    }
  }

  /** Become the copy. A host that restores a file makes it another history: so its incarnation is a new one. */
  restore(): void {
    for (const name of this.tables()) {
      this.inner.exec(`delete from main.${name}; insert into main.${name} select * from kept.${name}`)
    }
    this.inner.exec("delete from dotdo_meta where name = 'incarnation'")
  }

  /** Make the file as small as it can be. */
  compact(): void {
    this.inner.exec('vacuum')
  }

  private tables(): string[] {
    const names = "select group_concat(name) from sqlite_schema where type = 'table' and name <> 'dotdo_tables'"
    return String(this.inner.value(names) ?? '')
      .split(',')
      .filter(Boolean)
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

/** A database of a machine: the disk and the port over it. */
export interface Database {
  readonly disk: Disk
  readonly sql: HostSql
}

/** Databases that are used again, seed after seed: making one takes longer than most of what is then done with it. All
 *  have the tables of their programs and no rows, whether they are new or not: a seed must replay alone. */
export class DiskPool {
  private readonly spare = new Map<string, Database[]>()

  /** @param programs whose tables it has
   *  @param compact whether its size must be the same each time: a disk that is full must be full at the same write */
  take(programs: readonly Program[], compact: boolean): Database {
    const database = this.spare.get(schemaOf(programs))?.pop() ?? makeDatabase(programs)
    if (compact) database.disk.compact()
    return database
  }

  /** Give a database back; nothing uses it any more. */
  give(programs: readonly Program[], database: Database): void {
    database.disk.empty()
    const schema = schemaOf(programs)
    const list = this.spare.get(schema)
    if (list === undefined) this.spare.set(schema, [database])
    else list.push(database)
  }

  /** Give the memory back. */
  close(): void {
    for (const list of this.spare.values()) for (const { sql } of list) sql.close()
    this.spare.clear()
  }
}

const schemaOf = (programs: readonly Program[]) => programs.map(({ name }) => name).join()

/** Make a new database.
 *  @param programs whose tables it has; none when left out */
export function makeDatabase(programs: readonly Program[] = []): Database {
  const disk = new Disk()
  const sql = new HostSql(disk)
  const tables = programs.flatMap((program) => program.tables)
  if (tables.length > 0) sql.transact(() => migrate(sql, tables))
  disk.empty()
  return { disk, sql }
}
