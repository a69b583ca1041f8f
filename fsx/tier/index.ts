/** Tiers: what a host runs beside the shards of filesystems, so that cold content can leave and come back. */
import type { JobShard, ShardWork } from '@dotdo/core/shard'
import { chunks } from '../tables.ts'
import { fetchChunks } from './fetch.ts'
import { type PassArgs, runPass, type TierReport } from './pass.ts'
import type { TierTools } from './tools.ts'

/** The name of the job that runs a pass. */
export const FSX_TIER = 'fsx.tier'

export type { TierReport } from './pass.ts'
export type { Codec, TierTools } from './tools.ts'

/** Make what is done beside shards. With an engine of its own beside it, see `joinWork`. */
export function fsxWork(tools: TierTools): ShardWork {
  const running = new Map<string, { readonly all: string | undefined; readonly report: Promise<TierReport> }>()
  /** One at a time: who asks for the same meanwhile gets that one's report, others wait. */
  const pass = async (shard: JobShard, args: PassArgs): Promise<TierReport> => {
    const name = `${shard.database}/${shard.index}`
    for (let other = running.get(name); other !== undefined; other = running.get(name)) {
      if (other.all === args.all) return other.report
      await other.report.catch(() => undefined)
    }
    const report = runPass(tools, shard, args).finally(() => running.delete(name))
    running.set(name, { all: args.all, report })
    return report
  }
  return {
    jobs: [{ name: FSX_TIER, run: (shard, args) => pass(shard, args as PassArgs) }],
    fetchCold: (shard, cold) => fetchChunks(tools, shard, cold),
    fetches: [chunks.name],
  }
}
