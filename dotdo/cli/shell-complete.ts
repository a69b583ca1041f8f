/** What the shell offers on Tab: commands, keywords, tables and columns that fit what has been typed. */
import type { SqlTable } from '@dotdo/core/tiering/sql'

const keywords = (
  'select from where group by order having limit offset join left right full inner cross on using union all except ' +
  'intersect distinct as and or not in is null between like ilike case when then else end cast asc desc with explain ' +
  'exists over partition filter values true false interval timestamp date count sum min max avg coalesce'
).split(' ')

/** Backslash commands, as they are typed. */
export const shellCommands = ['\\d', '\\timing', '\\format', '\\use', '\\q', '\\help'] as const

/** What is known when Tab is pressed. */
export interface Vocabulary {
  readonly tables: readonly SqlTable[]
  /** Where names without a database are. */
  readonly database: string
  /** What was typed of the statement before this line. */
  readonly before: string
}

/** Write a name in SQL: quoted where it must be. */
export function sqlName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** Find the tables that a statement names, with or without their database. */
function namedTables(text: string, { tables, database }: Vocabulary): SqlTable[] {
  const words = new Set(text.toLowerCase().match(/[\w$"-]+(?:\.[\w$"-]+)?/g))
  return tables.filter((table) => {
    const full = `${sqlName(table.database)}.${sqlName(table.table)}`.toLowerCase()
    return words.has(full) || (table.database === database && words.has(sqlName(table.table).toLowerCase()))
  })
}

/** List what may follow a name and a dot: tables of a database, columns of a table. */
function afterDot(name: string, vocabulary: Vocabulary): string[] {
  const { tables, database } = vocabulary
  const inside = tables.filter((table) => sqlName(table.database) === name).map(({ table }) => sqlName(table))
  const columns = tables
    .filter((table) => [sqlName(table.table), `${sqlName(table.database)}.${sqlName(table.table)}`].includes(name))
    .filter((table) => name.includes('.') || table.database === database)
    .flatMap((table) => table.columns.map((column) => sqlName(column.name)))
  return [...inside, ...columns].map((next) => `${name}.${next}`)
}

/** Find the name that the line ends in, quotes and dots included; read from the left, or a closing quote would open. */
function lastWord(line: string): string {
  const last = [...line.matchAll(/'[^']*(?:'|$)|(?:[\w$.]|"[^"]*(?:"|$))+/g)].at(-1)
  const isAtEnd = last !== undefined && last.index + last[0].length === line.length && !last[0].startsWith("'")
  return isAtEnd ? last[0] : ''
}

/** Offer completions.
 *  @param line what was typed of this line, up to the cursor
 *  @returns what fits, and the part of the line that it replaces */
export function complete(line: string, vocabulary: Vocabulary): [fits: string[], typed: string] {
  const { tables, database, before } = vocabulary
  const typed = lastWord(line)
  if (/^\s*\\\w*$/.test(line) && before.trim() === '') {
    const command = line.trimStart()
    return [shellCommands.filter((one) => one.startsWith(command)), command]
  }
  const dot = typed.lastIndexOf('.')
  const own = tables.filter((table) => table.database === database).map(({ table }) => sqlName(table))
  const full = tables.map((table) => `${sqlName(table.database)}.${sqlName(table.table)}`)
  const databases = [...new Set(tables.map((table) => `${sqlName(table.database)}.`))]
  const columns = namedTables(`${before}\n${line}`, vocabulary).flatMap((table) => table.columns)
  // After these words stands a table; a keyword is of no use there.
  const wantsTable = /\b(from|join|\\d)\s+$/i.test(line.slice(0, line.length - typed.length))
  const words = wantsTable
    ? [...own, ...databases]
    : [...columns.map(({ name }) => sqlName(name)), ...own, ...databases, ...keywords]
  const offered = dot < 0 ? words : [...afterDot(typed.slice(0, dot), vocabulary), ...full]
  const lower = typed.toLowerCase()
  return [[...new Set(offered.filter((word) => word.toLowerCase().startsWith(lower)))].sort(), typed]
}
