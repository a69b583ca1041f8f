/** Snapshot summaries: what a commit did, and what the table holds since, in numbers that engines plan with.
 *  @source https://iceberg.apache.org/spec/ (v2), appendix F: Optional Snapshot Summary Fields */
import { type DataFile, isVector, ownBytes } from './data-file.ts'
import type { Operation, Snapshot } from './metadata.ts'

/** The property that names a commit: after an unknown outcome it tells whether the commit was done. */
export const commitIdProperty = 'dotdo.commit-id'

/** What the names of properties that say how far shards have come begin with. */
const positionsPrefix = 'dotdo.positions'

/** Find how far shards had come: what the newest snapshot that says it says.
 *  @param line newest first */
export function positionsIn(line: readonly Snapshot[]): { readonly [key: string]: string } {
  for (const { summary } of line) {
    const found = Object.entries(summary).filter(([key]) => key.startsWith(positionsPrefix))
    if (found.length > 0) return Object.fromEntries(found)
  }
  return {}
}

/** What a commit adds and removes. */
export interface Delta {
  readonly added: readonly DataFile[]
  readonly removed: readonly DataFile[]
  /** Partitions that any of the files are in. */
  readonly partitions: number
}

interface Tally {
  dataFiles: number
  records: number
  sizeBytes: number
  deleteFiles: number
  positionFiles: number
  vectors: number
  positionDeletes: number
  equalityFiles: number
  equalityDeletes: number
}

function tally(files: readonly DataFile[]): Tally {
  const sum: Tally = {
    dataFiles: 0,
    records: 0,
    sizeBytes: 0,
    deleteFiles: 0,
    positionFiles: 0,
    vectors: 0,
    positionDeletes: 0,
    equalityFiles: 0,
    equalityDeletes: 0,
  }
  for (const file of files) {
    const { content, recordCount } = file
    sum.sizeBytes += ownBytes(file)
    if (content === 'data') {
      sum.dataFiles++
      sum.records += recordCount
      continue
    }
    sum.deleteFiles++
    if (content === 'position-deletes') {
      if (isVector(file)) sum.vectors++
      else sum.positionFiles++
      sum.positionDeletes += recordCount
    } else {
      sum.equalityFiles++
      sum.equalityDeletes += recordCount
    }
  }
  return sum
}

const addedNames: readonly (readonly [keyof Tally, added: string, removed: string])[] = [
  ['dataFiles', 'added-data-files', 'deleted-data-files'],
  ['records', 'added-records', 'deleted-records'],
  ['sizeBytes', 'added-files-size', 'removed-files-size'],
  ['deleteFiles', 'added-delete-files', 'removed-delete-files'],
  ['positionFiles', 'added-position-delete-files', 'removed-position-delete-files'],
  ['vectors', 'added-dvs', 'removed-dvs'],
  ['positionDeletes', 'added-position-deletes', 'removed-position-deletes'],
  ['equalityFiles', 'added-equality-delete-files', 'removed-equality-delete-files'],
  ['equalityDeletes', 'added-equality-deletes', 'removed-equality-deletes'],
]

const totalNames: readonly (readonly [keyof Tally, total: string])[] = [
  ['records', 'total-records'],
  ['sizeBytes', 'total-files-size'],
  ['dataFiles', 'total-data-files'],
  ['deleteFiles', 'total-delete-files'],
  ['positionDeletes', 'total-position-deletes'],
  ['equalityDeletes', 'total-equality-deletes'],
]

/** Sum up a commit.
 *  @param parent the snapshot before, from which totals go on; a total that it does not have is left out
 *  @param more properties of the caller's own */
export function summarizeCommit(
  operation: Operation,
  delta: Delta,
  { parent, more }: { readonly parent: Snapshot | undefined; readonly more: { readonly [key: string]: string } },
): Snapshot['summary'] {
  const [added, removed] = [tally(delta.added), tally(delta.removed)]
  const summary: Record<string, string> = { ...more }
  for (const [key, addedName, removedName] of addedNames) {
    if (added[key] > 0) summary[addedName] = `${added[key]}`
    if (removed[key] > 0) summary[removedName] = `${removed[key]}`
  }
  summary['changed-partition-count'] = `${delta.partitions}`
  for (const [key, name] of totalNames) {
    const before = parent === undefined ? 0 : Number(parent.summary[name] ?? Number.NaN)
    const total = before + added[key] - removed[key]
    if (total >= 0) summary[name] = `${total}`
  }
  return { ...summary, operation }
}
