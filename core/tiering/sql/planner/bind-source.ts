/** What a select reads: its first source, those that are joined to it, and the parts of `where` that each can test. */
import type { From, FromStatement, FromTable, SelectFromStatement } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import { bind } from './bind-expression.ts'
import { bindSelect, type SelectContext } from './bind-select.ts'
import { common, condition, ordered, truth } from './coerce.ts'
import { columnsOf, conjunction, conjuncts, type Expr, mapColumns } from './expression.ts'
import { asSelect, refused } from './parse.ts'
import type { JoinPlan, Query, SourcePlan } from './plan.ts'
import type { FoundColumn, Scope } from './scope.ts'

/** The sources of a query, bound. */
export type BoundSources = Pick<Query, 'joins' | 'filter'> & { readonly first?: SourcePlan }

type Draft = Omit<SourcePlan, 'filter' | 'used'> & { readonly filters: Expr[] }
type JoinDraft = Omit<JoinPlan, 'right'> & { readonly right: Draft }

/** Bind `from` and `where`; the scope learns the sources' columns. */
export function bindSources(ast: SelectFromStatement, scope: Scope, context: SelectContext): BoundSources {
  const [from, ...more] = ast.from ?? []
  const filter = (): Expr[] => {
    if (ast.where == null) return []
    return [...conjuncts(condition(bind(ast.where, { scope, parameters: context.parameters }), 'where'))]
  }
  if (from === undefined) {
    const rest = conjunction(filter())
    return { joins: [], ...(rest !== undefined && { filter: rest }) }
  }
  const first = bindSource(from, scope, context)
  const joins = more.map((one) => bindJoin(one, scope, context))
  const rest = conjunction(filter().filter((part) => !placed(part, first, joins)))
  return {
    first: finish(first),
    joins: joins.map((join) => ({ ...join, right: finish(join.right) })),
    ...(rest !== undefined && { filter: rest }),
  }
}

function finish({ filters, ...source }: Draft): SourcePlan {
  const filter = conjunction(filters)
  return { ...source, used: [], ...(filter !== undefined && { filter }) }
}

function bindSource(from: From, scope: Scope, context: SelectContext): Draft {
  if (from.type === 'call') throw refused('a function in from')
  if (from.lateral === true) throw refused('lateral')
  return from.type === 'table' ? bindTable(from, scope, context) : bindSubquery(from, scope, context)
}

function bindTable({ name }: FromTable, scope: Scope, context: SelectContext): Draft {
  if (name.columnNames != null) throw refused('names for the columns of a table')
  const database = name.schema ?? context.database
  const origin = { kind: 'table' as const, database, table: name.name }
  const columns = context.columnsOf(database, name.name)
  const alias = name.alias ?? name.name
  const { offset } = scope.add({ alias, columns, ...(name.alias === undefined && { database }) })
  return { origin, alias, columns, offset, filters: [] }
}

function bindSubquery({ statement, alias, columnNames }: FromStatement, scope: Scope, context: SelectContext): Draft {
  if (columnNames != null) throw refused('names for the columns of a subquery')
  const query = bindSelect(asSelect(statement), context)
  const columns = query.outputs.map(({ name, type }) => ({ name, type }))
  const { offset } = scope.add({ alias, columns })
  return { origin: { kind: 'query', query }, alias, columns, offset, filters: [] }
}

function bindJoin(from: From, scope: Scope, context: SelectContext): JoinDraft {
  const { join } = from
  if (join == null) throw refused('a list of tables in from', 'write join ... on ...')
  if (join.type !== 'INNER JOIN' && join.type !== 'LEFT JOIN') throw refused(join.type.toLowerCase())
  const using = join.using ?? []
  const lefts = using.map(({ name }) => scope.get({ name }))
  const right = bindSource(from, scope, context)
  const source = scope.sources.at(-1)
  const on = join.on == null ? [] : conjuncts(condition(bind(join.on, { scope, parameters: context.parameters }), 'on'))
  const draft = { leftKeys: [] as Expr[], rightKeys: [] as Expr[], residual: [] as Expr[] }
  using.forEach(({ name }, at) => {
    const own = right.columns.findIndex((column) => column.name === name)
    if (own < 0) throw new Failure('not_found', `using (${name}): ${right.alias} has no such column`)
    ;(source?.merged as Set<string> | undefined)?.add(name)
    const left = columnRef(lefts[at] as FoundColumn)
    const equal = columnRef({ name, at: right.offset + own, type: right.columns[own]?.type ?? 'null' })
    const [a, b] = common([left, equal], 'using') as [Expr, Expr]
    split(truth('=', a, b), right, draft)
  })
  for (const part of on) split(part, right, draft)
  if (draft.leftKeys.length === 0) {
    throw refused('a join without an equality', 'join on columns that are equal: on a.id = b.id')
  }
  const residual = conjunction(draft.residual)
  const kind = join.type === 'INNER JOIN' ? 'inner' : 'left'
  const { leftKeys, rightKeys } = draft
  return { kind, right, leftKeys, rightKeys, ...(residual !== undefined && { residual }) }
}

const columnRef = ({ at, type }: FoundColumn): Expr => ({ op: 'column', at, type: type === 'float' ? 'double' : type })

/** Which columns an expression has: of the sources before one, of that one, or of both. */
function sideOf(
  expr: Expr,
  { offset, columns }: Pick<Draft, 'offset' | 'columns'>,
): 'none' | 'before' | 'own' | 'mixed' {
  let [before, own] = [false, false]
  columnsOf(expr, (at) => {
    if (at >= offset && at < offset + columns.length) own = true
    else before = true
  })
  return own ? (before ? 'mixed' : 'own') : before ? 'before' : 'none'
}

interface Keys {
  readonly leftKeys: Expr[]
  readonly rightKeys: Expr[]
  readonly residual: Expr[]
}

/** Place one part of a join's condition. */
function split(part: Expr, right: Draft, { leftKeys, rightKeys, residual }: Keys): void {
  const own = (expr: Expr) => mapColumns(expr, (at) => at - right.offset)
  if (sideOf(part, right) === 'own') {
    right.filters.push(own(part))
    return
  }
  if (part.op === 'call' && part.name === '=') {
    const [a, b] = part.args as [Expr, Expr]
    ordered(a, 'join')
    const sides = `${sideOf(a, right)} ${sideOf(b, right)}`
    if (sides === 'before own' || sides === 'own before') {
      leftKeys.push(sides === 'before own' ? a : b)
      rightKeys.push(own(sides === 'before own' ? b : a))
      return
    }
  }
  residual.push(part)
}

/** Let the source that has all columns of a part of `where` test it, where that means the same.
 *  @returns whether one does */
function placed(part: Expr, first: Draft, joins: readonly JoinDraft[]): boolean {
  if (sideOf(part, first) === 'own') {
    first.filters.push(part)
    return true
  }
  const join = joins.find(({ right }) => sideOf(part, right) === 'own')
  // Of a left join, what `where` says is about the rows without a match too.
  if (join === undefined || join.kind === 'left') return false
  join.right.filters.push(mapColumns(part, (at) => at - join.right.offset))
  return true
}

/** List the tables that a select names, those of its subqueries too. */
export function tablesOf(ast: SelectFromStatement, database: string): { database: string; table: string }[] {
  return (ast.from ?? []).flatMap((from) => {
    if (from.type === 'table') return [{ database: from.name.schema ?? database, table: from.name.name }]
    return from.type === 'statement' ? tablesOf(asSelect(from.statement), database) : []
  })
}
