/** Manifests: lists of files with their partition, metrics and age.
 *
 *  1. One manifest has files of one spec, and either data or deletes.
 *  2. A file that is added carries no sequence number: it has the one its manifest gets when the snapshot is committed,
 *     so that a manifest is written once however often the commit is tried. Every other entry carries its own.
 *  3. In format v3 a data file that is added carries no row id either, unless it is a copy of another: it has the
 *     manifest's plus the rows of the files before it that have none.
 *  @source https://iceberg.apache.org/spec/ (v3), "Manifests", "First Row ID Inheritance" */
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { type ReadOptions, readContainer, writeContainer } from '../avro/container.ts'
import type { DataFile, EntryStatus, FileContent, ManifestEntry } from './data-file.ts'
import { parseJson, stringifyJson } from './json.ts'
import { type FieldSummary, type ManifestContent, type ManifestFile, summarize } from './manifest-list.ts'
import { fieldName, manifestSchema, partitionNames } from './manifest-schema.ts'
import { type Partition, type PartitionSpec, partitionType, type TypeOf } from './partition.ts'
import type { Schema } from './schema.ts'
import { decimalBytes, parsePrimitive, type StructType } from './types.ts'
import { decimalFromBytes, decimalToFixed, formatUuid, normalizeValue, parseUuid, type Value } from './values.ts'

const statuses: readonly EntryStatus[] = ['existing', 'added', 'deleted']
const contents: readonly FileContent[] = ['data', 'position-deletes', 'equality-deletes']

/** What a manifest is written with. */
export interface ManifestOptions {
  readonly path: string
  readonly schema: Schema
  readonly spec: PartitionSpec
  readonly typeOf: TypeOf
  readonly content: ManifestContent
  /** The table's format. */
  readonly version: number
  /** The snapshot that adds the manifest. */
  readonly snapshotId: Long
  /** 16 random bytes. */
  readonly sync: Uint8Array
}

/** Write a manifest.
 *  @param entries at least one
 *  @returns its bytes, and its line in the manifest list but for the sequence number
 *  @throws invalid for a partition value that is not of its type */
export function writeManifest(
  entries: readonly ManifestEntry[],
  options: ManifestOptions,
): { readonly bytes: Uint8Array; readonly manifest: ManifestFile } {
  const { schema, spec, typeOf, content, path, version, snapshotId, sync } = options
  const partition = partitionType(spec, typeOf)
  const encode = compilePartitionEncoder(partition)
  const metadata = {
    schema: stringifyJson(schema),
    'schema-id': `${schema['schema-id']}`,
    'partition-spec': JSON.stringify(spec.fields),
    'partition-spec-id': `${spec['spec-id']}`,
    'format-version': `${version}`,
    content,
  }
  const records = entries.map((entry) => toRecord(entry, encode))
  const bytes = writeContainer(records, { schema: manifestSchema(partition, version), metadata, sync })
  const types = partition.fields.map(({ type }) => type as string)
  const manifest = {
    path,
    sizeBytes: bytes.length,
    specId: spec['spec-id'],
    content,
    sequenceNumber: undefined,
    minSequenceNumber: lowestSequence(entries),
    addedSnapshotId: snapshotId,
    ...countEntries(entries),
    partitions: summarizePartitions(entries, types),
  }
  return { bytes, manifest }
}

/** The lowest sequence number of live entries that have one: those without get a higher one. */
function lowestSequence(entries: readonly ManifestEntry[]): number | undefined {
  let lowest: number | undefined
  for (const { status, sequenceNumber } of entries) {
    if (status === 'deleted' || sequenceNumber === undefined) continue
    if (lowest === undefined || sequenceNumber < lowest) lowest = sequenceNumber
  }
  return lowest
}

function countEntries(entries: readonly ManifestEntry[]) {
  const files = { added: 0, existing: 0, deleted: 0 }
  const rows = { added: 0, existing: 0, deleted: 0 }
  for (const { status, file } of entries) {
    files[status]++
    rows[status] += file.recordCount
  }
  return {
    addedFiles: files.added,
    existingFiles: files.existing,
    deletedFiles: files.deleted,
    addedRows: rows.added,
    existingRows: rows.existing,
    deletedRows: rows.deleted,
  }
}

function summarizePartitions(entries: readonly ManifestEntry[], types: readonly string[]): FieldSummary[] {
  return types.map((type, at) =>
    summarize(
      type,
      entries.map(({ file }) => file.partition[at] ?? null),
    ),
  )
}

/** Turns a value of a type into what Avro stores, and back. */
interface Form {
  encode(value: Value): unknown
  decode(value: unknown): Value
}

function formOf(type: string): Form {
  const { kind, precision } = parsePrimitive(type)
  switch (kind) {
    case 'uuid':
      return { encode: (value) => parseUuid(value as string), decode: (value) => formatUuid(value as Uint8Array) }
    case 'decimal': {
      const size = decimalBytes(precision)
      return {
        encode: (value) => decimalToFixed(value as bigint, size),
        decode: (value) => decimalFromBytes(value as Uint8Array),
      }
    }
    default:
      return { encode: (value) => value, decode: (value) => normalizeValue(type, value) }
  }
}

function compilePartitionEncoder(partition: StructType): (tuple: Partition) => Record<string, unknown> {
  const names = partitionNames(partition)
  const forms = partition.fields.map(({ type }) => formOf(type as string))
  return (tuple) => {
    const record: Record<string, unknown> = {}
    for (const [at, name] of names.entries()) {
      const value = tuple[at] ?? null
      record[name] = value === null ? null : (forms[at] as Form).encode(value)
    }
    return record
  }
}

const toPairs = <V>(map: ReadonlyMap<number, V> | undefined) =>
  map === undefined ? null : Array.from(map, ([key, value]) => ({ key, value }))

function toRecord(entry: ManifestEntry, encode: (tuple: Partition) => unknown): Record<string, unknown> {
  const { file, status } = entry
  if (status !== 'added' && (entry.sequenceNumber === undefined || entry.fileSequenceNumber === undefined)) {
    throw new Failure('invalid', `${file.path} is ${status} and has no sequence number`)
  }
  return {
    status: statuses.indexOf(status),
    snapshot_id: entry.snapshotId,
    sequence_number: entry.sequenceNumber,
    file_sequence_number: entry.fileSequenceNumber,
    data_file: {
      content: contents.indexOf(file.content),
      file_path: file.path,
      file_format: file.format,
      partition: encode(file.partition),
      record_count: file.recordCount,
      file_size_in_bytes: file.sizeBytes,
      column_sizes: toPairs(file.columnSizes),
      value_counts: toPairs(file.valueCounts),
      null_value_counts: toPairs(file.nullCounts),
      nan_value_counts: toPairs(file.nanCounts),
      lower_bounds: toPairs(file.lowerBounds),
      upper_bounds: toPairs(file.upperBounds),
      key_metadata: file.keyMetadata,
      split_offsets: file.splitOffsets,
      equality_ids: file.equalityIds,
      sort_order_id: file.sortOrderId,
      referenced_data_file: file.referencedDataFile,
      first_row_id: file.firstRowId,
      content_offset: file.contentOffset,
      content_size_in_bytes: file.contentSizeBytes,
    },
  }
}

/** What a manifest is read with. */
export interface ReadContext {
  readonly specs: readonly PartitionSpec[]
  readonly typeOf: TypeOf
  readonly codecs?: ReadOptions['codecs']
}

/** Read a manifest.
 *  @param manifest its line in the manifest list, from which entries inherit
 *  @throws invalid when it is damaged */
export function readManifest(bytes: Uint8Array, manifest: ManifestFile, context: ReadContext): ManifestEntry[] {
  const { records, metadata } = readContainer(bytes, { codecs: context.codecs, nameOf: fieldName })
  const decode = compilePartitionDecoder(specOf(manifest, metadata, context), context.typeOf)
  const entries = records.map((record) => toEntry(record, manifest, decode))
  return manifest.content === 'data' ? inheritRowIds(entries, manifest.firstRowId) : entries
}

/** @source Iceberg Java, ManifestReader: what is deleted takes part in nothing */
function inheritRowIds(entries: ManifestEntry[], firstRowId: number | undefined): ManifestEntry[] {
  if (firstRowId === undefined) return entries
  let next = firstRowId
  return entries.map((entry) => {
    if (entry.status === 'deleted' || entry.file.firstRowId !== undefined) return entry
    const file = { ...entry.file, firstRowId: next }
    next += file.recordCount
    return { ...entry, file }
  })
}

function specOf(
  { specId, path }: ManifestFile,
  metadata: { readonly [key: string]: string },
  { specs }: ReadContext,
): PartitionSpec {
  const known = specs.find((spec) => spec['spec-id'] === specId)
  if (known !== undefined) return known
  // The manifest carries its own spec for the case that the table has forgotten it.
  const fields = metadata['partition-spec']
  if (fields === undefined) throw new Failure('invalid', `${path}: no partition spec ${specId}`)
  return { 'spec-id': specId, fields: parseJson(fields) as PartitionSpec['fields'] }
}

function compilePartitionDecoder(spec: PartitionSpec, typeOf: TypeOf): (tuple: unknown) => Partition {
  const fields = partitionType(spec, typeOf).fields.map(({ id, type }) => [`${id}`, formOf(type as string)] as const)
  return (tuple) =>
    fields.map(([name, { decode }]) => {
      const value = (tuple as Record<string, unknown>)[name]
      return value === null || value === undefined ? null : decode(value)
    })
}

interface Pair<V> {
  readonly key: number
  readonly value: V
}

function toMap<V>(pairs: unknown): Map<number, V> | undefined {
  if (pairs === null || pairs === undefined) return undefined
  return new Map((pairs as readonly Pair<V>[]).map(({ key, value }) => [key, value]))
}

/** Null, and a field that an older version has not, are undefined. */
const given = <T>(value: unknown): T | undefined => (value === null ? undefined : (value as T | undefined))

function toEntry(
  record: Record<string, unknown>,
  manifest: ManifestFile,
  decode: (tuple: unknown) => Partition,
): ManifestEntry {
  const status = statuses[record.status as number]
  const raw = record.data_file as Record<string, unknown>
  const file = toFile(raw, manifest, decode)
  if (status === undefined) throw new Failure('invalid', `${manifest.path}: no status ${record.status}`)
  // Files of format v1 are all as old as can be.
  const inherits = status === 'added' || manifest.sequenceNumber === 0
  const inherited = inherits ? manifest.sequenceNumber : undefined
  const sequenceNumber = given<number>(record.sequence_number) ?? inherited
  if (sequenceNumber === undefined && manifest.sequenceNumber !== undefined) {
    throw new Failure('invalid', `${manifest.path}: ${file.path} is ${status} and has no sequence number`)
  }
  return {
    status,
    snapshotId: given<Long>(record.snapshot_id) ?? manifest.addedSnapshotId,
    sequenceNumber,
    fileSequenceNumber: given<number>(record.file_sequence_number) ?? inherited,
    file,
  }
}

function toFile(raw: Record<string, unknown>, manifest: ManifestFile, decode: (tuple: unknown) => Partition): DataFile {
  const content = contents[(raw.content as number | undefined) ?? 0]
  if (content === undefined) throw new Failure('invalid', `${manifest.path}: no content ${raw.content}`)
  return {
    content,
    path: raw.file_path as string,
    format: (raw.file_format as string).toUpperCase(),
    specId: manifest.specId,
    partition: decode(raw.partition),
    recordCount: Number(raw.record_count),
    sizeBytes: Number(raw.file_size_in_bytes),
    columnSizes: toMap(raw.column_sizes),
    valueCounts: toMap(raw.value_counts),
    nullCounts: toMap(raw.null_value_counts),
    nanCounts: toMap(raw.nan_value_counts),
    lowerBounds: toMap(raw.lower_bounds),
    upperBounds: toMap(raw.upper_bounds),
    keyMetadata: given(raw.key_metadata),
    splitOffsets: given(raw.split_offsets),
    equalityIds: given(raw.equality_ids),
    sortOrderId: given(raw.sort_order_id),
    referencedDataFile: given(raw.referenced_data_file),
    firstRowId: given(raw.first_row_id),
    contentOffset: given(raw.content_offset),
    contentSizeBytes: given(raw.content_size_in_bytes),
  }
}
