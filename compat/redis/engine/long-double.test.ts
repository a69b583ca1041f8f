import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addLongDoubles, formatLongDouble, type LongDouble, parseLongDouble } from './long-double.ts'

const finite = (value: LongDouble | undefined) => value as Exclude<LongDouble, string>
const add = (left: string, right: string) => {
  return formatLongDouble(finite(addLongDoubles(finite(parseLongDouble(left)), finite(parseLongDouble(right)))))
}

test('prints doubles as they are: 64 bits of mantissa hold their 53', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }), (value) => {
      fc.pre(value === 0 || Math.abs(value) > 1e-300)
      const { mantissa, exponent } = finite(parseLongDouble(`${value}`))
      expect(Math.abs(Number(mantissa) * 2 ** exponent - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -53)
    }),
  )
})

test('adds decimals without surprise', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: -1e9, max: 1e9 }), (left, right) => {
      const cents = (value: number) => (value / 100).toFixed(2)
      expect(Number(add(cents(left), cents(right))).toFixed(2)).toBe(cents(left + right).replace('-0.00', '0.00'))
    }),
  )
})

test('rounds half to even at 64 bits', () => {
  expect(add('18446744073709551615', '0')).toBe('18446744073709551615')
  expect(add('18446744073709551617', '0')).toBe('18446744073709551616')
  expect(add('36893488147419103234', '0')).toBe('36893488147419103232')
  expect(add('36893488147419103238', '0')).toBe('36893488147419103240')
  expect(add('36893488147419103236', '3')).toBe('36893488147419103240')
  expect(add('36893488147419103236', '1')).toBe('36893488147419103236')
})

test('keeps denormals, and refuses what is smaller', () => {
  expect(finite(parseLongDouble('3.7e-4951'))).toEqual({ mantissa: 1n, exponent: -16_445 })
  expect(parseLongDouble('1e-4952')).toBeUndefined()
  expect(parseLongDouble('1e-999999999999')).toBeUndefined()
})

test('keeps the largest, and refuses what is larger', () => {
  expect(finite(parseLongDouble('1.18973149535723176502e4932')).mantissa).toBe(2n ** 64n - 1n)
  expect(parseLongDouble('1.2e4932')).toBeUndefined()
  expect(parseLongDouble('0x1p16384')).toBeUndefined()
  expect(finite(parseLongDouble('0x1p16383')).mantissa).toBe(2n ** 63n)
})

test('knows the infinities', () => {
  expect(parseLongDouble('-INF')).toBe('-inf')
  expect(addLongDoubles('inf', 'inf')).toBe('inf')
  expect(addLongDoubles('inf', '-inf')).toBeUndefined()
})
