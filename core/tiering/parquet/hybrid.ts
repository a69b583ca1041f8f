/** The hybrid of run lengths and bit-packing: levels, dictionary indices and booleans.
 *  Runs of eight or more are run lengths, what is between is packed in groups of eight.
 *  @source https://github.com/apache/parquet-format/blob/master/Encodings.md#RLE */
import type { Output } from './output.ts'

/** @returns bits that hold every number up to `max` */
export function bitWidthOf(max: number): number {
  return max === 0 ? 0 : 32 - Math.clz32(max)
}

/** The least run that is worth a header of its own. */
const runLeast = 8

/** Write `values[from]` to `values[to - 1]`.
 *  @param width bits of each, 0 to 31 */
export function writeHybrid(output: Output, values: ArrayLike<number>, from: number, to: number, width: number): void {
  let packedFrom = from
  let at = from
  while (at < to) {
    const value = values[at] as number
    let end = at + 1
    while (end < to && values[end] === value) end++
    // A packed group holds eight values: a run gives its first ones to fill the group that is open.
    const missing = (8 - ((at - packedFrom) & 7)) & 7
    if (end - at - missing >= runLeast) {
      if (at > packedFrom) writePacked(output, values, packedFrom, at + missing, width)
      writeRun(output, value, end - at - missing, width)
      packedFrom = end
    }
    at = end
  }
  if (packedFrom < to) writePacked(output, values, packedFrom, to, width)
}

function writeRun(output: Output, value: number, count: number, width: number): void {
  output.varint(count * 2)
  for (let shift = 0; shift < width; shift += 8) output.byte((value >>> shift) & 0xff)
}

function writePacked(output: Output, values: ArrayLike<number>, from: number, to: number, width: number): void {
  const groups = Math.ceil((to - from) / 8)
  output.varint(groups * 2 + 1)
  const bytes = output.reserve(groups * width + 4)
  let { length } = output
  const end = length + groups * width
  let held = 0
  let heldBits = 0
  for (let at = from; at < to; at++) {
    const value = values[at] as number
    held |= value << heldBits
    heldBits += width
    if (heldBits >= 32) {
      bytes[length] = held
      bytes[length + 1] = held >>> 8
      bytes[length + 2] = held >>> 16
      bytes[length + 3] = held >>> 24
      length += 4
      heldBits -= 32
      // A shift by 32 is none in JavaScript; width - heldBits is at most 31 as long as heldBits is not 0.
      held = heldBits === 0 ? 0 : value >>> (width - heldBits)
    }
  }
  while (length < end) {
    bytes[length++] = held
    held >>>= 8
  }
  output.length = end
}
