/** `/iceberg`: an Iceberg REST catalog over the lake's own, so that DuckDB, Spark, PyIceberg, Trino and ClickHouse
 *  attach to a running dotdo. In `:namespace`, %1F (the unit separator) is between parts.
 *
 *      GET    /v1/config                                         what there is, for clients
 *      *      /v1/namespaces, /v1/namespaces/:namespace          iceberg-namespaces.ts
 *      GET    /v1/namespaces/:namespace/tables                   by name, a page at a time
 *      POST   /v1/namespaces/:namespace/tables                   makes a table, or stages one
 *      GET    /v1/namespaces/:namespace/tables/:table            its state; 304 by etag; HEAD: whether it is there
 *      POST   /v1/namespaces/:namespace/tables/:table            commits
 *      DELETE /v1/namespaces/:namespace/tables/:table            ?purgeRequested=true deletes its files too
 *      POST   /v1/namespaces/:namespace/tables/:table/metrics    taken, and left at that
 *      POST   /v1/namespaces/:namespace/register                 refused: tables are in folders of their own
 *      POST   /v1/tables/rename                                  where the catalog can
 *      POST   /v1/transactions/commit                            several tables at one moment
 *
 *  Errors are the protocol's ErrorModel; integers of 64 bits stay exact both ways.
 *  @source https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml */
import { Failure } from '@dotdo/core/errors'
import {
  type Catalog,
  type CommitRequest,
  type LoadedTable,
  type NewTable,
  stringifyJson,
  type TableMetadata,
  type TableName,
  withFreshIds,
} from '@dotdo/core/tiering/iceberg'
import { type Context, Hono } from 'hono'
import { answerIcebergError, type Subject } from './iceberg-errors.ts'
import { namespaceOf, namespacesRoutes, pageOf } from './iceberg-namespaces.ts'
import { bodies, readBody } from './iceberg-request.ts'

/** What the routes need. */
export interface IcebergParts {
  readonly catalog: Catalog
  /** Configuration that clients must follow, such as `s3.endpoint`. Everybody with the password reads it. */
  readonly overrides?: Readonly<Record<string, string>>
  /** Configuration that comes with every table that is loaded, such as where its files are and how they are read. */
  tableConfig?(table: TableName, metadata: TableMetadata): Readonly<Record<string, string>>
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

const endpoints = [
  'GET /v1/{prefix}/namespaces',
  'POST /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'DELETE /v1/{prefix}/namespaces/{namespace}',
  'POST /v1/{prefix}/namespaces/{namespace}/properties',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'POST /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics',
  'POST /v1/{prefix}/tables/rename',
  'POST /v1/{prefix}/transactions/commit',
]

/** Make the routes under `/iceberg`. */
export function icebergRoutes(parts: IcebergParts): Hono {
  const { catalog, overrides = {}, onBug = () => undefined } = parts
  const routes = new Hono()
  routes.onError((error, context) => answerIcebergError(context, error, subjectOf(context), onBug))
  routes.get('/v1/config', (context) => context.json({ defaults: {}, overrides, endpoints }))
  routes.route('/v1/namespaces', namespacesRoutes(catalog))
  tablesRoutes(routes, parts)
  routes.post('/v1/tables/rename', async (context) => {
    const { source, destination } = await readBody(bodies.renameTable, context)
    await catalog.renameTable(source, destination)
    return context.body(null, 204)
  })
  routes.post('/v1/transactions/commit', async (context) => {
    const { 'table-changes': changes } = await readBody(bodies.commitTables, context)
    const requests = changes.map(({ identifier, ...request }) => ({
      table: identifier,
      request: request as CommitRequest,
    }))
    await catalog.commitTables(requests)
    return context.body(null, 204)
  })
  // Views, scan planning, credentials: what a client may ask for and this catalog does not have.
  routes.all('*', (context) => {
    const message = `${context.req.method} ${context.req.path} is not supported`
    return context.json({ error: { message, type: 'UnsupportedOperationException', code: 406 } }, 406)
  })
  return routes
}

/** What a request is about, for errors. */
function subjectOf({ req }: Context): Subject {
  const { pathname } = new URL(req.url)
  const isTable = /\/namespaces\/[^/]+\/tables\/[^/]+$/.test(pathname)
  if (req.method === 'POST' && (isTable || /\/transactions\/commit$/.test(pathname))) return 'commit'
  return isTable || /\/tables\/rename$/.test(pathname) ? 'table' : 'namespace'
}

function tableOf(context: Context): TableName {
  return { namespace: namespaceOf(context), name: context.req.param('table') as string }
}

function tablesRoutes(routes: Hono, parts: IcebergParts): void {
  const { catalog } = parts
  const all = '/v1/namespaces/:namespace/tables'
  const one = `${all}/:table`
  routes.get(all, async (context) => {
    const tables = await catalog.listTables(namespaceOf(context))
    const { page, next } = pageOf(context, tables, ({ name }) => name)
    return context.json({ identifiers: page, 'next-page-token': next })
  })
  routes.post(all, async (context) => {
    const body = await readBody(bodies.createTable, context)
    const table = { namespace: namespaceOf(context), name: body.name }
    const options = newTableOf(body)
    if (!body['stage-create']) return answerTable(context, parts, table, await catalog.createTable(table, options))
    return answerTable(context, parts, table, { metadata: await catalog.stageTable(table, options) })
  })
  routes.get(one, async (context) => {
    const table = tableOf(context)
    const loaded = await catalog.loadTable(table)
    if (context.req.method === 'HEAD') return context.body(null, 204)
    return answerTable(context, parts, table, loaded)
  })
  routes.post(one, async (context) => {
    const table = tableOf(context)
    const { identifier, ...request } = await readBody(bodies.commitTable, context)
    const named = identifier ?? table
    if (JSON.stringify([...named.namespace, named.name]) !== JSON.stringify([...table.namespace, table.name])) {
      throw new Failure('invalid', 'the identifier is not the table of the path')
    }
    const loaded = await catalog.commitTable(table, request as CommitRequest)
    return answerTable(context, parts, table, loaded)
  })
  routes.delete(one, async (context) => {
    await catalog.dropTable(tableOf(context), { purge: context.req.query('purgeRequested') === 'true' })
    return context.body(null, 204)
  })
  routes.post(`${one}/metrics`, async (context) => {
    await readBody(bodies.reportMetrics, context)
    return context.body(null, 204)
  })
  routes.post('/v1/namespaces/:namespace/register', async (context) => {
    const { name, 'metadata-location': location } = await readBody(bodies.registerTable, context)
    const message = `${name} at ${location} cannot be registered: this catalog keeps tables in folders of their own`
    throw new Failure('unsupported', `${message}; make a table, and write its rows or add its data files`)
  })
}

/** Turn the body of a creation into options for the catalog. */
function newTableOf(body: ReturnType<typeof bodies.createTable.parse>): NewTable {
  const { schema, location, 'partition-spec': spec, 'write-order': sortOrder } = body
  const { 'format-version': version, ...properties } = body.properties ?? {}
  if (version !== undefined && !/^\d$/.test(version)) throw new Failure('invalid', `format-version ${version}`)
  return withFreshIds({
    schema,
    ...(spec && { spec }),
    ...(sortOrder && { sortOrder }),
    ...(location && { location }),
    // What is asked for as v1 is made as v2, which every reader of today reads.
    ...(version !== undefined && { formatVersion: Math.max(2, Number(version)) }),
    properties,
  } as NewTable)
}

type Answered = Pick<LoadedTable, 'metadata'> & Partial<LoadedTable>

/** Answer with a table's state, or with 304 when the client has it. */
function answerTable(context: Context, parts: IcebergParts, table: TableName, loaded: Answered): Response {
  const { metadata, metadataLocation } = loaded
  const isRefs = context.req.method === 'GET' && context.req.query('snapshots') === 'refs'
  const config = parts.tableConfig?.(table, metadata) ?? {}
  if (metadataLocation !== undefined) {
    // A name that is used again has the same locations: the uuid tells.
    const state = `${metadata['table-uuid']}:${metadataLocation}${isRefs ? ':refs' : ''}`
    const etag = `"${encodeURIComponent(state)}"`
    context.header('ETag', etag)
    if (context.req.method === 'GET' && context.req.header('If-None-Match') === etag) return context.body(null, 304)
  }
  const location = metadataLocation !== undefined && { 'metadata-location': metadataLocation }
  const body = { ...location, metadata: isRefs ? withoutHistory(metadata) : metadata, config }
  return context.body(stringifyJson(body), 200, { 'Content-Type': 'application/json' })
}

/** Leave out the snapshots that no branch or tag is at. */
function withoutHistory(metadata: TableMetadata): TableMetadata {
  const named = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']))
  return { ...metadata, snapshots: metadata.snapshots.filter((snapshot) => named.has(snapshot['snapshot-id'])) }
}
