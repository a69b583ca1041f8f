/** Change records as the world sees them: the public event, and the same as a Debezium envelope. Pure functions.
 *
 *  1. An operation says no more than the log knows: `insert` and `update` need the document from before (capture level
 *     `full`); without it a stored row is a `put`.
 *  2. `truncate` says that every row of the collection, on this shard, that agreed with some key prefix is gone. Rows
 *     that leave a shard or come to one because their slot moved are no change to anybody, and are not shown. */
import type { ChangeRecord } from '../shard/system.ts'

/** What happened to a document. */
export type Operation = 'insert' | 'update' | 'put' | 'delete' | 'truncate'

/** Every operation. */
export const operations: readonly Operation[] = ['insert', 'update', 'put', 'delete', 'truncate']

/** A document, by top-level field. */
export type Document = Record<string, unknown>

/** Which log an event stands in. */
export interface Origin {
  database: string
  shard: number
  incarnation: string
}

/** One change, for consumers. Plain data. */
export interface ChangeEvent {
  /** `<shard>.<incarnation>.<epoch>.<sequence>`: the same whenever this change is delivered, and never another's. */
  id: string
  operation: Operation
  collection: string
  /** What people call the row; empty for a truncate. */
  documentId: string
  /** Milliseconds since 1970 of the commit. */
  timestamp: number
  /** The change's number in its shard, from 1, without holes (but for changes that a filter left out). */
  sequence: number
  /** The document as it was; null when there was none, absent when not captured. */
  before?: Document | null
  /** The document as it is; absent when not captured, and of a delete. */
  after?: Document
  /** Top-level fields that differ, sorted; only where both documents are known. */
  changedFields?: string[]
  /** True when the documents were captured but too large to keep. */
  omitted?: true
  source: Origin & {
    epoch: number
    /** -1 for a truncate. */
    slot: number
  }
}

/** Say whether a record is a change to somebody's data, and not to where it is kept. */
export function isPublic({ op, slot, moved }: ChangeRecord): boolean {
  return !moved && !(op === 'truncate' && slot >= 0)
}

/** Name what a record's change did, as far as the log knows. */
export function operationOf({ op, before }: Pick<ChangeRecord, 'op' | 'before'>): Operation {
  if (op !== 'put' || before === undefined) return op
  return before === null ? 'insert' : 'update'
}

/** Make the public event of a record.
 *  @param record one that `isPublic` */
export function toEvent(record: ChangeRecord, { database, shard, incarnation }: Origin): ChangeEvent {
  const { seq, epoch, atMs, collection, slot, documentId, before, after, omitted } = record
  const event: ChangeEvent = {
    id: `${shard}.${incarnation}.${epoch}.${seq}`,
    operation: operationOf(record),
    collection,
    documentId,
    timestamp: atMs,
    sequence: seq,
    source: { database, shard, incarnation, epoch, slot },
  }
  if (before !== undefined) event.before = before
  if (after !== undefined) event.after = after
  if (before && after) event.changedFields = changedFields(before, after)
  if (omitted) event.omitted = true
  return event
}

/** List the top-level fields that differ between two documents, sorted; fields that came or went are among them. */
export function changedFields(before: Document, after: Document): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => !sameJson(field(before, name), field(after, name))).sort()
}

function field(document: Document, name: string): unknown {
  return Object.hasOwn(document, name) ? document[name] : undefined
}

/** Compare two JSON values; the order of an object's fields does not count. */
function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every((key) => Object.hasOwn(b, key) && sameJson((a as Document)[key], (b as Document)[key]))
}

/** Operations as Debezium names them: create, update, delete, read (of a snapshot), truncate. */
export type DebeziumOperation = 'c' | 'u' | 'd' | 'r' | 't'

/** One change in the shape of a Debezium event, schemaless.
 *  @source https://debezium.io/documentation/reference/3.3/connectors/postgresql.html#postgresql-events */
export interface DebeziumEnvelope {
  before: Document | null
  after: Document | null
  source: {
    /** Of this envelope's shape. */
    version: string
    connector: 'dotdo'
    /** The database, as the logical name. */
    name: string
    ts_ms: number
    snapshot: 'false'
    db: string
    /** JSON text `["incarnation","epoch","seq"]`. */
    sequence: string
    schema: string
    table: string
    shard: number
    slot: number
    /** The key, which Debezium carries beside the envelope; null for a truncate. */
    document_id: string | null
    /** Whether `after` (of a delete, `before`) is what was stored; false when the capture level left it out. */
    captured: boolean
  }
  op: DebeziumOperation
  ts_ms: number
  transaction: null
}

// A put is `u`, as Debezium's own update is when the table's replica identity leaves `before` out: consumers upsert it.
const debeziumOperations = { insert: 'c', update: 'u', put: 'u', delete: 'd', truncate: 't' } as const

/** Put an event into a Debezium envelope.
 *  @param nowMs when it is handed out, in ms since 1970 */
export function toDebezium(event: ChangeEvent, nowMs: number): DebeziumEnvelope {
  const { operation, collection, documentId, timestamp, sequence, before, after, source } = event
  const { database, shard, incarnation, epoch, slot } = source
  return {
    before: before ?? null,
    after: after ?? null,
    source: {
      version: '1',
      connector: 'dotdo',
      name: database,
      ts_ms: timestamp,
      snapshot: 'false',
      db: database,
      sequence: JSON.stringify([incarnation, String(epoch), String(sequence)]),
      schema: database,
      table: collection,
      shard,
      slot,
      document_id: operation === 'truncate' ? null : documentId,
      captured: operation === 'delete' ? before !== undefined : after !== undefined,
    },
    op: debeziumOperations[operation],
    ts_ms: nowMs,
    transaction: null,
  }
}
