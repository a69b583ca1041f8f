/** Split-block bloom filters: whether a row group may hold a value. Never a false no.
 *  @source https://github.com/apache/parquet-format/blob/master/BloomFilter.md */
import type { Values } from './convert.ts'
import type { Dictionary } from './dictionary.ts'
import { Output } from './output.ts'
import { accessOf } from './statistics.ts'
import { i32, struct, writeStruct } from './thrift.ts'
import { BytesValues, FixedValues, IntegerValues } from './values.ts'
import { xxhash64 } from './xxhash.ts'

/** Of 100 lookups of absent values, how many read a row group in vain: 1. About 10 bits a value. */
const falsePositiveRate = 0.01
/** Bytes of one filter: those of 800,000 values; with more of them it says yes more often. */
const filterBytesMax = 1024 * 1024
const blockBytes = 32

const salt = Int32Array.of(
  0x47b6137b,
  0x44974d91,
  0x8824ad5b,
  0xa2b7289d,
  0x705495c7,
  0x2df1424b,
  0x9efc4947,
  0x5c6bfb31,
)

/** Size a filter.
 *  @returns bytes, a power of two, as some readers insist */
export function bloomBytes(distinct: number): number {
  const bits = (-8 * distinct) / Math.log(1 - falsePositiveRate ** (1 / 8))
  let size = blockBytes
  while (size * 8 < bits && size < filterBytesMax) size *= 2
  return size
}

/** Values that are put into a filter before others may run: a millisecond. */
const valuesPerTurn = 2_048

/** Make the filter of a column's values, header and all.
 *  @param dictionary the column's, when it has one: only distinct values are hashed then
 *  @param pause called now and then: a chance to let others run
 *  @returns undefined for a column without values, and for booleans, where it would tell nothing */
export async function makeBloom(
  values: Values,
  dictionary?: Dictionary,
  pause: () => void | Promise<void> = () => {},
): Promise<Uint8Array | undefined> {
  const count = dictionary?.size ?? values.count
  if (count === 0) return undefined
  const hash = hashOf(values)
  if (hash === undefined) return undefined
  const size = bloomBytes(count)
  const blocks = new Int32Array(size / 4)
  for (let from = 0; from < count; from += valuesPerTurn) {
    insertAll(blocks, hash, dictionary, [from, Math.min(count, from + valuesPerTurn)])
    await pause()
  }
  const output = new Output(size + 32)
  const only = struct([1, struct()])
  writeStruct(output, [
    [1, i32(size)],
    [2, only],
    [3, only],
    [4, only],
  ])
  output.append(new Uint8Array(blocks.buffer))
  return output.copy()
}

function insertAll(
  blocks: Int32Array,
  hash: (at: number, into: Int32Array) => void,
  dictionary: Dictionary | undefined,
  [from, to]: readonly [number, number],
): void {
  const into = new Int32Array(2)
  for (let at = from; at < to; at++) {
    hash(dictionary === undefined ? at : (dictionary.first[at] as number), into)
    insert(blocks, into[1] as number, into[0] as number)
  }
}

function insert(blocks: Int32Array, high: number, low: number): void {
  const block = Math.floor(((high >>> 0) * (blocks.length / 8)) / 2 ** 32) * 8
  for (let at = 0; at < 8; at++) {
    const bit = Math.imul(low, salt[at] as number) >>> 27
    blocks[block + at] = (blocks[block + at] as number) | (1 << bit)
  }
}

/** Hash a value by its plain bytes. */
function hashOf(values: Values): ((at: number, into: Int32Array) => void) | undefined {
  if (values instanceof BytesValues || values instanceof FixedValues) {
    const { bytes, start, end } = accessOf(values)
    return (at, into) => xxhash64(bytes, start(at), end(at), into)
  }
  const scratch = new DataView(new ArrayBuffer(8))
  const bytes = new Uint8Array(scratch.buffer)
  if (values instanceof IntegerValues) {
    const { wide, narrow } = values
    return (at, into) => {
      if (wide !== undefined) scratch.setBigInt64(0, wide[at] as bigint, true)
      else {
        const value = narrow.array[at] as number
        scratch.setInt32(0, value | 0, true)
        scratch.setInt32(4, Math.floor(value / 2 ** 32), true)
      }
      xxhash64(bytes, 0, 8, into)
    }
  }
  const { array } = values
  if (array instanceof Uint8Array) return undefined
  const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  const width = array.BYTES_PER_ELEMENT
  return (at, into) => xxhash64(all, at * width, (at + 1) * width, into)
}
