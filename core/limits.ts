/** Every limit of the fabric, with its unit and its reason. Checked where bytes enter. */

export * from './limits-fsx.ts'
export * from './limits-redis.ts'

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
/** Statements one database keeps prepared, per generation (two live at once): some KB each; an engine has dozens. */
export const SQL_STATEMENTS_CACHED_MAX = 200
/** KiB of pages one open database keeps in memory: thousands are open at once, and rows are cached above. */
export const SQL_CACHE_KIB = 2_048
/** Pages (4 KiB) of the write-ahead log at which a commit copies it into the file: 16 MB, so that few groups of 1 MB
 *  wait for that, and reading the log back after a crash stays near 10 ms. */
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
/** Bytes of log kept at the most for those who hold it: an outage of a day at 90 KB/s; past it they start over. */
export const LOG_HELD_BYTES_MAX = 8 * 1024 * 1024 * 1024
/** The same in a Durable Object, of its 10 GB. */
export const WORKERS_LOG_HELD_BYTES_MAX = 1024 * 1024 * 1024
/** Holds on one log. */
export const LOG_HOLDS_MAX = 1_000
/** Chars of a hold's name. */
export const LOG_HOLD_NAME_CHARS_MAX = 200
/** Times a call is sent again after `moved` before the caller gets `unavailable`. */
export const MOVED_RETRIES_MAX = 16
/** Changes of one read of the log. */
export const CHANGES_PER_READ_MAX = 10_000
/** Bytes of log segments after which one read of the log ends: captured documents are held, and cross threads. */
export const CHANGES_READ_BYTES_MAX = 4 * 1024 * 1024
/** Chars of a change's captured documents as JSON; larger ones are left out and marked `omitted`. */
export const LOG_PAYLOAD_BYTES_MAX = 500_000
/** Bytes of rows a shard keeps in memory, per generation (two generations live at once). */
export const CACHED_BYTES_MAX = 64 * 1024 * 1024
/** Dirty rows written to their tables with each group at the least, while a drain is under way. */
export const DRAIN_ROWS_MIN = 128
/** Times a call is stopped for rows whose payload is in the lake before it is answered `unavailable`: more than any
 *  command needs; past it, rows leave as fast as they come back. */
export const COLD_TRIES_MAX = 16
/** Rows whose payloads are fetched for calls that come after the one that was stopped: a fetch holds them in memory. */
export const COLD_ROWS_MAX = 1_000
/** Calls of a job that are looked at for more such rows when one of them is stopped: each is run once more for it. */
export const COLD_AHEAD_CALLS_MAX = 250
/** Shards a thread keeps open at once: each takes 3 file handles and about 200 KB. */
export const OPEN_SHARDS_MAX = 1_000
/** Open shards of a thread that may each keep as much in memory as the limits say; more share that much among them. */
export const SHARDS_AT_FULL_MEMORY = 4
/** Bytes of heap that a thread must be allowed for its shards to use their limits on memory to the full; with less
 *  (`--max-old-space-size`) they use as much less. Four shards with 128 MB of rows and 64 MB of redo each, and the
 *  rest. */
export const HEAP_AT_FULL_MEMORY_BYTES = 1024 * 1024 * 1024
/** Databases a fabric keeps routers for; each map takes 32 KB. */
export const OPEN_DATABASES_MAX = 1_000
/** Pinned keys of a directory database: each takes a slot of its own, and half of the slots are left to hash into. */
export const PINS_MAX = 8_192
/** Groups and distinct values that one aggregate may hold, so that a query cannot eat the memory of its host. */
export const AGGREGATE_ENTRIES_MAX = 1_000_000
/** Worker threads of one server: more than the cores of any machine it runs on help nobody. */
export const SHARD_THREADS_MAX = 256
/** Bytes of the body of an HTTP request to the server's own routes: they are held in memory. */
export const HTTP_BODY_BYTES_MAX = 1024 * 1024
/** Databases of one page of GET /databases: each carries its map. */
export const DATABASES_PER_PAGE_MAX = 1_000
/** Chars of a database's policies as JSON: thousands of collections; they are read whole. */
export const POLICIES_CHARS_MAX = 500_000
/** Milliseconds a check of GET /health may take: below the timeout of any load balancer. */
export const HEALTH_CHECK_MS_MAX = 2_000
/** Milliseconds a server takes to stop after SIGTERM at the most: Docker kills after 10 seconds. */
export const SHUTDOWN_MS_MAX = 8_000
/** Log segments trimmed with one group, so that a log far beyond its bound is cut back little by little. */
export const LOG_TRIMMED_PER_GROUP = 1_000
/** Redo segments dropped with one group, so that dropping a hundred thousand small ones stops nobody. */
export const REDO_DROPPED_PER_GROUP = 500
/** Changes of one batch that a follower delivers: enough to hide a round trip, little to hold or to deliver twice. */
export const FOLLOW_BATCH_MAX = 1_000
/** Milliseconds a follower waits at a shard for the next change before it asks again: bounds what a lost reply costs.
 * */
export const FOLLOW_WAIT_MS = 10_000
/** Milliseconds before a follower tries again after its first failure; doubled each time. */
export const FOLLOW_RETRY_FIRST_MS = 50
/** Milliseconds between a follower's tries at the most. */
export const FOLLOW_RETRY_MS_MAX = 5_000
/** Milliseconds a shard may fail before a feed tells its consumer: longer than a restart takes. */
export const FEED_PATIENCE_MS = 30_000
/** Changes a feed holds for all its shards together: their documents are in memory. */
export const FEED_BUFFERED_CHANGES_MAX = 16_000
/** Milliseconds between looks at how many shards there are. */
export const FEED_REFRESH_MS = 10_000
/** Shards up to which every event carries its token; with more, the last of a batch does: a token names every shard. */
export const FEED_TOKEN_EACH_SHARDS_MAX = 64
/** Chars of a resume token: 1000 shards take 40,000. */
export const FEED_TOKEN_CHARS_MAX = 64 * 1024
/** Milliseconds between heartbeats of an idle feed: below the 60 s after which proxies close a silent connection. */
export const FEED_HEARTBEAT_MS = 15_000
/** Milliseconds between heartbeats at the least. */
export const FEED_HEARTBEAT_MS_MIN = 10
/** Milliseconds between heartbeats at the most. */
export const FEED_HEARTBEAT_MS_MAX = 600_000
/** Collections one feed may name: each is a raise of capture on every shard. */
export const FEED_COLLECTIONS_MAX = 100
/** Chars of a collection's name or a documentId pattern in a request for changes. */
export const FEED_PATTERN_CHARS_MAX = 1_000
/** Milliseconds that connections have to take their last replies when a server stops; the rest is for closing files. */
export const DRAIN_MS_MAX = 5_000
/** Clean and dirty rows a shard keeps in memory in a Durable Object, per generation: an isolate has 128 MB, and several
 *  objects share one. */
export const WORKERS_CACHED_ROWS_MAX = 30_000
/** Bytes of rows a shard keeps in memory in a Durable Object, per generation. */
export const WORKERS_CACHED_BYTES_MAX = 8 * 1024 * 1024
/** Dirty rows of a shard in a Durable Object before they are written to their tables. */
export const WORKERS_DIRTY_ROWS_MAX = 20_000
/** Bytes of redo a shard in a Durable Object may hold: it is replayed whenever the object was evicted. */
export const WORKERS_REDO_BYTES_MAX = 4 * 1024 * 1024
/** Bytes of calls or replies gathered into one RPC: a quarter of workerd's 32 MiB, as sizes are estimates. */
export const WORKERS_RPC_BYTES = 8 * 1024 * 1024
/** Bytes of one call or one reply that crosses an RPC: below the 32 MiB of one RPC. */
export const WORKERS_CALL_BYTES_MAX = 30 * 1024 * 1024
/** Milliseconds an alarm comes after its time: timers in memory come first, so alarms cost a write a second at most. */
export const WORKERS_ALARM_LATE_MS = 1_000
/** Bytes of values that a row group gathers in a Durable Object: beside it are its compressed form, a part of the file
 *  that is being sent, the next one, and the shard. */
export const WORKERS_PARQUET_GROUP_BYTES = 16 * 1024 * 1024
/** Bytes of footers that a Durable Object keeps for fetching payloads. */
export const WORKERS_PARQUET_CACHE_BYTES = 4 * 1024 * 1024
/** Requests to R2 under way at once: a request in Workers has 6 connections. */
export const WORKERS_OBJECT_REQUESTS_MAX = 6
/** Milliseconds between looks at a database's shards in Workers: each look wakes all of them, and is billed. */
export const WORKERS_TIER_POLL_MS = 60_000
/** Milliseconds between removals of what a database's tables need no more, in Workers: an object is put out of memory
 *  between looks, so that it does not count commits, and expires snapshots then too. */
export const WORKERS_TIER_CLEAN_EVERY_MS = 3_600_000
/** Bytes a tunnel sends ahead of what the other end has taken: hides a round trip of 100 ms at 10 MB/s. */
export const TUNNEL_WINDOW_BYTES = 1024 * 1024
/** Bytes of one WebSocket frame of a tunnel: small against the window, large against the cost of a frame. */
export const TUNNEL_FRAME_BYTES_MAX = 256 * 1024
/** Milliseconds a tunnel may take to open: a Worker's cold start, and a Durable Object's. */
export const TUNNEL_OPEN_MS_MAX = 15_000
/** Bytes after which a piece of a slot's copy ends: small enough for a message, large enough to keep a disk busy. */
export const COPY_BYTES_MAX = 1_000_000
/** Rows of one piece of a slot's copy. */
export const COPY_ROWS_MAX = 5_000
/** Slots whose rows are discarded in one transaction after a move. */
export const DISCARD_SLOTS_MAX = 64
/** Milliseconds between pings of a tunnel: below the 100 s after which Cloudflare closes a silent connection. */
export const TUNNEL_PING_MS = 30_000
/** Changes written to an HTTP client at once: large enough to fill a packet, small enough to give others a turn. */
export const CHANGES_PER_CHUNK_MAX = 256
/** Bytes of an object's key as UTF-8: S3's and R2's own bound. */
export const OBJECT_KEY_BYTES_MAX = 1_024
/** Bytes of every part of a multipart upload but the last: S3's and R2's own bound. */
export const OBJECT_PART_BYTES_MIN = 5 * 1024 * 1024
/** Bytes of a part when the caller does not choose: 10,000 of them make 78 GiB, and one is held in memory. */
export const OBJECT_PART_BYTES = 8 * 1024 * 1024
/** Bytes of memory with which the writing of an object of unknown size begins: files of small tables fit. */
export const OBJECT_WRITE_BUFFER_BYTES = 64 * 1024
/** Parts of one multipart upload: S3's and R2's own bound. */
export const OBJECT_PARTS_MAX = 10_000
/** Objects and prefixes of one page of a list: S3's and R2's own bound. */
export const OBJECTS_PER_LIST_MAX = 1_000
/** Keys of one batch delete: S3's and R2's own bound. */
export const OBJECTS_PER_DELETE_MAX = 1_000
/** Bytes of a file's name on disk: what ext4, XFS, APFS and NTFS have in common. */
export const OBJECT_FILE_NAME_BYTES_MAX = 255
/** Times a request to an object store is sent before the caller gets its failure. */
export const OBJECT_ATTEMPTS_MAX = 6
/** Milliseconds before the second attempt at the most (full jitter); doubled with each attempt. */
export const OBJECT_RETRY_FIRST_MS = 100
/** Milliseconds between attempts at the most, unless the store asks for more. */
export const OBJECT_RETRY_MS_MAX = 10_000
/** Milliseconds that a store's Retry-After may ask for; past it the caller is told instead of kept. */
export const OBJECT_RETRY_AFTER_MS_MAX = 60_000
/** Milliseconds an attempt may take, besides the time for its bytes. */
export const OBJECT_ATTEMPT_MS_MAX = 30_000
/** Bytes a second below which an attempt counts as stuck: a slow uplink's. */
export const OBJECT_BYTES_PER_SECOND_MIN = 256 * 1024
/** Requests to one object store under way at once: hides its latency without exhausting sockets. */
export const OBJECT_REQUESTS_MAX = 32
/** Rows of a Parquet row group: a reader's unit of work, and with its bytes what a writer holds in memory. */
export const PARQUET_GROUP_ROWS = 100_000
/** The same in a Worker, whose 128 MB several objects share. */
export const WORKERS_PARQUET_GROUP_ROWS = 20_000
/** Bytes of values after which a row group ends early: rows may have 2 MB each. */
export const PARQUET_GROUP_BYTES = 64 * 1024 * 1024
/** Rows of a Parquet page: what a reader that prunes by page index must read for one row. */
export const PARQUET_PAGE_ROWS = 8_192
/** Bytes of values of a Parquet page: past it a page has fewer rows, so that it fits a reader's memory. */
export const PARQUET_PAGE_BYTES_MAX = 8 * 1024 * 1024
/** Bytes from the end of a Parquet file that are read first: footer and page indexes of 200,000 rows. */
export const PARQUET_TAIL_BYTES = 64 * 1024
/** Bytes of a Parquet footer that are read: those of a million column chunks. */
export const PARQUET_FOOTER_BYTES_MAX = 256 * 1024 * 1024
/** Bytes between two stretches of a file that are read as one: at 100 MB/s they cost less than a request. */
export const PARQUET_GAP_BYTES = 64 * 1024
/** Bytes past which neighbours are not read as one any more: several requests share the way. */
export const PARQUET_READ_BYTES_MAX = 8 * 1024 * 1024
/** Bytes of one uncompressed page of other writers: they are in memory whole. */
export const PARQUET_READ_PAGE_BYTES_MAX = 256 * 1024 * 1024
/** Bytes of values that a reader has in memory at once; larger row groups are read in parts where pages allow. */
export const PARQUET_BATCH_BYTES = 32 * 1024 * 1024
/** Bytes of footers, page indexes and bloom filters that are kept. */
export const PARQUET_CACHE_BYTES = 32 * 1024 * 1024
/** Bytes that one compressed block of a manifest of other writers may become. */
export const LAKE_BLOCK_BYTES_MAX = 256 * 1024 * 1024
/** The same in a Worker, whose 128 MB several objects share. */
export const WORKERS_LAKE_BLOCK_BYTES_MAX = 16 * 1024 * 1024
/** Data files of a scan that are read at once: hides the store's latency, and each holds a row group in memory. */
export const ICEBERG_FILES_AHEAD = 4
/** Lines of manifests and manifest lists kept in memory to plan with: some 500 bytes each. */
export const ICEBERG_CACHED_ENTRIES_MAX = 50_000
/** Files that one manifest of a commit lists: some 300 bytes each, so that a manifest stays near 3 MB. */
export const ICEBERG_MANIFEST_FILES_MAX = 10_000
/** Bytes up to which manifests are merged, unless the table says otherwise: Iceberg's own default. */
export const ICEBERG_MANIFEST_TARGET_BYTES = 8 * 1024 * 1024
/** Manifests of about one size that are merged once there are so many, unless the table says otherwise: few enough to
 *  read with every plan. */
export const ICEBERG_MANIFESTS_TO_MERGE_MIN = 10
/** Times a change is tried on a table that others commit to, unless the table says otherwise. */
export const ICEBERG_COMMIT_ATTEMPTS_MAX = 10
/** Milliseconds before the second attempt of a commit at the most (full jitter); doubled with each attempt. */
export const ICEBERG_COMMIT_RETRY_FIRST_MS = 100
/** Milliseconds between attempts of a commit at the most. */
export const ICEBERG_COMMIT_RETRY_MS_MAX = 10_000
/** Times a compaction or an archiving is made anew when what it rewrites has changed meanwhile. */
export const ICEBERG_REWRITE_ATTEMPTS_MAX = 5
/** Bytes of a data file that compaction makes: few enough to prune by, many enough to be worth a request. */
export const ICEBERG_COMPACT_BYTES = 128 * 1024 * 1024
/** Small data files, or position delete files, of a partition that are worth gathering: Iceberg's own default. */
export const ICEBERG_COMPACT_FILES_MIN = 5
/** Share of a file's rows that are deleted from which on leaving them out is worth writing the file anew. */
export const ICEBERG_COMPACT_DELETED_SHARE = 0.3
/** Bytes of data files that one compaction reads: what it would lose to a crash. */
export const ICEBERG_COMPACT_CALL_BYTES = 2 * 1024 * 1024 * 1024
/** Bytes of a data file whose rows compaction sorts: they are in memory, some ten times as large. */
export const ICEBERG_SORT_BYTES_MAX = 32 * 1024 * 1024
/** Data files copied to another store at once: each holds a part or two in memory. */
export const ICEBERG_COPIES_MAX = 2
/** Metadata files that the log of a table names, unless the table says otherwise: Iceberg's own default. */
export const ICEBERG_METADATA_LOG_MAX = 100
/** Tables of one commit of several in a catalog of our own: each takes two writes, one after the other. */
export const ICEBERG_TRANSACTION_TABLES_MAX = 100
/** Times a commit waits for the commit of several tables that it meets, before it calls that one off. */
export const ICEBERG_TRANSACTION_PATIENCE = 6
/** Milliseconds that the record of a commit of several tables is kept: no attempt lasts so long. */
export const ICEBERG_TRANSACTION_KEPT_MS = 86_400_000
/** Milliseconds a request to a REST catalog may take: R2's own ends after 40 seconds. */
export const ICEBERG_REST_ATTEMPT_MS_MAX = 60_000
/** Milliseconds before its end that an access token of a REST catalog counts as expired: clocks differ. */
export const ICEBERG_REST_TOKEN_EARLY_MS = 30_000
/** Tables whose metadata a client of a REST catalog keeps, to ask only whether it changed: some MB at the most each. */
export const ICEBERG_REST_TABLES_CACHED_MAX = 64
/** Bytes of the body of a request to our REST catalog: a commit carries a snapshot, not its files. */
export const ICEBERG_REST_BODY_BYTES_MAX = 16 * 1024 * 1024
/** How deep a body of our REST catalog is nested at the most: types in types are checked by recursion. */
export const ICEBERG_REST_DEPTH_MAX = 200
/** Namespaces or tables of one page of our REST catalog. */
export const ICEBERG_REST_PAGE_MAX = 1_000
/** Characters of one SQL query: beyond any that people write, small enough to parse in one go. */
export const SQL_QUERY_CHARS_MAX = 1_000_000
/** Parameters of one SQL query over hot and cold. */
export const SQL_QUERY_PARAMETERS_MAX = 1_000
/** SQL queries that run at once over HTTP: each holds memory in its engine. */
export const SQL_QUERIES_MAX = 32
/** Milliseconds after the first of a shard's changes when they are written to the lake, unless the policy says. */
export const TIER_FLUSH_EVERY_MS = 15 * 60_000
/** Bytes of a file of a shard's changes at which it is written to the lake, unless the policy says: worth reading. */
export const TIER_FLUSH_BYTES = 8 * 1024 * 1024
/** Bytes of a file for each byte of log, as long as a shard has written none: documents take a quarter, so files
 *  come a little large. */
export const TIER_FILE_SHARE = 1 / 8
/** Bytes of log at which a shard writes, however small its files are: the log keeps so many without anybody's hold. */
export const TIER_WAITING_LOG_BYTES = LOG_RETAINED_BYTES
/** Milliseconds that a policy may speak of: a hundred years. */
export const TIER_TIME_MS_MAX = 100 * 365 * 86_400_000
/** Rows that a job reads or settles in one turn of a shard: a millisecond or two of other calls. */
export const TIER_ROWS_PER_TURN = 250
/** Changes that tiering takes from the log in one turn of a shard: a millisecond of other calls. */
export const TIER_CHANGES_PER_TURN = 2_000
/** Milliseconds that shards get for each one that the jobs of their thread take, when both have work. */
export const TIER_OTHERS_SHARE = 4
/** Milliseconds that a flush of a mirror gives way; after them it hurries, as whoever writes all the time makes it
 *  longer and longer. */
export const TIER_POLITE_MS = 15_000
/** Milliseconds of work of others that jobs owe at the most: a long piece of theirs is not paid for in full. */
export const TIER_OWED_MS_MAX = 50
/** Bytes of values of a page that tiering writes: two milliseconds of compressing, for 1 % more bytes in a file. */
export const TIER_PAGE_BYTES = 384 * 1024
/** Positions of deleted rows that a shard tells in one piece. */
export const TIER_DELETES_PER_TURN = 10_000
/** Bytes of a data file after which the next one is begun. */
export const TIER_FILE_BYTES_MAX = 128 * 1024 * 1024
/** Bytes of the files of one receipt for `changes`; what is left is the next one's. */
export const TIER_RECEIPT_BYTES_MAX = 256 * 1024 * 1024
/** Data files of one receipt: their descriptions are one row of the shard. */
export const TIER_RECEIPT_FILES_MAX = 200
/** Times a flush reads what changed meanwhile, before it gives up until later. */
export const TIER_FLUSH_ROUNDS_MAX = 10_000
/** Shards up to which a snapshot's summary has their positions; with more, a side file has: every snapshot is in the
 *  metadata that each commit writes. */
export const TIER_POSITIONS_INLINE_MAX = 16
/** Milliseconds between commits of a table at the least: catalogs allow 20 a minute to a table at the most. */
export const TIER_COMMIT_EVERY_MS = 60_000
/** Milliseconds between looks at a database's shards. */
export const TIER_POLL_MS = 5_000
/** Milliseconds before a failed round of a database is tried again; doubled each time. */
export const TIER_RETRY_FIRST_MS = 1_000
/** Milliseconds between tries of a failing database at the most. */
export const TIER_RETRY_MS_MAX = 300_000
/** Shards of a database that write files at once. */
export const TIER_FLUSHES_MAX = 4
/** Rows of the key index that get another place in one turn of a shard, when files are rewritten. */
export const TIER_RELOCATED_PER_TURN = 500
/** Milliseconds that snapshots of the lake's tables are kept, unless the service is told otherwise. */
export const TIER_SNAPSHOT_AGE_MS = 3_600_000
/** Snapshots of the lake's tables that are kept in any case: half a day of them when one is made each quarter of an
 *  hour. Every commit writes them all: with more than 80 the 1,000th costs 1.5 times the 10th (bench lake-commits). */
export const TIER_SNAPSHOTS_MIN = 50
/** Commits between looks for expired snapshots: each look that finds some rewrites the metadata. */
export const TIER_COMMITS_PER_EXPIRY = 20
/** Milliseconds between removals of orphans and old metadata of a table. */
export const TIER_CLEAN_EVERY_MS = 86_400_000
/** Small data files of a table that make it worth rewriting. */
export const TIER_SMALL_FILES_MAX = 32
/** Bytes below which a data file is small: a quarter of what a rewrite aims at. */
export const TIER_SMALL_FILE_BYTES = 32 * 1024 * 1024
/** Milliseconds between rewrites of a table at the least. */
export const TIER_COMPACT_EVERY_MS = 3_600_000
/** Rows of a dead letter's table that one flush writes. */
export const TIER_DEAD_LETTERS_MAX = 10_000
/** Chars of what a dead letter keeps of a row. */
export const TIER_DEAD_LETTER_CHARS_MAX = 100_000
/** Bytes of rows that tiering reads in one turn of a shard: values may have 2 MB each. */
export const TIER_READ_BYTES = 2 * 1024 * 1024
/** Characters of one SQL query in a Worker: the parser needs milliseconds for a thousand words. */
export const QUERY_TEXT_CHARS_MAX = 100_000
/** Words, numbers and signs of one SQL query in a Worker: half a second of the parser's time. */
export const QUERY_TOKENS_MAX = 5_000
/** Brackets of a SQL query in a Worker within one another: binding and running it recurse as deep. */
export const QUERY_DEPTH_MAX = 64
/** Groups of one SQL query in a Worker, in one shard or in all: bounded by their bytes too. */
export const QUERY_GROUPS_MAX = 200_000
/** Bytes of groups and of what is counted distinct, held by one SQL query in a Worker: a quarter of an isolate. */
export const QUERY_GROUP_BYTES_MAX = 32 * 1024 * 1024
/** Bytes of rows that are sorted, or kept as the first ones, by one SQL query in a Worker. */
export const QUERY_SORT_BYTES_MAX = 24 * 1024 * 1024
/** Bytes of the smaller sides of a SQL query's joins in a Worker, held together. */
export const QUERY_JOIN_BYTES_MAX = 16 * 1024 * 1024
/** Bytes of rows of shards, of the columns a SQL query wants, held in a Worker until a shard's answer is whole. */
export const QUERY_HOT_BYTES_MAX = 24 * 1024 * 1024
/** Rows that a shard runs through in one turn for a SQL query: some 20 ms; with more, they are sent in pieces. */
export const QUERY_PARTIAL_ROWS_MAX = 20_000
/** Rows of one batch of a SQL result. */
export const QUERY_BATCH_ROWS = 2_000
/** Rows of one piece of what a shard has that is newer than a snapshot. */
export const TIER_SINCE_ROWS_MAX = 5_000
/** Tables that one description of all databases lists: completion wants no more, and each may be a read of the lake.
 * */
export const SQL_DESCRIBED_TABLES_MAX = 2_000
/** Snapshots whose files an SQL engine remembers: sets of ids, some MB each at the most. */
export const SQL_SNAPSHOTS_KNOWN_MAX = 32
/** Rows of one piece of a shard's answer to a query: some milliseconds of other calls. */
export const SQL_HOT_PIECE_ROWS = 5_000
/** Shards that a query reads at once. */
export const SQL_SHARDS_AT_ONCE = 8
/** Times a query begins anew because the lake or the map of slots changed under it. */
export const SQL_TRIES_MAX = 8
/** Milliseconds before a query's second try; doubled each time. */
export const SQL_RETRY_FIRST_MS = 10
/** Hot rows that a query with conditions fetches for itself alone; past them, the table is kept for the next ones. */
export const SQL_HOT_SELECTED_ROWS_MAX = 10_000
/** Bytes that DuckDB uses for queries and hot rows before it writes to disk or refuses. */
export const SQL_MEMORY_BYTES = 1024 * 1024 * 1024
/** Part of that memory that rows of shards may take up between queries. */
export const SQL_HOT_SHARE = 0.5
/** Bytes of files of the lake that a SQL engine keeps on its disk, where the lake is elsewhere. */
export const SQL_FILE_CACHE_BYTES = 8 * 1024 * 1024 * 1024
/** Files that a SQL engine fetches at once. */
export const SQL_FETCHES_MAX = 8
/** Files that `explain` names one by one. */
export const SQL_EXPLAINED_FILES_MAX = 20
/** Bytes of a data file that wait for the object store before its writer does: a part of an upload. */
export const TIER_SINK_BYTES = 8 * 1024 * 1024
/** Threads of one SQL engine: more than the cores of any machine it runs on help nobody. */
export const SQL_THREADS_MAX = 256
/** Times a commit of the lake is made anew when another committer comes first. */
export const TIER_COMMIT_TRIES_MAX = 5
/** Shards of a database that are asked how far they are at once. */
export const TIER_SHARDS_AT_ONCE = 32
/** Bytes of footers and filters that the SQL engine of a Worker keeps. */
export const QUERY_CACHE_BYTES = 4 * 1024 * 1024
/** Bytes of values of one batch of a file that the SQL engine of a Worker reads: as objects they take several times
 *  that. */
export const QUERY_COLD_BATCH_BYTES = 2 * 1024 * 1024
/** Files that the SQL engine of a Worker reads at once: one is waited for while another is run through. */
export const QUERY_FILES_AHEAD = 2
/** Milliseconds one query of R2 SQL may take: beyond what a Worker's request waits for. */
export const R2_SQL_MS_MAX = 120_000
/** Bytes of one answer of R2 SQL: it comes whole, and is held as text and as rows. */
export const R2_SQL_REPLY_BYTES_MAX = 16 * 1024 * 1024
/** Files whose columns a SQL engine remembers the names of. */
export const SQL_SHAPES_KNOWN_MAX = 20_000
/** Bytes up to which a file of the lake is fetched whole: one request, where its parts would be several. */
export const SQL_WHOLE_FILE_BYTES = 4 * 1024 * 1024
/** Rows of the key index that are counted in one turn of a shard. */
export const TIER_COUNT_ROWS = 5_000
/** Rows of a result that are put into one array for a program that asks in its own process. */
export const SQL_ROWS_IN_MEMORY_MAX = 1_000_000
/** Milliseconds between looks for payloads of a database that may leave. */
export const TIER_EVICT_EVERY_MS = 60_000
/** Milliseconds that tiering has to end what is under way when a server stops: a part of SHUTDOWN_MS_MAX. */
export const LAKE_STOP_MS_MAX = 2_000
/** Bytes of disk that DuckDB takes for what does not fit in its memory, before a query is refused. */
export const SQL_SPILL_BYTES_MAX = 16 * 1024 * 1024 * 1024
/** Steps (calls and rounds of loops) of one script of Redis, before it is stopped: some seconds. Nobody else is served
 *  by its shard meanwhile; Redis itself answers BUSY after five. */
export const LUA_STEPS_MAX = 100_000_000
/** Lua calls inside one another: with some frames of JavaScript each, they stay within the stack of every host. Calls
 *  with many frames each may meet its end before; such a script is undone whole. */
export const LUA_CALLS_MAX = 1_000
/** Bytes that one script may store in tables, over all its life. */
export const LUA_STORED_BYTES_MAX = 512 * 1024 * 1024
/** Bytes of one string that a script makes. */
export const LUA_STRING_BYTES_MAX = 64 * 1024 * 1024
/** Blocks and brackets of a script inside one another: Lua's own LUAI_MAXCCALLS. */
export const LUA_CHUNK_NESTING_MAX = 190
/** Values that `unpack` and the like spread at once: what a call of JavaScript takes without harm. */
export const LUA_VALUES_MAX = 8_000
