/** Declared tables: from the declaration come creation, migration, the change log and the generic copy.
 *
 *  1. The primary key begins with `slot`, unless the whole table lives in one slot.
 *  2. Column kinds: `integer` (within 2^53), `real`, `text`, `blob` (Uint8Array), `bin` (a blob that rows carry as a
 *     binary string, see core/bytes.ts). A kind with `?` may be null.
 *  3. A buffered table is written to memory and to the redo log first, and to its SQL table in the background;
 *     its rows are read by key from memory. See buffer.ts.
 *  4. A buffered table may say how its rows are patched: then a change of a large row takes no more redo than the
 *     change. See patches.ts.
 *  5. A table whose rows all live in one slot names it and leaves it out of its rows: they move with that slot.
 *  6. An internal table is a program's own affair: it moves with its slots, and is in no log, feed, query or list. */
import type { Bin } from '../bytes.ts'
import type { Relation } from './relation.ts'
import type { SqlValue } from './sql.ts'

/** What a column holds; `?` allows null. */
export type Kind = 'integer' | 'real' | 'text' | 'blob' | 'bin'
/** A column's kind as declared. */
export type ColumnKind = Kind | `${Kind}?`

/** A row of a declared table; `bin` columns hold binary strings. */
export type Row = Record<string, SqlValue>

/** How rows are told apart by their keys. */
export interface Identity<R extends Row = Row> {
  /** Hash a key to an integer of 32 bits, signed or not: the better it spreads, the faster a row is found. */
  hash(key: Partial<R>): number
  /** Whether two rows have the same key. */
  same(a: Partial<R>, b: Partial<R>): boolean
}

/** A declared table. */
// biome-ignore lint/suspicious/noExplicitAny: a table of any row, as the tables of a program are listed
export interface Table<R extends Row = any> {
  /** Name in SQL: letters, digits and underscores. */
  readonly name: string
  /** Name in SQL queries, Iceberg and change events. */
  readonly collection: string
  /** Columns in order. */
  readonly columns: { readonly [C in keyof R & string]: ColumnKind }
  /** The slot in which all of its rows live, where no column says it. */
  readonly slot?: number
  /** Columns of the primary key, in order. */
  readonly primaryKey: readonly (keyof R & string)[]
  /** Store rows in the primary key's tree (right for small rows). */
  readonly withoutRowid?: boolean
  /** Write through memory and the redo log. */
  readonly buffered?: boolean
  /** Make the row that a patch makes of one: a pure function, as it is done again after a crash (`tx.patch`). */
  readonly patched?: (row: R, patch: Bin) => R
  /** More indexes: name to the text after `on <table>`, for example `(expires) where expires is not null`. */
  readonly indexes?: { readonly [name: string]: string }
  /** How its rows are told apart in memory, where that takes less than looking at every key column. */
  readonly identity?: Identity<R>
  /** Read a row's values, those of the key's columns first, the rest in the order of `columns`: for a table that is
   *  written often, as looking up columns by name takes longer than all else that is done to log a row. */
  readonly cells?: (row: R) => readonly (SqlValue | undefined)[]
  /** What people see of a row: the document of change events and of the relation. */
  document(row: R): Record<string, unknown>
  /** What people call a row: the documentId of change events. */
  documentId(key: Partial<R>): string
  /** What SQL and Iceberg show of it; without one they do not show it. */
  readonly relation?: Relation<R>
  /** Nobody sees it and nothing logs it; made by `internalTable`. */
  readonly internal?: true
  /** What becomes of a row that comes with its slot from another shard: the log does not tell of it. */
  readonly arrived?: (row: R) => R
}

/** Declare a table, checking names and key.
 *  @throws Error when the declaration is wrong: that is a bug of ours */
export function table<R extends Row>(declaration: Table<R>): Table<R> {
  const { name, columns, primaryKey, buffered, internal, patched, relation } = declaration
  const named = (text: string) => /^[a-z][a-z0-9_]*$/.test(text)
  if (!named(name) || name.startsWith('dotdo_')) throw new Error(`bad table name ${name}`)
  for (const column of Object.keys(columns)) if (!named(column)) throw new Error(`bad column name ${name}.${column}`)
  if (primaryKey.length === 0) throw new Error(`table ${name} has no primary key`)
  for (const column of primaryKey) {
    if (!(column in columns)) throw new Error(`primary key of ${name}: no column ${column}`)
    if (columns[column].endsWith('?')) throw new Error(`primary key of ${name}: ${column} may be null`)
  }
  if (buffered && primaryKey[0] !== 'slot') throw new Error(`buffered table ${name}: its key must begin with slot`)
  // A crash would lose what neither the log nor the redo has.
  if (buffered && internal) throw new Error(`internal table ${name} cannot be buffered`)
  if (patched && !buffered) throw new Error(`table ${name} cannot be patched: it is not buffered`)
  if (declaration.slot !== undefined && primaryKey[0] === 'slot') throw new Error(`table ${name} has two slots`)
  checkPayload(declaration, relation?.payload?.column)
  checkCells(declaration)
  return declaration
}

/** @returns the names of all columns, the key's first */
export function cellNames({ columns, primaryKey }: Pick<Table, 'columns' | 'primaryKey'>): readonly string[] {
  return [...primaryKey, ...Object.keys(columns).filter((name) => !primaryKey.includes(name))]
}

function checkCells(declaration: Table): void {
  const names = cellNames(declaration)
  const read = declaration.cells?.(Object.fromEntries(names.map((name) => [name, name])))
  if (read !== undefined && read.join() !== names.join()) {
    throw new Error(`cells of ${declaration.name}: ${read.join()} are read, not ${names.join()}`)
  }
}

function checkPayload({ name, columns, primaryKey }: Table, payload: string | undefined): void {
  if (payload === undefined) return
  if (!columns[payload]?.endsWith('?'))
    throw new Error(`payload of ${name}: ${payload} must be a column that may be null`)
  if (primaryKey.includes(payload)) throw new Error(`payload of ${name}: ${payload} is part of its key`)
}

/** What an internal table declares. */
export type InternalTable<R extends Row> = Pick<
  Table<R>,
  'name' | 'columns' | 'slot' | 'primaryKey' | 'withoutRowid' | 'indexes' | 'arrived'
>

/** Declare a table that is a program's own affair: unbuffered, and in no log.
 *  @throws Error when the declaration is wrong: that is a bug of ours */
export function internalTable<R extends Row>(declaration: InternalTable<R>): Table<R> {
  const { name } = declaration
  const refuse = (): never => {
    throw new Error(`nobody sees the rows of internal table ${name}`)
  }
  return table<R>({ ...declaration, collection: '', internal: true, document: refuse, documentId: refuse })
}
