/** From predicates on rows to predicates on partition tuples.
 *
 *  1. Inclusive: when a row meets the predicate, its partition meets the projection. What does not can be left unread.
 *  2. Strict: when a partition meets the projection, all its rows meet the predicate. What does need not be tested.
 *  @source https://iceberg.apache.org/spec/ (v2), "Scan Planning" */
import { type Long, toLong } from '../avro/binary.ts'
import { always, and, type BoundPredicate, type Leaf, never, or, testValue } from './expression.ts'
import type { Partition, PartitionSpec, TypeOf } from './partition.ts'
import { compileTransform, parseTransform, resultType, type Transform, truncateText } from './transform.ts'
import { parsePrimitive } from './types.ts'
import type { Value } from './values.ts'

/** Which of the two projections. */
export type Mode = 'inclusive' | 'strict'

/** A predicate over the fields of one spec, by partition field id. */
export function project(predicate: BoundPredicate, spec: PartitionSpec, typeOf: TypeOf, mode: Mode): BoundPredicate {
  if ('args' in predicate) {
    const parts = predicate.args.map((arg) => project(arg, spec, typeOf, mode))
    return predicate.op === 'and' ? and(parts) : or(parts)
  }
  if (!('id' in predicate)) return predicate
  const parts = spec.fields
    .filter((field) => field['source-id'] === predicate.id)
    .map((field) => projectLeaf(predicate, parseTransform(field.transform), field['field-id'], typeOf, mode))
  return mode === 'inclusive' ? and(parts) : or(parts)
}

function projectLeaf(leaf: Leaf, transform: Transform, id: number, typeOf: TypeOf, mode: Mode): BoundPredicate {
  const nothing = mode === 'inclusive' ? always : never
  if (transform.name === 'unknown' || transform.name === 'void') return nothing
  const source = typeOf(leaf.id) ?? leaf.type
  const part: Part = { leaf, transform, id, source, type: resultType(transform, source) }
  // Every transform gives null for null and for nothing else.
  if (leaf.op === 'is-null' || leaf.op === 'not-null') return { ...leaf, id, type: part.type }
  if (transform.name === 'identity') return { ...leaf, id }
  if (leaf.op === 'is-nan' || leaf.op === 'not-nan') return nothing
  if (transform.name === 'bucket') return bucket(part, mode)
  if (leaf.op === 'starts-with' || leaf.op === 'not-starts-with') return prefix(part, mode)
  return mode === 'inclusive' ? inclusive(part) : strict(part)
}

interface Part {
  readonly leaf: Leaf
  readonly transform: Transform
  /** The partition field's. */
  readonly id: number
  /** The column's type. */
  readonly source: string
  /** The partition field's type. */
  readonly type: string
}

const test = ({ id, type }: Part, op: Leaf['op'], values: readonly Value[]): BoundPredicate => ({
  op,
  id,
  type,
  values,
})

function applied({ leaf, transform, source }: Part): Value[] {
  const apply = compileTransform(transform, source)
  return leaf.values.map((value) => apply(value) as Value)
}

/** Equal values fall into one bucket; what else falls into it is not known. */
function bucket(part: Part, mode: Mode): BoundPredicate {
  const { op } = part.leaf
  if (mode === 'inclusive' && (op === 'eq' || op === 'in')) return test(part, op, applied(part))
  if (mode === 'strict' && (op === 'not-eq' || op === 'not-in')) return test(part, op, applied(part))
  return mode === 'inclusive' ? always : never
}

/** The next value up or down, where values are integers. */
function step(source: string, value: Value, by: 1 | -1): Value {
  switch (parsePrimitive(source).kind) {
    case 'decimal':
      return (value as bigint) + BigInt(by)
    case 'string':
    case 'binary':
      return value
    default:
      return toLong(BigInt(value as Long) + BigInt(by))
  }
}

const isPeriod = ({ name }: Transform) => name === 'year' || name === 'month' || name === 'day' || name === 'hour'

/** Old writers rounded times before 1970 up, not down: their files are one partition late.
 *  @source Iceberg Java, ProjectionUtil.fixInclusiveTimeProjection and fixStrictTimeProjection */
function maybeLate({ transform }: Part, value: Value): boolean {
  return isPeriod(transform) && (value as number) < 0
}

/** Transforms that keep the order of values: truncate, and the periods of time. */
function inclusive(part: Part): BoundPredicate {
  const { leaf, transform, source } = part
  const apply = compileTransform(transform, source)
  const one = leaf.values[0] as Value
  const upTo = (value: Value) => {
    const last = apply(value) as Value
    return test(part, 'lt-eq', [maybeLate(part, last) ? (last as number) + 1 : last])
  }
  switch (leaf.op) {
    case 'lt':
      return upTo(step(source, one, -1))
    case 'lt-eq':
      return upTo(one)
    case 'gt':
      return test(part, 'gt-eq', [apply(step(source, one, 1)) as Value])
    case 'gt-eq':
      return test(part, 'gt-eq', [apply(one) as Value])
    case 'eq':
    case 'in': {
      const values = applied(part).flatMap((value) =>
        maybeLate(part, value) ? [value, (value as number) + 1] : [value],
      )
      return test(part, 'in', values)
    }
    default:
      return always
  }
}

function strict(part: Part): BoundPredicate {
  const { leaf, transform, source } = part
  const apply = compileTransform(transform, source)
  const one = leaf.values[0] as Value
  const after = (value: Value) => {
    const last = apply(value) as Value
    return test(part, 'gt', [isPeriod(transform) && (last as number) <= 0 ? (last as number) + 1 : last])
  }
  switch (leaf.op) {
    case 'lt':
      return test(part, 'lt', [apply(one) as Value])
    case 'lt-eq':
      return test(part, 'lt', [apply(step(source, one, 1)) as Value])
    case 'gt':
      return after(one)
    case 'gt-eq':
      return after(step(source, one, -1))
    case 'not-eq':
    case 'not-in': {
      const values = applied(part).flatMap((value) =>
        maybeLate(part, value) ? [value, (value as number) + 1] : [value],
      )
      return test(part, 'not-in', values)
    }
    default:
      return never
  }
}

/** Prefixes of text that is cut to `width` characters. */
function prefix(part: Part, mode: Mode): BoundPredicate {
  const { leaf, transform } = part
  if (transform.name !== 'truncate') return mode === 'inclusive' ? always : never
  const text = leaf.values[0] as string
  const length = [...text].length
  const isNot = leaf.op === 'not-starts-with'
  if (length < transform.width) return test(part, leaf.op, [text])
  if (length === transform.width) return test(part, isNot ? 'not-eq' : 'eq', [text])
  // The prefix is longer than what is kept.
  const kept = truncateText(text, transform.width)
  if (mode === 'inclusive') return isNot ? always : test(part, 'eq', [kept])
  return isNot ? test(part, 'not-eq', [kept]) : never
}

/** Test a partition.
 *  @param predicate over partition field ids, as `project` makes it */
export function testPartition(predicate: BoundPredicate, spec: PartitionSpec, partition: Partition): boolean {
  switch (predicate.op) {
    case 'true':
      return true
    case 'false':
      return false
    case 'and':
      return predicate.args.every((arg) => testPartition(arg, spec, partition))
    case 'or':
      return predicate.args.some((arg) => testPartition(arg, spec, partition))
    default: {
      const at = spec.fields.findIndex((field) => field['field-id'] === predicate.id)
      return testValue(predicate, partition[at] ?? null)
    }
  }
}

/** Find what is left to test of a predicate for the rows of one partition. */
export function residual(
  predicate: BoundPredicate,
  spec: PartitionSpec,
  typeOf: TypeOf,
  partition: Partition,
): BoundPredicate {
  if ('args' in predicate) {
    const parts = predicate.args.map((arg) => residual(arg, spec, typeOf, partition))
    return predicate.op === 'and' ? and(parts) : or(parts)
  }
  if (!('id' in predicate)) return predicate
  if (testPartition(project(predicate, spec, typeOf, 'strict'), spec, partition)) return always
  return testPartition(project(predicate, spec, typeOf, 'inclusive'), spec, partition) ? predicate : never
}
