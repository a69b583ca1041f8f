import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import { readColumns } from '../parquet/read.ts'
import { openParquet } from '../parquet/read-file.ts'
import { objectSource } from '../parquet/read-source.ts'
import type { Relocation } from '../tier/port.ts'
import { relocator } from '../tier/relocation.ts'
import { uncompressed } from '../zstd.ts'
import { checkTable } from './check.ts'
import { commitUpdates } from './commit.ts'
import { type CompactOptions, compactTable } from './compact.ts'
import { type DataFile, fileIdOf } from './data-file.ts'
import { deletedPositions } from './deletes.ts'
import { evolveSchema, type SchemaChange } from './evolve.ts'
import { expireSnapshots, findOrphans } from './maintain.ts'
import { columnsInUse, schemaOf, type TableMetadata } from './metadata.ts'
import { makeSortOrder, makeSpec } from './partition.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { dying, readExactly, TestLake, type TestRow, testClock } from './testing.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'n', type: 'int' },
])
const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 })
const rows = (from: number, count: number, ns = 'a') =>
  Array.from({ length: count }, (_, at) => ({ id: from + at, ns, n: 100 - from - at }))
const options: CompactOptions = { compressor: uncompressed, codecs: {}, minFiles: 2 }

async function lakeOf(formatVersion = 2, more: object = {}): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema, spec, formatVersion, ...more })
  return lake
}
const compact = (lake: TestLake, more: Partial<CompactOptions> = {}) =>
  compactTable(lake.committer, lake.name, { ...options, ...more })
const check = async (lake: TestLake) =>
  checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

interface Row {
  readonly place: string
  readonly rowId: unknown
  readonly updated: unknown
  readonly values: readonly unknown[]
}

/** Every row of a table, with where it is, its id and the number of its last change, in the order of the files. */
async function readAll(lake: TestLake, metadata?: TableMetadata): Promise<Row[]> {
  const table = metadata ?? (await lake.load())
  const lineage = [
    { id: 2_147_483_540, name: '_row_id', required: false, type: 'long' },
    { id: 2_147_483_539, name: '_last', required: false, type: 'long' },
  ]
  const found: Row[] = []
  for (const { file, deletes, sequenceNumber } of (await planScan(lake.files, table)).tasks) {
    const gone = new Set(await deletedPositions(lake.files, file, { deletes, codecs: {} }))
    const { store, key } = lake.files.placeOf(file.path)
    const reader = await openParquet(objectSource(store, key), { codecs: {} })
    const fields = [...schemaOf(table).fields, ...lineage]
    for await (const { rows: count, firstRow, columns } of readColumns(reader, { fields })) {
      for (const at of range(0, count).filter((one) => !gone.has(firstRow + one))) {
        const values = columns.map((column) => column[at])
        const [last, id] = [values.pop(), values.pop()]
        const rowId = id ?? (file.firstRowId === undefined ? null : file.firstRowId + firstRow + at)
        const place = `${fileIdOf(file.path)} ${firstRow + at}`
        found.push({ place, rowId, updated: last ?? sequenceNumber, values })
      }
    }
  }
  return found
}
const idsOf = async (lake: TestLake) => (await readAll(lake)).map(({ values }) => values[0] as number)
const sortedIds = async (lake: TestLake) => (await idsOf(lake)).sort((a, b) => a - b)
const filesOf = async (lake: TestLake) => (await planScan(lake.files, await lake.load())).tasks.map(({ file }) => file)

/** Follow rows by relocations. */
function moved(before: readonly Row[], relocations: readonly Relocation[]): Row[] {
  const byFile = new Map(relocations.map((one) => [`${one.from}`, one]))
  return before.map((row) => {
    const [file = '', at] = row.place.split(' ')
    const move = byFile.get(file)
    return move === undefined ? row : { ...row, place: `${move.to} ${relocator(move).place(Number(at))}` }
  })
}
const byPlace = (all: readonly Row[]) => new Map(all.map((row) => [row.place, row]))

describe.each([2, 3])('compaction in format v%s', (version) => {
  it('makes one file of many, in order, without what was deleted, and says where rows went', async () => {
    const lake = await lakeOf(version)
    const files: DataFile[] = []
    for (const from of [0, 10, 20]) files.push(await lake.append(rows(from, 10)))
    await lake.append(rows(50, 3, 'b'))
    await lake.delete([files[0] as DataFile, [0, 5]], [files[2] as DataFile, [9]])
    await lake.commit({ addData: [], summary: { 'dotdo.positions': '{"1":["i",1,2]}' } })
    const before = await readAll(lake)
    const { committed, relocations, ...counts } = await compact(lake)
    expect(counts).toMatchObject({ removedFiles: 3, addedFiles: 1, rows: 27, isMore: false })
    expect(committed?.snapshot.summary).toMatchObject({
      operation: 'replace',
      'total-data-files': '2',
      'total-delete-files': '0',
      'total-position-deletes': '0',
      'dotdo.positions': '{"1":["i",1,2]}',
    })
    const to = relocations[0]?.to as number
    expect(relocations).toEqual([
      { from: fileIdOf(files[0]?.path ?? ''), to, offset: 0, without: [0, 5] },
      { from: fileIdOf(files[1]?.path ?? ''), to, offset: 8, without: [] },
      { from: fileIdOf(files[2]?.path ?? ''), to, offset: 18, without: [9] },
    ])
    const after = await readAll(lake)
    const expected = moved(before, relocations)
    // In v2 the age of rows is that of their file.
    const strip = (all: readonly Row[]) => byPlace(version === 3 ? all : all.map((row) => ({ ...row, updated: 0 })))
    expect(strip(after)).toEqual(strip(expected))
    expect(await idsOf(lake)).toEqual([...range(1, 5), ...range(6, 29), ...range(50, 53)])
    expect(await check(lake)).toEqual([])
    if (version === 2) expect((await lake.rows()).length).toBe(30)
    expect((await compact(lake)).committed).toBeUndefined()
    await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    lake.clock.nowMsIs += 10 * 86_400_000
    expect(await findOrphans(lake.committer, lake.name)).toEqual([])
    expect(await check(lake)).toEqual([])
  })

  it('keeps what is deleted while it runs, without writing anything twice', async () => {
    const lake = await lakeOf(version)
    const [one, two] = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5))]
    await lake.delete([one, [1]])
    let puts = 0
    const put: ObjectStore['put'] = async (...args) => {
      if (args[0].includes('/data/') && puts++ === 0) await lake.delete([one, [1, 2]], [two, [0, 4]])
      return lake.store.put(...args)
    }
    const before = await readAll(lake)
    const other = new TestLake(bound(lake.store, { put }), 2)
    const { relocations } = await compact(other)
    // The new file, and the deletes of its rows.
    expect(puts).toBe(2)
    expect(await idsOf(lake)).toEqual([0, 3, 4, 6, 7, 8])
    const places = byPlace(moved(before, relocations))
    for (const row of await readAll(lake)) expect(places.get(row.place)?.values).toEqual(row.values)
    expect(await check(lake)).toEqual([])
  })

  it('is made anew when an old file goes, and leaves nothing of the first try', async () => {
    const lake = await lakeOf(version)
    const [one] = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5)), await lake.append(rows(10, 5))]
    let puts = 0
    const put: ObjectStore['put'] = async (...args) => {
      if (args[0].includes('/data/') && puts++ === 0) await lake.commit({ removeData: [one] })
      return lake.store.put(...args)
    }
    await compact(new TestLake(bound(lake.store, { put }), 2))
    expect(puts).toBe(2)
    expect(await idsOf(lake)).toEqual(range(5, 15))
    expect(await check(lake)).toEqual([])
    await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    lake.clock.nowMsIs += 10 * 86_400_000
    expect(await findOrphans(lake.committer, lake.name)).toEqual([])
  })

  it('is done or not, whenever the process dies', async () => {
    for (let at = 0; ; at++) {
      const store = memoryObjects(testClock())
      const lake = new TestLake(store)
      await lake.create({ schema, spec, formatVersion: version })
      const file = await lake.append(rows(0, 5))
      await lake.append(rows(5, 5))
      await lake.delete([file, [2]])
      const doom = dying([store], at, at % 2 === 0)
      const compacting = compact(new TestLake(doom.stores[0], 2))
      const died = await Promise.race([compacting.then(() => false), doom.died])
      const after = new TestLake(store, 3)
      expect(await sortedIds(after)).toEqual([0, 1, ...range(3, 10)])
      await compact(after)
      expect(await idsOf(after)).toEqual([0, 1, ...range(3, 10)])
      expect((await filesOf(after)).length).toBe(1)
      expect(await check(after)).toEqual([])
      if (!died) {
        expect(at).toBeGreaterThan(8)
        return
      }
    }
  })

  it('drops files whose rows are all deleted', async () => {
    const lake = await lakeOf(version)
    const file = await lake.append(rows(0, 3))
    await lake.append(rows(5, 1, 'b'))
    await lake.delete([file, [0, 1, 2]])
    const { addedFiles, removedFiles, relocations } = await compact(lake)
    expect([addedFiles, removedFiles, relocations]).toEqual([0, 1, []])
    expect(await idsOf(lake)).toEqual([5])
    expect(await check(lake)).toEqual([])
  })
})

/** A store with other methods. */
function bound(store: ObjectStore, methods: Partial<ObjectStore>): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const own = methods[name as keyof ObjectStore] ?? target[name as keyof ObjectStore]
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}

describe('what is compacted', () => {
  it('is as large as asked, from so many files on, in the order of their age', async () => {
    const lake = await lakeOf()
    const wide = (from: number) => rows(from, 200).map((row) => ({ ...row, n: (row.id * 1_103_515_245) & 0x7fffffff }))
    let size = 0
    for (let at = 0; at < 9; at++) size = Math.max(size, (await lake.append(wide(at * 200))).sizeBytes)
    expect((await compact(lake, { minFiles: 10 })).committed).toBeUndefined()
    const first = await compact(lake, { minFiles: 3, targetBytes: size * 4, bytesMax: size * 4 })
    expect(first).toMatchObject({ removedFiles: 4, addedFiles: 1, isMore: true })
    const second = await compact(lake, { minFiles: 3, targetBytes: size * 2 })
    expect(second).toMatchObject({ removedFiles: 4, addedFiles: 2, isMore: false })
    const counts = (await filesOf(lake)).map(({ recordCount }) => recordCount)
    expect(counts.sort((a, b) => a - b)).toEqual([200, 400, 400, 800])
    expect(await sortedIds(lake)).toEqual(range(0, 1_800))
    expect(await check(lake)).toEqual([])
  })

  it('is chosen by the share of deleted rows, and by a predicate', async () => {
    const lake = await lakeOf()
    const [a, b] = [await lake.append(rows(0, 10)), await lake.append(rows(10, 10, 'b'))]
    await lake.delete([a, [0, 1, 2]])
    await lake.delete([b, [0, 1, 2, 3]])
    expect((await compact(lake, { deletedShare: 0.5 })).committed).toBeUndefined()
    const where = { op: 'eq', column: 'ns', value: 'a' } as const
    expect(await compact(lake, { deletedShare: 0.3, where })).toMatchObject({ removedFiles: 1, rows: 7 })
    expect(await compact(lake, { deletedShare: 0.4 })).toMatchObject({ removedFiles: 1, rows: 6 })
    expect(await check(lake)).toEqual([])
  })

  it('is told of before it is committed', async () => {
    const lake = await lakeOf()
    for (const from of [0, 5]) await lake.append(rows(from, 5))
    const told: unknown[] = []
    const beforeCommit = async (relocations: readonly Relocation[]) => {
      told.push(relocations, (await filesOf(lake)).length)
    }
    const { relocations } = await compact(lake, { beforeCommit })
    expect(told).toEqual([relocations, 2])
    expect(relocations).toHaveLength(2)
  })

  it('reports progress, and relocations only when wanted', async () => {
    const lake = await lakeOf()
    for (const ns of ['a', 'a', 'b', 'b']) await lake.append(rows(0, 5, ns))
    const told: unknown[] = []
    const onProgress = (progress: unknown) => told.push(progress)
    expect((await compact(lake, { onProgress, relocations: false })).relocations).toEqual([])
    expect(told).toMatchObject([
      { files: 1, of: 2, rows: 5 + 5 },
      { files: 2, of: 2, rows: 20 },
    ])
    for (const wrong of [{ targetBytes: 0 }, { minFiles: Number.NaN }, { sort: true, relocations: true }]) {
      await expect(compact(lake, wrong)).rejects.toMatchObject({ code: 'invalid' })
    }
  })

  it('has the row groups and bloom filters that are asked for, or those that there were', async () => {
    const lake = await lakeOf()
    for (const from of [0, 10]) await lake.append(rows(from, 10))
    const shape = async () => {
      const [file] = await filesOf(lake)
      const { store, key } = lake.files.placeOf(file?.path ?? '')
      const { footer } = await openParquet(objectSource(store, key), { codecs: {} })
      const blooms = footer.groups[0]?.chunks.map(({ bloom }) => bloom !== undefined)
      return [footer.groups.map((group) => group.rows), blooms, footer.fields.map(({ id }) => id)]
    }
    await compact(lake, { rowGroupRows: 8, bloom: ['id'] })
    expect(await shape()).toEqual([
      [8, 8, 4],
      [true, false, false],
      [1, 2, 3],
    ])
    await lake.append(rows(20, 3))
    await compact(lake)
    expect(await shape()).toEqual([[23], [true, false, false], [1, 2, 3]])
    await lake.append(rows(23, 3))
    await compact(lake, { bloom: [] })
    expect(await shape()).toEqual([[26], [false, false, false], [1, 2, 3]])
    expect(await check(lake)).toEqual([])
  })

  it('is sorted by the table, nulls and all, when asked', async () => {
    const order = [{ column: 'n', direction: 'desc', nulls: 'nulls-first' }, { column: 'id' }] as const
    const lake = await lakeOf(2, { sortOrder: makeSortOrder(order, schema) })
    await lake.append([
      { id: 5, ns: 'a', n: 1 },
      { id: 4, ns: 'a', n: null },
      { id: 3, ns: 'a', n: 7 },
    ] as TestRow[])
    await lake.append([
      { id: 2, ns: 'a', n: 7 },
      { id: 1, ns: 'a', n: null },
    ] as TestRow[])
    expect((await compact(lake, { sort: true })).relocations).toEqual([])
    expect(await idsOf(lake)).toEqual([1, 4, 2, 3, 5])
    expect((await filesOf(lake)).map(({ sortOrderId }) => sortOrderId)).toEqual([1])
    await expect(compact(lake, { sort: true, targetBytes: 2 ** 30 })).rejects.toMatchObject({ code: 'limit' })
    expect(await check(lake)).toEqual([])
    const unsorted = await lakeOf()
    for (const from of [0, 1]) await unsorted.append(rows(from, 1))
    await expect(compact(unsorted, { sort: true })).rejects.toThrow('no sort order')
  })

  it('has the columns of today', async () => {
    const lake = await lakeOf()
    await lake.append(rows(0, 2))
    await evolve(lake, { rename: 'n', to: 'm' }, { widen: 'm', type: 'long' })
    await lake.append([{ id: 2, ns: 'a', m: 2 ** 40 }])
    await evolve(lake, { add: { name: 'extra', type: 'string' } })
    await compact(lake)
    expect((await readAll(lake)).map(({ values }) => values)).toEqual([
      [0, 'a', 100, null],
      [1, 'a', 99, null],
      [2, 'a', 2 ** 40, null],
    ])
    expect(await lake.rows()).toMatchObject([{ m: 100n }, { m: 99n }, { m: 2n ** 40n }])
    await evolve(lake, { drop: 'm' })
    await lake.append([{ id: 3, ns: 'a', extra: 'x' }])
    await compact(lake)
    expect((await readAll(lake)).map(({ values }) => values)).toEqual([
      [0, 'a', null],
      [1, 'a', null],
      [2, 'a', null],
      [3, 'a', 'x'],
    ])
    expect(await check(lake)).toEqual([])
  })

  it.each([2, 3])('applies deletes by value of other writers, of now and of later, in format v%s', async (version) => {
    const lake = await lakeOf(version)
    const byId = async (...ids: number[]): Promise<DataFile> => {
      const file = await lake.dataFile(ids.map((id) => ({ id, ns: 'a', n: null })))
      return { ...file, content: 'equality-deletes', equalityIds: [1], sortOrderId: undefined, firstRowId: undefined }
    }
    await lake.append(rows(0, 5))
    await lake.commit({ addDeletes: [await byId(1, 7)] })
    await lake.append(rows(5, 5))
    await lake.append(rows(1, 1))
    const before = await readAll(lake)
    const { relocations, rows: count } = await compact(lake)
    expect(count).toBe(10)
    expect(relocations.map(({ offset, without }) => [offset, without])).toEqual([
      [0, [1]],
      [4, []],
      [9, []],
    ])
    expect(await idsOf(lake)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9, 1])
    expect((await lake.load()).snapshots.at(-1)?.summary['total-delete-files']).toBe('0')
    if (version === 3) {
      const ids = new Map(before.map(({ values, rowId }) => [rowId, values[0]]))
      for (const { values, rowId } of await readAll(lake)) expect(ids.get(rowId)).toBe(values[0])
    }
    await lake.commit({ addDeletes: [await byId(9)] })
    expect((await planScan(lake.files, await lake.load())).tasks.map(({ deletes }) => deletes.length)).toEqual([1])
    await compact(lake)
    expect(await idsOf(lake)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 1])
    expect(await check(lake)).toEqual([])
  })

  it('keeps partitions, specs and stores apart', async () => {
    const archive = memoryObjects(testClock())
    const root = 'http://lake.test/archive'
    const lake = new TestLake(undefined, 1, [{ root, store: archive }])
    await lake.create({ schema, spec })
    for (const ns of ['a', 'b', 'a', 'b']) await lake.append(rows(0, 2, ns))
    const { archiveFiles } = await import('./archive.ts')
    lake.clock.nowMsIs += 1_000_000
    await archiveFiles(lake.committer, lake.name, {
      compressor: uncompressed,
      codecs: {},
      olderThanMs: 0,
      to: root,
    })
    for (const ns of ['a', 'b', 'a']) await lake.append(rows(10, 2, ns))
    expect(await compact(lake)).toMatchObject({ removedFiles: 6, addedFiles: 3 })
    const places = (await filesOf(lake)).map(({ path, partition }) => [path.startsWith(root), partition[0]].join())
    expect(places.sort()).toEqual(['false,a', 'false,b', 'true,a', 'true,b'])
    expect(await check(lake)).toEqual([])
  })
})

async function evolve(lake: TestLake, ...changes: SchemaChange[]): Promise<void> {
  await commitUpdates(lake.committer, lake.name, (table) => {
    const from = { schema: schemaOf(table), lastColumnId: table['last-column-id'] }
    const evolved = evolveSchema(from, changes, columnsInUse(table))
    return {
      requirements: [],
      updates: [
        { action: 'add-schema', schema: evolved.schema, 'last-column-id': evolved.lastColumnId },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
    }
  })
}

describe('position deletes of files that stay', () => {
  it('are gathered when there are many', async () => {
    const lake = await lakeOf()
    const [one, two] = [await lake.append(rows(0, 50)), await lake.append(rows(50, 50))]
    for (let at = 0; at < 4; at++) await lake.delete([one, [at]], [two, [at * 2]])
    const { committed, addedFiles } = await compact(lake, { minFiles: 4 })
    expect(addedFiles).toBe(0)
    expect(committed?.snapshot.summary).toMatchObject({
      operation: 'replace',
      'total-delete-files': '1',
      'total-position-deletes': '8',
    })
    expect((await idsOf(lake)).length).toBe(92)
    expect(await check(lake)).toEqual([])
    expect((await compact(lake, { minFiles: 4 })).committed).toBeUndefined()
  })

  it('become vectors in a table that has become v3', async () => {
    const lake = await lakeOf(2)
    const [one, two] = [await lake.append(rows(0, 50)), await lake.append(rows(50, 50))]
    await lake.delete([one, [1]], [two, [2]])
    await commitUpdates(lake.committer, lake.name, () => ({
      requirements: [],
      updates: [{ action: 'upgrade-format-version', 'format-version': 3 }],
    }))
    await compact(lake, { minFiles: 9 })
    const tasks = (await planScan(lake.files, await lake.load())).tasks
    expect(tasks.map(({ deletes }) => deletes.map(({ format }) => format))).toEqual([['PUFFIN'], ['PUFFIN']])
    expect((await lake.load()).snapshots.at(-1)?.summary['total-delete-files']).toBe('2')
    expect((await idsOf(lake)).length).toBe(98)
    expect(await check(lake)).toEqual([])
  })
})

describe('any history', () => {
  it('keeps every row, its values, its id and its age, and relocations find it', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append'), count: fc.integer({ min: 1, max: 6 }), ns: fc.constantFrom('a', 'b') }),
      fc.record({ kind: fc.constant('delete'), picks: fc.array(fc.nat(500), { minLength: 1, maxLength: 5 }) }),
      fc.record({ kind: fc.constant('compact'), minFiles: fc.integer({ min: 1, max: 3 }) }),
    ) as fc.Arbitrary<{ kind: string; count: number; ns: string; picks: number[]; minFiles: number }>
    const steps = fc.array(step, { minLength: 3, maxLength: 14 })
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(2, 3), async (all, version) => {
        const lake = await lakeOf(version)
        const paths = new Map<number | undefined, string>()
        let next = 0
        for (const { kind, count, ns, picks, minFiles } of all) {
          const before = await readAll(lake)
          for (const { path } of await filesOf(lake)) paths.set(fileIdOf(path), path)
          if (kind === 'append') {
            await lake.append(rows(next, count, ns))
            next += count
          } else if (kind === 'delete' && before.length > 0) {
            const places = new Map<string, number[]>()
            for (const pick of new Set(picks.map((one) => one % before.length))) {
              const [file, at] = (before[pick]?.place ?? '').split(' ').map(Number) as [number, number]
              const path = paths.get(file) ?? ''
              places.set(path, [...(places.get(path) ?? []), at])
            }
            await lake.delete(...[...places].map(([path, positions]) => [{ path }, positions] as const))
          } else if (kind === 'compact') {
            const { relocations } = await compact(lake, { minFiles, deletedShare: 0.5 })
            const after = byPlace(await readAll(lake))
            const expected = moved(before, relocations)
            // In v2 the age of rows is that of their file.
            const strip = (row: Row) => (version === 3 ? row : { ...row, updated: 0 })
            expect([...after.values()].length).toBe(expected.length)
            for (const row of expected) expect(strip(after.get(row.place) as Row)).toEqual(strip(row))
          }
        }
        expect(await check(lake)).toEqual([])
      }),
      { numRuns: 40 },
    )
  })
})
