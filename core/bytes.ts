/** Bytes as the engines see them, and a small binary reader and writer.
 *
 *  1. `Bin` is a binary string: one char per byte (code units 0 to 255). It hashes, compares and crosses threads
 *     at the cost of its bytes, and is a Map key as it stands. Dialects decode their byte arguments to it.
 *  2. This is the only file that touches `Buffer` outside core/host, and fsx/api, whose interface has it: Node has it,
 *     workerd has it by nodejs_compat. workerd's `latin1Slice`, `latin1Write` and their like have no
 *     defaults: every argument is given. */
import { Failure } from './errors.ts'

/** A binary string: one char per byte, every code unit at most 255. */
export type Bin = string

// With ignoreBOM a byte order mark is kept: it is part of the bytes.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** View bytes as a binary string.
 *  @param bytes borrowed; copied into the result */
export function toBin(bytes: Uint8Array, start = 0, end: number = bytes.length): Bin {
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).latin1Slice(
    start,
    end,
  )
}

/** Copy a binary string into fresh bytes. */
export function fromBin(bin: Bin): Uint8Array {
  return Buffer.from(bin, 'latin1')
}

/** Copy a binary string that is a part of another, so that it does not keep the whole alive. */
export function copyBin(part: Bin): Bin {
  return toBin(fromBin(part))
}

/** Put bytes one after the other.
 *  @returns fresh bytes */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Encode text as the binary string of its UTF-8 bytes. */
export function textToBin(text: string): Bin {
  return toBin(Buffer.from(text, 'utf8'))
}

/** Decode a binary string that holds UTF-8.
 *  @returns the text, or undefined when the bytes are not valid UTF-8 */
export function binToText(bin: Bin): string | undefined {
  try {
    return utf8.decode(Buffer.from(bin, 'latin1'))
  } catch {
    return undefined
  }
}

/** Show a binary string as JSON: as text when it is valid UTF-8, else as `{ $binary: base64 }`. */
export function binToJson(bin: Bin): string | { $binary: string } {
  return binToText(bin) ?? { $binary: Buffer.from(bin, 'latin1').toString('base64') }
}

/** Read what `binToJson` made. */
export function jsonToBin(value: string | { readonly $binary: string }): Bin {
  return typeof value === 'string' ? textToBin(value) : toBin(Buffer.from(value.$binary, 'base64'))
}

/** Encode bytes or text as base64url without padding. */
export function toBase64Url(data: Uint8Array | string): string {
  return Buffer.from(data as string, 'utf8').toString('base64url')
}

/** Decode base64url to text.
 *  @throws invalid when it is not UTF-8 inside */
export function fromBase64Url(text: string): string {
  const decoded = binToText(toBin(Buffer.from(text, 'base64url')))
  if (decoded === undefined) throw new Failure('invalid', `not base64url of UTF-8 text: ${text.slice(0, 80)}`)
  return decoded
}

/** Up to here a loop over the chars is faster than the way into the native call (30 ns against 80 ns for 16 chars). */
const SHORT_CHARS_MAX = 32

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false
  return true
}

/** Appends numbers and strings to a buffer that grows by doubling; take the bytes with `take`. */
export class ByteWriter {
  private buffer: Buffer
  /** How many bytes have been written. */
  length = 0
  constructor(capacityBytes = 4096) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes)
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }

  /** Append one byte. */
  byte(value: number): void {
    this.reserve(1)
    this.buffer[this.length++] = value
  }

  /** Append an unsigned integer below 2^53 as a LEB128 varint. */
  uint(value: number): void {
    this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.buffer[this.length++] = rest
  }

  /** Append a signed integer within 2^53: sign and six low bits in the first byte, the rest as a varint. */
  int(value: number): void {
    const size = value < 0 ? -value : value
    const rest = size < 64 ? 0 : Math.floor(size / 64)
    this.byte((value < 0 ? 1 : 0) | ((size % 64) << 1) | (rest > 0 ? 0x80 : 0))
    if (rest > 0) this.uint(rest)
  }

  /** Append an IEEE 754 double, little endian. */
  double(value: number): void {
    this.reserve(8)
    this.buffer.writeDoubleLE(value, this.length)
    this.length += 8
  }

  /** Append a binary string with its length in front. */
  bin(value: Bin): void {
    this.uint(value.length)
    this.chars(value)
  }

  /** Append a binary string as it is. */
  chars(value: Bin): void {
    const { length: size } = value
    this.reserve(size)
    // The size is said because workerd takes the whole buffer's for it, and refuses what goes past the end.
    if (size > SHORT_CHARS_MAX) this.length += this.buffer.latin1Write(value, this.length, size)
    else for (let at = 0; at < size; at++) this.buffer[this.length++] = value.charCodeAt(at)
  }

  /** Append bytes with their length in front. */
  bytes(value: Uint8Array): void {
    this.uint(value.length)
    this.reserve(value.length)
    this.buffer.set(value, this.length)
    this.length += value.length
  }

  /** Append text as UTF-8 with its length in bytes in front. */
  text(value: string): void {
    // Of ASCII, the bytes are those of a binary string.
    if (value.length <= SHORT_CHARS_MAX && isAscii(value)) return this.bin(value)
    const size = Buffer.byteLength(value)
    this.uint(size)
    this.reserve(size)
    this.length += this.buffer.utf8Write(value, this.length, size)
  }

  /** Forget everything after the first `length` bytes. */
  truncate(length: number): void {
    this.length = length
  }

  /** @returns the bytes from `start` on, borrowed: valid until the next write */
  view(start = 0): Uint8Array {
    return this.buffer.subarray(start, this.length)
  }
}

/** Reads what a ByteWriter wrote.
 *  Every method throws a RangeError past the end: the bytes come from our own storage, so that is corruption. */
export class ByteReader {
  private readonly buffer: Buffer
  /** Where the next read starts. */
  offset: number
  constructor(bytes: Uint8Array, offset = 0) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.offset = offset
  }

  /** Whether everything has been read. */
  get done(): boolean {
    return this.offset >= this.buffer.length
  }

  private advance(bytes: number): number {
    const start = this.offset
    if (start + bytes > this.buffer.length) throw new RangeError(`read of ${bytes} bytes past the end at ${start}`)
    this.offset = start + bytes
    return start
  }

  /** Read one byte. */
  byte(): number {
    return this.buffer[this.advance(1)] as number
  }

  /** Read a varint. */
  uint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const next = this.byte()
      value += (next & 0x7f) * scale
      if (next < 0x80) return value
      scale *= 0x80
    }
  }

  /** Read a signed integer. */
  int(): number {
    const first = this.byte()
    const size = ((first >> 1) & 0x3f) + (first >= 0x80 ? this.uint() * 64 : 0)
    return (first & 1) === 1 ? -size : size
  }

  /** Read a double. */
  double(): number {
    return this.buffer.readDoubleLE(this.advance(8))
  }

  /** Read a binary string. */
  bin(): Bin {
    const size = this.uint()
    const start = this.advance(size)
    return this.buffer.latin1Slice(start, start + size)
  }

  /** Read bytes, copied. */
  bytes(): Uint8Array {
    const size = this.uint()
    const start = this.advance(size)
    return new Uint8Array(this.buffer.subarray(start, start + size))
  }

  /** Read UTF-8 text. */
  text(): string {
    const size = this.uint()
    const start = this.advance(size)
    return this.buffer.utf8Slice(start, start + size)
  }
}
