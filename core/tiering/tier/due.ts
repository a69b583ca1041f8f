/** When a shard writes its changes to a table: files are to be worth reading, and nobody is to wait for them too long.
 *
 *  1. `flushBytes` is about files, whose bytes nobody knows before they are written: they are told from the bytes of
 *     log, by what the shard's last receipt made of its own. Of several files of one receipt, the smallest counts.
 *  2. Small files tell too much, as their footers and dictionaries weigh more: they can only lower what is expected.
 *     Too few expected bytes make larger files, no later than `flushEvery` allows. */
import { TIER_FILE_SHARE, TIER_WAITING_LOG_BYTES } from '../../limits.ts'
import type { TableReport } from './program.ts'
import { deadLettersTable } from './schemas.ts'
import type { KeptReceipt } from './state.ts'

/** What of a table says when it is written. */
export interface FlushRule {
  readonly table: string
  readonly flushEveryMs: number
  readonly flushBytes: number
}

/** How many bytes the shards' files have for each byte of their logs. */
export class FileShares {
  private readonly shares = new Map<string, number>()

  /** Learn from what a shard has written.
   *  @param report of the shard before it wrote */
  learn(
    { table, flushBytes }: FlushRule,
    shard: number,
    { report, receipt }: { report: TableReport; receipt: KeptReceipt },
  ) {
    const { lagBytes, lagChanges } = report
    const from = receipt.from?.incarnation === receipt.to.incarnation ? receipt.from.seq : 0
    const logBytes = (lagBytes * (receipt.to.seq - from)) / lagChanges
    if (!(logBytes > 0) || receipt.files.length === 0) return
    const sizes = receipt.files.map(({ file }) => (file as { sizeBytes: number }).sizeBytes)
    const smallest = Math.min(...sizes)
    const share = smallest / logBytes
    const known = this.shares.get(`${table} ${shard}`) ?? TIER_FILE_SHARE
    this.shares.set(`${table} ${shard}`, smallest >= flushBytes / 2 ? share : Math.min(known, share))
  }

  /** Estimate how large a shard's smallest file would be. */
  fileBytes(table: string, shard: number, logBytes: number): number {
    return logBytes * (this.shares.get(`${table} ${shard}`) ?? TIER_FILE_SHARE)
  }
}

/** Whether a shard should write a table's changes now.
 *  @param force when there are any */
export function isDue(
  { flushEveryMs, flushBytes, table }: FlushRule,
  { pending, lagChanges, lagBytes, oldestMs, newest, watermark }: TableReport,
  { nowMs, force, fileBytes }: { nowMs: number; force: boolean; fileBytes: number },
): boolean {
  if (pending !== undefined || newest.seq === 0) return false
  if (watermark?.incarnation === newest.incarnation && lagChanges === 0) return false
  if (force || fileBytes >= flushBytes || lagBytes >= Math.max(flushBytes, TIER_WAITING_LOG_BYTES)) return true
  // What is there from before comes into the lake at once, and what a restored shard has.
  if (watermark?.incarnation !== newest.incarnation && table !== deadLettersTable) return true
  return oldestMs !== undefined && nowMs - oldestMs >= flushEveryMs
}
