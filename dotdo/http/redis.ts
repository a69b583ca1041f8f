/** `/redis`: Redis over HTTP as Upstash speaks it, so that its client library and others like it work on
 *  `http://host:port/redis`. What requests mean is told in @dotdo/redis/rest.
 *
 *      POST /redis                        ["SET", "key", "value"]
 *      GET  /redis/set/key/value?EX=100   a command as a path; POST and PUT add their body as an argument
 *      POST /redis/pipeline               commands, answered one by one
 *      POST /redis/multi-exec             commands as one transaction
 *      GET  /redis/subscribe/channel      server-sent events; also psubscribe/pattern, monitor
 *      *    /redis/DATABASE...            any of these in another database, by what SELECT takes
 *
 *  1. The password comes in `Authorization`, or as `_token` in the query. Errors are `{ error: "..." }`: 401 for the
 *     password, 400 for what Redis answers, 405, 413.
 *  2. A path may write, so pages of other origins are refused reading too: a browser would fetch one as an image. */
import { type Bin, textToBin } from '@dotdo/core/bytes'
import type { Stop } from '@dotdo/core/cdc'
import { Failure, toFailure } from '@dotdo/core/errors'
import { REDIS_REST_BODY_BYTES_MAX } from '@dotdo/core/limits'
import { answerRest } from '@dotdo/redis/rest'
import type { RedisServer } from '@dotdo/redis/server'
import { type Context, Hono } from 'hono'
import { bodyBytes } from './body.ts'
import { type Authenticate, passwordOf } from './credentials.ts'
import { statusOf } from './errors.ts'

/** What the routes need. */
export interface RedisParts {
  readonly redis: RedisServer
  /** Checks passwords; without it nobody is asked for one. */
  readonly authenticate?: Authenticate
  /** Ends subscriptions when the server stops. */
  readonly stop?: Stop
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

const methods = ['GET', 'HEAD', 'POST', 'PUT']

/** Undo the percent signs of a part of a URL: what they stand for are bytes, not text. */
function decodePart(part: string): Bin {
  return textToBin(part).replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** Cut a URL's path after the service's address into its parts. */
function pathOf({ pathname }: URL): Bin[] {
  const path = pathname.replace(/^\/redis\/?/, '')
  return path === '' ? [] : path.split('/').map(decodePart)
}

/** Read a query in order, the password left out. */
function queryOf({ search }: URL): [Bin, Bin | undefined][] {
  const pairs = search.slice(1).split('&')
  const read = pairs
    .filter((pair) => pair !== '')
    .map((pair): [Bin, Bin | undefined] => {
      const [name = '', ...value] = pair.replaceAll('+', ' ').split('=')
      return [decodePart(name), value.length > 0 ? decodePart(value.join('=')) : undefined]
    })
  return read.filter(([name]) => name !== '_token')
}

function addressOf({ env }: Context): string {
  const socket = (env as { incoming?: { socket?: { remoteAddress?: string; remotePort?: number } } } | undefined)
    ?.incoming?.socket
  return `${socket?.remoteAddress ?? '0.0.0.0'}:${socket?.remotePort ?? 0}`
}

/** Whether a page of another origin had a browser send the request.
 *  @source https://www.w3.org/TR/fetch-metadata/ */
function isForeign({ req }: Context, url: URL): boolean {
  const site = req.header('Sec-Fetch-Site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  const origin = req.header('Origin')
  if (origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== (req.header('Host') ?? url.host)
}

/** Check who asks.
 *  @throws forbidden or unauthenticated */
async function checkClient(context: Context, url: URL, authenticate: Authenticate | undefined): Promise<void> {
  if (isForeign(context, url)) throw new Failure('forbidden', 'NOPERM pages of other origins are not served')
  if (authenticate === undefined) return
  const password = passwordOf(context.req.raw) ?? url.searchParams.get('_token') ?? undefined
  if (password !== undefined && (await authenticate('default', password))) return
  const message = password === undefined ? 'NOAUTH this server wants a password as the token' : 'WRONGPASS wrong token'
  throw new Failure('unauthenticated', message)
}

async function answer(context: Context, { redis, authenticate, stop }: RedisParts): Promise<Response> {
  const { req } = context
  const url = new URL(req.url)
  await checkClient(context, url, authenticate)
  if (!methods.includes(req.method)) {
    context.header('Allow', methods.join(', '))
    return context.json({ error: `ERR ${req.method} is not supported; ${methods.join(', ')} are` }, 405)
  }
  if (stop?.aborted) throw new Failure('unavailable', 'UNAVAILABLE the server is stopping')
  const body =
    req.method === 'GET' || req.method === 'HEAD' ? undefined : await bodyBytes(context, REDIS_REST_BODY_BYTES_MAX)
  const request = {
    path: pathOf(url),
    query: queryOf(url),
    body,
    encoding: req.header('Upstash-Encoding'),
    format: req.header('Upstash-Response-Format'),
  }
  const told = await answerRest(redis, request, { address: addressOf(context), gone: req.raw.signal, stop })
  const headers = { 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', 'Content-Type': told.contentType }
  if (req.method !== 'HEAD') return context.body(told.body as string, told.status, headers)
  // Nobody would read the stream of a HEAD, or end it.
  if (told.body instanceof ReadableStream) await told.body.cancel()
  return context.body(null, told.status, headers)
}

/** Make the routes under `/redis`. */
export function redisRoutes(parts: RedisParts): Hono {
  const routes = new Hono()
  routes.all('*', (context) => answer(context, parts))
  routes.onError((error, context) => {
    const failure = toFailure(error)
    if (failure.code === 'internal') parts.onBug(error)
    if (failure.code === 'unauthenticated') context.header('WWW-Authenticate', 'Bearer realm="dotdo"')
    const message = failure.code === 'internal' ? 'internal error; the server has logged it' : failure.message
    return context.json({ error: /^[A-Z]+ /.test(message) ? message : `ERR ${message}` }, statusOf(failure))
  })
  return routes
}
