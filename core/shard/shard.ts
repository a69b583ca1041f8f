/** A shard: one SQLite database, the log of every change made to it, and the programs that run on it.
 *
 *  1. Calls that arrive together run as one group in one transaction, in the order of arrival; no reply leaves before
 *     the group's commit (the output gate).
 *  2. A call that fails is undone alone; its reply is a Failure in its place.
 *  3. A commit that fails fails every call of its group, and the shard's memory is read back from the database.
 *  4. A call that needs rows which are cold (cold.ts) is undone and run again in a later group, when they are back;
 *     what was submitted with it and after it waits, other jobs do not. */
import { Failure, toFailure } from '../errors.ts'
import {
  CACHED_BYTES_MAX,
  CACHED_ROWS_MAX,
  COLD_AHEAD_CALLS_MAX,
  COLD_ROWS_MAX,
  COLD_TRIES_MAX,
  DIRTY_ROWS_MAX,
  DRAIN_ROWS_MIN,
  LOG_HELD_BYTES_MAX,
  LOG_RETAINED_BYTES,
  LOG_SEGMENT_BYTES,
  REDO_BYTES_MAX,
} from '../limits.ts'
import type { Clock } from './clock.ts'
import { ColdFetches, ColdRows, type FetchCold } from './cold.ts'
import type { Call, Program } from './program.ts'
import type { Sql } from './sql.ts'
import { ShardState } from './state.ts'
import { systemProgram } from './system.ts'
import { ShardTx } from './tx.ts'

/** How much of itself a shard keeps, in memory and on disk. */
export interface ShardLimits {
  cachedRows: number
  cachedBytes: number
  dirtyRows: number
  redoBytes: number
  logBytes: number
  /** Bytes of log kept at the most for those who hold it. */
  heldBytes: number
  /** Dirty rows written to their tables with each group at the least, while a drain is under way. */
  drainRows: number
  /** Bytes of one log or redo segment. */
  segmentBytes: number
}

/** The limits that hold when a host sets none. */
export const shardLimits: ShardLimits = {
  cachedRows: CACHED_ROWS_MAX,
  cachedBytes: CACHED_BYTES_MAX,
  dirtyRows: DIRTY_ROWS_MAX,
  redoBytes: REDO_BYTES_MAX,
  logBytes: LOG_RETAINED_BYTES,
  heldBytes: LOG_HELD_BYTES_MAX,
  drainRows: DRAIN_ROWS_MIN,
  segmentBytes: LOG_SEGMENT_BYTES,
}

/** What shards count, for metrics; hosts hand the same object to all shards of a thread. */
export interface ShardCounters {
  /** Groups committed. */
  groups: number
  /** Groups whose commit failed. */
  failedGroups: number
  /** Calls run. */
  calls: number
  /** Changes logged. */
  changes: number
}

/** Begin to count.
 *  @returns counters at 0 */
export function newCounters(): ShardCounters {
  return { groups: 0, failedGroups: 0, calls: 0, changes: 0 }
}

/** What a shard is made of. */
export interface ShardParts {
  sql: Sql
  clock: Clock
  programs: readonly Program[]
  limits?: Partial<ShardLimits>
  /** What part of its limits on memory the shard may use now, above 0 to 1; asked before each group. Default 1. */
  share?(): number
  /** Where it counts. */
  counters?: ShardCounters
  /** Told of failures that are bugs of ours; the caller gets `internal`. */
  onBug?(error: unknown): void
  /** Brings the payloads of cold rows back; without it, calls that need them are `unavailable`. */
  fetchCold?: FetchCold
  /** Whether others begin transactions on its storage, and may undo what it has committed. Default no. */
  isShared?: boolean
}

/** What was submitted together. */
interface Job {
  readonly calls: readonly Call[]
  /** Replies of the calls that ran in groups before. */
  done?: unknown[]
  /** How often the first call that is left has been stopped, and the random numbers it drew. */
  stops?: number
  drawn?: number[]
  resolve(replies: unknown[]): void
  reject(failure: Failure): void
}

/** Undoes a call that succeeded. */
const undone = Symbol('undone')

/** Answer a job whose group, or shard, failed. What ran in groups before is done, and stays so. */
function fail({ calls, done, resolve, reject }: Job, failure: Failure): void {
  if (done === undefined || done.length === 0) reject(failure)
  else resolve([...done, ...calls.slice(done.length).map(() => failure)])
}

/** One shard. Everything a caller may do is `submit`; the rest serves hosts and followers. */
export class Shard {
  private readonly sql: Sql
  private readonly clock: Clock
  private readonly programs: ReadonlyMap<string, Program>
  /** Those with `finish` or `busy`. */
  private readonly hooked: readonly Program[]
  private readonly limits: ShardLimits
  private readonly share: () => number
  private readonly counters: ShardCounters
  private readonly onBug: (error: unknown) => void
  private readonly fetches: ColdFetches | undefined
  /** Jobs that wait for cold rows. */
  private readonly parked = new Set<Job>()
  private state: ShardState | undefined
  private queue: Job[] = []
  private listeners: (() => void)[] = []
  private wake: { atMs: number; fired: boolean; cancel: () => void } | undefined
  private swept = false
  private closed = false
  private readonly isShared: boolean

  constructor({ sql, clock, programs, limits, share, counters, onBug, fetchCold, isShared }: ShardParts) {
    this.isShared = isShared ?? false
    this.sql = sql
    this.clock = clock
    this.limits = { ...shardLimits, ...limits }
    this.share = share ?? (() => 1)
    this.counters = counters ?? newCounters()
    this.onBug = onBug ?? (() => undefined)
    this.fetches = fetchCold && new ColdFetches(fetchCold)
    this.programs = new Map([systemProgram, ...programs].map((program) => [program.name, program]))
    this.hooked = programs.filter(({ finish, busy }) => finish !== undefined || busy !== undefined)
  }

  /** Run calls, in order, in the next group; from the first on that needs cold rows, in a later one.
   *  @returns a reply a call: a program's answer, or a Failure
   *  @throws storage when the commit failed and nothing was kept; unavailable when the shard is closed */
  submit(calls: readonly Call[]): Promise<unknown[]> {
    if (this.closed) return Promise.reject(new Failure('unavailable', 'the shard is closed'))
    return new Promise((resolve, reject) => this.enqueue({ calls, resolve, reject }))
  }

  private enqueue(job: Job): void {
    if (this.queue.length === 0) this.clock.defer(() => this.runGroup())
    this.queue.push(job)
  }

  /** Wait until something has been committed after a seq, or `waitMs` has passed, or the shard is closed. */
  async awaitChange(afterSeq: number, waitMs: number): Promise<void> {
    // An empty group waits for what is queued, and reads the log's end when the shard has just been opened.
    await this.submit([])
    if (this.closed || (this.state?.log.committedSeq ?? 0) > afterSeq) return
    await new Promise<void>((resolve) => {
      const done = () => {
        cancel()
        this.listeners = this.listeners.filter((other) => other !== done)
        resolve()
      }
      const cancel = this.clock.after(waitMs, done)
      this.listeners.push(done)
    })
  }

  /** Whether somebody waits for it; hosts do not close a busy shard. */
  get busy(): boolean {
    return this.queue.length > 0 || this.listeners.length > 0 || this.parked.size > 0 || this.programBusy()
  }

  private programBusy(): boolean {
    const memory = this.state?.memory
    return memory !== undefined && this.hooked.some((program) => program.busy?.(memory) ?? false)
  }

  /** Run calls at once, after what is queued, in the group of it: for callers that cannot wait.
   *  @returns replies as `submit`
   *  @throws as `submit` rejects; unavailable when the first call needs rows that are cold: then none was done, and
   *  that is the reply to such a call and those after it when others were done before */
  runNow(calls: readonly Call[]): unknown[] {
    if (this.closed) throw new Failure('unavailable', 'the shard is closed')
    let answer: unknown[] | Failure | undefined
    const take = (given: unknown[] | Failure) => {
      answer = given
    }
    const job: Job = { calls, resolve: take, reject: take }
    this.queue.push(job)
    this.runGroup()
    if (this.parked.delete(job)) {
      fail(job, new Failure('unavailable', 'values that are in the lake cannot be waited for here', { isCold: true }))
    }
    const given = answer as unknown as unknown[] | Failure
    if (given instanceof Failure) throw given
    return given
  }

  private runGroup(): void {
    const jobs = this.queue
    this.queue = []
    if (jobs.length === 0) return
    let replies: unknown[][]
    try {
      replies = this.commit(jobs)
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure('storage', String(error), undefined, error)
      if (!(error instanceof Failure)) this.onBug(error)
      this.state = undefined
      this.counters.failedGroups++
      for (const job of jobs) fail(job, failure)
      return
    }
    for (const [i, job] of jobs.entries()) this.settle(job, replies[i] as unknown[])
  }

  /** Answer a job, unless its last call was stopped for cold rows. */
  private settle(job: Job, replies: unknown[]): void {
    const stopped = replies.at(-1)
    if (!(stopped instanceof ColdRows)) return job.resolve(job.done === undefined ? replies : [...job.done, ...replies])
    replies.pop()
    if (replies.length > 0) job.stops = 0
    job.stops = (job.stops ?? 0) + 1
    job.done = [...(job.done ?? []), ...replies]
    this.parked.add(job)
    ;(this.fetches as ColdFetches).fetch(stopped.rows).then(
      () => this.goOn(job),
      (error) => this.goOn(job, error),
    )
  }

  /** Run the rest of a job whose cold rows are back, or could not be had. */
  private goOn(job: Job, error?: unknown): void {
    // It was answered when the shard was closed.
    if (!this.parked.delete(job)) return
    const tooOften = (job.stops ?? 0) > COLD_TRIES_MAX
    if (error !== undefined && !(error instanceof Failure)) this.onBug(error)
    // The rows went with their slot: run again, the call is told where.
    const hasMoved = error instanceof Failure && error.code === 'moved'
    if ((error !== undefined && !hasMoved) || tooOften) {
      const why = tooOften
        ? 'left again each time they had been fetched'
        : `could not be fetched: ${toFailure(error).message}`
      job.done?.push(new Failure('unavailable', `values that are in the lake ${why}`, undefined, error))
      job.stops = 0
      job.drawn = []
    }
    this.enqueue(job)
  }

  /** Run a group and commit it. */
  private commit(jobs: readonly Job[]): unknown[][] {
    const nowMs = this.clock.nowMs()
    let changes = 0
    let wakeAtMs: number | undefined
    const replies = this.sql.transact(() => {
      if (this.isShared && this.state?.log.isUndone()) this.state = undefined
      const state = this.load()
      state.useShare(this.share())
      const tx = new ShardTx(state, nowMs)
      const answers = jobs.map((job) => this.runJob(tx, job))
      this.finish(tx)
      if (!this.swept || state.log.pending > 0 || (this.wake !== undefined && nowMs >= this.wake.atMs)) {
        wakeAtMs = this.sweep(tx)
        this.swept = true
      } else wakeAtMs = this.wake?.atMs
      state.logOwed()
      changes = state.log.pending
      state.log.write(nowMs, state.ownership.epoch)
      if (changes > 0) {
        this.drain(state)
        state.trim()
      }
      return answers
    })
    ;(this.state as ShardState).commit()
    this.wakeAt(wakeAtMs)
    if (changes > 0) this.notify()
    this.counters.groups++
    this.counters.changes += changes
    return replies
  }

  private load(): ShardState {
    if (this.state === undefined) {
      const tables = [...this.programs.values()].flatMap((program) => program.tables)
      this.state = new ShardState(this.sql, tables, this.limits, this.clock)
      this.swept = false
    }
    return this.state
  }

  /** Run what is left of a job, up to a call that is stopped for cold rows.
   *  @returns replies; the last one is a ColdRows when a call was stopped */
  private runJob(tx: ShardTx, job: Job): unknown[] {
    const { calls, done = [], drawn } = job
    const replies: unknown[] = []
    for (let at = done.length; at < calls.length; at++) {
      const draws = tx.draw(at === done.length ? drawn : undefined)
      const reply = this.runCall(tx, calls[at] as Call)
      if (!(reply instanceof ColdRows)) {
        replies.push(reply)
        continue
      }
      if (this.fetches === undefined) {
        replies.push(new Failure('unavailable', 'the value is in the lake, and nothing here fetches it'))
        continue
      }
      job.drawn = [...draws]
      this.lookAhead(tx, calls.slice(at, at + COLD_AHEAD_CALLS_MAX), reply)
      replies.push(reply)
      break
    }
    return replies
  }

  /** Find out which cold rows the calls after a stopped one will need, so that all are fetched at once: run them, and
   *  undo them. What they need after the stopped one has run may be other rows; then they are stopped themselves. */
  private lookAhead(tx: ShardTx, [stopped, ...calls]: readonly Call[], { rows }: ColdRows): void {
    for (const call of calls) {
      if (rows.length >= COLD_ROWS_MAX || call.program !== stopped?.program) return
      tx.draw()
      const reply = this.runCall(tx, call, true)
      if (reply instanceof ColdRows) rows.push(...reply.rows)
    }
  }

  /** @param undo whether to undo the call though it succeeds */
  private runCall(tx: ShardTx, call: Call, undo = false): unknown {
    const program = this.programs.get(call.program)
    if (program === undefined) return new Failure('unsupported', `no program ${call.program} runs on this shard`)
    const refused = program === systemProgram ? undefined : tx.state.ownership.refuse(call)
    if (refused !== undefined) return refused
    if (!undo) this.counters.calls++
    const savepoint = program.writesSql?.(call) ?? program.tables.some((table) => !table.buffered)
    try {
      return this.undoable(tx, savepoint, () => {
        const reply = program.run(tx, call)
        // Not `assert`: its message would be put together for every call.
        if (reply instanceof Promise) throw new Error(`program ${call.program} answered ${call.name} with a promise`)
        if (undo) throw undone
        return reply
      })
    } catch (error) {
      if (error instanceof ColdRows || error === undone) return error
      if (!(error instanceof Failure)) this.onBug(error)
      return toFailure(error)
    }
  }

  /** Run work whose throw undoes it, in memory and in SQL. Without a savepoint that holds as long as the work leaves
   *  SQL alone; when it turns out not to, it is undone and run once more, with one. */
  private undoable<T>(tx: ShardTx, savepoint: boolean, work: () => T): T {
    const { state } = tx
    const mark = state.mark()
    tx.begin(savepoint, mark)
    try {
      const result = savepoint ? this.sql.transact(work) : work()
      if (!tx.needsSavepoint) return result
    } catch (error) {
      if (!tx.needsSavepoint) {
        state.rollback(mark)
        throw error
      }
    }
    state.rollback(mark)
    return this.undoable(tx, true, work)
  }

  private finish(tx: ShardTx): void {
    if (this.hooked.length === 0) return
    // The group is undone as a whole: no savepoint is needed.
    tx.draw()
    tx.begin(true, tx.state.mark())
    for (const program of this.hooked) program.finish?.(tx)
  }

  private sweep(tx: ShardTx): number | undefined {
    let wakeAtMs: number | undefined
    tx.draw()
    for (const program of this.programs.values()) {
      if (program.sweep === undefined || !tx.state.ownership.assigned) continue
      try {
        const next = this.undoable(tx, false, () => program.sweep?.(tx))
        if (next !== undefined) wakeAtMs = Math.min(wakeAtMs ?? next, next)
      } catch (error) {
        this.onBug(error)
      }
    }
    return wakeAtMs
  }

  private wakeAt(atMs: number | undefined): void {
    if (atMs !== undefined && !this.closed) this.clock.alarm?.(atMs)
    if ((this.wake?.atMs === atMs && !this.wake?.fired) || this.closed) return
    this.wake?.cancel()
    this.wake = undefined
    if (atMs === undefined) return
    const wake = { atMs, fired: false, cancel: () => {} }
    wake.cancel = this.clock.after(Math.max(1, atMs - this.clock.nowMs()), () => {
      // `wake` stays set: the group below must see that its time has come.
      wake.fired = true
      if (this.wake === wake) this.enqueue({ calls: [], resolve: () => undefined, reject: () => undefined })
    })
    this.wake = wake
  }

  private drain(state: ShardState): void {
    if (state.sealedSeq > 0) state.drain(Math.max(this.limits.drainRows, 2 * state.log.pending))
    else if (state.dirtyEnough) state.seal()
  }

  private notify(): void {
    const { listeners } = this
    if (listeners.length === 0) return
    this.listeners = []
    for (const listener of listeners) listener()
  }

  /** Run what is queued, write every dirty row to its table, and refuse calls from then on. The caller closes the
   * database. */
  close(): void {
    if (this.closed) return
    this.runGroup()
    this.closed = true
    this.wake?.cancel()
    this.notify()
    for (const job of this.parked) fail(job, new Failure('unavailable', 'the shard is closed'))
    this.parked.clear()
    const { state } = this
    if (state === undefined) return
    this.state = undefined
    try {
      this.sql.transact(() => state.drainAll())
    } catch (error) {
      // Nothing is lost: the redo is still there for the next opening.
      this.onBug(error)
    }
  }
}
