import { describe, expect, it } from 'vitest'
import { testClock } from '../iceberg/testing.ts'
import { ThreadShare } from './thread-share.ts'

/** A thread on which others run for some milliseconds each turn. */
function threadOf(turnMs: () => number) {
  const state = { nowMs: 0, turns: 0 }
  const clock = {
    ...testClock(),
    nowMs: () => state.nowMs,
    defer(work: () => void) {
      setImmediate(() => {
        state.turns++
        state.nowMs += turnMs()
        work()
      })
    },
  }
  return { clock, state }
}

describe('the share of jobs', () => {
  it.each([
    [3, 30],
    [1, 10],
  ])('is one to %i', async (others, waitedMs) => {
    const { clock, state } = threadOf(() => 2)
    const job = new ThreadShare(clock, others).join()
    state.nowMs += 10
    await job.pause()
    expect(state.nowMs).toBe(10 + waitedMs)
  })

  it('is the whole thread when nobody else wants it', async () => {
    const { clock, state } = threadOf(() => 0)
    const job = new ThreadShare(clock).join()
    state.nowMs += 10
    await job.pause()
    expect(state.turns).toBe(8)
    expect(state.nowMs).toBe(10)
  })

  it('counts pieces that take less than the clock shows', async () => {
    const { clock, state } = threadOf(() => 1)
    const job = new ThreadShare(clock, 3).join()
    await job.pause()
    expect(state.turns).toBe(1)
    state.nowMs += 1
    await job.pause()
    expect(state.turns).toBe(1 + 3)
  })

  it('is one share, however many jobs there are', async () => {
    const { clock, state } = threadOf(() => 1)
    const share = new ThreadShare(clock, 3)
    let workedMs = 0
    const run = async () => {
      const job = share.join()
      for (let round = 0; round < 20; round++) {
        state.nowMs += 2
        workedMs += 2
        await job.pause()
      }
    }
    await Promise.all([run(), run(), run(), run()])
    expect(workedMs).toBe(160)
    expect(state.nowMs - workedMs).toBeGreaterThanOrEqual(2.5 * workedMs)
  })

  it('is asked for little more after one very long piece of work', async () => {
    const { clock, state } = threadOf(() => 10)
    const job = new ThreadShare(clock).join()
    state.nowMs += 100_000
    await job.pause()
    expect(state.nowMs).toBeLessThan(100_100)
  })
})
