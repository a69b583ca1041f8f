/** A strict S3 server on loopback, for tests: conditional writes, signatures checked, everything it does not know
 *  refused. Written because nothing installable has conditional writes: s3rver 3.7.1 ignores If-Match and
 *  If-None-Match on PutObject and does not check signatures of version 4, miniflare's R2 has no door for S3, Debian 12
 *  has no S3 server but a whole Ceph or Swift.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonRequestHeaders.html */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Answer, Bucket, type Headers, S3Error } from './bucket.ts'
import { type Credentials, refuseSignature } from './signature.ts'

/** A request as a test sees it. */
export interface SeenRequest {
  readonly method: string
  readonly key: string | undefined
  readonly query: { readonly [name: string]: string }
  readonly headers: Headers
  readonly bytes: number
}

/** What a test does with a request: answer itself, or have it done and the connection cut before the answer. */
export type Interference = Answer | 'cut before' | 'cut after' | undefined

/** A running server with one bucket. */
export interface TestS3 {
  readonly url: string
  readonly bucketName: string
  readonly credentials: Credentials
  readonly bucket: Bucket
  /** Every request, in the order they came. */
  readonly seen: SeenRequest[]
  /** Asked about every request that is signed well. */
  interfere: (request: SeenRequest) => Interference
  close(): Promise<void>
}

const escapeXml = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
const unescapeXml = (text: string) =>
  text
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replace(
      /&(quot|lt|gt|apos|amp);/g,
      (_, name: string) => ({ quot: '"', lt: '<', gt: '>', apos: "'", amp: '&' })[name] ?? '',
    )
const xml = (body: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}`,
})
const namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

const errorAnswer = ({ status, code, message }: { status: number; code: string; message: string }): Answer => ({
  ...xml(`<Error><Code>${code}</Code><Message>${escapeXml(message)}</Message><RequestId>1</RequestId></Error>`),
  status,
})

/** CRC-32, bit by bit: slower than the client's, and not the client's. */
function crc32(bytes: Uint8Array): string {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let i = 0; i < 8; i++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(~crc >>> 0)
  return buffer.toString('base64')
}

function deleteBatch(bucket: Bucket, body: Buffer, headers: Headers): Answer {
  const isRight =
    headers['content-md5'] === createHash('md5').update(body).digest('base64') ||
    headers['x-amz-checksum-crc32'] === crc32(body)
  if (!isRight)
    throw new S3Error(400, 'InvalidRequest', 'DeleteObjects needs Content-MD5 or a checksum, and a right one')
  const text = body.toString('utf8')
  const keys = [...text.matchAll(/<Object><Key>([^<]*)<\/Key><\/Object>/g)].map(([, key]) => unescapeXml(key as string))
  if (!text.startsWith('<Delete ') || keys.length === 0 || keys.length > 1_000) throw new S3Error(400, 'MalformedXML')
  bucket.delete(keys)
  return xml(`<DeleteResult ${namespace}/>`)
}

function list(bucket: Bucket, name: string, query: SeenRequest['query']): Answer {
  const known = new Set([
    'list-type',
    'prefix',
    'delimiter',
    'start-after',
    'continuation-token',
    'max-keys',
    'encoding-type',
  ])
  for (const option of Object.keys(query)) if (!known.has(option)) throw new S3Error(501, 'NotImplemented', option)
  if (query['list-type'] !== '2') throw new S3Error(501, 'NotImplemented', 'ListObjects of version 1')
  const token = query['continuation-token']
  const from = token === undefined ? undefined : Buffer.from(token, 'base64').toString('utf8')
  const { prefix = '', delimiter = '', 'start-after': after = '' } = query
  const limit = Math.min(1_000, Number(query['max-keys'] ?? 1_000))
  const { entries, isTruncated } = bucket.list({ prefix, delimiter, after, from, limit })
  const isEncoded = query['encoding-type'] === 'url'
  // As S3 does it: a space is a plus, a slash stays.
  const show = (key: string) =>
    isEncoded ? encodeURIComponent(key).replace(/%20/g, '+').replace(/%2F/g, '/') : escapeXml(key)
  const lines = entries.map(({ key, stored }) => {
    if (stored === undefined) return `<CommonPrefixes><Prefix>${show(key)}</Prefix></CommonPrefixes>`
    const time = new Date(stored.modifiedMs).toISOString()
    const sizes = `<ETag>${escapeXml(stored.etag)}</ETag><Size>${stored.bytes.length}</Size>`
    return `<Contents><Key>${show(key)}</Key><LastModified>${time}</LastModified>${sizes}</Contents>`
  })
  const last = Buffer.from(entries.at(-1)?.key ?? '', 'utf8').toString('base64')
  const next = isTruncated ? `<NextContinuationToken>${last}</NextContinuationToken>` : ''
  const head = `<Name>${name}</Name><IsTruncated>${isTruncated}</IsTruncated>${next}`
  const encoding = isEncoded ? '<EncodingType>url</EncodingType>' : ''
  return xml(`<ListBucketResult ${namespace}>${head}${encoding}${lines.join('\n')}</ListBucketResult>`)
}

function postUpload(bucket: Bucket, key: string, { query, headers }: SeenRequest, body: Buffer): Answer {
  if ('uploads' in query) {
    const id = bucket.begin(key, headers)
    const where = `<Key>${escapeXml(key)}</Key><UploadId>${id}</UploadId>`
    return xml(`<InitiateMultipartUploadResult ${namespace}>${where}</InitiateMultipartUploadResult>`)
  }
  const parts = [
    ...body.toString('utf8').matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag><\/Part>/g),
  ]
  const chosen = parts.map(([, number, etag]) => ({ number: Number(number), etag: unescapeXml(etag as string) }))
  const etag = bucket.complete(key, query.uploadId as string, chosen, headers)
  const done = `<Key>${escapeXml(key)}</Key><ETag>${escapeXml(etag)}</ETag>`
  return xml(`<CompleteMultipartUploadResult ${namespace}>${done}</CompleteMultipartUploadResult>`)
}

/** Do what a request asks for. */
function answer(bucket: Bucket, name: string, request: SeenRequest, body: Buffer): Answer {
  const { method, key, query, headers } = request
  const options = Object.keys(query).sort().join()
  if (key === undefined) {
    if (method === 'GET') return list(bucket, name, query)
    if (method === 'POST' && options === 'delete') return deleteBatch(bucket, body, headers)
    throw new S3Error(501, 'NotImplemented', `${method} of a bucket with ${options}`)
  }
  const kind = `${method} ${options}`
  if (kind === 'GET ' || kind === 'HEAD ') return bucket.get(key, headers)
  if (kind === 'PUT ') return bucket.put(key, body, headers)
  if (kind === 'POST uploads' || kind === 'POST uploadId') return postUpload(bucket, key, request, body)
  if (kind === 'PUT partNumber,uploadId') {
    return bucket.part(key, query.uploadId as string, Number(query.partNumber), body)
  }
  if (kind === 'DELETE ') bucket.delete([key])
  else if (kind === 'DELETE uploadId') bucket.abort(key, query.uploadId as string)
  else throw new S3Error(501, 'NotImplemented', kind)
  return { status: 204 }
}

async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Read what a request is about. Both styles: the bucket in the path, or in the host's name. */
function describe(message: IncomingMessage, bucketName: string, bytes: number): SeenRequest {
  const [path = '', search = ''] = (message.url ?? '').split('?', 2)
  const headers = message.headers as Headers
  const isVirtual = headers.host?.startsWith(`${bucketName}.`) ?? false
  const segments = path.slice(1).split('/').map(decodeURIComponent)
  if (!isVirtual && segments.shift() !== bucketName) throw new S3Error(404, 'NoSuchBucket')
  const key = segments.join('/')
  const pairs = search === '' ? [] : search.split('&').map((pair) => pair.split('=', 2).map(decodeURIComponent))
  const query = Object.fromEntries(pairs.map(([name = '', value = '']) => [name, value]))
  return { method: message.method ?? '', key: key === '' ? undefined : key, query, headers, bytes }
}

async function serve(s3: TestS3, message: IncomingMessage): Promise<Answer | 'cut'> {
  const body = await read(message)
  try {
    const request = describe(message, s3.bucketName, body.length)
    s3.seen.push(request)
    const signed = { method: request.method, target: message.url ?? '', headers: request.headers }
    const refusal = refuseSignature(signed, body, s3.credentials, Date.now())
    if (refusal !== undefined) throw new S3Error(403, refusal.code, refusal.message)
    const interference = s3.interfere(request)
    if (interference === 'cut before') return 'cut'
    if (typeof interference === 'object') return interference
    const done = answer(s3.bucket, s3.bucketName, request, body)
    return interference === 'cut after' ? 'cut' : done
  } catch (error) {
    if (error instanceof S3Error) return errorAnswer(error)
    return errorAnswer({ status: 500, code: 'InternalError', message: String(error) })
  }
}

/** Start a server with an empty bucket on a free port of 127.0.0.1. */
export async function startTestS3(options: Partial<Credentials> = {}): Promise<TestS3> {
  const credentials = { accessKeyId: 'test-key', secretAccessKey: 'test/secret+', region: 'eu-test-1', ...options }
  const sockets = new Set<Socket>()
  const server: Server = createServer((message, response) => {
    void serve(s3, message).then((done) => {
      if (done === 'cut') return message.socket.destroy()
      const bytes = typeof done.body === 'string' ? Buffer.from(done.body) : (done.body ?? new Uint8Array(0))
      response.writeHead(done.status, { ...done.headers, 'content-length': bytes.length })
      return response.end(message.method === 'HEAD' ? undefined : bytes)
    })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const s3: TestS3 = {
    url: `http://127.0.0.1:${port}`,
    bucketName: 'test-bucket',
    credentials,
    bucket: new Bucket(),
    seen: [],
    interfere: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  return s3
}
