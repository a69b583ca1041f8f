/** The two SQLite bindings of Node behind one small interface, and the choice between them.
 *
 *  1. better-sqlite3 is the first choice (12 on Node 20, 13 from Node 22 on); node:sqlite, from Node 22.16 on, where it
 *     cannot be loaded. DOTDO_SQLITE=better-sqlite3 or =node asks for one and takes no other.
 *  2. better-sqlite3 13 takes Node 20 down with a segmentation fault, so its version is read before it is loaded.
 *  3. Bindings are loaded at run time, once per process: bundlers leave them out, and Workers never see them. */
import { createRequire } from 'node:module'
import { Failure } from '../../errors.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { SqlDriver } from '../../shard/sql-driver.ts'
import { loadBetterSqlite3 } from './driver-better-sqlite3.ts'
import { loadNodeSqlite } from './driver-node-sqlite.ts'

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

/** A binding's name, as DOTDO_SQLITE has it. */
export type Binding = 'better-sqlite3' | 'node'

const loaders: { readonly [B in Binding]: (require: NodeJS.Require) => Connect } = {
  'better-sqlite3': loadBetterSqlite3,
  node: loadNodeSqlite,
}
const loaded = new Map<Binding, Connect>()

/** Load the first binding that works.
 *  @param wanted DOTDO_SQLITE: a binding's name, or undefined for the first that loads
 *  @throws invalid when `wanted` is no binding's name; unsupported when none can be loaded, saying what to do */
export function loadBinding(wanted: string | undefined = process.env.DOTDO_SQLITE): Connect {
  const names = Object.keys(loaders) as Binding[]
  const asked = wanted ? names.filter((name) => name === wanted) : names
  if (asked.length === 0) throw new Failure('invalid', `DOTDO_SQLITE=${wanted}: one of ${names.join(', ')} is right`)
  const reasons: string[] = []
  for (const name of asked) {
    try {
      const connect = loaded.get(name) ?? loaders[name](createRequire(import.meta.url))
      loaded.set(name, connect)
      return connect
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  const advice =
    'run `npm install better-sqlite3` (`npm rebuild better-sqlite3` after a change of Node), or use Node >= 22.16'
  throw new Failure('unsupported', `no SQLite for Node ${process.versions.node}: ${advice} (${reasons.join('; ')})`)
}

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

/** Undo, leaving the reason to be heard: after a full disk or an input or output error SQLite has rolled back by itself,
 *  and then there is nothing left to undo. */
function undoQuietly(...steps: (() => void)[]): void {
  try {
    for (const step of steps) step()
  } catch {
    // HostSql fails every statement until the outermost transaction has ended, see sql-driver.ts, 3.
  }
}
