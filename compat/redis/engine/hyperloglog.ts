/** HyperLogLog in the string that Redis keeps it in, byte for byte.
 *
 *  1. A header of 16 bytes: `HYLL`, the encoding, three zeros, and the last count, little-endian; its highest bit says
 *     that registers have changed since.
 *  2. Dense: 16384 registers of 6 bits. Sparse: runs of registers, `00nnnnnn` of zeros, `01nnnnnn nnnnnnnn` of more
 *     zeros, `1vvvvvnn` of a value; a value above 32, or more than `REDIS_HLL_SPARSE_BYTES_MAX`, makes it dense.
 *  3. Runs are split and joined in the order that Redis does it, as the bytes show it.
 *
 *  @source https://redis.io/docs/latest/commands/pfadd/ (representation) and O. Ertl, New cardinality estimation
 *    algorithms for HyperLogLog sketches, arXiv 1702.01284, algorithms 5 and 6 */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_HLL_SPARSE_BYTES_MAX } from '@dotdo/core/limits'
import { murmur64 } from './murmur64.ts'

const REGISTER_BITS = 14
const REGISTERS = 1 << REGISTER_BITS
/** Bits of the hash that are left for the run of zeros. */
const RUN_BITS = 64 - REGISTER_BITS
const HEADER_BYTES = 16
const DENSE_BYTES = HEADER_BYTES + (REGISTERS * 6) / 8
const ENCODING_AT = 4
const COUNT_AT = 8
const STALE_AT = 15
const DENSE = 0
const SPARSE = 1
const SPARSE_VALUE_MAX = 32
const SEED = 0xadc83b19
const ALPHA = 0.7213475204444817

/** A HyperLogLog about to be changed; `bytes` are replaced when their number changes. */
export interface Sketch {
  bytes: Uint8Array
}

/** Make the failure of a string that is no HyperLogLog. */
function notOne(): Failure {
  return new Failure('invalid', 'WRONGTYPE Key is not a valid HyperLogLog string value.')
}

function corrupted(): Failure {
  return new Failure('invalid', 'INVALIDOBJ Corrupted HLL object detected')
}

/** Make an empty one: a run of zeros. */
export function emptySketch(): Sketch {
  const bytes = new Uint8Array(HEADER_BYTES + 2)
  bytes.set([0x48, 0x59, 0x4c, 0x4c, SPARSE])
  bytes.set([0x40 | ((REGISTERS - 1) >> 8), (REGISTERS - 1) & 0xff], HEADER_BYTES)
  return { bytes }
}

/** Read one from a string.
 *  @throws invalid when it is none */
export function openSketch(value: Bin): Sketch {
  const encoding = value.charCodeAt(ENCODING_AT)
  if (value.length < HEADER_BYTES || !value.startsWith('HYLL') || encoding > SPARSE) throw notOne()
  if (encoding === DENSE && value.length !== DENSE_BYTES) throw notOne()
  return { bytes: fromBin(value) }
}

/** Write one as a string. */
export function closeSketch({ bytes }: Sketch): Bin {
  return toBin(bytes)
}

/** Whether it is dense. */
export function isDense({ bytes }: Sketch): boolean {
  return bytes[ENCODING_AT] === DENSE
}

/** Note that the kept count is out of date. */
export function markStale({ bytes }: Sketch): void {
  bytes[STALE_AT] = (bytes[STALE_AT] as number) | 0x80
}

/** A run of equal registers in the sparse form. */
interface Run {
  readonly value: number
  readonly length: number
  /** Bytes it takes. */
  readonly sizeBytes: number
}

function runAt(bytes: Uint8Array, at: number): Run {
  const byte = bytes[at] as number
  if (byte & 0x80) return { value: ((byte >> 2) & 0x1f) + 1, length: (byte & 3) + 1, sizeBytes: 1 }
  if ((byte & 0x40) === 0) return { value: 0, length: (byte & 0x3f) + 1, sizeBytes: 1 }
  return { value: 0, length: (((byte & 0x3f) << 8) | (bytes[at + 1] ?? 0)) + 1, sizeBytes: 2 }
}

/** List the runs.
 *  @throws invalid when they are not those of all registers */
function* runsOf(bytes: Uint8Array): Generator<{ value: number; first: number; length: number }> {
  let first = 0
  let at = HEADER_BYTES
  while (at < bytes.length) {
    const { value, length, sizeBytes } = runAt(bytes, at)
    if (first + length > REGISTERS) throw corrupted()
    yield { value, first, length }
    first += length
    at += sizeBytes
  }
  if (first !== REGISTERS) throw corrupted()
}

const valueRun = (value: number, length: number): number => 0x80 | ((value - 1) << 2) | (length - 1)

function zeroRun(length: number): number[] {
  if (length === 0) return []
  const less = length - 1
  return length > 64 ? [0x40 | (less >> 8), less & 0xff] : [less]
}

function denseGet(bytes: Uint8Array, index: number): number {
  const at = HEADER_BYTES + ((index * 6) >> 3)
  const shift = (index * 6) & 7
  return ((((bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8)) >> shift) & 63) as number
}

function denseSet(bytes: Uint8Array, index: number, value: number): void {
  const at = HEADER_BYTES + ((index * 6) >> 3)
  const shift = (index * 6) & 7
  const word = (bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8)
  const next = (word & ~(63 << shift)) | (value << shift)
  bytes[at] = next & 0xff
  if (shift > 2) bytes[at + 1] = next >> 8
}

/** Make it dense.
 *  @returns whether it was not
 *  @throws invalid when its runs make no sense */
export function makeDense(sketch: Sketch): boolean {
  if (isDense(sketch)) return false
  const bytes = new Uint8Array(DENSE_BYTES)
  bytes.set(sketch.bytes.subarray(0, HEADER_BYTES))
  bytes[ENCODING_AT] = DENSE
  for (const { value, first, length } of runsOf(sketch.bytes)) {
    if (value > 0) for (let i = first; i < first + length; i++) denseSet(bytes, i, value)
  }
  sketch.bytes = bytes
  return true
}

function raiseDense(bytes: Uint8Array, index: number, value: number): boolean {
  if (denseGet(bytes, index) >= value) return false
  denseSet(bytes, index, value)
  return true
}

interface Found {
  readonly run: Run
  readonly at: number
  /** Where the run before begins; the first run's place when there is none. */
  readonly before: number
  /** Its first register. */
  readonly first: number
}

function findRun(bytes: Uint8Array, index: number): Found {
  let at = HEADER_BYTES
  let before = at
  let first = 0
  while (at < bytes.length) {
    const run = runAt(bytes, at)
    if (index < first + run.length) return { run, at, before, first }
    before = at
    at += run.sizeBytes
    first += run.length
  }
  throw corrupted()
}

/** The runs that stand for `run` when its register `index` has the value. */
function splitRun({ run, first }: Found, index: number, value: number): number[] {
  const left = index - first
  const right = first + run.length - 1 - index
  if (run.value === 0) return [...zeroRun(left), valueRun(value, 1), ...zeroRun(right)]
  const rest = (length: number) => (length === 0 ? [] : [valueRun(run.value, length)])
  return [...rest(left), valueRun(value, 1), ...rest(right)]
}

/** Join equal runs near a place: as far as Redis looks, five steps. */
function joinRuns(bytes: Uint8Array, from: number): Uint8Array {
  let { length } = bytes
  let at = from
  for (let step = 0; step < 5 && at < length; step++) {
    const here = runAt(bytes, at)
    if (here.value > 0 && at + 1 < length && (bytes[at + 1] as number) & 0x80) {
      const next = runAt(bytes, at + 1)
      if (next.value === here.value && here.length + next.length <= 4) {
        bytes.copyWithin(at, at + 1, length)
        bytes[at] = valueRun(here.value, here.length + next.length)
        length -= 1
        continue
      }
    }
    at += here.sizeBytes
  }
  return length === bytes.length ? bytes : bytes.slice(0, length)
}

function raiseSparse(sketch: Sketch, index: number, value: number): boolean {
  const { bytes } = sketch
  const found = findRun(bytes, index)
  const { run, at } = found
  if (run.value >= value) return false
  const runs = splitRun(found, index, value)
  const growth = runs.length - run.sizeBytes
  if (value > SPARSE_VALUE_MAX || (growth > 0 && bytes.length + growth > REDIS_HLL_SPARSE_BYTES_MAX)) {
    makeDense(sketch)
    return raiseDense(sketch.bytes, index, value)
  }
  let next = bytes
  if (growth !== 0) {
    next = new Uint8Array(bytes.length + growth)
    next.set(bytes.subarray(0, at))
    next.set(bytes.subarray(at + run.sizeBytes), at + runs.length)
  }
  next.set(runs, at)
  sketch.bytes = joinRuns(next, found.before)
  return true
}

/** Raise a register to a value.
 *  @returns whether it was lower */
function raise(sketch: Sketch, index: number, value: number): boolean {
  return isDense(sketch) ? raiseDense(sketch.bytes, index, value) : raiseSparse(sketch, index, value)
}

const trailingZeros = (word: number): number => 31 - Math.clz32(word & -word)

/** Find an element's register, and the length of the run of zeros that its hash has, plus one. */
function placeElement(element: Bin): { index: number; value: number } {
  const { high, low } = murmur64(element, SEED)
  const lower = low >>> REGISTER_BITS
  const lowerBits = 32 - REGISTER_BITS
  const zeros = lower !== 0 ? trailingZeros(lower) : high !== 0 ? lowerBits + trailingZeros(high) : RUN_BITS
  return { index: low & (REGISTERS - 1), value: zeros + 1 }
}

/** Add an element.
 *  @returns whether a register changed */
export function addElement(sketch: Sketch, element: Bin): boolean {
  const { index, value } = placeElement(element)
  return raise(sketch, index, value)
}

/** Read all registers, one to a byte. */
export function readRegisters(sketch: Sketch): Uint8Array {
  const registers = new Uint8Array(REGISTERS)
  mergeRegisters(registers, sketch)
  return registers
}

/** Make registers that are all zero. */
export function zeroRegisters(): Uint8Array {
  return new Uint8Array(REGISTERS)
}

/** Raise registers to those of a sketch. */
export function mergeRegisters(registers: Uint8Array, { bytes }: Sketch): void {
  if (bytes[ENCODING_AT] === DENSE) {
    for (let i = 0; i < REGISTERS; i++) registers[i] = Math.max(registers[i] as number, denseGet(bytes, i))
    return
  }
  for (const { value, first, length } of runsOf(bytes)) {
    if (value === 0) continue
    for (let i = first; i < first + length; i++) registers[i] = Math.max(registers[i] as number, value)
  }
}

/** Raise the registers of a sketch. */
export function raiseAll(sketch: Sketch, registers: Uint8Array): void {
  for (let i = 0; i < REGISTERS; i++) if ((registers[i] as number) > 0) raise(sketch, i, registers[i] as number)
}

/** @source Ertl, algorithm 6: the part of the registers that are zero */
function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY
  let x = share
  let y = 1
  let z = x
  for (let before = Number.NaN; before !== z; ) {
    x *= x
    before = z
    z += x * y
    y += y
  }
  return z
}

/** @source Ertl, algorithm 5: the part of the registers that are full */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let x = share
  let y = 1
  let z = 1 - x
  for (let before = Number.NaN; before !== z; ) {
    x = Math.sqrt(x)
    before = z
    y *= 0.5
    z -= (1 - x) * (1 - x) * y
  }
  return z / 3
}

/** Estimate how many elements made the registers what they are. */
export function estimate(registers: Uint8Array): number {
  const histogram = new Array<number>(64).fill(0)
  for (const value of registers) histogram[value] = (histogram[value] as number) + 1
  let z = REGISTERS * tau((REGISTERS - (histogram[RUN_BITS + 1] as number)) / REGISTERS)
  for (let value = RUN_BITS; value >= 1; value--) z = (z + (histogram[value] as number)) * 0.5
  z += REGISTERS * sigma((histogram[0] as number) / REGISTERS)
  return Math.round((ALPHA * REGISTERS * REGISTERS) / z)
}

/** Read the count that is kept.
 *  @returns undefined when it is out of date */
export function keptCount({ bytes }: Sketch): number | undefined {
  if ((bytes[STALE_AT] as number) & 0x80) return undefined
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(COUNT_AT, true))
}

/** Keep a count. */
export function keepCount({ bytes }: Sketch, count: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(COUNT_AT, BigInt(count), true)
}

/** Show the runs of a sparse one: `z` and `Z` zeros, `v` a value and how often. */
export function describeRuns({ bytes }: Sketch): string {
  const shown: string[] = []
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const { value, length, sizeBytes } = runAt(bytes, at)
    if (value > 0) shown.push(`v:${value},${length}`)
    else shown.push(`${sizeBytes === 2 ? 'Z' : 'z'}:${length}`)
    at += sizeBytes
  }
  return shown.join(' ')
}

/** Check dense registers and estimates against what was put in.
 *  @returns what is wrong, or undefined
 *  @cost some 30,000 elements hashed */
export function selfTest(): string | undefined {
  const dense = emptySketch()
  makeDense(dense)
  for (let i = 0; i < REGISTERS; i++) denseSet(dense.bytes, i, (i * 31) % 64)
  for (let i = 0; i < REGISTERS; i++) {
    const wanted = (i * 31) % 64
    const found = denseGet(dense.bytes, i)
    if (found !== wanted) return `TESTFAILED Register ${i} should be ${wanted} but is ${found}`
  }
  const added = emptySketch()
  for (let count = 1, next = 1; count <= 30_000; count++) {
    addElement(added, `element ${count}`)
    if (count !== next) continue
    next *= 3
    const found = estimate(readRegisters(added))
    // Four standard deviations of 1.04 / sqrt(registers), and one for small counts.
    if (Math.abs(found - count) > count * 0.0325 + 1) return `TESTFAILED Too big error. card:${count} est:${found}`
  }
  return undefined
}
