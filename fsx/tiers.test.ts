/** Tiers in Node: over files, a store that fails, clocks and threads. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { nodeClock } from '../core/host/node/clock.ts'
import { openDiskObjects } from '../core/host/node/disk-objects.ts'
import { openTestShard, type TestShard, temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { sha256 } from '../core/host/sha256.ts'
import type { Clock, Fabric, Shard } from '../core/shard/index.ts'
import { counted, memoryObjects, type ObjectStore } from '../core/tiering/index.ts'
import { createFileSystem, fsx, fsxProgram, type TierOptions } from './index.ts'
import { codeOf } from './testing.ts'
import { type Tiered, tierCases } from './tiers.conformance.ts'
import { besideCaller, besideOf, noise } from './tiers.testing.ts'

const codec = await openZstd()
let shard: TestShard | undefined
let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  if (shard !== undefined) expect(await shard.call('fsx', 'fsck', {})).toEqual([])
  shard?.close()
  shard = undefined
  folder.remove()
})

async function keysOf(store: ObjectStore): Promise<string[]> {
  return (await store.list()).objects.map(({ key }) => key)
}

interface TestOptions {
  readonly store?: ObjectStore
  readonly clock?: Clock
  /** The way from jobs to the shard. */
  through?(shard: Shard): Pick<Shard, 'submit'>
}

/** Open a filesystem over a store. */
async function openTiered({ store = memoryObjects(nodeClock), clock, through }: TestOptions = {}): Promise<Tiered> {
  const counting = counted(store)
  let test: TestShard
  const beside = besideOf(() => through?.(test.shard) ?? test.shard, { store: counting, codec, sha256 })
  const opened = (): Tiered => {
    shard = test
    return {
      fs: createFileSystem(besideCaller(test.shard, beside)),
      counts: counting.counts,
      keys: () => keysOf(store),
      async reopen(crash = false) {
        test = await test.reopen({ crash })
        return opened()
      },
    }
  }
  test = await openTestShard([fsxProgram], { ...(clock && { clock }), fetchCold: (_, cold) => beside.fetchCold(cold) })
  return opened()
}

describe('tiers over files', () => {
  it.each(tierCases)('$name', async ({ run }) => {
    await run(await openTiered(), expect)
  })
})

describe('a policy', () => {
  it('says how old, how large, and how long what nobody refers to stays', async () => {
    let aheadMs = 0
    const clock = { ...nodeClock, nowMs: () => nodeClock.nowMs() + aheadMs }
    const tiered = await openTiered({ clock })
    const { fs } = tiered
    await fs.write('/small', noise(100_000))
    await fs.write('/large', noise(300_000))
    expect(await fs.tiers.run()).toMatchObject({ chunks: 0 })
    await fs.tiers.set({ olderThan: '2h', largerThan: '200kb', keep: '3h' })
    expect(await fs.tiers.run()).toMatchObject({ chunks: 0 })
    aheadMs = 2.5 * 3_600_000
    await fs.write('/new', noise(300_000, 3))
    expect(await fs.tiers.run()).toMatchObject({ bytes: 300_000 })
    await fs.remove('/large')
    await fs.tiers.run()
    aheadMs += 2 * 3_600_000
    // The new one is old by now; the object that nobody refers to has an hour left.
    expect(await fs.tiers.run()).toMatchObject({ bytes: 300_000, deleted: 0 })
    aheadMs += 1.5 * 3_600_000
    expect(await fs.tiers.run()).toMatchObject({ deleted: 1 })
    const policy = { olderThanMs: 7_200_000, largerThanBytes: 204_800, keepMs: 10_800_000 }
    const { fs: again } = await tiered.reopen()
    expect((await again.tiers.status()).policy).toEqual(policy)
    await again.tiers.set(null)
    aheadMs += 48 * 3_600_000
    await again.write('/more', noise(300_000, 4))
    aheadMs += 48 * 3_600_000
    expect(await again.tiers.run()).toMatchObject({ chunks: 0 })
    expect((await again.tiers.status()).policy).toBeNull()
  })

  it('goes by the last read too, and by the newest of those who share content', async () => {
    let aheadMs = 0
    const { fs } = await openTiered({ clock: { ...nodeClock, nowMs: () => nodeClock.nowMs() + aheadMs } })
    await fs.tiers.set({ olderThan: '10d' })
    await fs.write('/read', noise(100_000, 1))
    await fs.write('/changed', noise(100_000, 2))
    await fs.snapshot()
    aheadMs = 9 * 86_400_000
    await fs.read('/read')
    const handle = await fs.promises.open('/changed', 'r+')
    await handle.write('x', 0)
    await handle.close()
    aheadMs = 11 * 86_400_000
    expect(await fs.tiers.run()).toMatchObject({ chunks: 0 })
    aheadMs = 20 * 86_400_000
    expect(await fs.tiers.run()).toMatchObject({ chunks: 5 })
  })

  it('is refused when it makes no sense', async () => {
    const { fs } = await openTiered()
    const set = (options: object) => codeOf(fs.tiers.set(options as TierOptions))
    expect(await set({ olderThan: 'long' })).toBe('EINVAL')
    expect(await set({ olderThan: '1d', largerThan: '1' })).toBe('EINVAL')
    expect(await set({ olderThan: '1d', youngerThan: '2d' })).toBe('EINVAL')
    expect(await set({})).toBe('EINVAL')
    expect(await codeOf(fs.as({ uid: 1, gid: 1 }).tiers.set({ olderThan: '1d' }))).toBe('EPERM')
  })
})

describe('a pass', () => {
  it('loses nothing that is written while it goes on', async () => {
    const memory = memoryObjects(nodeClock)
    let meanwhile = async () => {}
    const put: ObjectStore['put'] = async (...given) => {
      await meanwhile()
      return memory.put(...given)
    }
    const { fs } = await openTiered({ store: { ...bound(memory), put } })
    const files = ['/written', '/cut', '/gone', '/replaced', '/left', '/same']
    for (const [i, path] of files.entries()) await fs.write(path, noise(150_000, i + 1))
    meanwhile = async () => {
      const handle = await fs.promises.open('/written', 'r+')
      await handle.write('written', 70_000)
      await handle.close()
      await fs.promises.truncate('/cut', 70_000)
      await fs.remove('/gone')
      await fs.write('/replaced', noise(150_000, 100))
      await fs.write('/same', noise(150_000, 6))
    }
    await fs.tiers.set({ olderThan: '0s' })
    // Whole or changed: three chunks a file; of `written` and `cut` one less, of the others all or none.
    expect(await fs.tiers.run()).toMatchObject({ chunks: 2 + 1 + 3 + 3 })
    const written = Buffer.from(noise(150_000, 1))
    written.write('written', 70_000)
    const expected = [written, noise(70_000, 2), undefined, noise(150_000, 100), noise(150_000, 5), noise(150_000, 6)]
    for (const [i, path] of files.entries()) {
      const bytes = expected[i]
      if (bytes === undefined) expect(await fs.exists(path)).toBe(false)
      else expect((await fs.read(path)).equals(bytes), path).toBe(true)
    }
  })

  it('is one at a time', async () => {
    const { fs, counts } = await openTiered()
    await fs.write('/f', noise(100_000))
    await fs.tiers.set({ olderThan: '0s' })
    const [one, two] = await Promise.all([fs.tiers.run(), fs.tiers.run()])
    expect(one).toEqual(two)
    expect(counts.put).toBe(1)
  })

  it('writes objects of some size, whatever the files are', async () => {
    const { fs, counts } = await openTiered()
    await fs.tiers.set({ olderThan: '0s' })
    for (let i = 0; i < 5; i++) await fs.write(`/f${i}`, noise(5 * 1024 * 1024, i + 1))
    expect(await fs.tiers.run()).toMatchObject({ bytes: 25 * 1024 * 1024, objects: 4, more: false })
    expect(counts.put).toBe(4)
    for (let i = 0; i < 5; i++) expect((await fs.read(`/f${i}`)).equals(noise(5 * 1024 * 1024, i + 1))).toBe(true)
  })
})

/** The calls of a store, as functions. */
function bound(store: ObjectStore): ObjectStore {
  const { get, head, put, delete: remove, list, multipart } = store
  return {
    get: get.bind(store),
    head: head.bind(store),
    put: put.bind(store),
    delete: remove.bind(store),
    list: list.bind(store),
    multipart: multipart.bind(store),
  }
}

/** Fails the nth step, before or after it is done: what a crash there would leave. */
class Failing {
  private left = Number.POSITIVE_INFINITY
  private before = true
  struck = false

  arm(nth: number, before: boolean): void {
    this.left = nth
    this.before = before
    this.struck = false
  }

  async step<T>(work: () => Promise<T>): Promise<T> {
    const strikes = --this.left === 0
    if (strikes) this.struck = true
    if (strikes && this.before) throw new Failure('unavailable', 'struck before')
    const result = await work()
    if (strikes) throw new Failure('unavailable', 'struck after')
    return result
  }

  store(store: ObjectStore): ObjectStore {
    return {
      ...bound(store),
      put: (...given) => this.step(() => store.put(...given)),
      delete: (...given) => this.step(() => store.delete(...given)),
    }
  }

  through(shard: Shard): Pick<Shard, 'submit'> {
    return { submit: (calls) => this.step(() => shard.submit(calls)) }
  }
}

describe('a crash at any step of a pass', () => {
  it.each([true, false])('leaves everything in its place (before it is done: %s)', async (before) => {
    let nth = 1
    for (let struck = true; struck; nth++) {
      const failing = new Failing()
      const memory = memoryObjects(nodeClock)
      const store = failing.store(memory)
      let tiered = await openTiered({ store, through: (one) => failing.through(one) })
      await tiered.fs.tiers.set({ olderThan: '0s', keep: '0s' })
      await tiered.fs.write('/old', noise(100_000, 1))
      await tiered.fs.tiers.run()
      await tiered.fs.remove('/old')
      await tiered.fs.write('/sparse', noise(300_000, 4))
      await tiered.fs.tiers.run()
      await tiered.fs.write('/old', noise(100_000, 1))
      await tiered.fs.tiers.run()
      await tiered.fs.promises.truncate('/sparse', 65_536)
      await tiered.fs.remove('/old')
      await tiered.fs.write('/a', noise(200_000, 2))
      await tiered.fs.write('/b', noise(200_000, 3))
      failing.arm(nth, before)
      await tiered.fs.tiers.run().catch(() => undefined)
      struck = failing.struck
      failing.arm(Number.POSITIVE_INFINITY, before)
      tiered = await tiered.reopen(true)
      const intact = async () => {
        expect((await tiered.fs.read('/a')).equals(noise(200_000, 2)), `step ${nth}`).toBe(true)
        expect((await tiered.fs.read('/b')).equals(noise(200_000, 3)), `step ${nth}`).toBe(true)
        const sparse = noise(300_000, 4).subarray(0, 65_536)
        expect((await tiered.fs.read('/sparse')).equals(sparse), `step ${nth}`).toBe(true)
        expect(await tiered.fs.fsck(), `step ${nth}`).toEqual([])
      }
      await intact()
      await tiered.fs.tiers.run()
      await tiered.fs.tiers.run()
      await intact()
      // No object is left that nobody knows, and none is missing.
      const { objects, hotBytes, objectBytes } = await tiered.fs.tiers.status()
      expect(await keysOf(memory)).toHaveLength(objects)
      expect([hotBytes, objectBytes], `step ${nth}`).toEqual([0, 465_536])
      shard?.close()
      shard = undefined
    }
    expect(nth).toBeGreaterThan(12)
  })
})

describe('reading what is cold', () => {
  const data = () => ({ data: folder.path, durability: 'normal' as const })
  const open = () => fsx({ dotdo: data(), cold: join(folder.path, 'cold') })

  it('works over restarts, in every way there is; Sync functions need it to be in memory', async () => {
    let fs = await open()
    const bytes = noise(20 * 1024 * 1024)
    await fs.write('/f', bytes)
    await fs.write('/g', bytes.subarray(0, 100_000))
    await fs.tiers.set({ olderThan: '0s' })
    await fs.tiers.run()
    await fs.close()
    fs = await open()
    expect(() => fs.readFileSync('/g')).toThrow("EAGAIN: resource temporarily unavailable, open '/g'")
    expect(await new Promise((resolve) => fs.readFile('/g', (_, read) => resolve(read.length)))).toBe(100_000)
    expect(fs.readFileSync('/g').equals(bytes.subarray(0, 100_000))).toBe(true)
    expect((await fs.read('/f')).equals(bytes)).toBe(true)
    const handle = await fs.promises.open('/f')
    const buffer = Buffer.alloc(bytes.length + 10)
    expect(await handle.read(buffer, 0, buffer.length, 5)).toMatchObject({ bytesRead: bytes.length - 5 })
    expect(buffer.subarray(0, bytes.length - 5).equals(bytes.subarray(5))).toBe(true)
    expect((await handle.readv([Buffer.alloc(bytes.length)])).bytesRead).toBe(bytes.length)
    await handle.close()
    const pieces: Buffer[] = []
    for await (const piece of fs.createReadStream('/f')) pieces.push(piece)
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
    const many = await Promise.all(Array.from({ length: 40 }, () => fs.read('/f')))
    expect(many.every((one) => one.equals(bytes))).toBe(true)
    expect(await fs.fsck()).toEqual([])
    await fs.close()
  })

  it('leaves by itself while there is a policy, unless told never to', async () => {
    const fs = await fsx({ dotdo: data(), cold: join(folder.path, 'cold'), tierEvery: '20ms' })
    await fs.write('/f', noise(100_000))
    expect((await fs.tiers.status()).objects).toBe(0)
    await fs.tiers.set({ olderThan: '0s' })
    while ((await fs.tiers.status()).objects === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await fs.close()
    await expect(fsx({ dotdo: data(), cold: join(folder.path, 'cold'), tierEvery: 'x' })).rejects.toMatchObject({
      code: 'invalid',
    })
    const never = await fsx({ dotdo: data(), cold: join(folder.path, 'cold'), tierEvery: '0s' })
    await never.write('/g', noise(100_000, 2))
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect((await never.tiers.status()).objects).toBe(1)
    await never.close()
  })

  it('goes with holes and space: parts of what is cold are fetched for them, zeros stay zeros', async () => {
    const fs = await open()
    const bytes = noise(300_000)
    await fs.write('/f', bytes)
    let handle = await fs.promises.open('/f', 'r+')
    await handle.allocate(300_000, 200_000, { keepSize: true })
    await handle.close()
    await fs.tiers.set({ olderThan: '0s' })
    await fs.tiers.run()
    expect(await fs.fsck()).toEqual([])
    await fs.copy('/f', '/copy')
    handle = await fs.promises.open('/f', 'r+')
    await handle.deallocate(70_000, 100_000)
    await handle.truncate(450_000)
    await handle.close()
    const wanted = Buffer.alloc(450_000)
    wanted.set(bytes)
    wanted.fill(0, 70_000, 170_000)
    expect((await fs.read('/f')).equals(wanted)).toBe(true)
    expect((await fs.read('/copy')).equals(bytes)).toBe(true)
    await fs.tiers.run()
    expect((await fs.read('/f')).equals(wanted)).toBe(true)
    expect(await fs.fsck()).toEqual([])
    await fs.close()
  })

  it('takes a bounded part of memory, and of a call', async () => {
    const bytes = noise(40 * 1024 * 1024)
    const { fs, counts } = await openTiered()
    await fs.write('/f', bytes)
    await fs.tiers.set({ olderThan: '0s' })
    await fs.tiers.run()
    const { ino } = await fs.stat('/f')
    const read = (await shard?.call('fsx', 'read', { ino, position: 0, length: bytes.length })) as Uint8Array
    expect(read.length).toBe(8 * 1024 * 1024)
    for (let i = 0; i < 2; i++) {
      const before = counts.readBytes
      expect((await fs.read('/f')).equals(bytes)).toBe(true)
      // What was read first has gone when the end has been read.
      expect(counts.readBytes - before).toBeGreaterThanOrEqual(bytes.length - 8 * 1024 * 1024)
      expect(counts.readBytes - before).toBeLessThanOrEqual(bytes.length)
    }
    const last = counts.readBytes
    const handle = await fs.promises.open('/f')
    await handle.read(Buffer.alloc(1_000_000), 0, 1_000_000, bytes.length - 1_000_000)
    await handle.close()
    expect(counts.readBytes).toBe(last)
  })

  it('is refused without a store, and where the store has lost or damaged it', async () => {
    let fs = await open()
    await fs.write('/f', noise(100_000))
    await fs.write('/g', noise(100_000, 2))
    await fs.tiers.set({ olderThan: '0s' })
    await fs.tiers.run()
    await fs.close()
    fs = await fsx({ dotdo: data() })
    expect(await codeOf(fs.read('/f'))).toBe('EIO')
    expect(await codeOf(fs.tiers.run())).toBe('ENOTSUP')
    await fs.close()
    const store = await openDiskObjects(join(folder.path, 'cold'))
    const [key = ''] = await keysOf(store)
    const object = (await store.get(key))?.bytes as Uint8Array
    object[5] = 255 - (object[5] as number)
    await store.put(key, object)
    store.close()
    fs = await open()
    expect(await codeOf(fs.read('/f'))).toBe('EIO')
    expect((await fs.read('/g')).equals(noise(100_000, 2))).toBe(true)
    await fs.promises.truncate('/f')
    await fs.write('/f', 'new')
    await fs.close()
    const again = await openDiskObjects(join(folder.path, 'cold'))
    await again.delete([key])
    again.close()
    fs = await open()
    expect(await codeOf(fs.read('/g'))).toBe('EIO')
    expect(await codeOf(fsx({ fabric: {} as Fabric, cold: '/nowhere' }))).toBe('invalid')
    await fs.close()
  })
})
