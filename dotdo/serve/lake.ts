/** The lake of a server, from its settings. Node only. */
import { join, resolve } from 'node:path'
import { Failure } from '@dotdo/core/errors'
import { type LakePlace, type NodeLake, openLake, type S3Access, type StorePlace, sha256 } from '@dotdo/core/host/node'
import type { ShardOptions } from '@dotdo/core/shard'
import { parseSize } from '@dotdo/core/tiering/tier'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { besideWith, programs } from '../programs.ts'
import { addTierMetrics } from './lake-metrics.ts'
import type { Settings } from './settings.ts'
import { isS3, type StoreSettings, storesOf } from './settings-lake.ts'

/** Say how to reach S3, with what a store does not say taken from the lake. */
function accessOf(store: Omit<StoreSettings, 'location'>, settings: Settings): S3Access {
  const endpoint = store.endpoint ?? settings.lakeEndpoint
  const region = store.region ?? settings.lakeRegion
  const sessionToken = store.sessionToken ?? (store.accessKeyId === undefined ? settings.lakeSessionToken : undefined)
  const { storageClass } = store
  return {
    // Settings without credentials for what is in S3 are refused.
    accessKeyId: store.accessKeyId ?? (settings.lakeAccessKeyId as string),
    secretAccessKey: store.secretAccessKey ?? (settings.lakeSecretAccessKey as string),
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(sessionToken !== undefined && { sessionToken }),
    ...(storageClass !== undefined && { storageClass }),
  }
}

function storeOf(store: StoreSettings, settings: Settings): StorePlace {
  const { location, ...rest } = store
  if (isS3(location)) return { location, s3: accessOf(rest, settings) }
  // What looks like an address is left to be refused, not taken for a folder.
  return { location: /^[a-z][a-z0-9+.-]*:\/\//i.test(location) ? location : resolve(location) }
}

/** Tell where a server's lake is.
 *  @returns undefined when it is to have none */
export function lakePlaceOf(settings: Settings): LakePlace | undefined {
  const { lake = join(settings.data, 'lake'), catalog, catalogToken, catalogWarehouse } = settings
  if (lake === 'off') return undefined
  const stores = Object.entries(storesOf(settings)).map(([name, store]) => [name, storeOf(store, settings)])
  const rest = {
    ...(catalogToken !== undefined && { token: catalogToken }),
    ...(catalogWarehouse !== undefined && { warehouse: catalogWarehouse }),
  }
  return {
    ...storeOf({ location: lake }, settings),
    stores: Object.fromEntries(stores),
    ...(catalog !== undefined && { catalog: { uri: catalog, ...rest } }),
  }
}

/** What clients of /iceberg are told of the store: where it is, never who may use it. */
export function icebergOverrides({ s3 }: LakePlace): Readonly<Record<string, string>> {
  if (s3 === undefined) return {}
  const { endpoint, region } = s3
  return {
    ...(endpoint !== undefined && { 's3.endpoint': endpoint, 's3.path-style-access': 'true' }),
    ...(region !== undefined && { 's3.region': region, 'client.region': region }),
  }
}

/** What a server opens its lake with. */
export interface ServerLakeParts {
  readonly defaults: ShardOptions
  readonly threadEntry: URL
  readonly registry: Registry
  readonly log: Logger
  onBug(error: unknown): void
}

/** Open the fabric, the lake and SQL of a server.
 *  @throws conflict when a folder is in use */
export async function openServerLake(settings: Settings, parts: ServerLakeParts): Promise<NodeLake> {
  const { defaults, threadEntry, registry, log, onBug } = parts
  const { threads, durability, sqlMemory, sqlThreads } = settings
  const data = resolve(settings.data)
  const count = addTierMetrics(registry)
  return openLake({
    data,
    programs,
    beside: besideWith(sha256),
    defaults,
    threadEntry,
    threads,
    durability,
    onBug,
    lake: lakePlaceOf(settings) ?? 'off',
    ...(sqlMemory !== undefined && { sqlMemoryBytes: parseSize('sqlMemory', sqlMemory) }),
    ...(sqlThreads !== undefined && { sqlThreads }),
    onTier(event) {
      count(event)
      const { kind, message, ...rest } = event
      if (kind === 'failed') log.warn(rest, message)
      else log.debug({ kind, ...rest }, message)
    },
  }).catch((error) => {
    if (!(error instanceof Failure && error.code === 'conflict')) throw error
    const { place } = (error.detail ?? {}) as { place?: string }
    const [what, flag] = place === undefined || settings.lake === undefined ? [data, '--data'] : [place, '--lake']
    throw new Failure('conflict', `${what} is in use by another process; choose another folder with ${flag}`)
  })
}
