/** Entries of the log as bytes: a byte that says what follows, the table's number, the key columns, and by capture
 *  level the documents as JSON text, each by itself: who wants the document as bytes need not parse it. */
import { type Bin, ByteReader, type ByteWriter } from '../bytes.ts'
import { Failure } from '../errors.ts'
import { LOG_PAYLOAD_BYTES_MAX } from '../limits.ts'
import type { Op } from './program.ts'
import { readColumns, type TableShape, writeCells, writeColumns } from './row-codec.ts'
import type { SqlValue } from './sql.ts'
import type { Row } from './table.ts'

/** The documents that a capture level keeps of a change. */
export interface Payload {
  /** Null when there was no row before; absent when that is not known. */
  before?: Record<string, unknown> | null
  after?: Record<string, unknown>
  /** True when the documents were too large to keep (LOG_PAYLOAD_BYTES_MAX), or the row was cold. */
  omitted?: boolean
  /** True of a row that came with its slot from another shard: it was put there, and is in that shard's log. Also of
   *  the truncate of a slot that has gone to another shard. */
  moved?: boolean
}

/** One change as the log holds it. */
export interface Entry {
  seq: number
  /** Milliseconds since 1970 of its group. */
  atMs: number
  epoch: number
  shape: TableShape
  op: Op
  /** The key columns; of a truncate, those it was given. */
  key: Row
  payload?: Payload
  /** Logged at the end of its group by `putLast`. */
  isLast?: boolean
  /** The redo has a patch of the row. */
  isPatch?: boolean
}

/** One row of the log: the changes of a group, or of a part of one. */
export interface Segment {
  readonly first: number
  readonly last: number
  readonly atMs: number
  readonly epoch: number
  readonly bytes: Uint8Array
}

const opCodes = { put: 0, delete: 1, truncate: 2 } as const
const LAST = 3
/** Operations by their number in an entry's first byte. The last is that of `putLast`. */
export const ops = ['put', 'delete', 'truncate', 'put'] as const

/** Bits of an entry's first byte, beside the two of its operation. */
export const flags = {
  op: 3,
  /** Written before documents stood by themselves: one JSON text of a whole Payload. */
  json: 4,
  after: 8,
  before: 16,
  moved: 32,
  omitted: 64,
  /** The redo has a patch of the row instead of its columns. */
  patched: 128,
} as const

/** What an entry says. */
export interface Change {
  readonly shape: TableShape
  readonly op: Op
  /** Has at least the key's columns; of a truncate, those that it was given. */
  readonly row: Row
  readonly payload?: Payload | undefined
  /** What the redo has instead of the row's columns. */
  readonly patch?: Bin | undefined
  /** Whether `putLast` made it. */
  readonly isLast?: boolean | undefined
}

/** Append an entry.
 *  @param cells what `shape.cells` reads of the row, if somebody has done so
 *  @returns the bytes that all but its documents took */
export function writeEntry(log: ByteWriter, change: Change, cells?: ReturnType<TableShape['cells']>): number {
  const { shape, op, row, payload, patch, isLast } = change
  const start = log.length
  let head: number = isLast ? LAST : opCodes[op]
  if (patch !== undefined) head |= flags.patched
  let after: string | undefined
  let before: string | undefined
  if (payload !== undefined) {
    after = payload.after && JSON.stringify(payload.after)
    before = payload.before === undefined ? undefined : JSON.stringify(payload.before)
    const tooLarge = (after?.length ?? 0) + (before?.length ?? 0) > LOG_PAYLOAD_BYTES_MAX
    if (tooLarge) after = before = undefined
    if (after !== undefined) head |= flags.after
    if (before !== undefined) head |= flags.before
    if (payload.moved) head |= flags.moved
    if (payload.omitted || tooLarge) head |= flags.omitted
  }
  log.byte(head)
  log.uint(shape.id)
  if (op === 'truncate') writePartialKey(log, shape, row)
  else if (cells !== undefined) writeCells(log, shape.key, cells, 0)
  else writeColumns(log, shape.key, row)
  const keyBytes = log.length - start
  if (after !== undefined) log.text(after)
  if (before !== undefined) log.text(before)
  return keyBytes
}

function writePartialKey(writer: ByteWriter, shape: TableShape, where: Row): void {
  for (const column of shape.key) {
    const value: SqlValue | undefined = where[column.name]
    writer.byte(value === undefined ? 0 : 1)
    if (value !== undefined) writeColumns(writer, [column], where)
  }
}

/** Read the key columns that a truncate was given. */
export function readPartialKey(reader: ByteReader, shape: TableShape): Row {
  const where: Row = {}
  for (const column of shape.key) if (reader.byte() === 1) readColumns(reader, [column], where)
  return where
}

/** Find the table of a number.
 *  @throws storage when it is not declared */
export function shapeAt(shapes: readonly (TableShape | undefined)[], id: number): TableShape {
  const shape = shapes[id]
  if (shape === undefined) throw new Failure('storage', `the log names table ${id}, which is not declared`)
  return shape
}

function readPayload(reader: ByteReader, head: number): Payload {
  if ((head & flags.json) !== 0) return JSON.parse(reader.text()) as Payload
  const payload: Payload = {}
  if ((head & flags.after) !== 0) payload.after = JSON.parse(reader.text())
  if ((head & flags.before) !== 0) payload.before = JSON.parse(reader.text())
  if ((head & flags.moved) !== 0) payload.moved = true
  if ((head & flags.omitted) !== 0) payload.omitted = true
  return payload
}

/** Whether documents follow an entry's key, or it says why there are none. */
export function hasPayload(head: number): boolean {
  return (head & ~(flags.op | flags.patched)) !== 0
}

/** Read the entries of a segment.
 *  @param shapes every table, at the index that is its id */
export function readEntries({ first, atMs, epoch, bytes }: Segment, shapes: readonly TableShape[]): Entry[] {
  const reader = new ByteReader(bytes)
  const entries: Entry[] = []
  for (let seq = first; !reader.done; seq++) {
    const head = reader.byte()
    const shape = shapeAt(shapes, reader.uint())
    const op = ops[head & flags.op] as Op
    const key = op === 'truncate' ? readPartialKey(reader, shape) : readColumns(reader, shape.key, {})
    const entry: Entry = { seq, atMs, epoch, shape, op, key }
    if (hasPayload(head)) entry.payload = readPayload(reader, head)
    if ((head & flags.patched) !== 0) entry.isPatch = true
    if ((head & flags.op) === LAST) entry.isLast = true
    entries.push(entry)
  }
  return entries
}

function skipText(reader: ByteReader): void {
  const size = reader.uint()
  reader.offset += size
}

/** An entry without its documents. */
export type KeyChange = Omit<Entry, 'payload' | 'epoch'> & { readonly moved: boolean }

/** Read the keys of a segment's entries, passing over their documents. */
export function* readKeys({ first, atMs, bytes }: Segment, shapes: readonly TableShape[]): Generator<KeyChange> {
  const reader = new ByteReader(bytes)
  for (let seq = first; !reader.done; seq++) {
    const head = reader.byte()
    const shape = shapeAt(shapes, reader.uint())
    const op = ops[head & flags.op] as Op
    const key = op === 'truncate' ? readPartialKey(reader, shape) : readColumns(reader, shape.key, {})
    let moved = (head & flags.moved) !== 0
    if ((head & flags.json) !== 0) moved = readPayload(reader, head).moved === true
    if ((head & flags.after) !== 0) skipText(reader)
    if ((head & flags.before) !== 0) skipText(reader)
    yield { seq, atMs, shape, op, key, moved }
  }
}
