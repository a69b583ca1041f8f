import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { combineBits, countBits, findBit, fitInteger, getBit, readInteger, setBit, writeInteger } from './bits.ts'

const bin = fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => String.fromCharCode(...bytes))
/** The same bits as text, one char each. */
const bitsOf = (value: string) => [...value].map((char) => char.charCodeAt(0).toString(2).padStart(8, '0')).join('')
const withRange = bin.chain((value) => {
  const place = fc.nat(value.length * 8 - 1)
  return fc.tuple(fc.constant(value), place, place)
})

describe('bits agree with their text', () => {
  test('get, set, count and find', () => {
    fc.assert(
      fc.property(withRange, fc.constantFrom(0, 1), ([value, from, to], bit) => {
        const text = bitsOf(value)
        expect(getBit(value, from)).toBe(Number(text[from]))
        expect(bitsOf(setBit(value, from, bit))).toBe(text.slice(0, from) + bit + text.slice(from + 1))
        const part = text.slice(from, to + 1)
        expect(countBits(value, from, to)).toBe(part.replaceAll('0', '').length)
        const at = part.indexOf(`${bit}`)
        expect(findBit(value, bit, from, to)).toBe(at < 0 ? -1 : from + at)
      }),
    )
  })

  test('integers of any width at any place', () => {
    fc.assert(
      fc.property(withRange, fc.boolean(), fc.bigInt(), ([value, from, to], signed, integer) => {
        const [low, high] = [Math.min(from, to), Math.max(from, to)]
        const type = { signed, bits: high - low + 1 }
        const text = bitsOf(value)
        const unsigned = BigInt(`0b${text.slice(low, high + 1)}`)
        expect(readInteger(value, type, low)).toBe(signed ? BigInt.asIntN(type.bits, unsigned) : unsigned)
        const written = bitsOf(writeInteger(value, type, low, integer))
        const wanted = BigInt.asUintN(type.bits, integer).toString(2).padStart(type.bits, '0')
        expect(written).toBe(text.slice(0, low) + wanted + text.slice(high + 1))
      }),
    )
  })

  test('operations, shorter strings padded', () => {
    fc.assert(
      fc.property(bin, bin, (left, right) => {
        const size = Math.max(left.length, right.length) * 8
        const [a, b] = [left, right].map((value) => bitsOf(value).padEnd(size, '0')) as [string, string]
        const zip = (operate: (x: number, y: number) => number) =>
          [...a].map((char, i) => operate(Number(char), Number(b[i]))).join('')
        expect(bitsOf(combineBits('and', [left, right]))).toBe(zip((x, y) => x & y))
        expect(bitsOf(combineBits('or', [left, right]))).toBe(zip((x, y) => x | y))
        expect(bitsOf(combineBits('xor', [left, right]))).toBe(zip((x, y) => x ^ y))
        expect(bitsOf(combineBits('not', [left]))).toBe([...bitsOf(left)].map((char) => 1 - Number(char)).join(''))
      }),
    )
  })
})

test('sums that do not fit wrap, stop at the end or fail', () => {
  const i8 = { signed: true, bits: 8 }
  const u8 = { signed: false, bits: 8 }
  expect(fitInteger(i8, 130n, 'wrap')).toBe(-126n)
  expect(fitInteger(i8, 130n, 'sat')).toBe(127n)
  expect(fitInteger(i8, -130n, 'sat')).toBe(-128n)
  expect(fitInteger(u8, -1n, 'sat')).toBe(0n)
  expect(fitInteger(u8, 256n, 'sat')).toBe(255n)
  expect(fitInteger(u8, 256n, 'fail')).toBeUndefined()
  expect(fitInteger(u8, 255n, 'fail')).toBe(255n)
})
