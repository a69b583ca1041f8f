/** Names of files: directories, links, renaming, removing.
 *  @source POSIX.1-2017 mkdir, rmdir, unlink, link, symlink, rename; Linux renameat2(2) */
import { FSX_LINKS_MAX, FSX_REMOVED_PER_CALL } from '@dotdo/core/limits'
import { type Errno, errnoOf, refuse } from '../errors.ts'
import { type Inode, ROOT_INO } from '../tables.ts'
import { changeDirectory, checkRoom, loseName, makeInode } from './making.ts'
import {
  type Credential,
  checkAccess,
  checkRemoval,
  isDirectory,
  mayAccess,
  R,
  S,
  S_ISGID,
  S_ISUID,
  W,
} from './mode.ts'
import { addName, isEmpty, listNames, removeName } from './names.ts'
import { type Files, getInode, setInode } from './volume.ts'
import { at, checkName, checkPathLength, directoryOf, find, type Place, walk } from './walk.ts'

/** Paths of directories lead elsewhere from now on. */
function forgetPaths({ tx, volume }: Files): void {
  volume.paths.clear()
  tx.onUndo(() => volume.paths.clear())
}

/** Make a directory.
 *  @throws as mkdir(2) */
export function mkdir(files: Files, { path, mode }: { path: string; mode: number }, who: Credential): null {
  const place = walk(files, path, { who, follow: 'never' })
  if (place.ino !== undefined) throw refuse('EEXIST')
  makeInode(files, place, { mode: S.IFDIR | (mode & 0o1777) }, who)
  return null
}

/** Make a directory and those above it that are missing; all of them, or none.
 *  @returns the first path that was made; null when all were there
 *  @throws as mkdir(2); EEXIST when the path is no directory, ENOTDIR when one above it is none
 *  @source node v20 src/node_file.cc, MKDirpSync: which error comes first */
export function mkdirs(files: Files, { path, mode }: { path: string; mode: number }, who: Credential): string | null {
  let first: string | null = null
  for (const wanted = [path]; wanted.length > 0; ) {
    const next = wanted.pop() as string
    const errno = refusalOf(() => mkdir(files, { path: next, mode }, who))
    if (errno === undefined) first ??= next
    else if (errno === 'ENOENT') {
      const above = next.slice(0, Math.max(0, next.lastIndexOf('/')))
      if (above === next || next === '') throw refuse('ENOENT')
      wanted.push(next, above)
    } else if (errno !== 'EEXIST') throw refuse(errno)
    else if (!isDirectory(find(files, next, { who, follow: true }))) {
      throw refuse(wanted.length > 0 ? 'ENOTDIR' : 'EEXIST')
    }
  }
  return first
}

/** @returns the code that work was refused with */
function refusalOf(work: () => void): Errno | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === undefined) throw error
    return errno
  }
}

/** Remove an empty directory.
 *  @throws as rmdir(2) */
export function rmdir(files: Files, { path }: { path: string }, who: Credential): null {
  const place = walk(files, path, { who, follow: 'never' })
  if (place.dots === 'root') throw refuse('EBUSY')
  if (place.dots === '.') throw refuse('EINVAL')
  if (place.dots === '..') throw refuse('ENOTEMPTY')
  if (place.ino === undefined) throw refuse('ENOENT')
  const inode = getInode(files, place.ino)
  const directory = directoryOf(files, place)
  checkRemoval(directory, inode, who)
  if (!isDirectory(inode)) throw refuse('ENOTDIR')
  if (!isEmpty(files, inode.ino)) throw refuse('ENOTEMPTY')
  takeAway(files, place, inode)
  return null
}

/** Take a name away, and what it leads to, if that was the last one. */
function takeAway(files: Files, place: Place, inode: Inode): void {
  const directory = directoryOf(files, place)
  removeName(files, directory.ino, place.name)
  if ((inode.mode & S.IFMT) !== S.IFREG) forgetPaths(files)
  changeDirectory(files, directory, isDirectory(inode) ? -1 : 0)
  loseName(files, inode)
}

/** Remove a name of a file that is no directory.
 *  @throws as unlink(2) on Linux */
export function unlink(files: Files, { path }: { path: string }, who: Credential): null {
  const place = walk(files, path, { who, follow: 'never' })
  if (place.dots !== undefined) throw refuse('EISDIR')
  if (place.ino === undefined) throw refuse('ENOENT')
  const inode = getInode(files, place.ino)
  if (place.slash) throw refuse(isDirectory(inode) ? 'EISDIR' : 'ENOTDIR')
  checkRemoval(directoryOf(files, place), inode, who)
  if (isDirectory(inode)) throw refuse('EISDIR')
  takeAway(files, place, inode)
  return null
}

/** Give a file another name.
 *  @throws as link(2) on Linux */
export function link(files: Files, { from, to }: { from: string; to: string }, who: Credential): null {
  const inode = find(files, from, { who, follow: false })
  const place = walk(files, to, { who, follow: 'never' })
  if (place.ino !== undefined) throw refuse('EEXIST')
  if (place.slash) throw refuse('ENOENT')
  if (!mayLink(inode, who)) throw refuse('EPERM')
  const directory = directoryOf(files, place)
  checkRoom(directory, who)
  if (isDirectory(inode)) throw refuse('EPERM')
  if (inode.nlink >= FSX_LINKS_MAX) throw refuse('EMLINK')
  addName(files, directory.ino, place.name, { ino: inode.ino, kind: inode.mode & S.IFMT })
  setInode(files, { ...inode, nlink: inode.nlink + 1, ctime: files.nowUs })
  changeDirectory(files, directory)
  return null
}

/** Whether somebody may give a file another name: not what they could neither read nor write themselves.
 *  @source Linux, sysctl fs.protected_hardlinks */
function mayLink(inode: Inode, who: Credential): boolean {
  if (who.uid === 0 || who.uid === inode.uid) return true
  const runsAsGroup = (inode.mode & (S_ISGID | 0o010)) === (S_ISGID | 0o010)
  if ((inode.mode & S.IFMT) !== S.IFREG || (inode.mode & S_ISUID) !== 0 || runsAsGroup) return false
  return mayAccess(inode, who, R | W)
}

/** Make a symbolic link.
 *  @throws as symlink(2) */
export function symlink(files: Files, { target, path }: { target: string; path: string }, who: Credential): null {
  if (target === '') throw refuse('ENOENT')
  checkPathLength(target)
  const place = walk(files, path, { who, follow: 'never' })
  if (place.ino !== undefined) throw refuse('EEXIST')
  if (place.slash) throw refuse('ENOENT')
  makeInode(files, place, { mode: S.IFLNK | 0o777, link: target }, who)
  return null
}

/** Read where a symbolic link leads.
 *  @throws EINVAL when it is none */
export function readlink(files: Files, { path }: { path: string }, who: Credential): string {
  const inode = find(files, path, { who, follow: false })
  if ((inode.mode & S.IFMT) !== S.IFLNK) throw refuse('EINVAL')
  return inode.link as string
}

/** A directory's names, and the type bits of what they lead to. */
export interface Listing {
  readonly names: string[]
  readonly kinds: number[]
}

/** List a directory.
 *  @throws ENOTDIR, EACCES */
export function readdir(files: Files, { path }: { path: string }, who: Credential): Listing {
  const inode = find(files, path, { who, follow: true })
  if (!isDirectory(inode)) throw refuse('ENOTDIR')
  checkAccess(inode, who, R)
  const listed = listNames(files, inode.ino)
  return { names: [...listed.keys()], kinds: Array.from(listed.values(), ({ kind }) => kind) }
}

/** How a name is moved. */
export interface RenameArgs {
  readonly from: string
  readonly to: string
  /** Refuse to replace what is there (`noreplace`), or swap the two (`exchange`). */
  readonly how?: 'noreplace' | 'exchange'
}

/** Move a name.
 *  @throws as rename(2) and renameat2(2) */
export function rename(files: Files, { from, to, how }: RenameArgs, who: Credential): null {
  const source = walk(files, from, { who, follow: 'never', anyName: true })
  const target = walk(files, to, { who, follow: 'never', anyName: true })
  if (source.dots !== undefined) throw refuse('EBUSY')
  if (target.dots !== undefined) throw refuse(how === 'noreplace' ? 'EEXIST' : 'EBUSY')
  checkName(source.name)
  if (source.ino === undefined) throw refuse('ENOENT')
  checkName(target.name)
  if (how === 'noreplace' && target.ino !== undefined) throw refuse('EEXIST')
  if (how === 'exchange' && target.ino === undefined) throw refuse('ENOENT')
  const moved = getInode(files, source.ino)
  const replaced = target.ino === undefined ? undefined : getInode(files, target.ino)
  if (!isDirectory(moved) && (source.slash || (how !== 'exchange' && target.slash))) throw refuse('ENOTDIR')
  if (how === 'exchange' && target.slash && !isDirectory(replaced as Inode)) throw refuse('ENOTDIR')
  if (target.chain.includes(source.ino)) throw refuse('EINVAL')
  if (target.ino !== undefined && source.chain.includes(target.ino)) {
    throw refuse(how === 'exchange' ? 'EINVAL' : 'ENOTEMPTY')
  }
  if (moved.ino === replaced?.ino) return null
  checkRename(files, { source, target, moved, replaced, how }, who)
  if (how === 'exchange') exchange(files, { source, target, moved, replaced: replaced as Inode })
  else replace(files, { source, target, moved, replaced })
  return null
}

interface Moving {
  readonly source: Place
  readonly target: Place
  readonly moved: Inode
  readonly replaced: Inode | undefined
  readonly how?: RenameArgs['how']
}

function checkRename(files: Files, { source, target, moved, replaced, how }: Moving, who: Credential): void {
  const [left, entered] = [directoryOf(files, source), directoryOf(files, target)]
  checkRemoval(left, moved, who)
  if (replaced === undefined) checkRoom(entered, who)
  else checkRemoval(entered, replaced, who)
  if (how !== 'exchange' && replaced !== undefined) {
    if (isDirectory(moved) && !isDirectory(replaced)) throw refuse('ENOTDIR')
    if (!isDirectory(moved) && isDirectory(replaced)) throw refuse('EISDIR')
  }
  if (left.ino !== entered.ino) {
    // A directory that goes elsewhere gets another `..`: it must be writable itself.
    if (isDirectory(moved)) checkAccess(moved, who, W)
    if (how === 'exchange' && replaced !== undefined && isDirectory(replaced)) checkAccess(replaced, who, W)
    if (isDirectory(moved) && !(replaced && isDirectory(replaced)) && entered.nlink >= FSX_LINKS_MAX) {
      throw refuse('EMLINK')
    }
  }
  if (how !== 'exchange' && replaced !== undefined && isDirectory(replaced) && !isEmpty(files, replaced.ino)) {
    throw refuse('ENOTEMPTY')
  }
}

function replace(files: Files, { source, target, moved, replaced }: Omit<Moving, 'how'>): void {
  const left = directoryOf(files, source).ino
  const entered = directoryOf(files, target).ino
  const isDir = isDirectory(moved)
  forgetPaths(files)
  removeName(files, left, source.name)
  addName(files, entered, target.name, { ino: moved.ino, kind: moved.mode & S.IFMT })
  changeDirectory(files, getInode(files, left), isDir ? -1 : 0)
  const less = replaced !== undefined && isDirectory(replaced) ? 1 : 0
  changeDirectory(files, getInode(files, entered), (isDir ? 1 : 0) - less)
  setInode(files, { ...moved, ctime: files.nowUs, parent: isDir ? entered : null })
  if (replaced !== undefined) loseName(files, replaced)
}

function exchange(files: Files, { source, target, moved, replaced }: Moving & { replaced: Inode }): void {
  const left = directoryOf(files, source).ino
  const entered = directoryOf(files, target).ino
  const [isDir, isOtherDir] = [isDirectory(moved), isDirectory(replaced)]
  const shift = (isDir ? 1 : 0) - (isOtherDir ? 1 : 0)
  forgetPaths(files)
  addName(files, left, source.name, { ino: replaced.ino, kind: replaced.mode & S.IFMT })
  addName(files, entered, target.name, { ino: moved.ino, kind: moved.mode & S.IFMT })
  changeDirectory(files, getInode(files, left), left === entered ? 0 : -shift)
  changeDirectory(files, getInode(files, entered), left === entered ? 0 : shift)
  setInode(files, { ...moved, ctime: files.nowUs, parent: isDir ? entered : null })
  setInode(files, { ...replaced, ctime: files.nowUs, parent: isOtherDir ? left : null })
}

/** Remove a file, or a directory with all that is in it, a part at a time.
 *  @returns whether it is gone; else there is more to do
 *  @throws as unlink(2) and rmdir(2) */
export function removeTree(files: Files, { path }: { path: string }, who: Credential): boolean {
  const place = walk(files, path, { who, follow: 'never' })
  if (place.dots !== undefined) throw refuse(place.ino === ROOT_INO ? 'EBUSY' : 'EINVAL')
  const inode = at(files, place)
  return clear(files, place, { inode, who, budget: { left: FSX_REMOVED_PER_CALL } })
}

interface Clearing {
  readonly inode: Inode
  readonly who: Credential
  readonly budget: { left: number }
}

function clear(files: Files, place: Place, { inode, who, budget }: Clearing): boolean {
  checkRemoval(directoryOf(files, place), inode, who)
  if (isDirectory(inode)) {
    const chain = [...place.chain, inode.ino]
    const isWithin = !isEmpty(files, inode.ino)
    if (isWithin) checkAccess(inode, who, R)
    for (const [name, { ino }] of isWithin ? [...listNames(files, inode.ino)] : []) {
      if (budget.left <= 0) return false
      const child = { chain, name, ino, slash: false }
      if (!clear(files, child, { inode: getInode(files, ino), who, budget })) return false
    }
  }
  budget.left--
  takeAway(files, place, getInode(files, inode.ino))
  return true
}
