/** What the properties choose by chance about shards: their limits, and what strikes their disks. */
import type { ShardLimits } from '../../core/shard/shard.ts'
import type { Fault } from './disk.ts'
import type { Random } from './random.ts'

/** Choose limits so small that everything a shard does in the background happens often. */
export function tinyLimits(random: Random): ShardLimits {
  return {
    cachedRows: random.between(1, 6),
    cachedBytes: random.chance(0.2) ? 400 : 1_000_000,
    dirtyRows: random.between(1, 12),
    redoBytes: random.between(100, 2_000),
    logBytes: random.chance(0.3) ? 1_000_000 : random.between(200, 3_000),
    heldBytes: 1_000_000,
    drainRows: random.between(1, 6),
    segmentBytes: random.chance(0.3) ? random.between(20, 200) : 1_000_000,
  }
}

/** Choose what strikes a transaction. */
export function makeFault(random: Random): Fault {
  const kind = random.pick(['statement', 'commit', 'die-before', 'die-after'] as const)
  return kind === 'statement' ? { kind, after: random.below(25), undone: random.chance(0.5) } : { kind }
}
