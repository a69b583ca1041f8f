/** How a lake is run. */
import type { Fabric } from '../../shard/fabric.ts'
import type { CommitterTools } from './committer.ts'
import type { TableDefaults } from './lake-table.ts'
import type { PolicyOptions, TierEvent } from './port.ts'
import type { RewriteOptions } from './upkeep.ts'

/** What a lake is made of. */
export interface LakeOptions extends CommitterTools {
  readonly fabric: Fabric
  /** Look after this database alone, in hosts that have a service for each; all when left out. */
  readonly database?: string
  /** Told of what is done, and of failures. */
  readonly listener?: (event: TierEvent) => void
  /** Stores that `cold` may name, and the roots at which they are mounted in `files`. */
  readonly stores?: { readonly [name: string]: string }
  /** Milliseconds between looks at a database's shards. */
  readonly pollMs?: number
  /** Milliseconds between commits of a table at the least. */
  readonly commitEveryMs?: number
  /** Milliseconds between looks for payloads that may leave; each commit makes one too. */
  readonly evictEveryMs?: number
  /** Milliseconds between rewrites of a table at the least; 0 for never by itself. */
  readonly compactEveryMs?: number
  /** Small files of a table that make it worth rewriting. */
  readonly smallFilesMax?: number
  /** Milliseconds between removals of orphans and old metadata. */
  readonly cleanEveryMs?: number
  /** Commits between looks for expired snapshots. */
  readonly commitsPerExpiry?: number
  /** Shards of a database that write files at once. */
  readonly flushesMax?: number
  readonly rewrite?: RewriteOptions
  /** How new tables are made. */
  readonly tables?: TableDefaults
}

/** What the fabric's catalog keeps for a database. */
export interface KeptPolicies {
  readonly paused?: boolean
  readonly collections: { readonly [collection: string]: PolicyOptions }
}

/** Read what is kept.
 *  @returns no collections when there is nothing */
export function keptPolicies(value: unknown): KeptPolicies {
  return (value as KeptPolicies | null) ?? { collections: {} }
}
