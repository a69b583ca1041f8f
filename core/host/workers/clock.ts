/** The Workers host's clock: wall time, crypto randomness, timers. Node has the same functions. */
import type { Clock } from '../../shard/clock.ts'

/** setTimeout takes 31 bits of milliseconds; a longer wait wakes early, which every caller allows for. */
const delayMaxMs = 2 ** 31 - 1

/** Time and chance of this isolate. Wall time may stand still while code runs: order comes from seqs, not from it. */
export const workersClock: Clock = {
  nowMs: () => Date.now(),
  random() {
    const words = crypto.getRandomValues(new Uint16Array(3))
    return words.reduce((number, word) => number * 2 ** 16 + word, 0)
  },
  // Requests that wait for the object are all delivered before a timer of 0 ms fires: they are the group.
  defer: (work) => void setTimeout(work, 0),
  after(delayMs, work) {
    const timer = setTimeout(work, Math.min(delayMs, delayMaxMs))
    return () => clearTimeout(timer)
  },
}
