/** The cold part of a table: which files of a snapshot hold it, and what planning left out. */

import { SQL_SNAPSHOTS_KNOWN_MAX } from '../../limits.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import type { AsOf } from '../iceberg/history.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { planScan, type ScanPlan } from '../iceberg/scan.ts'
import { fileIdOf } from '../tier/plain.ts'
import { type Condition, toPredicate } from './condition.ts'

/** All data files of a snapshot. */
export interface SnapshotFiles {
  readonly files: number
  readonly bytes: number
  readonly rows: number
  /** Ids of those that shards name in their deletes. */
  readonly ids: ReadonlySet<number>
}

/** What to read of a snapshot. */
export interface ColdPlan extends ScanPlan {
  readonly whole: SnapshotFiles
  /** Bytes of the files to read. */
  readonly bytes: number
}

/** Plans scans, and remembers what snapshots hold. */
export class ColdPlanner {
  private readonly files: LakeFiles
  /** By table and snapshot, the one used last at the end. */
  private readonly known = new Map<string, SnapshotFiles>()

  constructor(files: LakeFiles) {
    this.files = files
  }

  /** Plan what to read of a table for conditions that all hold.
   *  @throws not_found for a snapshot or ref that is not there
   *  @cost for a snapshot that is new here, all of its manifests */
  async plan(table: TableMetadata, conditions: readonly Condition[], asOf?: AsOf): Promise<ColdPlan> {
    const options = asOf === undefined ? {} : { asOf }
    // The schema to bind conditions to is that of the plan, which may be of the past.
    const { schema } = await planScan(this.files, table, { ...options, where: { op: 'false' } })
    const where = toPredicate({ op: 'and', args: conditions }, schema)
    const plan = await planScan(this.files, table, where === undefined ? options : { ...options, where })
    const whole = await this.whole(table, plan, where === undefined)
    return { ...plan, whole, bytes: sum(plan) }
  }

  private async whole(table: TableMetadata, plan: ScanPlan, isWhole: boolean): Promise<SnapshotFiles> {
    const { snapshot } = plan
    if (snapshot === undefined) return { files: 0, bytes: 0, rows: 0, ids: new Set() }
    const snapshotId = snapshot['snapshot-id']
    const key = `${table['table-uuid']} ${snapshotId}`
    const known = this.known.get(key)
    this.known.delete(key)
    const found = known ?? contentsOf(isWhole ? plan : await planScan(this.files, table, { asOf: { snapshotId } }))
    this.known.set(key, found)
    for (const oldest of this.known.keys()) {
      if (this.known.size <= SQL_SNAPSHOTS_KNOWN_MAX) break
      this.known.delete(oldest)
    }
    return found
  }
}

const sum = ({ tasks }: ScanPlan) => tasks.reduce((bytes, { file }) => bytes + file.sizeBytes, 0)

function contentsOf(plan: ScanPlan): SnapshotFiles {
  const ids = new Set<number>()
  let rows = 0
  for (const { file } of plan.tasks) {
    const id = fileIdOf(file.path)
    if (id !== undefined) ids.add(id)
    rows += file.recordCount
  }
  return { files: plan.tasks.length, bytes: sum(plan), rows, ids }
}
