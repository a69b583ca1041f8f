import { expect, test } from 'vitest'
import { uncompressed } from '../zstd.ts'
import { checkTable, compactTable, planScan } from './index.ts'
import { makeSpec } from './partition.ts'
import { makeSchema } from './schema.ts'
import { readExactly, readPlan, TestLake } from './testing.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'at', type: 'timestamptz' },
])
const fields = [
  { column: 'ns', transform: 'bucket[4]' },
  { column: 'at', transform: 'day' },
]
const { spec } = makeSpec(fields, { schema, specs: [], lastPartitionId: 999 })

test('a table is made, changed, planned and checked inside workerd', async () => {
  const lake = new TestLake()
  await lake.create({ schema, spec })
  const file = await lake.append([1, 2, 3].map((id) => ({ id, ns: 'a', at: id })))
  await lake.append([{ id: 4, ns: 'a', at: 90_000_000_000 }])
  const base = (await lake.load())['current-snapshot-id'] as number
  await lake.commit({ addDeletes: [await lake.deleteFile([file, [1]])], baseSnapshotId: base })
  const plan = await planScan(lake.files, await lake.load(), { where: { op: 'lt', column: 'at', value: 10 } })
  expect((await readPlan(lake.files, plan)).map((row) => Number(row.id))).toEqual([1, 3])
  expect(await checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })).toEqual([])
})

test('a table of v3 is deleted from and compacted inside workerd', async () => {
  const lake = new TestLake()
  await lake.create({ schema, spec, formatVersion: 3 })
  const file = await lake.append([1, 2, 3].map((id) => ({ id, ns: 'a', at: id })))
  await lake.append([{ id: 4, ns: 'a', at: 5 }])
  await lake.delete([file, [1]])
  const options = { compressor: uncompressed, codecs: {}, minFiles: 2 }
  const { rows, relocations } = await compactTable(lake.committer, lake.name, options)
  expect([rows, relocations.map(({ offset, without }) => [offset, without])]).toEqual([
    3,
    [
      [0, [1]],
      [2, []],
    ],
  ])
  const plan = await planScan(lake.files, await lake.load())
  expect((await readPlan(lake.files, plan)).map((row) => Number(row.id))).toEqual([1, 3, 4])
  expect(await checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly })).toEqual([])
})
