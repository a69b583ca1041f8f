/** A fabric with its lake and SQL, in this process: what `dotdo serve` runs on, and programs of their own. Node only.
 *
 *  1. Stores are opened before the fabric, and closed after it: a shard may need the lake until it is closed.
 *  2. Shards run the jobs of tiering where they run: in this thread with the stores that are open here, in worker
 *     threads with stores of their own (`serveLakeThread`), which share the folders of this one. */
import { join } from 'node:path'
import { LAKE_STOP_MS_MAX } from '../../limits.ts'
import { catalogProgram } from '../../shard/catalog.ts'
import { joinWork, type ShardWork } from '../../shard/job.ts'
import type { Program } from '../../shard/program.ts'
import type { Catalog } from '../../tiering/iceberg/catalog.ts'
import type { BesideLake } from '../../tiering/objects/beside.ts'
import type { StoreCounts } from '../../tiering/objects/counted.ts'
import type { SqlEngine } from '../../tiering/sql/port.ts'
import { tierJobs } from '../../tiering/tier/jobs.ts'
import { Lake } from '../../tiering/tier/lake.ts'
import { keptPolicies, type LakeOptions } from '../../tiering/tier/lake-options.ts'
import { type LakeControl, TIER, type TierEvent } from '../../tiering/tier/port.ts'
import { tierProgram } from '../../tiering/tier/program.ts'
import { nodeClock } from './clock.ts'
import { type NodeFabric, type NodeFabricOptions, openFabric } from './fabric.ts'
import { openLakeCodecs } from './lake-codecs.ts'
import { checkLakePlace } from './lake-place.ts'
import { type Sql, sqlOver } from './lake-query.ts'
import { type LakePlace, type OpenLake, openLakeStores } from './lake-stores.ts'
import { type NodeSqlEngine, openSqlEngine } from './sql/engine.ts'
import type { Durability } from './store.ts'
import { serveThread, threadExtra } from './threads.ts'
import { openZstd } from './zstd.ts'

/** How a fabric with its lake is opened. */
export interface NodeLakeOptions extends Omit<NodeFabricOptions, keyof ShardWork | 'threadExtra'> {
  /** Where cold rows go: the folder `lake` in the data folder when left out; `off` for nowhere. */
  readonly lake?: LakePlace | 'off'
  /** What engines do beside their shards with the store of the lake. */
  readonly beside?: BesideLake
  /** What SQL may take. */
  readonly sqlMemoryBytes?: number
  readonly sqlThreads?: number
  /** How often tiering looks, commits, compacts and cleans; its own rhythm when left out. */
  readonly rhythm?: Pick<LakeOptions, Rhythm>
  /** Told of everything that tiering does. */
  onTier?(event: TierEvent): void
}

type Rhythm =
  | 'pollMs'
  | 'commitEveryMs'
  | 'evictEveryMs'
  | 'compactEveryMs'
  | 'smallFilesMax'
  | 'cleanEveryMs'
  | 'commitsPerExpiry'

/** A fabric with its lake and SQL. */
export interface NodeLake {
  readonly fabric: NodeFabric
  /** What flows into the lake; undefined where there is none. */
  readonly tier: LakeControl | undefined
  /** The tables of the lake; undefined where there is none. */
  readonly catalog: Catalog | undefined
  /** Runs SQL, streaming. */
  readonly engine: SqlEngine
  /** Run SQL to its end. */
  readonly sql: Sql
  /** Requests to each store and their bytes, by its name. */
  storeCounts(): Readonly<Record<string, StoreCounts>>
  /** Stop tiering, write everything to its tables, close the files and give up the folders. */
  close(): Promise<void>
}

/** What a thread is told of the lake. Plain data. */
interface ThreadLake {
  readonly place: LakePlace
  readonly durability: Durability
}

/** The engines of shards that are tiered: those given, and tiering itself. */
export function tieredPrograms(programs: readonly Program[]): readonly Program[] {
  return programs.some(({ name }) => name === TIER) ? programs : [...programs, tierProgram()]
}

/** A lake that shards work with. */
interface LakeWork extends OpenLake {
  readonly work: ShardWork
  /** What committers and jobs work with. */
  readonly tools: Pick<LakeOptions, 'catalog' | 'files' | 'clock' | 'compressor' | 'codecs'>
}

async function openLakeWork(
  place: LakePlace,
  { beside, ...options }: { durability: Durability; isShared?: boolean; beside: BesideLake | undefined },
): Promise<LakeWork> {
  const { avro, parquet } = await openLakeCodecs()
  const compressor = await openZstd()
  const lake = await openLakeStores(place, { ...options, codecs: avro })
  const { files, catalog } = lake
  const tools = { catalog, files, clock: nodeClock, compressor, codecs: parquet }
  const more = beside?.({ store: lake.store, zstd: compressor })
  return { ...lake, tools, work: joinWork([...(more ? [more] : []), tierJobs(tools)]) }
}

/** Serve shards in a worker thread, with the lake that `openLake` told it of; call it once, in the thread's entry.
 *  @param programs those of `openLake`
 *  @param beside that of `openLake` */
export async function serveLakeThread(programs: readonly Program[], beside?: BesideLake): Promise<void> {
  const told = threadExtra() as ThreadLake | undefined
  const opened = told && (await openLakeWork(told.place, { durability: told.durability, isShared: true, beside }))
  serveThread([catalogProgram, ...tieredPrograms(programs)], opened?.work)
}

/** Open the fabric, with the jobs of tiering where its shards run. */
async function openFabricOver(opened: LakeWork | undefined, place: LakePlace | undefined, options: NodeFabricOptions) {
  const { durability = 'full', threads = 0 } = options
  const beside: Partial<NodeFabricOptions> =
    threads === 0 ? { ...opened?.work } : { threadExtra: place && ({ place, durability } satisfies ThreadLake) }
  return openFabric({ ...options, ...beside }).catch((error) => {
    opened?.close()
    throw error
  })
}

/** Name the collections whose changes the table `changes` has; undefined where no collection has a policy: then SQL
 *  shows those of all, from the log. */
async function changesOf(fabric: NodeFabric, database: string): Promise<readonly string[] | undefined> {
  const { collections } = keptPolicies(await fabric.policies(database))
  const named = Object.entries(collections)
  return named.length === 0 ? undefined : named.flatMap(([name, { changes = true }]) => (changes ? [name] : []))
}

/** Stop tiering, but wait no longer than anybody should: what is cut off is taken up again at the next start. */
async function stopTiering(tier: Lake | undefined): Promise<void> {
  let cancel = () => {}
  const late = new Promise<void>((resolve) => {
    cancel = nodeClock.after(LAKE_STOP_MS_MAX, resolve)
  })
  await Promise.race([tier?.stop(), late])
  cancel()
}

/** Open a fabric with its lake and SQL, and begin to tier.
 *  @throws conflict when another process has a folder open; invalid for options that cannot be honoured,
 *  and for another lake than the one that databases flow into */
export async function openLake(options: NodeLakeOptions): Promise<NodeLake> {
  const { lake: given = {}, beside, sqlMemoryBytes, sqlThreads, onTier, rhythm, ...rest } = options
  const { data, durability = 'full' } = rest
  const place = given === 'off' ? undefined : { location: join(data, 'lake'), ...given }
  const programs = tieredPrograms(rest.programs)
  const opened = place && (await openLakeWork(place, { durability, beside }))
  const fabric = await openFabricOver(opened, place, { ...rest, programs })
  const listener = onTier?.bind(options)
  const close = async () => {
    await fabric.close()
    opened?.close()
  }
  try {
    await checkLakePlace(fabric, data, place)
    const engine = engineOver(fabric, opened, { programs, data, memoryBytes: sqlMemoryBytes, threads: sqlThreads })
    const { stores } = opened ?? {}
    const more = { ...rhythm, ...(stores && { stores }), ...(listener && { listener }) }
    const tier = opened && new Lake({ ...opened.tools, ...more, fabric })
    tier?.start()
    return {
      fabric,
      tier,
      catalog: opened?.catalog,
      engine,
      sql: sqlOver(engine),
      storeCounts: () => opened?.counts() ?? {},
      async close() {
        await engine.close()
        await stopTiering(tier)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface EngineParts {
  readonly programs: readonly Program[]
  readonly data: string
  readonly memoryBytes: number | undefined
  readonly threads: number | undefined
}

/** @throws invalid for options that cannot be honoured */
function engineOver(fabric: NodeFabric, opened: LakeWork | undefined, parts: EngineParts): NodeSqlEngine {
  const { programs, data, memoryBytes, threads } = parts
  const lake = opened && {
    catalog: opened.catalog,
    files: opened.files,
    changesOf: (database: string) => changesOf(fabric, database),
  }
  return openSqlEngine({
    fabric,
    programs,
    clock: nodeClock,
    cacheFolder: join(data, 'cache', 'sql'),
    ...(lake && { lake }),
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(threads !== undefined && { threads }),
  })
}
