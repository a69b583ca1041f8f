/** The program that every tiered shard runs: how far each of its tables is in the lake, and where its rows are there.
 *  docs/lake.md tells the whole story. */
import { Failure } from '../../errors.ts'
import type { Call, Program, Tx, View } from '../../shard/program.ts'
import { logFloor, tableOf } from './changed.ts'
import { type EvictCalls, evictCalls } from './evict-calls.ts'
import { deadTable, type FlushCalls, flushCalls } from './flush-calls.ts'
import { type PlaceCalls, placeCalls } from './places.ts'
import { type ShardTierStatus, type SinceRequest, TIER } from './port.ts'
import type { CollectionInfo } from './schemas.ts'
import { since } from './since-calls.ts'
import { readPending, readState, type TableState } from './state.ts'
import { tierTables } from './tables.ts'

/** How far a shard's table has come, and what its committer wants to know besides. */
export type TableReport = Omit<ShardTierStatus, 'shard'> & Pick<TableState, 'settling'>

/** Arguments by call name; the answers are named beside them. */
export interface TierCalls extends FlushCalls, EvictCalls, PlaceCalls {
  /** List the collections that can be tiered. Answers CollectionInfo[]. */
  describe: null
  /** Answers the declared Table of a collection: for jobs, which run where the shard does. */
  table: { collection: string }
  /** Answers a TableReport for each table. */
  status: { tables: readonly string[] }
  /** Answers a SinceReply. */
  since: SinceRequest
}

/** The names of calls that write nothing. */
const reads: ReadonlySet<string> = new Set<keyof TierCalls>([
  'describe',
  'table',
  'status',
  'read',
  'matching',
  'log',
  'receipt',
  'deletes',
  'dead',
  'count',
  'locate',
  'cold',
])

type Handlers = { [Name in keyof TierCalls]: (tx: Tx, args: TierCalls[Name]) => unknown }

const handlers: Handlers = {
  ...flushCalls,
  ...evictCalls,
  ...placeCalls,
  describe: (tx) => describe(tx),
  table: (tx, { collection }) => tableOf(tx, collection),
  status: (tx, { tables }) => tables.map((table) => report(tx, table)),
  since,
}

/** Make the program.
 *  @param more calls of others, by name: the planner's `plannerCalls` */
export function tierProgram(more: { readonly [name: string]: (tx: Tx, args: never) => unknown } = {}): Program {
  const all = { ...handlers, ...more } as { readonly [name: string]: (tx: Tx, args: unknown) => unknown }
  const calls = new Map(Object.entries(all))
  return {
    name: TIER,
    tables: tierTables,
    writesSql: ({ name }) => !reads.has(name),
    run(tx: Tx, { name, args }: Call): unknown {
      const run = calls.get(name)
      if (run === undefined) throw new Failure('unsupported', `tiering has no call ${name}`)
      return run(tx, args)
    },
  }
}

function describe(view: View): CollectionInfo[] {
  return view.tables().flatMap(({ collection, relation }) => {
    if (relation === undefined) return []
    const columns = relation.columns.map(({ name, type, required = false }) => ({ name, type, required }))
    return [{ collection, columns, payload: relation.payload !== undefined }]
  })
}

function report(view: View, table: string): TableReport {
  const { watermark, settling, counts } = readState(view, table)
  const isDead = table === deadTable
  const newest = isDead ? { ...view.position, seq: newestDead(view) } : view.position
  const isOurs = watermark?.incarnation === newest.incarnation
  const [came] = view.raw('select count(*), min(at) from tier_index where collection = ? and arrived = 1', table)
  const behind = newest.seq - (isOurs ? watermark.seq : 0)
  const lagChanges = behind + Number(came?.[0])
  const lag = behind === 0 || isDead ? { bytes: 0, oldestMs: undefined } : lagOf(view, isOurs ? watermark.seq : 0)
  const logged = isDead ? oldestDead(view, watermark?.seq ?? 0) : lag.oldestMs
  const oldestMs = came?.[1] == null ? logged : Math.min(logged ?? view.nowMs, Number(came[1]))
  return {
    table,
    watermark: watermark ?? undefined,
    newest,
    lagChanges,
    lagBytes: lag.bytes,
    oldestMs,
    pending: readPending(view, table)?.id,
    hotRows: counts?.hotRows ?? 0,
    hotBytes: counts?.hotBytes ?? 0,
    coldRows: counts?.coldRows ?? 0,
    ...(settling !== undefined && { settling }),
  }
}

/** How much log there is after a seq, and when it begins. */
function lagOf(view: View, seq: number): { bytes: number; oldestMs: number | undefined } {
  // By `first`, which is the key: looking at every `last` would be a look at the whole log.
  const from = Math.max(seq, logFloor(view)) + 1
  const [oldest] = view.raw(
    `select at, total, length(bytes) from dotdo_log where first >=
      coalesce((select first from dotdo_log where first <= ? order by first desc limit 1), 0) and last >= ?
      order by first limit 1`,
    from,
    from,
  )
  const [newest] = view.raw('select total from dotdo_log order by first desc limit 1')
  if (oldest === undefined || newest === undefined) return { bytes: 0, oldestMs: view.nowMs }
  return { bytes: Number(newest[0]) - Number(oldest[1]) + Number(oldest[2]), oldestMs: Number(oldest[0]) }
}

function newestDead(view: View): number {
  return Number(view.raw("select value from tier_state where name = 'dead letters'")[0]?.[0] ?? 0)
}

function oldestDead(view: View, after: number): number | undefined {
  const [oldest] = view.raw('select at from tier_dead where number > ? order by number limit 1', after)
  return oldest === undefined ? undefined : Number(oldest[0])
}
