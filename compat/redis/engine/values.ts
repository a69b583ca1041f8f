/** Values of rows: the one place where what a row holds becomes a Bin. A row whose value is cold stops the call here,
 *  and the shard runs it again when the value is back. */
import { type Bin, toBin } from '@dotdo/core/bytes'
import type { View } from '@dotdo/core/shard'
import { type FieldRow, fields, type KeyRow, keys } from '../tables.ts'
import { readLarge } from './chunks.ts'

/** A field and its value. */
export type Pair = readonly [Bin, Bin]

/** A field as SQL gives it. */
export type FieldCells = readonly [hash: number, field: Uint8Array, value: Uint8Array | null]

/** Read the value of a string.
 *  @param row of a key that is a string */
export function readValue(view: View, row: KeyRow): Bin {
  if (row.meta !== null) return readLarge(view, row)
  return (row.value ?? view.whole(keys, row).value) as Bin
}

/** Read the values of strings, all cold ones at once.
 *  @param rows undefined for those that shall answer undefined */
export function readValues(view: View, rows: readonly (KeyRow | undefined)[]): (Bin | undefined)[] {
  const values: (Bin | undefined)[] = []
  for (const row of rows) {
    if (row?.value === null) view.wholeAll(keys, rows.filter(isRow))
    values.push(row === undefined || row.meta === null ? (row?.value as Bin | undefined) : readLarge(view, row))
  }
  return values
}

/** Read the value of a field. */
export function readFieldValue(view: View, row: FieldRow): Bin {
  return (row.value ?? view.whole(fields, row).value) as Bin
}

/** Read the values of fields, all cold ones at once.
 *  @param rows undefined for those that shall answer undefined */
export function readFieldValues(view: View, rows: readonly (FieldRow | undefined)[]): (Bin | undefined)[] {
  const values: (Bin | undefined)[] = []
  for (const row of rows) {
    if (row?.value === null) view.wholeAll(fields, rows.filter(isRow))
    values.push(row?.value as Bin | undefined)
  }
  return values
}

function isRow<R>(row: R | undefined): row is R {
  return row !== undefined
}

/** Read fields that SQL has given with their values, all cold ones at once.
 *  @param hash the key that they are fields of */
export function pairsOf(view: View, hash: Pick<KeyRow, 'slot' | 'db' | 'key'>, found: readonly FieldCells[]): Pair[] {
  const { slot, db, key } = hash
  const toRow = ([place, field, value]: FieldCells): FieldRow => {
    return { slot, db, key, hash: place, field: toBin(field), value, expires: null }
  }
  return found.map(([, field, value]): Pair => {
    if (value === null) view.wholeAll(fields, found.map(toRow))
    return [toBin(field), toBin(value as Uint8Array)]
  })
}
