/** The tables of a database's lake: made when they are first needed, and kept up with their collections. */
import { Failure } from '../../errors.ts'
import { TIER_SNAPSHOT_AGE_MS, TIER_SNAPSHOTS_MIN } from '../../limits.ts'
import type { Catalog, LoadedTable, TableName } from '../iceberg/catalog.ts'
import { type Committer, commitUpdates } from '../iceberg/commit.ts'
import { schemaOf, specOf } from '../iceberg/metadata.ts'
import { dataFolder } from '../iceberg/work.ts'
import type { FlushPlan } from './flush.ts'
import { beginTable, type CollectionInfo, evolveMirror } from './schemas.ts'

/** How new tables are made. */
export interface TableDefaults {
  readonly snapshotAgeMs?: number | undefined
  readonly snapshotsMin?: number | undefined
  readonly formatVersion?: number | undefined
}

/** A table that shall be there. */
export interface WantedTable {
  readonly name: TableName
  /** The collection of a mirror. */
  readonly info: CollectionInfo | undefined
  readonly defaults?: TableDefaults
}

/** Make a table unless it is there, and let it have what its collection has by now.
 *  @throws unsupported for a collection that its table cannot hold any more */
export async function ensureTable(committer: Committer, wanted: WantedTable): Promise<LoadedTable> {
  const loaded = await loadOrCreate(committer, wanted)
  const { info, name } = wanted
  if (info === undefined || evolveMirror(loaded.metadata, info) === undefined) return loaded
  return commitUpdates(committer, name, (metadata) => evolveMirror(metadata, info))
}

async function loadOrCreate({ catalog }: Committer, { name, info, defaults = {} }: WantedTable): Promise<LoadedTable> {
  const known = await loadIfThere(catalog, name)
  if (known !== undefined) return known
  await ifThere('exists', () => catalog.createNamespace(name.namespace))
  const { snapshotAgeMs, snapshotsMin, formatVersion } = defaults
  const properties = {
    'write.parquet.compression-codec': 'zstd',
    'history.expire.max-snapshot-age-ms': `${snapshotAgeMs ?? TIER_SNAPSHOT_AGE_MS}`,
    'history.expire.min-snapshots-to-keep': `${snapshotsMin ?? TIER_SNAPSHOTS_MIN}`,
  }
  const begun = { ...beginTable(name.name, info), properties, ...(formatVersion !== undefined && { formatVersion }) }
  return (await ifThere('exists', () => catalog.createTable(name, begun))) ?? catalog.loadTable(name)
}

/** Read a table's newest state; undefined when there is none. */
export function loadIfThere(catalog: Catalog, name: TableName): Promise<LoadedTable | undefined> {
  return ifThere('not_found', () => catalog.loadTable(name))
}

/** Do something that may fail because the thing is there, or is not. */
async function ifThere<T>(code: 'exists' | 'not_found', work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Failure && error.code === code) return undefined
    throw error
  }
}

/** Say how files of a table are written. */
export function planFlush({ metadata }: LoadedTable, more: Omit<FlushPlan, 'schema' | 'spec' | 'folder'>): FlushPlan {
  return { schema: schemaOf(metadata), spec: specOf(metadata), folder: dataFolder(metadata), ...more }
}
