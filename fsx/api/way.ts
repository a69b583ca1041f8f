/** The way to a filesystem of a fabric: over its shards, and over what it lies over. */
import { Failure } from '@dotdo/core/errors'
import { FSX_SPREAD_MAX } from '@dotdo/core/limits'
import type { Fabric } from '@dotdo/core/shard'
import type { Part } from '../engine/part.ts'
import { type Lower, overlayCaller } from './overlay.ts'
import { callerOf } from './place.ts'
import type { Caller } from './request.ts'
import { becomeParts, spreadCaller } from './spread.ts'

/** Which filesystem. */
export interface WayOptions {
  readonly database: string
  /** Over how many shards it is; when left out, as it was made, and a new one on one. */
  readonly shards?: number
  /** What it lies over. */
  readonly over?: Lower
}

/** Find the way to a filesystem; it is made when it is first used, but for its shards.
 *  @throws conflict when it is over another number of shards, or over something else; invalid for a number that cannot
 *  be, or a database that is a shard of another; unsupported for several shards over something */
export async function wayTo(fabric: Fabric, { database, shards, over }: WayOptions): Promise<Caller> {
  const first = callerOf(await fabric.database(database), fabric)
  // The shard learns what it owns, so that the synchronous functions can be used at once.
  const part = (await first.call('readPart', {})) as Part | null
  if (part !== null && part.shard > 0) {
    throw new Failure('invalid', `${database} is shard ${part.shard} of a filesystem: open that one`)
  }
  const count = shards ?? part?.shards ?? 1
  if (part !== null && part.shards !== count) {
    throw new Failure('conflict', `the filesystem ${database} is over ${part.shards} shards`)
  }
  if (!(Number.isInteger(count) && count >= 1 && count <= FSX_SPREAD_MAX)) {
    throw new Failure('invalid', `a filesystem is over 1 to ${FSX_SPREAD_MAX} shards`)
  }
  if (count === 1) return over === undefined ? first : overlayCaller(first, over)
  if (over !== undefined) throw new Failure('unsupported', 'what lies over something is on one shard')
  const ways = [first]
  for (let shard = 1; shard < count; shard++) ways.push(callerOf(await fabric.database(`${database}.${shard}`)))
  await becomeParts(ways)
  return spreadCaller(ways)
}
