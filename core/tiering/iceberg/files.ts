/** A table's files in an object store: locations become keys, and what never changes is read once.
 *
 *  1. Files are written once, under names that nobody else makes; only metadata files are contended for.
 *  2. Manifests and manifest lists never change, so they are kept in memory, the newest used, up to a limit. */
import { Failure } from '../../errors.ts'
import { ICEBERG_CACHED_ENTRIES_MAX } from '../../limits.ts'
import type { ReadOptions } from '../avro/container.ts'
import type { ObjectStore } from '../objects/port.ts'
import type { ManifestEntry } from './data-file.ts'
import { readManifest } from './manifest.ts'
import { type ManifestFile, readManifestList } from './manifest-list.ts'
import { columnTypes, type TableMetadata } from './metadata.ts'
import { type Chance, randomBytes } from './random.ts'

/** Where tables are kept. */
export interface LakeOptions {
  readonly store: ObjectStore
  /** The location of the store's root, such as `s3://bucket` or `file:///var/lake`; keys follow it after a slash. */
  readonly root: string
  readonly chance: Chance
  /** For Avro files of other writers. */
  readonly codecs?: ReadOptions['codecs']
}

/** Write a location the one way of several that name the same place: Java has `s3a://` and `file:/`. */
const canonical = (location: string) => location.replace(/^s3[an]:\/\//, 's3://').replace(/^file:\/+/, 'file:///')

/** The files of tables. */
export class LakeFiles {
  readonly store: ObjectStore
  readonly root: string
  private readonly chance: Chance
  private readonly codecs: ReadOptions['codecs']
  /** By path, the one used last at the end. */
  private readonly cached = new Map<string, readonly unknown[]>()
  private cachedEntries = 0

  constructor({ store, root, chance, codecs }: LakeOptions) {
    this.store = store
    this.root = root.replace(/\/+$/, '')
    this.chance = chance
    this.codecs = codecs
  }

  /** Find the key of a location.
   *  @throws invalid when it is outside the root */
  keyOf(location: string): string {
    const [known, root] = [canonical(location), canonical(this.root)]
    if (known.startsWith(`${root}/`)) return known.slice(root.length + 1)
    throw new Failure('invalid', `${location} is not under ${this.root}, which is the store's root`)
  }

  /** Find the location of a key. */
  locationOf(key: string): string {
    return `${this.root}/${key}`
  }

  /** Read a file whole.
   *  @throws not_found: a file that metadata names is always there, so it was removed by others */
  async read(location: string): Promise<Uint8Array> {
    const found = await this.store.get(this.keyOf(location))
    if (found === undefined) throw new Failure('not_found', `the file ${location} is gone`)
    return found.bytes
  }

  /** Write a file under a name that nobody else uses. */
  async write(location: string, bytes: Uint8Array): Promise<void> {
    await this.store.put(this.keyOf(location), bytes)
  }

  /** Delete files; those that are gone already are no failure. */
  async delete(locations: readonly string[]): Promise<void> {
    if (locations.length > 0) await this.store.delete(locations.map((location) => this.keyOf(location)))
  }

  /** Make a marker for an Avro file. */
  sync(): Uint8Array {
    return randomBytes(this.chance, 16)
  }

  /** Read a manifest list. */
  manifestList(location: string): Promise<readonly ManifestFile[]> {
    return this.cache(location, async () => readManifestList(await this.read(location), this.codecs))
  }

  /** Read a manifest. */
  manifest(file: ManifestFile, table: TableMetadata): Promise<readonly ManifestEntry[]> {
    const context = { specs: table['partition-specs'], typeOf: columnTypes(table), codecs: this.codecs }
    return this.cache(file.path, async () => readManifest(await this.read(file.path), file, context))
  }

  private async cache<T>(path: string, load: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const known = this.cached.get(path)
    const entries = known === undefined ? await load() : (known as readonly T[])
    this.forget(path)
    if (entries.length > ICEBERG_CACHED_ENTRIES_MAX) return entries
    this.cached.set(path, entries)
    this.cachedEntries += entries.length + 1
    for (const oldest of this.cached.keys()) {
      if (this.cachedEntries <= ICEBERG_CACHED_ENTRIES_MAX) break
      this.forget(oldest)
    }
    return entries
  }

  private forget(path: string): void {
    const known = this.cached.get(path)
    if (known === undefined) return
    this.cached.delete(path)
    this.cachedEntries -= known.length + 1
  }
}
