/** Tables on a terminal: aligned by what is seen, cut where a line would break.
 *
 *  1. No value reaches the terminal as it is: control characters are written out, so that data cannot drive it. */

/** How a table is laid out. */
export interface TableOptions {
  /** Columns that stand to the right. */
  readonly right?: readonly boolean[]
  /** Characters a line may have; unbounded when left out. */
  readonly width?: number
}

/** Characters that take two cells: East Asian wide and fullwidth forms, and emoji. */
const eastAsian =
  '\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\u33ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\ua000-\\ua4cf' +
  '\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6'
const wide = new RegExp(`[${eastAsian}]|\\p{Emoji_Presentation}`, 'u')
/** Characters that take none. */
const without = /^[\p{Mn}\p{Me}\p{Cf}]$/u
/** Characters that a terminal obeys or breaks a line at. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g
const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Write control characters out, as JSON would. */
export function printable(text: string): string {
  return text.replace(control, (char) => {
    return named[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

const cellsOf = (char: string) => (without.test(char) ? 0 : wide.test(char) ? 2 : 1)

/** Count the cells that text takes on a terminal. */
export function cellWidth(text: string): number {
  // Nearly all text is ASCII.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let cells = 0
  for (const char of text) cells += cellsOf(char)
  return cells
}

/** Cut text to a number of cells, with `…` where something was left out. */
export function cut(text: string, cells: number): string {
  if (cellWidth(text) <= cells) return text
  let kept = ''
  let used = 0
  for (const char of text) {
    used += cellsOf(char)
    if (used > cells - 1) break
    kept += char
  }
  return `${kept}…`
}

/** Fill text up to a number of cells, and cut it to them. */
export function fit(text: string, cells: number, right = false): string {
  const shown = cut(text, cells)
  const fill = ' '.repeat(cells - cellWidth(shown))
  return right ? fill + shown : shown + fill
}

/** Narrow the widest columns until they fit together.
 *  @param widths what each column wants
 *  @param room cells for all of them
 *  @param least what a column keeps, unless it wanted less
 *  @returns undefined when they do not fit */
export function narrow(widths: readonly number[], room: number, least: number): number[] | undefined {
  const given = [...widths]
  let over = given.reduce((sum, width) => sum + width, 0) - room
  while (over > 0) {
    const most = Math.max(...given)
    if (most <= least) return undefined
    const next = Math.max(least, ...given.filter((width) => width < most))
    const widest = given.flatMap((width, index) => (width === most ? [index] : []))
    // All of the widest are lowered together, to the next one or until it is enough.
    const by = Math.min(most - next, Math.ceil(over / widest.length))
    for (const index of widest) given[index] = most - Math.min(by, most - least)
    over = given.reduce((sum, width) => sum + width, 0) - room
  }
  return given
}

/** Align rows in columns, without lines between them.
 *  @param rows the first may be a head; all have as many cells */
export function alignRows(rows: readonly (readonly string[])[], { right = [] }: TableOptions = {}): string[] {
  const shown = rows.map((row) => row.map(printable))
  const widths = (shown[0] ?? []).map((_, column) => Math.max(...shown.map((row) => cellWidth(row[column] ?? ''))))
  return shown.map((row) => {
    return `  ${row.map((cell, column) => fit(cell, widths[column] ?? 0, right[column])).join('  ')}`.trimEnd()
  })
}

/** Write bytes for people: 12.3 MB. */
export function showBytes(bytes: number): string {
  const units = [bytes === 1 ? 'byte' : 'bytes', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** Write a number for people: 1,234,567. */
export function showNumber(value: number): string {
  return value.toLocaleString('en-US')
}

/** Write a duration for people, in the unit in which it is at least two. */
export function showDuration(ms: number): string {
  const units = [
    [86_400_000, 'days'],
    [3_600_000, 'hours'],
    [60_000, 'minutes'],
    [1_000, 'seconds'],
  ] as const
  const [size, unit] = units.find(([size]) => ms >= 2 * size) ?? [1, 'ms']
  return `${Math.floor(ms / size)} ${unit}`
}
