/** A filesystem with the interface of node:fs, over any way to its shard.
 *
 *  1. A function whose last argument is a callback is that of node:fs; without one it is short for what is done most,
 *     and answers a promise. `promises`, and the functions that end in Sync, are those of node:fs.
 *  2. Whatever was answered is stored: there is no cache to be flushed, and `sync` has nothing to do.
 *  3. Paths that do not begin with a slash begin in `cwd`, the root unless told otherwise. */
import type * as NodeFs from 'node:fs'
import type * as NodePromises from 'node:fs/promises'
import type { Finding } from '../engine/fsck.ts'
import { type Credential, O } from '../engine/mode.ts'
import { fsError } from '../errors.ts'
import { type Changes, type ChangesOptions, changesOf } from './changes.ts'
import { constants } from './constants.ts'
import { Dir } from './directory.ts'
import { FileHandle } from './file-handle.ts'
import { type GlobOptions, globOperation } from './glob.ts'
import type { LockOptions, StretchOptions } from './locks.ts'
import { fileOperations, openFile } from './open-files.ts'
import { onPath, operations, renameRequest } from './operations.ts'
import { type Caller, type Env, type Operation, runLater, runNow } from './request.ts'
import { type Shared, sharedOf } from './shared.ts'
import { BigIntStats, Dirent, Stats } from './stats.ts'
import { ReadStream, type StreamOptions, WriteStream } from './streams.ts'
import { type Tar, tarOf } from './tar.ts'
import { type Tiers, tiersOf } from './tiers.ts'
import { treeOperations } from './trees.ts'
import { badArgument, bytesOf, modeOf, openFlags, optionsOf, pathText } from './values.ts'
import { watch, watchLater } from './watch.ts'
import { watchFilesOf } from './watch-file.ts'

export type { ChangeKind, Changes, ChangesOptions, PathChange } from './changes.ts'
export { FileHandle } from './file-handle.ts'
export type { LockOptions, StretchOptions } from './locks.ts'
export { callerOf } from './place.ts'
export type { Caller, Waiting } from './request.ts'
export type { Difference, Fork, Shared, Snapshot, SnapshotRef } from './shared.ts'
export { BigIntStats, Dirent, Stats } from './stats.ts'
export type { Tar, TarOptions, TarProgress } from './tar.ts'
export type { TierOptions, TierPolicy, TierReport, TierStatus, Tiers } from './tiers.ts'
export { tierPolicyOf } from './tiers.ts'
export { type WayOptions, wayTo } from './way.ts'

const onPaths = { ...operations, ...treeOperations }

/** Operations on paths that promises, callbacks and Sync functions are made of, by the name in node:fs. */
const pathNames = [
  'access',
  'appendFile',
  'chmod',
  'chown',
  'copyFile',
  'cp',
  'lchown',
  'link',
  'lstat',
  'lutimes',
  'mkdir',
  'mkdtemp',
  'readdir',
  'readFile',
  'readlink',
  'realpath',
  'rename',
  'rm',
  'rmdir',
  'stat',
  'statfs',
  'symlink',
  'truncate',
  'unlink',
  'utimes',
  'writeFile',
] as const satisfies readonly (keyof typeof onPaths)[]

/** Operations on open files, by the name in node:fs for a number. */
const fileNames = {
  close: 'close',
  fchmod: 'chmod',
  fchown: 'chown',
  fdatasync: 'sync',
  fstat: 'stat',
  fsync: 'sync',
  ftruncate: 'truncate',
  futimes: 'utimes',
  read: 'read',
  readv: 'readv',
  write: 'write',
  writev: 'writev',
} as const satisfies { readonly [name: string]: keyof typeof fileOperations }

type PathName = (typeof pathNames)[number]
type FileName = keyof typeof fileNames
type CallbackName = PathName | FileName | 'open' | 'opendir' | 'exists'
type SyncName = `${CallbackName}Sync`

/** What an open file can do that node:fs has no function for. */
export interface OwnHandle {
  /** Hear when it is closed, or lost its locks because its client was not heard of in time. */
  on(event: 'close' | 'lockLost', listener: () => void): this
  once(event: 'close' | 'lockLost', listener: () => void): this
  off(event: 'close' | 'lockLost', listener: () => void): this
  /** Lock it against others who lock. */
  lock(options?: LockOptions): Promise<void>
  /** Give back what was locked. */
  unlock(options?: StretchOptions): Promise<void>
  /** Take space before it is written. */
  allocate(offset: number, length: number, options?: { keepSize?: boolean }): Promise<void>
  /** Let a stretch be a hole. */
  deallocate(offset: number, length: number): Promise<void>
}

/** An open file. */
export type OpenHandle = NodePromises.FileHandle & OwnHandle

/** The functions of node:fs/promises that a filesystem has. */
export type Promises = Pick<typeof NodePromises, PathName | 'opendir' | 'watch'> & {
  open(...given: Parameters<typeof NodePromises.open>): Promise<OpenHandle>
  readonly constants: typeof NodeFs.constants
  /** As in Node 22. */
  glob(pattern: string | readonly string[], options?: GlobOptions): AsyncIterableIterator<string>
}

/** The functions of node:fs with callbacks. */
export type Callbacks = Pick<
  typeof NodeFs,
  CallbackName | 'openAsBlob' | 'createReadStream' | 'createWriteStream' | 'watch' | 'watchFile' | 'unwatchFile'
>
/** The functions of node:fs that answer at once; they need the shard in this thread. */
export type Synchronous = Pick<typeof NodeFs, SyncName>

/** What is done most, in few words. */
export interface ShortForm {
  /** Read a file; as text when an encoding is given. */
  read(path: string | URL): Promise<Buffer>
  read(path: string | URL, encoding: BufferEncoding): Promise<string>
  /** Write a file whole, and make the directories above it that are missing. */
  write(path: string | URL, data: string | NodeJS.ArrayBufferView): Promise<void>
  /** List the names in a directory. */
  list(path: string | URL): Promise<string[]>
  /** List the paths that fit a pattern. */
  glob(pattern: string | readonly string[], options?: GlobOptions): Promise<string[]>
  /** Whether something has a path. */
  exists(path: string | URL): Promise<boolean>
  /** Make a directory, and those above it that are missing. */
  mkdir(path: string | URL): Promise<void>
  /** Remove a file, or a directory with all that is in it; nothing when it is not there. */
  remove(path: string | URL): Promise<void>
  /** Copy a file, or a directory with all that is in it. */
  copy(from: string | URL, to: string | URL): Promise<void>
  /** Move a file or directory; `exchange` swaps it with what is there, `noreplace` refuses to replace that. */
  move(from: string | URL, to: string | URL, how?: 'noreplace' | 'exchange'): Promise<void>
  /** Open a file and lock it; closing it gives the lock back. With an exclusive lock it is made when it is missing, and
   *  open for reading and writing; with a shared one, for reading. */
  lock(path: string | URL, options?: LockOptions): Promise<OpenHandle>
  /** Tell all about a file. */
  stat(path: string | URL): Promise<NodeFs.Stats>
}

/** What node:fs does not have. */
export interface Own {
  readonly promises: Promises
  readonly constants: typeof NodeFs.constants
  globSync(pattern: string | readonly string[], options?: GlobOptions): string[]
  /** The same filesystem, for somebody: what they may not do is refused, what they make is theirs. */
  as(credential: Partial<Credential> & Pick<Credential, 'uid' | 'gid'>): FileSystem
  /** Extended attributes. */
  readonly xattrs: {
    list(path: string): Promise<string[]>
    /** @throws ENODATA when it is not there */
    get(path: string, name: string): Promise<Buffer>
    set(path: string, name: string, value: string | Uint8Array): Promise<void>
    remove(path: string, name: string): Promise<void>
  }
  /** Write files whole in one transaction: all of them, or none. */
  writeAll(files: Iterable<readonly [path: string, data: string | Uint8Array]>): Promise<void>
  /** Tell what changes, whoever changes it, without end: it can be gone on with from the `position` of any change, also
   *  after a restart and by another client. */
  changes(options?: ChangesOptions): Promise<Changes>
  /** Bound what it may hold. */
  setQuota(quota: { bytes?: number; inodes?: number }): Promise<void>
  /** Check the rules that its tables keep to.
   *  @returns what breaks them: nothing, unless there is a bug of ours or the file is damaged */
  fsck(): Promise<Finding[]>
}

/** A filesystem. */
export type FileSystem = ShortForm & Callbacks & Synchronous & Own & Shared & Tar & Tiers

/** How a filesystem is used. */
export interface FileSystemOptions {
  /** What relative paths begin at. Default the root. */
  cwd?: string
  /** Who asks. Default root, to whom everything is allowed. */
  as?: Partial<Credential> & Pick<Credential, 'uid' | 'gid'>
}

// biome-ignore lint/suspicious/noExplicitAny: functions of any shape, made from one list of names
type Any = any
type Run = <T>(operation: Operation<T>) => Any

/** Operations of a few names are as others, but for what they do around it. */
function* handleOf(env: Env, path: unknown, flags: unknown, mode: unknown): Operation<FileHandle> {
  return new FileHandle(env, yield* openFile(env, path, { flags: openFlags(flags, 'r'), mode: modeOf(mode, 0o666) }))
}

function* numberOf(env: Env, path: unknown, flags: unknown, mode: unknown): Operation<number> {
  return (yield* openFile(env, path, { flags: openFlags(flags, 'r'), mode: modeOf(mode, 0o666) })).fd
}

function* directoryOf(env: Env, path: unknown): Operation<Dir> {
  try {
    const entries = yield* operations.readdir(env, path, { withFileTypes: true })
    return new Dir(pathText(path), entries as Dirent[])
  } catch (error) {
    const { code } = error as { code?: 'ENOENT' }
    throw code === undefined || !('errno' in (error as object))
      ? error
      : fsError(code, { syscall: 'opendir', path: pathText(path) })
  }
}

/** Find an open file by its number.
 *  @throws EBADF */
function fileOf(env: Env, fd: unknown, syscall: string) {
  const file = typeof fd === 'number' ? env.files.get(fd) : undefined
  if (file !== undefined) return file
  if (typeof fd === 'number') throw fsError('EBADF', { syscall })
  throw badArgument('ERR_INVALID_ARG_TYPE', 'The "fd" argument must be of type number.')
}

/** A number instead of a path names an open file, in readFile, writeFile and appendFile; so does a FileHandle. */
function openOr(env: Env, name: string, [path, ...rest]: readonly unknown[]): readonly unknown[] {
  if (!/^(readFile|writeFile|appendFile)$/.test(name)) return [path, ...rest]
  const fd = path instanceof FileHandle ? path.fd : path
  return typeof fd === 'number' ? [fileOf(env, fd, name === 'readFile' ? 'read' : 'write'), ...rest] : [path, ...rest]
}

/** @returns an operation that does what a name of node:fs says, with these arguments */
function operationOf(env: Env, name: string, given: readonly unknown[]): Operation<unknown> {
  if (name === 'open') return numberOf(env, given[0], given[1], given[2])
  if (name === 'opendir') return directoryOf(env, given[0])
  const onFile = (fileNames as Record<string, keyof typeof fileOperations>)[name]
  if (onFile !== undefined) {
    const [fd, ...rest] = given
    return (fileOperations[onFile] as Any)(env, fileOf(env, fd, name), ...rest)
  }
  return (onPaths as Any)[name](env, ...openOr(env, name, given))
}

function promisesOf(env: Env): Promises {
  const promises: Record<string, unknown> = { constants }
  for (const name of pathNames) {
    const operation = onPaths[name] as Any
    const takesFiles = /^(readFile|writeFile|appendFile)$/.test(name)
    promises[name] = takesFiles
      ? async (...given: unknown[]) => runLater(env, operation(env, ...openOr(env, name, given)))
      : async (...given: unknown[]) => runLater(env, operation(env, ...given))
  }
  promises.open = async (path: unknown, flags: unknown, mode: unknown) =>
    runLater(env, handleOf(env, path, flags, mode))
  promises.opendir = async (path: unknown) => runLater(env, directoryOf(env, path))
  promises.watch = (path: unknown, options?: unknown) => watchLater(env, path, options)
  promises.glob = async function* (pattern: string, options?: GlobOptions) {
    yield* await runLater(env, globOperation(env, pattern, options))
  }
  return promises as Promises
}

const callbackNames = [...pathNames, ...(Object.keys(fileNames) as FileName[]), 'open', 'opendir'] as const

/** What a callback gets besides the error: of reads and writes, the two members of the result. */
function spread(name: string, result: Any): unknown[] {
  if (name === 'read') return [result.bytesRead, result.buffer]
  if (name === 'write') return [result.bytesWritten, result.buffer]
  if (name === 'readv') return [result.bytesRead, result.buffers]
  return name === 'writev' ? [result.bytesWritten, result.buffers] : [result]
}

const promisifyCustom = Symbol.for('nodejs.util.promisify.custom')

/** Tell util.promisify what to make of a function whose callback does not get an error and one result. */
function promisified(callback: Any, promised: (...given: Any[]) => Promise<unknown>): Any {
  return Object.assign(callback, { [promisifyCustom]: promised })
}

function callbacksOf(env: Env): Record<string, Any> {
  const callbacks: Record<string, Any> = {}
  for (const name of callbackNames) {
    const promised = (...given: unknown[]) => runLater(env, operationOf(env, name, given))
    const callback = (...given: unknown[]) => {
      const done = given.pop()
      if (typeof done !== 'function') {
        throw badArgument('ERR_INVALID_ARG_TYPE', 'The "cb" argument must be of type function. Received undefined')
      }
      promised(...given).then(
        (result) => (result === undefined ? done(null) : done(null, ...spread(name, result))),
        (error) => done(error),
      )
    }
    callbacks[name] = /^(read|write)v?$/.test(name) ? promisified(callback, promised) : callback
  }
  return callbacks
}

function synchronousOf(env: Env): Record<string, Any> {
  const functions: Record<string, Any> = {}
  for (const name of callbackNames) {
    functions[`${name}Sync`] = (...given: unknown[]) => {
      return spread(name, runNow(env, operationOf(env, name, given)))[0]
    }
  }
  functions.realpathSync.native = functions.realpathSync
  functions.existsSync = (path: unknown) => {
    try {
      return runNow(env, operations.exists(env, path))
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_INVALID_ARG_TYPE') return false
      throw error
    }
  }
  functions.globSync = (pattern: string, options?: GlobOptions) => runNow(env, globOperation(env, pattern, options))
  return functions
}

function* writeWithParents(env: Env, path: unknown, data: unknown): Operation<void> {
  try {
    yield* operations.writeFile(env, path, data)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error
    const above = pathText(path).replace(/\/+[^/]*\/*$/, '')
    yield* operations.mkdir(env, above === '' ? '/' : above, { recursive: true })
    yield* operations.writeFile(env, path, data)
  }
}

function* moveOperation(env: Env, from: unknown, to: unknown, how?: 'noreplace' | 'exchange'): Operation<void> {
  yield renameRequest(env, from, to, how)
}

async function lockOf(env: Env, path: unknown, options: LockOptions = {}): Promise<FileHandle> {
  const flags = (options.exclusive ?? true) ? O.RDWR | O.CREAT : 'r'
  const handle = (await runLater(env, handleOf(env, path, flags, undefined))) as FileHandle
  try {
    await handle.lock(options)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The short form; where node:fs has a function of the name, a callback at the end asks for that one. */
function shortFormOf(env: Env, node: Record<string, Any>): Record<string, Any> {
  const later: Run = (operation) => runLater(env, operation)
  const short: Record<string, (...given: Any[]) => Any> = {
    read: (path, encoding) => later(operations.readFile(env, path, encoding)),
    write: (path, data) => later(writeWithParents(env, path, data)),
    list: (path) => later(operations.readdir(env, path)),
    glob: (pattern, options) => later(globOperation(env, pattern, options)),
    exists: (path) => later(operations.exists(env, path)),
    mkdir: async (path) => void (await later(operations.mkdir(env, path, { recursive: true }))),
    remove: (path) => later(treeOperations.rm(env, path, { recursive: true, force: true })),
    copy: (from, to) => later(treeOperations.cp(env, from, to, { recursive: true })),
    move: (from, to, how) => later(moveOperation(env, from, to, how)),
    lock: (path, options) => lockOf(env, path, options),
    stat: (path) => later(operations.stat(env, path)),
  }
  const withNode = Object.entries(short).map(([name, run]) => {
    const nodes = name === 'exists' ? existsWith(run) : node[name]
    if (nodes === undefined) return [name, run]
    const either = (...given: unknown[]) => (typeof given.at(-1) === 'function' ? nodes(...given) : run(...given))
    return [name, nodes[promisifyCustom] ? promisified(either, nodes[promisifyCustom]) : either]
  })
  return Object.fromEntries(withNode)
}

/** fs.exists of Node: its callback gets no error. */
function existsWith(exists: (path: unknown) => Promise<boolean>) {
  const callback = (path: unknown, done: (there: boolean) => void) => void exists(path).then(done, () => done(false))
  return promisified(callback, exists)
}

function ownOf(env: Env, options: FileSystemOptions): Record<string, Any> {
  const streamOptions = (given: unknown) => optionsOf<StreamOptions>(given) as StreamOptions
  const ask = async (request: ReturnType<typeof onPath>): Promise<Any> =>
    runLater(
      env,
      (function* () {
        return yield request
      })(),
    )
  const xattr = (path: string, name: string, args: object, syscall: string) =>
    ask(onPath(env, path, name, { follow: true, ...args }, syscall))
  return {
    constants,
    ...{ F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 },
    Stats,
    BigIntStats,
    Dirent,
    Dir,
    ReadStream,
    WriteStream,
    changes: (given?: ChangesOptions) => changesOf(env, given),
    watch: (path: unknown, given?: unknown, listener?: Any) => watch(env, path, given, listener),
    ...watchFilesOf(env),
    createReadStream: (path: unknown, given?: unknown) => new ReadStream(env, path, streamOptions(given)),
    createWriteStream: (path: unknown, given?: unknown) => new WriteStream(env, path, streamOptions(given)),
    async openAsBlob(path: unknown, { type = '' }: { type?: string } = {}): Promise<Blob> {
      return new Blob([await runLater(env, operations.readFile(env, path))], { type })
    },
    as: (credential: NonNullable<FileSystemOptions['as']>) =>
      build({ ...env, as: credentialOf(credential) }, { ...options, as: credential }),
    xattrs: {
      list: (path: string) => xattr(path, 'listXattrs', {}, 'listxattr'),
      get: async (path: string, name: string) => Buffer.from(await xattr(path, 'readXattr', { name }, 'getxattr')),
      set: async (path: string, name: string, value: string | Uint8Array) =>
        void (await xattr(path, 'writeXattr', { name, value: bytesOf(value) }, 'setxattr')),
      remove: async (path: string, name: string) =>
        void (await xattr(path, 'writeXattr', { name, value: null }, 'removexattr')),
    },
    async writeAll(files: Iterable<readonly [path: string, data: string | Uint8Array]>): Promise<void> {
      const steps = Array.from(files, ([path, data]) => {
        const { name, args } = onPath(env, path, 'writeFile', { flags: openFlags('w', 'w'), mode: 0o666 })
        return { name, args: { ...args, bytes: bytesOf(data) } }
      })
      await ask({ name: 'batch', args: { steps }, doing: { syscall: 'open' } })
    },
    async setQuota(quota: object): Promise<void> {
      await ask({ name: 'quota', args: quota, doing: { syscall: 'quotactl' } })
    },
    fsck: () => ask({ name: 'fsck', args: {}, doing: { syscall: 'fsck' } }),
  }
}

function credentialOf({ uid, gid, groups = [], umask = 0o022 }: NonNullable<FileSystemOptions['as']>): Credential {
  return { uid, gid, groups, umask }
}

function build(env: Env, options: FileSystemOptions): FileSystem {
  const callbacks = callbacksOf(env)
  callbacks.realpath.native = callbacks.realpath
  const own = { ...callbacks, ...synchronousOf(env), ...shortFormOf(env, callbacks), ...ownOf(env, options) }
  const shared = sharedOf(env, (other) => build(other, options))
  const tar = tarOf(env, () => filesystem)
  const filesystem = { ...own, ...shared, ...tar, ...tiersOf(env), promises: promisesOf(env) } as unknown as FileSystem
  return filesystem
}

/** Make a filesystem over a way to its shard. */
export function createFileSystem(caller: Caller, options: FileSystemOptions = {}): FileSystem {
  const { cwd = '/', as } = options
  const env: Env = { caller, cwd: cwd.replace(/\/+$/, ''), as: as && credentialOf(as), files: new Map() }
  return build(env, options)
}
