/** The limits of the filesystem, with their units and reasons; core/limits.ts has them with all others. */

/** Bytes of a name, in UTF-8: NAME_MAX of Linux. */
export const FSX_NAME_BYTES_MAX = 255
/** Bytes of a path and of a symbolic link's target, in UTF-8: PATH_MAX of Linux without the final zero. */
export const FSX_PATH_BYTES_MAX = 4_095
/** Symbolic links followed in one path: MAXSYMLINKS of Linux. */
export const FSX_LINKS_FOLLOWED_MAX = 40
/** Names of one inode: LINK_MAX of ext4. */
export const FSX_LINKS_MAX = 65_000
/** Bytes of a file that stand in its inode's row: up to here one row is faster than two (facts/files-and-git.md). */
export const FSX_INLINE_BYTES_MAX = 16 * 1024
/** Bytes of one chunk of a larger file. A piece of 64 KiB, what streams write, is then a row of its own: with larger
 *  chunks each is rewritten for the next piece, as nothing may be acknowledged before it is stored. */
export const FSX_CHUNK_BYTES = 64 * 1024
/** Chunks of one file: with contents up to 2^31, `content * 2^22 + index` stays within the integers of a double. */
export const FSX_CHUNKS_MAX = 2 ** 22
/** Bytes of one file: what its chunks hold. */
export const FSX_FILE_BYTES_MAX = FSX_CHUNKS_MAX * FSX_CHUNK_BYTES
/** Inodes ever made in one filesystem: their numbers are never used again, and number contents. */
export const FSX_INODES_MAX = 2 ** 31 - 1
/** Inode numbers taken at once, so that the counter is not written for every file; a crash leaves a gap. */
export const FSX_INODES_RESERVED = 1_000
/** Bytes of one read or write: they are held in memory, and cross threads. */
export const FSX_TRANSFER_BYTES_MAX = 64 * 1024 * 1024
/** Bytes of the name of an extended attribute, in UTF-8: XATTR_NAME_MAX of Linux. */
export const FSX_XATTR_NAME_BYTES_MAX = 255
/** Bytes of the value of an extended attribute: XATTR_SIZE_MAX of Linux. */
export const FSX_XATTR_VALUE_BYTES_MAX = 65_536
/** Bytes of all extended attributes of a file, each with FSX_XATTR_COST_BYTES more: an archive has them in front of the
 *  file, and whoever reads that holds them in memory. */
export const FSX_XATTRS_BYTES_MAX = 1024 * 1024
/** Bytes that an extended attribute counts besides its name and value: what it costs in a row and in an archive. */
export const FSX_XATTR_COST_BYTES = 64
/** Inodes kept in memory, per generation (two live at once); some 300 bytes each. */
export const FSX_INODES_CACHED_MAX = 50_000
/** Names of directories kept in memory; some 100 bytes each. Past it they are forgotten and read again. */
export const FSX_ENTRIES_CACHED_MAX = 200_000
/** Paths of directories kept in memory. */
export const FSX_PATHS_CACHED_MAX = 10_000
/** Times of last access that wait in memory to be written with something else: lost in a crash, as with lazytime. */
export const FSX_TOUCHED_MAX = 10_000
/** Of those, written with one group: a write must not wait for all that was read before it. */
export const FSX_TOUCHED_PER_GROUP = 32
/** Milliseconds after which a read renews a time of last access that is past the last change: relatime of Linux. */
export const FSX_RELATIME_MS = 24 * 60 * 60 * 1_000
/** Milliseconds that a deleted file which is open outlives the last that was heard of its handle, should the shard not
 *  know any more who has it open (after a crash): longer than any pause, short enough to get the space back. */
export const FSX_ORPHAN_MS = 60 * 60 * 1_000
/** Entries removed by one call of a recursive removal: some milliseconds. */
export const FSX_REMOVED_PER_CALL = 1_000
/** Shards that one filesystem is spread over: each is asked when the root is listed. */
export const FSX_SPREAD_MAX = 64
/** Open handles of one shard. */
export const FSX_HANDLES_MAX = 100_000
/** Filesystems and snapshots of one shard kept in memory: past it, those without open files are read again. */
export const FSX_VOLUMES_CACHED_MAX = 64
/** Layers of a shard, one a snapshot or fork: with inode numbers below 2^31, keys stay within a double's integers. */
export const FSX_LAYERS_MAX = 2 ** 22 - 1
/** Layers on top of each other: each is looked into for what memory does not know. */
export const FSX_LAYERS_DEEP_MAX = 1_000
/** Bytes copied by one call: the rest of a longer file comes with others, so that nobody waits for all of it. */
export const FSX_COPY_BYTES = 4 * 1024 * 1024
/** Bytes of content read or written at once for a tar archive: a row group of chunks, and little memory. */
export const FSX_TAR_PIECE_BYTES = 1024 * 1024
/** Bytes of names and attributes before one file of a tar archive: as many attributes as a file may have, and paths. */
export const FSX_TAR_RECORDS_BYTES_MAX = FSX_XATTRS_BYTES_MAX + 64 * 1024
/** Locks of WebDAV in one filesystem: each is looked at by those who list them; clients take one a file at most. */
export const FSX_WEB_LOCKS_MAX = 10_000
/** Of those, covering one path: shared locks are all shown with it. */
export const FSX_WEB_LOCKS_PER_PATH_MAX = 100
/** Seconds that a lock of WebDAV may last before it must be renewed: a client that is gone must not lock for days. */
export const FSX_WEB_LOCK_SECONDS_MAX = 3_600
/** Bytes of XML in a request of WebDAV: properties of one file are short, and the whole is held as a tree. */
export const FSX_WEB_XML_BYTES_MAX = 262_144
/** Files in one answer to a PROPFIND of everything below; past it the client is told to ask directory by directory. */
export const FSX_WEB_DEEP_FILES_MAX = 10_000
/** Bytes of such an answer: it is held whole. */
export const FSX_WEB_DEEP_BYTES_MAX = 32 * 1024 * 1024
/** Properties that one PROPFIND names: each is answered for each file. */
export const FSX_WEB_PROPERTIES_MAX = 256
/** Files of a directory looked at by one call while it is listed: some milliseconds. */
export const FSX_WEB_PAGE_FILES = 500
/** Files on one page of a list as JSON. */
export const FSX_WEB_LIST_FILES_MAX = 10_000
/** Bytes that one call reads or writes while a file goes over HTTP: a group commit each, and held in memory. */
export const FSX_WEB_PIECE_BYTES = 1024 * 1024
/** Bytes of log that one read for a watcher looks at: it stands between the shard's groups. */
export const FSX_CHANGES_READ_BYTES_MAX = 1024 * 1024
/** Removed directories whose paths are kept in memory, per generation (two live at once), for those who watch. */
export const FSX_GONE_DIRECTORIES_MAX = 1_000
/** Locks of open files in one shard: they are counted when one is taken. */
export const FSX_LOCKS_MAX = 10_000
/** Milliseconds that the locks of a client live after it was last heard of: longer than a pause, shorter than
 *  patience. */
export const FSX_LOCK_LEASE_MS = 60_000
/** Milliseconds between two times that a client with locks is heard of: some may fail. */
export const FSX_LOCK_RENEW_MS = 15_000
/** Milliseconds that one wait for a lock lasts; then it is asked for again: the shard may have forgotten who waits. */
export const FSX_LOCK_WAIT_MS = 10_000
/** Bytes of space that one call takes before they are written: a group commit each. */
export const FSX_ALLOCATED_PER_CALL = 16 * 1024 * 1024
/** Names of inodes kept in memory, per generation (two live at once), for those who watch: the file that changed is
 *  most often one that did before. */
export const FSX_PLACES_CACHED_MAX = 10_000
/** Bytes of an object of cold content: large enough that a store's requests are few, small enough to be held in memory
 *  twice while it is made (packed and compressed). */
export const FSX_OBJECT_BYTES = 8 * 1024 * 1024
/** Bytes of cold content kept in the memory of a shard. */
export const FSX_COLD_CACHED_BYTES_MAX = 32 * 1024 * 1024
/** Times that bound while calls wait for what has been fetched: past it, theirs goes too and they fetch again. */
export const FSX_COLD_CACHED_TIMES_MAX = 4
/** Bytes of cold content that one call reads: they are fetched before it is answered. */
export const FSX_COLD_CALL_BYTES_MAX = 8 * 1024 * 1024
/** Chunks of a cold file fetched before they are asked for, when it is read from one end to the other: 4 MiB, a request
 *  to a store takes as long as the first MiB of its answer. */
export const FSX_COLD_AHEAD_CHUNKS = 64
/** Files that memory knows to be read from one end to the other. */
export const FSX_COLD_READERS_MAX = 1_000
/** Bytes between two pieces of an object that are read rather than asked for in two requests. */
export const FSX_COLD_GAP_BYTES = 128 * 1024
/** Requests to the store at once, for one fetch. */
export const FSX_COLD_REQUESTS_MAX = 4
/** Inodes looked at by one call while cold files are looked for: some milliseconds. */
export const FSX_TIER_SCANNED_PER_CALL = 5_000
/** Objects looked at by one call while what nobody refers to is looked for. */
export const FSX_TIER_OBJECTS_PER_CALL = 500
/** Of those, that are live, whose pieces are looked at one by one: up to some hundred each. */
export const FSX_TIER_SPARSE_PER_CALL = 50
/** Inode numbers of one page of what is lent to another shard: up to 4 MiB of content in their rows. */
export const FSX_LENT_INOS_PER_CALL = 256
/** Chunks of one page: some hundred KiB of references. */
export const FSX_LENT_CHUNKS_PER_CALL = 4_096
/** Bytes that one pass moves: a job of a Worker must end at some time; the next pass goes on. */
export const FSX_TIER_PASS_BYTES_MAX = 1024 * 1024 * 1024
/** Milliseconds that an object stays after nobody refers to it any more, unless the policy says otherwise: how old a
 *  backup of the shard may be and still find what it refers to. */
export const FSX_TIER_KEEP_MS = 24 * 60 * 60 * 1_000
