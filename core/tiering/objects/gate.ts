/** Lets a bounded number of requests through at once, none while the store asked to be left alone, and cuts off those
 *  that take too long. */
import type { Clock } from '../../shard/clock.ts'
import { unavailable } from './port.ts'

const cancelled = () => unavailable('the caller gave up', { outcome: 'unknown' })

/** Wait, through the clock.
 *  @throws unavailable as soon as the caller gives up */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(cancelled())
    const end = () => {
      cancelTimer()
      signal?.removeEventListener('abort', giveUp)
    }
    const giveUp = () => {
      end()
      reject(cancelled())
    }
    const cancelTimer = clock.after(delayMs, () => {
      end()
      resolve()
    })
    signal?.addEventListener('abort', giveUp)
  })
}

/** The way to one store. */
export class Gate {
  /** Requests under way. */
  inFlight = 0
  /** The most that ever were. */
  inFlightPeak = 0
  /** Requests that were cut off. */
  timeouts = 0
  private readonly clock: Clock
  private readonly requestsMax: number
  private readonly waiting: (() => void)[] = []
  private closedUntilMs = 0

  constructor(clock: Clock, requestsMax: number) {
    this.clock = clock
    this.requestsMax = requestsMax
  }

  /** Let nobody through for a while: the store asked for it, so every request would get the same answer. */
  closeFor(delayMs: number): void {
    this.closedUntilMs = Math.max(this.closedUntilMs, this.clock.nowMs() + delayMs)
  }

  /** Run a request when there is room.
   *  @param attemptMs after which it is cut off, with an unknown outcome
   *  @param attempt should stop when its signal says so; if it does not, its outcome is left to itself */
  async pass<T>(
    attemptMs: number,
    signal: AbortSignal | undefined,
    attempt: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    await this.enter(signal)
    const stop = new AbortController()
    try {
      return await new Promise<T>((resolve, reject) => {
        const giveUp = () => reject(cancelled())
        const late = () => {
          this.timeouts++
          reject(unavailable(`no answer in ${attemptMs} ms`, { outcome: 'unknown' }))
        }
        const cancelTimer = this.clock.after(attemptMs, late)
        signal?.addEventListener('abort', giveUp)
        stop.signal.addEventListener('abort', () => {
          cancelTimer()
          signal?.removeEventListener('abort', giveUp)
        })
        attempt(stop.signal).then(resolve, reject)
      })
    } finally {
      stop.abort()
      this.leave()
    }
  }

  private async enter(signal: AbortSignal | undefined): Promise<void> {
    try {
      for (;;) {
        const closedMs = this.closedUntilMs - this.clock.nowMs()
        if (closedMs > 0) await sleep(this.clock, closedMs, signal)
        else if (this.inFlight >= this.requestsMax) await new Promise<void>((resolve) => this.waiting.push(resolve))
        else break
      }
      if (signal?.aborted) throw cancelled()
    } catch (error) {
      // The turn may have been this one's; another takes it.
      this.waiting.shift()?.()
      throw error
    }
    this.inFlight++
    this.inFlightPeak = Math.max(this.inFlightPeak, this.inFlight)
  }

  private leave(): void {
    this.inFlight--
    this.waiting.shift()?.()
  }
}
