/** An object store in S3 or what speaks like it over HTTP: R2, MinIO and others.
 *
 *  1. One call is one request (two for a suffix of an empty object); retries and timeouts are withRetries'.
 *  2. Conditions are S3's own: If-None-Match: * and If-Match on PutObject and CompleteMultipartUpload. A server that
 *     ignores them is not fit for tables; there is nothing a client could do about it.
 *  3. What a server sends is checked: lengths, ranges, etags, names of elements.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 *  @source https://developers.cloudflare.com/r2/api/s3/conditional-operations/ */
import { Failure } from '../../errors.ts'
import { OBJECTS_PER_DELETE_MAX } from '../../limits.ts'
import { checkCondition, checkKey, checkList, checkRange, Parts, pastEnd, placeRange } from './check.ts'
import { crc32 } from './crc32.ts'
import {
  type ByteRange,
  type Cancel,
  conflict,
  type GetOptions,
  type Listing,
  type ListOptions,
  type MultipartOptions,
  type MultipartUpload,
  type ObjectBody,
  type ObjectHead,
  type ObjectStore,
  type PutOptions,
  unavailable,
  type Written,
} from './port.ts'
import { failureOf, type S3Answer, S3Client, type S3Options } from './s3-request.ts'
import { type Element, escapeXml, findText, getText, parseXml } from './xml.ts'

export type { Fetch, FetchAnswer, S3Options } from './s3-request.ts'

const markerHeader = 'x-amz-meta-dotdo-marker'
const text = new TextDecoder()
const utf8 = new TextEncoder()

const unquote = (etag: string) => etag.replace(/^(?:W\/)?"(.*)"$/, '$1')

function etagOf(answer: S3Answer, key: string): string {
  const etag = answer.headers.get('etag')
  if (etag === null || etag === '') throw unavailable(`S3 sent no etag of ${key}`, { outcome: 'unknown' })
  return unquote(etag)
}

const conditionHeaders = ({ ifNoneMatch, ifMatch }: PutOptions) => ({
  'if-none-match': ifNoneMatch,
  'if-match': ifMatch === undefined ? undefined : `"${ifMatch}"`,
})

/** S3 says 404 where an If-Match finds nothing to match; here that is a conflict like any other. */
function toConflict(error: unknown, key: string, { ifMatch }: PutOptions): unknown {
  const isGone = error instanceof Failure && error.code === 'not_found' && ifMatch !== undefined
  const { code } = ((error as Failure).detail ?? {}) as { code?: string }
  return isGone && code === 'NoSuchKey' ? conflict(key, { ifMatch }) : error
}

/** A bucket. */
class S3Objects implements ObjectStore {
  private readonly client: S3Client
  private readonly storageClass: string | undefined

  constructor(options: S3Options) {
    this.client = new S3Client(options)
    this.storageClass = options.storageClass
  }

  async get(key: string, options: GetOptions = {}): Promise<ObjectBody | undefined> {
    const { range, ifMatch, signal } = options
    checkKey(key)
    checkRange(range)
    checkCondition({ ifMatch })
    const headers = { range: rangeHeader(range), 'if-match': ifMatch === undefined ? undefined : `"${ifMatch}"` }
    const answer = await this.client.send({ method: 'GET', key, headers, signal, expected: [404, 416] })
    if (answer.status === 404) return absent(answer, key)
    if (answer.status === 416) return this.getPastEnd(key, options)
    const etag = etagOf(answer, key)
    if (ifMatch !== undefined && etag !== ifMatch) throw conflict(key, { ifMatch })
    return bodyOf(answer, key, etag, range)
  }

  /** An empty object has no range that S3 would send, but it has a suffix. */
  private async getPastEnd(key: string, options: GetOptions): Promise<ObjectBody | undefined> {
    const { range } = options
    if (range !== undefined && 'start' in range) throw pastEnd(range.start)
    const body = await this.get(key, { ...options, range: undefined })
    if (body === undefined || body.sizeBytes === 0) return body
    throw unavailable(`S3 refused a suffix of ${key}, which is not empty`, { outcome: 'none' })
  }

  async head(key: string, { signal }: Cancel = {}): Promise<ObjectHead | undefined> {
    checkKey(key)
    const answer = await this.client.send({ method: 'HEAD', key, signal, expected: [404] })
    if (answer.status === 404) return undefined
    const { headers } = answer
    const marker = headers.get(markerHeader)
    return {
      key,
      sizeBytes: toCount(headers.get('content-length'), `the size of ${key}`),
      etag: etagOf(answer, key),
      modifiedMs: toTime(headers.get('last-modified'), key),
      ...(marker !== null && { marker }),
    }
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<Written> {
    checkKey(key)
    checkCondition(options)
    const { marker, signal } = options
    const headers = { ...this.headersOf(marker), ...conditionHeaders(options) }
    try {
      const answer = await this.client.send({ method: 'PUT', key, headers, body: bytes, signal })
      return { etag: etagOf(answer, key) }
    } catch (error) {
      throw toConflict(error, key, options)
    }
  }

  private headersOf(marker: string | undefined): Record<string, string | undefined> {
    return {
      'content-type': 'application/octet-stream',
      [markerHeader]: marker,
      'x-amz-storage-class': this.storageClass,
    }
  }

  async delete(keys: readonly string[], { signal }: Cancel = {}): Promise<void> {
    keys.forEach(checkKey)
    const [only] = keys
    if (keys.length === 1 && only !== undefined) {
      const answer = await this.client.send({ method: 'DELETE', key: only, signal, expected: [404] })
      if (answer.status === 404) absent(answer, only)
      return
    }
    for (let from = 0; from < keys.length; from += OBJECTS_PER_DELETE_MAX) {
      await this.deleteBatch(keys.slice(from, from + OBJECTS_PER_DELETE_MAX), signal)
    }
  }

  private async deleteBatch(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('')
    const xmlns = 'http://s3.amazonaws.com/doc/2006-03-01/'
    const body = utf8.encode(`<Delete xmlns="${xmlns}">${objects}<Quiet>true</Quiet></Delete>`)
    // S3 refuses a batch delete without a checksum, and takes this one.
    const headers = {
      'content-type': 'application/xml',
      'x-amz-checksum-crc32': toBase64(crc32(body)),
      'x-amz-sdk-checksum-algorithm': 'CRC32',
    }
    const answer = await this.client.send({ method: 'POST', query: { delete: '' }, headers, body, signal })
    const result = parseXml(text.decode(answer.bytes), 'DeleteResult')
    const failed = result.children.filter(({ name }) => name === 'Error').filter((one) => !isGone(one))
    if (failed.length === 0) return
    const first = failed[0] as Element
    const message = `${failed.length} of ${keys.length} objects were not deleted`
    const why = `${getText(first, 'Key')}: ${findText(first, 'Code')} ${findText(first, 'Message') ?? ''}`
    if (findText(first, 'Code') === 'AccessDenied') throw new Failure('forbidden', `${message}; ${why}`)
    throw unavailable(`${message}; ${why}`, { outcome: 'unknown' })
  }

  async list(options: ListOptions = {}): Promise<Listing> {
    const limit = checkList(options)
    const { prefix, after, cursor, delimiter, signal } = options
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      'max-keys': String(limit),
      ...(prefix !== undefined && { prefix }),
      ...(after !== undefined && { 'start-after': after }),
      ...(delimiter !== undefined && { delimiter }),
      ...(cursor !== undefined && { 'continuation-token': cursor }),
    }
    const answer = await this.client.send({ method: 'GET', query, signal })
    return listingOf(parseXml(text.decode(answer.bytes), 'ListBucketResult'))
  }

  async multipart(key: string, options: MultipartOptions = {}): Promise<MultipartUpload> {
    checkKey(key)
    checkCondition({ marker: options.marker })
    const parts = new Parts(options.partBytes)
    const headers = this.headersOf(options.marker)
    const query = { uploads: '' }
    const answer = await this.client.send({ method: 'POST', key, query, headers, signal: options.signal })
    const uploadId = getText(parseXml(text.decode(answer.bytes), 'InitiateMultipartUploadResult'), 'UploadId')
    return new S3Upload(this.client, key, uploadId, parts)
  }
}

/** A multipart upload of S3. */
class S3Upload implements MultipartUpload {
  private readonly client: S3Client
  private readonly key: string
  private readonly uploadId: string
  private readonly parts: Parts
  private readonly etags: string[] = []

  constructor(client: S3Client, key: string, uploadId: string, parts: Parts) {
    this.client = client
    this.key = key
    this.uploadId = uploadId
    this.parts = parts
  }

  async write(number: number, bytes: Uint8Array, { signal }: Cancel = {}): Promise<void> {
    const { key, uploadId } = this
    this.parts.check(number, bytes.length)
    const query = { partNumber: String(number), uploadId }
    const answer = await this.client.send({ method: 'PUT', key, query, body: bytes, signal })
    this.etags[number - 1] = etagOf(answer, key)
    this.parts.arrived(number, bytes.length)
  }

  async complete(options: Omit<PutOptions, 'marker'> = {}): Promise<Written> {
    const { key, uploadId } = this
    checkCondition(options)
    this.parts.checkComplete()
    const list = this.etags.map(
      (etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>&quot;${escapeXml(etag)}&quot;</ETag></Part>`,
    )
    const body = utf8.encode(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`)
    const headers = { 'content-type': 'application/xml', ...conditionHeaders(options) }
    const request = { method: 'POST', key, query: { uploadId }, headers, body, signal: options.signal } as const
    try {
      const answer = await this.client.send(request)
      const document = text.decode(answer.bytes)
      // S3 sends its headers before it knows the outcome, so a 200 may hold an error.
      if (/<Error[\s>]/.test(document)) throw failureOf(`POST ${key}`, answer, answer.bytes)
      const etag = getText(parseXml(document, 'CompleteMultipartUploadResult'), 'ETag')
      this.parts.close()
      return { etag: unquote(etag) }
    } catch (error) {
      throw toConflict(error, key, options)
    }
  }

  async abort({ signal }: Cancel = {}): Promise<void> {
    if (!this.parts.close()) return
    const { key, uploadId } = this
    await this.client.send({ method: 'DELETE', key, query: { uploadId }, signal, expected: [404] })
  }
}

function rangeHeader(range: ByteRange | undefined): string | undefined {
  if (range === undefined) return undefined
  return 'suffix' in range ? `bytes=-${range.suffix}` : `bytes=${range.start}-${range.end - 1}`
}

/** A 404: the key is free, unless it is the bucket that is missing. */
function absent(answer: S3Answer, key: string): undefined {
  const failure = failureOf(`GET ${key}`, answer, answer.bytes)
  if ((failure.detail as { code?: string }).code === 'NoSuchBucket') throw failure
  return undefined
}

/** Check that the bytes are those of the range. A server may ignore it and send all, says HTTP. */
function bodyOf(answer: S3Answer, key: string, etag: string, range: ByteRange | undefined): ObjectBody {
  const { bytes, headers } = answer
  if (answer.status !== 206) {
    const expected = headers.get('content-length') ?? bytes.length
    if (Number(expected) !== bytes.length) {
      throw unavailable(`S3 sent ${bytes.length} of ${expected} bytes of ${key}`, { outcome: 'none' })
    }
    const { start, end } = placeRange(range, bytes.length)
    return { bytes: bytes.subarray(start, end), etag, sizeBytes: bytes.length }
  }
  const place = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get('content-range') ?? '')
  const [start, last, sizeBytes] = (place ?? []).slice(1).map(Number)
  if (start !== undefined && last !== undefined && sizeBytes !== undefined) {
    const wanted = placeRange(range, sizeBytes)
    const isRight = start === wanted.start && last + 1 === wanted.end && bytes.length === wanted.end - wanted.start
    if (isRight) return { bytes, etag, sizeBytes }
  }
  const sent = `${bytes.length} bytes as ${headers.get('content-range')}`
  throw unavailable(`S3 sent ${sent} for ${rangeHeader(range)} of ${key}`, { outcome: 'none' })
}

function listingOf(result: Element): Listing {
  const isEncoded = findText(result, 'EncodingType') === 'url'
  const name = (encoded: string) => (isEncoded ? decodeURIComponent(encoded.replaceAll('+', ' ')) : encoded)
  const objects: ObjectHead[] = []
  const prefixes: string[] = []
  for (const child of result.children) {
    if (child.name === 'CommonPrefixes') prefixes.push(name(getText(child, 'Prefix')))
    if (child.name !== 'Contents') continue
    const key = name(getText(child, 'Key'))
    const sizeBytes = toCount(getText(child, 'Size'), `the size of ${key}`)
    const modifiedMs = toTime(getText(child, 'LastModified'), key)
    objects.push({ key, sizeBytes, etag: unquote(getText(child, 'ETag')), modifiedMs })
  }
  if (findText(result, 'IsTruncated') !== 'true') return { objects, prefixes }
  return { objects, prefixes, next: getText(result, 'NextContinuationToken') }
}

function toCount(value: string | null, what: string): number {
  if (value !== null && /^\d{1,15}$/.test(value)) return Number(value)
  throw unavailable(`S3 sent ${value} for ${what}`, { outcome: 'none' })
}

function toTime(value: string | null, key: string): number {
  const time = Date.parse(value ?? '')
  if (!Number.isNaN(time)) return time
  throw unavailable(`S3 sent ${value} for the time of ${key}`, { outcome: 'none' })
}

/** Base64 of a CRC, most significant byte first. */
function toBase64(crc: number): string {
  return btoa(String.fromCharCode(crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255))
}

/** One key of a batch delete that was not there is no failure. */
const isGone = (error: Element) => findText(error, 'Code') === 'NoSuchKey'

/** Open a bucket of S3 or of a server that speaks like it. Wrap it in `withRetries`. */
export function s3Objects(options: S3Options): ObjectStore {
  return new S3Objects(options)
}
