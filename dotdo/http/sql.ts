/** `/sql`: SQL over hot and cold rows.
 *
 *      POST /sql                  { sql, database?, params?, asOf?, explain? } as application/json, or the SQL alone as
 *                                 text/plain or application/sql with ?database=&asOf=&explain=true
 *      GET  /sql/tables?database= what there is to ask: tables with their columns
 *
 *  1. `Accept` chooses how the result is written: sql-formats.ts lists the formats.
 *  2. What can be refused is refused before the first byte, with a status; that covers everything up to the first rows.
 *     Later failures are told in the formats that have room for it; the others are broken off.
 *  3. The client sets the pace: the query goes on as rows are taken, and ends when the client leaves. */
import { type Stop, StopSwitch } from '@dotdo/core/cdc'
import { Failure, toFailure } from '@dotdo/core/errors'
import { SQL_QUERIES_MAX } from '@dotdo/core/limits'
import type { SqlEngine, SqlRequest, SqlResult, SqlStats } from '@dotdo/core/tiering/sql'
import { Hono } from 'hono'
import { z } from 'zod'
import { bodyText } from './body.ts'
import { answerFailure, errorBody } from './errors.ts'
import { mediaTypes, type ResultFormat, type ResultWriter, type Rows, resultFormat } from './sql-formats.ts'
import { readSqlRequest } from './sql-request.ts'

const tablesSchema = z.strictObject({ database: z.string().optional() })

/** What became of a query: its cost, or why it failed. A query whose client left has neither. */
export interface SqlOutcome {
  readonly stats?: SqlStats
  readonly failure?: Failure
}

/** What the routes need. */
export interface SqlParts {
  readonly sql: SqlEngine
  /** Ends every query when the server stops. */
  readonly stop?: Stop
  /** Told of every query that has ended. */
  onSql?(outcome: SqlOutcome): void
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

/** A query under way. */
interface Running {
  readonly result: SqlResult
  /** Its rows from the second batch on. */
  readonly rest: AsyncIterator<Rows>
  readonly writer: ResultWriter
  /** Ends the query. */
  readonly halt: StopSwitch
  /** The server's own end. */
  readonly stop: Stop | undefined
  /** Note how it ended, once, and close it. */
  ended(outcome: SqlOutcome): Promise<void>
  onBug(error: unknown): void
}

type Piece = string | Uint8Array

/** Write everything an answer is made of, in order; returning early ends the query.
 *  @throws Failure where the format has no room for one */
async function* piecesOf(running: Running, first: IteratorResult<Rows>): AsyncGenerator<Piece> {
  const { result, rest, writer, halt, stop, ended, onBug } = running
  let outcome: SqlOutcome = {}
  try {
    yield writer.begin()
    for (let next = first; !next.done; next = await rest.next()) yield writer.rows(next.value)
    if (stop?.aborted) throw new Failure('unavailable', 'the server is stopping')
    // The client is gone: what came may not be the whole.
    if (halt.aborted) return
    const stats = result.stats()
    outcome = { stats }
    yield writer.end(stats)
  } catch (error) {
    const failure = toFailure(error)
    outcome = { failure }
    if (failure.code === 'internal') onBug(error)
    const told = writer.fail(errorBody(failure))
    if (told === undefined) throw failure
    yield told
  } finally {
    await ended(outcome)
  }
}

/** Stream pieces as the client takes them. */
function streamOf(pieces: AsyncGenerator<Piece>, abandon: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const { value, done } = await pieces.next()
          if (done) return controller.close()
          if (value.length === 0) continue
          return controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value)
        }
      },
      async cancel() {
        abandon()
        await pieces.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

/** Let some queries in at once. */
class Gate {
  private open = 0

  /** @returns what lets the next one in
   *  @throws unavailable when there are too many */
  enter(): () => void {
    if (this.open >= SQL_QUERIES_MAX) {
      throw new Failure('unavailable', `${SQL_QUERIES_MAX} queries are running; try again when one has ended`)
    }
    this.open++
    let inside = true
    return () => {
      if (inside) this.open--
      inside = false
    }
  }
}

/** Begin a query and take its first rows, so that early failures still have a status.
 *  @returns the body of the answer */
async function begin(parts: SqlParts, request: SqlRequest, { format, gone, gate }: Beginning) {
  const { sql, stop, onSql = () => undefined, onBug = () => undefined } = parts
  const leave = gate.enter()
  const halt = new StopSwitch()
  let result: SqlResult | undefined
  let isOver = false
  const ended = async (outcome: SqlOutcome) => {
    if (isOver) return
    isOver = true
    stop?.removeEventListener('abort', interrupt)
    gone.removeEventListener('abort', abandon)
    leave()
    onSql(outcome)
    await result?.close()
  }
  const interrupt = () => halt.abort()
  // Nobody may ever read the body of a client that is gone, so its generator may never come to its end.
  const abandon = () => {
    halt.abort()
    void ended({}).catch(onBug)
  }
  stop?.addEventListener('abort', interrupt)
  gone.addEventListener('abort', abandon)
  try {
    if (stop?.aborted || gone.aborted)
      throw new Failure('unavailable', 'the server is stopping, or the client has left')
    result = await sql.query({ ...request, stop: halt })
    const writer = await format.open(result.columns)
    const rest = result.batches[Symbol.asyncIterator]()
    const first = await rest.next()
    return streamOf(piecesOf({ result, rest, writer, halt, stop, ended, onBug }, first), abandon)
  } catch (error) {
    await ended({ failure: toFailure(error) })
    throw error
  }
}

interface Beginning {
  readonly format: ResultFormat
  readonly gone: Stop
  readonly gate: Gate
}

/** Make the routes under `/sql`. Errors are left to the app's `onError`. */
export function sqlRoutes(parts: SqlParts): Hono {
  const routes = new Hono()
  const gate = new Gate()
  routes.post('/', async (context) => {
    const format = resultFormat(context.req.header('Accept'))
    if (format === undefined) {
      const message = `results come as ${mediaTypes.join(', ')}; Accept one of them`
      return answerFailure(context, new Failure('invalid', message), 406)
    }
    const { req } = context
    const request = readSqlRequest(req.header('Content-Type'), await bodyText(context), req.query())
    const body = await begin(parts, request, { format, gone: req.raw.signal, gate })
    // A proxy that gathers or keeps the answer would hold rows back.
    const headers = { 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', 'Content-Type': format.contentType }
    return context.body(body, 200, headers)
  })
  routes.get('/tables', async (context) => {
    const { data, error } = tablesSchema.safeParse(context.req.query())
    if (error !== undefined) throw new Failure('invalid', 'query: database is all that can be asked')
    return context.json({ tables: await parts.sql.describe(data.database) })
  })
  return routes
}
