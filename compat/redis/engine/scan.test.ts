/** SCAN and HSCAN: what is there during the whole walk is met, whatever else comes and goes. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TestRedis } from '../testing.ts'
import { placeOf } from './keys.ts'

let redis: TestRedis
beforeEach(async () => {
  redis = await TestRedis.open({ dirtyRows: 50 })
})
afterEach(() => redis.close())

/** Walk to the end. @param between runs after each step */
async function walk(command: string[], options: string[], between?: (step: number) => Promise<unknown>) {
  const found: string[] = []
  let cursor = '0'
  let steps = 0
  do {
    const [next, items] = (await redis.run(...command, cursor, ...options)) as [string, string[]]
    expect(Number(next)).toBeLessThan(2 ** 48)
    found.push(...items)
    cursor = next
    await between?.(steps)
    steps++
  } while (cursor !== '0')
  return { found, steps }
}

const many = (count: number, name: (i: number) => string) => Array.from({ length: count }, (_, i) => name(i))

describe.each([
  ['spread over all slots', (i: number) => `key:${i}`],
  ['in one slot', (i: number) => `{tag}:${i}`],
])('SCAN of keys %s', (_, name) => {
  test('meets every key once when nothing changes', async () => {
    const names = many(300, name)
    await redis.group(...names.map((key) => ['SET', key, 'v']))
    const { found, steps } = await walk(['SCAN'], ['COUNT', '7'])
    expect(found.sort()).toEqual(names.sort())
    expect(steps).toBeGreaterThan(30)
    expect((await walk(['SCAN'], ['COUNT', '100000'])).steps).toBe(1)
  })

  test('meets what stays while other keys come and go', async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(199)), fc.integer({ min: 1, max: 40 }), async (picks, count) => {
        await redis.run('FLUSHALL')
        const names = many(200, name)
        await redis.group(...names.map((key) => ['SET', key, 'v']))
        const stay = names.filter((_, i) => i % 2 === 0)
        const { found } = await walk(['SCAN'], ['COUNT', `${count}`], async () => {
          const place = picks.next().value ?? 0
          const goes = name(place - (place % 2) + 1)
          await redis.group(
            ['DEL', goes],
            ['SET', `${name(place)}:new`, 'v'],
            ['SET', stay[place % 100] as string, 'w'],
          )
        })
        expect(stay.filter((key) => !found.includes(key))).toEqual([])
        expect(stay.filter((key) => found.indexOf(key) !== found.lastIndexOf(key))).toEqual([])
      }),
      { numRuns: 10 },
    )
  })
})

describe('HSCAN of a large hash', () => {
  test('meets every field once, and what stays while others come and go', async () => {
    const names = many(500, (i) => `f${i}`)
    await redis.run('HSET', 'h', ...names.flatMap((name) => [name, `v-${name}`]))
    const { found, steps } = await walk(['HSCAN', 'h'], [], async (step) => {
      await redis.run('HDEL', 'h', `f${step * 2 + 1}`)
      await redis.run('HSET', 'h', `new${step}`, 'x', `f${step * 2}`, `v-f${step * 2}`)
    })
    expect(steps).toBeGreaterThan(40)
    const met = found.filter((_, i) => i % 2 === 0)
    for (let i = 0; i < 500; i += 2) expect(met.filter((name) => name === `f${i}`)).toHaveLength(1)
    for (const [i, name] of met.entries()) if (!name.startsWith('new')) expect(found[2 * i + 1]).toBe(`v-${name}`)
  })

  test('fields with the same hash stay together', async () => {
    const seen = new Map<number, string>()
    let pair: [string, string] | undefined
    for (let i = 0; pair === undefined; i++) {
      const name = `field${i}`
      const place = placeOf(name)
      const other = seen.get(place)
      if (other !== undefined) pair = [other, name]
      seen.set(place, name)
    }
    const names = [...many(200, (i) => `f${i}`), ...pair]
    await redis.run('HSET', 'h', ...names.flatMap((name) => [name, 'v']))
    const { found } = await walk(['HSCAN', 'h'], ['COUNT', '1', 'NOVALUES'])
    expect(found.sort()).toEqual(names.sort())
  })

  test('a cursor beyond the end ends the walk', async () => {
    await redis.run('HSET', 'h', ...many(200, (i) => `f${i}`).flatMap((name) => [name, 'v']))
    expect(await redis.run('HSCAN', 'h', `${2 ** 40}`)).toEqual(['0', []])
    expect(await redis.run('SCAN', '18446744073709551615')).toEqual(['0', []])
  })
})

describe('random choice', () => {
  test('RANDOMKEY reaches every key', async () => {
    const names = many(8, (i) => `k${i}`)
    await redis.group(...names.map((key) => ['SET', key, 'v']))
    const met = new Set(await Promise.all(many(300, () => '').map(() => redis.run('RANDOMKEY'))))
    expect([...met].sort()).toEqual(names)
  })

  test('HRANDFIELD chooses distinct fields for a count, and repeats for a negative one', async () => {
    const names = many(2000, (i) => `f${i}`)
    await redis.run('HSET', 'h', ...names.flatMap((name) => [name, name]))
    for (const count of [1, 5, 100, 1999, 2000]) {
      const chosen = (await redis.run('HRANDFIELD', 'h', `${count}`)) as string[]
      expect(new Set(chosen).size).toBe(count)
      expect(chosen.every((name) => names.includes(name))).toBe(true)
    }
    for (const count of [7, 3000]) expect(await redis.run('HRANDFIELD', 'h', `${-count}`)).toHaveLength(count)
    const all = await Promise.all(many(40, () => '').map(() => redis.run('HRANDFIELD', 'h')))
    expect(new Set(all).size).toBeGreaterThan(30)
    expect(await redis.run('HRANDFIELD', 'h', '-2000000')).toEqual({
      error: expect.stringContaining('at most 1000000'),
    })
  })

  test('HRANDFIELD of a small hash is even', async () => {
    await redis.run('HSET', 'h', 'a', '1', 'b', '2', 'c', '3')
    const chosen = (await redis.run('HRANDFIELD', 'h', '-3000')) as string[]
    for (const name of ['a', 'b', 'c']) {
      const share = chosen.filter((each) => each === name).length / 3000
      expect(share).toBeGreaterThan(0.28)
      expect(share).toBeLessThan(0.39)
    }
  })
})
