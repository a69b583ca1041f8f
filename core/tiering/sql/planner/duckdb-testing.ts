/** For tests: DuckDB with the planner's tables in it, and its answers as the planner's values. */
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api'
import { expect } from 'vitest'
import type { MemoryTable } from './testing.ts'
import type { Datum } from './values.ts'

const types: { readonly [type: string]: string } = {
  boolean: 'boolean',
  int: 'integer',
  long: 'bigint',
  double: 'double',
  string: 'varchar',
  timestamptz: 'timestamptz',
}

function literal(value: Datum, type: string): string {
  if (value === null) return 'null'
  if (type === 'timestamptz') return `make_timestamptz(${value})`
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (typeof value === 'number' && !Number.isInteger(value)) return `'${value}'::double`
  return `${value}`
}

/** Make a table of the planner's in DuckDB. */
export async function loadTable(duck: DuckDBConnection, name: string, { columns, rows }: MemoryTable): Promise<void> {
  const declared = columns.map((column) => `"${column.name}" ${types[column.type]}`)
  await duck.run(`create or replace table ${name} (${declared})`)
  if (rows.length === 0) return
  const values = rows.map((row) => `(${row.map((value, at) => literal(value, columns[at]?.type ?? ''))})`)
  await duck.run(`insert into ${name} values ${values.join(',')}`)
}

function datum(value: DuckDBValue): Datum {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value !== 'object' || value === null) return value
  if ('micros' in value) return datum(value.micros as bigint)
  // Decimals: the planner computes with doubles.
  if ('scale' in value) return Number(value.value) / 10 ** value.scale
  return `${value}`
}

/** Ask DuckDB. */
export async function duckRows(duck: DuckDBConnection, sql: string): Promise<Datum[][]> {
  const result = await duck.runAndReadAll(sql)
  return result.getRows().map((row) => row.map(datum))
}

function shown(value: Datum): string {
  // Sums of doubles differ in their last bits with their order.
  const isRough = typeof value === 'number' && (!Number.isInteger(value) || Math.abs(value) > 1e15)
  if (isRough) return `${Number(value.toPrecision(12))}`
  return value === null ? 'null' : `${typeof value === 'string' ? 'text ' : ''}${value === 0 ? 0 : value}`
}

/** Expect the same rows.
 *  @param isOrdered left out: a query with `order by` is */
export function sameRows(
  ours: readonly (readonly Datum[])[],
  theirs: readonly (readonly Datum[])[],
  sql: string,
  isOrdered: boolean = / order by /.test(sql),
): void {
  const lines = (rows: readonly (readonly Datum[])[]) => {
    const texts = rows.map((row) => JSON.stringify(row.map(shown)))
    return isOrdered ? texts : texts.sort()
  }
  expect(lines(ours), sql).toEqual(lines(theirs))
}
