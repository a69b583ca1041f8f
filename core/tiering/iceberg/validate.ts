/** Whether a change still means what it meant when it was made, after others have committed.
 *
 *  1. Deletes by position are of files; when a compaction has rewritten one, they would delete nothing.
 *  2. A data file has one deletion vector: two made from the same state would each lack the other's rows.
 *  3. A rewrite holds the rows of its files; when somebody has deleted rows from one since, they would come back.
 *  @source https://iceberg.apache.org/spec/ (v2), "Commit Conflict Resolution and Retry" */
import type { Long } from '../avro/binary.ts'
import { type DataFile, deletePathId, isVector, type ManifestEntry } from './data-file.ts'
import type { LakeFiles } from './files.ts'
import { ancestorsOf } from './history.ts'
import type { ManifestFile } from './manifest-list.ts'
import { columnTypes, type Snapshot, specOf, type TableMetadata } from './metadata.ts'
import { mightMatch } from './metrics.ts'
import { partitionKey, tupleTypes } from './partition.ts'
import { staleChange } from './requirement.ts'
import { type Change, sequenceOf } from './work.ts'

/** A change, and where it shall go. */
export interface Candidate {
  readonly change: Change
  /** The snapshot it is to follow. */
  readonly parent: Snapshot | undefined
  /** The manifests of that snapshot. */
  readonly manifests: readonly ManifestFile[]
}

/** Refuse a change that was overtaken.
 *  @throws conflict (`stale`)
 *  @cost nothing when no one has committed since; else the manifests of what was */
export async function checkStillValid(files: LakeFiles, table: TableMetadata, candidate: Candidate): Promise<void> {
  const { change, parent } = candidate
  const { baseSnapshotId } = change
  if (baseSnapshotId === undefined || parent === undefined) return
  const since = commitsSince(table, parent, baseSnapshotId)
  if (since.length === 0) return
  const named = (change.addDeletes ?? []).flatMap(({ referencedDataFile: path }) => (path === undefined ? [] : [path]))
  const referenced = new Set([...(change.referencedDataFiles ?? []), ...named])
  if (referenced.size > 0) await checkReferenced(files, table, { since, referenced })
  const vectors = new Set((change.addDeletes ?? []).filter(isVector).map((file) => file.referencedDataFile))
  if (vectors.size > 0) await checkVectors(files, table, { since, manifests: candidate.manifests, vectors })
  if (change.isRewrite === true) await checkRewritten(files, table, candidate, since)
}

/** List the snapshots after a base, newest first. */
function commitsSince(table: TableMetadata, parent: Snapshot, baseId: Long | null): Snapshot[] {
  const line = ancestorsOf(table, parent['snapshot-id'])
  if (baseId === null) return line
  const at = line.findIndex((snapshot) => snapshot['snapshot-id'] === baseId)
  if (at < 0)
    throw staleChange(`snapshot ${baseId}, from which the change was made, is not in the table's line any more`)
  return line.slice(0, at)
}

interface Vectors {
  readonly since: readonly Snapshot[]
  readonly manifests: readonly ManifestFile[]
  readonly vectors: ReadonlySet<string | undefined>
}

/** A vector that was there before is named among the deletes to remove; one that is new since is not. */
async function checkVectors(files: LakeFiles, table: TableMetadata, candidate: Vectors): Promise<void> {
  const { since, manifests, vectors } = candidate
  const firstSequence = Math.min(...since.map((snapshot) => snapshot['sequence-number']))
  for (const manifest of manifests) {
    if (manifest.content !== 'deletes' || (manifest.sequenceNumber ?? 0) < firstSequence) continue
    const taken = (await files.manifest(manifest, table)).find(
      ({ status, fileSequenceNumber = 0, file }) =>
        status !== 'deleted' && fileSequenceNumber >= firstSequence && vectors.has(file.referencedDataFile),
    )
    if (taken !== undefined) {
      throw staleChange(`rows of ${taken.file.referencedDataFile} were deleted while others of it were`)
    }
  }
}

interface Since {
  readonly since: readonly Snapshot[]
  readonly referenced: ReadonlySet<string>
}

async function checkReferenced(files: LakeFiles, table: TableMetadata, { since, referenced }: Since): Promise<void> {
  for (const snapshot of since) {
    if (snapshot.summary.operation === 'append') continue
    const id = snapshot['snapshot-id']
    for (const manifest of await files.manifestList(snapshot['manifest-list'])) {
      if (manifest.content !== 'data' || manifest.addedSnapshotId !== id || manifest.deletedFiles === 0) continue
      const entries = await files.manifest(manifest, table)
      const lost = entries.find(({ status, file }) => status === 'deleted' && referenced.has(file.path))
      if (lost !== undefined)
        throw staleChange(`${lost.file.path}, of which rows are deleted, was removed by snapshot ${id}`)
    }
  }
}

async function checkRewritten(
  files: LakeFiles,
  table: TableMetadata,
  { change, manifests }: Candidate,
  since: readonly Snapshot[],
): Promise<void> {
  if (change.removeData === undefined || change.removeData === 'all') return
  const afterSequence = Math.min(...since.map((snapshot) => snapshot['sequence-number'])) - 1
  for (const manifest of manifests) {
    if (manifest.content !== 'deletes' || (manifest.sequenceNumber ?? 0) <= afterSequence) continue
    for (const entry of await files.manifest(manifest, table)) {
      if (entry.status === 'deleted' || (entry.sequenceNumber ?? 0) <= afterSequence) continue
      // An equality delete goes on to apply to rows that keep their age.
      if (entry.file.content === 'equality-deletes' && keepsAge(change)) continue
      const hit = change.removeData.find((file) => mayDelete(table, entry, file))
      if (hit !== undefined) throw staleChange(`rows of ${hit.path} were deleted while it was rewritten`)
    }
  }
}

const keepsAge = ({ addData = [], ...change }: Change) =>
  addData.every((file) => sequenceOf(change, file) !== undefined)

/** Whether a delete file can be about rows of a data file: by its path, bounds and partition. */
export function mayDelete(table: TableMetadata, { file: deletes }: ManifestEntry, data: DataFile): boolean {
  if (deletes.content === 'position-deletes') {
    if (deletes.referencedDataFile !== undefined) return deletes.referencedDataFile === data.path
    return samePartition(table, deletes, data) && mayName(deletes, data.path)
  }
  const isGlobal = specOf(table, deletes.specId).fields.length === 0
  return isGlobal || samePartition(table, deletes, data)
}

/** Whether a position delete file can name a data file, by the bounds of its paths. */
export function mayName(deletes: DataFile, path: string): boolean {
  const extent = { lower: deletes.lowerBounds?.get(deletePathId), upper: deletes.upperBounds?.get(deletePathId) }
  return mightMatch({ op: 'eq', id: deletePathId, type: 'string', values: [path] }, () => extent)
}

function samePartition(table: TableMetadata, a: DataFile, b: DataFile): boolean {
  if (a.specId !== b.specId) return false
  const types = tupleTypes(specOf(table, a.specId), columnTypes(table))
  return partitionKey(types, a.partition) === partitionKey(types, b.partition)
}
