/** Tiers: what a host runs beside the shards of filesystems, so that cold content can leave and come back. */
import type { JobShard, ShardWork } from '@dotdo/core/shard'
import { chunks } from '../tables.ts'
import { fetchChunks } from './fetch.ts'
import { runPass, type TierReport } from './pass.ts'
import type { TierTools } from './tools.ts'

/** The name of the job that runs a pass. */
export const FSX_TIER = 'fsx.tier'

export type { TierReport } from './pass.ts'
export type { Codec, TierTools } from './tools.ts'

/** Make what is done beside shards. With an engine of its own beside it, see `joinWork`. */
export function fsxWork(tools: TierTools): ShardWork {
  const running = new Map<string, Promise<TierReport>>()
  const pass = (shard: JobShard): Promise<TierReport> => {
    const { database, index } = shard
    const name = `${database}/${index}`
    const run = running.get(name) ?? runPass(tools, shard).finally(() => running.delete(name))
    running.set(name, run)
    return run
  }
  return {
    jobs: [{ name: FSX_TIER, run: pass }],
    fetchCold: (shard, cold) => fetchChunks(tools, shard, cold),
    fetches: [chunks.name],
  }
}
