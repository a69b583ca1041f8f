/** xxHash64 with seed 0, in 32-bit halves: BigInt would take twenty times as long.
 *  @source https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */

// The primes as halves.
const p1h = 0x9e3779b1
const p1l = 0x85ebca87
const p2h = 0xc2b2ae3d
const p2l = 0x27d4eb4f
const p3h = 0x165667b1
const p3l = 0x9e3779f9
const p4h = 0x85ebca77
const p4l = 0xc2b2ae63
const p5h = 0x27d4eb2f
const p5l = 0x165667c5

// A result has two halves and JavaScript returns one value: they are left here. Nothing else runs in between.
let high = 0
let low = 0

/** high:low = a * b, modulo 2^64. */
function multiply(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff
  const a1 = al >>> 16
  const b0 = bl & 0xffff
  const b1 = bl >>> 16
  const low0 = a0 * b0
  const middle = a1 * b0 + (low0 >>> 16)
  const middle2 = a0 * b1 + (middle & 0xffff)
  // None of these sums reaches 2^32, so >>> cuts nothing off.
  const carried = a1 * b1 + (middle >>> 16) + (middle2 >>> 16)
  high = (carried + Math.imul(ah, bl) + Math.imul(al, bh)) | 0
  low = Math.imul(al, bl)
}

/** high:low = rotate(high:low, left by bits below 32). */
function rotate(bits: number): void {
  const h = high
  high = (h << bits) | (low >>> (32 - bits))
  low = (low << bits) | (h >>> (32 - bits))
}

/** high:low += h:l */
function add(h: number, l: number): void {
  const sum = (low >>> 0) + (l >>> 0)
  high = (high + h + (sum > 0xffff_ffff ? 1 : 0)) | 0
  low = sum | 0
}

/** high:low = round(accumulator h:l, lane). */
function round(h: number, l: number, laneHigh: number, laneLow: number): void {
  multiply(laneHigh, laneLow, p2h, p2l)
  add(h, l)
  rotate(31)
  multiply(high, low, p1h, p1l)
}

/** high:low ^= round(0, h:l); then times prime 1 plus prime 4. */
function mergeRound(h: number, l: number): void {
  const accumulatorHigh = high
  const accumulatorLow = low
  round(0, 0, h, l)
  multiply(high ^ accumulatorHigh, low ^ accumulatorLow, p1h, p1l)
  add(p4h, p4l)
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  )
}

/** The accumulators of the four lanes, high and low in turn. */
const lanes = new Int32Array(8)
/** Prime 1 plus prime 2, prime 2, 0, minus prime 1. */
const lanesFirst = Int32Array.of(0x60ea27ee, 0xadc0b5d6, p2h, p2l, 0, 0, 0x61c8864e, 0x7a143579)

function hashStripes(bytes: Uint8Array, from: number, to: number): number {
  lanes.set(lanesFirst)
  let at = from
  for (; at + 32 <= to; at += 32) {
    for (let lane = 0; lane < 4; lane++) {
      const place = at + lane * 8
      round(lanes[lane * 2] as number, lanes[lane * 2 + 1] as number, word(bytes, place + 4), word(bytes, place))
      lanes[lane * 2] = high
      lanes[lane * 2 + 1] = low
    }
  }
  let sumHigh = 0
  let sumLow = 0
  for (let lane = 0; lane < 4; lane++) {
    high = lanes[lane * 2] as number
    low = lanes[lane * 2 + 1] as number
    rotate(lane === 0 ? 1 : lane === 1 ? 7 : lane === 2 ? 12 : 18)
    add(sumHigh, sumLow)
    sumHigh = high
    sumLow = low
  }
  for (let lane = 0; lane < 4; lane++) mergeRound(lanes[lane * 2] as number, lanes[lane * 2 + 1] as number)
  return at
}

/** Hash bytes `from` to `to`; the halves of the hash go into `into`, the low one first. */
export function xxhash64(bytes: Uint8Array, from: number, to: number, into: Int32Array): void {
  high = p5h
  low = p5l
  let at = to - from >= 32 ? hashStripes(bytes, from, to) : from
  add(0, to - from)
  for (; at + 8 <= to; at += 8) {
    const h = high
    const l = low
    round(0, 0, word(bytes, at + 4), word(bytes, at))
    high ^= h
    low ^= l
    rotate(27)
    multiply(high, low, p1h, p1l)
    add(p4h, p4l)
  }
  if (at + 4 <= to) {
    const h = high
    const l = low
    multiply(0, word(bytes, at), p1h, p1l)
    high ^= h
    low ^= l
    rotate(23)
    multiply(high, low, p2h, p2l)
    add(p3h, p3l)
    at += 4
  }
  for (; at < to; at++) {
    const h = high
    const l = low
    multiply(0, bytes[at] as number, p5h, p5l)
    high ^= h
    low ^= l
    rotate(11)
    multiply(high, low, p1h, p1l)
  }
  avalanche()
  into[0] = low
  into[1] = high
}

function avalanche(): void {
  // ^= >>> 33, * prime 2, ^= >>> 29, * prime 3, ^= >>> 32
  low ^= high >>> 1
  multiply(high, low, p2h, p2l)
  low ^= (low >>> 29) | (high << 3)
  high ^= high >>> 29
  multiply(high, low, p3h, p3l)
  low ^= high
}
