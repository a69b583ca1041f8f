/** Writes one data file of a table to the object store while its rows come. */
import { TIER_PAGE_BYTES, TIER_SINK_BYTES } from '../../limits.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import type { StructType } from '../iceberg/types.ts'
import type { ColumnInput } from '../parquet/column.ts'
import type { FileSummary } from '../parquet/summary.ts'
import { createParquetWriter, type ParquetWriter } from '../parquet/writer.ts'
import type { Compressor } from '../zstd.ts'

/** What files are written with. */
export interface OutputTools {
  readonly files: LakeFiles
  readonly compressor: Compressor
  readonly rowGroupRows?: number | undefined
  readonly rowGroupBytes?: number | undefined
  /** Lets others run, between pieces of work. */
  readonly pause: () => Promise<void>
}

/** A file to be written. */
export interface OutputPlan {
  readonly path: string
  readonly schema: StructType
  /** Columns to make bloom filters for. */
  readonly bloom: readonly string[]
}

/** Passes chunks on to whoever reads them, holding a bounded number of bytes. */
class Pipe implements AsyncIterable<Uint8Array> {
  private readonly chunks: Uint8Array[] = []
  private bytes = 0
  private ended = false
  private failed: unknown
  private wakeReader: () => void = () => {}
  private wakeWriter: () => void = () => {}

  async write(chunk: Uint8Array): Promise<void> {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    this.wakeReader()
    while (this.bytes > TIER_SINK_BYTES && this.failed === undefined) {
      await new Promise<void>((resolve) => {
        this.wakeWriter = resolve
      })
    }
    if (this.failed !== undefined) throw this.failed
  }

  end(): void {
    this.ended = true
    this.wakeReader()
  }

  /** One end has failed: so does the other. */
  fail(error: unknown): void {
    this.failed = error
    this.wakeWriter()
    this.wakeReader()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const chunk = this.chunks.shift()
      if (chunk !== undefined) {
        this.bytes -= chunk.length
        this.wakeWriter()
        yield chunk
      } else if (this.failed !== undefined) throw this.failed
      else if (this.ended) return
      else {
        await new Promise<void>((resolve) => {
          this.wakeReader = resolve
        })
      }
    }
  }
}

/** A data file under construction. Nobody sees it before a snapshot names it. */
export class DataOutput {
  readonly path: string
  /** Rows so far. */
  rows = 0
  private readonly pipe = new Pipe()
  private readonly writer: ParquetWriter
  private readonly sent: Promise<unknown>

  constructor(tools: OutputTools, { path, schema, bloom }: OutputPlan) {
    const { files, compressor, rowGroupRows, rowGroupBytes, pause } = tools
    this.path = path
    const common = { schema, sink: this.pipe, compressor, pause, bloom, pageBytes: TIER_PAGE_BYTES }
    const metadata = { 'iceberg.schema': JSON.stringify(schema) }
    this.writer = createParquetWriter({
      ...common,
      metadata,
      ...(rowGroupRows !== undefined && { rowGroupRows }),
      ...(rowGroupBytes !== undefined && { rowGroupBytes }),
    })
    this.sent = files.writeParts(path, this.pipe)
    // Its failure is thrown where it is awaited, and by the pipe until then.
    this.sent.catch((error) => this.pipe.fail(error))
  }

  /** Bytes so far, those in memory as they are. */
  get bytes(): number {
    return this.writer.sizeBytes + this.writer.bufferedBytes
  }

  /** Append rows as columns. */
  async write(rows: number, columns: { readonly [field: string]: ColumnInput }): Promise<void> {
    await this.writer.writeColumns(rows, columns)
    this.rows += rows
  }

  /** End the file; it is there, durably, when this settles. */
  async finish(): Promise<FileSummary> {
    const summary = await this.writer.finish()
    this.pipe.end()
    await this.sent
    return summary
  }

  /** Give the file up. */
  async abort(error: unknown): Promise<void> {
    this.pipe.fail(error)
    await this.sent.catch(() => {})
  }
}
