import { afterEach, describe, expect, it } from 'vitest'
import { commitUpdates } from '../../../tiering/iceberg/commit.ts'
import { deletionVectorFile } from '../../../tiering/iceberg/deletion-vector.ts'
import { createRef } from '../../../tiering/iceberg/history.ts'
import { makeSpec } from '../../../tiering/iceberg/partition.ts'
import { makeSchema } from '../../../tiering/iceberg/schema.ts'
import { TestLake } from '../../../tiering/iceberg/testing.ts'
import { counted } from '../../../tiering/objects/counted.ts'
import { memoryObjects } from '../../../tiering/objects/memory.ts'
import type { SqlRequest } from '../../../tiering/sql/port.ts'

import { ColdRig, coldRig, endAll, row, schema, span } from './cold-testing.ts'

afterEach(endAll)

describe('time travel', () => {
  it('reads snapshots, times, tags and branches, in the statement and for all of it', async () => {
    const rig = await coldRig()
    const { lake } = rig
    await lake.append(span(0, 10))
    const first = await lake.load()
    const id = first['current-snapshot-id'] as number
    const atMs = first['last-updated-ms']
    await commitUpdates(lake.committer, lake.name, (metadata) => createRef(metadata, 'v1', 'tag'))
    lake.clock.nowMsIs += 10_000
    await lake.append(span(10, 15))
    const count = async (clause: string, more?: Partial<SqlRequest>) =>
      rig.rows(`select count(*) from events ${clause}`, more)
    expect(await count('')).toEqual([[15]])
    expect(await count(`at (version => ${id})`)).toEqual([[10]])
    expect(await count("at (version => 'v1')")).toEqual([[10]])
    expect(await count("as e at (version => 'main')")).toEqual([[15]])
    expect(await count('at (version => $1)', { params: ['v1'] })).toEqual([[10]])
    const instant = new Date(atMs + 1).toISOString()
    expect(await count(`at (timestamp => timestamptz '${instant}')`)).toEqual([[10]])
    expect(await count(`at (timestamp => '${instant}')`)).toEqual([[10]])
    expect(await count('at (timestamp => now())')).toEqual([[15]])
    expect(await count('', { asOf: { snapshotId: id } })).toEqual([[10]])
    expect(await count('', { asOf: { timestampMs: atMs + 1 } })).toEqual([[10]])
    expect(await count('', { asOf: { ref: 'v1' } })).toEqual([[10]])
    expect(await count("at (version => 'main')", { asOf: { ref: 'v1' } })).toEqual([[15]])
    const joined = `db.events now left join db.events old at (version => ${id}) on old.id = now.id`
    const both = `select count(*) from ${joined} where old.id is null`
    expect(await rig.rows(both)).toEqual([[5]])
  })

  it('fails where there is no such past', async () => {
    const rig = await coldRig()
    await rig.lake.append(span(0, 1))
    const fails = (text: string, more?: Partial<SqlRequest>) => expect(rig.rows(text, more)).rejects
    await fails('select 1 from events at (version => 5)').toMatchObject({ code: 'not_found' })
    await fails("select 1 from events at (version => 'nope')").toMatchObject({ code: 'not_found' })
    await fails("select 1 from events at (timestamp => timestamptz '1999-01-01')").toMatchObject({ code: 'not_found' })
    await fails('select 1 from events at (version => id)').toMatchObject({ code: 'invalid' })
    await fails('select 1 from events', { asOf: { ref: 'x', timestampMs: 1 } }).toMatchObject({ code: 'invalid' })
  })
})

describe('deletes', () => {
  it('by position leave rows out, of each file its own', async () => {
    const rig = await coldRig()
    const { lake } = rig
    const a = await lake.append(span(0, 10))
    const b = await lake.append(span(10, 20))
    await lake.append(span(20, 25))
    await rig.delete(await lake.deleteFile([a, [0, 3]], [b, [9]]))
    await rig.delete(await lake.deleteFile([a, [5]]))
    const left = [...span(0, 25).keys()].filter((id) => ![0, 3, 5, 19].includes(id))
    expect(await rig.rows('select id from events order by id')).toEqual(left.map((id) => [id]))
    expect(await rig.rows('select count(*) from events where id < 4')).toEqual([[2]])
  })

  it('by value leave older rows out, null as a value too, columns by their ids', async () => {
    const rig = await coldRig()
    const { lake } = rig
    await lake.append([row(1), row(2, 'b'), row(3, null), row(4, 'b')])
    await lake.commit({ addDeletes: [await rig.equalityDelete(['ns'], [{ ns: null }])] })
    await lake.commit({
      addDeletes: [
        await rig.equalityDelete(
          ['id', 'ns'],
          [
            { id: 2, ns: 'b' },
            { id: 4, ns: 'x' },
          ],
        ),
      ],
    })
    await lake.append([row(2, 'b'), row(5, null)])
    const all = 'select id from events order by id'
    expect(await rig.rows(all)).toEqual([[1], [2], [4], [5]])
    await rig.evolve({ rename: 'ns', to: 'space' }, { add: { name: 'ns', type: 'string' } })
    expect(await rig.rows('select id, space, ns from events order by id')).toEqual([
      [1, 'a', null],
      [2, 'b', null],
      [4, 'b', null],
      [5, null, null],
    ])
  })

  it('by vectors leave rows out', async () => {
    const lake = new TestLake()
    await lake.create({ schema })
    await lake.append(span(0, 1))
    await commitUpdates(lake.committer, lake.name, () => ({
      requirements: [],
      updates: [{ action: 'upgrade-format-version', 'format-version': 3 }],
    }))
    const file = await lake.append(span(1, 50))
    const other = await lake.append(span(50, 60))
    const path = `${(await lake.load()).location}/data/vectors.puffin`
    const vectors = [
      { file, positions: [0, 7, 48] },
      { file: other, positions: [9] },
    ]
    const { bytes, files } = deletionVectorFile(vectors, path)
    await lake.files.write(path, bytes)
    const rig = await ColdRig.open(lake)
    await rig.delete(...files)
    expect(await rig.rows('select count(*), sum(id) from events')).toEqual([[60 - 4, 1770 - 1 - 8 - 49 - 59]])
  })
})

describe('schemas that changed', () => {
  it('are read by field id: renamed, dropped and added again, widened, new', async () => {
    const lake = new TestLake()
    await lake.create({
      schema: makeSchema([
        { name: 'a', type: 'int' },
        { name: 'b', type: 'string' },
        { name: 'c', type: 'float' },
      ]),
    })
    const rig = await ColdRig.open(lake)
    await lake.append([{ a: 1, b: 'one', c: 1.5 }])
    await rig.evolve(
      { rename: 'a', to: 'n' },
      { widen: 'n', type: 'long' },
      { drop: 'b' },
      { widen: 'c', type: 'double' },
    )
    await rig.evolve({ add: { name: 'b', type: 'long' } }, { add: { name: 'a', type: 'string' } })
    await lake.append([{ n: 2 ** 40, b: 7, c: 2.5, a: 'new' }])
    expect(await rig.rows('select n, b, c, a from events order by n')).toEqual([
      [1, null, 1.5, null],
      [2 ** 40, 7, 2.5, 'new'],
    ])
    expect(await rig.rows('select n from events where n = 1')).toEqual([[1]])
    expect(await rig.rows('select count(*) from events where b is null')).toEqual([[1]])
    const [first] = (await lake.load()).snapshots
    expect(await rig.rows(`select * from events at (version => ${first?.['snapshot-id']})`)).toEqual([[1, 'one', 1.5]])
  })

  it('inside a column are refused, with the way out; as long as they are the same, they are read', async () => {
    const lake = new TestLake()
    const inner = { type: 'struct' as const, fields: [{ id: 0, name: 'p', required: false, type: 'int' }] }
    const list = { type: 'list' as const, 'element-id': 0, 'element-required': false, element: 'long' }
    await lake.create({
      schema: makeSchema([
        { name: 's', type: inner },
        { name: 'l', type: list },
      ]),
    })
    const rig = await ColdRig.open(lake)
    await lake.append([{ s: { p: 1 }, l: [1, 2] }])
    expect(await rig.rows('select s, l from events')).toEqual([[{ p: 1 }, [1, 2]]])
    await rig.evolve({ add: { name: 'more', type: 'string' } })
    expect(await rig.rows('select s, l, more from events')).toEqual([[{ p: 1 }, [1, 2], null]])
    await rig.evolve({ rename: 's.p', to: 'q' })
    await expect(rig.rows('select s from events')).rejects.toMatchObject({
      code: 'unsupported',
      message: /compact the table/,
    })
  })

  it('need files with field ids', async () => {
    const rig = await coldRig()
    const { lake } = rig
    const file = await lake.dataFile([row(1)])
    const bytes = await lake.files.read(file.path)
    expect(bytes.length).toBeGreaterThan(0)
    const parquet = await import('hyparquet-writer')
    const foreign = new Uint8Array(
      parquet.parquetWriteBuffer({
        columnData: [
          { name: 'id', data: [5n], type: 'INT64' },
          { name: 'ns', data: ['z'], type: 'STRING' },
        ],
      }),
    )
    await lake.store.put(lake.files.keyOf(file.path), foreign)
    await lake.commit({ addData: [{ ...file, sizeBytes: foreign.length }] })
    await rig.evolve({ rename: 'ns', to: 'space' })
    await expect(rig.rows('select * from events')).rejects.toMatchObject({
      code: 'unsupported',
      message: /no field ids/,
    })
  })
})

describe('what is left out', () => {
  it('is said: by partition, by bounds, by conditions of every kind', async () => {
    const lake = new TestLake()
    const { spec } = makeSpec([{ column: 'ns', transform: 'identity' }], { schema, specs: [], lastPartitionId: 999 })
    await lake.create({ schema, spec })
    for (const [at, ns] of ['a', 'b', 'c', 'd'].entries()) await lake.append(span(at * 100, at * 100 + 100, ns))
    const rig = await ColdRig.open(lake)
    const cases: [string, number, number, unknown[]?][] = [
      ['true', 0, 400],
      ["ns = 'b'", 3, 100],
      ["'b' = ns", 3, 100],
      ["ns in ('a', 'c')", 2, 200],
      ["ns like 'b%'", 3, 100],
      ["starts_with(ns, 'd')", 3, 100],
      ['id < 100', 3, 100],
      ['id >= 100 and id < 200', 3, 100],
      ['id between 150 and 250', 2, 101],
      ['100 > id', 3, 100],
      ["id = 5 or ns = 'd'", 2, 101],
      ['id = $1', 3, 1, [250]],
      ['id = $1', 3, 1, ['250']],
      ["x < 10.5 and ns <> 'zz'", 3, 21],
      ["ts < timestamptz '1970-01-01 00:01:40+00'", 3, 100],
      ["ts < '1970-01-01 00:01:40+00'", 3, 100],
      ["ts >= timestamp '1970-01-01 00:05:00'", 3, 100],
      ["ts > date '1970-01-02' - interval 1 day and ts < timestamptz '1970-01-01 00:01:40+00'", 3, 99],
      ["ts > now() - interval '1 day'", 4, 0],
      ['ts < now()', 0, 400],
      ['id + 0 < 100', 0, 100],
      ['not (id >= 100)', 3, 100],
      ['id = 1.5', 0, 0],
      ['ns is null', 4, 0],
      ['ns is not null and id = 9223372036854775807', 4, 0],
      ["ns = 'b' and (select count(*) from range(3)) = 3", 3, 100],
      ['id < (select 100)', 0, 100],
    ]
    for (const [where, pruned, found, params = []] of cases) {
      const { rows, stats } = await rig.run(`select count(*) from events where ${where}`, { params: params as never })
      expect([rows, stats.filesPruned, stats.files], where).toEqual([[[found]], pruned, 4])
      expect(stats.bytesPruned > 0, where).toBe(pruned > 0)
    }
  })

  it('is only what the query would leave out itself', async () => {
    const rig = await coldRig()
    for (const from of [0, 10, 20]) await rig.lake.append(span(from, from + 10))
    const cases: [string, number, unknown][] = [
      ['select count(*) from events a join events b on a.id = b.id where a.id < 10', 2, 10],
      ['select count(*) from events a left join events b on a.id = b.id where b.id < 10', 2, 10],
      ['select count(*) from events a full join events b on a.id = b.id + 25 where a.id < 10', 2, 10],
      ['select count(*) from events a left join events b on a.id = b.id + 25 where b.id is null', 0, 25],
      ['select count(*) from events a semi join events b on a.id = b.id where id < 10', 2, 10],
      ['select count(*) from events a anti join events b on a.id = b.id + 25 where a.id < 10', 2, 10],
      ['select count(*) from events a positional join events b where b.id < 10', 0, 10],
      ['select max(b.id) from events a asof join events b on a.ts >= b.ts where b.id < 10', 0, 9],
      ['select count(*) from (from events limit 30) where id < 10', 0, 10],
      ['select count(*) from events tablesample 100% where id < 10', 0, 10],
      ['select id % 10 as id from events where id = 15', 2, 5],
      ['select count(*) from events e(k) where k < 10', 0, 10],
      ['select count(*) from events a, events b where id < 10', 0, 'Ambiguous'],
      ['with e as (from events where id < 10) select (select count(*) from e) + (select count(*) from events)', 2, 40],
    ]
    for (const [text, pruned, value] of cases) {
      if (value === 'Ambiguous') {
        await expect(rig.rows(text)).rejects.toMatchObject({ code: 'invalid', message: /Ambiguous/ })
        continue
      }
      const { rows, stats } = await rig.run(text)
      expect([rows, stats.filesPruned], text).toEqual([[[value]], pruned])
    }
  })

  it('is explained, with files, deletes and the plan, and nothing is fetched', async () => {
    const store = counted(memoryObjects(new TestLake().clock))
    const rig = await coldRig({}, new TestLake(store))
    const a = await rig.lake.append(span(0, 10))
    await rig.lake.append(span(10, 20))
    await rig.delete(await rig.lake.deleteFile([a, [1]]))
    const { rows, stats } = await rig.run('explain select sum(x) from events where id < 5')
    const text = rows.map((line) => (line as string[])[0]).join('\n')
    expect(text).toMatch(/db\.events: id, x\n {2}where id < 5\n {2}cold: snapshot \d+ of 20/)
    expect(text).toMatch(/reads 1 file of 2, [\d,]+ bytes of [\d,]+/)
    expect(text).toMatch(/left out by partitions and bounds of files: 1 file\n/)
    expect(text).toMatch(/\.parquet: 10 rows, .*with deletes/)
    expect(text).toMatch(/hot: shards have nothing of it/)
    expect(text).toMatch(/UNGROUPED_AGGREGATE/)
    expect(stats).toMatchObject({ files: 2, filesPruned: 1, bytesRead: 0, bytesCached: 0 })
    const same = await rig.rows('select sum(x) from events where id < 5', { explain: true })
    expect(same).toEqual(rows)
    expect((await rig.rows('explain analyze select count(*) from events')).flat().join('\n')).toMatch(/Total Time/)
  })
})
