/** Rows of a collection as columns of its mirror, and what does not fit. */
import { toFailure } from '../../errors.ts'
import type { RelationColumn, RelationValue } from '../../shard/relation.ts'
import type { Row, Table } from '../../shard/table.ts'
import type { Schema } from '../iceberg/schema.ts'
import type { ColumnInput } from '../parquet/column.ts'
import type { ChangedRow } from './changed.ts'

/** Rows ready to be written. */
export interface MirrorBatch {
  readonly rows: readonly ChangedRow[]
  readonly columns: { readonly [field: string]: ColumnInput }
}

/** A row that does not fit, and why. */
export interface Misfit {
  readonly row: ChangedRow
  readonly reason: string
}

/** What is wrong with a value for a column; undefined when nothing is. */
export function misfit(type: unknown, value: RelationValue | undefined, required: boolean): string | undefined {
  if (value === null || value === undefined) return required ? 'is null' : undefined
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `is ${shown(value)}, no boolean`
    case 'int':
      return Number.isInteger(value) && (value as number) === ((value as number) | 0)
        ? undefined
        : `is ${shown(value)}, no integer of 32 bits`
    case 'long':
    case 'timestamptz':
      return Number.isSafeInteger(value) ? undefined : `is ${shown(value)}, no integer within 2^53`
    case 'double':
      return typeof value === 'number' ? undefined : `is ${shown(value)}, no number`
    case 'string':
      if (typeof value !== 'string') return `is ${shown(value)}, no text`
      return value.isWellFormed() ? undefined : 'has lone surrogates'
    case 'binary':
      return value instanceof Uint8Array ? undefined : `is ${shown(value)}, no bytes`
    default:
      return `is of the type ${String(type)}, which no relation has`
  }
}

const shown = (value: RelationValue) => (value instanceof Uint8Array ? 'bytes' : String(value).slice(0, 40))

/** Turns rows into columns. */
export class MirrorRows {
  private readonly table: Table
  private readonly fields: readonly {
    readonly name: string
    readonly type: unknown
    readonly required: boolean
    readonly column: RelationColumn | undefined
  }[]
  private readonly shard: number

  constructor(table: Table, schema: Schema, shard: number) {
    this.table = table
    this.shard = shard
    const columns = new Map(table.relation?.columns.map((column) => [column.name, column]))
    this.fields = schema.fields.map(({ name, type, required }) => {
      return { name, type, required, column: columns.get(name) }
    })
  }

  /** Make columns of rows.
   *  @param rows that are there, and whole */
  batch(rows: readonly ChangedRow[]): { batch: MirrorBatch; misfits: Misfit[] } {
    const values: RelationValue[][] = this.fields.map(() => [])
    const kept: ChangedRow[] = []
    const misfits: Misfit[] = []
    for (const row of rows) {
      const reason = this.append(values, row)
      if (reason === undefined) kept.push(row)
      else misfits.push({ row, reason })
    }
    const columns = Object.fromEntries(this.fields.map(({ name }, at) => [name, { values: values[at] ?? [] }]))
    return { batch: { rows: kept, columns }, misfits }
  }

  /** Append one row to the columns, or to none.
   *  @returns what does not fit */
  private append(values: readonly RelationValue[][], row: ChangedRow): string | undefined {
    const made: RelationValue[] = []
    for (const { name, type, required, column } of this.fields) {
      let value: RelationValue
      try {
        value = column === undefined ? this.hidden(name, row) : column.value(row.row as Row)
      } catch (error) {
        return `${name}: ${toFailure(error).message}`
      }
      const wrong = misfit(type, value, required)
      if (wrong !== undefined) return `${name} ${wrong}`
      made.push(value ?? null)
    }
    for (const [at, value] of made.entries()) values[at]?.push(value)
    return undefined
  }

  private hidden(name: string, { id, seq, at }: ChangedRow): RelationValue {
    if (name === '_id') return id
    if (name === '_shard') return this.shard
    if (name === '_seq') return seq
    // A column that the relation has no more.
    return name === '_at' ? at * 1000 : null
  }

  /** Bytes of a row's payload; 0 when it has none that could leave. */
  payloadBytes({ row }: ChangedRow): number {
    const column = this.table.relation?.payload?.column
    const value = column === undefined ? null : row?.[column]
    if (value === null || value === undefined) return 0
    return typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  }

  /** Show a row to people, as far as that goes. */
  show({ row }: ChangedRow): string | null {
    try {
      return JSON.stringify(this.table.document(row as Row))
    } catch {
      return null
    }
  }
}
