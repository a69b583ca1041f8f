/** Takes files out of a snapshot: their manifests are written anew, with the files marked deleted. */
import { type DataFile, fileKey, type ManifestEntry } from './data-file.ts'
import type { BoundPredicate } from './expression.ts'
import { and, or } from './expression.ts'
import type { ManifestContent, ManifestFile } from './manifest-list.ts'
import { extentOfSummary } from './manifest-list.ts'
import { columnTypes, specOf, type TableMetadata } from './metadata.ts'
import { mightMatch } from './metrics.ts'
import { tupleTypes } from './partition.ts'
import { staleChange } from './requirement.ts'
import { type Listed, sequenceOf, type Work, writeOnce } from './work.ts'

/** What is left of a snapshot's manifests, and what was taken out. */
export interface Removal {
  readonly listed: readonly Listed[]
  readonly removed: readonly DataFile[]
}

/** Decides which files of a manifest go. */
interface Filter {
  /** Whether the manifest can hold any, by its line in the list. */
  mayHold(manifest: ManifestFile): boolean
  goes(entry: ManifestEntry): boolean
}

/** Remove what a change removes.
 *  @throws conflict (`stale`) when a file to remove is not there */
export async function removeFiles(
  work: Work,
  table: TableMetadata,
  manifests: readonly ManifestFile[],
): Promise<Removal> {
  const { removeData, removeDeletes = [] } = work.change
  const [data, deletes] = [pick(manifests, 'data'), pick(manifests, 'deletes')]
  if (removeData === undefined && removeDeletes.length === 0) {
    return { listed: manifests.filter(hasLive).map(asListed), removed: [] }
  }
  if (removeData === 'all') {
    const everything: Filter = { mayHold: () => true, goes: () => true }
    const [left, gone] = [await filter(work, table, data, everything), await filter(work, table, deletes, everything)]
    return { listed: [...left.listed, ...gone.listed], removed: [...left.removed, ...gone.removed] }
  }
  const gone = removeData ?? []
  const left = await filter(work, table, data, byPath(table, gone))
  const oldest = oldestOf(left.listed, work.change) ?? table['last-sequence-number'] + 1
  const kept = await filter(work, table, deletes, deletesOf(table, gone, { removeDeletes, oldest }))
  const removed = [...left.removed, ...kept.removed]
  const there = new Set(removed.map(fileKey))
  const missing = [...gone, ...removeDeletes].find((file) => !there.has(fileKey(file)))
  if (missing !== undefined) throw staleChange(`${missing.path} is not in the table any more`)
  return { listed: [...left.listed, ...kept.listed], removed }
}

/** What was deleted before this snapshot is nobody's business any more. */
const hasLive = ({ addedFiles, existingFiles }: ManifestFile) => addedFiles + existingFiles > 0
const asListed = (manifest: ManifestFile): Listed => ({ manifest })
const pick = (manifests: readonly ManifestFile[], content: ManifestContent) =>
  manifests.filter((manifest) => manifest.content === content)

async function filter(
  work: Work,
  table: TableMetadata,
  manifests: readonly ManifestFile[],
  { mayHold, goes }: Filter,
): Promise<Removal> {
  const removed: DataFile[] = []
  const filterOne = async (manifest: ManifestFile): Promise<readonly Listed[]> => {
    if (!hasLive(manifest)) return []
    if (!mayHold(manifest)) return [{ manifest }]
    const live = (await work.files.manifest(manifest, table)).filter(({ status }) => status !== 'deleted')
    const going = new Set(live.filter(goes))
    if (going.size === 0) return [{ manifest }]
    for (const { file } of going) removed.push(file)
    const entries = live.map((entry): ManifestEntry => {
      if (!going.has(entry)) return { ...entry, status: 'existing' }
      return { ...entry, status: 'deleted', snapshotId: work.snapshotId }
    })
    return writeOnce(work, table, { key: `filter:${manifest.path}`, entries, content: manifest.content })
  }
  const listed: Listed[] = []
  for (const one of await Promise.all(manifests.map(filterOne))) listed.push(...one)
  return { listed, removed }
}

/** Filter files by path; their partitions say which manifests can hold them. */
function byPath(table: TableMetadata, files: readonly DataFile[]): Filter {
  const keys = new Set(files.map(fileKey))
  const partitions = new Map<number, BoundPredicate>()
  for (const specId of new Set(files.map((file) => file.specId))) {
    const types = tupleTypes(specOf(table, specId), columnTypes(table))
    const tuples = files
      .filter((file) => file.specId === specId)
      .map(({ partition }) =>
        and(
          types.map((type, at): BoundPredicate => {
            const value = partition[at] ?? null
            if (value === null) return { op: 'is-null', id: at, type, values: [] }
            if (Number.isNaN(value)) return { op: 'is-nan', id: at, type, values: [] }
            return { op: 'eq', id: at, type, values: [value] }
          }),
        ),
      )
    partitions.set(specId, or(tuples))
  }
  return {
    mayHold({ specId, partitions: summaries }) {
      const wanted = partitions.get(specId)
      if (wanted === undefined || summaries === undefined) return wanted !== undefined
      return mightMatch(wanted, (at) => extentOfSummary(summaries[at] ?? { containsNull: true }))
    },
    goes: ({ file }) => keys.has(fileKey(file)),
  }
}

interface DeletesPlan {
  readonly removeDeletes: readonly DataFile[]
  /** The lowest sequence number of data that stays or comes. */
  readonly oldest: number
}

/** Filter deletes: those named, those of data files that go, and those older than all data, which delete nothing. */
function deletesOf(table: TableMetadata, gone: readonly DataFile[], { removeDeletes, oldest }: DeletesPlan): Filter {
  const named = byPath(table, removeDeletes)
  if (gone.length === 0) return named
  const paths = new Set(gone.map(({ path }) => path))
  const specs = new Set(gone.map(({ specId }) => specId))
  const isOld = (sequence: number | undefined) => (sequence ?? oldest) < oldest
  return {
    mayHold: (manifest) => named.mayHold(manifest) || specs.has(manifest.specId) || isOld(manifest.minSequenceNumber),
    goes: (entry) => {
      const { referencedDataFile } = entry.file
      if (referencedDataFile !== undefined && paths.has(referencedDataFile)) return true
      return named.goes(entry) || isOld(entry.sequenceNumber)
    },
  }
}

/** Find the lowest sequence number of live data, added data included; undefined when it is the commit's own. */
function oldestOf(listed: readonly Listed[], change: Work['change']): number | undefined {
  const added = (change.addData ?? []).flatMap((file) => sequenceOf(change, file) ?? [])
  let oldest = added.length > 0 ? Math.min(...added) : undefined
  for (const { manifest } of listed) {
    const sequence = manifest.minSequenceNumber
    if (hasLive(manifest) && sequence !== undefined && (oldest === undefined || sequence < oldest)) oldest = sequence
  }
  return oldest
}
