import { expect, it } from 'vitest'
import { distinctNames, isoOfMicros, toJsonOf } from './sql-values.ts'

it.each([
  [0, '1970-01-01T00:00:00.000000'],
  [1_700_000_000_123_456, '2023-11-14T22:13:20.123456'],
  [-1, '1969-12-31T23:59:59.999999'],
  [-1_000, '1969-12-31T23:59:59.999000'],
  [2n ** 60n, '+038504-08-17T21:30:06.846976'],
  [2n ** 63n - 1n, '9223372036854775807'],
])('%s microseconds are %s', (micros, iso) => {
  expect(isoOfMicros(micros, 'Z').replace(/Z$/, '')).toBe(iso)
})

it.each([
  ['long', 5, 5],
  ['long', 5n, 5],
  ['long', 2n ** 53n, '9007199254740992'],
  ['double', 0.5, 0.5],
  ['double', Number.NaN, 'NaN'],
  ['double', Number.NEGATIVE_INFINITY, '-Infinity'],
  ['timestamptz', 1_000_000, '1970-01-01T00:00:01.000000Z'],
  ['timestamp', 1_000_000, '1970-01-01T00:00:01.000000'],
  ['timestamptz', null, null],
  ['binary', new Uint8Array([255, 254]), '//4='],
  ['list<long>', [1n, 2n ** 60n, new Uint8Array([1])], [1, '1152921504606846976', 'AQ==']],
  ['struct<a: double>', { a: { b: Number.NaN } }, { a: { b: 'NaN' } }],
  ['a type of tomorrow', 7n, 7],
])('a %s of %s is %j in JSON', (type, value, json) => {
  expect(toJsonOf(type)?.(value)).toEqual(json)
})

it.each(['string', 'int', 'boolean', 'json', 'date', 'time', 'decimal(9,2)'])('a %s is JSON as it is', (type) => {
  expect(toJsonOf(type)).toBeUndefined()
})

it('names that repeat are told apart', () => {
  expect(distinctNames(['a', 'a', 'a_2', 'a', 'b'])).toEqual(['a', 'a_3', 'a_2', 'a_4', 'b'])
})
