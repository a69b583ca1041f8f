/** A running server's filesystems, as `dotdo fs` uses them. */
import { Failure } from '@dotdo/core/errors'
import { pathAbove } from '@dotdo/fsx/web'
import type { DirectoryPage, FileDetail, FileSummary } from '../http/fs/list.ts'
import { hrefOf } from '../http/fs/target.ts'
import { baseOf, failureOf, type ServerOptions, type ServerRequest, send } from './server.ts'

/** A file on a server. */
export interface Remote {
  readonly database: string
  /** Absolute, without a slash at its end; the root is `/`. */
  readonly path: string
}

/** Read `NAME:/path`.
 *  @returns undefined for what has no name in front: it is of this machine */
export function findRemote(text: string): Remote | undefined {
  const [, database, path = ''] = /^([a-z0-9][a-z0-9._-]{0,62}):(.*)$/s.exec(text) ?? []
  if (database === undefined) return undefined
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return { database, path: `/${parts.join('/')}` }
}

/** Read `NAME:/path`, or `/path` of the filesystem `default`.
 *  @throws invalid for anything else */
export function remoteOf(text: string): Remote {
  const remote = findRemote(text.startsWith('/') ? `default:${text}` : text)
  if (remote !== undefined) return remote
  throw new Failure('invalid', `${text} is no file on a server: write NAME:/path, or /path of the one named default`)
}

/** Write a file's name as the user does. */
export function showRemote({ database, path }: Remote): string {
  return `${database}:${path}`
}

/** Tell the URL of a file. */
export function urlOf(server: ServerOptions, { database, path }: Remote, isDirectory = false): URL {
  return new URL(hrefOf(database, path, isDirectory).slice(1), baseOf(server))
}

/** Send a request about a file.
 *  @param also statuses that are as good as success
 *  @throws what the server says */
export async function askFile(
  server: ServerOptions,
  remote: Remote,
  request: ServerRequest & { readonly also?: readonly number[]; readonly query?: string } = {},
): Promise<Response> {
  const { query = '', also = [], ...rest } = request
  const href = hrefOf(remote.database, remote.path, false).slice(1)
  const response = await send(server, `${href}${query}`, rest)
  if (response.ok || also.includes(response.status)) return response
  const text = await response.text()
  if (response.status === 423) throw new Failure('conflict', `${showRemote(remote)} is locked by another client`)
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch {
    said = undefined
  }
  const failure = failureOf(baseOf(server).origin, response.status, said)
  throw new Failure(failure.code, `${showRemote(remote)}: ${failure.message}`, failure.detail)
}

/** Tell all about a file.
 *  @returns undefined when nothing is there */
export async function findFile(server: ServerOptions, remote: Remote): Promise<FileDetail | undefined> {
  const response = await askFile(server, remote, { query: '?stat', also: [404] })
  if (response.status !== 404) return (await response.json()) as FileDetail
  await response.body?.cancel()
  return undefined
}

/** Tell all about a file.
 *  @throws not_found */
export async function statFile(server: ServerOptions, remote: Remote): Promise<FileDetail> {
  const found = await findFile(server, remote)
  if (found === undefined) throw new Failure('not_found', `nothing is at ${showRemote(remote)}`)
  return found
}

/** List a directory. */
export async function* listFiles(server: ServerOptions, remote: Remote): AsyncGenerator<FileSummary> {
  for (let after: string | null = ''; after !== null; ) {
    const response = await askFile(server, remote, { query: `?after=${encodeURIComponent(after)}` })
    const page = (await response.json()) as DirectoryPage
    yield* page.entries
    after = page.next
  }
}

/** The file of a name in a directory. */
export function inside({ database, path }: Remote, name: string): Remote {
  return { database, path: path === '/' ? `/${name}` : `${path}/${name}` }
}

/** Make a directory.
 *  @param parents make those above it too, and do not mind that it is there */
export async function makeDirectory(server: ServerOptions, remote: Remote, parents: boolean): Promise<void> {
  if (!parents) return void (await askFile(server, remote, { method: 'MKCOL' }))
  const response = await askFile(server, remote, { method: 'MKCOL', also: [405, 409] })
  await response.body?.cancel()
  if (response.status === 409 && remote.path !== '/') {
    await makeDirectory(server, { ...remote, path: pathAbove(remote.path) }, true)
    await askFile(server, remote, { method: 'MKCOL', also: [405] })
  } else if (response.status === 405 && (await statFile(server, remote)).type !== 'directory') {
    throw new Failure('exists', `${showRemote(remote)} is there, and no directory`)
  }
}

/** Copy or move a file on the server. */
export async function transfer(
  server: ServerOptions,
  method: 'COPY' | 'MOVE',
  paths: { from: Remote; to: Remote; overwrite: boolean },
): Promise<void> {
  const { from, to, overwrite } = paths
  const headers = { Destination: urlOf(server, to).href, Overwrite: overwrite ? 'T' : 'F' }
  await askFile(server, from, { method, headers })
}
