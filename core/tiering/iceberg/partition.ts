/** Partition specs and sort orders.
 *
 *  1. A spec is never changed: evolving makes a new one. A field keeps its id through specs while source, transform and
 *     name stay the same; new ids go on from 1000.
 *  2. The tuple of a file is an array in the order of its spec's fields.
 *  @source https://iceberg.apache.org/spec/ (v2), "Partitioning" and "Sorting" */
import { Failure } from '../../errors.ts'
import { getField, indexFields, primitiveTypeOf, type Schema } from './schema.ts'
import { compileTransform, formatPartition, parseTransform, resultType } from './transform.ts'
import type { StructType } from './types.ts'
import { normalizeValue, toBinary, type Value } from './values.ts'

/** A field of a partition. */
export interface PartitionField {
  readonly 'source-id': number
  readonly 'field-id': number
  readonly name: string
  /** As text: `identity`, `bucket[16]`, `truncate[4]`, `year`, `month`, `day`, `hour`, `void`. */
  readonly transform: string
}

/** How files are divided. */
export interface PartitionSpec {
  readonly 'spec-id': number
  readonly fields: readonly PartitionField[]
}

/** A file's partition: a value, or null, for each field of its spec. */
export type Partition = readonly (Value | null)[]

/** The highest id that is no partition field's. */
export const partitionIdBefore = 999

/** The spec of tables that are not divided. */
export const unpartitioned: PartitionSpec = { 'spec-id': 0, fields: [] }

/** A partition field as it is declared. */
export interface NewPartitionField {
  /** The full name of its column. */
  readonly column: string
  readonly transform: string
  /** Made from column and transform when left out, such as `ts_day`. */
  readonly name?: string
}

function defaultName({ column, transform }: NewPartitionField): string {
  const base = column.replaceAll('.', '_')
  const { name } = parseTransform(transform)
  if (name === 'identity') return base
  return name === 'truncate' ? `${base}_trunc` : `${base}_${name === 'void' ? 'null' : name}`
}

/** What a new spec goes by. */
export interface SpecContext {
  readonly schema: Schema
  /** Every spec the table has. */
  readonly specs: readonly PartitionSpec[]
  readonly lastPartitionId: number
}

/** Make a spec, or find the one that is the same already.
 *  @returns the spec, and the highest partition field id there is now
 *  @throws not_found, invalid */
export function makeSpec(
  fields: readonly NewPartitionField[],
  { schema, specs, lastPartitionId }: SpecContext,
): { readonly spec: PartitionSpec; readonly lastPartitionId: number } {
  let last = Math.max(lastPartitionId, partitionIdBefore)
  const known = specs.flatMap((spec) => spec.fields)
  const made = fields.map((field): PartitionField => {
    const { id } = getField(schema, field.column).field
    const name = field.name ?? defaultName(field)
    const bare = { 'source-id': id, name, transform: field.transform }
    const same = known.find((one) => sameField(one, bare))
    return { ...bare, 'field-id': same?.['field-id'] ?? ++last }
  })
  const same = specs.find((spec) => sameFields(spec.fields, made))
  if (same !== undefined) return { spec: same, lastPartitionId: last }
  const specId = specs.reduce((highest, spec) => Math.max(highest, spec['spec-id']), -1) + 1
  const spec = { 'spec-id': specId, fields: made }
  checkSpec(spec, schema)
  return { spec, lastPartitionId: last }
}

type Bare = Pick<PartitionField, 'source-id' | 'name' | 'transform'>

function sameField(a: Bare, b: Bare): boolean {
  return a['source-id'] === b['source-id'] && a.name === b.name && a.transform === b.transform
}

/** Whether two specs divide in the same way. */
export function sameFields(a: readonly Bare[], b: readonly Bare[]): boolean {
  return a.length === b.length && a.every((field, at) => sameField(field, b[at] as Bare))
}

/** Check that a spec can be used with a schema.
 *  @throws invalid for a source that is gone, nested in a list or map, or of a type that the transform does not take;
 *  unsupported for an unknown transform */
export function checkSpec({ fields }: PartitionSpec, schema: Schema): void {
  const names = new Set<string>()
  for (const { name, transform, 'source-id': id } of fields) {
    const type = primitiveTypeOf(schema, id)
    if (type === undefined)
      throw new Failure('invalid', `partition ${name}: field ${id} is no column with one value a row`)
    resultType(parseTransform(transform), type)
    if (names.has(name)) throw new Failure('invalid', `two partition fields are named ${name}`)
    names.add(name)
    const same = schema.fields.find((field) => field.name === name)
    if (same !== undefined && (same.id !== id || transform !== 'identity')) {
      throw new Failure('invalid', `partition ${name} has the name of a column; choose another`)
    }
  }
}

/** Finds the type of a partition's source column, also when the column is gone by now. */
export type TypeOf = (sourceId: number) => string | undefined

/** Find types in the newest schema that has the column.
 *  @param schemas oldest first */
export function typesOf(schemas: readonly Schema[], current?: Schema): TypeOf {
  return (id) => {
    const now = current === undefined ? undefined : primitiveTypeOf(current, id)
    if (now !== undefined) return now
    for (const schema of schemas.toReversed()) {
      const type = primitiveTypeOf(schema, id)
      if (type !== undefined) return type
    }
    return undefined
  }
}

/** Find the types of a spec's tuple.
 *  @throws invalid when a source column was never there, unsupported for an unknown transform */
export function tupleTypes({ fields }: PartitionSpec, typeOf: TypeOf): string[] {
  return fields.map(({ 'source-id': id, name, transform }) => {
    const type = typeOf(id)
    if (type === undefined) throw new Failure('invalid', `partition ${name}: no schema has its column, field ${id}`)
    return resultType(parseTransform(transform), type)
  })
}

/** Find the tuple's struct type, as manifests have it. */
export function partitionType(spec: PartitionSpec, typeOf: TypeOf): StructType {
  const types = tupleTypes(spec, typeOf)
  const fields = spec.fields.map(({ 'field-id': id, name }, at) => {
    return { id, name, required: false, type: types[at] as string }
  })
  return { type: 'struct', fields }
}

/** Make the function that finds the partition of a row.
 *  @param schema the rows', which are objects by column name, as the Parquet writer takes them */
export function compilePartition(spec: PartitionSpec, schema: Schema): (row: Record<string, unknown>) => Partition {
  const parts = spec.fields.map(({ 'source-id': id, transform }) => {
    const type = primitiveTypeOf(schema, id)
    if (type === undefined) throw new Failure('invalid', `field ${id} is no column with one value a row`)
    const path = indexFields(schema).get(id)?.path ?? []
    return { path, type, apply: compileTransform(parseTransform(transform), type) }
  })
  return (row) =>
    parts.map(({ path, type, apply }) => {
      let value: unknown = row
      for (const name of path) value = (value as Record<string, unknown> | null | undefined)?.[name]
      return value === null || value === undefined ? null : apply(normalizeValue(type, value))
    })
}

/** Write a tuple as text that is the same for equal tuples only.
 *  @source the specification, "Scan Planning", note 3: floats are equal by their bits */
export function partitionKey(types: readonly string[], partition: Partition): string {
  return types
    .map((type, at) => {
      const value = partition[at]
      if (value === null || value === undefined) return '-'
      return Number.isNaN(value)
        ? 'nan'
        : Array.from(toBinary(type, value), (byte) => byte.toString(16).padStart(2, '0')).join('')
    })
    .join('|')
}

/** Write a partition as folders of a path: `ns=a/ts_day=2026-11-21`; empty for an undivided table. */
export function partitionPath(spec: PartitionSpec, typeOf: TypeOf, partition: Partition): string {
  return spec.fields
    .map(({ 'source-id': id, name, transform }, at) => {
      const value = formatPartition(parseTransform(transform), typeOf(id) ?? 'string', partition[at] ?? null)
      return `${encodeURIComponent(name)}=${encodeURIComponent(value)}`
    })
    .join('/')
}

/** A field of a sort order. */
export interface SortField {
  readonly transform: string
  readonly 'source-id': number
  readonly direction: 'asc' | 'desc'
  readonly 'null-order': 'nulls-first' | 'nulls-last'
}

/** How rows are ordered inside a file. Order 0 is none. */
export interface SortOrder {
  readonly 'order-id': number
  readonly fields: readonly SortField[]
}

/** The order of tables without one. */
export const unsorted: SortOrder = { 'order-id': 0, fields: [] }

/** A sort field as it is declared; ascending and by the value itself when left out. */
export interface NewSortField {
  readonly column: string
  readonly transform?: string
  readonly direction?: 'asc' | 'desc'
  /** First when ascending, last when descending, when left out. */
  readonly nulls?: 'nulls-first' | 'nulls-last'
}

/** Make a sort order, or find the one that is the same already.
 *  @throws not_found, invalid */
export function makeSortOrder(
  fields: readonly NewSortField[],
  schema: Schema,
  orders: readonly SortOrder[] = [],
): SortOrder {
  if (fields.length === 0) return unsorted
  const made = fields.map(({ column, transform = 'identity', direction = 'asc', nulls }): SortField => {
    const { id } = getField(schema, column).field
    const nullOrder = nulls ?? (direction === 'asc' ? 'nulls-first' : 'nulls-last')
    return { transform, 'source-id': id, direction, 'null-order': nullOrder }
  })
  const same = orders.find((order) => JSON.stringify(order.fields) === JSON.stringify(made))
  if (same !== undefined) return same
  const order = { 'order-id': orders.reduce((highest, one) => Math.max(highest, one['order-id']), 0) + 1, fields: made }
  checkSortOrder(order, schema)
  return order
}

/** Check that a sort order can be used with a schema.
 *  @throws invalid, unsupported as `checkSpec` */
export function checkSortOrder({ fields }: SortOrder, schema: Schema): void {
  for (const { transform, 'source-id': id } of fields) {
    const type = primitiveTypeOf(schema, id)
    if (type === undefined) throw new Failure('invalid', `sort order: field ${id} is no column with one value a row`)
    resultType(parseTransform(transform), type)
  }
}
