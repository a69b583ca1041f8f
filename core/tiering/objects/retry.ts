/** Patience with a store: attempts with backoff and full jitter, timeouts, a bounded number of requests under way.
 *
 *  1. Reads, lists, deletes, parts and unconditional writes are sent again as they are: twice is as good as once.
 *  2. A conditional write is never sent again blindly. An attempt that was not answered may have been done, or may be
 *     done later, while the next one is on its way; the store would then refuse our own second attempt as a conflict.
 *     So every write carries a marker of its own, and after an attempt of unknown outcome (and at a conflict after
 *     one) the object is looked at:
 *       - it carries our marker (or, in a store that keeps none, it is our bytes): the write was done;
 *       - it is still what the condition asks for: the write is sent again, with the same condition and marker, so that
 *         at most one of the attempts can apply;
 *       - `ifNoneMatch`, and it is somebody else's: conflict. (Keys written so are written once.)
 *       - `ifMatch`, and it is neither: ours may have been replaced already, so the outcome stays unknown, and is told
 *         as such: `unavailable`, never `conflict`. The caller has more to go by (a commit id in a history).
 *  3. `Retry-After` holds back every request to the store, not only the one that was told; one longer than a minute
 *     is the caller's to keep.
 *
 *  @source https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
import { Failure } from '../../errors.ts'
import {
  OBJECT_ATTEMPT_MS_MAX,
  OBJECT_ATTEMPTS_MAX,
  OBJECT_BYTES_PER_SECOND_MIN,
  OBJECT_PART_BYTES,
  OBJECT_REQUESTS_MAX,
  OBJECT_RETRY_AFTER_MS_MAX,
  OBJECT_RETRY_FIRST_MS,
  OBJECT_RETRY_MS_MAX,
} from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { counted, type StoreCounts } from './counted.ts'
import { Gate, sleep } from './gate.ts'
import {
  type ByteRange,
  conflict,
  type GetOptions,
  type MultipartUpload,
  type ObjectStore,
  type PutOptions,
  storeFault,
  unavailable,
  type Written,
} from './port.ts'

/** How patient to be. */
export interface RetryOptions {
  readonly clock: Clock
  /** Times a request is sent at the most; 6 when left out. */
  readonly attemptsMax?: number
  /** Bound of the first delay, doubled with each; 100 ms when left out. */
  readonly firstDelayMs?: number
  /** Bound of every delay; 10 s when left out. */
  readonly delayMsMax?: number
  /** How long an attempt may take besides its bytes (which get 256 KiB/s); 30 s when left out. */
  readonly attemptMsMax?: number
  /** Requests under way at once; 32 when left out. Workers have 6 connections. */
  readonly requestsMax?: number
}

/** What became of the requests. */
export interface RetryCounts extends StoreCounts {
  /** Requests sent again. */
  retries: number
  /** Requests that were not answered in time. */
  timeouts: number
  /** Answers that asked to be left alone. */
  throttled: number
  inFlight: number
  inFlightPeak: number
}

/** A store that tries again. */
export interface RetryingStore extends ObjectStore {
  /** Now; requests are counted as they are sent, so attempts count each. */
  counts(): RetryCounts
}

/** What is known when an attempt of a write has failed. */
interface Failed {
  readonly error: unknown
  /** Whether this attempt, or one before, may have been done, or may yet be. */
  readonly maybeDone: boolean
  /** Wait before the next attempt. */
  pause(): Promise<void>
}

/** What to do about a failed attempt: take the write for done, or send it again; it throws to end in failure. */
type Recover<T> = (failed: Failed) => Promise<T | 'again'>

/** How long an unranged read may take follows from a size nobody knows; larger objects are read by ranges. */
function bytesOf(range: ByteRange | undefined): number {
  if (range === undefined) return OBJECT_PART_BYTES
  return 'suffix' in range ? range.suffix : range.end - range.start
}

class RetryingObjects implements RetryingStore {
  private readonly store: ReturnType<typeof counted>
  private readonly clock: Clock
  private readonly gate: Gate
  private readonly options: Required<Omit<RetryOptions, 'clock' | 'requestsMax'>>
  private retries = 0
  private throttled = 0

  constructor(store: ObjectStore, { clock, requestsMax = OBJECT_REQUESTS_MAX, ...options }: RetryOptions) {
    this.store = counted(store)
    this.clock = clock
    this.gate = new Gate(clock, requestsMax)
    this.options = {
      attemptsMax: OBJECT_ATTEMPTS_MAX,
      firstDelayMs: OBJECT_RETRY_FIRST_MS,
      delayMsMax: OBJECT_RETRY_MS_MAX,
      attemptMsMax: OBJECT_ATTEMPT_MS_MAX,
      ...options,
    }
  }

  counts(): RetryCounts {
    const { retries, throttled } = this
    const { timeouts, inFlight, inFlightPeak } = this.gate
    return { ...this.store.counts, retries, timeouts, throttled, inFlight, inFlightPeak }
  }

  get: ObjectStore['get'] = (key, options: GetOptions = {}) =>
    this.run(bytesOf(options.range), options.signal, (signal) => this.store.get(key, { ...options, signal }))

  head: ObjectStore['head'] = (key, options = {}) =>
    this.run(0, options.signal, (signal) => this.store.head(key, { ...options, signal }))

  delete: ObjectStore['delete'] = (keys, options = {}) =>
    this.run(0, options.signal, (signal) => this.store.delete(keys, { ...options, signal }))

  list: ObjectStore['list'] = (options = {}) =>
    this.run(0, options.signal, (signal) => this.store.list({ ...options, signal }))

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<Written> {
    const marker = options.marker ?? this.newMarker()
    const send = (signal: AbortSignal) => this.store.put(key, bytes, { ...options, marker, signal })
    const isConditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined
    const recover = isConditional ? this.lookAfter(key, marker, options, bytes) : undefined
    return this.run(bytes.length, options.signal, send, recover)
  }

  multipart: ObjectStore['multipart'] = async (key, options = {}) => {
    const marker = options.marker ?? this.newMarker()
    const begin = (signal: AbortSignal) => this.store.multipart(key, { ...options, marker, signal })
    // An upload whose beginning was not answered is an orphan that the bucket's own rule removes (S3, R2: 7 days).
    return this.wrap(key, marker, await this.run(0, options.signal, begin))
  }

  private wrap(key: string, marker: string, upload: MultipartUpload): MultipartUpload {
    return {
      write: (number, bytes, options = {}) =>
        this.run(bytes.length, options.signal, (signal) => upload.write(number, bytes, { ...options, signal })),
      complete: (options = {}) => {
        const recover = this.lookAfter(key, marker, options, undefined)
        return this.run(0, options.signal, (signal) => upload.complete({ ...options, signal }), recover)
      },
      abort: (options = {}) => this.run(0, options.signal, (signal) => upload.abort({ ...options, signal })),
    }
  }

  private newMarker(): string {
    return this.clock.random().toString(36).padStart(10, '0') + this.clock.random().toString(36).padStart(10, '0')
  }

  /** Attempt until it works, fails for good, or has been tried often enough. */
  private async run<T>(
    sizeBytes: number,
    signal: AbortSignal | undefined,
    send: (signal: AbortSignal) => Promise<T>,
    recover?: Recover<T>,
  ): Promise<T> {
    const { attemptsMax, attemptMsMax } = this.options
    const attemptMs = attemptMsMax + Math.ceil((sizeBytes / OBJECT_BYTES_PER_SECOND_MIN) * 1000)
    let maybeDone = false
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.gate.pass(attemptMs, signal, send)
        } catch (error) {
          if (storeFault(error)?.outcome === 'unknown') maybeDone = true
          const pause = () => this.pause(attempt, error, signal)
          if (recover !== undefined) {
            const answer = await recover({ error, maybeDone, pause })
            if (answer !== 'again') return answer
          } else if (storeFault(error) !== undefined && attempt < attemptsMax) await pause()
          else throw error
          if (attempt >= attemptsMax) throw error
          this.retries++
        }
      }
    } catch (error) {
      throw withOutcome(error, maybeDone)
    }
  }

  /** Wait before the next attempt.
   *  @throws the failure itself when the store asks for longer than anybody should be kept, or the caller gave up */
  private async pause(attempt: number, error: unknown, signal: AbortSignal | undefined): Promise<void> {
    const { firstDelayMs, delayMsMax, attemptsMax } = this.options
    const { retryAfterMs } = storeFault(error) ?? {}
    if (signal?.aborted) throw error
    if (retryAfterMs !== undefined) {
      this.throttled++
      if (retryAfterMs > OBJECT_RETRY_AFTER_MS_MAX) throw error
      this.gate.closeFor(retryAfterMs)
    }
    if (attempt >= attemptsMax && storeFault(error)?.outcome === 'none') return
    const boundMs = Math.min(delayMsMax, firstDelayMs * 2 ** (attempt - 1))
    await sleep(this.clock, (this.clock.random() / 2 ** 48) * boundMs, signal)
  }

  /** Decide about the failures of a write that must not be done twice (rule 2). */
  private lookAfter(
    key: string,
    marker: string,
    condition: PutOptions,
    bytes: Uint8Array | undefined,
  ): Recover<Written> {
    return async ({ error, maybeDone, pause }) => {
      const code = error instanceof Failure ? error.code : undefined
      // An upload that is gone has been completed, perhaps by our own attempt.
      const couldBeOurs = maybeDone && (code === 'conflict' || code === 'not_found')
      if (storeFault(error) !== undefined) await pause()
      else if (!couldBeOurs) throw error
      if (!maybeDone) return 'again'
      const found = await this.lookFor(key, marker, condition, bytes)
      if (found === 'again' && code === 'not_found') throw undecided(key, error)
      return found
    }
  }

  private async lookFor(
    key: string,
    marker: string,
    condition: PutOptions,
    bytes: Uint8Array | undefined,
  ): Promise<Written | 'again'> {
    const { ifMatch, ifNoneMatch, signal } = condition
    const head = await this.head(key, { signal })
    if (head?.marker === marker) return { etag: head.etag }
    if (ifMatch === undefined && ifNoneMatch === undefined) return 'again'
    if (head === undefined ? ifMatch === undefined : head.etag === ifMatch) return 'again'
    if (head !== undefined && head.marker === undefined) {
      if (bytes === undefined) throw undecided(key)
      if (await this.holds(key, head, bytes, signal)) return { etag: head.etag }
    }
    throw ifMatch === undefined ? conflict(key, {}) : undecided(key)
  }

  private async holds(
    key: string,
    { etag, sizeBytes }: { etag: string; sizeBytes: number },
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (sizeBytes !== bytes.length) return false
    const body = await this.get(key, { ifMatch: etag, signal })
    return body?.bytes.every((byte, i) => byte === bytes[i]) ?? false
  }
}

function undecided(key: string, cause?: unknown): Failure {
  const message = `nobody can tell whether ${key} was written; it holds something else now`
  return unavailable(message, { outcome: 'unknown' }, cause)
}

/** A last attempt that was refused says nothing about those before it. */
function withOutcome(error: unknown, maybeDone: boolean): unknown {
  const fault = storeFault(error)
  if (!maybeDone || fault === undefined || fault.outcome === 'unknown') return error
  return unavailable((error as Failure).message, { ...fault, outcome: 'unknown' }, error)
}

/** Try a store's requests again where that is right, and never where it is not. */
export function withRetries(store: ObjectStore, options: RetryOptions): RetryingStore {
  return new RetryingObjects(store, options)
}
