/** Locks of WebDAV as rows: promises among those who come over HTTP. They outlive a restart, move with the filesystem,
 *  and end by themselves. They are by path, as URLs are: by that without links, so that no link leads around one.
 *  @source RFC 4918 sections 6 and 7 */
import { Failure } from '@dotdo/core/errors'
import { internalTable } from '@dotdo/core/shard'
import type { Credential } from '../engine/mode.ts'
import { pathOf } from '../engine/realpath.ts'
import type { Files } from '../engine/volume.ts'
import { walk } from '../engine/walk.ts'
import { errnoOf } from '../errors.ts'
import { FSX_SLOT } from '../tables.ts'

/** A lock. */
export type WebLock = {
  token: string
  /** Absolute, without a slash at its end; the root is `/`. */
  path: string
  /** 1 when it covers all below its path, else 0. */
  deep: number
  /** 1 when it is exclusive, 0 when it is shared. */
  exclusive: number
  /** XML that its owner wants shown; '' for none. */
  owner: string
  /** When it ends, in ms since 1970. */
  expires: number
}

/** The table of locks. */
export const webLocks = internalTable<WebLock>({
  name: 'fs_web_locks',
  slot: FSX_SLOT,
  columns: { token: 'text', path: 'text', deep: 'integer', exclusive: 'integer', owner: 'text', expires: 'integer' },
  primaryKey: ['path', 'token'],
  withoutRowid: true,
})

/** What refuses a request for the sake of locks tells machines. */
export interface WebDetail {
  /** The condition of RFC 4918 that does not hold; `precondition` is one of the request's own. */
  readonly web: 'lock-token-submitted' | 'no-conflicting-lock' | 'lock-token-matches-request-uri' | 'precondition'
  readonly path: string
}

/** Make the failure for a condition that does not hold. */
export function refuseWeb(web: WebDetail['web'], path: string, message: string): Failure {
  return new Failure('conflict', message, { web, path } satisfies WebDetail)
}

const columns = 'token, path, deep, exclusive, owner, expires'

function read({ tx }: Files, where: string, ...values: (string | number)[]): WebLock[] {
  const rows = tx.raw(`select ${columns} from fs_web_locks where expires > ? and ${where}`, tx.nowMs, ...values)
  return rows.map(([token, path, deep, exclusive, owner, expires]) => {
    const texts = { token: String(token), path: String(path), owner: String(owner) }
    return { ...texts, deep: Number(deep), exclusive: Number(exclusive), expires: Number(expires) }
  })
}

/** Tell the path of the directory above; the root's is itself. */
export function pathAbove(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

/** Whether there are any. */
export function hasLocks({ tx }: Files): boolean {
  return tx.raw('select 1 from fs_web_locks limit 1').length > 0
}

/** Tell the path without links that a path means; as it is where it leads nowhere.
 *  @param follow whether a link at its end means what it leads to */
export function realPath(files: Files, path: string, who: Credential, follow = true): string {
  try {
    const { chain, name } = walk(files, path, { who, follow })
    return pathOf(files, chain, name)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return path
  }
}

/** List the locks that cover a path.
 *  @cost a statement */
export function locksOn(files: Files, path: string): WebLock[] {
  const above: string[] = []
  for (let one = path; one !== '/'; ) {
    one = pathAbove(one)
    above.push(one)
  }
  const where = '(path = ? or (deep = 1 and path in (select value from json_each(?))))'
  return read(files, where, path, JSON.stringify(above))
}

/** List the locks below a path. */
export function locksBelow(files: Files, path: string): WebLock[] {
  const prefix = path === '/' ? '/' : `${path}/`
  // '0' is the character after '/'.
  return read(files, 'path > ? and path < ?', prefix, `${prefix.slice(0, -1)}0`)
}
