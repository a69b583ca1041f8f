/** The job `flush`: writes what a shard has that its table in the lake has not, and leaves a receipt in the shard. */
import { Failure } from '../../errors.ts'
import { TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import type { JobShard } from '../../shard/job.ts'
import type { Position } from '../../shard/program.ts'
import type { Table } from '../../shard/table.ts'
import type { PartitionSpec } from '../iceberg/partition.ts'
import type { Schema } from '../iceberg/schema.ts'
import { ask } from './calls.ts'
import type { OutputTools } from './data-output.ts'
import type { Begun } from './flush-calls.ts'
import { flushChanges } from './flush-changes.ts'
import { flushDeadLetters } from './flush-dead.ts'
import { flushMirror } from './flush-mirror.ts'
import type { Payloads } from './payloads.ts'
import { fileIdText } from './plain.ts'
import { changesTable, deadLettersTable } from './schemas.ts'
import type { KeptReceipt } from './state.ts'

/** What a flush works with. */
export interface FlushTools extends OutputTools {
  readonly clock: Clock
  readonly payloads: Payloads
}

/** What to write, and how; plain data. */
export interface FlushPlan {
  readonly table: string
  readonly schema: Schema
  readonly spec: PartitionSpec
  /** Where data files go. */
  readonly folder: string
  /** Of `changes`: the collections whose changes are written. */
  readonly collections?: readonly string[]
  /** Of a mirror: write every row anew. */
  readonly whole?: boolean
  /** Where the snapshot stands, when that is not where the shard thinks: it has been restored. */
  readonly base?: Position | null
  readonly resync?: boolean
  readonly rowsPerTurn?: number
}

/** What a flush did. */
export interface Flushed {
  readonly receipt: KeptReceipt
  /** It was there already. */
  readonly wasPending: boolean
}

/** Write what is new, unless a receipt waits already.
 *  @throws what the shard and the store throw; then nothing has changed */
export async function flush(tools: FlushTools, shard: JobShard, plan: FlushPlan): Promise<Flushed> {
  const { clock } = tools
  const receipt = `${fileIdText(clock.random())}${fileIdText(clock.random())}`
  let begun: Begun
  do {
    begun = await ask<Begun>(shard, 'begin', { table: plan.table, receipt, limit: TIER_ROWS_PER_TURN })
  } while (begun.busy === true)
  if (begun.pending !== undefined) return { receipt: begun.pending, wasPending: true }
  const common = { plan, begun, receipt }
  if (plan.table === changesTable) return { receipt: await flushChanges(tools, shard, common), wasPending: false }
  if (plan.table === deadLettersTable) {
    return { receipt: await flushDeadLetters(tools, shard, common), wasPending: false }
  }
  const table = await ask<Table>(shard, 'table', { collection: plan.table })
  if (table.relation === undefined) throw new Failure('not_found', `collection ${plan.table} has no relation`)
  return { receipt: await flushMirror(tools, shard, { ...common, table }), wasPending: false }
}
