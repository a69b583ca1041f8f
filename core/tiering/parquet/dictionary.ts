/** Dictionaries: the distinct values of a column, and for each value its place among them.
 *
 *  1. Values are compared by their bytes, so that 0 and -0, and NaNs of different bits, stay apart.
 *  2. Given up as soon as more distinct values are seen than pay. */
import type { Values } from './convert.ts'
import { BytesValues, FixedValues, IntegerValues } from './values.ts'

/** A column's distinct values. */
export interface Dictionary {
  /** How many there are. */
  readonly size: number
  /** For each distinct value the place in the column where it was first met. */
  readonly first: Int32Array
  /** For each value its place among the distinct ones. */
  readonly indices: Int32Array
}

/** Values as their bytes: fixed-size ones as words, others with offsets. */
type Keys =
  | { readonly words: Int32Array; readonly perValue: 1 | 2 }
  | { readonly bytes: Uint8Array; readonly offsets: Int32Array | undefined; readonly width: number }

function keysOf(values: Values): Keys | undefined {
  if (values instanceof BytesValues) return { bytes: values.bytes, offsets: values.offsets, width: 0 }
  if (values instanceof FixedValues) return { bytes: values.data.array, offsets: undefined, width: values.width }
  const array = values instanceof IntegerValues ? (values.wide ?? values.narrow.array) : values.array
  if (array instanceof Uint8Array) return undefined
  const perValue = array.BYTES_PER_ELEMENT === 8 ? 2 : 1
  return { words: new Int32Array(array.buffer, array.byteOffset, array.length * perValue), perValue }
}

/** Distinct values in a sample up to which a dictionary is tried: 0.9 of 1,024 is met with some 6,000 distinct. */
const sampleValues = 1_024
const sampleDistinctMax = 0.9

/** Build the dictionary of a column.
 *  @param sizeMax distinct values at the most
 *  @returns undefined when there are more, or booleans */
export function buildDictionary(values: Values, sizeMax: number): Dictionary | undefined {
  if (values instanceof BytesValues && values.indices !== undefined) {
    const { distinct: size, indices } = values
    if (size > sizeMax) return undefined
    return { size, first: Int32Array.from({ length: size }, (_, at) => at), indices: indices.array }
  }
  const keys = keysOf(values)
  return keys && collect(keys, values.count, 1, sizeMax)
}

/** Whether values come again often enough for a dictionary to be tried, by a sample. */
export function looksRepeated(values: Values): boolean {
  const keys = keysOf(values)
  const { count } = values
  if (values instanceof BytesValues && values.indices !== undefined) return true
  if (keys === undefined || count < 2) return false
  const step = Math.max(1, Math.floor(count / sampleValues))
  return collect(keys, count, step, Math.floor((count / step) * sampleDistinctMax)) !== undefined
}

function collect(keys: Keys, count: number, step: number, sizeMax: number): Dictionary | undefined {
  const table: Table = {
    slots: new Int32Array(256).fill(-1),
    first: new Int32Array(128),
    hashes: new Int32Array(128),
    size: 0,
  }
  const indices = new Int32Array(Math.ceil(count / step))
  const isWhole =
    'words' in keys ? takeWords(table, keys, step, sizeMax, indices) : takeBytes(table, keys, step, sizeMax, indices)
  return isWhole ? { size: table.size, first: table.first.slice(0, table.size), indices } : undefined
}

/** An open hash table of places in `first`. */
interface Table {
  slots: Int32Array
  first: Int32Array
  hashes: Int32Array
  size: number
}

// One loop for each form of keys: they run a million times a second, and mixed types would make them slow.

function takeWords(
  table: Table,
  { words, perValue }: Extract<Keys, { words: unknown }>,
  step: number,
  sizeMax: number,
  indices: Int32Array,
): boolean {
  for (let index = 0, at = 0; index < indices.length; index++, at += step) {
    const place = at * perValue
    const low = words[place] as number
    const high = perValue === 2 ? (words[place + 1] as number) : 0
    let hash = Math.imul(low, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0x85ebca77)
    hash ^= hash >>> 16
    let slot = hash & (table.slots.length - 1)
    let entry = table.slots[slot] as number
    while (entry >= 0) {
      const other = (table.first[entry] as number) * perValue
      if (words[other] === low && (perValue === 1 || words[other + 1] === high)) break
      slot = (slot + 1) & (table.slots.length - 1)
      entry = table.slots[slot] as number
    }
    if (entry < 0) entry = add(table, slot, hash, at)
    if (entry >= sizeMax) return false
    indices[index] = entry
  }
  return true
}

function takeBytes(
  table: Table,
  { bytes, offsets, width }: Extract<Keys, { bytes: unknown }>,
  step: number,
  sizeMax: number,
  indices: Int32Array,
): boolean {
  for (let index = 0, at = 0; index < indices.length; index++, at += step) {
    const start = offsets === undefined ? at * width : (offsets[at] as number)
    const end = offsets === undefined ? start + width : (offsets[at + 1] as number)
    const hash = hashBytes(bytes, start, end)
    let slot = hash & (table.slots.length - 1)
    let entry = table.slots[slot] as number
    while (entry >= 0) {
      const other = table.first[entry] as number
      const from = offsets === undefined ? other * width : (offsets[other] as number)
      const length = offsets === undefined ? width : (offsets[other + 1] as number) - from
      if (table.hashes[entry] === hash && length === end - start && same(bytes, from, start, length)) break
      slot = (slot + 1) & (table.slots.length - 1)
      entry = table.slots[slot] as number
    }
    if (entry < 0) entry = add(table, slot, hash, at)
    if (entry >= sizeMax) return false
    indices[index] = entry
  }
  return true
}

function add(table: Table, slot: number, hash: number, at: number): number {
  const { size } = table
  table.slots[slot] = size
  table.first[size] = at
  table.hashes[size] = hash
  if (++table.size === table.first.length) grow(table)
  return size
}

function grow(table: Table): void {
  const larger = (old: Int32Array) => {
    const array = new Int32Array(old.length * 2)
    array.set(old)
    return array
  }
  table.first = larger(table.first)
  table.hashes = larger(table.hashes)
  const slots = new Int32Array(table.slots.length * 2).fill(-1)
  const mask = slots.length - 1
  for (let entry = 0; entry < table.size; entry++) {
    let slot = (table.hashes[entry] as number) & mask
    while ((slots[slot] as number) >= 0) slot = (slot + 1) & mask
    slots[slot] = entry
  }
  table.slots = slots
}

/** Four bytes at a time: a multiplication for each byte would be most of the work. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    hash = Math.imul(hash ^ word, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  for (; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x85ebca77)
  return hash ^ (hash >>> 15)
}

function same(bytes: Uint8Array, one: number, other: number, length: number): boolean {
  for (let at = 0; at < length; at++) if (bytes[one + at] !== bytes[other + at]) return false
  return true
}
