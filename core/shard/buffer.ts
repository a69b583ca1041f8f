/** A buffered table: rows in memory in front of their SQL table.
 *
 *  1. A put or remove changes memory; the log and redo make it durable (log.ts). The SQL table follows later.
 *  2. An entry is clean (`generation` 0) or dirty in a generation. `seal` closes the running generation; its rows are
 *     then drained to SQL in slot order, a slice with each group; when all are there, their redo may be dropped.
 *  3. A row rewritten after the seal is dirty in the newer generation, whose redo holds it: the drain passes it over.
 *  4. Clean rows live in two maps, young and old; when young is full, old is dropped but for its dirty rows.
 *  5. As long as memory has let go of no row of a table that began empty, it need not ask SQL for one it has not.
 *  6. A payload leaves and comes back in memory and in SQL at once, a dirty row's other columns with it: there is no
 *     redo of that, so a replayed row has the payload of its put, or the one that SQL has kept.
 *  7. A row may be owed to the log: it is in memory, and logged as it is then at the end of the group. */
import { isCold } from './cold.ts'
import type { Journal, Undoer } from './journal.ts'
import type { Unsettled } from './program.ts'
import type { TableShape } from './row-codec.ts'
import { type Entry, identityOf, RowMap } from './row-map.ts'
import type { Sql, SqlRow, SqlValue } from './sql.ts'
import { Statements } from './statements.ts'
import type { Identity, Row } from './table.ts'

/** How much a buffer may keep in memory, per generation of its cache. */
export interface CacheLimits {
  rows: number
  bytes: number
}

const entryOverheadBytes = 150

/** Rows of up to so many bytes are written several at a time. */
const togetherBytesMax = 8192

/** Rows read ahead may take so many bytes. */
const aheadBytesMax = 256 * 1024

/** One table's rows in memory. */
export class BufferedTable implements Undoer {
  readonly shape: TableShape
  private readonly sql: Sql
  private readonly statements: Statements
  private readonly limits: CacheLimits
  private readonly identity: Identity
  private young: RowMap
  private old: RowMap
  private youngBytes = 0
  /** Dirty rows that were in `young` when it began, and their bytes. */
  private carriedRows = 0
  private carriedBytes = 0
  private generation = 1
  private dirty = new Map<number, Entry[]>()
  private sealed: Entry[] = []
  private readonly journal: Journal
  /** Whether memory has every row that SQL has; undefined until somebody wants to know. */
  private complete: boolean | undefined = undefined
  /** The entry asked for last, if it is in memory: a call asks for the same row several times. */
  private last: Entry | undefined
  /** Rows that the log has not been told of. */
  private owed: Entry[] = []
  /** Rows written since the last seal, rewrites of the same row counted once. */
  dirtyRows = 0

  constructor(sql: Sql, shape: TableShape, { limits, journal }: { limits: CacheLimits; journal: Journal }) {
    this.sql = sql
    this.journal = journal
    this.shape = shape
    this.limits = limits
    this.statements = new Statements(shape.table)
    this.identity = identityOf(shape)
    this.young = new RowMap(this.identity)
    this.old = new RowMap(this.identity)
  }

  /** @returns the row, borrowed, or undefined */
  find(probe: Row): Row | undefined {
    const { last } = this
    if (last !== undefined && this.identity.same(last.key, probe)) return last.row
    const hash = this.identity.hash(probe) | 0
    const entry = this.recall(hash, probe) ?? this.load(hash, probe)
    this.last = entry
    return entry.row
  }

  /** Find what memory knows of a row, and keep it longer. */
  private recall(hash: number, probe: Row): Entry | undefined {
    const known = this.young.find(hash, probe)
    if (known !== undefined || this.old.size === 0) return known
    const entry = this.old.find(hash, probe)
    if (entry !== undefined) {
      this.old.delete(entry)
      this.keep(entry)
    }
    return entry
  }

  private keep(entry: Entry): void {
    this.young.add(entry)
    this.youngBytes += entry.sizeBytes
    const { limits, carriedRows, carriedBytes } = this
    // What was carried over is carried over again: not before as much has come, or it would be for every row.
    const isFull = this.young.size - carriedRows >= Math.max(limits.rows, carriedRows)
    if (isFull || this.youngBytes >= Math.max(limits.bytes, carriedBytes)) this.rotate()
  }

  private rotate(): void {
    const { old, young } = this
    this.last = undefined
    if (old.size > 0) this.complete = false
    this.old = young
    this.young = new RowMap(this.identity)
    this.youngBytes = 0
    this.carriedBytes = 0
    for (const entry of old) {
      if (entry.generation === 0) continue
      this.young.add(entry)
      this.carriedBytes += entry.sizeBytes
    }
    this.carriedRows = this.young.size
  }

  private load(hash: number, probe: Row): Entry {
    this.complete ??= this.sql.raw(this.statements.any).length === 0
    const row = this.complete ? undefined : this.read(probe)
    const sizeBytes = row === undefined ? entryOverheadBytes : rowBytes(row)
    const key = row ?? this.keyOf(probe)
    const maybeInSql = row !== undefined
    const entry: Entry = { row, key, hash, next: undefined, generation: 0, maybeInSql, isOwed: false, sizeBytes }
    this.keep(entry)
    return entry
  }

  private read(probe: Row): Row | undefined {
    const [found] = this.sql.all(this.statements.find, ...this.statements.keyValues(probe))
    return found === undefined ? undefined : this.fromSql(found)
  }

  /** Unless a row is in memory, read it with those beside it: one statement instead of as many as will be asked for.
   *  @param count how many, itself included
   *  @param step -1 for those before it */
  readAhead(probe: Row, count: number, step: 1 | -1): void {
    const { last, identity, young, old, statements } = this
    if (this.complete || (last !== undefined && identity.same(last.key, probe))) return
    const known = identity.hash(probe) | 0
    if ((young.find(known, probe) ?? old.find(known, probe)) !== undefined) return
    const rows: Row[] = []
    let bytes = 0
    for (const found of statements.run(this.sql, probe, count, step)) {
      const row = this.fromSql(found)
      rows.push(row)
      bytes += rowBytes(row)
      if (bytes > aheadBytesMax) break
    }
    for (const row of rows) {
      const hash = identity.hash(row) | 0
      // What memory knows is newer.
      if ((this.young.find(hash, row) ?? this.old.find(hash, row)) !== undefined) continue
      const sizeBytes = rowBytes(row)
      this.keep({ row, key: row, hash, next: undefined, generation: 0, maybeInSql: true, isOwed: false, sizeBytes })
    }
  }

  private keyOf(probe: Row): Row {
    const key: Row = {}
    for (const { name } of this.shape.key) key[name] = probe[name] as SqlValue
    return key
  }

  /** Turn a row of SQL into a row of the table. */
  fromSql(found: SqlRow): Row {
    return this.statements.fromSql(found)
  }

  /** Change a row in memory.
   *  @param row the new row, owned from here on; undefined to remove
   *  @param sizeBytes what the row took in the redo
   *  @param isNew whether there is no such row, as the caller knows */
  set(probe: Row, row: Row | undefined, sizeBytes: number, isNew = false): void {
    let entry = this.last
    let hash = 0
    if (entry === undefined || !this.identity.same(entry.key, probe)) {
      hash = this.identity.hash(probe) | 0
      entry = this.recall(hash, probe)
    }
    if (entry === undefined) {
      const key = row ?? this.keyOf(probe)
      const size = sizeBytes + entryOverheadBytes
      const maybeInSql = !isNew && this.complete !== true
      entry = { row: undefined, key, hash, next: undefined, generation: -1, maybeInSql, isOwed: false, sizeBytes: size }
      this.keep(entry)
    }
    this.last = entry
    this.journal.note(entry, entry.row, entry.generation, this)
    entry.row = row
    // What is known to be absent must not keep what it was.
    entry.key = row ?? this.keyOf(probe)
    this.youngBytes += sizeBytes + entryOverheadBytes - entry.sizeBytes
    entry.sizeBytes = sizeBytes + entryOverheadBytes
    if (entry.generation !== this.generation) this.markDirty(entry)
  }

  /** Whether the redo of the running generation has a row, so that a patch of it will do. */
  isInRedo(probe: Row): boolean {
    const { last } = this
    const isLast = last !== undefined && this.identity.same(last.key, probe)
    const entry = isLast ? last : this.recall(this.identity.hash(probe) | 0, probe)
    if (entry === undefined) return false
    this.last = entry
    return entry.row !== undefined && entry.generation === this.generation
  }

  /** Store a row in memory; the log is to be told of it at the end of the group, by `takeOwed`. */
  owe(row: Row, sizeBytes: number): void {
    this.set(row, row, sizeBytes)
    const entry = this.last as Entry
    if (entry.isOwed) return
    entry.isOwed = true
    this.owed.push(entry)
    this.journal.onUndo(() => {
      entry.isOwed = false
      this.owed.pop()
    })
  }

  /** @returns the rows that are owed to the log, as they are now; those that have gone are not among them */
  takeOwed(): Row[] {
    const rows: Row[] = []
    for (const entry of this.owed) {
      entry.isOwed = false
      // The entry may have been let go of, and the row be in another.
      const row = this.find(entry.key)
      if (row !== undefined) rows.push(row)
    }
    if (rows.length > 0) this.owed = []
    else this.owed.length = 0
    return rows
  }

  private markDirty(entry: Entry): void {
    entry.generation = this.generation
    this.dirtyRows++
    const slot = entry.key.slot as number
    const list = this.dirty.get(slot)
    if (list === undefined) this.dirty.set(slot, [entry])
    else list.push(entry)
  }

  /** Sealed rows not drained yet, those rewritten since included. */
  get sealedRows(): number {
    return this.sealed.length
  }

  /** Undo a change of an entry. */
  undo(entry: Entry, row: Row | undefined, generation: number): void {
    entry.row = row
    entry.generation = generation
    // It was not in memory before: forget it, so that the next look-up reads it.
    if (generation === -1) this.forget(entry)
    else if (generation !== 0) this.restore(entry)
  }

  /** An entry that is dirty again may have been settled, let go of as a clean one, and read back as another. */
  private restore(entry: Entry): void {
    this.last = undefined
    for (const map of [this.young, this.old]) {
      const known = map.find(entry.hash, entry.key)
      if (known === entry) return
      if (known !== undefined) map.delete(known)
    }
    this.young.add(entry)
  }

  private forget(entry: Entry): void {
    entry.generation = 0
    this.last = undefined
    if (!this.young.delete(entry)) this.old.delete(entry)
  }

  /** Write the dirty rows of the slots to SQL, so that it sees what memory holds.
   *  @cost a statement for some dirty rows */
  settle(fromSlot: number, toSlot: number): void {
    const { sealed, dirty } = this
    const due: Entry[] = []
    const note = (entry: Entry) => {
      this.journal.note(entry, entry.row, entry.generation, this)
      entry.generation = 0
      due.push(entry)
    }
    for (let i = this.firstSealed(fromSlot); i < sealed.length; i++) {
      const entry = sealed[i] as Entry
      if ((entry.key.slot as number) > toSlot) break
      if (entry.generation === this.generation - 1) note(entry)
    }
    const settled: [number, Entry[]][] = []
    for (const slot of this.dirtySlots(fromSlot, toSlot)) {
      const list = dirty.get(slot) as Entry[]
      for (const entry of list) if (entry.generation === this.generation) note(entry)
      settled.push([slot, list])
      dirty.delete(slot)
    }
    this.storeAll(due)
    if (settled.length === 0) return
    this.journal.onUndo(() => {
      for (const [slot, list] of settled) dirty.set(slot, [...list, ...(dirty.get(slot) ?? [])])
    })
  }

  /** Find the rows of a slot that are in memory only.
   *  @returns some of them twice, perhaps; undefined when there may be more than `limit` */
  unsettled(slot: number, limit: number): readonly Unsettled[] | undefined {
    const { sealed, generation } = this
    const found: Entry[] = []
    const first = sealed.length === 0 ? 0 : this.firstSealed(slot)
    for (let at = first; at < sealed.length && (sealed[at] as Entry).key.slot === slot; at++) {
      if (at - first >= limit) return undefined
      const entry = sealed[at] as Entry
      if (entry.generation === generation - 1) found.push(entry)
    }
    const dirty = this.dirty.get(slot) ?? []
    if (found.length + dirty.length > limit) return undefined
    for (const entry of dirty) if (entry.generation === generation) found.push(entry)
    return found
  }

  /** @returns where the entries of `slot` and beyond begin in `sealed`, which is in slot order */
  private firstSealed(slot: number): number {
    const { sealed } = this
    let low = 0
    for (let high = sealed.length; low < high; ) {
      const middle = (low + high) >> 1
      if ((sealed[middle]?.key.slot as number) < slot) low = middle + 1
      else high = middle
    }
    return low
  }

  /** @returns the slots from one to another that have dirty rows, looking at as few as it can */
  private dirtySlots(fromSlot: number, toSlot: number): number[] {
    const { dirty } = this
    if (toSlot - fromSlot >= dirty.size) return [...dirty.keys()].filter((slot) => slot >= fromSlot && slot <= toSlot)
    const slots: number[] = []
    for (let slot = fromSlot; slot <= toSlot; slot++) if (dirty.has(slot)) slots.push(slot)
    return slots
  }

  /** Write entries to SQL, small ones together. */
  private storeAll(entries: readonly Entry[]): void {
    const { statements, sql } = this
    const rows: Row[] = []
    for (const entry of entries) {
      if (entry.row === undefined || entry.sizeBytes > togetherBytesMax) {
        this.store(entry)
        continue
      }
      entry.maybeInSql = true
      rows.push(entry.row)
      if (rows.length < statements.many) continue
      statements.putMany(sql, rows)
      rows.length = 0
    }
    for (const row of rows) sql.raw(statements.upsert, ...statements.values(row))
  }

  private store(entry: Entry): void {
    const { statements, sql } = this
    if (entry.row !== undefined) {
      sql.raw(statements.upsert, ...statements.values(entry.row))
      // Never false again: the statement that removes it may be rolled back.
      entry.maybeInSql = true
    } else if (entry.maybeInSql) sql.raw(statements.remove, ...statements.keyValues(entry.key))
    entry.generation = 0
  }

  /** Let go of a row's payload; inside a savepoint, so that it can be undone.
   *  @returns the bytes it took; 0 when there was none */
  evictPayload(probe: Row): number {
    const { statements } = this
    const column = statements.payload as string
    const hash = this.identity.hash(probe) | 0
    const entry = this.young.find(hash, probe) ?? this.old.find(hash, probe)
    if (entry === undefined) {
      const freed = statements.evict(this.sql, probe)
      if (freed > 0) this.journal.onUndo(() => this.forgetClean(hash, probe))
      return freed
    }
    const payload = entry.row?.[column] ?? null
    if (entry.row === undefined || payload === null) return 0
    this.replace(entry, { ...entry.row, [column]: null })
    return sizeOf(payload)
  }

  /** Put the payload of a row that is here and cold back; inside a savepoint, so that it can be undone.
   *  @returns whether it was */
  restorePayload(probe: Row, payload: SqlValue): boolean {
    const hash = this.identity.hash(probe) | 0
    const entry = this.recall(hash, probe) ?? this.load(hash, probe)
    if (entry.row === undefined || !isCold(this.shape.table, entry.row)) return false
    this.replace(entry, { ...entry.row, [this.statements.payload as string]: payload })
    return true
  }

  /** @returns the payload that a row has in SQL, whatever memory holds */
  storedPayload(probe: Row): SqlValue {
    return this.read(probe)?.[this.statements.payload as string] ?? null
  }

  /** Change a row in memory and in SQL alike. */
  private replace(entry: Entry, row: Row): void {
    const { row: before, generation, sizeBytes } = entry
    this.journal.onUndo(() => {
      entry.row = before
      entry.generation = generation
      entry.sizeBytes = sizeBytes
      // It may have been let go of as a clean one, and read back as another.
      this.restore(entry)
    })
    entry.row = row
    entry.key = row
    entry.sizeBytes = rowBytes(row)
    this.youngBytes += entry.sizeBytes - sizeBytes
    this.store(entry)
  }

  /** What SQL no longer holds must be read anew. */
  private forgetClean(hash: number, probe: Row): void {
    this.last = undefined
    for (const map of [this.young, this.old]) {
      const known = map.find(hash, probe)
      if (known?.generation === 0) map.delete(known)
    }
  }

  /** Close the running generation; call it only when nothing is sealed. */
  seal(): void {
    const slots = [...this.dirty.keys()].sort((a, b) => a - b)
    this.sealed = []
    for (const slot of slots) {
      for (const entry of this.dirty.get(slot) as Entry[]) {
        if (entry.generation === this.generation) this.sealed.push(entry)
      }
    }
    // Drained from the end: the highest slots first.
    this.dirty = new Map()
    this.dirtyRows = 0
    this.generation++
  }

  /** Write sealed rows to SQL, in the group's transaction.
   *  @param rows at most so many
   *  @returns how many are left */
  drain(rows: number): number {
    const { sealed } = this
    const generation = this.generation - 1
    const due: Entry[] = []
    while (due.length < rows && sealed.length > 0) {
      const entry = sealed.pop() as Entry
      if (entry.generation !== generation) continue
      entry.generation = 0
      due.push(entry)
    }
    this.storeAll(due)
    return sealed.length
  }

  /** Remove every row that agrees with `where`, in memory and in SQL; inside a savepoint, so that it can be undone. */
  truncate(where: Row): void {
    this.settle(0, Number.MAX_SAFE_INTEGER)
    const { young, old, youngBytes, carriedRows, carriedBytes, complete } = this
    this.last = undefined
    // The rows that stay are in SQL alone from here on.
    if (Object.keys(where).length > 0) this.complete = false
    this.carriedRows = 0
    this.carriedBytes = 0
    this.young = new RowMap(this.identity)
    this.old = new RowMap(this.identity)
    this.youngBytes = 0
    this.journal.onUndo(() => {
      this.last = undefined
      this.young = young
      this.old = old
      this.complete = complete
      this.youngBytes = youngBytes
      this.carriedRows = carriedRows
      this.carriedBytes = carriedBytes
    })
    this.statements.truncate(this.sql, where)
  }
}

function rowBytes(row: Row): number {
  let sizeBytes = entryOverheadBytes
  for (const value of Object.values(row)) sizeBytes += sizeOf(value)
  return sizeBytes
}

function sizeOf(value: SqlValue): number {
  return typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
}
