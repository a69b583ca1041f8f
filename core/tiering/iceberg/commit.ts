/** Commits changes: made on the newest state, tried again when another commit came first, and never done twice.
 *
 *  1. A change has a commit id, which its snapshot carries. Before every attempt the id is looked for: when the outcome
 *     of one was not known, and after a restart, that tells whether it was done.
 *  2. An attempt whose outcome is not known can still take effect later. It was made for one state of the table, so
 *     that it fails when another attempt, for that state or a later one, took effect before; and it is found by its id
 *     when it took effect itself.
 *  3. Files written for attempts that failed for certain are deleted; when one attempt's outcome was not known, they
 *     are left to orphan removal. */
import { Failure } from '../../errors.ts'
import { ICEBERG_COMMIT_ATTEMPTS_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { storeFault } from '../objects/port.ts'
import { backOff } from './back-off.ts'
import { type Catalog, formatTableName, type LoadedTable, type TableName } from './catalog.ts'
import type { LakeFiles } from './files.ts'
import { requireRef } from './history.ts'
import { findRef, numberProperty, type Snapshot, type TableMetadata } from './metadata.ts'
import { randomSnapshotId, randomUuid } from './random.ts'
import { isRequirementConflict } from './requirement.ts'
import { type Produced, produceSnapshot } from './snapshot.ts'
import { commitIdProperty } from './summary.ts'
import type { CommitRequest, Update } from './update.ts'
import type { Change, Work } from './work.ts'

/** What commits are made with. */
export interface Committer {
  readonly catalog: Catalog
  readonly files: LakeFiles
  readonly clock: Clock
}

/** A commit that was done. */
export interface Committed {
  readonly table: LoadedTable
  readonly snapshot: Snapshot
  /** Whether an earlier attempt, or an earlier call with the same commit id, had done it. */
  readonly wasDone: boolean
}

/** Find the snapshot of a commit. */
export function findCommit(metadata: TableMetadata, commitId: string): Snapshot | undefined {
  return metadata.snapshots.findLast((snapshot) => snapshot.summary[commitIdProperty] === commitId)
}

/** Commit a change.
 *  @param commitId names it for ever: a second call with the same id finds that it was done
 *  @throws conflict when the change is stale (detail `{ reason: 'stale' }`), or after too many attempts; unavailable
 *  when the outcome is not known: call again with the same id */
export async function commitChange(
  committer: Committer,
  name: TableName,
  change: Change,
  commitId: string = randomUuid(committer.clock),
): Promise<Committed> {
  const { files, clock } = committer
  const work: Work = {
    files,
    change: { ...change, summary: { ...change.summary, [commitIdProperty]: commitId } },
    snapshotId: randomSnapshotId(clock),
    name: randomUuid(clock),
    made: new Map(),
    written: new Set(),
  }
  const progress = { isUnclear: false }
  try {
    const committed = await attempts(committer, name, work, { commitId, progress })
    if (!progress.isUnclear) await removeUnused(committer, work, committed.kept)
    return committed
  } catch (error) {
    if (!progress.isUnclear) await removeUnused(committer, work, [])
    throw error
  }
}

interface Attempting {
  readonly commitId: string
  readonly progress: { isUnclear: boolean }
}

type Outcome = Committed & { readonly kept: readonly string[] }

async function attempts(
  { catalog, clock }: Committer,
  name: TableName,
  work: Work,
  { commitId, progress }: Attempting,
): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    const loaded = await catalog.loadTable(name)
    const done = findCommit(loaded.metadata, commitId)
    if (done !== undefined) return { table: loaded, snapshot: done, wasDone: true, kept: await keptBy(work, done) }
    await work.change.check?.(loaded.metadata)
    const produced = await produceSnapshot(work, loaded.metadata, clock.nowMs())
    try {
      const table = await catalog.commitTable(name, requestOf(work, loaded.metadata, produced))
      const kept = [...produced.manifests.map(({ path }) => path), produced.snapshot['manifest-list']]
      return { table, snapshot: produced.snapshot, wasDone: false, kept }
    } catch (error) {
      const isUnavailable = error instanceof Failure && error.code === 'unavailable'
      if (isUnavailable && storeFault(error)?.outcome !== 'none') progress.isUnclear = true
      if (!isUnavailable && !isRequirementConflict(error)) throw error
      const most = numberProperty(loaded.metadata, 'commit.retry.num-retries', ICEBERG_COMMIT_ATTEMPTS_MAX - 1) + 1
      if (attempt >= most) throw exhausted(name, attempt, error)
      await backOff(clock, attempt)
    }
  }
}

function exhausted(name: TableName, attempt: number, error: unknown): unknown {
  if (!isRequirementConflict(error)) return error
  const message = `${formatTableName(name)}: other commits came first ${attempt} times`
  return new Failure('conflict', message, (error as Failure).detail, error)
}

function requestOf({ change }: Work, metadata: TableMetadata, { snapshot }: Produced): CommitRequest {
  const branch = change.branch ?? 'main'
  const { 'snapshot-id': _, type: __, ...retention } = findRef(metadata, branch) ?? {}
  const ref = { type: 'branch', 'snapshot-id': snapshot['snapshot-id'] } as const
  const updates: Update[] = [
    { action: 'add-snapshot', snapshot },
    { action: 'set-snapshot-ref', 'ref-name': branch, ...retention, ...ref },
  ]
  return { requirements: requireRef(metadata, branch), updates }
}

async function keptBy({ files }: Work, snapshot: Snapshot): Promise<string[]> {
  const manifests = await files.manifestList(snapshot['manifest-list'])
  return [...manifests.map(({ path }) => path), snapshot['manifest-list']]
}

/** Delete what was written for attempts that came to nothing. A failure leaves orphans, no more. */
async function removeUnused({ files }: Committer, { written }: Work, kept: readonly string[]): Promise<void> {
  const used = new Set(kept)
  const unused = [...written].filter((path) => !used.has(path))
  try {
    await files.delete(unused)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
  }
}

/** Make the change of metadata that a table's newest state calls for, and commit it.
 *  @param plan gets the newest state, anew for every attempt; gives nothing when there is nothing to do
 *  @throws conflict after too many attempts, unavailable when the outcome is not known, and what `plan` throws */
export async function commitUpdates(
  { catalog, clock }: Pick<Committer, 'catalog' | 'clock'>,
  name: TableName,
  plan: (metadata: TableMetadata) => CommitRequest | undefined,
): Promise<LoadedTable> {
  for (let attempt = 1; ; attempt++) {
    const loaded = await catalog.loadTable(name)
    const request = plan(loaded.metadata)
    if (request === undefined) return loaded
    try {
      return await catalog.commitTable(name, request)
    } catch (error) {
      if (!isRequirementConflict(error) || attempt >= ICEBERG_COMMIT_ATTEMPTS_MAX) throw error
      await backOff(clock, attempt)
    }
  }
}
