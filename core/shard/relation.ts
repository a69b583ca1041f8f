/** What people see of a table: the columns of SQL, Iceberg and change documents. */
import type { Row } from './table.ts'

/** Types of relation columns, by Iceberg's names. */
export type RelationType = 'boolean' | 'int' | 'long' | 'double' | 'string' | 'binary' | 'timestamptz'

/** A value of a relation column: timestamptz as microseconds since 1970, binary as bytes. */
export type RelationValue = string | number | boolean | Uint8Array | null

/** One column that people see. */
export interface RelationColumn<R extends Row = Row> {
  readonly name: string
  readonly type: RelationType
  /** Never null. */
  readonly required?: boolean
  /** @param row whole: its payload is there */
  value(row: R): RelationValue
}

/** What people see of a table. */
// biome-ignore lint/suspicious/noExplicitAny: columns of any row, as tables of any row are listed
export interface Relation<R extends Row = any> {
  readonly columns: readonly RelationColumn<R>[]
  /** The column of the table whose value may live in the lake alone; its kind allows null. */
  readonly payload?: {
    readonly column: keyof R & string
    /** Whether the row's payload is in the lake alone: for rows that have one, its column is null. */
    isCold(row: R): boolean
    /** The payload of a row, from the relation's columns as they stand in the lake. */
    fromLake(columns: { readonly [name: string]: RelationValue }): R[keyof R]
  }
}
