/** The one loop of everything that reads the log: replicas, change feeds, tiering, resharding.
 *
 *  1. Batches are delivered in order and without a gap; a batch is delivered again when its bookmark was not saved
 *     (a crash) or its delivery failed in a way that may pass.
 *  2. The bookmark is saved only after the batch before it was delivered.
 *  3. A follower whose history is gone, or is another one, fails with `out_of_range`; it never skips.
 *  4. Time and chance come from the Clock, so that the simulator runs this very loop. */
import { assert, Failure } from '../errors.ts'
import { FOLLOW_BATCH_MAX, FOLLOW_RETRY_FIRST_MS, FOLLOW_RETRY_MS_MAX, FOLLOW_WAIT_MS } from '../limits.ts'
import type { Clock } from '../shard/clock.ts'
import type { Position } from '../shard/program.ts'
import type { ChangeRecord, ChangesReply } from '../shard/system.ts'

/** Where changes come from: the log of one shard. */
export interface Source {
  /** Read changes after a place; `start` is the oldest kept, `now` the newest.
   *  @param limit changes at most; 0 asks only for the place
   *  @throws out_of_range when that place is not in the history */
  read(after: Position | 'start' | 'now', limit: number): Promise<ChangesReply>
  /** Wait until there is something after `after`, or `waitMs` has passed. */
  wait(after: Position, waitMs: number): Promise<void>
}

/** What a follower remembers. */
export interface Bookmark {
  /** @returns undefined when nothing was ever saved */
  load(): Promise<Position | undefined>
  /** Remember that everything up to `position` is done. */
  save(position: Position): Promise<void>
}

/** Changes that stand together in the log, oldest first; never empty. */
export interface Batch {
  readonly changes: readonly ChangeRecord[]
  /** The place after them, and after changes that a filter of the source left out. */
  readonly next: Position
}

/** What tells a loop to end; an AbortSignal is one. */
export interface Stop {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** A Stop of our own: a feed of a thousand shards hangs as many listeners on it, of which an AbortSignal would warn. */
export class StopSwitch implements Stop {
  aborted = false
  private listeners = new Set<() => void>()

  /** Tell everybody to end. */
  abort(): void {
    this.aborted = true
    for (const listener of this.listeners) listener()
    this.listeners.clear()
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.add(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.delete(listener)
  }
}

/** How to follow. */
export interface FollowOptions {
  clock: Clock
  /** Ends the loop: at once while it waits, after the bookmark is saved while it delivers. */
  stop?: Stop
  /** Where to begin when there is no bookmark. Default `start`. */
  start?: 'start' | 'now'
  /** Changes of a batch at most. */
  batchMax?: number
  /** Milliseconds of one wait at the source. */
  waitMs?: number
  /** Whether the source leaves changes out, so that seqs may jump. Default false. */
  filtered?: boolean
  /** Milliseconds of failing in a row after which a retryable failure is thrown. Default: never. */
  patienceMs?: number
}

interface Progress {
  after: Position | 'start' | 'now' | undefined
  /** What was read and is not done. */
  reply: ChangesReply | undefined
  delivered: boolean
}

/** Turn the log into something else, remembering one place: what is finished. Runs until it is stopped.
 *  @param deliver may see a batch twice after a crash or a failure, never out of order, never with a gap
 *  @returns where it stands; undefined when it was stopped before it knew
 *  @throws out_of_range when the history after the bookmark is gone; what `deliver` throws, unless it is retryable */
export async function follow(
  source: Source,
  bookmark: Bookmark,
  deliver: (batch: Batch) => Promise<void>,
  options: FollowOptions,
): Promise<Position | undefined> {
  const { stop } = options
  const patience = new Patience(options)
  const progress: Progress = { after: undefined, reply: undefined, delivered: false }
  while (!stop?.aborted) {
    try {
      await step(source, bookmark, { deliver, options, progress })
      patience.succeeded()
    } catch (error) {
      await patience.failed(error)
    }
  }
  return typeof progress.after === 'object' ? progress.after : undefined
}

interface Step {
  deliver(batch: Batch): Promise<void>
  options: FollowOptions
  progress: Progress
}

/** Read, deliver, save, wait; a failure leaves in `progress` what need not be done again. */
async function step(source: Source, bookmark: Bookmark, { deliver, options, progress }: Step): Promise<void> {
  const { stop, batchMax = FOLLOW_BATCH_MAX, waitMs = FOLLOW_WAIT_MS, start = 'start', filtered = false } = options
  progress.after ??= (await bookmark.load()) ?? start
  const { after } = progress
  if (progress.reply === undefined) {
    const reply = await unlessStopped(stop, source.read(after, batchMax))
    if (reply === undefined) return
    check(after, reply, filtered)
    progress.reply = reply
  }
  const { changes, next, more } = progress.reply
  if (!progress.delivered && changes.length > 0) await deliver({ changes, next })
  progress.delivered = true
  if (typeof after === 'string' || next.seq > after.seq) await bookmark.save(next)
  progress.after = next
  progress.reply = undefined
  progress.delivered = false
  if (!more && !stop?.aborted) await unlessStopped(stop, source.wait(next, waitMs))
}

/** Hold a source to its promise. */
function check(after: Position | 'start' | 'now', { changes, next }: ChangesReply, filtered: boolean): void {
  let seq = typeof after === 'string' ? undefined : after.seq
  if (typeof after !== 'string') {
    assert(next.incarnation === after.incarnation, `history ${after.incarnation} became ${next.incarnation}`)
    assert(next.seq >= after.seq, `the log went back from ${after.seq} to ${next.seq}`)
  }
  for (const change of changes) {
    const expected = seq === undefined || (filtered ? change.seq > seq : change.seq === seq + 1)
    assert(expected, `change ${change.seq} follows ${seq}`)
    seq = change.seq
  }
  if (seq === undefined) return
  assert(filtered ? seq <= next.seq : seq === next.seq, `changes up to ${seq} end at ${next.seq}`)
}

/** Wait for `work`, or for the stop.
 *  @returns undefined when stopped first */
async function unlessStopped<T>(stop: Stop | undefined, work: Promise<T>): Promise<T | undefined> {
  if (stop === undefined) return work
  let listener = () => {}
  const stopped = new Promise<undefined>((resolve) => {
    listener = () => resolve(undefined)
    stop.addEventListener('abort', listener)
    if (stop.aborted) listener()
  })
  try {
    return await Promise.race([work, stopped])
  } finally {
    stop.removeEventListener('abort', listener)
  }
}

/** When to try again after failures, and when no more. */
export class Patience {
  private readonly options: Pick<FollowOptions, 'clock' | 'stop' | 'patienceMs'>
  private failures = 0
  private sinceMs = 0

  constructor(options: Pick<FollowOptions, 'clock' | 'stop' | 'patienceMs'>) {
    this.options = options
  }

  /** Begin anew: something worked. */
  succeeded(): void {
    this.failures = 0
  }

  /** Wait before the next try: twice as long each time, with chance so that many followers do not come together.
   *  @throws the error when it is not a retryable Failure, or has been coming for longer than `patienceMs` */
  async failed(error: unknown): Promise<void> {
    const { clock, stop, patienceMs = Number.POSITIVE_INFINITY } = this.options
    if (!(error instanceof Failure && error.retryable)) throw error
    if (this.failures === 0) this.sinceMs = clock.nowMs()
    else if (clock.nowMs() - this.sinceMs > patienceMs) throw error
    const fullMs = Math.min(FOLLOW_RETRY_FIRST_MS * 2 ** this.failures, FOLLOW_RETRY_MS_MAX)
    const delayMs = fullMs * (0.5 + clock.random() / 2 ** 49)
    this.failures++
    let cancel = () => {}
    const later = new Promise<void>((resolve) => {
      cancel = clock.after(delayMs, resolve)
    })
    await unlessStopped(stop, later)
    cancel()
  }

  /** Do something, and again for as long as it fails in a way that may pass.
   *  @returns undefined when stopped first */
  async retry<T>(work: () => Promise<T>): Promise<T | undefined> {
    while (!this.options.stop?.aborted) {
      try {
        const value = await unlessStopped(this.options.stop, work())
        this.succeeded()
        return value
      } catch (error) {
        await this.failed(error)
      }
    }
    return undefined
  }
}
