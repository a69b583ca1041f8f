/** Shards as files of this thread: opened on first use, the least recently used closed. Node only. */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { Failure, toFailure, toWire } from '../../errors.ts'
import { HEAP_AT_FULL_MEMORY_BYTES, OPEN_SHARDS_MAX, SHARDS_AT_FULL_MEMORY } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { CATALOG_DATABASE } from '../../shard/fabric.ts'
import { crc16Slot } from '../../shard/hash.ts'
import { type JobShard, runJob, type ShardWork } from '../../shard/job.ts'
import type { Call, Program } from '../../shard/program.ts'
import { newCounters, Shard, type ShardCounters, type ShardLimits } from '../../shard/shard.ts'
import { type NodeSql, openSqlite } from './sqlite.ts'

/** `full`: what was acknowledged survives power loss. `normal`: it survives the process's death. */
export type Durability = 'full' | 'normal'

/** What the shards of one thread have counted since it began, and how many are open. */
export interface StoreStats extends ShardCounters {
  openShards: number
}

/** Where shards are run: in this thread or in others. */
export interface ShardStore {
  /** Run calls on a shard. @returns replies; failures as Failure or WireFailure */
  submit(database: string, index: number, calls: readonly Call[]): Promise<unknown[]>
  /** Tell what was counted, thread by thread. */
  stats(): Promise<StoreStats[]>
  /** Wait for a commit past a seq. */
  awaitChange(database: string, index: number, afterSeq: number, waitMs: number): Promise<void>
  /** Run a job beside a shard. */
  job(database: string, index: number, name: string, args: unknown): Promise<unknown>
  /** Write everything to its tables and close the files. */
  close(): Promise<void>
}

/** What a store of files is made of. */
export interface FileStoreOptions extends ShardWork {
  /** The data folder. */
  folder: string
  durability: Durability
  programs: readonly Program[]
  clock: Clock
  limits?: Partial<ShardLimits>
  /** Shards open at once; more are opened only while those are busy. */
  openMax?: number
  onBug?(error: unknown): void
}

interface Open {
  readonly shard: Shard
  readonly sql: NodeSql
  readonly forJobs: JobShard
  /** Jobs that run beside it. */
  jobs: number
}

/** What part of their limits on memory the heap of this thread allows its shards: above 0 to 1. */
function heapShare(): number {
  return Math.min(1, getHeapStatistics().heap_size_limit / HEAP_AT_FULL_MEMORY_BYTES)
}

/** Find the file of a shard. A level of 256 folders keeps each small with 100,000 databases.
 *  @param database a checked name (checkName), so that it is a safe path */
export function shardPath(folder: string, database: string, index: number): string {
  if (database === CATALOG_DATABASE) return join(folder, 'catalog.sqlite')
  const bucket = (crc16Slot(database) & 255).toString(16).padStart(2, '0')
  return join(folder, 'shards', bucket, database, `${index}.sqlite`)
}

/** Make a folder and its parents, durably. */
export function makeFolder(path: string): void {
  const made = mkdirSync(path, { recursive: true })
  if (made === undefined) return
  for (let folder = path; ; folder = dirname(folder)) {
    for (const synced of [folder, dirname(folder)]) {
      const handle = openSync(synced, 'r')
      fsyncSync(handle)
      closeSync(handle)
    }
    if (folder === made || folder === dirname(folder)) return
  }
}

/** Shards of a data folder, in this thread. */
export class FileStore implements ShardStore {
  private readonly options: FileStoreOptions
  private readonly open = new Map<string, Open>()
  private readonly openMax: number
  private readonly counters = newCounters()
  private closed = false

  constructor(options: FileStoreOptions) {
    this.options = options
    this.openMax = options.openMax ?? OPEN_SHARDS_MAX
  }

  async stats(): Promise<StoreStats[]> {
    return [{ ...this.counters, openShards: this.open.size }]
  }

  /** @throws storage when the file cannot be opened; unavailable after close */
  shard(database: string, index: number): Shard {
    return this.find(database, index).shard
  }

  private find(database: string, index: number): Open {
    const key = `${database}/${index}`
    const known = this.open.get(key)
    if (known !== undefined) {
      if (this.open.size > this.openMax / 2) {
        this.open.delete(key)
        this.open.set(key, known)
      }
      return known
    }
    if (this.closed) throw new Failure('unavailable', 'the store is closed')
    const { folder, durability, programs, clock, limits, onBug } = this.options
    const fetchCold = this.options.fetchCold?.bind(this.options)
    const path = shardPath(folder, database, index)
    makeFolder(dirname(path))
    // The folder is locked, so this process alone reads the file: SQLite then needs no lock and no -shm file.
    const sql = openSqlite(path, { durability, exclusive: true })
    const { counters } = this
    const heap = heapShare()
    const share = () => Math.min(1, SHARDS_AT_FULL_MEMORY / this.open.size) * heap
    const forJobs: JobShard = { database, index, submit: (calls) => shard.submit(calls) }
    const shard: Shard = new Shard({
      sql,
      clock,
      programs,
      counters,
      share,
      ...(limits && { limits }),
      ...(onBug && { onBug }),
      ...(fetchCold && { fetchCold: (cold) => fetchCold(forJobs, cold) }),
    })
    const open: Open = { shard, sql, forJobs, jobs: 0 }
    this.open.set(key, open)
    if (this.open.size > this.openMax) this.evict(open)
    return open
  }

  /** @param opened stays open: it is about to be used */
  private evict(opened: Open): void {
    for (const [key, one] of this.open) {
      if (this.open.size <= this.openMax) return
      const { shard, sql, jobs } = one
      if (one === opened || shard.busy || jobs > 0) continue
      this.open.delete(key)
      shard.close()
      sql.close()
    }
  }

  async submit(database: string, index: number, calls: readonly Call[]): Promise<unknown[]> {
    return this.shard(database, index).submit(calls)
  }

  awaitChange(database: string, index: number, afterSeq: number, waitMs: number): Promise<void> {
    return this.shard(database, index).awaitChange(afterSeq, waitMs)
  }

  async job(database: string, index: number, name: string, args: unknown): Promise<unknown> {
    const open = this.find(database, index)
    open.jobs++
    try {
      return await runJob(this.options, open.forJobs, { name, args })
    } catch (error) {
      if (!(error instanceof Failure)) this.options.onBug?.(error)
      throw toFailure(error)
    } finally {
      open.jobs--
    }
  }

  async close(): Promise<void> {
    this.closed = true
    for (const { shard, sql } of this.open.values()) {
      shard.close()
      sql.close()
    }
    this.open.clear()
  }
}

/** Prepare replies for a wire: failures as plain data. */
export function wireReplies(replies: unknown[]): unknown[] {
  return replies.map((reply) => (reply instanceof Failure ? toWire(reply) : reply))
}
