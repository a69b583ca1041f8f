/** Table schemas: look-ups and the assignment of field ids. Evolution is in evolve.ts.
 *
 *  1. A field is its id: names and places may change, ids never, and none is given twice.
 *  @source https://iceberg.apache.org/spec/ (v2), "Schemas and Data Types" */
import { Failure } from '../../errors.ts'
import {
  childrenOf,
  type Field,
  type IcebergType,
  isPrimitive,
  parsePrimitive,
  type StructType,
  withChildren,
} from './types.ts'

/** A table's schema. */
export interface Schema extends StructType {
  readonly 'schema-id': number
  /** Fields whose values together name a row. */
  readonly 'identifier-field-ids'?: readonly number[]
}

/** Ids past this one belong to metadata columns. */
export const fieldIdMax = 2_147_483_447

/** A field and where it is. */
export interface Placed {
  readonly field: Field
  /** Names from the root, the field's own last; joined by dots they are its full name. */
  readonly path: readonly string[]
  /** The fields it is within, the outermost first. */
  readonly parents: readonly Field[]
  /** Whether it is in a list or a map, so that a row has any number of its values. */
  readonly isRepeated: boolean
}

const indexes = new WeakMap<StructType, ReadonlyMap<number, Placed>>()

/** Index a schema by field id, all levels.
 *  @throws invalid when two fields share an id */
export function indexFields(schema: StructType): ReadonlyMap<number, Placed> {
  const known = indexes.get(schema)
  if (known !== undefined) return known
  const index = new Map<number, Placed>()
  const visit = (type: IcebergType, above: Pick<Placed, 'path' | 'parents' | 'isRepeated'>) => {
    if (isPrimitive(type)) return
    const isRepeated = above.isRepeated || type.type !== 'struct'
    for (const field of childrenOf(type)) {
      const placed = { field, path: [...above.path, field.name], parents: above.parents, isRepeated }
      if (index.has(field.id)) throw new Failure('invalid', `two fields have the id ${field.id}`)
      index.set(field.id, placed)
      visit(field.type, { path: placed.path, parents: [...above.parents, field], isRepeated })
    }
  }
  visit(schema, { path: [], parents: [], isRepeated: false })
  indexes.set(schema, index)
  return index
}

/** Find a field by its full name, such as `user.address.city`; names of list elements are `element`, of map entries
 *  `key` and `value`. */
export function findField(schema: StructType, name: string): Placed | undefined {
  for (const placed of indexFields(schema).values()) if (placed.path.join('.') === name) return placed
  return undefined
}

/** Get a field by its full name.
 *  @throws not_found when there is none */
export function getField(schema: StructType, name: string): Placed {
  const found = findField(schema, name)
  if (found === undefined) throw new Failure('not_found', `no column ${name}`)
  return found
}

/** Find the type of a field, when it has one value a row.
 *  @returns undefined for a field that is gone, nested or repeated */
export function primitiveTypeOf(schema: StructType, id: number): string | undefined {
  const placed = indexFields(schema).get(id)
  return placed !== undefined && !placed.isRepeated && isPrimitive(placed.field.type) ? placed.field.type : undefined
}

/** Find the highest field id of a schema, 0 when it is empty. */
export function highestFieldId(schema: StructType): number {
  let highest = 0
  for (const id of indexFields(schema).keys()) highest = Math.max(highest, id)
  return highest
}

/** Check names, types, ids and identifier fields.
 *  @throws invalid for the first thing that is wrong */
export function checkSchema(schema: Schema): void {
  for (const { field, path } of indexFields(schema).values()) {
    const name = path.join('.')
    if (!Number.isInteger(field.id) || field.id < 1 || field.id > fieldIdMax) {
      throw new Failure('invalid', `column ${name}: ${field.id} is no field id`)
    }
    if (typeof field.name !== 'string' || field.name === '') throw new Failure('invalid', `a column without a name`)
    if (isPrimitive(field.type)) parsePrimitive(field.type)
    else checkNames(childrenOf(field.type), name)
  }
  checkNames(schema.fields, 'the schema')
  for (const id of schema['identifier-field-ids'] ?? []) checkIdentifier(schema, id)
}

function checkNames(fields: readonly Field[], where: string): void {
  const names = new Set(fields.map(({ name }) => name))
  if (names.size < fields.length) throw new Failure('invalid', `${where} has two columns of one name`)
}

function checkIdentifier(schema: Schema, id: number): void {
  const placed = indexFields(schema).get(id)
  const name = placed?.path.join('.') ?? id
  const type = primitiveTypeOf(schema, id)
  const isNullable = placed !== undefined && [placed.field, ...placed.parents].some(({ required }) => !required)
  if (type === undefined || type === 'float' || type === 'double' || isNullable) {
    throw new Failure('invalid', `column ${name} cannot identify rows: it must be required, primitive and no float`)
  }
}

/** A column as it is declared; ids inside its type are given anew. */
export interface NewField {
  readonly name: string
  readonly type: IcebergType
  readonly required?: boolean
  readonly doc?: string
}

/** Give fields, and all fields inside their types, ids after `lastId`: one level after the other, as Java does.
 *  @returns the fields, and the last id given */
export function assignIds(fields: readonly NewField[], lastId: number): { fields: Field[]; lastId: number } {
  let last = lastId
  const assign = (level: readonly NewField[]): Field[] => {
    const named = level.map(({ name, type, required = false, doc }) => {
      last++
      return { id: last, name, required, type, ...(doc !== undefined && { doc }) }
    })
    return named.map((field) => ({ ...field, type: inside(field.type) }))
  }
  const inside = (type: IcebergType): IcebergType =>
    isPrimitive(type) ? type : withChildren(type, assign(childrenOf(type)))
  const assigned = assign(fields)
  if (last > fieldIdMax) throw new Failure('limit', `no field id is left after ${fieldIdMax}`)
  return { fields: assigned, lastId: last }
}

/** Make the first schema of a table.
 *  @param identifiers full names of the columns that name a row
 *  @throws invalid for what is no schema */
export function makeSchema(columns: readonly NewField[], identifiers: readonly string[] = []): Schema {
  const { fields } = assignIds(columns, 0)
  const bare: Schema = { type: 'struct', 'schema-id': 0, fields }
  const ids = identifiers.map((name) => getField(bare, name).field.id)
  const schema = ids.length === 0 ? bare : { ...bare, 'identifier-field-ids': ids }
  checkSchema(schema)
  return schema
}
