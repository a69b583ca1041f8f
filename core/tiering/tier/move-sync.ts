/** Sees to it that every shard of a mirror knows the same rewrites, whatever happened to who told them.
 *
 *  1. A rewrite is proposed to all shards before it is committed, and confirmed after. A proposal that nobody has
 *     confirmed was committed when the table has its new file, or had it in a snapshot that is still there.
 *  2. Shards that came later learn of earlier rewrites from the others: rows that move to them may name old files. */
import { TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import type { KeptMove } from './moves.ts'
import { fileIdOf } from './plain.ts'
import type { Relocation } from './port.ts'
import type { TableReport } from './program.ts'
import type { TierShards } from './shards.ts'

/** A mirror, its shards and what these say. */
export interface Moving {
  readonly table: string
  readonly shards: TierShards
}

/** Tell every shard of a rewrite that is about to be committed. */
export async function proposeMoves(
  { table, shards }: Moving,
  commit: string,
  moves: readonly Relocation[],
): Promise<void> {
  await shards.each((shard) => shards.ask(shard, 'propose', { table, commit, moves }))
}

/** Tell every shard that a rewrite was committed. */
export async function confirmMoves({ table, shards }: Moving, commit: string): Promise<void> {
  await shards.each((shard) => shards.ask(shard, 'confirm', { table, commit }))
}

/** Tell every shard that a rewrite was not committed. */
export async function dropMoves({ table, shards }: Moving, commit: string): Promise<void> {
  await shards.each((shard) => shards.ask(shard, 'drop', { table, commit }))
}

/** Finish what was left of rewrites, and let all shards know the same ones.
 *  @returns whether anything was done
 *  @cost nothing when all shards agree */
export async function syncMoves(
  moving: Moving,
  reports: readonly TableReport[],
  { files, metadata }: { readonly files: LakeFiles; readonly metadata: TableMetadata },
): Promise<boolean> {
  const newest = new Set(reports.map(({ relocated }) => relocated))
  if (newest.size <= 1 && !reports.some(({ proposed }) => proposed)) return false
  const { table, shards } = moving
  const kept = await shards.each((shard) => shards.ask<KeptMove[]>(shard, 'moves', { table }))
  const known = new Map<string, { readonly moves: Relocation[]; confirmed: boolean }>()
  for (const { commit, state, from, to, offset, without } of kept.flat()) {
    const one = known.get(commit) ?? { moves: [], confirmed: false }
    known.set(commit, one)
    one.confirmed ||= state > 0
    if (!one.moves.some((move) => move.from === from)) one.moves.push({ from, to, offset, without })
  }
  const there = await everyFile(files, metadata)
  for (const [commit, { moves, confirmed }] of known) {
    if (!confirmed && !moves.some(({ to }) => there.has(to))) {
      await dropMoves(moving, commit)
      continue
    }
    await proposeMoves(moving, commit, moves)
    await confirmMoves(moving, commit)
  }
  // All have the same ones now, and so the same name for the newest.
  const last = [...known].findLast(([, { confirmed, moves }]) => confirmed || moves.some(({ to }) => there.has(to)))
  if (last !== undefined) await confirmMoves(moving, last[0])
  return true
}

/** Bring the key indexes up to date with rewrites that are old enough. */
export async function rewriteIndexes({ table, shards }: Moving, graceMs?: number): Promise<void> {
  await shards.each(async (shard) => {
    const args = { table, limit: TIER_ROWS_PER_TURN, ...(graceMs !== undefined && { graceMs }) }
    while ((await shards.ask<{ more: boolean }>(shard, 'rewrite', args)).more);
  })
}

/** The ids of the data files of all snapshots. */
async function everyFile(files: LakeFiles, metadata: TableMetadata): Promise<Set<number>> {
  const ids = new Set<number>()
  const seen = new Set<string>()
  for (const snapshot of metadata.snapshots) {
    for (const manifest of await files.manifestList(snapshot['manifest-list'])) {
      if (manifest.content !== 'data' || seen.has(manifest.path)) continue
      seen.add(manifest.path)
      for (const { file } of await files.manifest(manifest, metadata)) {
        const id = fileIdOf(file.path)
        if (id !== undefined) ids.add(id)
      }
    }
  }
  return ids
}
