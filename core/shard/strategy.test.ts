import { describe, expect, it } from 'vitest'
import { type Bin, fromBin, textToBin } from '../bytes.ts'
import { Failure } from '../errors.ts'
import { canonicalKey, compoundKey, crc16Slot, murmur3, murmur3Slot } from './hash.ts'
import { encodeId } from './id.ts'
import { openStrategy, type ShardOptions, type StrategyData, shard, shardKeyOf, slotGroups } from './strategy.ts'

const text = canonicalKey
const slots = (options: ShardOptions, keys: readonly Bin[]) => keys.map((key) => shard(options).strategy.slotOf(key))

/** The option that the failure of `shard(options)` names. */
function refused(options: object): unknown {
  try {
    shard(options as ShardOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(Failure)
    const { code, detail, message } = error as Failure
    expect(code).toBe('invalid')
    const { option } = detail as { option: string }
    expect(message).toContain(option)
    return option
  }
  return undefined
}

describe('hash', () => {
  it('is the default, by murmur3 over typed keys, on one shard', () => {
    const { strategy, count, key } = shard({})
    expect({ data: strategy.data, count, key }).toEqual({
      data: { kind: 'hash', keys: 'typed', partitioner: 'murmur3' },
      count: 1,
      key: [],
    })
    expect(strategy.slotOf(text('user:1'))).toBe(murmur3Slot(text('user:1')))
  })

  it('by crc16 agrees with Redis Cluster and takes raw keys', () => {
    const { strategy } = shard({ partitioner: 'crc16' })
    expect(strategy.data.keys).toBe('raw')
    expect(strategy.slotOf('{user1000}.following')).toBe(crc16Slot('user1000'))
  })
})

describe('range', () => {
  const range: ShardOptions = { strategy: 'range', boundaries: [10, 'm', fromBin('\x80')] }

  it('puts a key in the range of the last boundary not after it, on virtual slots far apart', () => {
    const keys = [null, true, -5, 9.99, 10, 1e9, 'a', 'lzzz', 'm', 'z', fromBin('\x7f'), fromBin('\x80')]
    const [a, b, c, d] = [0, 4096, 8192, 12288]
    expect(slots(range, keys.map(canonicalKey))).toEqual([a, a, a, a, b, b, b, b, c, c, c, d])
  })

  it('compares raw keys as bytes', () => {
    const raw: ShardOptions = { strategy: 'range', keys: 'raw', boundaries: ['m', 'é'] }
    expect(slots(raw, ['a', 'm', 'z', textToBin('é'), '\xff'])).toEqual([0, 5462, 5462, 10923, 10923])
    expect(refused({ strategy: 'range', keys: 'raw', boundaries: [1] })).toBe('boundaries')
  })

  it('refuses boundaries that are missing, unordered, no keys, or too few for the shards', () => {
    for (const boundaries of [undefined, [], 'a', ['b', 'a'], ['a', 'a'], ['a', 1], [{}], [undefined], [1n]]) {
      expect(refused({ strategy: 'range', boundaries })).toBe('boundaries')
    }
    expect(refused({ ...range, count: 5 })).toBe('boundaries')
    expect(refused({ ...range, count: 4 })).toBeUndefined()
    const many = Array.from({ length: 16384 }, (_, i) => i)
    expect(refused({ strategy: 'range', boundaries: many })).toBe('boundaries')
    expect(refused({ strategy: 'range', boundaries: many.slice(1) })).toBeUndefined()
  })
})

describe('round-robin', () => {
  const id = encodeId({ ms: 1, slot: 4711, counter: 2, random: 3 })

  it('reads the slot out of ids of ours and hashes other keys', () => {
    expect(slots({ strategy: 'round-robin' }, [text(id), text('x')])).toEqual([4711, murmur3Slot(text('x'))])
    expect(slots({ strategy: 'round-robin', keys: 'raw' }, [id, 'x'])).toEqual([4711, murmur3Slot('x')])
    expect(slots({ strategy: 'round-robin' }, [canonicalKey(fromBin(id))])).toEqual([
      murmur3Slot(canonicalKey(fromBin(id))),
    ])
  })
})

describe('directory', () => {
  const directory: ShardOptions = {
    strategy: 'directory',
    count: 3,
    pins: [
      ['big', 2],
      [7, 0],
    ] as const,
  }

  it('gives pinned keys slots of their own and hashes the rest past them', () => {
    const first = 16384 - 1024
    expect(slots(directory, [text('big'), canonicalKey(7)])).toEqual([first, first + 1])
    expect(slots(directory, [text('small')])).toEqual([murmur3(text('small')) % first])
    for (let i = 0; i < 2000; i++) expect(slots(directory, [canonicalKey(-1 - i)])[0]).toBeLessThan(first)
  })

  it('keeps as many slots for pins as it is told', () => {
    const small = { ...directory, reserved: 2 }
    expect(slots(small, [text('big'), text('small')])).toEqual([16382, murmur3(text('small')) % 16382])
    expect(refused({ ...directory, reserved: 1 })).toBe('pins')
    for (const reserved of [0, 8193, 1.5, '2']) expect(refused({ ...directory, reserved })).toBe('reserved')
  })

  it('refuses pins to shards that are not there, of what is no key, or twice', () => {
    for (const pins of [
      undefined,
      {},
      [['a', 3]],
      [['a', -1]],
      [['a']],
      [[{}, 0]],
      [
        ['a', 0],
        ['a', 1],
      ],
    ]) {
      expect(refused({ ...directory, pins })).toBe('pins')
    }
    expect(refused({ ...directory, keys: 'raw' })).toBe('pins')
    expect(slots({ ...directory, keys: 'raw', pins: [['big', 1]] }, ['big'])).toEqual([16384 - 1024])
  })
})

describe('custom', () => {
  const byLength = { name: 'by-length', route: (key: unknown) => (key as string).length }
  const byTenant = { name: 'by-tenant', route: (key: unknown) => (key as string).split(':')[0] as string }
  const custom = (route: unknown) => shard({ strategy: 'custom', custom: { name: 'x', route } } as ShardOptions)

  it('takes a number as the slot and anything else as the key to hash', () => {
    expect(slots({ strategy: 'custom', custom: byLength }, [text('four')])).toEqual([4])
    expect(slots({ strategy: 'custom', custom: byTenant }, [text('t1:a'), text('t1:b')])).toEqual(
      Array(2).fill(murmur3Slot(text('t1'))),
    )
    expect(slots({ strategy: 'custom', custom: byTenant, partitioner: 'crc16' }, ['t1:a'])).toEqual([crc16Slot('t1')])
    expect(slots({ strategy: 'custom', custom: byTenant, keys: 'raw' }, ['\xe9:a'])).toEqual([murmur3Slot('\xe9')])
    const bytes = fromBin('\xe9')
    expect(custom(() => bytes).strategy.slotOf(text(''))).toBe(murmur3Slot(canonicalKey(bytes)))
  })

  it('gives the function the value, not its canonical bytes', () => {
    const seen: unknown[] = []
    const { strategy } = custom((key: unknown) => seen.push(key))
    for (const key of [1, 'ü', null, true]) strategy.slotOf(canonicalKey(key))
    expect(seen).toEqual([1, 'ü', null, true])
  })

  it('refuses what is neither slot nor key, and functions without a name', () => {
    for (const placed of [-1, 16384, 0.5, Number.NaN, undefined, null, {}]) {
      expect(() => custom(() => placed).strategy.slotOf(text('a'))).toThrow(Failure)
    }
    expect(refused({ strategy: 'custom' })).toBe('custom')
    expect(refused({ strategy: 'custom', custom: { name: '', route: () => 1 } })).toBe('custom')
    expect(refused({ strategy: 'custom', custom: { name: 'x' } })).toBe('custom')
  })

  it('opens again only with the function of its name', () => {
    const { data } = shard({ strategy: 'custom', custom: byLength }).strategy
    expect(openStrategy(data, { 'by-length': byLength.route }).slotOf(text('four'))).toBe(4)
    expect(() => openStrategy(data, { other: byLength.route })).toThrow(/by-length/)
    expect(() => openStrategy({ ...data, name: 'toString' } as StrategyData, {})).toThrow(/toString/)
  })
})

describe('shard()', () => {
  it('takes 1 to 1000 shards', () => {
    expect(shard({ count: 1000 }).count).toBe(1000)
    for (const count of [0, 1001, 1.5, -1, '4', null, Number.NaN])
      expect(refused({ count: count as number })).toBe(count === null ? undefined : 'count')
  })

  it('refuses options that are unknown or belong to another strategy', () => {
    expect(refused({ shards: 4 })).toBe('shards')
    expect(refused({ strategy: 'modulo' })).toBe('strategy')
    expect(refused({ strategy: 'toString' })).toBe('strategy')
    expect(refused({ boundaries: [1] })).toBe('boundaries')
    expect(refused({ strategy: 'range', boundaries: [1], partitioner: 'murmur3' })).toBe('partitioner')
    expect(refused({ strategy: 'round-robin', partitioner: 'crc16' })).toBe('partitioner')
    expect(refused({ strategy: 'round-robin', pins: [] })).toBe('pins')
    expect(refused({ reserved: 4 })).toBe('reserved')
    expect(refused({ custom: { name: 'x', route: () => 1 } })).toBe('custom')
    expect(refused({ partitioner: 'md5' })).toBe('partitioner')
    expect(refused({ partitioner: 'crc16', keys: 'typed' })).toBe('keys')
    expect(refused({ keys: 'cooked' })).toBe('keys')
  })

  it('reads the shard key of a record: dotted paths, absent fields as null, several as a tuple', () => {
    const record = { a: 1, user: { id: 'u' }, list: [1] }
    expect(shardKeyOf(shard({ key: 'user.id' }), record)).toBe(text('u'))
    expect(shardKeyOf(shard({ key: 'user.name' }), record)).toBe(canonicalKey(null))
    expect(shardKeyOf(shard({ key: ['user.id', 'a'] }), record)).toBe(compoundKey(['u', 1]))
    expect(shardKeyOf(shard({ key: 'user.id', keys: 'raw' }), record)).toBe('u')
    expect(() => shardKeyOf(shard({ key: 'list' }), record)).toThrow(/list/)
    expect(() => shardKeyOf(shard({ key: 'a', keys: 'raw' }), record)).toThrow(/a: 1/)
  })

  it('refuses keys that name no field, and several where one is needed', () => {
    for (const key of ['', [], [''], [1], 5, null, ['a', 'a']]) expect(refused({ key })).toBe('key')
    expect(refused({ key: ['a', 'b'], strategy: 'round-robin' })).toBe('key')
    expect(refused({ key: ['a', 'b'], keys: 'raw' })).toBe('key')
    expect(refused({ key: ['a'], strategy: 'round-robin' })).toBeUndefined()
  })
})

const kinds: ShardOptions[] = [
  {},
  { partitioner: 'crc16' },
  { strategy: 'range', boundaries: [-1, 'ü', fromBin('\0\xff')] },
  { strategy: 'round-robin' },
  {
    strategy: 'directory',
    pins: [
      ['ü', 0],
      [null, 0],
    ] as const,
  },
]

describe('every strategy', () => {
  it.each(kinds)('finds the same slot of a value as of its key: %j', (options) => {
    const { strategy } = shard(options)
    const id = encodeId({ ms: 1, slot: 9, counter: 0, random: 0 })
    for (const value of [
      'a',
      'übel',
      'user:1234',
      id,
      fromBin('\0\xff\xff'),
      ...(options.partitioner ? [] : [null, 1]),
    ]) {
      const raw = typeof value === 'string' ? textToBin(value) : '\0\xff\xff'
      expect(strategy.slotOfValue(value)).toBe(strategy.slotOf(options.partitioner ? raw : canonicalKey(value)))
    }
    if (options.partitioner) expect(() => strategy.slotOfValue(1)).toThrow(Failure)
  })

  it.each(kinds)('but custom is the same after a trip through JSON: %j', (options) => {
    const { strategy } = shard(options)
    const again = openStrategy(JSON.parse(JSON.stringify(strategy.data)))
    for (const key of [null, 'ü', 1, fromBin('\0\xff\xff'), encodeId({ ms: 1, slot: 9, counter: 0, random: 0 })]) {
      expect(again.slotOf(canonicalKey(key))).toBe(strategy.slotOf(canonicalKey(key)))
    }
  })

  it.each(kinds)('has every slot in one group, or pinned: %j', (options) => {
    const { data } = shard(options).strategy
    const listed = slotGroups(data).flat()
    const pins = data.kind === 'directory' ? data.pins.length : 0
    expect(new Set(listed).size).toBe(listed.length)
    expect(listed.length + pins).toBe(16384)
  })

  it('of a kind that is not known is refused', () => {
    expect(() => openStrategy({ kind: 'ring' } as never)).toThrow(/ring/)
  })
})
