/** The tables of a database's lake: names, columns, and how a mirror follows its collection's relation. */
import { Failure } from '../../errors.ts'
import type { RelationType } from '../../shard/relation.ts'
import { evolveSchema, type SchemaChange } from '../iceberg/evolve.ts'
import { lastColumnId, schemaOf, type TableMetadata } from '../iceberg/metadata.ts'
import { makeSpec, type PartitionSpec, unpartitioned } from '../iceberg/partition.ts'
import { makeSchema, type NewField, type Schema } from '../iceberg/schema.ts'
import { canPromote, isPrimitive } from '../iceberg/types.ts'
import type { CommitRequest } from '../iceberg/update.ts'

/** The table of every change. */
export const changesTable = 'changes'
/** The table of what could not be written to the others. */
export const deadLettersTable = 'dead_letters'

/** A column of a relation, as a shard tells it. */
export interface RelationColumnInfo {
  readonly name: string
  readonly type: RelationType
  readonly required: boolean
}

/** A collection that can be tiered, as a shard tells it. */
export interface CollectionInfo {
  readonly collection: string
  readonly columns: readonly RelationColumnInfo[]
  /** Whether its rows have a payload that may leave. */
  readonly payload: boolean
}

/** Columns of a mirror besides the relation's. */
export const hiddenColumns: readonly NewField[] = [
  { name: '_id', type: 'string', required: true, doc: 'the documentId' },
  { name: '_shard', type: 'int', required: true },
  { name: '_seq', type: 'long', required: true, doc: 'of the change that made the row as it is, as far as known' },
  { name: '_at', type: 'timestamptz', required: true, doc: 'when that was' },
]

const changesColumns: readonly NewField[] = [
  { name: 'namespace', type: 'string', required: true, doc: 'the database' },
  { name: 'type', type: 'string', required: true, doc: 'the collection' },
  { name: 'op', type: 'string', required: true, doc: 'insert, put, delete or truncate' },
  { name: 'id', type: 'string', required: true, doc: 'the documentId; of a truncate, what was truncated' },
  { name: 'data', type: 'string', doc: 'the document after the change, as JSON' },
  { name: 'ts', type: 'timestamptz', required: true },
  { name: 'shard', type: 'int', required: true },
  { name: 'incarnation', type: 'string', required: true },
  { name: 'epoch', type: 'long', required: true },
  { name: 'seq', type: 'long', required: true },
]

const deadLettersColumns: readonly NewField[] = [
  { name: 'type', type: 'string', required: true, doc: 'the collection' },
  { name: 'id', type: 'string', required: true },
  { name: 'reason', type: 'string', required: true },
  { name: 'data', type: 'string' },
  { name: 'ts', type: 'timestamptz', required: true },
  { name: 'shard', type: 'int', required: true },
  { name: 'seq', type: 'long', required: true },
]

/** Make what a new table of the lake begins with.
 *  @param info the collection of a mirror; left out for the other tables */
export function beginTable(table: string, info?: CollectionInfo): { schema: Schema; spec: PartitionSpec } {
  if (info !== undefined) return { schema: makeSchema(mirrorColumns(info), ['_id']), spec: unpartitioned }
  if (table === deadLettersTable) return { schema: makeSchema(deadLettersColumns), spec: unpartitioned }
  const schema = makeSchema(changesColumns)
  const fields = [
    { column: 'namespace', transform: 'identity' },
    { column: 'type', transform: 'identity' },
    { column: 'ts', transform: 'day' },
  ]
  const { spec } = makeSpec(fields, { schema, specs: [], lastPartitionId: 999 })
  return { schema, spec }
}

function mirrorColumns({ collection, columns }: CollectionInfo): NewField[] {
  for (const { name } of columns) {
    if (!hiddenColumns.some((hidden) => hidden.name === name)) continue
    throw new Failure('unsupported', `collection ${collection} has a column ${name}, which the lake needs itself`)
  }
  return [...columns.map(({ name, type, required }) => ({ name, type, required })), ...hiddenColumns]
}

/** Find what a mirror's schema lacks for its relation to be written.
 *  @returns undefined when nothing is missing
 *  @throws unsupported for a column whose type cannot become the relation's */
export function evolveMirror(metadata: TableMetadata, info: CollectionInfo): CommitRequest | undefined {
  const schema = schemaOf(metadata)
  const changes: SchemaChange[] = []
  for (const { name, type, required } of mirrorColumns(info)) {
    const field = schema.fields.find((one) => one.name === name)
    if (field === undefined) changes.push({ add: { name, type } })
    else if (field.type !== type) changes.push(...widened(info.collection, name, field.type, type as string))
    if (field?.required === true && required !== true) changes.push({ optional: name })
  }
  // A column that the relation has no more stays, for the rows that have it; new rows have null there.
  const names = new Set([...info.columns, ...hiddenColumns].map(({ name }) => name))
  for (const { name, required } of schema.fields) if (required && !names.has(name)) changes.push({ optional: name })
  if (changes.length === 0) return undefined
  const before = lastColumnId(metadata, schema)
  const evolved = evolveSchema({ schema, lastColumnId: before }, changes)
  return {
    requirements: [
      { type: 'assert-table-uuid', uuid: metadata['table-uuid'] },
      { type: 'assert-last-assigned-field-id', 'last-assigned-field-id': before },
      { type: 'assert-current-schema-id', 'current-schema-id': metadata['current-schema-id'] },
    ],
    updates: [
      { action: 'add-schema', schema: evolved.schema, 'last-column-id': evolved.lastColumnId },
      { action: 'set-current-schema', 'schema-id': -1 },
    ],
  }
}

function widened(collection: string, name: string, from: Schema['fields'][number]['type'], to: string): SchemaChange[] {
  if (isPrimitive(from) && canPromote(from, to)) return [{ widen: name, type: to }]
  // The table holds wider values than the relation has now: these fit.
  if (isPrimitive(from) && canPromote(to, from)) return []
  const was = isPrimitive(from) ? from : from.type
  const way = 'drop the table, or name the column anew'
  throw new Failure('unsupported', `column ${name} of ${collection} is ${was} in the lake and ${to} now: ${way}`)
}
