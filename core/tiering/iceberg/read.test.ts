import { describe, expect, it } from 'vitest'
import { positionOf } from '../parquet/read.ts'
import { ParquetCache } from '../parquet/read-cache.ts'
import { readCounts } from '../parquet/read-source.ts'
import type { StructType as ParquetStruct } from '../parquet/schema.ts'
import { createParquetWriter } from '../parquet/writer.ts'
import { uncompressed } from '../zstd.ts'
import { commitUpdates } from './commit.ts'
import { type DataFile, dataFile } from './data-file.ts'
import { evolveSchema, type SchemaChange } from './evolve.ts'
import type { Predicate } from './expression.ts'
import { schemaOf, specOf } from './metadata.ts'
import { makeSpec } from './partition.ts'
import { countDeletes, readTable, readTasks, rowsAt, type TableReadOptions } from './read.ts'
import { planScan } from './scan.ts'
import { getField, makeSchema } from './schema.ts'
import { TestLake, type TestRow } from './testing.ts'
import type { Field } from './types.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'value', type: 'int' },
  { name: 'at', type: { type: 'struct', fields: [{ id: 0, name: 'x', required: false, type: 'float' }] } },
])
const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 })
const rowOf = (id: number, ns = 'a'): TestRow => ({ id, ns, value: id % 5 === 0 ? null : id * 2, at: { x: id / 2 } })
const rows = (from: number, count: number, ns = 'a') => Array.from({ length: count }, (_, at) => rowOf(from + at, ns))

async function lakeOf(formatVersion = 2): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema, spec, formatVersion })
  return lake
}

const codecs = {}

async function read(lake: TestLake, options: Partial<TableReadOptions> = {}): Promise<TestRow[]> {
  const table = await lake.load()
  const { columns } = options
  const found: TestRow[] = []
  const { schema: then } = await planScan(lake.files, table, options.asOf ? { asOf: options.asOf } : {})
  const names = columns ?? then.fields.map(({ name }) => name)
  for await (const batch of readTable(lake.files, table, { codecs, ...options })) {
    for (let at = 0; at < batch.rows; at++) {
      found.push(Object.fromEntries(names.map((name, index) => [name, batch.columns[index]?.[at]])))
    }
  }
  // A plan begins with the newest files.
  return found.sort((a, b) => Number(a.id ?? 0) - Number(b.id ?? 0))
}
const ids = async (lake: TestLake, options: Partial<TableReadOptions> = {}) =>
  (await read(lake, { ...options, columns: ['id'] })).map(({ id }) => id)

async function evolve(lake: TestLake, ...changes: SchemaChange[]): Promise<void> {
  await commitUpdates(lake.committer, lake.name, (table) => {
    const from = { schema: schemaOf(table), lastColumnId: table['last-column-id'] }
    const { schema: next } = evolveSchema(from, changes)
    return {
      requirements: [],
      updates: [
        { action: 'add-schema', schema: next },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
    }
  })
}

/** Write a file of deletes by value, as Flink does. */
async function equalityDelete(
  lake: TestLake,
  fields: readonly Field[],
  deleted: readonly TestRow[],
  more: Partial<DataFile>,
) {
  const parts: Uint8Array[] = []
  const columns: ParquetStruct = { type: 'struct', fields: fields as ParquetStruct['fields'] }
  const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
  const writer = createParquetWriter({ schema: columns, sink, compressor: uncompressed })
  await writer.writeRows(deleted as never)
  const summary = await writer.finish()
  const table = await lake.load()
  const path = `${table.location}/data/equality-${lake.files.newId()}.parquet`
  await lake.files.write(path, new Uint8Array(Buffer.concat(parts)))
  const file = dataFile(summary, { path, spec: specOf(table), partition: ['a'] })
  const { sortOrderId: _, ...rest } = file
  const equalityIds = fields.map(({ id }) => id)
  await lake.commit({ addDeletes: [{ ...rest, content: 'equality-deletes', equalityIds, ...more }] })
}

describe('a table', () => {
  it('is read whole, by columns, and by a predicate', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 10))
    await lake.append(rows(10, 10, 'b'))
    expect(await read(lake)).toEqual([...rows(0, 10), ...rows(10, 10, 'b')])
    expect(await read(lake, { columns: ['value', 'id'], where: { op: 'gt', column: 'value', value: 30 } })).toEqual(
      [16, 17, 18, 19].map((id) => ({ value: id * 2, id })),
    )
    expect(await ids(lake, { where: { op: 'eq', column: 'ns', value: 'a' } })).toEqual(rows(0, 10).map(({ id }) => id))
    expect(await ids(lake, { where: { op: 'lt', column: 'at.x', value: 1 } })).toEqual([0, 1])
    expect(await ids(lake, { where: { op: 'is-null', column: 'value' } })).toEqual([0, 5, 10, 15])
    const wrong = read(lake, { columns: ['id', 'nothing'] })
    await expect(wrong).rejects.toMatchObject({
      code: 'not_found',
      message: 'no column nothing; there are id, ns, value, at',
    })
  })

  it('without rows is read', async () => {
    expect(await read(await lakeOf())).toEqual([])
  })

  it('is read as it was', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 3))
    const snapshotId = (await lake.load())['current-snapshot-id'] as number
    await evolve(lake, { rename: 'value', to: 'worth' })
    await lake.append([{ id: 3, ns: 'a', worth: 1, at: null }])
    expect(await read(lake, { asOf: { snapshotId } })).toEqual(rows(0, 3))
    expect((await read(lake)).map(({ worth }) => worth)).toEqual([null, 2, 4, 1])
  })

  it('is read up to a limit, and no further', async () => {
    const lake = await lakeOf()
    for (let from = 0; from < 50; from += 10) await lake.append(rows(from, 10))
    for (const limit of [0, 1, 10, 15, 100]) {
      const counts = readCounts()
      expect((await ids(lake, { limit, counts })).length).toBe(Math.min(50, limit))
      expect(counts.filesRead).toBe(Math.min(5, Math.ceil(limit / 10)))
    }
    const where: Predicate = { op: 'gt', column: 'value', value: 14 }
    const some = await ids(lake, { limit: 3, where })
    expect([some.length, some.every((id) => Number(id) > 7)]).toEqual([3, true])
  })

  it('is read ahead, in the order of its files, and left at any time', async () => {
    const lake = await lakeOf()
    for (let from = 0; from < 60; from += 10) await lake.append(rows(from, 10))
    const table = await lake.load()
    const { tasks } = await planScan(lake.files, table)
    for (const filesAhead of [1, 2, 10]) {
      const seen: string[] = []
      const batches = readTable(lake.files, table, { codecs, filesAhead })
      for await (const { file } of batches) seen.push(file.path)
      expect(seen).toEqual(tasks.map(({ file }) => file.path))
    }
    for (const filesAhead of [1, 3]) {
      const counts = readCounts()
      for await (const batch of readTable(lake.files, table, { codecs, counts, filesAhead })) {
        expect(batch.rows).toBe(10)
        break
      }
      expect(counts.filesRead).toBe(filesAhead)
    }
  })

  it('comes in batches of a size, and its footers are kept when there is a cache', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 20_000))
    const table = await lake.load()
    const cache = new ParquetCache()
    for (const bytesCached of [0, cache]) {
      const counts = readCounts()
      const sizes: number[] = []
      const options = { codecs, cache, counts, batchBytes: 10_000 }
      for await (const batch of readTable(lake.files, table, options)) sizes.push(batch.rows)
      expect(sizes.length).toBeGreaterThan(3)
      expect(sizes.reduce((sum, rows) => sum + rows)).toBe(20_000)
      expect(counts.bytesCached).toBe(bytesCached === 0 ? 0 : cache.sizeBytes)
    }
  })

  it('fails when a file is gone, wherever it is in the order', async () => {
    const lake = await lakeOf()
    const files = []
    for (let from = 0; from < 30; from += 10) files.push(await lake.append(rows(from, 10)))
    await lake.files.delete([(files[0] as DataFile).path])
    const seen: number[] = []
    const reading = async () => {
      for await (const batch of readTable(lake.files, await lake.load(), { codecs })) seen.push(batch.rows)
    }
    await expect(reading()).rejects.toMatchObject({ code: 'not_found' })
    expect(seen).toEqual([10, 10])
  })

  it('has files of formats that are not read, and says so', async () => {
    const lake = await lakeOf()
    const file = await lake.dataFile(rows(0, 3))
    for (const wrong of [{ format: 'AVRO' }, { format: 'ORC' }, { keyMetadata: new Uint8Array(3) }]) {
      const plan = {
        schema,
        tasks: [{ file: { ...file, ...wrong }, sequenceNumber: 1, deletes: [], residual: { op: 'true' } }],
      }
      const reading = async () => {
        for await (const _ of readTasks(lake.files, await lake.load(), plan as never, { codecs })) expect.fail()
      }
      await expect(reading()).rejects.toMatchObject({ code: 'unsupported' })
    }
  })
})

describe.each([2, 3])('deletes by position in format v%s', (version) => {
  it('are applied, with a predicate or without', async () => {
    const lake = await lakeOf(version)
    const [a, b] = [await lake.append(rows(0, 10)), await lake.append(rows(10, 10))]
    await lake.delete([a, [0, 3, 9]], [b, [5]])
    await lake.delete([a, [4]])
    const left = [1, 2, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19]
    expect(await ids(lake)).toEqual(left)
    expect(await ids(lake, { where: { op: 'lt', column: 'value', value: 13 } })).toEqual([1, 2, 6])
    const some = await ids(lake, { limit: 7 })
    expect([some.length, some.filter((id) => !left.includes(id as number))]).toEqual([7, []])
    const table = await lake.load()
    const { tasks } = await planScan(lake.files, table)
    expect(await Promise.all(tasks.map((task) => countDeletes(lake.files, table, task, { codecs })))).toEqual([1, 4])
  })

  it('are joined by rows that the caller leaves out', async () => {
    const lake = await lakeOf(version)
    const [a, b] = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5))]
    await lake.delete([a, [0]])
    const exclude = ({ path }: DataFile) => (path === b.path ? [0, 1, 2, 99] : path === a.path ? [4] : undefined)
    expect(await ids(lake, { exclude })).toEqual([1, 2, 3, 8, 9])
  })
})

describe('deletes by value, of other writers', () => {
  const field = (name: string) => schema.fields.find((one) => one.name === name) as Field

  it('delete older rows that are equal, null being equal to null', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 12))
    await equalityDelete(lake, [field('value')], [{ value: null }, { value: 6 }], {})
    await lake.append(rows(0, 4))
    await lake.append(rows(0, 4, 'b'))
    expect(await ids(lake)).toEqual([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6, 7, 8, 9, 11])
    expect(await ids(lake, { where: { op: 'gt', column: 'id', value: 8 } })).toEqual([9, 11])
  })

  it('compare all their columns, nested ones too', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 6))
    await equalityDelete(
      lake,
      [field('id'), field('ns')],
      [
        { id: 1, ns: 'a' },
        { id: 2, ns: 'b' },
        { id: 3, ns: null },
      ],
      {},
    )
    const { field: x } = getField(schema, 'at.x')
    await equalityDelete(lake, [field('at')], [{ at: { x: 2.5 } }], { equalityIds: [x.id] })
    expect(await ids(lake)).toEqual([0, 2, 3, 4])
  })

  it('go with deletes by position, and with columns that are gone or wider since', async () => {
    const lake = await lakeOf()
    const file = await lake.append(rows(0, 8))
    await equalityDelete(lake, [field('value')], [{ value: 2 }, { value: 4 }], {})
    await lake.delete([file, [7]])
    await evolve(lake, { widen: 'value', type: 'long' })
    expect(await ids(lake)).toEqual([0, 3, 4, 5, 6])
    await evolve(lake, { drop: 'value' })
    expect(await ids(lake)).toEqual([0, 3, 4, 5, 6])
  })
})

describe('columns', () => {
  it('are found by their ids after every change', async () => {
    const lake = new TestLake()
    await lake.create({ schema })
    await lake.append(rows(1, 2))
    await evolve(
      lake,
      { rename: 'ns', to: 'space' },
      { widen: 'value', type: 'long' },
      { widen: 'at.x', type: 'double' },
      { add: { name: 'y', type: 'string' }, parent: 'at' },
      { add: { name: 'ns', type: 'int' } },
    )
    await lake.append([{ id: 3, space: 'a', value: 2 ** 40, at: { x: 0.1, y: 'new' }, ns: 7 }])
    expect(await read(lake)).toEqual([
      { id: 1, space: 'a', value: 2, at: { x: 0.5, y: null }, ns: null },
      { id: 2, space: 'a', value: 4, at: { x: 1, y: null }, ns: null },
      { id: 3, space: 'a', value: 2 ** 40, at: { x: 0.1, y: 'new' }, ns: 7 },
    ])
    await evolve(lake, { drop: 'value' }, { drop: 'at' }, { add: { name: 'value', type: 'string' } })
    expect(await read(lake)).toEqual([
      { id: 1, space: 'a', ns: null, value: null },
      { id: 2, space: 'a', ns: null, value: null },
      { id: 3, space: 'a', ns: 7, value: null },
    ])
    expect(await ids(lake, { where: { op: 'is-null', column: 'ns' } })).toEqual([1, 2])
    expect(await ids(lake, { where: { op: 'eq', column: 'ns', value: 7 } })).toEqual([3])
  })

  it('of decimals are widened', async () => {
    const lake = new TestLake()
    const columns = [
      { name: 'id', type: 'int' },
      { name: 'd', type: 'decimal(5,2)' },
    ]
    await lake.create({ schema: makeSchema(columns) })
    const made: TestRow[] = [12_345n, null, 10n ** 19n].map((d, id) => ({ id, d }))
    const [first, second, third] = made as [TestRow, TestRow, TestRow]
    await lake.append([first, second])
    await evolve(lake, { widen: 'd', type: 'decimal(20,2)' })
    await lake.append([third])
    expect(await read(lake)).toEqual([first, second, third])
    expect(await read(lake, { where: { op: 'gt', column: 'd', value: '123.44' } })).toEqual([first, third])
  })
})

describe('rows by position', () => {
  it('come in the order asked for, deleted ones as well', async () => {
    const lake = await lakeOf()
    const file = await lake.append(rows(0, 100))
    await lake.delete([file, [4]])
    const table = await lake.load()
    const cache = new ParquetCache()
    const request = { path: file.path, positions: [50, 4, 99, 4], columns: ['id', 'at'] }
    const found = await rowsAt(lake.files, table, request, { codecs, cache })
    expect(found).toEqual([[50, 4, 99, 4], [25, 2, 49.5, 2].map((x) => ({ x }))])
    const counts = readCounts()
    expect(
      (await rowsAt(lake.files, schema, { path: file.path, positions: [1] }, { codecs, cache, counts })).length,
    ).toBe(4)
    expect(counts.requests).toBe(1)
    for (const positions of [[100], [-1], [0.5]]) {
      const wrong = rowsAt(lake.files, table, { path: file.path, positions }, { codecs })
      await expect(wrong).rejects.toMatchObject({ code: 'invalid' })
    }
  })

  it('are where batches say', async () => {
    const lake = await lakeOf()
    const file = await lake.append(rows(0, 20))
    await lake.delete([file, [3, 4]])
    const table = await lake.load()
    for await (const batch of readTable(lake.files, table, {
      codecs,
      columns: ['id'],
      where: { op: 'gt', column: 'id', value: 1 },
    })) {
      const positions = Array.from({ length: batch.rows }, (_, at) => positionOf(batch, at))
      const [found] = await rowsAt(lake.files, table, { path: batch.file.path, positions, columns: ['id'] }, { codecs })
      expect(found).toEqual(batch.columns[0])
    }
  })
})

describe('predicates on reals', () => {
  it('find NaN above every number, unless the manifest says that there is none', async () => {
    const lake = new TestLake()
    await lake.create({ schema: makeSchema([{ name: 'r', type: 'double' }]) })
    await lake.append([{ r: 1 }, { r: Number.NaN }, { r: 2 }])
    await lake.append([{ r: 3 }, { r: 4 }])
    const counts = readCounts()
    expect(await read(lake, { where: { op: 'gt', column: 'r', value: 5 }, counts })).toEqual([{ r: Number.NaN }])
    expect(counts.filesRead).toBe(1)
    expect(await read(lake, { where: { op: 'gt-eq', column: 'r', value: 4 } })).toEqual([{ r: 4 }, { r: Number.NaN }])
  })
})
