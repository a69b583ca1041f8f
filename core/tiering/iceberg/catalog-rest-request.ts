/** Requests to a REST catalog, and what its answers mean.
 *
 *  1. What was refused before anything was done (429, 503 with Retry-After) is sent again, after as long as the catalog
 *     asks for; reads are sent again after any failure that may pass.
 *  2. A write that was not answered may have been done: it is never sent again blindly. The caller gets `unavailable`
 *     with an unknown outcome, and looks. The same holds for a refusal that may be due to our own first attempt.
 *  3. `Retry-After` holds back every request to the catalog; one longer than a minute is the caller's to keep.
 *  @source the REST catalog's OpenAPI, ErrorModel and the responses of each operation */
import { Failure } from '../../errors.ts'
import {
  ICEBERG_REST_ATTEMPT_MS_MAX,
  OBJECT_ATTEMPTS_MAX,
  OBJECT_REQUESTS_MAX,
  OBJECT_RETRY_AFTER_MS_MAX,
} from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { Gate } from '../objects/gate.ts'
import { storeFault, unavailable } from '../objects/port.ts'
import type { Fetch } from '../objects/s3-request.ts'
import { backOff } from './back-off.ts'
import { type Authorizer, authorizerOf, type RestCredentials } from './catalog-rest-auth.ts'
import { parseJson, stringifyJson } from './json.ts'
import { requirementFailed } from './requirement.ts'

/** How a REST catalog is reached. */
export interface RestConnection {
  /** The catalog, such as https://catalog.cloudflarestorage.com/<account>/<bucket>; `/v1/...` follows. */
  readonly uri: string
  readonly credentials?: RestCredentials
  /** The host's: globalThis.fetch. */
  readonly fetch: Fetch
  readonly clock: Clock
}

/** A request. */
export interface RestRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** After `v1/`, encoded. */
  readonly path: string
  readonly query?: { readonly [name: string]: string | undefined }
  readonly body?: unknown
  readonly headers?: Record<string, string>
  /** What 409 means. */
  readonly conflict?: 'exists' | 'conflict' | 'requirement'
}

/** An answer of 2xx or 304. */
export interface RestAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly text: string
}

/** Sends requests to one catalog. */
export class RestClient {
  private readonly connection: RestConnection
  private readonly base: string
  private readonly authorizer: Authorizer
  private readonly gate: Gate

  /** @throws invalid for a uri that is no address */
  constructor(connection: RestConnection) {
    const { uri, credentials, fetch, clock } = connection
    if (!/^https?:\/\/[^/?#\s@]+(\/[^?#\s]*)?$/.test(uri)) {
      throw new Failure('invalid', `a catalog's uri is an address such as https://host/path, not ${uri}`)
    }
    this.connection = connection
    this.base = uri.replace(/\/+$/, '')
    this.authorizer = authorizerOf(credentials, { uri: this.base, fetch, clock })
    this.gate = new Gate(clock, OBJECT_REQUESTS_MAX)
  }

  /** Send a request, again where that is right.
   *  @throws Failure for every status but 2xx and 304; `unavailable` when the outcome is not known */
  async send(request: RestRequest): Promise<RestAnswer> {
    const isRead = request.method === 'GET'
    let maybeDone = false
    let isRenewed = false
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.gate.pass(ICEBERG_REST_ATTEMPT_MS_MAX, undefined, (signal) => this.once(request, signal))
      } catch (error) {
        if (!isRenewed && isRefusedToken(error) && this.authorizer.renew()) {
          isRenewed = true
          continue
        }
        const fault = storeFault(error)
        if (fault === undefined) throw maybeDone && couldBeOurs(error) ? unclear(error) : error
        const { outcome, status, retryAfterMs = 0 } = fault
        if (!isRead && (outcome === 'unknown' || status === 503)) maybeDone = true
        const isLast = attempt >= OBJECT_ATTEMPTS_MAX || retryAfterMs > OBJECT_RETRY_AFTER_MS_MAX
        if (isLast || (!isRead && outcome === 'unknown')) throw maybeDone ? unclear(error) : error
        if (retryAfterMs > 0) this.gate.closeFor(retryAfterMs)
        await backOff(this.connection.clock, attempt)
      }
    }
  }

  private async once(request: RestRequest, signal: AbortSignal): Promise<RestAnswer> {
    const { method, path, query = {}, body } = request
    const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
    const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
    const url = `${this.base}/v1/${path}${search === '' ? '' : `?${search}`}`
    const bytes = body === undefined ? undefined : new TextEncoder().encode(stringifyJson(body))
    const json: Record<string, string> = bytes === undefined ? {} : { 'content-type': 'application/json' }
    const given = { accept: 'application/json', ...json, ...request.headers }
    const message = { method, url, headers: given, body: bytes }
    const what = `${method} ${path}`
    const headers = await this.authorizer.authorize(message, signal).catch((error) => {
      throw error instanceof Failure ? error : unavailable(`${what}: ${error}`, { outcome: 'none' }, error)
    })
    const init = { method, headers, redirect: 'manual' as const, signal, ...(bytes && { body: bytes }) }
    try {
      const answer = await this.connection.fetch(url, init)
      const text = new TextDecoder().decode(await answer.arrayBuffer())
      const { status } = answer
      if ((status >= 200 && status < 300) || status === 304) return { status, headers: answer.headers, text }
      throw failureOf(request, { status, headers: answer.headers, text }, this.connection.clock.nowMs())
    } catch (error) {
      throw error instanceof Failure ? error : unavailable(`${what}: ${error}`, { outcome: 'unknown' }, error)
    }
  }
}

/** Read the JSON object of an answer.
 *  @throws unavailable: what was asked for may have been done */
export function readObject({ text }: RestAnswer, what: string): Record<string, unknown> {
  try {
    const json = parseJson(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
  } catch (error) {
    throw unavailable(`${what}: the catalog's answer is not JSON`, { outcome: 'unknown' }, error)
  }
  throw unavailable(`${what}: the catalog's answer is no object`, { outcome: 'unknown' })
}

const isRefusedToken = (error: unknown) => error instanceof Failure && error.code === 'unauthenticated'

/** A refusal that our own first attempt, of which nothing was heard, may have brought about. */
function couldBeOurs(error: unknown): boolean {
  return (
    error instanceof Failure && (error.code === 'conflict' || error.code === 'exists' || error.code === 'not_found')
  )
}

function unclear(error: unknown): Failure {
  const fault = storeFault(error) ?? {}
  return unavailable((error as Error).message, { ...fault, outcome: 'unknown' }, error)
}

interface ErrorModel {
  readonly type: string
  readonly message: string
}

/** Read an error's body: the protocol's own, or whatever else has a message. */
function readError(text: string): ErrorModel {
  try {
    const { error } = parseJson(text) as { error?: { type?: unknown; message?: unknown } }
    const { type, message } = error ?? {}
    return { type: typeof type === 'string' ? type : '', message: typeof message === 'string' ? message : '' }
  } catch {
    return { type: '', message: text.slice(0, 200) }
  }
}

/** Tell the failure of an answer that is none. */
function failureOf({ method, path, conflict = 'conflict' }: RestRequest, answer: RestAnswer, nowMs: number): Failure {
  const { status, headers } = answer
  const { type, message } = readError(answer.text)
  const text = `${method} ${path}: ${status}${type && ` ${type}`}${message && `: ${message}`}`
  const detail = { status, ...(type !== '' && { type }) }
  // R2's word for another commit that came first.
  if (status === 400 && /ConcurrentUpdate/.test(`${type} ${message}`)) return requirementFailed(text)
  if (status === 409) return conflict === 'requirement' ? requirementFailed(text) : new Failure(conflict, text, detail)
  if (status === 429 || status >= 500) {
    if (status === 501) return new Failure('unsupported', text, detail)
    const retryAfterMs = readRetryAfter(headers.get('retry-after'), nowMs)
    const isRefused = status === 429 || (status === 503 && retryAfterMs !== undefined)
    const after = retryAfterMs !== undefined && { retryAfterMs }
    return unavailable(text, { ...detail, outcome: isRefused ? 'none' : 'unknown', ...after })
  }
  const code = refusals[status] ?? 'invalid'
  return new Failure(code, text, detail)
}

const refusals: { readonly [status: number]: 'unauthenticated' | 'forbidden' | 'not_found' | 'unsupported' | 'limit' } =
  {
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'not_found',
    405: 'unsupported',
    406: 'unsupported',
    413: 'limit',
    // The protocol's own: the token's time is over.
    419: 'unauthenticated',
  }

/** Read Retry-After: seconds, or a date.
 *  @source RFC 9110, 10.2.3 */
function readRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,6}$/.test(header)) return Number(header) * 1_000
  const atMs = Date.parse(header)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
