/** Gathers deletes of files that stay: many small position delete files become one a partition, in v3 vectors. */

import { partitionsOf } from './compact-plan.ts'
import { type DataFile, fileKey, isVector } from './data-file.ts'
import {
  type AppliedDeletes,
  coveredDeletes,
  type DeleteOptions,
  deletedPositions,
  deleteRows,
  writePositions,
} from './deletes.ts'
import type { LakeFiles } from './files.ts'
import type { TableMetadata } from './metadata.ts'
import type { ScanTask } from './scan.ts'

/** What to gather. */
export interface MergeOptions extends Omit<DeleteOptions, 'branch'> {
  /** Files of one partition from which on they are gathered. */
  readonly minFiles: number
}

/** Delete files that take the place of others. */
export interface MergedDeletes {
  readonly addDeletes: readonly DataFile[]
  readonly removeDeletes: readonly DataFile[]
}

/** Write the position deletes of files anew where there are many.
 *  @param tasks every data file that stays */
export async function mergeDeletes(
  files: LakeFiles,
  table: TableMetadata,
  tasks: readonly ScanTask[],
  options: MergeOptions,
): Promise<MergedDeletes> {
  if (table['format-version'] >= 3) return toVectors(files, table, tasks, options)
  const cache: AppliedDeletes['cache'] = new Map()
  const addDeletes: DataFile[] = []
  const removeDeletes: DataFile[] = []
  for (const group of partitionsOf(table, tasks)) {
    const many = new Map(group.flatMap(({ deletes }) => deletes.filter(isPositions)).map((one) => [fileKey(one), one]))
    if (many.size < options.minFiles) continue
    const byPath = new Map<string, Iterable<number>>()
    for (const { file, deletes } of group) {
      const positions = await deletedPositions(files, file, { codecs: options.codecs, cache, deletes })
      if (positions.length > 0) byPath.set(file.path, positions)
    }
    const [{ file: like }] = group as [ScanTask]
    removeDeletes.push(...many.values())
    if (byPath.size > 0) addDeletes.push(await writePositions(files, table, { ...options, byPath, like }))
  }
  return { addDeletes, removeDeletes }
}

const isPositions = (file: DataFile) => file.content === 'position-deletes' && !isVector(file)

/** What a table of v3 has from before: vectors take over. */
async function toVectors(
  files: LakeFiles,
  table: TableMetadata,
  tasks: readonly ScanTask[],
  options: MergeOptions,
): Promise<MergedDeletes> {
  const old = tasks.filter(({ deletes }) => deletes.some(isPositions))
  const targets = old.map(({ file, deletes }) => ({ file, positions: [], known: deletes }))
  const { addDeletes, removeDeletes } = await deleteRows(files, table, targets, options)
  const named = new Set(removeDeletes.map(fileKey))
  const more = coveredDeletes(tasks, old).filter((file) => isPositions(file) && !named.has(fileKey(file)))
  return { addDeletes, removeDeletes: [...removeDeletes, ...more] }
}
