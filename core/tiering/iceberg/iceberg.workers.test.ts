import { expect, test } from 'vitest'
import { checkTable, planScan } from './index.ts'
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
