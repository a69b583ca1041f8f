/** The objects of the test's S3 server, and what S3 does with them. Nothing of the client is used here.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html */
import { createHash, randomUUID } from 'node:crypto'

/** An answer of the server. */
export interface Answer {
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  readonly body?: Uint8Array | string
}

/** An error of S3, thrown to be answered. */
export class S3Error extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message = code) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** One object. */
export interface Stored {
  readonly bytes: Buffer
  /** With its quotes. */
  readonly etag: string
  readonly modifiedMs: number
  readonly metadata: { readonly [header: string]: string }
}

interface Upload {
  readonly key: string
  readonly metadata: { readonly [header: string]: string }
  readonly parts: Map<number, { bytes: Buffer; etag: string }>
}

/** Headers in lower case. */
export type Headers = { readonly [name: string]: string | undefined }

const partBytesMin = 5 * 1024 * 1024
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest()

/** A bucket in memory. */
export class Bucket {
  readonly objects = new Map<string, Stored>()
  readonly uploads = new Map<string, Upload>()

  /** Hold a write to its conditions, as S3 documents them: 412, and 404 for If-Match on a free key. */
  private checkConditions(key: string, headers: Headers): void {
    const old = this.objects.get(key)
    const { 'if-none-match': noneMatch, 'if-match': match } = headers
    if (noneMatch !== undefined && noneMatch !== '*') throw new S3Error(501, 'NotImplemented', 'If-None-Match takes *')
    if (noneMatch === '*' && old !== undefined) throw new S3Error(412, 'PreconditionFailed', 'the key is taken')
    if (match === undefined) return
    if (old === undefined) throw new S3Error(404, 'NoSuchKey', 'If-Match, and no object')
    if (match !== old.etag) throw new S3Error(412, 'PreconditionFailed', `If-Match ${match} is not ${old.etag}`)
  }

  private static metadataOf(headers: Headers): Stored['metadata'] {
    const entries = Object.entries(headers).filter(([name]) => /^x-amz-(meta-|storage-class$)/.test(name))
    return Object.fromEntries(entries as [string, string][])
  }

  /** PutObject. */
  put(key: string, bytes: Buffer, headers: Headers): Answer {
    this.checkConditions(key, headers)
    const etag = `"${md5(bytes).toString('hex')}"`
    this.objects.set(key, { bytes, etag, modifiedMs: Date.now(), metadata: Bucket.metadataOf(headers) })
    return { status: 200, headers: { etag } }
  }

  /** GetObject and HeadObject. */
  get(key: string, headers: Headers): Answer {
    const object = this.objects.get(key)
    if (object === undefined) throw new S3Error(404, 'NoSuchKey')
    const { bytes, etag, modifiedMs, metadata } = object
    const match = headers['if-match']
    if (match !== undefined && match !== etag) throw new S3Error(412, 'PreconditionFailed')
    const common = { ...metadata, etag, 'last-modified': new Date(modifiedMs).toUTCString(), 'accept-ranges': 'bytes' }
    if (headers.range === undefined) return { status: 200, headers: common, body: bytes }
    const range = /^bytes=(\d*)-(\d*)$/.exec(headers.range)
    if (range === null || range[0] === 'bytes=-') throw new S3Error(400, 'InvalidArgument', headers.range)
    const isSuffix = range[1] === ''
    const start = isSuffix ? Math.max(0, bytes.length - Number(range[2])) : Number(range[1])
    const end = isSuffix || range[2] === '' ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1)
    if (start >= end) throw new S3Error(416, 'InvalidRange')
    const place = { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }
    return { status: 206, headers: { ...common, ...place }, body: bytes.subarray(start, end) }
  }

  /** DeleteObject and DeleteObjects: a free key is no error. */
  delete(keys: readonly string[]): void {
    for (const key of keys) this.objects.delete(key)
  }

  /** CreateMultipartUpload. @returns the id */
  begin(key: string, headers: Headers): string {
    const id = randomUUID()
    this.uploads.set(id, { key, metadata: Bucket.metadataOf(headers), parts: new Map() })
    return id
  }

  private upload(key: string, id: string): Upload {
    const upload = this.uploads.get(id)
    if (upload === undefined || upload.key !== key) throw new S3Error(404, 'NoSuchUpload')
    return upload
  }

  /** UploadPart. */
  part(key: string, id: string, number: number, bytes: Buffer): Answer {
    const upload = this.upload(key, id)
    if (!(number >= 1 && number <= 10_000)) throw new S3Error(400, 'InvalidArgument', `part ${number}`)
    const etag = `"${md5(bytes).toString('hex')}"`
    upload.parts.set(number, { bytes, etag })
    return { status: 200, headers: { etag } }
  }

  /** CompleteMultipartUpload. R2 wants parts of one size, S3 of 5 MiB at the least: both are held here.
   *  @returns the etag */
  complete(key: string, id: string, list: readonly { number: number; etag: string }[], headers: Headers): string {
    const { parts, metadata } = this.upload(key, id)
    const chosen = list.map(({ number, etag }, i) => {
      if (number <= (list[i - 1]?.number ?? 0)) throw new S3Error(400, 'InvalidPartOrder')
      const part = parts.get(number)
      if (part === undefined || part.etag !== etag)
        throw new S3Error(400, 'InvalidPart', `part ${number} is not ${etag}`)
      const { length } = part.bytes
      const isLast = i === list.length - 1
      if (!isLast && length < partBytesMin)
        throw new S3Error(400, 'EntityTooSmall', `part ${number} has ${length} bytes`)
      const first = parts.get(list[0]?.number ?? 0)?.bytes.length ?? 0
      if (isLast ? length > first : length !== first) throw new S3Error(400, 'InvalidPart', 'parts of several sizes')
      return part
    })
    if (chosen.length === 0) throw new S3Error(400, 'MalformedXML', 'no parts')
    this.checkConditions(key, headers)
    const digest = md5(Buffer.concat(chosen.map(({ bytes }) => md5(bytes)))).toString('hex')
    const etag = `"${digest}-${chosen.length}"`
    const bytes = Buffer.concat(chosen.map((part) => part.bytes))
    this.objects.set(key, { bytes, etag, modifiedMs: Date.now(), metadata })
    this.uploads.delete(id)
    return etag
  }

  /** AbortMultipartUpload. */
  abort(key: string, id: string): void {
    this.upload(key, id)
    this.uploads.delete(id)
  }

  /** ListObjectsV2: one page.
   *  @param from keys and folders up to this one have been told */
  list(query: { prefix: string; delimiter: string; after: string; from: string | undefined; limit: number }): {
    entries: { key: string; stored: Stored | undefined }[]
    isTruncated: boolean
  } {
    const { prefix, delimiter, after, from = '', limit } = query
    const keys = [...this.objects.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const entries: { key: string; stored: Stored | undefined }[] = []
    for (const key of keys) {
      const isPast = (bound: string) => Buffer.compare(Buffer.from(key), Buffer.from(bound)) > 0
      if (!key.startsWith(prefix) || !isPast(after) || !isPast(from)) continue
      const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
      const folder = at < 0 ? undefined : key.slice(0, at + delimiter.length)
      if (folder !== undefined && (folder === entries.at(-1)?.key || folder === from)) continue
      if (entries.length === limit) return { entries, isTruncated: true }
      entries.push({ key: folder ?? key, stored: folder === undefined ? this.objects.get(key) : undefined })
    }
    return { entries, isTruncated: false }
  }
}
