/** dotdo as a Cloudflare Worker: the HTTP app of the server, tunnels for wire protocols, and the Durable Objects that
 *  the shards are. wrangler.jsonc binds them. Workers only.
 *
 *      /tunnel/redis     worker/tunnels.ts
 *      everything else   http/app.ts */
import { lakeObject, shardObject, workersClock } from '@dotdo/core/host/workers'
import { catalogProgram } from '@dotdo/core/shard'
import { createApp } from './http/app.ts'
import manifest from './package.json' with { type: 'json' }
import { authenticateOf, defaultsOf, type Environment, fabricOf, logBug } from './worker/environment.ts'
import { lakeOf, lakeParts, logTier, serviceOf, tieredPrograms } from './worker/lake.ts'
import { workerMetrics } from './worker/metrics.ts'
import { redisServer } from './worker/redis.ts'
import { tunnelRoutes } from './worker/tunnels.ts'
import { isOfLake, withoutLakeRoutes } from './worker/without-lake.ts'

export { GatewayObject } from './worker/gateway.ts'

/** The class of shards. */
export class ShardObject extends shardObject({
  programs: tieredPrograms,
  work: (environment) => lakeOf(environment as Environment)?.work ?? {},
  onBug: logBug,
}) {}

/** The class of databases' lakes. */
export class LakeObject extends lakeObject({
  open: (environment) => serviceOf(environment as Environment),
  onTier: logTier,
  onBug: logBug,
}) {}

/** The class of the catalog. */
export class CatalogObject extends shardObject({ programs: [catalogProgram], onBug: logBug }) {}

const { version } = manifest
/** When this isolate served its first request: the clock stands at 0 until then. */
let startedMs: number | undefined

function serveTunnels(request: Request, environment: Environment): Response | Promise<Response> {
  const { GATEWAYS } = environment
  const routes = tunnelRoutes({
    authenticate: authenticateOf(environment),
    dialects: ['redis'],
    open(checked) {
      const gateway = GATEWAYS.get(GATEWAYS.newUniqueId()) as { fetch: typeof fetch }
      return gateway.fetch(checked)
    },
    onBug: logBug,
  })
  return routes.fetch(request)
}

/** Whether a request is for Redis: others need no server for it made. */
function isOfRedis({ url }: Request): boolean {
  return /^\/redis(\/|$)/.test(new URL(url).pathname)
}

function serveApp(request: Request, environment: Environment): Response | Promise<Response> {
  const authenticate = authenticateOf(environment)
  const fabric = fabricOf(environment)
  const parts = lakeParts(environment, fabric)
  if (parts.lake === undefined && isOfLake(new URL(request.url).pathname)) {
    return withoutLakeRoutes(authenticate).fetch(request)
  }
  const app = createApp({
    ...parts,
    fabric,
    clock: workersClock,
    version,
    startedMs: startedMs ?? workersClock.nowMs(),
    defaults: defaultsOf(environment),
    // Without a password it serves local development (wrangler dev), never the Internet.
    loopbackOnly: authenticate === undefined,
    metrics: () => workerMetrics(fabric, version),
    ...(isOfRedis(request) && { redis: redisServer(environment, fabric) }),
    onBug: logBug,
    ...(authenticate && { authenticate }),
  })
  return app.fetch(request)
}

/** The Worker: what Cloudflare calls. */
export default {
  /** Answer a request. A fabric and an app are made for each: what one request opens, another must not use. */
  fetch(request: Request, environment: Environment): Response | Promise<Response> {
    startedMs ??= workersClock.nowMs()
    const { pathname } = new URL(request.url)
    return pathname.startsWith('/tunnel/') ? serveTunnels(request, environment) : serveApp(request, environment)
  },
}
