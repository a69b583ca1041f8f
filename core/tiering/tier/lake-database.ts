/** The lake of one database: which tables it has, which shards are due, and one round of work for it.
 *
 *  1. Flushes go before commits, and everything of a database is done one after the other by its caller: a table is
 *     never committed to and rewritten at once.
 *  2. What fails for one shard or table does not keep the others: the first failure is thrown when all is done. */
import { Failure } from '../../errors.ts'
import {
  TIER_COMMIT_EVERY_MS,
  TIER_EVICT_EVERY_MS,
  TIER_FLUSH_BYTES,
  TIER_FLUSH_EVERY_MS,
  TIER_FLUSHES_MAX,
} from '../../limits.ts'
import type { Database } from '../../shard/fabric.ts'
import type { LoadedTable } from '../iceberg/catalog.ts'
import { inParallel } from '../iceberg/work.ts'
import { type CommitReport, commitTable, type TierTable } from './committer.ts'
import { FileShares, isDue } from './due.ts'
import type { Evicted, EvictPlan } from './evict.ts'
import type { Flushed, FlushPlan } from './flush.ts'
import { jobNames } from './jobs.ts'
import type { LakeOptions } from './lake-options.ts'
import { ensureTable, planFlush } from './lake-table.ts'
import { tableName } from './payloads.ts'
import { parsePolicy } from './policy.ts'
import type { Policy, PolicyOptions, TierEvent } from './port.ts'
import type { Reached } from './positions.ts'
import type { TableReport } from './program.ts'
import { type CollectionInfo, changesTable, deadLettersTable } from './schemas.ts'
import { TierShards } from './shards.ts'
import type { KeptReceipt } from './state.ts'

/** A table of the database's lake, and when it is written. */
export interface PlannedTable extends TierTable {
  /** Of a mirror. */
  readonly info: CollectionInfo | undefined
  readonly policy: Policy | undefined
  /** Of `changes`. */
  readonly collections: readonly string[] | undefined
  readonly flushEveryMs: number
  readonly flushBytes: number
}

/** Whatever the policies say: write, commit, rewrite now. */
export interface RoundOptions {
  readonly force?: boolean
}

/** How shards write. */
interface FlushShardsOptions {
  /** What a shard's plan says besides. */
  readonly more?: (shard: number) => Partial<FlushPlan>
  /** Told of each new receipt. */
  readonly written?: (shard: number, receipt: KeptReceipt) => void
}

/** The lake of one database. */
export class DatabaseLake {
  readonly shards: TierShards
  private readonly options: LakeOptions
  private readonly database: string
  private policies: { readonly [collection: string]: PolicyOptions }
  /** Shards that have been told what to keep in their logs. */
  private prepared = 0
  private readonly committedAtMs = new Map<string, number>()
  private readonly heldFrom = new Map<number, number>()
  private readonly shares = new FileShares()
  private evictedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: LakeOptions, database: Database, policies: { readonly [collection: string]: PolicyOptions }) {
    this.options = options
    this.database = database.name
    this.shards = new TierShards(database)
    this.policies = policies
  }

  /** Go by other policies from now on. */
  setPolicies(policies: { readonly [collection: string]: PolicyOptions }): void {
    this.policies = policies
    this.prepared = 0
  }

  private tell(event: Omit<TierEvent, 'database'>): void {
    this.options.listener?.({ ...event, database: this.database })
  }

  /** List the collections that could be tiered. */
  describe(): Promise<CollectionInfo[]> {
    return this.shards.ask<CollectionInfo[]>(0, 'describe', null)
  }

  /** List the tables that the policies ask for. */
  async tables(): Promise<PlannedTable[]> {
    const infos = await this.describe()
    const stores = Object.keys(this.options.stores ?? {})
    const checked = Object.entries(this.policies).flatMap(([collection, options]) => {
      const info = infos.find((one) => one.collection === collection)
      // A program that is not there any more has no rows that could change.
      return info === undefined ? [] : [{ info, policy: parsePolicy(options, { ...info, stores }) }]
    })
    const mirrors = checked.flatMap(({ info, policy }): PlannedTable[] => {
      const { flushEveryMs, flushBytes } = policy
      if (!policy.mirror) return []
      return [{ ...this.named(info.collection), info, policy, collections: undefined, flushEveryMs, flushBytes }]
    })
    const changed = checked.filter(({ policy }) => policy.changes)
    if (checked.length === 0) return []
    const common = { info: undefined, policy: undefined }
    const dead = { flushEveryMs: TIER_FLUSH_EVERY_MS, flushBytes: TIER_FLUSH_BYTES, collections: undefined }
    const tables = [...mirrors, { ...this.named(deadLettersTable), ...common, ...dead }]
    if (changed.length === 0) return tables
    const changes: PlannedTable = {
      ...this.named(changesTable),
      ...common,
      collections: changed.map(({ info }) => info.collection),
      flushEveryMs: Math.min(...changed.map(({ policy }) => policy.flushEveryMs)),
      flushBytes: Math.min(...changed.map(({ policy }) => policy.flushBytes)),
    }
    return [changes, ...tables]
  }

  private named(table: string): TierTable {
    return { table, name: tableName(this.database, table), shards: this.shards }
  }

  /** Ask every shard how far it is.
   *  @returns by shard, in the order of the tables */
  reports(tables: readonly TierTable[]): Promise<TableReport[][]> {
    const names = tables.map(({ table }) => table)
    return this.shards.each((shard) => this.shards.ask<TableReport[]>(shard, 'status', { tables: names }))
  }

  /** Make a table, unless it is there. */
  load({ name, info }: PlannedTable): Promise<LoadedTable> {
    const { tables: defaults } = this.options
    return ensureTable(this.options, { name, info, ...(defaults && { defaults }) })
  }

  /** Write what is due and commit what may be.
   *  @returns what was committed, by table
   *  @throws the first failure, once all else is done */
  async round({ force = false }: RoundOptions = {}): Promise<Map<string, CommitReport>> {
    const tables = await this.tables()
    await this.prepare(tables)
    const failures: unknown[] = []
    const attempt = async (table: string, work: () => Promise<void>) => {
      try {
        await work()
      } catch (error) {
        failures.push(error)
        this.tell({ kind: 'failed', table, message: error instanceof Error ? error.message : String(error) })
      }
    }
    const committed = new Map<string, CommitReport>()
    const reports = await this.reports(tables)
    for (const [at, table] of tables.entries()) {
      // What the others could not write is there when they have written.
      const asked = table.table === deadLettersTable ? await this.reports([table]) : reports
      const said = asked.map((one) => (asked === reports ? one[at] : one[0]) as TableReport)
      await attempt(table.table, () => this.flushDue(table, said, { force }))
      await attempt(table.table, async () => {
        const report = await this.commitDue(table, { force })
        if (report !== undefined) committed.set(table.table, report)
      })
    }
    if (committed.size > 0) await attempt('', () => this.hold(tables))
    await attempt('', () => this.evictDue(tables, { force: force || committed.size > 0 }))
    if (failures.length > 0) throw failures[0]
    return committed
  }

  /** Have shards keep what the tables need: documents of changes, and the log past what is committed. */
  private async prepare(tables: readonly PlannedTable[]): Promise<void> {
    const { count } = this.shards
    if (this.prepared === count) return
    const collections = tables.find(({ table }) => table === changesTable)?.collections ?? []
    await this.shards.each(async (shard) => {
      for (const collection of collections) {
        await this.shards.system(shard, 'capture', { collection, level: 'after', raise: true })
      }
    })
    this.heldFrom.clear()
    await this.hold(tables)
    this.prepared = count
  }

  /** Keep the log of every shard past what its tables hold. */
  private async hold(tables: readonly PlannedTable[]): Promise<void> {
    const logged = tables.filter(({ table }) => table !== deadLettersTable)
    const reports = await this.reports(logged)
    for (const [shard, said] of reports.entries()) {
      const seqs = said.map(({ watermark, newest }) => {
        return watermark?.incarnation === newest.incarnation ? watermark.seq : 0
      })
      const seq = Math.min(...seqs)
      if (seqs.length === 0 || this.heldFrom.get(shard) === seq) continue
      await this.shards.system(shard, 'hold', { name: 'tier', seq })
      this.heldFrom.set(shard, seq)
    }
  }

  /** Let the logs go: nothing is tiered any more. */
  async release(): Promise<void> {
    await this.shards.each((shard) => this.shards.system(shard, 'hold', { name: 'tier', seq: null }))
    this.heldFrom.clear()
  }

  private async flushDue(table: PlannedTable, said: readonly TableReport[], { force }: { force: boolean }) {
    const nowMs = this.options.clock.nowMs()
    const due = said.flatMap((report, shard) => {
      const fileBytes = this.shares.fileBytes(table.table, shard, report.lagBytes)
      return isDue(table, report, { nowMs, force, fileBytes }) ? [shard] : []
    })
    if (due.length === 0) return
    const loaded = await this.load(table)
    await this.flushShards(table, loaded, due, {
      written: (shard, receipt) => this.shares.learn(table, shard, { report: said[shard] as TableReport, receipt }),
    })
  }

  /** Have shards write files. */
  async flushShards(
    table: PlannedTable,
    loaded: LoadedTable,
    shards: readonly number[],
    { more, written }: FlushShardsOptions = {},
  ): Promise<void> {
    const { collections } = table
    await inParallel(shards, this.options.flushesMax ?? TIER_FLUSHES_MAX, async (shard) => {
      const plan = planFlush(loaded, {
        table: table.table,
        ...(collections && { collections }),
        ...more?.(shard),
      })
      const { receipt, wasPending } = await this.shards.job<Flushed>(shard, jobNames.flush, plan)
      if (wasPending) return
      written?.(shard, receipt)
      const { rows, bytes, files } = receipt
      const message = `shard ${shard} wrote ${rows} rows in ${files.length} files`
      this.tell({ kind: 'flushed', table: table.table, message, rows, bytes, files: files.length })
    })
  }

  private async commitDue(table: PlannedTable, { force }: { force: boolean }): Promise<CommitReport | undefined> {
    const { clock, commitEveryMs = TIER_COMMIT_EVERY_MS } = this.options
    const nowMs = clock.nowMs()
    const reports = (await this.reports([table])).map(([report]) => report as TableReport)
    const isWaiting = reports.some(({ pending, settling }) => pending !== undefined || settling !== undefined)
    if (!isWaiting) return undefined
    if (!force && nowMs - (this.committedAtMs.get(table.table) ?? Number.NEGATIVE_INFINITY) < commitEveryMs) {
      return undefined
    }
    return this.commit(table)
  }

  /** Commit a table's receipts; shards that have been restored are written anew, and committed too. */
  async commit(table: PlannedTable): Promise<CommitReport> {
    let report = await commitTable(this.options, table)
    if (report.restored.size > 0) {
      this.committed(table, report)
      await this.refuseLoss(table, report)
      await this.resync(table, report.restored)
      report = await commitTable(this.options, table)
    }
    this.committed(table, report)
    return report
  }

  private committed({ table }: PlannedTable, { snapshot, receipts }: CommitReport): void {
    if (snapshot === undefined) return
    this.committedAtMs.set(table, this.options.clock.nowMs())
    const sum = (of: (receipt: (typeof receipts)[number]) => number) => receipts.reduce((all, one) => all + of(one), 0)
    const [rows, bytes, files] = [sum((one) => one.rows), sum((one) => one.bytes), sum((one) => one.files.length)]
    const message = `snapshot ${snapshot['snapshot-id']}: ${rows} rows of ${receipts.length} shards`
    this.tell({ kind: 'committed', table, message, rows, bytes, files })
  }

  /** A table without any snapshot is not where payloads have gone: it was emptied, or is another lake's. Written anew,
   *  the rows would be without them for good.
   *  @throws storage */
  private async refuseLoss({ table, info }: PlannedTable, { loaded, restored }: CommitReport): Promise<void> {
    if (info === undefined || loaded.metadata['current-snapshot-id'] !== undefined) return
    for (const shard of restored.keys()) {
      const cold = await this.shards.ask<unknown[]>(shard, 'cold', { collection: table, limit: 1 })
      if (cold.length === 0) continue
      const message = `payloads of ${table} of shard ${shard} are in files of the lake, and its table has none`
      throw new Failure('storage', `${message}: bring the lake's files back as they were, or delete those rows`)
    }
  }

  private async resync(table: PlannedTable, restored: ReadonlyMap<number, Reached | null>): Promise<void> {
    const message = `shards ${[...restored.keys()].join(', ')} have been restored: they are written anew`
    this.tell({ kind: 'failed', table: table.table, message })
    await this.flushShards(table, await this.load(table), [...restored.keys()], {
      more: (shard) => ({ whole: true, resync: true, base: baseOf(restored.get(shard)) }),
    })
  }

  /** Write every row of a mirror anew. */
  async backfill(table: PlannedTable): Promise<void> {
    // What waits is committed first: a shard has one receipt at a time.
    await this.commit(table)
    const shards = Array.from({ length: this.shards.count }, (_, shard) => shard)
    await this.flushShards(table, await this.load(table), shards, { more: () => ({ whole: true }) })
    await this.commit(table)
  }

  private async evictDue(tables: readonly PlannedTable[], { force }: { force: boolean }): Promise<void> {
    const { clock, evictEveryMs = TIER_EVICT_EVERY_MS } = this.options
    const nowMs = clock.nowMs()
    if (!force && nowMs - this.evictedAtMs < evictEveryMs) return
    this.evictedAtMs = nowMs
    for (const { table, policy } of tables) {
      if (policy === undefined) continue
      const { hotForMs, maxHotRows, maxHotBytes } = policy
      const isLeaving = hotForMs !== undefined || maxHotRows !== undefined || maxHotBytes !== undefined
      // Where nothing leaves, rows are only counted, when there are others.
      if (!isLeaving && !force) continue
      const plan: EvictPlan = {
        collection: table,
        ...(hotForMs !== undefined && { hotForMs }),
        ...(maxHotRows !== undefined && { maxHotRows }),
        ...(maxHotBytes !== undefined && { maxHotBytes }),
      }
      const gone = await this.shards.each((shard) => this.shards.job<Evicted>(shard, jobNames.evict, plan), 1)
      const rows = gone.reduce((all, one) => all + one.rows, 0)
      const bytes = gone.reduce((all, one) => all + one.bytes, 0)
      if (rows > 0) this.tell({ kind: 'evicted', table, message: `${rows} payloads left`, rows, bytes })
    }
  }

  /** Bring all payloads of a collection back. */
  async thaw(collection: string): Promise<void> {
    await this.shards.each((shard) => this.shards.job(shard, jobNames.thaw, { collection }), 1)
  }

  /** Find a table that the policies ask for.
   *  @throws not_found */
  async table(name: string): Promise<PlannedTable> {
    const found = (await this.tables()).find(({ table }) => table === name)
    if (found !== undefined) return found
    throw new Failure('not_found', `the lake of ${this.database} has no table ${name}: no policy asks for it`)
  }
}

function baseOf(reached: Reached | null | undefined): NonNullable<FlushPlan['base']> | null {
  if (reached === null || reached === undefined) return null
  const { incarnation, epoch, seq } = reached
  return { incarnation, epoch, seq }
}
