/** A shard's database in Node: one SQLite file with one owner.
 *
 *  1. The file is in WAL mode. At `full` every commit is fsynced before `transact` (or a lone statement) returns; at
 *     `normal` a commit survives the process, and a power loss may take the newest ones, never half of one.
 *  2. One connection writes a file. Whoever opens a data folder sees to that; other connections may read.
 *  3. What the port refuses (pragmas, BEGIN) is run here and nowhere else. */
import { Failure } from '../../errors.ts'
import { SQL_CACHE_KIB, SQL_CHECKPOINT_PAGES } from '../../limits.ts'
import type { Sql } from '../../shard/sql.ts'
import { sqlFailure } from '../../shard/sql-check.ts'
import { HostSql } from '../../shard/sql-driver.ts'
import { loadBinding } from './binding.ts'
import type { Connection } from './driver.ts'

/** What an acknowledged commit survives: `full` a power loss, `normal` the end of the process. */
export type Durability = 'full' | 'normal'

/** How to open a file. */
export interface SqliteOptions {
  /** Default `full`. */
  readonly durability?: Durability
  /** Only read; the file must exist. */
  readonly readonly?: boolean
  /** KiB of pages held in memory. */
  readonly cacheKiB?: number
  /** Keep the file to this connection until it is closed, from readers too; opening fails at once when it is in use. */
  readonly exclusive?: boolean
}

/** A database of this process. */
export interface NodeSql extends Sql {
  /** Copy the write-ahead log into the file and empty it.
   *  @returns whether all of it was copied; another connection that reads may prevent that */
  checkpoint(): boolean
  /** Close the file, copying the write-ahead log into it; a second time does nothing. */
  close(): void
}

/** Milliseconds to wait for a lock. Nobody else writes: this is for the moment in which another process, a backup or a
 *  reader, opens or closes the file. */
const busyTimeoutMs = 2_000

/** Open a database, creating it when it does not exist.
 *  @param path of the file, whose folder exists, or `:memory:`
 *  @throws storage when the file cannot be opened or is no database; conflict when it is in use and asked for
 *  exclusively; unsupported when there is no SQLite for this Node */
export function openSqlite(path: string, options: SqliteOptions = {}): NodeSql {
  const connection = connect(path, options)
  const checkpoint = () => {
    try {
      return connection.value('pragma wal_checkpoint(truncate)') === 0
    } catch (error) {
      throw storageFailure(connection, error, `cannot checkpoint ${path}`)
    }
  }
  return Object.assign(new HostSql(connection), { checkpoint })
}

/** Open a connection and set on it what a shard needs. */
export function connect(path: string, options: SqliteOptions): Connection {
  const { durability = 'full', readonly = false, cacheKiB = SQL_CACHE_KIB, exclusive = false } = options
  let connection: Connection | undefined
  const open = loadBinding()
  try {
    connection = open(path, { readonly, busyTimeoutMs: exclusive ? 0 : busyTimeoutMs })
    if (exclusive) connection.value('pragma locking_mode = exclusive')
    if (!readonly) setJournal(connection, path, durability)
    // Schema and views of a file are data, not to be trusted with functions that reach outside.
    connection.exec(`pragma trusted_schema = off; pragma foreign_keys = on; pragma temp_store = memory;
      pragma cache_size = -${cacheKiB}`)
    // Reads the first page: a file that is no database, or is held by another, is found now.
    connection.value('select count(*) from sqlite_schema')
    return connection
  } catch (error) {
    const failure = storageFailure(connection, error, `cannot open ${path}`)
    connection?.close()
    const isHeld = exclusive && connection?.describe(error)?.code.startsWith('SQLITE_BUSY')
    throw isHeld ? new Failure('conflict', `${path} is in use`, undefined, error) : failure
  }
}

function setJournal(connection: Connection, path: string, durability: Durability): void {
  const mode = connection.value('pragma journal_mode = wal')
  if (mode !== 'wal' && path !== ':memory:')
    throw new Failure('storage', `${path} cannot have a write-ahead log: ${mode}`)
  // fullfsync makes macOS wait for the disk and not only for its cache; elsewhere it is without effect.
  connection.exec(`pragma synchronous = ${durability}; pragma fullfsync = ${durability === 'full' ? 'on' : 'off'};
    pragma wal_autocheckpoint = ${SQL_CHECKPOINT_PAGES}`)
  // A log that one large group blew up is cut back to its usual size when it is next begun anew.
  const pageBytes = Number(connection.value('pragma page_size'))
  connection.value(`pragma journal_size_limit = ${SQL_CHECKPOINT_PAGES * pageBytes}`)
}

function storageFailure(connection: Connection | undefined, error: unknown, what: string): Failure {
  if (error instanceof Failure) return error
  const described = connection?.describe(error)
  const message = error instanceof Error ? error.message : String(error)
  if (described !== undefined) return sqlFailure(described.code, `${what}: ${described.message}`, error)
  return new Failure('storage', `${what}: ${message}`, undefined, error)
}
