/** For tests: write to memory, read with hyparquet, every value exactly as it was written. */

import { type FileMetaData, type ParquetParsers, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { joinBytes } from '../../bytes.ts'
import type { Compressor, Zstd } from '../zstd.ts'
import { uncompressed } from '../zstd.ts'
import type { ColumnInput } from './column.ts'
import type { StructType } from './schema.ts'
import type { RowInput } from './shred.ts'
import type { FileSummary } from './summary.ts'
import { createParquetWriter, type ParquetWriterOptions } from './writer.ts'

/** A file in memory. */
export interface Written {
  readonly bytes: Uint8Array
  readonly summary: FileSummary
}

type Options = Omit<ParquetWriterOptions, 'sink' | 'schema' | 'compressor'> & { readonly compressor?: Compressor }

/** Gather a file in memory. */
export async function writeFile(
  schema: StructType,
  options: Options,
  feed: (writer: ReturnType<typeof createParquetWriter>) => Promise<unknown>,
): Promise<Written> {
  const parts: Uint8Array[] = []
  const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
  const writer = createParquetWriter({ compressor: uncompressed, ...options, schema, sink })
  await feed(writer)
  const summary = await writer.finish()
  return { bytes: joinBytes(parts), summary }
}

/** Write rows. */
export function writeRows(schema: StructType, rows: readonly RowInput[], options: Options = {}): Promise<Written> {
  return writeFile(schema, options, (writer) => writer.writeRows(rows))
}

/** Write columns. */
export function writeColumns(
  schema: StructType,
  rows: number,
  columns: { readonly [field: string]: ColumnInput },
  options: Options = {},
): Promise<Written> {
  return writeFile(schema, options, (writer) => writer.writeColumns(rows, columns))
}

/** Parsers that keep what is stored: days, microseconds, bytes. */
export const exactParsers: Partial<ParquetParsers> = {
  timestampFromMicroseconds: (value: bigint) => value,
  dateFromDays: (value: number) => value,
  uuidFromBytes: (value: Uint8Array) => value,
}

/** See bytes as hyparquet's file. */
export function asFile(bytes: Uint8Array): { byteLength: number; slice(start: number, end?: number): ArrayBuffer } {
  return {
    byteLength: bytes.length,
    // A Buffer's own slice would not copy.
    slice: (start, end) => Uint8Array.prototype.slice.call(bytes, start, end).buffer as ArrayBuffer,
  }
}

/** Read the footer.
 *  @param parsers what bounds are made of, besides what is exact */
export function readMetadata(bytes: Uint8Array, parsers: Partial<ParquetParsers> = {}): Promise<FileMetaData> {
  return parquetMetadataAsync(asFile(bytes), { parsers: { ...exactParsers, ...parsers } })
}

/** Read all rows as objects; what is not there is null. */
export async function readRows(bytes: Uint8Array, zstd?: Zstd): Promise<Record<string, unknown>[]> {
  let found: Record<string, unknown>[] = []
  await parquetRead({
    file: asFile(bytes),
    rowFormat: 'object',
    utf8: false,
    parsers: exactParsers,
    compressors: zstd ? { ZSTD: (input, length) => zstd.decompress(input, length) } : {},
    onComplete: (rows) => {
      found = rows
    },
  })
  return found.map((row) => nullsIn(row) as Record<string, unknown>)
}

/** What hyparquet calls undefined is null. */
function nullsIn(value: unknown): unknown {
  if (value === undefined || value === null) return null
  if (Array.isArray(value)) return value.map(nullsIn)
  if (typeof value !== 'object' || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, nullsIn(one)]))
}
