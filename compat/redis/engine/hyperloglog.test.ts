/** HyperLogLog against the bytes and numbers of a real Redis. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis } from '../real-redis.testing.ts'
import { openTestServer } from '../test-server.ts'
import { TestRedis } from '../testing.ts'
import { addElement, emptySketch, estimate, isDense, readRegisters, selfTest } from './hyperloglog.ts'
import { murmur64 } from './murmur64.ts'

const version = installedVersion()

test('hashes as MurmurHash64A does', () => {
  const hex = (text: string, seed = 0) => {
    const { high, low } = murmur64(text, seed)
    return (BigInt(high) * 2n ** 32n + BigInt(low)).toString(16)
  }
  // Written out in integers of any size.
  const M = 0xc6a4a7935bd1e995n
  const wrap = (value: bigint) => BigInt.asUintN(64, value)
  const plain = (text: string, seed = 0) => {
    let h = wrap(BigInt(seed) ^ (BigInt(text.length) * M))
    const bytes = [...text].map((char) => BigInt(char.charCodeAt(0)))
    const number = (from: number, to: number) =>
      bytes.slice(from, to).reduceRight((sum, byte) => (sum << 8n) | byte, 0n)
    const whole = text.length - (text.length % 8)
    for (let at = 0; at < whole; at += 8) {
      let k = wrap(number(at, at + 8) * M)
      k = wrap((k ^ (k >> 47n)) * M)
      h = wrap((h ^ k) * M)
    }
    if (whole < text.length) h = wrap((h ^ number(whole, text.length)) * M)
    h = wrap((h ^ (h >> 47n)) * M)
    return (h ^ (h >> 47n)).toString(16)
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 40 }), fc.nat(), (text, seed) => {
      expect(hex(text, seed)).toBe(plain(text, seed))
    }),
  )
  expect(hex('\xff'.repeat(19), 0xadc83b19)).toBe(plain('\xff'.repeat(19), 0xadc83b19))
})

test('estimates stay within three standard deviations, sparse and dense', () => {
  const sketch = emptySketch()
  for (let count = 1, next = 100; count <= 100_000; count++) {
    addElement(sketch, `member:${count}`)
    if (count !== next) continue
    next *= 10
    const found = estimate(readRegisters(sketch))
    expect(Math.abs(found - count) / count, `${count} elements`).toBeLessThan(3 * (1.04 / Math.sqrt(16_384)))
  }
  expect(isDense(sketch)).toBe(true)
  expect(selfTest()).toBe(undefined)
})

const title = version === undefined ? 'no redis-server is installed: not compared' : `Redis ${version}`
describe(`random elements: ${title}`, () => {
  let ours: TestRedis
  let real: RealRedis | undefined
  beforeAll(async () => {
    ours = await TestRedis.open()
    if (version !== undefined) real = await RealRedis.start()
  })
  afterAll(async () => {
    ours.close()
    await real?.stop()
  })

  /** Run it on both. @returns the reply of ours, which must be that of the other */
  async function both(...argv: string[]) {
    const reply = await ours.run(...argv)
    if (real !== undefined) expect(reply, argv.join(' ').slice(0, 200)).toEqual(await real.run(...argv))
    return reply
  }

  test('have the bytes and counts of Redis', async () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const elements = fc.record({ start: fc.nat(1_000_000), count: fc.integer({ min: 1, max: 400 }) })
    const step = fc.oneof(
      { arbitrary: fc.tuple(fc.constant('PFADD'), key, elements), weight: 3 },
      fc.tuple(fc.constant('PFMERGE'), key, key),
      fc.tuple(fc.constant('PFCOUNT'), key, key),
    )
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
      await both('DEL', 'a', 'b', 'c')
      for (const [name, first, second] of steps) {
        if (typeof second === 'string') await both(name, first, second)
        else await both(name, first, ...Array.from({ length: second.count }, (_, i) => `${second.start + i}`))
        await both('PFCOUNT', first)
        await both('GET', first)
      }
    })
    await fc.assert(property, { numRuns: 40 })
  })

  test('grow from sparse to dense at the same element, with the same count', async () => {
    await both('DEL', 'grow')
    for (let from = 0; from < 12_000; from += 500) {
      await both('PFADD', 'grow', ...Array.from({ length: 500 }, (_, i) => `element ${from + i}`))
      await both('GET', 'grow')
      await both('PFCOUNT', 'grow')
    }
    expect(await both('PFDEBUG', 'ENCODING', 'grow')).toEqual({ simple: 'dense' })
    await both('PFDEBUG', 'GETREG', 'grow')
  })
})

test('keys that live apart are counted together, and not merged', async () => {
  const server = await openTestServer({ shards: 4 })
  try {
    const client = server.connect()
    const keys = ['a', 'b', 'c', 'd', 'e']
    for (const [i, key] of keys.entries()) await client.ask(`PFADD ${key} x ${i} ${i + 1} ${i + 2}`)
    expect(await client.ask(`PFCOUNT ${keys.join(' ')}`)).toBe(':8\r\n')
    expect(await client.ask('SET s 1', `PFCOUNT ${keys.join(' ')} s`)).toBe(
      '+OK\r\n-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n',
    )
    expect(await client.ask(`PFMERGE ${keys.join(' ')}`)).toMatch(/^-CROSSSLOT /)
    expect(await client.ask('PFMERGE {a}1 {a}2', 'PFCOUNT {a}1', 'PFSELFTEST')).toBe('+OK\r\n:0\r\n+OK\r\n')
  } finally {
    await server.close()
  }
})
