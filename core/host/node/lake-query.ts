/** SQL from TypeScript: a tagged template, or text with parameters, to rows in memory. */
import { Failure } from '../../errors.ts'
import { SQL_ROWS_IN_MEMORY_MAX } from '../../limits.ts'
import type { RelationValue } from '../../shard/relation.ts'
import type { SqlColumn, SqlEngine, SqlRequest, SqlResultValue, SqlStats } from '../../tiering/sql/port.ts'

/** A row by the names of its columns; the last of several with one name. */
export type SqlRow = Record<string, SqlResultValue>

/** Rows, with what they are and what they cost. */
export interface SqlRows extends Array<SqlRow> {
  readonly columns: readonly SqlColumn[]
  readonly stats: SqlStats
}

/** What goes with SQL in text. */
export interface SqlOptions extends Partial<Pick<SqlRequest, 'asOf' | 'explain' | 'stop'>> {
  /** Where names without a database are; `default` when left out. */
  readonly database?: string
}

/** Runs SQL to its end. */
export interface Sql {
  /** Run SQL with values: sql`select * from keys where key = ${key}`. Values are bound, never text of the statement.
   *  @throws limit past a million rows: ask the engine itself for those, which streams */
  (parts: TemplateStringsArray, ...values: readonly RelationValue[]): Promise<SqlRows>
  /** Run SQL with values of $1, $2, ... */
  (text: string, params?: readonly RelationValue[], options?: SqlOptions): Promise<SqlRows>
}

/** Number the holes of a template. */
function joined(parts: TemplateStringsArray): string {
  return parts.reduce((text, part, index) => `${text}${index === 0 ? '' : `$${index}`}${part}`, '')
}

async function runWhole(engine: SqlEngine, request: SqlRequest): Promise<SqlRows> {
  const result = await engine.query(request)
  const { columns } = result
  const rows: SqlRow[] = []
  try {
    for await (const batch of result.batches) {
      for (const row of batch)
        rows.push(Object.fromEntries(columns.map(({ name }, index) => [name, row[index]])) as SqlRow)
      if (rows.length > SQL_ROWS_IN_MEMORY_MAX) {
        throw new Failure(
          'limit',
          `more than ${SQL_ROWS_IN_MEMORY_MAX} rows: add a limit, or iterate over engine.query`,
        )
      }
    }
    return Object.assign(rows, { columns, stats: result.stats() })
  } finally {
    await result.close()
  }
}

/** Make the function that runs SQL.
 *  @param database where names without one are, unless a call says otherwise */
export function sqlOver(engine: SqlEngine, database = 'default'): Sql {
  return (first: string | TemplateStringsArray, ...rest: readonly unknown[]) => {
    if (typeof first !== 'string') {
      const params = rest as readonly RelationValue[]
      return runWhole(engine, { text: joined(first), database, ...(params.length > 0 && { params }) })
    }
    const [params, options] = rest as [readonly RelationValue[] | undefined, SqlOptions | undefined]
    return runWhole(engine, { text: first, database, ...(params && { params }), ...options })
  }
}
