/** Reads Parquet files: the columns and rows that are asked for, and little else.
 *
 *  1. Columns are found by field id, values come in the forms of iceberg/values.ts, nested ones as arrays, objects and
 *     Maps; so they can be written again as they are.
 *  2. Row groups and pages that cannot meet the predicate are not read; the rows that come may still fail it. A
 *     `filter` is exact: its columns are read first, the others only where rows are left.
 *  3. One row group is in memory at a time, or a part of one when it is large. */
import { assert } from '../../errors.ts'
import { PARQUET_BATCH_BYTES } from '../../limits.ts'
import { always, type BoundPredicate } from '../iceberg/expression.ts'
import type { Field } from '../iceberg/types.ts'
import { assemble, type Cell } from './read-assemble.ts'
import type { FileReader } from './read-file.ts'
import type { FileGroup } from './read-footer.ts'
import { prune, type Wanted } from './read-prune.ts'
import { countRows, intersect, type Ranges, rangesOf, rowsOf, split, take } from './read-ranges.ts'
import { FieldFinder, type NameMapping, type ReadField } from './read-schema.ts'

/** Tells which rows to keep. */
export interface RowFilter {
  /** What it looks at. */
  readonly fields: readonly Field[]
  /** Make the test of one batch.
   *  @param columns by the order of `fields`
   *  @returns whether to keep the row at a place of the columns, and of a position of the file */
  test(columns: readonly (readonly Cell[])[]): (at: number, position: number) => boolean
}

/** What to read. */
export interface ColumnsOptions {
  /** The columns, as the table has them today. */
  readonly fields: readonly Field[]
  /** Leaves out what cannot meet it. Of fields that are neither among `fields` nor the filter's nothing is known. */
  readonly where?: BoundPredicate | undefined
  readonly filter?: RowFilter | undefined
  /** Rows of the file, ascending; all when left out. */
  readonly positions?: readonly number[] | undefined
  /** Rows at the most. */
  readonly limit?: number | undefined
  /** For files without field ids; the fields' own names when left out. */
  readonly nameMapping?: NameMapping | undefined
  /** Whether a column is known to have no NaN. */
  readonly hasNoNan?: ((id: number) => boolean) | undefined
  /** Bytes of values of a batch, about. */
  readonly batchBytes?: number | undefined
}

/** Some rows of a file. */
export interface ColumnBatch {
  readonly rows: number
  /** The position in the file of the first row. */
  readonly firstRow: number
  /** Of every row; undefined when they follow each other. */
  readonly positions: readonly number[] | undefined
  /** In the order of `fields`. */
  readonly columns: readonly (readonly Cell[])[]
}

/** Read columns, in the order of the rows.
 *  @throws invalid for a damaged file, or a column stored as another type; unsupported for a codec or encoding */
export async function* readColumns(file: FileReader, options: ColumnsOptions): AsyncGenerator<ColumnBatch> {
  const { where = always, filter, positions, hasNoNan, limit = Number.POSITIVE_INFINITY } = options
  const all = [...options.fields, ...(filter?.fields ?? [])]
  const unique = [...new Map(all.map((field) => [field.id, field])).values()]
  const finder = new FieldFinder(file.footer, { type: 'struct', fields: unique }, options.nameMapping)
  const find = (fields: readonly Field[]) => file.decode(() => fields.map((field) => finder.find(field)))
  const reader: GroupReader = { file, fields: find(options.fields), filter, tested: find(filter?.fields ?? []) }
  const pruned = await prune(file, finder, { where, hasNoNan })
  const wanted = positions === undefined ? pruned : atPositions(pruned, positions)
  file.counts.groups += file.footer.groups.length
  file.counts.groupsPruned += file.footer.groups.length - wanted.length
  let left = limit
  for (const { group, ranges } of wanted) {
    const asked = filter === undefined ? take(ranges, left) : ranges
    for (const piece of split(asked, rowsAtOnce(reader, group, options.batchBytes))) {
      if (left <= 0) return
      const batch = cutBatch(await readPiece(reader, group, piece), left)
      left -= batch.rows
      if (batch.rows > 0) yield batch
    }
  }
}

interface GroupReader {
  readonly file: FileReader
  readonly fields: readonly ReadField[]
  readonly filter: RowFilter | undefined
  /** The filter's fields. */
  readonly tested: readonly ReadField[]
}

/** Narrow down to rows of the file. */
function atPositions(wanted: readonly Wanted[], positions: readonly number[]): Wanted[] {
  let at = 0
  const narrowed = wanted.map(({ group, ranges }) => {
    const end = group.firstRow + group.rows
    while (at < positions.length && (positions[at] as number) < group.firstRow) at++
    const from = at
    while (at < positions.length && (positions[at] as number) < end) at++
    const rows = rangesOf(positions.slice(from, at).map((position) => position - group.firstRow))
    return { group, ranges: intersect(ranges, rows) }
  })
  return narrowed.filter(({ ranges }) => ranges.length > 0)
}

/** Rows whose values have about as many bytes as a batch may. */
function rowsAtOnce({ fields, tested }: GroupReader, group: FileGroup, batchBytes = PARQUET_BATCH_BYTES): number {
  const leaves = new Set([...fields, ...tested].flatMap((field) => field.leaves.map(({ leaf }) => leaf.index)))
  let bytes = 0
  for (const index of leaves) bytes += group.chunks[index]?.uncompressedBytes ?? 0
  return bytes <= batchBytes ? group.rows : Math.max(1, Math.floor((group.rows * batchBytes) / bytes))
}

async function readPiece(reader: GroupReader, group: FileGroup, ranges: Ranges): Promise<ColumnBatch> {
  const { file, fields, filter, tested } = reader
  if (filter === undefined) return batchOf(group, ranges, await readFields(file, { group, fields, ranges }))
  const testedColumns = await readFields(file, { group, fields: tested, ranges })
  const keep = filter.test(testedColumns)
  const rows: number[] = []
  const places: number[] = []
  let at = 0
  for (const row of rowsOf(ranges)) {
    if (keep(at, group.firstRow + row)) {
      rows.push(row)
      places.push(at)
    }
    at++
  }
  const kept = rangesOf(rows)
  if (rows.length === 0) return { rows: 0, firstRow: group.firstRow, positions: [], columns: fields.map(() => []) }
  const known = new Map(tested.map(({ field }, index) => [field.id, testedColumns[index] as readonly Cell[]]))
  const others = fields.filter(({ field }) => !known.has(field.id))
  const read = await readFields(file, { group, fields: others, ranges: kept })
  const byId = new Map(others.map(({ field }, index) => [field.id, read[index] as readonly Cell[]]))
  const isAll = rows.length === at
  const columns = fields.map(({ field: { id } }) => {
    const column = known.get(id)
    if (column === undefined) return byId.get(id) as readonly Cell[]
    return isAll ? column : places.map((place) => column[place] as Cell)
  })
  return batchOf(group, kept, columns)
}

async function readFields(
  file: FileReader,
  { group, fields, ranges }: { group: FileGroup; fields: readonly ReadField[]; ranges: Ranges },
): Promise<Cell[][]> {
  const leaves = fields.flatMap((field) => field.leaves)
  const pages = leaves.length === 0 ? [] : await file.readLeaves(group, leaves, ranges)
  let at = 0
  return fields.map((field) => {
    const own = pages.slice(at, at + field.leaves.length)
    at += field.leaves.length
    return file.decode(() => assemble(field.node, own, ranges))
  })
}

function batchOf({ firstRow }: FileGroup, ranges: Ranges, columns: readonly (readonly Cell[])[]): ColumnBatch {
  const [first] = ranges
  assert(first !== undefined, 'a batch of no rows')
  const positions = ranges.length === 1 ? undefined : Array.from(rowsOf(ranges), (row) => row + firstRow)
  return { rows: countRows(ranges), firstRow: first[0] + firstRow, positions, columns }
}

/** Take the first rows of a batch. */
export function cutBatch(batch: ColumnBatch, rows: number): ColumnBatch {
  if (batch.rows <= rows) return batch
  const columns = batch.columns.map((column) => column.slice(0, rows))
  return { rows, firstRow: batch.firstRow, positions: batch.positions?.slice(0, rows), columns }
}

/** The position in the file of a batch's row. */
export function positionOf({ positions, firstRow }: ColumnBatch, at: number): number {
  return positions === undefined ? firstRow + at : (positions[at] as number)
}
