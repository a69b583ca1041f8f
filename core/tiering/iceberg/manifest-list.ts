/** Manifest lists: the manifests of one snapshot, with what is needed to leave most of them unread.
 *  @source https://iceberg.apache.org/spec/ (v3), "Manifest Lists", "Row Lineage" */
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { type ReadOptions, readContainer, writeContainer } from '../avro/container.ts'
import { fieldName, manifestListSchema } from './manifest-schema.ts'
import type { Extent } from './metrics.ts'
import { compareValues, toBinary, type Value } from './values.ts'

/** What a manifest's files hold. */
export type ManifestContent = 'data' | 'deletes'

/** What the values of a partition field are, over the files of a manifest. */
export interface FieldSummary {
  readonly containsNull: boolean
  readonly containsNan?: boolean | undefined
  /** In single-value form; undefined when every value is null or NaN. */
  readonly lower?: Uint8Array | undefined
  readonly upper?: Uint8Array | undefined
}

/** A manifest's line in the list. */
export interface ManifestFile {
  readonly path: string
  readonly sizeBytes: number
  readonly specId: number
  readonly content: ManifestContent
  /** The commit that added it; undefined until it is committed. */
  readonly sequenceNumber: number | undefined
  /** The lowest sequence number of its live files. */
  readonly minSequenceNumber: number | undefined
  readonly addedSnapshotId: Long
  readonly addedFiles: number
  readonly existingFiles: number
  readonly deletedFiles: number
  readonly addedRows: number
  readonly existingRows: number
  readonly deletedRows: number
  /** By the fields of the spec. */
  readonly partitions?: readonly FieldSummary[] | undefined
  readonly keyMetadata?: Uint8Array | undefined
  /** v3, of data: the id from which files without one of their own are numbered; undefined until it is committed. */
  readonly firstRowId?: number | undefined
}

/** Sum up the values of a partition field.
 *  @source the specification, "Manifest Lists", note 2: bounds of zero are -0 below and +0 above */
export function summarize(type: string, values: Iterable<Value | null>): FieldSummary {
  let containsNull = false
  let containsNan = false
  let lower: Value | undefined
  let upper: Value | undefined
  for (const value of values) {
    if (value === null) containsNull = true
    else if (Number.isNaN(value)) containsNan = true
    else {
      if (lower === undefined || compareValues(value, lower) < 0) lower = value
      if (upper === undefined || compareValues(value, upper) > 0) upper = value
    }
  }
  const isReal = type === 'float' || type === 'double'
  const zero = (value: Value, signed: number) => (isReal && value === 0 ? signed : value)
  return {
    containsNull,
    containsNan,
    lower: lower === undefined ? undefined : toBinary(type, zero(lower, -0)),
    upper: upper === undefined ? undefined : toBinary(type, zero(upper, 0)),
  }
}

/** See a summary as what is known of the values. */
export function extentOfSummary({ containsNull, containsNan, lower, upper }: FieldSummary): Extent {
  // Without bounds and NaN, whatever files there are have null.
  const isAllNull = containsNull && lower === undefined && upper === undefined && containsNan === false
  return { lower, upper, hasNan: containsNan, nulls: isAllNull ? 'all' : containsNull ? 'some' : 'none' }
}

/** The snapshot a list is of. */
export interface ListOptions {
  readonly snapshotId: Long
  readonly parentSnapshotId: Long | undefined
  readonly sequenceNumber: number
  /** The table's format. */
  readonly version: number
  /** v3: the table's next row id. */
  readonly firstRowId?: number | undefined
  /** 16 random bytes. */
  readonly sync: Uint8Array
}

/** Write a manifest list. Manifests without sequence number get the snapshot's. */
export function writeManifestList(manifests: readonly ManifestFile[], options: ListOptions): Uint8Array {
  const { snapshotId, parentSnapshotId, sequenceNumber, version, firstRowId, sync } = options
  const metadata = {
    'snapshot-id': `${snapshotId}`,
    'parent-snapshot-id': `${parentSnapshotId ?? null}`,
    'sequence-number': `${sequenceNumber}`,
    ...(version >= 3 && { 'first-row-id': `${firstRowId ?? 0}` }),
    'format-version': `${version}`,
  }
  const records = manifests.map((manifest) => toRecord(assignSequence(manifest, sequenceNumber)))
  return writeContainer(records, { schema: manifestListSchema(version), metadata, sync })
}

/** Give data manifests that have no first row id one each, so that every file without ids has its own.
 *  @param nextRowId the table's
 *  @returns the manifests, and the table's next row id after them
 *  @source the specification, "First Row ID Assignment" */
export function assignRowIds(
  manifests: readonly ManifestFile[],
  nextRowId: number,
): { readonly manifests: readonly ManifestFile[]; readonly nextRowId: number } {
  let next = nextRowId
  const assigned = manifests.map((manifest) => {
    if (manifest.content !== 'data' || manifest.firstRowId !== undefined) return manifest
    const firstRowId = next
    // Files that have ids keep them; ids are reserved for all rows, as the manifest's line does not tell.
    next += manifest.addedRows + manifest.existingRows
    return { ...manifest, firstRowId }
  })
  return { manifests: assigned, nextRowId: next }
}

/** Give a new manifest the sequence number of its commit. */
export function assignSequence(manifest: ManifestFile, sequenceNumber: number): ManifestFile {
  if (manifest.sequenceNumber !== undefined) return manifest
  return { ...manifest, sequenceNumber, minSequenceNumber: manifest.minSequenceNumber ?? sequenceNumber }
}

function toRecord(manifest: ManifestFile): Record<string, unknown> {
  return {
    manifest_path: manifest.path,
    manifest_length: manifest.sizeBytes,
    partition_spec_id: manifest.specId,
    content: manifest.content === 'data' ? 0 : 1,
    sequence_number: manifest.sequenceNumber,
    min_sequence_number: manifest.minSequenceNumber,
    added_snapshot_id: manifest.addedSnapshotId,
    added_files_count: manifest.addedFiles,
    existing_files_count: manifest.existingFiles,
    deleted_files_count: manifest.deletedFiles,
    added_rows_count: manifest.addedRows,
    existing_rows_count: manifest.existingRows,
    deleted_rows_count: manifest.deletedRows,
    partitions: manifest.partitions?.map(({ containsNull, containsNan, lower, upper }) => ({
      contains_null: containsNull,
      contains_nan: containsNan,
      lower_bound: lower,
      upper_bound: upper,
    })),
    key_metadata: manifest.keyMetadata,
    first_row_id: manifest.firstRowId,
  }
}

/** Read a manifest list.
 *  @throws invalid when it is damaged */
export function readManifestList(bytes: Uint8Array, codecs?: ReadOptions['codecs']): ManifestFile[] {
  return readContainer(bytes, { codecs, nameOf: fieldName }).records.map(fromRecord)
}

function fromRecord(record: Record<string, unknown>): ManifestFile {
  // Format v1 leaves counts out; its files are data, and as old as can be.
  const count = (name: string) => Number(record[name] ?? 0)
  const path = record.manifest_path
  if (typeof path !== 'string') throw new Failure('invalid', 'a manifest list has a line without path')
  const unknown = record.added_files_count === null || record.added_files_count === undefined
  return {
    path,
    sizeBytes: count('manifest_length'),
    specId: count('partition_spec_id'),
    content: record.content === 1 ? 'deletes' : 'data',
    sequenceNumber: count('sequence_number'),
    minSequenceNumber: count('min_sequence_number'),
    addedSnapshotId: (record.added_snapshot_id ?? 0) as Long,
    // A count that is not known is assumed not to be zero.
    addedFiles: unknown ? 1 : count('added_files_count'),
    existingFiles: count('existing_files_count'),
    deletedFiles: count('deleted_files_count'),
    addedRows: count('added_rows_count'),
    existingRows: count('existing_rows_count'),
    deletedRows: count('deleted_rows_count'),
    partitions: (record.partitions as readonly Record<string, unknown>[] | null | undefined)?.map(fromSummary),
    keyMetadata: (record.key_metadata ?? undefined) as Uint8Array | undefined,
    firstRowId: (record.first_row_id ?? undefined) as number | undefined,
  }
}

function fromSummary(record: Record<string, unknown>): FieldSummary {
  const bytes = (name: string) => (record[name] ?? undefined) as Uint8Array | undefined
  return {
    containsNull: record.contains_null === true,
    containsNan: (record.contains_nan ?? undefined) as boolean | undefined,
    lower: bytes('lower_bound'),
    upper: bytes('upper_bound'),
  }
}
