/** What engines do beside their shards, where those have a lake. */
import type { ShardWork } from '../../shard/job.ts'
import type { Zstd } from '../zstd.ts'
import type { ObjectStore } from './port.ts'

/** Makes what engines do, with the store of the lake. Keys of theirs begin with `_`, as no database's name does. */
export type BesideLake = (lake: { readonly store: ObjectStore; readonly zstd: Zstd }) => ShardWork
