/** The packed forms that Redis has small collections in: listpacks, and the older ziplists, intsets and zipmaps.
 *  @source redis listpack.c, ziplist.c, intset.c, zipmap.c, for the formats */
import type { Bin } from '@dotdo/core/bytes'
import { badFormat, Reader } from './reader.ts'

const END = 255

/** Bytes that the length of an entry takes after it, to walk backwards. */
function backLength(size: number): number {
  if (size < 128) return 1
  if (size < 16_384) return 2
  if (size < 2_097_152) return 3
  return size < 268_435_456 ? 4 : 5
}

/** Integers of listpacks and how many bytes they take, by their first byte. */
const listpackIntegers: { readonly [first: number]: number } = { 241: 2, 242: 3, 243: 4, 244: 8 }

function listpackEntry(reader: Reader, first: number): Bin {
  if (first < 128) return String(first)
  if (first < 192) return reader.take(first & 63)
  if (first < 224) {
    const value = ((first & 31) << 8) | reader.byte()
    return String(value < 4096 ? value : value - 8192)
  }
  if (first < 240) return reader.take(((first & 15) << 8) | reader.byte())
  if (first === 0xf0) return reader.take(reader.unsigned(4))
  const size = listpackIntegers[first]
  if (size === undefined) throw badFormat()
  return reader.signed(size)
}

/** Read the entries of a listpack; integers become their digits.
 *  @throws invalid */
export function readListpack(bytes: Bin): Bin[] {
  const reader = new Reader(bytes)
  if (reader.unsigned(4) !== bytes.length) throw badFormat()
  const count = reader.unsigned(2)
  const entries: Bin[] = []
  for (let first = reader.byte(); first !== END; first = reader.byte()) {
    const start = reader.at - 1
    entries.push(listpackEntry(reader, first))
    reader.take(backLength(reader.at - start))
  }
  // Those who have more than the two bytes can count say 65535.
  if (reader.left > 0 || (count !== 65_535 && count !== entries.length)) throw badFormat()
  return entries
}

const ziplistIntegers: { readonly [first: number]: number } = { 192: 2, 208: 4, 224: 8, 240: 3, 254: 1 }

function ziplistEntry(reader: Reader): Bin {
  const first = reader.byte()
  if (first < 64) return reader.take(first)
  if (first < 128) return reader.take(((first & 63) << 8) | reader.byte())
  if (first === 128) return reader.take(reader.bigEndian(4))
  const size = ziplistIntegers[first]
  if (size !== undefined) return reader.signed(size)
  if (first <= 0xf0 || first > 0xfd) throw badFormat()
  return String((first & 15) - 1)
}

/** Read the entries of a ziplist; integers become their digits.
 *  @throws invalid */
export function readZiplist(bytes: Bin): Bin[] {
  const reader = new Reader(bytes)
  if (reader.unsigned(4) !== bytes.length) throw badFormat()
  reader.take(4)
  const count = reader.unsigned(2)
  const entries: Bin[] = []
  for (let previous = reader.byte(); previous !== END; previous = reader.byte()) {
    if (previous === 254) reader.take(4)
    entries.push(ziplistEntry(reader))
  }
  if (reader.left > 0 || (count !== 65_535 && count !== entries.length)) throw badFormat()
  return entries
}

/** Read the members of an intset.
 *  @throws invalid */
export function readIntset(bytes: Bin): Bin[] {
  const reader = new Reader(bytes)
  const size = reader.unsigned(4)
  const count = reader.unsigned(4)
  if (![2, 4, 8].includes(size) || count * size !== reader.left) throw badFormat()
  return Array.from({ length: count }, () => reader.signed(size))
}

/** Read the fields and values of a zipmap, in turn.
 *  @throws invalid */
export function readZipmap(bytes: Bin): Bin[] {
  const reader = new Reader(bytes)
  reader.byte()
  const size = (first: number) => (first === 254 ? reader.unsigned(4) : first)
  const entries: Bin[] = []
  for (let first = reader.byte(); first !== END; first = reader.byte()) {
    entries.push(reader.take(size(first)))
    const length = size(reader.byte())
    const free = reader.byte()
    entries.push(reader.take(length))
    reader.take(free)
  }
  if (reader.left > 0) throw badFormat()
  return entries
}

/** Write an integer as a listpack's entry has it. */
function integerEntry(value: bigint): Bin | undefined {
  if (value >= 0n && value < 128n) return String.fromCharCode(Number(value))
  if (value >= -4096n && value < 4096n) {
    const bits = Number(value) & 8191
    return String.fromCharCode(0xc0 | (bits >> 8), bits & 255)
  }
  for (const [first, size] of Object.entries(listpackIntegers)) {
    if (BigInt.asIntN(size * 8, value) !== value) continue
    let entry = String.fromCharCode(Number(first))
    for (let i = 0; i < size; i++) entry += String.fromCharCode(Number((value >> BigInt(8 * i)) & 255n))
    return entry
  }
  return undefined
}

function stringEntry(text: Bin): Bin {
  const { length } = text
  if (length < 64) return String.fromCharCode(128 | length) + text
  if (length < 4096) return String.fromCharCode(224 | (length >> 8), length & 255) + text
  return String.fromCharCode(0xf0) + unsigned(length, 4) + text
}

/** Write an unsigned integer, its lowest byte first. */
export function unsigned(value: number, size: number): Bin {
  let text = ''
  for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) text += String.fromCharCode(rest % 256)
  return text
}

function back(length: number): Bin {
  const size = backLength(length)
  let text = ''
  // Seven bits a byte; all but the one that is read first, walking backwards, come before it and are marked.
  for (let i = size - 1, mark = 0; i >= 0; i--, mark = 128) {
    text += String.fromCharCode((Math.floor(length / 128 ** i) & 127) | mark)
  }
  return text
}

/** Write a listpack.
 *  @param entries integers as such, so that Redis can read them as such */
export function writeListpack(entries: readonly (Bin | bigint)[]): Bin {
  const parts = entries.map((entry) => {
    const text = typeof entry === 'bigint' ? (integerEntry(entry) ?? stringEntry(String(entry))) : stringEntry(entry)
    return text + back(text.length)
  })
  const body = parts.join('')
  return unsigned(body.length + 7, 4) + unsigned(Math.min(entries.length, 65_535), 2) + body + String.fromCharCode(END)
}
