import * as arrow from 'apache-arrow'
import { DataType, type RecordBatch, RecordBatchReader, tableFromIPC, type Vector } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { arrowWriter } from './arrow.ts'
import type { Rows } from './sql-formats.ts'

/** Write batches and read them back. */
function bytesOf(columns: readonly (readonly [name: string, type: string])[], batches: readonly Rows[]): Uint8Array {
  const writer = arrowWriter(
    arrow,
    columns.map(([name, type]) => ({ name, type })),
  )
  const stats = { elapsedMs: 0, rows: 0, files: 0, filesPruned: 0, bytesRead: 0, bytesCached: 0, bytesPruned: 0 }
  const pieces = [
    writer.begin(),
    ...batches.map((batch) => writer.rows(batch)),
    writer.end({ ...stats, hotRows: 0, shards: 0 }),
  ]
  return Buffer.concat(pieces as Uint8Array[])
}

/** The numbers that a column is stored as. */
const stored = <T>(vector: Vector | null): T => vector?.data[0]?.values as T

const read = (type: string, values: Rows[number]) => {
  const table = tableFromIPC(bytesOf([['a', type]], [values.map((value) => [value])]))
  const vector = table.getChildAt(0)
  return {
    field: table.schema.fields[0],
    type: String(table.schema.fields[0]?.type),
    values: [...(vector ?? [])],
    vector,
  }
}

describe('columns of Arrow', () => {
  it.each([
    ['boolean', 'Bool', [true, false, null]],
    ['int', 'Int32', [-1, 2 ** 31 - 1, null]],
    ['double', 'Float64', [0.1, Number.NaN, null]],
    ['float', 'Float32', [0.5, null]],
    ['string', 'Utf8', ['', 'žluťoučký 🐎', null]],
    ['uuid', 'Utf8', ['123e4567-e89b-12d3-a456-426614174000']],
    ['binary', 'Binary', [new Uint8Array([0, 255]), new Uint8Array(0), null]],
    ['null', 'Null', [null, null]],
    ['time', 'Time64<MICROSECOND>', [null]],
  ])('of %s are %s', (type, arrow, values) => {
    const found = read(type, values as Rows[number])
    expect([found.type, found.values]).toEqual([arrow, values])
  })

  it('of long keep every digit', () => {
    const { type, values } = read('long', [1, -(2n ** 63n), 2n ** 63n - 1n, null])
    expect([type, values]).toEqual(['Int64', [1n, -(2n ** 63n), 2n ** 63n - 1n, null]])
  })

  it('of time count microseconds', () => {
    const { values } = read('time', ['00:00:00', '23:59:59.999999', '01:02:03.5'])
    expect(values).toEqual([0n, 86_399_999_999n, 3_723_500_000n])
  })

  it('of date count days', () => {
    const { type, vector } = read('date', ['1970-01-02', '1969-12-31', '0001-01-01', null])
    expect(type).toBe('Date32<DAY>')
    expect([...stored<Int32Array>(vector)].slice(0, 3)).toEqual([1, -1, -719_162])
    expect(vector?.nullCount).toBe(1)
  })

  it.each([
    ['timestamp', 'Timestamp<MICROSECOND>'],
    ['timestamptz', 'Timestamp<MICROSECOND, UTC>'],
  ])('of %s are %s', (type, arrow) => {
    const { type: name, vector } = read(type, [1_700_000_000_123_456, -1, 2n ** 60n, null])
    expect(name).toBe(arrow)
    expect([...stored<BigInt64Array>(vector)].slice(0, 3)).toEqual([1_700_000_000_123_456n, -1n, 2n ** 60n])
  })

  it('of decimal are 128 bits', () => {
    const { field, vector } = read('decimal(38,2)', ['12.34', '-0.01', '7', `${'9'.repeat(36)}.99`, null])
    expect(DataType.isDecimal(field?.type)).toBe(true)
    expect([field?.type.precision, field?.type.scale]).toEqual([38, 2])
    const words = new BigUint64Array(stored<Uint32Array>(vector).slice().buffer)
    const value = (index: number) =>
      BigInt.asIntN(128, ((words[2 * index + 1] ?? 0n) << 64n) | (words[2 * index] ?? 0n))
    expect([0, 1, 2, 3].map(value)).toEqual([1_234n, -1n, 700n, 10n ** 38n - 1n])
  })

  it.each([
    ['json', '{"a":1}', '{"a":1}'],
    ['list<long>', [1, 2n ** 60n], '[1,"1152921504606846976"]'],
    ['struct<a: long>', { a: null }, '{"a":null}'],
    ['map<string, long>', { b: 1 }, '{"b":1}'],
  ])('of %s hold JSON, and say so', (type, value, text) => {
    const { field, values } = read(type, [value, null] as Rows[number])
    expect(field?.metadata.get('ARROW:extension:name')).toBe('arrow.json')
    expect(values).toEqual([text, null])
  })

  it.each([
    ['long', 0.5],
    ['long', 2n ** 63n],
    ['date', 'yesterday'],
    ['time', '25'],
    ['decimal(4,1)', '1.23'],
    ['binary', 'text'],
  ])('of %s refuse %s, which is a bug of the engine', (type, value) => {
    expect(() => read(type, [value] as Rows[number])).toThrow(
      `a column of type ${type.replace('(4,1)', ' of scale 1')}`,
    )
  })
})

it('a batch of rows is a record batch', async () => {
  const bytes = bytesOf([['a', 'int']], [[[1], [2]], [], [[3]]])
  const batches: RecordBatch[] = []
  for await (const batch of await RecordBatchReader.from(bytes)) batches.push(batch)
  expect(batches.map(({ numRows }) => numRows)).toEqual([2, 1])
})

it('more than 64 rows with nulls keep their places', () => {
  const values = Array.from({ length: 200 }, (_, n) => (n % 3 === 0 ? null : n))
  expect(read('int', values).values).toEqual(values)
  expect(
    read(
      'boolean',
      values.map((value) => (value === null ? null : value % 2 === 0)),
    ).values.slice(0, 5),
  ).toEqual([null, false, true, null, true])
})
