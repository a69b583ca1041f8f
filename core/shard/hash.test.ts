import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bin, fromBin, textToBin, toBin } from '../bytes.ts'
import {
  canonicalKey,
  canonicalSlot,
  compoundKey,
  crc16,
  crc16Slot,
  fromCanonicalKey,
  kafkaPartition,
  murmur2,
  murmur3,
  murmur3Slot,
  type Scalar,
} from './hash.ts'

const bins = (maxLength = 64) => fc.uint8Array({ maxLength }).map((bytes) => toBin(bytes))
const hex = (text: string) => toBin(Buffer.from(text, 'hex'))

/** CRC-16/XMODEM bit by bit. */
function slowCrc16(key: Bin): number {
  let crc = 0
  for (const byte of fromBin(key)) {
    for (let bit = 7; bit >= 0; bit--) {
      const top = (crc >> 15) ^ ((byte >> bit) & 1)
      crc = (crc << 1) & 0xffff
      if (top) crc ^= 0x1021
    }
  }
  return crc
}

const mask = 0xffffffffn
const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & mask

/** MurmurHash3_x86_32 in big integers. */
function slowMurmur3(key: Bin, seed: number): number {
  const bytes = fromBin(key)
  const scramble = (k: bigint) => (rotate((k * 0xcc9e2d51n) & mask, 15n) * 0x1b873593n) & mask
  let hash = BigInt(seed >>> 0)
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    const k = BigInt(Buffer.from(bytes).readUInt32LE(at))
    hash = (rotate(hash ^ scramble(k), 13n) * 5n + 0xe6546b64n) & mask
  }
  let rest = 0n
  bytes.subarray(at).forEach((byte, index) => {
    rest |= BigInt(byte) << BigInt(8 * index)
  })
  hash ^= scramble(rest) ^ BigInt(bytes.length)
  hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & mask
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) & mask
  return Number(hash ^ (hash >> 16n))
}

/** Kafka's murmur2 in big integers. */
function slowMurmur2(key: Bin): number {
  const bytes = Buffer.from(fromBin(key))
  const m = 0x5bd1e995n
  let hash = 0x9747b28cn ^ BigInt(bytes.length)
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    let k = (BigInt(bytes.readUInt32LE(at)) * m) & mask
    k = ((k ^ (k >> 24n)) * m) & mask
    hash = ((hash * m) & mask) ^ k
  }
  const rest = bytes.subarray(at)
  if (rest.length === 3) hash ^= BigInt(rest[2] as number) << 16n
  if (rest.length >= 2) hash ^= BigInt(rest[1] as number) << 8n
  if (rest.length >= 1) hash = ((hash ^ BigInt(rest[0] as number)) * m) & mask
  hash = ((hash ^ (hash >> 13n)) * m) & mask
  return Number(BigInt.asIntN(32, hash ^ (hash >> 15n)))
}

describe('crc16', () => {
  it('agrees with the Redis Cluster specification', () => {
    expect(crc16('123456789')).toBe(0x31c3)
    expect(crc16Slot('123456789')).toBe(0x31c3 & 16383)
    expect(crc16Slot('foo')).toBe(12182)
    expect(crc16Slot('')).toBe(0)
  })

  it('hashes only a non-empty tag between the first brace and the next closing one', () => {
    expect(crc16Slot('foo{}{bar}')).toBe(8363)
    expect(crc16Slot('{user1000}.following')).toBe(crc16Slot('{user1000}.followers'))
    expect(crc16Slot('{user1000}.following')).toBe(crc16Slot('user1000'))
    expect(crc16Slot('foo{{bar}}zap')).toBe(crc16Slot('{bar'))
    expect(crc16Slot('foo{bar}{zap}')).toBe(crc16Slot('bar'))
    expect(crc16Slot('foo{bar')).toBe(slowCrc16('foo{bar') & 16383)
    expect(crc16Slot('}foo{bar}')).toBe(crc16Slot('bar'))
  })

  it('agrees with a bit by bit implementation', () => {
    fc.assert(
      fc.property(bins(), (key) => {
        expect(crc16(key)).toBe(slowCrc16(key))
      }),
    )
  })

  it('agrees with ioredis on keys whose first tag is not empty', () => {
    const cluster = createRequire(createRequire(import.meta.url).resolve('ioredis'))('cluster-key-slot')
    const keys = fc.string({ maxLength: 40 }).filter((key) => !key.includes('{}'))
    fc.assert(
      fc.property(keys, (key) => {
        expect(crc16Slot(textToBin(key))).toBe(cluster(key))
      }),
    )
  })
})

describe('murmur3', () => {
  it.each<[Bin, number, number]>([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    [hex('ffffffff'), 0, 0x76293b50],
    [hex('21436587'), 0, 0xf55b516b],
    [hex('21436587'), 0x5082edee, 0x2362f9de],
    [hex('214365'), 0, 0x7e4a8634],
    [hex('2143'), 0, 0xa0f7b07a],
    [hex('21'), 0, 0x72661cf4],
    [hex('00000000'), 0, 0x2362f9de],
    [hex('000000'), 0, 0x85f0b427],
    [hex('0000'), 0, 0x30f4c306],
    [hex('00'), 0, 0x514e28b7],
    ['test', 0, 0xba6bd213],
    ['Hello, world!', 0, 0xc0363e43],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
  ])('of %j with seed %i is the published one', (key, seed, hash) => {
    expect(murmur3(key, seed)).toBe(hash)
  })

  it('agrees with an implementation in big integers', () => {
    fc.assert(
      fc.property(bins(), fc.nat(), (key, seed) => {
        expect(murmur3(key, seed)).toBe(slowMurmur3(key, seed))
      }),
    )
  })

  it('spreads numbered and tagged keys evenly over the slots', () => {
    const counts = new Uint32Array(16384)
    const total = 200_000
    for (let i = 0; i < total; i++) {
      const slot = murmur3Slot(canonicalKey(i % 2 ? `user:${i}` : `{tenant-${i}}`))
      counts[slot] = (counts[slot] as number) + 1
    }
    const mean = total / 16384
    let chi = 0
    for (const count of counts) chi += (count - mean) ** 2 / mean
    expect(chi / 16383).toBeGreaterThan(0.95)
    expect(chi / 16383).toBeLessThan(1.05)
  })
})

describe('murmur2', () => {
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %j is what UtilsTest of Kafka expects', (key, hash) => {
    expect(murmur2(key)).toBe(hash)
  })

  it('agrees with an implementation in big integers, and picks a partition as Kafka does', () => {
    fc.assert(
      fc.property(bins(), fc.integer({ min: 1, max: 500 }), (key, count) => {
        expect(murmur2(key)).toBe(slowMurmur2(key))
        expect(kafkaPartition(key, count)).toBe(Number(BigInt.asUintN(31, BigInt(slowMurmur2(key)))) % count)
      }),
    )
  })
})

const rank = (value: Scalar) =>
  [null, false, true].includes(value as null)
    ? [null, false, true].indexOf(value as null)
    : 3 + ['number', 'string', 'object'].indexOf(typeof value)

function naiveCompare(a: Scalar, b: Scalar): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  if (typeof a === 'number') return a === b ? 0 : Number.isNaN(a) || a < (b as number) ? -1 : 1
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string))
  return a instanceof Uint8Array ? Buffer.compare(a, b as Uint8Array) : 0
}

const scalars = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.uint8Array({ maxLength: 6 }),
)

describe('canonical keys', () => {
  it('tell types apart, and -0 is 0', () => {
    const values: Scalar[] = [null, false, true, 0, 1, '', '0', '1', 'true', 'null', fromBin(''), fromBin('1')]
    expect(new Set(values.map(canonicalKey)).size).toBe(values.length)
    expect(canonicalKey(-0)).toBe(canonicalKey(0))
    expect(canonicalKey(Number.NaN)).toBe(canonicalKey(-Number.NaN))
  })

  it('give the slot of a value without being made', () => {
    for (const text of ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      expect(canonicalSlot(text)).toBe(murmur3Slot(canonicalKey(text)))
    }
    fc.assert(
      fc.property(
        fc.oneof(
          scalars,
          fc.string({ maxLength: 40 }),
          fc.string({ unit: fc.constantFrom('a', '\x7f', '\x80', '\u0100', '\uff00'), maxLength: 9 }),
        ),
        (value) => {
          expect(canonicalSlot(value)).toBe(murmur3Slot(canonicalKey(value)))
        },
      ),
    )
  })

  it('read back to the value', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324, -5e-324]) {
      expect(fromCanonicalKey(canonicalKey(value))).toBe(value)
    }
    fc.assert(
      fc.property(scalars, (value) => {
        const back = fromCanonicalKey(canonicalKey(value))
        expect(value instanceof Uint8Array ? toBin(back as Uint8Array) : back).toEqual(
          value instanceof Uint8Array ? toBin(value) : value === 0 ? 0 : value,
        )
      }),
    )
  })

  it('sort as the values do, and compounds as tuples do', () => {
    const sign = (a: Bin, b: Bin) => (a < b ? -1 : a > b ? 1 : 0)
    expect(canonicalKey(Number.NaN) < canonicalKey(Number.NEGATIVE_INFINITY)).toBe(true)
    fc.assert(
      fc.property(scalars, scalars, (a, b) => {
        expect(sign(canonicalKey(a), canonicalKey(b))).toBe(Math.sign(naiveCompare(a, b)))
      }),
      { numRuns: 500 },
    )
    const tuples = fc.tuple(fc.constantFrom<Scalar>('', '\0', '\0\xff', 'a', 'a\0', 1, null, fromBin('\0')), scalars)
    fc.assert(
      fc.property(tuples, tuples, (a, b) => {
        const expected = naiveCompare(a[0], b[0]) || naiveCompare(a[1], b[1])
        expect(sign(compoundKey(a), compoundKey(b))).toBe(Math.sign(expected))
      }),
      { numRuns: 500 },
    )
  })
})
