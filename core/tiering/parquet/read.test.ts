import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { Failure } from '../../errors.ts'
import { bind, type Predicate } from '../iceberg/expression.ts'
import { compileColumnMatcher } from '../iceberg/read-match.ts'
import { makeSchema, type Schema } from '../iceberg/schema.ts'
import { counted } from '../objects/counted.ts'
import { memoryObjects } from '../objects/memory.ts'
import { type ColumnsOptions, positionOf, readColumns } from './read.ts'
import { ParquetCache } from './read-cache.ts'
import { type FileReader, openParquet } from './read-file.ts'
import { coalesce, objectSource, readCounts } from './read-source.ts'
import { openBytes, rowsOfColumns } from './read-testing.ts'
import type { RowInput } from './shred.ts'
import { writeRows } from './testing.ts'

const schema = makeSchema([
  { name: 'seq', type: 'long', required: true },
  { name: 'id', type: 'string' },
  { name: 'note', type: 'string' },
  { name: 'amount', type: 'double' },
])

/** Texts that do not compress, and ids in no order. */
const scatter = (at: number) => (Math.imul(at + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
const rowOf = (at: number) => ({
  seq: at,
  id: `id-${scatter(at)}`,
  note: at % 10 === 0 ? null : scatter(at).repeat(6),
  amount: at / 4,
})
const rowsOf = (count: number) => Array.from({ length: count }, (_, at) => rowOf(at))

async function makeFile(rows: number, options: object = {}) {
  const { bytes } = await writeRows(schema, rowsOf(rows) as RowInput[], { bloom: ['id'], ...options })
  const store = counted(memoryObjects({ nowMs: () => 0 }))
  await store.put('f', bytes)
  return { bytes, store }
}

async function idsOf(file: FileReader, options: Omit<ColumnsOptions, 'fields'>) {
  const rows: Record<string, unknown>[] = []
  for await (const { columns } of readColumns(file, { fields: schema.fields, ...options })) {
    rows.push(...rowsOfColumns(schema, columns))
  }
  return rows
}

const exactly = (predicate: Predicate, of: Schema = schema) => {
  const where = bind(predicate, of)
  return { where, filter: compileColumnMatcher(where, of) }
}

describe('requests', () => {
  it('are one for the tail and one for what is wanted of a row group', async () => {
    const { store, bytes } = await makeFile(40_000, { rowGroupRows: 20_000, pageRows: 1000 })
    const counts = readCounts()
    const file = await openParquet(objectSource(store, 'f'), { codecs: {}, counts })
    expect([store.counts.get, counts.requests]).toEqual([1, 1])
    expect((await idsOf(file, {})).length).toBe(40_000)
    expect([store.counts.get, counts.requests]).toEqual([3, 3])
    expect(counts).toMatchObject({ groups: 2, groupsPruned: 0, pages: 160, pagesPruned: 0, filesRead: 1 })
    expect(counts.bytesRead).toBe(store.counts.readBytes)
    expect(counts.bytesRead).toBeLessThan(bytes.length + 70_000)
  })

  it('are one for a small file', async () => {
    const { store } = await makeFile(100)
    expect((await idsOf(await openParquet(objectSource(store, 'f'), { codecs: {} }), {})).length).toBe(100)
    expect(store.counts.get).toBe(2)
  })

  it('are two when the footer is longer than the tail', async () => {
    const { store } = await makeFile(3_000, { rowGroupRows: 10, metadata: { note: 'x'.repeat(100_000) } })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    expect(store.counts.get).toBe(2)
    expect(file.footer.metadata.get('note')?.length).toBe(100_000)
    expect(file.footer.groups.length).toBe(300)
    expect(file.rows).toBe(3000)
  })

  it('join neighbours up to a size', () => {
    const spans = [
      [0, 10],
      [70_000, 70_010],
      [20, 30],
      [65_570, 65_580],
      [5, 8],
      [20_000_000, 30_000_000],
      [30_000_000, 30_000_010],
    ].map(([start, end]) => ({ start, end }) as { start: number; end: number })
    expect(coalesce(spans).map(({ start, end }) => [start, end])).toEqual([
      [0, 30],
      [65_570, 70_010],
      [20_000_000, 30_000_000],
      [30_000_000, 30_000_010],
    ])
  })
})

describe('pages', () => {
  it('that cannot meet the predicate are not read', async () => {
    const { store } = await makeFile(40_000, { rowGroupRows: 20_000, pageRows: 500 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    const before = store.counts.readBytes
    const rows = await idsOf(file, exactly({ op: 'in', column: 'seq', values: [30_100, 30_200] }))
    expect(rows.map((row) => row.seq)).toEqual([30_100, 30_200])
    expect(file.counts).toMatchObject({ groups: 2, groupsPruned: 1, pages: 4, pagesPruned: 4 * 39 })
    expect(store.counts.readBytes - before).toBeLessThan(100_000)
  })

  it('of rows by position are read alone', async () => {
    const { store } = await makeFile(40_000, { rowGroupRows: 20_000, pageRows: 500 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    const rows = await idsOf(file, { positions: [7, 12_001, 39_999] })
    expect(rows).toEqual([7, 12_001, 39_999].map(rowOf))
    expect(file.counts).toMatchObject({ pages: 12, groupsPruned: 0 })
  })

  it('of other columns are read only where the filter left rows', async () => {
    const { store } = await makeFile(20_000, { pageRows: 500 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    const id = rowOf(11_111).id
    const rows = await idsOf(file, exactly({ op: 'eq', column: 'id', value: id }))
    expect(rows).toEqual([rowOf(11_111)])
    // All of the ids, and one page of each other column.
    expect(file.counts).toMatchObject({ pages: 43, pagesPruned: 3 * 39 })
  })

  it('are read as far as a limit wants them', async () => {
    const { store } = await makeFile(20_000, { pageRows: 500 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    expect((await idsOf(file, { limit: 501 })).length).toBe(501)
    expect(file.counts.pages).toBe(8)
  })

  it('of large row groups come in batches', async () => {
    const { store } = await makeFile(20_000, { pageRows: 500 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    const sizes: number[] = []
    let next = 0
    for await (const batch of readColumns(file, { fields: schema.fields, batchBytes: 200_000 })) {
      sizes.push(batch.rows)
      expect(positionOf(batch, 0)).toBe(next)
      next += batch.rows
    }
    expect(sizes.length).toBeGreaterThan(5)
    expect(Math.max(...sizes)).toBeLessThan(4_000)
    expect(next).toBe(20_000)
  })
})

describe('bloom filters', () => {
  const find = (id: string) => exactly({ op: 'eq', column: 'id', value: id })

  it('leave out row groups that have not got a value', async () => {
    const { store } = await makeFile(20_000, { rowGroupRows: 2_000 })
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    expect(await idsOf(file, find('id-nothing'))).toEqual([])
    expect(file.counts.groupsPruned).toBeGreaterThanOrEqual(9)
    expect(await idsOf(file, find(rowOf(5_000).id))).toEqual([rowOf(5_000)])
    expect(await idsOf(file, exactly({ op: 'in', column: 'id', values: [rowOf(1).id, rowOf(9_999).id] }))).toEqual([
      rowOf(1),
      rowOf(9_999),
    ])
  })

  it('are not asked where they cannot help', async () => {
    const { store } = await makeFile(20_000, { rowGroupRows: 20_000, pageRows: 20_000 })
    const either: Predicate = {
      op: 'or',
      args: [
        { op: 'eq', column: 'id', value: 'x' },
        { op: 'lt', column: 'seq', value: 5 },
      ],
    }
    const file = await openParquet(objectSource(store, 'f'), { codecs: {} })
    await idsOf(file, { where: bind({ op: 'lt', column: 'id', value: 'id-9' }, schema), positions: [] })
    await idsOf(file, { where: bind(either, schema), positions: [] })
    expect(store.counts.get).toBe(1)
    await idsOf(file, { where: bind({ op: 'eq', column: 'id', value: 'id-8' }, schema), positions: [] })
    expect(store.counts.get).toBe(2)
  })

  it('are kept, as footers are, within bounds', async () => {
    const { store } = await makeFile(20_000, { rowGroupRows: 10_000 })
    const cache = new ParquetCache()
    const counts = readCounts()
    const lookUp = async (id: string) => {
      const file = await openParquet(objectSource(store, 'f'), { codecs: {}, cache, counts })
      return idsOf(file, find(id))
    }
    await lookUp('id-a')
    const { get } = store.counts
    const { bytesRead } = counts
    await Promise.all([lookUp('id-b'), lookUp('id-c')])
    expect([store.counts.get, counts.bytesRead]).toEqual([get, bytesRead])
    expect(counts.bytesCached).toBe(2 * cache.sizeBytes)
  })
})

describe('a cache', () => {
  const entry = (value: string, bytes: number) => async () => ({ value, bytes })

  it('gives up what was used longest ago', async () => {
    const cache = new ParquetCache(100)
    await cache.get('a', entry('a', 40))
    await cache.get('b', entry('b', 40))
    expect(await cache.get('a', entry('other', 40))).toBe('a')
    await cache.get('c', entry('c', 40))
    expect([cache.has('a'), cache.has('b'), cache.has('c'), cache.sizeBytes]).toEqual([true, false, true, 80])
    await cache.get('large', entry('large', 1000))
    expect([cache.has('large'), cache.sizeBytes]).toEqual([false, 0])
  })

  it('loads once for all who ask, and forgets what failed', async () => {
    const cache = new ParquetCache(100)
    let loads = 0
    const load = async () => {
      loads++
      if (loads === 1) throw new Failure('unavailable', 'not now')
      return { value: loads, bytes: 1 }
    }
    const both = await Promise.allSettled([cache.get('a', load), cache.get('a', load)])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await Promise.all([cache.get('a', load), cache.get('a', load)])).toEqual([2, 2])
  })
})

describe('damage', () => {
  it('is refused with the name of the file', async () => {
    const { bytes } = await makeFile(100)
    const end = bytes.slice()
    end[bytes.length - 1] = 0
    const encrypted = bytes.slice()
    encrypted.set([0x50, 0x41, 0x52, 0x45], bytes.length - 4)
    const long = bytes.slice()
    new DataView(long.buffer).setUint32(bytes.length - 8, 2 ** 31, true)
    for (const [wrong, code] of [
      [new Uint8Array(3), 'invalid'],
      [end, 'invalid'],
      [long, 'invalid'],
      [bytes.slice(0, -20), 'invalid'],
      [encrypted, 'unsupported'],
    ] as const) {
      await expect(openBytes(wrong)).rejects.toMatchObject({ code, message: expect.stringContaining('test.parquet') })
    }
    const store = memoryObjects({ nowMs: () => 0 })
    const gone = openParquet(objectSource(store, 'gone'), { codecs: {} })
    await expect(gone).rejects.toMatchObject({ code: 'not_found' })
  })

  test('anywhere in a file is a failure or other values, never a crash or a hang', async () => {
    const { bytes } = await makeFile(300, { rowGroupRows: 100, pageRows: 20 })
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(damage, async (places) => {
        const wrong = bytes.slice()
        for (const [at, byte] of places) wrong[at] = byte
        try {
          const file = await openBytes(wrong)
          await idsOf(file, exactly({ op: 'lt', column: 'id', value: 'id-8' }))
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('is told from what is not supported', async () => {
    const { bytes } = await writeRows(schema, rowsOf(3000) as RowInput[], {
      compressor: { name: 'zstd', compress: (plain) => plain.slice(0, plain.length >> 1) },
    })
    const file = await openBytes(bytes)
    await expect(idsOf(file, {})).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('ZSTD'),
    })
    const short = await openBytes(bytes, { codecs: { ZSTD: (packed) => packed } })
    await expect(idsOf(short, {})).rejects.toMatchObject({ code: 'invalid' })
  })
})
