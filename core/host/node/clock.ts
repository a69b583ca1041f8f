/** The Node host's clock: wall time, crypto randomness, the event loop's check phase. Node only. */
import { randomInt } from 'node:crypto'
import type { Clock } from '../../shard/clock.ts'

/** setTimeout takes 31 bits of milliseconds; a longer wait wakes early, which every caller allows for. */
const delayMaxMs = 2 ** 31 - 1

/** Time and chance of this process. Timers do not keep the process alive. */
export const nodeClock: Clock = {
  nowMs: () => Date.now(),
  random: () => randomInt(2 ** 48 - 1),
  // All sockets that are readable are read in the poll phase, before this runs: what came together commits together.
  defer: (work) => void setImmediate(work),
  after(delayMs, work) {
    const timer = setTimeout(work, Math.min(delayMs, delayMaxMs))
    timer.unref()
    return () => clearTimeout(timer)
  },
  stayAlive() {
    const timer = setInterval(() => undefined, delayMaxMs)
    return () => clearInterval(timer)
  },
}
