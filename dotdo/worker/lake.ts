/** The lake of a Worker, from its bindings: R2 for files, an object a database for the service. */
import { Failure } from '@dotdo/core/errors'
import {
  catalogOver,
  changedCollections,
  createWorkersSqlEngine,
  type LakeBucket,
  type LakeService,
  lakeControlOver,
  openWorkersLake,
  sha256,
  type WorkersLake,
} from '@dotdo/core/host/workers'
import type { Fabric } from '@dotdo/core/shard'
import { plannerCalls } from '@dotdo/core/tiering/sql'
import { parseDuration, type TierEvent, tierProgram } from '@dotdo/core/tiering/tier'
import type { AppParts } from '../http/app.ts'
import { besideWith, programs } from '../programs.ts'
import { type Environment, fabricOf } from './environment.ts'

/** The engines of shards in Workers. */
export const tieredPrograms = [...programs, tierProgram(plannerCalls)]

/** Where the bucket is for others, unless it is said: what wrangler.jsonc calls it. */
const defaultLocation = 's3://dotdo-lake'

/** Make the failure of everything that wants a lake where there is none. */
export function withoutLake(): Failure {
  const way = 'bind an R2 bucket as LAKE and the class LakeObject as LAKE_SERVICE (wrangler.jsonc), and deploy again'
  return new Failure('unsupported', `this Worker has no lake: ${way}`)
}

/** Name the stores that `cold` may name: the lake's own bucket in its cheaper class, and another bucket if one is
 *  bound. */
function storesOf({ LAKE, LAKE_ARCHIVE, DOTDO_LAKE_ARCHIVE }: Environment, location: string) {
  const stores: Record<string, LakeBucket> = {}
  if (LAKE !== undefined) {
    stores.infrequent = { bucket: LAKE, location: `${location}/_infrequent`, storageClass: 'InfrequentAccess' }
  }
  if (LAKE_ARCHIVE !== undefined) {
    stores.archive = { bucket: LAKE_ARCHIVE, location: DOTDO_LAKE_ARCHIVE ?? 's3://dotdo-archive' }
  }
  return stores
}

/** Open the lake, for one request or for one Durable Object; undefined where nothing is bound for one.
 *  @throws invalid for locations that are none */
export function lakeOf(environment: Environment): WorkersLake | undefined {
  const { LAKE, LAKE_SERVICE, DOTDO_LAKE = defaultLocation } = environment
  if (LAKE === undefined || LAKE_SERVICE === undefined) return undefined
  const location = DOTDO_LAKE.replace(/\/+$/, '')
  const beside = besideWith(sha256)
  return openWorkersLake({ bucket: LAKE, location, stores: storesOf(environment, location), beside })
}

/** Open what a database's lake works with.
 *  @throws unsupported where nothing is bound for a lake */
export function serviceOf(environment: Environment): LakeService {
  const lake = lakeOf(environment)
  if (lake === undefined) throw withoutLake()
  const { DOTDO_LAKE_POLL: poll } = environment
  const rhythm = poll === undefined ? {} : { rhythm: { pollMs: parseDuration('DOTDO_LAKE_POLL', poll) } }
  return { fabric: fabricOf(environment), lake, ...rhythm }
}

/** Tell clients of /iceberg where the bucket is; who may use it, never. */
function overridesOf({ DOTDO_LAKE_ENDPOINT: endpoint }: Environment): Readonly<Record<string, string>> {
  if (endpoint === undefined) return {}
  return {
    's3.endpoint': endpoint,
    's3.path-style-access': 'true',
    's3.region': 'auto',
    'client.region': 'auto',
  }
}

/** Make what the HTTP app needs for SQL, and for the lake where there is one. */
export function lakeParts(environment: Environment, fabric: Fabric): Pick<AppParts, 'sql' | 'lake' | 'iceberg'> {
  const lake = lakeOf(environment)
  const tables = tieredPrograms.flatMap((program) => program.tables)
  const { LAKE_SERVICE } = environment
  if (lake === undefined || LAKE_SERVICE === undefined) return { sql: createWorkersSqlEngine({ fabric, tables }) }
  const catalog = catalogOver(LAKE_SERVICE, lake.catalog)
  const changed = (database: string) => changedCollections(fabric, database)
  return {
    sql: createWorkersSqlEngine({ fabric, tables, lake: { catalog, files: lake.files }, changed }),
    lake: lakeControlOver(LAKE_SERVICE, fabric),
    iceberg: { catalog, overrides: overridesOf(environment) },
  }
}

/** Say what became of tiering, where the Worker's owner reads it: failures as warnings. */
export function logTier({ kind, message, ...rest }: TierEvent): void {
  if (kind === 'failed') console.warn(`tiering: ${message}`, rest)
  else console.debug(`tiering: ${kind}: ${message}`, rest)
}
