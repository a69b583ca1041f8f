/** The Sql port: what an engine may ask of the database that a shard is.
 *
 *  1. Written to the lowest common set of Durable Object SQL and better-sqlite3 (facts/durable-objects.md, section 3):
 *     one statement per text, at most 100 plain `?` parameters, no BEGIN or SAVEPOINT in SQL, no user functions. What
 *     only one host can do, or would do differently, is refused on both (sql-check.ts has the list).
 *  2. Values are null, numbers, well-formed strings and Uint8Array, 2 MB together. What one host would silently mangle
 *     (booleans, BigInt, dates, objects, undefined, lone surrogates) is refused on both. NaN is stored as null.
 *  3. Numbers are bound as REAL; a column of type integer makes them integers again, exactly up to 2^63 when the number
 *     is. An integer past 2^53 is written as decimal text and read with `cast(c as text)`: read as a number it is
 *     rounded to the nearest double, on every host, because workerd cannot tell.
 *  4. Every cursor is drained before the call returns: an undrained RETURNING loses the whole turn in workerd.
 *  5. `transact` nests; an inner throw undoes the inner work only. A callback that returns a promise is refused. A
 *     storage failure breaks the whole transaction: see sql-driver.ts.
 *  6. A text is checked and prepared once: keep texts constant and bind values. */

/** A value as SQL stores it. A blob comes back as a Uint8Array of the caller's own (a Buffer, on every host). */
export type SqlValue = null | number | string | Uint8Array

/** A result row by column name. */
export type SqlRow = Record<string, SqlValue>

/** One SQLite database, seen the same way on every host. */
export interface Sql {
  /** Run one statement and return its rows as objects; empty for a statement without rows.
   *  @throws invalid for wrong SQL and for values that some host would mangle; unsupported for a statement that cannot
   *  run on every host; limit for what is too large; conflict for a constraint (detail
   *  `{ constraint: 'unique' | 'check' | 'notnull' | 'foreignkey' | 'other' }`); storage when the disk refuses;
   *  unavailable when the database is closed */
  all(statement: string, ...values: readonly SqlValue[]): SqlRow[]
  /** As `all`, rows as arrays in column order: 2.5 times faster in workerd. */
  raw(statement: string, ...values: readonly SqlValue[]): SqlValue[][]
  /** As `all`, one row at a time, from the first that is asked for. While it runs, reads are let through; writes and
   *  `transact` are refused with `invalid`. It ends with the transaction it began in. */
  iterate(statement: string, ...values: readonly SqlValue[]): IterableIterator<SqlRow>
  /** Run `work` in a transaction, nested ones as savepoints; a throw undoes what `work` did and passes on.
   *  @throws invalid when `work` returns a promise; storage when the disk refused, whatever `work` made of that */
  transact<T>(work: () => T): T
  /** @returns bytes the database takes, free pages excluded */
  sizeBytes(): number
}
