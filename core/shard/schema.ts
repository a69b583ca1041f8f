/** Tables of a shard: creation and migration from their declarations.
 *  The declaration each table was made from is kept beside it; `user_version` is not to be had in a Durable Object. */
import { Failure } from '../errors.ts'
import { shapeOf, type TableShape } from './row-codec.ts'
import type { Sql } from './sql.ts'
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

/** Bring the database to the declared tables: create what is missing, add nullable columns, make and drop indexes.
 *  @returns the shapes by id
 *  @throws unsupported when a declaration changed in a way that needs more than that
 *  @cost two statements when nothing has changed */
export function migrate(sql: Sql, tables: readonly Table[]): TableShape[] {
  const exists = sql.raw("select 1 from sqlite_master where type = 'table' and name = 'dotdo_redo'").length > 0
  if (!exists) for (const statement of own) sql.raw(statement)
  const known = new Map(sql.raw('select name, id, made from dotdo_tables').map(([name, ...rest]) => [name, rest]))
  const shapes: TableShape[] = []
  for (const table of tables) {
    const [id, made] = known.get(table.name) ?? []
    const now = JSON.stringify(declarationOf(table))
    if (id === undefined) shapes.push(shapeOf(table, create(sql, table, now)))
    else {
      if (made !== now) alter(sql, table, JSON.parse(String(made)) as Made, now)
      shapes.push(shapeOf(table, Number(id)))
    }
  }
  return shapes
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
  for (const [name, kind] of Object.entries(made.columns)) {
    if (table.columns[name] !== kind) throw refuse(`column ${name} was ${kind} and is ${table.columns[name] ?? 'gone'}`)
  }
  for (const [name, kind] of Object.entries(table.columns)) {
    if (name in made.columns) continue
    if (!kind.endsWith('?')) throw refuse(`new column ${name} must be allowed to be null`)
    if (table.buffered && sql.raw('select 1 from dotdo_redo limit 1').length > 0) {
      throw refuse('rows in the old shape are still in the redo; close the shard once with the version that wrote them')
    }
    sql.raw(`alter table ${table.name} add column ${columnText(name, kind)}`)
  }
  const indexes = table.indexes ?? {}
  for (const name of Object.keys(made.indexes)) {
    if (indexes[name] !== made.indexes[name]) sql.raw(`drop index ${table.name}_${name}`)
  }
  for (const [name, text] of Object.entries(indexes)) {
    if (made.indexes[name] !== text) sql.raw(`create index ${table.name}_${name} on ${table.name} ${text}`)
  }
  sql.raw('update dotdo_tables set made = ? where name = ?', now, table.name)
}
