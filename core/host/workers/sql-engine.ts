/** The SQL engine of a Worker: the planner over its bindings, and R2 SQL where a query asks for it. Workers only.
 *
 *  Like a Fabric, it belongs to one request, or to one Durable Object: it keeps promises. */
import { Failure } from '../../errors.ts'
import type { Fabric } from '../../shard/fabric.ts'
import type { Table } from '../../shard/table.ts'
import { createPlannerEngine } from '../../tiering/sql/planner/engine.ts'
import type { SqlEngine, SqlRequest, SqlResult, SqlTable } from '../../tiering/sql/port.ts'
import type { SqlLake } from '../../tiering/sql/tables.ts'
import { workersClock } from './clock.ts'
import { workersLakeCodecs } from './lake-codecs.ts'
import { type R2SqlOptions, r2Sql } from './sql-engine-r2.ts'

/** A query in a Worker. */
export interface WorkersSqlRequest extends SqlRequest {
  /** Who runs it: `planner` (the default) sees hot and cold; `r2` is R2 SQL, for what the planner refuses. */
  readonly engine?: 'planner' | 'r2'
}

/** What the engine of a Worker is made of. */
export interface WorkersSqlOptions {
  readonly fabric: Fabric
  /** What the fabric's programs declare. */
  readonly tables: readonly Table[]
  /** The catalog and the files, on R2 by way of its binding. */
  readonly lake?: SqlLake
  /** Collections whose changes are written to the table `changes`; all that the log has when left out. */
  changed?(database: string): Promise<readonly string[] | undefined>
  /** How R2 SQL is reached; without it, queries for it are refused. */
  readonly r2?: Pick<R2SqlOptions, 'accountId' | 'bucket' | 'token' | 'endpoint'>
}

/** The SQL engine of a Worker. */
export interface WorkersSqlEngine extends SqlEngine {
  query(request: WorkersSqlRequest): Promise<SqlResult>
  describe(database?: string): Promise<readonly SqlTable[]>
}

/** Make the SQL engine of a Worker.
 *  @throws invalid for options of R2 SQL that cannot be */
export function createWorkersSqlEngine({ lake, r2, ...options }: WorkersSqlOptions): WorkersSqlEngine {
  const planner = createPlannerEngine({
    ...options,
    clock: workersClock,
    ...(lake !== undefined && { lake: { ...lake, codecs: workersLakeCodecs.parquet } }),
  })
  const fetches = (url: string, init: RequestInit) => fetch(url, init)
  const remote = r2 && r2Sql({ ...r2, clock: workersClock, fetch: fetches })
  return {
    async query({ engine = 'planner', ...request }) {
      switch (engine) {
        case 'planner':
          return planner.query(request)
        case 'r2':
          if (remote !== undefined) return remote.query(request)
          throw new Failure('unsupported', 'this Worker has no access to R2 SQL: give it accountId, bucket and token')
        default:
          throw new Failure('invalid', `engine ${engine}: planner and r2 are there`)
      }
    },
    describe: (database) => planner.describe(database),
  }
}
