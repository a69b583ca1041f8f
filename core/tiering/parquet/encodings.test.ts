/** Every encoding on every type that it can hold, over values that lie at its edges, read back by hyparquet. */
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import type { Encoding } from './metadata.ts'
import type { StructType } from './schema.ts'
import { readMetadata, readRows, writeRows } from './testing.ts'

const column = (type: string, required = false): StructType => ({
  type: 'struct',
  fields: [{ id: 1, name: 'c', required, type }],
})

const big = (values: readonly (number | bigint)[]) => values.map(BigInt)
const range = <T>(length: number, make: (at: number) => T) => Array.from({ length }, (_, at) => make(at))

interface Case {
  readonly name: string
  readonly type: string
  readonly values: readonly unknown[]
  readonly encodings: readonly Encoding[]
  readonly read?: readonly unknown[]
}

const longs = (name: string, values: readonly (number | bigint)[]): Case => ({
  name,
  type: 'long',
  values,
  encodings: ['plain', 'dictionary', 'delta'],
  read: big(values),
})

const ints = (name: string, values: readonly number[]): Case => ({
  name,
  type: 'int',
  values,
  encodings: ['plain', 'dictionary', 'delta'],
})

const texts = (name: string, values: readonly string[]): Case => ({
  name,
  type: 'string',
  values,
  encodings: ['plain', 'dictionary', 'delta_length'],
})

const bits = range(53, (bit) => [2 ** bit, -(2 ** bit)]).flat()

const cases: readonly Case[] = [
  { name: 'booleans in turn', type: 'boolean', values: range(77, (at) => at % 3 === 0), encodings: ['plain', 'rle'] },
  { name: 'booleans alike', type: 'boolean', values: range(1000, () => true), encodings: ['plain', 'rle'] },
  ints(
    'counting',
    range(1000, (at) => at),
  ),
  ints(
    '32-bit extremes in turn',
    range(300, (at) => (at % 2 === 0 ? 2 ** 31 - 1 : -(2 ** 31))),
  ),
  ints('every width', range(31, (bit) => [2 ** bit, -(2 ** bit)]).flat()),
  ints('one value', [42]),
  ints(
    'a block and one',
    range(129, (at) => at * at),
  ),
  ints(
    'a miniblock and one',
    range(34, (at) => at % 7),
  ),
  longs(
    'counting',
    range(1000, (at) => at + 1),
  ),
  longs(
    'every width within 2^52',
    bits.filter((value) => Math.abs(value) <= 2 ** 51),
  ),
  longs('every width within 2^53', bits),
  longs('around the widest span', [0, 2 ** 52, 1, 2 ** 52 - 1, 0, 2 ** 52]),
  longs('past 2^53', [2n ** 63n - 1n, -(2n ** 63n), 0n, 2n ** 53n, -(2n ** 53n) - 1n, 7]),
  longs('past 2^53 from the second on', [1, 2n ** 60n, 2]),
  longs(
    'microseconds',
    range(500, (at) => 1_760_000_000_000_000 + at * at * 1000),
  ),
  {
    name: 'doubles of all kinds',
    type: 'double',
    values: [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324, 1.5, 1.5, -1e300],
    encodings: ['plain', 'dictionary'],
  },
  { name: 'floats', type: 'float', values: [0, -0, 1.5, -2.25, Number.NaN, 1.5], encodings: ['plain', 'dictionary'] },
  texts(
    'few distinct',
    range(500, (at) => `value-${at % 7}`),
  ),
  texts('unicode', ['', 'é', '日本語', '😀😀', 'a\0b', '\u{10ffff}', 'z'.repeat(70), 'ü'.repeat(70)]),
  texts(
    'lengths from 0 to 300',
    range(301, (at) => 'x'.repeat(at)),
  ),
  {
    name: 'bytes',
    type: 'binary',
    values: range(300, (at) => Uint8Array.from({ length: at % 5 }, (_, byte) => at * byte)),
    encodings: ['plain', 'dictionary', 'delta_length'],
  },
  {
    name: 'bytes of one width',
    type: 'fixed[3]',
    values: range(300, (at) => Uint8Array.of(at, at >> 1, at % 3)),
    encodings: ['plain', 'dictionary'],
  },
  {
    name: 'UUIDs as text',
    type: 'uuid',
    values: ['F79C3E09-677c-4bbd-a479-3f349cb785e7', '00000000-0000-0000-0000-000000000001'],
    encodings: ['plain', 'dictionary'],
    read: [
      Uint8Array.of(0xf7, 0x9c, 0x3e, 0x09, 0x67, 0x7c, 0x4b, 0xbd, 0xa4, 0x79, 0x3f, 0x34, 0x9c, 0xb7, 0x85, 0xe7),
      Uint8Array.from({ length: 16 }, (_, at) => (at === 15 ? 1 : 0)),
    ],
  },
]

const nullPatterns: { readonly [name: string]: (at: number) => boolean } = {
  'no nulls': () => false,
  'nulls in turn': (at) => at % 2 === 0,
  'nulls first': (at) => at < 20,
  'nulls alone': () => true,
  'one null last': (at) => at === 0,
}

describe.each(cases.map((one) => [`${one.type}: ${one.name}`, one] as const))(
  '%s',
  (_, { type, values, encodings, read = values }) => {
    const wanted = [undefined, ...encodings]
    it.each(wanted.map((encoding) => [encoding ?? 'by sample', encoding] as const))('%s', async (_, encoding) => {
      const options = { pageRows: 50, ...(encoding && { encodings: { c: encoding } }) }
      for (const isNull of Object.values(nullPatterns)) {
        // Nulls come between the values, so that no value is left out.
        const plan = range(values.length * 2, isNull)
        const given: unknown[] = []
        const expected: unknown[] = []
        let at = 0
        for (const none of plan) {
          if (!none && at === values.length) break
          given.push(none ? null : values[at])
          expected.push(none ? null : read[at++])
        }
        const { bytes } = await writeRows(
          column(type),
          given.map((c) => ({ c })),
          options,
        )
        const rows = await readRows(bytes)
        expect(rows.map(({ c }) => c)).toEqual(expected)
      }
      const { bytes } = await writeRows(
        column(type, true),
        values.map((c) => ({ c })),
        options,
      )
      expect((await readRows(bytes)).map(({ c }) => c)).toEqual(read)
    })
  },
)

describe('the choice of an encoding', () => {
  const chosen = async (type: string, values: readonly unknown[], encodings?: { c: Encoding }) => {
    const { bytes } = await writeRows(
      column(type),
      values.map((c) => ({ c })),
      encodings && { encodings },
    )
    const found = (await readMetadata(bytes)).row_groups[0]?.columns[0]?.meta_data?.encoding_stats
    return found?.at(-1)?.encoding
  }
  const scattered = (at: number) => {
    const mixed = Math.imul(at ^ 0x5bd1e995, 0x85ebca6b)
    return Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0
  }

  it('takes differences for what counts up', async () => {
    expect(
      await chosen(
        'long',
        range(5000, (at) => at),
      ),
    ).toBe('DELTA_BINARY_PACKED')
    expect(
      await chosen(
        'timestamptz',
        range(5000, (at) => 1.7e15 + at * 1e5 + (scattered(at) % 1e5)),
      ),
    ).toBe('DELTA_BINARY_PACKED')
  })

  it('takes a dictionary for what comes again', async () => {
    expect(
      await chosen(
        'string',
        range(5000, (at) => `v${at % 100}`),
      ),
    ).toBe('RLE_DICTIONARY')
    expect(
      await chosen(
        'double',
        range(5000, (at) => (scattered(at) % 50) / 7),
      ),
    ).toBe('RLE_DICTIONARY')
    expect(
      await chosen(
        'long',
        range(5000, (at) => (scattered(at) % 3) * 2 ** 40),
      ),
    ).toBe('RLE_DICTIONARY')
    expect(
      await chosen(
        'uuid',
        range(5000, (at) => new Uint8Array(16).fill(at % 9)),
      ),
    ).toBe('RLE_DICTIONARY')
  })

  it('takes neither for what does not', async () => {
    expect(
      await chosen(
        'string',
        range(5000, (at) => `v${scattered(at)}`),
      ),
    ).toBe('DELTA_LENGTH_BYTE_ARRAY')
    expect(
      await chosen(
        'double',
        range(5000, (at) => scattered(at) / 7),
      ),
    ).toBe('PLAIN')
    expect(
      await chosen(
        'long',
        range(5000, (at) => BigInt(scattered(at)) << 31n),
      ),
    ).toBe('PLAIN')
    expect(
      await chosen(
        'int',
        range(5000, (at) => scattered(at) | 0),
      ),
    ).toBe('PLAIN')
    expect(
      await chosen(
        'boolean',
        range(50, (at) => at % 2 === 0),
      ),
    ).toBe('RLE')
  })

  it('obeys the caller, as far as the values allow', async () => {
    expect(
      await chosen(
        'long',
        range(500, (at) => at),
        { c: 'plain' },
      ),
    ).toBe('PLAIN')
    expect(
      await chosen(
        'string',
        range(500, (at) => `v${at % 9}`),
        { c: 'delta_length' },
      ),
    ).toBe('DELTA_LENGTH_BYTE_ARRAY')
    expect(await chosen('long', [2n ** 60n, -1n], { c: 'delta' })).toBe('PLAIN')
    expect(
      await chosen(
        'string',
        range(2000, (at) => `${at}`.repeat(200)),
        { c: 'dictionary' },
      ),
    ).toBe('PLAIN')
  })

  it.each([
    ['boolean', 'delta'],
    ['string', 'rle'],
    ['double', 'delta'],
    ['fixed[3]', 'delta_length'],
    ['boolean', 'dictionary'],
  ] as const)('refuses %s as %s', async (type, encoding) => {
    await expect(writeRows(column(type), [], { encodings: { c: encoding } })).rejects.toThrow(Failure)
  })
})
