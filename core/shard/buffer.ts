/** A buffered table: rows in memory in front of their SQL table.
 *
 *  1. A put or remove changes memory; the log and redo make it durable (log.ts). The SQL table follows later.
 *  2. An entry is clean (`generation` 0) or dirty in a generation. `seal` closes the running generation; its rows are
 *     then drained to SQL in slot order, a slice with each group; when all are there, their redo may be dropped.
 *  3. A row rewritten after the seal is dirty in the newer generation, whose redo holds it: the drain passes it over.
 *  4. Clean rows live in two maps, young and old; when young is full, old is dropped but for its dirty rows.
 *  5. A payload leaves and comes back in memory and in SQL at once, a dirty row's other columns with it: there is no
 *     redo of that, so a replayed row has the payload of its put, or the one that SQL has kept. */
import { isCold } from './cold.ts'
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

/** How far back the undo list is searched before a settle is taken to need a savepoint. */
const UNDO_SEARCHED_MAX = 300

/** One table's rows in memory. Undo is a flat list of (entry, row, generation) triples, or functions. */
export class BufferedTable {
  readonly shape: TableShape
  private readonly sql: Sql
  private readonly statements: Statements
  private readonly limits: CacheLimits
  private readonly identity: Identity
  private young: RowMap
  private old: RowMap
  private youngBytes = 0
  private generation = 1
  private dirty = new Map<number, Entry[]>()
  private sealed: Entry[] = []
  private undo: unknown[] = []
  /** Rows written since the last seal, rewrites of the same row counted once. */
  dirtyRows = 0

  constructor(sql: Sql, shape: TableShape, limits: CacheLimits) {
    this.sql = sql
    this.shape = shape
    this.limits = limits
    this.statements = new Statements(shape.table)
    this.identity = identityOf(shape)
    this.young = new RowMap(this.identity)
    this.old = new RowMap(this.identity)
  }

  /** @returns the row, borrowed, or undefined */
  find(probe: Row): Row | undefined {
    const hash = this.identity.hash(probe) | 0
    return (this.recall(hash, probe) ?? this.load(hash, probe)).row
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
    if (this.young.size >= this.limits.rows || this.youngBytes >= this.limits.bytes) this.rotate()
  }

  private rotate(): void {
    const { old, young } = this
    this.old = young
    this.young = new RowMap(this.identity)
    this.youngBytes = 0
    for (const entry of old) if (entry.generation !== 0) this.young.add(entry)
  }

  private load(hash: number, probe: Row): Entry {
    const [found] = this.sql.all(this.statements.find, ...this.statements.keyValues(probe))
    const row = found === undefined ? undefined : this.fromSql(found)
    const sizeBytes = row === undefined ? entryOverheadBytes : rowBytes(row)
    const key = row ?? this.keyOf(probe)
    const maybeInSql = row !== undefined
    const entry: Entry = { row, key, hash, next: undefined, generation: 0, maybeInSql, sizeBytes }
    this.keep(entry)
    return entry
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
    const hash = this.identity.hash(probe) | 0
    let entry = this.recall(hash, probe)
    if (entry === undefined) {
      const key = row ?? this.keyOf(probe)
      const size = sizeBytes + entryOverheadBytes
      const maybeInSql = !isNew
      entry = { row: undefined, key, hash, next: undefined, generation: -1, maybeInSql, sizeBytes: size }
      this.keep(entry)
    }
    this.undo.push(entry, entry.row, entry.generation)
    entry.row = row
    if (row !== undefined) entry.key = row
    this.youngBytes += sizeBytes + entryOverheadBytes - entry.sizeBytes
    entry.sizeBytes = sizeBytes + entryOverheadBytes
    if (entry.generation !== this.generation) this.markDirty(entry)
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

  /** Where to roll back to. */
  mark(): number {
    return this.undo.length
  }

  /** Undo what was done since `mark`. */
  rollback(mark: number): void {
    while (this.undo.length > mark) {
      const generation = this.undo.pop()
      if (typeof generation === 'function') {
        generation()
        continue
      }
      const row = this.undo.pop() as Row | undefined
      const entry = this.undo.pop() as Entry
      entry.row = row
      entry.generation = generation as number
      // It was not in memory before: forget it, so that the next look-up reads it.
      if (entry.generation === -1) this.forget(entry)
      else if (entry.generation !== 0) this.restore(entry)
    }
  }

  /** An entry that is dirty again may have been settled, let go of as a clean one, and read back as another. */
  private restore(entry: Entry): void {
    for (const map of [this.young, this.old]) {
      const known = map.find(entry.hash, entry.key)
      if (known === entry) return
      if (known !== undefined) map.delete(known)
    }
    this.young.add(entry)
  }

  private forget(entry: Entry): void {
    entry.generation = 0
    if (!this.young.delete(entry)) this.old.delete(entry)
  }

  /** Whether rows of the slots that changed since `mark` are in memory only. Looks at no more than the latest changes:
   *  past those it says yes. */
  isDirtySince(mark: number, fromSlot: number, toSlot: number): boolean {
    const { undo } = this
    const first = Math.max(mark, undo.length - UNDO_SEARCHED_MAX)
    for (let at = undo.length; at > first; ) {
      if (typeof undo[at - 1] === 'function') {
        at -= 1
        continue
      }
      const { generation, key } = undo[at - 3] as Entry
      at -= 3
      const slot = key.slot as number
      if (generation !== 0 && slot >= fromSlot && slot <= toSlot) return true
    }
    return first > mark
  }

  /** Have `work` done if what comes after this is undone. */
  onUndo(work: () => void): void {
    this.undo.push(work)
  }

  /** Forget how to undo: the group is committed. */
  commit(): void {
    if (this.undo.length > 0) this.undo = []
  }

  /** Write the dirty rows of the slots to SQL, so that it sees what memory holds.
   *  @cost one statement a dirty row */
  settle(fromSlot: number, toSlot: number): void {
    const { sealed, dirty } = this
    for (let i = this.firstSealed(fromSlot); i < sealed.length; i++) {
      const entry = sealed[i] as Entry
      if ((entry.key.slot as number) > toSlot) break
      if (entry.generation === this.generation - 1) this.settleEntry(entry)
    }
    const settled: [number, Entry[]][] = []
    for (const slot of this.dirtySlots(fromSlot, toSlot)) {
      const list = dirty.get(slot) as Entry[]
      for (const entry of list) if (entry.generation === this.generation) this.settleEntry(entry)
      settled.push([slot, list])
      dirty.delete(slot)
    }
    if (settled.length === 0) return
    this.undo.push(() => {
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

  private settleEntry(entry: Entry): void {
    this.undo.push(entry, entry.row, entry.generation)
    this.store(entry)
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
      if (freed > 0) this.undo.push(() => this.forgetClean(hash, probe))
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
    const { statements } = this
    const [found] = this.sql.all(statements.find, ...statements.keyValues(probe))
    return found === undefined ? null : (statements.fromSql(found)[statements.payload as string] ?? null)
  }

  /** Change a row in memory and in SQL alike. */
  private replace(entry: Entry, row: Row): void {
    const { row: before, generation, sizeBytes } = entry
    this.undo.push(() => {
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
    for (let budget = rows; budget > 0 && sealed.length > 0; ) {
      const entry = sealed.pop() as Entry
      if (entry.generation !== generation) continue
      this.store(entry)
      budget--
    }
    return sealed.length
  }

  /** Remove every row that agrees with `where`, in memory and in SQL; inside a savepoint, so that it can be undone. */
  truncate(where: Row): void {
    this.settle(0, Number.MAX_SAFE_INTEGER)
    const { young, old, youngBytes } = this
    this.young = new RowMap(this.identity)
    this.old = new RowMap(this.identity)
    this.youngBytes = 0
    this.undo.push(() => {
      this.young = young
      this.old = old
      this.youngBytes = youngBytes
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
