/** Failures as the Iceberg REST protocol tells them: `{ error: { message, type, code } }`.
 *  @source the REST catalog's OpenAPI, ErrorModel; the types are those of Iceberg Java's ErrorHandlers */
import { type Code, Failure } from '@dotdo/core/errors'
import { isRequirementConflict } from '@dotdo/core/tiering/iceberg'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { errorBody } from './errors.ts'

/** What a request is about: says which thing is not there, and whether a write's outcome matters. */
export type Subject = 'namespace' | 'table' | 'commit'

type Answer = readonly [status: ContentfulStatusCode, type: string]

const answers: Record<Code, Answer> = {
  invalid: [400, 'BadRequestException'],
  not_found: [404, 'NotFoundException'],
  exists: [409, 'AlreadyExistsException'],
  type_mismatch: [400, 'BadRequestException'],
  limit: [413, 'BadRequestException'],
  unsupported: [406, 'UnsupportedOperationException'],
  cross_shard: [400, 'BadRequestException'],
  conflict: [409, 'CommitFailedException'],
  moved: [503, 'ServiceUnavailableException'],
  unassigned: [503, 'ServiceUnavailableException'],
  out_of_range: [404, 'NotFoundException'],
  unauthenticated: [401, 'NotAuthorizedException'],
  forbidden: [403, 'ForbiddenException'],
  unavailable: [503, 'ServiceUnavailableException'],
  storage: [503, 'ServiceUnavailableException'],
  internal: [500, 'InternalServerError'],
}

function answerOf(failure: Failure, subject: Subject): Answer {
  const { code, detail } = failure
  if (code === 'not_found') return [404, subject === 'namespace' ? 'NoSuchNamespaceException' : 'NoSuchTableException']
  if (code === 'conflict' && subject === 'namespace') return [409, 'NamespaceNotEmptyException']
  if (code === 'conflict' && isRequirementConflict(failure)) return [409, 'CommitFailedException']
  const isUnknown =
    /^(unavailable|storage|internal)$/.test(code) && (detail as { outcome?: string })?.outcome !== 'none'
  // A client that hears 503 sends the commit again; one whose outcome nobody knows must be looked for first.
  if (subject === 'commit' && isUnknown) return [500, 'CommitStateUnknownException']
  return answers[code]
}

/** Answer a request with whatever was thrown.
 *  @param onBug told of what is not a Failure, and of failures that are bugs */
export function answerIcebergError(
  context: Context,
  error: unknown,
  subject: Subject,
  onBug: (error: unknown) => void,
): Response {
  const failure = toFailure(error)
  if (failure.code === 'internal') onBug(error)
  const [status, type] = answerOf(failure, subject)
  if (status === 503) context.header('Retry-After', '1')
  return context.json({ error: { message: errorBody(failure).message, type, code: status } }, status)
}

function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  if (error instanceof HTTPException && error.status < 500) return new Failure('invalid', error.message)
  return new Failure('internal', String(error), undefined, error)
}
