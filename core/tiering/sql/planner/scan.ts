/** Reading one table, hot and cold: rows of a snapshot without those that changed since, and the shards' own.
 *
 *  1. Shards are read first, and whole: only then is it known which rows of files are still so.
 *  2. A shard that knows another snapshot, or slots that moved meanwhile, make the scan begin anew; nothing has been
 *     given by then. */

import type { Stop } from '../../../cdc/follow.ts'
import { Failure } from '../../../errors.ts'
import { QUERY_HOT_BYTES_MAX, SQL_RETRY_FIRST_MS, SQL_SHARDS_AT_ONCE, SQL_TRIES_MAX } from '../../../limits.ts'
import type { Clock } from '../../../shard/clock.ts'
import type { Database } from '../../../shard/fabric.ts'
import type { DataFile } from '../../iceberg/data-file.ts'
import type { AsOf } from '../../iceberg/history.ts'
import type { TableMetadata } from '../../iceberg/metadata.ts'
import type { ReadCounts } from '../../parquet/read-source.ts'
import { fileIdOf } from '../../tier/plain.ts'
import { TIER } from '../../tier/port.ts'
import { type Positions, readPositions } from '../../tier/positions.ts'
import type { ColdPlan, ColdPlanner } from '../cold.ts'
import { type Condition, toWhere } from '../condition.ts'
import { changesReader, type HotPiece, type HotReader, rowsReader, Stale } from '../hot.ts'
import type { FoundTable, SqlLake, SqlTables } from '../tables.ts'
import { type ColdReader, readCold } from './cold-rows.ts'
import { conditionsOf, forShards } from './conditions-of.ts'
import { DeletedPlaces } from './deleted-places.ts'
import { HotRows } from './hot-rows.ts'
import type { PartialPlan } from './partial.ts'
import type { PartialReply, PartialRequest } from './partial-call.ts'
import type { SourcePlan } from './plan.ts'
import type { ScanPart } from './run.ts'
import { budget } from './values.ts'

/** What scans are done with. */
export interface ScanContext {
  readonly tables: SqlTables
  readonly lake: SqlLake | undefined
  readonly planner: ColdPlanner | undefined
  readonly cold: ColdReader | undefined
  readonly clock: Clock
  readonly asOf: AsOf | undefined
  readonly stop: Stop | undefined
  /** Collections whose changes are written to `changes`; all when unknown. */
  readonly changed: ((database: string) => Promise<readonly string[] | undefined>) | undefined
  readonly counts: ScanTotals
  readonly reads: ReadCounts
}

/** What scans cost, added up. */
export interface ScanTotals {
  files: number
  filesPruned: number
  bytesPruned: number
  hotRows: number
  shards: number
}

/** What is read of a table: made anew with each try. */
interface Opened {
  readonly metadata: TableMetadata | undefined
  readonly plan: ColdPlan | undefined
  readonly positions: Positions
}

/** What one shard answered. */
interface Answer {
  readonly part: ScanPart
  readonly rows: number
}

/** End a query that nobody waits for any more.
 *  @throws unavailable */
export function checkStop(stop: Stop | undefined): void {
  if (stop?.aborted === true) throw new Failure('unavailable', 'the query was called off')
}

/** Plan what to read of the lake for a table. */
export async function planCold(
  context: ScanContext,
  metadata: TableMetadata | undefined,
  conditions: readonly Condition[],
): Promise<ColdPlan | undefined> {
  return metadata && (await context.planner?.plan(metadata, conditions, context.asOf))
}

/** One scan. */
export class TableScan {
  private readonly context: ScanContext
  private readonly found: FoundTable
  private readonly plan: PartialPlan
  private readonly conditions: readonly Condition[]
  private readonly source: SourcePlan

  constructor(context: ScanContext, found: FoundTable, { source, plan }: { source: SourcePlan; plan: PartialPlan }) {
    this.context = context
    this.found = found
    this.source = source
    this.plan = plan
    this.conditions = conditionsOf(source.filter, source.columns)
  }

  /** Read the table.
   *  @throws unavailable when it changed under every try */
  async *read(): AsyncGenerator<ScanPart> {
    const { clock, stop, counts } = this.context
    for (let tries = 1; ; tries++) {
      checkStop(stop)
      try {
        const opened = await this.open(tries === 1 ? this.found.metadata : undefined)
        const deleted = new DeletedPlaces(rowsByFile(opened.plan))
        const answers = await this.hot(opened, deleted)
        this.count(opened, answers)
        for (const { part } of answers) yield part
        yield* this.cold(opened, deleted)
        return
      } catch (error) {
        if (!(error instanceof Stale)) throw error
        if (tries >= SQL_TRIES_MAX) {
          throw new Failure('unavailable', `${this.found.table} changed under ${tries} tries: try again`, counts)
        }
        await new Promise<void>((resolve) => clock.after(SQL_RETRY_FIRST_MS * 2 ** (tries - 1), resolve))
      }
    }
  }

  private get isHot(): boolean {
    return this.found.hot !== 'none' && this.context.asOf === undefined
  }

  /** @param known the table's state as the query was bound with; it is loaded anew for a second try */
  private async open(known: TableMetadata | undefined): Promise<Opened> {
    const { database, table } = this.found
    const metadata = known ?? (await this.context.tables.find(database, table)).metadata
    if (metadata?.['current-schema-id'] !== this.found.metadata?.['current-schema-id']) {
      throw new Failure(
        'conflict',
        `the columns of ${database}.${table} changed while it was read: run the query again`,
      )
    }
    const plan = await planCold(this.context, metadata, this.conditions)
    const { lake } = this.context
    const positions = metadata && lake && this.isHot ? await readPositions(lake.files, metadata) : new Map()
    return { metadata, plan, positions }
  }

  /** @throws Stale before anything has been given */
  private async hot({ positions }: Opened, deleted: DeletedPlaces): Promise<Answer[]> {
    if (!this.isHot) return []
    const database = await this.context.tables.database(this.found.database)
    const { map } = database
    const epoch = map.epoch
    const shards = Array.from({ length: map.count }, (_, shard) => shard)
    const held = budget(QUERY_HOT_BYTES_MAX, 'rows of shards', 'filter them, name fewer columns, or flush the table')
    const changed = this.found.hot === 'changes' ? await this.context.changed?.(this.found.database) : undefined
    const rows =
      this.found.hot === 'changes' ? changesReader(database, changed) : rowsReader(database, this.found.table)
    const answers: Answer[] = []
    const next = shards.values()
    const work = async () => {
      for (const shard of next) {
        checkStop(this.context.stop)
        const after = positions.get(shard)
        const answer = await this.partial(database, { shard, after, deleted })
        if (answer !== undefined) answers[shard] = answer
        else {
          const hot = new HotRows(this.plan.columns.length, held)
          answers[shard] = await this.pieces(rows, { shard, after, deleted, hot })
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(SQL_SHARDS_AT_ONCE, shards.length) }, work))
    if (map.epoch !== epoch) throw new Stale('slots moved')
    return answers
  }

  /** Have a shard run its part of the query.
   *  @returns undefined when it cannot */
  private async partial(
    { router }: Database,
    { shard, after, deleted }: { shard: number; after: PartialRequest['since']['after']; deleted: DeletedPlaces },
  ): Promise<Answer | undefined> {
    const { plan } = this
    if (this.found.hot !== 'rows' || (plan.grouping === undefined && plan.top === undefined)) return undefined
    if (!this.areHot()) return undefined
    const since = { collection: this.found.table, after, ...this.where() }
    const args: PartialRequest = { since, plan, shard }
    const reply = await router.call({ program: TIER, name: 'partial', args }, { shard }).then(
      (answer) => answer as PartialReply,
      (error: unknown) => {
        // A shard of an earlier release: it is asked for its rows.
        if (error instanceof Failure && error.code === 'unsupported') return undefined
        throw error
      },
    )
    if (reply === undefined) return undefined
    if (reply.stale !== undefined) throw new Stale(`shard ${shard} knows another snapshot`)
    if (reply.result === undefined) return undefined
    deleted.add(reply.deletes)
    return { part: { partial: reply.result }, rows: reply.result.rows }
  }

  /** Whether shards have all the columns: some are in the lake alone. */
  private areHot(): boolean {
    return this.plan.columns.every(([, name]) => this.found.columns.some((one) => one.name === name && one.isHot))
  }

  private where(): { where?: NonNullable<PartialRequest['since']['where']> } {
    const columns = this.found.relation?.columns ?? []
    const where = toWhere(forShards(this.conditions, this.source.columns), columns)
    return where.length === 0 ? {} : { where }
  }

  private async pieces(
    reader: HotReader,
    {
      shard,
      after,
      deleted,
      hot,
    }: { shard: number; after: HotPiece['position']; deleted: DeletedPlaces; hot: HotRows },
  ): Promise<Answer> {
    const isHot = this.plan.columns.map(([, name]) => this.found.columns.some((one) => one.name === name && one.isHot))
    const columns = this.plan.columns.flatMap(([, name], at) => (isHot[at] ? [name] : []))
    for await (const piece of reader.read(shard, { after, columns, ...this.where() })) {
      checkStop(this.context.stop)
      deleted.add(piece.deletes)
      let at = 0
      const all = isHot.map((is) => (is ? (piece.columns[at++] as readonly never[]) : piece.ids.map(() => null)))
      if (this.found.hot === 'changes') hot.append({ ...piece, columns: all })
      else hot.add({ ...piece, columns: all })
    }
    const batch = hot.batch(this.plan, shard)
    return { part: { batch }, rows: batch.rows }
  }

  private count({ plan }: Opened, answers: readonly Answer[]): void {
    const { counts } = this.context
    counts.shards += answers.length
    for (const { rows } of answers) counts.hotRows += rows
    if (plan === undefined) return
    counts.files += plan.whole.files
    counts.filesPruned += plan.whole.files - plan.tasks.length
    counts.bytesPruned += plan.whole.bytes - plan.bytes
  }

  private async *cold({ plan, metadata }: Opened, deleted: DeletedPlaces): AsyncGenerator<ScanPart> {
    const { cold, stop, reads } = this.context
    if (plan === undefined || metadata === undefined || cold === undefined) return
    const { columns } = this.plan
    const exclude = ({ path }: DataFile) => deleted.of(fileIdOf(path))
    for await (const batch of readCold(cold, { plan, metadata, columns, exclude, counts: reads })) {
      checkStop(stop)
      yield { batch }
    }
  }
}

/** Rows of the files that will be read, by their ids. */
function rowsByFile(plan: ColdPlan | undefined): Map<number, number> {
  const rows = new Map<number, number>()
  for (const { file } of plan?.tasks ?? []) {
    const id = fileIdOf(file.path)
    if (id !== undefined) rows.set(id, file.recordCount)
  }
  return rows
}
