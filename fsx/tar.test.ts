/** Archives: there and back, and what the tar of this system makes and reads. */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { BLOCK_BYTES, encodeHeader, type TarHeader } from './api/tar-format.ts'
import type { OpenedFileSystem, TarProgress } from './index.ts'
import { codeOf, openIn } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let fs: OpenedFileSystem
beforeEach(async () => {
  folder = temporaryFolder()
  fs = await openIn(join(folder.path, 'data'))
})
afterEach(async () => {
  expect(await fs.fsck()).toEqual([])
  await fs.close()
  folder.remove()
})

const long = `/tree/${'long-name-'.repeat(20)}`
const collect = async (pieces: AsyncIterable<Uint8Array>) => {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts)
}

async function fill(): Promise<void> {
  await fs.write('/tree/dir/small', 'hello')
  await fs.write('/tree/dir/large', Buffer.alloc(3_000_001, 'content '))
  await fs.write(long, 'long')
  await fs.write('/tree/日本', 'unicode')
  await fs.promises.link('/tree/dir/small', '/tree/other')
  await fs.promises.symlink('dir/small', '/tree/link')
  await fs.promises.symlink('x'.repeat(300), '/tree/far')
  const handle = await fs.promises.open('/tree/sparse', 'w')
  await handle.write('end', 500_000)
  await handle.close()
  await fs.promises.chmod('/tree/dir/small', 0o4751)
  await fs.promises.lchown('/tree/dir/large', 1234, 3_000_000)
  await fs.promises.utimes('/tree/dir/small', 1_000_000_000.5, 1_000_000_000.5)
  await fs.promises.utimes('/tree/dir', 1_100_000_000, 1_100_000_000)
  await fs.xattrs.set('/tree/日本', 'user.kind', 'note')
}

it('goes out and comes back as it was', async () => {
  await fill()
  const told: TarProgress[] = []
  const archive = await collect(fs.exportTar({ path: '/tree', onProgress: (progress) => told.push(progress) }))
  expect(told.at(-1)).toMatchObject({ entries: 10, bytes: 3_000_001 + 5 + 4 + 7 + 500_003 })
  // In pieces of any size.
  function* pieces() {
    for (let at = 0; at < archive.length; at += 10_007) yield archive.subarray(at, at + 10_007)
  }
  expect(await fs.importTar(pieces(), { path: '/copy' })).toMatchObject({ entries: 10 })
  const walk = async (base: string) => {
    const paths = (await fs.promises.readdir(base, { recursive: true })).sort()
    return Promise.all(
      ['', ...paths].map(async (path) => {
        const { mode, nlink, uid, gid, size, mtimeNs } = await fs.promises.lstat(`${base}/${path}`, { bigint: true })
        const isFile = (mode & 0o170000n) === 0o100000n
        const content = isFile ? (await fs.read(`${base}/${path}`)).toString('base64').slice(0, 100_000) : ''
        return [path, mode, nlink, uid, gid, size, mtimeNs, content]
      }),
    )
  }
  expect(await walk('/copy')).toEqual(await walk('/tree'))
  expect(await fs.promises.readlink('/copy/far')).toBe('x'.repeat(300))
  expect(String(await fs.xattrs.get('/copy/日本', 'user.kind'))).toBe('note')
  expect((await fs.read('/copy/sparse')).equals(await fs.read('/tree/sparse'))).toBe(true)
})

it('is read by tar', async () => {
  await fill()
  const file = join(folder.path, 'out.tar')
  writeFileSync(file, await collect(fs.exportTar({ path: '/tree' })))
  const target = join(folder.path, 'out')
  mkdirSync(target)
  execFileSync('tar', ['-xpf', file, '--no-same-owner', '-C', target], { stdio: 'pipe' })
  expect(readFileSync(join(target, 'dir/large')).equals(await fs.read('/tree/dir/large'))).toBe(true)
  expect(readFileSync(join(target, 'sparse')).equals(await fs.read('/tree/sparse'))).toBe(true)
  expect(readFileSync(join(target, long.slice(6)), 'utf8')).toBe('long')
  expect(readFileSync(join(target, '日本'), 'utf8')).toBe('unicode')
  expect(readlinkSync(join(target, 'far'))).toBe('x'.repeat(300))
  expect(lstatSync(join(target, 'other')).ino).toBe(lstatSync(join(target, 'dir/small')).ino)
  expect(lstatSync(join(target, 'other')).mtimeMs).toBe(1_000_000_000_500)
  expect(lstatSync(join(target, 'dir')).mtimeMs).toBe(1_100_000_000_000)
  expect(lstatSync(join(target, 'other')).mode & 0o777).toBe(0o751)
})

it.each(['gnu', 'posix', 'ustar', 'v7'])('reads what tar makes (%s)', async (format) => {
  const source = join(folder.path, 'in')
  mkdirSync(join(source, 'dir'), { recursive: true })
  const name = format === 'gnu' || format === 'posix' ? 'n'.repeat(180) : 'n'.repeat(80)
  writeFileSync(join(source, 'dir', name), Buffer.alloc(100_000, 'abc'), { mode: 0o640 })
  writeFileSync(join(source, 'empty'), '')
  symlinkSync(`dir/${name}`.slice(0, 90), join(source, 'link'))
  execFileSync('ln', [join(source, 'dir', name), join(source, 'zz')])
  const archive = execFileSync('tar', ['-cf', '-', `--format=${format}`, '-C', source, '.'], { maxBuffer: 1 << 24 })
  await fs.importTar([archive], { path: '/in' })
  expect((await fs.list('/in')).sort()).toEqual(['dir', 'empty', 'link', 'zz'])
  expect((await fs.read(`/in/dir/${name}`)).equals(Buffer.alloc(100_000, 'abc'))).toBe(true)
  const stats = await fs.stat('/in/zz')
  expect(stats.ino).toBe((await fs.stat(`/in/dir/${name}`)).ino)
  expect(stats.mode & 0o777).toBe(0o640)
  const seconds = lstatSync(join(source, 'zz')).mtimeMs / 1000
  expect(Math.floor(stats.mtimeMs / 1000)).toBe(Math.floor(seconds))
  expect(await fs.promises.readlink('/in/link')).toBe(readlinkSync(join(source, 'link')))
})

it('lets nothing out of the directory, and says what is damaged', async () => {
  const archiveOf = async (make: () => Promise<unknown>) => {
    await make()
    return collect(fs.exportTar({ path: '/evil' }))
  }
  const archive = await archiveOf(async () => {
    await fs.promises.mkdir('/evil')
    await fs.promises.symlink('/outside', '/evil/a')
    await fs.write('/evil/b/c', 'x')
  })
  await fs.mkdir('/outside')
  // The second file now has a name that leads through the link.
  const renamed = Buffer.from(archive)
  for (let at = renamed.indexOf('./b/'); at >= 0; at = renamed.indexOf('./b/', at + 1)) {
    renamed[at + 2] = 97
    const header = renamed.subarray(at, at + 512)
    header.fill(32, 148, 156)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    // The directory itself would take the link's place.
    if (header[4] === 0) header[156] = 48
  }
  await fs.importTar([renamed], { path: '/in' }).catch(() => undefined)
  expect(await fs.list('/outside')).toEqual([])
  await expect(fs.importTar([archive.subarray(0, 1000)], { path: '/in' })).rejects.toThrow('ends too early')
  await expect(fs.importTar([Buffer.alloc(1024, 'x')], { path: '/in' })).rejects.toThrow('no tar archive')
  const fifo = join(folder.path, 'fifo')
  mkdirSync(fifo)
  execFileSync('mkfifo', [join(fifo, 'pipe')])
  const piped = execFileSync('tar', ['-cf', '-', '-C', fifo, '.'])
  await expect(fs.importTar([piped], { path: '/in' })).rejects.toThrow('./pipe is of type 6')
})

it('makes and changes nothing where a link of the archive leads', async () => {
  const entry = (name: string, more: Partial<TarHeader>): Uint8Array =>
    encodeHeader({
      ...{ name, type: 'file', mode: 0o777, uid: 0, gid: 0, size: 0, mtime: 0n, link: '', xattrs: new Map() },
      ...more,
    } as TarHeader)
  const end = new Uint8Array(2 * BLOCK_BYTES)
  await fs.mkdir('/outside')
  await fs.promises.chmod('/outside', 0o700)
  const through = [entry('x', { type: 'symlink', link: '/outside' }), entry('x/new/deep/f', {}), end]
  expect(await codeOf(fs.importTar(through, { path: '/in' }))).toBe('EACCES')
  const dangling = [entry('y', { type: 'symlink', link: '/nowhere' }), entry('y/f', {}), end]
  expect(await codeOf(fs.importTar(dangling, { path: '/in' }))).toBe('EACCES')
  const attributes = new Map([['user.evil', new Uint8Array(1)]])
  const replaced = [
    entry('d/', { type: 'directory', xattrs: attributes }),
    entry('d', { type: 'symlink', link: '/outside' }),
    end,
  ]
  expect(await codeOf(fs.importTar(replaced, { path: '/in' }))).toBe('done')
  expect(await fs.list('/outside')).toEqual([])
  expect(await fs.exists('/nowhere')).toBe(false)
  expect([(await fs.stat('/outside')).mode & 0o777, await fs.xattrs.list('/outside')]).toEqual([0o700, []])
})

it('takes in all the attributes that a file may have, however many they are', async () => {
  const set = async (path: string, value: Buffer) => {
    for (let count = 0; ; count++) {
      const code = await codeOf(fs.xattrs.set(path, `user.${count}`, value))
      if (code !== 'done') return [count, code]
    }
  }
  await fs.write('/from/large', '')
  await fs.write('/from/many', '')
  expect(await set('/from/large', Buffer.alloc(65_536, 'x'))).toEqual([15, 'ENOSPC'])
  expect(await set('/from/many', Buffer.alloc(256))).toEqual([3190, 'ENOSPC'])
  // In place of one of its own, it is room for as much.
  await fs.xattrs.set('/from/large', 'user.3', Buffer.alloc(65_536, 'y'))
  await fs.importTar(fs.exportTar({ path: '/from' }), { path: '/to' })
  for (const name of ['large', 'many']) {
    expect(await fs.xattrs.list(`/to/${name}`)).toEqual(await fs.xattrs.list(`/from/${name}`))
  }
  expect((await fs.xattrs.get('/to/large', 'user.3')).equals(Buffer.alloc(65_536, 'y'))).toBe(true)
})
