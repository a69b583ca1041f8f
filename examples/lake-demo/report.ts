/** What the lake demo found out, and how it is told. */
import type { SqlStats } from '@dotdo/core/tiering/sql'
import { type Sample, terminalChart } from './chart.ts'
import type { Totals } from './flights.ts'

/** A commit, and what held when it was made. */
export interface Commit {
  readonly snapshotId: string
  readonly totals: Totals
}

/** What the demo found out. */
export interface Result {
  /** Whether every answer was right. */
  readonly ok: boolean
  readonly problems: readonly string[]
  readonly dataset: string
  /** Rows written through Redis: new ones, corrections, cancellations. */
  readonly written: number
  readonly seconds: number
  readonly commits: number
  /** Answers that were compared with the model. */
  readonly checks: number
  readonly compaction: {
    readonly filesBefore: number
    readonly filesAfter: number
    readonly bytesBefore: number
    readonly bytesAfter: number
  }
  /** What one group-by over everything cost after compaction. */
  readonly query: SqlStats
  readonly restartMs: number
  readonly readBack: { readonly keys: number; readonly medianMs: number; readonly worstMs: number }
  readonly samples: readonly Sample[]
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
const kilobytes = (bytes: number) => `${whole(bytes / 1000)} KB`

/** Write the result for people. */
export function summary(result: Result): string[] {
  const { ok, problems, written, seconds, commits, checks, compaction, query, restartMs, readBack, samples } = result
  const hot = samples.map(({ hotBytes }) => hotBytes)
  return [
    '',
    `Write     ${whole(written)} rows in ${seconds.toFixed(1)} s, with ${commits} commits, and 4 queries at each`,
    `Tier      hot payloads never more than ${kilobytes(Math.max(...hot))}; ` +
      `${kilobytes(compaction.bytesAfter)} in the lake`,
    `Compact   ${compaction.filesBefore} files became ${compaction.filesAfter}, ` +
      `${kilobytes(compaction.bytesBefore)} became ${kilobytes(compaction.bytesAfter)}`,
    `Query     group by over all rows: ${whole(query.elapsedMs)} ms, ${query.files - query.filesPruned} of ` +
      `${query.files} files, ${whole(query.hotRows)} rows from ${query.shards} shards`,
    `Travel    every one of ${commits} commits read again as of then`,
    `Restart   after kill -9: listening after ${whole(restartMs)} ms; ${readBack.keys} keys through Redis, ` +
      `${readBack.medianMs.toFixed(1)} ms each (worst ${readBack.worstMs.toFixed(1)} ms)`,
    'Hot and cold over time',
    ...terminalChart(samples),
    '',
    ok
      ? `All ${whole(checks)} answers are the model's: no gap, no double, at any moment.`
      : `SOMETHING IS WRONG:\n  ${problems.slice(0, 20).join('\n  ')}`,
  ]
}
