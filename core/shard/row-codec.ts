/** Rows as bytes in the log and the redo, by a table's declaration.
 *  The key columns stand in the log, the rest in the redo: no byte is kept twice. */
import type { ByteReader, ByteWriter } from '../bytes.ts'
import type { SqlValue } from './sql.ts'
import { cellNames, type Kind, type Row, type Table } from './table.ts'

/** A column, ready for a loop. */
interface Column {
  readonly name: string
  readonly kind: Kind
  readonly nullable: boolean
}

/** A table's declaration, worked out once per shard. */
export interface TableShape {
  readonly table: Table
  /** Its number in the log. */
  readonly id: number
  readonly key: readonly Column[]
  readonly rest: readonly Column[]
  /** Read a row's values: those of the key's columns, then those of the rest. */
  readonly cells: (row: Row) => readonly (SqlValue | undefined)[]
}

/** Work out a table's columns.
 *  @param id the table's number in this shard's log */
export function shapeOf(table: Table, id: number): TableShape {
  const column = (name: string): Column => {
    const declared = table.columns[name] as string
    const nullable = declared.endsWith('?')
    return { name, kind: (nullable ? declared.slice(0, -1) : declared) as Kind, nullable }
  }
  const names = cellNames(table)
  const key = table.primaryKey.map(column)
  const cells = table.cells ?? ((row: Row) => names.map((name) => row[name]))
  return { table, id, key, rest: names.slice(key.length).map(column), cells }
}

function writeValue(writer: ByteWriter, column: Column, value: SqlValue | undefined): void {
  if (column.nullable) {
    if (value === null || value === undefined) return writer.byte(0)
    writer.byte(1)
  }
  switch (column.kind) {
    case 'integer':
      return writer.int(value as number)
    case 'bin':
      return writer.bin(value as string)
    case 'text':
      return writer.text(value as string)
    case 'real':
      return writer.double(value as number)
    case 'blob':
      return writer.bytes(value as Uint8Array)
  }
}

function readValue(reader: ByteReader, column: Column): SqlValue {
  if (column.nullable && reader.byte() === 0) return null
  switch (column.kind) {
    case 'integer':
      return reader.int()
    case 'bin':
      return reader.bin()
    case 'text':
      return reader.text()
    case 'real':
      return reader.double()
    case 'blob':
      return reader.bytes()
  }
}

/** Append the values of `columns`, which stand in `cells` from `at` on. */
export function writeCells(
  writer: ByteWriter,
  columns: readonly Column[],
  cells: ReturnType<TableShape['cells']>,
  at: number,
): void {
  for (let i = 0; i < columns.length; i++) writeValue(writer, columns[i] as Column, cells[at + i])
}

/** Append the first `count` of `columns`. */
export function writeColumns(writer: ByteWriter, columns: readonly Column[], row: Row, count = columns.length): void {
  for (let i = 0; i < count; i++) {
    const column = columns[i] as Column
    writeValue(writer, column, row[column.name])
  }
}

/** Read the first `count` of `columns` into `row`. */
export function readColumns(reader: ByteReader, columns: readonly Column[], row: Row, count = columns.length): Row {
  for (let i = 0; i < count; i++) {
    const column = columns[i] as Column
    row[column.name] = readValue(reader, column)
  }
  return row
}
