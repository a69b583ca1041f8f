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
/** Terms of a compound select (union, intersect, except): the limit of Durable Object SQL. */
export const SQL_COMPOUND_TERMS_MAX = 5
/** Bytes of a LIKE or GLOB pattern: the limit of Durable Object SQL. */
export const SQL_PATTERN_BYTES_MAX = 50
/** Statements one database keeps prepared, per generation (two live at once): some KB each, and an engine has dozens. */
export const SQL_STATEMENTS_CACHED_MAX = 200
/** KiB of pages one open database keeps in memory: thousands are open at once, and rows are cached above. */
export const SQL_CACHE_KIB = 2_048
/** Pages (4 KiB) of the write-ahead log at which a commit copies it into the file: 16 MB, so that a group of 1 MB is not
 *  often the one that waits for two fsyncs, and reading the log back after a crash stays near 10 ms. */
export const SQL_CHECKPOINT_PAGES = 4_000
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
/** Chars of a change's captured documents as JSON; larger ones are left out and marked `omitted`. */
export const LOG_PAYLOAD_BYTES_MAX = 500_000
/** Bytes of rows a shard keeps in memory, per generation (two generations live at once). */
export const CACHED_BYTES_MAX = 64 * 1024 * 1024
/** Dirty rows written to their tables with each group at the least, while a drain is under way. */
export const DRAIN_ROWS_MIN = 512
/** Bytes of one argument of a Redis request: above any value, so that one too large is answered, not cut off. */
export const REDIS_BULK_BYTES_MAX = 16 * 1024 * 1024
/** Bytes of all arguments of one Redis request, and of the commands queued by one MULTI: they are held in memory. */
export const REDIS_REQUEST_BYTES_MAX = 64 * 1024 * 1024
/** Arguments of one Redis request: Redis' own bound of many versions. */
export const REDIS_ARGUMENTS_MAX = 1024 * 1024
/** Bytes of an inline Redis request, and of a length line: Redis' PROTO_INLINE_MAX_SIZE. */
export const REDIS_INLINE_BYTES_MAX = 64 * 1024
/** Bytes of one Redis reply: a quarter of the longest string V8 has. */
export const REDIS_REPLY_BYTES_MAX = 128 * 1024 * 1024
/** Requests of one Redis connection that run together: bounds the replies held before they are written. */
export const REDIS_BATCH_COMMANDS_MAX = 1_000
/** Bytes of requests a Redis connection may have waiting before its transport is asked to stop reading. */
export const REDIS_QUEUED_INPUT_BYTES = 1024 * 1024
/** Bytes of replies that may wait for a Redis client that does not read them, before its connection is closed. */
export const REDIS_QUEUED_OUTPUT_BYTES_MAX = 256 * 1024 * 1024
/** Shards a thread keeps open at once: each takes 3 file handles and about 200 KB. */
export const OPEN_SHARDS_MAX = 1_000
/** Databases a fabric keeps routers for; each map takes 32 KB. */
export const OPEN_DATABASES_MAX = 1_000
/** Pinned keys of a directory database: each takes a slot of its own, and half of the slots are left to hash into. */
export const PINS_MAX = 8_192
/** Groups and distinct values that one aggregate may hold, so that a query cannot eat the memory of its host. */
export const AGGREGATE_ENTRIES_MAX = 1_000_000
/** Fields of one HRANDFIELD with repetition, where the request alone says how many: bounds a reply's memory. */
export const REDIS_RANDOM_FIELDS_MAX = 1_000_000
/** Worker threads of one server: more than the cores of any machine it runs on help nobody. */
export const SHARD_THREADS_MAX = 256
/** Redis connections served at once: Redis' own default of maxclients. */
export const REDIS_CLIENTS_MAX = 10_000
/** Bytes of the body of an HTTP request to the server's own routes: they are held in memory. */
export const HTTP_BODY_BYTES_MAX = 1024 * 1024
/** Databases of one page of GET /databases: each carries its map. */
export const DATABASES_PER_PAGE_MAX = 1_000
/** Milliseconds a check of GET /health may take: below the timeout of any load balancer. */
export const HEALTH_CHECK_MS_MAX = 2_000
/** Milliseconds a server takes to stop after SIGTERM at the most: Docker kills after 10 seconds. */
export const SHUTDOWN_MS_MAX = 8_000
/** Redo segments dropped with one group, so that dropping a hundred thousand small ones stops nobody. */
export const REDO_DROPPED_PER_GROUP = 2_000
