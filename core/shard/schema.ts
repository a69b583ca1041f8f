/** Tables of a shard: creation and migration from their declarations.
 *  The declaration each table was made from is kept beside it; `user_version` is not to be had in a Durable Object. */
import { Failure } from '../errors.ts'
import { LOG_SEGMENT_BYTES } from '../limits.ts'
import { ChangeLog } from './log.ts'
import { shapeOf, type TableShape } from './row-codec.ts'
import type { Sql } from './sql.ts'
import { Statements } from './statements.ts'
import type { ColumnKind, Table } from './table.ts'

const own = [
  'create table if not exists dotdo_meta (name text primary key, value text not null) strict, without rowid',
  `create table if not exists dotdo_tables (id integer primary key, name text not null unique, made text not null)
    strict`,
  `create table if not exists dotdo_log (first integer primary key, last integer not null, at integer not null,
    epoch integer not null, total integer not null, bytes blob not null) strict`,
  'create table if not exists dotdo_redo (first integer primary key, bytes blob not null) strict',
]

const sqlTypes = { integer: 'integer', real: 'real', text: 'text', blob: 'blob', bin: 'blob' } as const

function columnText(name: string, kind: ColumnKind): string {
  const nullable = kind.endsWith('?')
  const type = sqlTypes[(nullable ? kind.slice(0, -1) : kind) as keyof typeof sqlTypes]
  return `${name} ${type}${nullable ? '' : ' not null'}`
}

/** Write the statement that creates a declared table. */
export function createText(table: Table): string {
  const columns = Object.entries(table.columns).map(([name, kind]) => columnText(name, kind))
  const options = table.withoutRowid ? 'strict, without rowid' : 'strict'
  return `create table ${table.name} (${columns.join(', ')}, primary key (${table.primaryKey.join(', ')})) ${options}`
}

interface Made {
  columns: Record<string, ColumnKind>
  primaryKey: readonly string[]
  indexes: Record<string, string>
}

function declarationOf(table: Table): Made {
  return { columns: table.columns, primaryKey: table.primaryKey, indexes: table.indexes ?? {} }
}

/** Bring the database to the declared tables: create what is missing, add nullable columns, let columns be null, make
 *  and drop indexes.
 *  @returns the shapes by id
 *  @throws unsupported when a declaration changed in a way that needs more than that
 *  @cost two statements when nothing has changed; a copy of the table when a column may be null from now on */
export function migrate(sql: Sql, tables: readonly Table[]): TableShape[] {
  const exists = sql.raw("select 1 from sqlite_master where type = 'table' and name = 'dotdo_redo'").length > 0
  if (!exists) for (const statement of own) sql.raw(statement)
  const rows = sql.raw('select name, id, made from dotdo_tables')
  const known = new Map(rows.map(([name, id, made]) => [String(name), { id: Number(id), made: String(made) }]))
  const texts = new Map(tables.map((table) => [table, JSON.stringify(declarationOf(table))]))
  const isChanged = (table: Table) => known.has(table.name) && known.get(table.name)?.made !== texts.get(table)
  if (tables.some((table) => table.buffered && isChanged(table))) applyRedo(sql, tables, known)
  return tables.map((table) => {
    const now = texts.get(table) as string
    const { id, made } = known.get(table.name) ?? {}
    if (id === undefined || made === undefined) return shapeOf(table, create(sql, table, now))
    if (isChanged(table)) alter(sql, table, JSON.parse(made) as Made, now)
    return shapeOf(table, id)
  })
}

/** Bring the rows that are in the redo to their tables: it was written for the tables as they were. */
function applyRedo(sql: Sql, tables: readonly Table[], known: ReadonlyMap<string, { id: number; made: string }>): void {
  const shapes: TableShape[] = []
  for (const table of tables) {
    const { id, made } = known.get(table.name) ?? {}
    if (id === undefined || made === undefined) continue
    const { columns, primaryKey } = JSON.parse(made) as Made
    const { relation: _, ...rest } = table
    shapes[id] = shapeOf({ ...rest, columns, primaryKey }, id)
  }
  const statements = shapes.map(({ table }) => new Statements(table))
  new ChangeLog(sql, shapes, LOG_SEGMENT_BYTES).replay(({ id }, op, row) => {
    const table = statements[id] as Statements
    if (op === 'truncate') table.truncate(sql, row)
    else if (op === 'delete') sql.raw(table.remove, ...table.keyValues(row))
    else sql.raw(table.upsert, ...table.values(row))
  })
  sql.raw('delete from dotdo_redo')
}

function create(sql: Sql, table: Table, now: string): number {
  sql.raw(createText(table))
  for (const [name, text] of Object.entries(table.indexes ?? {})) {
    sql.raw(`create index ${table.name}_${name} on ${table.name} ${text}`)
  }
  const statement =
    'insert into dotdo_tables (id, name, made) select coalesce(max(id), 0) + 1, ?, ? from dotdo_tables returning id'
  return Number(sql.raw(statement, table.name, now)[0]?.[0])
}

function alter(sql: Sql, table: Table, made: Made, now: string): void {
  const refuse = (what: string) => new Failure('unsupported', `table ${table.name} cannot be migrated: ${what}`)
  if (made.primaryKey.join() !== table.primaryKey.join()) throw refuse('its primary key changed')
  let relaxed = false
  for (const [name, kind] of Object.entries(made.columns)) {
    const wanted = table.columns[name]
    if (wanted !== kind && wanted !== `${kind}?`) throw refuse(`column ${name} was ${kind} and is ${wanted ?? 'gone'}`)
    relaxed ||= wanted !== kind
  }
  const added = Object.entries(table.columns).filter(([name]) => !(name in made.columns))
  for (const [name, kind] of added)
    if (!kind.endsWith('?')) throw refuse(`new column ${name} must be allowed to be null`)
  if (relaxed) rebuild(sql, table, made)
  else for (const [name, kind] of added) sql.raw(`alter table ${table.name} add column ${columnText(name, kind)}`)
  const indexes = table.indexes ?? {}
  // With the old table, all of its indexes have gone.
  const standing = relaxed ? {} : made.indexes
  for (const name of Object.keys(standing)) {
    if (indexes[name] !== standing[name]) sql.raw(`drop index ${table.name}_${name}`)
  }
  for (const [name, text] of Object.entries(indexes)) {
    if (standing[name] !== text) sql.raw(`create index ${table.name}_${name} on ${table.name} ${text}`)
  }
  sql.raw('update dotdo_tables set made = ? where name = ?', now, table.name)
}

/** Copy a table into one of the new declaration: SQLite cannot take `not null` from a column. */
function rebuild(sql: Sql, table: Table, made: Made): void {
  const columns = Object.keys(made.columns).join(', ')
  sql.raw(createText({ ...table, name: 'dotdo_rebuilt' }))
  sql.raw(`insert into dotdo_rebuilt (${columns}) select ${columns} from ${table.name}`)
  sql.raw(`drop table ${table.name}`)
  sql.raw(`alter table dotdo_rebuilt rename to ${table.name}`)
}
