/** `GET /tunnel/:dialect`: a wire protocol over a WebSocket, in the frames of ../tunnel/flow.ts.
 *
 *  1. A password comes in `Authorization`, or later in the protocol's own way; a wrong one is refused here.
 *  2. A page of another site cannot open a tunnel in its visitor's name. */
import { Failure } from '@dotdo/core/errors'
import { Hono, type MiddlewareHandler } from 'hono'
import { type Authenticate, requireLoopbackHost, requirePassword } from '../http/credentials.ts'
import { answerError, answerFailure } from '../http/errors.ts'

/** What the route is made of. */
export interface TunnelParts {
  /** Absent when nobody is asked for a password. */
  readonly authenticate: Authenticate | undefined
  /** Dialects that there are tunnels for. */
  readonly dialects: readonly string[]
  /** Hand a checked request to the object that will hold the WebSocket. */
  open(request: Request, dialect: string): Promise<Response>
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

/** Browsers send `Origin` with a WebSocket of any page; others do not send it. */
function refuseForeignPages(): MiddlewareHandler {
  return async (context, next) => {
    const origin = context.req.header('Origin')
    const { host } = new URL(context.req.url)
    if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return next()
    return answerFailure(context, new Failure('forbidden', `pages of ${origin.slice(0, 80)} may not open a tunnel`))
  }
}

/** Make the routes under `/tunnel`. */
export function tunnelRoutes({ authenticate, dialects, open, onBug }: TunnelParts): Hono {
  const app = new Hono()
  if (authenticate === undefined) app.use(requireLoopbackHost())
  app.use(refuseForeignPages())
  app.use(async (context, next) => {
    if (authenticate === undefined || context.req.header('Authorization') === undefined) return next()
    return requirePassword(authenticate)(context, next)
  })
  app.get('/tunnel/:dialect', async (context) => {
    const dialect = context.req.param('dialect')
    if (!dialects.includes(dialect)) throw new Failure('not_found', `there is no tunnel for ${dialect.slice(0, 40)}`)
    if (context.req.header('Upgrade')?.toLowerCase() === 'websocket') return open(context.req.raw, dialect)
    context.header('Upgrade', 'websocket')
    const message = 'a tunnel is a WebSocket; `dotdo connect` opens one'
    return answerFailure(context, new Failure('invalid', message), 426)
  })
  app.notFound((context) => answerFailure(context, new Failure('not_found', `nothing is at ${context.req.path}`)))
  app.onError((error, context) => answerError(context, error, onBug))
  return app
}
