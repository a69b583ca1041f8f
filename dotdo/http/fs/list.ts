/** Directories and files as JSON. */
import { FSX_WEB_LIST_FILES_MAX, FSX_WEB_PAGE_FILES } from '@dotdo/core/limits'
import { etagOf, isDirectory, type Surveyed } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import { z } from 'zod'
import { checked } from '../checked.ts'
import type { Target } from './target.ts'
import type { Way } from './way.ts'

/** A file in a list. */
export interface FileSummary {
  name: string
  type: 'file' | 'directory'
  /** Where the name leads, if it is a symbolic link. */
  link?: string
  size: number
  /** Permissions, in octal. */
  mode: string
  /** ISO 8601. */
  modified: string
  etag: string
}

/** All about a file. */
export interface FileDetail extends Omit<FileSummary, 'name'> {
  path: string
  ino: number
  nlink: number
  uid: number
  gid: number
  accessed: string
  changed: string
  created: string
}

/** A page of a directory. */
export interface DirectoryPage {
  path: string
  entries: FileSummary[]
  /** What to give as `after` for the rest; null when this is all. */
  next: string | null
}

const pageSchema = z.strictObject({
  after: z.string().default(''),
  limit: z.coerce.number().int().min(1).max(FSX_WEB_LIST_FILES_MAX).default(FSX_WEB_LIST_FILES_MAX),
})

const time = (us: number) => new Date(us / 1000).toISOString()

function summary({ name, inode, link }: Surveyed): FileSummary {
  return {
    name,
    type: isDirectory(inode) ? 'directory' : 'file',
    ...(link !== undefined && { link }),
    size: inode.size,
    mode: (inode.mode & 0o7777).toString(8).padStart(4, '0'),
    modified: time(inode.mtime),
    etag: etagOf(inode),
  }
}

/** List the names in a directory, in the order of their characters. */
export async function namesIn(way: Way, path: string): Promise<string[]> {
  const { names } = await way.call('readdir', { path })
  return names.sort((a, b) => (a < b ? -1 : 1))
}

/** Look at files of a directory, a page at a time. */
export async function* surveyed(
  way: Way,
  { path, names, properties }: { path: string; names: readonly string[]; properties: boolean },
): AsyncGenerator<Surveyed[]> {
  for (let at = 0; at < names.length; at += FSX_WEB_PAGE_FILES) {
    yield await way.call('survey', { path, names: names.slice(at, at + FSX_WEB_PAGE_FILES), properties })
  }
}

/** Answer with a directory as JSON. */
export async function answerList(context: Context, way: Way, { path }: Target): Promise<Response> {
  const { after, limit } = checked(pageSchema, context.req.query(), 'query')
  const names = (await namesIn(way, path)).filter((name) => name > after)
  const page = names.slice(0, limit)
  const entries: FileSummary[] = []
  for await (const some of surveyed(way, { path, names: page, properties: false })) entries.push(...some.map(summary))
  const next = names.length > limit ? (page.at(-1) ?? null) : null
  return context.json({ path, entries, next } satisfies DirectoryPage)
}

/** Answer with all about a file, as JSON. */
export async function answerStat(context: Context, way: Way, { path }: Target): Promise<Response> {
  const [found] = await way.call('survey', { path, names: null, properties: false })
  const { inode } = found as Surveyed
  const { name: _, ...rest } = summary(found as Surveyed)
  const { ino, nlink, uid, gid } = inode
  const times = { accessed: time(inode.atime), changed: time(inode.ctime), created: time(inode.btime) }
  return context.json({ path, ...rest, ino, nlink, uid, gid, ...times } satisfies FileDetail)
}
