/** From the parser's select to a bound query. */
import type { Expr as Ast, OrderByStatement, SelectFromStatement } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import type { Aggregate, Grouping } from './aggregate.ts'
import { bindAggregate, containsAggregate, isAggregate } from './bind-aggregate.ts'
import { type BindContext, bind } from './bind-expression.ts'
import { bindSources } from './bind-source.ts'
import { condition, ordered } from './coerce.ts'
import { columnsOf, constant, type Expr, fingerprint } from './expression.ts'
import { refused } from './parse.ts'
import type { Output, Query } from './plan.ts'
import { type Parameters, Scope, type SourceColumn } from './scope.ts'
import type { Order } from './sort.ts'
import { kindOf } from './values.ts'

/** What a select is bound with. */
export interface SelectContext {
  readonly parameters: Parameters
  /** The database of names without one. */
  readonly database: string
  /** Columns of the tables that the query names. */
  columnsOf(database: string, table: string): readonly SourceColumn[]
}

/** Bind a select.
 *  @throws invalid, not_found, unsupported */
export function bindSelect(ast: SelectFromStatement, context: SelectContext): Query {
  if (ast.for != null) throw refused('for update', 'the lake is only read')
  if (Array.isArray(ast.distinct)) throw refused('distinct on', 'group by the columns, with min or max of the others')
  const scope = new Scope()
  const sources = bindSources(ast, scope, context)
  return new Binder(ast, scope, context.parameters).bind(sources)
}

/** A column of the select list, before it is bound. */
interface Item {
  readonly ast: Ast
  readonly alias: string | undefined
}

class Binder {
  private readonly ast: SelectFromStatement
  private readonly scope: Scope
  private readonly input: BindContext
  private readonly items: readonly Item[]
  /** Where expressions after grouping stand. */
  private context: BindContext
  private readonly keys = new Map<string, number>()
  private readonly by: Expr[] = []
  private readonly aggregates: Aggregate[] = []
  private isGrouped = false

  constructor(ast: SelectFromStatement, scope: Scope, parameters: Parameters) {
    this.ast = ast
    this.scope = scope
    this.input = { scope, parameters }
    this.context = this.input
    this.items = (ast.columns ?? []).flatMap(({ expr, alias }) => this.expand(expr, alias?.name))
    if (this.items.length === 0) throw new Failure('invalid', 'the select list is empty')
  }

  bind(sources: Pick<Query, 'joins' | 'filter'> & { readonly first?: Query['first'] }): Query {
    this.group()
    const outputs = this.items.map((item) => this.output(item))
    const { having: asked } = this.ast
    const having = asked == null ? undefined : condition(bind(asked, this.context), 'having')
    const isPlainDistinct = this.ast.distinct === 'distinct' && !this.isGrouped
    if (isPlainDistinct) this.distinct(outputs)
    const shown = isPlainDistinct ? this.items.map((item) => this.output(item)) : outputs
    const { keys, order } = this.order(shown)
    const isDistinct = this.ast.distinct === 'distinct' && !isPlainDistinct
    if (isDistinct && keys.length > 0)
      throw new Failure('invalid', 'select distinct is ordered by what it selects only')
    if (isDistinct) for (const { expr } of shown) ordered(expr, 'distinct')
    const grouping: Grouping = { by: this.by, aggregates: this.aggregates }
    return {
      ...this.prune(sources, { outputs: shown, keys, grouping }),
      ...(this.isGrouped && { grouping }),
      ...(having !== undefined && { having }),
      outputs: shown,
      keys,
      order,
      isDistinct,
      limit: this.count(this.ast.limit?.limit, 'limit', Number.POSITIVE_INFINITY),
      offset: this.count(this.ast.limit?.offset, 'offset', 0),
    }
  }

  private expand(expr: Ast, alias: string | undefined): Item[] {
    if (expr.type !== 'ref' || expr.name !== '*') return [{ ast: expr, alias }]
    const all = this.scope.all(expr.table?.name, expr.table?.schema)
    if (all.length === 0) throw new Failure('invalid', '* of a select without a table')
    return all.map(({ name, alias: table }) => ({ ast: { type: 'ref', name, table: { name: table } }, alias: name }))
  }

  private group(): void {
    const { groupBy, having } = this.ast
    const orders = (this.ast.orderBy ?? []).map(({ by }) => by)
    const parts = [...this.items.map(({ ast }) => ast), ...orders, ...(having == null ? [] : [having])]
    this.isGrouped = (groupBy?.length ?? 0) > 0 || having != null || parts.some(containsAggregate)
    if (!this.isGrouped) return
    for (const ast of groupBy ?? []) this.key(bind(this.groupTerm(ast), this.input))
    this.context = this.grouped()
  }

  private key(expr: Expr): void {
    const name = fingerprint(expr)
    if (this.keys.has(name)) return
    if (kindOf(expr.type) === 'other') ordered(expr, 'group by')
    this.keys.set(name, this.by.length)
    this.by.push(expr)
  }

  /** A term of `group by`: a number is a column of the select list, and so is an alias that is no column. */
  private groupTerm(ast: Ast): Ast {
    if (ast.type === 'integer') return this.itemAt(ast.value, 'group by').ast
    if (ast.type !== 'ref' || ast.table !== undefined || this.scope.find({ name: ast.name }) !== undefined) return ast
    return this.items.find(({ alias }) => alias === ast.name)?.ast ?? ast
  }

  private itemAt(place: number, what: string): Item {
    const item = this.items[place - 1]
    if (item !== undefined) return item
    throw new Failure('invalid', `${what} ${place}: the select list has ${this.items.length} columns`)
  }

  private grouped(): BindContext {
    return {
      ...this.input,
      special: (ast) => {
        if (isAggregate(ast)) return this.aggregate(bindAggregate(ast, this.input))
        if (containsAggregate(ast)) return undefined
        const bound = bind(ast, this.input)
        const at = this.keys.get(fingerprint(bound))
        if (at !== undefined) return { op: 'column', at, type: bound.type }
        let isConstant = true
        columnsOf(bound, () => {
          isConstant = false
        })
        if (isConstant) return bound
        if (ast.type !== 'ref') return undefined
        throw new Failure('invalid', `column ${ast.name} must be in group by, or in an aggregate`)
      },
    }
  }

  private aggregate(made: Aggregate): Expr {
    const name = JSON.stringify([made.op, made.arg && fingerprint(made.arg)])
    const known = this.aggregates.findIndex(({ op, arg }) => JSON.stringify([op, arg && fingerprint(arg)]) === name)
    if (known < 0) this.aggregates.push(made)
    const at = known < 0 ? this.aggregates.length - 1 : known
    return { op: 'column', at: this.by.length + at, type: made.type }
  }

  /** A plain `select distinct` is a group by of what it selects. */
  private distinct(outputs: readonly Output[]): void {
    this.isGrouped = true
    for (const { expr } of outputs) this.key(expr)
    this.context = this.grouped()
  }

  private output({ ast, alias }: Item): Output {
    const expr = bind(ast, this.context)
    return { name: alias ?? nameOf(ast), type: expr.type, expr }
  }

  private order(outputs: readonly Output[]): Pick<Query, 'keys' | 'order'> {
    const keys: Expr[] = []
    const order = (this.ast.orderBy ?? []).map((term) => this.term(term, outputs, keys))
    return { keys, order }
  }

  private term({ by, order, nulls }: OrderByStatement, outputs: readonly Output[], keys: Expr[]): Order {
    const how = { isDescending: order === 'DESC', nullsFirst: nulls === 'FIRST' }
    if (by.type === 'integer') this.itemAt(by.value, 'order by')
    const isName = by.type === 'ref' && by.table === undefined
    const named = by.type === 'integer' ? by.value - 1 : isName ? outputs.findIndex(({ name }) => name === by.name) : -1
    if (named >= 0) {
      const { expr, type } = outputs[named] as Output
      ordered(expr, 'order by')
      return { at: named, type, ...how }
    }
    const expr = bind(by, this.context)
    ordered(expr, 'order by')
    const same = outputs.findIndex((one) => fingerprint(one.expr) === fingerprint(expr))
    if (same >= 0) return { at: same, type: expr.type, ...how }
    keys.push(expr)
    return { at: outputs.length + keys.length - 1, type: expr.type, ...how }
  }

  private count(ast: Ast | null | undefined, what: string, otherwise: number): number {
    if (ast == null) return otherwise
    const value = constant(bind(ast, { ...this.input, scope: new Scope() }))
    if (value === null) return otherwise
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value
    throw new Failure('invalid', `${what} ${value}: an integer from 0 on is right`)
  }

  /** Leave out the columns that nobody asks for. */
  private prune(
    { first, joins, filter }: Pick<Query, 'joins' | 'filter'> & { readonly first?: Query['first'] },
    { outputs, keys, grouping }: { outputs: readonly Output[]; keys: readonly Expr[]; grouping: Grouping },
  ): Pick<Query, 'first' | 'joins' | 'filter'> {
    const read = this.isGrouped
      ? [...grouping.by, ...grouping.aggregates.flatMap(({ arg }) => arg ?? [])]
      : [...outputs.map(({ expr }) => expr), ...keys]
    for (const { leftKeys, residual } of joins) read.push(...leftKeys, ...(residual === undefined ? [] : [residual]))
    if (filter !== undefined) read.push(filter)
    const places = new Set<number>()
    for (const expr of read) columnsOf(expr, (at) => places.add(at))
    const used = (source: NonNullable<Query['first']>, own: readonly Expr[]) => {
      const wanted = new Set<number>()
      source.columns.forEach((_, at) => {
        if (places.has(source.offset + at)) wanted.add(at)
      })
      for (const expr of own) columnsOf(expr, (at) => wanted.add(at))
      return { ...source, used: [...wanted].sort((a, b) => a - b) }
    }
    const filterOf = (source: NonNullable<Query['first']>) => (source.filter === undefined ? [] : [source.filter])
    return {
      ...(first !== undefined && { first: used(first, filterOf(first)) }),
      joins: joins.map((join) => ({ ...join, right: used(join.right, [...filterOf(join.right), ...join.rightKeys]) })),
      ...(filter !== undefined && { filter }),
    }
  }
}

/** Name a column that has no alias, as Postgres does. */
function nameOf(ast: Ast): string {
  switch (ast.type) {
    case 'ref':
      return ast.name
    case 'call':
      return ast.function.name
    case 'cast':
      return nameOf(ast.operand)
    case 'case':
    case 'extract':
      return ast.type
    case 'substring':
      return 'substring'
    default:
      return '?column?'
  }
}
