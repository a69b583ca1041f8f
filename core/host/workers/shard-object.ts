/** A shard as a Durable Object. Workers only.
 *
 *  1. Requests that have arrived run as one group in one transaction: workerd itself would sync once a request.
 *  2. A reply leaves after its commit: the platform's output gate.
 *  3. Evicted and started again, the object reads itself back from its storage; an alarm wakes it for active expiry.
 *  4. After a storage failure the object is reset: what SQLite then has undone, this process cannot know. */
import { DurableObject } from 'cloudflare:workers'
import { toFailure, toWire, type WireFailure } from '../../errors.ts'
import {
  WORKERS_ALARM_LATE_MS,
  WORKERS_CACHED_BYTES_MAX,
  WORKERS_CACHED_ROWS_MAX,
  WORKERS_DIRTY_ROWS_MAX,
  WORKERS_LOG_HELD_BYTES_MAX,
  WORKERS_REDO_BYTES_MAX,
} from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { type JobShard, runJob, type ShardWork } from '../../shard/job.ts'
import type { Call, Program } from '../../shard/program.ts'
import { Shard, type ShardLimits } from '../../shard/shard.ts'
import { Alarm } from './alarm.ts'
import { workersClock } from './clock.ts'
import { createWorkersSql } from './sql.ts'
import { type ShardRpc, type WireAnswer, type WireValue, wireFailure, wireReplies, wireValue } from './wire.ts'

/** What a shard keeps of itself in memory in an isolate of 128 MB. */
export const workersLimits: Partial<ShardLimits> = {
  cachedRows: WORKERS_CACHED_ROWS_MAX,
  cachedBytes: WORKERS_CACHED_BYTES_MAX,
  dirtyRows: WORKERS_DIRTY_ROWS_MAX,
  redoBytes: WORKERS_REDO_BYTES_MAX,
  heldBytes: WORKERS_LOG_HELD_BYTES_MAX,
}

/** What a class of shards is made of. */
export interface ShardObjectOptions {
  readonly programs: readonly Program[]
  readonly limits?: Partial<ShardLimits>
  /** Makes what is done beside each object's shard.
   *  @param env the bindings of the Worker */
  work?(env: unknown): ShardWork
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

/** What the platform gives an object. */
type ObjectState = ConstructorParameters<typeof DurableObject>[0]

/** A class for `wrangler.jsonc`, with `new_sqlite_classes`. */
export type ShardObjectClass = new (ctx: ObjectState, env: unknown) => DurableObject<unknown> & ShardRpc

/** Tell whose shard an object is, by the name that `createPlacement` gave it; nobody's when it has none. */
function placeOf(name = ''): Pick<JobShard, 'database' | 'index'> {
  const at = name.lastIndexOf('/')
  return { database: name.slice(0, Math.max(0, at)), index: Number(name.slice(at + 1)) }
}

/** Make the class of Durable Objects that are shards running these programs. A job's failure of storage does not reset
 *  them: it may be the lake's, and of its own the shard has told. */
export function shardObject(options: ShardObjectOptions): ShardObjectClass {
  const { programs, limits = workersLimits, onBug } = options
  return class extends DurableObject<unknown> implements ShardRpc {
    private readonly shard: Shard
    private readonly wakeUp: Alarm
    private readonly work: ShardWork
    private readonly forJobs: JobShard

    constructor(ctx: ObjectState, env: unknown) {
      super(ctx, env)
      const wakeUp = new Alarm(ctx.storage)
      const clock: Clock = { ...workersClock, alarm: (atMs) => wakeUp.set(atMs + WORKERS_ALARM_LATE_MS) }
      this.wakeUp = wakeUp
      const work = options.work?.(env) ?? {}
      this.work = work
      this.forJobs = { ...placeOf(ctx.id.name), submit: (calls) => this.shard.submit(calls) }
      this.shard = new Shard({
        sql: createWorkersSql(ctx.storage),
        clock,
        programs,
        limits,
        ...(onBug && { onBug }),
        ...(work.fetchCold && { fetchCold: async (cold) => work.fetchCold?.(this.forJobs, cold) }),
      })
      void ctx.blockConcurrencyWhile(() => wakeUp.load())
    }

    async submit(calls: readonly Call[]): Promise<WireAnswer> {
      try {
        return wireReplies(await this.shard.submit(calls))
      } catch (error) {
        return this.failed(error)
      }
    }

    async awaitChange(afterSeq: number, waitMs: number): Promise<WireFailure | null> {
      try {
        await this.shard.awaitChange(afterSeq, waitMs)
        return null
      } catch (error) {
        return this.failed(error)
      }
    }

    async job(name: string, args: unknown): Promise<WireValue | WireFailure> {
      try {
        return wireValue(await runJob(this.work, this.forJobs, { name, args }))
      } catch (error) {
        return wireFailure(error, onBug)
      }
    }

    /** Called by the platform when the alarm goes off; when it throws, the platform tries again later. */
    override async alarm(): Promise<void> {
      this.wakeUp.cleared()
      // A group without calls: the shard sweeps when a time has come, and sets the alarm again when there is another.
      await this.shard.submit([])
    }

    private failed(error: unknown): WireFailure {
      const failure = toFailure(error)
      if (failure.code === 'storage') {
        const { ctx } = this
        // After this answer has left.
        setTimeout(() => ctx.abort(`storage failed: ${failure.message}`), 0)
      }
      return toWire(failure)
    }
  }
}
