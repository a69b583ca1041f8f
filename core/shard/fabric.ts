/** The fabric: databases by name, each with its map and its router. The same on every host. */
import { Failure } from '../errors.ts'
import { OPEN_DATABASES_MAX } from '../limits.ts'
import { CATALOG, type CatalogCalls, type CatalogEntry } from './catalog.ts'
import type { Clock } from './clock.ts'
import { type MapData, type MapDelta, ShardMap, type SlotMove } from './map.ts'
import { planMove, runMove } from './move.ts'
import type { Call } from './program.ts'
import { type Plan, Router, type ShardClient, unwrap } from './router.ts'
import { type CustomRoutes, type ShardOptions, shard } from './strategy.ts'
import { SYSTEM } from './system.ts'

/** Where a host puts shards. */
export interface Placement {
  /** The way to a shard; the shard is opened, and created, when it is first used.
   *  @param database a checked name */
  client(database: string, index: number): ShardClient
}

/** What a fabric is made of. */
export interface FabricOptions {
  placement: Placement
  clock: Clock
  /** How databases are made that are first met in use. */
  defaults: ShardOptions
  /** The functions of `custom` strategies, by name. */
  routes?: CustomRoutes
  /** Rows of one piece of a move's copy. Default COPY_ROWS_MAX. */
  copyRowsMax?: number
}

/** One database. */
export interface Database {
  readonly name: string
  readonly map: ShardMap
  readonly router: Router
  /** Begin to gather calls. */
  plan(): Plan
  /** The way to one shard. */
  client(index: number): ShardClient
}

/** The name of the database whose one shard is the catalog. */
export const CATALOG_DATABASE = 'dotdo.catalog'

/** Check a database name.
 *  @returns it
 *  @throws invalid when it is not 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit, or
 *  is one of the fabric's own (`dotdo.`) */
export function checkName(name: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name) || name.startsWith('dotdo.')) {
    const rule = '1 to 63 of a-z 0-9 . _ - beginning with a letter or digit, not dotdo.'
    throw new Failure('invalid', `bad database name ${JSON.stringify(name.slice(0, 80))}: want ${rule}`)
  }
  return name
}

/** Every slot of a map, as a delta that any older map believes. */
function wholeDelta({ epoch, count, slots }: MapData): MapDelta {
  return { since: 0, epoch, count, slots }
}

/** All databases of one installation. */
export class Fabric {
  readonly clock: Clock
  private readonly placement: Placement
  private readonly defaults: ShardOptions
  private readonly routes: CustomRoutes
  private readonly copyRowsMax: number | undefined
  private readonly open = new Map<string, Promise<Database>>()
  private readonly catalog: ShardClient
  private assigned: Promise<void> | undefined

  constructor({ placement, clock, defaults, routes, copyRowsMax }: FabricOptions) {
    this.placement = placement
    this.clock = clock
    this.defaults = defaults
    this.routes = routes ?? {}
    this.copyRowsMax = copyRowsMax
    this.catalog = placement.client(CATALOG_DATABASE, 0)
  }

  /** Open a database, creating it with the defaults when it is new.
   *  @throws invalid for a bad name */
  database(name: string): Promise<Database> {
    const known = this.open.get(name)
    if (known !== undefined) return known
    const opening = this.load(name)
    this.keep(name, opening)
    opening.catch(() => this.open.delete(name))
    return opening
  }

  /** Sessions hold on to the databases they use; forgetting the oldest here costs at most another look-up. */
  private keep(name: string, database: Promise<Database>): void {
    this.open.set(name, database)
    if (this.open.size <= OPEN_DATABASES_MAX) return
    const [oldest] = this.open.keys()
    this.open.delete(oldest as string)
  }

  private async load(name: string): Promise<Database> {
    checkName(name)
    const args: CatalogCalls['ensure'] = {
      name,
      map: ShardMap.create(shard(this.defaults)).toData(),
      nowMs: this.clock.nowMs(),
    }
    const entry = (await this.ask('ensure', args)) as CatalogEntry
    return this.build(entry)
  }

  private build({ name, map: data }: CatalogEntry): Database {
    const map = ShardMap.fromData(data, this.routes)
    const refresh = async () => {
      const entry = (await this.ask('find', { name })) as CatalogEntry | null
      if (entry !== null) map.apply(wholeDelta(entry.map))
    }
    const client = (index: number) => this.placement.client(name, index)
    const router = new Router({ map, client, refresh, clock: this.clock })
    return { name, map, router, plan: () => router.plan(), client }
  }

  /** Create a database.
   *  @throws exists, or invalid for options that cannot be honoured */
  async create(name: string, options: ShardOptions): Promise<Database> {
    const map = ShardMap.create(shard(options)).toData()
    const entry = (await this.ask('create', { name: checkName(name), map, nowMs: this.clock.nowMs() })) as CatalogEntry
    const database = this.build(entry)
    this.keep(name, Promise.resolve(database))
    return database
  }

  /** List databases by name.
   *  @param after names past this one */
  async list(after: string, limit: number): Promise<CatalogEntry[]> {
    return (await this.ask('list', { after, limit })) as CatalogEntry[]
  }

  /** Look a database up without creating it. */
  async find(name: string): Promise<CatalogEntry | undefined> {
    return ((await this.ask('find', { name })) as CatalogEntry | null) ?? undefined
  }

  /** The ways to all shards of a database, by index.
   *  @throws not_found when there is no such database */
  async shards(name: string): Promise<ShardClient[]> {
    const entry = await this.find(name)
    if (entry === undefined) throw new Failure('not_found', `no database ${name}`)
    return Array.from({ length: entry.map.count }, (_, index) => this.placement.client(name, index))
  }

  /** Read the policies of a database: whatever was set.
   *  @returns null when there are none
   *  @throws not_found when there is no such database */
  policies(name: string): Promise<unknown> {
    return this.ask('policies', { name })
  }

  /** Set the policies of a database; null for none.
   *  @param value plain data that JSON can write
   *  @param expected set them only when they are this, so that two who change parts of them do not undo each other
   *  @throws not_found when there is no such database; conflict when they are not what is expected; limit */
  async setPolicies(name: string, value: unknown, expected?: unknown): Promise<void> {
    await this.ask('setPolicies', { name, value, ...(expected !== undefined && { expected }) })
  }

  /** List databases that have policies, by name.
   *  @param after names past this one */
  async withPolicies(after: string, limit: number): Promise<{ name: string; policies: unknown }[]> {
    return (await this.ask('withPolicies', { after, limit })) as { name: string; policies: unknown }[]
  }

  /** Publish a newer map of a database.
   *  @throws conflict when the kept one is not older */
  async publish(name: string, map: MapData): Promise<void> {
    await this.ask('publish', { name, map })
    const database = await this.open.get(name)
    database?.map.apply(wholeDelta(map))
  }

  /** Move slots of a database to other shards, as `planResize` or `reassign` say. Clients follow by themselves.
   *  @param plan makes the moves, and the map when they are done, from the map as it is
   *  @throws conflict while another move is under way; anything else leaves the move to `resumeMove` */
  async move(name: string, plan: (map: ShardMap) => { moves: readonly SlotMove[]; map: ShardMap }): Promise<void> {
    const entry = await this.find(name)
    if (entry === undefined) throw new Failure('not_found', `no database ${name}`)
    const map = ShardMap.fromData(entry.map, this.routes)
    await this.ask('begin', { name, move: planMove(map, plan(map)) })
    await this.resumeMove(name)
  }

  /** Go on with the move of a database that is under way, wherever it was left.
   *  @returns false when there is none */
  async resumeMove(name: string): Promise<boolean> {
    const move = (await this.find(name))?.move
    if (move === undefined) return false
    await runMove(move, {
      client: (shard) => this.placement.client(name, shard),
      save: async (move) => void (await this.ask('advance', { name, move })),
      publish: ({ map }) => this.publish(name, map),
      ...(this.copyRowsMax && { copyRowsMax: this.copyRowsMax }),
    })
    return true
  }

  private async ask<Name extends keyof CatalogCalls>(name: Name, args: CatalogCalls[Name]): Promise<unknown> {
    this.assigned ??= this.assignCatalog()
    await this.assigned
    const call: Call = { program: CATALOG, name, slot: 0, epoch: 1, args }
    const [reply] = await this.catalog.submit([call])
    return unwrap(reply)
  }

  private async assignCatalog(): Promise<void> {
    const call: Call = { program: SYSTEM, name: 'assign', slot: -1, epoch: 1, args: { epoch: 1, slots: [[0, 0]] } }
    try {
      unwrap((await this.catalog.submit([call]))[0])
    } catch (error) {
      this.assigned = undefined
      throw error
    }
  }
}
