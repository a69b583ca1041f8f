/** Regular files: opening, reading, writing.
 *  @source POSIX.1-2017 open, read, write, ftruncate; Linux open(2), where POSIX leaves a choice */
import { FSX_INLINE_BYTES_MAX, FSX_TRANSFER_BYTES_MAX } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { readContent, resizeContent, writeContent } from './content.ts'
import { holdInode, makeInode, releaseInode } from './making.ts'
import { type Credential, checkAccess, isDirectory, O, R, S, S_ISGID, S_ISUID, W } from './mode.ts'
import { type Files, findInode, getInode } from './volume.ts'
import { type Place, walk } from './walk.ts'

/** How a file is opened. */
export interface OpenArgs {
  readonly path: string
  /** As of open(2) on Linux. */
  readonly flags: number
  /** Permissions of a new file, before the umask. */
  readonly mode: number
}

const wantedBits = [R, W, R | W, R | W]

/** Open a file, making it when the flags say so.
 *  @returns the inode, which is held until `close`
 *  @throws as open(2) */
export function open(files: Files, args: OpenArgs, who: Credential): Inode {
  const inode = reach(files, args, who)
  holdInode(files, inode.ino)
  return inode
}

/** Find or make the file that an open leads to, and cut it to nothing when the flags say so.
 *  @throws as open(2) */
export function reach(files: Files, { path, flags, mode }: OpenArgs, who: Credential, data?: Uint8Array): Inode {
  const creates = (flags & O.CREAT) !== 0
  const excludes = creates && (flags & O.EXCL) !== 0
  const follow = !excludes && (flags & O.NOFOLLOW) === 0
  // What is made is no directory, whatever a link with that name leads to.
  if (creates && path.endsWith('/') && walk(files, path, { who, follow: 'never', anyName: true }).dots === undefined) {
    throw refuse('EISDIR')
  }
  const place = walk(files, path, { who, follow: excludes ? 'never' : follow })
  if (place.ino === undefined) {
    if (!creates) throw refuse('ENOENT')
    if (files.volume.isReadOnly) throw refuse('EROFS')
    return makeInode(files, place, { mode: S.IFREG | (mode & 0o7777), ...(data && { data }) }, who)
  }
  if (excludes) throw refuse('EEXIST')
  const inode = getInode(files, place.ino)
  checkOpen(inode, { place, flags, who })
  const writes = (flags & O.ACCMODE) !== 0 || (flags & O.TRUNC) !== 0
  if (writes && files.volume.isReadOnly) throw refuse('EROFS')
  return (flags & O.TRUNC) !== 0 && !isDirectory(inode) ? rewritten(files, inode, who) : inode
}

/** Refuse who may not open a file so.
 *  @throws as open(2) */
export function checkOpen(inode: Inode, { place, flags, who }: { place: Place; flags: number; who: Credential }): void {
  const accessMode = flags & O.ACCMODE
  if ((inode.mode & S.IFMT) === S.IFLNK) throw refuse((flags & O.DIRECTORY) !== 0 ? 'ENOTDIR' : 'ELOOP')
  if (!isDirectory(inode)) {
    if (place.slash || (flags & O.DIRECTORY) !== 0) throw refuse('ENOTDIR')
  } else if (accessMode !== 0 || (flags & (O.CREAT | O.TRUNC)) !== 0) throw refuse('EISDIR')
  const truncates = (flags & O.TRUNC) !== 0 ? W : 0
  checkAccess(inode, who, (wantedBits[accessMode] as number) | truncates)
}

function rewritten(files: Files, inode: Inode, who: Credential): Inode {
  return resizeContent(files, withoutSetId(inode, who), 0)
}

/** Writing takes set-user-ID and set-group-ID away, unless it is root who writes. */
export function withoutSetId(inode: Inode, who: Credential): Inode {
  if (who.uid === 0 || (inode.mode & (S_ISUID | S_ISGID)) === 0) return inode
  const groupRuns = (inode.mode & 0o010) !== 0
  return { ...inode, mode: inode.mode & ~S_ISUID & ~(groupRuns ? S_ISGID : 0) }
}

/** Find the inode of a handle.
 *  @throws EBADF when the file is gone: it lost its last name, and nothing was heard of the handle for long */
export function handled(files: Files, ino: number): Inode {
  const inode = findInode(files, ino)
  if (inode === undefined) throw refuse('EBADF')
  return inode
}

/** Let go of a handle. */
export function close(files: Files, ino: number): null {
  releaseInode(files, ino)
  return null
}

/** Read a stretch of an open file.
 *  @returns shorter where the file ends, and where there is more cold content than one call reads
 *  @throws EISDIR */
export function read(files: Files, { ino, position, length }: { ino: number; position: number; length: number }) {
  const inode = handled(files, ino)
  if (isDirectory(inode)) throw refuse('EISDIR')
  return readContent(files, inode, position, Math.min(length, FSX_TRANSFER_BYTES_MAX))
}

/** What is written to an open file. */
export interface WriteArgs {
  readonly ino: number
  readonly bytes: Uint8Array
  /** Where; null for the end. */
  readonly position: number | null
}

/** Write a stretch of an open file.
 *  @returns where it ends
 *  @throws EFBIG, EDQUOT */
export function write(files: Files, { ino, bytes, position }: WriteArgs, who: Credential): number {
  const inode = handled(files, ino)
  const from = position ?? inode.size
  if (bytes.length > 0) writeContent(files, withoutSetId(inode, who), from, bytes)
  return from + bytes.length
}

/** A whole file; `bytes` is null when there is too much for one answer. */
export interface WholeFile {
  readonly bytes: Uint8Array | null
  readonly size: number
}

/** Read a whole file.
 *  @throws as open(2); EISDIR, said of `read` */
export function readFile(files: Files, args: OpenArgs, who: Credential): WholeFile {
  const inode = reach(files, args, who)
  if (isDirectory(inode)) throw refuse('EISDIR', 'read')
  if ((args.flags & O.ACCMODE) === O.WRONLY) throw refuse('EBADF', 'read')
  const { size } = inode
  const bytes = size > FSX_TRANSFER_BYTES_MAX ? null : readContent(files, inode, 0, size)
  return { bytes: bytes?.length === size ? bytes : null, size }
}

/** Open a file, write to its beginning (or end, with O_APPEND), and close it.
 *  @throws as open(2) and write(2) */
export function writeFile(files: Files, args: OpenArgs & { bytes: Uint8Array }, who: Credential): null {
  const { bytes, flags } = args
  // A new file that fits its row is written with it.
  const isInline = bytes.length > 0 && bytes.length <= FSX_INLINE_BYTES_MAX
  const known = files.volume.numbers.nextIno
  const inode = reach(files, args, who, isInline ? bytes : undefined)
  if ((flags & O.ACCMODE) === 0) throw refuse('EBADF', 'write')
  const isWritten = isInline && inode.ino >= known
  if (!isWritten && bytes.length > 0) {
    writeContent(files, withoutSetId(inode, who), (flags & O.APPEND) !== 0 ? inode.size : 0, bytes)
  }
  return null
}

/** Give an open file a size.
 *  @throws EINVAL for a directory; EFBIG, EDQUOT */
export function truncate(files: Files, { ino, size }: { ino: number; size: number }, who: Credential): null {
  const inode = handled(files, ino)
  if ((inode.mode & S.IFMT) !== S.IFREG) throw refuse('EINVAL')
  resizeContent(files, withoutSetId(inode, who), size)
  return null
}
