/** The ShardMap: which shard owns a slot, at which epoch.
 *
 *  1. `owner` has one shard number a slot; looking it up is all that routing costs after the hash.
 *  2. `epoch` says up to where the map is complete: it knows every change until then. A delta that says since when it
 *     is complete (`since`) and joins on raises it; older deltas are ignored whole.
 *  3. A delta without `since` (a shard's `moved`) speaks only of the slots it names. What it says of each is kept with
 *     its own epoch (`ahead`), so that deltas may arrive in any order and the newest word on a slot wins.
 *  4. Memory: 32,768 bytes of `owner`, 192 of recent changes (`Recent`); no epoch is kept for a slot whose last
 *     change is not after `epoch`, because nothing older is believed anyway, so `ahead` is nearly always empty. Maps
 *     that have seen no change share one `owner` per shape.
 *  5. An owner of a slot never changes without a higher epoch. */
import type { Bin } from '../bytes.ts'
import { Failure } from '../errors.ts'
import { SHARD_COUNT_MAX, SLOT_COUNT } from '../limits.ts'
import type { Scalar } from './hash.ts'
import {
  type CustomRoutes,
  openStrategy,
  type Partitioner,
  pinnedSlots,
  type Strategy,
  type StrategyData,
  slotGroups,
} from './strategy.ts'

/** Slots from one to another, both included. */
export type SlotRange = readonly [from: number, to: number]
/** Slots that one shard owns; in a delta, with the epoch at which it came to own them, if not the delta's. */
export type SlotRun = readonly [from: number, to: number, shard: number, epoch?: number]

/** What changed in a map: plain data, the detail of Failure('moved'). */
export interface MapDelta {
  /** The state told is that of this epoch. */
  readonly epoch: number
  /** Every change after this epoch is told. Absent when only the slots named are told of. */
  readonly since?: number
  /** How many shards there are. */
  readonly count?: number
  readonly slots: readonly SlotRun[]
}

/** A map as plain data, for the catalog. */
export interface MapData {
  readonly strategy: StrategyData
  readonly count: number
  readonly epoch: number
  readonly slots: readonly SlotRun[]
  /** Slots known beyond `epoch`, with the epoch of that knowledge. */
  readonly ahead?: readonly (readonly [slot: number, epoch: number])[]
}

/** Slots that go from one shard to another. */
export interface SlotMove {
  readonly from: number
  readonly to: number
  readonly slots: readonly SlotRange[]
}

const recentMax = 24

/** The newest changes, to tell deltas from: pairs of (epoch, from << 14 | to), oldest first, in 192 bytes. */
interface Recent {
  readonly changes: Uint32Array
  size: number
  /** Changes after this epoch are all here. */
  floor: number
}

/** Which shard owns which slot. */
export class ShardMap {
  readonly strategy: Strategy
  /** How many shards: 1 to 1000. */
  count: number
  /** Every change up to this epoch is known. */
  epoch: number
  /** The shard of every slot. Read only: it may be shared with other maps. */
  owner: Uint16Array
  private ownerShared: boolean
  private readonly ahead = new Map<number, number>()
  private readonly recent: Recent

  private constructor(strategy: Strategy, from: { count: number; epoch: number; owner: Uint16Array; shared: boolean }) {
    this.strategy = strategy
    this.count = from.count
    this.epoch = from.epoch
    this.owner = from.owner
    this.ownerShared = from.shared
    this.recent = { changes: new Uint32Array(2 * recentMax), size: 0, floor: from.epoch }
  }

  /** Make the first map of a database: epoch 1, slots spread evenly in runs, pins where they belong.
   *  @param sharding what `shard()` made, or its strategy and count */
  static create(sharding: { strategy: Strategy; count: number }): ShardMap {
    const { strategy, count } = sharding
    checkCount(count)
    // Only the commonest shape is shared: 100,000 idle databases then share one table a count.
    const shared = strategy.data.kind !== 'range' && strategy.data.kind !== 'directory'
    const owner = shared ? evenOwner(count) : firstOwner(strategy.data, count)
    return new ShardMap(strategy, { count, epoch: 1, owner, shared })
  }

  /** Read a map from plain data.
   *  @param routes the functions of custom strategies, by name
   *  @throws invalid when slots are missing or out of range, or a function is not given */
  static fromData(data: MapData, routes: CustomRoutes = {}): ShardMap {
    checkCount(data.count)
    const owner = new Uint16Array(SLOT_COUNT).fill(SHARD_COUNT_MAX)
    for (const run of data.slots) {
      checkRun(run)
      owner.fill(run[2], run[0], run[1] + 1)
    }
    const odd = oddSlot(owner, data.count)
    if (odd >= 0) throw new Failure('invalid', `slot ${odd} of the map belongs to none of its ${data.count} shards`)
    // A map as it was created, which most are for ever, takes the table that all of its shape share.
    const even = evenOwner(data.count)
    const shared = owner.every((shard, slot) => shard === even[slot])
    const strategy = openStrategy(data.strategy, routes)
    const map = new ShardMap(strategy, { ...data, owner: shared ? even : owner, shared })
    for (const [slot, epoch] of data.ahead ?? []) map.ahead.set(slot, epoch)
    return map
  }

  /** The hash that places keys, if the strategy hashes at all. */
  get partitioner(): Partitioner | undefined {
    return this.strategy.partitioner
  }

  /** Find the slot of a key, given in the form `strategy.data.keys` says. */
  slotOf(key: Bin): number {
    return this.strategy.slotOf(key)
  }

  /** Find the slot of a value, in whatever form keys come. */
  slotOfValue(value: Scalar): number {
    return this.strategy.slotOfValue(value)
  }

  /** Find the shard that owns a slot. */
  shardOf(slot: number): number {
    return this.owner[slot] as number
  }

  /** Say at which epoch what is known of a slot holds: what a call for the slot carries. */
  epochOf(slot: number): number {
    return this.ahead.get(slot) ?? this.epoch
  }

  /** List the slots of a shard in ascending runs. */
  slotsOf(shard: number): SlotRange[] {
    return this.runs().flatMap(([from, to, owner]): SlotRange[] => (owner === shard ? [[from, to]] : []))
  }

  /** Tell what changed after an epoch; everything, when that is too long ago to remember.
   *  @returns a complete delta (with `since`), as a copy */
  delta(since: number): MapDelta {
    const { epoch, count, recent } = this
    if (since < recent.floor) return { since: 0, epoch, count, slots: this.runs() }
    const changed = new Set<number>()
    for (let at = 0; at < recent.size; at++) {
      if ((recent.changes[2 * at] as number) <= since) continue
      const range = recent.changes[2 * at + 1] as number
      for (let slot = range >>> 14; slot <= range % SLOT_COUNT; slot++) changed.add(slot)
    }
    return { since, epoch, count, slots: runsOf(this.owner, (slot) => changed.has(slot)) }
  }

  /** Learn from a delta; see the head of this file for what is believed.
   *  @returns whether anything was new
   *  @throws invalid when the delta is malformed; nothing is applied then */
  apply(delta: MapDelta): boolean {
    checkDelta(delta)
    if (delta.epoch <= this.epoch) return false
    const complete = delta.since !== undefined && delta.since <= this.epoch
    let learnt = complete
    for (const [from, to, shard, epoch = delta.epoch] of delta.slots) {
      if (complete && this.ahead.size === 0) {
        for (let slot = from; slot <= to; slot++) if (this.owner[slot] !== shard) this.own(slot, shard)
        if (shard >= this.count) this.count = shard + 1
        continue
      }
      for (let slot = from; slot <= to; slot++) {
        // What a complete delta tells of a slot is news unless more is known of that very slot already.
        if (complete ? epoch < (this.ahead.get(slot) ?? 0) : epoch <= this.epochOf(slot)) continue
        this.own(slot, shard)
        if (!complete) this.ahead.set(slot, epoch)
        learnt = true
      }
    }
    if (complete) this.completeTo(delta)
    return learnt
  }

  /** Make a later map with some slots given to other shards, or with another number of shards.
   *  @throws invalid when a run is out of range, or a slot would be left with a shard that is to go */
  reassign(slots: readonly SlotRun[], count: number = this.count): ShardMap {
    checkCount(count)
    this.ownerShared = true
    const next = new ShardMap(this.strategy, { count, epoch: this.epoch, owner: this.owner, shared: true })
    for (const [slot, epoch] of this.ahead) next.ahead.set(slot, epoch)
    next.recent.changes.set(this.recent.changes)
    next.recent.size = this.recent.size
    next.recent.floor = this.recent.floor
    next.apply({ since: this.epoch, epoch: this.epoch + 1, count, slots })
    const odd = oddSlot(next.owner, count)
    if (odd >= 0) throw new Failure('invalid', `slot ${odd} would belong to none of the ${count} shards`)
    return next
  }

  /** Write the map as plain data. */
  toData(): MapData {
    const { strategy, count, epoch, ahead } = this
    const data = { strategy: strategy.data, count, epoch, slots: this.runs() }
    return ahead.size === 0 ? data : { ...data, ahead: [...ahead] }
  }

  /** Say whether two maps place every key alike, at the same epoch. */
  equals(other: ShardMap): boolean {
    if (this.count !== other.count || this.epoch !== other.epoch) return false
    if (JSON.stringify(this.strategy.data) !== JSON.stringify(other.strategy.data)) return false
    return this.owner === other.owner || this.owner.every((shard, slot) => shard === other.owner[slot])
  }

  private runs(): SlotRun[] {
    const { owner } = this
    const runs: SlotRun[] = []
    // Every database that is opened comes by here: no call a slot.
    for (let from = 0, slot = 1; slot <= SLOT_COUNT; slot++) {
      if (slot < SLOT_COUNT && owner[slot] === owner[from]) continue
      runs.push([from, slot - 1, owner[from] as number])
      from = slot
    }
    return runs
  }

  private own(slot: number, shard: number): void {
    // A shard this map has not heard of: there are more than it knew.
    if (shard >= this.count) this.count = shard + 1
    if (this.owner[slot] === shard) return
    if (this.ownerShared) this.owner = this.owner.slice()
    this.ownerShared = false
    this.owner[slot] = shard
  }

  private completeTo(delta: MapDelta): void {
    this.epoch = delta.epoch
    if (delta.count !== undefined) this.count = delta.count
    for (const [slot, epoch] of this.ahead) {
      if (epoch <= delta.epoch) this.ahead.delete(slot)
      else this.count = Math.max(this.count, this.shardOf(slot) + 1)
    }
    if (delta.slots.length > recentMax) {
      this.recent.size = 0
      this.recent.floor = delta.epoch
    } else for (const run of delta.slots) this.remember(run, delta.epoch)
  }

  private remember([from, to]: SlotRun, epoch: number): void {
    const { recent } = this
    if (recent.size === recentMax) {
      recent.floor = recent.changes[0] as number
      recent.changes.copyWithin(0, 2)
      recent.size--
    }
    recent.changes[2 * recent.size] = epoch
    recent.changes[2 * recent.size + 1] = from * SLOT_COUNT + to
    recent.size++
  }
}

function checkCount(count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= SHARD_COUNT_MAX) return
  throw new Failure('invalid', `a map of ${count} shards: there are 1 to ${SHARD_COUNT_MAX}`)
}

const isEpoch = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32

function checkRun(run: SlotRun): void {
  const [from, to, shard, epoch] = run
  const good = Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to < SLOT_COUNT
  if (good && Number.isInteger(shard) && shard >= 0 && shard < SHARD_COUNT_MAX && isEpoch(epoch ?? 0)) return
  throw new Failure('invalid', `not a run of slots and its shard: ${JSON.stringify(run)}`)
}

function checkDelta(delta: MapDelta): void {
  const good = isEpoch(delta.epoch) && isEpoch(delta.since ?? 0) && Array.isArray(delta.slots)
  if (!good) throw new Failure('invalid', `not a delta of a map: ${JSON.stringify(delta).slice(0, 80)}`)
  if (delta.count !== undefined) checkCount(delta.count)
  for (const run of delta.slots) checkRun(run)
}

/** @returns the first slot whose shard is not one of `count`, or -1 */
function oddSlot(owner: Uint16Array, count: number): number {
  for (let slot = 0; slot < SLOT_COUNT; slot++) if ((owner[slot] as number) >= count) return slot
  return -1
}

/** Write the slots that `wanted` names as runs of one owner. */
function runsOf(owner: Uint16Array, wanted: (slot: number) => boolean): SlotRun[] {
  const runs: [number, number, number][] = []
  let last: [number, number, number] | undefined
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    if (!wanted(slot)) continue
    const shard = owner[slot] as number
    if (last?.[1] === slot - 1 && last[2] === shard) last[1] = slot
    else {
      last = [slot, slot, shard]
      runs.push(last)
    }
  }
  return runs
}

function firstOwner(data: StrategyData, count: number): Uint16Array {
  const owner = new Uint16Array(SLOT_COUNT)
  for (const group of slotGroups(data)) {
    group.forEach((slot, i) => {
      owner[slot] = Math.floor((i * count) / group.length)
    })
  }
  for (const [slot, shard] of pinnedSlots(data)) owner[slot] = shard
  return owner
}

// The first owners by count, for strategies that spread all slots alike: a pure function's results, kept because every
// database of a process has one, and copied before they are changed. At most SHARD_COUNT_MAX tables, in practice a few.
const evenOwners = new Map<number, Uint16Array>()

function evenOwner(count: number): Uint16Array {
  const found = evenOwners.get(count)
  if (found !== undefined) return found
  const owner = firstOwner({ kind: 'hash', keys: 'typed', partitioner: 'murmur3' }, count)
  evenOwners.set(count, owner)
  return owner
}

/** Plan another number of shards: only new shards receive when it grows, only shards that go give when it shrinks.
 *  From an even map that is the least that can move, and leaves shards at most one slot apart. Slots are taken in runs
 *  from the end of each giver, so that the map stays short. Pinned slots stay, unless their shard goes.
 *  @returns the moves and the map as it is when they are done (one epoch later)
 *  @throws invalid for a number of shards that is out of range, or larger than the number of ranges */
export function planResize(map: ShardMap, newCount: number): { moves: SlotMove[]; map: ShardMap } {
  checkCount(newCount)
  const { data } = map.strategy
  if (data.kind === 'range' && newCount > data.slots.length) {
    throw new Failure('invalid', `${data.slots.length} ranges cannot fill ${newCount} shards; split ranges first`)
  }
  const owner = map.owner.slice()
  for (const group of slotGroups(data)) resizeGroup(owner, group, { oldCount: map.count, newCount })
  const pinsLeft = pinnedSlots(data).map(([slot]) => slot)
  if (newCount < map.count) resizeGroup(owner, pinsLeft, { oldCount: map.count, newCount })
  const changed = runsOf(owner, (slot) => owner[slot] !== map.owner[slot])
  return { moves: movesOf(map, changed), map: map.reassign(changed, newCount) }
}

function resizeGroup(
  owner: Uint16Array,
  group: readonly number[],
  counts: { oldCount: number; newCount: number },
): void {
  const { oldCount, newCount } = counts
  const slots: number[][] = Array.from({ length: Math.max(oldCount, newCount) }, () => [])
  for (const slot of group) (slots[owner[slot] as number] as number[]).push(slot)
  const sizes = slots.map((own) => own.length)
  const given = sizes.map(() => 0)
  const taken = sizes.map(() => 0)
  for (;;) {
    const giver =
      newCount > oldCount ? extreme(sizes, [0, oldCount], 1) : sizes.findIndex((n, i) => i >= newCount && n > 0)
    const taker = newCount > oldCount ? extreme(sizes, [oldCount, newCount], -1) : extreme(sizes, [0, newCount], -1)
    if (giver < 0 || taker < 0 || giver === taker) break
    if (newCount > oldCount && (sizes[giver] as number) - (sizes[taker] as number) <= 1) break
    sizes[giver] = (sizes[giver] as number) - 1
    sizes[taker] = (sizes[taker] as number) + 1
    given[giver] = (given[giver] as number) + 1
    taken[taker] = (taken[taker] as number) + 1
  }
  const freed = slots.flatMap((own, shard) => own.slice(own.length - (given[shard] as number)))
  let next = 0
  taken.forEach((size, shard) => {
    for (const slot of freed.slice(next, next + size)) owner[slot] = shard
    next += size
  })
}

/** The index in [from, to) of the largest (sign 1) or smallest (sign -1) size; the first of equals; -1 for none. */
function extreme(sizes: readonly number[], [from, to]: readonly [number, number], sign: 1 | -1): number {
  let best = -1
  for (let at = from; at < to; at++) {
    if (best < 0 || ((sizes[at] as number) - (sizes[best] as number)) * sign > 0) best = at
  }
  return best
}

function movesOf(map: ShardMap, changed: readonly SlotRun[]): SlotMove[] {
  const moves = new Map<string, { from: number; to: number; slots: SlotRange[] }>()
  for (const [first, last, to] of changed) {
    for (let slot = first; slot <= last; slot++) {
      const start = slot
      const from = map.shardOf(slot)
      while (slot < last && map.shardOf(slot + 1) === from) slot++
      const move = moves.get(`${from} ${to}`) ?? { from, to, slots: [] }
      move.slots.push([start, slot])
      moves.set(`${from} ${to}`, move)
    }
  }
  return [...moves.values()]
}
