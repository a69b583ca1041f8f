import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { commitUpdates } from './commit.ts'
import type { SchemaChange } from './evolve.ts'
import { evolveSchema } from './evolve.ts'
import { createRef, expire, requireRef, rollback, snapshotAsOf } from './history.ts'
import { columnsInUse, encodeMetadata, readMetadata, schemaOf, type TableMetadata, writeMetadata } from './metadata.ts'
import { makeSpec } from './partition.ts'
import { planScan } from './scan.ts'
import { getField, makeSchema } from './schema.ts'
import { readPlan, TestLake, type TestRow } from './testing.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'n', type: 'int' },
])
const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 })

async function lakeOf(isPartitioned = true): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema, ...(isPartitioned && { spec }), properties: { owner: 'me' } })
  return lake
}

const ids = (rows: readonly TestRow[], key = 'id') => rows.map((row) => Number(row[key])).sort((a, b) => a - b)
const row = (id: number, ns = 'a', n: number | null = id) => ({ id, ns, n })
const rowsFrom = (first: number, last: number, ns = 'a') =>
  Array.from({ length: last - first + 1 }, (_, at) => row(first + at, ns))

async function evolve(lake: TestLake, ...changes: SchemaChange[]): Promise<TableMetadata> {
  const { metadata } = await commitUpdates(lake.committer, lake.name, (table) => {
    const from = { schema: schemaOf(table), lastColumnId: table['last-column-id'] }
    const evolved = evolveSchema(from, changes, columnsInUse(table))
    return {
      requirements: [{ type: 'assert-current-schema-id', 'current-schema-id': table['current-schema-id'] }],
      updates: [
        { action: 'add-schema', schema: evolved.schema, 'last-column-id': evolved.lastColumnId },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
    }
  })
  return metadata
}

describe('a table', () => {
  it('is empty, then has what was appended, as icebird reads it', async () => {
    const lake = await lakeOf()
    const created = await lake.load()
    expect(created).toMatchObject({ 'format-version': 2, 'last-sequence-number': 0, properties: { owner: 'me' } })
    expect(created).not.toHaveProperty('current-snapshot-id')
    expect((await planScan(lake.files, created)).tasks).toEqual([])
    await lake.append(rowsFrom(1, 5))
    await lake.append(rowsFrom(6, 8, 'b'))
    expect(await lake.rows()).toEqual(
      [...rowsFrom(6, 8, 'b'), ...rowsFrom(1, 5)].map((one) => ({ ...one, id: BigInt(one.id) })),
    )
    const metadata = await lake.load()
    expect(metadata.snapshots.map((snapshot) => snapshot['sequence-number'])).toEqual([1, 2])
    expect(metadata.snapshots[1]?.summary).toMatchObject({
      operation: 'append',
      'added-data-files': '1',
      'added-records': '3',
      'changed-partition-count': '1',
      'total-records': '8',
      'total-data-files': '2',
      'total-delete-files': '0',
      'total-position-deletes': '0',
      'total-equality-deletes': '0',
    })
    expect(metadata['metadata-log'].map((entry) => entry['metadata-file'].split('/').at(-1))).toEqual([
      'v1.metadata.json',
      'v2.metadata.json',
    ])
    expect(readMetadata(writeMetadata(metadata))).toEqual(metadata)
    const bytes = () => new TextDecoder().decode(encodeMetadata(metadata))
    expect([bytes(), bytes()]).toEqual([writeMetadata(metadata), writeMetadata(metadata)])
    const odd = {
      ...metadata,
      snapshots: [],
      odd: [1, 'ü', null, { x: 2n ** 60n }],
      gone: undefined,
      schemas: [{ a: 'ü' }],
    }
    expect(new TextDecoder().decode(encodeMetadata(odd as never))).toBe(writeMetadata(odd as never))
  })

  it('loses rows by position, in files of one and of many', async () => {
    const lake = await lakeOf()
    const file = await lake.append(rowsFrom(1, 10))
    const other = await lake.append(rowsFrom(11, 12))
    const base = (await lake.load())['current-snapshot-id'] as number
    await lake.append(rowsFrom(20, 20, 'b'))
    await lake.commit({ addDeletes: [await lake.deleteFile([file, [0, 9]])], baseSnapshotId: base })
    await lake.commit({ addDeletes: [await lake.deleteFile([other, [1]], [file, [1]])], baseSnapshotId: base })
    expect(ids(await lake.rows())).toEqual([3, 4, 5, 6, 7, 8, 9, 11, 20])
    const table = await lake.load()
    const plan = await planScan(lake.files, table)
    expect(plan.tasks.map((task) => task.deletes.length)).toEqual([0, 1, 2])
    expect(ids(await readPlan(lake.files, plan))).toEqual([3, 4, 5, 6, 7, 8, 9, 11, 20])
    expect(table.snapshots.at(-1)?.summary).toMatchObject({
      operation: 'delete',
      'total-delete-files': '2',
      'total-position-deletes': '4',
      'total-records': '13',
    })
  })

  it('replaces rows in one commit: deletes and data together', async () => {
    const lake = await lakeOf()
    const file = await lake.append(rowsFrom(1, 3))
    const base = (await lake.load())['current-snapshot-id'] as number
    const next = await lake.dataFile([row(2, 'a', 99)])
    const { snapshot } = await lake.commit({
      addData: [next],
      addDeletes: [await lake.deleteFile([file, [1]])],
      baseSnapshotId: base,
    })
    expect(snapshot.summary.operation).toBe('overwrite')
    expect((await lake.rows()).filter((one) => one.id === 2n)).toEqual([{ id: 2n, ns: 'a', n: 99 }])
  })

  it('removes files, all or some, and refuses to remove one twice', async () => {
    const lake = await lakeOf()
    const one = await lake.append(rowsFrom(1, 2))
    const two = await lake.append(rowsFrom(3, 4, 'b'))
    const { snapshot } = await lake.commit({ removeData: [one] })
    expect(snapshot.summary).toMatchObject({
      operation: 'delete',
      'deleted-data-files': '1',
      'deleted-records': '2',
      'total-records': '2',
    })
    expect(ids(await lake.rows())).toEqual([3, 4])
    await expect(lake.commit({ removeData: [one] })).rejects.toMatchObject({
      code: 'conflict',
      detail: { reason: 'stale' },
    })
    const next = await lake.dataFile(rowsFrom(5, 6))
    await lake.commit({ addData: [next], removeData: 'all' })
    expect(ids(await lake.rows())).toEqual([5, 6])
    expect((await lake.load()).snapshots.at(-1)?.summary).toMatchObject({
      operation: 'overwrite',
      'total-data-files': '1',
      'total-records': '2',
    })
    expect(two.recordCount).toBe(2)
  })

  it('is compacted: files and their deletes become one file, and the past stays', async () => {
    const lake = await lakeOf()
    const files = [await lake.append(rowsFrom(1, 4)), await lake.append(rowsFrom(5, 8))]
    const base = (await lake.load())['current-snapshot-id'] as number
    await lake.commit({ addDeletes: [await lake.deleteFile([files[0] as never, [0]])], baseSnapshotId: base })
    const before = await lake.load()
    const plan = await planScan(lake.files, before)
    const whole = await lake.dataFile((await readPlan(lake.files, plan)) as TestRow[])
    const { snapshot } = await lake.commit({
      addData: [whole],
      removeData: files,
      isRewrite: true,
      baseSnapshotId: before['current-snapshot-id'] as number,
      dataSequenceNumber: Math.max(...plan.tasks.map((task) => task.sequenceNumber)),
    })
    expect(snapshot.summary).toMatchObject({
      operation: 'replace',
      'total-data-files': '1',
      'total-records': '7',
      'total-delete-files': '0',
    })
    expect(ids(await lake.rows())).toEqual([2, 3, 4, 5, 6, 7, 8])
    const after = await lake.load()
    expect((await planScan(lake.files, after)).tasks).toMatchObject([{ sequenceNumber: 2, deletes: [] }])
    const past = await planScan(lake.files, after, { asOf: { snapshotId: before['current-snapshot-id'] as number } })
    expect(ids(await readPlan(lake.files, past))).toEqual([2, 3, 4, 5, 6, 7, 8])
  })

  it('keeps ids through renames, additions and widening, as icebird reads it', async () => {
    const lake = await lakeOf(false)
    await lake.append([row(1), row(2)])
    await evolve(
      lake,
      { rename: 'n', to: 'count' },
      { widen: 'count', type: 'long' },
      { add: { name: 'note', type: 'string' } },
    )
    await lake.append([{ id: 3, ns: 'a', count: 2 ** 40, note: 'x' }])
    await evolve(lake, { drop: 'ns' }, { add: { name: 'ns', type: 'int' } }, { move: 'count' })
    await lake.append([{ id: 4, count: 5, note: null, ns: 7 }])
    const rows = (await lake.rows()).sort((a, b) => Number(a.id) - Number(b.id))
    expect(
      rows.map((one) =>
        [one.count, one.id, one.note, one.ns].map((value) =>
          typeof value === 'bigint' ? Number(value) : (value ?? null),
        ),
      ),
    ).toEqual([
      [1, 1, null, null],
      [2, 2, null, null],
      [2 ** 40, 3, 'x', null],
      [5, 4, null, 7],
    ])
    const table = await lake.load()
    expect(getField(schemaOf(table), 'ns').field.id).toBe(5)
    expect(table['last-column-id']).toBe(5)
    const old = await planScan(lake.files, table, {
      asOf: { snapshotId: table.snapshots[0]?.['snapshot-id'] as number },
    })
    expect(old.schema.fields.map(({ name }) => name)).toEqual(['id', 'ns', 'n'])
    // Bounds of the file that was written as int are read as long.
    const wide = await planScan(lake.files, table, { where: { op: 'gt', column: 'count', value: 100 } })
    expect(wide.tasks.length).toBe(1)
  })

  it('changes how it is divided, and plans by the spec of each file', async () => {
    const lake = await lakeOf()
    await lake.append(rowsFrom(1, 2, 'a'))
    await commitUpdates(lake.committer, lake.name, (table) => {
      const context = {
        schema: schemaOf(table),
        specs: table['partition-specs'],
        lastPartitionId: table['last-partition-id'],
      }
      const made = makeSpec(
        [
          { column: 'ns', transform: 'identity' },
          { column: 'id', transform: 'bucket[4]' },
        ],
        context,
      )
      return {
        requirements: [
          { type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': table['last-partition-id'] },
        ],
        updates: [
          { action: 'add-spec', spec: made.spec },
          { action: 'set-default-spec', 'spec-id': -1 },
        ],
      }
    })
    const file = await lake.append([row(3, 'a')])
    await lake.append([row(4, 'b')])
    expect(file.specId).toBe(1)
    const table = await lake.load()
    const plan = await planScan(lake.files, table, {
      where: {
        op: 'and',
        args: [
          { op: 'eq', column: 'ns', value: 'a' },
          { op: 'eq', column: 'id', value: 3 },
        ],
      },
    })
    expect(plan.tasks.map((task) => task.file.path)).toEqual([file.path])
    expect(plan.tasks[0]?.residual).toMatchObject({ op: 'eq', id: 1 })
    expect(plan.counts).toMatchObject({ manifests: 3, manifestsPruned: 1, files: 2, filesPruned: 1 })
  })
})

describe('the past', () => {
  it('is found by id, time, branch and tag, and can be gone back to', async () => {
    const lake = await lakeOf()
    await lake.append([row(1)])
    const first = (await lake.load()).snapshots[0]
    lake.clock.nowMsIs += 10_000
    await lake.append([row(2)])
    await commitUpdates(lake.committer, lake.name, (table) =>
      createRef(table, 'v1', 'tag', { snapshotId: first?.['snapshot-id'] as number }),
    )
    await commitUpdates(lake.committer, lake.name, (table) => createRef(table, 'try', 'branch'))
    await lake.commit({ addData: [await lake.dataFile([row(3)])], branch: 'try' })
    const table = await lake.load()
    const at = async (asOf: object) => ids(await readPlan(lake.files, await planScan(lake.files, table, { asOf })))
    expect(await at({})).toEqual([1, 2])
    expect(await at({ ref: 'v1' })).toEqual([1])
    expect(await at({ ref: 'try' })).toEqual([1, 2, 3])
    expect(await at({ snapshotId: first?.['snapshot-id'] })).toEqual([1])
    expect(await at({ timestampMs: (first?.['timestamp-ms'] as number) + 5_000 })).toEqual([1])
    expect(() => snapshotAsOf(table, { timestampMs: 0 })).toThrow('does not reach back')
    expect(() => snapshotAsOf(table, { ref: 'nope' })).toThrow(Failure)
    await expect(lake.commit({ addData: [], branch: 'v1' })).rejects.toThrow('only branches')

    await commitUpdates(lake.committer, lake.name, (now) => rollback(now, first?.['snapshot-id'] as number))
    expect(ids(await lake.rows())).toEqual([1])
    const back = await lake.load()
    expect(back['snapshot-log'].map((entry) => entry['snapshot-id'])).toEqual(
      [table.snapshots[0], table.snapshots[1], table.snapshots[0]].map((one) => one?.['snapshot-id']),
    )
    expect(() => rollback(back, table.snapshots[2]?.['snapshot-id'] as number)).toThrow('no ancestor')
  })

  it('expires by age and count, tags and branches kept', async () => {
    const lake = await lakeOf()
    for (let id = 1; id <= 5; id++) {
      await lake.append([row(id)])
      lake.clock.nowMsIs += 1_000
    }
    const { snapshots } = await lake.load()
    await commitUpdates(lake.committer, lake.name, (table) =>
      createRef(table, 'keep', 'tag', { snapshotId: snapshots[0]?.['snapshot-id'] as number }),
    )
    const nowMs = lake.clock.nowMs()
    const request = expire(await lake.load(), { nowMs, maxSnapshotAgeMs: 2_500, minSnapshots: 1 })
    expect(request?.updates).toEqual([
      { action: 'remove-snapshots', 'snapshot-ids': [snapshots[1]?.['snapshot-id'], snapshots[2]?.['snapshot-id']] },
    ])
    await lake.catalog.commitTable(lake.name, request as never)
    const left = await lake.load()
    expect(left.snapshots.length).toBe(3)
    expect(left['snapshot-log'].map((entry) => entry['snapshot-id'])).toEqual(
      snapshots.slice(3).map((one) => one['snapshot-id']),
    )
    expect(expire(left, { nowMs, maxSnapshotAgeMs: 2_500 })).toBeUndefined()
    expect(expire(left, { nowMs: nowMs + 10 * 86_400_000 })?.updates).toEqual([
      { action: 'remove-snapshots', 'snapshot-ids': [snapshots[3]?.['snapshot-id']] },
    ])
    expect(ids(await lake.rows())).toEqual([1, 2, 3, 4, 5])
  })
})

describe('manifests', () => {
  it('are merged when there are many, and nothing is lost', async () => {
    const lake = new TestLake()
    await lake.create({ schema, spec, properties: { 'commit.manifest.min-count-to-merge': '5' } })
    for (let id = 1; id <= 13; id++) await lake.append([row(id, id % 2 === 0 ? 'a' : 'b')])
    const table = await lake.load()
    const manifests = await lake.files.manifestList(table.snapshots.at(-1)?.['manifest-list'] as string)
    expect(manifests.length).toBeLessThan(5)
    expect(manifests.reduce((sum, one) => sum + one.addedFiles + one.existingFiles, 0)).toBe(13)
    expect(ids(await lake.rows())).toEqual(Array.from({ length: 13 }, (_, at) => at + 1))
    const plan = await planScan(lake.files, table)
    expect(plan.tasks.map((task) => task.sequenceNumber).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 13 }, (_, at) => at + 1),
    )
    expect(requireRef(table, 'main')).toHaveLength(2)
  })

  it('are of few sizes: a line is written again some times, however many commits there are', async () => {
    const lake = new TestLake()
    const properties = { 'commit.manifest.min-count-to-merge': '4', 'commit.manifest.target-size-bytes': '40000' }
    await lake.create({ schema, properties })
    const file = await lake.dataFile([row(1)])
    let written = 0
    let longest = 0
    for (let commit = 0; commit < 120; commit++) {
      const addData = [0, 1, 2].map((at) => ({ ...file, path: `${file.path}.${commit}.${at}` }))
      const { snapshot } = await lake.commit({ addData })
      const manifests = await lake.files.manifestList(snapshot['manifest-list'])
      const own = manifests.filter((one) => one.addedSnapshotId === snapshot['snapshot-id'])
      written += own.reduce((sum, one) => sum + one.addedFiles + one.existingFiles, 0)
      longest = Math.max(longest, manifests.length)
      expect(manifests.every((one) => one.sizeBytes <= 40_000)).toBe(true)
      expect(manifests.reduce((sum, one) => sum + one.addedFiles + one.existingFiles, 0)).toBe(3 * (commit + 1))
    }
    expect(written).toBeLessThan(4 * 360)
    expect(longest).toBeLessThan(12)
  })
})
