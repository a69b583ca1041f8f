/** Bounds never lie: in column chunks, in the page index, and in what Iceberg is told. */
import fc from 'fast-check'
import { readColumnIndex } from 'hyparquet/src/indexes.js'
import { expect, test } from 'vitest'
import type { StructType } from './schema.ts'
import { compareBounds } from './statistics.ts'
import { readMetadata, writeRows } from './testing.ts'
import { boundBytesMax, truncateMax, truncateMin } from './truncate.ts'

const column = (type: string): StructType => ({ type: 'struct', fields: [{ id: 9, name: 'c', required: false, type }] })
const order = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b)
const utf8 = (text: string) => new TextEncoder().encode(text)
const rowsOf = (values: readonly unknown[]) => values.map((c) => ({ c }))

async function statisticsOf(type: string, values: readonly unknown[]) {
  const { bytes, summary } = await writeRows(column(type), rowsOf(values))
  const chunk = (await readMetadata(bytes)).row_groups[0]?.columns[0]
  return {
    ...chunk?.meta_data?.statistics,
    chunk,
    summary,
    lower: summary.lowerBounds.get(9),
    upper: summary.upperBounds.get(9),
  }
}

test('a cut bound is short, lies on its side of the value, and is text when the value is', () => {
  const strict = new TextDecoder('utf-8', { fatal: true })
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 0, maxLength: 40 }), (text) => {
      const bytes = utf8(text)
      const min = truncateMin(bytes, true)
      const max = truncateMax(bytes, true)
      expect(order(min, bytes)).toBeLessThanOrEqual(0)
      expect(min.length).toBeLessThanOrEqual(boundBytesMax)
      strict.decode(min)
      if (max === undefined) return
      expect(order(max, bytes)).toBeGreaterThanOrEqual(0)
      expect(max.length).toBeLessThanOrEqual(boundBytesMax)
      strict.decode(max)
    }),
    { numRuns: 2000 },
  )
})

test('a cut bound of bytes lies on its side, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), fc.boolean(), (bytes, isText) => {
      expect(order(truncateMin(bytes, isText), bytes)).toBeLessThanOrEqual(0)
      const max = truncateMax(bytes, isText)
      if (max !== undefined) expect(order(max, bytes)).toBeGreaterThanOrEqual(0)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['a'.repeat(20), 'a'.repeat(16), `${'a'.repeat(15)}b`],
  // A character of three bytes that the 16th byte would cut.
  [`${'a'.repeat(15)}日本`, 'a'.repeat(15), `${'a'.repeat(14)}b`],
  // What follows U+D7FF are surrogates.
  [`${'a'.repeat(13)}\ud7ffxyz`, `${'a'.repeat(13)}\ud7ff`, `${'a'.repeat(13)}\ue000`],
  // The last character of all cannot be raised: the one before is.
  [`abc\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}`, 'abc\u{10ffff}\u{10ffff}\u{10ffff}', 'abd'],
  // The next character takes a byte more than there is room for.
  [`${'a'.repeat(15)}\u007fx`, `${'a'.repeat(15)}\u007f`, `${'a'.repeat(14)}b`],
])('cuts %j', (text, min, max) => {
  expect(new TextDecoder().decode(truncateMin(utf8(text), true))).toBe(min)
  expect(new TextDecoder().decode(truncateMax(utf8(text), true))).toBe(max)
})

test('nothing short lies above the highest characters and bytes', () => {
  expect(truncateMax(utf8('\u{10ffff}'.repeat(5)), true)).toBeUndefined()
  expect(truncateMax(new Uint8Array(17).fill(255), false)).toBeUndefined()
})

test('a column without an upper bound has none anywhere, and no column index', async () => {
  const values = [new Uint8Array(20).fill(255), Uint8Array.of(1)]
  const { max_value, min_value, chunk, lower, upper } = await statisticsOf('binary', values)
  expect(max_value).toBeUndefined()
  expect(upper).toBeUndefined()
  expect(chunk?.column_index_offset).toBeUndefined()
  expect(chunk?.offset_index_offset).toBeDefined()
  expect(min_value).toBeDefined()
  expect(lower).toEqual(Uint8Array.of(1))
})

test('says which bounds are values of the column', async () => {
  const exact = await statisticsOf('string', ['b', 'a'])
  expect(exact).toMatchObject({ min_value: 'a', max_value: 'b', is_min_value_exact: true, is_max_value_exact: true })
  const cut = await statisticsOf('string', ['b'.repeat(20), 'a'])
  expect(cut).toMatchObject({
    min_value: 'a',
    max_value: `${'b'.repeat(15)}c`,
    is_min_value_exact: true,
    is_max_value_exact: false,
  })
})

test('NaN is no bound, and is counted; zero is -0 below and +0 above', async () => {
  const mixed = await statisticsOf('double', [Number.NaN, 0, null, Number.NaN])
  expect(Object.is(mixed.min_value, -0)).toBe(true)
  expect(Object.is(mixed.max_value, 0)).toBe(true)
  expect(mixed.summary.nanCounts.get(9)).toBe(2)
  expect(mixed.summary.nullCounts.get(9)).toBe(1)
  expect(mixed.summary.valueCounts.get(9)).toBe(4)
  const nans = await statisticsOf('float', [Number.NaN, Number.NaN])
  expect(nans.min_value).toBeUndefined()
  expect(nans.lower).toBeUndefined()
  expect(nans.chunk?.column_index_offset).toBeUndefined()
})

test('nulls alone have no bounds, and are a null page', async () => {
  const { min_value, max_value, null_count, chunk, lower, summary } = await statisticsOf('string', [null, null])
  expect([min_value, max_value, lower]).toEqual([undefined, undefined, undefined])
  expect(null_count).toBe(2n)
  expect(chunk?.column_index_offset).toBeDefined()
  expect(summary.nanCounts.size).toBe(0)
})

test.each([
  ['boolean', [true, false], [0], [1]],
  ['int', [5, -1], [255, 255, 255, 255], [5, 0, 0, 0]],
  ['date', [1], [1, 0, 0, 0], [1, 0, 0, 0]],
  ['long', [2n ** 60n, 2], [2, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 16]],
  ['timestamptz', [3], [3, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]],
  ['double', [1], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
  ['decimal(9,2)', [-1, 128], [255], [0, 128]],
  ['decimal(18,2)', [-129, 127], [255, 127], [127]],
  ['decimal(38,2)', [-(2n ** 64n), 255n], [255, 0, 0, 0, 0, 0, 0, 0, 0], [0, 255]],
  ['string', ['b', 'a'], [97], [98]],
  ['fixed[2]', [Uint8Array.of(2, 0), Uint8Array.of(1, 9)], [1, 9], [2, 0]],
])('Iceberg is told the bounds of %s in its own form', async (type, values, lower, upper) => {
  const told = await statisticsOf(type, values)
  expect([...(told.lower ?? [])]).toEqual(lower)
  expect([...(told.upper ?? [])]).toEqual(upper)
})

/** Bounds as they are stored: hyparquet would read those of bytes as text. */
const asBytes = { stringFromBytes: (bytes: Uint8Array) => bytes }

const kinds: readonly (readonly [string, fc.Arbitrary<unknown>, (value: unknown) => unknown])[] = [
  ['int', fc.integer(), (value) => value],
  ['long', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => value],
  ['double', fc.double(), (value) => value],
  ['string', fc.string({ unit: 'binary', maxLength: 30 }), (value) => utf8(value as string)],
  ['binary', fc.uint8Array({ maxLength: 30 }), (value) => value],
  ['fixed[4]', fc.uint8Array({ minLength: 4, maxLength: 4 }), (value) => value],
]

test.each(kinds)('all bounds of %s hold all values', async (type, arbitrary, comparable) => {
  const leaf = { primitive: type } as Parameters<typeof compareBounds>[0]
  const values = fc.array(fc.option(fc.oneof(arbitrary, fc.constantFrom(...fc.sample(arbitrary, 2)))), {
    minLength: 1,
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(values, fc.integer({ min: 1, max: 20 }), async (given, pageRows) => {
      const { bytes } = await writeRows(column(type), rowsOf(given), { pageRows })
      const metadata = await readMetadata(bytes, asBytes)
      const chunk = metadata.row_groups[0]?.columns[0]
      const holds = (min: unknown, max: unknown, part: readonly unknown[]) => {
        for (const value of part) {
          if (value === null || Number.isNaN(value)) continue
          const here = comparable(value)
          if (min !== undefined) expect(compareBounds(leaf, min as never, here as never)).toBeLessThanOrEqual(0)
          if (max !== undefined) expect(compareBounds(leaf, max as never, here as never)).toBeGreaterThanOrEqual(0)
        }
      }
      const { min_value, max_value, null_count } = chunk?.meta_data?.statistics ?? {}
      holds(min_value, max_value, given)
      expect(Number(null_count)).toBe(given.filter((value) => value === null).length)
      if (chunk?.column_index_offset === undefined) return
      const start = Number(chunk.column_index_offset)
      const view = new DataView(bytes.slice(start, start + (chunk.column_index_length ?? 0)).buffer)
      const index = readColumnIndex({ view, offset: 0 }, metadata.schema[1] as never, asBytes)
      expect(index.null_pages.length).toBe(Math.ceil(given.length / pageRows))
      for (const [page, isNull] of index.null_pages.entries()) {
        const part = given.slice(page * pageRows, (page + 1) * pageRows)
        expect(isNull).toBe(part.every((value) => value === null))
        expect(Number(index.null_counts?.[page])).toBe(part.filter((value) => value === null).length)
        if (!isNull) holds(index.min_values[page], index.max_values[page], part)
      }
      const bounded = [...index.null_pages.keys()].filter((page) => !index.null_pages[page])
      for (const [at, page] of bounded.entries()) {
        if (at === 0 || index.boundary_order === 'UNORDERED') continue
        const before = bounded[at - 1] as number
        const sign = index.boundary_order === 'ASCENDING' ? 1 : -1
        for (const bounds of [index.min_values, index.max_values]) {
          expect(compareBounds(leaf, bounds[before] as never, bounds[page] as never) * sign).toBeLessThanOrEqual(0)
        }
      }
    }),
    { numRuns: 60 },
  )
})
