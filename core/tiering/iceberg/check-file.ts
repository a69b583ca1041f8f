/** Checks a Parquet file against its line in a manifest: ids, counts, sizes, and bounds against the real values. */
import { type FileMetaData, parquetMetadataAsync } from 'hyparquet'
import { Failure } from '../../errors.ts'
import { type DataFile, isVector, positionDeleteSchema } from './data-file.ts'
import { checkVectorBlob, readDeletionVector } from './deletion-vector.ts'
import type { LakeFiles } from './files.ts'
import { readPuffin } from './puffin.ts'
import { indexFields } from './schema.ts'
import { isPrimitive, type StructType } from './types.ts'
import { compareValues, fromBinary, normalizeValue, type Value } from './values.ts'

/** Reads all rows of a Parquet file: values as values.ts has them, by the names that the file has. */
export type ReadRows = (bytes: Uint8Array) => Promise<readonly Record<string, unknown>[]>

/** Ids of `_row_id` and `_last_updated_sequence_number`, which files of v3 may have. */
const lineageIds = new Set([2_147_483_540, 2_147_483_539])

/** What a file is checked against. */
export interface FileCheck {
  readonly file: DataFile
  /** Every column that the table ever had. */
  readonly schema: StructType
  /** Left out, values are not looked at. */
  readonly readRows?: ReadRows | undefined
}

/** Check one file.
 *  @returns what is wrong */
export async function checkFile(files: LakeFiles, { file, schema, readRows }: FileCheck): Promise<string[]> {
  const head = await files.head(file.path)
  if (head === undefined) return ['is not there']
  const problems = checkCounts(file)
  if (head.sizeBytes !== file.sizeBytes)
    problems.push(`has ${head.sizeBytes} bytes, its manifest says ${file.sizeBytes}`)
  if (isVector(file)) return [...problems, ...(await checkVector(files, file))]
  if (file.format !== 'PARQUET') return problems
  const bytes = await files.read(file.path)
  const footer = await parquetMetadataAsync({
    byteLength: bytes.length,
    slice: (from, to) => bytes.slice(from, to).buffer as ArrayBuffer,
  })
  const isDelete = file.content === 'position-deletes'
  const columns = isDelete ? positionDeleteSchema : schema
  problems.push(...checkFooter(file, footer, columns))
  if (readRows === undefined) return problems
  const rows = await readRows(bytes)
  if (isDelete) problems.push(...checkDeletes(rows))
  return [...problems, ...checkValues(file, { rows, names: namesOf(footer), columns })]
}

async function checkVector(files: LakeFiles, file: DataFile): Promise<string[]> {
  if (file.referencedDataFile === undefined) return ['is the deletion vector of no data file']
  try {
    const blobs = readPuffin(await files.read(file.path))
    await readDeletionVector(files, file)
    return checkVectorBlob(file, blobs)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [error.message]
  }
}

function checkCounts(file: DataFile): string[] {
  const problems: string[] = []
  for (const [id, nulls] of file.nullCounts ?? []) {
    const values = file.valueCounts?.get(id) ?? 0
    if (nulls + (file.nanCounts?.get(id) ?? 0) > values) problems.push(`column ${id}: more nulls and NaNs than values`)
  }
  const offsets = file.splitOffsets ?? []
  if (offsets.some((offset, at) => at > 0 && offset <= (offsets[at - 1] as number))) problems.push('split offsets fall')
  if ((file.equalityIds === undefined) !== (file.content !== 'equality-deletes')) {
    problems.push('equality ids are for equality deletes, and only for them')
  }
  return problems
}

function checkFooter(file: DataFile, footer: FileMetaData, columns: StructType): string[] {
  const problems: string[] = []
  const known = indexFields(columns)
  if (Number(footer.num_rows) !== file.recordCount) {
    problems.push(`has ${footer.num_rows} rows, its manifest says ${file.recordCount}`)
  }
  // Groups named list and key_value are Parquet's own, in between an Iceberg list or map and its parts.
  const inBetween = /^(list|key_value)$/
  for (const { name, field_id: id, num_children: children = 0 } of footer.schema.slice(1)) {
    if (id === undefined && inBetween.test(name) && children > 0) continue
    if (id !== undefined && lineageIds.has(id)) continue
    if (id === undefined || !known.has(id)) problems.push(`column ${name} has the id ${id}, which is no column's`)
  }
  for (const id of [...(file.lowerBounds?.keys() ?? []), ...(file.upperBounds?.keys() ?? [])]) {
    if (!known.has(id)) problems.push(`a bound is of column ${id}, which never was`)
  }
  return problems
}

/** Top-level names by id. */
function namesOf(footer: FileMetaData): Map<number, string> {
  return new Map(footer.schema.flatMap(({ field_id: id, name }) => (id === undefined ? [] : [[id, name] as const])))
}

interface Values {
  readonly rows: readonly Record<string, unknown>[]
  readonly names: ReadonlyMap<number, string>
  readonly columns: StructType
}

function checkValues(file: DataFile, { rows, names, columns }: Values): string[] {
  const problems: string[] = []
  for (const { id, type } of columns.fields) {
    const name = names.get(id)
    if (name === undefined || !isPrimitive(type)) continue
    const values = rows.map((row) => row[name] ?? null)
    const real = values.flatMap((value) => (value === null ? [] : [normalizeValue(type, value)]))
    const numbers = real.filter((value) => !Number.isNaN(value))
    const counts: [string, number | undefined, number][] = [
      ['values', file.valueCounts?.get(id), values.length],
      ['nulls', file.nullCounts?.get(id), values.length - real.length],
      ['NaNs', file.nanCounts?.get(id), real.length - numbers.length],
    ]
    for (const [what, said, found] of counts) {
      if (said !== undefined && said !== found) problems.push(`column ${name} has ${found} ${what}, not ${said}`)
    }
    problems.push(...checkBounds(file, { id, type, name, numbers }))
  }
  return problems
}

interface Column {
  readonly id: number
  readonly type: string
  readonly name: string
  readonly numbers: readonly Value[]
}

function checkBounds(file: DataFile, { id, type, name, numbers }: Column): string[] {
  const bound = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : fromBinary(type, bytes))
  const [lower, upper] = [bound(file.lowerBounds?.get(id)), bound(file.upperBounds?.get(id))]
  const problems: string[] = []
  for (const value of numbers) {
    if (lower !== undefined && compareValues(value, lower) < 0)
      problems.push(`column ${name}: ${value} is below ${lower}`)
    if (upper !== undefined && compareValues(value, upper) > 0)
      problems.push(`column ${name}: ${value} is above ${upper}`)
  }
  return problems.slice(0, 1)
}

function checkDeletes(rows: readonly Record<string, unknown>[]): string[] {
  const isSorted = rows.every((row, at) => {
    const before = rows[at - 1]
    if (before === undefined) return true
    const order = compareValues(before.file_path as string, row.file_path as string)
    return order < 0 || (order === 0 && Number(before.pos) < Number(row.pos))
  })
  return isSorted ? [] : ['position deletes are not sorted by path and position']
}
