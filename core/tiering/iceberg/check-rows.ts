/** Checks what format v3 asks of tables: row ids that nobody shares, and one deletion vector a data file.
 *  @source https://iceberg.apache.org/spec/ (v3), "Row Lineage", "Deletion Vectors" */
import { type DataFile, isVector } from './data-file.ts'
import type { Snapshot, TableMetadata } from './metadata.ts'

/** Check the row ids that snapshots have given. */
export function checkRowIds(table: TableMetadata): string[] {
  const next = table['next-row-id']
  if (table['format-version'] < 3) return next === undefined ? [] : ['a table before v3 has next-row-id']
  const given = table.snapshots.filter((snapshot) => snapshot['first-row-id'] !== undefined)
  const end = given.map((one) => Number(one['first-row-id']) + Number(one['added-rows'] ?? Number.NaN))
  if (end.some(Number.isNaN)) return ['a snapshot has first-row-id and no added-rows']
  const starts = given.map((one) => Number(one['first-row-id']))
  const problems =
    Math.max(0, ...end) > (next ?? -1) ? [`next-row-id is ${next}, row ids go up to ${Math.max(...end)}`] : []
  const overlap = starts.some((start, at) => at > 0 && start < (end[at - 1] as number))
  return overlap ? [...problems, 'two snapshots gave the same row ids'] : problems
}

/** Check the live files of a snapshot. */
export function checkRows(table: TableMetadata, snapshot: Snapshot, live: readonly DataFile[]): string[] {
  const problems: string[] = []
  const data = live.filter(({ content }) => content === 'data')
  const vectors = live.filter(isVector)
  if (table['format-version'] < 3 && vectors.length > 0) problems.push('a deletion vector is in a table before v3')
  const named = new Set(vectors.map(({ referencedDataFile }) => referencedDataFile))
  if (named.size < vectors.length) problems.push('a data file has two deletion vectors')
  const byPath = new Map(data.map((file) => [file.path, file]))
  for (const { referencedDataFile = '', recordCount } of vectors) {
    const rows = byPath.get(referencedDataFile)?.recordCount
    if (rows === undefined) problems.push(`a deletion vector is of ${referencedDataFile}, which is not there`)
    else if (recordCount > rows)
      problems.push(`${recordCount} rows of ${referencedDataFile} are deleted; it has ${rows}`)
  }
  if (snapshot['first-row-id'] === undefined) return problems
  const ids = data.toSorted((a, b) => (a.firstRowId ?? -1) - (b.firstRowId ?? -1))
  let end = 0
  for (const { path, firstRowId, recordCount } of ids) {
    if (firstRowId === undefined) problems.push(`${path} has no first row id`)
    else if (firstRowId < end) problems.push(`${path} has row ids of another file`)
    else end = firstRowId + recordCount
  }
  if (end > Number(table['next-row-id'])) problems.push(`row ids go up to ${end}, past next-row-id`)
  return problems
}
