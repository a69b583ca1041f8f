/** The two writers of the Parquet bench, and a process of its own for each, where memory is measured:
 *
 *    node scripts/run.mjs bench/parquet-run.ts ours|peer DATABASE FILE */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import type { Sql, SqlValue } from '@dotdo/core/shard'
import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { openZstd } from '../core/host/node/zstd.ts'
import { createParquetWriter, feedSql } from '../core/tiering/parquet/index.ts'
import type { Compressor } from '../core/tiering/zstd.ts'
import { eventsSchema } from './parquet-data.ts'

/** Writes a database's events into a new file: to empty an old one takes time of its own.
 *  @returns bytes of the file */
export type WriteEvents = (sql: Sql, path: string, zstd: Compressor) => Promise<number>

/** Write with our writer, fed by SQL aggregation.
 *  @param bloom columns with bloom filters */
export async function writeOurs(sql: Sql, path: string, compressor: Compressor, bloom: string[] = []): Promise<number> {
  const file = openSync(path, 'wx')
  try {
    const sink = { write: (bytes: Uint8Array) => void writeSync(file, bytes) }
    const writer = createParquetWriter({ schema: eventsSchema, compressor, sink, bloom })
    const columns = eventsSchema.fields.map((field) => ({ field: field.name, sql: field.name }))
    await feedSql(writer, { sql, from: 'events', key: 'seq', columns })
    return (await writer.finish()).sizeBytes
  } finally {
    closeSync(file)
  }
}

const peerRows = 100_000
/** Rows read at once: larger arrays of rows outlive the young generation and cost twice as much. */
const peerReadRows = 1_000

const optional = { repetition_type: 'OPTIONAL' } as const
const required = { repetition_type: 'REQUIRED' } as const
const peerSchema: SchemaElement[] = [
  { name: 'table', num_children: 8 },
  { name: 'seq', type: 'INT64', ...required },
  {
    name: 'ts',
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
    ...required,
  },
  ...['ns', 'type', 'op', 'id'].map(
    (name): SchemaElement => ({ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', ...required }),
  ),
  { name: 'data', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional },
  { name: 'amount', type: 'DOUBLE', ...optional },
]

/** Write with hyparquet-writer: the same schema, row groups and codec, rows read through the same port. */
export const writePeer: WriteEvents = async (sql, path, zstd) => {
  const file = openSync(path, 'wx')
  let sizeBytes = 0
  const compressors = { ZSTD: (bytes: Uint8Array) => zstd.compress(bytes) }
  // Its writer gathers a row group, and gives it away when asked to flush.
  const writer = new ByteWriter()
  const drain = () => {
    const bytes = writer.getBytes()
    writeSync(file, bytes)
    sizeBytes += bytes.length
  }
  const flushing = Object.assign(writer, {
    flush() {
      drain()
      writer.index = 0
    },
    finish: drain,
  })
  const parquet = new ParquetWriter({ writer: flushing, schema: peerSchema, codec: 'ZSTD', compressors })
  for (let after = 0; ; ) {
    const columns: unknown[][] = peerSchema.slice(1).map(() => [])
    while ((columns[0] as unknown[]).length < peerRows) {
      const rows = sql.raw('select * from events where seq > ? order by seq limit ?', after, peerReadRows)
      for (const row of rows) for (let at = 0; at < 8; at++) (columns[at] as unknown[]).push(peerValue(row, at))
      if (rows.length === 0) break
      after = rows.at(-1)?.[0] as number
    }
    const count = (columns[0] as unknown[]).length
    if (count > 0) {
      const columnData = columns.map((data, at) => ({ name: (peerSchema[at + 1] as SchemaElement).name, data }))
      await parquet.write({ columnData, rowGroupSize: peerRows })
    }
    if (count < peerRows) break
  }
  await parquet.finish()
  closeSync(file)
  return sizeBytes
}

/** It takes 64-bit integers as BigInt, and its timestamps too. */
function peerValue(row: readonly SqlValue[], at: number): unknown {
  return at < 2 ? BigInt(row[at] as number) : row[at]
}

/** What a process of its own tells. */
export interface RunResult {
  readonly residentMb: number
  readonly sizeBytes: number
}

/** Linux counts in maxRSS what the process was before exec: a copy of the bench. VmHWM begins anew. */
function peakKib(): number {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : ''
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  return peak === null ? process.resourceUsage().maxRSS : Number(peak[1])
}

async function run(side: string, database: string, path: string): Promise<RunResult> {
  const sql = openSqlite(database, { readonly: true })
  const sizeBytes = await (side === 'ours' ? writeOurs : writePeer)(sql, path, await openZstd())
  sql.close()
  return { residentMb: peakKib() / 1024, sizeBytes }
}

// Started as a program (scripts/run.mjs names the source in argv), not imported by the bench.
const [, started = '', side, database, path] = process.argv
if (started.endsWith(join('bench', 'parquet-run.ts')) && database !== undefined && path !== undefined) {
  console.log(JSON.stringify(await run(side ?? '', database, path)))
}
