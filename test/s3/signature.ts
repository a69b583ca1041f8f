/** Checks the signature of a request to S3, written from the specification: the client signs with another's code.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** A request as it came over the wire. */
export interface SignedRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly target: string
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string | undefined }
}

/** Whose requests are good. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Uint8Array, data: string) => createHmac('sha256', key).update(data).digest()

/** Encode as the canonical request wants it, from decoded text. */
const encode = (text: string) =>
  [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')

function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query.split('&').map((pair) => {
    const [name = '', value = ''] = pair.split('=', 2).map((part) => decodeURIComponent(part))
    return [encode(name), encode(value)] as const
  })
  pairs.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
  return pairs.map(([name, value]) => `${name}=${value}`).join('&')
}

/** Compute the signature of a request.
 *  @param signedHeaders as listed in its Authorization
 *  @param scope date/region/service/aws4_request */
export function signatureOf(
  { method, target, headers }: SignedRequest,
  signedHeaders: string,
  scope: string,
  secretAccessKey: string,
): string {
  const [path = '', query = ''] = target.split('?', 2)
  const canonicalPath = path
    .split('/')
    .map((segment) => encode(decodeURIComponent(segment)))
    .join('/')
  const lines = signedHeaders.split(';').map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`)
  const parts = [method, canonicalPath, canonicalQuery(query), lines.join(''), signedHeaders]
  const canonical = [...parts, headers['x-amz-content-sha256'] ?? ''].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'] ?? '', scope, sha256(canonical)].join('\n')
  const key = scope
    .split('/')
    .reduce<string | Uint8Array>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`)
  return hmac(key, toSign).toString('hex')
}

/** Say what is wrong with the signature of a request, with S3's code; undefined when nothing is. */
export function refuseSignature(
  request: SignedRequest,
  body: Uint8Array,
  credentials: Credentials,
  nowMs: number,
): { code: string; message: string } | undefined {
  const { headers } = request
  const refuse = (code: string, message: string) => ({ code, message })
  const pattern = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
  const parts = pattern.exec(headers.authorization ?? '')
  if (parts === null) return refuse('AccessDenied', 'no signature of version 4')
  const [, accessKeyId, scope = '', signedHeaders = '', signature = ''] = parts
  const { accessKeyId: known, secretAccessKey, region } = credentials
  if (accessKeyId !== known) return refuse('InvalidAccessKeyId', `who is ${accessKeyId}?`)
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(headers['x-amz-date'] ?? '')
  if (time === null) return refuse('AccessDenied', 'no x-amz-date')
  const [year, month, day, hour, minute, second] = time.slice(1)
  const dateMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (Math.abs(dateMs - nowMs) > 15 * 60_000) return refuse('RequestTimeTooSkewed', 'more than 15 minutes off')
  if (scope !== `${year}${month}${day}/${region}/s3/aws4_request`) {
    return refuse('AuthorizationHeaderMalformed', `the scope is ${scope}; expecting region ${region}`)
  }
  const signed = new Set(signedHeaders.split(';'))
  // Everything that changes what is done must be signed, or another could change it.
  const bound = Object.keys(headers).filter((name) => /^(host|if-|x-amz-)/.test(name))
  const loose = bound.find((name) => !signed.has(name))
  if (loose !== undefined) return refuse('AccessDenied', `the header ${loose} is not signed`)
  const payload = headers['x-amz-content-sha256']
  if (payload !== 'UNSIGNED-PAYLOAD' && payload !== sha256(body)) {
    return refuse('XAmzContentSHA256Mismatch', `the payload is not ${payload}`)
  }
  const expected = signatureOf(request, signedHeaders, scope, secretAccessKey)
  if (timingSafeEqual(Buffer.from(signature), Buffer.from(expected))) return undefined
  return refuse('SignatureDoesNotMatch', 'the signature is that of another request')
}
