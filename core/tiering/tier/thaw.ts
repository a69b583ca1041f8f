/** Brings payloads back: what hosts give a shard as `fetchCold`, and the job that brings all of a collection back. */
import { Failure } from '../../errors.ts'
import { TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { JobShard } from '../../shard/job.ts'
import type { Row, Table } from '../../shard/table.ts'
import { ask } from './calls.ts'
import type { Located } from './evict-calls.ts'
import type { Payloads } from './payloads.ts'
import type { Places } from './places.ts'
import { keyRow } from './tables.ts'

/** Fetch the payloads of cold rows and put them back.
 *  @param cold rows by table and primary key
 *  @throws storage when the lake does not have a payload any more; what the store throws */
export async function fetchCold(
  payloads: Payloads,
  shard: JobShard,
  cold: readonly { readonly table: Table; readonly key: Row }[],
): Promise<void> {
  const byTable = new Map<Table, Row[]>()
  for (const { table, key } of cold) byTable.set(table, [...(byTable.get(table) ?? []), key])
  for (const [table, keys] of byTable) {
    const { collection } = table
    const located = await ask<Places[]>(shard, 'locate', { collection, keys })
    const rows = keys.map((key, at) => ({ key, places: located[at] ?? [] }))
    const missing = await thawRows(payloads, shard, { table, rows })
    if (missing > 0) throw lost(shard, collection, missing)
  }
}

function lost({ database, index }: JobShard, collection: string, rows: number): Failure {
  const message = `payloads of ${rows} rows of ${collection} are not in the lake of ${database} (shard ${index})`
  return new Failure('storage', message)
}

interface Thawing {
  readonly table: Table
  readonly rows: readonly { readonly key: Row; readonly places: Places }[]
}

/** @returns how many payloads are not in the lake */
async function thawRows(payloads: Payloads, shard: JobShard, { table, rows }: Thawing): Promise<number> {
  const found = await payloads.read(
    shard.database,
    table,
    rows.map(({ places }) => places),
  )
  const there = rows.flatMap(({ key, places }, at) => {
    const payload = found[at]
    return payload === undefined ? [] : [{ key, places, payload }]
  })
  // A row that was changed meanwhile is not cold any more, or is somewhere else: its call is run again and sees.
  await ask(shard, 'thaw', { collection: table.collection, rows: there })
  return rows.length - there.length
}

/** Bring every payload of a collection back.
 *  @returns how many were cold */
export async function thawAll(payloads: Payloads, shard: JobShard, collection: string): Promise<number> {
  const table = await ask<Table>(shard, 'table', { collection })
  let thawed = 0
  for (;;) {
    const cold = await ask<Located[]>(shard, 'cold', { collection, limit: TIER_ROWS_PER_TURN })
    if (cold.length === 0) return thawed
    const rows = cold.map(({ key, places }) => ({ key: keyRow(table, key), places }))
    const missing = await thawRows(payloads, shard, { table, rows })
    if (missing > 0) throw lost(shard, collection, missing)
    // Rows that are whole already, after a crash, only have to be known as such.
    await ask(shard, 'warm', { collection, keys: cold.map(({ key }) => key) })
    thawed += rows.length
  }
}
