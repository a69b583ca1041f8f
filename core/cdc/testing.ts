/** A clock that stands until it is told to go, for tests of followers and feeds. */
import type { Clock } from '../shard/clock.ts'

/** Time that passes by `advance` only. */
export class ManualClock implements Clock {
  private ms = 1_700_000_000_000
  private timers: { atMs: number; work: () => void }[] = []
  /** The delays that were asked for and not called off, in order. */
  readonly asked: number[] = []

  nowMs(): number {
    return this.ms
  }

  /** Half of the range, always. */
  random(): number {
    return 2 ** 47
  }

  defer(work: () => void): void {
    this.after(0, work)
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.ms + delayMs, work }
    this.timers.push(timer)
    this.asked.push(delayMs)
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }

  /** How many timers run. */
  get pending(): number {
    return this.timers.length
  }

  /** Let time pass, timer by timer; promises settle in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.ms + ms
    for (;;) {
      await settle()
      const [next] = this.timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
      if (next === undefined) break
      this.timers = this.timers.filter((other) => other !== next)
      this.ms = Math.max(this.ms, next.atMs)
      next.work()
    }
    this.ms = endMs
  }
}

/** Let every promise that can settle do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
