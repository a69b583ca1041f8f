/** How results of SQL are written: JSON, lines of JSON, CSV. Arrow is in arrow.ts.
 *
 *      application/json                     { columns, rows: [[...], ...], stats }; cut short: { columns, rows, error }
 *      application/x-ndjson                 {"a":1,...} a line, then {"$stats":{...}} or {"$error":{...}}
 *      application/vnd.dotdo.rows+ndjson    {"columns":[...]}, then [1,...] a line, then {"stats":..} or {"error":..}
 *      text/csv                             RFC 4180 with a header; null is nothing, an empty text is ""
 *
 *  1. A format is fed columns, then batches of rows, then how it ended. Where the format has no room to say that it
 *     failed, `fail` gives nothing and the answer is broken off: a part of a result is never taken for all of it. */
import type { SqlColumn, SqlResultValue, SqlStats } from '@dotdo/core/tiering/sql'
import { arrowWriter } from './arrow.ts'
import type { errorBody } from './errors.ts'
import { distinctNames, type JsonValue, type ToJson, textOf, toJsonOf } from './sql-values.ts'

/** Rows as engines give them. */
export type Rows = readonly (readonly SqlResultValue[])[]

/** What is written of a failure. */
export type FailureBody = ReturnType<typeof errorBody>

/** Writes one result. Empty pieces are left out. */
export interface ResultWriter {
  begin(): string | Uint8Array
  rows(batch: Rows): string | Uint8Array
  end(stats: SqlStats): string | Uint8Array
  /** Say that there is no more because it failed; undefined where the format cannot. */
  fail(error: FailureBody): string | undefined
}

/** A format: its media type, and a writer for each result. */
export interface ResultFormat {
  readonly contentType: string
  /** May load what it is made with. */
  open(columns: readonly SqlColumn[]): ResultWriter | Promise<ResultWriter>
}

/** Turn a batch into rows that JSON.stringify takes, touching only columns that need it. */
function jsonRows(columns: readonly SqlColumn[]): (batch: Rows) => readonly (readonly JsonValue[])[] {
  const encoders = columns.flatMap(({ type }, index) => {
    const encode = toJsonOf(type)
    return encode === undefined ? [] : [[index, encode] as const]
  })
  if (encoders.length === 0) return (batch) => batch as readonly (readonly JsonValue[])[]
  return (batch) => batch.map((row) => encodeRow(row, encoders))
}

function encodeRow(row: Rows[number], encoders: readonly (readonly [number, ToJson])[]): JsonValue[] {
  const encoded = [...row] as JsonValue[]
  for (const [index, encode] of encoders) encoded[index] = encode(row[index] as SqlResultValue)
  return encoded
}

const line = (value: unknown) => `${JSON.stringify(value)}\n`
const linesOf = (values: readonly unknown[]) => values.map(line).join('')

const json: ResultFormat = {
  contentType: 'application/json',
  open(columns) {
    const encode = jsonRows(columns)
    let first = true
    return {
      begin: () => `{"columns":${JSON.stringify(columns)},"rows":[`,
      rows(batch) {
        if (batch.length === 0) return ''
        const text = JSON.stringify(encode(batch)).slice(1, -1)
        const separator = first ? '' : ','
        first = false
        return `${separator}${text}`
      },
      end: (stats) => `],"stats":${JSON.stringify(stats)}}`,
      fail: (error) => `],"error":${JSON.stringify(error)}}`,
    }
  },
}

const ndjson: ResultFormat = {
  contentType: 'application/x-ndjson',
  open(columns) {
    const encode = jsonRows(columns)
    const names = distinctNames(columns.map(({ name }) => name))
    // Row by row: JSON.stringify of an object would put names that look like numbers first.
    const labels = names.map((name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`)
    const write = (row: readonly JsonValue[]) => {
      let text = ''
      for (const [index, label] of labels.entries()) text += label + JSON.stringify(row[index])
      return `${text}}\n`
    }
    return {
      begin: () => '',
      rows: (batch) => encode(batch).map(write).join(''),
      end: (stats) => line({ $stats: stats }),
      fail: (error) => line({ $error: error }),
    }
  },
}

const rowLines: ResultFormat = {
  contentType: 'application/vnd.dotdo.rows+ndjson',
  open(columns) {
    const encode = jsonRows(columns)
    return {
      begin: () => line({ columns }),
      rows: (batch) => linesOf(encode(batch)),
      end: (stats) => line({ stats }),
      fail: (error) => line({ error }),
    }
  },
}

/** Write one row of CSV.
 *  @source RFC 4180; null, of which it knows nothing, is an empty field, an empty text a quoted one, as in Postgres */
export function csvRow(row: readonly JsonValue[]): string {
  const cells = row.map((value) => {
    if (value === null) return ''
    const text = textOf(value)
    return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  })
  return `${cells.join(',')}\r\n`
}

const csv: ResultFormat = {
  contentType: 'text/csv; charset=utf-8; header=present',
  open(columns) {
    const encode = jsonRows(columns)
    return {
      begin: () => csvRow(columns.map(({ name }) => name)),
      rows: (batch) => encode(batch).map(csvRow).join(''),
      end: () => '',
      fail: () => undefined,
    }
  },
}

const arrow: ResultFormat = {
  contentType: 'application/vnd.apache.arrow.stream',
  open: async (columns) => arrowWriter(await import('apache-arrow'), columns),
}

const formats = new Map<string, ResultFormat>([
  ['application/json', json],
  ['application/x-ndjson', ndjson],
  ['application/ndjson', ndjson],
  ['application/jsonl', ndjson],
  ['application/vnd.dotdo.rows+ndjson', rowLines],
  ['text/csv', csv],
  ['application/vnd.apache.arrow.stream', arrow],
  ['text/*', csv],
  ['application/*', json],
  ['*/*', json],
])

/** The media types that results come as. */
export const mediaTypes: readonly string[] = [json, ndjson, csv, arrow].map(({ contentType }) =>
  contentType.replace(/;.*/, ''),
)

/** Choose a format: the first that is accepted.
 *  @param accept the header; everything is accepted without one
 *  @returns undefined when none is */
export function resultFormat(accept: string | undefined): ResultFormat | undefined {
  const types = (accept || '*/*').split(',').map((type) => type.replace(/;.*$/, '').trim().toLowerCase())
  return types.map((type) => formats.get(type)).find((format) => format !== undefined)
}
