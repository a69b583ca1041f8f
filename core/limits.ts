/** Every limit of the fabric, with its unit and its reason. Checked where bytes enter. */

/** Slots of every ShardMap: 14 bits, as Redis Cluster has. */
export const SLOT_COUNT = 16_384
/** Shards of one database: past 1000 the slots (16 or 17 a shard) no longer spread evenly. */
export const SHARD_COUNT_MAX = 1_000
/** Bound parameters of one statement: the limit of Durable Object SQL. */
export const SQL_PARAMETERS_MAX = 100
/** Bytes of one statement's text: the limit of Durable Object SQL. */
export const SQL_STATEMENT_BYTES_MAX = 100_000
/** Bytes of one row or value: the documented limit of Durable Object SQL (2 MB). */
export const SQL_ROW_BYTES_MAX = 2_000_000
/** Columns of a table, and of a result: the limit of Durable Object SQL. */
export const SQL_COLUMNS_MAX = 100
/** Bytes of one log or redo segment; a larger group is cut into several, so that each fits a row. */
export const LOG_SEGMENT_BYTES = 1_000_000
/** Bytes of redo a shard may hold before its dirty rows are written to their tables: bounds replay after a crash. */
export const REDO_BYTES_MAX = 32 * 1024 * 1024
/** Dirty rows a shard may hold in memory before they are written to their tables. */
export const DIRTY_ROWS_MAX = 150_000
/** Clean and dirty rows a shard keeps in memory, per generation (two generations live at once). */
export const CACHED_ROWS_MAX = 200_000
/** Bytes of log kept behind the newest change before the oldest segments go; consumers behind get out_of_range. */
export const LOG_RETAINED_BYTES = 256 * 1024 * 1024
/** Times a call is sent again after `moved` before the caller gets `unavailable`. */
export const MOVED_RETRIES_MAX = 16
/** Changes of one read of the log. */
export const CHANGES_PER_READ_MAX = 10_000
