import { describe, expect, it } from 'vitest'
import { uncompressed } from '../zstd.ts'
import { checkTable } from './check.ts'
import { commitUpdates } from './commit.ts'
import { isVector } from './data-file.ts'
import { writeDeletes } from './deletes.ts'
import { expireSnapshots, findOrphans } from './maintain.ts'
import { makeSpec } from './partition.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { readExactly, readPlan, TestLake } from './testing.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
])
const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 })
const rows = (from: number, count: number, ns = 'a') =>
  Array.from({ length: count }, (_, at) => ({ id: from + at, ns }))

async function lakeOf(formatVersion: number): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema, spec, formatVersion })
  return lake
}
const tasksOf = async (lake: TestLake) => (await planScan(lake.files, await lake.load())).tasks
async function idsOf(lake: TestLake, snapshotId?: number): Promise<number[]> {
  const plan = await planScan(lake.files, await lake.load(), snapshotId === undefined ? {} : { asOf: { snapshotId } })
  return (await readPlan(lake.files, plan)).map((row) => Number(row.id)).sort((a, b) => a - b)
}
const check = async (lake: TestLake) =>
  checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })
const options = { compressor: uncompressed, codecs: {} }
const stale = { code: 'conflict', detail: { reason: 'stale' } }

describe.each([2, 3])('deletes by position in format v%s', (version) => {
  it('are gone at once, in all partitions, and leave the past as it was', async () => {
    const lake = await lakeOf(version)
    const [a, b, c] = [
      await lake.append(rows(0, 5)),
      await lake.append(rows(5, 5)),
      await lake.append(rows(10, 5, 'b')),
    ]
    const before = (await lake.load())['current-snapshot-id'] as number
    const { snapshot } = await lake.delete([a, [4, 0]], [b, [1]], [c, [2]])
    expect(await idsOf(lake)).toEqual([1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 14])
    expect(await idsOf(lake, before)).toEqual(Array.from({ length: 15 }, (_, id) => id))
    expect(snapshot.summary).toMatchObject({
      operation: 'delete',
      'added-position-deletes': '4',
      'total-position-deletes': '4',
      'total-delete-files': version === 2 ? '2' : '3',
      ...(version === 2 ? { 'added-position-delete-files': '2' } : { 'added-dvs': '3' }),
    })
    expect(await check(lake)).toEqual([])
    if (version === 2) expect((await lake.rows()).length).toBe(11)
  })

  it('add up, however often a file is named', async () => {
    const lake = await lakeOf(version)
    const file = await lake.append(rows(0, 6))
    await lake.delete([file, [0, 1]])
    await lake.delete([file, [1, 3]])
    await lake.delete([file, [5]])
    expect(await idsOf(lake)).toEqual([2, 4])
    const [task] = await tasksOf(lake)
    expect(task?.deletes.map((one) => one.recordCount)).toEqual(version === 2 ? [2, 2, 1] : [4])
    expect((await lake.load()).snapshots.at(-1)?.summary['total-position-deletes']).toBe(version === 2 ? '5' : '4')
    expect(await check(lake)).toEqual([])
  })

  it('are refused of files that are not there, and of rows that a file has not', async () => {
    const lake = await lakeOf(version)
    const file = await lake.append(rows(0, 3))
    await expect(lake.delete([{ path: `${file.path}x` }, [0]])).rejects.toMatchObject(stale)
    for (const position of [3, -1, 0.5]) {
      await expect(lake.delete([file, [position]])).rejects.toMatchObject({ code: 'invalid' })
    }
    const none = await writeDeletes(lake.files, await lake.load(), new Map(), { compressor: uncompressed, codecs: {} })
    expect(none).toMatchObject({ addDeletes: [], removeDeletes: [] })
  })

  it('go with the file that they are of, and with what expires', async () => {
    const lake = await lakeOf(version)
    const [file, other] = [await lake.append(rows(0, 3)), await lake.append(rows(3, 3))]
    await lake.delete([file, [0]])
    await lake.delete([other, [0]])
    const { snapshot } = await lake.commit({ removeData: [file] })
    expect(snapshot.summary).toMatchObject({ 'total-delete-files': '1', 'total-position-deletes': '1' })
    expect(await idsOf(lake)).toEqual([4, 5])
    const { deleted } = await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    expect(deleted.filter((path) => path.includes('deletes-'))).toHaveLength(1)
    expect(await check(lake)).toEqual([])
    lake.clock.nowMsIs += 10 * 86_400_000
    expect(await findOrphans(lake.committer, lake.name)).toEqual([])
  })
})

describe('format v3', () => {
  it('gives every row an id of its own, which it keeps', async () => {
    const lake = await lakeOf(3)
    const first = await lake.append(rows(0, 5))
    const second = await lake.append(rows(5, 7))
    await lake.commit({ removeData: [first], addData: [await lake.dataFile(rows(20, 2))] })
    const table = await lake.load()
    expect(table.snapshots.map((one) => [one['first-row-id'], one['added-rows']])).toEqual([
      [0, 5],
      [5, 7],
      [12, 2],
    ])
    expect(table['next-row-id']).toBe(14)
    const ids = (await tasksOf(lake)).map(({ file }) => [file.recordCount, file.firstRowId])
    expect(ids).toEqual([
      [2, 12],
      [7, 5],
    ])
    expect(second.firstRowId).toBeUndefined()
    expect(await check(lake)).toEqual([])
  })

  it('keeps ids when manifests are merged, and lets two branches follow each other', async () => {
    const lake = new TestLake()
    const properties = { 'commit.manifest.min-count-to-merge': '3' }
    await lake.create({ schema, spec, formatVersion: 3, properties })
    for (let at = 0; at < 8; at++) await lake.append(rows(at * 3, 3))
    await lake.commit({ addData: [await lake.dataFile(rows(50, 4))], branch: 'side' })
    await lake.append(rows(60, 1))
    const ids = (await tasksOf(lake)).map(({ file }) => file.firstRowId)
    expect(new Set(ids).size).toBe(9)
    expect(await check(lake)).toEqual([])
  })

  it('has vectors only, and v2 none', async () => {
    const [two, three] = [await lakeOf(2), await lakeOf(3)]
    const [fileTwo, fileThree] = [await two.append(rows(0, 3)), await three.append(rows(0, 3))]
    const baseSnapshotId = (await three.load())['current-snapshot-id'] as number
    const old = await three.deleteFile([fileThree, [0]])
    await expect(three.commit({ addDeletes: [old], baseSnapshotId })).rejects.toMatchObject({ code: 'invalid' })
    await three.delete([fileThree, [0]])
    const [vector] = (await tasksOf(three))[0]?.deletes ?? []
    expect(vector && isVector(vector)).toBe(true)
    await expect(two.commit({ addDeletes: [vector as never], baseSnapshotId: null })).rejects.toThrow('format v2')
    expect(fileTwo.recordCount).toBe(3)
  })

  it('makes the second of two vectors of one file stale, and not those of two files', async () => {
    const lake = await lakeOf(3)
    const [file, other] = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5))]
    const plan = async (path: string, position: number) =>
      writeDeletes(lake.files, await lake.load(), new Map([[path, [position]]]), options)
    const [one, two, elsewhere] = [await plan(file.path, 0), await plan(file.path, 1), await plan(other.path, 2)]
    await lake.commit(one)
    await expect(lake.commit(two)).rejects.toMatchObject(stale)
    await lake.commit(elsewhere)
    const [again, late] = [await plan(file.path, 1), await plan(file.path, 2)]
    await lake.commit(again)
    await expect(lake.commit(late)).rejects.toMatchObject(stale)
    expect(await idsOf(lake)).toEqual([2, 3, 4, 5, 6, 8, 9])
    expect(await check(lake)).toEqual([])
  })

  it('takes over a table of v2: rows get ids, old deletes become part of vectors', async () => {
    const lake = await lakeOf(2)
    const [file, other] = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5))]
    await lake.delete([file, [0]])
    await lake.delete([file, [1]], [other, [0]])
    await commitUpdates(lake.committer, lake.name, () => ({
      requirements: [],
      updates: [{ action: 'upgrade-format-version', 'format-version': 3 }],
    }))
    expect(await lake.load()).toMatchObject({ 'format-version': 3, 'next-row-id': 0 })
    await lake.delete([file, [2]])
    expect(await idsOf(lake)).toEqual([3, 4, 6, 7, 8, 9])
    await lake.append(rows(20, 1))
    expect((await tasksOf(lake)).map(({ file: one }) => one.firstRowId).sort()).toEqual([0, 10, 5])
    expect(await check(lake)).toEqual([])
  })
})
