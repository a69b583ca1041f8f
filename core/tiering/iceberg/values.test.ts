import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { dateOf, daysOf, floorDivide } from './calendar.ts'
import { parseJson, stringifyJson } from './json.ts'
import { compileTransform, formatPartition, hashValue, parseTransform, resultType } from './transform.ts'
import { canPromote } from './types.ts'
import { compareValues, fromBinary, fromJson, toBinary, toJson, type Value } from './values.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const binary = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

/** Any value of a type. */
const valuesOf: Record<string, fc.Arbitrary<Value>> = {
  boolean: fc.boolean(),
  int: fc.integer(),
  long: fc
    .bigInt(-(2n ** 63n), 2n ** 63n - 1n)
    .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value)),
  float: fc.float({ noNaN: true }),
  double: fc.double({ noNaN: true }),
  'decimal(9,2)': fc.bigInt(-999_999_999n, 999_999_999n),
  'decimal(38,10)': fc.bigInt(-(10n ** 38n) + 1n, 10n ** 38n - 1n),
  date: fc.integer({ min: -1_000_000, max: 1_000_000 }),
  time: fc.integer({ min: 0, max: 86_399_999_999 }),
  timestamp: fc.maxSafeInteger(),
  timestamptz: fc.maxSafeInteger(),
  string: fc.string({ unit: 'grapheme' }),
  uuid: fc.uuid(),
  'fixed[4]': fc.uint8Array({ minLength: 4, maxLength: 4 }),
  binary: fc.uint8Array({ maxLength: 20 }),
}
const typed = fc
  .constantFrom(...Object.keys(valuesOf))
  .chain((type) => fc.tuple(fc.constant(type), valuesOf[type] as fc.Arbitrary<Value>))

describe('single values', () => {
  // Appendix D, and Iceberg Java's TestConversions.
  it.each([
    ['boolean', false, '00'],
    ['int', 84202, 'ea480100'],
    ['long', 200, 'c800000000000000'],
    ['float', -4.5, '000090c0'],
    ['double', 6, '0000000000001840'],
    ['date', 1000, 'e8030000'],
    ['time', 10_000, '1027000000000000'],
    ['timestamp', 400_000, '801a060000000000'],
    ['string', 'ABC', '414243'],
    ['uuid', 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 'f79c3e09677c4bbda4793f349cb785e7'],
    ['fixed[2]', binary('6162'), '6162'],
    ['decimal(9,2)', 345n, '0159'],
    ['decimal(9,2)', -1n, 'ff'],
    ['decimal(9,2)', 128n, '0080'],
  ] as [string, Value, string][])('%s is serialised as the specification says', (type, value, bytes) => {
    expect(hex(toBinary(type, value))).toBe(bytes)
    expect(fromBinary(type, binary(bytes))).toEqual(value)
  })

  it.each([
    ['decimal(9,2)', 1420n, '14.20'],
    ['decimal(9,2)', -5n, '-0.05'],
    ['date', 17_486, '2017-11-16'],
    ['date', -719_529, '-0001-12-31'],
    ['time', 81_068_123_456, '22:31:08.123456'],
    ['timestamp', 1_510_871_468_123_456, '2017-11-16T22:31:08.123456'],
    ['timestamptz', 1_510_871_468_000_001, '2017-11-16T22:31:08.000001+00:00'],
    ['timestamp', -1, '1969-12-31T23:59:59.999999'],
    ['binary', binary('000102ff'), '000102ff'],
  ] as [string, Value, string][])('%s as JSON', (type, value, json) => {
    expect(toJson(type, value)).toBe(json)
    expect(fromJson(type, json)).toEqual(value)
  })

  it('come back from bytes and from JSON', () => {
    fc.assert(
      fc.property(typed, ([type, value]) => {
        expect(fromBinary(type, toBinary(type, value))).toEqual(value)
        const json = parseJson(stringifyJson(toJson(type, value)))
        // JSON has neither infinities nor -0.
        if (Number.isFinite(value) || typeof value !== 'number')
          expect(fromJson(type, json)).toEqual(Object.is(value, -0) ? 0 : value)
      }),
    )
  })

  it('read bounds that are older than the width of their column', () => {
    expect(fromBinary('long', toBinary('int', -7))).toBe(-7)
    expect(fromBinary('double', toBinary('float', 1.5))).toBe(1.5)
    expect(() => fromBinary('int', toBinary('long', 1))).toThrow(Failure)
  })

  it('sort text by code points and uuids and bytes unsigned', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        const bytes = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect(Math.sign(compareValues(a, b))).toBe(bytes)
      }),
    )
  })

  it.each([
    ['date', '2017-02-29'],
    ['time', '24:00:00'],
    ['timestamptz', '2017-11-16T22:31:08'],
    ['timestamp', '2017-11-16T22:31:08Z'],
    ['decimal(4,2)', '1.234'],
    ['decimal(4,2)', '123.00'],
    ['uuid', 'f79c3e09'],
    ['fixed[2]', '00'],
    ['int', 'x'],
  ])('refuse %s %s', (type, text) => {
    expect(() => fromJson(type, text)).toThrow(Failure)
  })

  it('widen only to what holds every value', () => {
    expect(canPromote('int', 'long')).toBe(true)
    expect(canPromote('float', 'double')).toBe(true)
    expect(canPromote('decimal(9,2)', 'decimal(12, 2)')).toBe(true)
    for (const [from, to] of [
      ['long', 'int'],
      ['int', 'double'],
      ['decimal(9,2)', 'decimal(9,3)'],
      ['decimal(9,2)', 'decimal(8,2)'],
      ['fixed[2]', 'fixed[3]'],
    ]) {
      expect(canPromote(from as string, to as string)).toBe(false)
    }
  })
})

describe('the calendar', () => {
  it('agrees with JavaScript where that reaches', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e8, max: 1e8 }), (days) => {
        const date = new Date(days * 86_400_000)
        expect(dateOf(days)).toEqual({
          year: date.getUTCFullYear(),
          month: date.getUTCMonth() + 1,
          day: date.getUTCDate(),
        })
        expect(daysOf(dateOf(days))).toBe(days)
      }),
    )
  })

  it('divides exactly next to multiples near 2^53', () => {
    fc.assert(
      fc.property(fc.integer({ min: -104_000, max: 104_000 }), fc.integer({ min: -1, max: 1 }), (days, offset) => {
        const micros = days * 86_400_000_000 + offset
        expect(floorDivide(micros, 86_400_000_000)).toBe(offset < 0 ? days - 1 : days)
        expect(floorDivide(BigInt(micros), 86_400_000_000)).toBe(offset < 0 ? days - 1 : days)
      }),
    )
  })
})

describe('transforms', () => {
  // Appendix B.
  it.each([
    ['int', 34, 2017239379],
    ['long', 34, 2017239379],
    ['decimal(9,2)', 1420n, -500754589],
    ['date', '2017-11-16', -653330422],
    ['time', '22:31:08', -662762989],
    ['timestamp', '2017-11-16T22:31:08', -2047944441],
    ['timestamp', '2017-11-16T22:31:08.000001', -1207196810],
    ['timestamptz', '2017-11-16T14:31:08-08:00', -2047944441],
    ['string', 'iceberg', 1210000089],
    ['uuid', 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 1488055340],
    ['fixed[4]', binary('00010203'), -188683207],
    ['binary', binary('00010203'), -188683207],
  ] as [string, Value, number][])('hash %s %s as appendix B says', (type, value, hash) => {
    expect(hashValue(type, typeof value === 'string' ? (fromJson(type, value) as Value) : value)).toBe(hash)
  })

  it.each([
    ['truncate[10]', 'int', 1, 0],
    ['truncate[10]', 'int', -1, -10],
    ['truncate[10]', 'long', -(2n ** 63n) + 9n, -9223372036854775800n],
    ['truncate[50]', 'decimal(9,2)', 1065n, 1050n],
    ['truncate[3]', 'string', 'iceberg', 'ice'],
    ['truncate[2]', 'string', '😀é😀', '😀é'],
    ['truncate[3]', 'binary', binary('0102030405'), binary('010203')],
    ['year', 'timestamp', -1, -1],
    ['month', 'date', -1, -1],
    ['day', 'timestamptz', -1, -1],
    ['hour', 'timestamp', 3_600_000_000, 1],
    ['hour', 'timestamp', -1, -1],
    ['month', 'timestamp', 1_510_871_468_000_001, 574],
    ['year', 'date', 17_486, 47],
    ['void', 'string', 'x', null],
  ] as [string, string, Value, Value | null][])('%s of %s %s', (transform, type, value, result) => {
    const apply = compileTransform(parseTransform(transform), type)
    expect(apply(value)).toEqual(result)
    expect(apply(null)).toBeNull()
  })

  it('refuse types they are not for', () => {
    for (const [transform, type] of [
      ['bucket[4]', 'double'],
      ['truncate[4]', 'date'],
      ['hour', 'date'],
      ['day', 'long'],
    ]) {
      expect(() => resultType(parseTransform(transform as string), type as string)).toThrow(Failure)
    }
    expect(() => parseTransform('bucket[0]')).toThrow(Failure)
    expect(parseTransform('zorder')).toEqual({ name: 'unknown' })
  })

  it('are written into paths as people read them', () => {
    const shown = (transform: string, type: string, value: Value | null) =>
      formatPartition(parseTransform(transform), type, value)
    expect(shown('day', 'timestamp', 17_486)).toBe('2017-11-16')
    expect(shown('month', 'timestamp', -1)).toBe('1969-12')
    expect(shown('hour', 'timestamp', -1)).toBe('1969-12-31-23')
    expect(shown('identity', 'decimal(9,2)', 1420n)).toBe('14.20')
    expect(shown('identity', 'string', null)).toBe('null')
  })
})

describe('JSON', () => {
  it('keeps integers past 2^53, in and out of text', () => {
    const text =
      '{"id":9007199254740993,"neg":-9223372036854775808,"s":"9007199254740993 \\" 12345678901234567",' +
      '"n":[1.12345678901234567,1e3],"t":1515100955770123}'
    const value = parseJson(text) as Record<string, unknown>
    expect(value.id).toBe(9007199254740993n)
    expect(value.neg).toBe(-(2n ** 63n))
    expect(value.s).toBe('9007199254740993 " 12345678901234567')
    expect(value.n).toEqual([1.1234567890123457, 1000])
    expect(value.t).toBe(1515100955770123)
    expect(parseJson(stringifyJson(value))).toEqual(value)
    expect(stringifyJson({ a: 2n ** 60n })).toBe('{"a":1152921504606846976}')
  })
})
