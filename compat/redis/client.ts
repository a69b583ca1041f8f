/** ioredis, with the data in this process: the real client, connected to a session instead of a port.
 *
 *  Where the data is: a `dotdo:` URL, or the options `dotdo` or `fabric`, say so; else an address (a URL, host, port,
 *  path or sentinels) means the network, and is never ignored; else the folder is DOTDO_DATA or `.dotdo`. */
import { Failure } from '@dotdo/core/errors'
import { socketPair } from '@dotdo/core/host/socket-pair'
import IORedis, {
  AbstractConnector,
  type ClusterNode as IOClusterNode,
  type ClusterOptions as IOClusterOptions,
  type RedisOptions as IORedisOptions,
} from 'ioredis'
import type { ReplyMappingFromOptions } from 'ioredis/built/types.js'
import { type DotdoOptions, isLocal, isUrl, lease, type Place, placeOf, readUrl, serveLease } from './clients/place.ts'

export type { DataOptions, DotdoOptions } from './clients/place.ts'

/** The options of ioredis, and where the data is. */
export type RedisOptions = IORedisOptions & DotdoOptions

type NetStream = Awaited<ReturnType<AbstractConnector['connect']>>

/** Make the class that ioredis connects with, for a place. */
function connectorFor(place: Place): NonNullable<IORedisOptions['Connector']> {
  return class InProcessConnector extends AbstractConnector {
    constructor(options: unknown) {
      super((options as { disconnectTimeout?: number }).disconnectTimeout ?? 2_000)
    }

    override async connect(): Promise<NetStream> {
      this.connecting = true
      const leased = await lease(place)
      if (!this.connecting) {
        leased.release()
        throw new Error('Connection is closed.')
      }
      const [near, far] = socketPair()
      serveLease(leased, far, place)
      this.stream = near as unknown as NetStream
      return this.stream
    }
  }
}

const addressNames = ['host', 'port', 'path', 'sentinels', 'Connector'] as const

const isGiven = (option: unknown) => option !== undefined && option !== null

/** Find the place that options name.
 *  @throws invalid when they name an address as well */
function findPlace(options: RedisOptions, anyAddress: boolean): Place | undefined {
  if (!isLocal(options) && anyAddress) {
    if (options.database === undefined) return undefined
    throw new Failure('invalid', 'the option database goes with data in this process; over a network, select it')
  }
  const address = addressNames.find((name) => name !== 'Connector' && isGiven(options[name]))
  if (address !== undefined) throw new Failure('invalid', `both ${address} and a place in this process are given`)
  return placeOf(options)
}

/** Turn the arguments of `new Redis()` into those of the real one. */
function realArguments(args: readonly unknown[]): unknown[] {
  const given = args.filter(isGiven)
  const objects = given.map((argument) => (isUrl(argument) ? readUrl(argument) : argument))
  // As ioredis: the first to name an option wins.
  const options: RedisOptions = Object.assign({}, ...objects.filter((one) => typeof one === 'object').reverse())
  const spelled = objects.some((argument) => typeof argument !== 'object')
  const named = addressNames.some((name) => isGiven(options[name]))
  const place = findPlace(options, spelled || named)
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
    const here = typeof local === 'object' && isLocal(local)
    if (here && nodes.length > 1) throw new Failure('invalid', 'a place in this process is the only node there is')
    const place = here ? findPlace(local as RedisOptions, false) : undefined
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
