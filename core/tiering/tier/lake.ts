/** The lake of a fabric: the service that tiers every database that has policies, and what people ask of it.
 *
 *  1. Policies live in the fabric's catalog: they hold over restarts, and every service sees the same ones.
 *  2. Of a database, one thing is done after the other. Databases are looked at one after the other too, each in turn.
 *  3. A failure is told, shown in the status, and tried again after a while; nothing is lost by it: what a shard has
 *     written waits in the shard, and what is committed is found in the table. */
import { Failure, toFailure } from '../../errors.ts'
import {
  DATABASES_PER_PAGE_MAX,
  TIER_FLUSH_ROUNDS_MAX,
  TIER_POLL_MS,
  TIER_RETRY_FIRST_MS,
  TIER_RETRY_MS_MAX,
} from '../../limits.ts'
import { commitTable } from './committer.ts'
import { DatabaseLake, type PlannedTable } from './lake-database.ts'
import { type KeptPolicies, keptPolicies, type LakeOptions } from './lake-options.ts'
import { parsePolicy } from './policy.ts'
import type { LakeControl, PolicyOptions, TierStatus } from './port.ts'
import type { TableReport } from './program.ts'
import { changesTable, deadLettersTable } from './schemas.ts'
import { statusOf } from './status.ts'
import { TableUpkeep } from './table-upkeep.ts'

/** A database as the service has it. */
interface Tiered {
  readonly lake: DatabaseLake
  readonly upkeep: Map<string, TableUpkeep>
  kept: KeptPolicies
  /** What is being done; the next thing waits for it. */
  busy: Promise<unknown>
  failure: Failure | undefined
  failures: number
  /** When it is looked at next. */
  nextMs: number
}

/** The service. */
export class Lake implements LakeControl {
  private readonly options: LakeOptions
  private readonly open = new Map<string, Promise<Tiered>>()
  private running: Promise<void> | undefined
  private wake: () => void = () => {}
  private stopped = true

  constructor(options: LakeOptions) {
    this.options = options
  }

  /** Begin to tier by itself. */
  start(): void {
    if (!this.stopped) return
    this.stopped = false
    this.running = this.loop()
  }

  /** Stop; what is under way ends first. */
  async stop(): Promise<void> {
    this.stopped = true
    this.wake()
    await this.running
    this.running = undefined
  }

  private async loop(): Promise<void> {
    const { clock, pollMs = TIER_POLL_MS } = this.options
    while (!this.stopped) {
      await this.runDue()
      if (this.stopped) return
      await new Promise<void>((resolve) => {
        const cancel = clock.after(pollMs, resolve)
        this.wake = () => {
          cancel()
          resolve()
        }
      })
    }
  }

  /** Look at every database that is due, once: what `start` does over and over, for hosts that wake the service by
   *  themselves. Failures are told to the listener, and shown in the status.
   *  @returns when to come again, in ms since 1970; undefined when no database has policies */
  async runDue(): Promise<number | undefined> {
    const { clock, pollMs = TIER_POLL_MS, listener } = this.options
    let names: string[]
    try {
      names = await this.databases()
    } catch (error) {
      listener?.({ kind: 'failed', database: '', table: '', message: toFailure(error).message })
      return clock.nowMs() + pollMs
    }
    let nextMs: number | undefined
    for (const name of names) {
      try {
        const tiered = await this.tiered(name)
        if (clock.nowMs() >= tiered.nextMs && tiered.kept.paused !== true) {
          await this.exclusive(tiered, () => this.roundOf(name, tiered, {}))
        }
        nextMs = Math.min(nextMs ?? tiered.nextMs, tiered.nextMs)
      } catch (error) {
        listener?.({ kind: 'failed', database: name, table: '', message: toFailure(error).message })
      }
    }
    return nextMs
  }

  /** One look at a database; its failure is kept, for the status. */
  private async roundOf(name: string, tiered: Tiered, { force = false }: { force?: boolean }): Promise<void> {
    const { clock, pollMs = TIER_POLL_MS } = this.options
    try {
      await this.refresh(name, tiered)
      await tiered.lake.round({ force })
      if (!force) await this.upkeepOf(tiered)
      tiered.failure = undefined
      tiered.failures = 0
      tiered.nextMs = clock.nowMs() + pollMs
    } catch (error) {
      tiered.failure = toFailure(error)
      const delayMs = Math.min(TIER_RETRY_MS_MAX, TIER_RETRY_FIRST_MS * 2 ** Math.min(tiered.failures++, 20))
      tiered.nextMs = clock.nowMs() + delayMs
      if (force) throw error
    }
  }

  private async upkeepOf(tiered: Tiered): Promise<void> {
    for (const table of await tiered.lake.tables()) await this.upkeep(tiered, table).run(table)
  }

  private upkeep(tiered: Tiered, { table }: PlannedTable): TableUpkeep {
    const known = tiered.upkeep.get(table) ?? new TableUpkeep(this.options)
    tiered.upkeep.set(table, known)
    return known
  }

  /** See what others have set meanwhile. */
  private async refresh(name: string, tiered: Tiered): Promise<void> {
    const kept = keptPolicies(await this.options.fabric.policies(name))
    if (JSON.stringify(kept) === JSON.stringify(tiered.kept)) return
    tiered.kept = kept
    tiered.lake.setPolicies(kept.collections)
  }

  private tiered(name: string): Promise<Tiered> {
    const known = this.open.get(name)
    if (known !== undefined) return known
    const opening = this.openDatabase(name)
    this.open.set(name, opening)
    opening.catch(() => this.open.delete(name))
    return opening
  }

  private async openDatabase(name: string): Promise<Tiered> {
    const { fabric } = this.options
    // Not by opening it: that would make a database of every name.
    const kept = keptPolicies(await fabric.policies(name))
    const lake = new DatabaseLake(this.options, await fabric.database(name), kept.collections)
    return { lake, upkeep: new Map(), kept, busy: Promise.resolve(), failure: undefined, failures: 0, nextMs: 0 }
  }

  /** Do something of a database when what is under way has ended. */
  private async exclusive<T>(tiered: Tiered, work: () => Promise<T>): Promise<T> {
    const done = tiered.busy.then(work, work)
    tiered.busy = done.catch(() => {})
    return done
  }

  private async with<T>(name: string, work: (tiered: Tiered) => Promise<T>): Promise<T> {
    const tiered = await this.tiered(name)
    return this.exclusive(tiered, async () => {
      await this.refresh(name, tiered)
      return work(tiered)
    })
  }

  /** Change what is kept for a database, unless somebody else does so at the same time. */
  private async keep(name: string, tiered: Tiered, change: (kept: KeptPolicies) => KeptPolicies): Promise<void> {
    const { fabric } = this.options
    const before = await fabric.policies(name)
    const after = change(keptPolicies(before))
    const isNothing = Object.keys(after.collections).length === 0 && after.paused !== true
    await fabric.setPolicies(name, isNothing ? null : after, before)
    await this.refresh(name, tiered)
    tiered.nextMs = 0
    this.wake()
  }

  async setPolicy(database: string, collection: string, options: PolicyOptions): Promise<void> {
    await this.with(database, async (tiered) => {
      const infos = await tiered.lake.describe()
      const info = infos.find((one) => one.collection === collection)
      if (info === undefined) throw unknownCollection(database, collection, infos)
      parsePolicy(options, { ...info, stores: Object.keys(this.options.stores ?? {}) })
      const before = tiered.kept.collections[collection]
      const plain = JSON.parse(JSON.stringify(options)) as PolicyOptions
      // Payloads come back from the mirror: without one they cannot stay away.
      if (before !== undefined && plain.mirror === false) await tiered.lake.thaw(collection)
      await this.keep(database, tiered, (kept) => ({
        ...kept,
        collections: { ...kept.collections, [collection]: plain },
      }))
    })
  }

  async removePolicy(database: string, collection: string): Promise<void> {
    await this.with(database, async (tiered) => {
      if (tiered.kept.collections[collection] === undefined) {
        throw new Failure('not_found', `collection ${collection} of ${database} has no policy`)
      }
      await tiered.lake.thaw(collection)
      await this.keep(database, tiered, ({ collections, ...kept }) => {
        const { [collection]: _, ...rest } = collections
        return { ...kept, collections: rest }
      })
      if (Object.keys(tiered.kept.collections).length === 0) await tiered.lake.release()
    })
  }

  async status(database: string): Promise<TierStatus> {
    const tiered = await this.tiered(database)
    // Not one after the other with what is being done: people ask while a long flush runs.
    await this.refresh(database, tiered)
    const { kept, failure } = tiered
    const tables = await statusOf(this.options, tiered.lake)
    const running = failure === undefined ? 'running' : 'failing'
    const state = kept.paused === true ? 'paused' : running
    return { database, state, failure: failure?.message, policies: kept.collections, tables }
  }

  async databases(): Promise<string[]> {
    const { fabric, database } = this.options
    if (database !== undefined) return (await fabric.policies(database)) === null ? [] : [database]
    const names: string[] = []
    for (let after = ''; ; ) {
      const page = await fabric.withPolicies(after, DATABASES_PER_PAGE_MAX)
      names.push(...page.map(({ name }) => name))
      if (page.length < DATABASES_PER_PAGE_MAX) return names
      after = names.at(-1) as string
    }
  }

  async pause(database: string): Promise<void> {
    await this.with(database, (tiered) => this.keep(database, tiered, (kept) => ({ ...kept, paused: true })))
  }

  async resume(database: string): Promise<void> {
    await this.with(database, (tiered) => this.keep(database, tiered, ({ paused: _, ...kept }) => kept))
  }

  async backfill(database: string, collection: string): Promise<void> {
    await this.with(database, async ({ lake }) => {
      const table = await lake.table(collection)
      if (table.info === undefined) {
        throw new Failure('unsupported', `${collection} has every change already; a mirror can be written anew`)
      }
      await lake.backfill(table)
    })
  }

  async flush(database: string): Promise<TierStatus> {
    await this.with(database, async (tiered) => {
      const { lake } = tiered
      const tables = await lake.tables()
      const before = await lake.reports(tables)
      // What waits is not all there is, and a receipt holds a bounded part of the log: until all of now is committed.
      for (let round = 0; round < TIER_FLUSH_ROUNDS_MAX; round++) {
        await this.roundOf(database, tiered, { force: true })
        if (haveReached(await lake.reports(tables), before)) return
      }
    })
    return this.status(database)
  }

  async compact(database: string, table: string): Promise<void> {
    await this.with(database, async (tiered) => {
      const planned = await tiered.lake.table(table)
      await this.upkeep(tiered, planned).compact(planned)
    })
  }

  async maintain(database: string, table: string): Promise<void> {
    await this.with(database, async (tiered) => {
      const planned = await tiered.lake.table(table)
      await commitTable(this.options, planned)
      await this.upkeep(tiered, planned).clean(planned)
    })
  }
}

/** Whether every table of every shard is as far as the shard was. */
function haveReached(now: readonly (readonly TableReport[])[], before: readonly (readonly TableReport[])[]): boolean {
  return before.every((tables, shard) =>
    tables.every(({ newest }, at) => {
      const watermark = now[shard]?.[at]?.watermark
      return newest.seq === 0 || (watermark?.incarnation === newest.incarnation && watermark.seq >= newest.seq)
    }),
  )
}

function unknownCollection(
  database: string,
  collection: string,
  infos: readonly { readonly collection: string }[],
): Failure {
  const names = infos.map((one) => one.collection).filter((one) => one !== changesTable && one !== deadLettersTable)
  const there = names.length === 0 ? 'there are none' : `there are ${names.join(', ')}`
  return new Failure('not_found', `${database} has no collection ${collection} that can be tiered; ${there}`)
}
