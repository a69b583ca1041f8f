/** The service of a database's lake as a Durable Object: the one committer of its tables. Workers only.
 *
 *  1. One object a database, found by its name. It tiers by alarm, as long as the database has policies; what people
 *     ask of the lake, and what other engines commit, comes by RPC, so that all of it meets in one place.
 *  2. It keeps its database's name, its alarm, and when it has cleaned; all else is in the tables, the shards and the
 *     fabric's catalog. Put out of memory, or ended in the middle of a commit, it finds out there how things stand.
 *  3. The alarm is set before a policy is, and before a round begins: an object that ends meanwhile is woken again.
 *     Alarms that fail are given up by the platform after a while, so this one does not fail: its service tells. */
import { DurableObject } from 'cloudflare:workers'
import { Failure, type WireFailure } from '../../errors.ts'
import { WORKERS_TIER_CLEAN_EVERY_MS, WORKERS_TIER_POLL_MS } from '../../limits.ts'
import type { Fabric } from '../../shard/fabric.ts'
import type { Catalog } from '../../tiering/iceberg/catalog.ts'
import { Lake } from '../../tiering/tier/lake.ts'
import type { LakeOptions } from '../../tiering/tier/lake-options.ts'
import type { TierEvent } from '../../tiering/tier/port.ts'
import { Alarm } from './alarm.ts'
import { workersClock } from './clock.ts'
import type { WorkersLake } from './lake.ts'
import { type CatalogCall, type ControlCall, catalogCalls, controlCalls, type LakeRpc } from './lake-client.ts'
import { type WireValue, wireFailure, wireValue } from './wire.ts'

/** What an object works with. */
export interface LakeService {
  readonly fabric: Fabric
  readonly lake: WorkersLake
  /** How often it looks, commits, compacts and cleans; its own rhythm when left out. */
  readonly rhythm?: Pick<
    LakeOptions,
    | 'pollMs'
    | 'commitEveryMs'
    | 'evictEveryMs'
    | 'compactEveryMs'
    | 'smallFilesMax'
    | 'cleanEveryMs'
    | 'commitsPerExpiry'
  >
}

/** What a class of lakes is made of. */
export interface LakeObjectOptions {
  /** Opens what each object works with, for as long as it lives.
   *  @param env the bindings of the Worker
   *  @throws unsupported where there is no lake */
  open(env: unknown): LakeService
  /** Told of everything that is done, and of failures. */
  onTier?(event: TierEvent): void
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

/** What the platform gives an object. */
type ObjectState = ConstructorParameters<typeof DurableObject>[0]

/** A class for `wrangler.jsonc`, with `new_sqlite_classes`. */
export type LakeObjectClass = new (ctx: ObjectState, env: unknown) => DurableObject<unknown> & LakeRpc

/** A database's lake, open. */
interface Opened extends LakeService {
  readonly database: string
  readonly tier: Lake
  readonly pollMs: number
}

const nameKey = 'database'
const cleanedKey = 'cleanedMs'

/** What an object does, whatever class it is of. */
class LakeKeeper implements LakeRpc {
  private readonly storage: ObjectState['storage']
  private readonly env: unknown
  private readonly options: LakeObjectOptions
  private readonly wakeUp: Alarm
  private opened: Opened | undefined
  /** Grows with every call that may have set policies. */
  private calls = 0

  constructor(storage: ObjectState['storage'], env: unknown, options: LakeObjectOptions) {
    this.storage = storage
    this.env = env
    this.options = options
    this.wakeUp = new Alarm(storage)
  }

  load(): Promise<void> {
    return this.wakeUp.load()
  }

  private service(database: string): Opened {
    if (this.opened?.database === database) return this.opened
    if (this.opened !== undefined) throw new Failure('invalid', `this is the lake of ${this.opened.database}`)
    const { open, onTier } = this.options
    const service = open(this.env)
    const { fabric, lake, rhythm } = service
    const pollMs = rhythm?.pollMs ?? WORKERS_TIER_POLL_MS
    const told = onTier === undefined ? {} : { listener: onTier }
    // A round is due whenever the alarm goes off.
    const tier = new Lake({ ...lake.service, ...rhythm, ...told, pollMs: 0, fabric, database })
    this.opened = { ...service, database, tier, pollMs }
    return this.opened
  }

  /** See to it that the alarm goes off in any case. */
  private arm(database: string): void {
    this.calls++
    this.storage.kv.put(nameKey, database)
    this.wakeUp.set(workersClock.nowMs())
  }

  async control(database: string, name: ControlCall, args: readonly unknown[]): Promise<WireValue | WireFailure> {
    try {
      if (!controlCalls.includes(name)) throw new Failure('unsupported', `no call ${name} to a lake`)
      const { tier } = this.service(database)
      const work = tier[name] as (database: string, ...args: readonly unknown[]) => Promise<unknown>
      if (name === 'status') return wireValue(await work.call(tier, database))
      this.arm(database)
      try {
        return wireValue(await work.call(tier, database, ...args))
      } finally {
        // An alarm meanwhile may have found no policies yet.
        this.arm(database)
      }
    } catch (error) {
      return wireFailure(error, this.options.onBug)
    }
  }

  async catalog(database: string, name: CatalogCall, args: readonly unknown[]): Promise<WireValue | WireFailure> {
    try {
      if (!catalogCalls.includes(name)) throw new Failure('unsupported', `no call ${name} to a catalog`)
      const { catalog } = this.service(database).lake
      const work = catalog[name] as (this: Catalog, ...args: readonly unknown[]) => Promise<unknown>
      return wireValue(await work.call(catalog, ...args))
    } catch (error) {
      return wireFailure(error, this.options.onBug)
    }
  }

  /** Expire and remove what is due. The service counts in memory, which may not last till then. */
  private async cleanDue(database: string): Promise<void> {
    const { tier, rhythm } = this.service(database)
    const { kv } = this.storage
    const nowMs = workersClock.nowMs()
    const cleanedMs = kv.get<number>(cleanedKey)
    if (cleanedMs === undefined) kv.put(cleanedKey, nowMs)
    if (nowMs - (cleanedMs ?? nowMs) < (rhythm?.cleanEveryMs ?? WORKERS_TIER_CLEAN_EVERY_MS)) return
    kv.put(cleanedKey, nowMs)
    for (const { table, snapshotId } of (await tier.status(database)).tables) {
      if (snapshotId === undefined) continue
      await tier.maintain(database, table).catch((error: Error) => {
        this.options.onTier?.({ kind: 'failed', database, table, message: error.message })
      })
    }
  }

  /** The alarm has gone off. */
  async alarm(): Promise<void> {
    this.wakeUp.cleared()
    const database = this.storage.kv.get<string>(nameKey)
    if (database === undefined) return
    try {
      const { tier, fabric, pollMs } = this.service(database)
      this.wakeUp.set(workersClock.nowMs() + pollMs)
      const { calls } = this
      await tier.runDue()
      await this.cleanDue(database)
      if ((await fabric.policies(database)) === null && calls === this.calls) this.wakeUp.remove()
    } catch (error) {
      // The bucket may have been unbound; the next call for the lake sets the alarm again.
      if (error instanceof Failure && error.code === 'unsupported') return
      this.wakeUp.set(workersClock.nowMs() + WORKERS_TIER_POLL_MS)
      if (!(error instanceof Failure)) this.options.onBug?.(error)
    }
  }
}

/** Make the class of Durable Objects that are the lakes of databases. */
export function lakeObject(options: LakeObjectOptions): LakeObjectClass {
  return class extends DurableObject<unknown> implements LakeRpc {
    private readonly keeper: LakeKeeper

    constructor(ctx: ObjectState, env: unknown) {
      super(ctx, env)
      this.keeper = new LakeKeeper(ctx.storage, env, options)
      void ctx.blockConcurrencyWhile(() => this.keeper.load())
    }

    control(database: string, name: ControlCall, args: readonly unknown[]): Promise<WireValue | WireFailure> {
      return this.keeper.control(database, name, args)
    }

    catalog(database: string, name: CatalogCall, args: readonly unknown[]): Promise<WireValue | WireFailure> {
      return this.keeper.catalog(database, name, args)
    }

    /** Called by the platform when the alarm goes off. */
    override alarm(): Promise<void> {
      return this.keeper.alarm()
    }
  }
}
