/** Types and permissions of inodes, and who may do what.
 *  @source POSIX.1-2017 sys/stat.h, and 4.5 File Access Permissions */
import { refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'

/** Bits of st_mode. */
export const S = { IFMT: 0o170000, IFDIR: 0o040000, IFREG: 0o100000, IFLNK: 0o120000 } as const
/** Set-group-ID. */
export const S_ISGID = 0o2000
/** Set-user-ID. */
export const S_ISUID = 0o4000
/** Sticky. */
export const S_ISVTX = 0o1000

/** Flags of open(2), as on Linux. */
export const O = {
  WRONLY: 1,
  RDWR: 2,
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
} as const

/** Who asks. */
export interface Credential {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  /** Permissions that new files do not get. */
  readonly umask: number
}

/** Who asks when nobody says: everything is allowed. */
export const root: Credential = { uid: 0, gid: 0, groups: [], umask: 0o022 }

/** Permissions to ask for. */
export const R = 4
/** To write. */
export const W = 2
/** To run, or to look a name up in a directory. */
export const X = 1

/** Whether an inode is a directory. */
export function isDirectory({ mode }: { readonly mode: number }): boolean {
  return (mode & S.IFMT) === S.IFDIR
}

/** Whether somebody is of a group. */
export function inGroup(who: Credential, gid: number): boolean {
  return who.gid === gid || who.groups.includes(gid)
}

/** Whether somebody may do something with an inode.
 *  @param wanted R, W and X together */
export function mayAccess({ mode, uid, gid }: Inode, who: Credential, wanted: number): boolean {
  // The superuser runs what anybody may run.
  if (who.uid === 0) return (wanted & X) === 0 || (mode & S.IFMT) === S.IFDIR || (mode & 0o111) !== 0
  const bits = who.uid === uid ? mode >> 6 : inGroup(who, gid) ? mode >> 3 : mode
  return (bits & wanted) === wanted
}

/** Refuse all but root: only root decides about a filesystem as a whole.
 *  @throws EPERM */
export function checkRoot(who: Credential): void {
  if (who.uid !== 0) throw refuse('EPERM')
}

/** Refuse who may not.
 *  @throws EACCES */
export function checkAccess(inode: Inode, who: Credential, wanted: number): void {
  if (!mayAccess(inode, who, wanted)) throw refuse('EACCES')
}

/** Refuse who may not take a name out of a directory.
 *  @throws EACCES; EPERM when the directory is sticky and neither it nor the file is theirs */
export function checkRemoval(directory: Inode, victim: Inode, who: Credential): void {
  checkAccess(directory, who, W | X)
  if ((directory.mode & S_ISVTX) === 0 || who.uid === 0) return
  if (who.uid !== victim.uid && who.uid !== directory.uid) throw refuse('EPERM')
}
