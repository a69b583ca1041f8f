/** A filesystem over a folder of the host, and over another filesystem: what is below is seen, and never changed. */
import nodeFs, { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { type FileSystem, fsx, type Lower, type OpenedFileSystem } from './index.ts'
import { codeOf } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let fs: OpenedFileSystem
let base: string
const openOver = (over: Lower, database = 'over') =>
  fsx({ dotdo: { data: join(folder.path, 'data'), durability: 'normal' }, database, over })
beforeEach(async () => {
  folder = temporaryFolder()
  base = join(folder.path, 'base')
  mkdirSync(join(base, 'src/deep/er'), { recursive: true })
  writeFileSync(join(base, 'src/a.txt'), 'one', { mode: 0o640 })
  writeFileSync(join(base, 'src/deep/er/b.txt'), 'two')
  writeFileSync(join(base, 'large'), Buffer.alloc(3_000_000, 'large '))
  symlinkSync('src/deep', join(base, 'link'))
  utimesSync(join(base, 'large'), 1_000_000_000, 1_000_000_000)
  fs = await openOver({ fs: nodeFs, path: base })
})
afterEach(async () => {
  expect(await fs.fsck()).toEqual([])
  await fs.close()
  folder.remove()
})

const below = () => readdirSync(base, { recursive: true }).map(String).sort()

it('shows what is below', async () => {
  expect((await fs.promises.readdir('/', { recursive: true })).sort()).toEqual(
    below().filter((path) => !path.startsWith('link/')),
  )
  expect(await fs.read('/link/er/b.txt', 'utf8')).toBe('two')
  expect((await fs.read('/large')).equals(readFileSync(join(base, 'large')))).toBe(true)
  const { size, mtimeMs } = await fs.stat('/large')
  expect([size, mtimeMs]).toEqual([3_000_000, 1_000_000_000_000])
  expect((await fs.stat('/src/a.txt')).mode & 0o777).toBe(0o640)
  expect(await fs.xattrs.list('/src')).toEqual([])
  expect(await codeOf(fs.read('/none'))).toBe('ENOENT')
  expect(await codeOf(fs.xattrs.set('/src', 'dotdo.lower', '/etc'))).toBe('EPERM')
})

it('copies a long file from below', async () => {
  writeFileSync(join(base, 'long'), Buffer.alloc(9_000_000, 'long '))
  const before = below()
  await fs.promises.copyFile('/long', '/src/copy')
  expect((await fs.read('/src/copy')).equals(readFileSync(join(base, 'long')))).toBe(true)
  expect(below()).toEqual(before)
})

it('takes changes, and hides what was removed, also when it is opened again', async () => {
  const before = below()
  await fs.promises.appendFile('/src/a.txt', ' more')
  await fs.promises.rename('/src/deep', '/moved')
  expect(await codeOf(fs.promises.rmdir('/moved'))).toBe('ENOTEMPTY')
  expect(await fs.read('/moved/er/b.txt', 'utf8')).toBe('two')
  await fs.remove('/large')
  await fs.write('/src/new', 'three')
  const handle = await fs.promises.open('/moved/er/b.txt', 'r+')
  await handle.write('T', 0)
  await handle.close()
  await fs.close()
  fs = await openOver({ fs: nodeFs, path: base })
  expect((await fs.list('/')).sort()).toEqual(['link', 'moved', 'src'])
  expect((await fs.list('/src')).sort()).toEqual(['a.txt', 'new'])
  expect(await fs.read('/src/a.txt', 'utf8')).toBe('one more')
  expect(await fs.read('/moved/er/b.txt', 'utf8')).toBe('Two')
  expect(below()).toEqual(before)
  expect(readFileSync(join(base, 'src/a.txt'), 'utf8')).toBe('one')
})

it('lies over another filesystem, and is forked', async () => {
  const upper = await fsx({
    dotdo: { data: join(folder.path, 'upper'), durability: 'normal' },
    over: { fs: fs as unknown as Lower['fs'], path: '/src' },
  })
  try {
    expect((await upper.list('/')).sort()).toEqual(['a.txt', 'deep'])
    const fork: FileSystem = await upper.fork('fork')
    await upper.write('/deep/er/b.txt', 'upper')
    expect(await fork.read('/deep/er/b.txt', 'utf8')).toBe('two')
    expect(await fs.read('/src/deep/er/b.txt', 'utf8')).toBe('two')
    await fork.snapshot('whole')
    expect(await fork.at('whole').read('/deep/er/b.txt', 'utf8')).toBe('two')
    expect(await codeOf(fork.at('whole').read('/a.txt'))).toBe('ENOTSUP')
    expect(await upper.fsck()).toEqual([])
  } finally {
    await upper.close()
  }
})

it('is refused for a filesystem that is in use, or lies over something else', async () => {
  await expect(openOver({ fs: nodeFs, path: join(base, 'src') }, 'over')).rejects.toThrow()
  await fs.close()
  await expect(openOver({ fs: nodeFs, path: join(base, 'src') })).rejects.toThrow('does not lie over')
  fs = await fsx({ dotdo: { data: join(folder.path, 'data'), durability: 'normal' }, database: 'own' })
  await fs.write('/mine', 'x')
  await fs.close()
  await expect(openOver({ fs: nodeFs, path: base }, 'own')).rejects.toThrow('not empty')
  fs = await openOver({ fs: nodeFs, path: base })
})

it('tells of changes, and not of what is taken in', async () => {
  const changes = await fs.changes()
  await fs.promises.readdir('/', { recursive: true })
  await fs.read('/large')
  await fs.promises.appendFile('/src/a.txt', ' more')
  expect((await changes.next()).value).toMatchObject({ kind: 'changed', path: '/src/a.txt' })
  await changes.return?.()
})
