/** The jobs of tiering, which hosts run beside their shards, and what they bring cold rows back with. */
import type { Clock } from '../../shard/clock.ts'
import type { Job, JobShard } from '../../shard/job.ts'
import type { Row, Table } from '../../shard/table.ts'
import type { Catalog } from '../iceberg/catalog.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import { ParquetCache } from '../parquet/read-cache.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import type { Compressor } from '../zstd.ts'
import { type EvictPlan, evict } from './evict.ts'
import { type FlushPlan, flush } from './flush.ts'
import { Payloads } from './payloads.ts'
import { fetchCold, thawAll } from './thaw.ts'
import { ThreadShare } from './thread-share.ts'

/** The names of the jobs. */
export const jobNames = { flush: 'tier.flush', evict: 'tier.evict', thaw: 'tier.thaw' } as const

/** What the jobs work with: a host has one of it where its shards run. */
export interface TierJobTools {
  readonly catalog: Catalog
  readonly files: LakeFiles
  readonly clock: Clock
  /** For new files. */
  readonly compressor: Compressor
  /** For files that are read, by codec. */
  readonly codecs: ParquetCodecs
  /** Rows of a row group; the writer's own when left out. */
  readonly rowGroupRows?: number
  /** Bytes of values in a row group at the most; the writer's own when left out. */
  readonly rowGroupBytes?: number
  /** For footers of files with payloads; one of its own when left out. */
  readonly cache?: ParquetCache
}

/** What a host runs for tiering. */
export interface TierJobs {
  readonly jobs: readonly Job[]
  /** Bring cold rows of a shard back. */
  fetchCold(shard: JobShard, cold: readonly { readonly table: Table; readonly key: Row }[]): Promise<void>
}

/** Make the jobs. */
export function tierJobs(tools: TierJobTools): TierJobs {
  const { clock, cache = new ParquetCache() } = tools
  const payloads = new Payloads({ ...tools, cache })
  const share = new ThreadShare(clock)
  const jobs: readonly Job[] = [
    {
      name: jobNames.flush,
      run: (shard, plan) => flush({ ...tools, payloads, ...share.join() }, shard, plan as FlushPlan),
    },
    { name: jobNames.evict, run: (shard, plan) => evict(shard, plan as EvictPlan, clock.nowMs()) },
    {
      name: jobNames.thaw,
      run: (shard, args) => thawAll(payloads, shard, (args as { collection: string }).collection),
    },
  ]
  return { jobs, fetchCold: (shard, cold) => fetchCold(payloads, shard, cold) }
}
