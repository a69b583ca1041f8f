/** What a database's lake looks like from outside. */
import type { LoadedTable } from '../iceberg/catalog.ts'
import { snapshotOfRef } from '../iceberg/history.ts'
import type { DatabaseLake, PlannedTable } from './lake-database.ts'
import type { LakeOptions } from './lake-options.ts'
import { loadIfThere } from './lake-table.ts'
import type { ShardTierStatus, TableStatus } from './port.ts'
import type { TableReport } from './program.ts'

/** Tell how far the tables of a database are.
 *  @cost a call to each shard, and the newest metadata of each table */
export async function statusOf({ catalog }: LakeOptions, lake: DatabaseLake): Promise<TableStatus[]> {
  const tables = await lake.tables()
  const reports = await lake.reports(tables)
  const loaded = await Promise.all(tables.map(({ name }) => loadIfThere(catalog, name)))
  return tables.map((table, at) => {
    const shards = reports.map((said, shard) => shardStatus(shard, said[at] as TableReport))
    return tableStatus(table, loaded[at], shards)
  })
}

function shardStatus(shard: number, report: TableReport): ShardTierStatus {
  const { settling: _, ...status } = report
  return { shard, ...status }
}

function tableStatus(
  { table }: PlannedTable,
  loaded: LoadedTable | undefined,
  shards: readonly ShardTierStatus[],
): TableStatus {
  const snapshot = loaded && snapshotOfRef(loaded.metadata)
  const total = (name: string) => Number(snapshot?.summary[name] ?? 0)
  return {
    table,
    snapshotId: snapshot && `${snapshot['snapshot-id']}`,
    committedMs: snapshot?.['timestamp-ms'],
    dataFiles: total('total-data-files'),
    deleteFiles: total('total-delete-files'),
    rows: Math.max(0, total('total-records') - total('total-position-deletes')),
    bytes: total('total-files-size'),
    shards,
  }
}
