/** The Redis server without sockets: it knows its sessions, its commands and what it can say of itself. */
import type { Clock, Database } from '@dotdo/core/shard'
import { AccessControl } from './acl/access.ts'
import { Waiters } from './blocking.ts'
import { commandTable } from './commands/table.ts'
import { Config } from './config.ts'
import { KeyFeeds } from './key-feed.ts'
import { CommandIndex } from './lookup.ts'
import { Measured } from './measured.ts'
import { Monitors } from './monitor.ts'
import { Notifications } from './notifications.ts'
import { Pauses } from './pause.ts'
import { PubSub } from './pubsub.ts'
import { PROGRAM } from './routing.ts'
import { type Row, Session, type SessionState, type Transport } from './session.ts'
import { Tracking } from './tracking.ts'

/** The version of Redis whose commands and replies these are. */
export const REDIS_VERSION = '7.2.0'

/** What the host knows of the process; INFO and CONFIG GET say nothing that is not here. */
export interface ServerInfo {
  /** The version of dotdo. */
  readonly version: string
  /** Tells this run of the server from others: 40 hexadecimal digits. */
  readonly runId: string
  readonly durability: 'full' | 'normal'
  readonly startedMs: number
  readonly processId?: number
  /** The TCP port, when there is one. */
  port?: number
  /** @returns bytes of the heap in use, and of the process */
  memory?(): { usedBytes: number; residentBytes: number }
  /** @returns seconds the process has spent in the system and in itself */
  cpu?(): { systemSeconds: number; userSeconds: number }
}

/** Everything counted since the server began, or since CONFIG RESETSTAT. */
export interface ServerCounters {
  connections: number
  rejectedConnections: number
  commands: number
  /** Commands by name (a subcommand is `client|setname`), as far as they are known. */
  byCommand: Map<string, number>
  errorReplies: number
  inputBytes: number
  outputBytes: number
}

/** What a server is made of. */
export interface ServerOptions {
  /** Opens databases by name. */
  readonly fabric: {
    database(name: string): Promise<Database>
    /** Tells whether there is a database, without making it. */
    find?(name: string): Promise<unknown>
    readonly clock: Pick<Clock, 'after' | 'nowMs'>
  }
  /** Time, and chance that nobody can guess. */
  readonly clock: Pick<Clock, 'nowMs' | 'random' | 'after'>
  /** Check credentials in constant time; without it, everyone is let in as `default`. `any` lets everyone in whatever
   *  they say, for clients inside the server's own process. */
  readonly authenticate?: ((user: string, password: string) => boolean) | 'any'
  readonly info: ServerInfo
  /** The database of the fabric that a connection begins in. Default `default`. */
  readonly database?: string
  /** How long users of the ACL are believed once they are read, where other servers share the database and may change
   *  them. Default: for ever. */
  readonly usersRefreshMs?: number
  /** Told of failures that are bugs of ours. */
  readonly onBug?: (error: unknown) => void
  /** Whether each connection has a server of its own: pub/sub is then refused, as nobody would hear. */
  readonly alone?: boolean
  /** Begin to stop the process, as SHUTDOWN asks for; without it, SHUTDOWN is refused. */
  readonly shutdown?: () => void
  /** The commands. Default: all. */
  readonly commands?: ReadonlyMap<string, Row>
}

/** A server. */
export interface RedisServer {
  readonly fabric: ServerOptions['fabric']
  readonly clock: ServerOptions['clock']
  readonly info: ServerInfo
  readonly counters: ServerCounters
  readonly commands: CommandIndex
  /** The connections, by id. */
  readonly sessions: Map<number, Session>
  /** Whether each connection has a server of its own, so that messages would reach nobody. */
  readonly alone: boolean
  readonly pubsub: PubSub
  readonly notifications: Notifications
  readonly tracking: Tracking
  readonly monitors: Monitors
  readonly pauses: Pauses
  /** The clients that wait for a key. */
  readonly waiters: Waiters
  /** Whether clients must say credentials, have none to say, or may say any. */
  readonly credentials: 'needed' | 'none' | 'any'
  readonly config: Config
  /** How long commands took. */
  readonly measured: Measured
  /** The users, and what they may do. */
  readonly access: AccessControl
  /** The database that connections begin in. */
  readonly firstDatabase: string
  /** Begins to stop the process, where clients may. */
  readonly shutdown: (() => void) | undefined
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
  /** Begin a connection.
   *  @param options its database, when it is not the server's first */
  connect(transport: Transport, options?: { database?: string }): Session
  /** Let go of a session that has ended, or begins anew. */
  forget(session: Session): void
  /** Close every connection. */
  close(): void
}

/** Zero every counter. */
export function resetCounters(counters: ServerCounters): void {
  const zero: ServerCounters = {
    connections: 0,
    rejectedConnections: 0,
    commands: 0,
    byCommand: new Map(),
    errorReplies: 0,
    inputBytes: 0,
    outputBytes: 0,
  }
  Object.assign(counters, zero)
}

/** As Redis' user `default` without a password: any password is right, and no other user exists, unless any may be. */
function defaultUser(who: 'any' | undefined): (user: string, password: string) => boolean {
  return (user) => who === 'any' || user === 'default'
}

/** Let connections that came before the users were read stand as those that come now. */
function greet({ sessions, access }: RedisServer): void {
  for (const session of sessions.values()) session.welcome(access.welcomes())
}

/** End the connections of users that are gone. */
function dismiss({ sessions }: RedisServer, gone: ReadonlySet<string>): void {
  for (const session of [...sessions.values()]) {
    if (!gone.has(session.state.user)) continue
    session.expel()
    session.closeSoon()
  }
}

/** Make a server over a fabric. */
export function createRedisServer(options: ServerOptions): RedisServer {
  const { fabric, clock, info, authenticate, database: firstDatabase = 'default' } = options
  const counters = {} as ServerCounters
  resetCounters(counters)
  const onBug = options.onBug ?? (() => undefined)
  const feeds = new KeyFeeds({ clock: fabric.clock, onBug })
  const pubsub = new PubSub((name) => notifications.stopUnwanted(name))
  const notifications = new Notifications({ fabric, feeds, pubsub, onBug })
  let lastId = 0
  const config = new Config(info)
  const access = new AccessControl({
    fabric,
    database: firstDatabase,
    program: PROGRAM,
    clock,
    refreshMs: options.usersRefreshMs,
    needed: typeof authenticate === 'function',
    authenticate: typeof authenticate === 'function' ? authenticate : defaultUser(authenticate),
    read: () => greet(server),
    gone: (names) => dismiss(server, names),
  })
  const server: RedisServer = {
    fabric,
    clock,
    info,
    counters,
    commands: new CommandIndex(options.commands ?? commandTable),
    sessions: new Map(),
    alone: options.alone ?? false,
    pubsub,
    notifications,
    tracking: new Tracking(feeds, onBug),
    monitors: new Monitors(),
    pauses: new Pauses(fabric.clock),
    waiters: new Waiters({ clock: fabric.clock, feeds, onBug }),
    credentials: authenticate === 'any' ? 'any' : authenticate === undefined ? 'none' : 'needed',
    access,
    config,
    measured: new Measured(config),
    firstDatabase,
    shutdown: options.shutdown,
    onBug,
    connect(transport, { database = server.firstDatabase } = {}) {
      counters.connections += 1
      lastId += 1
      const state = firstState(lastId, transport, {
        nowMs: clock.nowMs(),
        database,
        authenticated: access.welcomes(),
      })
      const session = new Session(server, transport, state)
      server.sessions.set(lastId, session)
      return session
    },
    forget(session) {
      pubsub.leave(session)
      server.tracking.leave(session)
      server.monitors.leave(session)
    },
    close() {
      for (const session of [...server.sessions.values()]) session.kill()
    },
  }
  return server
}

interface Beginning {
  nowMs: number
  database: string
  authenticated: boolean
}

function firstState(id: number, transport: Transport, { nowMs, database, authenticated }: Beginning): SessionState {
  return {
    id,
    address: transport.address,
    localAddress: transport.localAddress ?? '',
    createdMs: nowMs,
    activeMs: nowMs,
    name: '',
    libraryName: '',
    libraryVersion: '',
    database,
    db: 0,
    protocol: 2,
    authenticated,
    user: 'default',
    reply: 'on',
    noEvict: false,
    noTouch: false,
    lastCommand: 'NULL',
    multi: undefined,
    subscriptions: undefined,
    tracking: undefined,
    watches: [],
  }
}
