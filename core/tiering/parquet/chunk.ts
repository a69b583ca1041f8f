/** Writes one column of a row group: its dictionary page, its data pages, and what the footer will say of it.
 *
 *  1. Pages are cut by rows, at the same rows in every column, so that a reader that prunes skips all of them alike;
 *     sooner only where a page would grow past `pageBytesMax`.
 *  2. Levels stand before the values, uncompressed (DataPageV2); values that zstd cannot shrink stay as they are. */
import type { Compressor } from '../zstd.ts'
import { makeBloom } from './bloom.ts'
import type { Column } from './column.ts'
import { type Choice, chooseEncoding, encodeDictionary, encodeValues } from './encode.ts'
import { bitWidthOf, writeHybrid } from './hybrid.ts'
import {
  type BoundaryOrder,
  type Chunk,
  type Encoding,
  type Page,
  type Statistics,
  writeDictionaryHeader,
  writePageHeader,
} from './metadata.ts'
import { Output } from './output.ts'
import {
  type Bound,
  compareBounds,
  type EncodedBound,
  type Extent,
  extentOf,
  mergeExtents,
  parquetMax,
  parquetMin,
} from './statistics.ts'
import { BytesValues } from './values.ts'

/** How chunks are written, and where to. */
export interface ChunkContext {
  readonly compressor: Compressor
  readonly pageRows: number
  readonly pageBytesMax: number
  /** Bytes already in the file. */
  offset(): number
  /** Append bytes to the file; they are the file's from now on. */
  write(bytes: Uint8Array): void | Promise<void>
  /** Called between pieces of work the size of a page: a chance to let others run. */
  pause(): void | Promise<void>
}

/** What a column chunk tells besides its place in the footer. */
export interface WrittenChunk {
  readonly chunk: Chunk
  /** Bounds of all values; their bytes are borrowed from the column. */
  readonly extent: Extent
  readonly bloom: Uint8Array | undefined
}

/** Values with their levels: a part of a column that becomes a page. */
interface Cut {
  readonly firstRow: number
  readonly rows: number
  readonly entries: readonly [from: number, to: number]
  readonly values: readonly [from: number, to: number]
}

/** Less than this gained (2 %) is not worth a reader's time. */
const compressedShareMax = 0.98

// Filled and emptied between two awaits, so all writers of a thread share them.
const body = new Output(1 << 16)
const levels = new Output()
const head = new Output()

/** Write a column.
 *  @param wanted encoding asked for, if any
 *  @param withBloom make a bloom filter too; the caller writes it */
export async function writeChunk(
  context: ChunkContext,
  column: Column,
  wanted: Encoding | undefined,
  withBloom: boolean,
): Promise<WrittenChunk> {
  const { leaf, values } = column
  const cuts = cutPages(column, context)
  // Bounds of numbers help to choose an encoding; those of bytes are cheaper once there is a dictionary.
  const isBytes = leaf.storage === 'bytes' || leaf.storage === 'fixed'
  const none: Extent = { min: undefined, max: undefined, nans: 0 }
  const extentsOf = async (choice?: Choice) => {
    const found: Extent[] = []
    for (const {
      values: [from, to],
    } of cuts) {
      found.push(extentOf(leaf, values, from, to, choice?.dictionary))
      await context.pause()
    }
    return found
  }
  const join = (extents: readonly Extent[]) => extents.reduce((one, other) => mergeExtents(leaf, one, other), none)
  const early = isBytes ? undefined : await extentsOf()
  const choice = chooseEncoding(leaf, values, early === undefined ? none : join(early), wanted)
  const extents = early ?? (await extentsOf(choice))
  const extent = join(extents)

  const start = context.offset()
  let uncompressedBytes = 0
  let dictionaryOffset: number | undefined
  if (choice.encoding === 'dictionary') {
    dictionaryOffset = start
    uncompressedBytes += await writeDictionaryPage(context, column, choice)
  }
  const pages: Page[] = []
  for (const [at, cut] of cuts.entries()) {
    const offset = context.offset()
    uncompressedBytes += await writePage(context, column, choice, cut)
    const statistics = statisticsOf(column, extents[at] as Extent, nullsOf(cut))
    const isNull = cut.values[0] === cut.values[1]
    pages.push({ offset, sizeBytes: context.offset() - offset, firstRow: cut.firstRow, isNull, statistics })
    await context.pause()
  }
  const chunk: Chunk = {
    leaf,
    codec: context.compressor.name,
    encoding: choice.encoding,
    entries: column.entries,
    sizeBytes: context.offset() - start,
    uncompressedBytes,
    dictionaryOffset,
    pages,
    statistics: statisticsOf(column, extent, column.entries - values.count),
    order: orderOf(column, pages, extents),
    places: {},
  }
  const bloom = withBloom ? await makeBloom(values, choice.dictionary, context.pause) : undefined
  return { chunk, extent, bloom }
}

const nullsOf = ({ entries, values }: Cut) => entries[1] - entries[0] - (values[1] - values[0])

function statisticsOf({ leaf }: Column, { min, max }: Extent, nulls: number): Statistics {
  return {
    nulls,
    min: min === undefined ? undefined : parquetMin(leaf, min),
    max: max === undefined ? undefined : parquetMax(leaf, max),
  }
}

/** Find out how bounds run from page to page, as they are written: cut ones may run otherwise than whole ones.
 *  @returns undefined when some page has values and no bounds (NaNs alone, or bytes with nothing above them) */
function orderOf({ leaf }: Column, pages: readonly Page[], extents: readonly Extent[]): BoundaryOrder | undefined {
  const mins: Bound[] = []
  const maxs: Bound[] = []
  for (const [at, { isNull, statistics }] of pages.entries()) {
    if (isNull) continue
    const { min, max } = extents[at] as Extent
    if (min === undefined || max === undefined || statistics.max === undefined) return undefined
    mins.push(min instanceof Uint8Array ? (statistics.min as EncodedBound).bytes : min)
    maxs.push(max instanceof Uint8Array ? statistics.max.bytes : max)
  }
  const runs = (sign: number) =>
    [mins, maxs].every((bounds) =>
      bounds.every((bound, at) => at === 0 || compareBounds(leaf, bounds[at - 1] as Bound, bound) * sign <= 0),
    )
  return runs(1) ? 'ascending' : runs(-1) ? 'descending' : 'unordered'
}

/** Cut a column into pages. */
function cutPages(column: Column, { pageRows, pageBytesMax }: ChunkContext): Cut[] {
  const { rows, values } = column
  const walk = startWalk(column)
  const cuts: Cut[] = []
  let firstRow = 0
  let entry = 0
  let value = 0
  while (firstRow < rows) {
    let wanted = Math.min(pageRows - (firstRow % pageRows), rows - firstRow)
    let end = walk(entry, value, wanted)
    while (wanted > 1 && values instanceof BytesValues && bytesOf(values, value, end.value) > pageBytesMax) {
      wanted = Math.ceil(wanted / 2)
      end = walk(entry, value, wanted)
    }
    cuts.push({ firstRow, rows: wanted, entries: [entry, end.entry], values: [value, end.value] })
    firstRow += wanted
    entry = end.entry
    value = end.value
  }
  return cuts
}

function bytesOf({ offsets, indices }: BytesValues, from: number, to: number): number {
  // Values that are told by their places take no more than those.
  if (indices !== undefined) return (to - from) * 4
  return (offsets[to] as number) - (offsets[from] as number)
}

/** Make the function that goes on by some rows from an entry and a value. */
function startWalk({ definitions, repetitions, leaf, entries }: Column) {
  return (fromEntry: number, fromValue: number, rows: number): { entry: number; value: number } => {
    let entry = fromEntry + rows
    if (repetitions !== undefined) {
      let left = rows
      for (entry = fromEntry; entry < entries; entry++) {
        if (repetitions.array[entry] === 0 && left-- === 0) break
      }
    }
    if (definitions === undefined) return { entry, value: fromValue + entry - fromEntry }
    let value = fromValue
    const { array } = definitions
    for (let at = fromEntry; at < entry; at++) if (array[at] === leaf.maxDefinition) value++
    return { entry, value }
  }
}

async function writeDictionaryPage(
  context: ChunkContext,
  { leaf, values }: Column,
  { dictionary }: Extract<Choice, { encoding: 'dictionary' }>,
): Promise<number> {
  body.clear()
  encodeDictionary(body, leaf, values, dictionary)
  const uncompressedBytes = body.length
  const packed = context.compressor.compress(body.view())
  head.clear()
  writeDictionaryHeader(head, { uncompressedBytes, sizeBytes: packed.length, values: dictionary.size })
  const headerBytes = head.length
  await context.write(head.copy())
  await context.write(packed)
  return headerBytes + uncompressedBytes
}

/** @returns bytes the page would have uncompressed, header and all */
async function writePage(context: ChunkContext, column: Column, choice: Choice, cut: Cut): Promise<number> {
  levels.clear()
  writeLevels(column.repetitions?.array, column.leaf.maxRepetition, 0, cut.entries)
  const repetitionBytes = levels.length
  writeLevels(column.definitions?.array, column.leaf.maxDefinition, column.leaf.maxDefinition, cut.entries)
  const definitionBytes = levels.length - repetitionBytes
  body.clear()
  // A page of nulls alone has a body too: readers look for its width or length.
  encodeValues(body, column.leaf, column.values, choice, cut.values)
  const plain = body.view()
  const packed = plain.length > 0 && context.compressor.name !== 'uncompressed' && context.compressor.compress(plain)
  const isCompressed = packed !== false && packed.length < plain.length * compressedShareMax
  const stored = isCompressed ? packed : plain.slice()
  const uncompressedBytes = levels.length + plain.length
  head.clear()
  writePageHeader(head, {
    uncompressedBytes,
    sizeBytes: levels.length + stored.length,
    entries: cut.entries[1] - cut.entries[0],
    nulls: nullsOf(cut),
    rows: cut.rows,
    encoding: choice.encoding,
    definitionBytes,
    repetitionBytes,
    isCompressed,
  })
  const headerBytes = head.length
  head.append(levels.view())
  // In two parts: joining them would copy the whole file once more.
  await context.write(head.copy())
  if (stored.length > 0) await context.write(stored)
  return headerBytes + uncompressedBytes
}

/** Write levels; columns without any have none.
 *  @param otherwise the level of every entry when no array is kept */
function writeLevels(
  array: Uint8Array | undefined,
  max: number,
  otherwise: number,
  [from, to]: readonly [number, number],
): void {
  if (max === 0) return
  const width = bitWidthOf(max)
  if (array !== undefined) writeHybrid(levels, array, from, to, width)
  else {
    // One run of all.
    levels.varint((to - from) * 2)
    levels.byte(otherwise)
  }
}
