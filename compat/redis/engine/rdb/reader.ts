/** Reading the primitives of Redis' payloads: lengths, strings, numbers. Whatever does not fit is refused.
 *  @source redis rdb.c, rdbLoadLenByRef and those after it */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { decompress } from './lzf.ts'

/** Make the failure of a payload that makes no sense. */
export function badFormat(): Failure {
  return new Failure('invalid', 'ERR Bad data format')
}

const view = new DataView(new ArrayBuffer(8))

/** Reads a payload from its start. */
export class Reader {
  readonly bytes: Bin
  at = 0
  private readonly end: number

  /** @param end how many of the bytes there are to read */
  constructor(bytes: Bin, end = bytes.length) {
    this.bytes = bytes
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  /** @throws invalid when there is none, as all others here */
  byte(): number {
    if (this.at >= this.end) throw badFormat()
    return this.bytes.charCodeAt(this.at++)
  }

  take(count: number): Bin {
    if (!(count >= 0 && count <= this.end - this.at)) throw badFormat()
    this.at += count
    return this.bytes.slice(this.at - count, this.at)
  }

  /** Read an unsigned integer, its lowest byte first. */
  unsigned(size: number): number {
    let value = 0
    for (let i = 0, unit = 1; i < size; i++, unit *= 256) value += this.byte() * unit
    return value
  }

  /** Read an unsigned integer, its highest byte first. */
  bigEndian(size: number): number {
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + this.byte()
    return value
  }

  /** Read a signed integer, its lowest byte first.
   *  @returns its digits */
  signed(size: number): Bin {
    let value = 0n
    for (let i = 0; i < size; i++) value |= BigInt(this.byte()) << BigInt(8 * i)
    return String(BigInt.asIntN(size * 8, value))
  }

  double(): number {
    for (let i = 0; i < 8; i++) view.setUint8(i, this.byte())
    return view.getFloat64(0, true)
  }

  /** Read a length of up to 64 bits. */
  length64(): bigint {
    const length = this.lengthOrEncoding()
    if (length < 0n) throw badFormat()
    return length
  }

  /** Read a length that can be counted with. */
  length(): number {
    const length = this.length64()
    if (length > Number.MAX_SAFE_INTEGER) throw badFormat()
    return Number(length)
  }

  /** Read how many things follow, of which each takes bytes. */
  count(): number {
    const count = this.length()
    if (count > this.left) throw badFormat()
    return count
  }

  /** @returns negative for the encodings of strings: -1 for the first */
  private lengthOrEncoding(): bigint {
    const first = this.byte()
    const rest = first & 63
    if (first < 64) return BigInt(rest)
    if (first < 128) return BigInt(rest * 256 + this.byte())
    if (first >= 192) return BigInt(-1 - rest)
    if (first === 128) return BigInt(this.bigEndian(4))
    if (first === 129) return (BigInt(this.bigEndian(4)) << 32n) | BigInt(this.bigEndian(4))
    throw badFormat()
  }

  string(): Bin {
    const length = Number(this.lengthOrEncoding())
    if (length >= 0) return this.take(length)
    if (length >= -3) return this.signed(1 << (-1 - length))
    if (length < -4) throw badFormat()
    const [packed, size] = [this.length(), this.length()]
    const text = decompress(this.take(packed), size)
    if (text === undefined) throw badFormat()
    return text
  }
}
