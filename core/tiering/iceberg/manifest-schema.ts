/** The Avro schemas of manifests and manifest lists, and what their fields are called here.
 *  Fields are found by id: their names have changed over the years (`added_data_files_count`), their ids have not.
 *  @source https://iceberg.apache.org/spec/ (v3), "Manifests", "Manifest Lists" and appendix A: Avro */
import { Failure } from '../../errors.ts'
import type { AvroComplex, AvroField, AvroSchema } from '../avro/schema.ts'
import { decimalBytes, isPrimitive, parsePrimitive, type StructType } from './types.ts'

const required = (id: number, name: string, type: AvroSchema): AvroField => ({ name, type, 'field-id': id })
const optional = (id: number, name: string, type: AvroSchema): AvroField => {
  return { name, type: ['null', type], default: null, 'field-id': id }
}
const list = (id: number, items: AvroSchema): AvroComplex => ({ type: 'array', items, 'element-id': id })
const record = (name: string, fields: readonly AvroField[]): AvroComplex => ({ type: 'record', name, fields })

/** A map whose keys are no strings: Avro has none, so Iceberg writes an array of pairs. */
const pairs = (keyId: number, valueId: number, value: AvroSchema): AvroComplex => ({
  type: 'array',
  logicalType: 'map',
  items: record(`k${keyId}_v${valueId}`, [required(keyId, 'key', 'int'), required(valueId, 'value', value)]),
})

/** Make a name that Avro allows, as Iceberg Java does.
 *  @source org.apache.iceberg.avro.AvroSchemaUtil.sanitize */
export function avroName(name: string): string {
  let made = ''
  for (let at = 0; at < name.length; at++) {
    const char = name.charAt(at)
    if (/[A-Za-z_]/.test(char) || (at > 0 && /\d/.test(char))) made += char
    else made += /\d/.test(char) ? `_${char}` : `_x${char.charCodeAt(0).toString(16).toUpperCase()}`
  }
  return made
}

/** Find the Avro type of a primitive.
 *  @param declared names of the fixed types that the schema has so far: a second one is only named */
function avroType(type: string, declared: Set<string>): AvroSchema {
  const { kind, precision, scale, length } = parsePrimitive(type)
  const fixed = (name: string, size: number, more: object = {}): AvroSchema => {
    if (declared.has(name)) return name
    declared.add(name)
    return { type: 'fixed', name, size, ...more }
  }
  switch (kind) {
    case 'date':
      return { type: 'int', logicalType: 'date' }
    case 'time':
      return { type: 'long', logicalType: 'time-micros' }
    case 'timestamp':
    case 'timestamptz':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': kind === 'timestamptz' }
    case 'uuid':
      return fixed('uuid_fixed', 16, { logicalType: 'uuid' })
    case 'fixed':
      return fixed(`fixed_${length}`, length)
    case 'binary':
      return 'bytes'
    case 'decimal': {
      const more = { logicalType: 'decimal', precision, scale }
      return fixed(`decimal_${precision}_${scale}`, decimalBytes(precision), more)
    }
    default:
      return kind
  }
}

/** Find the names of a partition struct's fields in Avro: in their order, none twice. */
export function partitionNames({ fields }: StructType): string[] {
  const names: string[] = []
  for (const { id, name } of fields) {
    const made = avroName(name)
    names.push(names.includes(made) ? `${made}_${id}` : made)
  }
  return names
}

function partitionRecord(partition: StructType): AvroComplex {
  const declared = new Set<string>()
  const names = partitionNames(partition)
  const fields = partition.fields.map(({ id, name, type }, at) => {
    if (!isPrimitive(type)) throw new Failure('invalid', `partition ${name} is not primitive`)
    const field = optional(id, names[at] as string, avroType(type, declared))
    return names[at] === name ? field : { ...field, 'iceberg-field-name': name }
  })
  return record('r102', fields)
}

/** Fields of a data file that format v3 brought. */
const laterFields: readonly AvroField[] = [
  optional(142, 'first_row_id', 'long'),
  optional(144, 'content_offset', 'long'),
  optional(145, 'content_size_in_bytes', 'long'),
]

/** The schema of a manifest.
 *  @param partition the struct of its spec's tuples
 *  @param version the table's format */
export function manifestSchema(partition: StructType, version: number): AvroSchema {
  const file = record('r2', [
    required(134, 'content', 'int'),
    required(100, 'file_path', 'string'),
    required(101, 'file_format', 'string'),
    required(102, 'partition', partitionRecord(partition)),
    required(103, 'record_count', 'long'),
    required(104, 'file_size_in_bytes', 'long'),
    optional(108, 'column_sizes', pairs(117, 118, 'long')),
    optional(109, 'value_counts', pairs(119, 120, 'long')),
    optional(110, 'null_value_counts', pairs(121, 122, 'long')),
    optional(137, 'nan_value_counts', pairs(138, 139, 'long')),
    optional(125, 'lower_bounds', pairs(126, 127, 'bytes')),
    optional(128, 'upper_bounds', pairs(129, 130, 'bytes')),
    optional(131, 'key_metadata', 'bytes'),
    optional(132, 'split_offsets', list(133, 'long')),
    optional(135, 'equality_ids', list(136, 'int')),
    optional(140, 'sort_order_id', 'int'),
    optional(143, 'referenced_data_file', 'string'),
    ...(version >= 3 ? laterFields : []),
  ])
  return record('manifest_entry', [
    required(0, 'status', 'int'),
    optional(1, 'snapshot_id', 'long'),
    optional(3, 'sequence_number', 'long'),
    optional(4, 'file_sequence_number', 'long'),
    required(2, 'data_file', file),
  ])
}

const listFields: readonly AvroField[] = [
  required(500, 'manifest_path', 'string'),
  required(501, 'manifest_length', 'long'),
  required(502, 'partition_spec_id', 'int'),
  required(517, 'content', 'int'),
  required(515, 'sequence_number', 'long'),
  required(516, 'min_sequence_number', 'long'),
  required(503, 'added_snapshot_id', 'long'),
  required(504, 'added_files_count', 'int'),
  required(505, 'existing_files_count', 'int'),
  required(506, 'deleted_files_count', 'int'),
  required(512, 'added_rows_count', 'long'),
  required(513, 'existing_rows_count', 'long'),
  required(514, 'deleted_rows_count', 'long'),
  optional(
    507,
    'partitions',
    list(
      508,
      record('r508', [
        required(509, 'contains_null', 'boolean'),
        optional(518, 'contains_nan', 'boolean'),
        optional(510, 'lower_bound', 'bytes'),
        optional(511, 'upper_bound', 'bytes'),
      ]),
    ),
  ),
  optional(519, 'key_metadata', 'bytes'),
]

const listSchemas = {
  2: record('manifest_file', listFields),
  3: record('manifest_file', [...listFields, optional(520, 'first_row_id', 'long')]),
}

/** The schema of a manifest list.
 *  @param version the table's format */
export function manifestListSchema(version: number): AvroSchema {
  return listSchemas[version >= 3 ? 3 : 2]
}

/** The lowest id of partition fields; below it are the fields of manifests. */
const partitionIds = 1000

/** Collect the names of a schema's fields by their ids. */
function namesById(schema: AvroSchema, names = new Map<number, string>()): Map<number, string> {
  if (typeof schema === 'string') return names
  if (Array.isArray(schema)) {
    for (const branch of schema as readonly AvroSchema[]) namesById(branch, names)
    return names
  }
  const { fields = [], items } = schema as AvroComplex
  for (const field of fields) {
    names.set(field['field-id'] as number, field.name)
    namesById(field.type, names)
  }
  if (items !== undefined) namesById(items, names)
  return names
}

const canonical = namesById(manifestListSchema(3), namesById(manifestSchema({ type: 'struct', fields: [] }, 3)))

/** The name under which a field is read: its own here by id; a partition's by its id alone. */
export function fieldName(field: AvroField): string {
  const id = field['field-id']
  if (id === undefined) return field.name
  return id >= partitionIds ? `${id}` : (canonical.get(id) ?? field.name)
}
