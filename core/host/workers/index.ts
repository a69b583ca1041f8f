/** @dotdo/core/host/workers: the fabric in Cloudflare Workers, shards as Durable Objects. Workers only. */

export { sha256 } from '../sha256.ts'
export { workersClock } from './clock.ts'
export {
  createPlacement,
  createWorkersFabric,
  type ObjectId,
  type ObjectNamespace,
  type ShardBindings,
  type WorkersFabricOptions,
} from './fabric.ts'
export {
  changedCollections,
  type LakeBucket,
  openWorkersLake,
  type WorkersLake,
  type WorkersLakeOptions,
} from './lake.ts'
export { catalogOver, type LakeRpc, lakeControlOver } from './lake-client.ts'
export { workersLakeCodecs } from './lake-codecs.ts'
export { type LakeObjectClass, type LakeObjectOptions, type LakeService, lakeObject } from './lake-object.ts'
export { type R2Binding, r2Objects } from './r2-objects.ts'
export { type ShardObjectClass, type ShardObjectOptions, shardObject, workersLimits } from './shard-object.ts'
export { createWorkersSql } from './sql.ts'
export {
  createWorkersSqlEngine,
  type WorkersSqlEngine,
  type WorkersSqlOptions,
  type WorkersSqlRequest,
} from './sql-engine.ts'
export { type R2SqlOptions, r2Sql } from './sql-engine-r2.ts'
export type { ShardRpc, WireAnswer, WireReplies, WireValue } from './wire.ts'
export { workersZstd } from './zstd.ts'
