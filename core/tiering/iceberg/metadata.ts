/** Table metadata: the JSON that is a table's state.
 *
 *  1. What this code does not know of is kept as it is.
 *  2. Format v1 is read as v2; formats after v3 are refused.
 *  @source https://iceberg.apache.org/spec/ (v3), "Table Metadata" and appendices C and E */
import { joinBytes } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { parseJson, stringifyJson } from './json.ts'
import {
  type PartitionField,
  type PartitionSpec,
  partitionIdBefore,
  type SortOrder,
  type TypeOf,
  typesOf,
} from './partition.ts'
import { highestFieldId, type Schema } from './schema.ts'

/** What a snapshot did to its table. */
export type Operation = 'append' | 'replace' | 'overwrite' | 'delete'

/** A state of the table. */
export interface Snapshot {
  readonly 'snapshot-id': Long
  readonly 'parent-snapshot-id'?: Long
  readonly 'sequence-number': number
  readonly 'timestamp-ms': number
  readonly 'manifest-list': string
  readonly summary: { readonly operation: Operation; readonly [key: string]: string }
  readonly 'schema-id'?: number
  /** v3: the id of the first row that has got one in this snapshot, and how many ids were given. */
  readonly 'first-row-id'?: Long
  readonly 'added-rows'?: Long
}

/** A name for a snapshot: branches move on with commits, tags stay. */
export interface SnapshotRef {
  readonly 'snapshot-id': Long
  readonly type: 'branch' | 'tag'
  readonly 'min-snapshots-to-keep'?: number
  readonly 'max-snapshot-age-ms'?: number
  readonly 'max-ref-age-ms'?: number
}

/** When a snapshot became the current one. */
export interface SnapshotLogEntry {
  readonly 'snapshot-id': Long
  readonly 'timestamp-ms': number
}

/** A metadata file before this one. */
export interface MetadataLogEntry {
  readonly 'metadata-file': string
  readonly 'timestamp-ms': number
}

/** A file of statistics about a snapshot. */
export interface StatisticsFile {
  readonly 'snapshot-id': Long
  readonly 'statistics-path': string
  readonly [key: string]: unknown
}

/** A table's state. */
export interface TableMetadata {
  readonly 'format-version': number
  readonly 'table-uuid': string
  readonly location: string
  readonly 'last-sequence-number': number
  /** v3: above every row id that was given. */
  readonly 'next-row-id'?: number
  readonly 'last-updated-ms': number
  readonly 'last-column-id': number
  readonly schemas: readonly Schema[]
  readonly 'current-schema-id': number
  readonly 'partition-specs': readonly PartitionSpec[]
  readonly 'default-spec-id': number
  readonly 'last-partition-id': number
  readonly 'sort-orders': readonly SortOrder[]
  readonly 'default-sort-order-id': number
  readonly properties: { readonly [key: string]: string }
  readonly 'current-snapshot-id'?: Long
  readonly refs: { readonly [name: string]: SnapshotRef }
  readonly snapshots: readonly Snapshot[]
  readonly 'snapshot-log': readonly SnapshotLogEntry[]
  readonly 'metadata-log': readonly MetadataLogEntry[]
  readonly statistics?: readonly StatisticsFile[]
  readonly 'partition-statistics'?: readonly StatisticsFile[]
  readonly [key: string]: unknown
}

/** The format of new tables, unless they ask for another. */
export const formatVersion = 2
/** The newest format that is read and written: deletion vectors, row ids. */
export const formatVersionMax = 3

/** Write metadata as JSON. */
export function writeMetadata(metadata: TableMetadata): string {
  return stringifyJson(metadata)
}

const utf8 = new TextEncoder()
/** JSON of what is in lists: snapshots and their like are the same objects from one state to the next. */
const encoded = new WeakMap<object, Uint8Array>()

/** Write metadata as the bytes of its file.
 *  @cost what is new since the last time; of the rest, a copy */
export function encodeMetadata(metadata: TableMetadata): Uint8Array {
  const parts: Uint8Array[] = []
  const add = (part: Uint8Array) => void parts.push(part)
  let text = '{'
  for (const [key, value] of Object.entries(metadata)) {
    if (value === undefined) continue
    text += `${text === '{' ? '' : ','}${JSON.stringify(key)}:`
    if (!(Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null))) {
      text += stringifyJson(value)
      continue
    }
    add(utf8.encode(`${text}[`))
    for (const [at, one] of value.entries()) {
      if (at > 0) add(comma)
      add(encodePart(one))
    }
    text = ']'
  }
  add(utf8.encode(`${text}}`))
  return joinBytes(parts)
}

const comma = utf8.encode(',')

function encodePart(part: object): Uint8Array {
  const known = encoded.get(part)
  if (known !== undefined) return known
  const made = utf8.encode(stringifyJson(part))
  encoded.set(part, made)
  return made
}

/** Read metadata.
 *  @throws invalid for what is no metadata, unsupported for a format newer than v3 */
export function readMetadata(text: string): TableMetadata {
  return toMetadata(parseJson(text))
}

/** Read metadata that has been parsed, by `parseJson`.
 *  @throws as `readMetadata` does */
export function toMetadata(raw: unknown): TableMetadata {
  if (typeof raw !== 'object' || raw === null) throw new Failure('invalid', 'table metadata is no JSON object')
  const json = raw as Record<string, unknown>
  const version = json['format-version']
  if (version !== 1 && version !== 2 && version !== 3) {
    throw new Failure('unsupported', `Iceberg format version ${JSON.stringify(version)}; 1 to 3 are read`)
  }
  const metadata = version === 1 ? fromV1(json) : json
  for (const key of requiredKeys) {
    if (metadata[key] === undefined) throw new Failure('invalid', `table metadata has no ${key}`)
  }
  return withDefaults(metadata)
}

const requiredKeys = [
  'table-uuid',
  'location',
  'last-column-id',
  'schemas',
  'current-schema-id',
  'partition-specs',
  'default-spec-id',
  'sort-orders',
  'default-sort-order-id',
]

/** @source the specification, appendix E: "Reading v1 metadata for v2" */
function fromV1(json: Record<string, unknown>): Record<string, unknown> {
  const schema = json.schema as Omit<Schema, 'schema-id'> | undefined
  const fields = (json['partition-spec'] ?? []) as readonly Omit<PartitionField, 'field-id'>[]
  const numbered = fields.map((field, at) => ({ 'field-id': partitionIdBefore + 1 + at, ...field }))
  const schemas = (json.schemas ?? (schema && [{ 'schema-id': 0, ...schema }])) as readonly Schema[] | undefined
  const snapshots = (json.snapshots ?? []) as readonly Omit<Snapshot, 'sequence-number'>[]
  return {
    'table-uuid': '',
    ...json,
    schemas,
    'current-schema-id': json['current-schema-id'] ?? schemas?.at(-1)?.['schema-id'],
    'partition-specs': json['partition-specs'] ?? [{ 'spec-id': 0, fields: numbered }],
    'default-spec-id': json['default-spec-id'] ?? 0,
    'sort-orders': json['sort-orders'] ?? [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': json['default-sort-order-id'] ?? 0,
    snapshots: snapshots.map((snapshot) => ({ 'sequence-number': 0, ...snapshot, summary: snapshot.summary ?? {} })),
  }
}

function withDefaults(json: Record<string, unknown>): TableMetadata {
  const { 'current-snapshot-id': current, ...rest } = json as unknown as TableMetadata
  const specs = rest['partition-specs']
  const partitionIds = specs.flatMap(({ fields }) => fields.map((field) => field['field-id']))
  const hasCurrent = current !== undefined && current !== null && current !== -1
  const main: SnapshotRef | undefined = hasCurrent ? { 'snapshot-id': current, type: 'branch' } : undefined
  return {
    ...rest,
    'last-sequence-number': rest['last-sequence-number'] ?? 0,
    'last-updated-ms': rest['last-updated-ms'] ?? 0,
    'last-partition-id': rest['last-partition-id'] ?? Math.max(partitionIdBefore, ...partitionIds),
    properties: rest.properties ?? {},
    snapshots: rest.snapshots ?? [],
    'snapshot-log': rest['snapshot-log'] ?? [],
    'metadata-log': rest['metadata-log'] ?? [],
    refs: { ...(main !== undefined && { main }), ...rest.refs },
    ...(hasCurrent && { 'current-snapshot-id': current }),
    ...(rest['format-version'] >= 3 && { 'next-row-id': rest['next-row-id'] ?? 0 }),
  }
}

/** Get the schema that is current, or another by its id.
 *  @throws not_found */
export function schemaOf(metadata: TableMetadata, id: number = metadata['current-schema-id']): Schema {
  const schema = metadata.schemas.find((one) => one['schema-id'] === id)
  if (schema === undefined) throw new Failure('not_found', `the table has no schema ${id}`)
  return schema
}

/** Get the spec that is the default, or another by its id.
 *  @throws not_found */
export function specOf(metadata: TableMetadata, id: number = metadata['default-spec-id']): PartitionSpec {
  const spec = metadata['partition-specs'].find((one) => one['spec-id'] === id)
  if (spec === undefined) throw new Failure('not_found', `the table has no partition spec ${id}`)
  return spec
}

/** Get the sort order that is the default, or another by its id.
 *  @throws not_found */
export function sortOrderOf(metadata: TableMetadata, id: number = metadata['default-sort-order-id']): SortOrder {
  const order = metadata['sort-orders'].find((one) => one['order-id'] === id)
  if (order === undefined) throw new Failure('not_found', `the table has no sort order ${id}`)
  return order
}

/** Find column types by id, dropped columns included. */
export function columnTypes(metadata: TableMetadata): TypeOf {
  return typesOf(metadata.schemas, schemaOf(metadata))
}

/** List the ids of columns that the default spec and sort order are made from: evolution must leave them. */
export function columnsInUse(metadata: TableMetadata): number[] {
  const fields = [...specOf(metadata).fields, ...sortOrderOf(metadata).fields]
  return fields.map((field) => field['source-id'])
}

/** Read a whole number from the table's properties.
 *  @throws invalid when it is none */
export function numberProperty({ properties }: TableMetadata, key: string, otherwise: number): number {
  const text = properties[key]
  if (text === undefined) return otherwise
  if (!/^\d{1,15}$/.test(text))
    throw new Failure('invalid', `property ${key}: ${JSON.stringify(text)} is no whole number`)
  return Number(text)
}

/** The highest column id of a schema or of the table, whichever is higher. */
export function lastColumnId(metadata: Pick<TableMetadata, 'last-column-id'>, schema: Schema): number {
  return Math.max(metadata['last-column-id'], highestFieldId(schema))
}

/** Find a branch or tag by its name, which may be any: `constructor` is none unless somebody made it. */
export function findRef({ refs }: Pick<TableMetadata, 'refs'>, name: string): SnapshotRef | undefined {
  return Object.hasOwn(refs, name) ? refs[name] : undefined
}
