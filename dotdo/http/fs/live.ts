/** Properties that follow from a file: what PROPFIND tells of each without anybody having set it.
 *  @source RFC 4918 section 15; RFC 4331, for quotas */
import { etagOf, isDirectory, type Surveyed, type WebLock } from '@dotdo/fsx/web'
import { contentTypeOf, httpDate } from './download.ts'
import { showLock } from './locks.ts'
import { escapeXml } from './xml.ts'

/** What live properties are made of. */
export interface Live {
  readonly database: string
  readonly path: string
  readonly found: Surveyed
  readonly locks: readonly WebLock[]
  readonly nowMs: number
  /** What the filesystem holds and may hold, where it was asked for. */
  readonly usage: { readonly bytes: number; readonly quotaBytes?: number } | undefined
}

const isCollection = ({ found }: Live) => isDirectory(found.inode)

const entry = (scope: string) =>
  `<D:lockentry><D:lockscope><D:${scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>`

/** Each property with what shows its value; undefined where the file has none. */
const properties: Readonly<Record<string, (live: Live) => string | undefined>> = {
  creationdate: ({ found }) => `${new Date(found.inode.btime / 1000).toISOString().slice(0, 19)}Z`,
  displayname: ({ database, path }) => escapeXml(path === '/' ? database : path.slice(path.lastIndexOf('/') + 1)),
  getcontentlength: (live) => (isCollection(live) ? undefined : String(live.found.inode.size)),
  getcontenttype: (live) => (isCollection(live) ? undefined : escapeXml(contentTypeOf(live.path))),
  getetag: (live) => (isCollection(live) ? undefined : `&quot;${etagOf(live.found.inode)}&quot;`),
  getlastmodified: ({ found }) => httpDate(found.inode.mtime),
  resourcetype: (live) => (isCollection(live) ? '<D:collection/>' : ''),
  supportedlock: () => `${entry('exclusive')}${entry('shared')}`,
  lockdiscovery: ({ locks, database, nowMs }) => locks.map((lock) => showLock(database, lock, nowMs)).join(''),
  'quota-used-bytes': (live) => (live.usage && isCollection(live) ? String(live.usage.bytes) : undefined),
  'quota-available-bytes': (live) => {
    const { bytes = 0, quotaBytes } = live.usage ?? {}
    return quotaBytes !== undefined && isCollection(live) ? String(Math.max(0, quotaBytes - bytes)) : undefined
  },
}

/** Names of properties that only those get who ask for them, as they cost more. */
const costly = new Set(['quota-used-bytes', 'quota-available-bytes'])

/** Live properties that are told to whoever asks for all. */
export const liveNames: readonly string[] = Object.keys(properties).filter((name) => !costly.has(name))

/** Whether a property of WebDAV's namespace is live: it cannot be set. */
export function isLive(name: string): boolean {
  return Object.hasOwn(properties, name)
}

/** Whether a property needs what the filesystem holds. */
export function isCostly(name: string): boolean {
  return costly.has(name)
}

/** Show the value of a live property.
 *  @returns XML, or undefined when the file has no such property */
export function showLive(name: string, live: Live): string | undefined {
  return Object.hasOwn(properties, name) ? properties[name]?.(live) : undefined
}
