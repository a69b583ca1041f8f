/** One rewrite of a mirror at a time, however many services there are, and whenever their requests arrive.
 *
 *  1. A rewrite is announced by a snapshot of its own, before shards are told of it. An earlier one finds at its next
 *     attempt that it is not the newest any more, and comes to nothing; attempts under way fail, as `main` has moved.
 *  2. So when shards are told, no other rewrite can still be committed: the places that an earlier one told may be
 *     forgotten. Shards refuse what an earlier one tells too late. */
import { Failure } from '../../errors.ts'
import { commitChange } from '../iceberg/commit.ts'
import { ancestorsOf } from '../iceberg/history.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { randomUuid } from '../iceberg/random.ts'
import { staleChange } from '../iceberg/requirement.ts'
import { type CommitterTools, liveFiles, type TierTable } from './committer.ts'
import type { Relocation } from './port.ts'

const property = 'dotdo.rewrite'

/** A rewrite that has been announced. */
export interface Rewrite {
  readonly id: string
  /** Grows from one to the next, also when the table was made anew in between. */
  readonly number: number
}

/** Announce a rewrite.
 *  @throws conflict, as stale, when the files are not those of the table any more */
export async function announceRewrite(
  tools: CommitterTools,
  { name, table }: TierTable,
  moves: readonly Relocation[],
): Promise<Rewrite> {
  const id = randomUuid(tools.clock)
  const done = await commitChange(tools, name, { summary: { [property]: id } }, id)
  const { byId } = await liveFiles(tools.files, done.table.metadata)
  if (moves.some(({ from }) => !byId.has(from)))
    throw staleChange(`files of ${table} went while they were written anew`)
  const { 'timestamp-ms': atMs, 'sequence-number': sequence } = done.snapshot
  return { id, number: atMs * 1000 + (sequence % 1000) }
}

/** Check that a rewrite is still the newest.
 *  @throws conflict when it is not, and never will be again */
export function checkRewrite(metadata: TableMetadata, rewrite: Rewrite | undefined): void {
  const line = ancestorsOf(metadata, metadata.refs.main?.['snapshot-id'])
  const newest = line.find(({ summary }) => property in summary)?.summary[property]
  if (rewrite === undefined || newest === rewrite.id) return
  throw new Failure('conflict', 'another rewrite of the table has begun')
}
