/** What names mean inside a query: its sources, their columns, and the values given with the text. */
import { Failure } from '../../../errors.ts'
import type { Literal } from './expression.ts'
import type { NumberLiteral } from './sql-text.ts'
import type { Datum } from './values.ts'

/** A column that a source has. */
export interface SourceColumn {
  readonly name: string
  readonly type: string
  /** Left out by `*`. */
  readonly isHidden?: boolean
}

/** Something in `from`. */
export interface ScopeSource {
  /** What it is called in the query. */
  readonly alias: string
  /** Its database, when it is a table without an alias. */
  readonly database?: string | undefined
  readonly columns: readonly SourceColumn[]
  /** The place of its first column among all. */
  readonly offset: number
  /** Columns of its that `using` has made one with another's. */
  readonly merged: ReadonlySet<string>
}

/** A column found. */
export interface FoundColumn {
  readonly at: number
  readonly name: string
  readonly type: string
}

/** A reference to a column, as the query writes it. */
export interface NamedColumn {
  readonly name: string
  readonly table?: string | undefined
  readonly database?: string | undefined
}

const written = ({ database, table, name }: NamedColumn) => {
  return [database, table, name].filter((part) => part !== undefined).join('.')
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

/** The columns that a query sees. */
export class Scope {
  readonly sources: ScopeSource[] = []
  /** How many columns there are. */
  width = 0

  /** Add a source. @throws invalid when its name is taken */
  add({
    merged = new Set(),
    ...source
  }: Omit<ScopeSource, 'offset' | 'merged'> & { merged?: Set<string> }): ScopeSource {
    if (this.sources.some(({ alias }) => same(alias, source.alias))) {
      throw new Failure('invalid', `two sources are called ${source.alias}: give one of them an alias`)
    }
    const added = { ...source, merged, offset: this.width }
    this.sources.push(added)
    this.width += source.columns.length
    return added
  }

  private sourcesOf(column: NamedColumn): readonly ScopeSource[] {
    const { table, database } = column
    if (table === undefined) return this.sources
    const found = this.sources.filter(
      (source) => same(source.alias, table) && (database === undefined || source.database === database),
    )
    if (found.length === 0)
      throw new Failure('not_found', `${written(column)}: no table or alias ${table} in this query`)
    return found
  }

  /** Find a column: by its exact name, or else by its name in any case.
   *  @returns undefined when there is none
   *  @throws invalid when several have the name, not_found for a table that is not there */
  find(column: NamedColumn): FoundColumn | undefined {
    for (const matches of [(name: string) => name === column.name, (name: string) => same(name, column.name)]) {
      const found: FoundColumn[] = []
      for (const { columns, offset, merged } of this.sourcesOf(column)) {
        columns.forEach(({ name, type }, at) => {
          const isMerged = column.table === undefined && merged.has(name)
          if (matches(name) && !isMerged) found.push({ at: offset + at, name, type })
        })
      }
      if (found.length > 1) {
        throw new Failure('invalid', `column ${written(column)} could be several: name its table, or quote it exactly`)
      }
      if (found.length === 1) return found[0]
    }
    return undefined
  }

  /** Get a column.
   *  @throws not_found */
  get(column: NamedColumn): FoundColumn {
    const found = this.find(column)
    if (found !== undefined) return found
    const near = this.sources.flatMap(({ columns }) => columns.map(({ name }) => name)).slice(0, 20)
    throw new Failure('not_found', `no column ${written(column)}; there are ${near.join(', ') || 'none'}`)
  }

  /** List the columns that `*`, or `table.*`, stands for. */
  all(table?: string, database?: string): { readonly name: string; readonly alias: string }[] {
    return this.sourcesOf({ name: '*', table, database }).flatMap(({ columns, alias, merged }) => {
      const shown = columns.filter(({ name, isHidden }) => {
        return isHidden !== true && (table !== undefined || !merged.has(name))
      })
      return shown.map(({ name }) => ({ name, alias }))
    })
  }
}

/** The values that a query's text refers to. */
export class Parameters {
  private readonly params: readonly Datum[]
  private readonly numbers: ReadonlyMap<string, NumberLiteral>

  constructor(params: readonly Datum[], numbers: ReadonlyMap<string, NumberLiteral>) {
    this.params = params
    this.numbers = numbers
  }

  /** Get the value of `$1`, or of a number of the text.
   *  @throws invalid when it was not given */
  get(name: string): Literal {
    const number = this.numbers.get(name)
    if (number !== undefined) return { op: 'literal', ...number }
    const value = this.params[Number(name.slice(1)) - 1]
    if (value === undefined) {
      throw new Failure('invalid', `the query has a parameter ${name}, and ${this.params.length} values were given`)
    }
    return literalOf(value)
  }
}

/** See a value as a literal: its type is what it is. */
export function literalOf(value: Datum): Literal {
  switch (typeof value) {
    case 'string':
      return { op: 'literal', value, type: 'string', isUntyped: true }
    case 'boolean':
      return { op: 'literal', value, type: 'boolean' }
    case 'bigint':
      return { op: 'literal', value, type: 'long' }
    case 'number': {
      if (!Number.isSafeInteger(value)) return { op: 'literal', value, type: 'double' }
      return { op: 'literal', value: value + 0, type: Math.abs(value) < 2 ** 31 ? 'int' : 'long' }
    }
    default:
      if (value === null) return { op: 'literal', value, type: 'null' }
      if (value instanceof Uint8Array) return { op: 'literal', value, type: 'binary' }
      throw new Failure('invalid', 'a parameter is text, a number, true, false, bytes or null')
  }
}
