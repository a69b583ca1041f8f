/** Files that are written before they have a name, so that nobody ever sees half of one.
 *
 *  1. Until it is placed such a file is an orphan: should its writer go away, it goes too.
 *  2. What is replaced lends its permissions, owner, attributes and time of birth. It stays as it is for those who have
 *     it open, and under other names that it has. */
import { putXattr, xattrsOf } from '../engine/attributes.ts'
import { writeContent } from '../engine/content.ts'
import { handled } from '../engine/files.ts'
import { changeDirectory, checkRoom, dropOrphanRow, loseName, makeNameless, releaseInode } from '../engine/making.ts'
import { type Credential, checkAccess, checkRemoval, isDirectory, S, S_ISGID, W } from '../engine/mode.ts'
import { addName } from '../engine/names.ts'
import { OWN_XATTRS } from '../engine/overlay.ts'
import { type Files, getInode, setInode } from '../engine/volume.ts'
import { directoryOf, walk } from '../engine/walk.ts'
import { refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'

/** What became of a file that was placed. */
export interface Placed {
  readonly inode: Inode
  /** Whether nothing had the name. */
  readonly made: boolean
}

/** Where a file without a name shall be. */
export interface PlaceArgs {
  readonly ino: number
  readonly path: string
  /** Its time of last change, in microseconds since 1970, if that is another than its own. */
  readonly mtime?: number
}

/** Give a file without a name one, in place of what has it.
 *  @throws EISDIR; EEXIST when it has a name; as rename(2) otherwise */
export function placeFile(files: Files, { ino, path, mtime }: PlaceArgs, who: Credential): Placed {
  const place = walk(files, path, { who, follow: true })
  if (place.dots !== undefined || place.slash) throw refuse('EISDIR')
  const replaced = place.ino === undefined ? undefined : getInode(files, place.ino)
  const directory = directoryOf(files, place)
  if (replaced === undefined) checkRoom(directory, who)
  else {
    if (isDirectory(replaced)) throw refuse('EISDIR')
    checkRemoval(directory, replaced, who)
    checkAccess(replaced, who, W)
  }
  const nameless = handled(files, ino)
  if (nameless.nlink !== 0) throw refuse('EEXIST')
  dropOrphanRow(files, ino)
  addName(files, directory.ino, place.name, { ino, kind: S.IFREG })
  changeDirectory(files, directory)
  const { nowUs } = files
  const gid = (directory.mode & S_ISGID) !== 0 ? directory.gid : nameless.gid
  const placed = { ...nameless, gid, nlink: 1, parent: directory.ino, ctime: nowUs, mtime: mtime ?? nowUs }
  const inode = replaced === undefined ? placed : inherit(files, placed, replaced)
  setInode(files, inode)
  if (replaced !== undefined) loseName(files, replaced)
  return { inode, made: replaced === undefined }
}

function inherit(files: Files, inode: Inode, { ino, mode, uid, gid, btime, nanos }: Inode): Inode {
  for (const [name, value] of xattrsOf(files, ino)) {
    // What overlays note of a file is not true of another.
    if (!name.startsWith(OWN_XATTRS)) putXattr(files, inode, name, value)
  }
  return { ...inode, mode, uid, gid, btime, nanos: (inode.nanos % 1e9) + Math.floor(nanos / 1e9) * 1e9 }
}

/** Write a file whole, as one that nobody sees before it is.
 *  @throws as `placeFile`; EFBIG, EDQUOT */
export function putFile(
  files: Files,
  { bytes, mode, ...rest }: Omit<PlaceArgs, 'ino'> & { bytes: Uint8Array; mode: number },
  who: Credential,
): Placed {
  const inode = makeNameless(files, { mode }, who)
  if (bytes.length > 0) writeContent(files, inode, 0, bytes)
  const placed = placeFile(files, { ...rest, ino: inode.ino }, who)
  releaseInode(files, inode.ino)
  return placed
}
