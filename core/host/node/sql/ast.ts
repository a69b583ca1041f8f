/** What DuckDB's own parser says of a statement: the tables, functions and columns that it names.
 *
 *  1. A name is a common table expression only where DuckDB would see one, or fewer places: whatever else is named is
 *     a table, and is looked up by us. So nothing of DuckDB's own catalog can be reached by a name.
 *  2. Names of columns are gathered for the whole statement: a column that is not named is not read. */
import { findColumn } from '../../../tiering/sql/condition.ts'

/** A node of DuckDB's tree, as `json_serialize_sql` gives it. */
export type AstNode = { readonly [key: string]: unknown }

/** A table that a statement names. */
export interface TableRef {
  readonly node: AstNode
  /** Where the name begins, in bytes. */
  readonly location: number
  readonly catalog: string
  readonly schema: string
  readonly table: string
  readonly alias: string | undefined
  /** Time travel. */
  readonly at: { readonly unit: string; readonly expression: AstNode } | undefined
  readonly isSampled: boolean
}

/** A function that a statement calls. */
export interface FunctionRef {
  readonly name: string
  readonly isTable: boolean
  readonly location: number | undefined
}

/** What a statement names. */
export interface Survey {
  readonly tables: readonly TableRef[]
  readonly functions: readonly FunctionRef[]
  /** Names of columns in lower case; undefined when there is a star. */
  readonly columns: ReadonlySet<string> | undefined
  /** Columns as they are written. */
  readonly columnRefs: readonly { readonly names: readonly string[]; readonly location: number }[]
  /** The parts of selects that say what is read and which of it: for conditions. */
  readonly selects: readonly AstNode[]
  readonly parameters: ReadonlySet<string>
  /** What `show` and `describe` ask for: names of lists, and how (`DESCRIBE`, `SUMMARY`). */
  readonly shows: readonly { readonly list: string; readonly type: string }[]
}

/** Read a property that is text. */
export function textOf(node: AstNode, key: string): string {
  const value = node[key]
  return typeof value === 'string' ? value : ''
}

/** Read a property that is a node. */
export function nodeOf(node: AstNode, key: string): AstNode | undefined {
  const value = node[key]
  return isNode(value) ? value : undefined
}

/** Read a property that is a list of nodes. */
export function nodesOf(node: AstNode, key: string): readonly AstNode[] {
  const value = node[key]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** Read where a node stands, in bytes. */
export function locationOf(node: AstNode): number | undefined {
  return typeof node.query_location === 'number' ? node.query_location : undefined
}

function isNode(value: unknown): value is AstNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Names of common table expressions that can be seen, in lower case. */
type Scope = ReadonlySet<string>

/** Find out what a statement names. */
export function survey(statement: AstNode): Survey {
  const surveyor = new Surveyor()
  surveyor.visit(statement, new Set())
  return surveyor.done()
}

class Surveyor {
  private readonly tables: TableRef[] = []
  private readonly functions: FunctionRef[] = []
  private readonly columns = new Set<string>()
  private hasStar = false
  private readonly columnRefs: { names: readonly string[]; location: number }[] = []
  private readonly selects: AstNode[] = []
  private readonly parameters = new Set<string>()
  private readonly shows: { list: string; type: string }[] = []

  done(): Survey {
    const { tables, functions, columnRefs, selects, parameters, shows } = this
    const columns = this.hasStar ? undefined : this.columns
    return { tables, functions, columns, columnRefs, selects, parameters, shows }
  }

  visit(value: unknown, scope: Scope): void {
    if (Array.isArray(value)) for (const one of value) this.visit(one, scope)
    if (!isNode(value)) return
    const inner = this.expressions(value, scope)
    this.note(value, inner)
    for (const [key, one] of Object.entries(value)) {
      // Values of constants are data: nothing in them is a name.
      if (key === 'cte_map' || (key === 'value' && value.class === 'CONSTANT')) continue
      // Only the part that recurs sees what it makes; in the other, the name is a table's.
      const isRecurring = value.type === 'RECURSIVE_CTE_NODE' && key === 'right'
      this.visit(one, isRecurring ? withName(inner, textOf(value, 'cte_name')) : inner)
    }
  }

  /** Visit common table expressions, each of which sees those before it. @returns what comes after them sees */
  private expressions(node: AstNode, scope: Scope): Scope {
    const entries = nodesOf(nodeOf(node, 'cte_map') ?? {}, 'map')
    let inner = scope
    for (const entry of entries) {
      this.visit(entry.value, inner)
      inner = withName(inner, textOf(entry, 'key'))
    }
    return inner
  }

  private note(node: AstNode, scope: Scope): void {
    switch (node.type) {
      case 'BASE_TABLE':
        return this.noteTable(node, scope)
      case 'TABLE_FUNCTION':
        this.functions.push(functionOf(nodeOf(node, 'function') ?? {}, true))
        return
      case 'SHOW_REF':
        this.shows.push({ list: textOf(node, 'table_name').replaceAll('"', ''), type: textOf(node, 'show_type') })
        return
      case 'JOIN':
        for (const name of (node.using_columns as readonly string[] | undefined) ?? [])
          this.columns.add(name.toLowerCase())
        if (node.ref_type === 'NATURAL') this.hasStar = true
        return
      case 'SELECT_NODE':
        this.selects.push(node)
        return
      default:
        return this.noteExpression(node)
    }
  }

  private noteTable(node: AstNode, scope: Scope): void {
    const [catalog, schema, table] = [
      textOf(node, 'catalog_name'),
      textOf(node, 'schema_name'),
      textOf(node, 'table_name'),
    ]
    const at = nodeOf(node, 'at_clause')
    if (catalog === '' && schema === '' && at === undefined && scope.has(table.toLowerCase())) return
    this.tables.push({
      node,
      location: locationOf(node) ?? -1,
      catalog,
      schema,
      table,
      alias: textOf(node, 'alias') || undefined,
      at: at && { unit: textOf(at, 'unit'), expression: nodeOf(at, 'expr') ?? {} },
      isSampled: nodeOf(node, 'sample') !== undefined,
    })
  }

  private noteExpression(node: AstNode): void {
    switch (node.class) {
      case 'FUNCTION':
      case 'WINDOW':
        this.functions.push(functionOf(node, false))
        return
      case 'STAR':
        this.hasStar = true
        return
      case 'COLUMN_REF': {
        const names = node.column_names as readonly string[]
        for (const name of names) this.columns.add(name.toLowerCase())
        this.columnRefs.push({ names, location: locationOf(node) ?? -1 })
        return
      }
      case 'PARAMETER':
        this.parameters.add(textOf(node, 'identifier'))
    }
  }
}

const withName = (scope: Scope, name: string): Scope => new Set(scope).add(name.toLowerCase())

function functionOf(node: AstNode, isTable: boolean): FunctionRef {
  return { name: textOf(node, 'function_name').toLowerCase(), isTable, location: locationOf(node) }
}

/** Say which columns of a table a statement may read.
 *  @param label what the statement calls the table: named as a column, it means the whole row */
export function columnsRead<C extends { readonly name: string }>(
  columns: readonly C[],
  named: Survey['columns'],
  label: string,
): readonly C[] {
  if (named === undefined) return columns
  // A table that has a column of its own label is asked for that one.
  if (named.has(label.toLowerCase()) && findColumn(columns, label) === undefined) return columns
  return columns.filter(({ name }) => named.has(name.toLowerCase()))
}
