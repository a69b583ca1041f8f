/** Operations of node:fs on paths, one function each.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html */

import { FSX_COPY_BYTES } from '@dotdo/core/limits'
import type { Copying } from '../engine/copying.ts'
import type { WholeFile } from '../engine/files.ts'
import { O } from '../engine/mode.ts'
import type { Listing } from '../engine/namespace.ts'
import type { Statistics } from '../program.ts'
import type { Inode } from '../tables.ts'
import { isOpenFile, openFile, readWhole, writeWhole } from './open-files.ts'
import type { Env, OpenFile, Operation, Request } from './request.ts'
import { BigIntStats, Dirent, Stats } from './stats.ts'
import {
  absolute,
  badArgument,
  bytesOf,
  encoded,
  encodedName,
  modeOf,
  openFlags,
  optionsOf,
  pathText,
  timeOf,
  wholeNumber,
} from './values.ts'

/** Ask for something to be done with the file of a path. */
export function onPath(env: Env, path: unknown, name: string, args: object, syscall = name): Request {
  const text = pathText(path)
  return { name, args: { path: absolute(env, text), ...args }, doing: { syscall, path: text } }
}

/** Options of stat and its like. */
interface StatOptions {
  bigint?: boolean
  throwIfNoEntry?: boolean
}

function* statOf(
  env: Env,
  path: unknown,
  options: unknown,
  follow: boolean,
): Operation<Stats | BigIntStats | undefined> {
  const { bigint, throwIfNoEntry = true } = optionsOf<StatOptions>(options)
  try {
    const inode: Inode = yield onPath(env, path, 'stat', { follow }, follow ? 'stat' : 'lstat')
    return bigint ? new BigIntStats(inode) : new Stats(inode)
  } catch (error) {
    const { code } = error as { code?: string }
    if (!throwIfNoEntry && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined
    throw error
  }
}

/** The path of a file that is open, or the file itself. */
type FileLike = unknown

const recursive = (options: unknown) => (options as { recursive?: boolean } | null | undefined)?.recursive === true

/** Every operation on paths; those of open files are in open-files.ts, of whole trees in trees.ts. */
export const operations = {
  stat: (env: Env, path: unknown, options?: unknown) => statOf(env, path, options, true),
  lstat: (env: Env, path: unknown, options?: unknown) => statOf(env, path, options, false),

  *access(env: Env, path: unknown, mode: unknown = 0): Operation<void> {
    yield onPath(env, path, 'access', { wanted: wholeNumber(mode ?? 0, 'mode', { max: 7 }) })
  },

  *readFile(env: Env, path: FileLike, options?: unknown): Operation<Buffer | string> {
    const { encoding, flag } = optionsOf<{ flag?: string | number }>(options)
    if (isOpenFile(path)) return encoded(yield* readWhole(env, path), encoding)
    const flags = openFlags(flag, 'r')
    const whole: WholeFile = yield onPath(env, path, 'readFile', { flags, mode: 0o666 }, 'open')
    if (whole.bytes !== null) return encoded(whole.bytes, encoding)
    const file = yield* openFile(env, path, { flags, mode: 0o666 })
    try {
      return encoded(yield* readWhole(env, file), encoding)
    } finally {
      yield* closeFile(env, file)
    }
  },

  *writeFile(env: Env, path: FileLike, data: unknown, options?: unknown): Operation<void> {
    const { encoding, flag, mode } = optionsOf<{ flag?: string | number; mode?: unknown }>(options)
    const bytes = bytesOf(data, encoding)
    if (isOpenFile(path)) return yield* writeWhole(env, path, bytes)
    const args = { flags: openFlags(flag, 'w'), mode: modeOf(mode, 0o666), bytes }
    yield onPath(env, path, 'writeFile', args, 'open')
  },

  appendFile(env: Env, path: FileLike, data: unknown, options?: unknown): Operation<void> {
    const given = optionsOf<{ flag?: string | number }>(options)
    return operations.writeFile(env, path, data, { ...given, flag: given.flag ?? 'a' })
  },

  *truncate(env: Env, path: unknown, length: unknown = 0): Operation<void> {
    const size = Math.max(0, wholeNumber(length ?? 0, 'len', { min: Number.MIN_SAFE_INTEGER }))
    const file = yield* openFile(env, path, { flags: O.RDWR, mode: 0o666 })
    try {
      yield { name: 'truncate', args: { ino: file.ino, size }, doing: { syscall: 'ftruncate' } }
    } finally {
      yield* closeFile(env, file)
    }
  },

  *mkdir(env: Env, path: unknown, options?: unknown): Operation<string | undefined> {
    const given = typeof options === 'object' && options !== null ? (options as { mode?: unknown }).mode : options
    const mode = modeOf(given, 0o777)
    const made: string | null = yield onPath(env, path, recursive(options) ? 'mkdirs' : 'mkdir', { mode }, 'mkdir')
    return made ?? undefined
  },

  *mkdtemp(env: Env, prefix: unknown, options?: unknown): Operation<string | Buffer> {
    const text = pathText(prefix, 'prefix')
    const doing = { syscall: 'mkdtemp', path: `${text}XXXXXX` }
    const path: string = yield { name: 'mkdtemp', args: { prefix: absolute(env, text) }, doing }
    return encodedName(text + path.slice(-6), optionsOf(options).encoding)
  },

  *readdir(env: Env, path: unknown, options?: unknown): Operation<(string | Buffer)[] | Dirent<string | Buffer>[]> {
    const { encoding, withFileTypes, recursive } = optionsOf<{ withFileTypes?: boolean; recursive?: boolean }>(options)
    const top = pathText(path)
    const { names, kinds }: Listing = yield onPath(env, path, 'readdir', {}, 'scandir')
    if (!recursive && !withFileTypes) {
      return encoding === undefined || encoding === null ? names : names.map((name) => encodedName(name, encoding))
    }
    const found: Dirent<string | Buffer>[] = []
    const below: string[] = []
    const base = top.replace(/\/+$/, '')
    let parent = top
    let listing: Listing = { names, kinds }
    for (;;) {
      for (const [i, name] of listing.names.entries()) {
        const dirent = new Dirent(encodedName(name, encoding), parent, listing.kinds[i] as number)
        found.push(dirent)
        if (recursive && dirent.isDirectory()) below.push(`${parent === top ? base : parent}/${name}`)
      }
      const next = below.shift()
      if (next === undefined) break
      parent = next
      listing = yield onPath(env, next, 'readdir', {}, 'scandir')
    }
    if (withFileTypes) return found
    return found.map(({ name, parentPath }) => {
      return parentPath === top ? name : encodedName(`${parentPath.slice(base.length + 1)}/${name}`, encoding)
    })
  },

  *rmdir(env: Env, path: unknown): Operation<void> {
    yield onPath(env, path, 'rmdir', {})
  },

  *unlink(env: Env, path: unknown): Operation<void> {
    yield onPath(env, path, 'unlink', {})
  },

  *rename(env: Env, from: unknown, to: unknown): Operation<void> {
    yield renameRequest(env, from, to)
  },

  *link(env: Env, from: unknown, to: unknown): Operation<void> {
    const [path, dest] = [pathText(from, 'existingPath'), pathText(to, 'newPath')]
    yield {
      name: 'link',
      args: { from: absolute(env, path), to: absolute(env, dest) },
      doing: { syscall: 'link', path, dest },
    }
  },

  *symlink(env: Env, target: unknown, path: unknown): Operation<void> {
    const [to, dest] = [pathText(target, 'target'), pathText(path)]
    const doing = { syscall: 'symlink', path: to, dest }
    yield { name: 'symlink', args: { target: to, path: absolute(env, dest) }, doing }
  },

  *readlink(env: Env, path: unknown, options?: unknown): Operation<string | Buffer> {
    return encodedName(yield onPath(env, path, 'readlink', {}), optionsOf(options).encoding)
  },

  *realpath(env: Env, path: unknown, options?: unknown): Operation<string | Buffer> {
    return encodedName(yield onPath(env, path, 'realpath', {}), optionsOf(options).encoding)
  },

  *copyFile(env: Env, from: unknown, to: unknown, mode: unknown = 0): Operation<void> {
    const [path, dest] = [pathText(from, 'src'), pathText(to, 'dest')]
    const exclusive = (wholeNumber(mode ?? 0, 'mode', { max: 7 }) & 1) !== 0
    const [args, doing] = [
      { from: absolute(env, path), to: absolute(env, dest), exclusive },
      { syscall: 'copyfile', path, dest },
    ]
    const isDone: boolean = yield { name: 'copyFile', args: { ...args, atMost: FSX_COPY_BYTES }, doing }
    if (isDone) return
    const copying: Copying = yield { name: 'beginCopy', args, doing }
    try {
      for (let position = 0; position < copying.size; ) {
        position = yield { name: 'copyPiece', args: { ...copying, position }, doing }
      }
      yield { name: 'endCopy', args: { ...copying, to: args.to, exclusive }, doing }
    } finally {
      for (const ino of [copying.target, copying.source]) yield { name: 'close', args: { ino }, doing }
    }
  },

  *chmod(env: Env, path: unknown, mode: unknown): Operation<void> {
    yield onPath(env, path, 'chmod', { follow: true, mode: requiredMode(mode) })
  },

  *chown(env: Env, path: unknown, uid: unknown, gid: unknown): Operation<void> {
    yield onPath(env, path, 'chown', { follow: true, uid: idOf(uid, 'uid'), gid: idOf(gid, 'gid') })
  },

  *lchown(env: Env, path: unknown, uid: unknown, gid: unknown): Operation<void> {
    yield onPath(env, path, 'chown', { follow: false, uid: idOf(uid, 'uid'), gid: idOf(gid, 'gid') }, 'lchown')
  },

  *utimes(env: Env, path: unknown, atime: unknown, mtime: unknown): Operation<void> {
    yield onPath(env, path, 'utimes', { follow: true, atime: timeOf(atime), mtime: timeOf(mtime) }, 'utime')
  },

  *lutimes(env: Env, path: unknown, atime: unknown, mtime: unknown): Operation<void> {
    yield onPath(env, path, 'utimes', { follow: false, atime: timeOf(atime), mtime: timeOf(mtime) }, 'lutime')
  },

  *statfs(env: Env, path: unknown, options?: unknown): Operation<object> {
    yield onPath(env, path, 'stat', { follow: true }, 'statfs')
    const statistics: Statistics = yield {
      name: 'statfs',
      args: {},
      doing: { syscall: 'statfs', path: pathText(path) },
    }
    return statFsOf(statistics, (options as StatOptions | undefined)?.bigint === true)
  },

  /** Not in node:fs: whether something has a path. */
  *exists(env: Env, path: unknown): Operation<boolean> {
    try {
      yield onPath(env, path, 'access', { wanted: 0 })
      return true
    } catch (error) {
      if ((error as { errno?: number }).errno === undefined) throw error
      return false
    }
  },
}

/** Ask for a name to be moved.
 *  @param how refuse to replace what is there (`noreplace`), or swap the two (`exchange`) */
export function renameRequest(env: Env, from: unknown, to: unknown, how?: 'noreplace' | 'exchange'): Request {
  const [path, dest] = [pathText(from, 'oldPath'), pathText(to, 'newPath')]
  const args = { from: absolute(env, path), to: absolute(env, dest), ...(how && { how }) }
  return { name: 'rename', args, doing: { syscall: 'rename', path, dest } }
}

function requiredMode(mode: unknown): number {
  if (mode === undefined)
    throw badArgument('ERR_INVALID_ARG_TYPE', 'The "mode" argument must be of type number. Received undefined')
  return modeOf(mode, 0)
}

/** Read the number of a user or group; -1 for none. */
function idOf(id: unknown, name: string): number {
  return wholeNumber(id, name, { min: -1, max: 0xffffffff })
}

/** Close an open file. */
export function* closeFile(env: Env, file: OpenFile): Operation<void> {
  file.closed = true
  env.files.delete(file.fd)
  yield { name: 'close', args: { ino: file.ino }, doing: { syscall: 'close' } }
}

const BLOCK_BYTES = 4096

/** statfs of a filesystem without bounds tells of a petabyte. */
function statFsOf({ bytes, inodes, quotaBytes = 2 ** 50, quotaInodes = 2 ** 31 }: Statistics, big: boolean): object {
  const free = Math.max(0, Math.floor((quotaBytes - bytes) / BLOCK_BYTES))
  const [blocks, ffree] = [Math.floor(quotaBytes / BLOCK_BYTES), Math.max(0, quotaInodes - inodes)]
  const type = 0x667378
  const numbers = { type, bsize: BLOCK_BYTES, blocks, bfree: free, bavail: free, files: quotaInodes, ffree }
  if (!big) return numbers
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, BigInt(value)]))
}

/** Make the error of rm for a directory, without `recursive`. */
export function directoryRefused(path: string): Error {
  const message = `Path is a directory: rm returned EISDIR (is a directory) ${path}`
  const info = { code: 'EISDIR', message: 'is a directory', path, syscall: 'rm', errno: 21 }
  const error = Object.assign(new Error(message), { code: 'ERR_FS_EISDIR', info, errno: 21, syscall: 'rm', path })
  error.name = 'SystemError'
  return error
}
