/** A lake in R2 buckets that are bound to a Worker: its files, its catalog, and what shards do for it. Workers only.
 *
 *  Like a Fabric, it belongs to one request, or to one Durable Object: it keeps promises. Nothing of it is a lock: its
 *  catalog's commits are conditional writes, so any number of objects and requests may have one. */
import { Failure } from '../../errors.ts'
import {
  WORKERS_OBJECT_REQUESTS_MAX,
  WORKERS_PARQUET_CACHE_BYTES,
  WORKERS_PARQUET_GROUP_BYTES,
  WORKERS_PARQUET_GROUP_ROWS,
} from '../../limits.ts'
import type { Fabric } from '../../shard/fabric.ts'
import { joinWork, type ShardWork } from '../../shard/job.ts'
import type { Catalog } from '../../tiering/iceberg/catalog.ts'
import { fileCatalog } from '../../tiering/iceberg/catalog-files.ts'
import { LakeFiles, type Mount } from '../../tiering/iceberg/files.ts'
import type { BesideLake } from '../../tiering/objects/beside.ts'
import { prefixed } from '../../tiering/objects/prefixed.ts'
import { withRetries } from '../../tiering/objects/retry.ts'
import { ParquetCache } from '../../tiering/parquet/read-cache.ts'
import { tierJobs } from '../../tiering/tier/jobs.ts'
import { keptPolicies, type LakeOptions } from '../../tiering/tier/lake-options.ts'
import { workersClock } from './clock.ts'
import { workersLakeCodecs } from './lake-codecs.ts'
import { type R2Binding, type R2ObjectsOptions, r2Objects } from './r2-objects.ts'
import { workersZstd } from './zstd.ts'

/** A bucket, and the location under which other readers of the tables find it. */
export interface LakeBucket extends R2ObjectsOptions {
  /** The binding. */
  readonly bucket: R2Binding
  /** `s3://bucket` or `s3://bucket/prefix`: metadata names files by it, so it stays what it was. */
  readonly location: string
}

/** Where a lake is. */
export interface WorkersLakeOptions extends LakeBucket {
  /** More buckets by name, which policies name in `cold`. */
  readonly stores?: Readonly<Record<string, LakeBucket>>
  /** What engines do beside their shards with the first bucket. */
  readonly beside?: BesideLake
}

/** A lake. */
export interface WorkersLake {
  readonly files: LakeFiles
  readonly catalog: Catalog
  /** What the service of the lake is made of, but for the fabric. */
  readonly service: Omit<LakeOptions, 'fabric'>
  /** What is done beside shards. */
  readonly work: ShardWork
}

/** @throws invalid for a location that is no bucket */
function mountOf({ bucket, location, storageClass }: LakeBucket): Mount {
  const [, , prefix = ''] = /^s3:\/\/([^/?#\s]+)(?:\/([^?#]*))?$/.exec(location) ?? []
  if (!/^s3:\/\/[^/?#\s]/.test(location)) {
    throw new Failure('invalid', `${location} is no bucket; write s3://bucket or s3://bucket/prefix`)
  }
  const folder = prefix.replace(/\/+$/, '')
  const store = withRetries(r2Objects(bucket, storageClass === undefined ? {} : { storageClass }), {
    clock: workersClock,
    requestsMax: WORKERS_OBJECT_REQUESTS_MAX,
  })
  return { root: location.replace(/\/+$/, ''), store: prefixed(store, folder === '' ? '' : `${folder}/`) }
}

/** See the buckets as a lake. Nothing is read.
 *  @throws invalid for locations that are no buckets, or are the same */
export function openWorkersLake({ stores = {}, beside, ...bucket }: WorkersLakeOptions): WorkersLake {
  const first = mountOf(bucket)
  const named = Object.entries(stores).map(([name, one]) => [name, mountOf(one)] as const)
  const { avro, parquet } = workersLakeCodecs
  const mounts = named.map(([, mount]) => mount)
  const files = new LakeFiles({ ...first, mounts, chance: workersClock, codecs: avro })
  const catalog = fileCatalog({ files, clock: workersClock })
  const tools = { catalog, files, clock: workersClock, compressor: workersZstd, codecs: parquet }
  const rowGroupRows = WORKERS_PARQUET_GROUP_ROWS
  const tier = tierJobs({
    ...tools,
    rowGroupRows,
    rowGroupBytes: WORKERS_PARQUET_GROUP_BYTES,
    cache: new ParquetCache(WORKERS_PARQUET_CACHE_BYTES),
  })
  const more = beside?.({ store: first.store, zstd: workersZstd })
  return {
    files,
    catalog,
    service: {
      ...tools,
      stores: Object.fromEntries(named.map(([name, { root }]) => [name, root])),
      rewrite: { rowGroupRows },
    },
    work: joinWork([...(more ? [more] : []), tier]),
  }
}

/** Name the collections whose changes the table `changes` has; undefined where no collection has a policy: then SQL
 *  shows those of all, from the log. */
export async function changedCollections(fabric: Fabric, database: string): Promise<readonly string[] | undefined> {
  const { collections } = keptPolicies(await fabric.policies(database))
  const named = Object.entries(collections)
  return named.length === 0 ? undefined : named.flatMap(([name, { changes = true }]) => (changes ? [name] : []))
}
