/** Files of other writers: DuckDB and hyparquet-writer; by names, as neither writes field ids unasked. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { SchemaElement } from 'hyparquet'
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { openLakeCodecs } from '../../host/node/lake-codecs.ts'
import { temporaryFolder } from '../../host/node/testing.ts'
import { bind, type Predicate } from '../iceberg/expression.ts'
import { compileColumnMatcher } from '../iceberg/read-match.ts'
import { makeSchema, type Schema } from '../iceberg/schema.ts'
import type { Field, IcebergType } from '../iceberg/types.ts'
import { readColumns } from './read.ts'
import type { FileReader } from './read-file.ts'
import { type NameMapping, parseNameMapping } from './read-schema.ts'
import { readCounts } from './read-source.ts'
import { openBytes, rowsOfColumns } from './read-testing.ts'
import { readPlain } from './read-values.ts'

const codecs = await openLakeCodecs()
const folder = temporaryFolder()
let duck: DuckDBConnection
beforeAll(async () => {
  duck = await (await DuckDBInstance.create(':memory:')).connect()
})
afterAll(() => {
  duck.closeSync()
  folder.remove()
})

const open = (bytes: Uint8Array) => openBytes(bytes, { codecs: codecs.parquet, counts: readCounts() })

async function copy(query: string, options: string): Promise<FileReader> {
  const path = join(folder.path, `${crypto.randomUUID()}.parquet`)
  await duck.run(`copy (${query}) to '${path}' (format parquet, ${options})`)
  return open(new Uint8Array(readFileSync(path)))
}

async function rowsOf(file: FileReader, schema: Schema, more: { where?: Predicate; nameMapping?: NameMapping } = {}) {
  const rows: Record<string, unknown>[] = []
  const bound = more.where && bind(more.where, schema)
  const options = { ...more, where: bound, filter: bound && compileColumnMatcher(bound, schema) }
  for await (const { columns } of readColumns(file, { fields: schema.fields, ...options })) {
    rows.push(...rowsOfColumns(schema, columns))
  }
  return rows
}

const struct = (...fields: [name: string, type: IcebergType][]): IcebergType => ({
  type: 'struct',
  fields: fields.map(([name, type]) => ({ id: 0, name, type, required: false })),
})
const list = (element: IcebergType): IcebergType => ({
  type: 'list',
  'element-id': 0,
  element,
  'element-required': false,
})
const map = (key: IcebergType, value: IcebergType): IcebergType => {
  return { type: 'map', 'key-id': 0, key, 'value-id': 0, value, 'value-required': false }
}

const everything = makeSchema([
  { name: 'i', type: 'long' },
  { name: 'small', type: 'int' },
  { name: 'unsigned', type: 'long' },
  { name: 'flag', type: 'boolean' },
  { name: 'real', type: 'double' },
  { name: 'single', type: 'double' },
  { name: 'price', type: 'decimal(9,2)' },
  { name: 'wide', type: 'decimal(38,5)' },
  { name: 'text', type: 'string' },
  { name: 'bytes', type: 'binary' },
  { name: 'day', type: 'date' },
  { name: 'clock', type: 'time' },
  { name: 'micros', type: 'timestamp' },
  { name: 'millis', type: 'timestamp' },
  { name: 'nanos', type: 'timestamp' },
  { name: 'zoned', type: 'timestamptz' },
  { name: 'uuid', type: 'uuid' },
  { name: 'tags', type: list('string') },
  { name: 'nested', type: struct(['a', 'int'], ['b', list(struct(['c', 'string']))]) },
  { name: 'pairs', type: map('string', 'int') },
])

const query = `select i::bigint as i, (i - 500)::integer as small, (i + 4294966000)::uinteger as unsigned,
  case when i % 7 = 0 then null else i % 2 = 0 end as flag, i / 3.0::double as real, (i / 4.0)::float as single,
  (i / 100.0)::decimal(9, 2) as price, (i * 1000000000000.00001::decimal(30,5))::decimal(38, 5) as wide,
  case when i % 5 = 0 then null else 'text ' || i || ' é' end as text, encode('b' || i) as bytes,
  date '1969-12-01' + i::integer as day, time '00:00:00.000001' + to_seconds(i) as clock,
  timestamp '1960-01-01 00:00:00.000001' + to_days(i::integer) as micros,
  ('2020-01-01 00:00:00.001'::timestamp + to_seconds(i))::timestamp_ms as millis,
  ('1969-12-31 23:59:59.999999'::timestamp - to_seconds(i))::timestamp_ns as nanos,
  ('2020-01-01 00:00:00+00'::timestamptz + to_seconds(i)) as zoned,
  ('00000000-0000-4000-8000-' || lpad(i::varchar, 12, '0'))::uuid as uuid,
  case i % 4 when 0 then null when 1 then [] else ['t' || i, null] end as tags,
  case when i % 3 = 0 then null else {'a': i::integer, 'b': [{'c': 'x' || i}, null]} end as nested,
  case when i % 3 = 1 then null else map {'k': i::integer, 'l': null} end as pairs
  from range(1000) r(i)`

const dayMicros = 86_400_000_000
const at1960 = -3653 * dayMicros + 1
const at2020 = 18_262 * dayMicros

function expected(i: number): Record<string, unknown> {
  return {
    i,
    small: i - 500,
    unsigned: i + 4_294_966_000,
    flag: i % 7 === 0 ? null : i % 2 === 0,
    real: i / 3,
    single: Math.fround(i / 4),
    price: BigInt(i),
    wide: BigInt(i) * 100_000_000_000_000_001n,
    text: i % 5 === 0 ? null : `text ${i} é`,
    bytes: new TextEncoder().encode(`b${i}`),
    day: i - 31,
    clock: i * 1_000_000 + 1,
    micros: at1960 + i * dayMicros,
    millis: at2020 + 1_000 + i * 1_000_000,
    nanos: -1 - i * 1_000_000,
    zoned: at2020 + i * 1_000_000,
    uuid: `00000000-0000-4000-8000-${`${i}`.padStart(12, '0')}`,
    tags: i % 4 === 0 ? null : i % 4 === 1 ? [] : [`t${i}`, null],
    nested: i % 3 === 0 ? null : { a: i, b: [{ c: `x${i}` }, null] },
    pairs:
      i % 3 === 1
        ? null
        : new Map([
            ['k', i],
            ['l', null],
          ]),
  }
}

describe('DuckDB', () => {
  it.each([
    'compression snappy',
    'compression uncompressed, parquet_version v2',
    'compression zstd, parquet_version v2, row_group_size 250',
    'compression gzip',
    'compression brotli',
  ])('writes what is read, with %s', async (options) => {
    const rows = await rowsOf(await copy(query, options), everything)
    expect(rows).toEqual(Array.from({ length: 1000 }, (_, i) => expected(i)))
  })

  it('writes codecs that are not known here', async () => {
    const reading = rowsOf(await copy(query, 'compression lz4_raw'), everything)
    await expect(reading).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/LZ4_RAW.*SNAPPY, ZSTD, GZIP, BROTLI/),
    })
  })

  const predicates: readonly [Predicate, (i: number) => boolean][] = [
    [{ op: 'gt', column: 'i', value: 6000 }, (i) => i > 6000],
    [{ op: 'lt', column: 'price', value: '20.00' }, (i) => i < 2000],
    [{ op: 'eq', column: 'text', value: 'text 4321' }, (i) => i === 4321],
    [{ op: 'gt-eq', column: 'day', value: '1989-01-01' }, (i) => i - 31 >= 6940],
    [{ op: 'in', column: 'uuid', values: ['00000000-0000-4000-8000-000000004321'] }, (i) => i === 4321],
    [{ op: 'lt-eq', column: 'unsigned', value: 4_294_900_100 }, (i) => i <= 100],
    [{ op: 'lt', column: 'nanos', value: '1969-12-31T23:00:00' }, (i) => -1 - i * 1_000_000 < -3_600_000_000],
  ]
  const schema = makeSchema([
    { name: 'i', type: 'long' },
    { name: 'unsigned', type: 'long' },
    { name: 'price', type: 'decimal(9,2)' },
    { name: 'text', type: 'string' },
    { name: 'day', type: 'date' },
    { name: 'nanos', type: 'timestamp' },
    { name: 'uuid', type: 'uuid' },
  ])
  const plain = `select i, (i + 4294900000)::uinteger as unsigned, (i / 100.0)::decimal(9, 2) as price,
    'text ' || i as text, date '1969-12-01' + i::integer as day,
    ('1969-12-31 23:59:59.999999'::timestamp - to_seconds(i))::timestamp_ns as nanos,
    ('00000000-0000-4000-8000-' || lpad(i::varchar, 12, '0'))::uuid as uuid from range(8192) r(i)`

  it.each(predicates)('writes bounds that leave out row groups: %j', async (where, matches) => {
    const file = await copy(plain, 'row_group_size 2048, compression zstd')
    const rows = await rowsOf(file, schema, { where })
    expect(rows.map(({ i }) => i)).toEqual(Array.from({ length: 8192 }, (_, i) => i).filter(matches))
    expect(file.counts.groups).toBe(4)
    expect(file.counts.groupsPruned).toBeGreaterThan(0)
  })

  it('writes bloom filters that are used', async () => {
    const scattered = 'select hash(i % 50 + (i // 2048) * 50)::varchar as key from range(8192) r(i)'
    const file = await copy(scattered, 'row_group_size 2048, compression zstd')
    const [{ chunks } = { chunks: [] }] = file.footer.groups
    expect(chunks[0]?.bloom).toBeDefined()
    const keys = makeSchema([{ name: 'key', type: 'string' }])
    const [{ key } = { key: '' }] = await rowsOf(file, keys)
    const rows = await rowsOf(file, keys, { where: { op: 'eq', column: 'key', value: key } })
    expect(rows.length).toBeGreaterThan(40)
    expect(rows.every((row) => row.key === key)).toBe(true)
    expect(file.counts.groupsPruned).toBeGreaterThanOrEqual(2)
  })

  it('writes field ids when asked, and they go before names', async () => {
    const file = await copy('select 1 as a, 2 as b', 'field_ids {a: 2, b: 1}')
    const renamed = makeSchema([
      { name: 'a', type: 'int' },
      { name: 'c', type: 'int' },
      { name: 'new', type: 'int' },
    ])
    expect(await rowsOf(file, renamed)).toEqual([{ a: 2, c: 1, new: null }])
  })
})

describe('hyparquet-writer', () => {
  const write = (columnData: ColumnSource[], schema?: SchemaElement[]) =>
    open(new Uint8Array(parquetWriteBuffer({ columnData, ...(schema && { schema }), pageSize: 1000 })))
  const numbers = Array.from({ length: 2000 }, (_, at) => at)
  const encodings = [
    ['PLAIN', 'INT32', numbers, 'int'],
    ['DELTA_BINARY_PACKED', 'INT32', numbers.map((at) => at * (at % 2 === 0 ? 100_000 : -100_000)), 'int'],
    ['DELTA_BINARY_PACKED', 'INT64', numbers.map((at) => 2n ** 62n * (at % 2 === 0 ? 1n : -1n) + BigInt(at)), 'long'],
    ['BYTE_STREAM_SPLIT', 'DOUBLE', numbers.map((at) => at / 7), 'double'],
    ['BYTE_STREAM_SPLIT', 'INT64', numbers.map((at) => BigInt(at) ** 5n), 'long'],
    ['DELTA_LENGTH_BYTE_ARRAY', 'STRING', numbers.map((at) => `ä${at}`), 'string'],
    ['DELTA_BYTE_ARRAY', 'STRING', numbers.map((at) => `prefix ${at}`), 'string'],
    ['RLE', 'BOOLEAN', numbers.map((at) => at % 5 < 2), 'boolean'],
    ['PLAIN', 'BOOLEAN', numbers.map((at) => at % 3 === 0), 'boolean'],
    ['RLE_DICTIONARY', 'STRING', numbers.map((at) => `${at % 9}`), 'string'],
  ] as const

  it.each(encodings)('writes %s of %s', async (encoding, type, data, name) => {
    for (const values of [data, data.map((value, at) => (at % 3 === 0 ? null : value))]) {
      const file = await write([{ name: 'c', type, data: values as never[], encoding, nullable: true }])
      const rows = await rowsOf(file, makeSchema([{ name: 'c', type: name }]))
      const narrow = (value: unknown) => {
        return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value
      }
      expect(rows.map(({ c }) => c)).toEqual(values.map(narrow))
    }
  })

  it('writes pages of nulls alone', async () => {
    const data = numbers.map((at) => (at < 1500 ? null : `${at}`))
    const file = await write([{ name: 'c', type: 'STRING', data, nullable: true }])
    expect((await rowsOf(file, makeSchema([{ name: 'c', type: 'string' }]))).map(({ c }) => c)).toEqual(data)
  })

  it('writes decimals of every storage', async () => {
    const elements = (type: 'INT32' | 'INT64'): SchemaElement[] => [
      { name: 'root', num_children: 1 },
      { name: 'd', repetition_type: 'REQUIRED', type, converted_type: 'DECIMAL', precision: 9, scale: 2 },
    ]
    for (const type of ['INT32', 'INT64'] as const) {
      const file = await write([{ name: 'd', data: [1.25, -3.5] }], elements(type))
      expect(await rowsOf(file, makeSchema([{ name: 'd', type: 'decimal(9,2)' }]))).toEqual([{ d: 125n }, { d: -350n }])
      const other = rowsOf(file, makeSchema([{ name: 'd', type: 'decimal(9,3)' }]))
      await expect(other).rejects.toMatchObject({ code: 'invalid' })
    }
  })

  it('is refused where a column is stored as another type', async () => {
    const file = await write([{ name: 'c', type: 'STRING', data: ['x'] }])
    for (const type of ['long', 'uuid', list('string'), struct(['x', 'int'])]) {
      await expect(rowsOf(file, makeSchema([{ name: 'c', type }]))).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringContaining('test.parquet'),
      })
    }
  })
})

describe('files without field ids', () => {
  const renamed = makeSchema([
    { name: 'identity', type: 'int' },
    { name: 'home', type: struct(['town', 'string'], ['later', 'int']) },
    { name: 'visits', type: list(struct(['place', 'string'])) },
  ])
  const mapping = `[{"field-id": 1, "names": ["id", "identity"]},
    {"field-id": 2, "names": ["address"], "fields": [{"field-id": 4, "names": ["city"]}]},
    {"field-id": 3, "names": ["visits"], "fields": [
      {"field-id": 6, "names": ["element"], "fields": [{"field-id": 7, "names": ["where"]}]}]}]`

  it('are read by the table’s name mapping', async () => {
    const file = await copy(
      "select 5 as id, {'city': 'Bern'} as address, [{'where': 'Rome'}] as visits",
      'compression snappy',
    )
    const nameMapping = parseNameMapping(mapping)
    expect(await rowsOf(file, renamed, { nameMapping })).toEqual([
      { identity: 5, home: { town: 'Bern', later: null }, visits: [{ place: 'Rome' }] },
    ])
    const where: Predicate = { op: 'eq', column: 'home.town', value: 'Bern' }
    expect((await rowsOf(file, renamed, { nameMapping, where })).length).toBe(1)
    expect(await rowsOf(file, renamed)).toEqual([{ identity: null, home: null, visits: [{ place: null }] }])
  })

  it('have a mapping that is one', () => {
    for (const wrong of ['', '{}', '[1]', '[{"names": 5}]', '[{"names": ["a"], "fields": {}}]']) {
      expect(() => parseNameMapping(wrong)).toThrow(expect.objectContaining({ code: 'invalid' }))
    }
  })
})

test('what a column had before it was added is null, or its initial default', async () => {
  const file = await copy('select 1 as a', 'compression snappy')
  const fields: Field[] = [
    { id: 9, name: 'with', required: false, type: 'decimal(5,2)', 'initial-default': '1.50' },
    { id: 10, name: 'without', required: false, type: 'string' },
  ]
  const schema: Schema = { type: 'struct', 'schema-id': 0, fields }
  expect(await rowsOf(file, schema)).toEqual([{ with: 150n, without: null }])
  const count = async (where: Predicate) => (await rowsOf(file, schema, { where })).length
  expect(await count({ op: 'eq', column: 'with', value: '1.5' })).toBe(1)
  expect(await count({ op: 'is-null', column: 'without' })).toBe(1)
  expect(await count({ op: 'eq', column: 'without', value: 'x' })).toBe(0)
})

test('timestamps of 96 bits count nanoseconds of a Julian day', () => {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setBigInt64(0, 1_000_001_999n, true)
  view.setInt32(8, 2_440_589, true)
  const read = readPlain({ physical: 'int96', width: 0 }, bytes, 1)
  expect(read).toEqual({ kind: 'numbers', numbers: [86_400_000_000_000 + 1_000_001_999] })
})
