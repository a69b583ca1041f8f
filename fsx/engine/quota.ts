/** How much a filesystem holds, and how much it may. Counted once when somebody wants to know, then kept up. */
import { refuse } from '../errors.ts'
import { type HeadRow, heads } from '../tables.ts'
import { inodesOf } from './seen.ts'
import { type Files, flush, MAIN, type Usage, writeMeta } from './volume.ts'

/** Tell what is used.
 *  @cost a look at every inode the first time */
export function readUsage(files: Files): Usage {
  const { tx, volume } = files
  if (volume.usage !== undefined) return volume.usage
  flush(files)
  const [row] = tx.raw(`with ${inodesOf(volume)} select coalesce(sum(stored), 0), count(*) from inodes`)
  const usage = { bytes: Number(row?.[0]), inodes: Number(row?.[1]) }
  volume.usage = usage
  tx.onUndo(() => {
    volume.usage = undefined
  })
  return usage
}

/** Count bytes that are stored or freed. */
export function countBytes({ tx, volume }: Files, bytes: number): void {
  const { usage } = volume
  if (usage === undefined || bytes === 0) return
  usage.bytes += bytes
  tx.onUndo(() => {
    usage.bytes -= bytes
  })
}

/** Count an inode that is made (1) or gone (-1). */
export function countInode({ tx, volume }: Files, count: 1 | -1): void {
  const { usage } = volume
  if (usage === undefined) return
  usage.inodes += count
  tx.onUndo(() => {
    usage.inodes -= count
  })
}

/** Refuse to store more than is allowed.
 *  @throws EDQUOT */
export function checkRoomFor(files: Files, bytes: number): void {
  const { quotaBytes } = files.volume
  const isBounded = quotaBytes < Number.POSITIVE_INFINITY
  if (bytes > 0 && isBounded && readUsage(files).bytes + bytes > quotaBytes) throw refuse('EDQUOT')
}

/** Count bytes that a file shall store, unless that is too much.
 *  @throws EDQUOT */
export function checkQuota(files: Files, bytes: number): void {
  checkRoomFor(files, bytes)
  countBytes(files, bytes)
}

/** Count an inode that shall be made, unless that is too many.
 *  @throws EDQUOT */
export function checkInodeQuota(files: Files): void {
  const { quotaBytes, quotaInodes } = files.volume
  // What counts bytes later must not begin to count when this one is noted and not there.
  if (quotaBytes < Number.POSITIVE_INFINITY) readUsage(files)
  if (quotaInodes < Number.POSITIVE_INFINITY && readUsage(files).inodes + 1 > quotaInodes) throw refuse('EDQUOT')
  countInode(files, 1)
}

/** Bound what the filesystem may hold. */
export function setQuota({ tx, volume }: Files, { bytes, inodes }: { bytes?: number; inodes?: number }): void {
  const { quotaBytes, quotaInodes } = volume
  tx.onUndo(() => Object.assign(volume, { quotaBytes, quotaInodes }))
  volume.quotaBytes = bytes ?? quotaBytes
  volume.quotaInodes = inodes ?? quotaInodes
  if (volume.head === MAIN) {
    if (bytes !== undefined) writeMeta(tx, 'quota_bytes', bytes)
    if (inodes !== undefined) writeMeta(tx, 'quota_inodes', inodes)
    return
  }
  const head = tx.find(heads, { name: volume.head }) as HeadRow
  tx.put(heads, {
    ...head,
    ...(bytes !== undefined && { quota_bytes: bytes }),
    ...(inodes !== undefined && { quota_inodes: inodes }),
  })
}
