/** Files as a whole: their parts, their sizes, what is refused, and what is left when something fails. */
import { parquetReadObjects, parquetScan } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import { openZstd } from '../../host/node/zstd.ts'
import type { Compressor } from '../zstd.ts'
import { uncompressed } from '../zstd.ts'
import type { StructType } from './schema.ts'
import { asFile, exactParsers, readMetadata, readRows, writeColumns, writeFile, writeRows } from './testing.ts'
import { createParquetWriter } from './writer.ts'

const field = (id: number, name: string, type: string, required = true) => ({ id, name, required, type })
const events: StructType = {
  type: 'struct',
  fields: [field(1, 'seq', 'long'), field(2, 'name', 'string', false), field(3, 'amount', 'double', false)],
}
const eventsOf = (count: number, from = 1) =>
  Array.from({ length: count }, (_, at) => ({
    seq: from + at,
    name: at % 10 === 9 ? null : `name-${at % 4}`,
    amount: at / 2,
  }))
const readBack = (rows: ReturnType<typeof eventsOf>) =>
  rows.map(({ seq, name, amount }) => ({ seq: BigInt(seq), name, amount }))
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('a file', () => {
  it.each([0, 1, 7, 8, 9, 49, 50, 51, 99, 100, 101, 250])('of %i rows has them all', async (count) => {
    const rows = eventsOf(count)
    const { bytes, summary } = await writeRows(events, rows, { pageRows: 7, rowGroupRows: 50 })
    expect(await readRows(bytes)).toEqual(readBack(rows))
    expect(summary).toMatchObject({ rows: count, sizeBytes: bytes.length })
    const { row_groups: groups } = await readMetadata(bytes)
    expect(groups.map(({ num_rows: rows }) => Number(rows))).toEqual(
      Array.from({ length: Math.ceil(count / 50) }, (_, at) => Math.min(50, count - at * 50)),
    )
    expect(summary.splitOffsets).toEqual(groups.map(({ file_offset: offset }) => Number(offset)))
    if (count > 0) expect(summary.splitOffsets[0]).toBe(4)
  })

  it('has the same bytes whenever it is written', async () => {
    const write = () => writeRows(events, eventsOf(20), { bloom: ['name'], metadata: { a: 'b' }, pageRows: 8 })
    const { bytes } = await write()
    expect((await write()).bytes).toEqual(bytes)
    expect(bytes.length).toBe(1173)
    // The magic, and the first page: seq, DELTA_BINARY_PACKED, eight values.
    expect(hexOf(bytes.subarray(0, 40))).toMatchInlineSnapshot(
      `"504152311506151415145c151015001510150a150015001200008001040802020000000015061514"`,
    )
    expect(hexOf(bytes.subarray(-4))).toBe('50415231')
  })

  it('carries field ids, types, its metadata and who wrote it', async () => {
    const { bytes } = await writeRows(events, [], { metadata: { 'iceberg.schema': '{}', empty: '' } })
    const metadata = await readMetadata(bytes)
    expect(metadata.created_by).toMatch(/^dotdo version \d+\.\d+\.\d+$/)
    expect(metadata.key_value_metadata).toEqual([
      { key: 'iceberg.schema', value: '{}' },
      { key: 'empty', value: '' },
    ])
    expect(metadata.schema).toMatchObject([
      { name: 'table', num_children: 3 },
      { name: 'seq', type: 'INT64', repetition_type: 'REQUIRED', field_id: 1 },
      { name: 'name', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL', field_id: 2, logical_type: { type: 'STRING' } },
      { name: 'amount', type: 'DOUBLE', field_id: 3 },
    ])
  })

  it('has sizes that add up', async () => {
    const zstd = await openZstd('wasm')
    const rows = eventsOf(500)
    const { bytes, summary } = await writeRows(events, rows, { compressor: zstd, pageRows: 100, rowGroupRows: 200 })
    expect(await readRows(bytes, zstd)).toEqual(readBack(rows))
    const { row_groups: groups } = await readMetadata(bytes)
    let end = 4
    for (const group of groups) {
      for (const { meta_data: chunk } of group.columns) {
        expect(Number(chunk?.dictionary_page_offset ?? chunk?.data_page_offset)).toBe(end)
        end += Number(chunk?.total_compressed_size)
      }
    }
    const sizes = groups.flatMap(({ columns }) => columns.map((one) => Number(one.meta_data?.total_compressed_size)))
    expect([...summary.columnSizes.values()].reduce((sum, size) => sum + size)).toBe(
      sizes.reduce((sum, size) => sum + size),
    )
    expect([...summary.valueCounts]).toEqual([
      [1, 500],
      [2, 500],
      [3, 500],
    ])
    expect([...summary.nullCounts]).toEqual([
      [1, 0],
      [2, 50],
      [3, 0],
    ])
  })

  it('keeps pages that the codec cannot shrink as they are', async () => {
    let compressed = 0
    const larger: Compressor = {
      name: 'zstd',
      compress(bytes) {
        compressed++
        return new Uint8Array(bytes.length + 1)
      },
    }
    const rows = eventsOf(50).map(({ seq, amount }) => ({ seq, name: `n${seq}`, amount }))
    const { bytes } = await writeRows(events, rows, { compressor: larger })
    expect(compressed).toBe(3)
    expect((await readRows(bytes)).length).toBe(50)
  })

  it('ends row groups by bytes too', async () => {
    const rows = Array.from({ length: 640 }, (_, seq) => ({ seq, name: `${seq}`.repeat(200) }))
    const { bytes } = await writeRows(events, rows, { rowGroupBytes: 100_000 })
    const { row_groups: groups } = await readMetadata(bytes)
    expect(groups.length).toBeGreaterThan(2)
    expect((await readRows(bytes)).length).toBe(640)
  })

  it('cuts pages sooner where values are large', async () => {
    const rows = Array.from({ length: 10 }, (_, seq) => ({ seq, name: String(seq).repeat(3_000_000) }))
    const { bytes } = await writeRows(events, rows)
    const found = await readRows(bytes)
    expect(found.map(({ name }) => (name as string).length)).toEqual(rows.map(({ name }) => name.length))
    const { row_groups: groups } = await readMetadata(bytes)
    expect(groups[0]?.columns[1]?.meta_data?.encoding_stats?.at(-1)?.count).toBeGreaterThan(3)
    expect(groups[0]?.columns[0]?.meta_data?.encoding_stats?.at(-1)?.count).toBe(1)
  })
})

describe('nested values', () => {
  const nested: StructType = {
    type: 'struct',
    fields: [
      field(1, 'id', 'int'),
      {
        id: 2,
        name: 'tags',
        required: false,
        type: { type: 'list', 'element-id': 3, element: 'string', 'element-required': false },
      },
      {
        id: 4,
        name: 'counts',
        required: false,
        type: { type: 'map', 'key-id': 5, key: 'string', 'value-id': 6, value: 'long', 'value-required': false },
      },
      {
        id: 7,
        name: 'place',
        required: false,
        type: {
          type: 'struct',
          fields: [
            field(8, 'city', 'string', false),
            {
              id: 9,
              name: 'path',
              required: true,
              type: {
                type: 'list',
                'element-id': 10,
                element: { type: 'list', 'element-id': 11, element: 'int', 'element-required': true },
                'element-required': false,
              },
            },
          ],
        },
      },
    ],
  }
  const rows = [
    { id: 1, tags: ['a', null, 'b'], counts: { x: 1, y: null }, place: { city: 'Rome', path: [[1, 2], [], [3]] } },
    { id: 2, tags: [], counts: new Map([['z', 2n ** 60n]]), place: { city: null, path: [] } },
    { id: 3, tags: null, counts: null, place: null },
    { id: 4, tags: [null], counts: new Map(), place: { path: [null, [4]] } },
  ]

  it('come back in their shape', async () => {
    const { bytes, summary } = await writeRows(nested, rows, { pageRows: 2 })
    expect(await readRows(bytes)).toEqual([
      { id: 1, tags: ['a', null, 'b'], counts: { x: 1n, y: null }, place: { city: 'Rome', path: [[1, 2], [], [3]] } },
      { id: 2, tags: [], counts: { z: 2n ** 60n }, place: { city: null, path: [] } },
      { id: 3, tags: null, counts: null, place: null },
      { id: 4, tags: [null], counts: {}, place: { city: null, path: [null, [4]] } },
    ])
    // Bounds of what repeats say nothing of a row: Iceberg is told those of the others only.
    expect([...summary.lowerBounds.keys()]).toEqual([1, 8])
    expect(summary.valueCounts.get(3)).toBe(6)
    const paths = (await readMetadata(bytes)).row_groups[0]?.columns.map((one) =>
      one.meta_data?.path_in_schema.join('.'),
    )
    expect(paths).toEqual([
      'id',
      'tags.list.element',
      'counts.key_value.key',
      'counts.key_value.value',
      'place.city',
      'place.path.list.element.list.element',
    ])
  })

  it('come as a column of values too', async () => {
    const columns = Object.fromEntries(
      nested.fields.map(({ name }) => [name, { values: rows.map((row) => (row as Record<string, unknown>)[name]) }]),
    )
    const { bytes } = await writeColumns(nested, rows.length, columns)
    expect(bytes).toEqual((await writeRows(nested, rows)).bytes)
  })

  it.each([
    ['a list that is no list', { id: 1, tags: 5 }, 'tags'],
    ['a map that is no map', { id: 1, counts: 'x' }, 'counts'],
    ['an entry that is no pair', { id: 1, counts: [1] }, 'counts'],
    ['a struct that is no object', { id: 1, place: 7 }, 'place'],
    ['a struct with a strange field', { id: 1, place: { town: 'x', path: [] } }, 'town'],
    ['a struct without what it needs', { id: 1, place: { city: 'x' } }, 'place.path'],
    ['an element of the wrong type', { id: 1, tags: ['a', 5] }, 'tags.element'],
  ])('are refused: %s', async (_, row, name) => {
    const given = [rows[0], row, rows[1]] as never[]
    const { bytes } = await writeFile(nested, {}, async (writer) => {
      const failed = await writer.writeRows(given).catch((error) => error)
      expect(failed).toMatchObject({ code: 'invalid', detail: { field: name, row: 1 } })
      await writer.writeRows(given.slice(2))
    })
    expect(bytes).toEqual((await writeRows(nested, [rows[0], rows[1]] as never[])).bytes)
  })
})

describe('a row that does not fit', () => {
  it.each([
    ['a null where one is required', { name: 'x' }],
    ['text for a number', { seq: '1' }],
    ['a fraction for an integer', { seq: 1.5 }],
    ['an integer that a double cannot hold', { seq: 2 ** 53 }],
    ['an integer past 64 bits', { seq: 2n ** 63n }],
    ['a lone surrogate', { seq: 1, name: '\ud800' }],
    ['a number for text', { seq: 1, name: 5 }],
    ['a field that there is not', { seq: 1, nmae: 'x' }],
    ['a wrong value in the last column', { seq: 1, name: 'x', amount: 'y' }],
  ])('leaves no trace: %s', async (_, row) => {
    const good = eventsOf(150)
    const { bytes } = await writeFile(events, { pageRows: 20, rowGroupRows: 100 }, async (writer) => {
      const failed = await writer.writeRows([...good, row]).catch((error) => error)
      expect(failed).toMatchObject({ code: 'invalid', detail: { row: 150 } })
      await expect(writer.writeRows([row])).rejects.toMatchObject({ detail: { row: 0 } })
      await writer.writeRows(eventsOf(10, 151))
    })
    const whole = await writeFile(events, { pageRows: 20, rowGroupRows: 100 }, async (writer) => {
      await writer.writeRows(good)
      await writer.writeRows(eventsOf(10, 151))
    })
    expect(bytes).toEqual(whole.bytes)
  })

  it.each([
    ['int', 2 ** 31],
    ['date', 1.5],
    ['boolean', 1],
    ['decimal(4,2)', 10_000],
    ['decimal(12,2)', 10n ** 12n],
    ['decimal(30,2)', 10n ** 30n],
    ['decimal(30,2)', 'x'],
    ['uuid', 'f79c3e09'],
    ['uuid', new Uint8Array(15)],
    ['fixed[2]', new Uint8Array(3)],
    ['binary', 'text'],
    ['float', '1'],
  ])('is refused: %s %s', async (type, value) => {
    const schema: StructType = { type: 'struct', fields: [field(1, 'c', type)] }
    await expect(writeRows(schema, [{ c: value }])).rejects.toMatchObject({
      code: 'invalid',
      detail: { field: 'c', row: 0 },
    })
  })
})

describe('a reader that prunes', () => {
  const rows = eventsOf(1000)
  const scan = async (pruningFilter: object, bloom: string[] = []) => {
    const { bytes } = await writeRows(events, rows, { pageRows: 50, rowGroupRows: 250, bloom })
    const file = asFile(bytes)
    const { ranges } = await parquetScan({
      file,
      pruningFilter: pruningFilter as never,
      useBloomFilters: true,
      usePageIndex: true,
    })
    return ranges.map(({ rowStart, rowEnd }) => [rowStart, rowEnd])
  }

  it('reads the row groups that the bounds leave', async () => {
    expect(await scan({ seq: { $gt: 2000n } })).toEqual([])
  })

  it('reads the pages that the page index leaves', async () => {
    expect(await scan({ seq: { $gte: 301n, $lte: 350n } })).toEqual([[300, 350]])
    expect(await scan({ seq: { $gte: 350n, $lte: 351n } })).toEqual([[300, 400]])
    expect(await scan({ amount: { $lt: 5 } })).toEqual([[0, 50]])
  })

  it('reads the row groups that the bloom filter leaves', async () => {
    expect((await scan({ name: { $eq: 'name-1x' } })).length).toBeGreaterThan(0)
    expect(await scan({ name: { $eq: 'name-1x' } }, ['name'])).toEqual([])
    expect((await scan({ name: { $eq: 'name-1' } }, ['name'])).length).toBe(4)
  })

  it('finds every row it looks for', async () => {
    const { bytes } = await writeRows(events, rows, { pageRows: 50, rowGroupRows: 250, bloom: ['seq', 'name'] })
    for (const seq of [1, 50, 51, 250, 251, 999, 1000]) {
      const found = await parquetReadObjects({
        file: asFile(bytes),
        filter: { seq: { $eq: BigInt(seq) } },
        useBloomFilters: true,
        usePageIndex: true,
        useOffsetIndex: true,
        parsers: exactParsers,
      })
      expect(found.map((row) => row.seq)).toEqual([BigInt(seq)])
    }
  })
})

describe('the writer', () => {
  it.each([
    ['a type that there is not', [field(1, 'c', 'text')]],
    ['a decimal of too many digits', [field(1, 'c', 'decimal(39,2)')]],
    ['a decimal with more places than digits', [field(1, 'c', 'decimal(2,3)')]],
    ['bytes of no width', [field(1, 'c', 'fixed[0]')]],
    ['two fields of one name', [field(1, 'c', 'int'), field(2, 'c', 'int')]],
    ['two fields of one id', [field(1, 'c', 'int'), field(1, 'd', 'int')]],
    ['no field at all', []],
  ])('refuses %s', (_, fields) => {
    const sink = { write() {} }
    const make = () => createParquetWriter({ schema: { type: 'struct', fields }, compressor: uncompressed, sink })
    expect(make).toThrow(expect.objectContaining({ code: 'invalid' }))
  })

  it.each([
    { bloom: ['nmae'] },
    { encodings: { nmae: 'plain' } },
    { pageRows: 0 },
    { pageBytes: 0 },
    { rowGroupRows: 1.5 },
    { rowGroupBytes: -1 },
  ])('refuses %j', async (options) => {
    await expect(writeRows(events, [], options as object)).rejects.toMatchObject({ code: 'invalid' })
  })

  it('ends once', async () => {
    const writer = createParquetWriter({ schema: events, compressor: uncompressed, sink: { write() {} } })
    await writer.finish()
    await expect(writer.finish()).rejects.toMatchObject({ code: 'invalid' })
    await expect(writer.writeRows([])).rejects.toMatchObject({ code: 'invalid' })
  })

  it('is broken when the sink has failed', async () => {
    let writes = 0
    const sink = {
      async write() {
        if (++writes === 3) throw new Error('disk full')
      },
    }
    const writer = createParquetWriter({ schema: events, compressor: uncompressed, sink, rowGroupRows: 10 })
    await expect(writer.writeRows(eventsOf(30))).rejects.toThrow('disk full')
    await expect(writer.finish()).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(/broken/) })
  })

  it('holds one row group, hands the rest on, and pauses twice a page', async () => {
    let pauses = 0
    let held = 0
    const sink = { write() {} }
    const pause = async () => {
      await null
      pauses++
    }
    const writer = createParquetWriter({
      schema: events,
      compressor: uncompressed,
      sink,
      rowGroupRows: 100,
      pageRows: 10,
      pause,
    })
    for (const row of eventsOf(1000)) {
      await writer.writeRows([row])
      held = Math.max(held, writer.bufferedBytes)
    }
    expect(writer.rows).toBe(1000)
    expect(writer.sizeBytes).toBeGreaterThan(5000)
    expect(held).toBeLessThan(100 * 40)
    // After its bounds, and after its bytes.
    expect(pauses).toBe(2 * 3 * 10 * 10)
  })

  it('cuts pages of many bytes sooner', async () => {
    const pausesOf = async (options: { pageBytes?: number }) => {
      let pauses = 0
      const pause = () => {
        pauses++
      }
      await writeRows(events, eventsOf(64), { pageRows: 64, pause, ...options })
      return pauses
    }
    const usual = await pausesOf({})
    expect(await pausesOf({ pageBytes: 100 })).toBeGreaterThan(usual)
    expect(await pausesOf({ pageBytes: 1_000_000 })).toBe(usual)
    const rows = eventsOf(200)
    const { bytes } = await writeRows(events, rows, { pageRows: 64, pageBytes: 100 })
    expect(await readRows(bytes)).toEqual(readBack(rows))
  })

  it('waits for a sink that is slow', async () => {
    let busy = false
    const parts: Uint8Array[] = []
    const sink = {
      async write(bytes: Uint8Array) {
        expect(busy).toBe(false)
        busy = true
        for (let turn = 0; turn < 5; turn++) await null
        parts.push(bytes)
        busy = false
      },
    }
    const writer = createParquetWriter({
      schema: events,
      compressor: uncompressed,
      sink,
      rowGroupRows: 20,
      pageRows: 10,
    })
    await writer.writeRows(eventsOf(50))
    await writer.finish()
    expect(await readRows(Buffer.concat(parts))).toEqual(readBack(eventsOf(50)))
  })
})
