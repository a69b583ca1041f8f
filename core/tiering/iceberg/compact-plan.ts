/** Which files of a table to write anew together: small ones, and those that many rows were deleted from.
 *
 *  1. Files of a bin have one partition and one store, so that nothing else about their rows changes.
 *  2. Files stay in the order of their age, so that rows of one time stay together. */
import { type DataFile, fileKey, isVector } from './data-file.ts'
import type { LakeFiles, Mount } from './files.ts'
import { columnTypes, specOf, type TableMetadata } from './metadata.ts'
import { partitionKey, tupleTypes } from './partition.ts'
import type { ScanTask } from './scan.ts'
import { groupBy } from './work.ts'

/** What is worth writing anew. */
export interface BinOptions {
  readonly targetBytes: number
  /** Small files that are written as one at the least, while they do not fill it. */
  readonly minFiles: number
  /** Share of a file's rows that are deleted from which on it is written anew. */
  readonly deletedShare: number
  /** Bytes of files at the most, of all bins together. */
  readonly bytesMax: number
}

/** Files that become one. */
export interface Bin {
  /** Where the file goes that they become. */
  readonly mount: Mount
  readonly tasks: readonly ScanTask[]
}

/** A plan; there may be more to do than one plan has. */
export interface BinPlan {
  readonly bins: readonly Bin[]
  readonly isMore: boolean
}

/** A file of fewer bytes than this share of the target counts as small. */
const smallShare = 0.75

/** Pack files into bins.
 *  @param tasks every data file of the table, with its deletes
 *  @param wanted those that may be written anew */
export function planBins(
  files: LakeFiles,
  table: TableMetadata,
  { tasks, wanted, options }: { tasks: readonly ScanTask[]; wanted: readonly ScanTask[]; options: BinOptions },
): BinPlan {
  const { targetBytes, deletedShare, bytesMax } = options
  const shares = deletedShares(tasks)
  const groups = partitionsOf(table, wanted, ({ path }) => files.placeOf(path).mount.root)
  const found: Bin[] = []
  for (const group of groups) {
    const [{ file: like }] = group as [ScanTask]
    const { mount } = files.placeOf(like.path)
    const aged = group.toSorted((a, b) => a.sequenceNumber - b.sequenceNumber || (a.file.path < b.file.path ? -1 : 1))
    const urgent = new Set(aged.filter((task) => (shares.get(task) ?? 0) >= deletedShare || hasValues(task)))
    const left = (task: ScanTask) => task.file.sizeBytes * (1 - (shares.get(task) ?? 0))
    const small = aged.filter((task) => urgent.has(task) || left(task) < targetBytes * smallShare)
    for (const packed of pack(small, left, targetBytes)) {
      const bytes = packed.reduce((sum, task) => sum + left(task), 0)
      const isFull = packed.length > 1 && bytes >= targetBytes * smallShare
      if (isFull || packed.length >= options.minFiles || packed.some((task) => urgent.has(task))) {
        found.push({ mount, tasks: packed })
      }
    }
  }
  const bins: Bin[] = []
  let bytes = 0
  for (const bin of found) {
    bytes += bin.tasks.reduce((sum, { file }) => sum + file.sizeBytes, 0)
    if (bins.length > 0 && bytes > bytesMax) break
    bins.push(bin)
  }
  return { bins, isMore: bins.length < found.length }
}

const hasValues = ({ deletes }: ScanTask) => deletes.some(({ content }) => content === 'equality-deletes')

/** Gather tasks of one partition, and of one more thing.  */
export function partitionsOf(
  table: TableMetadata,
  tasks: readonly ScanTask[],
  more: (file: DataFile) => string = () => '',
): ScanTask[][] {
  const typeOf = columnTypes(table)
  const types = new Map(table['partition-specs'].map((spec) => [spec['spec-id'], tupleTypes(spec, typeOf)]))
  const keyOf = ({ file }: ScanTask) => {
    const known = types.get(file.specId) ?? tupleTypes(specOf(table, file.specId), typeOf)
    return `${file.specId} ${partitionKey(known, file.partition)} ${more(file)}`
  }
  return [...groupBy(tasks, keyOf).values()]
}

/** Estimate which share of each file's rows is deleted: a delete file of several data files counts for all alike. */
function deletedShares(tasks: readonly ScanTask[]): Map<ScanTask, number> {
  const users = new Map<string, number>()
  for (const { deletes } of tasks) {
    for (const file of deletes) users.set(fileKey(file), (users.get(fileKey(file)) ?? 0) + 1)
  }
  const deletedOf = (file: DataFile) => {
    const isOwn = isVector(file) || file.referencedDataFile !== undefined
    return file.content === 'position-deletes' ? file.recordCount / (isOwn ? 1 : (users.get(fileKey(file)) ?? 1)) : 0
  }
  return new Map(
    tasks.map((task) => {
      const deleted = task.deletes.reduce((sum, file) => sum + deletedOf(file), 0)
      return [task, Math.min(1, deleted / Math.max(1, task.file.recordCount))]
    }),
  )
}

function pack(tasks: readonly ScanTask[], bytesOf: (task: ScanTask) => number, targetBytes: number): ScanTask[][] {
  const bins: ScanTask[][] = []
  let bin: ScanTask[] = []
  let bytes = 0
  for (const task of tasks) {
    if (bin.length > 0 && bytes + bytesOf(task) > targetBytes) {
      bins.push(bin)
      bin = []
      bytes = 0
    }
    bin.push(task)
    bytes += bytesOf(task)
  }
  if (bin.length > 0) bins.push(bin)
  return bins
}
