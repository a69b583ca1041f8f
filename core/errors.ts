/** The one error class of the fabric and its closed list of codes.
 *
 *  1. Every failure a user can meet is a `Failure`; anything else that is thrown is a bug of ours.
 *  2. Each dialect maps every code to its native error in a total table, checked by the compiler.
 *  3. A failure crosses threads and networks as plain data (`toWire`, `fromWire`). */

/** Every code, with whether trying again later, unchanged, can succeed. */
export const codes = {
  /** The request is malformed: wrong type, wrong number of arguments, out of its range. */
  invalid: { retryable: false },
  /** The thing named does not exist. */
  not_found: { retryable: false },
  /** The thing named exists already. */
  exists: { retryable: false },
  /** The key holds another type than the operation works on. */
  type_mismatch: { retryable: false },
  /** A value is too large, or a limit of core/limits.ts is reached. */
  limit: { retryable: false },
  /** Known, but not supported here. */
  unsupported: { retryable: false },
  /** The keys of one atomic command live on different shards. */
  cross_shard: { retryable: false },
  /** A condition of the request did not hold (a watched key changed, an etag differs). */
  conflict: { retryable: true },
  /** This shard does not own the slot; `detail` carries what is known of the newer map. */
  moved: { retryable: true },
  /** The shard has never been told which slots it owns. */
  unassigned: { retryable: true },
  /** The position asked for is not in the history any more, or belongs to another history. */
  out_of_range: { retryable: false },
  /** Credentials are missing. */
  unauthenticated: { retryable: false },
  /** Credentials do not allow this. */
  forbidden: { retryable: false },
  /** The shard, thread or network did not answer; a write may or may not have happened. */
  unavailable: { retryable: true },
  /** The storage refused (disk full, input or output error); nothing of the group was kept. */
  storage: { retryable: true },
  /** A bug of ours; nothing of this call was kept. */
  internal: { retryable: false },
} as const

/** One of the closed list of failure codes. */
export type Code = keyof typeof codes

/** A failure as plain data, as it crosses a thread or a network. */
export interface WireFailure {
  failure: Code
  message: string
  detail?: unknown
}

/** What went wrong, in a form that every dialect can map: a code, a sentence, and data. */
export class Failure extends Error {
  readonly code: Code
  readonly detail: unknown
  /** @param code one of the closed list
   *  @param message what was wrong, with which value, and what would be right
   *  @param detail plain data for machines; must survive structured clone */
  constructor(code: Code, message: string, detail?: unknown, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Failure'
    this.code = code
    this.detail = detail
  }
  /** Whether the same request, sent again later, can succeed. */
  get retryable(): boolean {
    return codes[this.code].retryable
  }
}

/** Turn anything thrown into a Failure: our own stay as they are, the rest become `internal`. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  const message = error instanceof Error ? error.message : String(error)
  return new Failure('internal', message, undefined, error)
}

/** Write a failure as plain data. */
export function toWire(failure: Failure): WireFailure {
  const wire: WireFailure = { failure: failure.code, message: failure.message }
  if (failure.detail !== undefined) wire.detail = failure.detail
  return wire
}

/** Read a failure back from plain data; anything else is returned untouched. */
export function fromWire<T>(value: T | WireFailure): T | Failure {
  if (typeof value !== 'object' || value === null || !('failure' in value)) return value as T
  const { failure, message, detail } = value as WireFailure
  return Object.hasOwn(codes, failure) ? new Failure(failure, message, detail) : (value as T)
}

/** State what must be true if our own code is right; a failed assertion is a bug, never a user's mistake.
 *  @throws Error (not a Failure) with `message` */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}
