/** A client of any Iceberg REST catalog: R2 Data Catalog, Lakekeeper, Polaris, Glue, our own.
 *
 *  1. The catalog is asked for its configuration first: its overrides go before our options, these before its defaults.
 *  2. A commit is `unavailable` with an unknown outcome, or it is certain what became of it: files are deleted by that.
 *  3. What was loaded is kept, and asked for by its etag where the catalog gives one.
 *  @source https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml */
import { Failure } from '../../errors.ts'
import { ICEBERG_REST_TABLES_CACHED_MAX } from '../../limits.ts'
import { unavailable } from '../objects/port.ts'
import {
  type Catalog,
  formatTableName,
  type LoadedTable,
  type Namespace,
  type NewTable,
  type PropertyChange,
  type TableCommit,
  type TableName,
} from './catalog.ts'
import {
  type RestAnswer,
  RestClient,
  type RestConnection,
  type RestRequest,
  readObject,
} from './catalog-rest-request.ts'
import { formatVersion, type TableMetadata, toMetadata } from './metadata.ts'
import type { CommitRequest } from './update.ts'

/** Where a REST catalog is and who we are to it. */
export interface RestCatalogOptions extends RestConnection {
  /** Which of its warehouses: the catalog's name for it. */
  readonly warehouse?: string
  /** Before every path; mostly the catalog says it itself. */
  readonly prefix?: string
}

/** What the catalog says about itself. */
interface Config {
  /** Before every path, with its slash. */
  readonly prefix: string
  /** Between the parts of a namespace. */
  readonly separator: string
  /** What it can do, where it says that. */
  readonly endpoints: readonly string[] | undefined
}

type Properties = { readonly [key: string]: string }

/** Make a client of a REST catalog. Nothing is sent before it is used.
 *  @throws invalid for a uri that is no address */
export function restCatalog(options: RestCatalogOptions): Catalog {
  return new RestCatalog(options)
}

class RestCatalog implements Catalog {
  private readonly client: RestClient
  private readonly options: RestCatalogOptions
  private configured: Promise<Config> | undefined
  /** By path, the one used last at the end. */
  private readonly cached = new Map<string, { readonly etag: string; readonly table: LoadedTable }>()

  constructor(options: RestCatalogOptions) {
    this.options = options
    this.client = new RestClient(options)
  }

  private config(): Promise<Config> {
    this.configured ??= this.readConfig().catch((error) => {
      this.configured = undefined
      throw error
    })
    return this.configured
  }

  private async readConfig(): Promise<Config> {
    const { warehouse, prefix, uri } = this.options
    const answer = await this.client.send({ method: 'GET', path: 'config', query: { warehouse } })
    const {
      defaults = {},
      overrides = {},
      endpoints,
    } = readObject(answer, 'config') as {
      defaults?: Properties
      overrides?: Properties
      endpoints?: readonly string[]
    }
    // Credentials are for the address they were given for.
    const moved = overrides.uri
    if (moved !== undefined && moved.replace(/\/+$/, '') !== uri.replace(/\/+$/, '')) {
      throw new Failure('unsupported', `the catalog at ${uri} sends its clients to ${moved}; give that as its uri`)
    }
    const all: Properties = { ...defaults, ...(prefix !== undefined && { prefix }), ...overrides }
    const segments = (all.prefix ?? '').split('/').filter((segment) => segment !== '')
    return {
      prefix: segments.map((segment) => `${encodeURIComponent(segment)}/`).join(''),
      separator: decodeURIComponent(all['namespace-separator'] ?? '%1F'),
      endpoints,
    }
  }

  /** Send a request to a path after the prefix. */
  private async send(path: string, request: Omit<RestRequest, 'path'>): Promise<RestAnswer> {
    const { prefix } = await this.config()
    return this.client.send({ ...request, path: `${prefix}${path}` })
  }

  private async joined(namespace: Namespace): Promise<string> {
    const { separator } = await this.config()
    if (namespace.length === 0 || namespace.some((part) => part === '' || part.includes(separator))) {
      throw new Failure('invalid', `${JSON.stringify(namespace)} is no namespace`)
    }
    return namespace.join(separator)
  }

  private async namespacePath(namespace: Namespace): Promise<string> {
    return `namespaces/${encodeURIComponent(await this.joined(namespace))}`
  }

  private async tablePath({ namespace, name }: TableName): Promise<string> {
    if (name === '') throw new Failure('invalid', 'a table has a name')
    return `${await this.namespacePath(namespace)}/tables/${encodeURIComponent(name)}`
  }

  /** Read a list, page by page. */
  private async *pages(path: string, query: RestRequest['query'] = {}): AsyncGenerator<Record<string, unknown>> {
    let pageToken: string | undefined
    do {
      const answer = await this.send(path, { method: 'GET', query: { ...query, pageToken } })
      const page = readObject(answer, path)
      yield page
      const next = page['next-page-token'] as string | null | undefined
      if (next === pageToken && next !== undefined) throw new Failure('invalid', `${path}: a page follows itself`)
      pageToken = next ?? undefined
    } while (pageToken !== undefined && pageToken !== '')
  }

  async createNamespace(namespace: Namespace, properties: Properties = {}): Promise<void> {
    await this.joined(namespace)
    // Some catalogs make the parent by the way.
    if (namespace.length > 1) await this.loadNamespace(namespace.slice(0, -1))
    await this.send('namespaces', { method: 'POST', body: { namespace, properties }, conflict: 'exists' })
  }

  async listNamespaces(parent: Namespace = []): Promise<Namespace[]> {
    const query = parent.length === 0 ? {} : { parent: await this.joined(parent) }
    const found: Namespace[] = []
    for await (const { namespaces } of this.pages('namespaces', query)) {
      found.push(...((namespaces ?? []) as Namespace[]))
    }
    // Some catalogs pass over `parent`, and list the outermost.
    return found.filter((one) => one.length === parent.length + 1 && parent.every((part, at) => part === one[at]))
  }

  async loadNamespace(namespace: Namespace): Promise<Properties> {
    const answer = await this.send(await this.namespacePath(namespace), { method: 'GET' })
    return (readObject(answer, 'namespace').properties ?? {}) as Properties
  }

  async updateNamespace(namespace: Namespace, { set = {}, remove = [] }: PropertyChange): Promise<void> {
    // The protocol refuses a key that is removed and set.
    const body = { updates: set, removals: remove.filter((key) => !Object.hasOwn(set, key)) }
    await this.send(`${await this.namespacePath(namespace)}/properties`, { method: 'POST', body })
  }

  async dropNamespace(namespace: Namespace): Promise<void> {
    await this.send(await this.namespacePath(namespace), { method: 'DELETE' })
  }

  async listTables(namespace: Namespace): Promise<TableName[]> {
    const found: TableName[] = []
    for await (const { identifiers } of this.pages(`${await this.namespacePath(namespace)}/tables`)) {
      const names = (identifiers ?? []) as readonly TableName[]
      found.push(...names.map((one) => ({ namespace: one.namespace, name: one.name })))
    }
    return found
  }

  async createTable(table: TableName, options: NewTable): Promise<LoadedTable> {
    const answer = await this.sendNew(table, options, false)
    return this.keep(await this.tablePath(table), answer, readWritten(answer, table))
  }

  async stageTable(table: TableName, options: NewTable): Promise<TableMetadata> {
    return readTable(await this.sendNew(table, options, true), table).metadata
  }

  private async sendNew({ namespace, name }: TableName, options: NewTable, isStaged: boolean): Promise<RestAnswer> {
    const { schema, spec, sortOrder, location, properties = {}, formatVersion: version = formatVersion } = options
    const body = {
      name,
      ...(location !== undefined && { location }),
      schema,
      ...(spec !== undefined && { 'partition-spec': spec }),
      ...(sortOrder !== undefined && { 'write-order': sortOrder }),
      'stage-create': isStaged,
      // The protocol has no other place for it; catalogs differ in what they make by default.
      properties: { ...properties, 'format-version': `${version}` },
    }
    return this.send(`${await this.namespacePath(namespace)}/tables`, { method: 'POST', body, conflict: 'exists' })
  }

  async loadTable(table: TableName): Promise<LoadedTable> {
    const path = await this.tablePath(table)
    const known = this.cached.get(path)
    const headers = known && { headers: { 'if-none-match': known.etag } }
    const answer = await this.send(path, { method: 'GET', ...headers })
    if (answer.status !== 304) return this.keep(path, answer, readTable(answer, table))
    if (known === undefined) throw new Failure('invalid', `${path}: 304 without a condition`)
    this.cached.delete(path)
    this.cached.set(path, known)
    return known.table
  }

  /** Keep a table for its etag. */
  private keep(path: string, { headers }: RestAnswer, table: LoadedTable): LoadedTable {
    this.cached.delete(path)
    const etag = headers.get('etag')
    if (etag !== null) this.cached.set(path, { etag, table })
    for (const oldest of this.cached.keys()) {
      if (this.cached.size <= ICEBERG_REST_TABLES_CACHED_MAX) break
      this.cached.delete(oldest)
    }
    return table
  }

  async commitTable(table: TableName, { requirements, updates }: CommitRequest): Promise<LoadedTable> {
    const path = await this.tablePath(table)
    const body = { identifier: table, requirements, updates }
    const answer = await this.send(path, { method: 'POST', body, conflict: 'requirement' })
    return this.keep(path, answer, readWritten(answer, table))
  }

  async commitTables(requests: readonly TableCommit[]): Promise<void> {
    const [only] = requests
    if (requests.length === 1 && only !== undefined) await this.commitTable(only.table, only.request)
    if (requests.length < 2) return
    const names = requests.map(({ table }) => JSON.stringify([...table.namespace, table.name]))
    if (new Set(names).size < names.length) throw new Failure('invalid', 'a table is named twice in one commit')
    const { endpoints } = await this.config()
    if (endpoints !== undefined && !endpoints.includes('POST /v1/{prefix}/transactions/commit')) {
      throw new Failure('unsupported', 'this catalog does not commit several tables at once; commit one at a time')
    }
    const changes = requests.map(({ table, request }) => ({ identifier: table, ...request }))
    const body = { 'table-changes': changes }
    await this.send('transactions/commit', { method: 'POST', body, conflict: 'requirement' })
    for (const { table } of requests) this.cached.delete(await this.tablePath(table))
  }

  async renameTable(from: TableName, to: TableName): Promise<void> {
    const path = await this.tablePath(from)
    await this.tablePath(to)
    await this.send('tables/rename', { method: 'POST', body: { source: from, destination: to }, conflict: 'exists' })
    this.cached.delete(path)
  }

  async dropTable(table: TableName, { purge = false }: { readonly purge?: boolean } = {}): Promise<void> {
    const path = await this.tablePath(table)
    await this.send(path, { method: 'DELETE', query: { purgeRequested: `${purge}` } })
    this.cached.delete(path)
  }
}

/** Read a table from an answer. @throws unavailable, invalid, unsupported (a format newer than ours) */
function readTable(answer: RestAnswer, table: TableName): LoadedTable {
  const json = readObject(answer, formatTableName(table))
  return { metadata: toMetadata(json.metadata), metadataLocation: (json['metadata-location'] as string | null) ?? '' }
}

/** Read a table from the answer to a write.
 *  @throws unavailable when it cannot be read: the catalog has done what was asked for */
function readWritten(answer: RestAnswer, table: TableName): LoadedTable {
  try {
    return readTable(answer, table)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const message = `${formatTableName(table)}: the catalog's answer is no table: ${error.message}`
    throw unavailable(message, { outcome: 'unknown' }, error)
  }
}
