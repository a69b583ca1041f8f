/** What a filesystem refuses, as HTTP says it: a status by POSIX's code, and XML where WebDAV has a word for it. */
import { Failure, toFailure } from '@dotdo/core/errors'
import type { Errno, WebDetail } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { answerFailure } from '../errors.ts'
import { hrefOf, type Target } from './target.ts'
import { declaration, escapeXml, xmlType } from './xml.ts'

const statuses: Record<Errno, ContentfulStatusCode> = {
  EPERM: 403,
  ENOENT: 404,
  EIO: 500,
  ENXIO: 501,
  EAGAIN: 503,
  // The file that is written has been given up meanwhile.
  EBADF: 503,
  EACCES: 403,
  EBUSY: 403,
  EEXIST: 405,
  EXDEV: 502,
  ENOTDIR: 404,
  EISDIR: 405,
  EINVAL: 400,
  ENFILE: 503,
  EFBIG: 413,
  ENOSPC: 507,
  EMLINK: 507,
  ERANGE: 507,
  ENAMETOOLONG: 414,
  ENOTEMPTY: 409,
  ELOOP: 409,
  ENODATA: 404,
  EILSEQ: 400,
  ENOTSUP: 501,
  EDQUOT: 507,
  EROFS: 403,
}

const webStatuses: Record<WebDetail['web'] | 'elsewhere' | 'body', ContentfulStatusCode> = {
  'lock-token-submitted': 423,
  'no-conflicting-lock': 423,
  'lock-token-matches-request-uri': 409,
  precondition: 412,
  elsewhere: 502,
  body: 415,
}

/** Methods that make something: what is missing then is the directory for it. */
const makers = new Set(['PUT', 'MKCOL', 'COPY', 'MOVE', 'LOCK'])

/** Answer with a condition of WebDAV that does not hold. */
export function answerCondition(context: Context, status: ContentfulStatusCode, condition: string): Response {
  const body = `${declaration}<D:error xmlns:D="DAV:">${condition}</D:error>\n`
  return context.body(body, status, { 'Content-Type': xmlType })
}

/** Tell POSIX's code of a failure, if it has one. */
export function errnoOf(error: unknown): Errno | undefined {
  const { errno } = ((error instanceof Failure ? error.detail : undefined) ?? {}) as { errno?: Errno }
  return errno
}

/** Answer what a filesystem refused.
 *  @throws what is not its business */
export function answerRefusal(context: Context, error: unknown, target: Target | undefined): Response {
  const failure = error instanceof Failure ? error : toFailure(error)
  const { errno, web, path } = (failure.detail ?? {}) as { errno?: Errno } & Partial<WebDetail>
  if (web !== undefined && Object.hasOwn(webStatuses, web)) {
    const status = webStatuses[web]
    if (target === undefined || path === undefined || web === 'precondition') {
      return answerFailure(context, failure, status)
    }
    const href = `<D:href>${escapeXml(hrefOf(target.database, path, false))}</D:href>`
    const inside = web === 'lock-token-matches-request-uri' ? '' : href
    return answerCondition(context, status, inside === '' ? `<D:${web}/>` : `<D:${web}>${inside}</D:${web}>`)
  }
  if (errno === undefined || !Object.hasOwn(statuses, errno)) throw error
  const isMissing = errno === 'ENOENT' || errno === 'ENOTDIR'
  const status = isMissing && makers.has(context.req.method) ? 409 : statuses[errno]
  return answerFailure(context, failure, status)
}
