/** `dotdo fs cp`: files between this machine and a server, and on a server. A file is there whole or not at all, on
 *  either side. */
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Failure } from '@dotdo/core/errors'
import {
  askFile,
  findFile,
  findRemote,
  inside,
  listFiles,
  makeDirectory,
  type Remote,
  showRemote,
  statFile,
  transfer,
} from './fs-client.ts'
import type { ServerOptions } from './server.ts'

/** Files that are under way at once: small ones wait for the disk more than for the wire. */
const filesAtOnce = 8

/** What has been copied. */
export interface Copied {
  files: number
  directories: number
  bytes: number
  /** Files that are no files nor directories, which are left out: links to nowhere, sockets. */
  skipped: string[]
  /** The server copied by itself, and did not count. */
  onServer?: true
}

/** How files are copied. */
export interface CopyOptions {
  readonly server: ServerOptions
  readonly recursive: boolean
  /** Told of what has been copied so far, often. */
  onProgress?(copied: Copied): void
}

interface Copying extends CopyOptions {
  readonly copied: Copied
}

function counting({ copied, onProgress }: Copying): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _, done) {
      copied.bytes += chunk.length
      onProgress?.(copied)
      done(null, chunk)
    },
  })
}

/** Do work for each of many, some at a time.
 *  @throws what the first to fail threw, when those under way have ended */
async function forEach<T>(all: AsyncIterable<T> | Iterable<T>, work: (one: T) => Promise<void>): Promise<void> {
  const busy = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  for await (const one of all) {
    if (failure !== undefined) break
    const job = work(one)
      .catch((error) => {
        failure ??= { error }
      })
      .finally(() => busy.delete(job))
    busy.add(job)
    if (busy.size >= filesAtOnce) await Promise.race(busy)
  }
  await Promise.all(busy)
  if (failure !== undefined) throw failure.error
}

async function uploadFile(copying: Copying, from: string, to: Remote): Promise<void> {
  const { server, copied } = copying
  const { mtimeMs } = await stat(from)
  const source = createReadStream(from)
  const body = source.pipe(counting(copying))
  source.on('error', (error) => body.destroy(error))
  const headers = { 'X-OC-Mtime': String(mtimeMs / 1000), 'Content-Type': 'application/octet-stream' }
  await askFile(server, to, { method: 'PUT', headers, body: Readable.toWeb(body) as ReadableStream })
  copied.files++
}

async function uploadTree(copying: Copying, from: string, to: Remote): Promise<void> {
  await makeDirectory(copying.server, to, true)
  copying.copied.directories++
  const directories: string[] = []
  await forEach(await readdir(from), async (name) => {
    const path = join(from, name)
    const found = await stat(path).catch(() => undefined)
    // Links to directories may lead back up.
    if (found?.isDirectory() && !(await isLink(from, name))) directories.push(name)
    else if (found?.isFile()) await uploadFile(copying, path, inside(to, name))
    else copying.copied.skipped.push(path)
  })
  for (const name of directories) await uploadTree(copying, join(from, name), inside(to, name))
}

async function isLink(folder: string, name: string): Promise<boolean> {
  return (await lstat(join(folder, name))).isSymbolicLink()
}

async function downloadFile(copying: Copying, from: Remote, to: string): Promise<void> {
  const response = await askFile(copying.server, from)
  const part = join(dirname(to), `.${basename(to)}.${process.pid}.part`)
  try {
    const body = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as never)
    await pipeline(body, counting(copying), createWriteStream(part))
    const modified = Date.parse(response.headers.get('Last-Modified') ?? '') / 1000
    if (!Number.isNaN(modified)) await utimes(part, modified, modified)
    await rename(part, to)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  copying.copied.files++
}

/** Refuse a name that would leave the folder it is meant for: the server says it.
 *  @throws invalid */
export function checkLocalName(name: string): string {
  const bad = process.platform === 'win32' ? /[/\\:]/ : /[/]/
  if (!bad.test(name) && !['', '.', '..'].includes(name)) return name
  throw new Failure('invalid', `${name} is no name of a file here`)
}

async function downloadTree(copying: Copying, from: Remote, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  copying.copied.directories++
  const directories: string[] = []
  await forEach(listFiles(copying.server, from), async ({ name, type, link }) => {
    if (type === 'file') await downloadFile(copying, inside(from, name), join(to, checkLocalName(name)))
    else if (link === undefined) directories.push(name)
    else copying.copied.skipped.push(showRemote(inside(from, name)))
  })
  for (const name of directories) await downloadTree(copying, inside(from, name), join(to, checkLocalName(name)))
}

function checkTree(name: string, { recursive }: CopyOptions): void {
  if (!recursive) throw new Failure('invalid', `${name} is a directory: copy it with -r`)
}

async function upload(copying: Copying, from: string, to: Remote): Promise<void> {
  const found = await stat(from)
  // The root is a directory, also of a filesystem that is made by this.
  const isInto = to.path === '/' || (await findFile(copying.server, to))?.type === 'directory'
  const target = isInto ? inside(to, basename(from)) : to
  if (!found.isDirectory()) return uploadFile(copying, from, target)
  checkTree(from, copying)
  await uploadTree(copying, from, target)
}

async function download(copying: Copying, from: Remote, to: string): Promise<void> {
  const { type } = await statFile(copying.server, from)
  const there = await stat(to).catch(() => undefined)
  const target = there?.isDirectory() ? join(to, basename(from.path) || from.database) : to
  if (type === 'file') return downloadFile(copying, from, target)
  checkTree(showRemote(from), copying)
  await downloadTree(copying, from, target)
}

async function copyOnServer(copying: Copying, from: Remote, to: Remote): Promise<void> {
  const { server, copied } = copying
  if (from.database !== to.database) {
    throw new Failure('unsupported', 'from one filesystem to another: copy to this machine first')
  }
  const { type } = await statFile(server, from)
  if (type === 'directory') checkTree(showRemote(from), copying)
  const there = await findFile(server, to)
  const target = there?.type === 'directory' ? inside(to, basename(from.path)) : to
  await transfer(server, 'COPY', { from, to: target, overwrite: true })
  copied.onServer = true
}

/** Copy files; `NAME:/path` is on the server, everything else on this machine.
 *  @throws what the server or the system says; invalid when nothing is on a server */
export async function copyFiles(from: string, to: string, options: CopyOptions): Promise<Copied> {
  const copying: Copying = { ...options, copied: { files: 0, directories: 0, bytes: 0, skipped: [] } }
  const [source, target] = [findRemote(from), findRemote(to)]
  if (source !== undefined && target !== undefined) await copyOnServer(copying, source, target)
  else if (source !== undefined) await download(copying, source, to)
  else if (target !== undefined) await upload(copying, from, target)
  else throw new Failure('invalid', `neither ${from} nor ${to} is on a server: write NAME:/path`)
  return copying.copied
}
