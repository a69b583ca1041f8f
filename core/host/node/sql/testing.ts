/** For tests: an SQL engine over the documents and the lake of tiering's rig. */

import type { SqlRequest, SqlResult, SqlResultValue } from '../../../tiering/sql/port.ts'
import { commitTable } from '../../../tiering/tier/committer.ts'
import { jobNames } from '../../../tiering/tier/jobs.ts'
import { ensureTable, planFlush } from '../../../tiering/tier/lake-table.ts'
import { tableName } from '../../../tiering/tier/payloads.ts'
import { tierProgram } from '../../../tiering/tier/program.ts'
import type { CollectionInfo } from '../../../tiering/tier/schemas.ts'
import { docsProgram, Rig, type RigOptions } from '../../../tiering/tier/testing.ts'
import { compact } from '../../../tiering/tier/upkeep.ts'
import { type NodeSqlEngine, openSqlEngine, type SqlEngineOptions } from './engine.ts'

/** A row of a result. */
export type ResultRow = readonly SqlResultValue[]

/** Read a result to its end. */
export async function allRows(result: SqlResult): Promise<ResultRow[]> {
  const rows: ResultRow[] = []
  for await (const batch of result.batches) rows.push(...batch)
  return rows
}

/** Documents, a lake in memory, and SQL over both. */
export class SqlRig {
  readonly rig: Rig
  readonly sql: NodeSqlEngine

  static async open(options: RigOptions = {}, more: Partial<SqlEngineOptions> = {}): Promise<SqlRig> {
    return new SqlRig(await Rig.open(options), more)
  }

  private constructor(rig: Rig, more: Partial<SqlEngineOptions>) {
    this.rig = rig
    this.sql = this.engine(more)
  }

  /** Open one more engine. */
  engine(more: Partial<SqlEngineOptions> = {}): NodeSqlEngine {
    const { fabric, catalog, files, clock } = this.rig
    const programs = [docsProgram, tierProgram()]
    return openSqlEngine({ fabric, programs, lake: { catalog, files }, clock, threads: 2, ...more })
  }

  /** Have every shard write its part of a table, without committing it. */
  async flush(table: string, more: object = {}): Promise<void> {
    const { rig } = this
    const shards = await rig.shards()
    const name = tableName('shop', table)
    // Of every shard, so that each has been told what it owns: a job does not see to that.
    const [infos = []] = await shards.each((shard) => shards.ask<CollectionInfo[]>(shard, 'describe', null))
    const info = infos.find(({ collection }) => collection === table)
    const loaded = await ensureTable(rig.tools, { name, info })
    const plan = planFlush(loaded, { table, ...(table === 'changes' && { collections: ['docs'] }), ...more })
    await shards.each((shard) => shards.job(shard, jobNames.flush, plan))
  }

  /** Flush every shard's part of a table, and commit it, as the service does. */
  async tier(table: string, more: object = {}): Promise<void> {
    const { rig } = this
    await this.flush(table, more)
    await commitTable(rig.tools, { table, name: tableName('shop', table), shards: await rig.shards() })
  }

  /** Put a mirror's files together, as the service does. */
  async compact(table: string): Promise<void> {
    const { rig } = this
    const one = { table, name: tableName('shop', table), shards: await rig.shards() }
    await compact(rig.tools, one, { isMirror: table !== 'changes', minFiles: 2 })
  }

  /** Run a query in the database of the rig. */
  query(text: string, more: Partial<SqlRequest> = {}): Promise<SqlResult> {
    return this.sql.query({ text, database: 'shop', ...more })
  }

  /** Run a query and read all its rows. */
  async rows(text: string, more: Partial<SqlRequest> = {}): Promise<ResultRow[]> {
    return allRows(await this.query(text, more))
  }

  /** Run a query and read its one value. */
  async value(text: string, more: Partial<SqlRequest> = {}): Promise<SqlResultValue | undefined> {
    return (await this.rows(text, more))[0]?.[0]
  }

  async close(): Promise<void> {
    await this.sql.close()
    this.rig.close()
  }
}
