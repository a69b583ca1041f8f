/** How `dotdo sql` shows a result: a table for people, and formats for programs, all written as rows come. */
import type { SqlColumn, SqlStats } from '@dotdo/core/tiering/sql'
import { csvRow } from '../http/sql-formats.ts'
import { distinctNames, type JsonValue, textOf } from '../http/sql-values.ts'
import type { JsonRow, SqlAnswer } from './sql-client.ts'
import { cellWidth, cut, fit, narrow, printable, showBytes, showNumber } from './table.ts'

/** Where a result goes. */
export interface Output {
  /** Characters of a line on the terminal; undefined where lines may be of any length. */
  readonly width?: number | undefined
  /** @returns when there is room for more */
  write(text: string): Promise<void>
}

type Show = (answer: SqlAnswer, out: Output) => Promise<void>

/** Rows that a table's widths are chosen by; later ones are cut to them. */
const measuredRows = 1_000
/** Cells that a column keeps when a line is too long. */
const columnWidthMin = 8

const numeric = /^(int|long|float|double|decimal)/

/** Write a value as a cell of a table. */
function cellOf(value: JsonValue): string {
  return value === null ? 'NULL' : printable(textOf(value))
}

/** How the lines of a table are made, once its widths are known. */
interface Layout {
  readonly head: string[]
  line(row: readonly string[]): string
}

function layoutOf(
  columns: readonly SqlColumn[],
  sample: readonly (readonly string[])[],
  out: Output,
): Layout | undefined {
  const names = columns.map(({ name }) => printable(name))
  const wanted = names.map((name, index) => {
    // One by one: a call does not take as many arguments as there may be rows.
    return sample.reduce((most, row) => Math.max(most, cellWidth(row[index] ?? '')), cellWidth(name))
  })
  // Between two columns stands ` │ `, at both ends a space.
  const room = out.width === undefined ? Number.POSITIVE_INFINITY : out.width - 3 * (columns.length - 1) - 2
  const widths = narrow(wanted, room, columnWidthMin)
  if (widths === undefined) return undefined
  const right = columns.map(({ type }) => numeric.test(type))
  const line = (row: readonly string[]) => {
    const cells = row.map((cell, index) => {
      const width = widths[index] ?? 0
      // Where lines may be of any length, nothing is left out, even if a column is out of line then.
      return fit(cell, out.width === undefined ? Math.max(width, cellWidth(cell)) : width, right[index])
    })
    return ` ${cells.join(' │ ')}`.trimEnd()
  }
  return { head: [line(names), widths.map((width) => '─'.repeat(width + 2)).join('┼')], line }
}

/** Show a row as a list of its columns, where a line has no room for it. */
function listOf(columns: readonly SqlColumn[], row: readonly string[], number: number, { width }: Output): string {
  const names = columns.map(({ name }) => printable(name))
  const most = Math.max(...names.map(cellWidth))
  const label = Math.min(most, Math.max(columnWidthMin, Math.floor((width ?? most * 2) / 3)))
  const lines = names.map((name, index) => {
    const cell = row[index] ?? ''
    const shown = width === undefined ? cell : cut(cell, Math.max(columnWidthMin, width - label - 4))
    return ` ${fit(name, label)} │ ${shown}`
  })
  return [`── row ${number} ──`, ...lines].join('\n')
}

async function table({ columns, batches }: SqlAnswer, out: Output): Promise<void> {
  let sample: string[][] = []
  let layout: Layout | undefined
  let isBegun = false
  let number = 0
  const write = async (rows: readonly (readonly string[])[]) => {
    const lines = rows.map((row) => {
      number++
      return layout?.line(row) ?? listOf(columns, row, number, out)
    })
    if (lines.length > 0) await out.write(`${lines.join('\n')}\n`)
  }
  const begin = async () => {
    isBegun = true
    layout = layoutOf(columns, sample, out)
    if (layout !== undefined) await out.write(`${layout.head.join('\n')}\n`)
    await write(sample)
    sample = []
  }
  for await (const batch of batches) {
    const rows = batch.map((row) => row.map(cellOf))
    if (isBegun) {
      await write(rows)
      continue
    }
    sample.push(...rows)
    if (sample.length >= measuredRows) await begin()
  }
  if (!isBegun) await begin()
}

async function json(answer: SqlAnswer, out: Output): Promise<void> {
  await out.write(`{"columns":${JSON.stringify(answer.columns)},"rows":[`)
  let separator = ''
  for await (const batch of answer.batches) {
    await out.write(separator + JSON.stringify(batch).slice(1, -1))
    separator = ','
  }
  await out.write(`],"stats":${JSON.stringify(answer.stats())}}\n`)
}

/** Write every row as text of its own. */
function eachRow(head: (columns: readonly SqlColumn[]) => string, row: (columns: readonly SqlColumn[]) => Line): Show {
  return async ({ columns, batches }, out) => {
    const line = row(columns)
    const text = head(columns)
    if (text !== '') await out.write(text)
    for await (const batch of batches) await out.write(batch.map(line).join(''))
  }
}

type Line = (row: JsonRow) => string

const ndjson = eachRow(
  () => '',
  (columns) => {
    const labels = distinctNames(columns.map(({ name }) => name)).map((name) => `${JSON.stringify(name)}:`)
    return (row) => `{${labels.map((label, index) => label + JSON.stringify(row[index])).join(',')}}\n`
  },
)

const csv = eachRow(
  (columns) => csvRow(columns.map(({ name }) => name)),
  () => csvRow,
)

/** Write a value as a cell of Markdown, where a bar would end it and markup would show. */
const markdownCell = (text: string) => printable(text).replace(/[\\|`*_<>[\]]/g, '\\$&')
const markdownRow = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`

const markdown = eachRow(
  (columns) => {
    const rule = columns.map(({ type }) => (numeric.test(type) ? '---:' : '---'))
    return markdownRow(columns.map(({ name }) => markdownCell(name))) + markdownRow(rule)
  },
  () => (row) => markdownRow(row.map((value) => (value === null ? '' : markdownCell(textOf(value))))),
)

/** Every format by name. */
export const outputs = { table, json, ndjson, csv, markdown } as const satisfies Readonly<Record<string, Show>>
/** The name of a format. */
export type OutputFormat = keyof typeof outputs
/** The names of the formats. */
export const outputFormats = Object.keys(outputs) as [OutputFormat, ...OutputFormat[]]

const counted = (count: number, one: string) => `${showNumber(count)} ${one}${count === 1 ? '' : 's'}`

/** Say in a line what a query gave and cost. */
export function showStats(stats: SqlStats): string {
  const { rows, elapsedMs, files, filesPruned, bytesRead, bytesCached, bytesPruned, hotRows, shards } = stats
  const parts = [`${counted(rows, 'row')} in ${showNumber(Math.round(elapsedMs))} ms`]
  if (shards > 0) parts.push(`${counted(hotRows, 'row')} from ${counted(shards, 'shard')}`)
  if (files > 0) {
    parts.push(
      `${showNumber(files - filesPruned)} of ${counted(files, 'file')} read (${showNumber(filesPruned)} pruned)`,
    )
    const bytes = [`${showBytes(bytesRead)} fetched`]
    if (bytesCached > 0) bytes.push(`${showBytes(bytesCached)} cached`)
    if (bytesPruned > 0) bytes.push(`${showBytes(bytesPruned)} pruned`)
    parts.push(bytes.join(', '))
  }
  return parts.join(' · ')
}
