/** An object store in an R2 bucket that is bound to a Worker. Workers only.
 *
 *  1. Conditions are R2's own (`onlyIf`), so a write and its condition are one step.
 *  2. The binding cannot complete an upload of parts under a condition (the S3 API of R2 can); that is refused.
 *
 *  @source https://developers.cloudflare.com/r2/api/workers/workers-api-reference/
 *  @source https://developers.cloudflare.com/r2/api/error-codes/ */
import { type Code, Failure } from '../../errors.ts'
import { OBJECTS_PER_DELETE_MAX } from '../../limits.ts'
import {
  checkCondition,
  checkKey,
  checkList,
  checkRange,
  Parts,
  pastEnd,
  placeRange,
} from '../../tiering/objects/check.ts'
import {
  type ByteRange,
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
} from '../../tiering/objects/port.ts'

const markerName = 'dotdo-marker'

interface R2Object {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly uploaded: Date
  readonly customMetadata?: Record<string, string>
}

interface R2Body extends R2Object {
  readonly body: unknown
  arrayBuffer(): Promise<ArrayBuffer>
}

interface Conditions {
  onlyIf?: { etagMatches?: string; etagDoesNotMatch?: string }
}

interface Kept {
  storageClass?: string
  customMetadata?: Record<string, string>
}

interface R2Part {
  readonly partNumber: number
  readonly etag: string
}

type R2Range = { suffix: number } | { offset: number; length: number }

/** What is used of a bucket's binding (R2Bucket of @cloudflare/workers-types). */
export interface R2Binding {
  head(key: string): Promise<R2Object | null>
  get(key: string, options?: Conditions & { range?: R2Range }): Promise<R2Body | R2Object | null>
  put(key: string, bytes: Uint8Array, options?: Conditions & Kept): Promise<R2Object | null>
  delete(keys: string[]): Promise<void>
  list(options: {
    limit: number
    prefix?: string
    startAfter?: string
    cursor?: string
    delimiter?: string
  }): Promise<
    { objects: R2Object[]; delimitedPrefixes: string[] } & ({ truncated: true; cursor: string } | { truncated: false })
  >
  createMultipartUpload(
    key: string,
    options?: Kept,
  ): Promise<{
    uploadPart(number: number, bytes: Uint8Array): Promise<R2Part>
    complete(parts: R2Part[]): Promise<R2Object>
    abort(): Promise<void>
  }>
}

/** How a bucket is used. */
export interface R2ObjectsOptions {
  /** Where new objects are kept; the bucket's default when left out. */
  readonly storageClass?: 'Standard' | 'InfrequentAccess'
}

/** Codes of R2 that name a fault of the caller. */
const refusals: { readonly [code: string]: Code } = {
  10002: 'unauthenticated',
  10003: 'forbidden',
  10042: 'forbidden',
  10006: 'not_found',
  // Smaller parts than 5 MiB; metadata, names and arguments that R2 does not take; parts that are not there or uneven.
  10011: 'invalid',
  10012: 'limit',
  10020: 'invalid',
  10022: 'invalid',
  10024: 'not_found',
  10025: 'invalid',
  10029: 'invalid',
  10048: 'invalid',
  100100: 'limit',
}
/** Too many writes of one key at once. */
const tooManyRequests = '10058'
/** A range that starts past the end; miniflare 4.20260426 fails without a code when it starts right at the end. */
const invalidRanges = new Set(['10039', '0'])

/** R2 puts its code at the end of the message: "put: Reduce your concurrent request rate ... (10058)". */
const codeOf = (error: unknown) => /\((\d{1,6})\)\s*$/.exec(error instanceof Error ? error.message : String(error))?.[1]

function toFailure(error: unknown, what: string): Failure {
  if (error instanceof Failure) return error
  const code = codeOf(error) ?? ''
  const message = `${what}: ${error instanceof Error ? error.message : String(error)}`
  const refusal = refusals[code]
  if (refusal !== undefined) return new Failure(refusal, message, { code }, error)
  // TypeErrors are the runtime's own, before anything is sent.
  if (error instanceof TypeError) return new Failure('invalid', message, undefined, error)
  return unavailable(message, { outcome: code === tooManyRequests ? 'none' : 'unknown' }, error)
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toFailure(error, what)
  }
}

const isBody = (object: R2Object | R2Body): object is R2Body => 'body' in object && object.body !== undefined

const toRange = (range: ByteRange): R2Range =>
  'suffix' in range ? { suffix: range.suffix } : { offset: range.start, length: range.end - range.start }

const onlyIf = ({ ifNoneMatch, ifMatch }: Pick<PutOptions, 'ifNoneMatch' | 'ifMatch'>) => {
  if (ifNoneMatch !== undefined) return { onlyIf: { etagDoesNotMatch: ifNoneMatch } }
  return ifMatch === undefined ? {} : { onlyIf: { etagMatches: ifMatch } }
}

function headOf({ key, size, etag, uploaded }: R2Object): ObjectHead {
  return { key, sizeBytes: size, etag, modifiedMs: uploaded.getTime() }
}

/** A bucket bound to this Worker. */
class R2Objects implements ObjectStore {
  private readonly bucket: R2Binding
  private readonly storageClass: string | undefined

  constructor(bucket: R2Binding, { storageClass }: R2ObjectsOptions) {
    this.bucket = bucket
    this.storageClass = storageClass
  }

  async get(key: string, { range, ifMatch }: GetOptions = {}): Promise<ObjectBody | undefined> {
    checkKey(key)
    checkRange(range)
    checkCondition({ ifMatch })
    const options = { ...onlyIf({ ifMatch }), ...(range && { range: toRange(range) }) }
    return attempt(`get ${key}`, async () => {
      const object = await this.bucket.get(key, options).catch((error) => this.getPastEnd(key, range, error))
      if (object === null) return undefined
      const { etag, size: sizeBytes } = object
      if (!isBody(object) || (ifMatch !== undefined && ifMatch !== etag)) throw conflict(key, { ifMatch })
      const { start, end } = placeRange(range, sizeBytes)
      const bytes = new Uint8Array(await object.arrayBuffer())
      if (bytes.length === end - start) return { bytes, etag, sizeBytes }
      throw unavailable(`R2 sent ${bytes.length} of ${end - start} bytes of ${key}`, { outcome: 'none' })
    })
  }

  /** Tell a range that starts past the end from other failures. An empty object has no range, but it has a suffix. */
  private async getPastEnd(
    key: string,
    range: ByteRange | undefined,
    error: unknown,
  ): Promise<R2Body | R2Object | null> {
    if (!invalidRanges.has(codeOf(error) ?? '') || range === undefined) throw error
    const object = await this.bucket.head(key)
    if (object === null) return null
    if ('suffix' in range && object.size === 0) return this.bucket.get(key)
    if ('start' in range && range.start >= object.size) throw pastEnd(range.start, object.size)
    throw error
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    checkKey(key)
    const object = await attempt(`head ${key}`, () => this.bucket.head(key))
    if (object === null) return undefined
    const marker = object.customMetadata?.[markerName]
    return { ...headOf(object), ...(marker !== undefined && { marker }) }
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<Written> {
    checkKey(key)
    checkCondition(options)
    const written = await attempt(`put ${key}`, () =>
      this.bucket.put(key, bytes, { ...onlyIf(options), ...this.kept(options.marker) }),
    )
    if (written === null) throw conflict(key, options)
    return { etag: written.etag }
  }

  private kept(marker: string | undefined): Kept {
    return {
      ...(this.storageClass !== undefined && { storageClass: this.storageClass }),
      ...(marker !== undefined && { customMetadata: { [markerName]: marker } }),
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey)
    for (let from = 0; from < keys.length; from += OBJECTS_PER_DELETE_MAX) {
      await attempt('delete', () => this.bucket.delete(keys.slice(from, from + OBJECTS_PER_DELETE_MAX)))
    }
  }

  async list(options: ListOptions = {}): Promise<Listing> {
    const limit = checkList(options)
    const { prefix, after, cursor, delimiter } = options
    const page = await attempt('list', () =>
      this.bucket.list({
        limit,
        ...(prefix !== undefined && { prefix }),
        ...(after !== undefined && { startAfter: after }),
        ...(cursor !== undefined && { cursor }),
        ...(delimiter !== undefined && { delimiter }),
      }),
    )
    const listing = { objects: page.objects.map(headOf), prefixes: page.delimitedPrefixes }
    return page.truncated ? { ...listing, next: page.cursor } : listing
  }

  async multipart(key: string, options: MultipartOptions = {}): Promise<MultipartUpload> {
    checkKey(key)
    checkCondition({ marker: options.marker })
    const parts = new Parts(options.partBytes)
    const kept = this.kept(options.marker)
    const upload = await attempt(`multipart ${key}`, () => this.bucket.createMultipartUpload(key, kept))
    const uploaded: R2Part[] = []
    return {
      write: (number, bytes) =>
        attempt(`part ${number} of ${key}`, async () => {
          parts.check(number, bytes.length)
          uploaded[number - 1] = await upload.uploadPart(number, bytes)
          parts.arrived(number, bytes.length)
        }),
      complete: (condition = {}) =>
        attempt(`complete ${key}`, async () => {
          if (condition.ifMatch !== undefined || condition.ifNoneMatch !== undefined) {
            throw new Failure('unsupported', 'the R2 binding cannot complete an upload under a condition')
          }
          parts.checkComplete()
          const { etag } = await upload.complete(uploaded)
          parts.close()
          return { etag }
        }),
      abort: () =>
        attempt(`abort ${key}`, async () => {
          if (parts.close()) await upload.abort()
        }),
    }
  }
}

/** See an R2 bucket through the port. Wrap it in `withRetries`.
 *  @param bucket the binding */
export function r2Objects(bucket: R2Binding, options: R2ObjectsOptions = {}): ObjectStore {
  return new R2Objects(bucket, options)
}
