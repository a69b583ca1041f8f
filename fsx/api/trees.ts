/** Operations on whole trees: rm, cp. */

import { isDirectory, S } from '../engine/mode.ts'
import type { Listing } from '../engine/namespace.ts'
import { fsError } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { directoryRefused, onPath, operations } from './operations.ts'
import type { Env, Operation } from './request.ts'
import { absolute, badArgument, optionsOf, pathText } from './values.ts'

/** Options of cp. */
interface CopyOptions {
  recursive?: boolean
  force?: boolean
  errorOnExist?: boolean
  dereference?: boolean
  preserveTimestamps?: boolean
  verbatimSymlinks?: boolean
  filter?(from: string, to: string): boolean
}

/** Every operation on trees. */
export const treeOperations = {
  *rm(env: Env, path: unknown, options?: unknown): Operation<void> {
    const { recursive = false, force = false } = optionsOf<{ recursive?: boolean; force?: boolean }>(options)
    const text = pathText(path)
    try {
      const inode: Inode = yield onPath(env, path, 'stat', { follow: false }, 'lstat')
      if (isDirectory(inode) && !recursive) throw directoryRefused(text)
      while (!(yield onPath(env, path, 'removeTree', {}, 'rm'))) {
        // A large tree goes in parts, so that others are served meanwhile.
      }
    } catch (error) {
      if (!force || (error as { code?: string }).code !== 'ENOENT') throw error
    }
  },

  *cp(env: Env, from: unknown, to: unknown, options?: unknown): Operation<void> {
    const given = optionsOf<CopyOptions>(options)
    const [source, target] = [pathText(from, 'src'), pathText(to, 'dest')]
    yield* copyTree(env, source, target, given)
  },
}

function copyError(code: string, message: string, paths: { path: string; dest: string }): Error {
  return badArgument(code, `${message}: cp '${paths.path}' -> '${paths.dest}'`)
}

function* copyTree(env: Env, path: string, dest: string, options: CopyOptions): Operation<void> {
  const wanted = options.filter?.(path, dest) ?? true
  if (typeof wanted !== 'boolean') {
    throw badArgument('ERR_INVALID_RETURN_VALUE', 'cp: the filter must answer true or false, and at once')
  }
  if (!wanted) return
  const inode: Inode = yield onPath(env, path, 'stat', { follow: options.dereference === true }, 'lstat')
  const there = yield* find(env, dest)
  if (there?.ino === inode.ino) throw copyError('ERR_FS_CP_EINVAL', 'src and dest cannot be the same', { path, dest })
  if (there !== undefined && isDirectory(inode) !== isDirectory(there)) {
    const [code, what] = isDirectory(inode)
      ? ['ERR_FS_CP_DIR_TO_NON_DIR', 'cannot overwrite non-directory with directory']
      : ['ERR_FS_CP_NON_DIR_TO_DIR', 'cannot overwrite directory with non-directory']
    throw copyError(code, what, { path, dest })
  }
  if (isDirectory(inode)) yield* copyDirectory(env, { path, dest, inode, isNew: there === undefined }, options)
  else yield* copyOne(env, { path, dest, inode, isNew: there === undefined }, options)
  if (options.preserveTimestamps && (inode.mode & S.IFMT) !== S.IFLNK) {
    yield* operations.utimes(env, dest, inode.atime / 1e6, inode.mtime / 1e6)
  }
}

interface Copy {
  readonly path: string
  readonly dest: string
  readonly inode: Inode
  readonly isNew: boolean
}

function* copyDirectory(env: Env, { path, dest, inode, isNew }: Copy, options: CopyOptions): Operation<void> {
  if (!options.recursive)
    throw copyError('ERR_FS_EISDIR', 'Recursive option not enabled, cannot copy a directory', { path, dest })
  const plain = (text: string) =>
    absolute(env, text)
      .split('/')
      .filter((part) => part !== '' && part !== '.')
  const source = plain(path)
  const inside = plain(dest).slice(0, source.length).join('/') === source.join('/')
  if (inside) throw copyError('ERR_FS_CP_EINVAL', 'cannot copy a directory to a subdirectory of self', { path, dest })
  const { names }: Listing = yield onPath(env, path, 'readdir', {}, 'opendir')
  if (isNew) yield* operations.mkdir(env, dest, { recursive: true, mode: inode.mode & 0o7777 })
  for (const name of names) yield* copyTree(env, `${path}/${name}`, `${dest}/${name}`, options)
}

function* copyOne(env: Env, { path, dest, inode, isNew }: Copy, options: CopyOptions): Operation<void> {
  const { force = true, errorOnExist = false } = options
  if (!isNew && !force) {
    if (errorOnExist) throw copyError('ERR_FS_CP_EEXIST', 'target already exists', { path, dest })
    return
  }
  const above = dest.replace(/\/+[^/]*$/, '')
  if (isNew && above !== '' && above !== dest) yield* operations.mkdir(env, above, { recursive: true })
  if ((inode.mode & S.IFMT) === S.IFLNK) {
    if (!isNew) yield* operations.unlink(env, dest)
    yield* operations.symlink(env, linkTarget(env, { path, inode }, options), dest)
    return
  }
  yield* operations.copyFile(env, path, dest)
}

/** As Node, a link is copied so that it leads where it led, unless it shall be copied as it is. */
function linkTarget(env: Env, { path, inode }: Pick<Copy, 'path' | 'inode'>, options: CopyOptions): string {
  const link = inode.link as string
  if (options.verbatimSymlinks || link.startsWith('/')) return link
  const parts: string[] = []
  for (const part of `${absolute(env, path).replace(/[^/]*$/, '')}${link}`.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

function* find(env: Env, path: string): Operation<Inode | undefined> {
  try {
    return yield onPath(env, path, 'stat', { follow: false }, 'lstat')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined
    throw error instanceof Error ? error : fsError('EIO', { syscall: 'cp', path })
  }
}
