/** Jobs: work beside a shard that takes time. A job runs where its shard runs, between the shard's groups, and reaches
 *  the shard only by calls; what a call returns does not cross a thread or a network on its way to the job. */
import type { Call } from './program.ts'

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
