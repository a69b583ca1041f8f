/** A key's value between Redis' payloads and our rows. */
import type { Bin } from '@dotdo/core/bytes'

/** A field of a hash, and the last millisecond at which it is there. */
export interface DumpedField {
  readonly field: Bin
  readonly value: Bin
  readonly expires: number | null
}

/** The id of a stream's entry. */
export interface DumpedId {
  readonly ms: bigint
  readonly seq: bigint
}

/** An entry that a consumer has not acknowledged. */
export interface DumpedPending {
  readonly id: DumpedId
  readonly deliveredMs: number
  readonly deliveries: number
}

/** A consumer of a group. */
export interface DumpedConsumer {
  readonly name: Bin
  readonly seenMs: number
  /** Undefined before Redis 7.2, -1 for never. */
  readonly activeMs: number | undefined
  readonly pending: readonly DumpedId[]
}

/** A group of consumers. */
export interface DumpedGroup {
  readonly name: Bin
  readonly lastId: DumpedId
  /** How many entries it has read; -1 when nobody knows. */
  readonly entriesRead: bigint
  readonly pending: readonly DumpedPending[]
  readonly consumers: readonly DumpedConsumer[]
}

/** A stream. */
export interface DumpedStream {
  readonly entries: readonly { readonly id: DumpedId; readonly fields: readonly Bin[] }[]
  readonly lastId: DumpedId
  readonly maxDeletedId: DumpedId
  readonly entriesAdded: bigint
  readonly groups: readonly DumpedGroup[]
}

/** A key's value. */
export type Dumped =
  | { readonly type: 'string'; readonly value: Bin }
  | { readonly type: 'list'; readonly items: readonly Bin[] }
  | { readonly type: 'set'; readonly members: readonly Bin[] }
  | { readonly type: 'hash'; readonly fields: readonly DumpedField[] }
  | { readonly type: 'zset'; readonly scores: readonly (readonly [member: Bin, score: number])[] }
  | { readonly type: 'stream'; readonly stream: DumpedStream }
