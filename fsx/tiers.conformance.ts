/** What tiers do on every host. */
import type { ExpectStatic } from 'vitest'
import type { StoreCounts } from '../core/tiering/index.ts'
import type { FileSystem } from './api/filesystem.ts'
import { noise } from './tiers.testing.ts'

/** A filesystem whose content may leave. */
export interface Tiered {
  readonly fs: FileSystem
  /** What its store was asked for. */
  readonly counts: Readonly<StoreCounts>
  /** Keys of the objects in the store. */
  keys(): Promise<string[]>
  /** Open its shard again, over the same store. @param crash without closing it first */
  reopen(crash?: boolean): Promise<Tiered>
}

/** One thing every host does. */
export interface TierCase {
  readonly name: string
  run(tiered: Tiered, expect: ExpectStatic): Promise<unknown>
}

const MB = 1024 * 1024
const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b)

/** What every host does. */
export const tierCases: readonly TierCase[] = [
  {
    name: 'content leaves, and is there again after a restart',
    async run(tiered, expect) {
      const { fs } = tiered
      const files = [100, 16_385, 65_536, 200_000, 3 * MB].map((size) => [`/f${size}`, noise(size, size)] as const)
      for (const [path, bytes] of files) await fs.write(path, bytes)
      await fs.tiers.set({ olderThan: '0s', keep: '0s' })
      const report = await fs.tiers.run()
      // What is in an inode's row stays.
      expect(report).toMatchObject({ bytes: 16_385 + 65_536 + 200_000 + 3 * MB, objects: 1, more: false })
      expect(await fs.tiers.status()).toMatchObject({ hotBytes: 0, coldBytes: report.bytes, objects: 1 })
      expect(await tiered.keys()).toEqual([expect.stringMatching(/^_fsx\/test\/[0-9a-f]{64}-1$/)])
      expect(await fs.fsck()).toEqual([])
      const again = await tiered.reopen(true)
      for (const [path, bytes] of files) expect(same(await again.fs.read(path), bytes), path).toBe(true)
      expect(await again.fs.tiers.run()).toMatchObject({ bytes: 0, objects: 0, deleted: 0 })
    },
  },
  {
    name: 'cold content is written, cut, copied and removed as other content is',
    async run({ fs, counts }, expect) {
      const model = Buffer.from(noise(300_000))
      await fs.write('/f', model)
      await fs.promises.truncate('/f', 1_000_000)
      await fs.tiers.set({ olderThan: '0s' })
      await fs.tiers.run()
      const gets = counts.get
      // None of these needs what was there.
      await fs.copy('/f', '/copy')
      await fs.promises.truncate('/f', 250_000)
      const handle = await fs.promises.open('/f', 'r+')
      await handle.write(noise(65_536, 7), 0, 65_536, 65_536)
      await fs.promises.truncate('/copy', 500_000)
      await fs.promises.link('/f', '/g')
      await fs.promises.unlink('/g')
      expect(counts.get).toBe(gets)
      await handle.write('in the middle', 200_000)
      await handle.close()
      const expected = Buffer.from(model.subarray(0, 250_000))
      expected.set(noise(65_536, 7), 65_536)
      expected.write('in the middle', 200_000)
      expect(same(await fs.read('/f'), expected)).toBe(true)
      expect(same((await fs.read('/copy')).subarray(0, 300_000), model)).toBe(true)
      expect((await fs.read('/copy')).subarray(300_000).every((byte) => byte === 0)).toBe(true)
      expect(await fs.fsck()).toEqual([])
      await fs.remove('/f')
      await fs.remove('/copy')
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'what is the same is stored once',
    async run(tiered, expect) {
      const { fs } = tiered
      await fs.tiers.set({ olderThan: '0s' })
      const bytes = noise(3 * 65_536)
      await fs.write('/a', bytes)
      await fs.write('/b', bytes)
      expect(await fs.tiers.run()).toMatchObject({ chunks: 6, objects: 1, objectBytes: bytes.length })
      await fs.write('/c', bytes)
      expect(await fs.tiers.run()).toMatchObject({ chunks: 3, objects: 0 })
      await fs.write('/d', Buffer.alloc(MB, 'compresses well '))
      const { objectBytes } = await fs.tiers.run()
      expect(objectBytes).toBeLessThan(MB / 100)
      for (const path of ['/a', '/b', '/c']) expect(same(await fs.read(path), bytes)).toBe(true)
      expect(String(await fs.read('/d'))).toBe('compresses well '.repeat(MB / 16))
    },
  },
  {
    name: 'an object stays while anything has a piece of it',
    async run(tiered, expect) {
      const { fs } = tiered
      await fs.tiers.set({ olderThan: '0s', keep: '0s' })
      const bytes = noise(200_000)
      await fs.write('/f', bytes)
      await fs.tiers.run()
      await fs.snapshot('kept')
      await fs.fork('fork')
      await fs.remove('/f')
      await fs.tiers.run()
      expect(await tiered.keys()).toHaveLength(1)
      await fs.snapshots.remove('kept')
      await fs.tiers.run()
      const again = await tiered.reopen(true)
      expect(same(await again.fs.forks.open('fork').read('/f'), bytes)).toBe(true)
      await again.fs.forks.remove('fork')
      await again.fs.tiers.run()
      expect(await again.keys()).toEqual([])
      expect(await again.fs.tiers.status()).toMatchObject({ coldBytes: 0, objects: 0, deadObjects: 0 })
      expect(await again.fs.fsck()).toEqual([])
    },
  },
  {
    name: 'an object of which little is in use is packed anew',
    async run(tiered, expect) {
      const { fs } = tiered
      await fs.tiers.set({ olderThan: '0s', keep: '0s' })
      const bytes = noise(20 * 65_536)
      await fs.write('/f', bytes)
      await fs.write('/kept', bytes.subarray(0, 2 * 65_536))
      await fs.tiers.run()
      const [first] = await tiered.keys()
      await fs.promises.truncate('/f', 11 * 65_536)
      expect(await fs.tiers.run()).toMatchObject({ objects: 0 })
      await fs.promises.truncate('/f', 100_000)
      expect(await fs.tiers.run()).toMatchObject({ objects: 1, objectBytes: 2 * 65_536, deleted: 1 })
      expect(await tiered.keys()).not.toContain(first)
      const { fs: again } = await tiered.reopen(true)
      expect(same(await again.read('/f'), bytes.subarray(0, 100_000))).toBe(true)
      expect(same(await again.read('/kept'), bytes.subarray(0, 2 * 65_536))).toBe(true)
      expect(await again.fsck()).toEqual([])
      expect(await again.tiers.run()).toMatchObject({ objects: 0, deleted: 0 })
    },
  },
  {
    name: 'a file that is read from end to end is fetched ahead, one that is read here and there is not',
    async run(tiered, expect) {
      const { fs } = tiered
      await fs.tiers.set({ olderThan: '0s' })
      const bytes = noise(6 * MB)
      await fs.write('/f', bytes)
      await fs.tiers.run()
      const { fs: cold, counts } = await tiered.reopen()
      const handle = await cold.promises.open('/f')
      const piece = Buffer.alloc(65_536)
      await handle.read(piece, 0, 65_536, 5 * MB)
      expect([counts.get, counts.readBytes]).toEqual([1, 65_536])
      for (let at = 0; at < bytes.length; at += piece.length) {
        await handle.read(piece, 0, piece.length, at)
        expect(same(piece, bytes.subarray(at, at + piece.length))).toBe(true)
      }
      await handle.close()
      expect(counts.get).toBeLessThan(5)
    },
  },
]
