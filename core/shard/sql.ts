/** The Sql port: what an engine may ask of the database that a shard is.
 *
 *  1. Written to the lowest common set of Durable Object SQL and better-sqlite3 (facts/durable-objects.md, section 3):
 *     at most 100 parameters, strict tables, no BEGIN or SAVEPOINT in SQL, no user functions, int64 past 2^53 as text.
 *  2. Values are null, finite-or-not numbers, strings and Uint8Array. What one host would silently mangle (booleans,
 *     BigInt, dates, objects, undefined) is refused on both.
 *  3. Every cursor is drained before the call returns: an undrained RETURNING loses the whole turn in workerd.
 *  4. `transact` nests; an inner throw undoes the inner work only. A callback that returns a promise is refused. */

/** A value as SQL stores it. Blobs come back as Uint8Array on every host. */
export type SqlValue = null | number | string | Uint8Array

/** A result row by column name. */
export type SqlRow = Record<string, SqlValue>

/** One SQLite database, seen the same way on every host. */
export interface Sql {
  /** Run one statement and return its rows as objects; empty for a statement without rows.
   *  @throws invalid for a value or statement that some host would mangle; storage when the disk refuses;
   *  conflict for a constraint (detail `{ constraint: 'unique' | 'check' | 'notnull' | 'foreignkey' | 'other' }`) */
  all(statement: string, ...values: readonly SqlValue[]): SqlRow[]
  /** As `all`, rows as arrays in column order: 2.5 times faster in workerd. */
  raw(statement: string, ...values: readonly SqlValue[]): SqlValue[][]
  /** As `all`, one row at a time. The database must not be written while it runs. */
  iterate(statement: string, ...values: readonly SqlValue[]): IterableIterator<SqlRow>
  /** Run `work` in a transaction, nested ones as savepoints; a throw undoes what `work` did and passes on. */
  transact<T>(work: () => T): T
  /** @returns bytes the database takes, free pages excluded */
  sizeBytes(): number
}
