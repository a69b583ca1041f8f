/** SQL inside workerd: a real Durable Object shard, tables in R2, and a million rows in an isolate. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectState } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { catalogProgram } from '../../shard/catalog.ts'
import { CATALOG_DATABASE, Fabric } from '../../shard/fabric.ts'
import type { JobShard } from '../../shard/job.ts'
import type { Call, Program } from '../../shard/program.ts'
import type { ShardClient } from '../../shard/router.ts'
import { fileCatalog } from '../../tiering/iceberg/catalog-files.ts'
import { commitChange } from '../../tiering/iceberg/commit.ts'
import { type DataFile, dataFile } from '../../tiering/iceberg/data-file.ts'
import { LakeFiles } from '../../tiering/iceberg/files.ts'
import { schemaOf, specOf } from '../../tiering/iceberg/metadata.ts'
import { unpartitioned } from '../../tiering/iceberg/partition.ts'
import { makeSchema } from '../../tiering/iceberg/schema.ts'
import type { ObjectStore } from '../../tiering/objects/port.ts'
import { prefixed } from '../../tiering/objects/prefixed.ts'
import { createParquetWriter } from '../../tiering/parquet/writer.ts'
import { plannerCalls } from '../../tiering/sql/planner/partial-call.ts'
import { type ItemRow, items, itemsProgram } from '../../tiering/sql/planner/testing-program.ts'
import { commitTable } from '../../tiering/tier/committer.ts'
import { jobNames, tierJobs } from '../../tiering/tier/jobs.ts'
import { tableName } from '../../tiering/tier/payloads.ts'
import { tierProgram } from '../../tiering/tier/program.ts'
import { beginTable, type CollectionInfo } from '../../tiering/tier/schemas.ts'
import { TierShards } from '../../tiering/tier/shards.ts'
import { workersClock } from './clock.ts'
import { workersLakeCodecs } from './lake-codecs.ts'
import { r2Objects } from './r2-objects.ts'
import { shardObject } from './shard-object.ts'
import { createWorkersSqlEngine, type WorkersSqlEngine, type WorkersSqlRequest } from './sql-engine.ts'
import { submitOver } from './wire.ts'
import { workersZstd } from './zstd.ts'

/** The database's one shard, in a Durable Object of its own; calls run in the object. */
function objectClient(programs: readonly Program[]): ShardClient {
  const Shard = shardObject({ programs })
  const stub = env.SQL.get(env.SQL.newUniqueId())
  const objects = new WeakMap<DurableObjectState, InstanceType<typeof Shard>>()
  const inside = <T>(work: (object: InstanceType<typeof Shard>) => Promise<T>) =>
    runInDurableObject(stub, (_, state) => {
      const object = objects.get(state) ?? new Shard(state as never, {})
      objects.set(state, object)
      return work(object)
    })
  const submit = (calls: readonly Call[]) => inside((object) => submitOver(object, calls))
  const job = async (name: string) => {
    throw new Failure('unsupported', `no job ${name}`)
  }
  return { submit, awaitChange: async () => undefined, job }
}

/** A lake in a folder of the bucket. */
function lakeIn(folder: string) {
  const root = `s3://bucket/${folder}`
  const inside = prefixed(r2Objects(env.BUCKET), `${folder}/`)
  /** How much a read has brought at the most. */
  const seen = { readBytesMax: 0 }
  const store: ObjectStore = {
    ...inside,
    async get(key, options) {
      const body = await inside.get(key, options)
      seen.readBytesMax = Math.max(seen.readBytesMax, body?.bytes.length ?? 0)
      return body
    },
  }
  const files = new LakeFiles({ store, root, chance: workersClock })
  return { files, catalog: fileCatalog({ files, clock: workersClock }), seen }
}

async function ask(engine: WorkersSqlEngine, text: string, more: Partial<WorkersSqlRequest> = {}) {
  const result = await engine.query({ text, database: 'shop', ...more })
  const rows: unknown[][] = []
  for await (const batch of result.batches) rows.push(...batch.map((one) => [...one]))
  return { rows, stats: result.stats() }
}

async function openShop() {
  const lake = lakeIn('shop')
  const tools = { ...lake, clock: workersClock, compressor: workersZstd, codecs: workersLakeCodecs.parquet }
  const { jobs } = tierJobs(tools)
  const shard = objectClient([itemsProgram, tierProgram(plannerCalls)])
  const catalog = objectClient([catalogProgram])
  const beside: JobShard = { database: 'shop', index: 0, submit: shard.submit }
  const job = async (name: string, args: unknown) => jobs.find((one) => one.name === name)?.run(beside, args)
  const client = (database: string) => (database === CATALOG_DATABASE ? catalog : { ...shard, job })
  const fabric = new Fabric({ placement: { client }, clock: workersClock, defaults: { partitioner: 'crc16' } })
  await fabric.create('shop', { count: 1 })
  const engine = createWorkersSqlEngine({ fabric, tables: [items], lake })
  return { fabric, engine, tools }
}

type Shop = Awaited<ReturnType<typeof openShop>>

async function put({ fabric }: Shop, rows: readonly ItemRow[]): Promise<void> {
  const { router } = await fabric.database('shop')
  await router.call({ program: 'items', name: 'put', args: rows }, { shard: 0 })
}

async function flush({ fabric, tools }: Shop): Promise<void> {
  const shards = new TierShards(await fabric.database('shop'))
  const name = tableName('shop', 'items')
  const [info] = await shards.ask<CollectionInfo[]>(0, 'describe', null)
  await tools.catalog.createNamespace(['shop'])
  const { metadata } = await tools.catalog.createTable(name, beginTable('items', info))
  const folder = `${metadata.location}/data`
  await shards.job(0, jobNames.flush, { table: 'items', schema: schemaOf(metadata), spec: specOf(metadata), folder })
  await commitTable(tools, { table: 'items', name, shards })
}

const item = (id: number): ItemRow => ({ slot: id % 64, id, name: `n${id % 3}`, price: id / 2, at: id })

describe('SQL in a Worker', () => {
  it('sees a Durable Object and R2 as one table', async () => {
    const shop = await openShop()
    await put(
      shop,
      Array.from({ length: 30 }, (_, id) => item(id)),
    )
    const text = 'select name, count(*), sum(id) from items where id >= 3 group by name order by name'
    const wanted = [
      ['n0', 9, 135],
      ['n1', 9, 144],
      ['n2', 9, 153],
    ]
    const hot = await ask(shop.engine, text)
    expect([hot.rows, hot.stats.shards, hot.stats.files, hot.stats.hotRows]).toEqual([wanted, 1, 0, 27])
    await flush(shop)
    const cold = await ask(shop.engine, text)
    expect([cold.rows, cold.stats.files, cold.stats.hotRows]).toEqual([wanted, 1, 0])
    expect(cold.stats.bytesRead).toBeGreaterThan(0)
    await put(shop, [{ ...item(29), id: 5, slot: 5 }, item(30)])
    const both = await ask(
      shop.engine,
      'select id, name, price from items where id > 28 or id = 5 order by price desc, id',
    )
    expect(both.rows).toEqual([
      [30, 'n0', 15],
      [5, 'n2', 14.5],
      [29, 'n2', 14.5],
    ])
    expect((await ask(shop.engine, 'select count(*), count(distinct id) from items')).rows).toEqual([[31, 31]])
    expect((await shop.engine.describe('shop')).find(({ table }) => table === 'items')).toMatchObject({
      hot: true,
      cold: true,
    })
  })

  it('asks R2 SQL when it is told to, and only when it may', async () => {
    const fabric = {} as Fabric
    const engine = createWorkersSqlEngine({ fabric, tables: [] })
    const refused = engine.query({ text: 'select 1', database: 'd', engine: 'r2' })
    await expect(refused).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('R2 SQL') })
    const r2 = { accountId: 'a', bucket: 'abc', token: 't' }
    const remote = createWorkersSqlEngine({ fabric, tables: [], r2 })
    const told = remote.query({ text: 'select $1', database: 'd', engine: 'r2', params: [1] })
    await expect(told).rejects.toMatchObject({ message: expect.stringContaining('R2 SQL takes no parameters') })
    expect((await ask(remote, 'select 1 + 1')).rows).toEqual([[2]])
    await expect(remote.query({ text: 'select 1', database: 'd', engine: 'x' as 'r2' })).rejects.toMatchObject({
      code: 'invalid',
    })
  })
})

const million = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'kind', type: 'string' },
  { name: 'amount', type: 'double' },
  { name: 'note', type: 'string' },
])

/** Noise that packs badly; the same for the same row. */
const amountOf = (id: number) =>
  ((Math.imul(id + 1, 0x9e3779b1) >>> 0) * 2 ** 20 + (Math.imul(id, 0x85ebca6b) >>> 12)) / 7

/** Write a file of rows, straight from columns. */
async function dataFileOf(
  { files }: ReturnType<typeof lakeIn>,
  path: string,
  from: number,
  rows: number,
): Promise<DataFile> {
  const parts: Uint8Array[] = []
  const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
  const writer = createParquetWriter({ schema: million, sink, compressor: workersZstd, rowGroupRows: 20_000 })
  const encoder = new TextEncoder()
  const kinds = Array.from({ length: 20 }, (_, kind) => encoder.encode(`kind-${kind}`))
  const notes = Array.from({ length: 1_000 }, (_, note) => encoder.encode(`note ${note} ${'x'.repeat(100)}`))
  for (let at = from; at < from + rows; at += 20_000) {
    const id = (row: number) => at + row
    await writer.writeColumns(20_000, {
      id: { numbers: Float64Array.from({ length: 20_000 }, (_, row) => id(row)) },
      kind: { distinct: kinds, indices: Int32Array.from({ length: 20_000 }, (_, row) => id(row) % 20) },
      amount: { numbers: Float64Array.from({ length: 20_000 }, (_, row) => amountOf(id(row))) },
      note: { distinct: notes, indices: Int32Array.from({ length: 20_000 }, (_, row) => (id(row) * 7) % 1_000) },
    })
  }
  const summary = await writer.finish()
  await files.write(path, new Uint8Array(Buffer.concat(parts)))
  return dataFile(summary, { path, spec: unpartitioned, partition: [] })
}

describe('a million rows', () => {
  it('are grouped in an isolate, a part of a file at a time', { timeout: 60_000 }, async () => {
    const lake = lakeIn('million')
    await lake.catalog.createNamespace(['shop'])
    const { metadata } = await lake.catalog.createTable({ namespace: ['shop'], name: 'events' }, { schema: million })
    const addData: DataFile[] = []
    for (let file = 0; file < 10; file++) {
      addData.push(await dataFileOf(lake, `${metadata.location}/data/${file}.parquet`, file * 100_000, 100_000))
    }
    await commitChange({ ...lake, clock: workersClock }, { namespace: ['shop'], name: 'events' }, { addData })
    const engine = createWorkersSqlEngine({ fabric: {} as Fabric, tables: [], lake })
    lake.seen.readBytesMax = 0
    const { rows, stats } = await ask(
      engine,
      `select kind, count(*), sum(id), max(amount), count(distinct note) from events
        group by kind order by sum(id) limit 2`,
    )
    let [first, second, seventh] = [0, 0, [0, 0]]
    for (let id = 0; id < 1_000_000; id += 20) {
      first = Math.max(first, amountOf(id))
      second = Math.max(second, amountOf(id + 1))
      if (amountOf(id + 7) > (seventh[0] as number)) seventh = [amountOf(id + 7), id + 7]
    }
    expect(rows).toEqual([
      ['kind-0', 50_000, 24_999_500_000, first, 50],
      ['kind-1', 50_000, 24_999_550_000, second, 50],
    ])
    expect(stats).toMatchObject({ files: 10, filesPruned: 0 })
    // What a read brings is a part of a row group, never a file.
    expect(lake.seen.readBytesMax).toBeLessThan(1024 * 1024)
    const top = await ask(engine, "select amount, id from events where kind = 'kind-7' order by amount desc limit 1")
    expect(top.rows).toEqual([seventh])
    const few = await ask(engine, 'select count(*) from events where id between 500000 and 500009')
    expect([few.rows, few.stats.filesPruned]).toEqual([[[10]], 9])
  })
})
