/** The job `evict`: lets payloads go as the policy says, and counts what is hot and what is cold. */
import { Failure } from '../../errors.ts'
import { TIER_COUNT_ROWS, TIER_FLUSH_ROUNDS_MAX, TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { JobShard } from '../../shard/job.ts'
import { ask } from './calls.ts'
import type { EvictCursor } from './evict-calls.ts'
import type { Policy } from './port.ts'

/** What shall leave; plain data. */
export interface EvictPlan extends Pick<Policy, 'hotForMs' | 'maxHotRows' | 'maxHotBytes'> {
  readonly collection: string
}

/** What left, and what is there. */
export interface Evicted {
  readonly rows: number
  readonly bytes: number
  readonly hotRows: number
  readonly hotBytes: number
  readonly coldRows: number
}

interface Bound {
  readonly untilMs: number
  readonly rows?: number | undefined
  readonly bytes?: number | undefined
}

/** Let payloads go: those that are old enough, then the oldest of those that are too many. */
export async function evict(shard: JobShard, plan: EvictPlan, nowMs: number): Promise<Evicted> {
  const { collection, hotForMs, maxHotRows, maxHotBytes } = plan
  const gone = { rows: 0, bytes: 0 }
  const letGo = async (bound: Bound) => {
    const { rows, bytes } = await evictUpTo(shard, collection, bound)
    gone.rows += rows
    gone.bytes += bytes
    return { rows, bytes }
  }
  if (hotForMs !== undefined) await letGo({ untilMs: nowMs - hotForMs })
  let counts = await countAll(shard, collection)
  const take = (left: { rows: number; bytes: number }) => {
    const { hotRows, hotBytes, coldRows } = counts
    counts = { hotRows: hotRows - left.rows, hotBytes: hotBytes - left.bytes, coldRows: coldRows + left.rows }
  }
  if (maxHotRows !== undefined && counts.hotRows > maxHotRows) {
    take(await letGo({ untilMs: nowMs, rows: counts.hotRows - maxHotRows }))
  }
  if (maxHotBytes !== undefined && counts.hotBytes > maxHotBytes) {
    take(await letGo({ untilMs: nowMs, bytes: counts.hotBytes - maxHotBytes }))
  }
  await ask(shard, 'counted', { collection, ...counts })
  return { ...gone, ...counts }
}

async function evictUpTo(shard: JobShard, collection: string, bound: Bound): Promise<{ rows: number; bytes: number }> {
  let [rows, bytes] = [0, 0]
  let after: EvictCursor | undefined
  for (let round = 0; round < TIER_FLUSH_ROUNDS_MAX; round++) {
    const piece = await ask<{ rows: number; bytes: number; after?: EvictCursor; busy?: 'settling' | 'reading' }>(
      shard,
      'evict',
      {
        collection,
        untilMs: bound.untilMs,
        rows: bound.rows === undefined ? undefined : bound.rows - rows,
        bytes: bound.bytes === undefined ? undefined : bound.bytes - bytes,
        after,
        limit: TIER_ROWS_PER_TURN,
      },
    )
    rows += piece.rows
    bytes += piece.bytes
    after = piece.after
    const isDone = piece.busy === 'settling' || (piece.busy === undefined && after === undefined)
    const isEnough = (bound.rows ?? Infinity) <= rows || (bound.bytes ?? Infinity) <= bytes
    if (isDone || isEnough) return { rows, bytes }
  }
  throw new Failure('unavailable', `${collection} changes faster than its payloads can leave; it is tried again later`)
}

async function countAll(shard: JobShard, collection: string) {
  let counts = { hotRows: 0, hotBytes: 0, coldRows: 0 }
  let after: { slot: number; key: string } | undefined
  do {
    const piece = await ask<typeof counts & { after?: { slot: number; key: string } }>(shard, 'count', {
      collection,
      after,
      limit: TIER_COUNT_ROWS,
    })
    counts = {
      hotRows: counts.hotRows + piece.hotRows,
      hotBytes: counts.hotBytes + piece.hotBytes,
      coldRows: counts.coldRows + piece.coldRows,
    }
    after = piece.after
  } while (after !== undefined)
  return counts
}
