/** The planner over tables of the lake: files left out, deletes applied, the past, and types that are only carried. */
import { beforeEach, describe, expect, it } from 'vitest'
import { openLakeCodecs } from '../../../host/node/lake-codecs.ts'
import { CATALOG_DATABASE, type Fabric } from '../../../shard/fabric.ts'
import { makeSpec } from '../../iceberg/partition.ts'
import { makeSchema } from '../../iceberg/schema.ts'
import { TestLake } from '../../iceberg/testing.ts'
import type { SqlEngine, SqlRequest } from '../port.ts'
import { createPlannerEngine } from './engine.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'at', type: 'timestamptz' },
  { name: 'price', type: 'decimal(9,2)' },
  { name: 'day', type: 'date' },
])
const spec = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 }).spec
const row = (id: number, ns: string | null) => {
  return { id, ns, at: id * 1_000_000, price: BigInt(id * 100 + 25), day: id }
}

let lake: TestLake
let engine: SqlEngine

beforeEach(async () => {
  lake = new TestLake()
  await lake.create({ schema, spec })
  engine = await open()
})

async function open(): Promise<SqlEngine> {
  const { catalog, files, clock } = lake
  // No shard is asked: the table is in the lake alone.
  const fabric = { name: CATALOG_DATABASE } as unknown as Fabric
  return createPlannerEngine({
    fabric,
    tables: [],
    lake: { catalog, files, codecs: (await openLakeCodecs()).parquet },
    clock,
  })
}

async function ask(text: string, more: Partial<SqlRequest> = {}) {
  const result = await engine.query({ text, database: 'db', ...more })
  const rows: unknown[][] = []
  for await (const batch of result.batches) rows.push(...batch.map((one) => [...one]))
  return { rows, stats: result.stats(), columns: result.columns }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

describe('cold rows', () => {
  it('are filtered, grouped and sorted; files that cannot hold them are not read', async () => {
    await lake.append(range(0, 100).map((id) => row(id, 'a')))
    await lake.append(range(100, 200).map((id) => row(id, 'b')))
    await lake.append(range(200, 300).map((id) => row(id, null)))
    const whole = await ask('select ns, count(*), min(id), max(at) from events group by ns order by ns')
    expect(whole.rows).toEqual([
      ['a', 100, 0, 99_000_000],
      ['b', 100, 100, 199_000_000],
      [null, 100, 200, 299_000_000],
    ])
    expect(whole.stats).toMatchObject({ files: 3, filesPruned: 0, bytesPruned: 0, shards: 0, hotRows: 0, rows: 3 })
    expect(whole.stats.bytesRead).toBeGreaterThan(0)
    const one = await ask("select sum(id) from events where ns = 'b' and id between 150 and 160")
    expect(one.rows).toEqual([[1705]])
    expect(one.stats).toMatchObject({ files: 3, filesPruned: 2 })
    expect(one.stats.bytesPruned).toBeGreaterThan(0)
    expect((await ask('select id from events where ns is null and id < 203 order by id')).rows).toEqual([
      [200],
      [201],
      [202],
    ])
    const far = await ask('select id from events where id > 1000')
    expect([far.rows, far.stats.filesPruned]).toEqual([[], 3])
  })

  it('that were deleted are gone', async () => {
    const file = await lake.append(range(0, 10).map((id) => row(id, 'a')))
    const base = (await lake.load())['current-snapshot-id'] as number
    await lake.commit({ addDeletes: [await lake.deleteFile([file, [0, 3, 9]])], baseSnapshotId: base })
    expect((await ask('select count(*), sum(id) from events')).rows).toEqual([[7, 33]])
    expect((await ask('select id from events where id < 5 order by id')).rows).toEqual([[1], [2], [4]])
  })

  it('of the past are read by snapshot, time and ref, with the columns of then', async () => {
    await lake.append([row(1, 'a')])
    const first = (await lake.load())['current-snapshot-id'] as number
    const then = lake.clock.nowMs()
    await lake.append([row(2, 'a')])
    expect((await ask('select id from events order by id')).rows).toEqual([[1], [2]])
    for (const asOf of [{ snapshotId: first }, { timestampMs: then }]) {
      expect((await ask('select id from events', { asOf })).rows).toEqual([[1]])
    }
    expect((await ask('select id from events order by id', { asOf: { ref: 'main' } })).rows).toEqual([[1], [2]])
    await expect(ask('select id from events', { asOf: { ref: 'none' } })).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask('select id from events', { asOf: { snapshotId: 7 } })).rejects.toMatchObject({ code: 'not_found' })
  })

  it('of types that are only carried come as text, and are refused where they would be computed with', async () => {
    await lake.append([row(3, 'a'), { ...row(4, 'a'), price: null, day: null }])
    const { rows, columns } = await ask('select id, price, day from events order by id')
    expect(rows).toEqual([
      [3, '3.25', '1970-01-04'],
      [4, null, null],
    ])
    expect(columns.map(({ type }) => type)).toEqual(['long', 'decimal(9,2)', 'date'])
    expect((await ask('select count(price) from events where day is not null')).rows).toEqual([[1]])
    for (const text of ['order by price', "where day = '1970-01-04'", 'where price > 3', 'group by day']) {
      await expect(ask(`select count(*) from events ${text}`)).rejects.toMatchObject({
        code: expect.stringMatching(/unsupported|invalid/),
      })
    }
  })

  it('are explained with what is left out', async () => {
    await lake.append([row(1, 'a')])
    await lake.append([row(2, 'b')])
    const { rows } = await ask("select id from events where ns = 'a' order by id limit 5", { explain: true })
    const lines = rows.map(([line]) => `${line}`)
    expect(lines[0]).toBe('sort by 1 of 1 columns, the first 5')
    expect(lines[2]).toBe('scan db.events: columns id, ns')
    expect(lines[3]).toMatch(/^ {2}cold: 1 of 2 files, \d+ of \d+ bytes, snapshot \d+, where ns = "a"$/)
  })

  it('stop being read when enough have come', async () => {
    for (const at of range(0, 6)) await lake.append(range(at * 10, at * 10 + 10).map((id) => row(id, 'a')))
    const some = await ask('select id from events limit 3')
    expect(some.rows).toHaveLength(3)
    const other = await open()
    const result = await other.query({ text: 'select id from events', database: 'db' })
    for await (const batch of result.batches) expect(batch).toHaveLength(60)
    expect(some.stats.bytesRead).toBeLessThan(result.stats().bytesRead / 2)
  })
})
