/** Merges small manifests, so that planning does not read one for every commit there ever was.
 *  @source Iceberg Java, ManifestMergeManager and the table properties commit.manifest.* */
import { ICEBERG_MANIFEST_TARGET_BYTES, ICEBERG_MANIFESTS_TO_MERGE_MIN } from '../../limits.ts'
import type { ManifestEntry } from './data-file.ts'
import { numberProperty, type TableMetadata } from './metadata.ts'
import { groupBy, type Listed, type Work, writeOnce } from './work.ts'

/** Merge manifests where there are many small ones.
 *  @param listed newest first
 *  @returns newest first
 *  @cost reads of the manifests that are merged; nothing for most commits */
export async function mergeManifests(
  work: Work,
  table: TableMetadata,
  listed: readonly Listed[],
): Promise<readonly Listed[]> {
  if (table.properties['commit.manifest-merge.enabled'] === 'false') return listed
  const targetBytes = numberProperty(table, 'commit.manifest.target-size-bytes', ICEBERG_MANIFEST_TARGET_BYTES)
  const countMin = numberProperty(table, 'commit.manifest.min-count-to-merge', ICEBERG_MANIFESTS_TO_MERGE_MIN)
  const groups = groupBy(listed, ({ manifest }) => `${manifest.content} ${manifest.specId}`)
  const merged: Listed[] = []
  for (const group of groups.values()) {
    const bins = pack(group, targetBytes)
    for (const [at, bin] of bins.entries()) {
      // The newest bin fills up with the commits to come; it is merged when it has become many.
      const waits = bin.length === 1 || (at === 0 && bin.length < countMin)
      merged.push(...(waits ? bin : await merge(work, table, bin)))
    }
  }
  return merged
}

/** Pack neighbours into bins of a size, full ones at the old end: what is full stays as it is. */
function pack(newestFirst: readonly Listed[], targetBytes: number): Listed[][] {
  const bins: Listed[][] = []
  let bin: Listed[] = []
  let sizeBytes = 0
  for (const one of newestFirst.toReversed()) {
    if (bin.length > 0 && sizeBytes + one.manifest.sizeBytes > targetBytes) {
      bins.unshift(bin)
      bin = []
      sizeBytes = 0
    }
    bin.unshift(one)
    sizeBytes += one.manifest.sizeBytes
  }
  if (bin.length > 0) bins.unshift(bin)
  return bins
}

async function merge(work: Work, table: TableMetadata, bin: readonly Listed[]): Promise<readonly Listed[]> {
  const { snapshotId, files } = work
  const read = async ({ manifest, entries }: Listed): Promise<readonly ManifestEntry[]> => {
    if (entries !== undefined) return entries
    const live = (await files.manifest(manifest, table)).filter(({ status }) => status !== 'deleted')
    return live.map((entry) => ({ ...entry, status: 'existing' }))
  }
  const entries = (await Promise.all(bin.map(read))).flat()
  const [first] = bin
  if (entries.length === 0 || first === undefined) return []
  const key = `merge:${snapshotId}:${bin.map(({ manifest }) => manifest.path).join(' ')}`
  return writeOnce(work, table, { key, entries, content: first.manifest.content })
}
