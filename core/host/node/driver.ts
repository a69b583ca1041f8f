/** What a SQLite binding of Node has to bring, and what both share: the statements around a transaction. */
import type { SqlValue } from '../../shard/sql.ts'
import type { SqlDriver } from '../../shard/sql-driver.ts'

/** One open connection, before anything is set on it. */
export interface Connection extends SqlDriver {
  /** Run statements that the port refuses to others, such as pragmas. */
  exec(statements: string): void
  /** Run one such statement. @returns the first column of its first row, or null */
  value(statement: string): SqlValue
}

/** How to reach the file. */
export interface ConnectOptions {
  readonly readonly: boolean
  /** Milliseconds to wait for another connection's lock. */
  readonly busyTimeoutMs: number
}

/** Open a file, or `:memory:`. */
export type Connect = (path: string, options: ConnectOptions) => Connection

/** Asks for the bytes in use, as a Durable Object counts them: free pages are left out. */
export const sizeStatement =
  'select (page_count - freelist_count) * page_size from pragma_page_count, pragma_freelist_count, pragma_page_size'

/** The statements around a transaction, each prepared once. */
export interface Brackets {
  begin(): void
  commit(): void
  rollback(): void
  save(): void
  release(): void
  undo(): void
}

/** Prepare the statements around a transaction.
 *  `begin` is deferred: a shard's file has one writer, so nobody can come between its first read and its first write,
 *  and a transaction that only reads takes no write lock and no place in the log.
 *  @param prepare makes a function that runs a statement */
export function makeBrackets(prepare: (statement: string) => () => void): Brackets {
  return {
    begin: prepare('begin'),
    commit: prepare('commit'),
    rollback: prepare('rollback'),
    save: prepare('savepoint dotdo'),
    release: prepare('release dotdo'),
    undo: prepare('rollback to dotdo'),
  }
}

/** Run work in a transaction, or in a savepoint of the one that is open. */
export function runBracketed<T>(brackets: Brackets, work: () => T, nested: boolean): T {
  if (nested) brackets.save()
  else brackets.begin()
  try {
    const result = work()
    if (nested) brackets.release()
    else brackets.commit()
    return result
  } catch (error) {
    if (nested) undoQuietly(brackets.undo, brackets.release)
    else undoQuietly(brackets.rollback)
    throw error
  }
}

/** Undo, leaving the reason to be heard: after a full disk or an input or output error SQLite has rolled back by
 *  itself, and then there is nothing left to undo. */
function undoQuietly(...steps: (() => void)[]): void {
  try {
    for (const step of steps) step()
  } catch {
    // HostSql fails every statement until the outermost transaction has ended, see sql-driver.ts, 3.
  }
}
