/** Changes for the benches of the lake: the rows of the Parquet bench, written through a shard's program, and a lake
 *  on disk in one thread. */
import { openSqlite } from '@dotdo/core/host/node'
import { type Call, type Program, type Tx, table } from '@dotdo/core/shard'
import { nodeClock } from '../core/host/node/clock.ts'
import { type NodeFabric, openFabric } from '../core/host/node/fabric.ts'
import { tieredPrograms } from '../core/host/node/lake.ts'
import { openLakeCodecs } from '../core/host/node/lake-codecs.ts'
import { openLakeStores } from '../core/host/node/lake-stores.ts'
import { shardPath } from '../core/host/node/store.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { tierJobs } from '../core/tiering/tier/jobs.ts'
import { Lake } from '../core/tiering/tier/lake.ts'
import type { TierEvent } from '../core/tiering/tier/port.ts'

/** The database that the benches of the lake write to: one shard. */
export const database = 'bench'
/** The collection whose changes go to the lake. */
export const collection = 'events'

/** An event: its document is one JSON text of about 160 bytes. */
export type EventRow = { id: string; data: string | null; amount: number | null }

const events = table<EventRow>({
  name: 'bench_events',
  collection,
  columns: { id: 'text', data: 'text?', amount: 'real?' },
  primaryKey: ['id'],
  document: ({ data, amount }) => ({ ...(data !== null && JSON.parse(data)), amount }),
  documentId: ({ id }) => id ?? '',
  relation: {
    columns: [
      { name: 'data', type: 'string', value: ({ data }) => data },
      { name: 'amount', type: 'double', value: ({ amount }) => amount },
    ],
  },
})

/** Its call `put` stores events, one or many. */
export const eventsProgram: Program = {
  name: 'bench',
  tables: [events],
  run(tx: Tx, { args }: Call) {
    for (const row of args as EventRow[]) tx.put(events, row)
    return null
  },
}

/** Rows that the source has, in turns of so many. */
export const ROWS_PER_CALL = 100

/** A fabric of one shard with a lake on disk, both in this thread; nothing is tiered by itself. */
export interface BenchLake {
  readonly fabric: NodeFabric
  readonly lake: Lake
  put(rows: readonly EventRow[]): Promise<void>
  close(): Promise<void>
}

/** Open a fabric and its lake.
 *  @param data the fabric's folder
 *  @param place the lake's
 *  @param limits bytes of log that stay whatever is committed */
export async function openBenchLake(
  { data, place, logBytes }: { data: string; place: string; logBytes?: number },
  listener?: (event: TierEvent) => void,
): Promise<BenchLake> {
  const { avro, parquet } = await openLakeCodecs()
  const stores = await openLakeStores({ location: place }, { durability: 'normal', codecs: avro })
  const compressor = await openZstd()
  const tools = { ...stores, clock: nodeClock, compressor, codecs: parquet }
  const { catalog, files } = stores
  const { jobs, fetchCold } = tierJobs({ ...tools, catalog, files })
  const fabric = await openFabric({
    data,
    programs: tieredPrograms([eventsProgram]),
    durability: 'normal',
    jobs,
    fetchCold,
    ...(logBytes !== undefined && { limits: { logBytes } }),
  })
  const lake = new Lake({ ...tools, catalog, files, fabric, ...(listener && { listener }) })
  const { router } = await fabric.database(database)
  return {
    fabric,
    lake,
    async put(args) {
      await router.call({ program: 'bench', name: 'put', args }, { slot: 0 })
    },
    async close() {
      await fabric.close()
      stores.close()
    },
  }
}

/** Read the events of a database that fillEvents has filled, as rows of the collection. */
export function* readEvents(path: string): Generator<EventRow[]> {
  const sql = openSqlite(path, { readonly: true })
  try {
    for (let after = 0; ; ) {
      const select = 'select id, data, amount, seq from events where seq > ? order by seq limit ?'
      const rows = sql.all(select, after, ROWS_PER_CALL) as unknown as (EventRow & { seq: number })[]
      if (rows.length === 0) return
      after = rows.at(-1)?.seq as number
      yield rows.map(({ id, data, amount }) => ({ id, data, amount }))
    }
  } finally {
    sql.close()
  }
}

/** Have a closed fabric forget what is in its lake: it is tiered from the beginning again, to another one. */
export function forgetLake(data: string): void {
  const sql = openSqlite(shardPath(data, database, 0), { durability: 'normal' })
  for (const name of ['tier_state', 'tier_index', 'tier_pending', 'tier_gone', 'tier_dead'])
    sql.raw(`delete from ${name}`)
  sql.close()
}
