/** Failures as HTTP answers: a status by code, and `{ error: { code, message, detail? } }` as the body. */
import { type Code, codes, Failure } from '@dotdo/core/errors'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

const statuses: Record<Code, ContentfulStatusCode> = {
  invalid: 400,
  not_found: 404,
  exists: 409,
  type_mismatch: 400,
  limit: 413,
  unsupported: 501,
  cross_shard: 422,
  conflict: 409,
  moved: 503,
  unassigned: 503,
  // The history asked for is gone for good.
  out_of_range: 410,
  unauthenticated: 401,
  forbidden: 403,
  unavailable: 503,
  storage: 503,
  internal: 500,
}

/** Tell the HTTP status of a failure. */
export function statusOf(failure: Failure): ContentfulStatusCode {
  return statuses[failure.code]
}

/** Show a failure as the `error` of a JSON answer. What a bug of ours said is for the log, not for the client. */
export function errorBody(failure: Failure): { code: Code; message: string; detail?: unknown } {
  if (failure.code === 'internal') return { code: 'internal', message: 'internal error; the server has logged it' }
  const { code, message, detail } = failure
  return detail === undefined ? { code, message } : { code, message, detail }
}

/** Answer a request with a failure. */
export function answerFailure(context: Context, failure: Failure, status = statusOf(failure)): Response {
  if (codes[failure.code].retryable && status === 503) context.header('Retry-After', '1')
  return context.json({ error: errorBody(failure) }, status)
}

/** Answer whatever a handler threw.
 *  @param onBug told of what is not a Failure, and of failures that are bugs */
export function answerError(context: Context, error: unknown, onBug: (error: unknown) => void): Response {
  if (error instanceof HTTPException && error.status < 500) {
    return answerFailure(context, new Failure('invalid', error.message), error.status)
  }
  const failure = error instanceof Failure ? error : new Failure('internal', String(error), undefined, error)
  if (failure.code === 'internal') onBug(error)
  return answerFailure(context, failure)
}
