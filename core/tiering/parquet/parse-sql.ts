/** Reads what SQLite's group_concat makes of a column: many values in one result, and no JavaScript value for each.
 *  Every function counts what it finds and answers undefined when that is not what was expected, because a value had
 *  a separator or a NUL in it; the caller then reads the rows one by one. */

const comma = 44
const minus = 45
const zero = 48

/** Integers of a chunk; at a null's place there is 0. */
export interface Integers {
  /** Of 64 bits when some value is not within 2^53. */
  readonly numbers: Float64Array | BigInt64Array
  /** 1 where the value is null; undefined when none is. */
  readonly nulls: Uint8Array | undefined
}

/** Read decimal integers between commas; nothing between two of them is a null.
 *  @param text `group_concat(ifnull(c, ''))`, as bytes
 *  @returns undefined when there are not `count`, or one is no integer of 64 bits */
export function parseIntegers(text: Uint8Array, count: number): Integers | undefined {
  const numbers = new Float64Array(count)
  let nulls: Uint8Array | undefined
  let at = 0
  const { length } = text
  for (let index = 0; index < count; index++) {
    const negative = text[at] === minus
    if (negative) at++
    const start = at
    let value = 0
    // Nine digits at a time: as long as it stays below 2^31, V8 computes in integers.
    let end = Math.min(length, start + 9)
    while (at < end) {
      const digit = (text[at] as number) - zero
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      at++
    }
    if (at === end && at < length && text[at] !== comma) {
      end = Math.min(length, start + 19)
      while (at < end) {
        const digit = (text[at] as number) - zero
        if (digit < 0 || digit > 9) break
        value = value * 10 + digit
        at++
      }
    }
    if (at < length && text[at] !== comma) return undefined
    if (value > Number.MAX_SAFE_INTEGER) return parseWide(text, count)
    if (at === start) {
      if (negative) return undefined
      nulls ??= new Uint8Array(count)
      nulls[index] = 1
    }
    numbers[index] = negative ? -value : value
    if (at >= length && index < count - 1) return undefined
    at++
  }
  return at === length + 1 ? { numbers, nulls } : undefined
}

const ascii = new TextDecoder('latin1')

function parseWide(text: Uint8Array, count: number): Integers | undefined {
  const parts = ascii.decode(text).split(',')
  if (parts.length !== count) return undefined
  const numbers = new BigInt64Array(count)
  let nulls: Uint8Array | undefined
  for (const [index, part] of parts.entries()) {
    if (part === '') {
      nulls ??= new Uint8Array(count)
      nulls[index] = 1
    } else if (/^-?\d+$/.test(part)) numbers[index] = BigInt(part)
    else return undefined
  }
  return { numbers, nulls }
}

/** Strings or bytes of a chunk, end to end, with their lengths; -1 is null. */
export interface Packed {
  readonly bytes: Uint8Array
  readonly lengths: Int32Array
}

/** Read lengths, and check that they make up the bytes.
 *  @param bytes `group_concat(c, '')`
 *  @param text `group_concat(ifnull(octet_length(c), ''))`, as bytes
 *  @returns undefined when they do not: SQLite cuts text at a NUL */
export function parsePacked(bytes: Uint8Array, text: Uint8Array, count: number): Packed | undefined {
  const parsed = parseIntegers(text, count)
  if (parsed === undefined || parsed.numbers instanceof BigInt64Array) return undefined
  const { numbers, nulls } = parsed
  const lengths = new Int32Array(count)
  let total = 0
  for (let at = 0; at < count; at++) {
    const length = numbers[at] as number
    lengths[at] = length
    total += length
  }
  // A null counted as 0 bytes.
  for (let at = 0; nulls !== undefined && at < count; at++) if (nulls[at] === 1) lengths[at] = -1
  return total === bytes.length ? { bytes, lengths } : undefined
}

/** What stands between short strings: a line feed. Strings that have one are read one by one. */
export const separator = 10
/** What stands for a null among them: no text has this byte, which is not UTF-8. */
export const nullMark = 0xff

/** Read strings between separators.
 *  @param text `group_concat(ifnull(c, x'ff'), '\n')`, as bytes
 *  @returns how many are no nulls, too; undefined when there are not `count` */
export function parseSeparated(text: Uint8Array, count: number): (Packed & { present: number }) | undefined {
  const bytes = new Uint8Array(text.length)
  const lengths = new Int32Array(count)
  let written = 0
  let start = 0
  let index = 0
  let present = 0
  const { length } = text
  for (let at = 0; at <= length; at++) {
    const byte = at === length ? separator : (text[at] as number)
    if (byte !== separator) {
      bytes[written++] = byte
      continue
    }
    if (index === count) return undefined
    if (written - start === 1 && bytes[start] === nullMark) {
      written = start
      lengths[index++] = -1
    } else {
      lengths[index++] = written - start
      present++
    }
    start = written
  }
  return index === count ? { bytes: bytes.subarray(0, written), lengths, present } : undefined
}

/** Strings of a chunk by their places among the distinct ones; -1 is null. */
export interface Distinct {
  readonly distinct: readonly Uint8Array[]
  readonly indices: Int32Array
  /** How many are not null. */
  readonly present: number
}

/** Distinct strings of a chunk up to which they are told by their places. */
const distinctMax = 256
const slots = new Int16Array(distinctMax * 4)
const starts = new Int32Array(distinctMax)
const ends = new Int32Array(distinctMax)

/** Read strings between separators, as parseSeparated does, when few distinct ones come again and again.
 *  @returns undefined when there are not `count`, or too many distinct ones */
export function parseDistinct(text: Uint8Array, count: number): Distinct | undefined {
  const { length } = text
  const view = new DataView(text.buffer, text.byteOffset, length)
  const indices = new Int32Array(count)
  slots.fill(-1)
  let size = 0
  let nulls = 0
  let start = 0
  for (let row = 0; row < count; row++) {
    if (start > length) return undefined
    const end = findSeparator(view, start, length)
    if (end - start === 1 && text[start] === nullMark) {
      indices[row] = -1
      nulls++
    } else {
      let slot = slotOf(view, start, end)
      let index = slots[slot] as number
      while (index >= 0 && !isSame(view, starts[index] as number, ends[index] as number, start, end)) {
        slot = (slot + 1) & (slots.length - 1)
        index = slots[slot] as number
      }
      if (index < 0) {
        if (size === distinctMax) return undefined
        index = size++
        slots[slot] = index
        starts[index] = start
        ends[index] = end
      }
      indices[row] = index
    }
    start = end + 1
  }
  if (start !== length + 1) return undefined
  const distinct = Array.from({ length: size }, (_, index) => text.slice(starts[index], ends[index]))
  return { distinct, indices, present: count - nulls }
}

/** Find the next separator, or the end, four bytes at a time: millions of strings a second are looked through here. */
function findSeparator(view: DataView, from: number, length: number): number {
  let at = from
  for (; at + 4 <= length; at += 4) {
    const word = view.getInt32(at, true) ^ (separator * 0x01010101)
    // The highest bit of each byte that is 0 (and of some above it), see Hacker's Delight, 6-1.
    const zeros = (word - 0x01010101) & ~word & 0x80808080
    if (zeros !== 0) return at + ((31 - Math.clz32(zeros & -zeros)) >>> 3)
  }
  while (at < length && view.getUint8(at) !== separator) at++
  return at
}

/** Hash a string by its length, its ends and its middle: what differs elsewhere only collides. */
function slotOf(view: DataView, start: number, end: number): number {
  const length = end - start
  let hash = length
  if (length >= 4) {
    const middle = view.getInt32(start + ((length - 4) >>> 1), true)
    hash = Math.imul(view.getInt32(start, true) ^ length, 0x9e3779b1) ^ Math.imul(middle, 0x85ebca77)
    hash = Math.imul(hash ^ (hash >>> 15) ^ view.getInt32(end - 4, true), 0xc2b2ae3d)
  } else for (let at = start; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x9e3779b1)
  return (hash >>> 20) & (slots.length - 1)
}

function isSame(view: DataView, one: number, oneEnd: number, other: number, otherEnd: number): boolean {
  const length = oneEnd - one
  if (length !== otherEnd - other) return false
  if (length >= 4) {
    for (let at = 0; at + 4 < length; at += 4) if (view.getInt32(one + at) !== view.getInt32(other + at)) return false
    // The last four, some of them a second time.
    return view.getInt32(oneEnd - 4) === view.getInt32(otherEnd - 4)
  }
  for (let at = 0; at < length; at++) if (view.getUint8(one + at) !== view.getUint8(other + at)) return false
  return true
}
