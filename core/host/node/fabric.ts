/** The fabric in a plain Node process, shards as files under a folder. Node only. */
import { Failure } from '../../errors.ts'
import { catalogProgram } from '../../shard/catalog.ts'
import { Fabric } from '../../shard/fabric.ts'
import type { ShardWork } from '../../shard/job.ts'
import type { Program } from '../../shard/program.ts'
import type { ShardClient } from '../../shard/router.ts'
import type { ShardLimits } from '../../shard/shard.ts'
import type { CustomRoutes, ShardOptions } from '../../shard/strategy.ts'
import { nodeClock } from './clock.ts'
import { lockFolder } from './lock.ts'
import { type Durability, FileStore, makeFolder, type ShardStore, type StoreStats } from './store.ts'
import { ThreadStore } from './threads.ts'

/** How a fabric is opened in Node. What is done beside shards (`jobs`, `fetchCold`) is for those of this thread; a
 *  `threadEntry` passes its own to `serveThread`. */
export interface NodeFabricOptions extends ShardWork {
  /** The data folder; made when it is missing. One process at a time may have it open. */
  data: string
  /** The engines; each shard runs all of them. */
  programs: readonly Program[]
  /** `full` (the default) fsyncs every group; `normal` leaves that to the operating system. */
  durability?: Durability
  /** How databases are made that are first met in use; one shard when left out. */
  defaults?: ShardOptions
  /** The functions of `custom` strategies, by name. */
  routes?: CustomRoutes
  /** Worker threads for the shards, 0 (the default) for this thread; `threadEntry` is then needed. */
  threads?: number
  /** The built module that calls `serveThread` with the same programs. */
  threadEntry?: URL
  /** Plain data for `threadEntry`, which reads it with `threadExtra`. */
  threadExtra?: unknown
  /** Shards open at once (in each thread). */
  openMax?: number
  limits?: Partial<ShardLimits>
  /** Told of failures that are bugs of ours. */
  onBug?(error: unknown): void
}

/** A fabric of this process, and its end. */
export interface NodeFabric extends Fabric {
  /** Tell what was counted, thread by thread. */
  stats(): Promise<StoreStats[]>
  /** Write everything to its tables, close the files and give up the folder. */
  close(): Promise<void>
}

/** Tell the data folder of whoever names none: DOTDO_DATA, or `.dotdo`. */
export function defaultFolder(): string {
  return process.env.DOTDO_DATA || '.dotdo'
}

/** Read a variable of the environment; an empty one counts as absent. */
export function readVariable(name: string): string | undefined {
  return process.env[name] || undefined
}

/** Open the fabric of a data folder.
 *  @throws conflict when another process has the folder open; invalid for options that cannot be honoured */
export async function openFabric(options: NodeFabricOptions): Promise<NodeFabric> {
  const { data, durability = 'full', threads = 0, threadEntry, openMax, limits, onBug } = options
  if (threads > 0 && threadEntry === undefined) {
    throw new Failure('invalid', 'threads need threadEntry, the module that calls serveThread')
  }
  const fetchCold = options.fetchCold?.bind(options)
  const work: ShardWork = { ...(options.jobs && { jobs: options.jobs }), ...(fetchCold && { fetchCold }) }
  if (threads > 0 && Object.keys(work).length > 0) {
    throw new Failure('invalid', 'with threads, jobs and fetchCold are given to serveThread by threadEntry')
  }
  makeFolder(data)
  const unlock = lockFolder(data)
  const programs = [catalogProgram, ...options.programs]
  const common = { folder: data, durability, ...(openMax && { openMax }), ...(limits && { limits }) }
  const told = onBug && { onBug }
  const store: ShardStore =
    threadEntry !== undefined && threads > 0
      ? new ThreadStore(threads, { entry: threadEntry, data: { ...common, extra: options.threadExtra }, ...told })
      : new FileStore({ ...common, ...work, programs, clock: nodeClock, ...told })
  const here = store instanceof FileStore ? store : undefined
  const client = (database: string, index: number): ShardClient => ({
    ...(here && { runNow: (calls) => here.shard(database, index).runNow(calls) }),
    submit: (calls) => store.submit(database, index, calls),
    awaitChange: (afterSeq, waitMs) => store.awaitChange(database, index, afterSeq, waitMs),
    job: (name, args) => store.job(database, index, name, args),
  })
  const { defaults = { partitioner: 'crc16' }, routes = {} } = options
  const fabric = new Fabric({ placement: { client }, clock: nodeClock, defaults, routes })
  const close = async () => {
    await store.close()
    unlock()
  }
  return Object.assign(fabric, { close, stats: () => store.stats() })
}
