/** When what upkeep of one table is due, and doing it. Called by who commits to the table, between commits. */
import {
  TIER_CLEAN_EVERY_MS,
  TIER_COMMITS_PER_EXPIRY,
  TIER_COMPACT_EVERY_MS,
  TIER_SMALL_FILES_MAX,
} from '../../limits.ts'
import type { LoadedTable } from '../iceberg/catalog.ts'
import type { PlannedTable } from './lake-database.ts'
import type { LakeOptions } from './lake-options.ts'
import { loadIfThere } from './lake-table.ts'
import type { TierEvent } from './port.ts'
import { archive, cleanTable, compact, expireTable, type Kept, smallFiles } from './upkeep.ts'

/** The upkeep of one table. */
export class TableUpkeep {
  private readonly options: LakeOptions
  /** The sequence number at the last look for expired snapshots, and at the last count of files. */
  private expiredAt: number | undefined
  private countedAt: number | undefined
  private compactedAtMs = Number.NEGATIVE_INFINITY
  private cleanedAtMs: number
  private archivedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: LakeOptions) {
    this.options = options
    // Not at every start of a process: a look at all files of a table costs something.
    this.cleanedAtMs = options.clock.nowMs()
  }

  /** Do what is due. */
  async run(table: PlannedTable): Promise<void> {
    const { options } = this
    const loaded = await loadIfThere(options.catalog, table.name)
    if (loaded === undefined) return
    const nowMs = options.clock.nowMs()
    const sequence = loaded.metadata['last-sequence-number']
    this.expiredAt ??= sequence
    if (sequence - this.expiredAt >= (options.commitsPerExpiry ?? TIER_COMMITS_PER_EXPIRY)) {
      this.tell('expired', table, await expireTable(options, table), 'files of old snapshots were deleted')
      this.expiredAt = sequence
    }
    if (await this.wantsCompaction(loaded, nowMs)) await this.compact(table)
    this.countedAt = sequence
    await this.archiveDue(table, nowMs)
    if (nowMs - this.cleanedAtMs >= (options.cleanEveryMs ?? TIER_CLEAN_EVERY_MS)) await this.clean(table)
  }

  private async wantsCompaction(loaded: LoadedTable, nowMs: number): Promise<boolean> {
    const { compactEveryMs = TIER_COMPACT_EVERY_MS, smallFilesMax = TIER_SMALL_FILES_MAX } = this.options
    if (compactEveryMs === 0 || nowMs - this.compactedAtMs < compactEveryMs) return false
    if (loaded.metadata['last-sequence-number'] === this.countedAt) return false
    return (await smallFiles(this.options, loaded)) > smallFilesMax
  }

  /** Put small files together now. */
  async compact(table: PlannedTable): Promise<void> {
    this.compactedAtMs = this.options.clock.nowMs()
    const isMirror = table.info !== undefined
    const kept = await compact(this.options, table, { ...this.options.rewrite, isMirror })
    this.tell('compacted', table, kept, 'files were written anew')
  }

  private async archiveDue(table: PlannedTable, nowMs: number): Promise<void> {
    const cold = table.policy?.cold
    if (cold === undefined || nowMs - this.archivedAtMs < (this.options.cleanEveryMs ?? TIER_CLEAN_EVERY_MS)) return
    const root = this.options.stores?.[cold.store]
    if (root === undefined) return
    this.archivedAtMs = nowMs
    this.tell('archived', table, await archive(this.options, table, { afterMs: cold.afterMs, root }), 'files moved')
  }

  /** Expire snapshots, remove orphans and old metadata now. */
  async clean(table: PlannedTable): Promise<void> {
    this.cleanedAtMs = this.options.clock.nowMs()
    if ((await loadIfThere(this.options.catalog, table.name)) === undefined) return
    const expired = await expireTable(this.options, table)
    const cleaned = await cleanTable(this.options, table)
    const files = expired.files + cleaned.files
    this.tell('expired', table, { files, rows: 0, bytes: 0 }, 'files that nothing needs were deleted')
  }

  private tell(kind: TierEvent['kind'], { table, shards }: PlannedTable, kept: Kept, what: string): void {
    if (kept.files === 0) return
    const { files, rows, bytes } = kept
    const message = `${files} ${what}`
    this.options.listener?.({ kind, database: shards.database, table, message, files, rows, bytes })
  }
}
