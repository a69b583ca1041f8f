/** A filesystem over another: what is below is taken in when somebody first looks, a directory or a file at a time.
 *
 *  1. An inode that is not whole yet has a mark, an attribute that says where it is below. A directory with one has no
 *     names yet; a file with one has its size, and no content.
 *  2. What was taken in is this filesystem's own: it is changed, moved and removed as anything else. So a name that was
 *     removed is hidden without being noted, and a marked directory may be moved: the mark goes with it.
 *  3. A mark goes in the transaction that makes its inode whole. */
import { FSX_LINKS_FOLLOWED_MAX } from '@dotdo/core/limits'
import { type Inode, ROOT_INO, type XattrRow, xattrs } from '../tables.ts'
import { readXattr, writeXattr } from './attributes.ts'
import { quietly } from './changes.ts'
import { writeContent } from './content.ts'
import { makeInode } from './making.ts'
import { isDirectory, root, S } from './mode.ts'
import { lookUp } from './names.ts'
import { type Files, findInode, getInode, setInode } from './volume.ts'

/** The attribute that marks what is not whole. */
export const LOWER_MARK = 'dotdo.lower'
/** How the names of attributes begin that only the filesystem itself may set. */
export const OWN_XATTRS = 'dotdo.'

/** Something that is not whole yet. */
export interface Unfilled {
  readonly ino: number
  /** Where it is below. */
  readonly lower: string
  readonly isDirectory: boolean
  readonly size: number
}

function unfilled(files: Files, inode: Inode): Unfilled | null {
  const kind = inode.mode & S.IFMT
  if (kind === S.IFLNK) return null
  try {
    const mark = readXattr(files, { ino: inode.ino, name: LOWER_MARK }, root)
    return { ino: inode.ino, lower: new TextDecoder().decode(mark), isDirectory: kind === S.IFDIR, size: inode.size }
  } catch (error) {
    if ((error as { code?: string }).code !== 'not_found') throw error
    return null
  }
}

/** Find the first thing on a path that is not whole; links are followed.
 *  @param whole whether what the path leads to must be whole too
 *  @returns null when all is */
export function findUnfilled(files: Files, { path, whole }: { path: string; whole: boolean }): Unfilled | null {
  let chain = [ROOT_INO]
  let links = 0
  const parts = path.split('/').reverse()
  while (parts.length > 0) {
    const here = getInode(files, chain.at(-1) as number)
    const part = parts.pop() as string
    if (part === '' || part === '.') continue
    const found = unfilled(files, here)
    if (found !== null) return found
    if (part === '..') {
      if (chain.length > 1) chain.pop()
      continue
    }
    const entry = lookUp(files, here.ino, part)
    const inode = entry && findInode(files, entry.ino)
    // What is not there is not there below either: whoever asked is told.
    if (inode === undefined) return null
    if (isDirectory(inode)) chain.push(inode.ino)
    else if ((inode.mode & S.IFMT) !== S.IFLNK) return whole && parts.length === 0 ? unfilled(files, inode) : null
    else {
      if (++links > FSX_LINKS_FOLLOWED_MAX) return null
      const target = inode.link as string
      if (target.startsWith('/')) chain = [ROOT_INO]
      parts.push(...target.split('/').reverse())
    }
  }
  return whole ? unfilled(files, getInode(files, chain.at(-1) as number)) : null
}

/** Something below, as it is taken in. */
export interface LowerEntry {
  readonly name: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Microseconds since 1970. */
  readonly mtime: number
  /** The target of a symbolic link. */
  readonly link?: string
}

/** Let an inode be whole. */
function unmark(files: Files, ino: number): void {
  writeXattr(files, { ino, name: LOWER_MARK, value: null }, root)
}

/** Mark the root of a filesystem that nothing is in yet.
 *  @returns whether it is marked, or was once; false for one that is in use by itself */
export function beginOverlay(files: Files, { lower }: { lower: string }): boolean {
  const seen = files.tx.find(xattrs, { ino: ROOT_INO, name: `${LOWER_MARK}.root` } as Partial<XattrRow>)
  if (seen !== undefined) return new TextDecoder().decode(seen.value) === lower
  if (files.tx.raw('select 1 from fs_entries limit 1').length > 0) return false
  const value = new TextEncoder().encode(lower)
  for (const name of [LOWER_MARK, `${LOWER_MARK}.root`]) writeXattr(files, { ino: ROOT_INO, name, value }, root)
  return true
}

/** Take in the names of a directory.
 *  @throws EDQUOT */
export function fillDirectory(files: Files, { ino, entries }: { ino: number; entries: readonly LowerEntry[] }): null {
  const directory = findInode(files, ino)
  const here = directory && unfilled(files, directory)
  // Somebody else was faster.
  if (directory === undefined || !here) return null
  unmark(files, ino)
  quietly(files, () => takeIn(files, here, entries))
  // It has not changed: it was looked at.
  const { mtime, ctime, nanos } = directory
  setInode(files, { ...getInode(files, ino), mtime, ctime, nanos })
  return null
}

function takeIn(files: Files, here: Unfilled, entries: readonly LowerEntry[]): void {
  for (const { name, mode, uid, gid, size, mtime, link } of entries) {
    const place = { chain: [here.ino], name, ino: undefined, slash: false }
    const made = makeInode(files, place, { mode, ...(link !== undefined && { link }) }, { ...root, umask: 0 })
    const isFile = (mode & S.IFMT) === S.IFREG
    const times = { mtime, ctime: mtime, atime: mtime, btime: mtime, nanos: 0 }
    setInode(files, { ...made, mode, uid, gid, ...times, ...(isFile && { size }) })
    if (link !== undefined || (isFile && size === 0)) continue
    const value = new TextEncoder().encode(`${here.lower}/${name}`)
    files.tx.put(xattrs, { ino: files.volume.base + made.ino, name: LOWER_MARK, value })
  }
}

/** Take in a piece of a file's content.
 *  @param isLast whether the file is whole then
 *  @throws EDQUOT */
export function fillFile(
  files: Files,
  { ino, position, bytes, isLast }: { ino: number; position: number; bytes: Uint8Array; isLast: boolean },
): null {
  const inode = findInode(files, ino)
  if (inode === undefined || unfilled(files, inode) === null) return null
  const { mtime, ctime, nanos, size } = inode
  // The file below may have grown since it was looked at.
  const piece = bytes.subarray(0, Math.max(0, size - position))
  if (piece.length > 0) setInode(files, { ...writeContent(files, inode, position, piece), mtime, ctime, nanos })
  if (!isLast) return null
  unmark(files, ino)
  setInode(files, { ...getInode(files, ino), mtime, ctime, nanos })
  return null
}
