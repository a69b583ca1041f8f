/** What a Worker answers at the lake's addresses when it has none: `unsupported`, and the way to one. */
import { Hono } from 'hono'
import { type Authenticate, requireLoopbackHost, requirePassword } from '../http/credentials.ts'
import { answerFailure } from '../http/errors.ts'
import { withoutLake } from './lake.ts'

/** Tell whether a path is about the lake. */
export function isOfLake(pathname: string): boolean {
  return /^\/(iceberg|databases\/[^/]+\/tier)(\/|$)/.test(pathname)
}

/** Make the app that answers there. Strangers are told nothing.
 *  @param authenticate absent when nobody is asked for a password */
export function withoutLakeRoutes(authenticate: Authenticate | undefined): Hono {
  const app = new Hono()
  app.use(authenticate === undefined ? requireLoopbackHost() : requirePassword(authenticate))
  app.all('*', (context) => answerFailure(context, withoutLake()))
  return app
}
