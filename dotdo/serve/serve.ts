/** The server in Node: a fabric on a folder, a TCP port a dialect, one HTTP port. Node only.
 *
 *  1. Nothing listens before the folder is locked and the catalog answers.
 *  2. The ready file is written last and removed first.
 *  3. Stopping: no new connections, what was received is answered, files are closed, all within SHUTDOWN_MS_MAX. */
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { type NodeFabric, type NodeLake, nodeClock } from '@dotdo/core/host/node'
import { DRAIN_MS_MAX } from '@dotdo/core/limits'
import type { ShardOptions } from '@dotdo/core/shard'
import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import { type AppParts, createApp } from '../http/app.ts'
import { checkPassword } from './credentials.ts'
import { type Dialect, dialects } from './dialects.ts'
import { listenHttp } from './http.ts'
import { icebergOverrides, lakePlaceOf, openServerLake } from './lake.ts'
import { addLakeMetrics, addSqlMetrics, addStoreMetrics } from './lake-metrics.ts'
import { type Listener, listen } from './listen.ts'
import { addGauge, addShardMetrics, createRegistry } from './metrics.ts'
import { removeReadyFile, writeReadyFile } from './ready-file.ts'
import type { Settings } from './settings.ts'

/** What the process brings. */
export interface ServeParts {
  readonly version: string
  readonly log: Logger
  /** The built module that runs shards in a worker thread. */
  readonly threadEntry: URL
}

/** The content of the ready file: the process, and the port of each listener by name. */
export interface Ready {
  pid: number
  [listener: string]: { port: number } | number
}

/** A server that listens. */
export interface RunningServer {
  readonly ready: Ready
  /** Ports by name, `http` among them. */
  readonly ports: ReadonlyMap<string, number>
  /** Settles when a client asks for the server to be stopped, with the command it sent. */
  readonly asked: Promise<string>
  /** Stop gracefully. Clients that take longer than DRAIN_MS_MAX are cut off. */
  close(): Promise<void>
}

/** A server while it starts: what there is to stop. */
interface Parts {
  readonly settings: Settings
  readonly version: string
  readonly log: Logger
  readonly lake: NodeLake
  readonly fabric: NodeFabric
  readonly defaults: ShardOptions
  readonly startedMs: number
  readonly authenticate?: (user: string, password: string) => boolean
  readonly registry: Registry
  readonly listeners: Map<string, Listener>
  /** Aborted when the server begins to stop. */
  readonly stopping: StopSwitch
  /** What the dialects add to the HTTP app. */
  readonly http: Partial<AppParts>
  shutdown(by: string): void
  onBug(error: unknown): void
}

/** Say why a port cannot be had. */
function listenFailure(error: unknown, name: string, { host, port }: { host: string; port: number }): unknown {
  const { code } = error as NodeJS.ErrnoException
  const at = `${host} port ${port}`
  const said: Record<string, string> = {
    EADDRINUSE: `${at} is taken; choose another with --${name}, or any free one with --${name} 0`,
    EACCES: `${at} needs rights that this user has not; choose one above 1023 with --${name}`,
    EADDRNOTAVAIL: `${host} is not an address of this machine`,
    ENOTFOUND: `${host} is not an address of this machine, nor a name of one`,
    EAI_AGAIN: `${host} is not an address, and cannot be looked up now`,
  }
  const message = said[code ?? '']
  return message === undefined ? error : new Failure('unavailable', message, undefined, error)
}

async function startDialect(parts: Parts, dialect: Dialect): Promise<void> {
  const { settings, listeners, log, http, onBug } = parts
  const { name, connectionsMax } = dialect
  const { durability } = settings
  // Without a port of its own it may still answer over HTTP.
  const server = dialect.start({ ...parts, clock: nodeClock, durability })
  Object.assign(http, server.http)
  const port = settings.ports[name]
  if (port === undefined || port === 'off') return
  const address = { host: settings.host, port }
  const onBroken = (client: string, err: Error) => log.debug({ dialect: name, client, err }, 'connection broke')
  try {
    listeners.set(name, await listen(server, { ...address, connectionsMax, onBroken, onBug }))
  } catch (error) {
    throw listenFailure(error, name, address)
  }
}

/** The parts of the app that are about the lake. */
function lakeParts({ lake, settings, registry }: Parts): Partial<AppParts> {
  const { engine, tier, catalog, storeCounts } = lake
  const onSql = addSqlMetrics(registry)
  addStoreMetrics(registry, storeCounts)
  if (tier !== undefined) addLakeMetrics(registry, tier, () => nodeClock.nowMs())
  const place = lakePlaceOf(settings)
  const iceberg = catalog && place && { catalog, overrides: icebergOverrides(place) }
  return { sql: engine, onSql, ...(tier && { lake: tier }), ...(iceberg && { iceberg }) }
}

async function startHttp(parts: Parts): Promise<void> {
  const { settings, listeners, authenticate, registry } = parts
  const { host, http: port } = settings
  if (port === 'off') return
  let streams = 0
  addGauge(registry, {
    name: 'dotdo_change_streams',
    help: 'Streams of /changes open now.',
    read: () => [[{}, streams]],
  })
  const { lake, ...rest } = parts
  const app = createApp({
    ...rest,
    ...lakeParts(parts),
    ...parts.http,
    clock: nodeClock,
    loopbackOnly: authenticate === undefined,
    stop: parts.stopping,
    onStreams(open) {
      streams = open
    },
    metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  })
  try {
    listeners.set('http', await listenHttp(app, { host, port }))
  } catch (error) {
    throw listenFailure(error, 'http', { host, port })
  }
}

function openParts(settings: Settings, opening: Opening): Parts {
  const { registry } = opening
  const { password } = settings
  const listeners = new Map<string, Listener>()
  const authenticate = password === undefined ? {} : { authenticate: checkPassword(password) }
  const names = ['http', ...dialects.map(({ name }) => name)]
  const startedMs = nodeClock.nowMs()
  addGauge(registry, {
    name: 'dotdo_connections',
    help: 'Connections open now, by listener.',
    labelNames: ['listener'],
    read: () => names.map((listener) => [{ listener }, listeners.get(listener)?.connections ?? 0]),
  })
  const stopping = new StopSwitch()
  const { fabric } = opening.lake
  return { ...opening, fabric, settings, startedMs, ...authenticate, listeners, stopping, http: {} }
}

interface Opening {
  version: string
  log: Logger
  lake: NodeLake
  defaults: ShardOptions
  registry: Registry
  shutdown(by: string): void
  onBug(error: unknown): void
}

async function stop({ lake, listeners, stopping, log }: Parts): Promise<void> {
  stopping.abort()
  const open = [...listeners.values()]
  const cancel = nodeClock.after(DRAIN_MS_MAX, () => {
    log.warn({ afterMs: DRAIN_MS_MAX }, 'cutting off connections that are not done')
    for (const listener of open) listener.abort()
  })
  try {
    await Promise.all(open.map((listener) => listener.close()))
  } finally {
    cancel()
    await lake.close()
  }
}

/** Start a server.
 *  @throws conflict when the folder is in use; unavailable when a port cannot be had; what the system says otherwise */
export async function startServer(settings: Settings, host: ServeParts): Promise<RunningServer> {
  const { version, log, threadEntry } = host
  const { shards, readyFile } = settings
  const registry = createRegistry()
  const bugs = new Counter({ name: 'dotdo_bugs_total', help: 'Failures that are bugs.', registers: [registry] })
  const onBug = (error: unknown) => {
    bugs.inc()
    log.error({ err: error }, 'a bug of dotdo; the request was answered with an error')
  }
  const defaults: ShardOptions = { partitioner: 'crc16', count: shards }
  const lake = await openServerLake(settings, { defaults, threadEntry, registry, log, onBug })
  const { fabric } = lake
  addShardMetrics(registry, () => fabric.stats())
  let shutdown: Parts['shutdown'] = () => undefined
  const asked = new Promise<string>((resolve) => {
    shutdown = resolve
  })
  const parts = openParts(settings, { version, log, lake, defaults, registry, shutdown, onBug })
  try {
    await fabric.list('', 1)
    // One of an earlier run that was killed: whoever waits for this server must not read it.
    if (readyFile !== undefined) removeReadyFile(readyFile)
    for (const dialect of dialects) await startDialect(parts, dialect)
    await startHttp(parts)
    const ports = new Map([...parts.listeners].map(([name, { port }]) => [name, port]))
    const listening = Object.fromEntries([...ports].map(([name, port]) => [name, { port }]))
    const ready: Ready = { pid: process.pid, ...listening }
    if (readyFile !== undefined) writeReadyFile(readyFile, ready)
    const close = () => {
      if (readyFile !== undefined) removeReadyFile(readyFile)
      return stop(parts)
    }
    return { ready, ports, asked, close }
  } catch (error) {
    await stop(parts)
    throw error
  }
}
