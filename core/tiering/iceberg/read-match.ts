/** Tests predicates on columns: what `compileMatcher` does on rows, without making any. */
import type { Cell } from '../parquet/read-assemble.ts'
import type { BoundPredicate, Leaf } from './expression.ts'
import { testValue } from './expression.ts'
import { indexFields } from './schema.ts'
import { type Field, isPrimitive, type StructType } from './types.ts'
import type { Value } from './values.ts'

/** A test of rows by the columns they are in. */
export interface ColumnMatcher {
  /** The top-level fields it looks at. */
  readonly fields: readonly Field[]
  /** Make the test of one batch.
   *  @param columns in the order of `fields` */
  test(columns: readonly (readonly Cell[])[]): (at: number) => boolean
}

/** Make the test of columns.
 *  @param schema has every field of the predicate; one that it has not is null in every row */
export function compileColumnMatcher(predicate: BoundPredicate, schema: StructType): ColumnMatcher {
  const fields: Field[] = []
  const parts = compile(predicate, schema, fields)
  return { fields, test: parts }
}

type Columns = readonly (readonly Cell[])[]
type Test = (columns: Columns) => (at: number) => boolean

function compile(predicate: BoundPredicate, schema: StructType, fields: Field[]): Test {
  switch (predicate.op) {
    case 'true':
    case 'false': {
      const isTrue = predicate.op === 'true'
      return () => () => isTrue
    }
    case 'and':
    case 'or': {
      const tests = predicate.args.map((arg) => compile(arg, schema, fields))
      const isAnd = predicate.op === 'and'
      return (columns) => {
        const parts = tests.map((test) => test(columns))
        return isAnd ? (at) => parts.every((part) => part(at)) : (at) => parts.some((part) => part(at))
      }
    }
    default:
      return compileTest(predicate, schema, fields)
  }
}

function compileTest(test: Leaf, schema: StructType, fields: Field[]): Test {
  const placed = indexFields(schema).get(test.id)
  if (placed === undefined) {
    const isMet = testValue(test, null)
    return () => () => isMet
  }
  const [top, ...path] = [...placed.parents, placed.field]
  const index = indexIn(fields, top as Field)
  const names = path.map(({ name }) => name)
  // Of a nested value only its being there is asked for.
  const isNested = !isPrimitive(placed.field.type)
  return (columns) => {
    const column = columns[index] as readonly Cell[]
    return (at) => {
      let value = column[at] as Cell
      for (const name of names) {
        if (value === null) break
        value = (value as { readonly [field: string]: Cell })[name] ?? null
      }
      return testValue(test, value === null ? null : isNested ? true : (value as Value))
    }
  }
}

/** Find a field's place, giving it one when it has none. */
function indexIn(fields: Field[], field: Field): number {
  const known = fields.findIndex(({ id }) => id === field.id)
  return known >= 0 ? known : fields.push(field) - 1
}
