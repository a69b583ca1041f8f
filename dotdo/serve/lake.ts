/** The lake of a server, from its settings. Node only. */
import { join, resolve } from 'node:path'
import type { LakePlace, S3Access, StorePlace } from '@dotdo/core/host/node'
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
  return isS3(location) ? { location, s3: accessOf(rest, settings) } : { location: resolve(location) }
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
