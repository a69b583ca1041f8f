/** The limits of Redis, with their units and reasons; core/limits.ts has them with all others. */

/** Bytes of one argument of a Redis request: above any value, so that one too large is answered, not cut off. */
export const REDIS_BULK_BYTES_MAX = 16 * 1024 * 1024
/** Bytes of all arguments of one Redis request, and of the commands queued by one MULTI: they are held in memory. */
export const REDIS_REQUEST_BYTES_MAX = 64 * 1024 * 1024
/** Bytes of a Redis string, as in Redis; one that is longer than a request is made by APPEND or SETRANGE. */
export const REDIS_STRING_BYTES_MAX = 512 * 1024 * 1024
/** Bytes of a Redis string that are read at once: as long as a reply may be. */
export const REDIS_LARGE_STRING_READ_BYTES_MAX = 128 * 1024 * 1024
/** Arguments of one Redis request: Redis' own bound of many versions. */
export const REDIS_ARGUMENTS_MAX = 1024 * 1024
/** Bytes of an inline Redis request, and of a length line: Redis' PROTO_INLINE_MAX_SIZE. */
export const REDIS_INLINE_BYTES_MAX = 64 * 1024
/** Bytes of one Redis reply: a quarter of the longest string V8 has. */
export const REDIS_REPLY_BYTES_MAX = 128 * 1024 * 1024
/** Requests of one Redis connection that run together: bounds the replies held before they are written. */
export const REDIS_BATCH_COMMANDS_MAX = 1_000
/** The same for a connection's first batch, when nobody knows yet how large its replies are. */
export const REDIS_BATCH_COMMANDS_FIRST = 100
/** Bytes of replies that a batch aims at: past it the next one is smaller. */
export const REDIS_BATCH_BYTES = 1024 * 1024
/** Bytes of requests a Redis connection may have waiting before its transport is asked to stop reading. */
export const REDIS_QUEUED_INPUT_BYTES = 1024 * 1024
/** Bytes of replies that may wait for a Redis client that does not read them, before its connection is closed. */
export const REDIS_QUEUED_OUTPUT_BYTES_MAX = 256 * 1024 * 1024
/** Keys remembered for the client-side caches of a database: Redis' own default of tracking-table-max-keys. */
export const REDIS_TRACKED_KEYS_MAX = 1_000_000
/** Keyspace events that a shard keeps for its follower, which reads them at once; twice as many at most. */
export const REDIS_EVENTS_KEPT_MAX = 10_000
/** Milliseconds that a shard notes keyspace events for after it was last asked: a follower asks every
 *  REDIS_CHANGE_WAIT_MS. */
export const REDIS_EVENTS_WANTED_MS = 30_000
/** Channels and patterns that one Redis connection may be subscribed to: each takes some 200 bytes here. */
export const REDIS_SUBSCRIPTIONS_MAX = 100_000
/** Changes read at once for blocked clients and client-side caches: a read stands between the shard's groups. */
export const REDIS_CHANGED_KEYS_MAX = 10_000
/** The same in bytes of log. */
export const REDIS_CHANGED_BYTES_MAX = 1024 * 1024
/** Milliseconds that one wait for a shard's next change lasts: past it, it is asked whether its slots have moved. */
export const REDIS_CHANGE_WAIT_MS = 10_000
/** Milliseconds between tries to reach a shard that blocked clients wait for, at the most. */
export const REDIS_CHANGE_RETRY_MS_MAX = 1_000
/** Fields of one HRANDFIELD with repetition, where the request alone says how many: bounds a reply's memory. */
export const REDIS_RANDOM_FIELDS_MAX = 1_000_000
/** Members of Redis sets and sorted sets that one command computes with when their keys live apart: all of them are
 *  gathered in memory. */
export const REDIS_GATHERED_MEMBERS_MAX = 1_000_000
/** Elements of Redis collections whose order one shard keeps in memory, some 60 bytes each; less when many shards
 *  share a process. What is beyond is read again from SQLite when it is asked for. */
export const REDIS_INDEXED_ELEMENTS_MAX = 200_000
/** Ids of stream entries that one shard keeps in memory, some 50 bytes each; less when many shards share a process. */
export const REDIS_STREAM_IDS_MAX = 100_000
/** Ids of a stream's newest entries in memory: readers that lag by less ask SQL for nothing. */
export const REDIS_STREAM_NEWEST_MAX = 1_024
/** Redis connections served at once: Redis' own default of maxclients. */
export const REDIS_CLIENTS_MAX = 10_000
/** How long a server that shares its users with others believes what it has read of them. */
export const REDIS_USERS_REFRESH_MS = 5_000
/** Rows that SWAPDB moves: it holds all of them in memory, and the shard for as long as it stores them. */
export const REDIS_SWAP_ROWS_MAX = 100_000
/** Bytes of a HyperLogLog in its sparse form, header included: Redis' hll-sparse-max-bytes, above which it is dense. */
export const REDIS_HLL_SPARSE_BYTES_MAX = 3_000
/** Bytes of the body of a Redis request over HTTP: a pipeline of some large values, held in memory. */
export const REDIS_REST_BODY_BYTES_MAX = 16 * 1024 * 1024
/** Bytes of all replies to one Redis request over HTTP: JSON takes up to six chars for a byte, and V8's strings end at
 *  half a gigabyte. */
export const REDIS_REST_REPLY_BYTES_MAX = 64 * 1024 * 1024
/** Bytes of scripts that EVALSHA finds, per server; the ones used longest ago go first. */
export const REDIS_SCRIPTS_BYTES_MAX = 32 * 1024 * 1024
/** Scripts and libraries that a thread keeps compiled. */
export const REDIS_SCRIPTS_COMPILED_MAX = 1_000
