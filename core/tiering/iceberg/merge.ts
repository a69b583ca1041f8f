/** Merges small manifests, so that planning does not read one for every commit there ever was.
 *
 *  Neighbours of about one size become one, which is of the next size: as in a log-structured merge tree. So a file's
 *  line is written some times in all, where merging whatever is small (as Java does) would write it again and again;
 *  and a list has a few manifests of each size.
 *  @source Iceberg Java, ManifestMergeManager, for the table properties commit.manifest.* */
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
    for (const run of runsOf(group, targetBytes)) {
      const waits = run.length < countMin || sizeClass(run[0] as Listed, targetBytes) === full
      merged.push(...(waits ? run : await mergeRun(work, table, { run, targetBytes })))
    }
  }
  return merged
}

const full = Number.POSITIVE_INFINITY
/** Manifests up to this size are of the lowest class; each class after it is so many times as large. */
const lowestBytes = 8 * 1024
const classFactor = 8

function sizeClass({ manifest: { sizeBytes } }: Listed, targetBytes: number): number {
  if (sizeBytes >= targetBytes / 2) return full
  return Math.max(0, Math.ceil(Math.log(sizeBytes / lowestBytes) / Math.log(classFactor)))
}

/** Cut into runs, each of larger manifests than the newer one before it; what is full stands alone. */
function runsOf(newestFirst: readonly Listed[], targetBytes: number): Listed[][] {
  const runs: Listed[][] = []
  let largest = -1
  for (const one of newestFirst) {
    const now = sizeClass(one, targetBytes)
    if (now <= largest && now !== full) runs.at(-1)?.push(one)
    else {
      runs.push([one])
      largest = now === full ? -1 : now
    }
  }
  return runs
}

interface MergingRun {
  readonly run: readonly Listed[]
  readonly targetBytes: number
}

/** Merge neighbours into as few manifests as the target allows. */
async function mergeRun(work: Work, table: TableMetadata, { run, targetBytes }: MergingRun): Promise<Listed[]> {
  const merged: Listed[] = []
  let bin: Listed[] = []
  let sizeBytes = 0
  for (const one of [...run, undefined]) {
    if (one === undefined || (bin.length > 0 && sizeBytes + one.manifest.sizeBytes > targetBytes)) {
      merged.push(...(bin.length === 1 ? bin : await merge(work, table, bin)))
      bin = []
      sizeBytes = 0
    }
    if (one === undefined) break
    bin.push(one)
    sizeBytes += one.manifest.sizeBytes
  }
  return merged
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
