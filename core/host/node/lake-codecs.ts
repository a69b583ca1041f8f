/** Decompression for tables of other writers, in Node: manifests (deflate, snappy, zstandard) and data files (zstd,
 *  gzip, brotli; snappy is built in). Node only. */
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { LAKE_BLOCK_BYTES_MAX } from '../../limits.ts'
import { type LakeCodecs, unpackAvroSnappy } from '../../tiering/iceberg/read-codecs.ts'
import { openZstd } from './zstd.ts'

const options = { maxOutputLength: LAKE_BLOCK_BYTES_MAX }

/** @types/node 20 does not know it. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Uint8Array, limits: object) => Uint8Array }

/** What is used of @bokuweb/zstd-wasm. */
interface WasmZstd {
  decompress(bytes: Uint8Array, options: { defaultHeapSize: number }): Uint8Array
}

/** Bytes of a zstd block that does not tell its size: Java's writers cut blocks at 64 KB. */
const unsaidBytes = 16 * 1024 * 1024

/** Unlike a page, a block of Avro does not say how many bytes it becomes. */
function unpackZstandard(): (block: Uint8Array) => Uint8Array {
  if (zstdDecompressSync !== undefined) return (block) => zstdDecompressSync(block, options)
  const wasm = createRequire(import.meta.url)('@bokuweb/zstd-wasm') as WasmZstd
  return (block) => wasm.decompress(block, { defaultHeapSize: unsaidBytes })
}

/** Get decompression ready.
 *  @throws unsupported when this Node has no zstd of its own and @bokuweb/zstd-wasm is missing */
export async function openLakeCodecs(): Promise<LakeCodecs> {
  const zstd = await openZstd()
  const bounded = (sizeBytes: number) => ({ maxOutputLength: Math.max(1, sizeBytes) })
  return {
    avro: {
      deflate: (block) => zlib.inflateRawSync(block, options),
      snappy: unpackAvroSnappy,
      zstandard: unpackZstandard(),
    },
    parquet: {
      ZSTD: (bytes, sizeBytes) => zstd.decompress(bytes, sizeBytes),
      GZIP: (bytes, sizeBytes) => zlib.gunzipSync(bytes, bounded(sizeBytes)),
      BROTLI: (bytes, sizeBytes) => zlib.brotliDecompressSync(bytes, bounded(sizeBytes)),
    },
  }
}
