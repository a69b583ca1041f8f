/** The shards of a database, as the service of the lake reaches them. */
import { TIER_SHARDS_AT_ONCE } from '../../limits.ts'
import type { Database } from '../../shard/fabric.ts'
import { type ShardClient, unwrap } from '../../shard/router.ts'
import { SYSTEM, type SystemCalls } from '../../shard/system.ts'
import { inParallel } from '../iceberg/work.ts'
import type { TierCall } from './calls.ts'
import { TIER } from './port.ts'

/** All shards of one database. */
export class TierShards {
  readonly database: string
  private readonly source: Database

  constructor(source: Database) {
    this.source = source
    this.database = source.name
  }

  /** How many there are. */
  get count(): number {
    return this.source.map.count
  }

  /** Ask several things of one shard, in one group.
   *  @throws the first Failure among the answers */
  async askAll(shard: number, ...calls: readonly TierCall[]): Promise<unknown[]> {
    const plan = this.source.plan()
    const pending = calls.map(([name, args]) => plan.shard(shard, { program: TIER, name, args }))
    await plan.run()
    return pending.map(({ reply }) => unwrap(reply))
  }

  /** Ask one thing of one shard. */
  async ask<T>(shard: number, ...call: TierCall): Promise<T> {
    return (await this.askAll(shard, call))[0] as T
  }

  /** Ask a shard as such. */
  async system<Name extends keyof SystemCalls>(shard: number, name: Name, args: SystemCalls[Name]): Promise<unknown> {
    return this.source.router.call({ program: SYSTEM, name, args }, { shard })
  }

  /** Do something for every shard, some at a time.
   *  @returns the answers by shard
   *  @throws the first failure, once what was under way has ended */
  async each<T>(work: (shard: number) => Promise<T>, atOnce: number = TIER_SHARDS_AT_ONCE): Promise<T[]> {
    const answers: T[] = []
    const shards = Array.from({ length: this.count }, (_, shard) => shard)
    await inParallel(shards, atOnce, async (shard) => {
      answers[shard] = await work(shard)
    })
    return answers
  }

  /** Run a job beside a shard. */
  async job<T>(shard: number, name: string, args: unknown): Promise<T> {
    return (await (this.source.router.client(shard) as ShardClient & JobClient).job(name, args)) as T
  }
}

interface JobClient {
  job(name: string, args: unknown): Promise<unknown>
}
