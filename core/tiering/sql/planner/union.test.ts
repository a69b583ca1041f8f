/** The planner over shards that tier: hot and cold as one table, at every step of its history. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../../../errors.ts'
import { openLakeCodecs } from '../../../host/node/lake-codecs.ts'
import { schemaOf, specOf } from '../../iceberg/metadata.ts'
import { commitTable } from '../../tier/committer.ts'
import { jobNames } from '../../tier/jobs.ts'
import { tableName } from '../../tier/payloads.ts'
import { tierProgram } from '../../tier/program.ts'
import { beginTable, type CollectionInfo, evolveMirror } from '../../tier/schemas.ts'
import { docs, docsProgram, noteDocs, Rig } from '../../tier/testing.ts'
import type { SqlEngine, SqlRequest } from '../port.ts'
import { createPlannerEngine } from './engine.ts'
import { plannerCalls } from './partial-call.ts'
import { QueryMaker } from './random-testing.ts'

let rig: Rig
let engine: SqlEngine

beforeEach(async () => {
  rig = await Rig.open({ shards: 3, programs: [docsProgram, tierProgram(plannerCalls)] })
  const { catalog, files, clock } = rig
  const lake = { catalog, files, codecs: (await openLakeCodecs()).parquet }
  engine = createPlannerEngine({ fabric: rig.fabric, tables: [docs, noteDocs], lake, clock })
})

afterEach(() => rig.close())

async function flush(table: string): Promise<void> {
  const shards = await rig.shards()
  const name = tableName('shop', table)
  const loaded = await rig.catalog.loadTable(name).catch(async (error: unknown) => {
    if (!(error instanceof Failure && error.code === 'not_found')) throw error
    const [info] = (await shards.ask<CollectionInfo[]>(0, 'describe', null)).filter(
      ({ collection }) => collection === table,
    )
    await rig.catalog.createNamespace(name.namespace).catch(() => undefined)
    return rig.catalog.createTable(name, beginTable(table, info))
  })
  const { metadata } = loaded
  const folder = `${metadata.location}/data`
  const collections = table === 'changes' ? { collections: ['docs'] } : {}
  const plan = { table, schema: schemaOf(metadata), spec: specOf(metadata), folder, ...collections }
  await shards.each((shard) => shards.job(shard, jobNames.flush, plan))
  await commitTable(rig.tools, { table, name, shards })
}

async function ask(text: string, more: Partial<SqlRequest> = {}) {
  const result = await engine.query({ text, database: 'shop', ...more })
  const rows: unknown[][] = []
  for await (const batch of result.batches) rows.push(...batch.map((one) => [...one]))
  return { rows, stats: result.stats() }
}

interface Doc {
  readonly title: string
  readonly rank: number
}

/** Ask in every way there is: as rows, as groups, as the first rows. */
async function agree(model: ReadonlyMap<string, Doc>): Promise<void> {
  const all = [...model].map(([id, { title, rank }]) => [id, title, rank] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  expect((await ask('select _id, title, rank from docs order by _id')).rows).toEqual(all)
  const streamed = (await ask('select id, title, rank from docs')).rows
  expect(streamed.sort(([a], [b]) => (`${a}` < `${b}` ? -1 : 1))).toEqual(all)
  const sums = new Map<string, [number, number]>()
  for (const [, title, rank] of all) {
    const [count, sum] = sums.get(title) ?? [0, 0]
    sums.set(title, [count + 1, sum + rank])
  }
  const groups = [...sums].map(([title, sum]) => [title, ...sum]).sort(([a], [b]) => (`${a}` < `${b}` ? -1 : 1))
  expect((await ask('select title, count(*), sum(rank) from docs group by title order by title')).rows).toEqual(groups)
  const top = all.filter(([, , rank]) => rank >= 5).toSorted((a, b) => b[2] - a[2] || (a[0] < b[0] ? -1 : 1))
  const first = await ask('select id, rank from docs where rank >= 5 order by rank desc, id limit 4')
  expect(first.rows).toEqual(top.slice(0, 4).map(([id, , rank]) => [id, rank]))
}

describe('hot and cold', () => {
  it.each([1, 2, 3, 4])('are one table at every step (seed %i)', async (seed) => {
    const maker = new QueryMaker(seed)
    const model = new Map<string, Doc>()
    for (let step = 0; step < 8; step++) {
      for (let n = maker.below(40); n > 0; n--) {
        const id = `d${maker.below(60)}`
        const kind = maker.below(10)
        if (kind < 2) {
          await rig.doc('remove', { id })
          model.delete(id)
        } else {
          const doc = { title: `t${maker.below(4)}`, rank: maker.below(10) }
          await rig.doc('put', { id, ...doc, body: `body ${n}` })
          model.set(id, doc)
        }
      }
      if (maker.below(3) > 0) await flush('docs')
      await agree(model)
    }
  })

  it('meet at the watermark: rows that did not change come from files alone', async () => {
    await rig.putAll(['a', 'b', 'c', 'd'])
    await flush('docs')
    expect((await ask('select count(*) from docs')).stats).toMatchObject({ hotRows: 0, shards: 3, filesPruned: 0 })
    await rig.doc('rank', { id: 'b', rank: 7 })
    const { rows, stats } = await ask('select id, rank from docs order by id')
    expect(rows).toEqual([
      ['a', 0],
      ['b', 7],
      ['c', 0],
      ['d', 0],
    ])
    expect(stats.hotRows).toBe(1)
    expect(stats.files).toBeGreaterThan(0)
  })

  it('begin anew when a commit comes between the table and its shards', async () => {
    await rig.putAll(['a', 'b'])
    await flush('docs')
    const table = (await rig.catalog.loadTable(tableName('shop', 'docs'))).metadata
    await rig.putAll(['c'])
    await flush('docs')
    // The engine is given the old state once, as if it had been read just before.
    let given = 0
    const catalog: typeof rig.catalog = Object.create(rig.catalog, {
      loadTable: {
        value: async (name: Parameters<typeof catalog.loadTable>[0]) => {
          const loaded = await rig.catalog.loadTable(name)
          return given++ === 0 ? { ...loaded, metadata: table } : loaded
        },
      },
    })
    const { fabric, files, clock } = rig
    engine = createPlannerEngine({
      fabric,
      tables: [docs],
      lake: { catalog, files, codecs: (await openLakeCodecs()).parquet },
      clock,
    })
    expect((await ask('select count(*) from docs')).rows).toEqual([[3]])
    expect(given).toBe(2)
  })

  it('look at the past without shards', async () => {
    await rig.putAll(['a', 'b'])
    await flush('docs')
    const then = rig.clock.nowMs()
    await rig.doc('remove', { id: 'a' })
    await rig.putAll(['c'])
    expect((await ask('select id from docs order by id')).rows).toEqual([['b'], ['c']])
    const past = await ask('select id from docs order by id', { asOf: { timestampMs: then } })
    expect([past.rows, past.stats.shards]).toEqual([[['a'], ['b']], 0])
    await flush('docs')
    expect((await ask('select id from docs order by id', { asOf: { timestampMs: then } })).rows).toEqual([['a'], ['b']])
  })

  it('show columns that the lake alone has, null in rows that changed since', async () => {
    await rig.putAll(['a', 'b'])
    await flush('docs')
    const name = tableName('shop', 'docs')
    const [info] = await (await rig.shards()).ask<CollectionInfo[]>(0, 'describe', null)
    const { metadata } = await rig.catalog.loadTable(name)
    const columns = [...(info as CollectionInfo).columns, { name: 'extra', type: 'long' as const, required: false }]
    const request = evolveMirror(metadata, { ...(info as CollectionInfo), columns })
    await rig.catalog.commitTable(name, request as NonNullable<typeof request>)
    await rig.putAll(['b'])
    expect((await ask('select * from docs order by id')).rows.map((row) => row.length)).toEqual([5, 5])
    expect((await ask('select extra, count(*) from docs group by extra')).rows).toEqual([[null, 2]])
    expect((await ask('select id, extra from docs order by extra, id limit 2')).rows).toEqual([
      ['a', null],
      ['b', null],
    ])
  })

  it('tell changes once, whether they are in the log or in the table', async () => {
    await rig.putAll(['a', 'b'])
    await flush('changes')
    await rig.doc('remove', { id: 'a' })
    await rig.putAll(['c'])
    const text = "select id, op, count(*) from changes where type = 'docs' group by id, op order by id, op"
    const wanted = [
      ['a', 'delete', 1],
      ['a', expect.stringMatching(/put|insert/), 1],
      ['b', expect.stringMatching(/put|insert/), 1],
      ['c', expect.stringMatching(/put|insert/), 1],
    ]
    expect((await ask(text)).rows).toEqual(wanted)
    await flush('changes')
    const after = await ask(text)
    expect([after.rows, after.stats.hotRows]).toEqual([wanted, 0])
  })
})
