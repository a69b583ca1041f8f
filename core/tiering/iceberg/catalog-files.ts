/** Our own catalog on an object store: a table is a folder, its state the metadata file of the highest version.
 *
 *  1. A state is `metadata/v{N}.metadata.json`. It is written only if there is no such file: of two commits on one
 *     state one succeeds, and the other is made again on the new state, if its requirements still hold.
 *  2. `version-hint.text` is a hint: it may be old or missing. From it on, versions are looked for one by one.
 *  3. A write whose outcome is not known is looked at: the file is ours if its bytes are.
 *  4. Old metadata files are removed only when they are so old that no commit can still be made on them (maintain.ts):
 *     else a version's name could become free again.
 *  5. A namespace is a folder whose name ends in `.db` with a `namespace.json`; tables have no dot in their folder.
 *  @source https://iceberg.apache.org/spec/ (v2), "File System Tables", with a conditional write for the rename */
import { Failure } from '../../errors.ts'
import { ICEBERG_COMMIT_ATTEMPTS_MAX, ICEBERG_METADATA_LOG_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { type ObjectBody, type ObjectStore, storeFault, unavailable } from '../objects/port.ts'
import { applyUpdates } from './apply.ts'
import { backOff } from './back-off.ts'
import {
  type Catalog,
  creationUpdates,
  formatTableName,
  type LoadedTable,
  type Namespace,
  type NewTable,
  type TableName,
} from './catalog.ts'
import { decodeSegment, listAll, namespaceKey, tableKey } from './catalog-keys.ts'
import type { LakeFiles } from './files.ts'
import { parseJson } from './json.ts'
import { numberProperty, readMetadata, type TableMetadata, writeMetadata } from './metadata.ts'
import { randomUuid } from './random.ts'
import { checkRequirements, requirementFailed } from './requirement.ts'
import type { CommitRequest } from './update.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** What the catalog is made of. */
export interface FileCatalogOptions {
  readonly files: LakeFiles
  readonly clock: Clock
  /** The folder of everything, inside the store; the store's root when left out. */
  readonly prefix?: string
}

interface State {
  readonly version: number
  readonly metadata: TableMetadata
  /** Of the file: another table may have taken the place of one that was dropped. */
  readonly etag: string
}

/** Make a catalog on an object store. */
export function fileCatalog(options: FileCatalogOptions): Catalog {
  return new FileCatalog(options)
}

class FileCatalog implements Catalog {
  private readonly files: LakeFiles
  private readonly store: ObjectStore
  private readonly clock: Clock
  private readonly prefix: string
  /** The newest state seen of each table: most loads only have to see that there is none after it. */
  private readonly seen = new Map<string, State>()

  constructor({ files, clock, prefix = '' }: FileCatalogOptions) {
    this.files = files
    this.store = files.store
    this.clock = clock
    this.prefix = prefix === '' ? '' : `${prefix.replace(/\/+$/, '')}/`
  }

  async createNamespace(namespace: Namespace, properties: { readonly [key: string]: string } = {}): Promise<void> {
    if (namespace.length === 0) throw new Failure('invalid', 'a namespace has a name')
    if (namespace.length > 1) await this.loadNamespace(namespace.slice(0, -1))
    try {
      await this.store.put(this.marker(namespace), utf8.encode(JSON.stringify({ properties })), { ifNoneMatch: '*' })
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'conflict') throw error
      throw new Failure('exists', `namespace ${namespace.join('.')} exists already`)
    }
  }

  async listNamespaces(parent: Namespace = []): Promise<Namespace[]> {
    if (parent.length > 0) await this.loadNamespace(parent)
    const folder = namespaceKey(this.prefix, parent)
    const { prefixes } = await listAll(this.store, folder, '/')
    const names = prefixes.map((prefix) => prefix.slice(folder.length, -1)).filter((name) => name.endsWith('.db'))
    return names.map((name) => [...parent, decodeSegment(name.slice(0, -'.db'.length))])
  }

  async loadNamespace(namespace: Namespace): Promise<{ readonly [key: string]: string }> {
    const found = namespace.length === 0 ? undefined : await this.store.get(this.marker(namespace))
    if (found === undefined) throw new Failure('not_found', `no namespace ${namespace.join('.')}`)
    return (parseJson(text.decode(found.bytes)) as { properties: { [key: string]: string } }).properties
  }

  async dropNamespace(namespace: Namespace): Promise<void> {
    const inside = [...(await this.listTables(namespace)), ...(await this.listNamespaces(namespace))]
    if (inside.length > 0) throw new Failure('conflict', `namespace ${namespace.join('.')} is not empty`)
    await this.store.delete([this.marker(namespace)])
  }

  private marker(namespace: Namespace): string {
    return `${namespaceKey(this.prefix, namespace)}namespace.json`
  }

  async listTables(namespace: Namespace): Promise<TableName[]> {
    await this.loadNamespace(namespace)
    const folder = namespaceKey(this.prefix, namespace)
    const { prefixes } = await listAll(this.store, folder, '/')
    const folders = prefixes.filter((prefix) => !prefix.endsWith('.db/'))
    // A table that was dropped may have left data behind.
    const isTable = async (prefix: string) => {
      const { objects } = await this.store.list({ prefix: `${prefix}metadata/v`, limit: 1 })
      return objects.length > 0
    }
    const found = await Promise.all(folders.map(isTable))
    const names = folders.filter((_, at) => found[at]).map((prefix) => prefix.slice(folder.length, -1))
    return names.map((name) => ({ namespace, name: decodeSegment(name) }))
  }

  async createTable(table: TableName, options: NewTable): Promise<LoadedTable> {
    await this.loadNamespace(table.namespace)
    const key = tableKey(this.prefix, table)
    const location = this.files.locationOf(key)
    if (options.location !== undefined && options.location.replace(/\/+$/, '') !== location) {
      throw new Failure('unsupported', `this catalog keeps ${formatTableName(table)} in ${location}`)
    }
    if ((await this.newest(key)) !== undefined) throw alreadyThere(table)
    const updates = creationUpdates({ ...options, location }, randomUuid(this.clock))
    const metadata = applyUpdates(undefined, updates, this.clock.nowMs())
    const state = await this.write(key, 1, metadata)
    if (state === undefined) throw alreadyThere(table)
    return this.loaded(key, state)
  }

  async loadTable(table: TableName): Promise<LoadedTable> {
    const key = tableKey(this.prefix, table)
    const state = await this.newest(key)
    if (state === undefined) throw new Failure('not_found', `no table ${formatTableName(table)}`)
    return this.loaded(key, state)
  }

  async commitTable(table: TableName, { requirements, updates }: CommitRequest): Promise<LoadedTable> {
    const key = tableKey(this.prefix, table)
    if (updates.some(({ action }) => action === 'set-location')) {
      throw new Failure('unsupported', 'this catalog keeps a table where it is')
    }
    for (let attempt = 1; attempt <= ICEBERG_COMMIT_ATTEMPTS_MAX; attempt++) {
      const base = await this.newest(key)
      checkRequirements(base?.metadata, requirements)
      const applied = applyUpdates(base?.metadata, updates, this.clock.nowMs())
      const metadata = base === undefined ? applied : this.logged(key, base, applied)
      const state = await this.write(key, (base?.version ?? 0) + 1, metadata)
      if (state !== undefined) return this.loaded(key, state)
    }
    throw requirementFailed(`${formatTableName(table)}: other commits came first too often`)
  }

  async dropTable(table: TableName, { purge = false }: { readonly purge?: boolean } = {}): Promise<void> {
    const key = tableKey(this.prefix, table)
    if ((await this.newest(key)) === undefined) throw new Failure('not_found', `no table ${formatTableName(table)}`)
    this.seen.delete(key)
    const versions = await this.versions(key)
    // The newest goes last: a drop that is cut short leaves a table that can be dropped again.
    const files = versions.map((version) => versionKey(key, version))
    await this.store.delete(files.slice(0, -1))
    await this.store.delete(files.slice(-1))
    await this.store.delete([hintKey(key)])
    if (!purge) return
    const { objects } = await listAll(this.store, `${key}/`)
    await this.store.delete(objects.map((object) => object.key))
  }

  private loaded(key: string, { version, metadata }: State): LoadedTable {
    return { metadata, metadataLocation: this.files.locationOf(versionKey(key, version)) }
  }

  /** Name the file of the state before in the log. */
  private logged(key: string, base: State, metadata: TableMetadata): TableMetadata {
    const entry = {
      'metadata-file': this.files.locationOf(versionKey(key, base.version)),
      'timestamp-ms': base.metadata['last-updated-ms'],
    }
    const most = numberProperty(metadata, 'write.metadata.previous-versions-max', ICEBERG_METADATA_LOG_MAX)
    return { ...metadata, 'metadata-log': [...metadata['metadata-log'], entry].slice(-Math.max(1, most)) }
  }

  /** Find the newest state of a table.
   *  @cost two look-ups when nobody has committed since the last time */
  private async newest(key: string): Promise<State | undefined> {
    const known = this.seen.get(key)
    let state = known !== undefined ? known : await this.hinted(key)
    if (state === undefined) return undefined
    for (;;) {
      const next = await this.readVersion(key, state.version + 1)
      if (next === undefined) break
      state = next
    }
    // The table may have been dropped by others, and be another one now.
    if (state === known && (await this.store.head(versionKey(key, state.version)))?.etag !== state.etag) {
      this.seen.delete(key)
      return this.newest(key)
    }
    this.seen.set(key, state)
    return state
  }

  private async hinted(key: string): Promise<State | undefined> {
    const hint = await this.store.get(hintKey(key))
    const version = hint === undefined ? Number.NaN : Number(text.decode(hint.bytes))
    const found = Number.isSafeInteger(version) && version > 0 ? await this.readVersion(key, version) : undefined
    if (found !== undefined) return found
    const last = (await this.versions(key)).at(-1) ?? 1
    return this.readVersion(key, last)
  }

  /** List the versions that are there, in order. */
  private async versions(key: string): Promise<number[]> {
    const { objects } = await listAll(this.store, `${key}/metadata/v`)
    const numbers = objects.map((object) => /\/v(\d+)\.metadata\.json$/.exec(object.key)?.[1])
    return numbers.flatMap((number) => (number === undefined ? [] : [Number(number)])).sort((a, b) => a - b)
  }

  private async readVersion(key: string, version: number): Promise<State | undefined> {
    const found = await this.store.get(versionKey(key, version))
    if (found === undefined) return undefined
    return { version, metadata: readMetadata(text.decode(found.bytes)), etag: found.etag }
  }

  /** Write a state, if its version is free.
   *  @returns undefined when another commit came first
   *  @throws unavailable when the outcome is not known */
  private async write(key: string, version: number, metadata: TableMetadata): Promise<State | undefined> {
    const etag = await this.putNew(versionKey(key, version), utf8.encode(writeMetadata(metadata)))
    if (etag === undefined) return undefined
    const state = { version, metadata, etag }
    this.seen.set(key, state)
    try {
      await this.store.put(hintKey(key), utf8.encode(`${version}`))
    } catch (error) {
      // The commit is done; the hint catches up with the next one.
      if (!(error instanceof Failure)) throw error
    }
    return state
  }

  /** Write a file if there is none.
   *  @returns its etag, or undefined when there is another */
  private async putNew(key: string, bytes: Uint8Array): Promise<string | undefined> {
    let isUnclear = false
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.store.put(key, bytes, { ifNoneMatch: '*' })).etag
      } catch (error) {
        const fault = storeFault(error)
        const isTaken = error instanceof Failure && error.code === 'conflict'
        if (!isTaken && fault === undefined) throw error
        if (fault !== undefined && fault.outcome !== 'none') isUnclear = true
        // A conflict can be with ourselves: a request that was sent twice, or came late.
        const there = isTaken || isUnclear ? await this.look(key) : undefined
        if (there !== undefined) return sameBytes(there.bytes, bytes) ? there.etag : undefined
        if (attempt >= ICEBERG_COMMIT_ATTEMPTS_MAX) throw isUnclear ? unclear(key, error) : error
        await backOff(this.clock, attempt)
      }
    }
  }

  /** Look what a version holds. When that fails, it is not known whose it is. */
  private async look(key: string): Promise<ObjectBody | undefined> {
    try {
      return await this.store.get(key)
    } catch (error) {
      throw unclear(key, error)
    }
  }
}

const unclear = (key: string, cause: unknown) =>
  unavailable(`whether ${key} was written is not known`, { outcome: 'unknown' }, cause)
const versionKey = (key: string, version: number) => `${key}/metadata/v${version}.metadata.json`
const hintKey = (key: string) => `${key}/metadata/version-hint.text`
const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, at) => byte === b[at])
const alreadyThere = (table: TableName) => new Failure('exists', `table ${formatTableName(table)} exists already`)
