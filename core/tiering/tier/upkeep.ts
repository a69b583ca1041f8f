/** Keeps the tables of the lake in shape: few snapshots, few files, nothing that nobody needs. */
import { TIER_RELOCATED_PER_TURN, TIER_SMALL_FILE_BYTES } from '../../limits.ts'
import { archiveFiles } from '../iceberg/archive.ts'
import type { LoadedTable } from '../iceberg/catalog.ts'
import { compactTable } from '../iceberg/compact.ts'
import { ancestorsOf } from '../iceberg/history.ts'
import { expireSnapshots, findOrphans, removeOldMetadata } from '../iceberg/maintain.ts'
import { type CommitterTools, commitTable, liveFiles, type TierTable } from './committer.ts'
import type { Relocated } from './places.ts'
import type { Relocation } from './port.ts'
import { positionFiles } from './positions.ts'
import { announceRewrite, checkRewrite, type Rewrite } from './rewrite.ts'
import type { KeptReceipt } from './state.ts'

/** What a piece of upkeep did. */
export interface Kept {
  readonly files: number
  readonly rows: number
  readonly bytes: number
}

/** How tables are rewritten. */
export interface RewriteOptions {
  readonly targetBytes?: number | undefined
  readonly minFiles?: number | undefined
  readonly rowGroupRows?: number | undefined
}

/** Count the small files of a table. */
export async function smallFiles(
  { files }: CommitterTools,
  { metadata }: LoadedTable,
  smallBytes: number = TIER_SMALL_FILE_BYTES,
): Promise<number> {
  const { byPath } = await liveFiles(files, metadata)
  let count = 0
  for (const { sizeBytes } of byPath.values()) if (sizeBytes < smallBytes) count++
  return count
}

/** Put small files together, and leave out what was deleted. Shards follow their rows.
 *  @param isMirror whether shards know rows of the table by place
 *  @throws conflict when the table kept changing */
export async function compact(
  tools: CommitterTools,
  table: TierTable,
  { isMirror, ...options }: RewriteOptions & { readonly isMirror: boolean },
): Promise<Kept> {
  // What is committed is settled first: shards then name files as the table has them.
  await commitTable(tools, table)
  const { compressor, codecs } = tools
  const wanted = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  let rewrite: Rewrite | undefined
  const done = await compactTable(tools, table.name, {
    compressor,
    codecs,
    relocations: isMirror,
    ...wanted,
    async beforeCommit(moves: readonly Relocation[]) {
      if (moves.length === 0) return
      rewrite = await announceRewrite(tools, table, moves)
      await tellMoves(table, rewrite, moves)
    },
    check: (metadata) => checkRewrite(metadata, rewrite),
  })
  return { files: done.removedFiles, rows: done.rows, bytes: done.bytes }
}

/** Tell every shard where a rewrite is about to put its rows. */
async function tellMoves(
  { table, shards }: TierTable,
  { number: rewrite }: Rewrite,
  moves: readonly Relocation[],
): Promise<void> {
  await shards.each(async (shard) => {
    for (const move of moves) {
      const { from, to } = move
      let said: Relocated = { more: true, tell: true }
      while (said.more) {
        const more = { after: said.after, ...(said.tell && { move }) }
        said = await shards.ask<Relocated>(shard, 'relocate', {
          table,
          rewrite,
          from,
          to,
          limit: TIER_RELOCATED_PER_TURN,
          ...more,
        })
      }
    }
  })
}

/** Move files that are old enough to another store. */
export async function archive(
  tools: CommitterTools,
  { name }: TierTable,
  { afterMs, root }: { readonly afterMs: number; readonly root: string },
): Promise<Kept> {
  const { compressor, codecs } = tools
  const { files, bytes } = await archiveFiles(tools, name, { olderThanMs: afterMs, to: root, compressor, codecs })
  return { files, rows: 0, bytes }
}

/** Let old snapshots go, with the files that only they named.
 *  @returns how many files were deleted */
export async function expireTable(tools: CommitterTools, { name }: TierTable): Promise<Kept> {
  const { deleted } = await expireSnapshots(tools, name)
  return { files: deleted.length, rows: 0, bytes: 0 }
}

/** Delete files that nothing names any more, and old metadata.
 *  @param minAgeMs how old an orphan is at the least
 *  @returns how many files were deleted */
export async function cleanTable(
  tools: CommitterTools,
  { table, name, shards }: TierTable,
  minAgeMs?: number,
): Promise<Kept> {
  const orphans = await findOrphans(tools, name, { ...(minAgeMs !== undefined && { minAgeMs }) })
  // Receipts may wait for long, when the lake is paused; asked for after the list, so that none is missed.
  const receipts = await shards.each((shard) => shards.ask<KeptReceipt | null>(shard, 'receipt', { table }))
  const { metadata } = await tools.catalog.loadTable(name)
  const used = new Set(positionFiles(metadata))
  for (const receipt of receipts) for (const { path } of receipt?.files ?? []) used.add(path)
  const { byPath } = await liveFiles(tools.files, metadata)
  const unused = orphans.filter((path) => !used.has(path) && !byPath.has(path))
  await tools.files.delete(unused)
  const old = await removeOldMetadata(tools, name)
  return { files: unused.length + old.length, rows: 0, bytes: 0 }
}

/** When a table was committed to last; undefined when it never was. */
export function committedMs({ metadata }: LoadedTable): number | undefined {
  return ancestorsOf(metadata, metadata.refs.main?.['snapshot-id'])[0]?.['timestamp-ms']
}
