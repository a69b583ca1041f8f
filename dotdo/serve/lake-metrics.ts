/** What the lake and SQL count, for Prometheus. */
import type { StoreCounts } from '@dotdo/core/tiering'
import type { LakeControl, TableStatus, TierEvent } from '@dotdo/core/tiering/tier'
import { Counter, Histogram, type Registry } from 'prom-client'
import type { SqlOutcome } from '../http/sql.ts'
import { addCounter, addGauge, type Sample } from './metrics.ts'

/** Databases whose tables are shown one by one: each is asked of all its shards with every scrape. */
const databasesShown = 50

/** Count what the tiering does.
 *  @returns told of everything that is done */
export function addTierMetrics(registry: Registry): (event: TierEvent) => void {
  const counter = (name: string, help: string) => {
    return new Counter({ name: `dotdo_tier_${name}`, help, labelNames: ['kind'], registers: [registry] })
  }
  const events = counter('events_total', 'What was done: flushed, committed, evicted, compacted, failed, ...')
  const rows = counter('rows_total', 'Rows that this was done to.')
  const files = counter('files_total', 'Files that this was done to.')
  const bytes = counter('bytes_total', 'Bytes that this was done to.')
  return ({ kind, ...event }) => {
    events.inc({ kind })
    rows.inc({ kind }, event.rows ?? 0)
    files.inc({ kind }, event.files ?? 0)
    bytes.inc({ kind }, event.bytes ?? 0)
  }
}

/** How far the shards of a table are behind: changes, and the age of the oldest. */
function lagOf({ shards }: TableStatus, nowMs: number): { changes: number; seconds: number } {
  const oldest = Math.min(...shards.map(({ oldestMs }) => oldestMs ?? nowMs), nowMs)
  return { changes: shards.reduce((sum, { lagChanges }) => sum + lagChanges, 0), seconds: (nowMs - oldest) / 1000 }
}

/** Show the tables of the lake.
 *  @cost with every scrape, a call to each shard of up to 50 databases that have policies */
export function addLakeMetrics(registry: Registry, lake: LakeControl, nowMs: () => number): void {
  let reading: Promise<(readonly [Record<string, string>, TableStatus])[]> | undefined
  // One look serves all metrics of a scrape.
  const tables = () => {
    reading ??= readTables(lake).finally(() => {
      reading = undefined
    })
    return reading
  }
  const add = (name: string, help: string, value: (table: TableStatus) => number) => {
    addGauge(registry, {
      name: `dotdo_lake_${name}`,
      help,
      labelNames: ['database', 'table'],
      read: async () => (await tables()).map(([labels, table]): Sample => [labels, value(table)]),
    })
  }
  add('lag_changes', 'Changes that no snapshot holds yet.', (table) => lagOf(table, nowMs()).changes)
  add('lag_seconds', 'Age of the oldest of them.', (table) => lagOf(table, nowMs()).seconds)
  add('data_files', 'Data files of the newest snapshot.', ({ dataFiles }) => dataFiles)
  add('delete_files', 'Delete files of the newest snapshot.', ({ deleteFiles }) => deleteFiles)
  add('bytes', 'Bytes of the files of the newest snapshot.', ({ bytes }) => bytes)
  add('rows', 'Rows of the newest snapshot.', ({ rows }) => rows)
}

async function readTables(lake: LakeControl): Promise<(readonly [Record<string, string>, TableStatus])[]> {
  const names = (await lake.databases()).slice(0, databasesShown)
  const found = await Promise.all(
    names.map(async (database) => {
      // A database that fails is shown by dotdo_tier_events_total, and must not take the other metrics with it.
      const tables = await lake.status(database).then(
        (status) => status.tables,
        () => [],
      )
      return tables.map((table) => [{ database, table: table.table }, table] as const)
    }),
  )
  return found.flat()
}

const requestKinds = ['get', 'head', 'put', 'delete', 'list', 'multipart', 'part', 'complete', 'abort'] as const

/** Count what the stores of the lake are asked for. */
export function addStoreMetrics(registry: Registry, counts: () => Readonly<Record<string, StoreCounts>>): void {
  addCounter(registry, {
    name: 'dotdo_store_requests_total',
    help: 'Requests to the object stores of the lake.',
    labelNames: ['store', 'kind'],
    read: () =>
      Object.entries(counts()).flatMap(([store, one]) => {
        return requestKinds.map((kind): Sample => [{ store, kind }, one[kind]])
      }),
  })
  addCounter(registry, {
    name: 'dotdo_store_bytes_total',
    help: 'Bytes read from and written to the object stores of the lake.',
    labelNames: ['store', 'direction'],
    read: () =>
      Object.entries(counts()).flatMap(([store, { readBytes, writtenBytes }]): Sample[] => [
        [{ store, direction: 'read' }, readBytes],
        [{ store, direction: 'written' }, writtenBytes],
      ]),
  })
}

/** Count SQL.
 *  @returns told of every query that has ended */
export function addSqlMetrics(registry: Registry): (outcome: SqlOutcome) => void {
  const queries = new Counter({
    name: 'dotdo_sql_queries_total',
    help: 'Queries by how they ended: ok, abandoned, or the code of their failure.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'dotdo_sql_seconds',
    help: 'How long queries took that went well.',
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
    registers: [registry],
  })
  const rows = new Counter({ name: 'dotdo_sql_rows_total', help: 'Rows of results.', registers: [registry] })
  const bytes = new Counter({
    name: 'dotdo_sql_bytes_total',
    help: 'Bytes of cold files: fetched, found in the cache, and left out by planning.',
    labelNames: ['kind'],
    registers: [registry],
  })
  return ({ stats, failure }) => {
    queries.inc({ outcome: stats === undefined ? (failure?.code ?? 'abandoned') : 'ok' })
    if (stats === undefined) return
    seconds.observe(stats.elapsedMs / 1000)
    rows.inc(stats.rows)
    bytes.inc({ kind: 'fetched' }, stats.bytesRead)
    bytes.inc({ kind: 'cached' }, stats.bytesCached)
    bytes.inc({ kind: 'pruned' }, stats.bytesPruned)
  }
}
