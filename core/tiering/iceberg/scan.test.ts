import { describe, expect, it } from 'vitest'
import { commitUpdates } from './commit.ts'
import type { DataFile } from './data-file.ts'
import type { Predicate } from './expression.ts'
import { makeSpec, unpartitioned } from './partition.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { TestLake } from './testing.ts'
import { toBinary } from './values.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
])
const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], {
  schema,
  specs: [unpartitioned],
  lastPartitionId: 999,
})

const long = (value: number) => toBinary('long', value)

function equalityDelete(path: string, more: Partial<DataFile>): DataFile {
  return {
    content: 'equality-deletes',
    path: `http://lake.test/bucket/db@/events/data/${path}`,
    format: 'PARQUET',
    specId: spec['spec-id'],
    partition: ['a'],
    recordCount: 1,
    sizeBytes: 100,
    equalityIds: [1],
    valueCounts: new Map([[1, 1]]),
    nullCounts: new Map([[1, 0]]),
    lowerBounds: new Map([[1, long(2)]]),
    upperBounds: new Map([[1, long(2)]]),
    ...more,
  }
}

async function lakeOf(): Promise<TestLake> {
  const lake = new TestLake()
  await lake.create({ schema })
  await commitUpdates(lake.committer, lake.name, () => ({
    requirements: [],
    updates: [
      { action: 'add-spec', spec },
      { action: 'set-default-spec', 'spec-id': -1 },
    ],
  }))
  return lake
}

/** The deletes of each file, by names of files. */
async function deletesOf(lake: TestLake, where?: Predicate): Promise<Record<string, string[]>> {
  const { tasks } = await planScan(lake.files, await lake.load(), where === undefined ? {} : { where })
  const name = (path: string) => path.split('/').at(-1) as string
  return Object.fromEntries(tasks.map(({ file, deletes }) => [name(file.path), deletes.map((one) => name(one.path))]))
}

describe('deletes by value, of other writers', () => {
  it('apply to older data of their partition, or of every partition when they have none', async () => {
    const lake = await lakeOf()
    await lake.append([
      { id: 1, ns: 'a' },
      { id: 3, ns: 'a' },
    ])
    await lake.append([{ id: 2, ns: 'b' }])
    await lake.commit({ addDeletes: [equalityDelete('eq-a', {})] })
    await lake.commit({ addDeletes: [equalityDelete('eq-all', { specId: 0, partition: [] })] })
    await lake.append([{ id: 2, ns: 'a' }])
    expect(await deletesOf(lake)).toEqual({
      '1-000000000000.parquet': ['eq-all', 'eq-a'],
      '1-000000000001.parquet': ['eq-all'],
      '1-000000000002.parquet': [],
    })
  })

  it('are left out when the predicate cannot meet the rows they delete', async () => {
    const lake = await lakeOf()
    await lake.append([
      { id: 1, ns: 'a' },
      { id: 9, ns: 'a' },
    ])
    // Bounds of a column that the delete does not compare say nothing of the rows it deletes.
    const other = {
      lowerBounds: new Map([
        [1, long(2)],
        [2, toBinary('string', 'zz')],
      ]),
      upperBounds: new Map([
        [1, long(2)],
        [2, toBinary('string', 'zz')],
      ]),
      valueCounts: new Map([
        [1, 1],
        [2, 1],
      ]),
    }
    await lake.commit({ addDeletes: [equalityDelete('eq', other)] })
    expect(await deletesOf(lake, { op: 'eq', column: 'id', value: 9 })).toEqual({ '1-000000000000.parquet': [] })
    expect(await deletesOf(lake, { op: 'lt', column: 'id', value: 3 })).toEqual({ '1-000000000000.parquet': ['eq'] })
    expect(await deletesOf(lake, { op: 'eq', column: 'ns', value: 'a' })).toEqual({ '1-000000000000.parquet': ['eq'] })
  })
})

describe('counts', () => {
  it('say what was left out', async () => {
    const lake = await lakeOf()
    for (const ns of ['a', 'b', 'c']) await lake.append([{ id: 1, ns }])
    const plan = await planScan(lake.files, await lake.load(), { where: { op: 'gt', column: 'ns', value: 'a' } })
    expect(plan.counts).toEqual({ manifests: 3, manifestsPruned: 1, files: 2, filesPruned: 0 })
    expect(plan.tasks.map(({ residual }) => residual.op)).toEqual(['true', 'true'])
  })
})
