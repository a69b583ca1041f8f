/** Asks bloom filters whether a row group can have a value.
 *  @source https://github.com/apache/parquet-format/blob/master/BloomFilter.md */
import { readBloomFilter, sbbfContains } from 'hyparquet/src/bloom.js'
import type { Long } from '../avro/binary.ts'
import { decimalToFixed, parseUuid, toBinary, type Value } from '../iceberg/values.ts'
import type { FileLeaf } from './read-footer.ts'
import type { WantedLeaf } from './read-schema.ts'
import { isPlainForm } from './read-values.ts'
import { xxhash64 } from './xxhash.ts'

/** The bits of a filter; undefined for one of a kind nobody knows. */
export type BloomBlocks = Uint32Array | undefined

/** Read a filter, header and all. */
export function readBloom(bytes: Uint8Array): BloomBlocks {
  return readBloomFilter({ view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 })?.blocks
}

/** Whether a filter may have a value; yes for values whose stored bytes are not certain. */
export function mayHave(blocks: BloomBlocks, { leaf, form }: WantedLeaf, value: Value): boolean {
  if (blocks === undefined || form === undefined || !isPlainForm(form)) return true
  const bytes = storedBytes(leaf, form.type, value)
  if (bytes === undefined) return true
  const halves = new Int32Array(2)
  xxhash64(bytes, 0, bytes.length, halves)
  const [low, high] = halves as unknown as [number, number]
  return sbbfContains(blocks, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}

/** Write a value as its leaf stores it.
 *  @returns undefined when it can be stored in several ways, or not at all */
function storedBytes({ physical, width, scale }: FileLeaf, type: string, value: Value): Uint8Array | undefined {
  const isDecimal = scale !== undefined
  switch (physical) {
    case 'int32':
      return Number(value) === (Number(value) | 0) ? toBinary('int', Number(value)) : undefined
    case 'int64':
      return toBinary('long', value as Long)
    case 'float':
    case 'double': {
      // Zero has two forms; and a double that is no float is in no column of floats, which bounds tell as well.
      const number = value as number
      const isStored = number !== 0 && (physical === 'double' || Math.fround(number) === number)
      return isStored ? toBinary(physical, number) : undefined
    }
    case 'bytes':
      return isDecimal ? undefined : toBinary(type, value)
    case 'fixed':
      if (isDecimal) return decimalToFixed(BigInt(value as Long), width)
      return type === 'uuid' ? parseUuid(value as string) : (value as Uint8Array)
    default:
      return undefined
  }
}
