/** Running statements for `dotdo sql`, one after the other, and writing what they give. */
import type { Writable } from 'node:stream'
import { Failure } from '@dotdo/core/errors'
import type { ServerOptions } from './server.ts'
import { query, type SqlQuestion } from './sql-client.ts'
import { type Output, type OutputFormat, outputs, showStats } from './sql-output.ts'

/** How statements are run and shown. */
export interface RunOptions extends Omit<SqlQuestion, 'sql'> {
  readonly server: ServerOptions
  readonly format: OutputFormat
  /** Say after each result what it cost. */
  readonly timing: boolean
  readonly out: Output
  /** Where that is said. */
  readonly notes: Output
}

/** Write to a stream of the process: at its pace, and within its width if it is a terminal. */
export function outputTo(stream: Writable & { readonly isTTY?: boolean; readonly columns?: number }): Output {
  return {
    get width() {
      return stream.isTTY ? stream.columns || undefined : undefined
    },
    write(text) {
      return new Promise((resolve, reject) => {
        // Called when it is written out, so that rows are fetched no faster than they are read.
        stream.write(text, (error) => (error ? reject(error) : resolve()))
      })
    },
  }
}

/** Run one statement and write its result.
 *  @param signal ends it */
export async function runStatement(sql: string, options: RunOptions, signal?: AbortSignal): Promise<void> {
  const { server, format, timing, out, notes, database, params, asOf, explain } = options
  const question: SqlQuestion = {
    sql,
    database,
    ...(params && { params }),
    ...(asOf !== undefined && { asOf }),
    ...(explain && { explain }),
  }
  const answer = await query(server, question, signal)
  await outputs[format](answer, out)
  if (timing) await notes.write(`${showStats(answer.stats())}\n`)
}

/** Say what is wrong with a statement, with the place under it where the engine knows one. */
export function explainFailure(failure: Failure, sql: string): string {
  const { line, column } = (failure.detail ?? {}) as { line?: unknown; column?: unknown }
  if (typeof line !== 'number' || typeof column !== 'number') return failure.message
  const text = sql.split('\n')[line - 1]
  if (text === undefined || column < 1 || column > text.length + 1) return failure.message
  // Tabs stay, so that the mark stands under what it means.
  const mark = `${text.slice(0, column - 1).replace(/[^\t]/g, ' ')}^`
  return `${failure.message}\n  ${text}\n  ${mark}`
}

/** Add the place of a mistake to its sentence, for one line. */
export function withPlace(failure: Failure): Failure {
  const { line, column } = (failure.detail ?? {}) as { line?: unknown; column?: unknown }
  if (typeof line !== 'number' || typeof column !== 'number') return failure
  const message = `${failure.message} (line ${line}, column ${column})`
  return new Failure(failure.code, message, failure.detail, failure)
}
