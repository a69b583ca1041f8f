import { TUNNEL_FRAME_BYTES_MAX, TUNNEL_WINDOW_BYTES } from '@dotdo/core/limits'
import { describe, expect, test } from 'vitest'
import { Flow } from './flow.ts'

/** Two ends whose frames wait in queues until they are delivered by hand. */
class Pair {
  readonly near: Flow
  readonly far: Flow
  readonly toFar: (string | Uint8Array)[] = []
  readonly toNear: (string | Uint8Array)[] = []
  takenByFar = 0
  /** Set to hold back what the far end takes. */
  holding: Promise<void> | undefined

  constructor() {
    this.near = new Flow({ send: (frame) => this.toFar.push(frame), take: () => undefined, settle: () => undefined })
    this.far = new Flow({
      send: (frame) => this.toNear.push(frame),
      take: (bytes) => {
        this.takenByFar += bytes.length
      },
      settle: () => this.holding,
    })
    this.near.open()
    this.far.open()
  }

  get bytesUnderWay(): number {
    return this.toFar.reduce((sum, frame) => sum + (typeof frame === 'string' ? 0 : frame.length), 0)
  }

  /** Deliver frames until none is under way. */
  async deliver(): Promise<void> {
    for (;;) {
      await new Promise(setImmediate)
      const frames = this.toFar.splice(0)
      for (const frame of frames) this.far.receive(frame)
      await new Promise(setImmediate)
      const answers = this.toNear.splice(0)
      for (const answer of answers) this.near.receive(answer)
      if (frames.length + answers.length === 0) return
    }
  }
}

describe('one end of a tunnel', () => {
  test('sends no more than the window ahead, in frames that are not too large', async () => {
    const pair = new Pair()
    pair.near.write(new Uint8Array(3 * TUNNEL_WINDOW_BYTES + 1))
    expect(pair.bytesUnderWay).toBe(TUNNEL_WINDOW_BYTES)
    expect(pair.toFar.every((frame) => frame.length <= TUNNEL_FRAME_BYTES_MAX)).toBe(true)
    expect(pair.near.queuedBytes).toBe(2 * TUNNEL_WINDOW_BYTES + 1)
    let roomy = false
    const room = pair.near.room()?.then(() => {
      roomy = true
    })
    await new Promise(setImmediate)
    expect(roomy).toBe(false)
    await pair.deliver()
    await room
    expect(pair.takenByFar).toBe(3 * TUNNEL_WINDOW_BYTES + 1)
    expect(pair.near.room()).toBe(undefined)
  })

  test('stops while the other end does not take, and goes on when it does', async () => {
    const pair = new Pair()
    let go = () => {}
    pair.holding = new Promise((resolve) => {
      go = resolve
    })
    pair.near.write(new Uint8Array(2 * TUNNEL_WINDOW_BYTES))
    await pair.deliver()
    expect([pair.takenByFar, pair.near.queuedBytes]).toEqual([TUNNEL_WINDOW_BYTES, TUNNEL_WINDOW_BYTES])
    pair.holding = undefined
    go()
    await pair.deliver()
    expect([pair.takenByFar, pair.near.queuedBytes]).toEqual([2 * TUNNEL_WINDOW_BYTES, 0])
  })

  test('knows when all was taken, though little is not worth telling unasked', async () => {
    const pair = new Pair()
    pair.near.write(new Uint8Array(10))
    await pair.deliver()
    expect(pair.toNear).toEqual([])
    let flushed = false
    let go = () => {}
    pair.holding = new Promise((resolve) => {
      go = resolve
    })
    pair.near.write(new Uint8Array(1))
    const flush = pair.near.flush().then(() => {
      flushed = true
    })
    await pair.deliver()
    expect(flushed).toBe(false)
    go()
    await pair.deliver()
    await flush
    await pair.near.flush()
  })

  test('keeps what is written before it opens', () => {
    const sent: (string | Uint8Array)[] = []
    const flow = new Flow({ send: (frame) => sent.push(frame), take: () => undefined, settle: () => undefined })
    flow.write(Uint8Array.of(1))
    flow.write(Uint8Array.of(2, 3))
    expect(sent).toEqual([])
    flow.open()
    expect(sent).toEqual([Uint8Array.of(1), Uint8Array.of(2, 3)])
  })

  test('lets nobody wait for a tunnel that is gone', async () => {
    const pair = new Pair()
    pair.near.write(new Uint8Array(2 * TUNNEL_WINDOW_BYTES))
    const waiting = [pair.near.room(), pair.near.flush()]
    pair.near.close()
    await Promise.all(waiting)
    pair.near.write(new Uint8Array(1))
    expect(pair.near.queuedBytes).toBe(0)
  })

  test('refuses what no honest end sends', () => {
    const { far, near } = new Pair()
    for (const text of ['', 'x', '-1', '1', '1e3', '99999999999999999']) {
      expect(() => near.receive(text)).toThrow(/no count of bytes taken/)
    }
    expect(() => far.receive(new Uint8Array(TUNNEL_WINDOW_BYTES + 1))).toThrow(/ahead of what was taken/)
  })
})
