/** Objects in S3: the conformance list against a strict server on loopback, and what HTTP has of its own. */
import { request as httpRequest } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startTestS3, type TestS3 } from '../../../test/s3/server.ts'
import { bytesOf, expectFailure } from './object-case.conformance.ts'
import { objectCases } from './objects.conformance.ts'
import { type ObjectStore, storeFault } from './port.ts'
import { type Fetch, type S3Options, s3Objects } from './s3.ts'

let server: TestS3
beforeAll(async () => {
  server = await startTestS3()
})
afterEach(() => {
  server.interfere = () => undefined
})
afterAll(() => server.close())

const clock = { nowMs: () => Date.now() }

function optionsOf(more: Partial<S3Options> = {}): S3Options {
  return { endpoint: server.url, bucket: server.bucketName, ...server.credentials, fetch, clock, ...more }
}

function emptyStore(more: Partial<S3Options> = {}): ObjectStore {
  server.bucket.objects.clear()
  server.bucket.uploads.clear()
  server.seen.length = 0
  return s3Objects(optionsOf(more))
}

/** A fetch that finds every host on loopback, as DNS would find a bucket's host. */
const fetchOnLoopback: Fetch = (url, { method, headers, body }) =>
  new Promise((resolve, reject) => {
    const { host, pathname, search } = new URL(url)
    const { port } = new URL(server.url)
    const options = { host: '127.0.0.1', port, method, path: `${pathname}${search}`, headers: { ...headers, host } }
    const request = httpRequest(options, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const { statusCode: status = 0, headers: answered } = response
      const get = (name: string) => (answered[name] as string | undefined) ?? null
      resolve({ status, headers: { get }, arrayBuffer: async () => new Uint8Array(Buffer.concat(chunks)).buffer })
    })
    request.on('error', reject)
    request.end(body)
  })

describe('objects in S3, the bucket in the path', () => {
  it.each(objectCases)('$name', ({ run }) => run(emptyStore(), expect))
})

describe("objects in S3, the bucket in the host's name", () => {
  const style = { endpoint: 'http://s3.test', style: 'virtual', fetch: fetchOnLoopback } as const
  const few = objectCases.filter(({ name }) => /kept apart|delimiter|parts become|ifMatch|1024 bytes/.test(name))

  it.each(few)('$name', async ({ run }) => {
    await run(emptyStore(style), expect)
    expect(server.seen[0]?.headers.host).toBe(`${server.bucketName}.s3.test`)
  })
})

describe('requests to S3', () => {
  it('takes one request for each call', async () => {
    const store = emptyStore()
    const { etag } = await store.put('a', bytesOf('0123456789'), { ifNoneMatch: '*' })
    await store.get('a', { range: { start: 2, end: 4 }, ifMatch: etag })
    await store.head('a')
    await store.list({ prefix: 'a' })
    await store.delete(['a'])
    await store.delete(['a', 'b'])
    expect(server.seen.map(({ method, key }) => `${method} ${key ?? '-'}`)).toEqual([
      'PUT a',
      'GET a',
      'HEAD a',
      'GET -',
      'DELETE a',
      'POST -',
    ])
    expect(server.seen[0]?.headers).toMatchObject({ 'if-none-match': '*', 'content-length': '10' })
    expect(server.seen[1]?.headers).toMatchObject({ range: 'bytes=2-3', 'if-match': `"${etag}"` })
  })

  it('keeps the marker and the storage class with the object, also of an upload', async () => {
    const store = emptyStore({ storageClass: 'GLACIER_IR' })
    await store.put('a', bytesOf('1'), { marker: 'mine' })
    const upload = await store.multipart('b', { marker: 'mine-too' })
    await upload.write(1, bytesOf('2'))
    await upload.complete()
    expect((await store.head('a'))?.marker).toBe('mine')
    expect((await store.head('b'))?.marker).toBe('mine-too')
    for (const key of ['a', 'b']) {
      expect(server.bucket.objects.get(key)?.metadata['x-amz-storage-class']).toBe('GLACIER_IR')
    }
  })

  it('sends the token of credentials that expire, signed', async () => {
    await emptyStore({ sessionToken: 'token' }).put('a', bytesOf('1'))
    expect(server.seen[0]?.headers['x-amz-security-token']).toBe('token')
  })

  it('leaves no parts behind when an upload is aborted', async () => {
    const upload = await emptyStore().multipart('a')
    await upload.write(1, bytesOf('1'))
    expect(server.bucket.uploads.size).toBe(1)
    await upload.abort()
    expect(server.bucket.uploads.size).toBe(0)
  })

  it('refuses an endpoint or a bucket that makes no address', () => {
    for (const endpoint of ['', 'localhost', 'ftp://x', 'http://u@x', 'http://x?y']) {
      expect(() => s3Objects(optionsOf({ endpoint }))).toThrow('an endpoint is an address')
    }
    expect(() => s3Objects(optionsOf({ bucket: 'a/b' }))).toThrow('not a bucket')
  })
})

const xmlError = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told</Message></Error>`

describe('answers of S3', () => {
  const answers = [
    { status: 403, code: 'SignatureDoesNotMatch', expected: 'forbidden' },
    { status: 401, code: 'Unauthorized', expected: 'unauthenticated' },
    { status: 400, code: 'InvalidArgument', expected: 'invalid' },
    { status: 400, code: 'EntityTooLarge', expected: 'limit' },
    { status: 412, code: 'PreconditionFailed', expected: 'conflict' },
    { status: 404, code: 'NoSuchBucket', expected: 'not_found' },
    { status: 301, code: 'PermanentRedirect', expected: 'invalid' },
    { status: 501, code: 'NotImplemented', expected: 'unsupported' },
    { status: 507, code: 'InsufficientStorage', expected: 'storage' },
    { status: 409, code: 'ConditionalRequestConflict', expected: 'unavailable', outcome: 'none' },
    { status: 400, code: 'RequestTimeout', expected: 'unavailable', outcome: 'none' },
    { status: 429, code: 'TooManyRequests', expected: 'unavailable', outcome: 'none' },
    { status: 503, code: 'SlowDown', expected: 'unavailable', outcome: 'none' },
    { status: 503, code: 'ServiceUnavailable', expected: 'unavailable', outcome: 'unknown' },
    { status: 500, code: 'InternalError', expected: 'unavailable', outcome: 'unknown' },
  ] as const

  it.each(answers)('$status $code is $expected', async (answer) => {
    const { status, code, expected } = answer
    const store = emptyStore()
    server.interfere = () => ({ status, headers: { 'retry-after': '7' }, body: xmlError(code) })
    const failure = await expectFailure(expect, expected, () => store.put('a', bytesOf('1')))
    expect(failure.message).toContain(code)
    if (!('outcome' in answer)) return
    expect(storeFault(failure)).toEqual({ outcome: answer.outcome, status, code, retryAfterMs: 7_000 })
  })

  it('names the region of a bucket that is elsewhere', async () => {
    const store = emptyStore()
    server.interfere = () => ({ status: 301, headers: { 'x-amz-bucket-region': 'eu-west-9' } })
    expect((await expectFailure(expect, 'invalid', () => store.get('a'))).message).toContain('eu-west-9')
  })

  it('tells wrong credentials from a free key', async () => {
    const store = emptyStore({ secretAccessKey: 'wrong' })
    const failure = await expectFailure(expect, 'forbidden', () => store.get('a'))
    expect(failure.message).toContain('SignatureDoesNotMatch')
  })

  it('tells a missing bucket from a free key', async () => {
    const store = emptyStore({ bucket: 'elsewhere' })
    await expectFailure(expect, 'not_found', () => store.get('a'))
    await expectFailure(expect, 'not_found', () => store.list())
  })

  it('does not know the outcome when the connection breaks, before or after the work', async () => {
    for (const cut of ['cut before', 'cut after'] as const) {
      const store = emptyStore()
      server.interfere = () => cut
      const failure = await expectFailure(expect, 'unavailable', () => store.put('a', bytesOf('1')))
      expect(storeFault(failure)?.outcome).toBe('unknown')
      expect(server.bucket.objects.has('a')).toBe(cut === 'cut after')
    }
  })

  it('does not know the outcome when nobody listens, and stops when told to', async () => {
    const closed = await startTestS3()
    await closed.close()
    const store = emptyStore({ endpoint: closed.url })
    expect(storeFault(await store.get('a').catch((error) => error))?.outcome).toBe('unknown')
    await expectFailure(expect, 'unavailable', () => emptyStore().get('a', { signal: AbortSignal.abort() }))
    expect(server.seen).toEqual([])
  })

  it('finds the error in an upload that was answered with 200', async () => {
    const upload = await emptyStore().multipart('a')
    await upload.write(1, bytesOf('1'))
    server.interfere = ({ method }) =>
      method === 'POST' ? { status: 200, body: xmlError('InternalError') } : undefined
    await expectFailure(expect, 'unavailable', () => upload.complete())
    server.interfere = () => undefined
    await upload.complete()
  })

  it('takes no page of a proxy for an answer', async () => {
    const store = emptyStore()
    server.interfere = () => ({ status: 200, body: '<html><body>Welcome<br></body></html>' })
    await expectFailure(expect, 'unavailable', () => store.list())
    await expectFailure(expect, 'unavailable', () => store.delete(['a', 'b']))
    await expectFailure(expect, 'unavailable', () => store.multipart('a'))
  })

  it('takes no other range and no other write for what was asked', async () => {
    const store = emptyStore()
    const answerWith = (headers: Record<string, string>, body: string, status = 206) => {
      server.interfere = () => ({ status, headers: { etag: '"e"', ...headers }, body })
    }
    answerWith({ 'content-range': 'bytes 0-1/10' }, '01')
    await expectFailure(expect, 'unavailable', () => store.get('a', { range: { start: 2, end: 4 } }))
    answerWith({}, '23')
    await expectFailure(expect, 'unavailable', () => store.get('a', { range: { start: 2, end: 4 } }))
    answerWith({ 'content-range': 'bytes 2-3/10' }, '23')
    expect((await store.get('a', { range: { start: 2, end: 4 } }))?.bytes).toEqual(bytesOf('23'))
    await expectFailure(expect, 'conflict', () => store.get('a', { range: { start: 2, end: 4 }, ifMatch: 'other' }))
    // A server that knows no ranges sends all.
    answerWith({}, '0123456789', 200)
    expect((await store.get('a', { range: { start: 2, end: 4 } }))?.bytes).toEqual(bytesOf('23'))
    expect((await store.get('a', { range: { suffix: 2 } }))?.bytes).toEqual(bytesOf('89'))
  })

  it('tells which objects of a batch were not deleted', async () => {
    const store = emptyStore()
    const error = (code: string) => `<Error><Key>b</Key><Code>${code}</Code><Message>no</Message></Error>`
    const answerWith = (code: string) => {
      server.interfere = () => ({ status: 200, body: `<DeleteResult>${error(code)}</DeleteResult>` })
    }
    answerWith('InternalError')
    const failure = await expectFailure(expect, 'unavailable', () => store.delete(['a', 'b']))
    expect(failure.message).toContain('1 of 2')
    answerWith('AccessDenied')
    await expectFailure(expect, 'forbidden', () => store.delete(['a', 'b']))
  })
})
