/** Where the data of a client in this process is, and the way to it; shared by every client library.
 *
 *  1. One folder is opened once a process, however many clients there are; it is closed when the last one has gone.
 *  2. Credentials have nothing to guard inside one process: any are accepted. */
import { Failure } from '@dotdo/core/errors'
import { defaultFolder, type NodeLake, type NodeLakeOptions, nodeClock, openLake } from '@dotdo/core/host/node'
import { type PairedSocket, socketPair } from '@dotdo/core/host/socket-pair'
import type { Fabric } from '@dotdo/core/shard'
import manifest from '../package.json' with { type: 'json' }
import { redisProgram } from '../program.ts'
import { createRedisServer, type RedisServer } from '../server.ts'
import { serveStream } from '../stream.ts'

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

/** Where a client finds its data in this process. */
export interface Place {
  readonly source: DataOptions | Fabric
  readonly database: string | undefined
}

/** A server that is used, to be given back. */
export interface Lease {
  readonly server: RedisServer
  /** Give it back, once. @returns when its folder is closed, should nobody else use it */
  release(): Promise<void>
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
      async release() {
        if (!leave()) return
        const closing = lake.close()
        closings.set(key, closing)
        await closing
      },
    }
  } catch (error) {
    leave()
    throw error
  }
}

/** Use the server over a place, opening its folder first if need be.
 *  @throws conflict when the folder is open with other options; what opening it throws */
export async function lease({ source }: Place): Promise<Lease> {
  if (!isFabric(source)) return leaseFolder(source)
  const server = servers.get(source) ?? serverOver(source, 'full')
  servers.set(source, server)
  return { server, release: async () => undefined }
}

/** Serve a place on the far end of a pair, until either end closes. */
export function serveLease({ server, release }: Lease, far: PairedSocket, { database }: Place): void {
  const session = serveStream(server, far, {
    address: '127.0.0.1:0',
    localAddress: '127.0.0.1:6379',
    ...(database === undefined ? {} : { database }),
  })
  // What was sent before the client left is still done before the folder is closed.
  far.once('close', () => session.busy.then(release))
}

/** Connect to a place.
 *  @returns a socket that says `connect` when there is one, and `error` when there is none */
export function dial(place: Place): PairedSocket {
  const [near, far] = socketPair()
  lease(place).then(
    (leased) => {
      if (far.destroyed) return void leased.release()
      serveLease(leased, far, place)
      near.connect()
    },
    (error: Error) => near.destroy(error),
  )
  return near
}

/** Read a `dotdo:` URL: `dotdo:./data`, `dotdo:/var/data?database=agent-42`; `dotdo:` is the default folder.
 *  @returns the folder, and the other options of its query */
export function readUrl(url: string): DotdoOptions & Record<string, unknown> {
  const [path = '', query = ''] = url.slice('dotdo:'.length).split('?', 2)
  const options: Record<string, string> = Object.fromEntries(new URLSearchParams(query))
  return { ...options, dotdo: decodeURIComponent(path) || defaultFolder() }
}

/** Whether something is a `dotdo:` URL. */
export function isUrl(argument: unknown): argument is string {
  return typeof argument === 'string' && /^dotdo:/i.test(argument)
}

/** Whether options name a place in this process. */
export function isLocal({ dotdo, fabric }: Pick<DotdoOptions, 'dotdo' | 'fabric'>): boolean {
  return dotdo !== undefined || fabric !== undefined
}

/** Find the place that options name, the default folder when they name none.
 *  @throws invalid when they name two */
export function placeOf({ dotdo, fabric, database }: DotdoOptions): Place {
  if (dotdo !== undefined && fabric !== undefined) throw new Failure('invalid', 'both dotdo and fabric are given')
  const source = fabric ?? (typeof dotdo === 'object' ? dotdo : { data: dotdo ?? defaultFolder() })
  return { source, database }
}
