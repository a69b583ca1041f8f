/** Makes snapshots: what a change does to the manifests of the one before.
 *
 *  1. Nothing that is there is changed: a snapshot is new manifests, manifests of its parent, and a new list.
 *  2. A manifest written for a change is used again when the commit has to be tried again; only the list, which holds
 *     the sequence number, is written for each attempt.
 *  3. A file is removed by writing its manifest anew, with the file marked deleted; a file that is not there any more
 *     makes the whole change stale.
 *  @source https://iceberg.apache.org/spec/ (v2), "Snapshots" */
import { assert, Failure } from '../../errors.ts'
import { ICEBERG_MANIFEST_FILES_MAX } from '../../limits.ts'
import { type DataFile, isVector, type ManifestEntry } from './data-file.ts'
import { ancestorsOf, snapshotOfRef } from './history.ts'
import {
  assignRowIds,
  assignSequence,
  type ManifestContent,
  type ManifestFile,
  writeManifestList,
} from './manifest-list.ts'
import { mergeManifests } from './merge.ts'
import { columnTypes, findRef, type Operation, type Snapshot, specOf, type TableMetadata } from './metadata.ts'
import { partitionKey, tupleTypes } from './partition.ts'
import { removeFiles } from './remove.ts'
import { positionsIn, summarizeCommit } from './summary.ts'
import { checkStillValid } from './validate.ts'
import { type Change, groupBy, type Listed, metadataFolder, sequenceOf, type Work, writeOnce } from './work.ts'

/** A snapshot that can be committed. */
export interface Produced {
  readonly snapshot: Snapshot
  readonly manifests: readonly ManifestFile[]
}

/** Make the snapshot that a change leads to.
 *  @param nowMs when it is made
 *  @throws conflict (`stale`) when what the change depends on is not there any more */
export async function produceSnapshot(work: Work, table: TableMetadata, nowMs: number): Promise<Produced> {
  const { files, change, snapshotId } = work
  checkChange(change, table)
  const parent = parentOf(table, change)
  const before = parent === undefined ? [] : await files.manifestList(parent['manifest-list'])
  await checkStillValid(files, table, { change, parent, manifests: before })
  const removal = await removeFiles(work, table, before)
  const listed: Listed[] = [
    ...(await addFiles(work, table, 'data')),
    ...(await addFiles(work, table, 'deletes')),
    ...removal.listed,
  ]
  const merged = await mergeManifests(work, table, listed)
  const sequenceNumber = table['last-sequence-number'] + 1
  const numbered = merged.map(({ manifest }) => assignSequence(manifest, sequenceNumber))
  const version = table['format-version']
  const firstRowId = version >= 3 ? (table['next-row-id'] ?? 0) : undefined
  const { manifests, nextRowId } =
    firstRowId === undefined ? { manifests: numbered, nextRowId: 0 } : assignRowIds(numbered, firstRowId)
  const path = `${metadataFolder(table)}/snap-${snapshotId}-${sequenceNumber}-${work.name}.avro`
  const parentSnapshotId = parent?.['snapshot-id']
  const list = { snapshotId, parentSnapshotId, sequenceNumber, version, firstRowId, sync: files.sync() }
  const bytes = writeManifestList(manifests, list)
  work.written.add(path)
  await files.write(path, bytes)
  files.keepManifestList(path, manifests)
  const added = [...(change.addData ?? []), ...(change.addDeletes ?? [])]
  const delta = { added, removed: removal.removed, partitions: countPartitions(table, [...added, ...removal.removed]) }
  // A rewrite changes no rows: how far shards have come stays known when the snapshots before it expire.
  const kept = change.isRewrite === true ? positionsIn(ancestorsOf(table, parentSnapshotId)) : {}
  const more = { ...kept, ...change.summary }
  const summary = summarizeCommit(operationOf(change, removal.removed), delta, { parent, more })
  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    ...(parentSnapshotId !== undefined && { 'parent-snapshot-id': parentSnapshotId }),
    'sequence-number': sequenceNumber,
    'timestamp-ms': Math.max(nowMs, table['last-updated-ms']),
    'manifest-list': path,
    summary,
    'schema-id': table['current-schema-id'],
    ...(firstRowId !== undefined && { 'first-row-id': firstRowId, 'added-rows': nextRowId - firstRowId }),
  }
  return { snapshot, manifests }
}

function checkChange({ addDeletes = [], isRewrite, baseSnapshotId }: Change, table: TableMetadata): void {
  const version = table['format-version']
  const misfit = addDeletes.find((file) => file.content === 'position-deletes' && isVector(file) !== version >= 3)
  if (misfit !== undefined) {
    const right = version >= 3 ? 'deletion vectors' : 'position delete files'
    throw new Failure('invalid', `${misfit.path}: tables of format v${version} have ${right}; writeDeletes makes them`)
  }
  const depends = isRewrite === true || addDeletes.some(({ content }) => content === 'position-deletes')
  if (depends && baseSnapshotId === undefined) {
    throw new Failure('invalid', 'a rewrite, or a delete by position, must say which snapshot it was made from')
  }
}

/** The snapshot a change builds on: a branch that is not there yet begins at main. */
function parentOf(table: TableMetadata, { branch = 'main' }: Change): Snapshot | undefined {
  const ref = findRef(table, branch)
  if (ref?.type === 'tag') throw new Failure('invalid', `${branch} is a tag; only branches are committed to`)
  return snapshotOfRef(table, branch) ?? snapshotOfRef(table)
}

function operationOf(change: Change, removed: readonly DataFile[]): Operation {
  if (change.isRewrite === true) return 'replace'
  const adds = (change.addData?.length ?? 0) > 0
  const removes = removed.length > 0 || (change.addDeletes?.length ?? 0) > 0
  if (!removes) return 'append'
  return adds ? 'overwrite' : 'delete'
}

function countPartitions(table: TableMetadata, files: readonly DataFile[]): number {
  const types = new Map<number, readonly string[]>()
  const keys = new Set<string>()
  for (const { specId, partition } of files) {
    const known = types.get(specId) ?? tupleTypes(specOf(table, specId), columnTypes(table))
    types.set(specId, known)
    keys.add(`${specId}:${partitionKey(known, partition)}`)
  }
  return keys.size
}

async function addFiles(work: Work, table: TableMetadata, content: ManifestContent): Promise<readonly Listed[]> {
  const { change, snapshotId } = work
  const added = content === 'data' ? change.addData : change.addDeletes
  const listed: Listed[] = []
  for (const [specId, group] of groupBy(added ?? [], ({ specId }) => specId)) {
    const entries = group.map((file): ManifestEntry => {
      assert((file.content === 'data') === (content === 'data'), `${file.path} holds ${file.content}`)
      const sequenceNumber = content === 'data' ? sequenceOf(change, file) : undefined
      return { status: 'added', snapshotId, sequenceNumber, fileSequenceNumber: undefined, file }
    })
    for (let from = 0; from < entries.length; from += ICEBERG_MANIFEST_FILES_MAX) {
      const part = entries.slice(from, from + ICEBERG_MANIFEST_FILES_MAX)
      listed.push(
        ...(await writeOnce(work, table, { key: `add:${content}:${specId}:${from}`, entries: part, content })),
      )
    }
  }
  return listed
}
