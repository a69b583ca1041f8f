/** Asks a shard's `tier` program, from a job beside it. */

import type { JobShard } from '../../shard/job.ts'
import type { Call } from '../../shard/program.ts'
import { unwrap } from '../../shard/router.ts'
import { TIER } from './port.ts'
import type { TierCalls } from './program.ts'

/** A call of the program, with its arguments. */
export type TierCall = { [Name in keyof TierCalls]: readonly [name: Name, args: TierCalls[Name]] }[keyof TierCalls]

/** Ask several things of a shard, in one group.
 *  @returns the answers; their types are the caller's to know
 *  @throws the first Failure among them */
export async function askAll(shard: Pick<JobShard, 'submit'>, ...calls: readonly TierCall[]): Promise<unknown[]> {
  // A job runs where its shard is: whatever the epoch, it speaks of the shard as it is.
  const epoch = Number.MAX_SAFE_INTEGER
  const made = calls.map(([name, args]): Call => ({ program: TIER, name, slot: -1, epoch, args }))
  return (await shard.submit(made)).map(unwrap)
}

/** Ask one thing of a shard. */
export async function ask<T>(shard: Pick<JobShard, 'submit'>, ...call: TierCall): Promise<T> {
  return (await askAll(shard, call))[0] as T
}
