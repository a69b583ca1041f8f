/** Leaves out what cannot meet a predicate: row groups by their statistics and bloom filters, pages by the page index.
 *
 *  1. What is not known may be anything; no row that meets the predicate is left out.
 *  2. Bounds count only where their order is certain: those of text and bytes need the footer's column orders. */
import type { BoundPredicate, Leaf } from '../iceberg/expression.ts'
import { type Extent, mightMatch } from '../iceberg/metrics.ts'
import { toBinary } from '../iceberg/values.ts'
import { type BloomBlocks, mayHave, readBloom } from './read-bloom.ts'
import type { FileReader } from './read-file.ts'
import { type FileChunk, type FileGroup, type IndexedPage, readColumnIndex } from './read-footer.ts'
import { intersect, type Range, type Ranges, union } from './read-ranges.ts'
import type { FieldFinder, WantedLeaf } from './read-schema.ts'
import type { Span } from './read-source.ts'
import { accessor, readPlain } from './read-values.ts'

/** A row group, and the rows of it that may be wanted. */
export interface Wanted {
  readonly group: FileGroup
  readonly ranges: Ranges
}

/** What is known besides the file. */
export interface PruneOptions {
  readonly where: BoundPredicate
  /** Whether a column is known to have no NaN; Parquet itself does not say. */
  readonly hasNoNan?: ((id: number) => boolean) | undefined
}

/** Find the rows that may meet a predicate. */
export async function prune(file: FileReader, finder: FieldFinder, options: PruneOptions): Promise<Wanted[]> {
  return new Pruner(file, finder, options).run()
}

class Pruner {
  private readonly file: FileReader
  private readonly where: BoundPredicate
  private readonly hasNoNan: (id: number) => boolean
  private readonly leaves = new Map<number, WantedLeaf | 'missing' | undefined>()

  constructor(file: FileReader, finder: FieldFinder, { where, hasNoNan = () => false }: PruneOptions) {
    this.file = file
    this.where = where
    this.hasNoNan = hasNoNan
    for (const { id } of testsOf(where)) if (!this.leaves.has(id)) this.leaves.set(id, finder.findLeaf(id))
  }

  async run(): Promise<Wanted[]> {
    const { groups } = this.file.footer
    const byStatistics = groups.filter((group) => mightMatch(this.where, (id) => this.extentOf(group, id)))
    const byPages = await this.byPages(byStatistics.filter(({ rows }) => rows > 0))
    return this.byBlooms(byPages)
  }

  /** The chunk of a field, when it has one. */
  private chunk(group: FileGroup, id: number): { chunk: FileChunk; wanted: WantedLeaf } | undefined {
    const wanted = this.leaves.get(id)
    if (wanted === undefined || wanted === 'missing') return undefined
    const chunk = group.chunks[wanted.leaf.index]
    return chunk && { chunk, wanted }
  }

  private extentOf(group: FileGroup, id: number): Extent | undefined {
    if (this.leaves.get(id) === 'missing') return { nulls: 'all' }
    const { chunk, wanted } = this.chunk(group, id) ?? {}
    if (chunk?.statistics === undefined || wanted === undefined) return undefined
    const { nulls, min, max, isOld } = chunk.statistics
    return {
      lower: this.bound(wanted, min, isOld),
      upper: this.bound(wanted, max, isOld),
      nulls: nullsOf(nulls, chunk.entries),
      hasNan: this.hasNoNan(id) ? false : undefined,
    }
  }

  /** Turn a bound as Parquet has it into one as Iceberg has it; undefined for one that may be in another order. */
  private bound({ leaf, form }: WantedLeaf, bytes: Uint8Array | undefined, isOld: boolean): Uint8Array | undefined {
    if (bytes === undefined || form === undefined || leaf.physical === 'int96') return undefined
    const isBytes = leaf.physical === 'bytes' || leaf.physical === 'fixed'
    if ((isBytes || leaf.isUnsigned) && (isOld || !this.file.footer.hasOrders)) return undefined
    // Text may be cut within a character, so it is not decoded here.
    if (isBytes) return bytes
    try {
      return toBinary(form.type, accessor(readPlain(leaf, bytes, 1), form, false)(0))
    } catch {
      return undefined
    }
  }

  private async byPages(groups: readonly FileGroup[]): Promise<Wanted[]> {
    const indexes = groups.flatMap((group) =>
      testsOf(this.where).flatMap(({ id }) => {
        const { chunk } = this.chunk(group, id) ?? {}
        const { columnIndex, offsetIndex } = chunk ?? {}
        return columnIndex && offsetIndex ? [columnIndex, offsetIndex] : []
      }),
    )
    await this.file.fetchIndexes(indexes)
    const wanted = groups.map((group) => ({ group, ranges: this.file.decode(() => this.pages(group, this.where)) }))
    return wanted.filter(({ ranges }) => ranges.length > 0)
  }

  private pages(group: FileGroup, predicate: BoundPredicate): Ranges {
    const all: Ranges = [[0, group.rows]]
    switch (predicate.op) {
      case 'true':
        return all
      case 'false':
        return []
      case 'and':
        return predicate.args.map((arg) => this.pages(group, arg)).reduce(intersect, all)
      case 'or':
        return predicate.args.map((arg) => this.pages(group, arg)).reduce(union, [])
      default:
        return this.pagesOfTest(group, predicate)
    }
  }

  private pagesOfTest(group: FileGroup, test: Leaf): Ranges {
    const all: Ranges = [[0, group.rows]]
    const { chunk, wanted } = this.chunk(group, test.id) ?? {}
    if (wanted === undefined || chunk?.columnIndex === undefined || chunk.offsetIndex === undefined) return all
    const pages = this.file.pagesOf(chunk) as readonly IndexedPage[]
    const bounds = readColumnIndex(this.file.index(chunk.columnIndex))
    if (bounds.length !== pages.length) return all
    const ranges: Range[] = []
    for (const [at, { isNull, min, max, nulls }] of bounds.entries()) {
      const extent: Extent = isNull
        ? { nulls: 'all' }
        : {
            lower: this.bound(wanted, min, false),
            upper: this.bound(wanted, max, false),
            nulls: nulls === undefined ? undefined : nulls === 0 ? 'none' : 'some',
            hasNan: this.hasNoNan(test.id) ? false : undefined,
          }
      const end = pages[at + 1]?.firstRow ?? group.rows
      if (mightMatch(test, () => extent)) ranges.push([(pages[at] as IndexedPage).firstRow, end])
    }
    return union(ranges, [])
  }

  private async byBlooms(candidates: readonly Wanted[]): Promise<Wanted[]> {
    const spanOf = (group: FileGroup, test: Leaf): Span | undefined => {
      return test.op === 'eq' || test.op === 'in' ? this.chunk(group, test.id)?.chunk.bloom : undefined
    }
    // When it would match even though no filter had any value, there is nothing to ask them.
    const couldHelp = (group: FileGroup) => !holds(this.where, (test) => spanOf(group, test) === undefined)
    const spans = candidates.flatMap(({ group }) =>
      couldHelp(group) ? testsOf(this.where).flatMap((test) => spanOf(group, test) ?? []) : [],
    )
    if (spans.length === 0) return [...candidates]
    const filters = await this.file.fetchBlooms(spans, readBloom)
    const mayMatch = (group: FileGroup) => (test: Leaf) => {
      const start = spanOf(group, test)?.start
      const blocks: BloomBlocks = start === undefined ? undefined : filters.get(start)
      const wanted = this.leaves.get(test.id)
      if (blocks === undefined || wanted === undefined || wanted === 'missing') return true
      return test.values.some((value) => mayHave(blocks, wanted, value))
    }
    return candidates.filter(({ group }) => holds(this.where, mayMatch(group)))
  }
}

const nullsOf = (nulls: number | undefined, entries: number): Extent['nulls'] =>
  nulls === undefined ? undefined : nulls === 0 ? 'none' : nulls >= entries ? 'all' : 'some'

/** List the tests of a predicate. */
function testsOf(predicate: BoundPredicate): Leaf[] {
  if ('args' in predicate) return predicate.args.flatMap(testsOf)
  return 'id' in predicate ? [predicate] : []
}

/** Whether a predicate holds when its tests do as they are said to. */
function holds(predicate: BoundPredicate, test: (leaf: Leaf) => boolean): boolean {
  switch (predicate.op) {
    case 'true':
      return true
    case 'false':
      return false
    case 'and':
      return predicate.args.every((arg) => holds(arg, test))
    case 'or':
      return predicate.args.some((arg) => holds(arg, test))
    default:
      return test(predicate)
  }
}
