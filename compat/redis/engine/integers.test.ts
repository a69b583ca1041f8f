import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addInt64, negateInt64, parseInt64 } from './integers.ts'

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const fits = (value: bigint) => value >= -(2n ** 63n) && value < 2n ** 63n

test('parses every integer of 64 bits, as a number while that is exact', () => {
  fc.assert(
    fc.property(int64, (value) => {
      const parsed = parseInt64(`${value}`)
      expect(BigInt(parsed as bigint)).toBe(value)
      expect(typeof parsed).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint')
    }),
  )
})

test.each([
  '',
  '-',
  '+1',
  ' 1',
  '1 ',
  '01',
  '-0',
  '-01',
  '1.0',
  '1e3',
  '0x1',
  'a',
  '١',
  '9223372036854775808',
  '-9223372036854775809',
  '99999999999999999999',
  '123456789012345678901',
])('refuses %j', (text) => {
  expect(parseInt64(text)).toBeUndefined()
})

test('adds exactly, or tells that the sum does not fit', () => {
  fc.assert(
    fc.property(int64, int64, (left, right) => {
      const sum = addInt64(parseInt64(`${left}`) ?? 0, parseInt64(`${right}`) ?? 0)
      if (fits(left + right)) expect(BigInt(sum as bigint)).toBe(left + right)
      else expect(sum).toBeUndefined()
    }),
  )
})

test('negates all but the smallest', () => {
  expect(Object.is(negateInt64(0), 0)).toBe(true)
  expect(negateInt64(-5)).toBe(5)
  expect(negateInt64(2n ** 63n - 1n)).toBe(-(2n ** 63n - 1n))
  expect(negateInt64(-(2n ** 63n))).toBeUndefined()
})
