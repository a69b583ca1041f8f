/** The change log of a shard: every change, in order, committed with the rows it describes.
 *
 *  1. One row of `dotdo_log` holds the changes of one group (cut at `segmentBytes`): operation, table, key columns, and
 *     by capture level the documents. Seqs run from 1 without holes.
 *  2. `dotdo_redo` holds, under the same `first`, the other columns of changes to buffered tables, or patches of them
 *     (patches.ts). It is replayed after
 *     a crash and dropped when those rows stand in their tables. A log row is never trimmed while its redo exists.
 *     `total` counts the log's bytes from its beginning, so that opening and trimming need not add them up.
 *  3. What is pending belongs to the group that is running; `mark` and `rollback` undo part of it, `write` puts it in
 *     the database as the group's last statements, `settle` forgets it once the commit has succeeded. */
import { ByteReader, ByteWriter } from '../bytes.ts'
import { Failure } from '../errors.ts'
import { CHANGES_READ_BYTES_MAX, LOG_TRIMMED_PER_GROUP, REDO_DROPPED_PER_GROUP, SQL_ROW_BYTES_MAX } from '../limits.ts'
import { type ChangedKeys, type LogColumns, type LogRange, readChangedKeys, readLogColumns } from './log-columns.ts'
import { type Change, type Entry, type Payload, readEntries, type Segment, writeEntry } from './log-entry.ts'
import { WholeRows } from './patches.ts'
import type { Op } from './program.ts'
import { readColumns, type TableShape, writeCells } from './row-codec.ts'
import type { Sql } from './sql.ts'
import type { Row } from './table.ts'

export type { Entry, Payload } from './log-entry.ts'

/** How much of a changed row the log keeps: its key, its new document, or both documents. */
export type Capture = 'key' | 'after' | 'full'

/** A point inside the running group to roll back to. */
export interface LogMark {
  readonly seq: number
  readonly log: number
  readonly redo: number
  readonly cuts: number
  readonly buffered: number
}

interface Cut {
  readonly last: number
  readonly log: number
  readonly redo: number
}

/** Where a stretch of the log ends. */
export interface Stretch {
  readonly last: number
  /** Undefined when there is nothing in it. */
  readonly lastEpoch: number | undefined
}

/** What is kept of the log for those who have not read it yet. */
export interface Hold {
  /** Changes past this one are kept. */
  readonly seq: number
  /** But of the whole log no more than this. */
  readonly bytes: number
}

/** The log of one shard: appends in memory, writes segments, reads them back. */
export class ChangeLog {
  /** The newest seq, pending ones included. */
  seq = 0
  /** The seq before the oldest one kept. */
  floor = 0
  /** Bytes of redo segments not dropped yet. */
  redoBytes = 0
  private total: number
  /** `total` of the oldest segment kept. */
  private oldestTotal: number
  private sealedRedoBytes = 0
  /** The hold that the oldest segment was found to be under. */
  private heldAt = Number.NaN
  private readonly sql: Sql
  private readonly shapes: readonly TableShape[]
  private readonly segmentBytes: number
  private readonly log = new ByteWriter(64 * 1024)
  private readonly redo = new ByteWriter(64 * 1024)
  private cuts: Cut[] = []
  private buffered = 0
  private base = 0

  /** @param shapes every table, at the index that is its id */
  constructor(sql: Sql, shapes: readonly TableShape[], segmentBytes: number) {
    this.sql = sql
    this.shapes = shapes
    this.segmentBytes = segmentBytes
    const edge = 'select first, last, total from dotdo_log order by first'
    const [oldest] = sql.raw(`${edge} limit 1`)
    const [newest] = sql.raw(`${edge} desc limit 1`)
    this.seq = Number(newest?.[1] ?? 0)
    this.floor = Number(oldest?.[0] ?? 1) - 1
    this.total = Number(newest?.[2] ?? 0)
    this.oldestTotal = Number(oldest?.[2] ?? 0)
    this.redoBytes = Number(sql.raw('select coalesce(sum(length(bytes)), 0) from dotdo_redo')[0]?.[0] ?? 0)
    this.base = this.seq
  }

  /** How many changes the running group has made so far. */
  get pending(): number {
    return this.seq - this.base
  }

  /** Whether what was committed is not there any more. */
  isUndone(): boolean {
    const [newest] = this.sql.raw('select last from dotdo_log order by first desc limit 1')
    return Number(newest?.[0] ?? 0) !== this.base
  }

  /** The newest seq that is committed. */
  get committedSeq(): number {
    return this.base
  }

  /** Append one change of the running group.
   *  @param row all columns for a put to a buffered table, else at least the key's
   *  @returns bytes of redo it took, the measure of a row's size
   *  @throws limit when the row can never be stored in its table */
  append(shape: TableShape, op: Op, row: Row, payload?: Payload): number {
    return this.add({ shape, op, row, payload })
  }

  /** Append one change, as `append` does, or with a patch, or as the last of its group. */
  add(change: Change): number {
    const { log, redo } = this
    const { shape, op, row, patch } = change
    const logStart = log.length
    const redoStart = redo.length
    const cells = op === 'put' && shape.table.buffered ? shape.cells(row) : undefined
    const keyBytes = writeEntry(log, change, cells)
    if (shape.table.buffered) {
      if (patch !== undefined) redo.bin(patch)
      else if (cells !== undefined) writeCells(redo, shape.rest, cells, shape.key.length)
      if (keyBytes + redo.length - redoStart > SQL_ROW_BYTES_MAX) {
        log.truncate(logStart)
        redo.truncate(redoStart)
        throw new Failure('limit', `a row of ${shape.table.name} may have at most ${SQL_ROW_BYTES_MAX} bytes`)
      }
      this.buffered++
    }
    this.cutBefore(logStart, redoStart)
    this.seq++
    return redo.length - redoStart
  }

  private cutBefore(log: number, redo: number): void {
    const previous = this.cuts.at(-1)
    const logFrom = previous?.log ?? 0
    const redoFrom = previous?.redo ?? 0
    const { segmentBytes } = this
    const grown = this.log.length - logFrom > segmentBytes || this.redo.length - redoFrom > segmentBytes
    if (grown && log > logFrom) this.cuts.push({ last: this.seq, log, redo })
  }

  /** Remember where the running group stands. */
  mark(): LogMark {
    const { seq, log, redo, cuts, buffered } = this
    return { seq, log: log.length, redo: redo.length, cuts: cuts.length, buffered }
  }

  /** Forget what the running group appended since `mark`. */
  rollback(mark: LogMark): void {
    this.seq = mark.seq
    this.log.truncate(mark.log)
    this.redo.truncate(mark.redo)
    this.cuts.length = mark.cuts
    this.buffered = mark.buffered
  }

  /** Put what is pending into the database; inside the group's transaction, last.
   *  @cost two statements a segment */
  write(atMs: number, epoch: number): void {
    if (this.pending === 0) return
    const ends: Cut[] = [...this.cuts, { last: this.seq, log: this.log.length, redo: this.redo.length }]
    let first = this.base + 1
    let logFrom = 0
    let redoFrom = 0
    for (const end of ends) {
      const bytes = this.log.view(logFrom).subarray(0, end.log - logFrom)
      this.total += bytes.length
      this.sql.raw(insertLog, first, end.last, atMs, epoch, this.total, bytes)
      if (this.buffered > 0) {
        this.sql.raw(insertRedo, first, this.redo.view(redoFrom).subarray(0, end.redo - redoFrom))
      }
      first = end.last + 1
      logFrom = end.log
      redoFrom = end.redo
    }
  }

  /** Forget what was pending: its commit has succeeded. */
  settle(): void {
    this.redoBytes += this.redo.length
    this.base = this.seq
    this.log.truncate(0)
    this.redo.truncate(0)
    this.cuts = []
    this.buffered = 0
  }

  /** Remember how much redo there is: that of the rows which are now to reach their tables. */
  sealRedo(): void {
    this.sealedRedoBytes = this.redoBytes + this.redo.length
  }

  /** Drop redo of changes up to `seq`, whose rows stand in their tables, a slice at a time.
   *  @returns whether all of it is gone */
  dropRedo(seq: number): boolean {
    const slice = 'select first from dotdo_redo where first <= ? order by first limit ?'
    const [last] = this.sql.raw(`select max(first), count(*) from (${slice})`, seq, REDO_DROPPED_PER_GROUP)
    if (last?.[0] != null) this.sql.raw('delete from dotdo_redo where first <= ?', last[0])
    if (Number(last?.[1]) === REDO_DROPPED_PER_GROUP) return false
    this.redoBytes -= this.sealedRedoBytes
    this.sealedRedoBytes = 0
    return true
  }

  /** Trim the oldest segments, as many as can go with `bytes` of the log still kept; the newest always stays, all that
   *  have redo, and those that are held.
   *  @cost nothing until the oldest can go, then two statements and a row a segment that goes: never a look at those
   *  that stay, whose rows are as large as the groups that wrote them */
  trim(bytes: number, hold?: Hold): void {
    if (this.total - bytes < this.oldestTotal) return
    const heldFrom = hold === undefined ? Number.POSITIVE_INFINITY : this.total - hold.bytes
    const isHeld = (last: number, total: number) => hold !== undefined && last > hold.seq && total > heldFrom
    if (hold?.seq === this.heldAt && this.oldestTotal > heldFrom) return
    const redo = this.sql.raw('select min(first) from dotdo_redo')[0]?.[0]
    const keepFrom = redo == null ? this.base : Math.min(Number(redo), this.base)
    let trimmed = 0
    let floor = this.floor
    for (const { last, total } of this.sql.iterate('select last, total from dotdo_log order by first')) {
      this.oldestTotal = Number(total)
      if (Number(last) >= keepFrom || this.oldestTotal > this.total - bytes || trimmed === LOG_TRIMMED_PER_GROUP) break
      if (isHeld(Number(last), this.oldestTotal)) {
        this.heldAt = hold?.seq ?? Number.NaN
        break
      }
      floor = Number(last)
      trimmed++
    }
    if (trimmed === 0) return
    this.sql.raw('delete from dotdo_log where first <= ?', floor)
    this.floor = floor
  }

  /** Find where to begin to read.
   *  @throws out_of_range when changes after `seq` have been trimmed, or `seq` is past the newest */
  private check(seq: number): void {
    if (seq < this.floor || seq > this.base) {
      throw new Failure(
        'out_of_range',
        `changes after ${seq} are not here: the log holds ${this.floor + 1} to ${this.base}`,
      )
    }
  }

  /** Read the segments of committed changes after `seq`, the first one perhaps from before it.
   *  @param limits segments end when there are so many changes or bytes in them; there is one at the least
   *  @throws out_of_range as `read` */
  segments(seq: number, limits: { readonly changes: number; readonly bytes: number }): Segment[] {
    this.check(seq)
    const segments: Segment[] = []
    let bytesRead = 0
    for (const { first, last, at, epoch, bytes } of this.sql.iterate(selectAfter, seq + 1, seq)) {
      const segment = { first: Number(first), last: Number(last), atMs: Number(at), epoch: Number(epoch) }
      segments.push({ ...segment, bytes: bytes as Uint8Array })
      bytesRead += (bytes as Uint8Array).length
      if (segment.last - seq >= limits.changes || bytesRead >= limits.bytes) break
    }
    return segments
  }

  /** Read committed changes after `seq`, oldest first.
   *  @param limit changes at most; fewer come when they are large (CHANGES_READ_BYTES_MAX), one segment at the least
   *  @throws out_of_range when some of them have been trimmed, or `seq` is past the newest */
  read(seq: number, limit: number): Entry[] {
    const entries: Entry[] = []
    for (const segment of this.segments(seq, { changes: limit, bytes: CHANGES_READ_BYTES_MAX })) {
      for (const entry of readEntries(segment, this.shapes)) {
        if (entry.seq > seq && entries.length < limit) entries.push(entry)
      }
    }
    return entries
  }

  /** Read committed changes after `seq` as columns.
   *  @throws out_of_range as `read` */
  columns(seq: number, range: LogRange): Omit<LogColumns, 'next' | 'more'> & Stretch {
    const segments = this.segments(seq, range)
    return { ...readLogColumns(segments, this.shapes, { after: seq, range }), ...this.stretch(seq, segments) }
  }

  /** Read which keys committed changes after `seq` were of.
   *  @throws out_of_range as `read` */
  changedKeys(seq: number, range: LogRange): Omit<ChangedKeys, 'next' | 'more'> & Stretch {
    const segments = this.segments(seq, range)
    return { ...readChangedKeys(segments, this.shapes, { after: seq, range }), ...this.stretch(seq, segments) }
  }

  private stretch(seq: number, segments: readonly Segment[]): Stretch {
    const last = segments.at(-1)
    return { last: last?.last ?? seq, lastEpoch: last?.epoch }
  }

  /** Read what the running group has appended so far. */
  readPending(): Entry[] {
    return this.pending === 0 ? [] : this.entries(this.base + 1, this.log.view())
  }

  /** Replay the redo, oldest first.
   *  @param apply gets each change to a buffered table; a put's row is whole */
  replay(apply: (shape: TableShape, op: Op, row: Row) => void): void {
    const statement = `select l.first, l.bytes, r.bytes from dotdo_redo r join dotdo_log l on l.first = r.first
      where r.first > ? order by r.first limit 16`
    const whole = new WholeRows()
    let after = -1
    for (;;) {
      const segments = this.sql.raw(statement, after)
      for (const [first, log, redo] of segments) {
        const rest = new ByteReader(redo as Uint8Array)
        for (const entry of this.entries(Number(first), log as Uint8Array)) {
          if (!entry.shape.table.buffered) continue
          const { shape, op, key } = entry
          if (entry.isPatch) {
            const row = whole.patch(shape, key, rest.bin())
            if (row !== undefined) apply(shape, op, row)
            continue
          }
          if (op === 'put') whole.note(shape, readColumns(rest, shape.rest, key))
          apply(shape, op, key)
        }
        after = Number(first)
      }
      if (segments.length < 16) return
    }
  }

  private entries(first: number, bytes: Uint8Array): Entry[] {
    return readEntries({ first, last: 0, atMs: 0, epoch: 0, bytes }, this.shapes)
  }
}

// By `first`, which is the key: looking at every `last` would be a look at the whole log.
const selectAfter = `select first, last, at, epoch, bytes from dotdo_log where first >=
  coalesce((select first from dotdo_log where first <= ? order by first desc limit 1), 0) and last > ? order by first`
const insertLog = 'insert into dotdo_log (first, last, at, epoch, total, bytes) values (?, ?, ?, ?, ?, ?)'
const insertRedo = 'insert into dotdo_redo (first, bytes) values (?, ?)'
