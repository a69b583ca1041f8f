/** What taking and freeing the space of files does on every host. */
import type { FileSystem } from './api/filesystem.ts'
import { codeOf, type FsxCase } from './fsx.conformance.ts'

async function usedBytes(fs: FileSystem): Promise<number> {
  const { blocks, bfree, bsize } = await fs.promises.statfs('/')
  return (blocks - bfree) * bsize
}

const MIB = 1024 * 1024

/** What is done with space. */
export const spaceCases: readonly FsxCase[] = [
  {
    name: 'takes space before it is written',
    async run(opened, expect) {
      const { fs } = opened
      const handle = await fs.promises.open('/f', 'w+')
      await handle.write('begin')
      await handle.allocate(3, 10_000)
      expect((await handle.stat()).size).toBe(10_003)
      await handle.allocate(100_000, 200_000)
      const { size, blocks } = await handle.stat()
      expect(size).toBe(300_000)
      expect(blocks * 512).toBeGreaterThanOrEqual(200_000)
      expect(blocks * 512).toBeLessThan(300_000)
      const expected = Buffer.alloc(300_000)
      expected.write('begin')
      expect((await fs.read('/f')).equals(expected)).toBe(true)
      // All that is allowed is taken: there is room in what is allocated, and nowhere else.
      await fs.setQuota({ bytes: 300_000 - 65_536 })
      await handle.write(Buffer.alloc(200_000, 'x'), 0, 200_000, 100_000)
      expect(await codeOf(handle.write('x', 300_000))).toBe('EDQUOT')
      await handle.close()
      const again = (await opened.reopen(true)).fs
      expected.fill('x', 100_000)
      expect((await again.read('/f')).equals(expected)).toBe(true)
      expect(await again.fsck()).toEqual([])
    },
  },
  {
    name: 'refuses at once what there is no room for, and takes nothing',
    async run({ fs }, expect) {
      await fs.setQuota({ bytes: 18 * MIB })
      const handle = await fs.promises.open('/f', 'w')
      const error = await handle.allocate(0, 19 * MIB).catch((error) => error)
      expect(error).toMatchObject({ code: 'EDQUOT', syscall: 'fallocate' })
      expect([(await handle.stat()).size, await usedBytes(fs)]).toEqual([0, 0])
      // More than one call takes.
      await handle.allocate(0, 17 * MIB)
      expect([(await handle.stat()).size, await usedBytes(fs)]).toEqual([17 * MIB, 17 * MIB])
      await handle.allocate(MIB, MIB)
      expect(await usedBytes(fs)).toBe(17 * MIB)
      expect(await codeOf(handle.allocate(0, 2 ** 50))).toBe('EFBIG')
      expect(await codeOf(handle.allocate(0, 0))).toBe('ERR_OUT_OF_RANGE')
      await handle.close()
      const reader = await fs.promises.open('/f', 'r')
      expect(await codeOf(reader.allocate(0, 1))).toBe('EBADF')
      expect(await codeOf(reader.deallocate(0, 1))).toBe('EBADF')
      await reader.close()
    },
  },
  {
    name: 'takes space past the end of a file, that stays where it is',
    async run({ fs }, expect) {
      const handle = await fs.promises.open('/f', 'a')
      await handle.allocate(0, 200_000, { keepSize: true })
      expect((await handle.stat()).size).toBe(0)
      expect((await handle.stat()).blocks * 512).toBeGreaterThanOrEqual(200_000)
      expect((await fs.read('/f')).length).toBe(0)
      await fs.setQuota({ bytes: 200_000 })
      await fs.snapshot('empty')
      await handle.write('x'.repeat(150_000))
      expect(await fs.read('/f', 'utf8')).toBe('x'.repeat(150_000))
      expect((await fs.at('empty').read('/f')).length).toBe(0)
      await fs.promises.truncate('/f', 180_000)
      expect((await fs.read('/f')).subarray(150_000)).toEqual(Buffer.alloc(30_000))
      expect(await fs.fsck()).toEqual([])
      await fs.promises.truncate('/f', 100_000)
      expect(await usedBytes(fs)).toBeLessThan(110_000)
      await handle.allocate(0, 150_000, { keepSize: true })
      await handle.close()
      await fs.write('/f', '')
      expect(await usedBytes(fs)).toBe(0)
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'lets stretches of files be holes',
    async run(opened, expect) {
      const { fs } = opened
      const content = Buffer.alloc(300_000, 'content ')
      await fs.write('/f', content)
      await fs.write('/small', 'abcdefgh')
      await fs.snapshot('before')
      const used = await usedBytes(fs)
      for (const [path, from, length] of [
        ['/f', 60_000, 150_000],
        ['/small', 2, 3],
        ['/small', 6, 1e9],
      ] as const) {
        const handle = await fs.promises.open(path, 'r+')
        await handle.deallocate(from, length)
        await handle.close()
      }
      expect(used - (await usedBytes(fs))).toBeGreaterThan(120_000)
      const expected = Buffer.from(content)
      expected.fill(0, 60_000, 210_000)
      const { fs: again } = await opened.reopen(true)
      expect((await again.read('/f')).equals(expected)).toBe(true)
      expect(await again.read('/small', 'utf8')).toBe('ab\0\0\0f\0\0')
      expect((await again.at('before').read('/f')).equals(content)).toBe(true)
      expect(await again.fsck()).toEqual([])
    },
  },
]
