/** Predicates on rows: as people write them, by column name, and bound to the ids and types of a schema.
 *
 *  1. A comparison with null is never true, nor is its `not`: as in SQL, but for `is-null` and `not-null`.
 *  2. A bound predicate has no `not`: it is pushed into the leaves, where it means the same.
 *  @source https://iceberg.apache.org/spec/ (v2), "Scan Planning" */
import { Failure } from '../../errors.ts'
import { getField, indexFields, type Schema } from './schema.ts'
import { isPrimitive, parsePrimitive } from './types.ts'
import { compareValues, normalizeValue, type Value } from './values.ts'

/** A test without a value. */
export type NullTest = 'is-null' | 'not-null' | 'is-nan' | 'not-nan'
/** A test with one value. */
export type Comparison = 'lt' | 'lt-eq' | 'gt' | 'gt-eq' | 'eq' | 'not-eq' | 'starts-with' | 'not-starts-with'
/** A test with many. */
export type SetTest = 'in' | 'not-in'

/** A predicate by column name. Values are as in values.ts; text is parsed where the column is no text. */
export type Predicate =
  | { readonly op: 'true' | 'false' }
  | { readonly op: 'and' | 'or'; readonly args: readonly Predicate[] }
  | { readonly op: 'not'; readonly arg: Predicate }
  | { readonly op: NullTest; readonly column: string }
  | { readonly op: Comparison; readonly column: string; readonly value: unknown }
  | { readonly op: SetTest; readonly column: string; readonly values: readonly unknown[] }

/** A test of one field. */
export interface Leaf {
  readonly op: NullTest | Comparison | SetTest
  readonly id: number
  /** The field's type. */
  readonly type: string
  /** None for a null test, one for a comparison. */
  readonly values: readonly Value[]
}

/** A predicate by field id. */
export type BoundPredicate =
  | { readonly op: 'true' | 'false' }
  | { readonly op: 'and' | 'or'; readonly args: readonly BoundPredicate[] }
  | Leaf

/** The predicate that every row meets. */
export const always: BoundPredicate = { op: 'true' }
/** The predicate that no row meets. */
export const never: BoundPredicate = { op: 'false' }

const opposite: Record<Leaf['op'], Leaf['op']> = {
  'is-null': 'not-null',
  'not-null': 'is-null',
  'is-nan': 'not-nan',
  'not-nan': 'is-nan',
  lt: 'gt-eq',
  'gt-eq': 'lt',
  gt: 'lt-eq',
  'lt-eq': 'gt',
  eq: 'not-eq',
  'not-eq': 'eq',
  'starts-with': 'not-starts-with',
  'not-starts-with': 'starts-with',
  in: 'not-in',
  'not-in': 'in',
}

/** Join predicates that must all hold. */
export function and(args: readonly BoundPredicate[]): BoundPredicate {
  const parts = args.filter(({ op }) => op !== 'true')
  if (parts.some(({ op }) => op === 'false')) return never
  return parts.length === 0 ? always : parts.length === 1 ? (parts[0] as BoundPredicate) : { op: 'and', args: parts }
}

/** Join predicates of which one must hold. */
export function or(args: readonly BoundPredicate[]): BoundPredicate {
  const parts = args.filter(({ op }) => op !== 'false')
  if (parts.some(({ op }) => op === 'true')) return always
  return parts.length === 0 ? never : parts.length === 1 ? (parts[0] as BoundPredicate) : { op: 'or', args: parts }
}

/** Bind a predicate to a schema.
 *  @throws not_found for a column that is not there, invalid for a value that is not of its type */
export function bind(predicate: Predicate, schema: Schema): BoundPredicate {
  return bindPart(predicate, schema, false)
}

function bindPart(predicate: Predicate, schema: Schema, negated: boolean): BoundPredicate {
  switch (predicate.op) {
    case 'true':
    case 'false':
      return (predicate.op === 'true') === negated ? never : always
    case 'not':
      return bindPart(predicate.arg, schema, !negated)
    case 'and':
    case 'or': {
      const parts = predicate.args.map((arg) => bindPart(arg, schema, negated))
      return (predicate.op === 'and') === negated ? or(parts) : and(parts)
    }
    default:
      return bindLeaf(predicate, schema, negated)
  }
}

type ColumnTest = Extract<Predicate, { column: string }>

function bindLeaf(test: ColumnTest, schema: Schema, negated: boolean): BoundPredicate {
  const { field, isRepeated } = getField(schema, test.column)
  const op = negated ? opposite[test.op] : test.op
  const isNullTest = op === 'is-null' || op === 'not-null'
  if (isRepeated || !isPrimitive(field.type)) {
    if (isNullTest && !isRepeated) return { op, id: field.id, type: 'binary', values: [] }
    throw new Failure('invalid', `column ${test.column} has no single value to compare`)
  }
  const given = 'values' in test ? test.values : 'value' in test ? [test.value] : []
  const values = given.map((value) => literal(field.type as string, value, test.column))
  const leaf: Leaf = { op, id: field.id, type: field.type, values }
  return simplify(leaf, schema)
}

function literal(type: string, value: unknown, column: string): Value {
  try {
    const made = normalizeValue(type, value)
    if (!Number.isNaN(made)) return made
  } catch (error) {
    throw new Failure('invalid', `column ${column}: ${error instanceof Error ? error.message : error}`)
  }
  throw new Failure('invalid', `column ${column}: compare with is-nan, not with NaN`)
}

/** Settle what the type alone decides. */
function simplify(leaf: Leaf, schema: Schema): BoundPredicate {
  const { op, values, type } = leaf
  const { kind } = parsePrimitive(type)
  if (op.endsWith('starts-with') && kind !== 'string') throw new Failure('invalid', `${op} is for strings, not ${type}`)
  if (op.endsWith('nan') && kind !== 'float' && kind !== 'double') {
    return op === 'is-nan' ? never : { ...leaf, op: 'not-null' }
  }
  if (op === 'in' && values.length === 0) return never
  if ((op === 'in' || op === 'not-in') && values.length === 1) return { ...leaf, op: op === 'in' ? 'eq' : 'not-eq' }
  if (op !== 'is-null' && op !== 'not-null') return leaf
  const placed = indexFields(schema).get(leaf.id)
  const isRequired = placed !== undefined && [placed.field, ...placed.parents].every(({ required }) => required)
  if (!isRequired) return leaf
  return op === 'is-null' ? never : always
}

/** Test one value, null included. */
export function testValue({ op, values }: Leaf, value: Value | null): boolean {
  if (op === 'is-null') return value === null
  if (value === null) return false
  const one = values[0] as Value
  switch (op) {
    case 'not-null':
      return true
    case 'is-nan':
      return Number.isNaN(value)
    case 'not-nan':
      return !Number.isNaN(value)
    case 'starts-with':
      return (value as string).startsWith(one as string)
    case 'not-starts-with':
      return !(value as string).startsWith(one as string)
    case 'in':
      return values.some((each) => equal(value, each))
    case 'not-in':
      return !values.some((each) => equal(value, each))
    default:
      return testOrder(op, value, one)
  }
}

const equal = (a: Value, b: Value) => !Number.isNaN(a) && compareValues(a, b) === 0

/** NaN is above every number, as Java and SQL engines order it. */
function testOrder(op: 'lt' | 'lt-eq' | 'gt' | 'gt-eq' | 'eq' | 'not-eq', value: Value, other: Value): boolean {
  const order = Number.isNaN(value) ? 1 : compareValues(value, other)
  switch (op) {
    case 'lt':
      return order < 0
    case 'lt-eq':
      return order <= 0
    case 'gt':
      return order > 0
    case 'gt-eq':
      return order >= 0
    case 'eq':
      return order === 0
    case 'not-eq':
      return order !== 0
  }
}

/** Make the function that tests rows.
 *  @param schema the rows', objects by column name */
export function compileMatcher(
  predicate: BoundPredicate,
  schema: Schema,
): (row: Readonly<Record<string, unknown>>) => boolean {
  switch (predicate.op) {
    case 'true':
    case 'false':
      return () => predicate.op === 'true'
    case 'and':
    case 'or': {
      const parts = predicate.args.map((arg) => compileMatcher(arg, schema))
      return predicate.op === 'and'
        ? (row) => parts.every((part) => part(row))
        : (row) => parts.some((part) => part(row))
    }
    default:
      return compileLeaf(predicate, schema)
  }
}

function compileLeaf(leaf: Leaf, schema: Schema): (row: Readonly<Record<string, unknown>>) => boolean {
  const placed = indexFields(schema).get(leaf.id)
  const path = placed?.path ?? []
  const isNested = placed !== undefined && !isPrimitive(placed.field.type)
  return (row) => {
    let value: unknown = path.length === 0 ? null : row
    for (const name of path) value = (value as Record<string, unknown> | null | undefined)?.[name]
    if (value === null || value === undefined) return testValue(leaf, null)
    return testValue(leaf, isNested ? true : normalizeValue(leaf.type, value))
  }
}
