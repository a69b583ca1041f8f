/** What every store checks alike before it does anything: keys, ranges, conditions, lists and the sizes of parts. */
import { Failure } from '../../errors.ts'
import {
  OBJECT_KEY_BYTES_MAX,
  OBJECT_PART_BYTES,
  OBJECT_PART_BYTES_MIN,
  OBJECT_PARTS_MAX,
  OBJECTS_PER_LIST_MAX,
} from '../../limits.ts'
import type { ByteRange, ListOptions, PutOptions } from './port.ts'

const utf8 = new TextEncoder()
/** Control characters (XML and HTTP have none) and surrogates without their half (UTF-8 has none). */
const unsafe = /[\p{Cc}\p{Cs}]/u

const quote = (text: string) => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text)

/** Refuse a key that some store could not keep apart from another, or could lead out of its folder.
 *  @throws invalid for empty, `.` and `..` segments and for control characters; limit past 1024 bytes */
export function checkKey(key: string): void {
  if (typeof key !== 'string' || unsafe.test(key)) throw new Failure('invalid', `a key may not hold ${quote(`${key}`)}`)
  for (const segment of key.split('/')) {
    if (segment === '') throw new Failure('invalid', `a key has no empty segment: ${quote(key)}`)
    if (segment === '.' || segment === '..') throw new Failure('invalid', `a key is no path upwards: ${quote(key)}`)
  }
  checkLength(key)
}

function checkLength(key: string): void {
  if (key.length <= OBJECT_KEY_BYTES_MAX / 3) return
  const { length } = utf8.encode(key)
  if (length <= OBJECT_KEY_BYTES_MAX) return
  throw new Failure('limit', `a key has at most ${OBJECT_KEY_BYTES_MAX} bytes, this one ${length}: ${quote(key)}`)
}

/** Compare keys as UTF-8 bytes do, which JavaScript's own order of UTF-16 units does not.
 *  @returns below, above or equal to 0 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Surrogates stand for characters past U+FFFF, so they come after every other unit. */
const rank = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0

/** Refuse a range that no object can have. */
export function checkRange(range: ByteRange | undefined): void {
  if (range === undefined) return
  if ('suffix' in range) {
    if (isCount(range.suffix) && range.suffix > 0) return
    throw new Failure('invalid', `a suffix has a byte at the least, not ${range.suffix}`)
  }
  if (isCount(range.start) && isCount(range.end) && range.start < range.end) return
  throw new Failure('invalid', `a range goes from start up to a larger end, not from ${range.start} to ${range.end}`)
}

/** Find where a range lies in an object.
 *  @throws invalid when it starts past the end */
export function placeRange(range: ByteRange | undefined, sizeBytes: number): { start: number; end: number } {
  if (range === undefined) return { start: 0, end: sizeBytes }
  if ('suffix' in range) return { start: Math.max(0, sizeBytes - range.suffix), end: sizeBytes }
  if (range.start >= sizeBytes) throw pastEnd(range.start, sizeBytes)
  return { start: range.start, end: Math.min(range.end, sizeBytes) }
}

/** Make the failure of a range that starts past the end. */
export function pastEnd(start: number, sizeBytes?: number): Failure {
  const size = sizeBytes === undefined ? '' : ` of ${sizeBytes} bytes`
  return new Failure('invalid', `the range starts at ${start}, past the end of the object${size}`)
}

/** Refuse conditions that contradict each other, and those that would be lost on the way. */
export function checkCondition(options: PutOptions): void {
  const { ifNoneMatch, ifMatch, marker } = options
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new Failure('invalid', `ifNoneMatch takes '*' only, not ${quote(ifNoneMatch)}`)
  }
  if (ifNoneMatch !== undefined && ifMatch !== undefined) {
    throw new Failure('invalid', 'ifNoneMatch and ifMatch cannot both hold')
  }
  if (ifMatch !== undefined && !/^[\x21\x23-\x7e]+$/.test(ifMatch)) {
    throw new Failure('invalid', `not an etag: ${quote(ifMatch)}`)
  }
  if (marker !== undefined && !/^[A-Za-z0-9._-]{1,200}$/.test(marker)) {
    throw new Failure('invalid', `a marker has 1 to 200 letters, digits, '.', '_' and '-', not ${quote(marker)}`)
  }
}

/** Refuse a list that a store could not answer.
 *  @returns how many entries the page may have */
export function checkList(options: ListOptions): number {
  const { limit = OBJECTS_PER_LIST_MAX, prefix = '', after = '', delimiter } = options
  if (!isCount(limit) || limit === 0 || limit > OBJECTS_PER_LIST_MAX) {
    throw new Failure('invalid', `a page lists 1 to ${OBJECTS_PER_LIST_MAX} entries, not ${limit}`)
  }
  if (delimiter !== undefined && delimiter !== '/') throw new Failure('invalid', `the delimiter is '/' or none`)
  for (const bound of [prefix, after]) {
    if (unsafe.test(bound)) throw new Failure('invalid', `no key begins with ${quote(bound)}`)
    checkLength(bound)
  }
  return limit
}

/** Holds the parts of an upload to the rule of S3 and R2: numbered from 1, all of one size but for the last. */
export class Parts {
  /** Of every part but the last. */
  readonly partBytes: number
  /** Sizes of the parts that have arrived, by number - 1. */
  private readonly sizes: number[] = []
  private closed = false

  /** @throws invalid for a size that S3 and R2 refuse */
  constructor(partBytes: number = OBJECT_PART_BYTES) {
    this.partBytes = partBytes
    if (isCount(partBytes) && partBytes >= OBJECT_PART_BYTES_MIN) return
    throw new Failure('invalid', `a part has ${OBJECT_PART_BYTES_MIN} bytes at the least, not ${partBytes}`)
  }

  /** Refuse a part that cannot be one of these. */
  check(number: number, sizeBytes: number): void {
    this.checkOpen()
    if (!isCount(number) || number === 0) throw new Failure('invalid', `parts count from 1, not ${number}`)
    if (number > OBJECT_PARTS_MAX) throw new Failure('limit', `an upload has at most ${OBJECT_PARTS_MAX} parts`)
    if (sizeBytes > 0 && sizeBytes <= this.partBytes) return
    throw new Failure('invalid', `part ${number} has ${sizeBytes} bytes; parts were to have ${this.partBytes}`)
  }

  /** Note that a part has arrived; the same number again replaces it. */
  arrived(number: number, sizeBytes: number): void {
    this.sizes[number - 1] = sizeBytes
  }

  /** Refuse to make one object of parts that are not all there.
   *  @returns how many they are, and the size of the object */
  checkComplete(): { count: number; sizeBytes: number } {
    this.checkOpen()
    const count = this.sizes.length
    if (count === 0) throw new Failure('invalid', 'an upload without parts; use put for an empty object')
    for (let i = 0; i < count; i++) {
      if (this.sizes[i] === undefined) throw new Failure('invalid', `part ${i + 1} of ${count} has not arrived`)
      if (i < count - 1 && this.sizes[i] !== this.partBytes) {
        throw new Failure('invalid', `part ${i + 1} of ${count} has ${this.sizes[i]} bytes, not ${this.partBytes}`)
      }
    }
    return { count, sizeBytes: (count - 1) * this.partBytes + (this.sizes[count - 1] as number) }
  }

  private checkOpen(): void {
    if (this.closed) throw new Failure('not_found', 'the upload has ended')
  }

  /** Take no more parts. @returns whether it still did */
  close(): boolean {
    const was = !this.closed
    this.closed = true
    return was
  }
}
