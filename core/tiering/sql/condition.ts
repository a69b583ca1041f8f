/** What a query asks of one table's rows, as far as files and shards can be left out by it.
 *
 *  1. A condition leaves rows out that the query would leave out itself: whoever cannot apply one, or a part of it,
 *     goes without.
 *  2. A comparison with null is never true: rows whose column is null do not meet it. */
import type { RelationType } from '../../shard/relation.ts'
import type { Long } from '../avro/binary.ts'
import type { Predicate, Comparison as PredicateComparison } from '../iceberg/expression.ts'
import type { Schema } from '../iceberg/schema.ts'
import { isPrimitive, parsePrimitive } from '../iceberg/types.ts'
import type { SinceRequest } from '../tier/port.ts'

/** A value to compare with: instants as microseconds since 1970, dates as days. */
export type Literal = number | bigint | string | boolean | { readonly micros: Long } | { readonly days: number }

/** A comparison of a column with a value. */
export type Comparison = '=' | '<' | '<=' | '>' | '>='

/** A condition on columns, by name. */
export type Condition =
  | { readonly op: 'and' | 'or'; readonly args: readonly Condition[] }
  | { readonly op: Comparison; readonly column: string; readonly value: Literal }
  | { readonly op: 'in'; readonly column: string; readonly values: readonly Literal[] }
  | { readonly op: 'starts-with'; readonly column: string; readonly value: string }
  | { readonly op: 'is-null' | 'not-null'; readonly column: string }

const predicateOps: Record<Comparison, PredicateComparison> = {
  '=': 'eq',
  '<': 'lt',
  '<=': 'lt-eq',
  '>': 'gt',
  '>=': 'gt-eq',
}

/** Find a column as SQL does: by its name, or by its name in other letters' case when only one has that.
 *  @returns undefined when there is none, or several */
export function findColumn<C extends { readonly name: string }>(columns: readonly C[], name: string): C | undefined {
  const exact = columns.find((column) => column.name === name)
  if (exact !== undefined) return exact
  const lower = name.toLowerCase()
  const [first, ...others] = columns.filter((column) => column.name.toLowerCase() === lower)
  return others.length === 0 ? first : undefined
}

/** Make the predicate that Iceberg's planning takes of a condition.
 *  @returns undefined when nothing of it can be said */
export function toPredicate(condition: Condition, schema: Schema): Predicate | undefined {
  switch (condition.op) {
    case 'and': {
      const args = condition.args.map((arg) => toPredicate(arg, schema)).filter((arg) => arg !== undefined)
      return args.length === 0 ? undefined : { op: 'and', args }
    }
    case 'or': {
      const args = condition.args.map((arg) => toPredicate(arg, schema))
      return args.every((arg) => arg !== undefined) ? { op: 'or', args } : undefined
    }
    default:
      return leafPredicate(condition, schema)
  }
}

type Leaf = Exclude<Condition, { op: 'and' | 'or' }>

function leafPredicate(leaf: Leaf, schema: Schema): Predicate | undefined {
  const field = findColumn(schema.fields, leaf.column)
  if (field === undefined || !isPrimitive(field.type)) return undefined
  const column = field.name
  // A dot in a name would be read as the way into a struct.
  if (column.includes('.')) return undefined
  if (!('value' in leaf || 'values' in leaf)) return { op: leaf.op, column }
  if (leaf.op === 'starts-with') {
    return field.type === 'string' ? { op: 'starts-with', column, value: leaf.value } : undefined
  }
  const { kind } = parsePrimitive(field.type)
  if (leaf.op === 'in') {
    const values = leaf.values.map((value) => predicateValue(kind, value))
    return values.every((value) => value !== undefined) ? { op: 'in', column, values } : undefined
  }
  const value = predicateValue(kind, leaf.value)
  return value === undefined ? undefined : { op: predicateOps[leaf.op], column, value }
}

/** Write a value as predicates on a kind of column have it; undefined where comparing would not mean the same. */
function predicateValue(kind: string, value: Literal): unknown {
  switch (kind) {
    case 'int':
    case 'date':
      if (kind === 'date') return typeof value === 'object' && 'days' in value ? value.days : undefined
      return typeof value === 'number' && (value | 0) === value ? value : undefined
    case 'long':
      if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : undefined
      return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
    case 'double':
      return typeof value === 'number' && Number.isFinite(value) ? value : undefined
    case 'string':
      return typeof value === 'string' ? value : undefined
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'timestamp':
    case 'timestamptz':
      return typeof value === 'object' && 'micros' in value ? value.micros : undefined
    default:
      return undefined
  }
}

/** List what shards may apply of conditions that all hold. */
export function toWhere(
  conditions: readonly Condition[],
  columns: readonly { readonly name: string; readonly type: RelationType }[],
): NonNullable<SinceRequest['where']> {
  const where: (readonly [string, Comparison, string | number])[] = []
  for (const condition of conditions) {
    if (condition.op === 'and') where.push(...toWhere(condition.args, columns))
    if (!('value' in condition) || condition.op === 'starts-with') continue
    const column = findColumn(columns, condition.column)
    const value = column === undefined ? undefined : predicateValue(column.type, condition.value)
    if (column === undefined || (typeof value !== 'string' && typeof value !== 'number')) continue
    where.push([column.name, condition.op, value])
  }
  return where
}

/** Write a condition for people. */
export function showCondition(condition: Condition): string {
  switch (condition.op) {
    case 'and':
    case 'or':
      return `(${condition.args.map(showCondition).join(` ${condition.op} `)})`
    case 'in':
      return `${condition.column} in (${condition.values.map(showLiteral).join(', ')})`
    case 'is-null':
    case 'not-null':
      return `${condition.column} ${condition.op.replace('-', ' ')}`
    case 'starts-with':
      return `${condition.column} starts with ${showLiteral(condition.value)}`
    default:
      return `${condition.column} ${condition.op} ${showLiteral(condition.value)}`
  }
}

function showLiteral(value: Literal): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value !== 'object') return String(value)
  if ('days' in value) return `day ${value.days}`
  const ms = Number(value.micros) / 1000
  return Math.abs(ms) <= 8.64e15 ? new Date(Math.floor(ms)).toISOString() : `${value.micros} us`
}
