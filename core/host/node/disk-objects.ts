/** An object store in a folder. Node only.
 *
 *  1. An object is written to a temporary file, synced, and then given its name by link(2) (which fails when the name
 *     is taken: `ifNoneMatch`) or rename(2), and the folder is synced: a kill or a power cut leaves the old object or
 *     the new one. Temporary files of a killed process are removed on opening.
 *  2. One process at a time has the folder open, held by a lock; within it, writes of one key wait for each other. That
 *     makes comparing and renaming one step: `ifMatch`. Other programs may read the files, not write them. Other
 *     threads of the process may share the folder (`isShared`), and write only names of their own making.
 *  3. An etag is the time of the file's last change with its size. Times are set by us, in microseconds that only grow,
 *     so no two writes of one process share one. */
import { readdirSync, rmSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { Failure } from '../../errors.ts'
import type { Clock } from '../../shard/clock.ts'
import { checkCondition, checkKey, checkRange, compareKeys, Parts, placeRange } from '../../tiering/objects/check.ts'
import { Page } from '../../tiering/objects/page.ts'
import {
  conflict,
  type GetOptions,
  type Listing,
  type ListOptions,
  type MultipartOptions,
  type MultipartUpload,
  type ObjectBody,
  type ObjectHead,
  type ObjectStore,
  type PutOptions,
  unavailable,
  type Written,
} from '../../tiering/objects/port.ts'
import { nodeClock } from './clock.ts'
import { pathOfKey, segmentOfName } from './disk-path.ts'
import { lockFolder } from './lock.ts'
import { type Durability, makeFolder } from './store.ts'

/** How a folder of objects is opened. */
export interface DiskObjectsOptions {
  /** `full` (the default): what was written survives power loss. `normal`: it survives the process's death. */
  readonly durability?: Durability
  readonly clock?: Pick<Clock, 'nowMs'>
  /** Another thread of this process has the folder open, and its lock: for one that only reads, and writes keys under
   *  names that nobody else uses. */
  readonly isShared?: boolean
}

/** A folder of objects, and its end. */
export interface DiskObjects extends ObjectStore {
  /** Give up the folder. Uploads that were not completed are gone. */
  close(): void
}

/** Times a folder may vanish (a delete emptied it) while a file is put there, before that is a failure. */
const placeAttempts = 10
/** Folders known to be on disk; past it they are looked at again. */
const knownFoldersMax = 10_000

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

function toFailure(error: unknown, what: string): unknown {
  if (error instanceof Failure) return error
  const code = codeOf(error)
  const message = `${what}: ${(error as Error).message}`
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new Failure('forbidden', message, { code }, error)
  if (code === 'ENAMETOOLONG') return new Failure('limit', message, { code }, error)
  if (code === 'EMFILE' || code === 'ENFILE') return unavailable(message, { outcome: 'none' }, error)
  return code === '' ? error : new Failure('storage', message, { code }, error)
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toFailure(error, what)
  }
}

/** Run, taking the absence of a file or folder for an answer. */
async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const etagOf = ({ mtimeNs, size }: { mtimeNs: bigint; size: bigint }) => `${mtimeNs.toString(36)}-${size.toString(36)}`

async function headOf(path: string, key: string): Promise<ObjectHead | undefined> {
  const found = await orAbsent(stat(path, { bigint: true }))
  if (found === undefined) return undefined
  return { key, sizeBytes: Number(found.size), etag: etagOf(found), modifiedMs: Number(found.mtimeNs / 1_000_000n) }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  await handle.sync().finally(() => handle.close())
}

interface Entry {
  readonly path: string
  /** Of a file the key; of a folder what its keys begin with, a slash at the end. */
  readonly key: string
  readonly isFile: boolean
}

/** List a folder in the order of its keys; files that are not objects are left out. */
async function entriesOf(folder: string, base: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const entry of (await orAbsent(readdir(folder, { withFileTypes: true }))) ?? []) {
    const isFile = entry.isFile()
    const segment = segmentOfName(entry.name, isFile)
    if (segment === undefined || !(isFile || entry.isDirectory())) continue
    entries.push({ path: join(folder, entry.name), key: `${base}${segment}${isFile ? '' : '/'}`, isFile })
  }
  return entries.sort((a, b) => compareKeys(a.key, b.key))
}

async function* keysOf(page: Page, folder: string, base = ''): AsyncGenerator<Entry> {
  for (const entry of await entriesOf(folder, base)) {
    if (entry.isFile) yield entry
    else if (page.mayHold(entry.key)) yield* keysOf(page, entry.path, entry.key)
  }
}

/** Folders that this thread has opened, so that the temporary files of each have names of their own. */
let opened = 0

/** Objects as the files of a folder. */
class FolderObjects implements DiskObjects {
  private readonly folder: string
  private readonly temporary: string
  private readonly isFull: boolean
  private readonly clock: Pick<Clock, 'nowMs'>
  private readonly unlock: () => void
  /** The last write of each key that is under way. */
  private readonly writes = new Map<string, Promise<unknown>>()
  /** Folders whose names are on disk. */
  private readonly known = new Set<string>()
  private readonly number = ++opened
  private lastUs = 0
  private files = 0
  private isClosed = false

  constructor(folder: string, { durability = 'full', clock = nodeClock, isShared = false }: DiskObjectsOptions) {
    this.folder = folder
    this.temporary = join(folder, '.temporary')
    this.isFull = durability === 'full'
    this.clock = clock
    if (isShared) {
      this.unlock = () => {}
      return
    }
    makeFolder(this.temporary)
    this.unlock = lockFolder(this.temporary)
    for (const name of readdirSync(this.temporary)) {
      if (name.endsWith('.part')) rmSync(join(this.temporary, name), { force: true })
    }
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.unlock()
  }

  /** Refuse a file system whose times are too coarse to tell writes apart. */
  async probe(): Promise<void> {
    const write = () => this.writeFile(async () => {})
    const files = [await write(), await write()]
    for (const { path } of files) await unlink(path)
    if (files[0]?.etag !== files[1]?.etag) return
    throw new Failure('unsupported', `the file system of ${this.folder} does not keep times in microseconds`)
  }

  private pathOf(key: string): string {
    checkKey(key)
    if (this.isClosed) throw new Failure('unavailable', `the objects of ${this.folder} are closed`)
    return join(this.folder, ...pathOfKey(key))
  }

  async get(key: string, { range, ifMatch }: GetOptions = {}): Promise<ObjectBody | undefined> {
    const path = this.pathOf(key)
    checkRange(range)
    return attempt(`get ${key}`, async () => {
      const handle = await orAbsent(open(path, 'r'))
      if (handle === undefined) return undefined
      try {
        const found = await handle.stat({ bigint: true })
        const etag = etagOf(found)
        if (ifMatch !== undefined && ifMatch !== etag) throw conflict(key, { ifMatch })
        const sizeBytes = Number(found.size)
        const { start, end } = placeRange(range, sizeBytes)
        return { bytes: await readExactly(handle, start, end), etag, sizeBytes }
      } finally {
        await handle.close()
      }
    })
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    const path = this.pathOf(key)
    return attempt(`head ${key}`, () => headOf(path, key))
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<Written> {
    const path = this.pathOf(key)
    checkCondition(options)
    return attempt(`put ${key}`, async () => {
      const { path: temporary, etag } = await this.writeFile((handle) => handle.writeFile(bytes))
      try {
        await this.publish(key, temporary, path, options)
      } finally {
        await rm(temporary, { force: true })
      }
      return { etag }
    })
  }

  private nextFile(): string {
    return join(this.temporary, `${process.pid}-${threadId}-${this.number}-${++this.files}.part`)
  }

  /** Write a temporary file, whole and synced. */
  private async writeFile(write: (handle: FileHandle) => Promise<void>): Promise<{ path: string; etag: string }> {
    const path = this.nextFile()
    const handle = await open(path, 'wx')
    try {
      await write(handle)
      return { path, etag: await this.seal(handle) }
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await handle.close()
    }
  }

  /** Give a file its time, and so its etag, and sync it. */
  private async seal(handle: FileHandle): Promise<string> {
    this.lastUs = Math.max(this.lastUs + 1, Math.floor(this.clock.nowMs() * 1_000))
    // The half keeps rounding, to doubles and back, from making two microseconds one.
    const seconds = (this.lastUs + 0.5) / 1e6
    await handle.utimes(seconds, seconds)
    if (this.isFull) await handle.sync()
    return etagOf(await handle.stat({ bigint: true }))
  }

  /** Run when the writes of a key that came before have ended. */
  private async exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.writes.get(key)
    const turn = (before ?? Promise.resolve()).catch(() => {}).then(work)
    this.writes.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.writes.get(key) === turn) this.writes.delete(key)
    }
  }

  /** Make a temporary file the object of a key, durably. */
  private publish(key: string, temporary: string, path: string, { ifNoneMatch, ifMatch }: PutOptions): Promise<void> {
    return this.exclusive(key, async () => {
      if (ifMatch !== undefined && (await headOf(path, key))?.etag !== ifMatch) throw conflict(key, { ifMatch })
      for (let attempts = 1; ; attempts++) {
        try {
          await mkdir(dirname(path), { recursive: true })
          await (ifNoneMatch === undefined ? rename(temporary, path) : this.linkFree(key, temporary, path))
          break
        } catch (error) {
          // A delete may have removed the folder that it had emptied.
          if (codeOf(error) !== 'ENOENT' || attempts >= placeAttempts) throw error
        }
      }
      if (!this.isFull) return
      try {
        await this.syncAbove(path)
      } catch (cause) {
        throw unavailable(`${key} was written, but nobody knows if it is on disk`, { outcome: 'unknown' }, cause)
      }
    })
  }

  private async linkFree(key: string, temporary: string, path: string): Promise<void> {
    try {
      await link(temporary, path)
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EEXIST') throw conflict(key, {})
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error
      // A file system without links. Nobody else writes here (2), so looking first is as good.
      if ((await headOf(path, key)) !== undefined) throw conflict(key, {})
      await rename(temporary, path)
    }
  }

  /** Sync the folder of a file, and the folders above that are not known to be on disk. */
  private async syncAbove(path: string): Promise<void> {
    if (this.known.size > knownFoldersMax) this.known.clear()
    await syncFolder(dirname(path))
    for (let folder = dirname(path); folder !== this.folder && !this.known.has(folder); folder = dirname(folder)) {
      await syncFolder(dirname(folder))
      this.known.add(folder)
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    const paths = keys.map((key) => [key, this.pathOf(key)] as const)
    const changed = new Set<string>()
    for (const [key, path] of paths) {
      await attempt(`delete ${key}`, () =>
        this.exclusive(key, async () => {
          await orAbsent(unlink(path))
          changed.add(await this.prune(dirname(path)))
        }),
      )
    }
    if (!this.isFull) return
    for (const folder of changed) await attempt(`sync ${folder}`, () => orAbsent(syncFolder(folder)))
  }

  /** Remove a folder and those above while they are empty. @returns the first that is not */
  private async prune(from: string): Promise<string> {
    let folder = from
    for (; folder !== this.folder; folder = dirname(folder)) {
      const wasKnown = this.known.delete(folder)
      try {
        await orAbsent(rmdir(folder))
      } catch (error) {
        if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error
        if (wasKnown) this.known.add(folder)
        break
      }
    }
    return folder
  }

  async list(options: ListOptions = {}): Promise<Listing> {
    const page = new Page(options)
    if (this.isClosed) throw new Failure('unavailable', `the objects of ${this.folder} are closed`)
    return attempt('list', async () => {
      for await (const { path, key } of keysOf(page, this.folder)) {
        const answer = page.offer(key)
        if (answer === 'past') return page.done(key.startsWith(options.prefix ?? ''))
        const head = answer === 'object' ? await headOf(path, key) : undefined
        if (head !== undefined) page.add(head)
      }
      return page.done(false)
    })
  }

  async multipart(key: string, options: MultipartOptions = {}): Promise<MultipartUpload> {
    const path = this.pathOf(key)
    checkCondition({ marker: options.marker })
    const parts = new Parts(options.partBytes)
    const temporary = this.nextFile()
    const handle = await attempt(`multipart ${key}`, () => open(temporary, 'wx'))
    const end = async () => {
      if (!parts.close()) return
      await handle.close()
      await rm(temporary, { force: true })
    }
    return {
      write: (number, bytes) =>
        attempt(`part ${number} of ${key}`, async () => {
          parts.check(number, bytes.length)
          await writeExactly(handle, bytes, (number - 1) * parts.partBytes)
          parts.arrived(number, bytes.length)
        }),
      complete: (condition = {}) =>
        attempt(`complete ${key}`, async () => {
          checkCondition(condition)
          await handle.truncate(parts.checkComplete().sizeBytes)
          const etag = await this.seal(handle)
          await this.publish(key, temporary, path, condition)
          await end()
          return { etag }
        }),
      abort: () => attempt(`abort ${key}`, end),
    }
  }
}

async function readExactly(handle: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start)
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at)
    if (bytesRead === 0) throw new Failure('storage', `the file ends at ${start + at}, before its size`)
    at += bytesRead
  }
  return bytes
}

async function writeExactly(handle: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, start + at)
    at += bytesWritten
  }
}

/** Open the objects of a folder, which is made when it is missing.
 *  @throws conflict when another process, or this one, has it open; unsupported for a file system with coarse times */
export async function openDiskObjects(folder: string, options: DiskObjectsOptions = {}): Promise<DiskObjects> {
  const objects = new FolderObjects(folder, options)
  try {
    await objects.probe()
  } catch (error) {
    objects.close()
    throw toFailure(error, `open ${folder}`)
  }
  return objects
}
