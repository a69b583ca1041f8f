import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createIdSource, decodeId, encodeId, isId, slotOfId, slotOfTurn } from './id.ts'

const parts = fc.record({
  ms: fc.nat({ max: 2 ** 48 - 1 }),
  slot: fc.nat({ max: 16383 }),
  counter: fc.nat({ max: 2 ** 18 - 1 }),
  random: fc.nat({ max: 2 ** 48 - 1 }),
})
const extremes = { ms: 2 ** 48 - 1, slot: 16383, counter: 2 ** 18 - 1, random: 2 ** 48 - 1 }

/** The 128 bits in one big integer, written in base 32 by its own definition. */
function slowId({ ms, slot, counter, random }: typeof extremes): string {
  let bits = (((BigInt(ms) << 14n) | BigInt(slot)) << 66n) | (BigInt(counter) << 48n) | BigInt(random)
  let text = ''
  for (let at = 0; at < 26; at++) {
    text = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[Number(bits & 31n)] + text
    bits >>= 5n
  }
  return text
}

describe('an id', () => {
  it('is the 128 bits of its parts in Crockford base32', () => {
    expect(encodeId(extremes)).toBe('7ZZZZZZZZZZZZZZZZZZZZZZZZZ')
    fc.assert(
      fc.property(parts, (p) => {
        expect(encodeId(p)).toBe(slowId(p))
      }),
    )
  })

  it('reads back to its parts and its slot', () => {
    fc.assert(
      fc.property(parts, (p) => {
        expect(decodeId(encodeId(p))).toEqual(p)
        expect(slotOfId(encodeId(p))).toBe(p.slot)
      }),
    )
  })

  it('is told from other text', () => {
    const id = encodeId(extremes)
    for (const text of ['', id.slice(1), `${id}0`, id.toLowerCase(), `8${id.slice(1)}`, `7U${id.slice(2)}`]) {
      expect(isId(text)).toBe(false)
      expect(slotOfId(text)).toBeUndefined()
      expect(decodeId(text)).toBeUndefined()
    }
    expect(isId(`7\u0130${id.slice(2)}`)).toBe(false)
  })
})

describe('a source of ids', () => {
  it('makes increasing ids of a slot though the clock stands still, steps back or overflows the counter', () => {
    const clock = [5, 5, 4, 6, 3]
    let calls = 0
    const source = createIdSource({ nowMs: () => clock[calls++] ?? 6, random: () => 2 ** 48 - 1 - calls })
    let last = source.next(77)
    for (let i = 0; i < 300_000; i++) {
      const id = source.next(77)
      if (!(id > last)) expect.fail(`${id} after ${last}`)
      last = id
    }
    expect(decodeId(last)).toMatchObject({ ms: 7, slot: 77 })
  })

  it('uses the clock, the randomness and the slot it is given', () => {
    const source = createIdSource({ nowMs: () => 1_700_000_000_123, random: () => 42 })
    expect(decodeId(source.next(9))).toEqual({ ms: 1_700_000_000_123, slot: 9, counter: 0, random: 42 })
    expect(decodeId(source.next(8))).toEqual({ ms: 1_700_000_000_123, slot: 8, counter: 1, random: 42 })
  })

  it('visits each slot once a round when no slot is named, from a turn drawn at random', () => {
    const source = createIdSource({ nowMs: () => 1, random: () => 5 })
    const seen = Array.from({ length: 16384 }, () => slotOfId(source.next()))
    expect(new Set(seen).size).toBe(16384)
    expect(seen[0]).toBe(slotOfTurn(5))
  })

  it.each([2, 3, 16, 17, 100])('fills %i shards evenly at any moment', (count) => {
    const filled = new Uint32Array(count)
    for (let turn = 0; turn < 2000; turn++) {
      const shard = Math.floor((slotOfTurn(turn) * count) / 16384)
      filled[shard] = (filled[shard] as number) + 1
      if (turn % 97 === 0) expect(Math.max(...filled) - Math.min(...filled)).toBeLessThanOrEqual(6)
    }
    expect(Math.max(...filled) - Math.min(...filled)).toBeLessThanOrEqual(4)
  })
})
