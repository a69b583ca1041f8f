/** Reads the pages of a column chunk: levels, and stored values.
 *  @source https://github.com/apache/parquet-format: README.md, "Data Pages", and Encodings.md */
import type { PageHeader } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { deltaByteArray } from 'hyparquet/src/delta.js'
import { snappyUncompress } from 'hyparquet/src/snappy.js'
import { Failure } from '../../errors.ts'
import { PARQUET_READ_PAGE_BYTES_MAX } from '../../limits.ts'
import { bitWidthOf } from './hybrid.ts'
import { type Cursor, readDelta, readHybrid } from './read-bits.ts'
import type { FileLeaf } from './read-footer.ts'
import { corruptParquet } from './read-source.ts'
import { lengthBytes, readPlain, readSplit, type Stored } from './read-values.ts'

/** Turns the compressed bytes of a page into as many bytes as the file says. */
export type Decompress = (bytes: Uint8Array, sizeBytes: number) => Uint8Array

/** The codecs that a host brings; snappy is built in. */
export type CodecName = 'SNAPPY' | 'GZIP' | 'LZO' | 'BROTLI' | 'LZ4' | 'ZSTD' | 'LZ4_RAW'

/** By the name that Parquet has for them. */
export type ParquetCodecs = { readonly [name in CodecName]?: Decompress | undefined }

/** By Parquet's numbers; 0 leaves bytes as they are. */
const codecNames: readonly (CodecName | undefined)[] = [
  undefined,
  'SNAPPY',
  'GZIP',
  'LZO',
  'BROTLI',
  'LZ4',
  'ZSTD',
  'LZ4_RAW',
]

/** How the pages of a chunk are read. */
export interface PageContext {
  readonly leaf: FileLeaf
  /** The number of the chunk's codec. */
  readonly codec: number
  readonly codecs: ParquetCodecs
}

/** A data page. */
export interface Page {
  /** Rows that begin in it. */
  readonly rows: number
  readonly entries: number
  /** A level for each entry; undefined where all are at the highest. */
  readonly definitions: Uint8Array | undefined
  readonly repetitions: Uint8Array | undefined
  /** Values that are there, or places of them in the dictionary. */
  readonly values: Stored | { readonly kind: 'places'; readonly places: Int32Array }
}

/** A page on its way: its header, and the bytes after it. */
export interface RawPage {
  readonly isDictionary: boolean
  /** Rows that begin in it, where the header tells. */
  readonly rows: number | undefined
  readonly header: PageHeader
  readonly body: Uint8Array
}

/** Read the next page's header.
 *  @returns undefined at the end, and for pages that hold no values */
export function nextPage(cursor: Cursor, { leaf }: PageContext): RawPage | undefined {
  while (cursor.at < cursor.bytes.length) {
    const { bytes } = cursor
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: cursor.at }
    const header = parquetHeader(reader)
    const end = reader.offset + header.compressed_page_size
    if (!(header.compressed_page_size >= 0 && end <= bytes.length)) throw corruptParquet('a page ends early')
    if (!(header.uncompressed_page_size >= 0)) throw corruptParquet('a page has no size')
    if (header.uncompressed_page_size > PARQUET_READ_PAGE_BYTES_MAX) {
      const sizes = `${header.uncompressed_page_size} bytes; ${PARQUET_READ_PAGE_BYTES_MAX} are read`
      throw new Failure('limit', `column ${leaf.name} has a page of ${sizes}`)
    }
    const body = bytes.subarray(reader.offset, end)
    cursor.at = end
    if (header.type === 'INDEX_PAGE') continue
    const v1 = header.data_page_header
    const rows = header.data_page_header_v2?.num_rows ?? (leaf.maxRepetition === 0 ? v1?.num_values : undefined)
    return { isDictionary: header.type === 'DICTIONARY_PAGE', rows, header, body }
  }
  return undefined
}

function decompress(context: PageContext, bytes: Uint8Array, sizeBytes: number): Uint8Array {
  if (context.codec === 0) return bytes
  const name = codecNames[context.codec]
  const brought = name && context.codecs[name]
  if (brought === undefined && name !== 'SNAPPY') {
    const known = ['SNAPPY', ...Object.keys(context.codecs)].join(', ')
    throw new Failure('unsupported', `no codec ${name ?? context.codec} here; there are ${known}`)
  }
  const plain = brought === undefined ? unpackSnappy(bytes, sizeBytes) : brought(bytes, sizeBytes)
  if (plain.length !== sizeBytes) throw corruptParquet(`a page became ${plain.length} bytes, not ${sizeBytes}`)
  return plain
}

function unpackSnappy(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  const plain = new Uint8Array(sizeBytes)
  if (sizeBytes > 0) snappyUncompress(bytes, plain)
  return plain
}

/** Read a dictionary page. */
export function readDictionary(context: PageContext, { header, body }: RawPage): Stored {
  const count = header.dictionary_page_header?.num_values
  if (count === undefined || count < 0) throw corruptParquet('a dictionary page without its header')
  return readPlain(context.leaf, decompress(context, body, header.uncompressed_page_size), count)
}

/** Read a data page. */
export function readPage(context: PageContext, page: RawPage): Page {
  const { data_page_header: v1, data_page_header_v2: v2 } = page.header
  if (v1 !== undefined) return readPageV1(context, page, v1)
  if (v2 !== undefined) return readPageV2(context, page, v2)
  throw corruptParquet(`a page of type ${page.header.type} among the data`)
}

type V1 = NonNullable<PageHeader['data_page_header']>
type V2 = NonNullable<PageHeader['data_page_header_v2']>

function readPageV1(context: PageContext, { header, body }: RawPage, v1: V1): Page {
  const { leaf } = context
  const cursor = { bytes: decompress(context, body, header.uncompressed_page_size), at: 0 }
  const entries = checkCount(v1.num_values)
  const levels = (max: number, encoding: string) => {
    if (max === 0) return undefined
    if (encoding !== 'RLE') throw new Failure('unsupported', `column ${leaf.name} has levels of encoding ${encoding}`)
    const length = new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.at, 4).getUint32(0, true)
    const from = cursor.at + 4
    cursor.at = from + length
    return readLevels(cursor.bytes.subarray(from, cursor.at), max, entries)
  }
  const repetitions = levels(leaf.maxRepetition, v1.repetition_level_encoding)
  const definitions = levels(leaf.maxDefinition, v1.definition_level_encoding)
  const count = countThere(definitions, leaf.maxDefinition, entries)
  const values = readValues(leaf, v1.encoding, { cursor, count })
  return { rows: countBegun(repetitions, entries), entries, definitions, repetitions, values }
}

function readPageV2(context: PageContext, { header, body }: RawPage, v2: V2): Page {
  const { leaf } = context
  const entries = checkCount(v2.num_values)
  const [repetitionBytes, definitionBytes] = [v2.repetition_levels_byte_length, v2.definition_levels_byte_length]
  const from = repetitionBytes + definitionBytes
  if (!(repetitionBytes >= 0 && definitionBytes >= 0 && from <= body.length)) throw corruptParquet('levels end early')
  const levels = (max: number, start: number, end: number) =>
    max === 0 ? undefined : readLevels(body.subarray(start, end), max, entries)
  const repetitions = levels(leaf.maxRepetition, 0, repetitionBytes)
  const definitions = levels(leaf.maxDefinition, repetitionBytes, from)
  const count = countThere(definitions, leaf.maxDefinition, entries)
  const packed = body.subarray(from)
  const isCompressed = v2.is_compressed !== false && count > 0
  const plain = isCompressed ? decompress(context, packed, header.uncompressed_page_size - from) : packed
  const values = readValues(leaf, v2.encoding, { cursor: { bytes: plain, at: 0 }, count })
  return { rows: countBegun(repetitions, entries), entries, definitions, repetitions, values }
}

function checkCount(count: number): number {
  // A page of as many rows has no room for less than a bit of each; runs can be long, so this is generous.
  if (count >= 0 && count <= PARQUET_READ_PAGE_BYTES_MAX) return count
  throw corruptParquet(`a page of ${count} values`)
}

function readLevels(bytes: Uint8Array, max: number, count: number): Uint8Array {
  const levels = new Uint8Array(count)
  readHybrid({ bytes, at: 0 }, bitWidthOf(max), levels)
  return levels
}

function countThere(definitions: Uint8Array | undefined, max: number, entries: number): number {
  if (definitions === undefined) return entries
  let count = 0
  for (let at = 0; at < entries; at++) if (definitions[at] === max) count++
  return count
}

function countBegun(repetitions: Uint8Array | undefined, entries: number): number {
  if (repetitions === undefined) return entries
  let rows = 0
  for (let at = 0; at < entries; at++) if (repetitions[at] === 0) rows++
  return rows
}

function readValues(leaf: FileLeaf, encoding: string, from: { cursor: Cursor; count: number }): Page['values'] {
  const { cursor, count } = from
  // Writers leave the body of a page of nulls out, or put something in it.
  if (count === 0) return { kind: 'numbers', numbers: [] }
  const rest = () => cursor.bytes.subarray(cursor.at)
  switch (encoding) {
    case 'PLAIN':
      return readPlain(leaf, rest(), count)
    case 'PLAIN_DICTIONARY':
    case 'RLE_DICTIONARY': {
      const places = new Int32Array(count)
      const width = cursor.bytes[cursor.at++]
      if (width === undefined || width > 32) throw corruptParquet(`dictionary places of ${width} bits`)
      // With one value in the dictionary some writers leave the places out.
      if (width > 0) readHybrid(cursor, width, places)
      return { kind: 'places', places }
    }
    case 'RLE': {
      if (leaf.physical !== 'boolean') break
      const flags = new Uint8Array(count)
      // After its length, which nobody needs: nothing follows.
      readHybrid({ bytes: rest(), at: 4 }, 1, flags)
      return { kind: 'numbers', numbers: Array.from(flags, (flag) => flag === 1) }
    }
    case 'DELTA_BINARY_PACKED':
      return { kind: 'numbers', numbers: readDelta(cursor, count, leaf.physical === 'int32') }
    case 'DELTA_LENGTH_BYTE_ARRAY': {
      const lengths = readDelta(cursor, count, true)
      return lengthBytes(cursor.bytes, lengths, cursor.at)
    }
    case 'DELTA_BYTE_ARRAY':
      return readPrefixed(rest(), count)
    case 'BYTE_STREAM_SPLIT':
      return readSplit(leaf, rest(), count)
  }
  throw new Failure('unsupported', `column ${leaf.name} has the encoding ${encoding}`)
}

/** Values of which the beginning is the one before's (DELTA_BYTE_ARRAY). */
function readPrefixed(bytes: Uint8Array, count: number): Stored {
  const list: Uint8Array[] = new Array(count)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  deltaByteArray({ view, offset: 0 }, count, list)
  const all = new Uint8Array(list.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const value of list) {
    all.set(value, at)
    at += value.length
  }
  const lengths = list.map(({ length }) => length)
  return lengthBytes(all, lengths, 0)
}
