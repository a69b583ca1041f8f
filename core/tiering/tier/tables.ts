/** What a tiered shard keeps beside its rows: nobody sees these tables, and nothing logs them.
 *
 *  1. `tier_index` says where each row of a mirror is, as of the watermark. Its rows move with their slots.
 *     A row that came with its slot has `arrived` until it is written anew: nothing in the log here may speak of it,
 *     when it was removed before its slot moved.
 *  2. `tier_pending` has what a receipt will make of the index, from when it is written until it is settled. Its rows
 *     stay when slots move: what they say is then settled as `tier_gone`.
 *  3. `tier_gone` has positions that the next commit deletes and that belong to no row here: rows of slots that have
 *     moved, and (`own`) rows of the receipt's own files that changed again while these were written.
 *     A position may be there twice, once by each of the files that have its row (places.ts). */
import { type Bin, ByteReader, ByteWriter, fromBin, toBin } from '../../bytes.ts'
import { readColumns, shapeOf, type TableShape, writeColumns } from '../../shard/row-codec.ts'
import { internalTable, type Row, type Table } from '../../shard/table.ts'

/** A row of the key index. */
export type IndexRow = {
  /** -1 for tables whose rows all live in one slot: these never move. */
  slot: number
  collection: string
  /** The primary key's columns (keyBytes). */
  key: Bin
  file: number
  pos: number
  /** Where a rewrite puts the row, if it is committed; -1 for a position when it puts it nowhere. */
  alt_file: number | null
  alt_pos: number | null
  /** Of the change that made the row as it is, as far as known, and when that was. */
  seq: number
  at: number
  /** Of the payload; 0 when there is none that could leave. */
  bytes: number
  /** 1 when the payload is in the lake alone. */
  cold: number
  /** 1 when it came with its slot, and has not been written here. */
  arrived: number
}

/** Where each row of a mirror is. */
export const tierIndex = internalTable<IndexRow>({
  name: 'tier_index',
  columns: {
    slot: 'integer',
    collection: 'text',
    key: 'bin',
    file: 'integer',
    pos: 'integer',
    alt_file: 'integer?',
    alt_pos: 'integer?',
    seq: 'integer',
    at: 'integer',
    bytes: 'integer',
    cold: 'integer',
    arrived: 'integer',
  },
  primaryKey: ['slot', 'collection', 'key'],
  withoutRowid: true,
  indexes: {
    hot: '(collection, at) where cold = 0 and bytes > 0',
    cold: '(collection) where cold = 1',
    file: '(collection, file)',
    alt: '(collection, alt_file) where alt_file is not null',
    arrived: '(collection) where arrived = 1',
  },
  arrived: (row) => ({ ...row, arrived: 1 }),
})

/** What a receipt makes of the index; `file` is null for a row that has gone. */
export const tierPending = internalTable<Omit<IndexRow, 'file' | 'arrived'> & { file: number | null }>({
  name: 'tier_pending',
  columns: {
    collection: 'text',
    key: 'bin',
    slot: 'integer',
    file: 'integer?',
    pos: 'integer',
    alt_file: 'integer?',
    alt_pos: 'integer?',
    seq: 'integer',
    at: 'integer',
    bytes: 'integer',
    cold: 'integer',
  },
  primaryKey: ['collection', 'key'],
  withoutRowid: true,
})

/** Positions that the next commit deletes and that are no row's here. */
export const tierGone = internalTable<{
  collection: string
  file: number
  pos: number
  own: number
  moved_to: number | null
}>({
  name: 'tier_gone',
  columns: { collection: 'text', file: 'integer', pos: 'integer', own: 'integer', moved_to: 'integer?' },
  primaryKey: ['collection', 'file', 'pos'],
  withoutRowid: true,
})

/** State and receipts, as JSON by name. */
export const tierState = internalTable<{ name: string; value: string }>({
  name: 'tier_state',
  columns: { name: 'text', value: 'text' },
  primaryKey: ['name'],
})

/** What could not be written to the other tables of the lake, until it stands in `dead_letters`. */
export const tierDead = internalTable<DeadRow>({
  name: 'tier_dead',
  columns: {
    number: 'integer',
    type: 'text',
    id: 'text',
    reason: 'text',
    data: 'text?',
    at: 'integer',
    seq: 'integer',
  },
  primaryKey: ['number'],
})

/** A dead letter; `number` counts them, from 1, in this shard. */
export type DeadRow = {
  number: number
  type: string
  id: string
  reason: string
  data: string | null
  at: number
  seq: number
}

/** All of them. */
export const tierTables: readonly Table[] = [tierIndex, tierPending, tierGone, tierState, tierDead]

const shapes = new WeakMap<Table, TableShape>()

function keyShape(table: Table): TableShape {
  const known = shapes.get(table)
  if (known !== undefined) return known
  const made = shapeOf(table, 0)
  shapes.set(table, made)
  return made
}

const writer = new ByteWriter(1024)

/** Write a row's primary key as one value. */
export function keyBytes(table: Table, key: Row): Bin {
  writer.truncate(0)
  writeColumns(writer, keyShape(table).key, key)
  return toBin(writer.view())
}

/** Read a primary key back. */
export function keyRow(table: Table, key: Bin): Row {
  return readColumns(new ByteReader(fromBin(key)), keyShape(table).key, {})
}

/** The slot under which a row is indexed. */
export function slotOf(table: Table, key: Row): number {
  return table.primaryKey[0] === 'slot' ? Number(key.slot) : -1
}

/** Whether a key agrees with what a truncate was given. */
export function agrees(key: Row, where: Row): boolean {
  for (const [column, value] of Object.entries(where)) if (!same(key[column], value)) return false
  return true
}

function same(a: Row[string] | undefined, b: Row[string]): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return toBin(a) === toBin(b)
  return a === b
}
