/** Where DuckDB finds the lake's files: on the disk where they are, or in a cache of what is needed of them.
 *
 *  1. Files never change, and each location is used once: what is there is right for ever.
 *  2. Of a large file only the columns asked for are fetched, into a file of the same size with holes. All but the
 *     columns' own chunks (footer, indexes, bloom filters) is always there, so DuckDB never reads a hole.
 *  3. Files that running queries read stay; else the ones used longest ago go when the cache is full. Files with holes
 *     do not outlive the process, as nobody would know what is in them. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { assert, Failure } from '../../../errors.ts'
import { SQL_FETCHES_MAX, SQL_WHOLE_FILE_BYTES } from '../../../limits.ts'
import type { DataFile } from '../../../tiering/iceberg/data-file.ts'
import { canonicalLocation, type LakeFiles, type Mount } from '../../../tiering/iceberg/files.ts'
import { pathOfKey } from '../disk-path.ts'
import { type Chunk, chunksOf } from './parquet-chunks.ts'
import { type Range, Ranges } from './ranges.ts'

/** Bytes of one request at the most. */
const requestBytes = 8 * 1024 * 1024
/** Bytes between two wanted ranges that are fetched along. */
const gapBytes = 64 * 1024
/** Bytes of a file's end that are fetched first: most footers are in them. */
const tailBytes = 64 * 1024

/** What was fetched, and what was there. */
export interface FetchCounts {
  bytesRead: number
  bytesCached: number
}

/** Columns of a file: by their names in it and their ids, or all. */
export type ColumnsNeeded = 'all' | { readonly names: readonly string[]; readonly ids: readonly number[] }

/** Files that a query reads; give them back when it has ended. */
export interface Lease {
  /** Where DuckDB finds a file. */
  path(file: DataFile): string
  /** Whether nothing has to be fetched of a file. */
  isHere(file: DataFile): boolean
  /** Fetch what is needed of columns. */
  need(file: DataFile, columns: ColumnsNeeded): Promise<void>
  readonly counts: FetchCounts
  end(): void
}

interface CachedFile {
  readonly path: string
  readonly sizeBytes: number
  /** What is there; undefined: all of it. */
  ranges: Ranges | undefined
  chunks: readonly Chunk[] | undefined
  users: number
  /** The last fetch. */
  turn: Promise<unknown>
}

/** How files are kept. */
export interface LocalFilesOptions {
  readonly files: LakeFiles
  readonly folder: string
  readonly cacheBytes: number
}

/** Files of a lake for DuckDB. */
export class LocalFiles {
  private readonly files: LakeFiles
  private readonly folder: string
  private readonly cacheBytes: number
  /** By location, the one used last at the end. */
  private readonly cached = new Map<string, CachedFile>()
  private readonly gate = new Gate(SQL_FETCHES_MAX)
  /** Complete files that were there at the start, by name. */
  private readonly found = new Map<string, number>()

  constructor({ files, folder, cacheBytes }: LocalFilesOptions) {
    this.files = files
    this.folder = folder
    this.cacheBytes = cacheBytes
    mkdirSync(folder, { recursive: true })
    for (const name of readdirSync(folder)) {
      if (/^[0-9a-f]{64}\.parquet$/.test(name)) this.found.set(name, statSync(join(folder, name)).size)
      else if (/^[0-9a-f]{64}\.(?:part|holes\.parquet)$/.test(name)) rmSync(join(folder, name), { force: true })
    }
  }

  /** List the folders that DuckDB reads. */
  static folders(files: LakeFiles, folder: string): string[] {
    return [folder, ...files.mounts.map(localRoot).filter((root) => root !== undefined)]
  }

  /** Begin to read files. */
  lease(): Lease {
    const held = new Map<string, CachedFile>()
    const counts: FetchCounts = { bytesRead: 0, bytesCached: 0 }
    return {
      counts,
      path: (file) => {
        const path = this.ownPath(file.path) ?? held.get(file.path)?.path
        assert(path !== undefined, `the file ${file.path} was asked for`)
        return path
      },
      isHere: (file) => {
        const known = this.cached.get(file.path)
        return this.ownPath(file.path) !== undefined || (known !== undefined && known.ranges === undefined)
      },
      need: async (file, columns) => {
        if (this.ownPath(file.path) !== undefined) {
          counts.bytesRead += columnBytes(file, columns)
          return
        }
        const cached = held.get(file.path) ?? this.hold(file)
        held.set(file.path, cached)
        await this.fill(file, cached, { columns, counts })
      },
      end: () => {
        for (const file of held.values()) file.users--
        held.clear()
        this.trim()
      },
    }
  }

  /** Find a file that is on the disk by itself. */
  private ownPath(location: string): string | undefined {
    const { mount, key } = this.files.placeOf(location)
    const root = localRoot(mount)
    return root === undefined ? undefined : join(root, ...pathOfKey(key))
  }

  private hold(file: DataFile): CachedFile {
    const name = createHash('sha256').update(canonicalLocation(file.path)).digest('hex')
    const { sizeBytes } = file
    const known = this.cached.get(file.path) ?? this.begin(name, sizeBytes)
    this.cached.delete(file.path)
    this.cached.set(file.path, known)
    known.users++
    return known
  }

  private begin(name: string, sizeBytes: number): CachedFile {
    const whole = `${name}.parquet`
    const isThere = this.found.get(whole) === sizeBytes && existsSync(join(this.folder, whole))
    this.found.delete(whole)
    const hasHoles = !isThere && sizeBytes > SQL_WHOLE_FILE_BYTES
    const path = join(this.folder, hasHoles ? `${name}.holes.parquet` : whole)
    const ranges = isThere ? undefined : new Ranges()
    return { path, sizeBytes, ranges, chunks: undefined, users: 0, turn: Promise.resolve() }
  }

  /** Fetch what is missing of a file; one at a time for each. */
  private async fill(file: DataFile, cached: CachedFile, need: Need): Promise<void> {
    const turn = cached.turn.then(() => this.fillNow(file, cached, need))
    cached.turn = turn.catch(() => undefined)
    await turn
  }

  private async fillNow(file: DataFile, cached: CachedFile, { columns, counts }: Need): Promise<void> {
    const { ranges, sizeBytes, path } = cached
    if (ranges === undefined) {
      counts.bytesCached += sizeBytes
    } else if (sizeBytes <= SQL_WHOLE_FILE_BYTES) {
      await this.fetchWhole(file, path)
      counts.bytesRead += sizeBytes
      cached.ranges = undefined
    } else {
      await this.fillHoles(file, cached, { columns, counts })
    }
    this.trim()
  }

  /** Fetch a file, and give it its name when it is all there. */
  private async fetchWhole({ path: location, sizeBytes }: DataFile, path: string): Promise<void> {
    const bytes = await this.gate.run(() => this.files.read(location))
    if (bytes.length !== sizeBytes) throw wrongSize(location, bytes.length, sizeBytes)
    const part = path.replace(/parquet$/, 'part')
    const handle = await open(part, 'w')
    try {
      await handle.writeFile(bytes)
    } finally {
      await handle.close()
    }
    await rename(part, path)
  }

  private async fillHoles(file: DataFile, cached: CachedFile, { columns, counts }: Need): Promise<void> {
    const ranges = cached.ranges as Ranges
    const handle = await open(cached.path, existsSync(cached.path) ? 'r+' : 'w+')
    try {
      await handle.truncate(cached.sizeBytes)
      const fetch = async (range: Range) => {
        counts.bytesRead += await this.fetchRanges(file, { handle, ranges }, range)
      }
      cached.chunks ??= await this.readChunks(file, handle, fetch)
      const wanted = cached.chunks.filter(({ column }) => columns === 'all' || columns.names.includes(column))
      for (const chunk of wanted) counts.bytesCached += ranges.overlap(chunk)
      await Promise.all(ranges.missing(wanted, { gapBytes, sizeMax: requestBytes }).map(fetch))
    } finally {
      await handle.close()
    }
  }

  /** Find the columns' chunks, and fetch all that is not in them. */
  private async readChunks(
    file: DataFile,
    handle: FileHandle,
    fetch: (range: Range) => Promise<void>,
  ): Promise<Chunk[]> {
    const end = file.sizeBytes
    await fetch({ start: Math.max(0, end - tailBytes), end })
    const footer = Buffer.alloc(8)
    await handle.read(footer, 0, 8, end - 8)
    const footerBytes = footer.readUInt32LE(0) + 8
    if (footer.toString('latin1', 4) !== 'PAR1' || footerBytes > end) {
      throw new Failure('storage', `${file.path} does not end as a Parquet file does`)
    }
    await fetch({ start: end - footerBytes, end })
    const bytes = new Uint8Array(footerBytes)
    await handle.read(bytes, 0, footerBytes, end - footerBytes)
    const chunks = chunksOf(bytes, file.path)
    const between = new Ranges(chunks).missing([{ start: 0, end }], { gapBytes: 0, sizeMax: requestBytes })
    for (const range of between) await fetch(range)
    return chunks
  }

  /** Fetch what of a range is not there. @returns how many bytes that was */
  private async fetchRanges(
    { path: location }: DataFile,
    { handle, ranges }: { handle: FileHandle; ranges: Ranges },
    range: Range,
  ): Promise<number> {
    let fetched = 0
    for (const { start, end } of ranges.missing([range], { gapBytes: 0, sizeMax: requestBytes })) {
      const bytes = await this.gate.run(() => this.files.readRange(location, { start, end }))
      if (bytes.length !== end - start) throw wrongSize(location, start + bytes.length, end)
      await handle.write(bytes, 0, bytes.length, start)
      ranges.add({ start, end })
      fetched += bytes.length
    }
    return fetched
  }

  /** Remove files until the cache fits its bound. */
  private trim(): void {
    let bytes = [...this.found.values()].reduce((sum, size) => sum + size, 0)
    for (const file of this.cached.values()) bytes += file.ranges?.bytes ?? file.sizeBytes
    if (bytes <= this.cacheBytes) return
    const removed: string[] = []
    for (const [name, size] of this.found) {
      if (bytes <= this.cacheBytes) break
      this.found.delete(name)
      bytes -= size
      removed.push(join(this.folder, name))
    }
    for (const [location, file] of this.cached) {
      if (bytes <= this.cacheBytes) break
      if (file.users > 0) continue
      this.cached.delete(location)
      bytes -= file.ranges?.bytes ?? file.sizeBytes
      removed.push(file.path)
    }
    // At once: a file that is asked for again is written under the same name.
    for (const path of removed) rmSync(path, { force: true })
  }
}

interface Need {
  readonly columns: ColumnsNeeded
  readonly counts: FetchCounts
}

function localRoot({ root }: Mount): string | undefined {
  const location = canonicalLocation(root)
  // As it is, not as a URL: so are the locations that tables are written with.
  return location.startsWith('file://') ? location.slice('file://'.length) : undefined
}

function wrongSize(location: string, is: number, right: number): Failure {
  return new Failure('storage', `${location} has ${is} bytes where the table says ${right}`)
}

/** Bytes of a file's columns, as the table tells them. */
function columnBytes({ columnSizes, sizeBytes }: DataFile, columns: ColumnsNeeded): number {
  if (columns === 'all' || columnSizes === undefined || columnSizes.size === 0) return sizeBytes
  return columns.ids.reduce((sum, id) => sum + (columnSizes.get(id) ?? 0), 0)
}

/** Lets a few work at once. */
class Gate {
  private free: number
  private readonly waiting: (() => void)[] = []

  constructor(places: number) {
    this.free = places
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.free++
      else next()
    }
  }
}
