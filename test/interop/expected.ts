/** What other engines should show for our rows: values by the type of their column. */
import type { IcebergType, StructType } from '@dotdo/core/tiering/iceberg'
import type { Row } from './lake.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').toUpperCase()

/** Write microseconds since 1970 as ClickHouse and DuckDB do. */
export function formatMicros(value: bigint | number): string {
  const micros = BigInt(value)
  const seconds = micros / 1_000_000n - (micros % 1_000_000n < 0n ? 1n : 0n)
  const rest = micros - seconds * 1_000_000n
  const text = new Date(Number(seconds) * 1000).toISOString()
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${`${rest}`.padStart(6, '0')}`
}

/** Write an unscaled decimal. */
export function formatDecimal(value: bigint | number, scale: number): string {
  const whole = BigInt(value)
  const digits = `${whole < 0n ? -whole : whole}`.padStart(scale + 1, '0')
  return `${whole < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function primitive(type: string, value: unknown): unknown {
  const scale = /^decimal\(\d+, ?(\d+)\)$/.exec(type)?.[1]
  if (scale !== undefined) return formatDecimal(value as bigint, Number(scale))
  if (type === 'long') return `${value}`
  // ClickHouse shows a time as whole seconds.
  if (type === 'time') return `${BigInt(value as number) / 1_000_000n}`
  if (type === 'date') return new Date((value as number) * 86_400_000).toISOString().slice(0, 10)
  if (/^timestamp/.test(type)) return formatMicros(value as number)
  if (value instanceof Uint8Array) return hex(value)
  return value
}

/** What ClickHouse shows for a value. It has no lists, maps and structs that are null: they are empty, or of nulls. */
export function clickHouseValue(type: IcebergType, value: unknown): unknown {
  const isNull = value === null || value === undefined
  if (typeof type === 'string') return isNull ? null : primitive(type, value)
  if (type.type === 'struct') return clickHouseRow(type, (value ?? {}) as Row)
  if (type.type === 'list') {
    return isNull ? [] : (value as unknown[]).map((one) => clickHouseValue(type.element, one))
  }
  const entries = isNull ? [] : [...(value as Map<unknown, unknown>)]
  return Object.fromEntries(entries.map(([key, one]) => [`${key}`, clickHouseValue(type.value, one)]))
}

/** What ClickHouse shows for a row of a schema, bytes as hexadecimal digits. */
export function clickHouseRow(schema: StructType, row: Row): Record<string, unknown> {
  return Object.fromEntries(schema.fields.map(({ name, type }) => [name, clickHouseValue(type, row[name])]))
}

/** Select all columns of a schema from somewhere, bytes as hexadecimal digits, in the order of `id`. */
export function selectAll(schema: StructType, from: string): string {
  const bytes = schema.fields.filter(({ type }) => typeof type === 'string' && /^(binary|fixed)/.test(type))
  const replaced = bytes.map(({ name }) => `hex(${name}) as ${name}`)
  return `select *${replaced.length > 0 ? ` replace (${replaced.join(', ')})` : ''} from ${from} order by id`
}

/** Sort rows by `id`. */
export function byId(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => Number(a.id) - Number(b.id))
}
