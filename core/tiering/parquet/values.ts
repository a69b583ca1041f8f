/** The values of one column that wait to be written: typed arrays that grow, one value after the other, no nulls.
 *  `clear` keeps the buffers, so that a writer allocates for its first row group only. */
import { Failure } from '../../errors.ts'

/** A typed array of numbers that grows. */
export type NumberArray = Uint8Array | Int32Array | Float32Array | Float64Array

type Make<A> = new (length: number) => A

/** Numbers in a typed array. Integers of 64 bits are kept as doubles while all of them are within 2^53. */
export class NumberValues<A extends NumberArray = NumberArray> {
  private readonly make: Make<A>
  array: A
  count = 0
  constructor(make: Make<A>, capacity = 16) {
    this.make = make
    this.array = new make(capacity)
  }

  /** @returns the array, with room for so many more */
  reserve(more: number): A {
    const needed = this.count + more
    if (needed > this.array.length) {
      const grown = new this.make(Math.max(needed, this.array.length * 2))
      grown.set(this.array.subarray(0, this.count))
      this.array = grown
    }
    return this.array
  }

  /** Append one. */
  push(value: number): void {
    this.reserve(1)[this.count++] = value
  }

  /** Forget the last values. */
  truncate(count: number): void {
    this.count = count
  }

  /** @returns bytes that the values take */
  get sizeBytes(): number {
    return this.count * this.array.BYTES_PER_ELEMENT
  }
}

/** Integers of 64 bits: doubles while all are within 2^53 and, from the first that is not, real 64-bit integers. */
export class IntegerValues {
  readonly narrow = new NumberValues(Float64Array)
  /** Set when some value does not fit a double; then `narrow` is out of use. */
  wide: BigInt64Array | undefined
  private wideCount = 0

  get count(): number {
    return this.wide === undefined ? this.narrow.count : this.wideCount
  }

  /** Append one.
   *  @param value a number within 2^53, or a bigint within 64 bits */
  push(value: number | bigint): void {
    if (typeof value === 'bigint' && (value > MAX_SAFE || value < -MAX_SAFE)) this.widen(1)
    if (this.wide === undefined) this.narrow.push(Number(value))
    else this.reserveWide(1)[this.wideCount++] = BigInt(value)
  }

  /** Append integers of 64 bits. */
  append(values: BigInt64Array): void {
    const wide = this.widen(values.length)
    wide.set(values, this.wideCount)
    this.wideCount += values.length
  }

  /** Forget the last values. */
  truncate(count: number): void {
    if (this.wide === undefined) this.narrow.truncate(count)
    else this.wideCount = count
    if (count === 0) {
      this.wide = undefined
      this.narrow.truncate(0)
    }
  }

  get sizeBytes(): number {
    return this.count * 8
  }

  /** Keep the values as 64-bit integers from now on.
   *  @returns them, with room for so many more */
  private widen(more: number): BigInt64Array {
    if (this.wide === undefined) {
      const { array, count } = this.narrow
      this.wide = new BigInt64Array(Math.max(16, count + more))
      for (let at = 0; at < count; at++) this.wide[at] = BigInt(array[at] as number)
      this.wideCount = count
    }
    return this.reserveWide(more)
  }

  private reserveWide(more: number): BigInt64Array {
    const wide = this.wide as BigInt64Array
    const needed = this.wideCount + more
    if (needed <= wide.length) return wide
    const grown = new BigInt64Array(Math.max(needed, wide.length * 2))
    grown.set(wide.subarray(0, this.wideCount))
    this.wide = grown
    return grown
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)
const encoder = new TextEncoder()
/** Of this label browsers and Node read windows-1252: each byte still has a character of its own. */
const latin1 = new TextDecoder('latin1')

/** Values that are looked through again when the first come that are told by their places. */
const collapsedMax = 4_096

/** Byte strings end to end; or, where few distinct ones come again and again, those and for each value which it is. */
export class BytesValues {
  bytes = new Uint8Array(1024)
  /** Where each string begins, and after the last where it ends. */
  offsets = new Int32Array(17)
  /** Strings that are kept: all values, or the distinct ones. */
  private kept = 0
  /** For each value its place among the distinct ones; undefined while every value is kept. */
  indices: NumberValues<Int32Array> | undefined
  private readonly spareIndices = new NumberValues(Int32Array)
  private readonly known = new Map<string, number>()

  get count(): number {
    return this.indices?.count ?? this.kept
  }

  /** How many distinct values there are, while `indices` are kept. */
  get distinct(): number {
    return this.kept
  }

  get sizeBytes(): number {
    return (this.offsets[this.kept] as number) + (this.indices?.sizeBytes ?? 0)
  }

  /** Make room for so many more strings, and take down where they will end.
   *  @returns where they begin
   *  @throws limit past 2 GB, which no row group may reach */
  private reserve(moreBytes: number, more: number): number {
    const used = this.offsets[this.kept] as number
    const needed = used + moreBytes
    if (needed > 0x7fff_ffff)
      throw new Failure('limit', `${needed} bytes in one column of a row group; 2 GB is the most`)
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.min(0x7fff_ffff, Math.max(needed, this.bytes.length * 2)))
      grown.set(this.bytes.subarray(0, used))
      this.bytes = grown
    }
    if (this.kept + more + 1 > this.offsets.length) {
      const grown = new Int32Array(Math.max(this.kept + more + 1, this.offsets.length * 2))
      grown.set(this.offsets.subarray(0, this.kept + 1))
      this.offsets = grown
    }
    return used
  }

  /** Append bytes, copied. */
  push(value: Uint8Array): void {
    this.expand()
    this.keep(value)
  }

  private keep(value: Uint8Array): void {
    const start = this.reserve(value.length, 1)
    this.bytes.set(value, start)
    this.offsets[++this.kept] = start + value.length
  }

  /** Append text as UTF-8. */
  pushText(value: string): void {
    this.expand()
    const { length } = value
    const start = this.reserve(length * 3, 1)
    const { bytes } = this
    // Short ASCII by hand: a call of encodeInto costs more than such a string.
    let at = 0
    if (length <= 64) {
      for (; at < length; at++) {
        const code = value.charCodeAt(at)
        if (code >= 0x80) break
        bytes[start + at] = code
      }
    }
    const end = at === length ? start + length : start + encoder.encodeInto(value, bytes.subarray(start)).written
    this.offsets[++this.kept] = end
  }

  /** Append strings that stand end to end.
   *  @param lengths of rows `from` to `to`, nulls (-1) left out
   *  @param present how many are not null */
  append(part: Uint8Array, lengths: Int32Array, [from, to]: readonly [number, number], present: number): void {
    this.expand()
    let end = this.reserve(part.length, present)
    this.bytes.set(part, end)
    const { offsets } = this
    let { kept } = this
    for (let at = from; at < to; at++) {
      const length = lengths[at] as number
      if (length < 0) continue
      end += length
      offsets[++kept] = end
    }
    this.kept = kept
  }

  /** Append values that are told by their places among distinct strings, nulls (-1) left out. */
  appendIndices(strings: readonly Uint8Array[], indices: Int32Array, [from, to]: readonly [number, number]): void {
    if (this.indices === undefined && this.kept <= collapsedMax) this.collapse()
    if (this.indices === undefined) {
      for (let at = from; at < to; at++) {
        const index = indices[at] as number
        if (index >= 0) this.keep(strings[index] as Uint8Array)
      }
      return
    }
    const places = Int32Array.from(strings, (value) => this.placeOf(value))
    const target = this.indices.reserve(to - from)
    let { count } = this.indices
    for (let at = from; at < to; at++) {
      const index = indices[at] as number
      if (index >= 0) target[count++] = places[index] as number
    }
    this.indices.count = count
  }

  private placeOf(value: Uint8Array): number {
    const name = latin1.decode(value)
    let place = this.known.get(name)
    if (place === undefined) {
      place = this.kept
      this.known.set(name, place)
      this.keep(value)
    }
    return place
  }

  /** Keep every value, from now on and those that are there. */
  expand(): void {
    const { indices } = this
    if (indices === undefined) return
    const strings = this.takeKept()
    const { array, count } = indices
    this.truncate(0)
    for (let at = 0; at < count; at++) this.keep(strings[array[at] as number] as Uint8Array)
  }

  /** Keep distinct values from now on, and of those that are there. */
  private collapse(): void {
    const strings = this.takeKept()
    this.truncate(0)
    this.indices = this.spareIndices
    for (const value of strings) this.indices.push(this.placeOf(value))
  }

  private takeKept(): Uint8Array[] {
    const { bytes, offsets, kept } = this
    return Array.from({ length: kept }, (_, at) => bytes.slice(offsets[at], offsets[at + 1]))
  }

  /** Forget the last values. */
  truncate(count: number): void {
    if (this.indices === undefined) this.kept = count
    else this.indices.truncate(count)
    if (count > 0) return
    this.kept = 0
    this.indices = undefined
    this.spareIndices.truncate(0)
    this.known.clear()
  }
}

/** Byte strings of one width, end to end. */
export class FixedValues {
  readonly width: number
  readonly data = new NumberValues(Uint8Array)
  constructor(width: number) {
    this.width = width
  }

  get count(): number {
    return this.data.count / this.width
  }

  /** Append bytes, copied; their number is the width. */
  push(value: Uint8Array): void {
    this.data.reserve(this.width).set(value, this.data.count)
    this.data.count += this.width
  }

  /** Forget the last values. */
  truncate(count: number): void {
    this.data.truncate(count * this.width)
  }

  get sizeBytes(): number {
    return this.data.count
  }
}
