/** The data of the SQL bench: a collection of events in shards, tiered by the real thing, and its files copied until
 *  the lake has many times as many rows. */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@dotdo/core/errors'
import { type NodeFabric, nodeClock, openDiskObjects, openFabric } from '@dotdo/core/host/node'
import { murmur3Slot, type Program, type Row, type Tx, table } from '@dotdo/core/shard'
import { commitChange, type DataFile, fileCatalog, LakeFiles, planScan } from '@dotdo/core/tiering/iceberg'
import { openLakeCodecs } from '../core/host/node/lake-codecs.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { commitTable } from '../core/tiering/tier/committer.ts'
import { jobNames, tierJobs } from '../core/tiering/tier/jobs.ts'
import { ensureTable, planFlush } from '../core/tiering/tier/lake-table.ts'
import { fileIdText } from '../core/tiering/tier/plain.ts'
import { tierProgram } from '../core/tiering/tier/program.ts'
import type { CollectionInfo } from '../core/tiering/tier/schemas.ts'
import { TierShards } from '../core/tiering/tier/shards.ts'

/** A row of the collection. */
type EventRow = Row & { slot: number; id: string; ts: number; ns: string; type: string; data: string; amount: number }

const column = (name: keyof EventRow & string, type: 'string' | 'long' | 'double' | 'timestamptz') => ({
  name,
  type,
  required: true,
  value: (row: EventRow) => row[name] as string | number,
})

const events = table<EventRow>({
  name: 'bench_events',
  collection: 'events',
  columns: { slot: 'integer', id: 'text', ts: 'integer', ns: 'text', type: 'text', data: 'text', amount: 'real' },
  primaryKey: ['slot', 'id'],
  withoutRowid: true,
  buffered: true,
  document: ({ slot: _, ...row }) => row,
  documentId: ({ id }) => String(id),
  relation: {
    columns: [
      column('id', 'string'),
      column('ts', 'timestamptz'),
      column('ns', 'string'),
      column('type', 'string'),
      column('data', 'string'),
      column('amount', 'double'),
    ],
  },
})

/** Puts rows, many a call. */
const eventsProgram: Program = {
  name: 'events',
  tables: [events],
  writesSql: () => false,
  run(tx: Tx, { args }) {
    for (const row of args as EventRow[]) tx.put(events, row)
    return null
  },
}

/** What the engine shows. */
export const benchPrograms: readonly Program[] = [eventsProgram, tierProgram()]

const rowsPerCall = 500

/** A lake with a fabric, open. */
export interface SqlData {
  readonly fabric: NodeFabric
  readonly lake: { readonly catalog: ReturnType<typeof fileCatalog>; readonly files: LakeFiles }
  /** Where the files of the newest snapshot are on the disk. */
  paths(): Promise<string[]>
  /** Put rows into the shards. */
  put(rows: number): Promise<void>
  /** Flush and commit. */
  tier(): Promise<void>
  /** Append every data file of the table again, under new names, so many times. */
  copyFiles(times: number): Promise<void>
  close(): Promise<void>
}

const database = 'bench'
const name = { namespace: [database], name: 'events' }

/** Open an empty lake with an empty fabric.
 *  @param shards of the database */
export async function openSqlData(folder: string, shards: number): Promise<SqlData> {
  const root = join(folder, 'lake')
  const store = await openDiskObjects(root, { durability: 'normal' })
  const codecs = await openLakeCodecs()
  const files = new LakeFiles({ store, root: `file://${root}`, chance: nodeClock, codecs: codecs.avro })
  const catalog = fileCatalog({ files, clock: nodeClock })
  const tools = { catalog, files, clock: nodeClock, compressor: await openZstd(), codecs: codecs.parquet }
  const fabric = await openFabric({
    data: join(folder, 'data'),
    programs: benchPrograms,
    durability: 'normal',
    ...tierJobs(tools),
  })
  const { router, map } = await fabric.create(database, { count: shards, partitioner: 'murmur3', keys: 'raw' })
  const tierShards = new TierShards(await fabric.database(database))
  const random = makeRandom(20_261_121)
  let made = 0
  const planned = async () => (await planScan(files, (await catalog.loadTable(name)).metadata)).tasks
  const pathOf = (location: string) => location.slice('file://'.length)
  return {
    fabric,
    lake: { catalog, files },
    paths: async () => (await planned()).map(({ file }) => pathOf(file.path)),
    async put(rows) {
      const waiting = new Map<number, EventRow[]>()
      const send = async (slot: number, args: EventRow[]) => {
        await router.call({ program: 'events', name: 'put', args }, { slot })
      }
      for (const end = made + rows; made < end; made++) {
        const row = eventRow(made, random)
        const shard = map.shardOf(row.slot)
        const list = waiting.get(shard) ?? []
        list.push(row)
        waiting.set(shard, list)
        if (list.length < rowsPerCall) continue
        waiting.delete(shard)
        await send(row.slot, list)
      }
      for (const list of waiting.values()) await send((list[0] as EventRow).slot, list)
    },
    async tier() {
      const [infos = []] = await tierShards.each((shard) => tierShards.ask<CollectionInfo[]>(shard, 'describe', null))
      const info = infos.find(({ collection }) => collection === 'events')
      const plan = planFlush(await ensureTable(tools, { name, info }), { table: 'events' })
      await tierShards.each((shard) => tierShards.job(shard, jobNames.flush, plan), 1)
      await commitTable(tools, { table: 'events', name, shards: tierShards })
    },
    async copyFiles(times) {
      const originals = await planned()
      const addData: DataFile[] = []
      for (let time = 0; time < times; time++) {
        for (const { file } of originals) {
          const path = file.path.replace(/[0-9a-f]{12}\.parquet$/, `${fileIdText(nodeClock.random())}.parquet`)
          if (path === file.path) throw new Failure('internal', `no id in ${path}`)
          await copyFile(pathOf(file.path), pathOf(path))
          addData.push({ ...file, path })
        }
      }
      await commitChange(tools, name, { addData })
    },
    async close() {
      await fabric.close()
      store.close()
    },
  }
}

/** Make a generator of integers below 2^32 (xorshift). */
function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

function eventRow(number: number, random: () => number): EventRow {
  const hex = () => random().toString(16).padStart(8, '0')
  const id = `${hex()}-${hex()}-${number.toString(16).padStart(8, '0')}`
  return {
    slot: murmur3Slot(id),
    id,
    ts: 1_760_000_000_000_000 + number * 50_000,
    ns: `namespace-${random() % 24}`,
    type: `type-${random() % 12}`,
    data: JSON.stringify({
      user: `user-${random() % 100_000}`,
      status: 'active',
      note: `alpha beta ${hex()} ${hex()}`,
    }),
    amount: (random() % 100_000) / 100,
  }
}
