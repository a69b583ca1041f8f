import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeRoaring, encodeRoaring } from './roaring.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const fromHex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
const range = (from: number, count: number, step = 1) => Array.from({ length: count }, (_, at) => from + at * step)

/** The bitmap of Delta Lake's protocol document (an inline deletion vector of 3, 4, 7, 11, 18, 29), written by the Java
 *  library; behind one key of 64 bits.
 *  @source https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Deletion Vector Descriptor Schema" */
const javaBitmap = '3a300000 01000000 0000 0500 10000000 0300 0400 0700 0b00 1200 1d00'

describe('roaring bitmaps', () => {
  it('are those that the Java library writes', () => {
    const bytes = fromHex(`0100000000000000 00000000 ${javaBitmap}`)
    expect(hex(encodeRoaring([3, 4, 7, 11, 18, 29]))).toBe(hex(bytes))
    expect(decodeRoaring(bytes)).toEqual([3, 4, 7, 11, 18, 29])
  })

  it('are to the letter of the specification: none, runs, bitmaps, arrays, several keys', () => {
    expect(hex(encodeRoaring([]))).toBe('0000000000000000')
    // Cookie 12347 with one container, its run flag, key 0 and 100 values, one run of 100 from 5 on; no offsets.
    const run = fromHex('0100000000000000 00000000 3b300000 01 0000 6300 0100 0500 6300')
    expect(hex(encodeRoaring(range(5, 100)))).toBe(hex(run))
    // Every second of 10,000 numbers: a bitmap, whose offset is 16.
    const bits = encodeRoaring(range(0, 5_000, 2))
    expect(hex(bits.subarray(0, 30))).toBe(
      hex(fromHex('0100000000000000 00000000 3a300000 01000000 0000 8713 10000000 5555')),
    )
    expect(bits.length).toBe(8 + 4 + 16 + 8_192)
    // Two bitmaps of 64 bits, keys 0 and 1.
    const two = '0200000000000000 00000000 3a300000 01000000 0000 0000 10000000 0100'
    expect(hex(encodeRoaring([1, 2 ** 32 + 2]))).toBe(
      hex(fromHex(`${two} 01000000 3a300000 01000000 0000 0000 10000000 0200`)),
    )
  })

  it('come back, whatever they hold', () => {
    const cluster = fc
      .tuple(
        fc.oneof(fc.nat(200_000), fc.maxSafeNat()),
        fc.integer({ min: 1, max: 6_000 }),
        fc.integer({ min: 1, max: 3 }),
      )
      .map(([from, count, step]) => range(Math.min(from, 2 ** 53 - 1 - count * step), count, step))
    const sets = fc.array(fc.oneof(cluster, fc.array(fc.nat(1_000_000), { maxLength: 50 })), { maxLength: 6 })
    fc.assert(
      fc.property(sets, (clusters) => {
        const positions = [...new Set(clusters.flat())].sort((a, b) => a - b)
        expect(decodeRoaring(encodeRoaring(positions))).toEqual(positions)
      }),
      { numRuns: 100 },
    )
  })

  it('are read with offsets or without, from four containers with runs on', () => {
    const positions = [0, 1, 2, 3].flatMap((key) => range(key * 65_536, 50))
    const bytes = encodeRoaring(positions)
    expect(bytes.length).toBe(8 + 4 + (4 + 1 + 4 * 4 + 4 * 4 + 4 * 6))
    expect(decodeRoaring(bytes)).toEqual(positions)
    expect(decodeRoaring(encodeRoaring(positions.slice(50)))).toEqual(positions.slice(50))
  })

  it('are refused when they are damaged, and never read past their end', () => {
    const whole = encodeRoaring([...range(0, 100), ...range(70_000, 5_000, 2), 2 ** 33])
    for (let length = 0; length < whole.length; length += length < 100 ? 1 : 97) {
      expect(() => decodeRoaring(whole.subarray(0, length))).toThrow('no Roaring bitmap')
    }
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const damaged = whole.slice()
        damaged[at] = byte
        try {
          const read = decodeRoaring(damaged)
          expect(read.every((one, index) => index === 0 || one > (read[index - 1] as number))).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/invalid|limit/) })
        }
      }),
    )
    expect(() => decodeRoaring(fromHex('0100000000000000 ffffffff'))).toThrow('2^53')
  })

  it('are of numbers that rise', () => {
    for (const positions of [[2, 1], [1, 1], [-1], [0.5], [2 ** 53]]) {
      expect(() => encodeRoaring(positions)).toThrow('whole numbers that rise')
    }
  })
})
