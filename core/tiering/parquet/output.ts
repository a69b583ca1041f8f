/** Bytes under construction: a buffer that grows by doubling, little endian, with room to write into directly.
 *  Unlike ByteWriter of core/bytes.ts it knows Parquet's varints and lets encoders fill the buffer themselves. */

/** Appends bytes and numbers; read them with `view` or take a copy with `copy`. */
export class Output {
  /** The buffer itself; valid until the next `reserve`. */
  bytes: Uint8Array
  /** How many bytes have been written; encoders that fill `bytes` themselves move it on. */
  length = 0
  constructor(capacityBytes = 1024) {
    this.bytes = new Uint8Array(capacityBytes)
  }

  /** Make room for so many more bytes.
   *  @returns the buffer, which may be another one than before */
  reserve(more: number): Uint8Array {
    const needed = this.length + more
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
      grown.set(this.bytes.subarray(0, this.length))
      this.bytes = grown
    }
    return this.bytes
  }

  /** Append one byte. */
  byte(value: number): void {
    this.reserve(1)[this.length++] = value
  }

  /** Append bytes. */
  append(bytes: Uint8Array): void {
    this.reserve(bytes.length).set(bytes, this.length)
    this.length += bytes.length
  }

  /** Append four bytes. */
  uint32(value: number): void {
    const bytes = this.reserve(4)
    for (let shift = 0; shift < 32; shift += 8) bytes[this.length++] = value >>> shift
  }

  /** Append an unsigned integer of at most 54 bits as a LEB128 varint. */
  varint(value: number): void {
    const bytes = this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      bytes[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    bytes[this.length++] = rest
  }

  /** Append a signed integer within 2^53 as a zigzag varint. */
  zigzag(value: number): void {
    // Not `2 * value - 1`: past 2^52 that is no exact number, but its low seven bits and the rest are.
    const negative = value < 0
    const size = negative ? -(value + 1) : value
    const low = (size % 64) * 2 + (negative ? 1 : 0)
    const rest = Math.floor(size / 64)
    this.byte(rest > 0 ? low | 0x80 : low)
    if (rest > 0) this.varint(rest)
  }

  /** Forget everything; the buffer stays. */
  clear(): void {
    this.length = 0
  }

  /** @returns the bytes written, borrowed: valid until the next write */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** @returns the bytes written, fresh */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}
