/** Leases of locks, with a clock that the test drives: what becomes of locks whose client is gone. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { StopSwitch } from '../core/cdc/index.ts'
import { nodeClock } from '../core/host/node/clock.ts'
import { openFabric } from '../core/host/node/index.ts'
import { openTestShard, type TestShard, temporaryFolder } from '../core/host/node/testing.ts'
import { FSX_LOCK_LEASE_MS, FSX_LOCK_RENEW_MS } from '../core/limits.ts'
import type { Clock } from '../core/shard/index.ts'
import { codeOf } from './fsx.conformance.ts'
import { createFileSystem, fsx, fsxProgram } from './index.ts'

const now = { wait: false } as const

/** A clock that goes on when it is told to, but for what takes no time. */
class DrivenClock implements Clock {
  aheadMs = 0
  private timers = new Set<{ atMs: number; work: () => void }>()
  readonly random = nodeClock.random
  readonly defer = nodeClock.defer

  nowMs(): number {
    return nodeClock.nowMs() + this.aheadMs
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, work }
    this.timers.add(timer)
    return () => this.timers.delete(timer)
  }

  pass(ms: number): void {
    this.aheadMs += ms
    for (const timer of [...this.timers]) {
      if (timer.atMs > this.nowMs() || !this.timers.delete(timer)) continue
      timer.work()
    }
  }
}

let test: TestShard
let clock: DrivenClock
beforeEach(async () => {
  clock = new DrivenClock()
  test = await openTestShard([fsxProgram], { clock })
  await test.call('fsx', 'writeFile', { path: '/f', flags: 0o101, mode: 0o644, bytes: new Uint8Array(1) })
})
afterEach(() => test.close())

/** Make a client with a clock of its own. */
async function client() {
  const own = new DrivenClock()
  const awaitChange = (seq: number, waitMs: number) => test.shard.awaitChange(seq, waitMs)
  const waiting = { clock: own, ended: new StopSwitch(), awaitChange }
  const fs = createFileSystem({ call: (name, args) => test.call('fsx', name, args), waiting })
  const handle = await fs.promises.open('/f', 'r+')
  const lost: string[] = []
  handle.on('lockLost', () => lost.push('lost'))
  return { handle, lost, clock: own }
}

/** Wait until the shard has answered whatever was asked before. */
const settled = () => test.call('fsx', 'access', { path: '/', wanted: 0 })

it('takes locks from a client that is not heard of, and tells it', async () => {
  const [one, two] = [await client(), await client()]
  await one.handle.lock()
  clock.pass(FSX_LOCK_LEASE_MS - 1_000)
  expect(await codeOf(two.handle.lock(now))).toBe('EAGAIN')
  clock.pass(1_001)
  await two.handle.lock(now)
  expect(one.lost).toEqual([])
  const told = new Promise<void>((resolve) => void one.handle.once('lockLost', resolve))
  one.clock.pass(FSX_LOCK_RENEW_MS)
  await told
  expect(await codeOf(one.handle.lock(now))).toBe('EAGAIN')
})

it('tells of what is lost when the same file is locked again first', async () => {
  const [one, two] = [await client(), await client()]
  await one.handle.lock({ start: 0, length: 10 })
  clock.pass(FSX_LOCK_LEASE_MS + 1)
  await two.handle.lock({ start: 0, length: 10, wait: false })
  await one.handle.lock({ start: 20, length: 10, wait: false })
  expect(one.lost).toEqual(['lost'])
})

it('leaves locks to a client that is heard of, and hears nothing of what was given back', async () => {
  const [one, two] = [await client(), await client()]
  await one.handle.lock()
  for (let i = 0; i < 5; i++) {
    one.clock.pass(FSX_LOCK_RENEW_MS)
    await settled()
    clock.pass(FSX_LOCK_LEASE_MS / 2)
    expect(await codeOf(two.handle.lock(now))).toBe('EAGAIN')
  }
  await one.handle.unlock({ start: 0, length: 10 })
  await one.handle.unlock({ start: 10 })
  one.clock.pass(FSX_LOCK_RENEW_MS)
  await settled()
  await two.handle.lock(now)
  expect(one.lost).toEqual([])
})

it('gives the lock of a client that is gone to one that waits', async () => {
  const [one, two] = [await client(), await client()]
  await one.handle.lock()
  const waiting = two.handle.lock()
  await settled()
  clock.pass(FSX_LOCK_LEASE_MS + 1)
  await waiting
})

it('gives locks back when the filesystem is closed', async () => {
  const { path, remove } = temporaryFolder()
  const fabric = await openFabric({ data: path, programs: [fsxProgram], durability: 'normal' })
  const [one, two] = [await fsx({ fabric }), await fsx({ fabric })]
  await one.lock('/f')
  expect(await codeOf(two.lock('/f', now))).toBe('EAGAIN')
  await one.close()
  await two.lock('/f', now)
  await two.close()
  await fabric.close()
  remove()
})

it.each([1, 2, 3])('holds what a table of bytes would: seed %i', async (seed) => {
  let state = seed
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
  const { ino } = (await test.call('fsx', 'stat', { path: '/f', follow: true })) as { ino: number }
  const model = new Map<string, string[]>(['a', 'b', 'c'].map((owner) => [owner, Array(12).fill('')]))
  for (let i = 0; i < 400; i++) {
    const owner = 'abc'[random(3)] as string
    const start = random(12)
    const stop = start + 1 + random(12 - start)
    const wanted = ['', 's', 'x'][random(3)] as string
    const others = [...model].filter(([other]) => other !== owner).flatMap(([, bytes]) => bytes.slice(start, stop))
    const isRefused = wanted !== '' && others.some((held) => held === 'x' || (held === 's' && wanted === 'x'))
    const args = { ino, owner, start, stop, session: owner, exclusive: wanted === 'x', waits: false }
    const reply = await test.call('fsx', wanted === '' ? 'dropLock' : 'takeLock', args)
    if (wanted !== '') expect(reply !== null).toBe(isRefused)
    if (!isRefused) model.get(owner)?.fill(wanted, start, stop)
    const rows = test.sql.raw('select owner, start, stop, exclusive from fs_locks order by owner, start')
    const held = new Map<string, string[]>(['a', 'b', 'c'].map((one) => [one, Array(12).fill('')]))
    for (const [one, from, to, exclusive] of rows) {
      held.get(String(one))?.fill(exclusive === 1 ? 'x' : 's', Number(from), Number(to))
    }
    expect(held).toEqual(model)
  }
})
