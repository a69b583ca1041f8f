/** Sets of whole numbers as Roaring bitmaps, in the portable form of 64 bits: how deletion vectors keep positions.
 *
 *  1. Numbers are cut into 32 high bits (a bitmap each), 16 middle bits (a container each) and 16 low bits.
 *  2. A container is an array, a bitmap or runs, whichever takes the fewest bytes.
 *  @source https://github.com/RoaringBitmap/RoaringFormatSpec ("Extension for 64-bit Implementations" included) */
import { Failure } from '../../errors.ts'

const cookieWithoutRuns = 12_346
const cookieWithRuns = 12_347
/** Bitmaps with runs have an offset header only from so many containers on. */
const offsetsFrom = 4
/** Values of an array container at the most; of a bitmap container, above. */
const arrayMax = 4_096
const bitmapBytes = 8_192
const high = 2 ** 32

/** One container: numbers of the same high bits. */
interface Container {
  readonly key: number
  /** Low 16 bits, ascending. */
  readonly values: Uint16Array
  readonly runs: number
}

/** Write a set of numbers.
 *  @param positions whole, within 2^53, ascending, none twice
 *  @throws invalid when they are not */
export function encodeRoaring(positions: ArrayLike<number>): Uint8Array {
  checkAscending(positions)
  const parts: Uint8Array[] = []
  const keys: number[] = []
  for (let from = 0; from < positions.length; ) {
    const key = Math.floor((positions[from] as number) / high)
    const to = endOf(positions, from, (key + 1) * high)
    keys.push(key)
    parts.push(encode32(positions, from, to))
    from = to
  }
  const bytes = new Uint8Array(8 + parts.reduce((sum, part) => sum + 4 + part.length, 0))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, parts.length, true)
  let at = 8
  for (const [index, part] of parts.entries()) {
    view.setUint32(at, keys[index] as number, true)
    bytes.set(part, at + 4)
    at += 4 + part.length
  }
  return bytes
}

function checkAscending(positions: ArrayLike<number>): void {
  let last = -1
  for (let at = 0; at < positions.length; at++) {
    const position = positions[at] as number
    if (!Number.isSafeInteger(position) || position <= last) {
      throw new Failure('invalid', `position ${position} after ${last}: whole numbers that rise are right`)
    }
    last = position
  }
}

/** Find the first number from `from` on that is not below a limit. */
function endOf(positions: ArrayLike<number>, from: number, limit: number): number {
  let at = from
  while (at < positions.length && (positions[at] as number) < limit) at++
  return at
}

function containersOf(positions: ArrayLike<number>, from: number, to: number): Container[] {
  const containers: Container[] = []
  for (let start = from; start < to; ) {
    const first = positions[start] as number
    const base = first - (first % 65_536)
    const end = endOf(positions, start, base + 65_536)
    const values = new Uint16Array(end - start)
    let runs = 0
    for (let at = start; at < end; at++) {
      values[at - start] = (positions[at] as number) - base
      if (at === start || (positions[at] as number) !== (positions[at - 1] as number) + 1) runs++
    }
    containers.push({ key: (base % high) / 65_536, values, runs })
    start = end
  }
  return containers
}

const plainBytes = ({ values }: Container) => (values.length <= arrayMax ? values.length * 2 : bitmapBytes)
const isRuns = (container: Container) => 2 + container.runs * 4 < plainBytes(container)
const sizeOf = (container: Container) => (isRuns(container) ? 2 + container.runs * 4 : plainBytes(container))

function encode32(positions: ArrayLike<number>, from: number, to: number): Uint8Array {
  const containers = containersOf(positions, from, to)
  const count = containers.length
  const hasRuns = containers.some(isRuns)
  const hasOffsets = !hasRuns || count >= offsetsFrom
  const flagBytes = hasRuns ? Math.ceil(count / 8) : 0
  const headBytes = (hasRuns ? 4 + flagBytes : 8) + count * 4 + (hasOffsets ? count * 4 : 0)
  const bytes = new Uint8Array(containers.reduce((sum, one) => sum + sizeOf(one), headBytes))
  const view = new DataView(bytes.buffer)
  if (hasRuns) view.setUint32(0, cookieWithRuns + (count - 1) * 65_536, true)
  else {
    view.setUint32(0, cookieWithoutRuns, true)
    view.setUint32(4, count, true)
  }
  let head = hasRuns ? 4 + flagBytes : 8
  const offsets = head + count * 4
  let at = headBytes
  for (const [index, container] of containers.entries()) {
    if (hasRuns && isRuns(container)) bytes[4 + (index >> 3)] = (bytes[4 + (index >> 3)] as number) | (1 << (index & 7))
    view.setUint16(head, container.key, true)
    view.setUint16(head + 2, container.values.length - 1, true)
    head += 4
    if (hasOffsets) view.setUint32(offsets + index * 4, at, true)
    writeContainer(view, at, container)
    at += sizeOf(container)
  }
  return bytes
}

function writeContainer(view: DataView, start: number, container: Container): void {
  const { values } = container
  if (isRuns(container)) return writeRuns(view, start, container)
  if (values.length <= arrayMax) {
    for (let at = 0; at < values.length; at++) view.setUint16(start + at * 2, values[at] as number, true)
    return
  }
  for (const value of values) {
    const byte = start + (value >> 3)
    view.setUint8(byte, view.getUint8(byte) | (1 << (value & 7)))
  }
}

function writeRuns(view: DataView, start: number, { values, runs }: Container): void {
  view.setUint16(start, runs, true)
  let at = start - 2
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number
    if (index === 0 || value !== (values[index - 1] as number) + 1) {
      at += 4
      view.setUint16(at, value, true)
    }
    view.setUint16(at + 2, value - view.getUint16(at, true), true)
  }
}

/** Read a set of numbers.
 *  @returns them, ascending
 *  @throws invalid when the bytes are no bitmap, limit past 2^53 */
export function decodeRoaring(bytes: Uint8Array): number[] {
  const reader = new Reader(bytes)
  const positions: number[] = []
  const bitmaps = reader.uint32() + reader.uint32() * high
  let last = -1
  for (let count = 0; count < bitmaps; count++) {
    const key = reader.uint32()
    if (key <= last) throw broken('its keys do not rise')
    if (key >= 2 ** 21) throw new Failure('limit', 'a position past 2^53')
    last = key
    decode32(reader, key * high, positions)
  }
  if (reader.at !== bytes.length) throw broken(`${bytes.length - reader.at} bytes are left`)
  return positions
}

const broken = (why: string) => new Failure('invalid', `no Roaring bitmap: ${why}`)

/** Reads numbers, and never past the end. */
class Reader {
  readonly bytes: Uint8Array
  private readonly view: DataView
  at = 0
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** @returns where so many bytes begin, which are there */
  take(count: number): number {
    const start = this.at
    if (start + count > this.bytes.length) throw broken('it is cut off')
    this.at += count
    return start
  }
  uint16(): number {
    return this.view.getUint16(this.take(2), true)
  }
  uint32(): number {
    return this.view.getUint32(this.take(4), true)
  }
}

interface Head {
  readonly key: number
  readonly count: number
  readonly isRun: boolean
}

function decode32(reader: Reader, base: number, into: number[]): void {
  let last = -1
  for (const { key, count, isRun } of readHeads(reader)) {
    if (key <= last) throw broken('the keys of its containers do not rise')
    last = key
    const before = into.length
    const start = base + key * 65_536
    if (isRun) readRuns(reader, start, into)
    else if (count <= arrayMax) readArray(reader, count, { start, into })
    else readBits(reader, start, into)
    if (into.length - before !== count) throw broken(`a container has ${into.length - before} values, not ${count}`)
  }
}

function readHeads(reader: Reader): Head[] {
  const cookie = reader.uint32()
  const hasRuns = (cookie & 0xffff) === cookieWithRuns
  if (!hasRuns && cookie !== cookieWithoutRuns) throw broken(`it begins with ${cookie}`)
  const count = hasRuns ? (cookie >>> 16) + 1 : reader.uint32()
  if (count > 65_536) throw broken(`it has ${count} containers`)
  const flags = hasRuns ? reader.take(Math.ceil(count / 8)) : 0
  const isRun = (at: number) => hasRuns && (((reader.bytes[flags + (at >> 3)] as number) >> (at & 7)) & 1) === 1
  const heads: Head[] = []
  for (let at = 0; at < count; at++) heads.push({ key: reader.uint16(), count: reader.uint16() + 1, isRun: isRun(at) })
  // Containers follow each other, so that their offsets say nothing new.
  if (!hasRuns || count >= offsetsFrom) reader.take(count * 4)
  return heads
}

function readArray(reader: Reader, count: number, { start, into }: { start: number; into: number[] }): void {
  let last = -1
  for (let at = 0; at < count; at++) {
    const value = reader.uint16()
    if (value <= last) throw broken('an array does not rise')
    last = value
    into.push(start + value)
  }
}

function readBits(reader: Reader, start: number, into: number[]): void {
  const from = reader.take(bitmapBytes)
  for (let byte = 0; byte < bitmapBytes; byte++) {
    const bits = reader.bytes[from + byte] as number
    for (let bit = 0; bits >> bit !== 0; bit++) if (((bits >> bit) & 1) === 1) into.push(start + byte * 8 + bit)
  }
}

function readRuns(reader: Reader, start: number, into: number[]): void {
  const runs = reader.uint16()
  let last = -1
  for (let run = 0; run < runs; run++) {
    const first = reader.uint16()
    const end = first + reader.uint16()
    if (first <= last || end > 0xffff) throw broken('runs do not rise')
    last = end
    for (let value = first; value <= end; value++) into.push(start + value)
  }
}
