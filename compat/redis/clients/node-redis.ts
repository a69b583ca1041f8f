/** node-redis, with the data in this process: the real library, its sockets joined to a session instead of a port.
 *
 *  1. Where the data is: the options `dotdo` or `fabric`, or a `dotdo:` URL, say so; else an address (a `url`, or a
 *     `socket` with host, port, path or tls) means the network, and is never ignored; else the folder is DOTDO_DATA or
 *     `.dotdo`.
 *  2. The library asks node:net for sockets, and nobody at run time. So `#node-redis` is a copy of it, bundled with a
 *     node:net that looks for a function in the options first (scripts/bundle.mjs, kind `seamed`).
 *  3. In this process commands have no time limit unless one is given, as none can be lost on the way. */

import { Failure } from '@dotdo/core/errors'
import type {
  RedisClientOptions,
  RedisClientPoolType,
  RedisClientType,
  RedisClusterOptions,
  RedisClusterType,
  RedisFunctions,
  RedisModules,
  RedisPoolOptions,
  RedisScripts,
  RedisSentinelOptions,
  RedisSentinelType,
  RespVersions,
  TypeMapping,
} from '#node-redis'
import * as real from '#node-redis'
import { type DotdoOptions, dial, isLocal, isUrl, type Place, placeOf, readUrl } from './place.ts'

export * from '#node-redis'
export type { DataOptions, DotdoOptions } from './place.ts'

/** What the copy of the library looks for among the options of a socket. */
const dialKey = Symbol.for('dotdo.dial')

type None = Record<never, never>

/** Where the data is; `database` is a number inside the database, or a database of the fabric by name. */
type Somewhere<Options> = Omit<Options, 'database'> &
  Omit<DotdoOptions, 'database'> & { database?: number | string | undefined }

/** Any options of a client, as far as they are looked at here. */
type Given = Somewhere<Pick<RedisClientOptions, 'url' | 'socket' | 'commandOptions'>>

/** @returns the place, and the options that are left; undefined when the place is behind an address
 *  @throws invalid when options name both */
function findPlace(options: Given): { place: Place; rest: Given } | undefined {
  const { url, dotdo, fabric, database, ...rest } = options
  const numbered = typeof database === 'number' ? { database } : {}
  const named = typeof database === 'string' ? { database } : {}
  const socket: Record<string, unknown> = { ...options.socket }
  const address = ['host', 'port', 'path', 'tls'].find((name) => socket[name] !== undefined && socket[name] !== false)
  const local = isLocal(options) || isUrl(url)
  if (!local && (url !== undefined || address !== undefined)) {
    if (typeof database !== 'string') return undefined
    throw new Failure('invalid', 'a named database goes with data in this process; over a network, select it')
  }
  if (address !== undefined) throw new Failure('invalid', `both ${address} and a place in this process are given`)
  if (!isUrl(url)) {
    if (url !== undefined) throw new Failure('invalid', 'both url and a place in this process are given')
    return { place: placeOf({ dotdo, fabric, ...named }), rest: { ...rest, ...numbered } }
  }
  if (isLocal(options)) throw new Failure('invalid', 'both url and a place in this process are given')
  const { db, ...read } = readUrl(url)
  const place = placeOf({ ...read, ...named })
  return { place, rest: { ...rest, ...(db !== undefined && { database: Number(db) }), ...numbered } }
}

/** Make the options of the real client that lead to a place. */
function leadTo(place: Place, options: Given): Given {
  const socket = { ...options.socket, [dialKey]: () => dial(place) }
  return { ...options, socket, commandOptions: { timeout: undefined, ...options.commandOptions } } as Given
}

/** Turn options into those of the real client. */
function realOptions(options: Given): Given {
  const found = findPlace(options)
  return found === undefined ? options : leadTo(found.place, found.rest)
}

/** The options of a client, and where the data is. */
export type ClientOptions<
  M extends RedisModules = RedisModules,
  F extends RedisFunctions = RedisFunctions,
  S extends RedisScripts = RedisScripts,
  RESP extends RespVersions = 3,
  T extends TypeMapping = TypeMapping,
> = Somewhere<RedisClientOptions<M, F, S, RESP, T>>

/** Make a client, over data in this process unless an address is given. It connects when `connect` is called. */
export function createClient<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
  RESP extends RespVersions = 3,
  T extends TypeMapping = None,
>(options: ClientOptions<M, F, S, RESP, T> = {}): RedisClientType<M, F, S, RESP, T> {
  return real.createClient(realOptions(options as Given) as RedisClientOptions<M, F, S, RESP, T>)
}

/** Make a pool of clients, over data in this process unless an address is given. */
export function createClientPool<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
  RESP extends RespVersions = 3,
  T extends TypeMapping = None,
>(
  options: Omit<ClientOptions<M, F, S, RESP, T>, 'clientSideCache'> = {},
  pool?: Partial<RedisPoolOptions>,
): RedisClientPoolType<M, F, S, RESP, T> {
  return real.createClientPool(realOptions(options as Given) as RedisClientOptions<M, F, S, RESP, T>, pool)
}

/** The options of a cluster; a place in this process may be its one root node. */
export type ClusterOptions<
  M extends RedisModules = RedisModules,
  F extends RedisFunctions = RedisFunctions,
  S extends RedisScripts = RedisScripts,
  RESP extends RespVersions = 3,
  T extends TypeMapping = TypeMapping,
> = Omit<RedisClusterOptions<M, F, S, RESP, T>, 'rootNodes'> & {
  rootNodes: (RedisClusterOptions['rootNodes'][number] | Somewhere<RedisClusterOptions['rootNodes'][number]>)[]
}

/** Make a cluster client. Over data in this process it has one node, which serves every slot. */
export function createCluster<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
  RESP extends RespVersions = 3,
  T extends TypeMapping = None,
>(options: ClusterOptions<M, F, S, RESP, T>): RedisClusterType<M, F, S, RESP, T> {
  type Real = RedisClusterOptions<M, F, S, RESP, T>
  const { rootNodes, defaults } = options
  const [first] = rootNodes as Given[]
  if (first === undefined || !rootNodes.some((node) => isLocal(node as Given) || isUrl(node.url))) {
    return real.createCluster(options as Real)
  }
  if (rootNodes.length > 1) throw new Failure('invalid', 'a place in this process is the only node there is')
  const { place, rest } = findPlace(first) as { place: Place; rest: Given }
  // Nodes are found by asking the root node, and connected to with the defaults alone.
  const led = { rootNodes: [leadTo(place, rest)], defaults: leadTo(place, (defaults ?? {}) as Given) }
  return real.createCluster({ ...options, ...led } as unknown as Real)
}

/** Make a client that finds its server by asking sentinels: those have addresses, and there are none in this process.
 *  @throws unsupported when a place in this process is named */
export function createSentinel<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
  RESP extends RespVersions = 3,
  T extends TypeMapping = None,
>(options: RedisSentinelOptions<M, F, S, RESP, T>): RedisSentinelType<M, F, S, RESP, T> {
  if (isLocal(options as DotdoOptions)) {
    throw new Failure('unsupported', 'there are no sentinels in this process; createClient finds the data there')
  }
  return real.createSentinel(options)
}
