/** @dotdo/core/shard: the shard and its port, where keys live, and the way there. */
export { CATALOG, type CatalogEntry, catalogProgram } from './catalog.ts'
export type { Clock } from './clock.ts'
export { type ColdRow, ColdRows, type FetchCold } from './cold.ts'
export { CATALOG_DATABASE, checkName, type Database, Fabric, type FabricOptions, type Placement } from './fabric.ts'
export * from './hash.ts'
export * from './id.ts'
export { ANY_EPOCH, type Job, type JobShard, joinWork, runJob, type ShardWork } from './job.ts'
export type { Capture, Payload } from './log.ts'
export {
  type ChangedKey,
  type ChangedKeys,
  type ChangedRange,
  changeFlags,
  type LogColumns,
  type LogLimits,
  type LogRange,
  logOps,
} from './log-columns.ts'
export * from './map.ts'
export type { Call, Op, Position, Program, Tx, Unsettled, View } from './program.ts'
export type { Relation, RelationColumn, RelationType, RelationValue } from './relation.ts'
export { type Pending, Plan, type PlannedCall, Router, type ShardClient, unwrap } from './router.ts'
export * from './scatter.ts'
export { newCounters, Shard, type ShardCounters, type ShardLimits, type ShardParts, shardLimits } from './shard.ts'
export type { Sql, SqlRow, SqlValue } from './sql.ts'
export * from './strategy.ts'
export {
  type ChangeRecord,
  type ChangesReply,
  type ChangesRequest,
  type CopyReply,
  type ShardStatus,
  SYSTEM,
  type SystemCalls,
  systemProgram,
} from './system.ts'
export { type ColumnKind, type InternalTable, internalTable, type Row, type Table, table } from './table.ts'
