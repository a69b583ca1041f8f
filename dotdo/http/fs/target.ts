/** Which file of which filesystem a URL names, and the URL of a file.
 *
 *  1. A path is decoded part by part: what stands for a slash or a NUL inside a name is refused, and `..` has been
 *     resolved by the URL's own rules before it gets here.
 *  2. Paths are absolute, without a slash at their end; the root is `/`. */
import { Failure } from '@dotdo/core/errors'
import type { Context } from 'hono'

/** What a URL names. */
export interface Target {
  readonly database: string
  readonly path: string
  /** Whether the URL ends in a slash: it means a directory. */
  readonly slash: boolean
}

function decodeName(part: string): string {
  let name: string
  try {
    name = decodeURIComponent(part)
  } catch {
    throw new Failure('invalid', `${part.slice(0, 80)} is not percent-encoded UTF-8`)
  }
  if (/[/\0]/.test(name)) throw new Failure('invalid', `a name with a slash or NUL in it: ${part.slice(0, 80)}`)
  if (name === '.' || name === '..') throw new Failure('invalid', `${name} is not a name`)
  return name
}

/** Read the path of a URL.
 *  @throws invalid for what is no path of a file; not_found when no filesystem is named */
export function targetOf(pathname: string): Target {
  const [, , database = '', ...parts] = pathname.split('/')
  if (database === '') throw new Failure('not_found', 'which filesystem? /fs/NAME/PATH names a file')
  const names = parts.filter((part) => part !== '').map(decodeName)
  return { database: decodeName(database), path: `/${names.join('/')}`, slash: pathname.endsWith('/') }
}

/** Read what a request names.
 *  @throws invalid, not_found as `targetOf` */
export function targetOfRequest({ req }: Context): Target {
  // A fragment is never sent by whoever means it; a server that dropped it would act on another file.
  if (req.url.includes('#')) throw new Failure('invalid', 'the URL has a fragment')
  return targetOf(new URL(req.url).pathname)
}

/** Read a URL in a header: it must name a file of the same filesystem.
 *  @throws invalid for what is no URL; unsupported for another server or filesystem */
export function targetOfHeader({ req }: Context, text: string, { database }: Target): Target {
  if (!URL.canParse(text, req.url) || text.includes('#')) throw new Failure('invalid', `${text.slice(0, 80)} is no URL`)
  const url = new URL(text, req.url)
  const host = req.header('Host') ?? new URL(req.url).host
  if (url.host !== host && url.host !== new URL(req.url).host) {
    throw new Failure('unsupported', `${url.host.slice(0, 80)} is another server than ${host}`, { web: 'elsewhere' })
  }
  if (!url.pathname.startsWith('/fs/')) {
    throw new Failure('unsupported', `${url.pathname.slice(0, 80)} is no file`, { web: 'elsewhere' })
  }
  const target = targetOf(url.pathname)
  if (target.database === database) return target
  throw new Failure('unsupported', `${target.database.slice(0, 80)} is another filesystem`, { web: 'elsewhere' })
}

/** Write the URL's path of a file. */
export function hrefOf(database: string, path: string, isDirectory: boolean): string {
  const parts = path === '/' ? [] : path.slice(1).split('/')
  const encoded = [database, ...parts].map((part) => encodeURIComponent(part)).join('/')
  return `/fs/${encoded}${isDirectory ? '/' : ''}`
}

/** Join a directory's path and a name. */
export function under(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`
}
