import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { type BoundPredicate, bind, compileMatcher, type Leaf, type Predicate, testValue } from './expression.ts'
import { mightMatch } from './metrics.ts'
import { compilePartition, makeSpec, typesOf } from './partition.ts'
import { project, residual, testPartition } from './projection.ts'
import { makeSchema } from './schema.ts'
import { compareValues, toBinary, type Value } from './values.ts'

const micros = fc.integer({ min: -3 * 86_400_000_000 * 40, max: 3 * 86_400_000_000 * 40 })
const small: Record<string, fc.Arbitrary<Value>> = {
  int: fc.integer({ min: -30, max: 30 }),
  long: fc.oneof(fc.integer({ min: -30, max: 30 }), fc.constantFrom(2n ** 60n, 2n ** 60n + 1n, -(2n ** 60n))),
  'decimal(9,2)': fc.bigInt(-300n, 300n),
  date: fc.integer({ min: -800, max: 800 }),
  timestamp: micros,
  timestamptz: micros,
  string: fc.string({ unit: fc.constantFrom('a', 'b', '😀', '\uffff'), maxLength: 4 }),
  binary: fc.uint8Array({ maxLength: 3, max: 2 }),
  double: fc.constantFrom(-1.5, -0, 0, 2, Number.POSITIVE_INFINITY, Number.NaN),
}
const transforms: Record<string, string[]> = {
  int: ['identity', 'bucket[3]', 'truncate[7]'],
  long: ['identity', 'bucket[3]', 'truncate[7]'],
  'decimal(9,2)': ['identity', 'bucket[3]', 'truncate[50]'],
  date: ['identity', 'year', 'month', 'day', 'bucket[3]'],
  timestamp: ['year', 'month', 'day', 'hour', 'bucket[3]', 'void'],
  timestamptz: ['day', 'hour'],
  string: ['identity', 'bucket[3]', 'truncate[1]', 'truncate[2]'],
  binary: ['identity', 'truncate[2]', 'bucket[3]'],
  double: ['identity'],
}
const comparisons = ['lt', 'lt-eq', 'gt', 'gt-eq', 'eq', 'not-eq'] as const

interface Case {
  readonly type: string
  readonly transform: string
  readonly predicate: Predicate
  readonly values: (Value | null)[]
}

function leafOf(type: string): fc.Arbitrary<Predicate> {
  const value = (small[type] as fc.Arbitrary<Value>).filter((one) => !Number.isNaN(one))
  const column = 'x'
  const options: fc.Arbitrary<Predicate>[] = [
    fc.record({ op: fc.constantFrom(...comparisons), column: fc.constant(column), value }),
    fc.record({
      op: fc.constantFrom('in' as const, 'not-in' as const),
      column: fc.constant(column),
      values: fc.array(value, { maxLength: 3 }),
    }),
    fc.constantFrom(
      { op: 'is-null', column } as const,
      { op: 'not-null', column } as const,
      { op: 'is-nan', column } as const,
    ),
  ]
  const prefix = fc.record({
    op: fc.constantFrom('starts-with' as const, 'not-starts-with' as const),
    column: fc.constant(column),
    value,
  })
  return fc.oneof(...options, ...(type === 'string' ? [prefix] : []))
}

const cases: fc.Arbitrary<Case> = fc.constantFrom(...Object.keys(small)).chain((type) => {
  const leaf = leafOf(type)
  const args = fc.array(leaf, { minLength: 1, maxLength: 3 })
  const predicate: fc.Arbitrary<Predicate> = fc.oneof(
    leaf,
    fc.record({ op: fc.constantFrom('and' as const, 'or' as const), args }),
    leaf.map((arg) => ({ op: 'not', arg }) as const),
  )
  const values = fc.array(fc.option(small[type] as fc.Arbitrary<Value>), { minLength: 1, maxLength: 6 })
  return fc.record({
    type: fc.constant(type),
    transform: fc.constantFrom(...(transforms[type] as string[])),
    predicate,
    values,
  })
})

function setUp({ type, transform, predicate }: Case) {
  const schema = makeSchema([{ name: 'x', type }])
  const { spec } = makeSpec([{ column: 'x', transform, name: transform === 'identity' ? 'x' : 'p' }], {
    schema,
    specs: [],
    lastPartitionId: 999,
  })
  const bound = bind(predicate, schema)
  return {
    schema,
    spec,
    bound,
    typeOf: typesOf([schema]),
    matches: compileMatcher(bound, schema),
    partitionOf: compilePartition(spec, schema),
  }
}

/** What a manifest would say of values. */
function extentOf(type: string, values: readonly (Value | null)[]) {
  const real = values.filter((value): value is Value => value !== null)
  const numbers = real.filter((value) => !Number.isNaN(value)).sort(compareValues)
  const [lower, upper] = [numbers[0], numbers.at(-1)]
  return {
    lower: lower === undefined ? undefined : toBinary(type, lower),
    upper: upper === undefined ? undefined : toBinary(type, upper),
    nulls: real.length === 0 ? ('all' as const) : real.length === values.length ? ('none' as const) : ('some' as const),
    hasNan: numbers.length < real.length,
  }
}

describe('projections', () => {
  it('inclusive: never leave out the partition of a row that matches; strict: never take one that has others', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const { spec, bound, typeOf, matches, partitionOf } = setUp(one)
        const [wide, narrow] = [project(bound, spec, typeOf, 'inclusive'), project(bound, spec, typeOf, 'strict')]
        for (const x of one.values) {
          const partition = partitionOf({ x })
          if (matches({ x })) expect(testPartition(wide, spec, partition)).toBe(true)
          if (testPartition(narrow, spec, partition)) expect(matches({ x })).toBe(true)
        }
      }),
      { numRuns: 5_000 },
    )
  })

  it('residuals decide as the predicate does, for every row of the partition', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const { schema, spec, bound, typeOf, matches, partitionOf } = setUp(one)
        for (const x of one.values) {
          const left = residual(bound, spec, typeOf, partitionOf({ x }))
          expect(compileMatcher(left, schema)({ x })).toBe(matches({ x }))
        }
      }),
      { numRuns: 5_000 },
    )
  })

  it('bounds never leave out a file with a row that matches', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const { bound, matches } = setUp(one)
        const extent = extentOf(one.type, one.values)
        if (one.values.some((x) => matches({ x }))) expect(mightMatch(bound, () => extent)).toBe(true)
        expect(mightMatch(bound, () => undefined)).toBe(bound.op !== 'false')
      }),
      { numRuns: 5_000 },
    )
  })

  it('are as narrow as they can be for a day of timestamps', () => {
    const schema = makeSchema([{ name: 'ts', type: 'timestamp' }])
    const { spec } = makeSpec([{ column: 'ts', transform: 'day' }], { schema, specs: [], lastPartitionId: 999 })
    const inclusive = (predicate: Predicate) => project(bind(predicate, schema), spec, typesOf([schema]), 'inclusive')
    const midnight = '2017-11-16T00:00:00'
    const leaf = (op: Leaf['op'], value: Value): BoundPredicate => ({ op, id: 1000, type: 'date', values: [value] })
    expect(inclusive({ op: 'lt', column: 'ts', value: midnight })).toEqual(leaf('lt-eq', 17_485))
    expect(inclusive({ op: 'lt-eq', column: 'ts', value: midnight })).toEqual(leaf('lt-eq', 17_486))
    expect(inclusive({ op: 'gt', column: 'ts', value: '2017-11-15T23:59:59.999999' })).toEqual(leaf('gt-eq', 17_486))
    expect(inclusive({ op: 'eq', column: 'ts', value: midnight })).toEqual(leaf('in', 17_486))
  })
})

describe('predicates', () => {
  it('leave files out by bounds', () => {
    const extent = {
      lower: toBinary('string', 'bb'),
      upper: toBinary('string', 'bd'),
      nulls: 'none',
      hasNan: false,
    } as const
    const might = (op: Leaf['op'], ...values: Value[]) =>
      mightMatch({ op, id: 1, type: 'string', values }, () => extent)
    expect([
      might('eq', 'a'),
      might('eq', 'bc'),
      might('in', 'a', 'c'),
      might('lt', 'bb'),
      might('lt-eq', 'bb'),
    ]).toEqual([false, true, false, false, true])
    expect([
      might('gt', 'bd'),
      might('starts-with', 'b'),
      might('starts-with', 'c'),
      might('not-starts-with', 'b'),
    ]).toEqual([false, true, false, false])
    expect([might('is-null'), might('not-null')]).toEqual([false, true])
  })

  it('take text for dates and decimals, and refuse what is no value of the column', () => {
    const schema = makeSchema([
      { name: 'd', type: 'date' },
      { name: 'n', type: 'decimal(9,2)', required: true },
      { name: 'f', type: 'double' },
    ])
    expect(bind({ op: 'eq', column: 'd', value: '2017-11-16' }, schema)).toEqual({
      op: 'eq',
      id: 1,
      type: 'date',
      values: [17_486],
    })
    expect(bind({ op: 'gt', column: 'n', value: '14.2' }, schema)).toEqual({
      op: 'gt',
      id: 2,
      type: 'decimal(9,2)',
      values: [1420n],
    })
    expect(bind({ op: 'is-null', column: 'n' }, schema)).toEqual({ op: 'false' })
    expect(() => bind({ op: 'eq', column: 'd', value: 'soon' }, schema)).toThrow('column d')
    expect(() => bind({ op: 'eq', column: 'f', value: Number.NaN }, schema)).toThrow(Failure)
    expect(() => bind({ op: 'eq', column: 'x', value: 1 }, schema)).toThrow('no column x')
    expect(testValue({ op: 'not-eq', id: 1, type: 'int', values: [1] }, null)).toBe(false)
  })
})
