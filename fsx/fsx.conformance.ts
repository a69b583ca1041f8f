/** What the filesystem does on every host: run in Node over files, in workerd over a Durable Object's storage. */
import git from 'isomorphic-git'
import type { ExpectStatic } from 'vitest'
import type { FileSystem } from './api/filesystem.ts'

/** A filesystem as a host opened it. */
export interface Opened {
  readonly fs: FileSystem
  /** Another client of it. */
  another(): FileSystem
  /** Open its shard again. @param crash without closing it first, as a kill would */
  reopen(crash?: boolean): Promise<Opened>
}

/** One thing every filesystem does. */
export interface FsxCase {
  readonly name: string
  run(opened: Opened, expect: ExpectStatic): Promise<unknown>
}

/** Tell how something ended: `done`, or the code of its error. */
export function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    ({ code }: { code: string }) => code,
  )
}
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const large = () => Buffer.alloc(300_000, 'large ')

/** What every filesystem does. */
export const fsxCases: readonly FsxCase[] = [
  {
    name: 'writes, reads, lists and removes',
    async run({ fs }, expect) {
      await fs.write('/a/b/c.txt', 'hello')
      expect(await fs.read('/a/b/c.txt', 'utf8')).toBe('hello')
      expect(await fs.list('/a')).toEqual(['b'])
      expect(await fs.exists('/a/b/c.txt')).toBe(true)
      await fs.copy('/a', '/d')
      await fs.move('/d/b/c.txt', '/e')
      expect(text(await fs.read('/e'))).toBe('hello')
      expect(await fs.glob('**/*.txt')).toEqual(['a/b/c.txt'])
      await fs.remove('/a')
      expect((await fs.list('/')).sort()).toEqual(['d', 'e'])
    },
  },
  {
    name: 'keeps everything over a crash',
    async run(opened, expect) {
      const { promises } = opened.fs
      await promises.writeFile('/small', 'x')
      await promises.writeFile('/large', large())
      await promises.symlink('small', '/link')
      await promises.link('/small', '/other')
      await opened.fs.xattrs.set('/small', 'user.kind', 'note')
      const { fs } = await opened.reopen(true)
      expect(await fs.read('/link', 'utf8')).toBe('x')
      expect((await fs.read('/large')).equals(large())).toBe(true)
      expect((await fs.stat('/other')).nlink).toBe(2)
      expect(text(await fs.xattrs.get('/other', 'user.kind'))).toBe('note')
      await fs.write('/new', '')
      expect((await fs.stat('/new')).ino).toBeGreaterThan((await fs.stat('/small')).ino)
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'has errors as Node has them',
    async run({ fs }, expect) {
      await fs.mkdir('/d/e')
      const error = await fs.promises.rename('/none', '/d').catch((error) => error)
      expect(error).toMatchObject({ code: 'ENOENT', errno: -2, syscall: 'rename', path: '/none', dest: '/d' })
      expect(error.message).toBe("ENOENT: no such file or directory, rename '/none' -> '/d'")
      expect(await codeOf(fs.promises.rename('/d', '/d/e/f'))).toBe('EINVAL')
      expect(await codeOf(fs.promises.rmdir('/d'))).toBe('ENOTEMPTY')
      expect(await codeOf(fs.promises.readFile('/d'))).toBe('EISDIR')
      expect(await codeOf(fs.promises.stat('/a\0b'))).toBe('ERR_INVALID_ARG_VALUE')
      expect(await codeOf(fs.promises.open('/x', 'q'))).toBe('ERR_INVALID_ARG_VALUE')
    },
  },
  {
    name: 'renames without replacing, and exchanges',
    async run({ fs }, expect) {
      await fs.write('/a', 'a')
      await fs.write('/d/b', 'b')
      expect(await codeOf(fs.move('/a', '/d/b', 'noreplace'))).toBe('EEXIST')
      await fs.move('/a', '/d', 'exchange')
      expect(await fs.read('/d', 'utf8')).toBe('a')
      expect(await fs.read('/a/b', 'utf8')).toBe('b')
      expect(await codeOf(fs.move('/a', '/none', 'exchange'))).toBe('ENOENT')
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'leaves holes in files',
    async run({ fs }, expect) {
      const handle = await fs.promises.open('/sparse', 'w+')
      await handle.write('end', 1_000_000_000)
      expect((await handle.stat()).size).toBe(1_000_000_003)
      expect((await handle.stat()).blocks).toBeLessThan(200)
      const { buffer } = await handle.read({ buffer: Buffer.alloc(5), position: 999_999_998 })
      expect([...buffer]).toEqual([0, 0, 101, 110, 100])
      await handle.truncate(10)
      expect(await fs.read('/sparse')).toEqual(Buffer.alloc(10))
      await handle.close()
    },
  },
  {
    name: 'keeps a file that is open until it is closed',
    async run({ fs }, expect) {
      await fs.write('/f', large())
      const handle = await fs.promises.open('/f', 'r+')
      await fs.promises.unlink('/f')
      expect(await fs.exists('/f')).toBe(false)
      await handle.write('LARGE', 0)
      expect((await handle.readFile('utf8')).slice(0, 5)).toBe('LARGE')
      expect((await handle.stat()).nlink).toBe(0)
      expect(await fs.fsck()).toEqual([])
      await handle.close()
      expect((await fs.promises.statfs('/')).files - (await fs.promises.statfs('/')).ffree).toBe(1)
    },
  },
  {
    name: 'keeps a directory that is open and removed within the rules, in snapshots too',
    async run({ fs }, expect) {
      await fs.mkdir('/d')
      const handle = await fs.promises.open('/d')
      await fs.promises.rmdir('/d')
      await fs.snapshot('s')
      expect((await handle.stat()).nlink).toBe(0)
      expect(await fs.fsck()).toEqual([])
      await handle.close()
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'reads a handle by lines and as a stream of the web, and a file as a Blob',
    async run({ fs }, expect) {
      await fs.write('/lines', 'one\ntwo\r\nthree')
      const lines: string[] = []
      for await (const line of (await fs.promises.open('/lines')).readLines()) lines.push(line)
      expect(lines).toEqual(['one', 'two', 'three'])
      // Pieces that end where lines do, and within \r\n.
      const read = (await fs.promises.open('/lines')).readLines({ highWaterMark: 4 })
      const heard: string[] = []
      read.on('line', (line) => heard.push(line))
      await new Promise<void>((done) => void read.on('close', done))
      expect(heard).toEqual(lines)
      await fs.write('/large', large())
      const handle = await fs.promises.open('/large', 'r')
      const bytes = await new Response(handle.readableWebStream() as ReadableStream<Uint8Array>).arrayBuffer()
      expect(large().equals(new Uint8Array(bytes))).toBe(true)
      // Nothing is not written, also where nothing may be.
      expect(await handle.write(Buffer.alloc(0))).toMatchObject({ bytesWritten: 0 })
      await handle.close()
      expect(await codeOf(handle.write(Buffer.alloc(0)))).toBe('EBADF')
      const blob = await fs.openAsBlob('/lines', { type: 'text/plain' })
      expect([blob.type, await blob.text()]).toEqual(['text/plain', 'one\ntwo\r\nthree'])
    },
  },
  {
    name: 'copies a long file in pieces, which show when all are there',
    async run(opened, expect) {
      const { fs } = opened
      const handle = await fs.promises.open('/long', 'w')
      const part = Buffer.alloc(1024 * 1024, 'part ')
      for (const at of [0, 1, 9]) await handle.write(part, 0, part.length, at * part.length + 7)
      await handle.close()
      await fs.promises.chmod('/long', 0o640)
      await fs.write('/there', 'before')
      await fs.promises.link('/there', '/other')
      const seen: string[] = []
      const copying = fs.promises.copyFile('/long', '/there').then(() => seen.push('copied'))
      // Others are served meanwhile, and see what was there.
      seen.push(await fs.read('/other', 'utf8'))
      seen.push(await fs.read('/there', 'utf8'))
      await copying
      expect(seen).toEqual(['before', 'before', 'copied'])
      const again = (await opened.reopen(true)).fs
      expect((await again.read('/there')).equals(await again.read('/long'))).toBe(true)
      const [long, there, other] = await Promise.all(['/long', '/there', '/other'].map((path) => again.stat(path)))
      expect(there).toMatchObject({ size: long?.size, blocks: long?.blocks, mode: long?.mode, nlink: 2 })
      expect(other?.ino).toBe(there?.ino)
      // The copy is of its own.
      await again.promises.truncate('/long', 10)
      expect((await again.stat('/there')).size).toBe(10 * part.length + 7)
      await again.promises.writeFile('/there', 'short')
      expect(await again.fsck()).toEqual([])
    },
  },
  {
    name: 'refuses a long copy whole',
    async run({ fs }, expect) {
      await fs.write('/long', Buffer.alloc(9 * 1024 * 1024, 'x'))
      await fs.write('/there', 'before')
      await fs.mkdir('/d')
      const { COPYFILE_EXCL } = fs.constants
      expect(await codeOf(fs.promises.copyFile('/long', '/there', COPYFILE_EXCL))).toBe('EEXIST')
      expect(await codeOf(fs.promises.copyFile('/long', '/d'))).toBe('EISDIR')
      expect(await codeOf(fs.promises.copyFile('/long', '/none/x'))).toBe('ENOENT')
      expect(await codeOf(fs.as({ uid: 5, gid: 5 }).promises.copyFile('/long', '/there'))).toBe('EACCES')
      await fs.promises.copyFile('/long', '/long')
      await fs.setQuota({ bytes: 14 * 1024 * 1024 })
      expect(await codeOf(fs.promises.copyFile('/long', '/there'))).toBe('EDQUOT')
      expect(await codeOf(fs.promises.copyFile('/long', '/new'))).toBe('EDQUOT')
      expect((await fs.list('/')).sort()).toEqual(['d', 'long', 'there'])
      expect(await fs.read('/there', 'utf8')).toBe('before')
      // What was copied until then has been given back.
      await fs.write('/room', Buffer.alloc(4 * 1024 * 1024))
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'is a filesystem for isomorphic-git',
    async run(opened, expect) {
      const repository = { fs: opened.fs, dir: '/repo' }
      const author = { name: 'Ada', email: 'ada@example.org', timestamp: 1e9, timezoneOffset: 0 }
      await git.init({ ...repository, defaultBranch: 'main' })
      await opened.fs.write('/repo/src/a.txt', 'one')
      await git.add({ ...repository, filepath: 'src/a.txt' })
      const first = await git.commit({ ...repository, message: 'first', author })
      await git.branch({ ...repository, ref: 'topic', checkout: true })
      await opened.fs.write('/repo/src/a.txt', 'two')
      await git.add({ ...repository, filepath: 'src/a.txt' })
      const second = await git.commit({ ...repository, message: 'second', author })
      const again = { fs: (await opened.reopen(true)).fs, dir: '/repo' }
      await git.checkout({ ...again, ref: 'main' })
      expect(await again.fs.read('/repo/src/a.txt', 'utf8')).toBe('one')
      expect((await git.log({ ...again, ref: 'topic' })).map(({ oid }) => oid)).toEqual([second, first])
      expect(await git.statusMatrix(again)).toEqual([['src/a.txt', 1, 1, 1]])
      expect(await again.fs.fsck()).toEqual([])
    },
  },
  {
    name: 'refuses what a credential does not allow',
    async run({ fs }, expect) {
      await fs.mkdir('/shared')
      await fs.promises.chmod('/shared', 0o1777)
      await fs.write('/shared/roots', 'r')
      const ada = fs.as({ uid: 1000, gid: 1000, umask: 0o077 })
      await ada.write('/shared/mine', 'm')
      expect((await fs.stat('/shared/mine')).mode & 0o777).toBe(0o600)
      expect(await codeOf(ada.write('/shared/roots', 'x'))).toBe('EACCES')
      expect(await codeOf(ada.promises.unlink('/shared/roots'))).toBe('EPERM')
      expect(await codeOf(fs.as({ uid: 1001, gid: 1000 }).read('/shared/mine'))).toBe('EACCES')
      expect(await codeOf(ada.promises.chown('/shared/mine', 0, 0))).toBe('EPERM')
    },
  },
  {
    name: 'holds files to a quota',
    async run({ fs }, expect) {
      await fs.setQuota({ bytes: 1000, inodes: 3 })
      await fs.write('/a', 'x'.repeat(900))
      expect(await codeOf(fs.write('/b', 'x'.repeat(101)))).toBe('EDQUOT')
      expect(await codeOf(fs.promises.appendFile('/a', 'x'.repeat(101)))).toBe('EDQUOT')
      await fs.write('/b', 'x'.repeat(100))
      expect(await codeOf(fs.write('/c', ''))).toBe('EDQUOT')
      await fs.remove('/a')
      await fs.write('/c', large().subarray(0, 900))
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'counts what there was before it had a quota',
    async run({ fs }, expect) {
      await fs.setQuota({ bytes: 1_000_000 })
      await fs.write('/a', 'x')
      expect(await fs.fsck()).toEqual([])
      await fs.setQuota({ inodes: 3 })
      await fs.write('/b', 'x')
      expect(await codeOf(fs.write('/c', 'x'))).toBe('EDQUOT')
      expect(await codeOf(fs.as({ uid: 1000, gid: 1000 }).setQuota({ inodes: 9 }))).toBe('EPERM')
    },
  },
  {
    name: 'writes many files, or none',
    async run({ fs }, expect) {
      await fs.writeAll([
        ['/a', 'a'],
        ['/b', large()],
      ])
      expect(
        await codeOf(
          fs.writeAll([
            ['/c', 'c'],
            ['/none/d', 'd'],
          ]),
        ),
      ).toBe('ENOENT')
      expect((await fs.list('/')).sort()).toEqual(['a', 'b'])
      expect(await fs.fsck()).toEqual([])
    },
  },
  {
    name: 'streams',
    async run({ fs }, expect) {
      const writing = fs.createWriteStream('/s')
      const written = new Promise((resolve, reject) => writing.once('close', () => resolve(null)).once('error', reject))
      writing.write('one ')
      writing.end(large())
      await written
      let read = ''
      for await (const piece of fs.createReadStream('/s', { start: 2, end: 12, encoding: 'utf8' })) read += piece
      expect(read).toBe('e large lar')
      const handle = await fs.promises.open('/s')
      // The path is not looked at where there is a handle, which the stream closes.
      const all = fs.createReadStream('/none', { fd: handle as never, signal: new AbortController().signal })
      expect(all.pending).toBe(true)
      const sizes = []
      for await (const piece of all) sizes.push(piece.length)
      expect([sizes.reduce((sum, size) => sum + size), handle.fd]).toEqual([300_004, -1])
      const aborting = new AbortController()
      const endless = fs.createWriteStream('/t', { signal: aborting.signal })
      const failed = new Promise((resolve) => endless.once('error', ({ name }) => resolve(name)))
      endless.write('x')
      aborting.abort()
      expect(await failed).toBe('AbortError')
    },
  },
  {
    name: 'keeps snapshots and forks over a crash',
    async run(opened, expect) {
      const { fs: before } = opened
      await before.write('/a/large', large())
      await before.write('/a/small', 'one')
      await before.snapshot('then')
      const { fs } = await opened.reopen(true)
      const fork = await fs.fork('other')
      await fork.promises.appendFile('/a/large', 'more')
      await fork.remove('/a/small')
      await fs.write('/a/small', 'two')
      expect(await codeOf(fs.at('then').write('/a/small', 'no'))).toBe('EROFS')
      expect(await fs.diff('then')).toEqual({ added: [], removed: [], changed: ['/a/small'], renamed: [] })
      const again = (await opened.reopen(true)).fs
      expect(await again.at('then').read('/a/small', 'utf8')).toBe('one')
      expect((await again.read('/a/large')).equals(large())).toBe(true)
      expect((await again.forks.open('other').stat('/a/large')).size).toBe(300_004)
      expect(await again.fsck()).toEqual([])
      await again.restore('then')
      await again.snapshots.remove('then')
      await again.forks.remove('other')
      expect(await again.read('/a/small', 'utf8')).toBe('one')
      expect(await again.fsck()).toEqual([])
    },
  },
]
