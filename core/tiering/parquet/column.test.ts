/** Columns given as typed arrays make the file that their rows make. */
import { describe, expect, it } from 'vitest'
import type { StructType } from './schema.ts'
import { readRows, writeColumns, writeFile, writeRows } from './testing.ts'

const field = (id: number, name: string, type: string, required = true) => ({ id, name, required, type })

describe('columns', () => {
  const flat: StructType = {
    type: 'struct',
    fields: [
      field(1, 'flag', 'boolean', false),
      field(2, 'small', 'int', false),
      field(3, 'big', 'long', false),
      field(4, 'wide', 'long', false),
      field(5, 'real', 'double', false),
      field(6, 'text', 'string', false),
      field(7, 'blob', 'fixed[2]', false),
      field(8, 'kind', 'string', false),
    ],
  }
  const count = 100
  const isNull = (at: number, column: number) => (at + column) % 5 === 0
  const nulls = (column: number) => Uint8Array.from({ length: count }, (_, at) => (isNull(at, column) ? 1 : 0))
  const kinds = ['a', 'bb', 'ccc']
  const rows = Array.from({ length: count }, (_, at) => {
    const values = [
      at % 2 === 0,
      at,
      at * 1e9,
      2n ** 62n + BigInt(at),
      at / 3,
      `t${at}`,
      Uint8Array.of(at, 1),
      kinds[at % 3],
    ]
    return Object.fromEntries(flat.fields.map(({ name }, column) => [name, isNull(at, column) ? null : values[column]]))
  })
  const packed = (name: string) => {
    const values = rows.map((row) => row[name] as string | Uint8Array | null)
    const parts = values.map((value) => (value === null ? null : Buffer.from(value as string)))
    const lengths = Int32Array.from(parts, (part) => part?.length ?? -1)
    return { bytes: Buffer.concat(parts.filter((part) => part !== null)), lengths }
  }
  const numbers = (name: string, column: number) => ({
    numbers: rows.map((row) => Number(row[name] ?? 0)),
    nulls: nulls(column),
  })
  const columns = {
    flag: numbers('flag', 0),
    small: numbers('small', 1),
    big: numbers('big', 2),
    wide: { numbers: BigInt64Array.from(rows, (row) => (row.wide ?? 0n) as bigint), nulls: nulls(3) },
    real: numbers('real', 4),
    text: packed('text'),
    blob: packed('blob'),
    kind: {
      distinct: kinds.map((kind) => Buffer.from(kind)),
      indices: Int32Array.from(rows, (row) => kinds.indexOf(row.kind as string)),
    },
  }

  it('give the rows they are made of', async () => {
    for (const rowGroupRows of [1000, 100, 33]) {
      const { bytes } = await writeColumns(flat, count, columns, { rowGroupRows, pageRows: 10 })
      const rest = await readRows(bytes)
      const direct = await readRows((await writeRows(flat, rows, { rowGroupRows, pageRows: 10 })).bytes)
      expect(rest).toEqual(direct)
    }
  })

  it('are mixed with rows, before and after', async () => {
    const { bytes } = await writeFile(flat, { pageRows: 30 }, async (writer) => {
      await writer.writeColumns(count, columns)
      await writer.writeRows(rows)
      await writer.writeColumns(count, columns)
    })
    const once = await readRows((await writeRows(flat, rows)).bytes)
    expect(await readRows(bytes)).toEqual([...once, ...once, ...once])
  })

  it.each([
    ['a column is missing', { ...columns, flag: undefined }],
    ['one column too many', { ...columns, more: columns.flag }],
    ['too few rows', { ...columns, small: { numbers: [1] } }],
    ['numbers for text', { ...columns, text: columns.small }],
    ['text for numbers', { ...columns, small: columns.text }],
    ['distinct bytes for numbers', { ...columns, small: columns.kind }],
    ['a fraction', { ...columns, small: { numbers: new Float64Array(count).fill(0.5) } }],
    ['a 2 in booleans', { ...columns, flag: { numbers: new Float64Array(count).fill(2) } }],
    ['an integer past 2^53', { ...columns, big: { numbers: new Float64Array(count).fill(2 ** 53) } }],
    ['a wrong width', { ...columns, blob: { bytes: new Uint8Array(count), lengths: new Int32Array(count).fill(1) } }],
    [
      'more lengths than bytes',
      { ...columns, text: { bytes: new Uint8Array(5), lengths: new Int32Array(count).fill(1) } },
    ],
    ['a place that there is not', { ...columns, kind: { distinct: [], indices: new Int32Array(count) } }],
  ])('are refused whole: %s', async (_, wrong) => {
    const { bytes } = await writeFile(flat, {}, async (writer) => {
      await writer.writeRows(rows.slice(0, 3))
      await expect(writer.writeColumns(count, wrong as never)).rejects.toMatchObject({ code: 'invalid' })
      await writer.writeRows(rows.slice(3))
    })
    expect(await readRows(bytes)).toEqual(await readRows((await writeRows(flat, rows)).bytes))
  })

  it('refuse nulls where a value is required', async () => {
    const schema: StructType = { type: 'struct', fields: [field(1, 'c', 'string')] }
    for (const c of [
      { bytes: new Uint8Array(0), lengths: Int32Array.of(-1) },
      { distinct: [], indices: Int32Array.of(-1) },
      { values: [null] },
    ]) {
      await expect(writeColumns(schema, 1, { c })).rejects.toMatchObject({ code: 'invalid' })
    }
  })
})
