/** The stores and the catalog of a lake, from places as people write them: folders, buckets, addresses. Node only. */
import { resolve } from 'node:path'
import { Failure } from '../../errors.ts'
import type { Catalog } from '../../tiering/iceberg/catalog.ts'
import { fileCatalog } from '../../tiering/iceberg/catalog-files.ts'
import { restCatalog } from '../../tiering/iceberg/catalog-rest.ts'
import { LakeFiles, type Mount } from '../../tiering/iceberg/files.ts'
import type { LakeCodecs } from '../../tiering/iceberg/read-codecs.ts'
import { type CountedStore, counted, type StoreCounts } from '../../tiering/objects/counted.ts'
import type { ObjectStore } from '../../tiering/objects/port.ts'
import { prefixed } from '../../tiering/objects/prefixed.ts'
import { withRetries } from '../../tiering/objects/retry.ts'
import { type Fetch, s3Objects } from '../../tiering/objects/s3.ts'
import { nodeClock } from './clock.ts'
import { openDiskObjects } from './disk-objects.ts'
import type { Durability } from './store.ts'

/** How to reach an S3 bucket. Plain data. */
export interface S3Access {
  /** The server, such as https://<account>.r2.cloudflarestorage.com; that of AWS when left out. */
  readonly endpoint?: string
  /** `auto` with an endpoint, else us-east-1, when left out. */
  readonly region?: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** Where new objects are kept, such as STANDARD_IA. */
  readonly storageClass?: string
}

/** Where a store is. Plain data. */
export interface StorePlace {
  /** A folder, or `s3://bucket/prefix`. */
  readonly location: string
  /** Needed for S3. */
  readonly s3?: S3Access
}

/** Where a lake is. Plain data, so that threads open the same. */
export interface LakePlace extends StorePlace {
  /** More stores by name, which policies name in `cold`. */
  readonly stores?: Readonly<Record<string, StorePlace>>
  /** An Iceberg REST catalog to keep the tables in; our own, in the first store, when left out. */
  readonly catalog?: { readonly uri: string; readonly token?: string; readonly warehouse?: string }
}

/** A lake's files and tables, open. */
export interface OpenLake {
  /** The first store. */
  readonly store: ObjectStore
  readonly files: LakeFiles
  readonly catalog: Catalog
  /** Roots of the named stores, by name. */
  readonly stores: Readonly<Record<string, string>>
  /** Requests and bytes of each store since it was opened: `lake`, and the others by name. */
  counts(): Readonly<Record<string, StoreCounts>>
  /** Give up the folders. */
  close(): void
}

/** How stores are opened. */
export interface OpenLakeOptions {
  readonly durability?: Durability
  /** Another thread of this process has opened the same lake first. */
  readonly isShared?: boolean
  /** For Avro files of other writers. */
  readonly codecs?: LakeCodecs['avro']
}

/** A store that is open, and its end. */
export interface OpenStore extends Mount {
  readonly store: CountedStore
  close(): void
}

const fetchAll: Fetch = (url, init) => fetch(url, init as RequestInit)

/** Split `s3://bucket/prefix`.
 *  @throws invalid */
function bucketOf(location: string): { bucket: string; prefix: string } {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/?#\s]+)(?:\/([^?#]*))?$/.exec(location) ?? []
  if (bucket === undefined) throw new Failure('invalid', `${location} is no bucket; write s3://bucket/prefix`)
  const folder = prefix.replace(/\/+$/, '')
  return { bucket, prefix: folder === '' ? '' : `${folder}/` }
}

function openS3({ location, s3 }: StorePlace): OpenStore {
  const { bucket, prefix } = bucketOf(location)
  if (s3 === undefined) throw new Failure('invalid', `${location} wants credentials`)
  const { endpoint, region = endpoint === undefined ? 'us-east-1' : 'auto', ...rest } = s3
  const ownEndpoint = `https://s3.${region}.amazonaws.com`
  // A name with dots is no host that a certificate of Amazon's covers.
  const style = endpoint === undefined && !bucket.includes('.') ? 'virtual' : 'path'
  const options = { endpoint: endpoint ?? ownEndpoint, region, style, ...rest } as const
  const store = withRetries(s3Objects({ ...options, bucket, fetch: fetchAll, clock: nodeClock }), { clock: nodeClock })
  const root = `s3://${bucket}/${prefix}`.replace(/\/+$/, '')
  return { root, store: counted(prefixed(store, prefix)), close: () => undefined }
}

/** Open a store.
 *  @throws invalid for a location that is none; conflict when another process has the folder open */
export async function openStore(place: StorePlace, options: OpenLakeOptions = {}): Promise<OpenStore> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(place.location)) {
    if (place.location.startsWith('s3://')) return openS3(place)
    throw new Failure('invalid', `${place.location} is neither a folder nor s3://bucket/prefix`)
  }
  const folder = resolve(place.location)
  const { durability = 'full', isShared = false } = options
  const disk = await openDiskObjects(folder, { durability, isShared }).catch((error) => {
    if (!(error instanceof Failure && error.code === 'conflict')) throw error
    throw new Failure('conflict', `${folder} is in use by another process`, { place: folder }, error)
  })
  // As it is, not as a URL: most readers of locations take `%20` for three characters of a name.
  const path = folder.replaceAll('\\', '/')
  const root = `file://${path.startsWith('/') ? '' : '/'}${path}`.replace(/\/+$/, '')
  return { root, store: counted(disk), close: () => disk.close() }
}

function catalogOf(files: LakeFiles, { catalog }: LakePlace): Catalog {
  if (catalog === undefined) return fileCatalog({ files, clock: nodeClock })
  const { uri, token, warehouse } = catalog
  return restCatalog({
    uri,
    fetch: fetchAll,
    clock: nodeClock,
    ...(token !== undefined && { credentials: { token } }),
    ...(warehouse !== undefined && { warehouse }),
  })
}

/** Open the stores of a lake, and its catalog.
 *  @throws invalid for places that make no lake; conflict when another process has a folder open */
export async function openLakeStores(place: LakePlace, options: OpenLakeOptions = {}): Promise<OpenLake> {
  const opened = new Map<string, OpenStore>()
  const close = () => {
    for (const store of opened.values()) store.close()
  }
  try {
    const lake = await openStore(place, options)
    opened.set('lake', lake)
    const named = Object.entries(place.stores ?? {})
    for (const [name, one] of named) {
      if (name === 'lake') throw new Failure('invalid', 'a store cannot be called lake: that is the first one')
      opened.set(name, await openStore(one, options))
    }
    const mounts = named.map(([name]) => opened.get(name) as OpenStore)
    const { codecs } = options
    const { store, root } = lake
    const files = new LakeFiles({ store, root, mounts, chance: nodeClock, ...(codecs && { codecs }) })
    return {
      store,
      files,
      catalog: catalogOf(files, place),
      stores: Object.fromEntries(named.map(([name], index) => [name, mounts[index]?.root as string])),
      counts: () => Object.fromEntries([...opened].map(([name, { store }]) => [name, { ...store.counts }])),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}
