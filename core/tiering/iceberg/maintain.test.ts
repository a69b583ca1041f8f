import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { readContainer, writeContainer } from '../avro/container.ts'
import { counted } from '../objects/counted.ts'
import { listAll } from './catalog-keys.ts'
import { checkMetadata, checkTable } from './check.ts'
import { commitUpdates } from './commit.ts'
import type { DataFile } from './data-file.ts'
import { createRef, rollback } from './history.ts'
import { expireSnapshots, findOrphans, removeOldMetadata, removeOrphans } from './maintain.ts'
import type { TableMetadata } from './metadata.ts'
import { makeSchema } from './schema.ts'
import { readExactly, TestLake } from './testing.ts'
import { toBinary } from './values.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'note', type: 'string' },
])
const dayMs = 86_400_000

async function lakeOf(): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema, properties: { 'write.metadata.previous-versions-max': '3' } })
  return lake
}

const keysOf = async (lake: TestLake, folder: string) =>
  (await listAll(lake.store, `db@/events/${folder}`)).objects.map(({ key }) => key.split('/').at(-1) as string)

describe('maintenance', () => {
  it('deletes what only expired snapshots name', async () => {
    const lake = await lakeOf()
    const first = await lake.append([{ id: 1 }])
    const second = await lake.append([{ id: 2 }])
    await commitUpdates(lake.committer, lake.name, (table) => createRef(table, 'keep', 'tag'))
    await lake.commit({ removeData: [first] })
    const third = await lake.append([{ id: 3 }])
    await lake.commit({ removeData: [third] })
    const { deleted } = await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    // The tag still has the first; the third is nobody's.
    expect(deleted.filter((path) => path.includes('/data/'))).toEqual([third.path])
    expect((await keysOf(lake, 'data')).length).toBe(2)
    expect(await checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })).toEqual([])
    expect((await lake.rows()).map((row) => row.id)).toEqual([2n])
    expect(second.recordCount).toBe(1)
    expect(await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })).toEqual({
      snapshotIds: [],
      deleted: [],
    })
  })

  it('costs what has changed, not what there is', async () => {
    const lake = new TestLake()
    await lake.create({ schema, properties: { 'commit.manifest-merge.enabled': 'false' } })
    const files: DataFile[] = []
    for (let id = 0; id < 40; id++) files.push(await lake.append([{ id }]))
    await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    const store = counted(lake.store)
    const fresh = new TestLake(store, 2)
    fresh.clock.nowMsIs = lake.clock.nowMsIs + 1_000
    await fresh.commit({ removeData: files.slice(3, 5) })
    await fresh.append([{ id: 50 }])
    await fresh.append([{ id: 51 }])
    const before = store.counts.get
    const { deleted, snapshotIds } = await expireSnapshots(fresh.committer, lake.name, { maxSnapshotAgeMs: 0 })
    expect(store.counts.get - before).toBeLessThan(10)
    expect(snapshotIds).toHaveLength(3)
    expect(deleted.filter((path) => path.includes('/data/')).sort()).toEqual(files.slice(3, 5).map(({ path }) => path))
    const { metadata } = await lake.catalog.loadTable(lake.name)
    expect(metadata.snapshots).toHaveLength(1)
    expect(await checkTable(lake.files, { metadata }, { readRows: readExactly })).toEqual([])
    lake.clock.nowMsIs += 9 * dayMs
    expect(await findOrphans(lake.committer, lake.name)).toEqual([])
  })

  it('keeps a file of vectors until the last of them is gone', async () => {
    const lake = new TestLake()
    await lake.create({ schema, formatVersion: 3 })
    const [one, two] = [await lake.append([{ id: 1 }, { id: 2 }]), await lake.append([{ id: 3 }, { id: 4 }])]
    await lake.delete([one, [0]], [two, [1]])
    const expired = async () => {
      const { deleted } = await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
      expect(await checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })).toEqual(
        [],
      )
      return deleted.filter((path) => path.endsWith('.puffin')).length
    }
    await lake.commit({ removeData: [one] })
    expect(await expired()).toBe(0)
    await lake.append([{ id: 5 }])
    expect(await expired()).toBe(0)
    await lake.commit({ removeData: [two] })
    expect(await expired()).toBe(1)
  })

  it('compares all manifests where history is no single line', async () => {
    const lake = await lakeOf()
    const first = await lake.append([{ id: 1 }])
    const base = (await lake.load())['current-snapshot-id'] as number
    const lost = await lake.append([{ id: 2 }])
    await commitUpdates(lake.committer, lake.name, (table) => rollback(table, base))
    await lake.append([{ id: 3 }])
    const { deleted } = await expireSnapshots(lake.committer, lake.name, { maxSnapshotAgeMs: 0 })
    expect(deleted.filter((path) => path.includes('/data/'))).toEqual([lost.path])
    expect((await lake.rows()).map((row) => row.id)).toEqual([3n, 1n])
    expect(first.recordCount).toBe(1)
  })

  it('finds orphans once they are old, and only orphans', async () => {
    const lake = await lakeOf()
    await lake.append([{ id: 1 }])
    const orphan = await lake.dataFile([{ id: 9 }])
    expect(await removeOrphans(lake.committer, lake.name)).toEqual([])
    lake.clock.nowMsIs += 4 * dayMs
    expect(await removeOrphans(lake.committer, lake.name)).toEqual([orphan.path])
    expect((await lake.rows()).map((row) => row.id)).toEqual([1n])
  })

  it('removes metadata that the log does not name, and the table goes on', async () => {
    const lake = await lakeOf()
    for (let id = 1; id <= 6; id++) await lake.append([{ id }])
    expect(await removeOldMetadata(lake.committer, lake.name)).toEqual([])
    lake.clock.nowMsIs += 2 * dayMs
    expect((await removeOldMetadata(lake.committer, lake.name)).length).toBe(3)
    const fresh = new TestLake(lake.store, 2)
    await fresh.append([{ id: 7 }])
    await lake.store.delete(['db@/events/metadata/version-hint.text'])
    const found = await new TestLake(lake.store, 3).load()
    expect(found['last-sequence-number']).toBe(7)
    await expect(removeOldMetadata(lake.committer, lake.name, 0)).rejects.toThrow(Failure)
  })
})

describe('the checker', () => {
  async function right() {
    const lake = await lakeOf()
    const file = await lake.append([
      { id: 1, note: 'a' },
      { id: 5, note: null },
    ])
    const base = (await lake.load())['current-snapshot-id'] as number
    await lake.commit({ addDeletes: [await lake.deleteFile([file, [1]])], baseSnapshotId: base })
    return { lake, file }
  }
  const check = async (lake: TestLake) =>
    checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })

  it('finds nothing wrong with our tables', async () => {
    const { lake } = await right()
    expect(await check(lake)).toEqual([])
  })

  it.each([
    ['a bound that lies', { lowerBounds: new Map([[1, toBinary('long', 3)]]) }, /column id: 1 is below 3/],
    ['a count that lies', { nullCounts: new Map([[2, 0]]) }, /column note has 1 nulls, not 0/],
    ['rows that are not there', { recordCount: 3 }, /has 2 rows, its manifest says 3/],
    ["a size that is not the file's", { sizeBytes: 1 }, /bytes, its manifest says 1/],
    ['a bound of no column', { upperBounds: new Map([[77, new Uint8Array(8)]]) }, /a bound is of column 77/],
    ['a file that is gone', { path: 'http://lake.test/bucket/db@/events/data/gone.parquet' }, /is not there/],
  ] as [string, Partial<DataFile>, RegExp][])('finds %s', async (_, lie, message) => {
    const lake = await lakeOf()
    const file = await lake.dataFile([
      { id: 1, note: 'a' },
      { id: 5, note: null },
    ])
    await lake.commit({ addData: [{ ...file, ...lie }] })
    expect((await check(lake)).join('\n')).toMatch(message)
  })

  it('finds fields without ids and counts that are wrong in manifests', async () => {
    const { lake } = await right()
    const table = await lake.load()
    const path = table.snapshots.at(-1)?.['manifest-list'] as string
    const { records, schema: avro, metadata } = readContainer(await lake.files.read(path))
    const bare = JSON.parse(JSON.stringify(avro).replace('"field-id":502', '"fieldid":502'))
    const wrong = records.map((record) => ({ ...record, added_files_count: 7, manifest_length: 3 }))
    const { 'avro.schema': _, 'avro.codec': __, ...header } = metadata
    await lake.files.write(
      path,
      writeContainer(wrong, { schema: bare, metadata: { ...header, 'sequence-number': '9' }, sync: lake.files.sync() }),
    )
    const problems = (await check(lake)).join('\n')
    for (const message of [
      /partition_spec_id has no id/,
      /no field 502/,
      /its list says 7/,
      /its list says 3/,
      /sequence-number is 9, not 2/,
    ]) {
      expect(problems).toMatch(message)
    }
  })

  it.each([
    ['main elsewhere', (table: TableMetadata) => ({ ...table, refs: {} }), /main is not the current snapshot/],
    ['ids past the last', (table: TableMetadata) => ({ ...table, 'last-column-id': 1 }), /last-column-id is below/],
    [
      'a number too low',
      (table: TableMetadata) => ({ ...table, 'last-sequence-number': 1 }),
      /last-sequence-number is too low/,
    ],
    ['no uuid', (table: TableMetadata) => ({ ...table, 'table-uuid': 'x' }), /table-uuid x is none/],
    [
      'a log of snapshots gone',
      (table: TableMetadata) => ({ ...table, snapshots: table.snapshots.slice(1) }),
      /the log names a snapshot/,
    ],
  ] as [string, (table: TableMetadata) => TableMetadata, RegExp][])(
    'finds %s in metadata',
    async (_, damage, message) => {
      const { lake } = await right()
      expect(checkMetadata(damage(await lake.load())).join('\n')).toMatch(message)
    },
  )
})
