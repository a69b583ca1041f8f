/** Data and delete files as manifests describe them. */
import type { Long } from '../avro/binary.ts'
import type { FileSummary } from '../parquet/summary.ts'
import type { Partition, PartitionSpec } from './partition.ts'
import type { Field, StructType } from './types.ts'
import { compareValues, toBinary } from './values.ts'

/** What a file holds: rows, or what is deleted by place or by value. */
export type FileContent = 'data' | 'position-deletes' | 'equality-deletes'

/** A file of a table; maps are by field id. */
export interface DataFile {
  readonly content: FileContent
  /** Its whole location, scheme included. */
  readonly path: string
  /** In capitals, as every implementation writes it. */
  readonly format: string
  readonly specId: number
  readonly partition: Partition
  readonly recordCount: number
  readonly sizeBytes: number
  readonly columnSizes?: ReadonlyMap<number, number> | undefined
  readonly valueCounts?: ReadonlyMap<number, number> | undefined
  readonly nullCounts?: ReadonlyMap<number, number> | undefined
  readonly nanCounts?: ReadonlyMap<number, number> | undefined
  readonly lowerBounds?: ReadonlyMap<number, Uint8Array> | undefined
  readonly upperBounds?: ReadonlyMap<number, Uint8Array> | undefined
  readonly keyMetadata?: Uint8Array | undefined
  readonly splitOffsets?: readonly number[] | undefined
  /** The columns that name deleted rows, equality deletes only. */
  readonly equalityIds?: readonly number[] | undefined
  readonly sortOrderId?: number | undefined
  /** The one data file that all deletes of the file are of. */
  readonly referencedDataFile?: string | undefined
  /** v3: the id of the file's first row; the others follow. Undefined for deletes, until the snapshot that adds the
   *  file is committed, and in snapshots from before v3. */
  readonly firstRowId?: number | undefined
  /** Where in a Puffin file a deletion vector is. */
  readonly contentOffset?: number | undefined
  readonly contentSizeBytes?: number | undefined
}

/** Whether a file is a deletion vector: one blob of a Puffin file. */
export function isVector({ content, format }: DataFile): boolean {
  return content === 'position-deletes' && format === 'PUFFIN'
}

/** Name a file so that no other of a snapshot has the name: deletion vectors share Puffin files. */
export function fileKey(file: DataFile): string {
  return isVector(file) ? `${file.path}#${file.contentOffset}` : file.path
}

/** Read a data file's id, the 48 bits that its name ends in.
 *  @returns undefined for a file of other writers */
export function fileIdOf(path: string): number | undefined {
  const digits = /([\da-f]{12})\.parquet$/.exec(path)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

/** Find how many bytes are the file's own: a deletion vector has a part of its Puffin file. */
export function ownBytes({ sizeBytes, contentSizeBytes }: DataFile): number {
  return contentSizeBytes ?? sizeBytes
}

/** Whether a file is new in a snapshot, was there, or is gone since. */
export type EntryStatus = 'existing' | 'added' | 'deleted'

/** A file with its place in the table's history. */
export interface ManifestEntry {
  readonly status: EntryStatus
  /** The snapshot that added the file, or deleted it. */
  readonly snapshotId: Long
  /** The age of its rows; undefined until the snapshot that adds it is committed. */
  readonly sequenceNumber: number | undefined
  /** The commit that added the file. */
  readonly fileSequenceNumber: number | undefined
  readonly file: DataFile
}

/** Where a file belongs. */
export interface FilePlace {
  readonly path: string
  readonly spec: PartitionSpec
  readonly partition: Partition
  readonly sortOrderId?: number | undefined
}

/** Describe a Parquet file of rows.
 *  @param summary what the writer says of it */
export function dataFile(summary: FileSummary, place: FilePlace): DataFile {
  const sortOrderId = place.sortOrderId ?? 0
  return { ...described(summary, place), content: 'data', sortOrderId }
}

/** Describe a Parquet file of position deletes, written with `positionDeleteSchema`.
 *  @param paths the data files that it names: when there is one, readers of others need not look at it; and the bounds
 *  of the paths are theirs whole, as the writer cuts long ones */
export function positionDeleteFile(summary: FileSummary, place: FilePlace, paths: Iterable<string>): DataFile {
  // Readers compare paths as UTF-8, which is not the order of `<` for characters past U+FFFF.
  const sorted = [...new Set(paths)].sort(compareValues)
  const [first, last] = [sorted[0], sorted.at(-1)]
  const { lowerBounds, upperBounds, ...rest } = described(summary, place)
  const bound = (map: DataFile['lowerBounds'], path: string | undefined) => {
    return path === undefined ? map : new Map(map).set(deletePathId, toBinary('string', path))
  }
  return {
    ...rest,
    content: 'position-deletes',
    lowerBounds: bound(lowerBounds, first),
    upperBounds: bound(upperBounds, last),
    // These files are ordered by path and position, not by an order of the table, so they have no sort order.
    referencedDataFile: first === last ? first : undefined,
  }
}

function described(summary: FileSummary, { path, spec, partition }: FilePlace): Omit<DataFile, 'content'> {
  const { rows, sizeBytes, splitOffsets, columnSizes, valueCounts, nullCounts, nanCounts, lowerBounds, upperBounds } =
    summary
  return {
    path,
    format: 'PARQUET',
    specId: spec['spec-id'],
    partition,
    recordCount: rows,
    sizeBytes,
    columnSizes,
    valueCounts,
    nullCounts,
    nanCounts,
    lowerBounds,
    upperBounds,
    splitOffsets,
  }
}

/** Field ids of position delete files. */
export const deletePathId = 2_147_483_546
/** Field id of the position in position delete files. */
export const deletePositionId = 2_147_483_545

const deleteFields: readonly Field[] = [
  { id: deletePathId, name: 'file_path', required: true, type: 'string' },
  { id: deletePositionId, name: 'pos', required: true, type: 'long' },
]

/** What position delete files are written with.
 *  @source https://iceberg.apache.org/spec/ (v2), "Position Delete Files" */
export const positionDeleteSchema: StructType = { type: 'struct', fields: deleteFields }

/** A row of a position delete file. */
export interface PositionDelete {
  readonly file_path: string
  readonly pos: number
}

/** Put position deletes in the order that their files have, each once.
 *  @param deletes positions by the path of the data file */
export function positionDeleteRows(deletes: ReadonlyMap<string, Iterable<number>>): PositionDelete[] {
  const paths = [...deletes.keys()].sort(compareValues)
  return paths.flatMap((path) => {
    const positions = [...new Set(deletes.get(path))].sort((a, b) => a - b)
    return positions.map((pos) => ({ file_path: path, pos }))
  })
}
