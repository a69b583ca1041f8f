/** For tests: tables in memory, read as shards and files are: in pieces, some of them grouped already. */

import { Failure } from '../../../errors.ts'
import { bindSelect } from './bind-select.ts'
import type { Batch, Column } from './expression.ts'
import { parseQuery } from './parse.ts'
import { type PartialPlan, runPartial } from './partial.ts'
import type { SourcePlan } from './plan.ts'
import { runQuery, type ScanPart, type TableReader } from './run.ts'
import { Parameters, type SourceColumn } from './scope.ts'
import type { Row } from './sort.ts'
import type { Datum } from './values.ts'

/** A table in memory. */
export interface MemoryTable {
  readonly columns: readonly SourceColumn[]
  readonly rows: readonly (readonly Datum[])[]
}

/** Tables by name. */
export type MemoryTables = { readonly [table: string]: MemoryTable }

/** How a table is cut into pieces. */
export interface Cut {
  /** Rows of a piece. */
  readonly pieceRows: number
  /** Which pieces are run where they are, and come as what has come of them. */
  isPartial(piece: number): boolean
}

/** Read tables in memory. */
export function memoryReader(tables: MemoryTables, { pieceRows, isPartial }: Cut): TableReader {
  return {
    async *scan(source: SourcePlan, plan: PartialPlan): AsyncGenerator<ScanPart> {
      const { table } = source.origin as { table: string }
      const rows = tables[table]?.rows ?? []
      const travelled = structuredClone(plan)
      for (let at = 0, piece = 0; at < rows.length || piece === 0; at += pieceRows, piece++) {
        const some = rows.slice(at, at + pieceRows)
        const columns: Column[] = []
        for (const [place] of plan.columns) columns[place] = some.map((row) => row[place] as Datum)
        const batch: Batch = { rows: some.length, columns }
        const canRun = plan.grouping !== undefined || plan.top !== undefined
        if (canRun && isPartial(piece)) yield { partial: structuredClone(runPartial(travelled, [batch])) }
        else yield { batch }
      }
    },
  }
}

/** Run SQL over tables in memory. */
export async function runSql(
  text: string,
  tables: MemoryTables,
  { params = [], cut = { pieceRows: 3, isPartial: (piece) => piece % 2 === 1 } }: { params?: Datum[]; cut?: Cut } = {},
): Promise<{ names: string[]; types: string[]; rows: Row[] }> {
  const parsed = parseQuery(text)
  const query = bindSelect(parsed.select, {
    parameters: new Parameters(params, parsed.text.numbers),
    database: 'db',
    columnsOf(_, table) {
      const found = tables[table]
      if (found === undefined) throw new Failure('not_found', `no table ${table}`)
      return found.columns
    },
  })
  const rows: Row[] = []
  for await (const some of runQuery(query, memoryReader(tables, cut))) rows.push(...some)
  return { names: query.outputs.map(({ name }) => name), types: query.outputs.map(({ type }) => type), rows }
}
