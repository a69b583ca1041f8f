/** What of a filter can be told to those who plan files and to shards: conditions on columns that leave rows out which
 *  the filter would leave out. The filter itself is tested on every row that comes. */
import type { Condition, Literal as Wanted } from '../condition.ts'
import { conjuncts, type Expr, type FunctionCall, type Literal } from './expression.ts'
import { likePrefix } from './like.ts'
import type { SourceColumn } from './scope.ts'
import { kindOf } from './values.ts'

const flipped: { readonly [op: string]: '=' | '<' | '<=' | '>' | '>=' } = {
  '=': '=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
}

/** Find conditions that all hold for rows that meet a filter.
 *  @param columns the source's, by the places of the filter */
export function conditionsOf(filter: Expr | undefined, columns: readonly SourceColumn[]): Condition[] {
  return conjuncts(filter).flatMap((part) => conditionOf(part, columns) ?? [])
}

/** Leave out conditions that shards test otherwise than SQL: NaN is above every number here, and below none there. */
export function forShards(conditions: readonly Condition[], columns: readonly SourceColumn[]): Condition[] {
  return conditions.filter((condition) => {
    if (condition.op !== '>' && condition.op !== '>=') return true
    return kindOf(columns.find(({ name }) => name === condition.column)?.type ?? '') !== 'double'
  })
}

function conditionOf(expr: Expr, columns: readonly SourceColumn[]): Condition | undefined {
  if (expr.op === 'column') {
    return { op: '=', column: columns[expr.at]?.name ?? '', value: true }
  }
  if (expr.op !== 'call') return undefined
  switch (expr.name) {
    case 'and':
    case 'or':
      return logic(expr, columns)
    case '=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return comparison(expr, columns)
    case 'in':
      return within(expr, columns)
    case 'is null':
    case 'is not null': {
      const column = columnName(expr.args[0], columns)
      return column === undefined ? undefined : { op: expr.name === 'is null' ? 'is-null' : 'not-null', column }
    }
    case 'like': {
      const [value, pattern] = expr.args
      const column = columnName(value, columns)
      const text = pattern?.op === 'literal' && typeof pattern.value === 'string' ? likePrefix(pattern.value) : ''
      return column === undefined || text === '' ? undefined : { op: 'starts-with', column, value: text }
    }
    default:
      return undefined
  }
}

function logic({ name, args }: FunctionCall, columns: readonly SourceColumn[]): Condition | undefined {
  const parts = args.map((arg) => conditionOf(arg, columns))
  const known = parts.filter((part) => part !== undefined)
  if (name === 'or' && known.length < parts.length) return undefined
  return known.length === 0 ? undefined : { op: name as 'and' | 'or', args: known }
}

/** A column's name, seen through casts that keep the order and the equality of what they widen. */
function columnName(expr: Expr | undefined, columns: readonly SourceColumn[]): string | undefined {
  if (expr?.op === 'column') return columns[expr.at]?.name
  if (expr?.op !== 'call' || expr.name !== 'cast') return undefined
  const [from] = expr.args
  const isWidening = from?.type === 'int' && (expr.type === 'long' || expr.type === 'double')
  // A long becomes a double inexactly past 2^53, which literals below half of that cannot tell.
  const isNear = from?.type === 'long' && expr.type === 'double'
  return isWidening || isNear ? columnName(from, columns) : undefined
}

function comparison({ name, args }: FunctionCall, columns: readonly SourceColumn[]): Condition | undefined {
  const [a, b] = args as readonly [Expr, Expr]
  if (a.op === 'literal' && b.op !== 'literal') {
    return comparison({ op: 'call', name: flipped[name] as string, args: [b, a], type: 'boolean' }, columns)
  }
  const column = columnName(a, columns)
  const value = b.op === 'literal' ? wanted(b) : undefined
  if (column === undefined || value === undefined) return undefined
  return { op: name as '=', column, value }
}

function within({ args: [value, ...list] }: FunctionCall, columns: readonly SourceColumn[]): Condition | undefined {
  const column = columnName(value, columns)
  const literals = list.filter((one): one is Literal => one.op === 'literal')
  if (column === undefined || literals.length < list.length) return undefined
  const values = literals.filter((one) => one.value !== null).map(wanted)
  return values.every((one) => one !== undefined) ? { op: 'in', column, values } : undefined
}

function wanted({ value, type }: Literal): Wanted | undefined {
  switch (kindOf(type)) {
    case 'timestamptz':
      return value === null ? undefined : { micros: value as number | bigint }
    case 'double':
      return Math.abs(value as number) < 2 ** 52 ? (value as number) : undefined
    case 'int':
    case 'long':
    case 'string':
    case 'boolean':
      return (value ?? undefined) as Wanted | undefined
    default:
      return undefined
  }
}
