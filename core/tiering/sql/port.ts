/** SQL over hot and cold: what an engine answers. Node has DuckDB (host/node), Workers a planner of our own. */
import type { Stop } from '../../cdc/follow.ts'
import type { RelationValue } from '../../shard/relation.ts'

/** A query and how to run it. */
export interface SqlRequest {
  readonly text: string
  /** Names without a database are of this one. */
  readonly database: string
  /** Values of `$1`, `$2`, ... or `?` */
  readonly params?: readonly RelationValue[]
  /** Read the past: the lake alone, as of then. One of them. */
  readonly asOf?: { readonly snapshotId?: number | bigint; readonly timestampMs?: number; readonly ref?: string }
  /** Say how it would be run instead of running it. */
  readonly explain?: boolean
  readonly stop?: Stop
}

/** A column of a result. `json` is text that holds JSON, `list`, `struct` and `map` are given as JSON values. */
export interface SqlColumn {
  readonly name: string
  /** Iceberg's name of the type, or `decimal(p,s)`, `date`, `time`, `timestamp`, `json`, `null`. */
  readonly type: string
}

/** A value of a result: RelationValue, bigint past 2^53, and plain JSON for nested types. Decimals, dates and times
 *  are text, timestamps microseconds. */
export type SqlResultValue = RelationValue | bigint | readonly unknown[] | { readonly [key: string]: unknown }

/** What a query cost. */
export interface SqlStats {
  readonly elapsedMs: number
  readonly rows: number
  /** Data files in the tables at that snapshot, and those that planning left out. */
  readonly files: number
  readonly filesPruned: number
  /** Bytes fetched from the object store for this query; from the cache on disk or in memory; in files left out. */
  readonly bytesRead: number
  readonly bytesCached: number
  readonly bytesPruned: number
  /** Rows that came from shards. */
  readonly hotRows: number
  readonly shards: number
}

/** A result as it comes. Iterate `batches` to its end, or call `close`. */
export interface SqlResult {
  readonly columns: readonly SqlColumn[]
  /** Rows as arrays, some thousand at a time. */
  readonly batches: AsyncIterable<readonly (readonly SqlResultValue[])[]>
  /** Known when the batches have ended. */
  stats(): SqlStats
  close(): Promise<void>
}

/** Runs SQL. */
export interface SqlEngine {
  /** @throws invalid for SQL that is wrong (detail `{ line, column }` where known), not_found for tables and columns,
   *  unsupported (with the way out) for what this engine refuses, limit for results past its bounds */
  query(request: SqlRequest): Promise<SqlResult>
  /** Say what there is: tables with their columns, for completion and for `show tables`. */
  describe(database?: string): Promise<readonly SqlTable[]>
}

/** A table of SQL. */
export interface SqlTable {
  readonly database: string
  readonly table: string
  readonly columns: readonly SqlColumn[]
  /** Whether shards have rows of it, and whether the lake has. */
  readonly hot: boolean
  readonly cold: boolean
}
