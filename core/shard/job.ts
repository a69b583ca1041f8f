/** Jobs: work beside a shard that takes time. A job runs where its shard runs, between the shard's groups, and reaches
 *  the shard only by calls; what a call returns does not cross a thread or a network on its way to the job. */
import { Failure } from '../errors.ts'
import type { ColdRow } from './cold.ts'
import type { Call } from './program.ts'

/** The epoch of a job's calls to the shard as a whole: they are answered at any epoch, but not while slots move. */
export const ANY_EPOCH = Number.MAX_SAFE_INTEGER

/** The shard that a job works for. */
export interface JobShard {
  readonly database: string
  readonly index: number
  /** Run calls in the shard's next group; replies may be large. */
  submit(calls: readonly Call[]): Promise<unknown[]>
}

/** Work that hosts run beside a shard; one list a host, the same in threads. */
export interface Job {
  readonly name: string
  /** @param args and the answer are plain data: they cross threads and networks
   *  @throws Failure */
  run(shard: JobShard, args: unknown): Promise<unknown>
}

/** What a host does beside its shards, in the thread where they run. */
export interface ShardWork {
  readonly jobs?: readonly Job[]
  /** Bring the payloads of cold rows back: by the time it settles, they stand in their rows. Without it, calls that
   *  need them are `unavailable`.
   *  @throws Failure */
  fetchCold?(shard: JobShard, cold: readonly ColdRow[]): Promise<void>
  /** Names of the tables whose rows `fetchCold` brings back; of all, when left out. */
  readonly fetches?: readonly string[]
}

/** Do beside shards what several engines want done. Rows that are cold are brought back by the first that names their
 *  table, else by the first that names none. */
export function joinWork(works: readonly ShardWork[]): ShardWork {
  const fetchers = works.filter(({ fetchCold }) => fetchCold !== undefined)
  const fetcherOf = ({ table }: ColdRow) =>
    fetchers.find(({ fetches }) => fetches?.includes(table.name)) ??
    fetchers.find(({ fetches }) => fetches === undefined)
  const fetchCold = async (shard: JobShard, cold: readonly ColdRow[]) => {
    const byFetcher = new Map<ShardWork, ColdRow[]>()
    for (const row of cold) {
      const fetcher = fetcherOf(row)
      if (fetcher === undefined) throw new Failure('unavailable', `nothing here fetches rows of ${row.table.name}`)
      byFetcher.set(fetcher, [...(byFetcher.get(fetcher) ?? []), row])
    }
    await Promise.all([...byFetcher].map(([fetcher, rows]) => fetcher.fetchCold?.(shard, rows)))
  }
  return { jobs: works.flatMap(({ jobs = [] }) => jobs), ...(fetchers.length > 0 && { fetchCold }) }
}

/** Run a job by its name.
 *  @throws unsupported when there is none; what the job throws */
export async function runJob(
  { jobs = [] }: ShardWork,
  shard: JobShard,
  { name, args }: { name: string; args: unknown },
): Promise<unknown> {
  const job = jobs.find((one) => one.name === name)
  if (job === undefined) throw new Failure('unsupported', `no job ${name} runs beside this shard`)
  return job.run(shard, args)
}
