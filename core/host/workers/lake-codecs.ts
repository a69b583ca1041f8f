/** Decompression for tables of other writers, in Workers: manifests (deflate, snappy, zstandard) and data files (zstd,
 *  gzip, brotli; snappy is built in). Workers only. */
import * as zlib from 'node:zlib'
import { WORKERS_LAKE_BLOCK_BYTES_MAX } from '../../limits.ts'
import { type LakeCodecs, unpackAvroSnappy } from '../../tiering/iceberg/read-codecs.ts'
import { workersZstd } from './zstd.ts'

/** @types/node 20 does not know it. */
const { zstdDecompressSync } = zlib as unknown as {
  zstdDecompressSync(bytes: Uint8Array, limits: object): Uint8Array
}

const options = { maxOutputLength: WORKERS_LAKE_BLOCK_BYTES_MAX }
/** workerd counts the bytes of its buffer, which grows by doubling, not those that are in it. */
const bounded = (sizeBytes: number) => ({ maxOutputLength: 2 * sizeBytes + 256 * 1024 })

/** Decompression of the platform. */
export const workersLakeCodecs: LakeCodecs = {
  avro: {
    deflate: (block) => zlib.inflateRawSync(block, options),
    snappy: unpackAvroSnappy,
    zstandard: (block) => zstdDecompressSync(block, options),
  },
  parquet: {
    ZSTD: (bytes, sizeBytes) => workersZstd.decompress(bytes, sizeBytes),
    GZIP: (bytes, sizeBytes) => zlib.gunzipSync(bytes, bounded(sizeBytes)),
    BROTLI: (bytes, sizeBytes) => zlib.brotliDecompressSync(bytes, bounded(sizeBytes)),
  },
}
