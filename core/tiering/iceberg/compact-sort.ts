/** Where the rows of a new file go: straight on, or first into the order of the table.
 *  @source https://iceberg.apache.org/spec/ (v2), "Sorting" */
import { Failure } from '../../errors.ts'
import { ICEBERG_SORT_BYTES_MAX, PARQUET_PAGE_ROWS } from '../../limits.ts'
import type { Cell } from '../parquet/read-assemble.ts'
import type { ParquetWriter } from '../parquet/writer.ts'
import { schemaOf, sortOrderOf, type TableMetadata } from './metadata.ts'
import type { SortField } from './partition.ts'
import { indexFields, primitiveTypeOf } from './schema.ts'
import { compileTransform, parseTransform } from './transform.ts'
import type { Field } from './types.ts'
import { compareValues, type Value } from './values.ts'

type Columns = readonly (readonly Cell[])[]

/** Takes rows as columns, in the order of the fields. */
export interface ColumnSink {
  /** Rows so far. */
  readonly rows: number
  write(rows: number, columns: readonly (readonly Cell[])[]): Promise<void>
  finish(): Promise<void>
}

/** Write rows as they come. */
export function plainColumns(output: ParquetWriter, fields: readonly Field[]): ColumnSink {
  return {
    get rows() {
      return output.rows
    },
    write: (rows, columns) => output.writeColumns(rows, namedColumns(fields, columns)),
    finish: async () => {},
  }
}

function namedColumns(fields: readonly Field[], columns: readonly (readonly Cell[])[]) {
  return Object.fromEntries(fields.map(({ name }, at) => [name, { values: columns[at] as readonly Cell[] }]))
}

/** Gather rows, and write them in the table's order in the end.
 *  @throws invalid when the table has no order */
export function sortColumns(table: TableMetadata, output: ParquetWriter, fields: readonly Field[]): ColumnSink {
  const order = sortOrderOf(table)
  if (order.fields.length === 0) throw new Failure('invalid', 'the table has no sort order; set one, or do not sort')
  const keys = order.fields.map((field) => compileKey(table, field, fields))
  const gathered: Cell[][] = fields.map(() => [])
  let rows = 0
  return {
    get rows() {
      return rows
    },
    async write(count, columns) {
      rows += count
      for (const [at, column] of columns.entries()) for (const value of column) gathered[at]?.push(value)
    },
    async finish() {
      const columns = keys.map(({ keysOf }) => keysOf(gathered))
      const places = Array.from({ length: rows }, (_, at) => at).sort((a, b) => {
        for (const [at, { compare }] of keys.entries()) {
          const difference = compare(columns[at]?.[a] ?? null, columns[at]?.[b] ?? null)
          if (difference !== 0) return difference
        }
        return a - b
      })
      for (let from = 0; from < rows; from += PARQUET_PAGE_ROWS) {
        const some = places.slice(from, from + PARQUET_PAGE_ROWS)
        const part = gathered.map((column) => some.map((at) => column[at] as Cell))
        await output.writeColumns(some.length, namedColumns(fields, part))
      }
    },
  }
}

interface Key {
  keysOf(columns: Columns): readonly (Value | null)[]
  compare(a: Value | null, b: Value | null): number
}

function compileKey(table: TableMetadata, field: SortField, fields: readonly Field[]): Key {
  const { 'source-id': id, transform, direction, 'null-order': nulls } = field
  const schema = schemaOf(table)
  const type = primitiveTypeOf(schema, id)
  const [top = '', ...path] = indexFields(schema).get(id)?.path ?? []
  const at = fields.findIndex(({ name }) => name === top)
  if (type === undefined || at < 0) throw new Failure('invalid', `sort order: field ${id} is no column`)
  const apply = compileTransform(parseTransform(transform), type)
  const sign = direction === 'asc' ? 1 : -1
  const nullsFirst = nulls === 'nulls-first' ? -1 : 1
  const keyOf = (cell: Cell): Value | null => {
    let value: unknown = cell
    for (const name of path) value = (value as Record<string, unknown> | null)?.[name]
    return apply((value ?? null) as Value | null)
  }
  return {
    keysOf: (columns) => (columns[at] as readonly Cell[]).map(keyOf),
    compare(a, b) {
      if (a === null || b === null) return a === b ? 0 : a === null ? nullsFirst : -nullsFirst
      return sign * compareReal(a, b)
    },
  }
}

/** NaN is above every number. */
function compareReal(a: Value, b: Value): number {
  const [x, y] = [Number.isNaN(a), Number.isNaN(b)]
  return x || y ? Number(x) - Number(y) : compareValues(a, b)
}

/** Check that the rows of one file can be sorted in memory.
 *  @throws limit */
export function checkSortable(targetBytes: number): void {
  if (targetBytes <= ICEBERG_SORT_BYTES_MAX) return
  const most = `${ICEBERG_SORT_BYTES_MAX} bytes`
  throw new Failure('limit', `sorted files have ${most} at the most, not ${targetBytes}: their rows are in memory`)
}
