/** Which keys have changed: what blocked clients and client-side caches are woken by. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_CHANGED_BYTES_MAX, REDIS_CHANGED_KEYS_MAX } from '@dotdo/core/limits'
import type { ChangedKeys, Position, Table, Tx } from '@dotdo/core/shard'
import { type KeyEvent, readEvents, wantEvents } from './events.ts'

/** The arguments of the call `changed`. */
export interface ChangedArgs {
  /** `now` asks for nothing but where to go on from. */
  readonly after: Position | 'now'
  /** Whether to note events from now on, and to tell those that were noted. */
  readonly events?: boolean
}

/** What has changed in a shard. Plain data. */
export interface Changed {
  /** The keys, each at least once. */
  readonly keys: readonly (readonly [db: number, key: Bin])[]
  /** Any key may have changed besides: databases were emptied, or the history since then is gone. */
  readonly all: boolean
  /** What happened to them, as far as it was noted; in order. */
  readonly events: readonly KeyEvent[]
  /** Where to go on. */
  readonly next: Position
}

function read(tx: Tx, after: Position, tables: readonly Table[]): ChangedKeys | undefined {
  const limits = { changes: REDIS_CHANGED_KEYS_MAX, bytes: REDIS_CHANGED_BYTES_MAX }
  try {
    return tx.changedKeys(after, { ...limits, wanted: (table) => tables.includes(table) })
  } catch (error) {
    if (error instanceof Failure && error.code === 'out_of_range') return undefined
    throw error
  }
}

/** Tell which keys committed changes after a position were of.
 *  @param tables those whose rows have a database and a key
 *  @cost the log written since */
export function readChanged(tx: Tx, { after, events = false }: ChangedArgs, tables: readonly Table[]): Changed {
  if (events) wantEvents(tx)
  if (after === 'now') return { keys: [], all: false, events: [], next: tx.position }
  const found = read(tx, after, tables)
  if (found === undefined) return { keys: [], all: true, events: [], next: tx.position }
  const names = new Map<string, readonly [number, Bin]>()
  const add = (db: unknown, key: unknown) => names.set(`${db}/${key}`, [db as number, key as Bin])
  // Rows that came from another shard or left for it are what they were.
  for (const { key, moved } of found.keys) if (!moved) add(key.db, key.key)
  let all = false
  for (const { where, moved } of found.truncates) {
    if (moved) continue
    if (where.key === undefined) all = true
    else add(where.db, where.key)
  }
  const noted = events ? readEvents(tx, after.seq, found.next.seq) : []
  return { keys: [...names.values()], all, events: noted, next: found.next }
}
