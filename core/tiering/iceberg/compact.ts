/** Compaction: many small files become few, and what was deleted is left out.
 *
 *  1. One commit puts the new files in the place of the old ones; no row changes, and none gets another age.
 *  2. Rows that others delete meanwhile are deleted from the new files in the same commit: nothing has to be written
 *     twice. Only when an old file itself has gone is everything made anew.
 *  3. Relocations tell where each row of an old file is now, so that those who know rows by place can follow them. */
import { Failure } from '../../errors.ts'
import {
  ICEBERG_COMPACT_BYTES,
  ICEBERG_COMPACT_CALL_BYTES,
  ICEBERG_COMPACT_DELETED_SHARE,
  ICEBERG_COMPACT_FILES_MIN,
  ICEBERG_REWRITE_ATTEMPTS_MAX,
  ICEBERG_SORT_BYTES_MAX,
} from '../../limits.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import type { Relocation } from '../tier/port.ts'
import { relocator } from '../tier/relocation.ts'
import type { Compressor } from '../zstd.ts'
import type { TableName } from './catalog.ts'
import { type Committed, type Committer, commitChange } from './commit.ts'
import { mergeDeletes } from './compact-deletes.ts'
import { type BinOptions, planBins } from './compact-plan.ts'
import { type Rewritten, rewriteBin, type Source } from './compact-rewrite.ts'
import { checkSortable } from './compact-sort.ts'
import { type DataFile, fileIdOf, fileKey } from './data-file.ts'
import { coveredDeletes, type DeleteTarget, deletedPositions, deleteRows } from './deletes.ts'
import type { Predicate } from './expression.ts'
import type { LakeFiles } from './files.ts'
import type { TableMetadata } from './metadata.ts'
import { DeleteReader } from './read-deletes.ts'
import { isStaleChange, staleChange } from './requirement.ts'
import { planScan, type ScanTask } from './scan.ts'
import type { Change } from './work.ts'

/** What to compact, and how. */
export interface CompactOptions {
  readonly compressor: Compressor
  /** Decompression of the files that there are, by codec. */
  readonly codecs: ParquetCodecs
  /** Bytes of a file that is large enough; 128 MB when left out, or 32 MB when sorted. */
  readonly targetBytes?: number
  /** Small files of a partition that are written as one at the least, and position delete files; 5 when left out. */
  readonly minFiles?: number
  /** Share of a file's rows that must be deleted for it to be written anew alone; 0.3 when left out. */
  readonly deletedShare?: number
  /** Bytes of old files that one call rewrites at the most; 2 GB when left out. */
  readonly bytesMax?: number
  /** Only files that may have rows of these. */
  readonly where?: Predicate
  /** Say where rows went. Default: unless they are sorted. */
  readonly relocations?: boolean
  /** Bring rows into the table's order, file by file: for tables whose rows nobody knows by place. Default false. */
  readonly sort?: boolean
  /** Columns to make bloom filters for; those that any of the old files has one for when left out. */
  readonly bloom?: readonly string[]
  readonly rowGroupRows?: number
  /** Told where rows go before that is committed, anew for every attempt: who knows rows by place hears it in time. */
  readonly beforeCommit?: (relocations: readonly Relocation[]) => Promise<void>
  /** Asked before every attempt of the commit, as a change's is. */
  readonly check?: Change['check']
  /** Told after each new file. */
  readonly onProgress?: (progress: CompactProgress) => void
}

/** How far a compaction is. */
export interface CompactProgress {
  /** New files. */
  readonly files: number
  readonly of: number
  /** Rows in them, and bytes. */
  readonly rows: number
  readonly bytes: number
}

/** What a compaction did. */
export interface Compacted {
  /** Undefined when there was nothing to do. */
  readonly committed: Committed | undefined
  readonly removedFiles: number
  readonly addedFiles: number
  readonly rows: number
  readonly bytes: number
  /** Of files whose names end in their id, as ours do. */
  readonly relocations: readonly Relocation[]
  /** Whether there is more to do than one call does. */
  readonly isMore: boolean
}

type Wanted = CompactOptions & BinOptions

/** Compact the main branch of a table.
 *  @throws invalid for options that exclude each other, limit when files to sort are too large; unsupported for files
 *  that are no Parquet; conflict when the table kept changing; what commits throw
 *  @cost the manifests; each chosen file is read and written once; one commit */
export async function compactTable(committer: Committer, name: TableName, options: CompactOptions): Promise<Compacted> {
  const wanted = checkOptions(options)
  for (let attempt = 1; ; attempt++) {
    const { metadata } = await committer.catalog.loadTable(name)
    const run = await rewriteAll(committer, metadata, wanted)
    try {
      await wanted.beforeCommit?.(relocationsOf(run, wanted))
      return report(run, await commitRun(committer, name, { table: metadata, run, options: wanted }), wanted)
    } catch (error) {
      // What may yet take effect must stay.
      if (!(error instanceof Failure) || error.code !== 'unavailable') await discard(committer.files, filesOf(run))
      if (!isStaleChange(error) || attempt >= ICEBERG_REWRITE_ATTEMPTS_MAX) throw error
    }
  }
}

function checkOptions(options: CompactOptions): Wanted {
  const { sort = false, relocations = !sort } = options
  if (sort && relocations) throw new Failure('invalid', 'rows that are sorted have no relocations: ask for one of them')
  const wanted = {
    ...options,
    relocations,
    targetBytes: options.targetBytes ?? (sort ? ICEBERG_SORT_BYTES_MAX : ICEBERG_COMPACT_BYTES),
    minFiles: options.minFiles ?? ICEBERG_COMPACT_FILES_MIN,
    deletedShare: options.deletedShare ?? ICEBERG_COMPACT_DELETED_SHARE,
    bytesMax: options.bytesMax ?? ICEBERG_COMPACT_CALL_BYTES,
  }
  for (const key of ['targetBytes', 'minFiles', 'deletedShare', 'bytesMax'] as const) {
    if (!(wanted[key] > 0)) throw new Failure('invalid', `${key} ${wanted[key]}: a number above 0 is right`)
  }
  if (sort) checkSortable(wanted.targetBytes)
  return wanted
}

/** New files, made from one state of the table. */
interface Run {
  readonly rewritten: readonly Rewritten[]
  readonly isMore: boolean
}

const filesOf = ({ rewritten }: Pick<Run, 'rewritten'>) => rewritten.flatMap(({ file }) => file ?? [])

async function rewriteAll(committer: Committer, table: TableMetadata, options: Wanted): Promise<Run> {
  const { files, clock } = committer
  const { tasks } = await planScan(files, table)
  const may = options.where === undefined ? tasks : (await planScan(files, table, { where: options.where })).tasks
  const paths = new Set(may.map(({ file }) => file.path))
  const wanted = tasks.filter(({ file }) => paths.has(file.path))
  const { bins, isMore } = planBins(files, table, { tasks, wanted, options })
  const rewritten: Rewritten[] = []
  const deletes = new DeleteReader(files, table, { codecs: options.codecs })
  const pause = () => new Promise<void>((resolve) => clock.defer(resolve))
  let [rows, bytes] = [0, 0]
  try {
    for (const bin of bins) {
      const one = await rewriteBin(files, table, bin, { ...options, deletes, pause })
      rewritten.push(one)
      rows += one.file?.recordCount ?? 0
      bytes += one.file?.sizeBytes ?? 0
      options.onProgress?.({ files: rewritten.length, of: bins.length, rows, bytes })
    }
  } catch (error) {
    await discard(files, filesOf({ rewritten }))
    throw error
  }
  return { rewritten, isMore }
}

/** Delete files that nothing names. A failure leaves orphans, no more. */
async function discard(files: LakeFiles, unused: readonly DataFile[]): Promise<void> {
  try {
    await files.delete(unused.map(({ path }) => path))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
  }
}

interface Committing {
  readonly table: TableMetadata
  readonly run: Run
  readonly options: Wanted
}

/** Commit new files, on whatever the table has become.
 *  @returns undefined when there is nothing to commit
 *  @throws conflict (`stale`) when an old file is not there any more */
async function commitRun(committer: Committer, name: TableName, start: Committing): Promise<Committed | undefined> {
  let { table } = start
  for (let attempt = 1; ; attempt++) {
    const change = await changeOf(committer.files, { ...start, table })
    if (change === undefined) return undefined
    try {
      return await commitChange(committer, name, change)
    } catch (error) {
      if (!isStaleChange(error)) throw error
      await discard(committer.files, change.addDeletes)
      if (attempt >= ICEBERG_REWRITE_ATTEMPTS_MAX) throw error
      table = (await committer.catalog.loadTable(name)).metadata
    }
  }
}

async function changeOf(files: LakeFiles, { table, run, options }: Committing) {
  const { tasks } = await planScan(files, table)
  const byPath = new Map(tasks.map((task) => [task.file.path, task]))
  const going: ScanTask[] = []
  const targets: DeleteTarget[] = []
  for (const { file, sources } of run.rewritten) {
    const positions: number[] = []
    for (const source of sources) {
      const { path } = source.task.file
      const task = byPath.get(path)
      if (task === undefined) throw staleChange(`${path} went while it was written anew`)
      going.push(task)
      for (const position of await sinceDeleted(files, task, source, options)) positions.push(position)
    }
    if (file !== undefined && positions.length > 0) targets.push({ file, positions })
  }
  const gone = new Set(going)
  const staying = tasks.filter((task) => !gone.has(task))
  const merged = await mergeDeletes(files, table, staying, options)
  if (going.length === 0 && merged.removeDeletes.length === 0) return undefined
  const { addDeletes } = await deleteRows(files, table, targets, options)
  return {
    addData: filesOf(run),
    removeData: going.map(({ file }) => file),
    addDeletes: [...addDeletes, ...merged.addDeletes],
    removeDeletes: [...coveredDeletes(tasks, going), ...merged.removeDeletes],
    isRewrite: true,
    ...(options.check && { check: options.check }),
    dataSequenceNumber: Math.max(0, ...going.map(({ sequenceNumber }) => sequenceNumber)),
    baseSnapshotId: table.refs.main?.['snapshot-id'] ?? null,
  } satisfies Change
}

/** Find rows that were deleted from an old file since it was read.
 *  @returns their places in the new file */
async function sinceDeleted(
  files: LakeFiles,
  { file, deletes }: ScanTask,
  { task, offset, without }: Source,
  { codecs }: Wanted,
): Promise<number[]> {
  const known = new Set(task.deletes.map(fileKey))
  if (deletes.every((one) => known.has(fileKey(one)))) return []
  const now = await deletedPositions(files, file, { deletes, codecs })
  const { place } = relocator({ from: 0, to: 0, offset, without })
  return Array.from(now, place).filter((position) => position !== undefined)
}

function report(run: Run, committed: Committed | undefined, options: Wanted): Compacted {
  const { rewritten, isMore } = run
  const added = filesOf(run)
  return {
    committed,
    removedFiles: rewritten.reduce((sum, { sources }) => sum + sources.length, 0),
    addedFiles: added.length,
    rows: added.reduce((sum, { recordCount }) => sum + recordCount, 0),
    bytes: added.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    relocations: relocationsOf(run, options),
    isMore,
  }
}

function relocationsOf({ rewritten }: Run, { relocations }: Wanted): Relocation[] {
  if (relocations !== true) return []
  return rewritten.flatMap(({ file, sources }) => {
    return file === undefined ? [] : sources.flatMap((one) => relocationOf({ file, one }))
  })
}

function relocationOf({ file, one }: { readonly file: DataFile; readonly one: Source }): Relocation[] {
  const { task, offset, without } = one
  const [from, to] = [fileIdOf(task.file.path), fileIdOf(file.path)]
  if (from === undefined || to === undefined || without.length === task.file.recordCount) return []
  return [{ from, to, offset, without }]
}
