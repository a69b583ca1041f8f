/** Parquet's metadata as Thrift: page headers, page indexes and the footer.
 *  @source https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (2.11) */
import { Output } from './output.ts'
import { type CompiledSchema, type Leaf, physicalTypes } from './schema.ts'
import type { EncodedBound } from './statistics.ts'
import { binary, bool, type Fields, i32, i64, list, struct, type Thrift, text, writeStruct } from './thrift.ts'

/** Parquet's numbers for the encodings written here. */
export const encodings = { plain: 0, rle: 3, delta: 5, delta_length: 6, dictionary: 8 } as const

/** An encoding of values. */
export type Encoding = keyof typeof encodings

const codecs = { uncompressed: 0, zstd: 6 } as const
const pageTypes = { dictionary: 2, dataV2: 3 } as const

/** What is known of a column chunk's values. */
export interface Statistics {
  readonly nulls: number
  readonly min: EncodedBound | undefined
  readonly max: EncodedBound | undefined
}

/** A data page, as the page index shows it. */
export interface Page {
  /** Where its header begins in the file. */
  readonly offset: number
  /** Bytes in the file, header and all. */
  readonly sizeBytes: number
  /** Its first row, counted from the row group's first. */
  readonly firstRow: number
  /** Nulls alone, or nothing. */
  readonly isNull: boolean
  readonly statistics: Statistics
}

/** A column chunk that has been written. */
export interface Chunk {
  readonly leaf: Leaf
  readonly codec: keyof typeof codecs
  readonly encoding: Encoding
  /** Entries, nulls and all. */
  readonly entries: number
  readonly sizeBytes: number
  readonly uncompressedBytes: number
  readonly dictionaryOffset: number | undefined
  readonly pages: readonly Page[]
  readonly statistics: Statistics
  /** Order of the pages' bounds; undefined when they cannot be told, and then there is no column index. */
  readonly order: BoundaryOrder | undefined
  /** Where things about it stand in the file; filled in when they are written. */
  readonly places: { bloom?: Place; columnIndex?: Place; offsetIndex?: Place }
}

/** A stretch of the file. */
export interface Place {
  readonly offset: number
  readonly sizeBytes: number
}

/** How bounds run from page to page. */
export type BoundaryOrder = 'unordered' | 'ascending' | 'descending'
const orders: { readonly [O in BoundaryOrder]: number } = { unordered: 0, ascending: 1, descending: 2 }

/** A row group that has been written. */
export interface RowGroup {
  readonly rows: number
  readonly chunks: readonly Chunk[]
}

const toBytes = (fields: Fields): Uint8Array => {
  const output = new Output()
  writeStruct(output, fields)
  return output.copy()
}

/** Write a data page's header. */
export function writePageHeader(
  output: Output,
  page: {
    readonly uncompressedBytes: number
    readonly sizeBytes: number
    readonly entries: number
    readonly nulls: number
    readonly rows: number
    readonly encoding: Encoding
    readonly definitionBytes: number
    readonly repetitionBytes: number
    readonly isCompressed: boolean
  },
): void {
  writeStruct(output, [
    [1, i32(pageTypes.dataV2)],
    [2, i32(page.uncompressedBytes)],
    [3, i32(page.sizeBytes)],
    [
      8,
      struct(
        [1, i32(page.entries)],
        [2, i32(page.nulls)],
        [3, i32(page.rows)],
        [4, i32(encodings[page.encoding])],
        [5, i32(page.definitionBytes)],
        [6, i32(page.repetitionBytes)],
        [7, bool(page.isCompressed)],
      ),
    ],
  ])
}

/** Write a dictionary page's header. */
export function writeDictionaryHeader(
  output: Output,
  page: { readonly uncompressedBytes: number; readonly sizeBytes: number; readonly values: number },
): void {
  writeStruct(output, [
    [1, i32(pageTypes.dictionary)],
    [2, i32(page.uncompressedBytes)],
    [3, i32(page.sizeBytes)],
    [7, struct([1, i32(page.values)], [2, i32(encodings.plain)])],
  ])
}

/** Write a chunk's column index; undefined when its pages have no tellable bounds. */
export function columnIndexBytes({ pages, order }: Chunk): Uint8Array | undefined {
  if (order === undefined) return undefined
  const empty = new Uint8Array(0)
  return toBytes([
    [
      1,
      list(
        'bool',
        pages.map(({ isNull }) => bool(isNull)),
      ),
    ],
    [
      2,
      list(
        'binary',
        pages.map(({ statistics: { min } }) => binary(min?.bytes ?? empty)),
      ),
    ],
    [
      3,
      list(
        'binary',
        pages.map(({ statistics: { max } }) => binary(max?.bytes ?? empty)),
      ),
    ],
    [4, i32(orders[order])],
    [
      5,
      list(
        'i64',
        pages.map(({ statistics: { nulls } }) => i64(nulls)),
      ),
    ],
  ])
}

/** Write a chunk's offset index. */
export function offsetIndexBytes({ pages }: Chunk): Uint8Array {
  const locations = pages.map(({ offset, sizeBytes, firstRow }) =>
    struct([1, i64(offset)], [2, i32(sizeBytes)], [3, i64(firstRow)]),
  )
  return toBytes([[1, list('struct', locations)]])
}

/** Write the footer, without its length and the magic bytes. */
export function footerBytes(file: {
  readonly schema: CompiledSchema
  readonly rows: number
  readonly groups: readonly RowGroup[]
  readonly metadata: { readonly [key: string]: string }
  readonly createdBy: string
}): Uint8Array {
  const { schema, rows, groups, metadata, createdBy } = file
  const pairs = Object.entries(metadata).map(([key, value]) => struct([1, text(key)], [2, text(value)]))
  return toBytes([
    [1, i32(2)],
    [2, list('struct', schema.elements)],
    [3, i64(rows)],
    [4, list('struct', groups.map(rowGroup))],
    [5, pairs.length > 0 ? list('struct', pairs) : undefined],
    [6, text(createdBy)],
    // Every column in the order of its type: without this, readers must not trust the bounds.
    [
      7,
      list(
        'struct',
        schema.leaves.map(() => struct([1, struct()])),
      ),
    ],
  ])
}

function rowGroup({ rows, chunks }: RowGroup, ordinal: number): Thrift {
  const sum = (size: (chunk: Chunk) => number) => chunks.reduce((total, chunk) => total + size(chunk), 0)
  return struct(
    [1, list('struct', chunks.map(columnChunk))],
    [2, i64(sum(({ uncompressedBytes }) => uncompressedBytes))],
    [3, i64(rows)],
    [5, i64(chunkStart(chunks[0] as Chunk))],
    [6, i64(sum(({ sizeBytes }) => sizeBytes))],
    [7, ordinal < 2 ** 15 ? { type: 'i16', value: ordinal } : undefined],
  )
}

/** @returns where a chunk begins in the file */
export function chunkStart({ dictionaryOffset, pages }: Chunk): number {
  return dictionaryOffset ?? (pages[0] as Page).offset
}

function columnChunk(chunk: Chunk): Thrift {
  const { offsetIndex, columnIndex } = chunk.places
  return struct(
    // Deprecated and required: readers take the offsets of the metadata.
    [2, i64(0)],
    [3, chunkMetadata(chunk)],
    [4, offsetIndex && i64(offsetIndex.offset)],
    [5, offsetIndex && i32(offsetIndex.sizeBytes)],
    [6, columnIndex && i64(columnIndex.offset)],
    [7, columnIndex && i32(columnIndex.sizeBytes)],
  )
}

function chunkMetadata(chunk: Chunk): Thrift {
  const { leaf, encoding, pages, dictionaryOffset, places } = chunk
  const hasDictionary = dictionaryOffset !== undefined
  const used = new Set([encodings.rle, encodings[encoding], ...(hasDictionary ? [encodings.plain] : [])])
  const pageCounts = [
    ...(hasDictionary ? [struct([1, i32(pageTypes.dictionary)], [2, i32(encodings.plain)], [3, i32(1)])] : []),
    struct([1, i32(pageTypes.dataV2)], [2, i32(encodings[encoding])], [3, i32(pages.length)]),
  ]
  return struct(
    [1, i32(physicalTypes[leaf.storage])],
    [2, list('i32', [...used].map(i32))],
    [3, list('binary', leaf.path.map(text))],
    [4, i32(codecs[chunk.codec])],
    [5, i64(chunk.entries)],
    [6, i64(chunk.uncompressedBytes)],
    [7, i64(chunk.sizeBytes)],
    [9, i64((pages[0] as Page).offset)],
    [11, hasDictionary ? i64(dictionaryOffset) : undefined],
    [12, statisticsStruct(chunk.statistics)],
    [13, list('struct', pageCounts)],
    [14, places.bloom && i64(places.bloom.offset)],
    [15, places.bloom && i32(places.bloom.sizeBytes)],
  )
}

function statisticsStruct({ nulls, min, max }: Statistics): Thrift {
  return struct(
    [3, i64(nulls)],
    [5, max && binary(max.bytes)],
    [6, min && binary(min.bytes)],
    [7, max && bool(max.exact)],
    [8, min && bool(min.exact)],
  )
}
