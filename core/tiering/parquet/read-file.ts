/** An opened Parquet file: its footer, and the way to its indexes and pages. */
import { joinBytes } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import { PARQUET_FOOTER_BYTES_MAX, PARQUET_TAIL_BYTES } from '../../limits.ts'
import type { LeafPages, PlacedPage } from './read-assemble.ts'
import type { ParquetCache } from './read-cache.ts'
import {
  type FileChunk,
  type FileGroup,
  type Footer,
  type IndexedPage,
  readFooter,
  readOffsetIndex,
} from './read-footer.ts'
import { nextPage, type PageContext, type ParquetCodecs, readDictionary, readPage } from './read-page.ts'
import { countRows, type Ranges, touches } from './read-ranges.ts'
import type { WantedLeaf } from './read-schema.ts'
import {
  type Block,
  corruptParquet,
  Fetched,
  fetchSpans,
  type ParquetSource,
  type ReadCounts,
  readCounts,
  type Span,
} from './read-source.ts'
import type { Stored } from './read-values.ts'

/** How files are read. */
export interface ParquetReadContext {
  /** Decompression by codec, zstd first of all; snappy is built in. */
  readonly codecs: ParquetCodecs
  /** For footers and bloom filters; nothing is kept when left out. */
  readonly cache?: ParquetCache | undefined
  /** Gets what reading costs. */
  readonly counts?: ReadCounts | undefined
}

interface Opened {
  readonly footer: Footer
  /** Indexes and footer, as far as the first read brought them. */
  readonly tail: Block
}

const magic = 0x31524150

/** Open a file: one request for its tail, another when the footer is longer; none when the cache knows it.
 *  @throws invalid when it is no Parquet file, not_found when it is gone, unsupported when it is encrypted */
export async function openParquet(source: ParquetSource, context: ParquetReadContext): Promise<FileReader> {
  const { cache, counts = readCounts() } = context
  const load = async () => {
    const { opened, bytes } = await open(source, counts)
    return { value: opened, bytes }
  }
  const hit = (bytes: number) => {
    counts.bytesCached += bytes
  }
  const opened = cache === undefined ? (await load()).value : await cache.get(`footer ${source.name}`, load, hit)
  return new FileReader(source, opened, { ...context, counts })
}

async function open(source: ParquetSource, counts: ReadCounts): Promise<{ opened: Opened; bytes: number }> {
  counts.requests++
  const { bytes: first, sizeBytes } = await source.tail(PARQUET_TAIL_BYTES)
  counts.bytesRead += first.length
  const wrong = (what: string) => new Failure('invalid', `${source.name} is no Parquet file: ${what}`)
  if (first.length < 12) throw wrong(`it has ${sizeBytes} bytes`)
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength)
  const mark = view.getUint32(first.length - 4, true)
  // PARE: its footer is encrypted.
  if (mark === 0x45524150) throw new Failure('unsupported', `${source.name} is encrypted; only plain files are read`)
  if (mark !== magic) throw wrong('it does not end with PAR1')
  const length = view.getUint32(first.length - 8, true)
  if (length > sizeBytes - 12) throw wrong(`a footer of ${length} bytes in ${sizeBytes}`)
  if (length > PARQUET_FOOTER_BYTES_MAX) {
    throw new Failure('limit', `${source.name} has a footer of ${length} bytes; ${PARQUET_FOOTER_BYTES_MAX} are read`)
  }
  const tailStart = sizeBytes - first.length
  const start = sizeBytes - 8 - length
  const known = [{ start: tailStart, bytes: first }]
  const there =
    start >= tailStart ? new Fetched(known) : await fetchSpans(source, [{ start, end: tailStart }], { known, counts })
  const parts = start >= tailStart ? [] : [there.get({ start, end: tailStart })]
  const rest = first.subarray(Math.max(0, start - tailStart), first.length - 8)
  const footer = inFile(source.name, () => readFooter(joined([...parts, rest])))
  // Pages that happened to be read are not worth their place in a cache.
  const from = Math.max(tailStart, Math.min(start, ...indexStarts(footer).filter((at) => at >= tailStart)))
  const tail = { start: from, bytes: new Uint8Array(first.subarray(from - tailStart)) }
  return { opened: { footer, tail }, bytes: tail.bytes.length + 4 * length }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  return joinBytes(parts)
}

function indexStarts({ groups }: Footer): number[] {
  return groups.flatMap(({ chunks }) =>
    chunks.flatMap(({ columnIndex, offsetIndex }) => [columnIndex, offsetIndex].flatMap((span) => span?.start ?? [])),
  )
}

/** Run what decodes bytes of a file; its failures name the file. */
function inFile<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const failure =
      error instanceof Failure ? error : corruptParquet(error instanceof Error ? error.message : `${error}`)
    throw new Failure(failure.code, `${name}: ${failure.message}`, failure.detail, error)
  }
}

/** A file that is being read. Its methods but `decode` may be called again and again, and beside each other. */
export class FileReader {
  readonly source: ParquetSource
  readonly footer: Footer
  readonly counts: ReadCounts
  private readonly context: ParquetReadContext
  private indexes: Fetched
  private readonly known: Block[]
  private readonly pageIndexes = new Map<FileChunk, readonly IndexedPage[]>()
  private isRead = false

  constructor(source: ParquetSource, { footer, tail }: Opened, context: ParquetReadContext) {
    this.source = source
    this.footer = footer
    this.context = context
    this.counts = context.counts ?? readCounts()
    this.known = [tail]
    this.indexes = new Fetched(this.known)
  }

  /** Rows of the file. */
  get rows(): number {
    return this.footer.rows
  }

  /** Run what decodes bytes of this file; its failures name the file. */
  decode<T>(work: () => T): T {
    return inFile(this.source.name, work)
  }

  /** Fetch page indexes; the tail has most of them. */
  async fetchIndexes(spans: readonly Span[]): Promise<void> {
    const missing = spans.filter((span) => this.indexes.find(span) === undefined)
    if (missing.length === 0) return
    this.indexes = await fetchSpans(this.source, missing, { known: this.known, counts: this.counts })
    this.known.splice(0, this.known.length, ...this.indexes.blocks)
  }

  /** View a page index that was fetched. */
  index(span: Span): Uint8Array {
    return this.indexes.get(span)
  }

  /** List the pages of a chunk, when it has an index, which must have been fetched. */
  pagesOf(chunk: FileChunk): readonly IndexedPage[] | undefined {
    const { offsetIndex } = chunk
    if (offsetIndex === undefined) return undefined
    const known = this.pageIndexes.get(chunk)
    if (known !== undefined) return known
    const pages = this.decode(() => readOffsetIndex(this.index(offsetIndex)))
    this.pageIndexes.set(chunk, pages)
    return pages
  }

  /** Fetch bloom filters.
   *  @param read makes of each what is kept
   *  @returns by where they start */
  async fetchBlooms<T>(spans: readonly Span[], read: (bytes: Uint8Array) => T): Promise<Map<number, T>> {
    const { source, counts } = this
    const { cache } = this.context
    const key = ({ start }: Span) => `bloom ${start} ${source.name}`
    const missing = spans.filter((span) => cache === undefined || !cache.has(key(span)))
    const fetching = fetchSpans(source, missing, { known: this.known, counts })
    const load = async (span: Span) => {
      const bytes = (await fetching).get(span)
      return { value: this.decode(() => read(bytes)), bytes: bytes.length }
    }
    const hit = (bytes: number) => {
      counts.bytesCached += bytes
    }
    const entries = spans.map(async (span) => {
      const value = cache === undefined ? (await load(span)).value : await cache.get(key(span), () => load(span), hit)
      return [span.start, value] as const
    })
    return new Map(await Promise.all(entries))
  }

  /** Read some rows of some leaves of a row group. */
  async readLeaves(group: FileGroup, leaves: readonly WantedLeaf[], ranges: Ranges): Promise<LeafPages[]> {
    const chunks = leaves.map(({ leaf }) => {
      const chunk = group.chunks[leaf.index]
      if (chunk === undefined) throw corruptParquet(`${this.source.name}: a row group lacks column ${leaf.name}`)
      return chunk
    })
    const isPart = countRows(ranges) < group.rows
    if (isPart) await this.fetchIndexes(chunks.flatMap(({ offsetIndex }) => offsetIndex ?? []))
    const plans = chunks.map((chunk) => planChunk(chunk, isPart ? this.pagesOf(chunk) : undefined, { ranges, group }))
    this.countPages(plans)
    const spans = plans.flatMap(({ dictionary, pages, whole }) => {
      return whole === undefined ? [...(dictionary ?? []), ...pages.map(({ span }) => span)] : [whole]
    })
    if (spans.length > 0 && !this.isRead) this.counts.filesRead++
    this.isRead ||= spans.length > 0
    const fetched = await fetchSpans(this.source, spans, { known: this.known, counts: this.counts })
    return leaves.map((wanted, at) => {
      const { codec } = chunks[at] as FileChunk
      const context = { leaf: wanted.leaf, codec, codecs: this.context.codecs }
      const chunk = { fetched, context, wanted, ranges }
      return this.decode(() => readChunk(plans[at] as ChunkPlan, chunk, this.counts))
    })
  }

  private countPages(plans: readonly ChunkPlan[]): void {
    for (const { pages, pagesLeft } of plans) {
      this.counts.pages += pages.length
      this.counts.pagesPruned += pagesLeft
    }
  }
}

/** What to read of a chunk: all of it, or its dictionary and some pages. */
interface ChunkPlan {
  readonly whole: Span | undefined
  readonly dictionary: readonly Span[] | undefined
  readonly pages: readonly IndexedPage[]
  readonly pagesLeft: number
}

function planChunk(
  { span }: FileChunk,
  pages: readonly IndexedPage[] | undefined,
  { ranges, group }: { ranges: Ranges; group: FileGroup },
): ChunkPlan {
  const first = pages?.[0]
  if (pages === undefined || first === undefined) return { whole: span, dictionary: undefined, pages: [], pagesLeft: 0 }
  const endOf = (at: number) => pages[at + 1]?.firstRow ?? group.rows
  const wanted = pages.filter(({ firstRow }, at) => touches(ranges, firstRow, endOf(at)))
  const dictionary = first.span.start > span.start ? [{ start: span.start, end: first.span.start }] : []
  return { whole: undefined, dictionary, pages: wanted, pagesLeft: pages.length - wanted.length }
}

interface ChunkBytes {
  readonly fetched: Fetched
  readonly context: PageContext
  readonly wanted: WantedLeaf
  readonly ranges: Ranges
}

function readChunk(plan: ChunkPlan, { fetched, context, wanted, ranges }: ChunkBytes, counts: ReadCounts): LeafPages {
  const { whole, dictionary: span, pages } = plan
  if (whole !== undefined) return readWhole(fetched.get(whole), { context, wanted, ranges }, counts)
  let dictionary: Stored | undefined
  const [place] = span ?? []
  if (place !== undefined) {
    const page = nextPage({ bytes: fetched.get(place), at: 0 }, context)
    if (page?.isDictionary) dictionary = readDictionary(context, page)
  }
  const placed = pages.map(({ span, firstRow }): PlacedPage => {
    const page = nextPage({ bytes: fetched.get(span), at: 0 }, context)
    if (page === undefined || page.isDictionary) throw corruptParquet('its index names a page that is none')
    return { firstRow, page: readPage(context, page) }
  })
  return { wanted, dictionary, pages: placed }
}

/** Read a chunk from its first page on; pages that nobody wants are left packed where their headers tell their rows. */
function readWhole(
  bytes: Uint8Array,
  { context, wanted, ranges }: Omit<ChunkBytes, 'fetched'>,
  counts: ReadCounts,
): LeafPages {
  const cursor = { bytes, at: 0 }
  const pages: PlacedPage[] = []
  let dictionary: Stored | undefined
  let firstRow = 0
  for (let raw = nextPage(cursor, context); raw !== undefined; raw = nextPage(cursor, context)) {
    if (raw.isDictionary) {
      dictionary = readDictionary(context, raw)
      continue
    }
    counts.pages++
    const { rows } = raw
    if (rows === undefined || touches(ranges, firstRow, firstRow + rows)) {
      const page = readPage(context, raw)
      pages.push({ firstRow, page })
      firstRow += page.rows
    } else firstRow += rows
  }
  return { wanted, dictionary, pages }
}
