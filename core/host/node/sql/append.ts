/** Columns of JavaScript values into a table of DuckDB. */
import type { DuckDBConnection, DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import type { RelationType, RelationValue } from '../../../shard/relation.ts'
import type { DuckDBApi } from './duckdb.ts'

/** Rows of a chunk: DuckDB's own size. */
const chunkRows = 2048

/** Where values go. */
export interface AppendTarget {
  readonly table: string
  readonly catalog?: string
  readonly types: readonly RelationType[]
  /** By column, all of one length. */
  readonly values: readonly (readonly RelationValue[])[]
}

/** Append rows, within the connection's transaction.
 *  @returns about how many bytes they take */
export async function appendColumns(
  api: DuckDBApi,
  connection: DuckDBConnection,
  target: AppendTarget,
): Promise<number> {
  const { table, catalog = 'memory', types, values } = target
  const rows = values[0]?.length ?? 0
  const appender = await connection.createAppender(table, 'main', catalog)
  let bytes = 0
  try {
    const duckTypes = types.map((type) => chunkType(api, type))
    for (let from = 0; from < rows; from += chunkRows) {
      const count = Math.min(chunkRows, rows - from)
      const chunk = api.DuckDBDataChunk.create(duckTypes, count)
      for (const [at, type] of types.entries()) {
        bytes += writeColumn(api, { chunk, at, type, count }, values[at] as readonly RelationValue[], from)
      }
      appender.appendDataChunk(chunk)
    }
    appender.flushSync()
  } finally {
    appender.closeSync()
  }
  return bytes
}

function chunkType(api: DuckDBApi, type: RelationType): DuckDBType {
  const types: Record<RelationType, DuckDBType> = {
    boolean: api.BOOLEAN,
    int: api.INTEGER,
    long: api.BIGINT,
    double: api.DOUBLE,
    string: api.VARCHAR,
    binary: api.BLOB,
    timestamptz: api.TIMESTAMPTZ,
  }
  return types[type]
}

interface ChunkColumn {
  readonly chunk: DuckDBDataChunk
  readonly at: number
  readonly type: RelationType
  readonly count: number
}

/** Whether a column cannot hold a value: a row that no file takes either, and that becomes a dead letter. */
function isMisfit(type: RelationType, value: RelationValue): boolean {
  if (type === 'int') return (Number(value) | 0) !== value
  return (type === 'long' || type === 'timestamptz') && !Number.isSafeInteger(value)
}

function writeColumn(
  api: DuckDBApi,
  { chunk, at, type, count }: ChunkColumn,
  values: readonly RelationValue[],
  from: number,
): number {
  const vector = chunk.getColumnVector(at)
  let bytes = count * 8
  for (let row = 0; row < count; row++) {
    const value = values[from + row] ?? null
    if (value === null || isMisfit(type, value)) vector.setItem(row, null)
    else if (type === 'long') vector.setItem(row, BigInt(value as number))
    else if (type === 'timestamptz') vector.setItem(row, new api.DuckDBTimestampTZValue(BigInt(value as number)))
    else if (type === 'binary') {
      bytes += (value as Uint8Array).length + 8
      vector.setItem(row, new api.DuckDBBlobValue(value as Uint8Array))
    } else {
      if (type === 'string') bytes += (value as string).length + 8
      vector.setItem(row, value as string | number | boolean)
    }
  }
  vector.flush()
  return bytes
}
