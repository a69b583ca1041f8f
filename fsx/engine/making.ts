/** Inodes that come and go: making one under a name, taking a name away, and what happens to files that are open. */
import { FSX_HANDLES_MAX, FSX_LINKS_MAX, FSX_ORPHAN_MS } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { type Inode, LAYER_INOS, orphans, type XattrRow, xattrs } from '../tables.ts'
import { dropBody } from './bodies.ts'
import { type Credential, checkAccess, S, S_ISGID, W, X } from './mode.ts'
import { addName, forgetDirectory, knowDirectory } from './names.ts'
import { checkInodeQuota, checkQuota, countBytes, countInode } from './quota.ts'
import { addInode, dropInode, type Files, findInode, setInode, takeIno } from './volume.ts'
import { directoryOf, type Place } from './walk.ts'

/** What a new inode shall be. */
export interface NewInode {
  /** Type and permissions, the umask not yet applied. */
  readonly mode: number
  /** The target of a symbolic link. */
  readonly link?: string
  /** Content that fits the inode's row; borrowed. */
  readonly data?: Uint8Array
}

/** A directory has changed: its times, and how many directories are in it.
 *  @param subdirectories how many more there are */
export function changeDirectory(files: Files, directory: Inode, subdirectories = 0): void {
  const { nowUs, volume } = files
  // In a group that makes many files, the first of them has done this.
  const isDone = directory.mtime === nowUs && directory.ctime === nowUs && volume.dirty.has(directory.ino)
  if (isDone && subdirectories === 0) return
  const nanos = directory.nanos === 0 ? 0 : (directory.nanos % 1000) + Math.floor(directory.nanos / 1e9) * 1e9
  const nlink = directory.nlink + subdirectories
  setInode(files, { ...directory, nlink, mtime: nowUs, ctime: nowUs, nanos, era: volume.era })
}

/** Make an inode under a name that nothing has.
 *  @throws EACCES, EDQUOT, EMLINK; ENOENT when the directory has been removed */
export function makeInode(files: Files, place: Place, { mode, link, data }: NewInode, who: Credential): Inode {
  const directory = directoryOf(files, place)
  checkRoom(directory, who)
  const kind = mode & S.IFMT
  const isDirectory = kind === S.IFDIR
  if (isDirectory && directory.nlink >= FSX_LINKS_MAX) throw refuse('EMLINK')
  checkInodeQuota(files)
  const inherits = (directory.mode & S_ISGID) !== 0
  const bits = kind === S.IFLNK ? 0o777 : (mode & 0o7777 & ~who.umask) | (isDirectory && inherits ? S_ISGID : 0)
  const { nowUs, volume } = files
  const stored = data?.length ?? 0
  const inode: Inode = {
    ino: takeIno(files),
    mode: kind | bits,
    nlink: isDirectory ? 2 : 1,
    uid: who.uid,
    gid: inherits ? directory.gid : who.gid,
    size: stored,
    stored,
    body: null,
    parent: directory.ino,
    atime: nowUs,
    mtime: nowUs,
    ctime: nowUs,
    btime: nowUs,
    nanos: 0,
    era: volume.era,
    link: link ?? null,
  }
  if (stored > 0) checkQuota(files, stored)
  // In this order whoever follows the log hears of the name first.
  addName(files, directory.ino, place.name, { ino: inode.ino, kind })
  addInode(files, inode, data ?? null)
  if (isDirectory) knowDirectory(files, inode.ino, true)
  changeDirectory(files, directory, isDirectory ? 1 : 0)
  return inode
}

/** Make a file without a name, and open it.
 *  @param mode permissions, the umask not yet applied
 *  @throws EDQUOT, ENFILE */
export function makeNameless(files: Files, { mode }: { mode: number }, who: Credential): Inode {
  const { volume, nowUs } = files
  checkInodeQuota(files)
  const times = { atime: nowUs, mtime: nowUs, ctime: nowUs, btime: nowUs, nanos: 0 }
  const owners = { uid: who.uid, gid: who.gid, mode: S.IFREG | (mode & 0o777 & ~who.umask) }
  const content = { size: 0, stored: 0, body: null, parent: null, link: null }
  const inode: Inode = { ino: takeIno(files), nlink: 0, ...owners, ...content, ...times, era: volume.era }
  addInode(files, inode, null)
  addOrphan(files, inode.ino)
  holdInode(files, inode.ino)
  return inode
}

/** Refuse who may not put a name into a directory.
 *  @throws EACCES; ENOENT when the directory has been removed */
export function checkRoom(directory: Inode, who: Credential): void {
  if (directory.nlink === 0) throw refuse('ENOENT')
  checkAccess(directory, who, W | X)
}

/** An inode has lost a name: without any, it goes, at once or when nobody has it open. */
export function loseName(files: Files, inode: Inode): void {
  const { volume, nowUs } = files
  const isDirectory = (inode.mode & S.IFMT) === S.IFDIR
  const nlink = isDirectory ? 0 : inode.nlink - 1
  if (nlink > 0) {
    setInode(files, { ...inode, nlink, ctime: nowUs })
    return
  }
  if ((volume.handles.get(inode.ino) ?? 0) === 0) {
    destroy(files, inode)
    return
  }
  setInode(files, { ...inode, nlink, ctime: nowUs })
  addOrphan(files, inode.ino)
}

/** Note that an inode has no name: it goes when nobody has it open. */
export function addOrphan({ tx, volume }: Files, ino: number): void {
  const until = tx.nowMs + FSX_ORPHAN_MS
  tx.put(orphans, { ino: volume.base + ino, until })
  volume.orphansDueMs = Math.min(volume.orphansDueMs, until)
}

/** Note that it has one, or is gone. */
export function dropOrphanRow({ tx, volume }: Files, ino: number): void {
  tx.write('delete from fs_orphans where ino = ?', volume.base + ino)
}

/** Delete an inode and all that is its own. */
export function destroy(files: Files, inode: Inode): void {
  const { tx, volume } = files
  const { ino, body, mode } = inode
  if (body !== null) dropBody(files, body)
  const key = volume.base + ino
  for (const { name } of tx.all('select name from fs_xattrs where ino = ?', key)) {
    tx.remove(xattrs, { ino: key, name: String(name) } as Partial<XattrRow>)
  }
  if ((mode & S.IFMT) === S.IFDIR) forgetDirectory(files, ino)
  countBytes(files, -inode.stored)
  countInode(files, -1)
  dropInode(files, ino)
}

/** Begin to hold a file open.
 *  @throws ENFILE */
export function holdInode({ tx, volume: { handles } }: Files, ino: number): void {
  const count = handles.get(ino) ?? 0
  if (count === 0 && handles.size >= FSX_HANDLES_MAX) throw refuse('ENFILE')
  handles.set(ino, count + 1)
  tx.onUndo(() => (count === 0 ? handles.delete(ino) : handles.set(ino, count)))
}

/** Stop holding a file open; one without a name goes with its last handle. */
export function releaseInode(files: Files, ino: number): void {
  const { tx, volume } = files
  const { handles } = volume
  const count = handles.get(ino) ?? 0
  tx.onUndo(() => (count === 0 ? handles.delete(ino) : handles.set(ino, count)))
  if (count > 1) {
    handles.set(ino, count - 1)
    return
  }
  handles.delete(ino)
  const inode = findInode(files, ino)
  if (inode !== undefined && inode.nlink === 0) dropOrphan(files, inode)
}

function dropOrphan(files: Files, inode: Inode): void {
  destroy(files, inode)
  dropOrphanRow(files, inode.ino)
}

/** Delete files without a name that nobody has had open for long.
 *  @returns when to look again, in ms since 1970; undefined when there are none
 *  @cost nothing before one is due */
export function sweepOrphans(files: Files): number | undefined {
  const { tx, volume } = files
  const { base } = volume
  const within = 'ino between ? and ?'
  const range = [base, base + LAYER_INOS - 1] as const
  if (volume.orphansDueMs <= tx.nowMs) {
    const due = `select ino from fs_orphans where ${within} and until <= ? limit 100`
    for (const [key] of tx.raw(due, ...range, tx.nowMs)) {
      const ino = Number(key) - base
      const inode = findInode(files, ino)
      if (volume.handles.has(ino)) tx.put(orphans, { ino: Number(key), until: tx.nowMs + FSX_ORPHAN_MS })
      else if (inode !== undefined) dropOrphan(files, inode)
    }
    const next = tx.raw(`select min(until) from fs_orphans where ${within}`, ...range)[0]?.[0]
    volume.orphansDueMs = next == null ? Number.POSITIVE_INFINITY : Number(next)
  }
  return volume.orphansDueMs < Number.POSITIVE_INFINITY ? volume.orphansDueMs : undefined
}
