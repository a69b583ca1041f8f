/** Strings, and the numbers they may hold. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import { type KeyRow, keys } from '../tables.ts'
import { isLarge, readLarge, WHOLE_BYTES_MAX, writeChunks } from './chunks.ts'
import { addInt64, type Int64, parseInt64 } from './integers.ts'
import { alive, checkString, findKey, type KeyProbe, probeKey, putKey, putLarge, putString, wrongType } from './keys.ts'
import { addLongDoubles, formatLongDouble, type LongDouble, parseLongDouble } from './long-double.ts'
import { readValue } from './values.ts'

/** A string key about to be written. */
export interface Target {
  readonly probe: KeyProbe
  /** The row as it is in the table, even when expired. */
  readonly stored: KeyRow | undefined
  /** The row when it is alive; then it is a string. */
  readonly row: KeyRow | undefined
}

/** Find a string that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findString(view: View, db: number, key: Bin): KeyRow | undefined {
  const row = findKey(view, db, key)
  if (row !== undefined && row.type !== 'string') throw wrongType()
  return row
}

/** Read a string.
 *  @returns undefined when there is none
 *  @throws type_mismatch when the key holds another type */
export function readString(view: View, db: number, key: Bin): Bin | undefined {
  const row = findKey(view, db, key)
  if (row === undefined) return undefined
  if (row.type !== 'string') throw wrongType()
  return readValue(view, row)
}

/** Look at a key that a string command is about to write.
 *  @throws type_mismatch when the key holds another type */
export function targetString(view: View, db: number, key: Bin): Target {
  const probe = probeKey(db, key)
  const stored = view.find(keys, probe)
  const row = alive(view, stored)
  if (row !== undefined && row.type !== 'string') throw wrongType()
  return { probe, stored, row }
}

/** Read the value of a target.
 *  @returns undefined when there is none */
export function targetValue(view: View, { row }: Target): Bin | undefined {
  return row === undefined ? undefined : readValue(view, row)
}

/** Give the target a new value, keeping when it expires. */
export function replaceValue(tx: Tx, { probe, stored, row }: Target, value: Bin): void {
  putString(tx, probe, stored, value, row === undefined ? null : row.expires)
}

/** Add to the integer that a string holds; an absent key counts as 0.
 *  @throws invalid when the value is no integer, or the sum does not fit 64 bits */
export function increment(tx: Tx, db: number, key: Bin, by: Int64): Int64 {
  const probe = probeKey(db, key)
  const stored = tx.find(keys, probe)
  const row = alive(tx, stored)
  let value: Int64 | undefined = 0
  if (row !== undefined) {
    if (row.type !== 'string') throw wrongType()
    value = parseInt64(readValue(tx, row))
    if (value === undefined) throw new Failure('invalid', 'ERR value is not an integer or out of range')
  }
  const sum = addInt64(value, by)
  if (sum === undefined) throw new Failure('invalid', 'ERR increment or decrement would overflow')
  putString(tx, probe, stored, `${sum}`, row === undefined ? null : row.expires)
  return sum
}

/** Add two floats as Redis does.
 *  @throws invalid when the sum is not finite */
export function addFloats(left: LongDouble, right: LongDouble): Bin {
  const sum = addLongDoubles(left, right)
  if (sum === undefined || typeof sum === 'string') {
    throw new Failure('invalid', 'ERR increment would produce NaN or Infinity')
  }
  return formatLongDouble(sum)
}

/** Add to the float that a string holds; an absent key counts as 0.
 *  @returns the new value as it is stored */
export function incrementFloat(tx: Tx, db: number, key: Bin, by: Bin): Bin {
  const target = targetString(tx, db, key)
  const value = parseLongDouble(targetValue(tx, target) ?? '0')
  const step = parseLongDouble(by)
  if (value === undefined || step === undefined) throw new Failure('invalid', 'ERR value is not a valid float')
  const sum = addFloats(value, step)
  replaceValue(tx, target, sum)
  return sum
}

/** Append to a string.
 *  @returns its new length in bytes */
export function append(tx: Tx, db: number, key: Bin, more: Bin): number {
  const target = targetString(tx, db, key)
  const length = stringLength(tx, target.row)
  checkString(key, length + more.length)
  if (more !== '' && target.row !== undefined) return overwrite(tx, target, length, more)
  if (target.row === undefined) replaceValue(tx, target, more)
  return length + more.length
}

/** Tell the length of a string in bytes.
 *  @cost one that fits its row is read */
export function stringLength(view: View, row: KeyRow | undefined): number {
  if (row === undefined) return 0
  return isLarge(row) ? row.size : readValue(view, row).length
}

/** Read part of a string.
 *  @param to index after the last byte
 *  @cost of a large one, the chunks it touches */
export function readPart(view: View, row: KeyRow | undefined, from: number, to: number): Bin {
  if (row === undefined) return ''
  return isLarge(row) ? readLarge(view, row, from, Math.min(to, row.size)) : readValue(view, row).slice(from, to)
}

/** Write over part of a string, padding with zero bytes to reach it; what it becomes must be allowed.
 *  @param part not empty
 *  @returns its new length in bytes
 *  @cost of a large one, the chunks it touches */
export function overwrite(tx: Tx, target: Target, offset: number, part: Bin): number {
  const { row, probe, stored } = target
  const end = offset + part.length
  if (row === undefined || !isLarge(row)) {
    const value = targetValue(tx, target) ?? ''
    if (end <= WHOLE_BYTES_MAX) {
      const head = value.length >= offset ? value.slice(0, offset) : value + '\0'.repeat(offset - value.length)
      const next = head + part + value.slice(end)
      replaceValue(tx, target, next)
      return next.length
    }
    const large = putLarge(tx, probe, stored, { value, expires: row === undefined ? null : row.expires })
    return overwrite(tx, { probe, stored: large, row: large }, offset, part)
  }
  writeChunks(tx, row, offset, part)
  if (end <= row.size) return row.size
  putKey(tx, { ...row, size: end })
  return end
}

/** Overwrite part of a string, padding with zero bytes to reach it.
 *  @returns its new length in bytes */
export function setRange(tx: Tx, db: number, key: Bin, offset: number, part: Bin): number {
  const target = targetString(tx, db, key)
  if (part.length === 0) return stringLength(tx, target.row)
  checkString(key, offset + part.length)
  return overwrite(tx, target, offset, part)
}

/** Cut a range out of a string; negative indexes count from its end, `end` is included.
 *  @source redis 7.2 t_string.c getrangeCommand */
export function readRange(view: View, row: KeyRow | undefined, start: Int64, end: Int64): Bin {
  if (row === undefined) return ''
  const value = isLarge(row) ? undefined : readValue(view, row)
  const length = value === undefined ? row.size : value.length
  // Beyond 2^53 only the sign matters: no string is that long.
  let from = Number(start)
  let to = Number(end)
  if (from < 0 && to < 0 && from > to) return ''
  if (from < 0) from = Math.max(0, length + from)
  if (to < 0) to = Math.max(0, length + to)
  const stop = Math.min(to, length - 1) + 1
  return value === undefined ? readLarge(view, row, from, stop) : value.slice(from, stop)
}
