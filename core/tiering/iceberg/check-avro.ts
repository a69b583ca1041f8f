/** Checks Avro schemas of manifests and manifest lists against the specification: lenient readers forgive what strict
 *  ones refuse.
 *  @source https://iceberg.apache.org/spec/ (v2), "Manifests", "Manifest Lists" and appendix A: Avro */
import type { AvroComplex, AvroField, AvroSchema } from '../avro/schema.ts'

const isObject = (schema: AvroSchema | undefined): schema is AvroComplex =>
  typeof schema === 'object' && !Array.isArray(schema)

/** Find fields without ids, ids given twice, and what Avro or Iceberg does not allow. */
export function checkAvroSchema(schema: AvroSchema): string[] {
  const problems: string[] = []
  const ids = new Map<number, string>()
  const takeId = (id: unknown, where: string) => {
    if (typeof id !== 'number' || !Number.isInteger(id)) return problems.push(`${where} has no id`)
    const other = ids.get(id)
    if (other !== undefined) problems.push(`${where} and ${other} have the id ${id}`)
    ids.set(id, where)
    return undefined
  }
  const visit = (type: AvroSchema, where: string): void => {
    if (typeof type === 'string') return
    if (Array.isArray(type)) {
      const [first, second, ...more] = type as readonly AvroSchema[]
      if (first !== 'null' || second === undefined || more.length > 0)
        problems.push(`${where}: union is not [null, type]`)
      if (second !== undefined) visit(second, where)
      return
    }
    const complex = type as AvroComplex
    if (complex.type === 'record') visitRecord(complex, where)
    if (complex.type !== 'array' || complex.items === undefined) return
    if (complex.logicalType === 'map') return visitPairs(complex.items, where)
    takeId(complex['element-id'], `${where}.element`)
    visit(complex.items, `${where}.element`)
  }
  const visitPairs = (items: AvroSchema, where: string) => {
    const names = isObject(items) ? (items.fields ?? []).map(({ name }) => name) : []
    if (names.join() !== 'key,value') problems.push(`${where}: a map is an array of key and value`)
    visit(items, where)
  }
  const visitRecord = ({ fields = [], name = '' }: AvroComplex, where: string) => {
    if (!/^[A-Za-z_]\w*$/.test(name)) problems.push(`${where}: ${name} is no Avro name`)
    for (const field of fields) {
      const path = `${where}.${field.name}`
      takeId(field['field-id'], path)
      if (!/^[A-Za-z_]\w*$/.test(field.name)) problems.push(`${path} is no Avro name`)
      if (isOptional(field) && field.default !== null) problems.push(`${path} has no default of null`)
      visit(field.type, path)
    }
  }
  visit(schema, isObject(schema) ? (schema.name ?? '') : '')
  return problems
}

const isOptional = ({ type }: AvroField) => Array.isArray(type) && type[0] === 'null'

/** Ids, with whether the field is required. */
type Fields = readonly (readonly [id: number, isRequired: boolean])[]

const entryFields: Fields = [
  [0, true],
  [1, false],
  [3, false],
  [4, false],
  [2, true],
]
const required = (ids: readonly number[]): Fields => ids.map((id) => [id, true])
const optional = (ids: readonly number[]): Fields => ids.map((id) => [id, false])
const fileFields = (version: number): Fields => [
  ...required([134, 100, 101, 102, 103, 104]),
  ...optional([108, 109, 110, 137, 125, 128, 131, 132, 135, 140]),
  ...optional(version >= 3 ? [142, 143, 144, 145] : []),
]
const listFields = (version: number): Fields => [
  ...required([500, 501, 502, 517, 515, 516, 503, 504, 505, 506, 512, 513, 514]),
  ...optional(version >= 3 ? [507, 520] : [507]),
]

function checkFields(schema: AvroSchema | undefined, fields: Fields, what: string): string[] {
  const there = new Map((isObject(schema) ? (schema.fields ?? []) : []).map((field) => [field['field-id'], field]))
  return fields.flatMap(([id, isRequired]) => {
    const field = there.get(id)
    if (field === undefined) return [`${what} has no field ${id}`]
    return isOptional(field) === isRequired
      ? [`${what}: field ${id} must be ${isRequired ? 'required' : 'optional'}`]
      : []
  })
}

/** Check the schema of a manifest.
 *  @param version the format that its header names */
export function checkManifestSchema(schema: AvroSchema, version: number): string[] {
  const fields = isObject(schema) ? (schema.fields ?? []) : []
  const file = fields.find((field) => field['field-id'] === 2)?.type
  return [
    ...checkAvroSchema(schema),
    ...checkFields(schema, entryFields, 'manifest_entry'),
    ...checkFields(file, fileFields(version), 'data_file'),
  ]
}

/** Check the schema of a manifest list.
 *  @param version the format that its header names */
export function checkManifestListSchema(schema: AvroSchema, version: number): string[] {
  return [...checkAvroSchema(schema), ...checkFields(schema, listFields(version), 'manifest_file')]
}
