/** Moves old data files to another store, where keeping costs less.
 *
 *  1. A file is copied first and named by the table then: a crash in between leaves copies that `removeOrphans` finds.
 *     A copy gets a folder of its own, so that no run ever uses what another left.
 *  2. The file's name, its rows, their age and their ids stay. Who knows the file by the end of its name still does.
 *  3. Deletes by position name the file by its path, so they are written anew in the same commit.
 *  4. The old object goes when the last snapshot that names it expires. */
import { Failure } from '../../errors.ts'
import { ICEBERG_COPIES_MAX, ICEBERG_REWRITE_ATTEMPTS_MAX } from '../../limits.ts'
import type { TableName } from './catalog.ts'
import { type Committed, type Committer, commitChange } from './commit.ts'
import type { DataFile } from './data-file.ts'
import {
  coveredDeletes,
  type DeleteOptions,
  type DeleteTarget,
  deletedPositions,
  deleteRows,
  nameOf,
} from './deletes.ts'
import type { LakeFiles, Mount } from './files.ts'
import type { TableMetadata } from './metadata.ts'
import { isStaleChange } from './requirement.ts'
import { planScan, type ScanTask } from './scan.ts'
import { inParallel } from './work.ts'

/** What to move, and where to. */
export interface ArchiveOptions extends Omit<DeleteOptions, 'branch'> {
  /** Objects written longer ago than this are moved. */
  readonly olderThanMs: number
  /** The root of a mount. */
  readonly to: string
  /** Files of one call, so that a commit stays small; 1,000 when left out. */
  readonly filesMax?: number
  /** Told after each file. */
  readonly onProgress?: (progress: { readonly files: number; readonly of: number; readonly bytes: number }) => void
}

/** What was moved. */
export interface Archived {
  readonly files: number
  readonly bytes: number
  /** Undefined when nothing was old enough. */
  readonly committed: Committed | undefined
}

/** Move the data files of main that are old to another store.
 *  @throws invalid when no store is mounted at `to`; conflict when the table kept changing; what commits throw
 *  @cost a look at each file that is not there yet; for each that is old, a copy; one commit */
export async function archiveFiles(committer: Committer, name: TableName, options: ArchiveOptions): Promise<Archived> {
  const mount = committer.files.mountOf(options.to)
  const copies = new Map<string, string>()
  for (let attempt = 1; ; attempt++) {
    const { metadata } = await committer.catalog.loadTable(name)
    const { tasks, chosen } = await choose(committer, metadata, { ...options, mount })
    if (chosen.length === 0) return { files: 0, bytes: 0, committed: undefined }
    await copyAll(committer.files, chosen, { ...options, mount, copies })
    const move: Move = { tasks, chosen, copies, options }
    try {
      const committed = await commitChange(committer, name, await changeOf(committer.files, metadata, move))
      return { files: chosen.length, bytes: bytesOf(chosen), committed }
    } catch (error) {
      if (!isStaleChange(error) || attempt >= ICEBERG_REWRITE_ATTEMPTS_MAX) throw error
    }
  }
}

const bytesOf = (tasks: readonly ScanTask[]) => tasks.reduce((sum, { file }) => sum + file.sizeBytes, 0)

interface Choice {
  readonly tasks: readonly ScanTask[]
  readonly chosen: readonly ScanTask[]
}

type Wanted = ArchiveOptions & { readonly mount: Mount }

async function choose(
  { files, clock }: Committer,
  table: TableMetadata,
  { mount, olderThanMs, filesMax = 1_000 }: Wanted,
): Promise<Choice> {
  const { tasks } = await planScan(files, table)
  const beforeMs = clock.nowMs() - olderThanMs
  const young = table.snapshots.filter((snapshot) => snapshot['timestamp-ms'] > beforeMs)
  const youngFrom = Math.min(...young.map((snapshot) => snapshot['sequence-number']))
  const elsewhere = tasks.filter(({ file, sequenceNumber }) => {
    return files.placeOf(file.path).mount !== mount && sequenceNumber < youngFrom
  })
  const chosen: ScanTask[] = []
  const byAge = elsewhere.toSorted((a, b) => a.sequenceNumber - b.sequenceNumber)
  await inParallel(byAge, ICEBERG_COPIES_MAX, async (task) => {
    if (chosen.length >= filesMax) return
    const head = await files.head(task.file.path)
    if (head === undefined) throw new Failure('not_found', `the file ${task.file.path} is gone`)
    if (head.modifiedMs < beforeMs && chosen.length < filesMax) chosen.push(task)
  })
  return { tasks, chosen }
}

interface Copying {
  readonly mount: Mount
  /** New paths by old ones: what an attempt before has copied. */
  readonly copies: Map<string, string>
  readonly onProgress?: ArchiveOptions['onProgress']
}

async function copyAll(files: LakeFiles, chosen: readonly ScanTask[], copying: Copying): Promise<void> {
  const { mount, copies, onProgress } = copying
  let [done, bytes] = [0, 0]
  await inParallel(chosen, ICEBERG_COPIES_MAX, async ({ file: { path, sizeBytes } }) => {
    if (!copies.has(path)) {
      const { key } = files.placeOf(path)
      const slash = key.lastIndexOf('/') + 1
      const to = `${mount.root}/${key.slice(0, slash)}${nameOf(files)}/${key.slice(slash)}`
      await files.copy(path, to, sizeBytes)
      copies.set(path, to)
    }
    bytes += sizeBytes
    onProgress?.({ files: ++done, of: chosen.length, bytes })
  })
}

interface Move extends Choice {
  readonly copies: ReadonlyMap<string, string>
  readonly options: ArchiveOptions
}

async function changeOf(files: LakeFiles, table: TableMetadata, { tasks, chosen, copies, options }: Move) {
  const addData: DataFile[] = []
  const sequenceNumbers = new Map<string, number>()
  const targets: DeleteTarget[] = []
  const cache = new Map()
  for (const { file, sequenceNumber, deletes } of chosen) {
    const moved = { ...file, path: copies.get(file.path) as string }
    addData.push(moved)
    sequenceNumbers.set(moved.path, sequenceNumber)
    const positions = await deletedPositions(files, file, { deletes, codecs: options.codecs, cache })
    if (positions.length > 0) targets.push({ file: moved, positions: [...positions] })
  }
  const { addDeletes } = await deleteRows(files, table, targets, options)
  const removeData = chosen.map(({ file }) => file)
  const removeDeletes = coveredDeletes(tasks, chosen).filter(({ content }) => content === 'position-deletes')
  const baseSnapshotId = table.refs.main?.['snapshot-id'] ?? null
  return { addData, removeData, addDeletes, removeDeletes, sequenceNumbers, baseSnapshotId, isRewrite: true }
}
