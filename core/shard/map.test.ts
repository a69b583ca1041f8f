import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../errors.ts'
import { canonicalKey, crc16Slot } from './hash.ts'
import { type MapDelta, planResize, ShardMap, type SlotRun } from './map.ts'
import { type ShardOptions, shard } from './strategy.ts'

const create = (count: number, options: ShardOptions = {}) => ShardMap.create(shard({ ...options, count }))
const json = <T>(value: T): T => JSON.parse(JSON.stringify(value))
const sizes = (map: ShardMap) => {
  const counts: number[] = Array(map.count).fill(0)
  for (const owner of map.owner) counts[owner] = (counts[owner] as number) + 1
  return counts
}
const spreadOf = (map: ShardMap) => Math.max(...sizes(map)) - Math.min(...sizes(map))

describe('a map', () => {
  it.each([1, 3, 16, 17, 1000])('spreads its slots over %i shards in runs, at most one slot apart', (count) => {
    const map = create(count)
    expect(spreadOf(map)).toBeLessThanOrEqual(1)
    expect(map.toData().slots).toHaveLength(count)
    for (let one = 0; one < count; one++) {
      const [[from, to] = [-1, -1], ...more] = map.slotsOf(one)
      expect([map.shardOf(from), map.shardOf(to), more.length]).toEqual([one, one, 0])
    }
  })

  it('routes a key by its strategy', () => {
    const map = create(16, { partitioner: 'crc16' })
    expect(map.partitioner).toBe('crc16')
    expect(map.slotOf('{a}b')).toBe(crc16Slot('a'))
    expect(map.shardOf(crc16Slot('a'))).toBe(Math.floor(crc16Slot('a') / 1024))
    expect(create(2, { strategy: 'range', boundaries: [1] }).partitioner).toBeUndefined()
  })

  it('gives each shard its ranges in order, and pinned keys to their shard', () => {
    const range = create(3, { strategy: 'range', boundaries: [10, 20, 30, 40, 50] })
    const at = (key: number) => range.shardOf(range.slotOf(canonicalKey(key)))
    expect([0, 10, 20, 30, 40, 50].map(at)).toEqual([0, 0, 1, 1, 2, 2])
    const directory = create(4, {
      strategy: 'directory',
      pins: [
        ['a', 3],
        ['b', 1],
      ] as const,
    })
    expect(['a', 'b'].map((key) => directory.shardOf(directory.slotOf(canonicalKey(key))))).toEqual([3, 1])
    expect(spreadOf(directory)).toBeLessThanOrEqual(4)
  })

  it('comes back the same from JSON', () => {
    const map = create(16).reassign([
      [5, 9, 3],
      [100, 100, 15],
    ])
    const again = ShardMap.fromData(json(map.toData()))
    expect(again.equals(map)).toBe(true)
    expect(again.owner).toEqual(map.owner)
    expect(again.epoch).toBe(2)
  })

  it('is refused when its data leaves slots out, or names what is not there', () => {
    const data = create(2).toData()
    for (const slots of [[], [[0, 16382, 0]], [[0, 16384, 0]], [[0, 16383, 2]], [[-1, 16383, 0]], [[0, 16383, 0.5]]]) {
      expect(() => ShardMap.fromData({ ...data, slots: slots as unknown as SlotRun[] })).toThrow(Failure)
    }
    for (const count of [0, 1001, 1.5]) expect(() => ShardMap.fromData({ ...data, count })).toThrow(Failure)
    expect(() => create(1001)).toThrow(Failure)
  })

  it('needs the function of a custom strategy again', () => {
    const route = () => 12
    const map = create(2, { strategy: 'custom', custom: { name: 'twelve', route } })
    expect(ShardMap.fromData(json(map.toData()), { twelve: route }).slotOf(canonicalKey(1))).toBe(12)
    expect(() => ShardMap.fromData(json(map.toData()))).toThrow(/twelve/)
  })

  it('equals another only in strategy, count, epoch and every owner', () => {
    const map = create(4)
    expect(map.equals(create(4))).toBe(true)
    expect(map.equals(create(5))).toBe(false)
    expect(map.equals(create(4, { partitioner: 'crc16' }))).toBe(false)
    expect(map.equals(map.reassign([]))).toBe(false)
    expect(map.reassign([[0, 0, 0]]).equals(map.reassign([[0, 0, 1]]))).toBe(false)
    expect(map.reassign([[0, 0, 1]]).equals(map.reassign([[0, 0, 1]]))).toBe(true)
  })

  it('takes 33 KB, and shares its table until it changes', () => {
    const one = create(8)
    const other = create(8)
    expect(one.owner).toBe(other.owner)
    expect(one.owner.byteLength).toBe(32_768)
    expect(ShardMap.fromData(json(one.toData())).owner).toBe(one.owner)
    other.apply({ since: 1, epoch: 2, slots: [[0, 0, 7]] })
    expect([one.shardOf(0), other.shardOf(0)]).toEqual([0, 7])
    const next = one.reassign([[1, 1, 5]])
    one.apply({ since: 1, epoch: 2, slots: [[2, 2, 6]] })
    expect([next.shardOf(1), next.shardOf(2), one.shardOf(1), one.shardOf(2)]).toEqual([5, 0, 0, 6])
    expect(create(8).equals(ShardMap.create(shard({ count: 8 })))).toBe(true)
  })
})

describe('a complete delta', () => {
  it('brings a map that knows its start to its epoch, count included', () => {
    const old = create(16)
    const { map } = planResize(old, 17)
    const delta = json(map.delta(1))
    expect(delta).toMatchObject({ since: 1, epoch: 2, count: 17 })
    expect(old.apply(delta)).toBe(true)
    expect(old.equals(map)).toBe(true)
    expect(old.apply(delta)).toBe(false)
  })

  it('tells only what changed since, and everything when that is forgotten', () => {
    let map = create(4)
    const first = ShardMap.fromData(map.toData())
    for (let slot = 0; slot < 20; slot++) map = map.reassign([[slot, slot, 3]])
    expect(map.delta(20).slots).toEqual([[19, 19, 3]])
    expect(map.delta(11).slots).toEqual([[10, 19, 3]])
    expect(map.delta(21).slots).toEqual([])
    for (let slot = 20; slot < 60; slot++) map = map.reassign([[slot, slot, 3]])
    const all = map.delta(1)
    expect(all.since).toBe(0)
    expect(first.apply(all)).toBe(true)
    expect(first.equals(map)).toBe(true)
    expect(map.delta(50)).toMatchObject({ since: 50, slots: [[49, 59, 3]] })
  })

  it('that starts after what the map knows is believed only for the slots it names', () => {
    const map = create(4)
    expect(map.apply({ since: 5, epoch: 6, slots: [[0, 0, 3]] })).toBe(true)
    expect([map.epoch, map.epochOf(0), map.epochOf(1), map.shardOf(0)]).toEqual([1, 6, 1, 3])
  })

  it('does not undo what is known of a slot from a later epoch', () => {
    const map = create(4)
    map.apply({ epoch: 9, slots: [[0, 0, 3]] })
    expect(map.apply({ since: 1, epoch: 5, slots: [[0, 1, 2]] })).toBe(true)
    expect([map.epoch, map.shardOf(0), map.shardOf(1), map.epochOf(0)]).toEqual([5, 3, 2, 9])
    map.apply({ since: 5, epoch: 9, slots: [[0, 0, 1]] })
    expect([map.shardOf(0), map.epochOf(0), map.toData().ahead]).toEqual([1, 9, undefined])
  })
})

describe('a partial delta, as moved carries it', () => {
  it('teaches a slot, its epoch and shards that were not known, not the epoch of the map', () => {
    const map = create(4)
    expect(map.apply({ epoch: 3, slots: [[7, 8, 4]] })).toBe(true)
    expect([map.epoch, map.epochOf(7), map.epochOf(9), map.shardOf(8), map.count]).toEqual([1, 3, 1, 4, 5])
    expect(map.apply({ epoch: 3, slots: [[7, 8, 4]] })).toBe(false)
    expect(map.apply({ epoch: 2, slots: [[7, 7, 0]] })).toBe(false)
    expect(map.apply({ epoch: 3, slots: [] })).toBe(false)
  })

  it('is believed only as far as the epoch that a run itself names', () => {
    const map = create(4)
    map.apply({ epoch: 7, slots: [[0, 0, 2]] })
    expect(
      map.apply({
        epoch: 9,
        slots: [
          [0, 0, 1, 5],
          [1, 1, 3, 5],
        ],
      }),
    ).toBe(true)
    expect([map.shardOf(0), map.epochOf(0), map.shardOf(1), map.epochOf(1)]).toEqual([2, 7, 3, 5])
  })

  it('keeps its knowledge through JSON', () => {
    const map = create(4)
    map.apply({ epoch: 9, slots: [[0, 0, 3]] })
    const again = ShardMap.fromData(json(map.toData()))
    expect(again.apply({ epoch: 8, slots: [[0, 0, 1]] })).toBe(false)
    expect(again.shardOf(0)).toBe(3)
  })

  it('that is malformed is refused and changes nothing', () => {
    const map = create(4)
    const before = map.toData()
    const bad = [
      {
        epoch: 2,
        slots: [
          [0, 0, 1],
          [0, 16384, 1],
        ],
      },
      { epoch: 2, slots: [[5, 4, 1]] },
      { epoch: 2, slots: [[0, 0, 1000]] },
      { epoch: 2 },
      { slots: [] },
      { epoch: 1.5, slots: [] },
      { epoch: 2, since: 1, count: 0, slots: [] },
    ]
    for (const delta of bad) expect(() => map.apply(delta as unknown as MapDelta)).toThrow(Failure)
    expect(map.toData()).toEqual(before)
  })
})

/** A history: map i is the state at epoch i + 1. */
const histories = fc
  .array(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 5 }), fc.nat({ max: 7 })), { minLength: 1, maxLength: 40 })
  .map((steps) => {
    const maps = [create(8)]
    for (const [from, more, to] of steps) maps.push((maps.at(-1) as ShardMap).reassign([[from, from + more, to]]))
    return maps
  })

describe('deltas in any order', () => {
  const picks = fc.array(
    fc.record({ since: fc.nat(), at: fc.nat(), partial: fc.boolean(), slot: fc.nat({ max: 45 }) }),
    { maxLength: 60 },
  )

  it('never take a slot back to an older owner, and end at the newest state', () => {
    fc.assert(
      fc.property(histories, picks, (maps, chosen) => {
        const map = ShardMap.fromData((maps[0] as ShardMap).toData())
        for (const { since, at, partial, slot } of chosen) {
          const source = maps[at % maps.length] as ShardMap
          const owned: SlotRun[] = [[slot, slot, source.shardOf(slot)]]
          const epochs = Array.from({ length: 50 }, (_, one) => map.epochOf(one))
          map.apply(partial ? { epoch: source.epoch, slots: owned } : json(source.delta(since % (source.epoch + 1))))
          for (let one = 0; one < 50; one++) {
            const epoch = map.epochOf(one)
            expect(epoch).toBeGreaterThanOrEqual(epochs[one] as number)
            expect(map.shardOf(one)).toBe(maps[epoch - 1]?.shardOf(one))
          }
        }
        const last = maps.at(-1) as ShardMap
        map.apply(last.delta(map.epoch))
        expect(map.equals(last)).toBe(true)
      }),
    )
  })
})

describe('planResize', () => {
  const moved = (a: ShardMap, b: ShardMap) => a.owner.reduce((n, one, slot) => n + (one === b.owner[slot] ? 0 : 1), 0)

  it('moves a seventeenth from 16 to 17, all of it to the new shard', () => {
    const old = create(16)
    const { moves, map } = planResize(old, 17)
    expect(moved(old, map)).toBe(963)
    expect(moved(old, map) / 16384).toBeLessThanOrEqual(1 / 17)
    expect(moves).toHaveLength(16)
    expect(moves.every(({ to, slots }) => to === 16 && slots.length === 1)).toBe(true)
    expect([map.epoch, map.count, spreadOf(map)]).toEqual([2, 17, 1])
  })

  it('moves what shards that go have, and nothing else', () => {
    const old = create(17)
    const { moves, map } = planResize(old, 15)
    expect(moves.every(({ from, to }) => from >= 15 && to < 15)).toBe(true)
    expect(moved(old, map)).toBe((sizes(old)[15] as number) + (sizes(old)[16] as number))
    expect(spreadOf(map)).toBeLessThanOrEqual(1)
  })

  it('is least and even after any sequence of sizes, and its moves are its map', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(counts, (all) => {
        let old = create(all[0] as number)
        for (const count of all.slice(1)) {
          const { moves, map } = planResize(old, count)
          const runs = moves.flatMap(({ to, slots }) => slots.map(([a, b]): SlotRun => [a, b, to]))
          const given = moves.flatMap(({ from, slots }) =>
            slots.flatMap(([a, b]) => [...old.owner.slice(a, b + 1)].map((one) => one === from)),
          )
          expect(given.every(Boolean)).toBe(true)
          expect(given).toHaveLength(moved(old, map))
          expect(old.reassign(runs, count).equals(map)).toBe(true)
          expect(spreadOf(map)).toBeLessThanOrEqual(1)
          const growing = count > old.count
          expect(moves.every(({ from, to }) => (growing ? to >= old.count && from < old.count : from >= count))).toBe(
            true,
          )
          const least = growing ? Math.floor(16384 / count) * (count - old.count) : 0
          if (growing) expect(moved(old, map)).toBeLessThanOrEqual(least + count - old.count)
          old = map
        }
      }),
      { numRuns: 30 },
    )
  })

  it('reaches 1000 shards with 16 or 17 slots each', () => {
    const { map } = planResize(create(1), 1000)
    expect([Math.min(...sizes(map)), Math.max(...sizes(map))]).toEqual([16, 17])
  })

  it('spreads ranges, not the empty slots between them, and cannot make more shards than ranges', () => {
    const boundaries = Array.from({ length: 11 }, (_, i) => i)
    const old = create(3, { strategy: 'range', boundaries })
    const { map } = planResize(old, 4)
    const live = [-1, ...boundaries].map((key) => map.shardOf(map.slotOf(canonicalKey(key))))
    expect([0, 1, 2, 3].map((one) => live.filter((shard) => shard === one).length)).toEqual([3, 3, 3, 3])
    expect(() => planResize(old, 13)).toThrow(Failure)
    expect(planResize(old, 12).map.count).toBe(12)
  })

  it('leaves pinned slots where they are unless their shard goes', () => {
    const old = create(2, {
      strategy: 'directory',
      pins: [
        ['a', 0],
        ['b', 1],
      ] as const,
    })
    const at = (map: ShardMap, key: string) => map.shardOf(map.slotOf(canonicalKey(key)))
    const grown = planResize(old, 9).map
    expect([at(grown, 'a'), at(grown, 'b')]).toEqual([0, 1])
    expect(at(planResize(old, 1).map, 'b')).toBe(0)
  })

  it('refuses a number of shards out of range', () => {
    for (const count of [0, 1001, 2.5]) expect(() => planResize(create(2), count)).toThrow(Failure)
    expect(() => create(4).reassign([], 3)).toThrow(/slot 12288/)
  })
})
