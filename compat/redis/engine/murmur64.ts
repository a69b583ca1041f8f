/** MurmurHash64A over bytes, in halves of 32 bits: what HyperLogLog places elements by.
 *  @source Austin Appleby's MurmurHash2, the 64-bit version for 64-bit machines, which is in the public domain */
import type { Bin } from '@dotdo/core/bytes'

const M_HIGH = 0xc6a4a793
const M_LOW = 0x5bd1e995
const M_LOW_LOW = M_LOW & 0xffff
const M_LOW_HIGH = M_LOW >>> 16

/** A hash: two unsigned halves. */
export interface Hash64 {
  high: number
  low: number
}

/** The upper half of `low * M_LOW`, in limbs of 16 bits. */
function carryOf(low: number): number {
  const a = low & 0xffff
  const b = low >>> 16
  const middle = b * M_LOW_LOW + ((a * M_LOW_LOW) >>> 16)
  const other = a * M_LOW_HIGH + (middle & 0xffff)
  return b * M_LOW_HIGH + Math.floor(middle / 65536) + (other >>> 16)
}

/** The upper half of the product with M; the lower one is `Math.imul(low, M_LOW)`. */
function multipliedHigh(high: number, low: number): number {
  return (carryOf(low) + Math.imul(high, M_LOW) + Math.imul(low, M_HIGH)) | 0
}

function wordAt(bin: Bin, at: number): number {
  return (
    bin.charCodeAt(at) | (bin.charCodeAt(at + 1) << 8) | (bin.charCodeAt(at + 2) << 16) | (bin.charCodeAt(at + 3) << 24)
  )
}

/** Hash bytes.
 *  @param seed 32 bits */
export function murmur64(bin: Bin, seed: number): Hash64 {
  const { length } = bin
  let high = multipliedHigh(0, length)
  let low = Math.imul(length, M_LOW) ^ seed
  const whole = length - (length % 8)
  for (let at = 0; at < whole; at += 8) {
    let wordLow = wordAt(bin, at)
    let wordHigh = multipliedHigh(wordAt(bin, at + 4), wordLow)
    wordLow = Math.imul(wordLow, M_LOW)
    // Shifted right by 47, only the upper half reaches the lower one.
    wordLow ^= wordHigh >>> 15
    wordHigh = multipliedHigh(wordHigh, wordLow)
    wordLow = Math.imul(wordLow, M_LOW)
    low ^= wordLow
    high = multipliedHigh(high ^ wordHigh, low)
    low = Math.imul(low, M_LOW)
  }
  for (let at = whole; at < length; at++) {
    const shift = (at - whole) * 8
    if (shift < 32) low ^= bin.charCodeAt(at) << shift
    else high ^= bin.charCodeAt(at) << (shift - 32)
  }
  if (whole < length) {
    high = multipliedHigh(high, low)
    low = Math.imul(low, M_LOW)
  }
  low ^= high >>> 15
  high = multipliedHigh(high, low)
  low = Math.imul(low, M_LOW)
  low ^= high >>> 15
  return { high: high >>> 0, low: low >>> 0 }
}
