import { describe, expect, it } from 'vitest'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import { uncompressed } from '../zstd.ts'
import { archiveFiles } from './archive.ts'
import { checkTable } from './check.ts'
import { LakeFiles } from './files.ts'
import { expireSnapshots, removeOrphans } from './maintain.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { dying, readExactly, readPlan, TestLake, testClock, testRoot } from './testing.ts'

const schema = makeSchema([{ name: 'id', type: 'long', required: true }])
const rows = (from: number, count: number) => Array.from({ length: count }, (_, at) => ({ id: from + at }))
const dayMs = 86_400_000
const archiveRoot = 'http://lake.test/archive'
const options = { compressor: uncompressed, codecs: {}, olderThanMs: dayMs, to: archiveRoot }

/** A lake with an archive; both stores can be given to another process. */
function lakeOf(seed = 1, stores = [memoryObjects(testClock()), memoryObjects(testClock())]) {
  const [store, archive] = stores as [ObjectStore, ObjectStore]
  const lake = new TestLake(store, seed, [{ root: archiveRoot, store: archive }])
  return { lake, store, archive }
}
const tasksOf = async (lake: TestLake) => (await planScan(lake.files, await lake.load())).tasks
async function idsOf(lake: TestLake): Promise<number[]> {
  const plan = await planScan(lake.files, await lake.load())
  return (await readPlan(lake.files, plan)).map((row) => Number(row.id)).sort((a, b) => a - b)
}
const check = async (lake: TestLake) =>
  checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })
const keysOf = async (store: ObjectStore) => (await store.list({})).objects.map(({ key }) => key)
const nameOf = (path: string) => path.split('/').at(-1)

describe('stores of a lake', () => {
  const [one, two, three] = [memoryObjects(testClock()), memoryObjects(testClock()), memoryObjects(testClock())]
  const mounts = [
    { root: 's3://b/cold/', store: two },
    { root: 's3://b/cold/er', store: three },
  ]
  const files = new LakeFiles({ store: one, root: 's3://b', chance: testClock(), mounts })

  it('are found by the longest root, and the first has what is new', async () => {
    for (const [path, store, key] of [
      ['s3://b/t/x', one, 't/x'],
      ['s3a://b/cold/t/x', two, 't/x'],
      ['s3://b/cold/er/x', three, 'x'],
      ['s3://b/colder/x', one, 'colder/x'],
    ] as const) {
      expect(files.placeOf(path)).toMatchObject({ key })
      expect(files.placeOf(path).store).toBe(store)
    }
    await files.write('s3://b/cold/t/y', Uint8Array.of(1, 2, 3))
    expect(await keysOf(two)).toEqual(['t/y'])
    expect(await files.readRange('s3://b/cold/t/y', { start: 1, end: 2 })).toEqual(Uint8Array.of(2))
    await files.delete(['s3://b/t/none', 's3://b/cold/t/y'])
    expect(await files.head('s3://b/cold/t/y')).toBeUndefined()
    expect(files.locationOf('t/x')).toBe('s3://b/t/x')
    expect(files.mountOf('s3a://b/cold').store).toBe(two)
  })

  it('are refused where there are none, or two', () => {
    expect(() => files.placeOf('s3://other/x')).toThrow('is not under')
    expect(() => files.keyOf('s3://b/cold/x')).toThrow('not in the first store')
    expect(() => files.mountOf('s3://b/c')).toThrow('no store is mounted at s3://b/c')
    const twice = { store: one, root: 's3://b', chance: testClock(), mounts: [{ root: 's3a://b/', store: two }] }
    expect(() => new LakeFiles(twice)).toThrow('two stores')
  })
})

describe.each([2, 3])('archived files of format v%s', (formatVersion) => {
  it('keep names, rows, ages, ids and deletes; the old ones go with their snapshots', async () => {
    const { lake, store, archive } = lakeOf()
    await lake.create({ schema, formatVersion })
    const files = [await lake.append(rows(0, 5)), await lake.append(rows(5, 5))]
    await lake.delete([files[0] as never, [1, 3]])
    await lake.delete([files[0] as never, [4]], [files[1] as never, [0]])
    lake.clock.nowMsIs += 2 * dayMs
    await lake.commit({ addData: [await lake.dataFile(rows(10, 5))], summary: { 'dotdo.positions': '{"0":[1]}' } })
    const before = await tasksOf(lake)
    const { committed, ...moved } = await archiveFiles(lake.committer, lake.name, options)
    expect(moved).toEqual({ files: 2, bytes: (files[0]?.sizeBytes ?? 0) + (files[1]?.sizeBytes ?? 0) })
    expect(committed?.snapshot.summary).toMatchObject({ operation: 'replace', 'dotdo.positions': '{"0":[1]}' })
    const after = await tasksOf(lake)
    expect(after.filter(({ file }) => file.path.startsWith(archiveRoot))).toHaveLength(2)
    const known = (tasks: typeof after) =>
      tasks
        .map(({ file, sequenceNumber }) => [nameOf(file.path), sequenceNumber, file.recordCount, file.firstRowId])
        .sort((a, b) => (a[1] as number) - (b[1] as number))
    expect(known(after)).toEqual(known(before))
    expect(await idsOf(lake)).toEqual([0, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    if (formatVersion === 2) expect((await lake.rows()).length).toBe(11)
    expect(await check(lake)).toEqual([])
    expect((await keysOf(store)).filter((key) => files.some(({ path }) => path.endsWith(key)))).toHaveLength(2)
    await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    expect((await keysOf(store)).filter((key) => files.some(({ path }) => path.endsWith(key)))).toEqual([])
    expect(await idsOf(lake)).toHaveLength(11)
    lake.clock.nowMsIs += 10 * dayMs
    expect(await removeOrphans(lake.committer, lake.name)).toEqual([])
    expect(await keysOf(archive)).toHaveLength(2)
    expect((await archiveFiles(lake.committer, lake.name, options)).files).toBe(1)
    expect((await archiveFiles(lake.committer, lake.name, options)).committed).toBeUndefined()
    await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    expect(await check(lake)).toEqual([])
  })

  it('keep what is deleted while they move', async () => {
    const { lake: other, store, archive } = lakeOf()
    await other.create({ schema, formatVersion })
    const [one, two] = [await other.append(rows(0, 5)), await other.append(rows(5, 5))]
    let copies = 0
    const put: ObjectStore['put'] = async (...args) => {
      if (copies++ === 0) await other.delete([one, [0]], [two, [0, 1]])
      return archive.put(...args)
    }
    const { lake } = lakeOf(2, [store, { ...archive, put }])
    lake.clock.nowMsIs += 2 * dayMs
    const { files } = await archiveFiles(lake.committer, lake.name, options)
    expect([files, copies]).toEqual([2, 2])
    expect(await idsOf(other)).toEqual([1, 2, 3, 4, 7, 8, 9])
    expect(await check(other)).toEqual([])
  })

  it('are whole, whenever the process dies, and what it left is found', async () => {
    for (let at = 0; ; at++) {
      const { lake, store, archive } = lakeOf()
      await lake.create({ schema, formatVersion })
      const one = await lake.append(rows(0, 5))
      await lake.append(rows(5, 5))
      await lake.delete([one, [2]])
      const doom = dying([store, archive], at, at % 2 === 0)
      const doomed = lakeOf(2, doom.stores).lake
      doomed.clock.nowMsIs += 2 * dayMs
      const archiving = archiveFiles(doomed.committer, doomed.name, options)
      const died = await Promise.race([archiving.then(() => false), doom.died])
      const after = lakeOf(3, [store, archive]).lake
      after.clock.nowMsIs += 20 * dayMs
      const left = [0, 1, 3, 4, 5, 6, 7, 8, 9]
      expect(await idsOf(after)).toEqual(left)
      expect(await check(after)).toEqual([])
      await removeOrphans(after.committer, after.name)
      await archiveFiles(after.committer, after.name, options)
      expect(await idsOf(after)).toEqual(left)
      expect(await check(after)).toEqual([])
      expect(await keysOf(archive)).toHaveLength(2)
      if (!died) {
        expect(at).toBeGreaterThan(10)
        return
      }
    }
  })
})

describe('archiving', () => {
  it('takes the oldest first, so many a call, and says how far it is', async () => {
    const { lake } = lakeOf()
    await lake.create({ schema })
    for (let at = 0; at < 5; at++) await lake.append(rows(at, 1))
    lake.clock.nowMsIs += 2 * dayMs
    const told: unknown[] = []
    const onProgress = (progress: unknown) => told.push(progress)
    expect((await archiveFiles(lake.committer, lake.name, { ...options, filesMax: 2, onProgress })).files).toBe(2)
    const bySequence = (await tasksOf(lake)).toSorted((a, b) => a.sequenceNumber - b.sequenceNumber)
    expect(bySequence.map(({ file }) => file.path.startsWith(archiveRoot))).toEqual([true, true, false, false, false])
    expect(told).toMatchObject([
      { files: 1, of: 2 },
      { files: 2, of: 2 },
    ])
    const none = await archiveFiles(lake.committer, lake.name, { ...options, olderThanMs: 3 * dayMs })
    expect(none).toEqual({ files: 0, bytes: 0, committed: undefined })
    const nowhere = archiveFiles(lake.committer, lake.name, { ...options, to: `${testRoot}/x` })
    await expect(nowhere).rejects.toThrow('no store is mounted')
  })
})
