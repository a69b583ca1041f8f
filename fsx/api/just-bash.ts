/** A filesystem as just-bash takes one: its shell then works on files of ours.
 *
 *      const bash = new Bash({ fs: bashFs(fs), cwd: '/' })
 *
 *  1. Nothing is kept here: what a command wrote is stored when it goes on.
 *  2. While a script runs, just-bash takes timers and the like away from code that it calls. A filesystem is none of
 *     the script's: it runs in the async context in which `bashFs` was called, where it has them.
 *  3. `/dev/null` is there for scripts, and nowhere stored.
 *  4. Its interface stands here as methods, so that nobody needs just-bash who does not use it; a test compares.
 *  @source just-bash 3.4, src/fs/interface.ts */
import type { Stats } from 'node:fs'
import { rememberContext } from '@dotdo/core/host/context'
import type { FileSystem } from './filesystem.ts'

/** What just-bash knows of a file. */
export interface BashStat {
  isFile: boolean
  isDirectory: boolean
  isSymbolicLink: boolean
  mode: number
  size: number
  mtime: Date
  ino: number
  dev: number
  /** Tells whether two paths are one file. */
  identity: string
}

/** A filesystem of just-bash. */
export type BashFs = ReturnType<typeof bashFs>

/** How text is written down. */
type Encoding = 'utf8' | 'utf-8' | 'ascii' | 'binary' | 'base64' | 'hex' | 'latin1'
type Encoded = { encoding?: Encoding | null } | Encoding
type Content = string | Uint8Array

function statOf(stats: Stats): BashStat {
  const { mode, size, mtime, ino, dev } = stats
  const kinds = {
    isFile: stats.isFile(),
    isDirectory: stats.isDirectory(),
    isSymbolicLink: stats.isSymbolicLink(),
  }
  return { ...kinds, mode: mode & 0o7777, size, mtime, ino, dev, identity: `fsx:${ino}` }
}

const encodingOf = (options: Encoded | undefined): BufferEncoding => {
  return (typeof options === 'string' ? options : options?.encoding) ?? 'utf8'
}

/** @returns a path from the root, without `.` and `..` */
function resolved(base: string, path: string): string {
  const parts: string[] = []
  for (const part of `${path.startsWith('/') ? '' : `${base}/`}${path}`.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

const NULL = '/dev/null'
const nothing = new Uint8Array(0)

/** What is done to `/dev/null`, which is no file of ours. */
const nullDevice: Readonly<Record<string, () => unknown>> = {
  readFile: () => '',
  readFileBuffer: () => nothing,
  writeFile: () => undefined,
  appendFile: () => undefined,
  exists: () => true,
  stat: nullStat,
  lstat: nullStat,
  utimes: () => undefined,
}

function nullStat(): BashStat {
  const kinds = { isFile: false, isDirectory: false, isSymbolicLink: false }
  return { ...kinds, mode: 0o666, size: 0, mtime: new Date(0), ino: 0, dev: 0, identity: NULL }
}

/** Make a filesystem for just-bash of one of ours. For a shell that may not do everything, give it
 *  `fs.as({ uid, gid })`. */
export function bashFs(fs: FileSystem) {
  const outside = rememberContext()
  const methods = methodsOf(fs)
  const { resolvePath, getAllPaths, ...later } = methods
  for (const [name, method] of Object.entries(later) as [string, (...given: unknown[]) => unknown][]) {
    const run = async (...given: unknown[]) => {
      const ofNull = given[0] === NULL ? nullDevice[name] : undefined
      return ofNull === undefined ? outside(() => method(...given)) : ofNull()
    }
    Object.assign(methods, { [name]: run })
  }
  return methods
}

function methodsOf(fs: FileSystem) {
  const { promises } = fs
  return {
    readFile: (path: string, options?: Encoded): Promise<string> => promises.readFile(path, encodingOf(options)),
    readFileBuffer: (path: string): Promise<Uint8Array> => promises.readFile(path),
    writeFile: (path: string, content: Content, options?: Encoded): Promise<void> =>
      promises.writeFile(path, content, encodingOf(options)),
    appendFile: (path: string, content: Content, options?: Encoded): Promise<void> =>
      promises.appendFile(path, content, encodingOf(options)),
    exists: (path: string): Promise<boolean> => fs.exists(path),
    stat: async (path: string): Promise<BashStat> => statOf(await promises.stat(path)),
    lstat: async (path: string): Promise<BashStat> => statOf(await promises.lstat(path)),
    mkdir: async (path: string, options?: { recursive?: boolean }): Promise<void> =>
      void (await promises.mkdir(path, options)),
    readdir: (path: string): Promise<string[]> => promises.readdir(path),
    async readdirWithFileTypes(path: string) {
      const entries = await promises.readdir(path, { withFileTypes: true })
      return entries.map((entry) => ({
        name: entry.name,
        isFile: entry.isFile(),
        isDirectory: entry.isDirectory(),
        isSymbolicLink: entry.isSymbolicLink(),
      }))
    },
    async rm(path: string, { recursive = false, force = false } = {}): Promise<void> {
      // Of directories, rm(1) and rmdir(1) both ask for this: an empty one goes, others do not.
      const isDirectory = !recursive && (await promises.lstat(path).catch(() => undefined))?.isDirectory()
      return isDirectory ? promises.rmdir(path) : promises.rm(path, { recursive, force })
    },
    cp: (from: string, to: string, options?: { recursive?: boolean }): Promise<void> => promises.cp(from, to, options),
    mv: (from: string, to: string): Promise<void> => promises.rename(from, to),
    resolvePath: resolved,
    /** None: patterns are matched by listing directories. */
    getAllPaths: (): string[] => [],
    chmod: (path: string, mode: number): Promise<void> => promises.chmod(path, mode),
    symlink: (target: string, path: string): Promise<void> => promises.symlink(target, path),
    link: (from: string, to: string): Promise<void> => promises.link(from, to),
    readlink: (path: string): Promise<string> => promises.readlink(path),
    realpath: (path: string): Promise<string> => promises.realpath(path),
    utimes: (path: string, atime: Date, mtime: Date): Promise<void> => promises.utimes(path, atime, mtime),
  }
}
