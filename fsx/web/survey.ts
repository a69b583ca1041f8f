/** Much about many files in one call: what lists of directories over HTTP show. */
import { putXattr, xattrsOf } from '../engine/attributes.ts'
import { readContent } from '../engine/content.ts'
import { type Credential, checkAccess, isDirectory, R, S, W } from '../engine/mode.ts'
import { lookUp } from '../engine/names.ts'
import { type Files, getInode, setInode } from '../engine/volume.ts'
import { find } from '../engine/walk.ts'
import { refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { findAt } from './guard.ts'

/** Properties of WebDAV are extended attributes whose names begin so. */
export const PROPERTY_PREFIX = 'dav:'

/** A file as lists show it. */
export interface Surveyed {
  readonly name: string
  /** What the name leads to, links followed. */
  readonly inode: Inode
  /** Where a symbolic link leads; undefined when it is none. */
  readonly link?: string
  /** Properties of WebDAV by attribute, if they were asked for. */
  readonly properties?: readonly (readonly [name: string, value: Uint8Array])[]
}

/** What a survey is about. */
export interface SurveyArgs {
  readonly path: string
  /** Names in the directory; null for the path itself. */
  readonly names: readonly string[] | null
  readonly properties: boolean
}

function propertiesOf(files: Files, ino: number): [name: string, value: Uint8Array][] {
  return xattrsOf(files, ino).filter(([name]) => name.startsWith(PROPERTY_PREFIX))
}

/** Look at files; what is not there, and links that lead nowhere, are left out.
 *  @cost a statement a file that is not in memory, and one for its properties */
export function survey(files: Files, { path, names, properties }: SurveyArgs, who: Credential): Surveyed[] {
  const tell = (name: string, inode: Inode, link?: string | null): Surveyed => {
    const told = properties ? { properties: propertiesOf(files, inode.ino) } : {}
    return { name, inode, ...(typeof link === 'string' && { link }), ...told }
  }
  if (names === null) {
    const own = find(files, path, { who, follow: false })
    return [tell('', find(files, path, { who, follow: true }), own.link)]
  }
  const directory = find(files, path, { who, follow: true })
  if (!isDirectory(directory)) throw refuse('ENOTDIR')
  checkAccess(directory, who, R)
  const found: Surveyed[] = []
  for (const name of names) {
    const entry = lookUp(files, directory.ino, name)
    if (entry === undefined) continue
    if (entry.kind !== S.IFLNK) found.push(tell(name, getInode(files, entry.ino)))
    else {
      const target = reached(files, `${path === '/' ? '' : path}/${name}`, who)
      if (target !== undefined) found.push(tell(name, target, getInode(files, entry.ino).link))
    }
  }
  return found
}

/** @returns what a link leads to; undefined when that is nothing that can be reached */
function reached(files: Files, path: string, who: Credential): Inode | undefined {
  try {
    return findAt(files, path, who)
  } catch {
    return undefined
  }
}

/** A file and, when it is short, its content. */
export interface Peeked {
  readonly inode: Inode
  readonly bytes: Uint8Array | null
}

/** Look at a file, and read it if it is no longer than `length`.
 *  @returns `bytes` null for what is longer, and for a directory */
export function peek(files: Files, { path, length }: { path: string; length: number }, who: Credential): Peeked {
  const inode = find(files, path, { who, follow: true })
  if (isDirectory(inode)) return { inode, bytes: null }
  checkAccess(inode, who, R)
  const bytes = inode.size > length ? null : readContent(files, inode, 0, inode.size)
  return { inode, bytes: bytes?.length === inode.size ? bytes : null }
}

/** Set and remove properties; those that are to be removed need not be there.
 *  @throws as setxattr(2) */
export function patchProperties(
  files: Files,
  { path, changes }: { path: string; changes: readonly (readonly [name: string, value: Uint8Array | null])[] },
  who: Credential,
): null {
  const inode = find(files, path, { who, follow: true })
  checkAccess(inode, who, W)
  for (const [name, value] of changes) {
    if (!name.startsWith(PROPERTY_PREFIX)) throw refuse('EINVAL')
    putXattr(files, inode, name, value)
  }
  setInode(files, { ...inode, ctime: files.nowUs })
  return null
}
