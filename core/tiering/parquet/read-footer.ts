/** Reads footers: the tree of columns, and where each column chunk stands.
 *  @source https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (2.11) */
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js'
import { corruptParquet, type Span } from './read-source.ts'

/** Physical types by their numbers. */
export const physicals = ['boolean', 'int32', 'int64', 'int96', 'float', 'double', 'bytes', 'fixed'] as const

/** How values are stored. */
export type Physical = (typeof physicals)[number]

/** A column of the file. */
export interface FileLeaf {
  /** Its place among the leaves, and among the chunks of a row group. */
  readonly index: number
  /** Names from the root, joined by dots. */
  readonly name: string
  readonly physical: Physical
  /** Bytes of a `fixed` value, else 0. */
  readonly width: number
  /** Digits after the point, for decimals. */
  readonly scale: number | undefined
  /** Of times; undefined for what is none. */
  readonly unit: 'millis' | 'micros' | 'nanos' | undefined
  readonly isUnsigned: boolean
  readonly maxDefinition: number
  readonly maxRepetition: number
}

/** A place in the tree of columns. */
export interface FileNode {
  readonly name: string
  readonly id: number | undefined
  readonly repetition: 'required' | 'optional' | 'repeated'
  /** The definition level at which it is there. */
  readonly definition: number
  readonly repetitionLevel: number
  readonly children: readonly FileNode[]
  /** Set when it has no children. */
  readonly leaf: FileLeaf | undefined
}

/** What a chunk's footer says of its values, as the file has it. */
export interface ChunkStatistics {
  readonly nulls: number | undefined
  readonly min: Uint8Array | undefined
  readonly max: Uint8Array | undefined
  /** Whether the bounds are the deprecated ones, which were often compared in the wrong order. */
  readonly isOld: boolean
}

/** A column of a row group. */
export interface FileChunk {
  /** The number of the codec. */
  readonly codec: number
  readonly span: Span
  readonly uncompressedBytes: number
  /** Values, nulls and all. */
  readonly entries: number
  readonly statistics: ChunkStatistics | undefined
  readonly bloom: Span | undefined
  readonly columnIndex: Span | undefined
  readonly offsetIndex: Span | undefined
}

/** A row group. */
export interface FileGroup {
  readonly firstRow: number
  readonly rows: number
  readonly chunks: readonly FileChunk[]
}

/** A footer. */
export interface Footer {
  readonly rows: number
  readonly fields: readonly FileNode[]
  readonly groups: readonly FileGroup[]
  /** Whether bounds of text and bytes are known to be in the order of their types. */
  readonly hasOrders: boolean
  readonly metadata: ReadonlyMap<string, string>
}

// biome-ignore lint/suspicious/noExplicitAny: Thrift structs as hyparquet gives them, by field number
type Raw = any
const text = new TextDecoder('utf-8', { ignoreBOM: true })
const repetitions = ['required', 'optional', 'repeated'] as const

/** Read a footer.
 *  @param bytes the Thrift struct alone
 *  @throws invalid when it is damaged */
export function readFooter(bytes: Uint8Array): Footer {
  try {
    const raw: Raw = deserializeTCompactProtocol({
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      offset: 0,
    })
    const fields = new Tree(raw.field_2).fields()
    let firstRow = 0
    const groups = (raw.field_4 ?? []).map((group: Raw) => {
      const rows = Number(group.field_3)
      const made: FileGroup = { firstRow, rows, chunks: group.field_1.map(readChunk) }
      firstRow += rows
      return made
    })
    const pairs = (raw.field_5 ?? []).map((pair: Raw) => [text.decode(pair.field_1), text.decode(pair.field_2)])
    const hasOrders = raw.field_7 !== undefined
    return { rows: Number(raw.field_3), fields, groups, hasOrders, metadata: new Map(pairs) }
  } catch (error) {
    throw corruptParquet(`its footer cannot be read (${error instanceof Error ? error.message : error})`, error)
  }
}

/** Turns the flat list of elements into a tree. */
class Tree {
  private readonly elements: readonly Raw[]
  private at = 1
  private leaves = 0

  constructor(elements: readonly Raw[]) {
    this.elements = elements
  }

  fields(): FileNode[] {
    return this.children(this.elements[0].field_5 ?? 0, { path: '', definition: 0, repetition: 0 })
  }

  private children(count: number, above: { path: string; definition: number; repetition: number }): FileNode[] {
    if (count > this.elements.length) throw corruptParquet(`${count} fields in ${above.path || 'the file'}`)
    return Array.from({ length: count }, () => this.node(above))
  }

  private node(above: { path: string; definition: number; repetition: number }): FileNode {
    const element = this.elements[this.at++]
    if (element === undefined) throw corruptParquet('its schema ends early')
    const name = text.decode(element.field_4)
    const repetition = repetitions[(element.field_3 ?? 0) as number] ?? 'required'
    const place = {
      path: above.path === '' ? name : `${above.path}.${name}`,
      definition: above.definition + (repetition === 'required' ? 0 : 1),
      repetition: above.repetition + (repetition === 'repeated' ? 1 : 0),
    }
    const count = element.field_5 ?? 0
    const children = this.children(count, place)
    const leaf = element.field_1 === undefined || count > 0 ? undefined : this.leaf(element, place)
    const { definition, repetition: repetitionLevel } = place
    return { name, id: element.field_9, repetition, definition, repetitionLevel, children, leaf }
  }

  private leaf(element: Raw, place: { path: string; definition: number; repetition: number }): FileLeaf {
    const physical = physicals[element.field_1 as number]
    if (physical === undefined) throw corruptParquet(`no physical type ${element.field_1}`)
    const logical: Raw = element.field_10 ?? {}
    const converted: number | undefined = element.field_6
    const isDecimal = converted === 5 || logical.field_5 !== undefined
    return {
      index: this.leaves++,
      name: place.path,
      physical,
      width: physical === 'fixed' ? element.field_2 : 0,
      scale: isDecimal ? (element.field_7 ?? logical.field_5?.field_1 ?? 0) : undefined,
      unit: physical === 'int96' ? 'nanos' : unitOf(logical, converted),
      isUnsigned:
        logical.field_10?.field_2 === false || (converted !== undefined && converted >= 11 && converted <= 14),
      maxDefinition: place.definition,
      maxRepetition: place.repetition,
    }
  }
}

/** Numbers of the converted types: 7 TIME_MILLIS, 8 TIME_MICROS, 9 TIMESTAMP_MILLIS, 10 TIMESTAMP_MICROS. */
function unitOf(logical: Raw, converted: number | undefined): FileLeaf['unit'] {
  const unit = (logical.field_7 ?? logical.field_8)?.field_2
  if (unit?.field_1 !== undefined) return 'millis'
  if (unit?.field_2 !== undefined) return 'micros'
  if (unit?.field_3 !== undefined) return 'nanos'
  if (converted === 7 || converted === 9) return 'millis'
  return converted === 8 || converted === 10 ? 'micros' : undefined
}

function spanOf(offset: Raw, length: Raw): Span | undefined {
  if (offset === undefined || length === undefined || Number(length) <= 0) return undefined
  return { start: Number(offset), end: Number(offset) + Number(length) }
}

function readChunk(raw: Raw): FileChunk {
  const data = raw.field_3
  if (data === undefined || raw.field_1 !== undefined) throw corruptParquet('a column is in another file or encrypted')
  const [first, dictionary] = [Number(data.field_9), Number(data.field_11 ?? 0)]
  // Some writers say 0 for no dictionary, some leave its offset out and begin the data with it.
  const start = dictionary > 0 ? Math.min(first, dictionary) : first
  return {
    codec: data.field_4,
    span: { start, end: start + Number(data.field_7) },
    uncompressedBytes: Number(data.field_6),
    entries: Number(data.field_5),
    statistics: data.field_12 && statisticsOf(data.field_12),
    bloom: spanOf(data.field_14, data.field_15),
    offsetIndex: spanOf(raw.field_4, raw.field_5),
    columnIndex: spanOf(raw.field_6, raw.field_7),
  }
}

function statisticsOf(raw: Raw): ChunkStatistics {
  const isOld = raw.field_5 === undefined && raw.field_6 === undefined
  const [max, min] = isOld ? [raw.field_1, raw.field_2] : [raw.field_5, raw.field_6]
  return { nulls: raw.field_3 === undefined ? undefined : Number(raw.field_3), min, max, isOld }
}

/** What a page index says of a page. */
export interface IndexedPage {
  readonly span: Span
  /** Counted from the row group's first. */
  readonly firstRow: number
}

/** Bounds of a page. */
export interface PageBounds {
  readonly isNull: boolean
  readonly min: Uint8Array
  readonly max: Uint8Array
  readonly nulls: number | undefined
}

const structAt = (bytes: Uint8Array): Raw =>
  deserializeTCompactProtocol({ view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 })

/** Read where a chunk's pages are. */
export function readOffsetIndex(bytes: Uint8Array): IndexedPage[] {
  const pages = structAt(bytes).field_1 as readonly Raw[]
  return pages.map(({ field_1: offset, field_2: size, field_3: row }) => ({
    span: { start: Number(offset), end: Number(offset) + Number(size) },
    firstRow: Number(row),
  }))
}

/** Read what is known of a chunk's pages. */
export function readColumnIndex(bytes: Uint8Array): PageBounds[] {
  const raw = structAt(bytes)
  return (raw.field_1 as readonly boolean[]).map((isNull, at) => ({
    isNull,
    min: raw.field_2[at],
    max: raw.field_3[at],
    nulls: raw.field_5 === undefined ? undefined : Number(raw.field_5[at]),
  }))
}
