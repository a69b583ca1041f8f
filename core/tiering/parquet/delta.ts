/** DELTA_BINARY_PACKED: integers as differences, in blocks of 128, each as many bits as its 32 need.
 *
 *  1. Differences are taken in doubles, so 64-bit columns must span at most 2^52 (`canDelta`).
 *  2. Those of 32-bit columns wrap around at 32 bits, as readers do: no width passes 32.
 *  @source https://github.com/apache/parquet-format/blob/master/Encodings.md#DELTAENC */
import type { Output } from './output.ts'

/** Values of a block, and of a miniblock, which has a width of its own. */
const blockValues = 128
const miniValues = 32
const miniCount = blockValues / miniValues
/** The widest span of a column whose differences, and the differences between those, are exact in doubles. */
const spanMax = 2 ** 52

/** Whether differences of integers between `min` and `max` can be taken. */
export function canDelta(min: number, max: number): boolean {
  return max - min <= spanMax
}

const deltas = new Float64Array(blockValues)

/** Write `values[from]` to `values[to - 1]`.
 *  @param wraps take differences modulo 2^32: for columns of 32 bits */
export function writeDelta(output: Output, values: ArrayLike<number>, from: number, to: number, wraps: boolean): void {
  output.varint(blockValues)
  output.varint(miniCount)
  output.varint(to - from)
  output.zigzag(from < to ? (values[from] as number) : 0)
  for (let start = from + 1; start < to; start += blockValues) {
    const count = Math.min(blockValues, to - start)
    const min = takeDeltas(values, start, count, wraps)
    writeBlock(output, count, min)
  }
}

/** Estimate the bits that a value takes, header and all, from a few blocks.
 *  @param values at least two */
export function estimateDeltaBits(values: ArrayLike<number>, count: number, wraps: boolean): number {
  const samples = Math.min(8, Math.ceil(count / blockValues))
  const step = Math.floor(count / samples)
  let bits = 0
  let seen = 0
  for (let sample = 0; sample < samples; sample++) {
    const start = sample * step + 1
    const taken = Math.min(blockValues, count - start)
    if (taken <= 0) continue
    const min = takeDeltas(values, start, taken, wraps)
    for (let mini = 0; mini * miniValues < taken; mini++) bits += miniValues * widthOf(maxOf(mini, taken, min))
    bits += 8 * (miniCount + 3)
    seen += taken
  }
  return seen === 0 ? 0 : bits / seen
}

/** Fill `deltas`. @returns the least */
function takeDeltas(values: ArrayLike<number>, start: number, count: number, wraps: boolean): number {
  let previous = values[start - 1] as number
  let min = Number.POSITIVE_INFINITY
  for (let at = 0; at < count; at++) {
    const value = values[start + at] as number
    const delta = wraps ? (value - previous) | 0 : value - previous
    deltas[at] = delta
    if (delta < min) min = delta
    previous = value
  }
  return min
}

function maxOf(mini: number, count: number, min: number): number {
  let max = 0
  const end = Math.min(count, (mini + 1) * miniValues)
  for (let at = mini * miniValues; at < end; at++) {
    const over = (deltas[at] as number) - min
    if (over > max) max = over
  }
  return max
}

/** @returns bits of an integer up to 2^53 */
function widthOf(max: number): number {
  return max < 2 ** 32 ? 32 - Math.clz32(max) : 64 - Math.clz32(Math.floor(max / 2 ** 32))
}

function writeBlock(output: Output, count: number, min: number): void {
  output.zigzag(min)
  output.reserve(miniCount + 8 * blockValues)
  const widthsAt = output.length
  output.length += miniCount
  for (let mini = 0; mini < miniCount; mini++) {
    // Miniblocks past the last value have width 0 and no bytes.
    const width = mini * miniValues < count ? widthOf(maxOf(mini, count, min)) : 0
    output.bytes[widthsAt + mini] = width
    if (width > 32) packWide(output, mini, count, min, width)
    else if (width > 0) pack(output, mini, count, min, width)
  }
}

/** Pack a miniblock of at most 32 bits a value; missing values are 0. */
function pack(output: Output, mini: number, count: number, min: number, width: number): void {
  const { bytes } = output
  let { length } = output
  let held = 0
  let heldBits = 0
  const start = mini * miniValues
  for (let at = start; at < start + miniValues; at++) {
    const value = at < count ? (deltas[at] as number) - min : 0
    held |= value << heldBits
    heldBits += width
    if (heldBits >= 32) {
      bytes[length] = held
      bytes[length + 1] = held >>> 8
      bytes[length + 2] = held >>> 16
      bytes[length + 3] = held >>> 24
      length += 4
      heldBits -= 32
      held = heldBits === 0 ? 0 : value >>> (width - heldBits)
    }
  }
  // 32 values of any width are whole words: nothing is held.
  output.length = length
}

/** Pack a miniblock of 33 to 53 bits a value, byte by byte: seldom met. */
function packWide(output: Output, mini: number, count: number, min: number, width: number): void {
  const { bytes } = output
  let { length } = output
  let held = 0
  let heldBits = 0
  const start = mini * miniValues
  for (let at = start; at < start + miniValues; at++) {
    let value = at < count ? (deltas[at] as number) - min : 0
    let left = width
    while (left > 0) {
      const taken = Math.min(8 - heldBits, left)
      const scale = 2 ** taken
      held |= (value % scale) << heldBits
      value = Math.floor(value / scale)
      left -= taken
      heldBits += taken
      if (heldBits === 8) {
        bytes[length++] = held
        held = 0
        heldBits = 0
      }
    }
  }
  output.length = length
}
