/** Tiers beside a shard of a test. For tests only. */

import { Failure } from '../core/errors.ts'
import { type Call, type ColdRow, type JobShard, runJob, type Shard } from '../core/shard/index.ts'
import type { Caller } from './api/request.ts'
import { fsxWork, type TierTools } from './tier/index.ts'

/** What runs beside one shard. */
export interface Beside {
  fetchCold(cold: readonly ColdRow[]): Promise<void>
  job(name: string, args: object): Promise<unknown>
}

/** Run tiers beside a shard. */
export function besideOf(shard: () => Pick<Shard, 'submit'>, tools: TierTools, database = 'test'): Beside {
  const work = fsxWork(tools)
  const submit = (calls: readonly Call[]) => shard().submit(calls)
  const forJobs: JobShard = { database, index: 0, submit }
  return {
    fetchCold: async (cold) => work.fetchCold?.(forJobs, cold),
    job: (name, args) => runJob(work, forJobs, { name, args }),
  }
}

/** Make the way to the filesystem of a shard. */
export function besideCaller(shard: Pick<Shard, 'submit'>, { job }: Beside): Caller {
  return {
    job,
    async call(name, args) {
      const [reply] = await shard.submit([{ program: 'fsx', name, slot: 0, epoch: 1, args }])
      if (reply instanceof Failure) throw reply
      return reply
    },
  }
}

/** Make bytes that do not compress, the same for the same seed. */
export function noise(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed * 2_654_435_761
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}
