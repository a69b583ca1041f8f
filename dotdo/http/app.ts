/** The HTTP app, the same in Node and in a Worker: nothing here knows the platform, what is the host's is handed in.
 *
 *      GET  /health                      open to all
 *      GET  /metrics                     where the host counts
 *      *    /databases...                databases.ts
 *      GET  /changes                     changes.ts
 *      *    /fs/...                      fs.ts: filesystems, WebDAV; errors also in XML
 *      *    /databases/:name/tier...     tier.ts, where there is a lake
 *      *    /sql...                      sql.ts, where there is an engine for it
 *      *    /iceberg...                  iceberg.ts, where there is a lake; errors are that protocol's
 *      *    /redis...                    redis.ts, where there is a Redis; errors and credentials are Upstash's
 *
 *  1. Every answer but a stream is JSON; an error is `{ error: { code, message } }` with the status errors.ts gives it.
 *  2. With `authenticate`, everything but /health wants the password.
 *  3. What changes something is not taken from pages of other origins that a browser shows.
 *  4. A new part of the app is a file here with a function that makes its routes, and one line below. */
import type { Stop } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import type { Clock, Fabric, ShardOptions } from '@dotdo/core/shard'
import type { SqlEngine } from '@dotdo/core/tiering/sql'
import type { LakeControl } from '@dotdo/core/tiering/tier'
import type { RedisServer } from '@dotdo/redis/server'
import { Hono } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { changesRoutes } from './changes.ts'
import { type Authenticate, refuseOtherOrigins, requireLoopbackHost, requirePassword } from './credentials.ts'
import { databasesRoutes } from './databases.ts'
import { answerError, answerFailure } from './errors.ts'
import { fsRoutes } from './fs.ts'
import { type HealthCheck, healthRoute } from './health.ts'
import { type IcebergParts, icebergRoutes } from './iceberg.ts'
import { type MetricsText, metricsRoute } from './metrics.ts'
import { redisRoutes } from './redis.ts'
import { type SqlOutcome, sqlRoutes } from './sql.ts'
import { tierRoutes } from './tier.ts'

/** What the app is made of. */
export interface AppParts {
  readonly fabric: Fabric
  readonly clock: Clock
  /** The version of dotdo. */
  readonly version: string
  /** When the server began, in ms since 1970. */
  readonly startedMs: number
  /** How databases are made when a request does not say. */
  readonly defaults: ShardOptions
  /** Checks passwords; without it nobody is asked for one. */
  readonly authenticate?: Authenticate
  /** Serve only requests that call us by a loopback name; for servers without a password on the user's own machine. */
  readonly loopbackOnly?: boolean
  /** What /health looks at besides the catalog. */
  readonly checks?: Readonly<Record<string, HealthCheck>>
  /** What the host has counted; without it there is no /metrics. */
  metrics?(): Promise<MetricsText>
  /** Ends the streams of /changes when the server stops. */
  readonly stop?: Stop
  /** Told how many streams of /changes are open whenever that changes. */
  onStreams?(open: number): void
  /** Runs SQL; without it there is no /sql. */
  readonly sql?: SqlEngine
  /** Told of every query that has ended. */
  onSql?(outcome: SqlOutcome): void
  /** What flows into the lake; without it there is no tiering. */
  readonly lake?: LakeControl
  /** The catalog of its tables; without it there is no /iceberg. */
  readonly iceberg?: Omit<IcebergParts, 'onBug'>
  /** The Redis whose commands are taken over HTTP too; without it there is no /redis. */
  readonly redis?: RedisServer
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

/** Make the app. Serve it with `app.fetch`. */
export function createApp(parts: AppParts): Hono {
  const { fabric, clock, version, startedMs, defaults, authenticate, onBug = () => undefined } = parts
  const app = new Hono()
  if (parts.loopbackOnly) app.use(requireLoopbackHost())
  app.use(refuseOtherOrigins())
  const checks = { catalog: () => fabric.list('', 1), ...parts.checks }
  app.get('/health', healthRoute({ version, startedMs, clock, checks }))
  // Before the others' credentials: it says itself who is let in, in its own words.
  if (parts.redis !== undefined) app.route('/redis', redisRoutes({ ...parts, redis: parts.redis, onBug }))
  if (authenticate !== undefined) app.use(requirePassword(authenticate))
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed(context, methods) {
        const allowed = methods.join(', ')
        context.header('Allow', allowed)
        const message = `${context.req.method} is not supported at ${context.req.path}; ${allowed} are`
        return answerFailure(context, new Failure('unsupported', message), 405)
      },
    }),
  )
  if (parts.metrics !== undefined) app.get('/metrics', metricsRoute(parts.metrics))
  app.route('/databases', databasesRoutes({ fabric, defaults }))
  app.route('/changes', changesRoutes({ ...parts, onBug }))
  app.route('/fs', fsRoutes({ fabric, clock }))
  const { sql, lake, iceberg } = parts
  if (sql !== undefined) app.route('/sql', sqlRoutes({ ...parts, sql, onBug }))
  if (lake !== undefined) app.route('/databases', tierRoutes({ fabric, lake }))
  if (iceberg !== undefined) app.route('/iceberg', icebergRoutes({ ...iceberg, onBug }))
  app.notFound((context) => answerFailure(context, new Failure('not_found', `nothing is at ${context.req.path}`)))
  app.onError((error, context) => answerError(context, error, onBug))
  return app
}
