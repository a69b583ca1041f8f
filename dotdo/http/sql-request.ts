/** Requests for SQL, read and checked: a JSON object, or the SQL itself as text with the rest in the query. */
import { Failure } from '@dotdo/core/errors'
import { SQL_QUERY_CHARS_MAX, SQL_QUERY_PARAMETERS_MAX } from '@dotdo/core/limits'
import type { SqlRequest } from '@dotdo/core/tiering/sql'
import { z } from 'zod'

/** A moment, a snapshot or a branch or tag to read the past of. */
export type AsOf = NonNullable<SqlRequest['asOf']>

const scalar = z.union([z.null(), z.boolean(), z.string(), z.number()])
const sql = z.string().min(1).max(SQL_QUERY_CHARS_MAX)

const asOfObject = z.union([
  z.strictObject({ snapshotId: z.union([z.int(), z.string().regex(/^\d{1,19}$/)]) }),
  z.strictObject({ timestamp: z.union([z.int(), z.string()]) }),
  z.strictObject({ ref: z.string().min(1) }),
])

const bodySchema = z.strictObject({
  sql,
  database: z.string().default('default'),
  params: z.array(scalar).max(SQL_QUERY_PARAMETERS_MAX).optional(),
  asOf: z.union([z.string().min(1), asOfObject]).optional(),
  explain: z.boolean().default(false),
})

const querySchema = z.strictObject({
  database: z.string().default('default'),
  asOf: z.string().min(1).optional(),
  explain: z.enum(['true', 'false']).default('false'),
})

/** Say what is wrong with data from outside, field by field. */
function refuse(what: string, error: z.ZodError): never {
  const said = error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Failure('invalid', `${what}: ${said.join('; ')}`)
}

/** Read a moment: ISO 8601, a date alone being its first instant, and times without a zone being UTC. */
function timestampOf(text: string): number {
  const zoned = /[zZ]$|[+-]\d\d:?\d\d$/.test(text) || text.length <= 10
  const ms = Date.parse(zoned ? text : `${text.replace(' ', 'T')}Z`)
  if (Number.isNaN(ms)) throw new Failure('invalid', `${text} is no time; write 2026-11-21 or 2026-11-21T10:00:00Z`)
  return ms
}

function snapshotOf(id: string | number): AsOf {
  const exact = BigInt(id)
  const near = Number(exact)
  return { snapshotId: Number.isSafeInteger(near) ? near : exact }
}

/** Read what to look back to: digits are a snapshot's id, what begins like a date is a time, else a branch or a tag.
 *  @throws invalid for a time that is none */
export function parseAsOf(text: string): AsOf {
  if (/^\d{1,19}$/.test(text)) return snapshotOf(text)
  return /^\d{4}-\d\d/.test(text) ? { timestampMs: timestampOf(text) } : { ref: text }
}

function asOfBody(asOf: z.infer<typeof bodySchema>['asOf']): AsOf | undefined {
  if (asOf === undefined) return undefined
  if (typeof asOf === 'string') return parseAsOf(asOf)
  if ('snapshotId' in asOf) return snapshotOf(asOf.snapshotId)
  if ('ref' in asOf) return asOf
  return { timestampMs: typeof asOf.timestamp === 'number' ? asOf.timestamp : timestampOf(asOf.timestamp) }
}

function fromJson(text: string): SqlRequest {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid', `the body is not JSON: ${(error as Error).message}`)
  }
  const { data, error } = bodySchema.safeParse(body)
  if (error !== undefined) return refuse('body', error)
  const { database, params, explain } = data
  const unsafe = params?.find(
    (value) => typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value),
  )
  if (unsafe !== undefined) {
    throw new Failure(
      'invalid',
      `params: ${unsafe} is past 2^53 and was rounded on its way; give it as text, and cast it`,
    )
  }
  const asOf = asOfBody(data.asOf)
  return { text: data.sql, database, explain, ...(params && { params }), ...(asOf && { asOf }) }
}

function fromText(text: string, query: Readonly<Record<string, string>>): SqlRequest {
  const { data, error } = querySchema.safeParse(query)
  if (error !== undefined) return refuse('query', error)
  const checked = sql.safeParse(text)
  if (!checked.success) return refuse('body', checked.error)
  const { database, explain } = data
  const asOf = data.asOf === undefined ? undefined : parseAsOf(data.asOf)
  return { text, database, explain: explain === 'true', ...(asOf && { asOf }) }
}

/** Read a request for SQL.
 *  @param contentType of the body: `application/json`, or `text/plain` or `application/sql` for the SQL alone
 *  @param query used with SQL alone; with JSON everything stands in the body, and a query is refused
 *  @throws invalid, naming the field */
export function readSqlRequest(
  contentType: string | undefined,
  body: string,
  query: Readonly<Record<string, string>>,
): SqlRequest {
  const type = (contentType ?? 'application/json').replace(/;.*$/, '').trim().toLowerCase()
  if (type === 'text/plain' || type === 'application/sql') return fromText(body, query)
  if (type !== 'application/json') {
    throw new Failure('invalid', `the body is ${type}; send application/json, text/plain or application/sql`)
  }
  const [stray] = Object.keys(query)
  if (stray !== undefined) throw new Failure('invalid', `query: ${stray} belongs into the JSON body`)
  return fromJson(body)
}
