/** The few SQL statements that every declared table needs, made once from its declaration. */
import { fromBin, toBin } from '../bytes.ts'
import { SQL_PARAMETERS_MAX } from '../limits.ts'
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import type { Row, Table } from './table.ts'

/** Statement texts of a table, and rows in and out of SQL. */
export class Statements {
  readonly find: string
  /** Answers a row when there is any. */
  readonly any: string
  readonly upsert: string
  /** How many rows `upsertMany` takes. */
  readonly many: number
  readonly upsertMany: string
  /** Reads rows from one on, that agree with it in all columns of the key but the last. */
  private readonly following: string
  private readonly preceding: string
  readonly remove: string
  private readonly name: string
  private readonly columns: readonly { name: string; bin: boolean }[]
  private readonly key: readonly { name: string; bin: boolean }[]
  private readonly hasBin: boolean
  /** The payload column, if rows may go without theirs. */
  readonly payload: string | undefined
  private readonly payloadSize: string
  private readonly setPayload: string

  constructor(table: Table) {
    const column = (name: string) => ({ name, bin: (table.columns[name] as string).startsWith('bin') })
    const names = Object.keys(table.columns)
    this.name = table.name
    this.columns = names.map(column)
    this.key = table.primaryKey.map(column)
    this.hasBin = this.columns.some(({ bin }) => bin)
    const payload = table.relation?.payload?.column
    this.payload = payload
    const where = table.primaryKey.map((name) => `${name} = ?`).join(' and ')
    const rest = names.filter((name) => !table.primaryKey.includes(name))
    const action =
      rest.length > 0 ? `update set ${rest.map((name) => `${name} = excluded.${name}`).join(', ')}` : 'nothing'
    this.any = `select 1 from ${table.name} limit 1`
    this.find = `select ${names.join(', ')} from ${table.name} where ${where}`
    this.remove = `delete from ${table.name} where ${where}`
    const places = `(${names.map(() => '?').join(', ')})`
    const upsert = (rows: number) => `insert into ${table.name} (${names.join(', ')})
      values ${Array.from({ length: rows }, () => places).join(', ')}
      on conflict (${table.primaryKey.join(', ')}) do ${action}`
    this.upsert = upsert(1)
    this.many = Math.max(1, Math.min(16, Math.floor(SQL_PARAMETERS_MAX / names.length)))
    this.upsertMany = upsert(this.many)
    const last = table.primaryKey.at(-1) as string
    const run = (comes: string, order: string) => `select ${names.join(', ')} from ${table.name}
      where ${where.replace(`${last} = ?`, `${last} ${comes} ?`)} order by ${last}${order} limit ?`
    this.following = run('>=', '')
    this.preceding = run('<=', ' desc')
    this.payloadSize = ''
    this.setPayload = ''
    if (payload === undefined) return
    // Of a blob, the length is known without reading it.
    const isBytes = /^b(in|lob)/.test(table.columns[payload] ?? '')
    const size = isBytes ? `length(${payload})` : `length(cast(${payload} as blob))`
    this.payloadSize = `select ${size} from ${table.name} where ${where} and ${payload} is not null`
    this.setPayload = `update ${table.name} set ${payload} = ? where ${where}`
  }

  /** @returns the values of all columns, as SQL stores them */
  values(row: Row): SqlValue[] {
    return boundAll(this.columns, row)
  }

  /** @returns the values of the key columns, as SQL stores them */
  keyValues(probe: Row): SqlValue[] {
    return boundAll(this.key, probe)
  }

  /** Store many rows.
   *  @param rows exactly `many` */
  putMany(sql: Sql, rows: readonly Row[]): void {
    const values: SqlValue[] = []
    for (const row of rows) for (const value of this.values(row)) values.push(value)
    sql.raw(this.upsertMany, ...values)
  }

  /** Read rows beside one, itself first.
   *  @param step -1 for those before it */
  run(sql: Sql, probe: Row, count: number, step: 1 | -1): Iterable<SqlRow> {
    return sql.iterate(step > 0 ? this.following : this.preceding, ...this.keyValues(probe), count)
  }

  /** Turn a row of SQL into a row of the table: blobs of `bin` columns become binary strings. */
  fromSql(row: SqlRow): Row {
    if (!this.hasBin) return row
    const out: Row = {}
    for (const { name, bin } of this.columns) {
      const value = row[name]
      if (value === undefined) continue
      out[name] = bin && value instanceof Uint8Array ? toBin(value) : value
    }
    return out
  }

  /** Set a stored row's payload to null.
   *  @returns the bytes it took */
  evict(sql: Sql, probe: Row): number {
    const [[size] = []] = sql.raw(this.payloadSize, ...this.keyValues(probe))
    if (size !== undefined) this.restore(sql, probe, null)
    return Number(size ?? 0)
  }

  /** Set a stored row's payload. */
  restore(sql: Sql, probe: Row, payload: SqlValue): void {
    const bin = this.columns.some((column) => column.bin && column.name === this.payload)
    sql.raw(this.setPayload, bound(payload, bin), ...this.keyValues(probe))
  }

  /** Delete the rows that agree with the key columns in `where`. */
  truncate(sql: Sql, where: Row): void {
    const given = this.key.filter(({ name }) => where[name] !== undefined)
    const condition = given.length > 0 ? ` where ${given.map(({ name }) => `${name} = ?`).join(' and ')}` : ''
    sql.raw(`delete from ${this.name}${condition}`, ...given.map(({ name, bin }) => bound(where[name], bin)))
  }
}

function boundAll(columns: readonly { name: string; bin: boolean }[], row: Row): SqlValue[] {
  const values: SqlValue[] = []
  for (let i = 0; i < columns.length; i++) {
    const { name, bin } = columns[i] as { name: string; bin: boolean }
    values.push(bound(row[name], bin))
  }
  return values
}

function bound(value: SqlValue | undefined, bin: boolean): SqlValue {
  if (value === undefined) return null
  return bin && typeof value === 'string' ? fromBin(value) : value
}
