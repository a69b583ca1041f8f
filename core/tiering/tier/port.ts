/** What the parts of tiering say to each other: policies, receipts, relocations, status. Plain data, all of it.
 *  docs/lake.md tells the whole story. */
import type { Position } from '../../shard/program.ts'
import type { RelationValue } from '../../shard/relation.ts'

/** The name of the program that every tiered shard runs, and of its jobs. */
export const TIER = 'tier'

/** What a collection's rows do, as people write it: durations as `7d`, `15m`, sizes as `64mb`. */
export interface PolicyOptions {
  /** Keep the newest state of every row in an Iceberg table of the collection's name. Default true. */
  readonly mirror?: boolean
  /** Append every change to the table `changes`. Default true. */
  readonly changes?: boolean
  /** Payloads leave this long after they were written. Default: never. */
  readonly hotFor?: string
  /** Rows of a shard that keep their payload at the most; the oldest leave. Default: no bound. */
  readonly maxHotRows?: number
  /** Bytes of payloads a shard keeps at the most. Default: no bound. */
  readonly maxHotBytes?: string
  /** A shard's changes are written out this long after the first of them at the latest. Default 15m. */
  readonly flushEvery?: string
  /** A shard's changes are written out when they make files of so many bytes. Default 8mb. */
  readonly flushBytes?: string
  /** Files this old move to another store. Default: never. */
  readonly cold?: { readonly after: string; readonly store: string }
}

/** A checked policy. */
export interface Policy {
  readonly mirror: boolean
  readonly changes: boolean
  readonly hotForMs?: number
  readonly maxHotRows?: number
  readonly maxHotBytes?: number
  readonly flushEveryMs: number
  readonly flushBytes: number
  readonly cold?: { readonly afterMs: number; readonly store: string }
}

/** A data file that a shard has written and nobody has committed. */
export interface WrittenFile {
  /** 48 bits of chance, or of the receipt's id; the path ends in its 12 hexadecimal digits. */
  readonly id: number
  readonly path: string
  /** The Iceberg DataFile as plain data; maps as entries, bytes as Uint8Array. */
  readonly file: unknown
}

/** What a shard has written for one table, and waits to see committed. */
export interface Receipt {
  /** Also the part of the commit id that is this shard's. */
  readonly id: string
  readonly database: string
  readonly shard: number
  /** The table in the database's namespace. */
  readonly table: string
  readonly from: Position | undefined
  readonly to: Position
  readonly files: readonly WrittenFile[]
  /** Rows that are no longer so: positions by the file's id. */
  readonly deletes: readonly (readonly [file: number, positions: readonly number[]])[]
  readonly rows: number
  readonly deadLetters: number
  readonly bytes: number
}

/** Rows that a rewrite has put elsewhere: those of an old file, in order, but for the deleted ones. */
export interface Relocation {
  readonly from: number
  readonly to: number
  /** The new position of the first row that stays. */
  readonly offset: number
  /** Positions of the old file that were left out, ascending. */
  readonly without: readonly number[]
}

/** How far a shard's table has come. */
export interface ShardTierStatus {
  readonly shard: number
  readonly table: string
  readonly watermark: Position | undefined
  readonly newest: Position
  /** Changes not committed yet, and when the first of them was made. */
  readonly lagChanges: number
  readonly lagBytes: number
  readonly oldestMs: number | undefined
  readonly pending: string | undefined
  readonly hotRows: number
  readonly hotBytes: number
  readonly coldRows: number
}

/** One table of the lake, as its committer sees it. */
export interface TableStatus {
  readonly table: string
  readonly snapshotId: string | undefined
  readonly committedMs: number | undefined
  readonly dataFiles: number
  readonly deleteFiles: number
  readonly rows: number
  readonly bytes: number
  readonly shards: readonly ShardTierStatus[]
}

/** A database's tiering, as people ask for it. */
export interface TierStatus {
  readonly database: string
  readonly state: 'running' | 'paused' | 'failing'
  /** Why it is failing. */
  readonly failure: string | undefined
  readonly policies: { readonly [collection: string]: PolicyOptions }
  readonly tables: readonly TableStatus[]
}

/** Something done, for progress. */
export interface TierEvent {
  readonly kind: 'flushed' | 'committed' | 'evicted' | 'compacted' | 'expired' | 'archived' | 'failed'
  readonly database: string
  readonly table: string
  readonly message: string
  readonly rows?: number
  readonly files?: number
  readonly bytes?: number
}

/** What people, the CLI and HTTP ask of the lake. `database` must exist; unknown collections are `not_found`. */
export interface LakeControl {
  /** Set a collection's policy; it holds over restarts.
   *  @throws invalid for options that cannot be honoured */
  setPolicy(database: string, collection: string, options: PolicyOptions): Promise<void>
  /** Stop tiering a collection; what is in the lake stays, payloads that left come back first. */
  removePolicy(database: string, collection: string): Promise<void>
  status(database: string): Promise<TierStatus>
  /** List databases that have policies. */
  databases(): Promise<string[]>
  pause(database: string): Promise<void>
  resume(database: string): Promise<void>
  /** Write every row of a collection anew, as after a restore. */
  backfill(database: string, collection: string): Promise<void>
  /** Flush and commit now, whatever the policies say. @returns when it is committed */
  flush(database: string): Promise<TierStatus>
  /** Compact a table now. */
  compact(database: string, table: string): Promise<void>
  /** Expire snapshots, remove orphans and old metadata now. */
  maintain(database: string, table: string): Promise<void>
}

/** What a shard tells a query: its rows that are newer than a snapshot. The call `since` of the program `tier`, in
 *  pieces; reply to a `SinceRequest`. */
export interface SinceRequest {
  readonly collection: string
  /** Where the snapshot stands; undefined: it has nothing of this shard, so all rows are wanted. */
  readonly after: Position | undefined
  /** Relation columns wanted; the hidden `_id`, `_seq`, `_at`, `_shard` may be named too. */
  readonly columns: readonly string[]
  /** `position` of an earlier answer to the same request, for a reader that kept it: only what is newer is wanted. Then
   *  `gone` has every id that went since, known or not, and `deletes` what became so since. */
  readonly known?: Position
  /** Where the piece before ended. */
  readonly cursor?: unknown
  readonly limit: number
  /** `col op value` on relation columns, all of which hold: applied where it is cheap, so rows that fail may come. */
  readonly where?: readonly (readonly [column: string, op: '=' | '<' | '<=' | '>' | '>=', value: string | number])[]
}

/** A piece of the answer. All pieces of one answer together are consistent: when rows change between two pieces, the
 *  changed ones come again in a later piece with `again` set, and only the last coming of an `_id` counts. */
export interface SinceReply {
  /** Values by column, each as long as `ids`; a null in `columns[i]` of a row in `gone` means nothing. */
  readonly columns: readonly (readonly RelationValue[])[]
  readonly ids: readonly string[]
  /** Ids that came in an earlier piece and are not there any more. */
  readonly gone: readonly string[]
  /** Ids of this piece that came before. */
  readonly again: boolean
  /** Rows of the snapshot that are not so any more: positions by the file's id. */
  readonly deletes: readonly (readonly [file: number, positions: readonly number[]])[]
  readonly cursor: unknown | undefined
  /** Where the answer as a whole stands, in its last piece: all changes up to there are in it, none after. A later
   *  request may give it as `known`. Left out by a shard that cannot tell. */
  readonly position?: Position
  /** Set instead of everything else when the answer of `known` cannot be continued (its history is gone, rows were
   *  truncated): ask without it. */
  readonly restart?: true
  /** Set instead of everything else when the snapshot is not the one this shard knows: load it anew. */
  readonly stale?: { readonly watermark: Position | undefined }
}
