/** A table's files in object stores: locations become keys, and what never changes is read once.
 *
 *  1. Files are written once, under names that nobody else makes; only metadata files are contended for.
 *  2. Manifests and manifest lists never change, so they are kept in memory, the newest used, up to a limit.
 *  3. There may be several stores, each mounted at a root: new files go to the first, others hold what moved there. Of
 *     the roots that a location begins with, the longest is its own. */
import { Failure } from '../../errors.ts'
import { ICEBERG_CACHED_ENTRIES_MAX, OBJECT_PART_BYTES } from '../../limits.ts'
import type { ReadOptions } from '../avro/container.ts'
import type { ByteRange, ObjectHead, ObjectStore } from '../objects/port.ts'
import { writeChunks } from '../objects/write.ts'
import type { ManifestEntry } from './data-file.ts'
import { readManifest } from './manifest.ts'
import { type ManifestFile, readManifestList } from './manifest-list.ts'
import { columnTypes, type TableMetadata } from './metadata.ts'
import { type Chance, randomBytes } from './random.ts'

/** A store and the location of its root, such as `s3://bucket` or `file:///var/lake`; keys follow it after a slash. */
export interface Mount {
  readonly root: string
  readonly store: ObjectStore
}

/** Where tables are kept. */
export interface LakeOptions extends Mount {
  /** More stores, where files of tables may be: an archive bucket. */
  readonly mounts?: readonly Mount[]
  readonly chance: Chance
  /** For Avro files of other writers. */
  readonly codecs?: ReadOptions['codecs']
}

/** Write a location the one way of several that name the same place: Java has `s3a://` and `file:/`. */
export function canonicalLocation(location: string): string {
  return location.replace(/^s3[an]:\/\//, 's3://').replace(/^file:\/+/, 'file:///')
}

/** Where a location is. */
export interface FilePlaceInStore {
  readonly mount: Mount
  readonly store: ObjectStore
  readonly key: string
}

/** The files of tables. */
export class LakeFiles {
  /** The first store and its root: where catalogs and new files are. */
  readonly store: ObjectStore
  readonly root: string
  /** All stores, the first first. */
  readonly mounts: readonly Mount[]
  /** The longest root first. */
  private readonly byLength: readonly (readonly [prefix: string, mount: Mount])[]
  private readonly chance: Chance
  private readonly codecs: ReadOptions['codecs']
  /** By path, the one used last at the end. */
  private readonly cached = new Map<string, readonly unknown[]>()
  private cachedEntries = 0

  /** @throws invalid for two stores at one root */
  constructor({ store, root, mounts = [], chance, codecs }: LakeOptions) {
    this.mounts = [{ store, root }, ...mounts].map((mount) => ({ ...mount, root: mount.root.replace(/\/+$/, '') }))
    const prefixes = this.mounts.map((mount) => [`${canonicalLocation(mount.root)}/`, mount] as const)
    this.byLength = prefixes.toSorted(([a], [b]) => b.length - a.length)
    if (new Set(prefixes.map(([prefix]) => prefix)).size < prefixes.length) {
      throw new Failure(
        'invalid',
        `two stores are mounted at one root: ${mounts.map((mount) => mount.root).join(', ')}`,
      )
    }
    this.store = store
    this.root = (this.mounts[0] as Mount).root
    this.chance = chance
    this.codecs = codecs
  }

  /** Find the store and the key of a location.
   *  @throws invalid when it is under no root */
  placeOf(location: string): FilePlaceInStore {
    const known = canonicalLocation(location)
    for (const [prefix, mount] of this.byLength) {
      if (known.startsWith(prefix)) return { mount, store: mount.store, key: known.slice(prefix.length) }
    }
    const roots = this.mounts.map((mount) => mount.root).join(', ')
    throw new Failure('invalid', `${location} is not under ${roots}, where stores are mounted`)
  }

  /** Get the mount of a root.
   *  @throws invalid when no store is mounted there */
  mountOf(root: string): Mount {
    const wanted = canonicalLocation(root.replace(/\/+$/, ''))
    const found = this.mounts.find((mount) => canonicalLocation(mount.root) === wanted)
    if (found !== undefined) return found
    throw new Failure(
      'invalid',
      `no store is mounted at ${root}; there are ${this.mounts.map((one) => one.root).join(', ')}`,
    )
  }

  /** Find the key of a location in the first store.
   *  @throws invalid when it is elsewhere */
  keyOf(location: string): string {
    const { key, mount } = this.placeOf(location)
    if (mount === this.mounts[0]) return key
    throw new Failure('invalid', `${location} is not in the first store, which is mounted at ${this.root}`)
  }

  /** Find the location of a key of the first store. */
  locationOf(key: string): string {
    return `${this.root}/${key}`
  }

  /** Read a file whole.
   *  @throws not_found: a file that metadata names is always there, so it was removed by others */
  async read(location: string): Promise<Uint8Array> {
    return this.get(location)
  }

  /** Read a part of a file.
   *  @throws not_found */
  async readRange(location: string, range: ByteRange): Promise<Uint8Array> {
    return this.get(location, range)
  }

  private async get(location: string, range?: ByteRange): Promise<Uint8Array> {
    const { store, key } = this.placeOf(location)
    const found = await store.get(key, { range })
    if (found === undefined) throw new Failure('not_found', `the file ${location} is gone`)
    return found.bytes
  }

  /** Look at a file; undefined when there is none. */
  async head(location: string): Promise<ObjectHead | undefined> {
    const { store, key } = this.placeOf(location)
    return store.head(key)
  }

  /** Write a file under a name that nobody else uses. */
  async write(location: string, bytes: Uint8Array): Promise<void> {
    const { store, key } = this.placeOf(location)
    await store.put(key, bytes)
  }

  /** Write a file of unknown size under a name that nobody else uses, holding a part or two in memory.
   *  @returns how many bytes there were */
  async writeParts(location: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
    const { store, key } = this.placeOf(location)
    return (await writeChunks(store, key, parts)).sizeBytes
  }

  /** Copy a file, part by part.
   *  @throws not_found; invalid when it has another size than said */
  async copy(from: string, to: string, sizeBytes: number): Promise<void> {
    const written = await this.writeParts(to, this.parts(from, sizeBytes))
    if (written !== sizeBytes) throw new Failure('invalid', `${from} has ${written} bytes, not ${sizeBytes}`)
  }

  private async *parts(location: string, sizeBytes: number): AsyncIterable<Uint8Array> {
    for (let start = 0; start < sizeBytes; start += OBJECT_PART_BYTES) {
      yield await this.readRange(location, { start, end: Math.min(sizeBytes, start + OBJECT_PART_BYTES) })
    }
  }

  /** Delete files; those that are gone already are no failure. */
  async delete(locations: readonly string[]): Promise<void> {
    const places = locations.map((location) => this.placeOf(location))
    for (const mount of this.mounts) {
      const keys = places.filter((place) => place.mount === mount).map(({ key }) => key)
      if (keys.length > 0) await mount.store.delete(keys)
    }
  }

  /** Make 48 bits that name a new file. */
  newId(): number {
    return this.chance.random()
  }

  /** Make a marker for an Avro file. */
  sync(): Uint8Array {
    return randomBytes(this.chance, 16)
  }

  /** Read a manifest list. */
  manifestList(location: string): Promise<readonly ManifestFile[]> {
    return this.cache(location, async () => readManifestList(await this.read(location), this.codecs))
  }

  /** Keep a manifest list that was just written: the next commit begins with it. */
  keepManifestList(location: string, manifests: readonly ManifestFile[]): void {
    this.keep(location, manifests)
  }

  /** Read a manifest. */
  manifest(file: ManifestFile, table: TableMetadata): Promise<readonly ManifestEntry[]> {
    const context = { specs: table['partition-specs'], typeOf: columnTypes(table), codecs: this.codecs }
    // A table that becomes v3 gives row ids to manifests that it has had before.
    const key = file.firstRowId === undefined ? file.path : `${file.path}#${file.firstRowId}`
    return this.cache(key, async () => readManifest(await this.read(file.path), file, context))
  }

  private async cache<T>(path: string, load: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const known = this.cached.get(path)
    const entries = known === undefined ? await load() : (known as readonly T[])
    this.keep(path, entries)
    return entries
  }

  private keep(path: string, entries: readonly unknown[]): void {
    this.forget(path)
    if (entries.length > ICEBERG_CACHED_ENTRIES_MAX) return
    this.cached.set(path, entries)
    this.cachedEntries += entries.length + 1
    for (const oldest of this.cached.keys()) {
      if (this.cachedEntries <= ICEBERG_CACHED_ENTRIES_MAX) break
      this.forget(oldest)
    }
  }

  private forget(path: string): void {
    const known = this.cached.get(path)
    if (known === undefined) return
    this.cached.delete(path)
    this.cachedEntries -= known.length + 1
  }
}
