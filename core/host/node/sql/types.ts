/** Iceberg's types as DuckDB names them. */
import { childrenOf, type IcebergType, isPrimitive, type Kind, parsePrimitive } from '../../../tiering/iceberg/types.ts'
import { quoteName } from './quote.ts'

const names: Record<Exclude<Kind, 'decimal'>, string> = {
  boolean: 'BOOLEAN',
  int: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  date: 'DATE',
  time: 'TIME',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMPTZ',
  string: 'VARCHAR',
  uuid: 'UUID',
  fixed: 'BLOB',
  binary: 'BLOB',
}

/** Name a type.
 *  @throws unsupported for types of format v3 */
export function duckType(type: IcebergType): string {
  if (isPrimitive(type)) {
    const { kind, precision, scale } = parsePrimitive(type)
    return kind === 'decimal' ? `DECIMAL(${precision}, ${scale})` : names[kind]
  }
  const inside = childrenOf(type)
  const [first, second] = inside.map((field) => duckType(field.type))
  if (type.type === 'list') return `${first}[]`
  if (type.type === 'map') return `MAP(${first}, ${second})`
  return `STRUCT(${inside.map((field) => `${quoteName(field.name)} ${duckType(field.type)}`).join(', ')})`
}
