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
  | { readonly set: readonly Value[] }
  | { readonly push: readonly Value[] }

/** The reply `+OK`. */
export const OK: Value = { simple: 'OK' }
