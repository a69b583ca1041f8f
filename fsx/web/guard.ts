/** What must hold for a request over HTTP to be done: its conditions, and the locks of others. It is looked at in the
 *  transaction that does it, so that nobody comes between.
 *  @source RFC 4918 sections 7 and 10.4; RFC 9110 section 13 */
import { type Credential, isDirectory } from '../engine/mode.ts'
import type { Files } from '../engine/volume.ts'
import { checkName, checkPathLength, find } from '../engine/walk.ts'
import { errnoOf, refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { hasLocks, locksBelow, locksOn, pathAbove, realPath, refuseWeb, type WebLock } from './locks.ts'

/** Something that will change. */
export interface Change {
  readonly path: string
  /** A name comes or goes, so that the directory changes too. */
  readonly names: boolean
  /** All below it changes too. */
  readonly deep: boolean
}

/** One condition of a list in `If`: a lock, or a version. */
export interface Term {
  readonly not: boolean
  readonly token?: string
  readonly etag?: string
}

/** A list of `If`: it holds when all its terms do. */
export interface TermList {
  readonly path: string
  readonly terms: readonly Term[]
}

/** Versions that a file must have (`match`), or must not (`noneMatch`); `*` is any. */
export interface Expectation {
  readonly path: string
  readonly match?: readonly string[] | '*'
  readonly noneMatch?: readonly string[] | '*'
  /** It must not have been changed after this, in seconds since 1970. */
  readonly unmodifiedSinceSeconds?: number
}

/** What must hold. */
export interface Check {
  /** Locks that the client says it holds. */
  readonly tokens: readonly string[]
  readonly changes: readonly Change[]
  /** One of them must hold, if there are any. */
  readonly lists?: readonly TermList[]
  readonly expect?: Expectation
}

/** Name the version of a file's content and attributes, as ETag does, without the quotes. */
export function etagOf({ ino, ctime, size }: Pick<Inode, 'ino' | 'ctime' | 'size'>): string {
  return `${ino.toString(36)}-${ctime.toString(36)}-${size.toString(36)}`
}

/** Find what a path leads to, unless that is nothing: links that lead nowhere, or round in circles, included. */
export function findAt(files: Files, path: string, who: Credential): Inode | undefined {
  try {
    return find(files, path, { who, follow: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

function holds(files: Files, { path, terms }: TermList, who: Credential): boolean {
  const inode = findAt(files, path, who)
  const locks = locksOn(files, realPath(files, path, who))
  const etag = inode === undefined || isDirectory(inode) ? undefined : etagOf(inode)
  return terms.every((term) => {
    const is = term.token === undefined ? term.etag === etag : locks.some(({ token }) => token === term.token)
    return is !== term.not
  })
}

/** Check the conditions of a request on one file.
 *  @throws conflict with `precondition` */
export function checkExpectation(inode: Inode | undefined, expectation: Expectation): void {
  const { path, match, noneMatch, unmodifiedSinceSeconds } = expectation
  const etag = inode === undefined || isDirectory(inode) ? undefined : etagOf(inode)
  const isOne = (wanted: readonly string[] | '*') => {
    return wanted === '*' ? inode !== undefined : etag !== undefined && wanted.includes(etag)
  }
  if (match !== undefined && !isOne(match)) throw refuseWeb('precondition', path, 'If-Match does not hold')
  if (noneMatch !== undefined && isOne(noneMatch)) throw refuseWeb('precondition', path, 'If-None-Match does not hold')
  if (unmodifiedSinceSeconds === undefined || match !== undefined || inode === undefined) return
  if (Math.floor(inode.mtime / 1e6) > unmodifiedSinceSeconds) {
    throw refuseWeb('precondition', path, 'If-Unmodified-Since does not hold')
  }
}

/** The locks that a change needs the tokens of: those of the name, and of what it leads to. */
function locksFor(files: Files, { path: asked, names, deep }: Change, who: Credential): WebLock[] {
  if (!hasLocks(files)) return []
  const paths = new Set([realPath(files, asked, who), realPath(files, asked, who, false)])
  return [...paths].flatMap((path) => {
    const above = names && path !== '/' ? locksOn(files, pathAbove(path)) : []
    return [...locksOn(files, path), ...above, ...(deep ? locksBelow(files, path) : [])]
  })
}

/** Check what must hold of a filesystem that is not there yet: what is asked makes it, unless it is refused here.
 *  @throws ENOENT for what would not be in its root; ENAMETOOLONG; conflict, with what does not hold */
export function checkEmpty(path: string, { lists = [], expect }: Check): void {
  checkPathLength(path)
  if (path.lastIndexOf('/') > 0) throw refuse('ENOENT')
  checkName(path.slice(1))
  const holds = lists.length === 0 || lists.some(({ terms }) => terms.every(({ not }) => not))
  if (!holds) throw refuseWeb('precondition', path, 'If does not hold')
  if (expect !== undefined) checkExpectation(undefined, expect)
}

/** Check what must hold.
 *  @throws conflict, with what does not hold */
export function checkGuard(files: Files, { tokens, changes, lists, expect }: Check, who: Credential): void {
  if (lists !== undefined && lists.length > 0 && !lists.some((list) => holds(files, list, who))) {
    throw refuseWeb('precondition', changes[0]?.path ?? '/', 'If does not hold')
  }
  if (expect !== undefined) checkExpectation(findAt(files, expect.path, who), expect)
  for (const change of changes) {
    const locks = locksFor(files, change, who)
    const isHeld = (lock: WebLock) => tokens.includes(lock.token)
    for (const lock of locks) {
      // Of shared locks on one path, holding one is enough.
      const isShared = lock.exclusive === 0 && locks.some((other) => other.path === lock.path && isHeld(other))
      if (!isHeld(lock) && !isShared) throw refuseWeb('lock-token-submitted', lock.path, `${lock.path} is locked`)
    }
  }
}
