/** Deletes rows by position: as position delete files in tables of format v2, as deletion vectors in v3.
 *
 *  1. A data file has one vector: a new one holds the rows of the one before it, which goes in the same commit.
 *  2. A vector also takes over from position delete files that a table had before it became v3.
 *  @source https://iceberg.apache.org/spec/ (v3), "Row-level Deletes" */
import { Failure } from '../../errors.ts'
import { readColumns } from '../parquet/read.ts'
import { openParquet } from '../parquet/read-file.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import { objectSource } from '../parquet/read-source.ts'
import { createParquetWriter } from '../parquet/writer.ts'
import type { Compressor } from '../zstd.ts'
import {
  type DataFile,
  fileKey,
  isVector,
  positionDeleteFile,
  positionDeleteRows,
  positionDeleteSchema,
} from './data-file.ts'
import { deletionVectorFile, readDeletionVector } from './deletion-vector.ts'
import type { LakeFiles } from './files.ts'
import { snapshotOfRef } from './history.ts'
import { columnTypes, specOf, type TableMetadata } from './metadata.ts'
import { partitionKey, tupleTypes } from './partition.ts'
import { staleChange } from './requirement.ts'
import type { ScanTask } from './scan.ts'
import { mayDelete } from './validate.ts'
import { type Change, dataFolder, groupBy } from './work.ts'

/** How deletes are written. */
export interface DeleteOptions {
  readonly compressor: Compressor
  /** The branch that they are for; `main` when left out. */
  readonly branch?: string
  /** Decompression for position delete files that there are already. */
  readonly codecs: ParquetCodecs
}

/** The part of a change that deletes rows; more may be added to it. */
export type DeleteChange = Required<
  Pick<Change, 'addDeletes' | 'removeDeletes' | 'referencedDataFiles' | 'baseSnapshotId'>
>

/** Rows to delete from a data file, and the deletes that it has already. */
export interface DeleteTarget {
  readonly file: DataFile
  /** In any order. */
  readonly positions: readonly number[]
  /** Vectors and position delete files that apply to the file. */
  readonly known?: readonly DataFile[]
}

/** Write deletes of rows, by position.
 *  @param deletes positions by the path of the data file
 *  @returns what to commit: spread it into a change
 *  @throws conflict (`stale`) when a data file is not in the table, invalid for a position that its file has not
 *  @cost the manifests of the snapshot, of which those read before are in memory; one file, or in v2 one a partition */
export async function writeDeletes(
  files: LakeFiles,
  table: TableMetadata,
  deletes: ReadonlyMap<string, Iterable<number>>,
  options: DeleteOptions,
): Promise<DeleteChange> {
  const snapshot = snapshotOfRef(table, options.branch)
  const base = { referencedDataFiles: [...deletes.keys()], baseSnapshotId: snapshot?.['snapshot-id'] ?? null }
  if (deletes.size === 0) return { addDeletes: [], removeDeletes: [], ...base }
  const manifests = snapshot === undefined ? [] : await files.manifestList(snapshot['manifest-list'])
  const isWanted = table['format-version'] >= 3 ? () => true : ({ content }: { content: string }) => content === 'data'
  const entries = await Promise.all(manifests.filter(isWanted).map((manifest) => files.manifest(manifest, table)))
  const live = entries.flat().filter(({ status }) => status !== 'deleted')
  const data = new Map(live.flatMap(({ file }) => (deletes.has(file.path) ? [[file.path, file] as const] : [])))
  const positional = live.filter(({ file }) => file.content === 'position-deletes')
  const targets = Array.from(deletes, ([path, given]): DeleteTarget => {
    const positions = [...given]
    const file = data.get(path)
    if (file === undefined) throw staleChange(`${path}, of which rows are to be deleted, is not in the table`)
    return { file, positions, known: positional.filter((one) => mayDelete(table, one, file)).map((one) => one.file) }
  })
  return { ...(await deleteRows(files, table, targets, options)), ...base }
}

/** Write deletes of rows from data files, which need not be committed yet.
 *  @throws invalid for a position that a file has not */
export async function deleteRows(
  files: LakeFiles,
  table: TableMetadata,
  targets: readonly DeleteTarget[],
  options: DeleteOptions,
): Promise<{ readonly addDeletes: readonly DataFile[]; readonly removeDeletes: readonly DataFile[] }> {
  for (const { file, positions } of targets) {
    for (const position of positions) {
      if (Number.isInteger(position) && position >= 0 && position < file.recordCount) continue
      throw new Failure('invalid', `position ${position} of ${file.path}, which has ${file.recordCount} rows`)
    }
  }
  if (table['format-version'] >= 3) return writeVectors(files, table, targets, options)
  const types = columnTypes(table)
  const groups = groupBy(targets, ({ file }) => {
    return `${file.specId}:${partitionKey(tupleTypes(specOf(table, file.specId), types), file.partition)}`
  })
  const addDeletes: DataFile[] = []
  for (const group of groups.values()) {
    const byPath = new Map(group.map(({ file, positions }) => [file.path, positions]))
    const [{ file }] = group as [DeleteTarget]
    addDeletes.push(await writePositions(files, table, { byPath, like: file, compressor: options.compressor }))
  }
  return { addDeletes, removeDeletes: [] }
}

/** Position deletes of data files of one partition. */
export interface PositionFile {
  readonly byPath: ReadonlyMap<string, Iterable<number>>
  /** A file of that partition. */
  readonly like: DataFile
  readonly compressor: Compressor
}

/** Write a position delete file. */
export async function writePositions(
  files: LakeFiles,
  table: TableMetadata,
  { byPath, like, compressor }: PositionFile,
): Promise<DataFile> {
  const parts: Uint8Array[] = []
  const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
  const writer = createParquetWriter({ schema: positionDeleteSchema, sink, compressor })
  const rows = positionDeleteRows(byPath)
  const paths = [...byPath.keys()]
  await writer.writeColumns(rows.length, {
    file_path: { values: rows.map((row) => row.file_path) },
    pos: { numbers: Float64Array.from(rows, (row) => row.pos) },
  })
  const summary = await writer.finish()
  const path = `${dataFolder(table)}/deletes-${nameOf(files)}.parquet`
  await files.writeParts(path, parts)
  return positionDeleteFile(summary, { path, spec: specOf(table, like.specId), partition: like.partition }, paths)
}

/** Make the digits that end the name of a new file. */
export function nameOf(files: LakeFiles): string {
  return files.newId().toString(16).padStart(12, '0')
}

async function writeVectors(
  files: LakeFiles,
  table: TableMetadata,
  targets: readonly DeleteTarget[],
  { codecs }: DeleteOptions,
): Promise<{ readonly addDeletes: readonly DataFile[]; readonly removeDeletes: readonly DataFile[] }> {
  const removeDeletes: DataFile[] = []
  const vectors = []
  for (const { file, positions, known = [] } of targets) {
    const all = new Set(positions)
    const before = known.find(isVector)
    for (const position of await deletedPositions(files, file, { deletes: known, codecs })) all.add(position)
    if (all.size === (before?.recordCount ?? 0)) continue
    vectors.push({ file, positions: Float64Array.from(all).sort() })
    if (before !== undefined) removeDeletes.push(before)
    // Files of positions in several data files stay: they say nothing wrong of any.
    removeDeletes.push(...known.filter((one) => !isVector(one) && one.referencedDataFile === file.path))
  }
  if (vectors.length === 0) return { addDeletes: [], removeDeletes: [] }
  const path = `${dataFolder(table)}/deletes-${nameOf(files)}.puffin`
  const { bytes, files: addDeletes } = deletionVectorFile(vectors, path)
  await files.write(path, bytes)
  return { addDeletes, removeDeletes }
}

/** Find the delete files that are of some data files alone, so that they go with them.
 *  @param tasks every data file of the snapshot, with its deletes
 *  @param going those that go */
export function coveredDeletes(tasks: readonly ScanTask[], going: readonly ScanTask[]): DataFile[] {
  const gone = new Set(going)
  const needed = new Set(tasks.flatMap((task) => (gone.has(task) ? [] : task.deletes.map(fileKey))))
  const covered = new Map(going.flatMap(({ deletes }) => deletes.map((file) => [fileKey(file), file] as const)))
  return [...covered].flatMap(([key, file]) => (needed.has(key) ? [] : [file]))
}

/** The deletes of a data file, and how to read them. */
export interface AppliedDeletes {
  /** Equality deletes among them are left to others. */
  readonly deletes: readonly DataFile[]
  readonly codecs: ParquetCodecs
  /** Position delete files that were read, so that each is read once. */
  readonly cache?: Map<string, Promise<ReadonlyMap<string, readonly number[]>>>
}

/** Find the rows that are deleted from a data file by position.
 *  @returns their positions, ascending, each once
 *  @cost one read a delete file */
export async function deletedPositions(
  files: LakeFiles,
  file: Pick<DataFile, 'path'>,
  { deletes, codecs, cache = new Map() }: AppliedDeletes,
): Promise<ArrayLike<number> & Iterable<number>> {
  const vector = deletes.find(isVector)
  if (vector !== undefined) return readDeletionVector(files, vector)
  const all = new Set<number>()
  for (const one of deletes) {
    if (one.content !== 'position-deletes') continue
    const reading = cache.get(one.path) ?? readPositions(files, one, codecs)
    cache.set(one.path, reading)
    for (const position of (await reading).get(file.path) ?? []) all.add(position)
  }
  return Float64Array.from(all).sort()
}

/** Read a position delete file.
 *  @returns positions by the path of the data file, in the order of the file
 *  @throws invalid for a damaged file, unsupported for another format or codec */
export async function readPositions(
  files: LakeFiles,
  { path, format }: DataFile,
  codecs: ParquetCodecs,
): Promise<Map<string, number[]>> {
  if (format !== 'PARQUET') throw new Failure('unsupported', `${path}: position deletes in ${format}; Parquet is read`)
  const { store, key } = files.placeOf(path)
  const reader = await openParquet(objectSource(store, key, path), { codecs })
  const found = new Map<string, number[]>()
  for await (const { columns, rows } of readColumns(reader, { fields: positionDeleteSchema.fields })) {
    const [paths, positions] = columns as [readonly string[], readonly number[]]
    for (let at = 0; at < rows; at++) {
      const name = paths[at] as string
      const known = found.get(name)
      if (known === undefined) found.set(name, [positions[at] as number])
      else known.push(positions[at] as number)
    }
  }
  return found
}
