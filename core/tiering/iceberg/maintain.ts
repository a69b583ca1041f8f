/** Keeps a table's folder clean: expired snapshots, files that no snapshot names, old metadata.
 *
 *  1. A file is deleted only when no snapshot that is left names it, as added or as there.
 *  2. What no metadata names may belong to a commit on its way: it is an orphan only when it is old.
 *  3. A metadata version is removed only when no commit can still be made on the one before it: its name, once free,
 *     could be taken again. No attempt lasts a day. */
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { formatTableName, type LoadedTable, type TableName } from './catalog.ts'
import { listAll } from './catalog-keys.ts'
import { type Committer, commitUpdates } from './commit.ts'
import { type DataFile, isVector } from './data-file.ts'
import { canonicalLocation, type LakeFiles } from './files.ts'
import { ancestorsOf, type ExpireOptions, expire } from './history.ts'
import type { ManifestFile } from './manifest-list.ts'
import type { Snapshot, TableMetadata } from './metadata.ts'

const dayMs = 86_400_000

/** What expiring did. */
export interface Expired {
  readonly snapshotIds: readonly Long[]
  /** Locations of files that were deleted. */
  readonly deleted: readonly string[]
}

/** Expire snapshots and delete the files that only they named.
 *  A crash between the two leaves files that `removeOrphans` finds.
 *  @throws what commits throw */
export async function expireSnapshots(
  committer: Committer,
  name: TableName,
  options: Omit<ExpireOptions, 'nowMs'> = {},
): Promise<Expired> {
  let before: TableMetadata | undefined
  const { metadata: after } = await commitUpdates(committer, name, (metadata) => {
    before = metadata
    return expire(metadata, { ...options, nowMs: committer.clock.nowMs() })
  })
  const left = new Set(after.snapshots.map((snapshot) => snapshot['snapshot-id']))
  const gone = (before?.snapshots ?? []).filter((snapshot) => !left.has(snapshot['snapshot-id']))
  if (before === undefined || gone.length === 0) return { snapshotIds: [], deleted: [] }
  const deleted = await unreferenced(committer.files, before, { gone, kept: after.snapshots })
  await committer.files.delete(deleted)
  return { snapshotIds: gone.map((snapshot) => snapshot['snapshot-id']), deleted }
}

interface Split {
  readonly gone: readonly Snapshot[]
  readonly kept: readonly Snapshot[]
}

/** Find the files that snapshots which are gone named, and none that is kept does.
 *  @cost of the oldest snapshots of one line: what they and the one after them changed; else every manifest */
async function unreferenced(files: LakeFiles, table: TableMetadata, split: Split): Promise<string[]> {
  const next = oldestOfLine(table, split)
  return next === undefined ? compareAll(files, table, split) : followLine(files, table, { ...split, next })
}

/** Find the snapshot after those that are gone, when they are the oldest of the one line that there is. */
function oldestOfLine(table: TableMetadata, { gone }: Split): Snapshot | undefined {
  const line = ancestorsOf(table, table['current-snapshot-id'])
  const old = new Set(line.slice(-gone.length))
  const isLine = line.length === table.snapshots.length && gone.every((snapshot) => old.has(snapshot))
  return isLine ? line.at(-gone.length - 1) : undefined
}

/** In one line, a manifest that the next snapshot has not is in none after it, and a file goes for good with the
 *  snapshot that removes it. */
async function followLine(
  files: LakeFiles,
  table: TableMetadata,
  { gone, next }: Split & { readonly next: Snapshot },
): Promise<string[]> {
  const kept = await manifestsOf(files, [next])
  const only = [...(await manifestsOf(files, gone)).values()].filter(({ path }) => !kept.has(path))
  const removed = new Map<string, DataFile>()
  for (const snapshot of [...gone, next]) {
    const id = snapshot['snapshot-id']
    for (const manifest of await files.manifestList(snapshot['manifest-list'])) {
      if (manifest.addedSnapshotId !== id || manifest.deletedFiles === 0) continue
      for (const { status, snapshotId, file } of await files.manifest(manifest, table)) {
        if (status === 'deleted' && snapshotId === id) removed.set(file.path, file)
      }
    }
  }
  // Several deletion vectors share a file, which goes with the last of them.
  const shared = [...removed.values()].some(isVector) ? await liveDeletes(files, table, kept.values()) : new Set()
  const gonePaths = [...removed.keys()].filter((path) => !shared.has(path))
  return [...gonePaths, ...only.map(({ path }) => path), ...gone.map((snapshot) => snapshot['manifest-list'])]
}

async function liveDeletes(
  files: LakeFiles,
  table: TableMetadata,
  manifests: Iterable<ManifestFile>,
): Promise<Set<string>> {
  const live = new Set<string>()
  for (const manifest of manifests) {
    if (manifest.content !== 'deletes') continue
    for (const { status, file } of await files.manifest(manifest, table)) if (status !== 'deleted') live.add(file.path)
  }
  return live
}

async function compareAll(files: LakeFiles, table: TableMetadata, { gone, kept }: Split): Promise<string[]> {
  const keptManifests = await manifestsOf(files, kept)
  const goneManifests = await manifestsOf(files, gone)
  const onlyGone = [...goneManifests.values()].filter(({ path }) => !keptManifests.has(path))
  const candidates = new Set<string>()
  for (const manifest of onlyGone) {
    for (const { file } of await files.manifest(manifest, table)) candidates.add(file.path)
  }
  for (const manifest of candidates.size === 0 ? [] : keptManifests.values()) {
    for (const { status, file } of await files.manifest(manifest, table)) {
      if (status !== 'deleted') candidates.delete(file.path)
    }
  }
  const lists = new Set(kept.map((snapshot) => snapshot['manifest-list']))
  const goneLists = gone.map((snapshot) => snapshot['manifest-list']).filter((path) => !lists.has(path))
  return [...candidates, ...onlyGone.map(({ path }) => path), ...goneLists]
}

async function manifestsOf(files: LakeFiles, snapshots: readonly Snapshot[]): Promise<Map<string, ManifestFile>> {
  const found = new Map<string, ManifestFile>()
  for (const snapshot of snapshots) {
    for (const manifest of await files.manifestList(snapshot['manifest-list'])) found.set(manifest.path, manifest)
  }
  return found
}

/** List every file that a table's metadata names, whether live or not. */
export async function referencedFiles(
  files: LakeFiles,
  { metadata, metadataLocation }: LoadedTable,
): Promise<Set<string>> {
  const found = new Set([metadataLocation])
  for (const entry of metadata['metadata-log']) found.add(entry['metadata-file'])
  for (const file of [...(metadata.statistics ?? []), ...(metadata['partition-statistics'] ?? [])]) {
    found.add(file['statistics-path'])
  }
  for (const snapshot of metadata.snapshots) found.add(snapshot['manifest-list'])
  for (const manifest of (await manifestsOf(files, metadata.snapshots)).values()) {
    found.add(manifest.path)
    for (const { file } of await files.manifest(manifest, metadata)) found.add(file.path)
  }
  return found
}

/** Which files count as orphans. */
export interface OrphanOptions {
  /** Younger files may belong to a commit on its way; three days when left out. */
  readonly minAgeMs?: number
}

/** Find the files in a table's folder that nothing names. Metadata versions are none: see `removeOldMetadata`.
 *  @throws unsupported when the table is not in a folder of its own
 *  @cost the list of the folder, and every manifest of every snapshot */
export async function findOrphans(
  { catalog, files, clock }: Committer,
  name: TableName,
  { minAgeMs = 3 * dayMs }: OrphanOptions = {},
): Promise<string[]> {
  const { metadata } = await catalog.loadTable(name)
  const folder = `${files.placeOf(metadata.location).key}/`
  const beforeMs = clock.nowMs() - minAgeMs
  const old: string[] = []
  // A table has its folder in every store: archived files keep their keys.
  for (const { store, root } of files.mounts) {
    const { objects } = await listAll(store, folder)
    for (const { key, modifiedMs } of objects) {
      if (modifiedMs < beforeMs && !isMetadata(key.slice(folder.length))) old.push(`${root}/${key}`)
    }
  }
  if (old.length === 0) return []
  // The table is read after the list: what was committed meanwhile is seen.
  const used = await referencedFiles(files, await catalog.loadTable(name))
  const known = new Set([...used].map(canonicalLocation))
  return old.filter((location) => !known.has(canonicalLocation(location)))
}

const isMetadata = (path: string) => /^metadata\/(v\d+\.metadata\.json|version-hint\.text)$/.test(path)

/** Delete orphans.
 *  @returns their locations */
export async function removeOrphans(committer: Committer, name: TableName, options?: OrphanOptions): Promise<string[]> {
  const orphans = await findOrphans(committer, name, options)
  await committer.files.delete(orphans)
  return orphans
}

/** Delete metadata versions that the table's log does not name any more.
 *  @param minAgeMs longer than any commit can take; a day when left out
 *  @returns their locations */
export async function removeOldMetadata(
  { catalog, files, clock }: Committer,
  name: TableName,
  minAgeMs: number = dayMs,
): Promise<string[]> {
  if (minAgeMs < 60_000) {
    throw new Failure('invalid', `${formatTableName(name)}: metadata of the last minute may be committed on`)
  }
  const { metadata, metadataLocation } = await catalog.loadTable(name)
  const folder = `${files.keyOf(metadata.location)}/metadata/v`
  const kept = new Set([metadataLocation, ...metadata['metadata-log'].map((entry) => entry['metadata-file'])])
  const beforeMs = clock.nowMs() - minAgeMs
  const { objects } = await listAll(files.store, folder)
  const old = objects
    .filter(({ key, modifiedMs }) => modifiedMs < beforeMs && /v\d+\.metadata\.json$/.test(key))
    .map(({ key }) => files.locationOf(key))
    .filter((location) => !kept.has(location))
  await files.delete(old)
  return old
}
