/** SQL asked of a running server: rows as they come, as lines of JSON (http/sql-formats.ts). */
import { Failure } from '@dotdo/core/errors'
import type { SqlColumn, SqlStats, SqlTable } from '@dotdo/core/tiering/sql'
import type { JsonValue } from '../http/sql-values.ts'
import { ask, baseOf, failureOf, noAnswer, type ServerOptions, send } from './server.ts'

/** A row, as JSON has it. */
export type JsonRow = readonly JsonValue[]

/** What is asked. */
export interface SqlQuestion {
  readonly sql: string
  readonly database: string
  readonly params?: readonly (string | number | boolean | null)[]
  readonly asOf?: string
  readonly explain?: boolean
}

/** An answer as it comes. */
export interface SqlAnswer {
  readonly columns: readonly SqlColumn[]
  readonly batches: AsyncIterable<readonly JsonRow[]>
  /** Known when the batches have ended. */
  stats(): SqlStats
}

/** A line that is no row. */
interface Control {
  columns?: SqlColumn[]
  stats?: SqlStats
  error?: unknown
}

type Line = JsonRow | Control

/** Read lines of JSON, as many at a time as have arrived. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Line[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() as string
    if (lines.length > 0) yield lines.map((line) => JSON.parse(line) as Line)
  }
}

const isRow = (line: Line): line is JsonRow => Array.isArray(line)

/** Ask a server.
 *  @param signal ends the query
 *  @throws what the server says; unavailable when nobody answers, or the answer breaks off */
export async function query(server: ServerOptions, question: SqlQuestion, signal?: AbortSignal): Promise<SqlAnswer> {
  const base = baseOf(server)
  const headers = { Accept: 'application/vnd.dotdo.rows+ndjson' }
  const request = { method: 'POST', headers, json: question, ...(signal && { signal }) } as const
  const response = await send(server, 'sql', request)
  if (!response.ok || response.body === null) {
    throw failureOf(base.origin, response.status, await response.json().catch(() => undefined))
  }
  const pieces = linesOf(response.body)
  const first = await pieces.next().catch((error) => {
    throw noAnswer(base, error)
  })
  const [head, ...early] = first.done ? [] : first.value
  if (head === undefined || isRow(head) || head.columns === undefined) {
    throw new Failure('unavailable', `${base.origin} does not answer as dotdo does`)
  }
  return answerOf(base, head.columns, early, pieces)
}

function answerOf(base: URL, columns: SqlColumn[], early: Line[], pieces: AsyncGenerator<Line[]>): SqlAnswer {
  let found: SqlStats | undefined
  async function* batches(): AsyncGenerator<JsonRow[]> {
    try {
      for (let lines = early; ; ) {
        const rows = lines.filter(isRow)
        if (rows.length > 0) yield rows
        const last = lines.at(-1)
        if (last !== undefined && !isRow(last)) {
          if (last.stats === undefined) throw failureOf(base.origin, 200, last)
          found = last.stats
          return
        }
        const next = await pieces.next()
        if (next.done) throw new Failure('unavailable', `the answer of ${base.origin} breaks off`)
        lines = next.value
      }
    } catch (error) {
      throw error instanceof Failure ? error : noAnswer(base, error)
    } finally {
      await pieces.return(undefined)
    }
  }
  return {
    columns,
    batches: batches(),
    stats() {
      if (found === undefined) throw new Failure('unavailable', 'the answer has not ended')
      return found
    },
  }
}

/** List what there is to ask. */
export async function listTables(server: ServerOptions): Promise<readonly SqlTable[]> {
  return (await ask<{ tables: SqlTable[] }>(server, 'sql/tables')).tables
}
