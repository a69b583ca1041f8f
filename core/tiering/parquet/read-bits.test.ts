import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Failure } from '../../errors.ts'
import { writeDelta } from './delta.ts'
import { writeHybrid } from './hybrid.ts'
import { Output } from './output.ts'
import { type Cursor, readDelta, readHybrid } from './read-bits.ts'

const cursorOf = (output: Output): Cursor => ({ bytes: output.copy(), at: 0 })

test('the hybrid of runs and bits, of every width', () => {
  const runs = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 40 })), { maxLength: 20 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 31 }), runs, (width, parts) => {
      const values = Int32Array.from(parts.flatMap(([value, times]) => Array(times).fill(value % 2 ** width)))
      const output = new Output()
      writeHybrid(output, values, 0, values.length, width)
      const read = new Int32Array(values.length)
      const cursor = cursorOf(output)
      readHybrid(cursor, width, read)
      expect(read).toEqual(values)
    }),
  )
})

test('places of 25 bits and more, which hyparquet 1.31.5 reads wrong when they are packed', () => {
  const values = Int32Array.from({ length: 64 }, (_, at) => (at * 0x9e3779b1) >>> 5)
  const output = new Output()
  writeHybrid(output, values, 0, values.length, 27)
  const read = new Int32Array(64)
  readHybrid(cursorOf(output), 27, read)
  expect(read).toEqual(values)
})

test('differences, narrow and wide, of 32 and of 64 bits', () => {
  const span = fc.integer({ min: 0, max: 50 }).chain((bits) => {
    return fc.array(fc.maxSafeNat().map((value) => Math.floor(value / 2 ** (53 - bits)) - 2 ** (bits - 1)))
  })
  fc.assert(
    fc.property(fc.oneof(span, fc.array(fc.integer())), fc.boolean(), (numbers, wraps) => {
      const values = numbers.map((value) => (wraps ? value | 0 : Math.floor(value)))
      const output = new Output()
      writeDelta(output, values, 0, values.length, wraps)
      const end = output.length
      output.byte(0xff)
      const cursor = cursorOf(output)
      expect(readDelta(cursor, values.length, wraps)).toEqual(values)
      // What follows begins where they end, but for empty input, which has no block.
      expect(cursor.at).toBe(end)
    }),
  )
})

test('differences past 2^53 come as bigints', () => {
  // A block of 128 in 4; the values 2^62 and 2^62 + 3: the least difference 3, widths of 0.
  const output = new Output()
  for (const value of [128, 4, 2]) output.varint(value)
  const zigzag = (2n ** 62n) << 1n
  for (let rest = zigzag; ; rest >>= 7n) {
    output.byte(Number(rest & 0x7fn) | (rest >= 0x80n ? 0x80 : 0))
    if (rest < 0x80n) break
  }
  for (const byte of [6, 0, 0, 0, 0]) output.byte(byte)
  expect(readDelta(cursorOf(output), 2, false)).toEqual([2n ** 62n, 2n ** 62n + 3n])
})

test('damage is answered with a failure, never with a crash or a hang', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.integer({ min: 0, max: 32 }),
      fc.nat(300),
      (bytes, width, count) => {
        for (const read of [
          () => readHybrid({ bytes, at: 0 }, width, new Int32Array(count)),
          () => readDelta({ bytes, at: 0 }, count, width > 16),
        ]) {
          try {
            read()
          } catch (error) {
            expect(error instanceof Failure || error instanceof RangeError).toBe(true)
          }
        }
      },
    ),
    { numRuns: 3_000 },
  )
})
