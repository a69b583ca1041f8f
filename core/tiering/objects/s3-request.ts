/** Requests to S3 and what its answers mean: signing, sending, and the failure of every status.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
import { AwsV4Signer } from 'aws4fetch'
import { Failure } from '../../errors.ts'
import type { Clock } from '../../shard/clock.ts'
import { type StoreFault, unavailable } from './port.ts'
import { findText, parseXml } from './xml.ts'

/** What is used of an answer. */
export interface FetchAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  arrayBuffer(): Promise<ArrayBuffer>
}

/** The `fetch` of a host, as far as it is used. */
export type Fetch = (
  url: string,
  init: {
    method: string
    headers: Record<string, string>
    body?: Uint8Array
    redirect: 'manual'
    signal?: AbortSignal
  },
) => Promise<FetchAnswer>

/** Where a bucket is and who we are to it. */
export interface S3Options {
  /** The server, such as https://<account>.r2.cloudflarestorage.com or https://s3.eu-central-1.amazonaws.com. */
  readonly endpoint: string
  readonly bucket: string
  /** `auto` for R2. */
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of credentials that expire. */
  readonly sessionToken?: string
  /** Whether the bucket is in the path (the default: R2, MinIO) or in the host's name (S3). */
  readonly style?: 'path' | 'virtual'
  /** Where new objects are kept, such as STANDARD_IA or GLACIER_IR; the bucket's default when left out. */
  readonly storageClass?: string
  /** The host's: globalThis.fetch. */
  readonly fetch: Fetch
  readonly clock: Pick<Clock, 'nowMs'>
}

/** A request as the operations of the store make it. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Left out: the bucket itself. */
  readonly key?: string
  readonly query?: { readonly [name: string]: string }
  readonly headers?: { readonly [name: string]: string | undefined }
  readonly body?: Uint8Array
  readonly signal?: AbortSignal | undefined
  /** Statuses, besides those from 200 to 299, that the caller reads itself. */
  readonly expected?: readonly number[]
}

/** An answer, read to its end. */
export interface S3Answer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly bytes: Uint8Array
}

/** Encode as SigV4 asks: everything but letters, digits, '-', '.', '_' and '~'. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Sends signed requests to one bucket. */
export class S3Client {
  private readonly options: S3Options
  private readonly base: string
  /** Signing keys, by date: aws4fetch derives one a day. */
  private readonly signingKeys = new Map<string, ArrayBuffer>()

  /** @throws invalid for an endpoint or a bucket that makes no address */
  constructor(options: S3Options) {
    this.options = options
    this.base = baseOf(options)
  }

  /** Send a request once.
   *  @throws Failure for every status but 2xx and those expected; `unavailable` when nothing came back */
  async send(request: S3Request): Promise<S3Answer> {
    const { method, body, signal, expected = [] } = request
    const { url, headers } = await this.sign(request)
    const what = `${method} ${request.key ?? this.options.bucket}`
    let answer: FetchAnswer
    let bytes: Uint8Array
    try {
      const init = { method, headers, redirect: 'manual' as const, ...(body && { body }), ...(signal && { signal }) }
      answer = await this.options.fetch(url, init)
      bytes = new Uint8Array(await answer.arrayBuffer())
    } catch (cause) {
      throw unavailable(`${what}: ${reason(cause)}`, { outcome: 'unknown' }, cause)
    }
    const { status } = answer
    if ((status >= 200 && status < 300) || expected.includes(status)) return { status, headers: answer.headers, bytes }
    throw failureOf(what, answer, bytes)
  }

  private async sign(request: S3Request): Promise<{ url: string; headers: Record<string, string> }> {
    const { accessKeyId, secretAccessKey, sessionToken, region, clock } = this.options
    const query = Object.entries(request.query ?? {}).map(([name, value]) => `${name}=${encodeStrictly(value)}`)
    const path = request.key === undefined ? '' : `/${request.key.split('/').map(encodeStrictly).join('/')}`
    const url = `${this.base}${path || '/'}${query.length > 0 ? '?' : ''}${query.join('&')}`
    const given = Object.entries(request.headers ?? {}).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    )
    const signer = new AwsV4Signer({
      method: request.method,
      url,
      headers: given,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service: 's3',
      region,
      cache: this.signingKeys,
      datetime: new Date(clock.nowMs()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    })
    // Proxies rewrite Accept-Encoding, so it must not be signed; it is there so that ranges are ranges of the object.
    const headers = Object.fromEntries((await signer.sign()).headers)
    return { url, headers: { ...headers, 'accept-encoding': 'identity' } }
  }
}

function baseOf({ endpoint, bucket, style = 'path' }: S3Options): string {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw new Failure('invalid', `not a bucket: ${bucket}`)
  const parts = /^(https?:\/\/)([^/?#\s@]+)(\/[^?#\s]*)?$/.exec(endpoint)
  if (parts === null) throw new Failure('invalid', `an endpoint is an address such as https://host, not ${endpoint}`)
  const [, scheme, host, path = ''] = parts
  const folder = path.replace(/\/+$/, '')
  return style === 'virtual' ? `${scheme}${bucket}.${host}${folder}` : `${scheme}${host}${folder}/${bucket}`
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message
}

/** Codes of refusals that were made before anything was done, whatever their status. */
const refused = new Set([
  'SlowDown',
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeout',
  'TooManyRequests',
])

/** Read the error of an answer: its code and message, of which the body of a HEAD has neither. */
function readError(bytes: Uint8Array): { code: string; message: string } {
  try {
    const error = parseXml(new TextDecoder().decode(bytes), 'Error')
    return { code: findText(error, 'Code') ?? '', message: findText(error, 'Message') ?? '' }
  } catch {
    return { code: '', message: '' }
  }
}

/** Tell the failure of an answer that is none.
 *  @param what the request, for the message */
export function failureOf(what: string, answer: Pick<S3Answer, 'status' | 'headers'>, bytes: Uint8Array): Failure {
  const { status, headers } = answer
  const { code, message } = readError(bytes)
  const text = `${what}: ${status}${code && ` ${code}`}${message && `: ${message}`}`
  const detail = { status, ...(code !== '' && { code }) }
  if (status === 501) return new Failure('unsupported', text, detail)
  if (status === 507) return new Failure('storage', text, detail)
  if (status === 412 || code === 'PreconditionFailed') return new Failure('conflict', text, detail)
  if (status === 429 || status >= 500 || refused.has(code) || code === 'InternalError') {
    const retryAfterMs = readRetryAfter(headers.get('retry-after'))
    const outcome: StoreFault['outcome'] = status === 429 || refused.has(code) ? 'none' : 'unknown'
    return unavailable(text, { ...detail, outcome, ...(retryAfterMs !== undefined && { retryAfterMs }) })
  }
  if (status === 401) return new Failure('unauthenticated', text, detail)
  if (status === 403) return new Failure('forbidden', text, detail)
  if (status === 404) return new Failure('not_found', text, detail)
  if (code === 'EntityTooLarge' || code === 'KeyTooLongError') return new Failure('limit', text, detail)
  const region = headers.get('x-amz-bucket-region')
  return new Failure('invalid', region === null ? text : `${text}; the bucket is in region ${region}`, detail)
}

/** Read Retry-After in seconds; the form with a date is left to our own delays, which need no clock of theirs. */
function readRetryAfter(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined
}
