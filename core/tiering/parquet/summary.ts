/** What Iceberg's manifests want to know of a data file.
 *  @source https://iceberg.apache.org/spec/ (v2): data_file fields 103 to 132 */
import type { Chunk } from './metadata.ts'
import { chunkStart } from './metadata.ts'
import type { Leaf } from './schema.ts'
import { type Bound, compareBounds, type Extent, icebergBound, parquetMax, parquetMin } from './statistics.ts'

/** A file that has been written; maps are by field id. */
export interface FileSummary {
  readonly rows: number
  readonly sizeBytes: number
  /** Where each row group begins: places to split the file at. */
  readonly splitOffsets: readonly number[]
  /** Bytes in the file. */
  readonly columnSizes: ReadonlyMap<number, number>
  /** Values, nulls and NaNs among them. */
  readonly valueCounts: ReadonlyMap<number, number>
  readonly nullCounts: ReadonlyMap<number, number>
  /** NaNs of float and double columns. */
  readonly nanCounts: ReadonlyMap<number, number>
  /** Bounds in Iceberg's single-value form, for columns outside lists and maps that have values. */
  readonly lowerBounds: ReadonlyMap<number, Uint8Array>
  readonly upperBounds: ReadonlyMap<number, Uint8Array>
}

interface Tally {
  sizeBytes: number
  values: number
  nulls: number
  nans: number
  /** Encoded as Parquet has them; with the number they stand for, or for bytes themselves. */
  min: { readonly bound: Bound; readonly bytes: Uint8Array } | undefined
  max: { readonly bound: Bound; readonly bytes: Uint8Array } | undefined
  /** Some row group has values and no upper bound: so has the file. */
  isUnbounded: boolean
}

/** Gathers what is known of the columns, row group by row group. */
export class Summary {
  rows = 0
  private readonly leaves: readonly Leaf[]
  private readonly tallies: readonly Tally[]
  private readonly splitOffsets: number[] = []

  constructor(leaves: readonly Leaf[]) {
    this.leaves = leaves
    this.tallies = leaves.map(() => ({
      sizeBytes: 0,
      values: 0,
      nulls: 0,
      nans: 0,
      min: undefined,
      max: undefined,
      isUnbounded: false,
    }))
  }

  /** Begin a row group.
   *  @param offset where the next page will stand; the magic bytes are in front of the first */
  startGroup(offset: number, rows: number): void {
    this.splitOffsets.push(offset)
    this.rows += rows
  }

  /** Add a column of the row group. */
  add(chunk: Chunk, { min, max, nans }: Extent): void {
    const { leaf, statistics } = chunk
    const tally = this.tallies[leaf.index] as Tally
    if (leaf.index === 0) this.splitOffsets[this.splitOffsets.length - 1] = chunkStart(chunk)
    tally.sizeBytes += chunk.sizeBytes
    tally.values += chunk.entries
    tally.nulls += statistics.nulls
    tally.nans += nans
    if (min !== undefined) {
      const { bytes } = parquetMin(leaf, min)
      const bound = min instanceof Uint8Array ? bytes : min
      if (tally.min === undefined || compareBounds(leaf, bound, tally.min.bound) < 0) tally.min = { bound, bytes }
    }
    if (max === undefined) return
    const bytes = parquetMax(leaf, max)?.bytes
    if (bytes === undefined) {
      tally.isUnbounded = true
      return
    }
    const bound = max instanceof Uint8Array ? bytes : max
    if (tally.max === undefined || compareBounds(leaf, bound, tally.max.bound) > 0) tally.max = { bound, bytes }
  }

  /** Say it all. */
  finish(sizeBytes: number): FileSummary {
    const { leaves, tallies } = this
    const byId = <T>(pick: (tally: Tally, leaf: Leaf) => T | undefined): Map<number, T> =>
      new Map(
        leaves.flatMap((leaf) => {
          const value = pick(tallies[leaf.index] as Tally, leaf)
          return value === undefined ? [] : [[leaf.id, value] as const]
        }),
      )
    const isReal = ({ storage }: Leaf) => storage === 'float' || storage === 'double'
    const bound = (leaf: Leaf, bytes: Uint8Array | undefined) =>
      bytes === undefined || leaf.maxRepetition > 0 ? undefined : icebergBound(leaf, bytes)
    return {
      rows: this.rows,
      sizeBytes,
      splitOffsets: this.splitOffsets,
      columnSizes: byId((tally) => tally.sizeBytes),
      valueCounts: byId((tally) => tally.values),
      nullCounts: byId((tally) => tally.nulls),
      nanCounts: byId((tally, leaf) => (isReal(leaf) ? tally.nans : undefined)),
      lowerBounds: byId(({ min }, leaf) => bound(leaf, min?.bytes)),
      upperBounds: byId(({ max, isUnbounded }, leaf) => bound(leaf, isUnbounded ? undefined : max?.bytes)),
    }
  }
}
