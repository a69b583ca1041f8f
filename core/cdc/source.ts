/** The logs of a database's shards, as followers and feeds see them: reached by the router, the same in every host. */
import type { Database, Fabric } from '../shard/fabric.ts'
import type { Capture } from '../shard/log.ts'
import { type Router, unwrap } from '../shard/router.ts'
import { type ChangesReply, type ChangesRequest, SYSTEM, type SystemCalls } from '../shard/system.ts'
import type { Source } from './follow.ts'

/** The shards of one database. */
export interface FeedSource {
  /** The database's name. */
  readonly database: string
  /** How many shards are known. */
  count(): number
  /** Look again how many there are. */
  refresh(): Promise<void>
  /** The log of a shard.
   *  @param collections changes of these only; all when left out */
  shard(index: number, collections?: readonly string[]): Source
  /** Raise what a shard's log keeps of collections; never lowers it.
   *  @throws not_found when there is no such collection */
  raise(index: number, collections: readonly string[], level: Capture): Promise<void>
}

/** See one shard's log as a source to follow.
 *  @param collections changes of these only (then `filtered` is true for `follow`); all when left out */
export function shardSource(router: Router, index: number, collections?: readonly string[]): Source {
  return {
    async read(after, limit) {
      const args: ChangesRequest = collections === undefined ? { after, limit } : { after, limit, collections }
      return (await router.call({ program: SYSTEM, name: 'changes', args }, { shard: index })) as ChangesReply
    },
    wait: (after, waitMs) => router.client(index).awaitChange(after.seq, waitMs),
  }
}

/** See a database's logs as the source of a feed. */
export function databaseSource(fabric: Fabric, { name, map, router }: Database): FeedSource {
  return {
    database: name,
    count: () => map.count,
    async refresh() {
      const entry = await fabric.find(name)
      if (entry === undefined) return
      const { epoch, count, slots } = entry.map
      map.apply({ since: 0, epoch, count, slots })
    },
    shard: (index, collections) => shardSource(router, index, collections),
    async raise(index, collections, level) {
      const plan = router.plan()
      const replies = collections.map((collection) => {
        const args: SystemCalls['capture'] = { collection, level, raise: true }
        return plan.shard(index, { program: SYSTEM, name: 'capture', args })
      })
      await plan.run()
      for (const { reply } of replies) unwrap(reply)
    },
  }
}
