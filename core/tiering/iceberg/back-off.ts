/** Waiting between attempts of a commit. */
import { ICEBERG_COMMIT_RETRY_FIRST_MS, ICEBERG_COMMIT_RETRY_MS_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'

/** Wait a random time, the longer the more attempts there were. */
export function backOff(clock: Clock, attempt: number): Promise<void> {
  const most = Math.min(ICEBERG_COMMIT_RETRY_MS_MAX, ICEBERG_COMMIT_RETRY_FIRST_MS * 2 ** (attempt - 1))
  const delayMs = (clock.random() / 2 ** 48) * most
  return new Promise((resolve) => void clock.after(delayMs, resolve))
}
