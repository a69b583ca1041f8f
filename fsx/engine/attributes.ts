/** What is known of files besides names and content: permissions, owners, times, extended attributes.
 *  @source POSIX.1-2017 stat, chmod, chown, utimensat, access; Linux xattr(7), for `user.` */
import {
  FSX_XATTR_COST_BYTES,
  FSX_XATTR_NAME_BYTES_MAX,
  FSX_XATTR_VALUE_BYTES_MAX,
  FSX_XATTRS_BYTES_MAX,
} from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { type Inode, type XattrRow, xattrs } from '../tables.ts'
import { handled } from './files.ts'
import { type Credential, checkAccess, inGroup, isDirectory, R, S, S_ISGID, S_ISUID, W, X } from './mode.ts'
import { type Files, keysOf, setInode } from './volume.ts'
import { find, utf8Length } from './walk.ts'

/** What is asked about: a path, with or without the link at its end, or the file of a handle. */
export type Target = { readonly path: string; readonly follow: boolean } | { readonly ino: number }

function targetOf(files: Files, target: Target, who: Credential): Inode {
  return 'ino' in target ? handled(files, target.ino) : find(files, target.path, { who, follow: target.follow })
}

/** Tell all about an inode.
 *  @returns borrowed */
export function stat(files: Files, target: Target, who: Credential): Inode {
  return targetOf(files, target, who)
}

/** Ask whether somebody may do something.
 *  @param wanted R, W and X together; 0 for whether it is there
 *  @throws EACCES; EROFS for writing to a snapshot */
export function access(files: Files, { path, wanted }: { path: string; wanted: number }, who: Credential): null {
  const inode = find(files, path, { who, follow: true })
  if ((wanted & W) !== 0 && files.volume.isReadOnly) throw refuse('EROFS')
  checkAccess(inode, who, wanted & (R | W | X))
  return null
}

/** Set permissions.
 *  @throws EPERM for whoever is not the owner; ENOTSUP for a symbolic link */
export function chmod(files: Files, { mode, ...target }: Target & { mode: number }, who: Credential): null {
  const inode = targetOf(files, target, who)
  if ((inode.mode & S.IFMT) === S.IFLNK) throw refuse('ENOTSUP')
  if (who.uid !== 0 && who.uid !== inode.uid) throw refuse('EPERM')
  // Who is not of the group cannot make a file run as the group.
  const lost = who.uid !== 0 && !isDirectory(inode) && !inGroup(who, inode.gid) ? S_ISGID : 0
  setInode(files, { ...inode, mode: (inode.mode & S.IFMT) | (mode & 0o7777 & ~lost), ctime: files.nowUs })
  return null
}

/** Set owners; -1 (or 2^32 - 1) leaves one as it is.
 *  @throws EPERM */
export function chown(
  files: Files,
  { uid, gid, ...target }: Target & { uid: number; gid: number },
  who: Credential,
): null {
  const inode = targetOf(files, target, who)
  const keeps = (id: number) => id === -1 || id === 0xffffffff
  const next = { uid: keeps(uid) ? inode.uid : uid, gid: keeps(gid) ? inode.gid : gid }
  if (who.uid !== 0) {
    const isOwner = who.uid === inode.uid
    if (!keeps(uid) && !(isOwner && next.uid === inode.uid)) throw refuse('EPERM')
    if (!keeps(gid) && !(isOwner && inGroup(who, next.gid))) throw refuse('EPERM')
  }
  let { mode } = inode
  if ((mode & S.IFMT) === S.IFREG && !(keeps(uid) && keeps(gid))) {
    mode &= ~S_ISUID & ~((mode & 0o010) !== 0 ? S_ISGID : 0)
  }
  setInode(files, { ...inode, ...next, mode, ctime: files.nowUs })
  return null
}

/** A time: whole microseconds since 1970, and nanoseconds past them. */
export interface Time {
  readonly us: number
  readonly ns: number
}

/** Set the times of last access and of last change of content; null is now.
 *  @throws EPERM for whoever is not the owner */
export function utimes(
  files: Files,
  { atime, mtime, ...target }: Target & { atime: Time | null; mtime: Time | null },
  who: Credential,
): null {
  const inode = targetOf(files, target, who)
  if (who.uid !== 0 && who.uid !== inode.uid) throw refuse('EPERM')
  const now: Time = { us: files.nowUs, ns: 0 }
  const [accessed, changed] = [atime ?? now, mtime ?? now]
  const nanos = accessed.ns + 1_000 * changed.ns + Math.floor(inode.nanos / 1e9) * 1e9
  setInode(files, { ...inode, atime: accessed.us, mtime: changed.us, ctime: files.nowUs, nanos })
  return null
}

/** Find the key that an inode's attributes are under: all are in its topmost layer that has any. A layer that has none
 *  while those below do has the attribute '', which nobody else may. */
function xattrKey({ tx, volume }: Files, ino: number): number {
  const keys = keysOf(volume, ino)
  const [own = 0] = keys
  if (keys.length === 1) return own
  const statement = 'select max(ino) from fs_xattrs where ino in (select value from json_each(?))'
  return Number(tx.raw(statement, JSON.stringify(keys))[0]?.[0] ?? own)
}

/** Copy the attributes of an inode into the layer that changes go to. */
function ownXattrs(files: Files, ino: number): number {
  const { tx, volume } = files
  const own = volume.base + ino
  const from = xattrKey(files, ino)
  if (from === own) return own
  for (const { name, value } of tx.all('select name, value from fs_xattrs where ino = ?', from)) {
    tx.put(xattrs, { ino: own, name: String(name), value: value as Uint8Array })
  }
  tx.put(xattrs, { ino: own, name: '', value: new Uint8Array(0) })
  return own
}

/** Read all extended attributes of an inode. */
export function xattrsOf(files: Files, ino: number): [name: string, value: Uint8Array][] {
  const statement = "select name, value from fs_xattrs where ino = ? and name <> '' order by name"
  const rows = files.tx.raw(statement, xattrKey(files, ino))
  return rows.map(([name, value]) => [String(name), value as Uint8Array])
}

const sumXattrs = `select sum(length(cast(name as blob)) + length(value) + ${FSX_XATTR_COST_BYTES}) from fs_xattrs
  where ino = ? and name <> ?`

/** Set an extended attribute of an inode, or remove it.
 *  @returns whether there was one to remove
 *  @throws ENOSPC when all of them would be too much */
export function putXattr(files: Files, { ino }: Inode, name: string, value: Uint8Array | null): boolean {
  const key = ownXattrs(files, ino)
  const others = value === null ? 0 : Number(files.tx.raw(sumXattrs, key, name)[0]?.[0] ?? 0)
  const own = utf8Length(name) + (value?.length ?? 0) + FSX_XATTR_COST_BYTES
  if (value !== null && others + own > FSX_XATTRS_BYTES_MAX) throw refuse('ENOSPC')
  if (value === null) return files.tx.remove(xattrs, { ino: key, name } as Partial<XattrRow>)
  files.tx.put(xattrs, { ino: key, name, value })
  return true
}

/** List extended attributes. */
export function listXattrs(files: Files, target: Target, who: Credential): string[] {
  const { ino } = targetOf(files, target, who)
  const statement = "select name from fs_xattrs where ino = ? and name <> '' order by name"
  return files.tx.raw(statement, xattrKey(files, ino)).map(([name]) => String(name))
}

/** Read an extended attribute.
 *  @throws ENODATA when it is not there */
export function readXattr(files: Files, { name, ...target }: Target & { name: string }, who: Credential): Uint8Array {
  const inode = targetOf(files, target, who)
  checkAccess(inode, who, R)
  if (name === '') throw refuse('ENODATA')
  const found = files.tx.find(xattrs, { ino: xattrKey(files, inode.ino), name } as Partial<XattrRow>)
  if (found === undefined) throw refuse('ENODATA')
  return found.value
}

/** Set an extended attribute, or remove it.
 *  @throws ERANGE, EINVAL for a name, ENOSPC for a value that is too long, or too much with the others;
 *  ENODATA when there is none to remove */
export function writeXattr(
  files: Files,
  { name, value, ...target }: Target & { name: string; value: Uint8Array | null },
  who: Credential,
): null {
  const inode = targetOf(files, target, who)
  if (name === '') throw refuse('EINVAL')
  if (utf8Length(name) > FSX_XATTR_NAME_BYTES_MAX) throw refuse('ERANGE')
  if (value !== null && value.length > FSX_XATTR_VALUE_BYTES_MAX) throw refuse('ENOSPC')
  checkAccess(inode, who, W)
  if (!putXattr(files, inode, name, value) && value === null) throw refuse('ENODATA')
  setInode(files, { ...inode, ctime: files.nowUs })
  return null
}
