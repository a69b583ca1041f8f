/** Encodes the values of pages, and chooses how.
 *  @source https://github.com/apache/parquet-format/blob/master/Encodings.md */
import { Failure } from '../../errors.ts'
import type { Values } from './convert.ts'
import { canDelta, estimateDeltaBits, writeDelta } from './delta.ts'
import { buildDictionary, type Dictionary, looksRepeated } from './dictionary.ts'
import { bitWidthOf, writeHybrid } from './hybrid.ts'
import type { Encoding } from './metadata.ts'
import type { Output } from './output.ts'
import type { Leaf } from './schema.ts'
import type { Extent } from './statistics.ts'
import { BytesValues, FixedValues, IntegerValues, type NumberValues } from './values.ts'

/** How the values of a column chunk are written. */
export type Choice =
  | { readonly encoding: Exclude<Encoding, 'dictionary'>; readonly dictionary?: undefined }
  | { readonly encoding: 'dictionary'; readonly dictionary: Dictionary }

/** Bytes of a dictionary at the most: a reader holds it while it reads the chunk. */
const dictionaryBytesMax = 1024 * 1024
/** A dictionary pays when its values come twice at least. */
const dictionaryShareMax = 0.5
/** Bits of a value by which differences must beat plain ones, whose neighbours zstd sees as they are. */
const deltaGainBitsMin = 2

/** Check that an encoding named by the caller can hold a column.
 *  @throws invalid when it cannot */
export function checkEncoding({ name, primitive, storage }: Leaf, encoding: Encoding): void {
  const able: { readonly [E in Encoding]: boolean } = {
    plain: true,
    rle: storage === 'boolean',
    delta: storage === 'int32' || storage === 'int64',
    delta_length: storage === 'bytes',
    dictionary: storage !== 'boolean',
  }
  if (!able[encoding]) throw new Failure('invalid', `column ${name} is ${primitive}: ${encoding} cannot hold it`)
}

/** Choose an encoding by what the values are like.
 *  @param extent of all values
 *  @param wanted the encoding asked for; where the values make it impossible, the next best */
export function chooseEncoding(leaf: Leaf, values: Values, extent: Extent, wanted?: Encoding): Choice {
  const choice = choose(leaf, values, extent, wanted)
  // Every other encoding writes value by value.
  if (choice.dictionary === undefined && values instanceof BytesValues) values.expand()
  return choice
}

function choose(leaf: Leaf, values: Values, extent: Extent, wanted: Encoding | undefined): Choice {
  const { count } = values
  if (wanted !== undefined) return asked(leaf, values, extent, wanted)
  if (leaf.storage === 'boolean') return { encoding: 'rle' }
  const dictionary = looksRepeated(values) ? buildDictionary(values, Math.ceil(count * dictionaryShareMax)) : undefined
  const pays = dictionary !== undefined && dictionaryBytes(values, dictionary) <= dictionaryBytesMax
  const choice: Choice = pays ? { encoding: 'dictionary', dictionary } : { encoding: 'plain' }
  if (leaf.storage === 'bytes') return pays ? choice : { encoding: 'delta_length' }
  const integers = deltaArray(leaf, values, extent)
  if (integers === undefined || count < 2) return choice
  const plainBits = leaf.storage === 'int32' ? 32 : 64
  const otherBits = pays
    ? bitWidthOf(dictionary.size - 1) + (dictionary.size * plainBits) / count
    : plainBits - deltaGainBitsMin
  return estimateDeltaBits(integers, count, leaf.storage === 'int32') <= otherBits ? { encoding: 'delta' } : choice
}

function asked(leaf: Leaf, values: Values, extent: Extent, wanted: Encoding): Choice {
  if (wanted === 'dictionary') {
    const dictionary = buildDictionary(values, values.count)
    const fits = dictionary !== undefined && dictionaryBytes(values, dictionary) <= dictionaryBytesMax
    return fits ? { encoding: 'dictionary', dictionary } : { encoding: 'plain' }
  }
  if (wanted === 'delta' && deltaArray(leaf, values, extent) === undefined) return { encoding: 'plain' }
  return { encoding: wanted }
}

function dictionaryBytes(values: Values, { size, first }: Dictionary): number {
  if (values instanceof FixedValues) return size * values.width
  if (!(values instanceof BytesValues)) return size * 8
  let bytes = 0
  for (const at of first) bytes += 4 + (values.offsets[at + 1] as number) - (values.offsets[at] as number)
  return bytes
}

/** @returns integers whose differences can be taken, or undefined */
function deltaArray({ storage }: Leaf, values: Values, { min, max }: Extent): ArrayLike<number> | undefined {
  if (storage === 'int32') return (values as NumberValues).array
  if (!(values instanceof IntegerValues) || values.wide !== undefined) return undefined
  const narrow = min === undefined || max === undefined || canDelta(Number(min), Number(max))
  return narrow ? values.narrow.array : undefined
}

/** Write values `from` to `to` as the body of a data page. */
export function encodeValues(
  output: Output,
  leaf: Leaf,
  values: Values,
  choice: Choice,
  [from, to]: readonly [number, number],
): void {
  switch (choice.encoding) {
    case 'plain':
      return writePlain(output, leaf, values, from, to)
    case 'dictionary': {
      const width = bitWidthOf(choice.dictionary.size - 1)
      output.byte(width)
      return writeHybrid(output, choice.dictionary.indices, from, to, width)
    }
    case 'delta': {
      const integers = values instanceof IntegerValues ? values.narrow : (values as NumberValues)
      return writeDelta(output, integers.array, from, to, leaf.storage === 'int32')
    }
    case 'delta_length':
      return writeDeltaLength(output, values as BytesValues, from, to)
    case 'rle': {
      const start = output.length
      output.uint32(0)
      writeHybrid(output, (values as NumberValues).array, from, to, 1)
      new DataView(output.bytes.buffer).setUint32(start, output.length - start - 4, true)
      return
    }
  }
}

/** Write a dictionary's values, plain. */
export function encodeDictionary(output: Output, leaf: Leaf, values: Values, { first }: Dictionary): void {
  for (const at of first) writePlain(output, leaf, values, at, at + 1)
}

function writePlain(output: Output, { storage }: Leaf, values: Values, from: number, to: number): void {
  if (values instanceof BytesValues) return writePlainBytes(output, values, from, to)
  if (values instanceof FixedValues) {
    return output.append(values.data.array.subarray(from * values.width, to * values.width))
  }
  if (values instanceof IntegerValues) return writePlainIntegers(output, values, from, to)
  if (storage === 'boolean') return writePlainBooleans(output, values, from, to)
  const part = values.array.subarray(from, to)
  output.append(new Uint8Array(part.buffer, part.byteOffset, part.byteLength))
}

function writePlainBytes(output: Output, { bytes, offsets }: BytesValues, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const value = bytes.subarray(offsets[at] as number, offsets[at + 1] as number)
    output.uint32(value.length)
    output.append(value)
  }
}

function writePlainIntegers(output: Output, { wide, narrow }: IntegerValues, from: number, to: number): void {
  if (wide !== undefined) {
    return output.append(new Uint8Array(wide.buffer, wide.byteOffset + from * 8, (to - from) * 8))
  }
  const words = new Int32Array((to - from) * 2)
  const { array } = narrow
  for (let at = from, word = 0; at < to; at++, word += 2) {
    const value = array[at] as number
    words[word] = value
    words[word + 1] = Math.floor(value / 2 ** 32)
  }
  output.append(new Uint8Array(words.buffer))
}

function writePlainBooleans(output: Output, { array }: NumberValues, from: number, to: number): void {
  for (let at = from; at < to; at += 8) {
    let packed = 0
    for (let bit = 0; bit < 8 && at + bit < to; bit++) packed |= (array[at + bit] as number) << bit
    output.byte(packed)
  }
}

/** Grows to the longest page; filled and read within one call. */
let lengths = new Int32Array(1024)

function writeDeltaLength(output: Output, { bytes, offsets }: BytesValues, from: number, to: number): void {
  if (lengths.length < to - from) lengths = new Int32Array((to - from) * 2)
  for (let at = from; at < to; at++) lengths[at - from] = (offsets[at + 1] as number) - (offsets[at] as number)
  writeDelta(output, lengths, 0, to - from, true)
  output.append(bytes.subarray(offsets[from] as number, offsets[to] as number))
}
