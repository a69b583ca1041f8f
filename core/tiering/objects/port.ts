/** The ObjectStore port: named bytes that are written whole, in memory, on a disk, in S3 or in R2.
 *
 *  1. An object is written whole or not at all; nobody sees half of one.
 *  2. What a write returned is what every later read sees (S3 and R2 have promised this since 2020).
 *  3. An etag names one write of one key; it is compared, never parsed. Stores of the network may give two writes of
 *     the same bytes the same etag.
 *  4. A conditional write that does not apply is `conflict`, for certain. A write whose outcome is not known is
 *     `unavailable` with a `StoreFault` that says so: look with `head` and compare the marker to find out.
 *  5. Lists are in the order of the keys' UTF-8 bytes.
 *
 *  @source https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
 *  @source https://developers.cloudflare.com/r2/api/workers/workers-api-reference/ */
import { Failure } from '../../errors.ts'

/** Lets the caller give up on a request; stores that cannot stop a request under way let it run out. */
export interface Cancel {
  readonly signal?: AbortSignal | undefined
}

/** Bytes `start` up to `end` (excluded, cut at the object's end), or the last `suffix` bytes (or all, if fewer). */
export type ByteRange = { readonly start: number; readonly end: number } | { readonly suffix: number }

/** What to read of an object. */
export interface GetOptions extends Cancel {
  readonly range?: ByteRange | undefined
  /** Read only this write of the key; another is `conflict`. */
  readonly ifMatch?: string | undefined
}

/** When a write applies: always, when the key is free, or when its object is still the one of an etag. */
export interface PutOptions extends Cancel {
  readonly ifNoneMatch?: '*' | undefined
  readonly ifMatch?: string | undefined
  /** A name for this write, kept with the object where the store can: it tells our write from another's. */
  readonly marker?: string | undefined
}

/** What to list. */
export interface ListOptions extends Cancel {
  readonly prefix?: string | undefined
  /** Keys up to this one, itself included, are left out. */
  readonly after?: string | undefined
  /** `next` of the page before; the other options must be the same. */
  readonly cursor?: string | undefined
  /** Objects and prefixes of a page, 1 to 1000 (the default). */
  readonly limit?: number | undefined
  /** Gather keys that go on past the prefix with a slash into `prefixes`. */
  readonly delimiter?: '/' | undefined
}

/** An object without its bytes. */
export interface ObjectHead {
  readonly key: string
  readonly sizeBytes: number
  readonly etag: string
  /** When it was written, in milliseconds since 1970; S3 keeps seconds. */
  readonly modifiedMs: number
  /** Of the write that made it; absent in lists, and where the store keeps none. */
  readonly marker?: string
}

/** An object, or a range of it. */
export interface ObjectBody {
  /** The bytes asked for; the caller owns them. */
  readonly bytes: Uint8Array
  readonly etag: string
  /** Of the whole object. */
  readonly sizeBytes: number
}

/** One page of a list. */
export interface Listing {
  readonly objects: ObjectHead[]
  /** Each up to its slash, that included. */
  readonly prefixes: string[]
  /** `cursor` of the next page; absent on the last. */
  readonly next?: string
}

/** What a write leaves. */
export interface Written {
  readonly etag: string
}

/** How an object of many parts is begun. */
export interface MultipartOptions extends Cancel {
  /** Bytes of every part but the last, 5 MiB at the least; 8 MiB when left out. */
  readonly partBytes?: number | undefined
  readonly marker?: string | undefined
}

/** A large object on its way, part by part. Once it has been completed or aborted, every call but `abort` is
 *  `not_found`. */
export interface MultipartUpload {
  /** Send a part. Calls may overlap and come in any order; the same number again replaces the part.
   *  @param number from 1
   *  @param bytes as many as `partBytes`, but for the last part; borrowed until the promise settles
   *  @throws invalid for a part of another size, limit past 10,000 parts */
  write(number: number, bytes: Uint8Array, options?: Cancel): Promise<void>
  /** Make the parts one object, in the order of their numbers; may be tried again when it fails.
   *  @throws conflict when the condition does not hold; unsupported for a condition that the store cannot keep;
   *    invalid when parts are missing or smaller than the others */
  complete(options?: Omit<PutOptions, 'marker'>): Promise<Written>
  /** Drop the parts. Does nothing when the upload has ended. */
  abort(options?: Cancel): Promise<void>
}

/** Named bytes. Every call may throw `unavailable`, `storage`, `forbidden`, and `invalid` for a key it cannot take. */
export interface ObjectStore {
  /** Read an object or a range of it.
   *  @returns undefined when the key is free
   *  @throws conflict when `ifMatch` is not its etag; invalid when the range starts past its end */
  get(key: string, options?: GetOptions): Promise<ObjectBody | undefined>
  /** Look at an object. @returns undefined when the key is free */
  head(key: string, options?: Cancel): Promise<ObjectHead | undefined>
  /** Write an object.
   *  @param bytes borrowed until the promise settles
   *  @throws conflict when the condition does not hold: nothing was written */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<Written>
  /** Delete objects; a free key is no failure. */
  delete(keys: readonly string[], options?: Cancel): Promise<void>
  /** List one page of keys in order. */
  list(options?: ListOptions): Promise<Listing>
  /** Begin an object of many parts. */
  multipart(key: string, options?: MultipartOptions): Promise<MultipartUpload>
}

/** The detail of an `unavailable` failure of a store. */
export interface StoreFault {
  /** `none`: the store refused before it did anything. `unknown`: it may have been done, or may yet be. */
  readonly outcome: 'none' | 'unknown'
  /** The HTTP status, where there was one. */
  readonly status?: number
  /** How long the store asked to be left alone. */
  readonly retryAfterMs?: number
}

/** Make the failure of a store that did not answer, or not as it should. */
export function unavailable(message: string, fault: StoreFault, cause?: unknown): Failure {
  return new Failure('unavailable', message, fault, cause)
}

/** Read what a store said with its failure.
 *  @returns undefined for any other failure */
export function storeFault(error: unknown): StoreFault | undefined {
  if (!(error instanceof Failure) || error.code !== 'unavailable') return undefined
  const fault = error.detail as Partial<StoreFault> | undefined
  return fault?.outcome === undefined ? { outcome: 'unknown' } : (fault as StoreFault)
}

/** Make the failure of a condition that does not hold. */
export function conflict(key: string, options: { ifMatch?: string | undefined }): Failure {
  const was = options.ifMatch === undefined ? 'exists already' : `is not the object of etag ${options.ifMatch} any more`
  return new Failure('conflict', `${key} ${was}`, { key })
}
