/** What a Redis command is: one row that drives dispatch, arity, routing, access control, COMMAND and the support page.
 *
 *  1. A command that touches keys has `run`: a synchronous function over a shard (engine calls, no bytes of the wire).
 *  2. A command of the connection has `session`: it sees the session, and no shard.
 *  3. With many shards, `scatter` says how a command whose keys live apart is still answered right; a command
 *     without it answers CROSSSLOT. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import type { User } from './acl/user.ts'
import type { Value, WithEffects, WouldBlock } from './value.ts'

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
  /** Who runs a script, when not everything is allowed to them: its commands are held to their rules. */
  readonly user?: User | undefined
}

/** How a command works over several shards. */
export type Scatter =
  | {
      /** Cut argv by key (each key with the `step - 1` arguments after it), run the pieces, join their replies. */
      readonly kind: 'split'
      /** Make the argv of a piece, where its keys do not stand together with what belongs to them.
       *  @param places of the piece's keys in argv */
      cut?(argv: readonly Bin[], places: readonly number[]): readonly Bin[]
      /** What argv[0] of the pieces is, when `run` shall answer otherwise for a piece than for the whole: no name that
       *  a client can call. */
      readonly piece?: Bin
      /** @param replies each piece's reply; `places[i]` are the indexes (0 for the first key) of piece i's keys */
      join(replies: Value[], places: number[][], keyCount: number, argv: readonly Bin[]): Value
    }
  | {
      /** Run the same argv on every shard, then merge. */
      readonly kind: 'all'
      merge(replies: Value[], argv: readonly Bin[]): Value
    }
  | {
      /** Ask the shards of the keys what they hold, and compute with that in the session. */
      readonly kind: 'gather'
      /** Read in a shard. @returns plain data for each key */
      read(view: View, keys: readonly Bin[], context: Context): unknown[]
      /** @param held what each key holds, in their order in argv */
      compute(held: readonly unknown[], argv: readonly Bin[]): Value
    }
  | {
      /** Walk the shards one after the other with a cursor that names the shard (SCAN). */
      readonly kind: 'cursor'
    }

/** How a command waits when its function answers WouldBlock. */
export interface Blocking {
  /** Where the time-out stands in argv (negative: from the end); undefined from the function when the request waits for
   *  nothing. */
  readonly timeoutAt: number | ((argv: readonly Bin[]) => number | undefined)
  readonly unit: 'seconds' | 'ms'
  /** Places of the keys it waits for, when these are not all of its keys. */
  keys?(argv: readonly Bin[]): readonly number[]
  /** A key that gets another type ends the wait with WRONGTYPE, as in streams; else the client waits on. */
  readonly answersWrongType?: true
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
  /** Refuse arguments that name keys which no positions tell, for a database of several shards.
   *  @throws Failure */
  checkApart?(argv: readonly Bin[]): void
  readonly mode: 'read' | 'write' | 'session'
  /** The Redis version it came with. */
  readonly since: string
  /** Group of the documentation: string, generic, hash, connection, transactions, server ... */
  readonly group: string
  /** One line for COMMAND DOCS. */
  readonly summary: string
  readonly scatter?: Scatter
  /** Present when it may wait for a key to change (blocking.ts). */
  readonly block?: Blocking
  /** Where it runs when it names no key and the database has many shards: on any one, as a keyless script does. */
  readonly keyless?: 'any'
  /** Not allowed inside MULTI. */
  readonly noMulti?: boolean
  /** Allowed before AUTH. */
  readonly noAuth?: boolean
  /** Run in the shard. @param argv argv[0] is the name as sent */
  run?(tx: Tx, argv: readonly Bin[], context: Context): Value | WouldBlock | WithEffects
  /** Run in the session. */
  session?(session: S, argv: readonly Bin[]): Value | Promise<Value> | undefined
}
