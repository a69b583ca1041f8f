/** Filesystems as tar archives, streamed.
 *
 *  1. An archive has modes, owners, times of change in nanoseconds, links of both kinds, and extended attributes. Holes
 *     are zeros in it.
 *  2. What is taken in stays below the directory that it is taken into, whatever names and links the archive has. */
import { Failure } from '@dotdo/core/errors'
import { FSX_TAR_PIECE_BYTES } from '@dotdo/core/limits'
import { S } from '../engine/mode.ts'
import { fsError } from '../errors.ts'
import type { Inode } from '../tables.ts'
import type { FileSystem } from './filesystem.ts'
import { onPath } from './operations.ts'
import { type Env, type Request, runLater } from './request.ts'
import { BLOCK_BYTES, encodeHeader, paddingOf, type Reading, readHeader, type TarHeader } from './tar-format.ts'

/** How far a tar archive is. */
export interface TarProgress {
  /** What is done now. */
  readonly path: string
  /** Files, directories and links so far, this one included. */
  readonly entries: number
  /** Bytes of content so far. */
  readonly bytes: number
}

/** How an archive is made or taken in. */
export interface TarOptions {
  /** The directory. Default the root. */
  path?: string
  /** Told of every file, and of each piece of a large one. */
  onProgress?(progress: TarProgress): void
}

/** Archives. */
export interface Tar {
  /** Make a tar archive of a directory and all that is in it. A snapshot (`fs.at(...)`) gives one of a single moment.
   *  @returns its bytes, made as they are asked for */
  exportTar(options?: TarOptions): AsyncIterable<Uint8Array>
  /** Take in a tar archive (of this, of GNU tar, of bsdtar). Files that are there are replaced.
   *  @returns how much it was
   *  @throws EACCES for a name that leads out of the directory; what came before it stays */
  importTar(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options?: TarOptions): Promise<TarProgress>
}

function* once(request: Request): Generator<Request, unknown, unknown> {
  return yield request
}

const ask = async <T>(env: Env, path: string, name: string, args: object): Promise<T> =>
  (await runLater(env, once(onPath(env, path, name, args)))) as T

/** Counts, and tells. */
function counter(options: TarOptions): { now: TarProgress; tell(path: string, bytes: number, entries?: number): void } {
  const count = {
    now: { path: '', entries: 0, bytes: 0 } as TarProgress,
    tell(path: string, bytes: number, entries = 0) {
      count.now = { path, entries: count.now.entries + entries, bytes: count.now.bytes + bytes }
      options.onProgress?.(count.now)
    },
  }
  return count
}

const join = (directory: string, name: string) => (directory === '/' ? `/${name}` : `${directory}/${name}`)

async function* exported(env: Env, fs: FileSystem, options: TarOptions): AsyncGenerator<Uint8Array> {
  const base = await fs.promises.realpath(options.path ?? '/')
  const count = counter(options)
  const seen = new Map<number, string>()
  const waiting: [path: string, name: string][] = [[base, '']]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [path, name] = next
    const inode = await ask<Inode>(env, path, 'stat', { follow: false })
    const isDirectory = (inode.mode & S.IFMT) === S.IFDIR
    const first = isDirectory ? undefined : seen.get(inode.ino)
    if (inode.nlink > 1 && !isDirectory) seen.set(inode.ino, name)
    const header = await headerOf(fs, { path, name, inode }, first)
    count.tell(path, 0, 1)
    yield encodeHeader(header)
    if (isDirectory) {
      const names = await fs.promises.readdir(path)
      for (const child of names.sort().reverse())
        waiting.push([join(path, child), name === '' ? child : `${name}/${child}`])
    }
    if (header.type !== 'file') continue
    for await (const piece of contentOf(fs, path, header.size)) {
      count.tell(path, piece.length)
      yield piece
    }
    if (paddingOf(header.size) > 0) yield new Uint8Array(paddingOf(header.size))
  }
  yield new Uint8Array(2 * BLOCK_BYTES)
}

interface Exported {
  readonly path: string
  readonly name: string
  readonly inode: Inode
}

async function headerOf(fs: FileSystem, { path, name, inode }: Exported, first?: string): Promise<TarHeader> {
  const { mode, uid, gid, size, mtime, nanos, link } = inode
  const kind = mode & S.IFMT
  const type = kind === S.IFDIR ? 'directory' : first !== undefined ? 'link' : kind === S.IFLNK ? 'symlink' : 'file'
  const xattrs = new Map<string, Uint8Array>()
  // The attributes of a link are those of what it leads to.
  if (type === 'file' || type === 'directory') {
    for (const key of await fs.xattrs.list(path)) xattrs.set(key, await fs.xattrs.get(path, key))
  }
  return {
    name: type === 'directory' ? `./${name}${name === '' ? '' : '/'}` : `./${name}`,
    type,
    ...{ mode: mode & 0o7777, uid, gid, xattrs },
    size: type === 'file' ? size : 0,
    mtime: BigInt(mtime) * 1000n + BigInt(Math.floor(nanos / 1000) % 1000),
    link: first === undefined ? (link ?? '') : `./${first}`,
  }
}

/** Read a file that may change meanwhile: the header has said how long it is. */
async function* contentOf(fs: FileSystem, path: string, size: number): AsyncGenerator<Uint8Array> {
  if (size === 0) return
  const handle = await fs.promises.open(path)
  try {
    for (let at = 0; at < size; ) {
      const buffer = Buffer.alloc(Math.min(FSX_TAR_PIECE_BYTES, size - at))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
      // Cut off meanwhile: zeros.
      yield bytesRead === 0 ? buffer : buffer.subarray(0, bytesRead)
      at += bytesRead === 0 ? buffer.length : bytesRead
    }
  } finally {
    await handle.close()
  }
}

/** Bytes of a stream, in the portions in which they are asked for. */
function readingOf(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Reading & { end(): Promise<void> } {
  const pieces = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  let rest: Uint8Array = new Uint8Array(0)
  return {
    async read(length) {
      const parts: Uint8Array[] = []
      let missing = length
      for (;;) {
        parts.push(rest.subarray(0, missing))
        missing -= (parts.at(-1) as Uint8Array).length
        rest = rest.subarray((parts.at(-1) as Uint8Array).length)
        if (missing === 0) return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
        const { value, done } = await pieces.next()
        if (done) throw new Failure('invalid', 'the archive ends too early')
        rest = value
      }
    },
    async end() {
      await pieces.return?.()
    },
  }
}

/** @returns where an entry goes
 *  @throws EACCES when that is not below the directory */
async function placeOf(fs: FileSystem, base: string, name: string): Promise<string> {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw fsError('EACCES', { syscall: 'importTar', path: name })
  const path = parts.reduce(join, base)
  const above = parts.slice(0, -1).reduce(join, base)
  if (parts.length < 2) return path
  // Before anything is made there: as far as it exists, the way must lead nowhere else.
  for (let i = 1; i < parts.length; i++) {
    const step = parts.slice(0, i).reduce(join, base)
    if ((await fs.promises.lstat(step).catch(() => undefined)) === undefined) break
    const real = await fs.promises.realpath(step).catch(() => undefined)
    if (real === undefined || !`${real}/`.startsWith(base === '/' ? '/' : `${base}/`)) {
      throw fsError('EACCES', { syscall: 'importTar', path: name })
    }
  }
  await fs.mkdir(above)
  return path
}

async function imported(env: Env, fs: FileSystem, reading: Reading, options: TarOptions): Promise<TarProgress> {
  await fs.mkdir(options.path ?? '/')
  const base = await fs.promises.realpath(options.path ?? '/')
  const count = counter(options)
  const directories: [path: string, ino: number, header: TarHeader][] = []
  for (let header = await readHeader(reading); header !== undefined; header = await readHeader(reading)) {
    const path = await placeOf(fs, base, header.name)
    count.tell(path, 0, 1)
    if (header.type === 'directory') {
      await makeDirectory(fs, path)
      directories.push([path, (await fs.promises.lstat(path)).ino, header])
      continue
    }
    if (path === base) throw fsError('EISDIR', { syscall: 'importTar', path })
    await fs.remove(path)
    if (header.type === 'link') {
      await fs.promises.link(await placeOf(fs, base, header.link), path)
      continue
    }
    if (header.type === 'symlink') await fs.promises.symlink(header.link, path)
    else await writeContent(fs, path, { reading, size: header.size, told: (bytes) => count.tell(path, bytes) })
    await describe(env, fs, path, header)
  }
  // What comes into a directory changes its time: theirs are set last, and what is within comes first.
  for (const [path, ino, header] of directories.reverse()) {
    // A later entry may have put something else there, a link to elsewhere say.
    const there = await fs.promises.lstat(path).catch(() => undefined)
    if (there?.ino === ino) await describe(env, fs, path, header)
  }
  return count.now
}

async function makeDirectory(fs: FileSystem, path: string): Promise<void> {
  const there = await fs.promises.lstat(path).catch(() => undefined)
  if (there?.isDirectory()) return
  if (there !== undefined) await fs.remove(path)
  await fs.mkdir(path)
}

interface Content {
  readonly reading: Reading
  readonly size: number
  told(bytes: number): void
}

async function writeContent(fs: FileSystem, path: string, { reading, size, told }: Content): Promise<void> {
  const handle = await fs.promises.open(path, 'wx')
  try {
    for (let at = 0; at < size; at += FSX_TAR_PIECE_BYTES) {
      const piece = await reading.read(Math.min(FSX_TAR_PIECE_BYTES, size - at))
      await handle.write(piece, 0, piece.length, at)
      told(piece.length)
    }
  } finally {
    await handle.close()
  }
  await reading.read(paddingOf(size))
}

/** Give a file what the archive says of it besides its content. */
async function describe(env: Env, fs: FileSystem, path: string, header: TarHeader): Promise<void> {
  const { uid, gid, mode, mtime, xattrs, type } = header
  // Whoever is not root makes files of their own.
  if (env.as === undefined || env.as.uid === 0) await fs.promises.lchown(path, uid, gid)
  if (type !== 'symlink') {
    for (const [key, value] of xattrs) await fs.xattrs.set(path, key, value)
    await fs.promises.chmod(path, mode)
  }
  const ns = Number(((mtime % 1000n) + 1000n) % 1000n)
  const time = { us: Number((mtime - BigInt(ns)) / 1000n), ns }
  await ask(env, path, 'utimes', { follow: false, atime: time, mtime: time })
}

/** Make the methods. */
export function tarOf(env: Env, filesystem: () => FileSystem): Tar {
  return {
    exportTar: (options = {}) => exported(env, filesystem(), options),
    async importTar(source, options = {}) {
      const reading = readingOf(source)
      try {
        return await imported(env, filesystem(), reading, options)
      } finally {
        await reading.end()
      }
    },
  }
}
