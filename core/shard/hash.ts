/** Hash functions that place keys, and the canonical bytes they hash.
 *
 *  1. All are pure and fixed for ever: a change of one bit moves every key of every database.
 *  2. `crc16Slot` is Redis Cluster's, hash tags included, so that cluster clients agree with us. Its spread over
 *     numeric suffixes is poor (facts/sharding.md, 1.2): only raw Redis keys use it; the rest use `murmur3`.
 *  3. Canonical keys sort, as binary strings, in the order null < false < true < numbers < text < bytes, numbers by
 *     value and text by code point: range boundaries compare them as they stand. */
import { type Bin, binToText, fromBin, textToBin, toBin } from '../bytes.ts'
import { assert } from '../errors.ts'
import { SLOT_COUNT } from '../limits.ts'

/** A typed value that a shard key can have. */
export type Scalar = null | boolean | number | string | Uint8Array

const slotMask = SLOT_COUNT - 1

/** Table k holds the CRC of each byte with k zero bytes after it, for four bytes a step (slicing-by-4). */
function crcTables(): [Uint16Array, Uint16Array, Uint16Array, Uint16Array] {
  const table = () => new Uint16Array(256)
  const all: ReturnType<typeof crcTables> = [table(), table(), table(), table()]
  const single = all[0]
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
    single[byte] = crc
  }
  for (let byte = 0; byte < 256; byte++) {
    let crc = single[byte] as number
    for (const longer of all.slice(1)) {
      crc = ((crc << 8) & 0xffff) ^ (single[crc >> 8] as number)
      longer[byte] = crc
    }
  }
  return all
}
const [table0, table1, table2, table3] = crcTables()

/** Compute the CRC16 of a part of a key.
 *  @source CRC-16/XMODEM: polynomial 0x1021, start 0, not reflected (Redis Cluster specification, appendix A) */
export function crc16(key: Bin, start = 0, end: number = key.length): number {
  let crc = 0
  let at = start
  for (; at + 4 <= end; at += 4) {
    const a = key.charCodeAt(at)
    const b = key.charCodeAt(at + 1)
    const c = key.charCodeAt(at + 2)
    const d = key.charCodeAt(at + 3)
    const mixed = crc ^ ((a << 8) | b)
    crc =
      (table3[mixed >> 8] as number) ^ (table2[mixed & 0xff] as number) ^ (table1[c] as number) ^ (table0[d] as number)
  }
  for (; at < end; at++) crc = ((crc << 8) & 0xffff) ^ (table0[(crc >> 8) ^ key.charCodeAt(at)] as number)
  return crc
}

/** Find the slot of a Redis key. Of a key with a non-empty `{tag}`, only the tag counts.
 *  @source https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (hash tags: the first `{`,
 *  then the first `}` after it; when nothing is between, the whole key) */
export function crc16Slot(key: Bin): number {
  const open = key.indexOf('{')
  if (open >= 0) {
    const close = key.indexOf('}', open + 1)
    if (close > open + 1) return crc16(key, open + 1, close) & slotMask
  }
  return crc16(key) & slotMask
}

function word(key: Bin, at: number): number {
  return (
    key.charCodeAt(at) | (key.charCodeAt(at + 1) << 8) | (key.charCodeAt(at + 2) << 16) | (key.charCodeAt(at + 3) << 24)
  )
}

/** The last one to three bytes as a little endian number; 0 when there are none. */
function tail(key: Bin, at: number): number {
  let value = 0
  for (let index = key.length - 1; index >= at; index--) value = (value << 8) | key.charCodeAt(index)
  return value
}

function scramble(value: number): number {
  const mixed = Math.imul(value, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

function step(hash: number, next: number): number {
  const mixed = hash ^ scramble(next)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

/** Finish a hash from `start` on, when what came before is in `hash` already.
 *  @returns the hash, or -1 when a character is above `most`: looking for that on the way is nearly free, while
 *  reading a string's characters is most of the cost of a hash */
function finish(key: Bin, start: number, rest: { hash: number; size: number; most: number }): number {
  const end = key.length
  const whole = end - ((end - start) & 3)
  let { hash } = rest
  let seen = 0
  for (let at = start; at < whole; at += 4) {
    const a = key.charCodeAt(at)
    const b = key.charCodeAt(at + 1)
    const c = key.charCodeAt(at + 2)
    const d = key.charCodeAt(at + 3)
    seen |= a | b | c | d
    hash = step(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  if (whole < end) {
    let last = 0
    for (let at = end - 1; at >= whole; at--) {
      const code = key.charCodeAt(at)
      seen |= code
      last = (last << 8) | code
    }
    hash ^= scramble(last)
  }
  if (seen > rest.most) return -1
  hash ^= rest.size
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Hash bytes to 32 bits, unsigned.
 *  @source MurmurHash3_x86_32, https://github.com/aappleby/smhasher (MurmurHash3.cpp) */
export function murmur3(key: Bin, seed = 0): number {
  return finish(key, 0, { hash: seed | 0, size: key.length, most: 0xffff })
}

/** Find the slot of a key by murmur3. */
export function murmur3Slot(key: Bin): number {
  return murmur3(key) & slotMask
}

/** Hash bytes to 32 bits, signed, as Kafka's clients do.
 *  @source org.apache.kafka.common.utils.Utils.murmur2 (seed 0x9747b28c) */
export function murmur2(key: Bin): number {
  const size = key.length
  const whole = size & ~3
  const factor = 0x5bd1e995
  let hash = 0x9747b28c ^ size
  for (let at = 0; at < whole; at += 4) {
    const mixed = Math.imul(word(key, at), factor)
    hash = Math.imul(hash, factor) ^ Math.imul(mixed ^ (mixed >>> 24), factor)
  }
  if (whole < size) hash = Math.imul(hash ^ tail(key, whole), factor)
  hash = Math.imul(hash ^ (hash >>> 13), factor)
  return hash ^ (hash >>> 15)
}

/** Find the partition of a record key, as Kafka's default partitioner does.
 *  @source org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey */
export function kafkaPartition(key: Bin, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount
}

// Type tags: one byte in front of the value, in sort order. None is 0x00 or 0xff, which `compoundKey` needs.
const tags = { null: '\x01', false: '\x02', true: '\x03', number: '\x04', text: '\x05', bytes: '\x06' } as const
const scratch = new DataView(new ArrayBuffer(8))

/** Eight bytes that sort as the numbers do: sign bit flipped, negative numbers inverted, NaN first, -0 as 0. */
function numberToBin(value: number): Bin {
  if (Number.isNaN(value)) return '\0\0\0\0\0\0\0\0'
  scratch.setFloat64(0, value === 0 ? 0 : value)
  const high = scratch.getInt32(0)
  const low = scratch.getInt32(4)
  scratch.setInt32(0, high < 0 ? ~high : high ^ 0x80000000)
  scratch.setInt32(4, high < 0 ? ~low : low)
  let bin = ''
  for (let at = 0; at < 8; at++) bin += String.fromCharCode(scratch.getUint8(at))
  return bin
}

function binToNumber(bin: Bin): number {
  for (let at = 0; at < 8; at++) scratch.setUint8(at, bin.charCodeAt(at))
  const high = scratch.getInt32(0)
  const low = scratch.getInt32(4)
  if (high === 0 && low === 0) return Number.NaN
  scratch.setInt32(0, high < 0 ? high ^ 0x80000000 : ~high)
  scratch.setInt32(4, high < 0 ? low : ~low)
  return scratch.getFloat64(0)
}

function isAscii(text: string): boolean {
  let bits = 0
  for (let at = 0; at < text.length; at++) bits |= text.charCodeAt(at)
  return bits < 0x80
}

/** Write a typed value as the bytes that are hashed and compared: a type tag and the value, so that 1 is not '1'.
 *  For placing keys, not for their identity: text with lone surrogates becomes U+FFFD. */
export function canonicalKey(value: Scalar): Bin {
  if (typeof value === 'string') return tags.text + (isAscii(value) ? value : textToBin(value))
  if (typeof value === 'number') return tags.number + numberToBin(value)
  if (value === null) return tags.null
  if (typeof value === 'boolean') return value ? tags.true : tags.false
  return tags.bytes + toBin(value)
}

/** Find the slot of a typed value: `murmur3Slot(canonicalKey(value))`, several times faster for ASCII text. */
export function canonicalSlot(value: Scalar): number {
  if (typeof value === 'string' && value.length >= 3) {
    // The tag and three characters make the first word; joining the tag to the text would copy the text first.
    const a = value.charCodeAt(0)
    const b = value.charCodeAt(1)
    const c = value.charCodeAt(2)
    const hash = step(0, tags.text.charCodeAt(0) | (a << 8) | (b << 16) | (c << 24))
    const whole = (a | b | c) < 0x80 ? finish(value, 3, { hash, size: value.length + 1, most: 0x7f }) : -1
    if (whole >= 0) return whole & slotMask
  }
  return murmur3Slot(canonicalKey(value))
}

/** Read a value back from its canonical key; -0 comes back as 0. */
export function fromCanonicalKey(key: Bin): Scalar {
  const rest = key.slice(1)
  switch (key[0]) {
    case tags.null:
      return null
    case tags.false:
      return false
    case tags.true:
      return true
    case tags.number:
      return binToNumber(rest)
    case tags.bytes:
      return fromBin(rest)
  }
  const text = key[0] === tags.text ? binToText(rest) : undefined
  assert(text !== undefined, 'not a canonical key')
  return text
}

/** Write several typed values as one key that sorts as the tuple does; no two tuples share a key.
 *  @source FoundationDB tuple layer: 0x00 inside is 0x00 0xff, and 0x00 ends a part of varying length */
export function compoundKey(values: readonly Scalar[]): Bin {
  let key = ''
  for (const value of values) {
    const part = canonicalKey(value)
    const varies = typeof value === 'string' || value instanceof Uint8Array
    key += varies ? `${part.includes('\0') ? part.replaceAll('\0', '\0\xff') : part}\0` : part
  }
  return key
}
