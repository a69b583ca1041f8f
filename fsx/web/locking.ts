/** Taking locks of WebDAV, renewing them and giving them back.
 *
 *  1. A lock covers its path, and with `deep` all below it.
 *  2. An exclusive lock shares nothing that it covers with another lock.
 *  3. What is over counts as gone, and is deleted when the next lock is made.
 *  @source RFC 4918 sections 6, 7 and 9.10 */
import { Failure } from '@dotdo/core/errors'
import { FSX_WEB_LOCKS_MAX, FSX_WEB_LOCKS_PER_PATH_MAX } from '@dotdo/core/limits'
import type { Credential } from '../engine/mode.ts'
import type { Files } from '../engine/volume.ts'
import { walk } from '../engine/walk.ts'
import { refuse } from '../errors.ts'
import { type Check, checkGuard } from './guard.ts'
import { hasLocks, locksBelow, locksOn, realPath, refuseWeb, type WebLock, webLocks } from './locks.ts'
import { putFile } from './place.ts'

/** A lock that is wanted. */
export interface LockArgs extends Omit<WebLock, 'expires'> {
  readonly timeoutMs: number
  readonly check: Check
}

/** Lock a path; an empty file is made where there is nothing.
 *  @returns the lock, and whether a file was made
 *  @throws conflict with `no-conflicting-lock`, or what the check refuses; limit */
export function lock(files: Files, { timeoutMs, check, path: asked, ...wanted }: LockArgs, who: Credential) {
  const { tx } = files
  const { deep, exclusive } = wanted
  const path = realPath(files, asked, who)
  const others = [...locksOn(files, path), ...(deep === 1 ? locksBelow(files, path) : [])]
  const other = others.find((one) => exclusive === 1 || one.exclusive === 1)
  if (other !== undefined) throw refuseWeb('no-conflicting-lock', other.path, `${other.path} is locked`)
  const made = walk(files, path, { who, follow: true }).ino === undefined
  checkGuard(files, { ...check, changes: made ? [{ path, names: true, deep: false }] : [] }, who)
  if (made) putFile(files, { path, bytes: new Uint8Array(0), mode: 0o666 }, who)
  tx.write('delete from fs_web_locks where expires <= ?', tx.nowMs)
  const count = Number(tx.raw('select count(*) from fs_web_locks')[0]?.[0])
  if (count >= FSX_WEB_LOCKS_MAX || others.length >= FSX_WEB_LOCKS_PER_PATH_MAX) {
    throw new Failure('limit', `${count} locks are held, ${others.length} of them there: no more are given out`)
  }
  const held: WebLock = { ...wanted, path, expires: tx.nowMs + timeoutMs }
  tx.put(webLocks, held)
  return { lock: held, made }
}

/** Give a lock more time.
 *  @param tokens what the client says it holds; one that covers the path is renewed
 *  @throws conflict with `precondition` when there is none */
export function refreshLock(
  files: Files,
  { path, tokens, timeoutMs }: { path: string; tokens: readonly string[]; timeoutMs: number },
  who: Credential,
): WebLock {
  const held = locksOn(files, realPath(files, path, who)).find(({ token }) => tokens.includes(token))
  if (held === undefined) throw refuseWeb('precondition', path, 'no such lock is held there')
  const renewed = { ...held, expires: files.tx.nowMs + timeoutMs }
  files.tx.put(webLocks, renewed)
  return renewed
}

/** Give a lock back.
 *  @throws conflict with `lock-token-matches-request-uri` when none of that token covers the path */
export function unlock(files: Files, { path, token }: { path: string; token: string }, who: Credential): null {
  const held = locksOn(files, realPath(files, path, who)).find((one) => one.token === token)
  if (held === undefined) {
    throw refuseWeb('lock-token-matches-request-uri', path, `no lock ${token.slice(0, 80)} covers ${path}`)
  }
  files.tx.remove(webLocks, { path: held.path, token } as Partial<WebLock>)
  return null
}

/** End the locks of a path that is gone, and of all that was below it. */
export function forgetLocks(files: Files, { path: asked }: { path: string }, who: Credential): null {
  if (!hasLocks(files)) return null
  const path = realPath(files, asked, who, false)
  const prefix = path === '/' ? '/' : `${path}/`
  const range = [prefix, `${prefix.slice(0, -1)}0`]
  files.tx.write('delete from fs_web_locks where path = ? or (path > ? and path < ?)', path, ...range)
  return null
}

/** List the locks that cover paths, for those who ask what is locked.
 *  @throws EINVAL for a path that is not absolute */
export function listLocks(files: Files, { paths }: { paths: readonly string[] }, who: Credential): WebLock[][] {
  if (!hasLocks(files)) return paths.map(() => [])
  return paths.map((path) => {
    if (!path.startsWith('/')) throw refuse('EINVAL')
    return locksOn(files, realPath(files, path, who))
  })
}
