/** The share of a thread that its jobs take when its shards have work too.
 *
 *  1. After a piece of work a job waits until others have run for TIER_OTHERS_SHARE times as long; it goes on at once
 *     when nobody else wants the thread.
 *     Waiting for an answer of the shard counts as work: most of it is.
 *  2. All jobs of a thread wait in one line: four of them get no more than one.
 *  3. Clocks count whole milliseconds, and pieces take about one: what is owed is summed up, so that it evens out. */
import { TIER_OTHERS_SHARE, TIER_OWED_MS_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'

/** One job's part in it. */
export interface JobTurns {
  /** Let others run. */
  pause(): Promise<void>
}

/** Turns together under a millisecond after which nobody wants the thread: a turn in which a few calls run takes a
 *  part of one. */
const idleTurns = 8

/** The jobs of one thread. */
export class ThreadShare {
  private readonly clock: Clock
  private readonly others: number
  /** Milliseconds that others are to run before a job goes on. */
  private owedMs = 0
  /** Milliseconds that jobs have worked. */
  private workedMs = 0
  private line: Promise<void> = Promise.resolve()

  /** @param others milliseconds that others get for each one of the jobs */
  constructor(clock: Clock, others: number = TIER_OTHERS_SHARE) {
    this.clock = clock
    this.others = others
  }

  /** Begin a job. */
  join(): JobTurns {
    let sinceMs = this.clock.nowMs()
    const pause = async () => {
      const atMs = this.clock.nowMs()
      const workedMs = Math.max(0, atMs - sinceMs)
      if (workedMs === 0) {
        // Too little to be counted; it is counted with what follows.
        await this.turn()
        sinceMs += this.clock.nowMs() - atMs
        return
      }
      this.workedMs += workedMs
      this.owedMs = Math.min(TIER_OWED_MS_MAX, this.owedMs + workedMs * this.others)
      this.line = this.line.then(() => this.pay())
      await this.line
      sinceMs = this.clock.nowMs()
    }
    return { pause }
  }

  private turn(): Promise<void> {
    return new Promise((resolve) => this.clock.defer(resolve))
  }

  /** Wait one turn at the least, and until nothing is owed or nobody wants the thread. */
  private async pay(): Promise<void> {
    const { clock } = this
    for (let idle = 0; idle < idleTurns; ) {
      const [atMs, workedMs] = [clock.nowMs(), this.workedMs]
      await this.turn()
      const othersMs = clock.nowMs() - atMs - (this.workedMs - workedMs)
      idle = othersMs > 0 ? 0 : idle + 1
      this.owedMs = Math.max(0, this.owedMs - Math.max(0, othersMs))
      if (this.owedMs === 0) return
    }
  }
}
