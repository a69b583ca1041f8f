import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { fsx, type OpenedFileSystem } from './index.ts'

let folder: ReturnType<typeof temporaryFolder>
let fs: OpenedFileSystem
const open = () => fsx({ dotdo: { data: folder.path, durability: 'normal' } })

beforeEach(async () => {
  folder = temporaryFolder()
  fs = await open()
})
afterEach(async () => {
  expect(await fs.fsck()).toEqual([])
  await fs.close()
  folder.remove()
})

describe('a filesystem', () => {
  it('keeps files over a reopening', async () => {
    await fs.promises.mkdir('/a/b', { recursive: true })
    await fs.promises.writeFile('/a/b/c.txt', 'hello')
    await fs.promises.writeFile('/a/large', Buffer.alloc(1_000_000, 'xyz'))
    await fs.close()
    fs = await open()
    expect(await fs.promises.readFile('/a/b/c.txt', 'utf8')).toBe('hello')
    expect(await fs.promises.readFile('/a/large')).toEqual(Buffer.alloc(1_000_000, 'xyz'))
    expect((await fs.promises.stat('/a')).nlink).toBe(3)
  })

  it('answers at once, too', async () => {
    fs.mkdirSync('/d')
    fs.writeFileSync('/d/f', 'one')
    fs.appendFileSync('/d/f', ' two')
    expect(fs.readFileSync('/d/f', 'utf8')).toBe('one two')
    expect(fs.readdirSync('/d')).toEqual(['f'])
    expect(() => fs.readFileSync('/none')).toThrow("ENOENT: no such file or directory, open '/none'")
    const fd = fs.openSync('/d/f', 'r+')
    expect(fs.writeSync(fd, 'ONE')).toBe(3)
    expect(fs.readSync(fd, Buffer.alloc(10))).toBe(4)
    fs.closeSync(fd)
    expect(fs.readFileSync('/d/f', 'utf8')).toBe('ONE two')
  })

  it('keeps an open file that has lost its name', async () => {
    const handle = await fs.promises.open('/f', 'w+')
    await handle.write('abc')
    await fs.promises.unlink('/f')
    expect(await fs.exists('/f')).toBe(false)
    expect((await handle.stat()).nlink).toBe(0)
    await handle.write('def')
    expect((await handle.read({ buffer: Buffer.alloc(9), position: 0 })).buffer.toString('utf8', 0, 6)).toBe('abcdef')
    expect(await fs.fsck()).toEqual([])
    await handle.close()
  })
})
