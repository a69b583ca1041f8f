/** R2 SQL (Basin SQL) as an engine: queries that the planner refuses, over what the lake's tables hold in R2's catalog.
 *
 *  1. It sees what has been committed, not what shards have since; it has neither parameters nor time travel here.
 *  2. Results come whole: the API has no pages.
 *  @source https://developers.cloudflare.com/r2-sql/query-data/ (the request)
 *  @source Cloudflare's wrangler 4.86, src/r2/sql.ts (the reply: `success`, `errors`, and `result` with `schema`,
 *    `rows` and `metrics`) */
import { Failure } from '../../errors.ts'
import { QUERY_BATCH_ROWS, R2_SQL_MS_MAX, R2_SQL_REPLY_BYTES_MAX } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { parseJson } from '../../tiering/iceberg/json.ts'
import type { SqlColumn, SqlEngine, SqlRequest, SqlResult, SqlResultValue } from '../../tiering/sql/port.ts'

/** Where R2 SQL is, and who asks. */
export interface R2SqlOptions {
  readonly accountId: string
  /** The bucket of the catalog: the part of the warehouse's name after `accountId_`. */
  readonly bucket: string
  /** An API token with R2 SQL (read), R2 Data Catalog (read) and R2 storage permissions. */
  readonly token: string
  readonly clock: Clock
  fetch(url: string, init: RequestInit): Promise<Response>
  /** Default https://api.sql.cloudflarestorage.com. */
  readonly endpoint?: string
}

interface Reply {
  readonly success?: boolean
  readonly errors?: readonly { readonly code?: unknown; readonly message?: unknown }[]
  readonly result?: {
    readonly schema?: readonly Described[]
    readonly rows?: readonly { readonly [column: string]: unknown }[]
    readonly metrics?: { readonly bytes_scanned?: number; readonly files_scanned?: number }
  }
}

/** A column of the reply; of its type, Cloudflare's own client reads nothing. */
interface Described {
  readonly name: string
  readonly descriptor?: { readonly type?: { readonly name?: string } }
}

/** Make the engine.
 *  @throws invalid for a name that is no account or bucket */
export function r2Sql(options: R2SqlOptions): SqlEngine {
  const { accountId, bucket, endpoint = 'https://api.sql.cloudflarestorage.com' } = options
  if (!/^[0-9a-zA-Z]{1,64}$/.test(accountId)) throw new Failure('invalid', 'accountId is letters and digits')
  if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)) throw new Failure('invalid', `${bucket} is no bucket's name`)
  const url = `${endpoint}/api/v1/accounts/${accountId}/r2-sql/query/${bucket}`
  return {
    async query(request) {
      const startMs = options.clock.nowMs()
      const reply = await ask(options, url, request)
      return resultOf(reply, () => options.clock.nowMs() - startMs)
    },
    async describe() {
      throw new Failure('unsupported', 'R2 SQL does not list tables here: ask the catalog under /iceberg')
    },
  }
}

async function ask({ token, fetch }: R2SqlOptions, url: string, request: SqlRequest): Promise<Reply> {
  const { text, params = [], asOf, explain, stop } = request
  if (params.length > 0) throw new Failure('unsupported', 'R2 SQL takes no parameters: write the values into the query')
  if (asOf !== undefined) throw new Failure('unsupported', "R2 SQL reads the present only: use Node's engine or Spark")
  const controller = new AbortController()
  const abort = () => controller.abort()
  const timer = setTimeout(abort, R2_SQL_MS_MAX)
  stop?.addEventListener('abort', abort)
  try {
    if (stop?.aborted === true) abort()
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: explain === true ? `explain ${text}` : text }),
      signal: controller.signal,
    })
    return await read(response)
  } catch (error) {
    if (error instanceof Failure) throw error
    const what = stop?.aborted === true ? 'the query was called off' : `R2 SQL did not answer: ${messageOf(error)}`
    throw new Failure('unavailable', what, undefined, error)
  } finally {
    clearTimeout(timer)
    stop?.removeEventListener('abort', abort)
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : `${error}`)

async function read(response: Response): Promise<Reply> {
  const body = await textOf(response)
  let reply: Reply | undefined
  try {
    reply = parseJson(body) as Reply
  } catch {
    reply = undefined
  }
  if (response.ok && reply?.success === true) return reply
  const told = (reply?.errors ?? []).map(({ code, message }) => `${message} (${code})`).join('; ')
  throw failureOf(response, told === '' ? body.slice(0, 200) : told)
}

/** Read a body, up to what an isolate can hold. */
async function textOf({ body }: Response): Promise<string> {
  if (body === null) return ''
  const decoder = new TextDecoder()
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  let text = ''
  for (let size = 0; ; ) {
    const { done, value } = await reader.read()
    if (done || value === undefined) return text + decoder.decode()
    size += value.length
    if (size > R2_SQL_REPLY_BYTES_MAX) {
      await reader.cancel()
      throw new Failure('limit', `R2 SQL answered more than ${R2_SQL_REPLY_BYTES_MAX} bytes: set a limit`)
    }
    text += decoder.decode(value, { stream: true })
  }
}

function failureOf({ status, headers }: Response, told: string): Failure {
  const message = `R2 SQL: ${told}`
  if (status === 401) return new Failure('unauthenticated', message)
  if (status === 403) return new Failure('forbidden', message)
  if (status === 404) return new Failure('not_found', message)
  if (status === 429) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN)
    return new Failure('unavailable', message, Number.isNaN(seconds) ? undefined : { retryAfterMs: seconds * 1000 })
  }
  // What was refused with 200 is the query.
  return status < 500 ? new Failure('invalid', message) : new Failure('unavailable', message)
}

const typeNames: { readonly [name: string]: string } = {
  bool: 'boolean',
  int8: 'int',
  int16: 'int',
  int32: 'int',
  uint8: 'int',
  uint16: 'int',
  uint32: 'long',
  int64: 'long',
  uint64: 'long',
  float32: 'double',
  float64: 'double',
  float: 'double',
  utf8: 'string',
  largeutf8: 'string',
  utf8view: 'string',
}

function columnOf({ name, descriptor }: Described): SqlColumn {
  const type = (descriptor?.type?.name ?? 'json').toLowerCase()
  // Times come as the API writes them: what it means by which text is not documented.
  if (type.startsWith('timestamp')) return { name, type: 'string' }
  return { name, type: typeNames[type] ?? type }
}

function resultOf({ result }: Reply, elapsedMs: () => number): SqlResult {
  const { schema = [], rows = [], metrics } = result ?? {}
  const took = elapsedMs()
  const names = schema.map(({ name }) => name)
  async function* batches() {
    for (let at = 0; at < rows.length; at += QUERY_BATCH_ROWS) {
      yield rows
        .slice(at, at + QUERY_BATCH_ROWS)
        .map((row) => names.map((name) => (row[name] ?? null) as SqlResultValue))
    }
  }
  return {
    columns: schema.map(columnOf),
    batches: batches(),
    stats: () => ({
      elapsedMs: took,
      rows: rows.length,
      files: metrics?.files_scanned ?? 0,
      filesPruned: 0,
      bytesRead: metrics?.bytes_scanned ?? 0,
      bytesCached: 0,
      bytesPruned: 0,
      hotRows: 0,
      shards: 0,
    }),
    close: async () => undefined,
  }
}
