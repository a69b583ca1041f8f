/** ioredis, with the data in this process: the real client, connected to a session instead of a port.
 *
 *  1. Where the data is: a `dotdo:` URL, or the options `dotdo` or `fabric`, say so; else an address (a URL, host,
 *     port, path or sentinels) means the network, and is never ignored; else the folder is DOTDO_DATA or `.dotdo`.
 *  2. One folder is opened once a process, however many clients there are; it is closed when the last one has gone.
 *  3. Credentials have nothing to guard inside one process: any are accepted. */
import { Failure } from '@dotdo/core/errors'
import { defaultFolder, type NodeLake, type NodeLakeOptions, nodeClock, openLake } from '@dotdo/core/host/node'
import { socketPair } from '@dotdo/core/host/socket-pair'
import type { Fabric } from '@dotdo/core/shard'
import IORedis, {
  AbstractConnector,
  type ClusterNode as IOClusterNode,
  type ClusterOptions as IOClusterOptions,
  type RedisOptions as IORedisOptions,
} from 'ioredis'
import type { ReplyMappingFromOptions } from 'ioredis/built/types.js'
import manifest from './package.json' with { type: 'json' }
import { redisProgram } from './program.ts'
import { createRedisServer, type RedisServer } from './server.ts'
import { serveStream } from './stream.ts'

/** How a data folder is opened: everything `openLake` takes but the engines. */
export type DataOptions = Omit<NodeLakeOptions, 'programs'>

/** Where the data is, when it is not behind an address. */
export interface DotdoOptions {
  /** The data folder, or how it is opened. */
  dotdo?: string | DataOptions | undefined
  /** A fabric that is open already, with the program `redis`; it is left open. */
  fabric?: Fabric | undefined
  /** The database of the fabric, `default` when left out; `db` is the numbered one inside it. */
  database?: string | undefined
}

/** The options of ioredis, and where the data is. */
export type RedisOptions = IORedisOptions & DotdoOptions

/** Where a client finds its data in this process. */
interface Place {
  readonly source: DataOptions | Fabric
  readonly database: string | undefined
}

/** A server that is used, to be given back. */
interface Lease {
  readonly server: RedisServer
  release(): void
}

interface Shared {
  readonly options: string
  readonly opening: Promise<{ server: RedisServer; lake: NodeLake }>
  users: number
}

const isFabric = (source: DataOptions | Fabric): source is Fabric => 'database' in source

/** The folders that are open in this process, and the last closing of each. */
const folders = new Map<string, Shared>()
const closings = new Map<string, Promise<void>>()
/** The servers over fabrics that were given. */
const servers = new WeakMap<Fabric, RedisServer>()

function serverOver(fabric: Fabric, durability: 'full' | 'normal'): RedisServer {
  const digits = () => nodeClock.random().toString(16).padStart(12, '0')
  const runId = `${digits()}${digits()}${digits()}${digits()}`.slice(0, 40)
  const info = { version: manifest.version, runId, durability, startedMs: nodeClock.nowMs() }
  return createRedisServer({ fabric, clock: nodeClock, info, authenticate: 'any' })
}

async function openFolder(key: string, options: DataOptions): Promise<{ server: RedisServer; lake: NodeLake }> {
  await closings.get(key)
  // With its lake: values that a server has let go there must come back here too.
  const lake = await openLake({ ...options, programs: [redisProgram] })
  return { server: serverOver(lake.fabric, options.durability ?? 'full'), lake }
}

/** Spell a folder one way, so that `./data/` and `data` are the same. */
function folderKey(data: string): string {
  const parts = data.split(/[\\/]+/).filter((part, i) => part !== '.' && (part !== '' || i === 0))
  return parts.join('/') || '.'
}

async function leaseFolder(options: DataOptions): Promise<Lease> {
  const key = folderKey(options.data)
  const described = JSON.stringify({ ...options, data: key })
  const shared = folders.get(key) ?? { options: described, opening: openFolder(key, options), users: 0 }
  if (shared.options !== described) {
    throw new Failure('conflict', `${options.data} is open in this process with other options: ${shared.options}`)
  }
  folders.set(key, shared)
  shared.users += 1
  const leave = () => {
    shared.users -= 1
    if (shared.users > 0) return false
    folders.delete(key)
    return true
  }
  try {
    const { server, lake } = await shared.opening
    return {
      server,
      release() {
        if (leave()) closings.set(key, lake.close())
      },
    }
  } catch (error) {
    leave()
    throw error
  }
}

async function lease({ source }: Place): Promise<Lease> {
  if (!isFabric(source)) return leaseFolder(source)
  const server = servers.get(source) ?? serverOver(source, 'full')
  servers.set(source, server)
  return { server, release: () => undefined }
}

type NetStream = Awaited<ReturnType<AbstractConnector['connect']>>

/** Make the class that ioredis connects with, for a place. */
function connectorFor(place: Place): NonNullable<IORedisOptions['Connector']> {
  return class InProcessConnector extends AbstractConnector {
    constructor(options: unknown) {
      super((options as { disconnectTimeout?: number }).disconnectTimeout ?? 2_000)
    }

    override async connect(): Promise<NetStream> {
      this.connecting = true
      const { server, release } = await lease(place)
      if (!this.connecting) {
        release()
        throw new Error('Connection is closed.')
      }
      const [near, far] = socketPair()
      const { database } = place
      const session = serveStream(server, far, {
        address: '127.0.0.1:0',
        localAddress: '127.0.0.1:6379',
        ...(database === undefined ? {} : { database }),
      })
      // What was sent before the client left is still done before the folder is closed.
      far.once('close', () => session.busy.then(release))
      this.stream = near as unknown as NetStream
      return this.stream
    }
  }
}

/** Read a `dotdo:` URL: `dotdo:./data`, `dotdo:/var/data?db=2&database=agent-42`; `dotdo:` is the default folder. */
function readUrl(url: string): RedisOptions {
  const [path = '', query = ''] = url.slice('dotdo:'.length).split('?', 2)
  const options: Record<string, string> = Object.fromEntries(new URLSearchParams(query))
  return { ...options, dotdo: decodeURIComponent(path) || defaultFolder() } as RedisOptions
}

const isUrl = (argument: unknown): argument is string => typeof argument === 'string' && /^dotdo:/i.test(argument)
const addressNames = ['host', 'port', 'path', 'sentinels', 'Connector'] as const

const isGiven = (option: unknown) => option !== undefined && option !== null

/** Find the place that options name.
 *  @throws invalid when they name an address as well */
function placeOf({ dotdo, fabric, database, ...rest }: RedisOptions, anyAddress: boolean): Place | undefined {
  const local = dotdo !== undefined || fabric !== undefined
  if (!local && anyAddress) {
    if (database === undefined) return undefined
    throw new Failure('invalid', 'the option database goes with data in this process; over a network, select it')
  }
  const address = addressNames.find((name) => name !== 'Connector' && isGiven(rest[name]))
  if (address !== undefined) throw new Failure('invalid', `both ${address} and a place in this process are given`)
  if (dotdo !== undefined && fabric !== undefined) throw new Failure('invalid', 'both dotdo and fabric are given')
  const source = fabric ?? (typeof dotdo === 'object' ? dotdo : { data: dotdo ?? defaultFolder() })
  return { source, database }
}

/** Turn the arguments of `new Redis()` into those of the real one. */
function realArguments(args: readonly unknown[]): unknown[] {
  const given = args.filter(isGiven)
  const objects = given.map((argument) => (isUrl(argument) ? readUrl(argument) : argument))
  // As ioredis: the first to name an option wins.
  const options: RedisOptions = Object.assign({}, ...objects.filter((one) => typeof one === 'object').reverse())
  const spelled = objects.some((argument) => typeof argument !== 'object')
  const named = addressNames.some((name) => isGiven(options[name]))
  const place = placeOf(options, spelled || named)
  if (place === undefined) return [...args]
  if (spelled) throw new Failure('invalid', 'both an address and a place in this process are given')
  const { dotdo: _dotdo, fabric: _fabric, database: _database, ...rest } = options
  return [{ ...rest, Connector: connectorFor(place) }]
}

type Mapping = NonNullable<IORedisOptions['replyMapping']>
type Mapped<M extends Mapping> = RedisOptions & { replyMapping?: M }

/** A node to begin with: an address, a `dotdo:` URL, or where the data is in this process. */
export type ClusterNode = IOClusterNode | DotdoOptions

/** The cluster client of ioredis. Over data in this process it has one node, which serves every slot. */
export class Cluster<ReplyMapping extends Mapping = 'legacy'> extends IORedis.Cluster<ReplyMapping> {
  /** @param nodes where to begin: addresses, or one place in this process */
  constructor(nodes: ClusterNode[], options: IOClusterOptions = {}) {
    const [first] = nodes
    const local = isUrl(first) ? readUrl(first) : (first as DotdoOptions | undefined)
    const isLocal = typeof local === 'object' && (local.dotdo !== undefined || local.fabric !== undefined)
    if (isLocal && nodes.length > 1) throw new Failure('invalid', 'a place in this process is the only node there is')
    const place = isLocal ? placeOf(local as RedisOptions, false) : undefined
    if (place === undefined) super(nodes as IOClusterNode[], options as never)
    else {
      const redisOptions = { ...options.redisOptions, Connector: connectorFor(place) }
      super([{ host: '127.0.0.1', port: 6379 }], { ...options, redisOptions } as never)
    }
  }
}

/** The client of ioredis, with all of its methods, over data in this process unless an address is given. */
export class Redis<ReplyMapping extends Mapping = 'legacy'> extends IORedis<ReplyMapping> {
  static override Cluster = Cluster as unknown as typeof IORedis.Cluster

  /** Connect to a port. */
  constructor(port: number, host: string, options: Mapped<ReplyMapping>)
  /** Connect to a URL or a path; `dotdo:` URLs name a data folder. */
  constructor(path: string, options: Mapped<ReplyMapping>)
  constructor(port: number, options: Mapped<ReplyMapping>)
  constructor(port: number, host: string)
  constructor(options: Mapped<ReplyMapping>)
  constructor(port: number)
  constructor(path: string)
  /** Use the data folder DOTDO_DATA, or `.dotdo`. */
  constructor()
  constructor(...args: unknown[]) {
    super(...(realArguments(args) as [Mapped<ReplyMapping>]))
  }

  static override createClient(...args: unknown[]): Redis {
    return new Redis(...(args as [Mapped<'legacy'>]))
  }

  /** Make another client with the same options, over the same place unless another is given. */
  override duplicate<Override extends Partial<RedisOptions> | undefined = undefined>(
    override?: Override,
  ): IORedis<ReplyMappingFromOptions<ReplyMapping, Override>> {
    type Duplicate = ReplyMappingFromOptions<ReplyMapping, Override>
    const { host, port, path, sentinels, Connector, ...rest } = this.options
    const moves = override?.dotdo !== undefined || override?.fabric !== undefined
    // Another place takes the place of this client's address, which ioredis fills in where none was given.
    const options = moves ? { ...rest, ...override } : { ...this.options, ...override }
    return new Redis(options as Mapped<Duplicate>)
  }
}

// What CommonJS gets is the class with the other exports on it; those of the real class would shine through.
for (const [name, value] of Object.entries({ default: Redis, Redis })) {
  Object.defineProperty(Redis, name, { value, enumerable: true })
}
