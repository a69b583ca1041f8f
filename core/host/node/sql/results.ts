/** DuckDB's results as rows of plain values.
 *
 *  1. Integers of DuckDB that are wider than 64 bits (sums of integers are) count as `long`; a value past a long is
 *     refused, with what to cast it to, not rounded. Unsigned 64 bits are `decimal(20,0)`.
 *  2. What Iceberg has no type for (intervals, enums, bits, times with zones, nanoseconds) is text. */
import type { DuckDBDataChunk, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import type { SqlColumn, SqlResultValue } from '../../../tiering/sql/port.ts'
import type { DuckDBApi } from './duckdb.ts'

/** Turns a value that is not null into one of a result. */
type Reader = (value: NonNullable<DuckDBValue>) => SqlResultValue

/** A column of a result, and how its values are read; undefined: as they are. */
export interface ResultColumn extends SqlColumn {
  readonly read: Reader | undefined
}

/** Say what a column of a result is. */
export function resultColumn(api: DuckDBApi, name: string, type: DuckDBType): ResultColumn {
  const [typeName, read] = describe(api, name, type)
  return { name, type: typeName, read }
}

function describe(api: DuckDBApi, name: string, type: DuckDBType): readonly [string, Reader | undefined] {
  const ids = api.DuckDBTypeId
  switch (type.typeId) {
    case ids.BOOLEAN:
      return ['boolean', undefined]
    case ids.TINYINT:
    case ids.SMALLINT:
    case ids.INTEGER:
    case ids.UTINYINT:
    case ids.USMALLINT:
      return ['int', undefined]
    case ids.UINTEGER:
      return ['long', undefined]
    case ids.BIGINT:
    case ids.HUGEINT:
    case ids.UHUGEINT:
    case ids.BIGNUM:
      return ['long', (value) => longOf(value as bigint, name)]
    case ids.UBIGINT:
      return ['decimal(20,0)', String]
    case ids.FLOAT:
      return ['float', undefined]
    case ids.DOUBLE:
      return ['double', undefined]
    case ids.DECIMAL: {
      const { width, scale } = type as DuckDBType & { width: number; scale: number }
      return [`decimal(${width},${scale})`, String]
    }
    case ids.DATE:
      return ['date', String]
    case ids.TIME:
      return ['time', String]
    case ids.UUID:
      return ['uuid', String]
    case ids.BLOB:
      return ['binary', (value) => new Uint8Array((value as unknown as { bytes: Uint8Array }).bytes)]
    case ids.SQLNULL:
      return ['null', undefined]
    case ids.VARCHAR:
      return [type.alias === 'JSON' ? 'json' : 'string', undefined]
    default:
      return timeOrNested(api, type)
  }
}

function timeOrNested(api: DuckDBApi, type: DuckDBType): readonly [string, Reader] {
  const ids = api.DuckDBTypeId
  switch (type.typeId) {
    case ids.TIMESTAMP:
      return ['timestamp', (value) => integerOf((value as unknown as { micros: bigint }).micros)]
    case ids.TIMESTAMP_TZ:
      return ['timestamptz', (value) => integerOf((value as unknown as { micros: bigint }).micros)]
    case ids.TIMESTAMP_MS:
      return ['timestamp', (value) => integerOf((value as unknown as { millis: bigint }).millis * 1_000n)]
    case ids.TIMESTAMP_S:
      return ['timestamp', (value) => integerOf((value as unknown as { seconds: bigint }).seconds * 1_000_000n)]
    case ids.LIST:
    case ids.ARRAY:
      return ['list', (value) => plain(api, value) as SqlResultValue]
    case ids.STRUCT:
    case ids.UNION:
    case ids.VARIANT:
      return ['struct', (value) => plain(api, value) as SqlResultValue]
    case ids.MAP:
      return ['map', (value) => plain(api, value) as SqlResultValue]
    default:
      return ['string', String]
  }
}

function integerOf(value: bigint): number | bigint {
  const near = Number(value)
  return Number.isSafeInteger(near) ? near : value
}

function longOf(value: bigint, column: string): number | bigint {
  if (BigInt.asIntN(64, value) === value) return integerOf(value)
  throw new Failure('limit', `column ${column} has ${value}, which no long holds: cast it to decimal(38,0) or double`)
}

/** Make plain JSON of what is nested. */
function plain(api: DuckDBApi, value: DuckDBValue): unknown {
  if (typeof value === 'bigint') return integerOf(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof api.DuckDBListValue || value instanceof api.DuckDBArrayValue) {
    return value.items.map((one) => plain(api, one))
  }
  if (value instanceof api.DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([key, one]) => [key, plain(api, one)]))
  }
  if (value instanceof api.DuckDBMapValue) return plainMap(api, value.entries)
  if (value instanceof api.DuckDBUnionValue) return plain(api, value.value)
  if (value instanceof api.DuckDBBlobValue) return Buffer.from(value.bytes).toString('base64')
  if (value instanceof api.DuckDBVariantValue) return plain(api, value.value as DuckDBValue)
  return String(value)
}

/** A map whose keys are texts is an object, any other a list of its entries. */
function plainMap(api: DuckDBApi, entries: readonly { key: DuckDBValue; value: DuckDBValue }[]): unknown {
  const isObject = entries.every(({ key }) => typeof key === 'string')
  if (isObject) return Object.fromEntries(entries.map(({ key, value }) => [key, plain(api, value)]))
  return entries.map(({ key, value }) => [plain(api, key), plain(api, value)])
}

/** Read the rows of a chunk.
 *  @throws limit for a value that its column cannot hold */
export function rowsOfChunk(chunk: DuckDBDataChunk, columns: readonly ResultColumn[]): SqlResultValue[][] {
  const values = columns.map(({ read }, at) => {
    const column = chunk.getColumnValues(at)
    return read === undefined ? column : column.map((value) => (value === null ? null : read(value)))
  })
  return Array.from({ length: chunk.rowCount }, (_, row) => values.map((column) => column[row] as SqlResultValue))
}
