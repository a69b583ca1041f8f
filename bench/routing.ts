/** Bench `routing`: what finding a key's shard costs, what a resize moves, what a map weighs.
 *
 *  Goals (issue 2): a key of at most 40 characters in 100 ns or less; 16 to 17 shards moves at most 5.9 % of the keys
 *  and none between old shards; a map of at most 33 KB. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Bin, toBin } from '@dotdo/core/bytes'
import { SLOT_COUNT } from '@dotdo/core/limits'
import { planResize, ShardMap, shard } from '@dotdo/core/shard'
import { alternate, type Bench, type BenchContext, type BenchRow, exact } from './bench.ts'

const name = 'routing'

/** Keys of a kind, at most 40 characters long; flat strings, as a codec makes them. */
function keysOf(kind: (i: number) => string, count: number): Bin[] {
  return Array.from({ length: count }, (_, i) => toBin(Buffer.from(kind(i))))
}

const longest = '40 characters'
const kinds: Record<string, (i: number) => string> = {
  'user:N': (i) => `user:${i}`,
  'uuid, 36': (i) => {
    const hex = (Math.imul(i, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
    return `${hex}-${hex.slice(4)}-4${hex.slice(5)}-a${hex.slice(0, 3)}-${hex.slice(0, 4)}${hex}`
  },
  '{tenant-N}:order:M': (i) => `{tenant-${i % 977}}:order:${i}`,
  [longest]: (i) => `session:${String(i).padStart(32, '0')}`,
}

/** Nanoseconds an element. Results are looked at, so that no pass can be optimised away. */
function timed(count: number, pass: () => number, repeats: number): number {
  const start = process.hrtime.bigint()
  for (let round = 0; round < repeats; round++) {
    if (pass() < 0) throw new RangeError('a sum of what is not negative is negative')
  }
  return Number(process.hrtime.bigint() - start) / (count * repeats)
}

/** Reads every character and no more: the floor of any hash in JavaScript. */
function readAll(keys: readonly Bin[]): number {
  let sum = 0
  for (const key of keys) for (let at = 0; at < key.length; at++) sum += key.charCodeAt(at)
  return sum
}

function routeRaw(keys: readonly Bin[], map: ShardMap): number {
  let sum = 0
  for (const key of keys) sum += map.shardOf(map.slotOf(key))
  return sum
}

function routeTyped(keys: readonly Bin[], map: ShardMap): number {
  let sum = 0
  for (const key of keys) sum += map.shardOf(map.slotOfValue(key))
  return sum
}

function lookUp(slots: Uint16Array, map: ShardMap): number {
  let sum = 0
  for (const slot of slots) sum += map.shardOf(slot)
  return sum
}

/** Routing of keys of every kind by every hash, against the look-up alone (what is between is the hash), and for the
 *  longest keys also against reading their characters. */
async function routes(context: BenchContext): Promise<BenchRow[]> {
  const hashes = [
    { hash: 'crc16', pass: routeRaw, map: ShardMap.create(shard({ count: 16, partitioner: 'crc16' })) },
    { hash: 'murmur3 raw', pass: routeRaw, map: ShardMap.create(shard({ count: 16, keys: 'raw' })) },
    { hash: 'murmur3 typed', pass: routeTyped, map: ShardMap.create(shard({ count: 16 })) },
  ]
  const rows: BenchRow[] = []
  for (const [kind, make] of Object.entries(kinds)) {
    // Few enough to stay in the cache, as a key just decoded is; many enough that no branch predictor learns them.
    const keys = keysOf(make, context.quick ? 1_000 : 10_000)
    for (const { hash, pass, map } of hashes) {
      const slots = Uint16Array.from(keys, (key) => (pass === routeTyped ? map.slotOfValue(key) : map.slotOf(key)))
      const ours = () => pass(keys, map)
      const against = async (floor: string, peer: () => number) => {
        const label = `${hash}, ${kind}, against ${floor}`
        rows.push({ name, case: label, unit: 'ns', ...(await compare(keys.length, { ours, peer, label }, context)) })
      }
      await against('look-up', () => lookUp(slots, map))
      if (kind === longest) await against('reading the key', () => readAll(keys))
    }
  }
  return rows
}

function compare(
  count: number,
  { ours, peer, label }: { ours: () => number; peer: () => number; label: string },
  { quick, progress }: BenchContext,
) {
  const repeats = quick ? 1 : 10
  return alternate({
    ours: () => timed(count, ours, repeats),
    peer: () => timed(count, peer, repeats),
    pairs: quick ? 2 : 41,
    warmups: quick ? 1 : 5,
    progress: (text) => progress(`${label}: ${text}`),
  })
}

/** The share of keys that 16 to 17 shards moves, and those moved between old shards. */
function movement({ quick, progress }: BenchContext): BenchRow[] {
  progress('resize of 16 to 17 shards')
  const before = ShardMap.create(shard({ count: 16 }))
  const { map: after } = planResize(before, 17)
  const count = quick ? 10_000 : 1_000_000
  let moved = 0
  let astray = 0
  for (let i = 0; i < count; i++) {
    const slot = before.slotOfValue(`user:${i}`)
    if (before.shardOf(slot) === after.shardOf(slot)) continue
    moved++
    if (after.shardOf(slot) !== 16) astray++
  }
  const slots = before.owner.reduce((sum, owner, slot) => sum + (owner === after.shardOf(slot) ? 0 : 1), 0)
  return [
    { name, case: 'slots moved 16 -> 17, against 1/17', unit: '%', ...exact((100 * slots) / SLOT_COUNT, 100 / 17) },
    { name, case: 'keys moved 16 -> 17, against 1/17', unit: '%', ...exact((100 * moved) / count, 100 / 17) },
    {
      name,
      case: 'keys that stay or go to the new shard, against all',
      unit: '%',
      ...exact((100 * (count - astray)) / count, 100),
    },
  ]
}

/** Bytes of memory a map takes, against its table of owners alone. */
function memory({ quick, progress }: BenchContext): BenchRow[] {
  progress('memory of maps')
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    // Twice: what the first finds unreachable, such as the code of finished tests, the second frees.
    collect()
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const sharding = shard({ count: 17, partitioner: 'crc16' })
  // All are held to the end: buffers are freed late, and would be taken off what is weighed next.
  const maps: ShardMap[] = []
  const weigh = (count: number, change: (map: ShardMap) => void) => {
    const before = used()
    for (let i = 0; i < count; i++) {
      const map = ShardMap.create(sharding)
      change(map)
      maps.push(map)
    }
    return (used() - before) / count
  }
  const count = quick ? 200 : 2_000
  // Small ones are weighed by the thousand even when quick, or the heap's own coming and going would outweigh them.
  const smallCount = 10_000
  weigh(1, () => {})
  const shared = weigh(smallCount, () => {})
  const own = weigh(count, (map) => map.apply({ since: 1, epoch: 2, slots: [[0, 0, 16]] }))
  if (maps.length !== smallCount + count + 1) throw new RangeError('maps were lost')
  const floor = 2 * SLOT_COUNT
  return [
    { name, case: 'a map that was changed, against its owners alone', unit: 'bytes', ...exact(own, floor) },
    { name, case: 'a map not changed yet, against its owners alone', unit: 'bytes', ...exact(shared, floor) },
  ]
}

/** What finding a key's shard costs, what a resize moves and what a map weighs. */
export const routing: Bench = {
  name,
  about: 'ns to route a key against the look-up alone; keys moved 16 -> 17; memory of a map',
  async run(context) {
    return [...(await routes(context)), ...movement(context), ...memory(context)]
  },
}
