/** The fabric in Workers: one Durable Object a shard, found by name. Workers only.
 *
 *  A stub belongs to the request that made it, so each call takes its own. A Fabric remembers open databases in
 *  promises, which belong to a request too: make one a request, or one in a Durable Object for as long as it lives. */
import { fromWire } from '../../errors.ts'
import { CATALOG_DATABASE, Fabric, type Placement } from '../../shard/fabric.ts'
import type { ShardClient } from '../../shard/router.ts'
import type { CustomRoutes, ShardOptions } from '../../shard/strategy.ts'
import { workersClock } from './clock.ts'
import { answered, lost, type ShardRpc, submitOver } from './wire.ts'

/** What is used of a binding of Durable Objects. */
export interface ObjectNamespace {
  idFromName(name: string): ObjectId
  newUniqueId(): ObjectId
  /** @returns a stub with the methods of the class */
  get(id: ObjectId): unknown
}

/** The id of a Durable Object; the platform knows what is in it. */
export type ObjectId = { toString(): string }

/** Where the objects are: bindings of the Worker. */
export interface ShardBindings {
  /** The class of shards: made by `shardObject` with the engines. */
  readonly SHARDS: ObjectNamespace
  /** The class of the catalog: made by `shardObject` with `catalogProgram`. */
  readonly CATALOG: ObjectNamespace
}

/** How a fabric is opened in Workers. */
export interface WorkersFabricOptions {
  /** How databases are made that are first met in use; one shard when left out. */
  readonly defaults?: ShardOptions
  /** The functions of `custom` strategies, by name. */
  readonly routes?: CustomRoutes
}

function clientOf(take: () => ShardRpc): ShardClient {
  return {
    submit: (calls) => submitOver(take(), calls),
    async awaitChange(afterSeq, waitMs) {
      const failure = await take()
        .awaitChange(afterSeq, waitMs)
        .catch((error: unknown) => {
          throw lost(error)
        })
      if (failure !== null) throw fromWire(failure)
    },
    job: (name, args) => answered(take().job(name, args)),
  }
}

/** Place shards in Durable Objects named `database/index`. */
export function createPlacement({ SHARDS, CATALOG }: ShardBindings): Placement {
  return {
    client(database, index) {
      const namespace = database === CATALOG_DATABASE ? CATALOG : SHARDS
      const id = namespace.idFromName(`${database}/${index}`)
      return clientOf(() => namespace.get(id) as ShardRpc)
    },
  }
}

/** Open the fabric of a Worker's bindings. */
export function createWorkersFabric(bindings: ShardBindings, options: WorkersFabricOptions = {}): Fabric {
  const { defaults = { partitioner: 'crc16' }, routes = {} } = options
  return new Fabric({ placement: createPlacement(bindings), clock: workersClock, defaults, routes })
}
