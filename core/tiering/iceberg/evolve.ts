/** Schema evolution: what may be done to columns without touching a file.
 *
 *  1. A new column gets an id that no column ever had; a column that is dropped and added again is another one.
 *  2. A column is widened only to a type that holds all its values, and never becomes required.
 *  @source https://iceberg.apache.org/spec/ (v2), "Schema Evolution" */
import { Failure } from '../../errors.ts'
import {
  assignIds,
  checkSchema,
  findField,
  getField,
  indexFields,
  type NewField,
  type Placed,
  type Schema,
} from './schema.ts'
import { canPromote, childrenOf, type Field, type IcebergType, isPrimitive, withChildren } from './types.ts'

/** One change; columns by their full names before the change. */
export type SchemaChange =
  /** Add a column at the end of the schema, or of the struct `parent` (of a list's or map's struct: its `element` or
   *  `value`). It may be null: rows that are there have no value for it. */
  | { readonly add: NewField; readonly parent?: string }
  | { readonly drop: string }
  | { readonly rename: string; readonly to: string }
  | { readonly widen: string; readonly type: string }
  /** Let a required column be null. */
  | { readonly optional: string }
  | { readonly describe: string; readonly doc: string }
  /** Put a column first in its struct, or after another one of it. */
  | { readonly move: string; readonly after?: string }

/** A schema and the last column id of its table. */
export interface Evolved {
  readonly schema: Schema
  readonly lastColumnId: number
}

/** Change a schema.
 *  @param from the schema, and the highest id that any schema of the table ever gave
 *  @param changes in order, each on the result of those before
 *  @param inUse ids of columns that partitions and sort orders are made from: these stay
 *  @throws not_found, exists, conflict (column in use) or invalid */
export function evolveSchema(from: Evolved, changes: readonly SchemaChange[], inUse: readonly number[] = []): Evolved {
  let { schema, lastColumnId } = from
  for (const change of changes) {
    if ('add' in change) ({ schema, lastColumnId } = addColumn({ schema, lastColumnId }, change.add, change.parent))
    else if ('drop' in change) schema = dropColumn(schema, change.drop, inUse)
    else schema = alterColumn(schema, change)
  }
  checkSchema(schema)
  return { schema, lastColumnId }
}

function addColumn({ schema, lastColumnId }: Evolved, column: NewField, parent: string | undefined): Evolved {
  const name = parent === undefined ? column.name : `${parent}.${column.name}`
  if (findField(schema, name) !== undefined) throw new Failure('exists', `column ${name} exists already`)
  if (column.required === true) {
    throw new Failure('invalid', `column ${name} cannot be required: rows that are there have no value for it`)
  }
  const { fields, lastId } = assignIds([column], lastColumnId)
  const place = parent === undefined ? undefined : getField(schema, parent)
  const isStruct = place === undefined || (!isPrimitive(place.field.type) && place.field.type.type === 'struct')
  if (!isStruct) throw new Failure('invalid', `column ${parent} is no struct`)
  const grown = mapStruct(schema, place?.field.id, (before) => [...before, ...fields])
  return { schema: grown, lastColumnId: lastId }
}

function dropColumn(schema: Schema, name: string, inUse: readonly number[]): Schema {
  const { field, parents } = getOwn(schema, name)
  const gone = new Set([field.id, ...indexFields({ type: 'struct', fields: [field] }).keys()])
  const used = [...inUse, ...(schema['identifier-field-ids'] ?? [])].find((id) => gone.has(id))
  if (used !== undefined) {
    throw new Failure(
      'conflict',
      `column ${name} is in use by partitions, a sort order or as identifier (field ${used})`,
    )
  }
  return mapStruct(schema, parents.at(-1)?.id, (before) => before.filter(({ id }) => id !== field.id))
}

/** Get a field of a struct: parts of lists and maps are not changed by themselves. */
function getOwn(schema: Schema, name: string): Placed {
  const placed = getField(schema, name)
  const parent = placed.parents.at(-1)?.type
  if (parent === undefined || isPrimitive(parent) || parent.type === 'struct') return placed
  throw new Failure('invalid', `${name} is part of a ${parent.type}; change the ${parent.type} itself`)
}

type Alteration = Exclude<SchemaChange, { add: NewField } | { drop: string }>

function alterColumn(schema: Schema, change: Alteration): Schema {
  if ('rename' in change) {
    const { field, parents, path } = getOwn(schema, change.rename)
    const name = [...path.slice(0, -1), change.to].join('.')
    if (change.to !== field.name && findField(schema, name))
      throw new Failure('exists', `column ${name} exists already`)
    return replaceField(schema, parents, { ...field, name: change.to })
  }
  if ('widen' in change) return widen(schema, change.widen, change.type)
  if ('optional' in change) {
    const { field, parents } = getField(schema, change.optional)
    const parent = parents.at(-1)?.type
    const isKey = parent !== undefined && !isPrimitive(parent) && parent.type === 'map' && parent['key-id'] === field.id
    if (isKey) throw new Failure('invalid', 'keys of a map are never null')
    return replaceField(schema, parents, { ...field, required: false })
  }
  if ('describe' in change) {
    const { field, parents } = getOwn(schema, change.describe)
    return replaceField(schema, parents, { ...field, doc: change.doc })
  }
  return move(schema, change.move, change.after)
}

function widen(schema: Schema, name: string, type: string): Schema {
  const { field, parents } = getField(schema, name)
  if (!isPrimitive(field.type) || !canPromote(field.type, type)) {
    const was = isPrimitive(field.type) ? field.type : field.type.type
    throw new Failure('invalid', `column ${name} is ${was}; it cannot become ${type}`)
  }
  return replaceField(schema, parents, { ...field, type })
}

function move(schema: Schema, name: string, after: string | undefined): Schema {
  const { field, parents } = getOwn(schema, name)
  const target = after === undefined ? undefined : getOwn(schema, after)
  if (target !== undefined && target.parents.at(-1)?.id !== parents.at(-1)?.id) {
    throw new Failure('invalid', `${name} and ${after} are not in one struct`)
  }
  return mapStruct(schema, parents.at(-1)?.id, (before) => {
    const rest = before.filter(({ id }) => id !== field.id)
    const at = target === undefined ? 0 : rest.findIndex(({ id }) => id === target.field.id) + 1
    return [...rest.slice(0, at), field, ...rest.slice(at)]
  })
}

function replaceField(schema: Schema, parents: readonly Field[], field: Field): Schema {
  return mapStruct(schema, parents.at(-1)?.id, (before) => before.map((one) => (one.id === field.id ? field : one)))
}

/** Change the fields directly inside the type of a field, or of the schema itself. */
function mapStruct(
  schema: Schema,
  parentId: number | undefined,
  change: (fields: readonly Field[]) => readonly Field[],
): Schema {
  if (parentId === undefined) return { ...schema, fields: change(schema.fields) }
  const visit = (type: IcebergType, id: number | undefined): IcebergType => {
    if (isPrimitive(type)) return type
    const children = childrenOf(type)
    return withChildren(
      type,
      (id === parentId ? change(children) : children).map((field) => ({ ...field, type: visit(field.type, field.id) })),
    )
  }
  const fields = schema.fields.map((field) => ({ ...field, type: visit(field.type, field.id) }))
  return { ...schema, fields }
}

/** Whether two schemas have the same columns, so that one needs no new id. */
export function sameColumns(a: Schema, b: Schema): boolean {
  const plain = ({ fields, 'identifier-field-ids': ids }: Schema) => JSON.stringify([fields, ids ?? []])
  return plain(a) === plain(b)
}
