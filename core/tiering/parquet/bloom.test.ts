import fc from 'fast-check'
import { hashParquetValue, readBloomFilter, sbbfContains } from 'hyparquet/src/bloom.js'
import { xxhash64 as reference } from 'hyparquet/src/xxhash.js'
import { expect, test } from 'vitest'
import { bloomBytes } from './bloom.ts'
import type { StructType } from './schema.ts'
import { readMetadata, writeRows } from './testing.ts'
import { xxhash64 } from './xxhash.ts'

const hash = (bytes: Uint8Array, from = 0, to = bytes.length) => {
  const into = new Int32Array(2)
  xxhash64(bytes, from, to, into)
  return new BigUint64Array(into.buffer)[0] as bigint
}

test('xxHash64 agrees with the reference on every length and content', () => {
  // From the specification's own test vectors: the empty input, seed 0.
  expect(hash(new Uint8Array(0))).toBe(0xef46db3751d8e999n)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(hash(bytes)).toBe(reference(bytes))
    }),
    { numRuns: 1000 },
  )
  const all = Uint8Array.from({ length: 100 }, (_, at) => at * 7)
  expect(hash(all, 3, 80)).toBe(reference(all.subarray(3, 80)))
})

const schema = (type: string): StructType => ({ type: 'struct', fields: [{ id: 1, name: 'c', required: false, type }] })

async function filterOf(type: string, values: readonly unknown[]) {
  const { bytes } = await writeRows(
    schema(type),
    values.map((c) => ({ c })),
    { bloom: ['c'] },
  )
  const metadata = await readMetadata(bytes)
  const { bloom_filter_offset: offset, bloom_filter_length: length } =
    metadata.row_groups[0]?.columns[0]?.meta_data ?? {}
  if (offset === undefined) return undefined
  const start = Number(offset)
  const filter = readBloomFilter({ view: new DataView(bytes.slice(start, start + (length ?? 0)).buffer), offset: 0 })
  return (value: unknown) =>
    sbbfContains(filter?.blocks as Uint32Array, hashParquetValue(value, metadata.schema[1] as never) as bigint)
}

const scattered = (at: number) => Math.imul(at, 0x9e3779b1) | 0
test.each([
  ['string', (at: number) => `key-${at}`],
  ['long', (at: number) => BigInt(scattered(at)) * 1_000_003n],
  ['long', (at: number) => 2n ** 62n + BigInt(at)],
  ['int', scattered],
  ['double', (at: number) => at / 7],
  ['float', (at: number) => Math.fround(at / 7)],
  ['binary', (at: number) => Uint8Array.of(at, at >> 8)],
  ['fixed[4]', (at: number) => Uint8Array.of(at, at >> 8, 1, 2)],
])('a filter of %s never says no to what is there, and seldom yes to what is not', async (type, make) => {
  const values = Array.from({ length: 3000 }, (_, at) => make(at))
  const has = await filterOf(type, [...values, null])
  for (const value of values) expect(has?.(value)).toBe(true)
  let falsely = 0
  for (let at = 3000; at < 13_000; at++) if (has?.(make(at))) falsely++
  expect(falsely / 10_000).toBeLessThan(0.015)
})

test('a filter of a column with a dictionary has all values', async () => {
  const values = Array.from({ length: 3000 }, (_, at) => `key-${at % 60}`)
  const has = await filterOf('string', values)
  for (const value of values) expect(has?.(value)).toBe(true)
  expect(has?.('key-60')).toBe(false)
})

test('there is no filter of booleans, of nulls alone, or of columns that were not named', async () => {
  expect(await filterOf('boolean', [true])).toBeUndefined()
  expect(await filterOf('string', [null])).toBeUndefined()
  const { bytes } = await writeRows(schema('string'), [{ c: 'a' }])
  expect((await readMetadata(bytes)).row_groups[0]?.columns[0]?.meta_data?.bloom_filter_offset).toBeUndefined()
})

test('a filter has 10 bits a value, and no more than 1 MB', () => {
  expect(bloomBytes(1)).toBe(32)
  expect(bloomBytes(100_000)).toBe(128 * 1024)
  expect(bloomBytes(1e9)).toBe(1024 * 1024)
})
