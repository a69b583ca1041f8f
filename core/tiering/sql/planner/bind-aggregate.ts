/** Aggregates of a select: which calls they are, of what, and their types. */
import type { Expr as Ast, ExprCall } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import type { Aggregate, AggregateOp } from './aggregate.ts'
import { type BindContext, bind, isAggregateName } from './bind-expression.ts'
import { number, ordered } from './coerce.ts'
import { refused } from './parse.ts'
import { isInteger } from './values.ts'

/** Whether an expression is a call of an aggregate. */
export function isAggregate(ast: Ast): ast is ExprCall {
  return ast.type === 'call' && ast.over == null && isAggregateName(ast.function.name)
}

/** Whether an expression has an aggregate in it; those of subqueries are their own. */
export function containsAggregate(ast: Ast): boolean {
  // Not by recursion: a long chain of `or` is as deep as it is long.
  const waiting: unknown[] = [ast]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value !== 'object' || value === null) continue
    if ('type' in value) {
      if (isAggregate(value as Ast)) return true
      if (value.type === 'select') continue
    }
    waiting.push(...Object.values(value))
  }
  return false
}

/** Bind an aggregate.
 *  @throws invalid, unsupported */
export function bindAggregate(ast: ExprCall, input: BindContext): Aggregate {
  const name = ast.function.name.toLowerCase()
  if (ast.filter != null) throw refused('filter (where ...)', 'write sum(case when ... then ... end)')
  if (ast.orderBy != null || ast.withinGroup != null) throw refused(`an ordered ${name}`)
  const isDistinct = ast.distinct === 'distinct'
  const [first, ...more] = ast.args
  if (first === undefined || more.length > 0) throw new Failure('invalid', `${name} takes 1 argument`)
  if (first.type === 'ref' && first.name === '*') {
    if (name !== 'count' || isDistinct) throw new Failure('invalid', `* is for count(*), not for ${name}`)
    return { op: 'count(*)', type: 'long' }
  }
  const arg = bind(first, input)
  if (name === 'count') {
    if (isDistinct) ordered(arg, 'count(distinct ...)')
    return { op: isDistinct ? 'count distinct' : 'count', arg, type: 'long' }
  }
  const op = name as AggregateOp
  if (op === 'min' || op === 'max') {
    ordered(arg, name)
    return { op, arg, type: arg.type }
  }
  if (isDistinct) throw refused(`${name}(distinct ...)`, 'select from (select distinct ...)')
  const value = number(arg, name)
  return { op, arg: value, type: op === 'avg' ? 'double' : isInteger(value.type) ? 'long' : 'double' }
}
