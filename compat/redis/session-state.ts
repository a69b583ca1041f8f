/** What a connection remembers, and where its bytes go: plain data, and the port of a transport. */
import type { Bin } from '@dotdo/core/bytes'
import type { Pending } from '@dotdo/core/shard'
import type { Protocol } from './codec.ts'
import type { Subscriptions } from './pubsub.ts'
import type { Row } from './session.ts'
import type { TrackingState } from './tracking.ts'

/** A command that waits in MULTI. */
export interface Queued {
  readonly row: Row
  readonly argv: readonly Bin[]
}

/** An open MULTI. */
export interface Transaction {
  readonly queue: Queued[]
  /** A command could not be queued: EXEC will abort. */
  broken: boolean
  /** Bytes of the queued arguments. */
  sizeBytes: number
}

/** A watched key, with the position of its shard's log when it was watched. */
export interface Watch {
  readonly key: Bin
  readonly db: number
  /** Its reply is the position: undefined until the shard has told it. */
  readonly asked: Pending
}

/** What a connection remembers. */
export interface SessionState {
  readonly id: number
  /** The client's `ip:port`, and ours. */
  readonly address: string
  readonly localAddress: string
  readonly createdMs: number
  activeMs: number
  name: Bin
  libraryName: Bin
  libraryVersion: Bin
  /** The fabric's database; `db` is the numbered one inside it. */
  database: string
  db: number
  protocol: Protocol
  authenticated: boolean
  user: Bin
  /** CLIENT REPLY: `skip` is for the next command, `skipping` for the one that runs. */
  reply: 'on' | 'off' | 'skip' | 'skipping'
  noEvict: boolean
  noTouch: boolean
  lastCommand: string
  multi: Transaction | undefined
  /** What it is subscribed to; undefined when it never was. */
  subscriptions: Subscriptions | undefined
  /** How it caches; undefined when it does not. */
  tracking: TrackingState | undefined
  watches: Watch[]
}

/** Where a session's bytes go. */
export interface Transport {
  /** The client's `ip:port`. */
  readonly address: string
  /** Our `ip:port`. */
  readonly localAddress?: string
  /** Send bytes. @param bytes given away */
  write(bytes: Uint8Array): void
  /** Close, after what was written has gone out. */
  close(): void
  /** Close at once, whatever waits. */
  abort(): void
  /** How many bytes the client has not taken yet. */
  queuedBytes(): number
  /** @returns a promise that the client has taken enough to go on, or undefined when it has */
  drained?(): Promise<void> | undefined
}
