/** How a client of a REST catalog says who it is: a token, client credentials that fetch one, or a signature.
 *  @source RFC 6749, section 4.4 (client credentials)
 *  @source the REST catalog's OpenAPI, securitySchemes; Iceberg Java, `rest.sigv4-enabled` */
import { AwsV4Signer } from 'aws4fetch'
import { Failure } from '../../errors.ts'
import { ICEBERG_REST_TOKEN_EARLY_MS } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { unavailable } from '../objects/port.ts'
import type { Fetch } from '../objects/s3-request.ts'

/** A token that was given out of band, such as one of Cloudflare's API. */
export interface TokenCredentials {
  readonly token: string
}

/** A client's id and secret, for which the catalog (or another server) gives tokens. */
export interface ClientCredentials {
  readonly clientId: string
  readonly clientSecret: string
  /** `catalog` when left out; Polaris has `PRINCIPAL_ROLE:ALL`. */
  readonly scope?: string
  /** Where tokens are given; the catalog's own `v1/oauth/tokens` when left out. */
  readonly tokenUri?: string
}

/** Keys of AWS, for its Glue and S3 Tables catalogs. */
export interface SigV4Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of credentials that expire. */
  readonly sessionToken?: string
  readonly region: string
  /** Such as `glue` or `s3tables`. */
  readonly service: string
}

/** Who we are to a REST catalog. */
export type RestCredentials = TokenCredentials | ClientCredentials | SigV4Credentials

/** What is signed. */
export interface RestMessage {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array | undefined
}

/** Puts credentials to requests. */
export interface Authorizer {
  /** @returns the headers, those for authorization among them */
  authorize(message: RestMessage, signal: AbortSignal): Promise<Record<string, string>>
  /** Forget the token, which was refused. @returns whether there is a way to another */
  renew(): boolean
}

/** What authorizing needs. */
export interface AuthorizerParts {
  /** The catalog, without slash at its end. */
  readonly uri: string
  readonly fetch: Fetch
  readonly clock: Pick<Clock, 'nowMs'>
}

/** Make what puts credentials to requests. */
export function authorizerOf(credentials: RestCredentials | undefined, parts: AuthorizerParts): Authorizer {
  if (credentials === undefined) return { authorize: async ({ headers }) => headers, renew: () => false }
  if ('token' in credentials) {
    const { token } = credentials
    return { authorize: async ({ headers }) => ({ ...headers, authorization: `Bearer ${token}` }), renew: () => false }
  }
  if ('clientId' in credentials) return new TokenAuthorizer(credentials, parts)
  return { authorize: (message) => sign(message, credentials, parts.clock), renew: () => false }
}

async function sign(
  { method, url, headers, body }: RestMessage,
  credentials: SigV4Credentials,
  clock: Pick<Clock, 'nowMs'>,
): Promise<Record<string, string>> {
  const signer = new AwsV4Signer({
    ...credentials,
    method,
    url,
    headers,
    // Bytes of an ArrayBuffer of their own: the signer hashes all of it.
    ...(body !== undefined && { body: body.slice().buffer as ArrayBuffer }),
    datetime: new Date(clock.nowMs()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  })
  return Object.fromEntries((await signer.sign()).headers)
}

interface Token {
  readonly text: string
  readonly untilMs: number
}

/** Fetches tokens, and others before they expire. Requests that need one at the same time wait for the same. */
class TokenAuthorizer implements Authorizer {
  private readonly credentials: ClientCredentials
  private readonly parts: AuthorizerParts
  private token: Promise<Token> | undefined

  constructor(credentials: ClientCredentials, parts: AuthorizerParts) {
    this.credentials = credentials
    this.parts = parts
  }

  async authorize({ headers }: RestMessage, signal: AbortSignal): Promise<Record<string, string>> {
    const known = this.token === undefined ? undefined : await this.token
    if (known !== undefined && known.untilMs <= this.parts.clock.nowMs()) this.token = undefined
    this.token ??= this.request(signal).catch((error) => {
      this.token = undefined
      throw error
    })
    return { ...headers, authorization: `Bearer ${(await this.token).text}` }
  }

  renew(): boolean {
    this.token = undefined
    return true
  }

  private async request(signal: AbortSignal): Promise<Token> {
    const { clientId, clientSecret, scope = 'catalog', tokenUri } = this.credentials
    const { uri, fetch, clock } = this.parts
    const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope }
    const pairs = Object.entries(form).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    const askedMs = clock.nowMs()
    const answer = await fetch(tokenUri ?? `${uri}/v1/oauth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new TextEncoder().encode(pairs.join('&')),
      redirect: 'manual',
      signal,
    })
    const text = new TextDecoder().decode(await answer.arrayBuffer())
    return readToken(answer.status, text, askedMs)
  }
}

function readToken(status: number, text: string, askedMs: number): Token {
  const json = parseObject(text)
  if (status === 429 || status >= 500) throw unavailable(`no token: ${status}`, { outcome: 'none', status })
  if (status < 200 || status > 299) {
    const why = [json.error, json.error_description].filter((part) => typeof part === 'string').join(': ')
    throw new Failure('unauthenticated', `the catalog gives no token: ${status} ${why}`.trimEnd())
  }
  const { access_token: token, expires_in: seconds = 3_600 } = json
  if (typeof token !== 'string' || token === '' || typeof seconds !== 'number') {
    throw new Failure('unauthenticated', 'what the catalog gave is no token')
  }
  return { text: token, untilMs: askedMs + seconds * 1_000 - ICEBERG_REST_TOKEN_EARLY_MS }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
