/** Writes Parquet files: rows or columns in, pages out, one row group in memory at a time.
 *
 *  1. A file is final: whoever reads half of it finds no footer. `finish` ends it, and nothing follows.
 *  2. Calls are made one after the other: each is awaited before the next.
 *  3. A row that does not fit the schema leaves no trace; the rows before it stay.
 *  4. The same input gives the same bytes.
 *  @source https://github.com/apache/parquet-format (2.11) */
import { assert, Failure, toFailure } from '../../errors.ts'
import { PARQUET_GROUP_BYTES, PARQUET_GROUP_ROWS, PARQUET_PAGE_BYTES_MAX, PARQUET_PAGE_ROWS } from '../../limits.ts'
import type { Compressor } from '../zstd.ts'
import { type ChunkContext, writeChunk } from './chunk.ts'
import { Column, type ColumnInput } from './column.ts'
import { checkEncoding } from './encode.ts'
import {
  type Chunk,
  columnIndexBytes,
  type Encoding,
  footerBytes,
  offsetIndexBytes,
  type Place,
  type RowGroup,
} from './metadata.ts'
import { Output } from './output.ts'
import { type CompiledSchema, compileSchema, type Leaf, type StructType } from './schema.ts'
import { makeFieldWriter, makeShredder, type RowInput } from './shred.ts'
import { type FileSummary, Summary } from './summary.ts'

/** Where a file's bytes go, in order. */
export interface Sink {
  /** @param bytes the sink's own from now on
   *  @returns a promise when more should wait */
  write(bytes: Uint8Array): void | Promise<void>
}

/** How a file is written. */
export interface ParquetWriterOptions {
  /** The table's schema, in Iceberg's JSON form. */
  readonly schema: StructType
  readonly sink: Sink
  readonly compressor: Compressor
  /** Rows of a row group. */
  readonly rowGroupRows?: number
  /** Bytes of values that end a row group early. */
  readonly rowGroupBytes?: number
  /** Rows of a page. */
  readonly pageRows?: number
  /** Bytes of values past which a page has fewer rows. */
  readonly pageBytes?: number
  /** Columns to make bloom filters for, by name (nested ones with dots: `tags.element`). */
  readonly bloom?: readonly string[]
  /** Encodings by column name, where the choice by sample is not wanted. */
  readonly encodings?: { readonly [column: string]: Encoding }
  /** Key-value metadata of the footer. */
  readonly metadata?: { readonly [key: string]: string }
  /** Called between pieces of work the size of a page: a chance to let others run. Without it a row group is written
   *  in one go. */
  readonly pause?: () => void | Promise<void>
}

/** What the footer calls the program; the form `name version x.y.z` is what readers parse. */
const createdBy = 'dotdo version 1.0.0'
const magic = Uint8Array.of(0x50, 0x41, 0x52, 0x31)

/** Start a file.
 *  @throws invalid for a schema, a column name or a size that cannot be */
export function createParquetWriter(options: ParquetWriterOptions): ParquetWriter {
  return new ParquetWriter(options)
}

/** A file under construction. */
export class ParquetWriter {
  /** The table's schema. */
  readonly schema: StructType
  private readonly options: ParquetWriterOptions
  private readonly compiled: CompiledSchema
  private readonly columns: readonly Column[]
  private readonly shred: (row: RowInput) => void
  private readonly bloomed: ReadonlySet<string>
  private readonly groupRows: number
  private readonly groupBytes: number
  private readonly context: ChunkContext
  private readonly groups: RowGroup[] = []
  /** Bloom filters wait for the end, where one read fetches those of all row groups. */
  private readonly blooms: (readonly [Chunk, Uint8Array])[] = []
  private readonly summary: Summary
  private written = 0
  private pending = 0
  private state: 'open' | 'busy' | 'finished' | 'broken' = 'open'

  constructor(options: ParquetWriterOptions) {
    const { schema, sink, compressor, pause = () => {} } = options
    this.options = options
    this.schema = schema
    this.compiled = compileSchema(schema)
    this.columns = this.compiled.leaves.map((leaf) => new Column(leaf))
    this.shred = makeShredder(this.compiled, this.columns)
    this.summary = new Summary(this.compiled.leaves)
    this.groupRows = sizeOf('rowGroupRows', options.rowGroupRows ?? PARQUET_GROUP_ROWS)
    this.groupBytes = sizeOf('rowGroupBytes', options.rowGroupBytes ?? PARQUET_GROUP_BYTES)
    this.bloomed = new Set(options.bloom)
    for (const name of this.bloomed) this.leafOf(name)
    for (const [name, encoding] of Object.entries(options.encodings ?? {})) checkEncoding(this.leafOf(name), encoding)
    this.context = {
      compressor,
      pageRows: sizeOf('pageRows', options.pageRows ?? PARQUET_PAGE_ROWS),
      pageBytesMax: sizeOf('pageBytes', options.pageBytes ?? PARQUET_PAGE_BYTES_MAX),
      offset: () => this.written,
      write: (bytes) => {
        this.written += bytes.length
        return sink.write(bytes)
      },
      pause,
    }
  }

  private leafOf(name: string): Leaf {
    const leaf = this.compiled.leaves.find((one) => one.name === name)
    if (leaf !== undefined) return leaf
    const known = this.compiled.leaves.map((one) => one.name).join(', ')
    throw new Failure('invalid', `no column ${name}; there are ${known}`)
  }

  /** Rows so far. */
  get rows(): number {
    return this.summary.rows + this.pending
  }

  /** Bytes handed to the sink so far: what is in memory is not in it. */
  get sizeBytes(): number {
    return this.written
  }

  /** Bytes of values in memory. */
  get bufferedBytes(): number {
    let bytes = 0
    for (const column of this.columns) bytes += column.sizeBytes
    return bytes
  }

  /** Append rows.
   *  @throws invalid for a row that does not fit (detail `{ field, row }`, the row's place in `rows`); the rows before
   *  it have been taken, it and those after it have not. What the sink throws passes on, and breaks the file */
  async writeRows(rows: Iterable<RowInput>): Promise<void> {
    this.begin()
    let at = 0
    for (const row of rows) {
      try {
        this.shred(row)
      } catch (error) {
        this.takeBack()
        throw atRow(error, at)
      }
      at++
      this.pending++
      // Looking at the bytes of every column is not worth it for each row, and a few rows have 2 MB each at the most.
      if (this.pending >= this.groupRows || this.pending % 8 === 0) await this.flushIfFull()
    }
    this.state = 'open'
  }

  /** Append rows given as columns, every field of the schema one.
   *  @throws invalid for a column that does not fit: then none of these rows is taken but those that filled row groups.
   *  What the sink throws passes on, and breaks the file */
  async writeColumns(rows: number, columns: { readonly [field: string]: ColumnInput }): Promise<void> {
    this.begin()
    try {
      const appenders = this.compiled.fields.map(([name]) => this.appenderOf(name, rows, columns[name]))
      for (const name of Object.keys(columns)) {
        if (!this.compiled.fields.some(([known]) => known === name)) throw new Failure('invalid', `no field ${name}`)
      }
      for (let from = 0; from < rows; ) {
        const to = Math.min(rows, from + this.groupRows - this.pending)
        for (const append of appenders) append(from, to)
        this.pending += to - from
        from = to
        await this.flushIfFull()
      }
    } catch (error) {
      this.takeBack()
      throw error
    }
    this.state = 'open'
  }

  /** Check one column of writeColumns and make the function that appends a stretch of it. */
  private appenderOf(name: string, rows: number, input: ColumnInput | undefined): (from: number, to: number) => void {
    const node = this.compiled.fields.find(([field]) => field === name)?.[1]
    assert(node !== undefined, `a field ${name}`)
    if (input === undefined) throw new Failure('invalid', `no column for the field ${name}`)
    const length = lengthOf(input)
    if (length !== rows) throw new Failure('invalid', `column ${name} has ${length} rows, not ${rows}`)
    if ('values' in input) {
      const write = makeFieldWriter(node, this.columns)
      return (from, to) => {
        for (let at = from; at < to; at++) write(input.values[at])
      }
    }
    if (node.kind !== 'leaf') throw new Failure('invalid', `column ${name} is nested: it wants \`values\``)
    const column = this.columns[node.leaf.index] as Column
    if ('numbers' in input) return (from, to) => column.appendNumbers(input, from, to)
    if ('distinct' in input) return (from, to) => column.appendDistinct(input, from, to)
    let start = 0
    return (from, to) => {
      start = column.appendBytes(input, from, to, start)
    }
  }

  /** End the file.
   *  @returns what Iceberg's manifest wants to know of it
   *  @throws what the sink throws */
  async finish(): Promise<FileSummary> {
    this.begin()
    await this.flush()
    if (this.written === 0) await this.guard(this.context.write(magic.slice()))
    for (const [chunk, bytes] of this.blooms) chunk.places.bloom = await this.append(bytes)
    const chunks = this.groups.flatMap((group) => group.chunks)
    for (const chunk of chunks) {
      const bytes = columnIndexBytes(chunk)
      if (bytes !== undefined) chunk.places.columnIndex = await this.append(bytes)
    }
    for (const chunk of chunks) chunk.places.offsetIndex = await this.append(offsetIndexBytes(chunk))
    const { metadata = {} } = this.options
    const footer = footerBytes({ schema: this.compiled, rows: this.rows, groups: this.groups, metadata, createdBy })
    const end = new Output(footer.length + 8)
    end.append(footer)
    end.uint32(footer.length)
    end.append(magic)
    await this.append(end.view())
    this.state = 'finished'
    return this.summary.finish(this.written)
  }

  private begin(): void {
    assert(this.state !== 'busy', 'a Parquet writer is called before its last call has ended')
    if (this.state !== 'open') throw new Failure('invalid', `the Parquet file is ${this.state}: nothing can follow`)
    this.state = 'busy'
  }

  /** Take back what was begun and is no whole row. */
  private takeBack(): void {
    for (const column of this.columns) column.truncateRows(this.pending)
    if (this.state === 'busy') this.state = 'open'
  }

  /** Wait for the sink; a file that it did not take is broken. */
  private async guard<T>(work: T | Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.state = 'broken'
      throw error
    }
  }

  private async append(bytes: Uint8Array): Promise<Place> {
    const offset = this.written
    await this.guard(this.context.write(bytes))
    return { offset, sizeBytes: bytes.length }
  }

  private async flushIfFull(): Promise<void> {
    if (this.pending >= this.groupRows || this.bufferedBytes >= this.groupBytes) await this.flush()
  }

  private async flush(): Promise<void> {
    if (this.pending > 0) await this.guard(this.writeGroup())
  }

  private async writeGroup(): Promise<void> {
    if (this.written === 0) await this.context.write(magic.slice())
    const { encodings = {} } = this.options
    const rows = this.pending
    this.pending = 0
    this.summary.startGroup(this.written, rows)
    const chunks: Chunk[] = []
    for (const column of this.columns) {
      const { name } = column.leaf
      const { chunk, extent, bloom } = await writeChunk(this.context, column, encodings[name], this.bloomed.has(name))
      if (bloom !== undefined) this.blooms.push([chunk, bloom])
      this.summary.add(chunk, extent)
      chunks.push(chunk)
    }
    this.groups.push({ rows, chunks })
    for (const column of this.columns) column.clear()
  }
}

function lengthOf(input: ColumnInput): number {
  if ('numbers' in input) return input.numbers.length
  if ('bytes' in input) return input.lengths.length
  return 'distinct' in input ? input.indices.length : input.values.length
}

function sizeOf(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value
  throw new Failure('invalid', `${name} ${value}: an integer from 1 on is right`)
}

function atRow(error: unknown, row: number): unknown {
  const failure = toFailure(error)
  if (failure.code === 'internal') return error
  return new Failure(failure.code, `row ${row}: ${failure.message}`, { ...(failure.detail as object), row }, error)
}
