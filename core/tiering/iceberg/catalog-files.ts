/** Our own catalog on an object store: a table is a folder, its state the metadata file of the highest version.
 *
 *  1. Commits take turns by the names of versions (catalog-versions.ts): of two commits on one state one succeeds, and
 *     the other is made again on the new state, if its requirements still hold.
 *  2. Several tables change at one moment (catalog-transaction.ts).
 *  3. Old metadata files are removed only when they are so old that no commit can still be made on them (maintain.ts):
 *     else a version's name could become free again.
 *  4. A namespace is a folder whose name ends in `@` with a `namespace.json`; those of tables do not (catalog-keys.ts).
 *  5. A table's name is its folder, and its manifests have whole paths, so it cannot be renamed.
 *  @source https://iceberg.apache.org/spec/ (v2), "File System Tables", with a conditional write for the rename */
import { Failure } from '../../errors.ts'
import { ICEBERG_COMMIT_ATTEMPTS_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { checkKey } from '../objects/check.ts'
import type { ObjectStore } from '../objects/port.ts'
import { applyUpdates } from './apply.ts'
import { backOff } from './back-off.ts'
import {
  type Catalog,
  creationUpdates,
  formatTableName,
  type LoadedTable,
  type Namespace,
  type NewTable,
  type PropertyChange,
  type TableCommit,
  type TableName,
} from './catalog.ts'
import { decodeSegment, listAll, namespaceKey, namespaceOfFolder, tableKey } from './catalog-keys.ts'
import { commitTogether, settledState } from './catalog-transaction.ts'
import { type TableState, TableVersions } from './catalog-versions.ts'
import type { LakeFiles } from './files.ts'
import { parseJson } from './json.ts'
import type { TableMetadata } from './metadata.ts'
import { randomUuid } from './random.ts'
import { checkRequirements, requirementFailed } from './requirement.ts'
import type { CommitRequest, Update } from './update.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** What the catalog is made of. */
export interface FileCatalogOptions {
  readonly files: LakeFiles
  readonly clock: Clock
  /** The folder of everything, inside the store; the store's root when left out. */
  readonly prefix?: string
}

type Properties = { readonly [key: string]: string }

/** Make a catalog on an object store. */
export function fileCatalog(options: FileCatalogOptions): Catalog {
  return new FileCatalog(options)
}

class FileCatalog implements Catalog {
  private readonly files: LakeFiles
  private readonly store: ObjectStore
  private readonly clock: Clock
  private readonly prefix: string
  private readonly versions: TableVersions

  constructor({ files, clock, prefix = '' }: FileCatalogOptions) {
    this.files = files
    this.store = files.store
    this.clock = clock
    this.prefix = prefix === '' ? '' : `${prefix.replace(/\/+$/, '')}/`
    this.versions = new TableVersions(files, clock, this.prefix)
  }

  async createNamespace(namespace: Namespace, properties: Properties = {}): Promise<void> {
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
    const names = prefixes.map((prefix) => namespaceOfFolder(prefix.slice(folder.length, -1)))
    return names.flatMap((name) => (name === undefined ? [] : [[...parent, name]]))
  }

  async loadNamespace(namespace: Namespace): Promise<Properties> {
    return (await this.readMarker(namespace)).properties
  }

  private async readMarker(namespace: Namespace): Promise<{ properties: Properties; etag: string }> {
    const found = namespace.length === 0 ? undefined : await this.store.get(this.marker(namespace))
    if (found === undefined) throw new Failure('not_found', `no namespace ${namespace.join('.')}`)
    const { properties } = parseJson(text.decode(found.bytes)) as { properties: Properties }
    return { properties, etag: found.etag }
  }

  async updateNamespace(namespace: Namespace, { set = {}, remove = [] }: PropertyChange): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { properties, etag } = await this.readMarker(namespace)
      const kept = Object.entries(properties).filter(([key]) => !remove.includes(key))
      const bytes = utf8.encode(JSON.stringify({ properties: { ...Object.fromEntries(kept), ...set } }))
      try {
        await this.store.put(this.marker(namespace), bytes, { ifMatch: etag })
        return
      } catch (error) {
        const isConflict = error instanceof Failure && error.code === 'conflict'
        if (!isConflict || attempt >= ICEBERG_COMMIT_ATTEMPTS_MAX) throw error
        await backOff(this.clock, attempt)
      }
    }
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
    const folders = prefixes.filter((prefix) => namespaceOfFolder(prefix.slice(0, -1)) === undefined)
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
    const metadata = await this.stageTable(table, options)
    const key = tableKey(this.prefix, table)
    const state = await this.versions.write(key, 1, metadata)
    if (state === undefined) throw alreadyThere(table)
    return this.loaded(key, state)
  }

  async stageTable(table: TableName, options: NewTable): Promise<TableMetadata> {
    await this.loadNamespace(table.namespace)
    const key = tableKey(this.prefix, table)
    const location = this.files.locationOf(key)
    if (options.location !== undefined && withoutSlash(options.location) !== location) {
      throw new Failure('unsupported', `this catalog keeps ${formatTableName(table)} in ${location}`)
    }
    if ((await this.versions.newest(key)) !== undefined) throw alreadyThere(table)
    const updates = creationUpdates({ ...options, location }, randomUuid(this.clock))
    this.checkLocations(key, updates)
    return applyUpdates(undefined, updates, this.clock.nowMs())
  }

  async loadTable(table: TableName): Promise<LoadedTable> {
    const key = tableKey(this.prefix, table)
    const state = await this.versions.newest(key)
    if (state === undefined) throw noTable(table)
    return this.loaded(key, state)
  }

  async commitTable(table: TableName, { requirements, updates }: CommitRequest): Promise<LoadedTable> {
    const key = tableKey(this.prefix, table)
    this.checkLocations(key, updates)
    for (let attempt = 1; attempt <= ICEBERG_COMMIT_ATTEMPTS_MAX; attempt++) {
      const base = await settledState(this.versions, this.clock, key)
      checkRequirements(base?.metadata, requirements)
      if (base === undefined) await this.checkCreation(table, requirements)
      const applied = applyUpdates(base?.metadata, updates, this.clock.nowMs())
      const metadata = base === undefined ? applied : this.versions.logged(key, base, applied)
      const state = await this.versions.write(key, (base?.version ?? 0) + 1, metadata)
      if (state !== undefined) return this.loaded(key, state)
    }
    throw requirementFailed(`${formatTableName(table)}: other commits came first too often`)
  }

  /** A commit makes a table only when it says so, and only in a namespace. */
  private async checkCreation(table: TableName, requirements: CommitRequest['requirements']): Promise<void> {
    if (!requirements.some(({ type }) => type === 'assert-create')) throw noTable(table)
    await this.loadNamespace(table.namespace)
  }

  /** What a table names is in our stores: others must not have us read or write anywhere else.
   *  @throws invalid; unsupported for a table that shall be elsewhere */
  private checkLocations(key: string, updates: readonly Update[]): void {
    const own = this.files.locationOf(key)
    for (const update of updates) {
      if (update.action === 'set-location' && withoutSlash(update.location) !== own) {
        throw new Failure('unsupported', `this catalog keeps a table where it is, in ${own}`)
      }
      for (const location of locationsOf(update)) checkKey(this.files.placeOf(location).key)
    }
  }

  async commitTables(requests: readonly TableCommit[]): Promise<void> {
    const [only] = requests
    if (requests.length === 1 && only !== undefined) await this.commitTable(only.table, only.request)
    if (requests.length < 2) return
    const commits = requests.map(({ table, request }) => {
      const key = tableKey(this.prefix, table)
      this.checkLocations(key, request.updates)
      return { key, name: formatTableName(table), request }
    })
    await commitTogether(this.versions, this.clock, commits)
  }

  async renameTable(from: TableName, to: TableName): Promise<void> {
    const [old, wanted] = [formatTableName(from), formatTableName(to)]
    const message = `this catalog keeps a table in the folder of its name, so ${old} cannot become ${wanted}`
    throw new Failure('unsupported', `${message}; make ${wanted}, copy the rows, drop ${old}`)
  }

  async dropTable(table: TableName, { purge = false }: { readonly purge?: boolean } = {}): Promise<void> {
    const key = tableKey(this.prefix, table)
    if ((await settledState(this.versions, this.clock, key)) === undefined) throw noTable(table)
    await this.versions.remove(key)
    if (!purge) return
    const { objects } = await listAll(this.store, `${key}/`)
    await this.store.delete(objects.map((object) => object.key))
  }

  private loaded(key: string, { version, metadata }: TableState): LoadedTable {
    return { metadata, metadataLocation: this.versions.locationOf(key, version) }
  }
}

/** List the places that an update has a table name, but for its own. */
function locationsOf(update: Update): string[] {
  switch (update.action) {
    case 'add-snapshot':
      return [update.snapshot['manifest-list']]
    case 'set-statistics':
      return [update.statistics['statistics-path']]
    case 'set-partition-statistics':
      return [update['partition-statistics']['statistics-path']]
    case 'set-properties':
      return folderProperties.flatMap((name) => update.updates[name]?.replace(/\/+$/, '') ?? [])
    default:
      return []
  }
}

const folderProperties = ['write.data.path', 'write.metadata.path']
const withoutSlash = (location: string) => location.replace(/\/+$/, '')
const noTable = (table: TableName) => new Failure('not_found', `no table ${formatTableName(table)}`)
const alreadyThere = (table: TableName) => new Failure('exists', `table ${formatTableName(table)} exists already`)
