/** What `dotdo serve` can be told of the lake and of SQL. */
import { Failure } from '@dotdo/core/errors'
import { SQL_THREADS_MAX } from '@dotdo/core/limits'
import { z } from 'zod'
import { type Setting, text, whole } from './settings-kinds.ts'

/** Another store, as the configuration file has it. What is left out of S3 is as for the lake. */
export interface StoreSettings {
  readonly location: string
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  readonly sessionToken?: string | undefined
  readonly storageClass?: string | undefined
}

/** Everything a server is told of the lake and of SQL. */
export interface LakeSettings {
  /** A folder, `s3://bucket/prefix`, or `off`; `lake` in the data folder when left out. */
  readonly lake?: string
  readonly lakeEndpoint?: string
  readonly lakeRegion?: string
  readonly lakeAccessKeyId?: string
  readonly lakeSecretAccessKey?: string
  readonly lakeSessionToken?: string
  readonly stores?: string | Readonly<Record<string, StoreSettings>>
  readonly catalog?: string
  readonly catalogToken?: string
  readonly catalogWarehouse?: string
  readonly sqlMemory?: string
  readonly sqlThreads?: number
}

const storeName = /^[a-z][a-z0-9_-]{0,62}$/
const store = z.strictObject({
  location: z.string().min(1),
  endpoint: z.string().optional(),
  region: z.string().optional(),
  accessKeyId: z.string().optional(),
  secretAccessKey: z.string().optional(),
  sessionToken: z.string().optional(),
  storageClass: z.string().optional(),
})
const stores = z.union([
  z.string().regex(/^[a-z][a-z0-9_-]{0,62}=[^,=]+(,[a-z][a-z0-9_-]{0,62}=[^,=]+)*$/),
  z.record(z.string().regex(storeName), store),
])
const size = { schema: z.string().regex(/^\d{1,6}(\.\d+)?(mb|gb)$/i), wants: 'a size, such as 512mb or 2gb' }

/** Every setting of the lake and of SQL, in the order of the help. */
export const lakeSettings: readonly Setting[] = [
  {
    name: 'lake',
    flag: '--lake <location>',
    env: 'DOTDO_LAKE',
    help: 'where cold rows go: a folder, s3://bucket/prefix, or off; `lake` in the data folder unless it is said',
    ...text,
  },
  {
    name: 'lakeEndpoint',
    flag: '--lake-endpoint <url>',
    env: 'DOTDO_LAKE_ENDPOINT',
    help: 'the S3 server of the lake (R2, MinIO, ...); that of AWS unless it is said',
    ...text,
  },
  {
    name: 'lakeRegion',
    flag: '--lake-region <name>',
    env: 'AWS_REGION',
    help: 'its region; `auto` with an endpoint, else us-east-1, unless it is said',
    ...text,
  },
  {
    name: 'lakeAccessKeyId',
    flag: '--lake-access-key-id <id>',
    env: 'AWS_ACCESS_KEY_ID',
    help: 'who we are to it',
    ...text,
  },
  {
    name: 'lakeSecretAccessKey',
    flag: '--lake-secret-access-key <key>',
    env: 'AWS_SECRET_ACCESS_KEY',
    help: 'its secret; better in the environment than here',
    secret: true,
    ...text,
  },
  {
    name: 'lakeSessionToken',
    flag: '--lake-session-token <token>',
    env: 'AWS_SESSION_TOKEN',
    help: 'of credentials that expire',
    secret: true,
    ...text,
  },
  {
    name: 'stores',
    flag: '--stores <name=location,...>',
    env: 'DOTDO_STORES',
    help: 'more stores, which policies name in `cold`; in the file { name: { location, storageClass, ... } }',
    schema: stores,
    wants: 'archive=/mnt/archive,other=s3://bucket/prefix, or in the file { "archive": { "location": ... } }',
    secret: true,
  },
  {
    name: 'catalog',
    flag: '--catalog <url>',
    env: 'DOTDO_CATALOG',
    help: 'an Iceberg REST catalog to keep the tables in, instead of our own',
    ...text,
  },
  {
    name: 'catalogToken',
    flag: '--catalog-token <token>',
    env: 'DOTDO_CATALOG_TOKEN',
    help: 'its token; better in the environment than here',
    secret: true,
    ...text,
  },
  {
    name: 'catalogWarehouse',
    flag: '--catalog-warehouse <name>',
    env: 'DOTDO_CATALOG_WAREHOUSE',
    help: 'which of its warehouses',
    ...text,
  },
  {
    name: 'sqlMemory',
    flag: '--sql-memory <size>',
    env: 'DOTDO_SQL_MEMORY',
    help: 'memory that SQL may take; a quarter of the machine unless it is said',
    ...size,
  },
  {
    name: 'sqlThreads',
    flag: '--sql-threads <count>',
    env: 'DOTDO_SQL_THREADS',
    help: 'threads that SQL may take; one a core unless it is said',
    ...whole(1, SQL_THREADS_MAX),
  },
]

/** Whether a location is in S3. */
export const isS3 = (location: string): boolean => location.startsWith('s3://')

/** Read the stores that text names, or the configuration file lists. */
export function storesOf({ stores: given = {} }: LakeSettings): Readonly<Record<string, StoreSettings>> {
  if (typeof given !== 'string') return given
  const named = given.split(',').map((one) => one.split('=') as [string, string])
  return Object.fromEntries(named.map(([name, location]) => [name, { location }]))
}

/** Refuse combinations that cannot be meant. */
export function refuseUselessLake(settings: LakeSettings): void {
  const { lake = '', lakeEndpoint, catalog, catalogToken, catalogWarehouse } = settings
  const refuse = (message: string) => {
    throw new Failure('invalid', message)
  }
  const others = Object.values(storesOf(settings))
  if (lake === 'off' && (catalog !== undefined || others.length > 0)) {
    refuse('--lake off: there is neither a catalog nor a store without a lake')
  }
  if (catalog === undefined && (catalogToken !== undefined || catalogWarehouse !== undefined)) {
    refuse('--catalog-token and --catalog-warehouse go with --catalog')
  }
  if (lakeEndpoint !== undefined && ![lake, ...others.map(({ location }) => location)].some(isS3)) {
    refuse(`--lake-endpoint ${lakeEndpoint}: nothing is in S3; give --lake s3://bucket/prefix`)
  }
  const keys = { id: settings.lakeAccessKeyId, secret: settings.lakeSecretAccessKey }
  for (const { location, accessKeyId = keys.id, secretAccessKey = keys.secret } of [
    { location: lake } as StoreSettings,
    ...others,
  ]) {
    if (isS3(location) && (accessKeyId === undefined || secretAccessKey === undefined)) {
      refuse(`${location} wants credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`)
    }
  }
}
