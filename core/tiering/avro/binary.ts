/** Avro's binary encoding of primitives.
 *
 *  1. A long is a number within 2^53 and a bigint beyond, never a bigint that a number could be: `===` compares.
 *  2. What is read is not trusted: the end of the bytes, counts and text are checked.
 *  @source https://avro.apache.org/docs/1.11.1/specification/ (binary encoding) */
import { Failure } from '../../errors.ts'

/** A 64-bit integer: a number within 2^53, else a bigint. */
export type Long = number | bigint

const utf8 = new TextEncoder()
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const long64Max = 2n ** 63n

/** Turn a bigint into a number when a number holds it. */
export function toLong(value: bigint): Long {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

/** Make the failure of Avro bytes that are not right. */
export function corrupt(what: string): Failure {
  return new Failure('invalid', `Avro: ${what}`)
}

/** Appends encoded values to bytes that grow by doubling. */
export class AvroOutput {
  private bytes: Uint8Array
  private view: DataView
  /** How many bytes have been written. */
  length = 0

  constructor(capacityBytes = 1024) {
    this.bytes = new Uint8Array(capacityBytes)
    this.view = new DataView(this.bytes.buffer)
  }

  private reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }

  /** Append one byte. */
  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  /** Append an int or a long: zig-zag, seven bits a byte.
   *  @throws invalid for what is no integer of 64 bits */
  long(value: Long): void {
    if (typeof value === 'bigint') return this.wide(value)
    if (!Number.isSafeInteger(value)) throw corrupt(`${value} is no long`)
    // Doubling must stay exact.
    if (value > 2 ** 51 || value < -(2 ** 51)) return this.wide(BigInt(value))
    this.reserve(10)
    let rest = value < 0 ? -value * 2 - 1 : value * 2
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.length++] = rest
  }

  private wide(value: bigint): void {
    if (value >= long64Max || value < -long64Max) throw corrupt(`${value} is no long`)
    this.reserve(10)
    let rest = value < 0n ? -value * 2n - 1n : value * 2n
    while (rest >= 0x80n) {
      this.bytes[this.length++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.bytes[this.length++] = Number(rest)
  }

  /** Append a float. */
  float(value: number): void {
    this.reserve(4)
    this.view.setFloat32(this.length, value, true)
    this.length += 4
  }

  /** Append a double. */
  double(value: number): void {
    this.reserve(8)
    this.view.setFloat64(this.length, value, true)
    this.length += 8
  }

  /** Append bytes as they are. */
  raw(value: Uint8Array): void {
    this.reserve(value.length)
    this.bytes.set(value, this.length)
    this.length += value.length
  }

  /** Append bytes with their length in front. */
  sized(value: Uint8Array): void {
    this.long(value.length)
    this.raw(value)
  }

  /** Append text with its length in front. */
  text(value: string): void {
    this.sized(utf8.encode(value))
  }

  /** Forget what was written. */
  clear(): void {
    this.length = 0
  }

  /** @returns what was written, borrowed: valid until the next write */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** @returns what was written, in bytes of the caller's own */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}

/** Reads encoded values. Every method throws `invalid` past the end. */
export class AvroInput {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  /** Where the next read starts. */
  offset = 0
  /** How many records we are within. */
  depth = 0

  /** @param bytes borrowed */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes that are left. */
  get left(): number {
    return this.bytes.length - this.offset
  }

  private advance(count: number): number {
    const start = this.offset
    if (count < 0 || count > this.bytes.length - start)
      throw corrupt(`the bytes end at ${start}; ${count} more expected`)
    this.offset = start + count
    return start
  }

  /** Read one byte. */
  byte(): number {
    return this.bytes[this.advance(1)] as number
  }

  /** Read a long. */
  long(): Long {
    let value = 0
    let scale = 1
    for (let count = 0; count < 7; count++) {
      const next = this.byte()
      value += (next & 0x7f) * scale
      if (next < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 0x80
    }
    let wide = BigInt(value)
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const next = this.byte()
      wide |= BigInt(next & 0x7f) << shift
      if (next < 0x80) return toLong(BigInt.asIntN(64, (wide >> 1n) ^ -(wide & 1n)))
    }
    throw corrupt('a long of more than ten bytes')
  }

  /** Read a long that a number holds. */
  integer(): number {
    const value = this.long()
    if (typeof value === 'bigint') throw corrupt(`${value} is past 2^53`)
    return value
  }

  /** Read a float. */
  float(): number {
    return this.view.getFloat32(this.advance(4), true)
  }

  /** Read a double. */
  double(): number {
    return this.view.getFloat64(this.advance(8), true)
  }

  /** Read so many bytes, in bytes of the caller's own. */
  raw(count: number): Uint8Array {
    const start = this.advance(count)
    return this.bytes.slice(start, start + count)
  }

  /** View so many bytes, borrowed. */
  part(count: number): Uint8Array {
    const start = this.advance(count)
    return this.bytes.subarray(start, start + count)
  }

  /** Read bytes with their length in front. */
  sized(): Uint8Array {
    return this.raw(this.integer())
  }

  /** Read text. */
  text(): string {
    const start = this.offset
    try {
      return text.decode(this.part(this.integer()))
    } catch (error) {
      if (error instanceof Failure) throw error
      throw corrupt(`text at ${start} is not UTF-8`)
    }
  }
}
