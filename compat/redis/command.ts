/** What a Redis command is: one row that drives dispatch, arity, routing, access control, COMMAND and the support page.
 *
 *  1. A command that touches keys has `run`: a synchronous function over a shard (engine calls, no bytes of the wire).
 *  2. A command of the connection has `session`: it sees the session, and no shard.
 *  3. With many shards, `scatter` says how a command whose keys live apart is still answered right; a command
 *     without it answers CROSSSLOT. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import type { Value } from './value.ts'

/** Where a command's keys stand in argv, in the terms of Redis' COMMAND INFO: `last` may be negative (from the end). */
export interface KeyPositions {
  readonly first: number
  readonly last: number
  readonly step: number
}

/** What a command needs to know besides its arguments. */
export interface Context {
  /** The numbered database chosen by SELECT, 0 to 15. */
  readonly db: number
}

/** How a command works over several shards. */
export type Scatter =
  | {
      /** Cut argv by key (each key with the `step - 1` arguments after it), run the pieces, join their replies. */
      readonly kind: 'split'
      /** @param replies each piece's reply; `places[i]` are the indexes (0 for the first key) of piece i's keys */
      join(replies: Value[], places: number[][], keyCount: number): Value
    }
  | {
      /** Run the same argv on every shard, then merge. */
      readonly kind: 'all'
      merge(replies: Value[], argv: readonly Bin[]): Value
    }
  | {
      /** Walk the shards one after the other with a cursor that names the shard (SCAN). */
      readonly kind: 'cursor'
    }

/** A command's row. S is the session's type, so that this file knows nothing of it. */
export interface Command<S = unknown> {
  /** Lower case; a subcommand is `client|setname`. */
  readonly name: string
  /** As Redis counts: the name included, negative for `at least`. */
  readonly arity: number
  readonly keys?: KeyPositions
  /** Keys that positions cannot tell (numkeys and the like). */
  findKeys?(argv: readonly Bin[]): number[]
  readonly mode: 'read' | 'write' | 'session'
  /** The Redis version it came with. */
  readonly since: string
  /** Group of the documentation: string, generic, hash, connection, transactions, server ... */
  readonly group: string
  /** One line for COMMAND DOCS. */
  readonly summary: string
  readonly scatter?: Scatter
  /** Where it runs when it names no key and the database has many shards: on any one, as a keyless script does. */
  readonly keyless?: 'any'
  /** Not allowed inside MULTI. */
  readonly noMulti?: boolean
  /** Allowed before AUTH. */
  readonly noAuth?: boolean
  /** Run in the shard. @param argv argv[0] is the name as sent */
  run?(tx: Tx, argv: readonly Bin[], context: Context): Value
  /** Run in the session. */
  session?(session: S, argv: readonly Bin[]): Value | Promise<Value> | undefined
}
