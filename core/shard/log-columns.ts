/** The log for those who take all of it: changes as columns, and the distinct keys that changed. Pure functions over
 *  segments; what stays bytes in the log is not parsed. */
import { ByteReader } from '../bytes.ts'
import { flags, hasPayload, ops, type Payload, readKeys, readPartialKey, type Segment, shapeAt } from './log-entry.ts'
import type { Op, Position } from './program.ts'
import { readColumns, type TableShape } from './row-codec.ts'
import { type Chained, identityOf, RowMap } from './row-map.ts'
import type { Identity, Row, Table } from './table.ts'

/** How much of the log is read at once; a read ends with a whole segment, so it may get past either. */
export interface LogLimits {
  readonly changes: number
  /** Bytes of log. */
  readonly bytes: number
}

/** What is read of the log, and of which tables: all when left out. */
export interface LogRange extends LogLimits {
  wanted?(table: Table): boolean
}

/** Bits of `LogColumns.flags`. */
export const changeFlags = {
  /** The row came with its slot from another shard, or left with it: no change to anybody's data. */
  moved: 1,
  /** There is a document, but it was not kept. */
  omitted: 2,
  /** There was no row before. Known at capture level `full` only. */
  isNew: 4,
} as const

/** Committed changes as columns: the i-th of each belongs to change `first + i`. */
export interface LogColumns {
  readonly first: number
  readonly count: number
  /** Runs of changes that were committed together. */
  readonly groups: readonly { readonly count: number; readonly atMs: number; readonly epoch: number }[]
  readonly tables: readonly Table[]
  /** Indexes in `tables`. */
  readonly table: Uint16Array
  /** Indexes in `logOps`. */
  readonly op: Uint8Array
  readonly flags: Uint8Array
  /** What documentId says; '' for a truncate and for tables that are not wanted. */
  readonly ids: readonly string[]
  /** The documents after the changes, as JSON in UTF-8, one after the other; what is not there or not wanted takes no
   *  bytes. */
  readonly after: Uint8Array
  readonly afterBytes: Uint32Array
  /** Where to go on. */
  readonly next: Position
  /** Whether there is more at once. */
  readonly more: boolean
}

/** Operations by their number in `LogColumns.op`. */
export const logOps: readonly Op[] = ops

type Columns = Omit<LogColumns, 'next' | 'more'>

const utf8 = new TextEncoder()

const putOp = ops.indexOf('put')
const truncateOp = ops.indexOf('truncate')
const lastOp = ops.lastIndexOf('put')

/** A table as a read meets it. */
interface Met {
  readonly shape: TableShape
  readonly place: number
  readonly wanted: boolean
  /** Takes the key of one entry after the other: documentId borrows it. */
  readonly key: Row
}

/** Fills the columns, entry by entry. No objects a change: there may be a million. */
class ColumnReader {
  readonly tables: Table[] = []
  readonly ids: string[]
  readonly table: Uint16Array
  readonly op: Uint8Array
  readonly flags: Uint8Array
  readonly afterBytes: Uint32Array
  readonly documents: Uint8Array
  end = 0
  private readonly shapes: readonly TableShape[]
  private readonly wanted: LogRange['wanted']
  private readonly met: Met[] = []

  constructor(shapes: readonly TableShape[], range: LogRange, size: { count: number; bytes: number }) {
    const { count } = size
    this.shapes = shapes
    this.wanted = range.wanted
    this.ids = new Array(count).fill('')
    this.table = new Uint16Array(count)
    this.op = new Uint8Array(count)
    this.flags = new Uint8Array(count)
    this.afterBytes = new Uint32Array(count)
    this.documents = new Uint8Array(size.bytes)
  }

  private meet(id: number): Met {
    const shape = shapeAt(this.shapes, id)
    const { table } = shape
    const met: Met = { shape, place: this.tables.length, wanted: this.wanted?.(table) ?? true, key: {} }
    this.tables.push(table)
    this.met[id] = met
    return met
  }

  /** Read one entry.
   *  @param at where it goes; below 0, it is passed over */
  entry(reader: ByteReader, bytes: Uint8Array, at: number): void {
    const head = reader.byte()
    const id = reader.uint()
    const { shape, place, wanted, key } = this.met[id] ?? this.meet(id)
    const code = head & flags.op
    // That of `putLast` is a put.
    const op = code === lastOp ? putOp : code
    const { end } = this
    if (op === truncateOp) readPartialKey(reader, shape)
    else readColumns(reader, shape.key, key)
    const isTaken = wanted && at >= 0
    let bits = 0
    if (hasPayload(head)) bits = this.payload(reader, bytes, { head, isTaken })
    if (at < 0) return
    this.op[at] = op
    this.table[at] = place
    this.flags[at] = bits
    this.afterBytes[at] = this.end - end
    if (wanted && op !== truncateOp) this.ids[at] = shape.table.documentId(key)
  }

  /** @returns the change's flags */
  private payload(
    reader: ByteReader,
    bytes: Uint8Array,
    { head, isTaken }: { head: number; isTaken: boolean },
  ): number {
    if ((head & flags.json) !== 0) return this.parsed(JSON.parse(reader.text()) as Payload, isTaken)
    let bits = 0
    if ((head & flags.after) !== 0) {
      const size = reader.uint()
      const from = reader.offset
      reader.offset = from + size
      if (isTaken) {
        this.documents.set(bytes.subarray(from, from + size), this.end)
        this.end += size
      }
    }
    if ((head & flags.before) !== 0) {
      const size = reader.uint()
      reader.offset += size
      // Nothing but `null` is so short: the text of a document has two bytes, or seven and more.
      if (size === 4) bits |= changeFlags.isNew
    }
    if ((head & flags.moved) !== 0) bits |= changeFlags.moved
    return (head & flags.omitted) !== 0 ? bits | changeFlags.omitted : bits
  }

  /** Take a payload of before documents stood by themselves. */
  private parsed({ after, before, moved, omitted }: Payload, isTaken: boolean): number {
    if (after !== undefined && isTaken) {
      // The text it was parsed from is longer, and counted in the space there is.
      const text = utf8.encode(JSON.stringify(after))
      this.documents.set(text, this.end)
      this.end += text.length
    }
    return (
      (moved ? changeFlags.moved : 0) | (omitted ? changeFlags.omitted : 0) | (before === null ? changeFlags.isNew : 0)
    )
  }
}

/** Read segments as columns.
 *  @param shapes every table, at the index that is its id
 *  @param after leaves out changes up to this one */
export function readLogColumns(
  segments: readonly Segment[],
  shapes: readonly TableShape[],
  { after, range }: { after: number; range: LogRange },
): Columns {
  const first = after + 1
  const count = (segments.at(-1)?.last ?? after) - after
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes.length, 0)
  const columns = new ColumnReader(shapes, range, { count, bytes })
  const groups = segments.map((segment) => {
    const reader = new ByteReader(segment.bytes)
    // Hosts give a Buffer, whose subarray takes twice as long.
    const { buffer, byteOffset, length } = segment.bytes
    const bytes = new Uint8Array(buffer, byteOffset, length)
    for (let at = segment.first - first; !reader.done; at++) columns.entry(reader, bytes, at)
    return { count: segment.last - Math.max(segment.first, first) + 1, atMs: segment.atMs, epoch: segment.epoch }
  })
  const { tables, table, op, ids, afterBytes, documents, end } = columns
  return {
    first,
    count,
    groups,
    tables,
    table,
    op,
    flags: columns.flags,
    ids,
    after: documents.subarray(0, end),
    afterBytes,
  }
}

/** The last change of a key in a stretch of the log. */
export interface ChangedKey {
  readonly table: Table
  readonly key: Row
  readonly op: 'put' | 'delete'
  readonly seq: number
  readonly atMs: number
  readonly moved: boolean
}

/** Every row of a table that agrees with `where` has gone. */
export interface ChangedRange {
  readonly table: Table
  /** Some first columns of the key, or none. */
  readonly where: Row
  readonly seq: number
  readonly atMs: number
  /** They went with their slot to another shard. */
  readonly moved: boolean
}

/** What changed in a stretch of the log. A key that was put and then truncated is in both: the newer seq counts. */
export interface ChangedKeys {
  /** In the order of their last change. */
  readonly keys: readonly ChangedKey[]
  readonly truncates: readonly ChangedRange[]
  /** Where to go on. */
  readonly next: Position
  /** Whether there is more at once. */
  readonly more: boolean
}

interface KeyEntry extends Chained<KeyEntry> {
  changed: ChangedKey
}

/** Read the distinct keys of segments.
 *  @param shapes every table, at the index that is its id
 *  @param after leaves out changes up to this one */
export function readChangedKeys(
  segments: readonly Segment[],
  shapes: readonly TableShape[],
  { after, range }: { after: number; range: LogRange },
): Omit<ChangedKeys, 'next' | 'more'> {
  const known = new Map<TableShape, { identity: Identity; rows: RowMap<KeyEntry> }>()
  const truncates: ChangedRange[] = []
  const rowsOf = (shape: TableShape) => {
    const found = known.get(shape)
    if (found !== undefined) return found
    const identity = identityOf(shape)
    const made = { identity, rows: new RowMap<KeyEntry>(identity) }
    known.set(shape, made)
    return made
  }
  for (const segment of segments) {
    for (const { seq, atMs, shape, op, key, moved } of readKeys(segment, shapes)) {
      const { table } = shape
      if (seq <= after || range.wanted?.(table) === false) continue
      if (op === 'truncate') {
        truncates.push({ table, where: key, seq, atMs, moved })
        continue
      }
      const { identity, rows } = rowsOf(shape)
      const hash = identity.hash(key) | 0
      const changed: ChangedKey = { table, key, op, seq, atMs, moved }
      const entry = rows.find(hash, key)
      if (entry === undefined) rows.add({ key, hash, next: undefined, changed })
      else entry.changed = changed
    }
  }
  const keys = [...known.values()].flatMap(({ rows }) => [...rows].map(({ changed }) => changed))
  return { keys: keys.sort((a, b) => a.seq - b.seq), truncates }
}
