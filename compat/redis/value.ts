/** Replies of Redis commands as plain data, as they travel from the shard to the codec. */
import type { Bin } from '@dotdo/core/bytes'

/** A reply: null is nil, a number an integer, a binary string a bulk string; a double may say how it is written.
 *  Plain data: crosses threads. */
export type Value =
  | null
  | number
  | Bin
  | { readonly simple: string }
  | { readonly error: string }
  | { readonly double: number; readonly text?: Bin }
  | { readonly bool: boolean }
  | { readonly big: string }
  | { readonly int64: string }
  | { readonly verbatim: Bin; readonly format: 'txt' | 'mkd' }
  | { readonly nilArray: true }
  | readonly Value[]
  | { readonly map: readonly (readonly [Value, Value])[] }
  | { readonly pairs: readonly (readonly [Value, Value])[] }
  /** A map; in RESP2 an array of arrays of two, where a map would be flat. */
  | { readonly keyed: readonly (readonly [Value, Value])[] }
  | { readonly set: readonly Value[] }
  | { readonly push: readonly Value[] }

/** The reply `+OK`. */
export const OK: Value = { simple: 'OK' }

/** What a blocking command answers in the shard when there is nothing for it yet. Never reaches the codec: a session
 *  waits then, and everybody else gets the reply inside. */
export interface WouldBlock {
  /** What the client gets when the time is over, and where nobody can wait. */
  readonly wouldBlock: Value
  /** What to run again, when that is not the request as it was sent (`$` in XREAD). */
  readonly argv?: readonly Bin[]
}

/** Something that a shard's answer brings about in the server once it is committed. Plain data. */
export interface Effect {
  /** A message for the subscribers of a channel of the database. */
  readonly publish: readonly [channel: Bin, message: Bin]
  /** The channel is a shard channel. */
  readonly shard?: true
}

/** A shard's answer that asks for more than to be sent to the client: what a script published. */
export interface WithEffects {
  readonly reply: Value
  readonly effects: readonly Effect[]
}

/** Whether a shard's answer has effects. */
export function hasEffects(answer: unknown): answer is WithEffects {
  return typeof answer === 'object' && answer !== null && 'effects' in answer
}

/** Whether an answer of a shard is no reply yet. */
export function isWouldBlock(answer: unknown): answer is WouldBlock {
  return typeof answer === 'object' && answer !== null && 'wouldBlock' in answer
}
