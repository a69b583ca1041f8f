/** Bits of strings: bit 0 is the highest of the first byte. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'

/** An integer inside a string: signed or not, 1 to 64 bits. */
export interface IntegerType {
  readonly signed: boolean
  readonly bits: number
}

/** What happens to a sum that does not fit. */
export type Overflow = 'wrap' | 'sat' | 'fail'

/** The operations of BITOP. */
export type BitOperation = 'and' | 'or' | 'xor' | 'not'

/** Read a bit; bits past the end are 0. */
export function getBit(value: Bin, offset: number): number {
  const byte = value.charCodeAt(Math.floor(offset / 8))
  return (byte >> (7 - (offset % 8))) & 1
}

/** Pad with zero bytes to at least `sizeBytes`. */
export function padTo(value: Bin, sizeBytes: number): Bin {
  return value.length >= sizeBytes ? value : value + '\0'.repeat(sizeBytes - value.length)
}

/** Write a bit, padding the string to reach it. */
export function setBit(value: Bin, offset: number, bit: number): Bin {
  const at = Math.floor(offset / 8)
  const padded = padTo(value, at + 1)
  const mask = 128 >> (offset % 8)
  const byte = padded.charCodeAt(at)
  const next = bit === 1 ? byte | mask : byte & ~mask
  return padded.slice(0, at) + String.fromCharCode(next) + padded.slice(at + 1)
}

function populationCount(byte: number): number {
  const pairs = byte - ((byte >> 1) & 0x55)
  const fours = (pairs & 0x33) + ((pairs >> 2) & 0x33)
  return (fours + (fours >> 4)) & 0x0f
}

/** The bits of byte `at` that lie between bits `from` and `to` (both included), others cleared. */
function maskedByte(value: Bin, at: number, from: number, to: number): number {
  let byte = value.charCodeAt(at)
  if (at * 8 < from) byte &= 0xff >> (from - at * 8)
  if (at * 8 + 7 > to) byte &= 0xff << (at * 8 + 7 - to)
  return byte & 0xff
}

/** Count the ones from bit `from` to bit `to`, both included and inside the string. */
export function countBits(value: Bin, from: number, to: number): number {
  let count = 0
  const last = Math.floor(to / 8)
  for (let at = Math.floor(from / 8); at <= last; at++) count += populationCount(maskedByte(value, at, from, to))
  return count
}

/** Find the first bit that is `bit` from `from` to `to`, both included and inside the string.
 *  @returns -1 when there is none */
export function findBit(value: Bin, bit: number, from: number, to: number): number {
  const skipped = bit === 1 ? 0 : 0xff
  for (let offset = from; offset <= to; offset++) {
    if (offset % 8 === 0) while (offset + 7 <= to && value.charCodeAt(offset / 8) === skipped) offset += 8
    if (offset > to) break
    if (getBit(value, offset) === bit) return offset
  }
  return -1
}

/** Combine strings bit by bit, shorter ones padded with zeros.
 *  @param values at least one; for `not` exactly one */
export function combineBits(operation: BitOperation, values: readonly Bin[]): Bin {
  const sizeBytes = Math.max(...values.map((value) => value.length))
  const [first, ...rest] = values.map((value) => fromBin(padTo(value, sizeBytes))) as [Uint8Array, ...Uint8Array[]]
  for (let at = 0; at < sizeBytes; at++) {
    let byte = first[at] as number
    if (operation === 'not') byte = ~byte
    for (const other of rest) {
      const operand = other[at] as number
      if (operation === 'and') byte &= operand
      else if (operation === 'or') byte |= operand
      else byte ^= operand
    }
    first[at] = byte & 0xff
  }
  return toBin(first)
}

/** Read an integer at a bit offset. */
export function readInteger(value: Bin, { signed, bits }: IntegerType, offset: number): bigint {
  let found = 0n
  for (let at = 0; at < bits; at++) found = (found << 1n) | BigInt(getBit(value, offset + at))
  return signed ? BigInt.asIntN(bits, found) : found
}

/** Write an integer at a bit offset; the string must be long enough. */
export function writeInteger(value: Bin, { bits }: IntegerType, offset: number, integer: bigint): Bin {
  const from = Math.floor(offset / 8)
  const to = Math.floor((offset + bits - 1) / 8) + 1
  let part = value.slice(from, to)
  const unsigned = BigInt.asUintN(bits, integer)
  for (let at = 0; at < bits; at++) {
    const bit = Number((unsigned >> BigInt(bits - 1 - at)) & 1n)
    part = setBit(part, offset - from * 8 + at, bit)
  }
  return value.slice(0, from) + part + value.slice(to)
}

/** Bring a sum into a type's range.
 *  @returns undefined when it does not fit and `overflow` is `fail` */
export function fitInteger({ signed, bits }: IntegerType, sum: bigint, overflow: Overflow): bigint | undefined {
  const wrapped = signed ? BigInt.asIntN(bits, sum) : BigInt.asUintN(bits, sum)
  if (wrapped === sum) return sum
  if (overflow === 'fail') return undefined
  if (overflow === 'wrap') return wrapped
  const size = BigInt(bits)
  if (sum < 0n) return signed ? -(1n << (size - 1n)) : 0n
  return signed ? (1n << (size - 1n)) - 1n : (1n << size) - 1n
}
