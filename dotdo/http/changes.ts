/** `GET /changes`: the change feed of a database, as server-sent events or as lines of JSON.
 *
 *      GET /changes?database=default     which database; made on first use, as everywhere
 *         &since=now|start|TOKEN         where to begin; a Last-Event-ID header goes before it
 *         &follow=true|false             go on for ever, or end at the present end
 *         &limit=N                       end after N changes
 *         &collections=a,b               only these
 *         &documentId=user:*             only ids like this: * any text, ? one character, \ takes the next as it is
 *         &operations=put,delete         only these; insert and update need capture=full
 *         &capture=key|after|full        raise what the log keeps of the collections first
 *         &encoding=event|debezium       how a change is written
 *         &heartbeat=15s                 how long silence may last; ms, s or m
 *
 *  1. `Accept: text/event-stream` gets events `change`, `heartbeat`, `error` and `end`, whose id is the token. Lines of
 *     JSON (`application/x-ndjson`, and where anything will do) are `{ change, token }`, `{ heartbeat, token }`,
 *     `{ error }` and `{ end: true, token }`. `end` comes where the request says that it ends; a stream that just
 *     breaks off was cut.
 *  2. Following begins with a heartbeat. With many shards, only the last change of a run has a token.
 *  3. What can be refused is refused before the stream begins, with a status: 400 for a bad option or token, 404 for a
 *     collection to capture that does not exist, 410 for history that is gone. Later failures come as an `error`.
 *  4. The client sets the pace: nothing is read from a shard that the client does not take. */
import {
  type ChangeEvent,
  databaseSource,
  type Feed,
  type FeedItem,
  type FeedOptions,
  type Operation,
  openFeed,
  type Stop,
  toDebezium,
} from '@dotdo/core/cdc'
import { type Code, Failure, toFailure } from '@dotdo/core/errors'
import { CHANGES_PER_CHUNK_MAX } from '@dotdo/core/limits'
import type { Fabric } from '@dotdo/core/shard'
import { Hono } from 'hono'
import { z } from 'zod'
import { answerFailure, errorBody } from './errors.ts'

/** What the route needs. */
export interface ChangesParts {
  readonly fabric: Fabric
  /** Throws a Failure (unauthenticated, forbidden) when the request may not see the database's changes. */
  authorise?(request: Request, database: string): void | Promise<void>
  /** Ends every stream when the server stops, with an `error` that says so: else the server would wait for ever. */
  readonly stop?: Stop
  /** Told how many streams are open whenever that changes. */
  onStreams?(open: number): void
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

const list = z.string().transform((text) => text.split(','))
const units = { ms: 1, s: 1_000, m: 60_000 } as const
const duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m)$/, 'want a number and ms, s or m, such as 15s')
  .transform((text) => {
    const [, count, unit] = /^(\d+)(\D+)$/.exec(text) as unknown as [string, string, keyof typeof units]
    return Number(count) * units[unit]
  })

const querySchema = z.strictObject({
  database: z.string().default('default'),
  since: z.string().default('now'),
  follow: z.enum(['true', 'false']).default('true'),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, 'want a whole number from 1')
    .transform(Number)
    .optional(),
  collections: list.optional(),
  documentId: z.string().optional(),
  operations: list.optional(),
  capture: z.enum(['key', 'after', 'full']).default('key'),
  encoding: z.enum(['event', 'debezium']).default('event'),
  heartbeat: duration.optional(),
})
type Query = z.infer<typeof querySchema>

function parseQuery(queries: Record<string, string[]>): Query {
  const twice = Object.keys(queries).find((name) => queries[name]?.length !== 1)
  if (twice !== undefined) throw new Failure('invalid', `option ${twice} is given more than once`)
  const { data, error } = querySchema.safeParse(
    Object.fromEntries(Object.entries(queries).map(([name, [value]]) => [name, value])),
  )
  if (error === undefined) return data
  const said = error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Failure('invalid', `query: ${said.join('; ')}`)
}

function feedOptions(query: Query, lastEventId: string | undefined): Omit<FeedOptions, 'clock'> {
  const { since, follow, collections, documentId, operations, capture, heartbeat } = query
  return {
    since: lastEventId || since,
    follow: follow === 'true',
    capture,
    filter: {
      ...(collections && { collections }),
      ...(documentId !== undefined && { documentId }),
      // An operation that does not exist is refused by the filter.
      ...(operations && { operations: operations as Operation[] }),
    },
    ...(heartbeat !== undefined && { heartbeatMs: heartbeat }),
  }
}

/** How a stream is written. */
interface Format {
  readonly contentType: string
  readonly opening: string
  change(data: unknown, token: string | undefined): string
  heartbeat(timestamp: number, token: string): string
  error(error: { code: Code; message: string }): string
  end(token: string): string
}

const sseEvent = (name: string, data: unknown, token?: string) => {
  return `event: ${name}\n${token === undefined ? '' : `id: ${token}\n`}data: ${JSON.stringify(data)}\n\n`
}
/** @source https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream */
const sse: Format = {
  contentType: 'text/event-stream',
  opening: 'retry: 1000\n\n',
  change: (data, token) => sseEvent('change', data, token),
  heartbeat: (timestamp, token) => sseEvent('heartbeat', { timestamp }, token),
  error: (error) => sseEvent('error', { error }),
  end: (token) => sseEvent('end', {}, token),
}

const line = (value: unknown) => `${JSON.stringify(value)}\n`
const ndjson: Format = {
  contentType: 'application/x-ndjson',
  opening: '',
  change: (change, token) => line({ change, token }),
  heartbeat: (heartbeat, token) => line({ heartbeat, token }),
  error: (error) => line({ error }),
  end: (token) => line({ end: true, token }),
}

const formats = new Map<string, Format>([
  ['text/event-stream', sse],
  ['application/x-ndjson', ndjson],
  ['application/ndjson', ndjson],
  ['application/jsonl', ndjson],
  ['application/*', ndjson],
  ['*/*', ndjson],
])

/** Choose a format: the first that is accepted.
 *  @returns undefined when none is */
function formatOf(accept: string | undefined): Format | undefined {
  const types = (accept || '*/*').split(',').map((type) => type.replace(/;.*$/, '').trim().toLowerCase())
  return types.map((type) => formats.get(type)).find((format) => format !== undefined)
}

interface StreamParts {
  readonly feed: Feed
  readonly format: Format
  readonly limit: number
  readonly encode: (event: ChangeEvent) => unknown
  /** What ends the stream with an error, and what ends it because nobody is there. */
  readonly stop: Stop | undefined
  readonly gone: Stop
  onEnd(): void
  onBug(error: unknown): void
}

/** Write a feed as the client takes it. */
function streamOf(parts: StreamParts): ReadableStream<Uint8Array> {
  const { feed, format, limit, encode, stop, gone, onEnd, onBug } = parts
  const encoder = new TextEncoder()
  let left = limit
  let open = true
  const interrupt = () => void feed.return()
  const close = () => {
    if (!open) return
    open = false
    stop?.removeEventListener('abort', interrupt)
    gone.removeEventListener('abort', close)
    interrupt()
    onEnd()
  }
  const write = (item: FeedItem) => {
    if ('heartbeat' in item) return format.heartbeat(item.heartbeat, item.token)
    left--
    return format.change(encode(item.event), item.token)
  }
  const next = async (): Promise<{ text: string; last: boolean }> => {
    try {
      const items = await feed.nextBatch(Math.min(left, CHANGES_PER_CHUNK_MAX))
      if (stop?.aborted) throw new Failure('unavailable', 'the server is stopping; go on with the last token')
      const text = items.map(write).join('')
      return items.length > 0 && left > 0
        ? { text, last: false }
        : { text: text + format.end(feed.token()), last: true }
    } catch (error) {
      const failure = toFailure(error)
      if (failure.code === 'internal') onBug(error)
      return { text: format.error(errorBody(failure)), last: true }
    }
  }
  stop?.addEventListener('abort', interrupt)
  gone.addEventListener('abort', close)
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        if (format.opening !== '') controller.enqueue(encoder.encode(format.opening))
      },
      async pull(controller) {
        const { text, last } = await next()
        // The client left while this was awaited.
        if (!open) return
        controller.enqueue(encoder.encode(text))
        if (!last) return
        close()
        controller.close()
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}

/** Make the routes under `/changes`. Errors are left to the app's `onError`. */
export function changesRoutes({ fabric, authorise, stop, onStreams, onBug = () => undefined }: ChangesParts): Hono {
  const routes = new Hono()
  let streams = 0
  const count = (by: number) => {
    streams += by
    onStreams?.(streams)
  }
  routes.get('/', async (context) => {
    const format = formatOf(context.req.header('Accept'))
    if (format === undefined) {
      const message = 'changes come as text/event-stream or application/x-ndjson; Accept one of them'
      return answerFailure(context, new Failure('invalid', message), 406)
    }
    const query = parseQuery(context.req.queries())
    await authorise?.(context.req.raw, query.database)
    if (stop?.aborted) throw new Failure('unavailable', 'the server is stopping')
    const database = await fabric.database(query.database)
    const options = feedOptions(query, context.req.header('Last-Event-ID'))
    // A proxy that gathers or keeps the answer would hold changes back.
    const headers = { 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', 'Content-Type': format.contentType }
    // Nobody would read the stream of a HEAD, or end it.
    if (context.req.method === 'HEAD') return context.body(null, 200, headers)
    const feed = await openFeed(databaseSource(fabric, database), { clock: fabric.clock, ...options })
    const encode = query.encoding === 'event' ? identity : debezium(fabric)
    const limit = query.limit ?? Number.POSITIVE_INFINITY
    const gone = context.req.raw.signal
    count(1)
    const body = streamOf({ feed, format, limit, encode, stop, gone, onEnd: () => count(-1), onBug })
    if (gone.aborted) await body.cancel()
    return context.body(body, 200, headers)
  })
  return routes
}

const identity = (event: ChangeEvent): unknown => event
const debezium = (fabric: Fabric) => (event: ChangeEvent) => toDebezium(event, fabric.clock.nowMs())
