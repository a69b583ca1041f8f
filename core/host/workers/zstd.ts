/** zstd in Workers: workerd's own, level 1. Its versions before 2026-11 failed for frames past 64 KB; package.json pins
 *  a later one for tests. */
import * as zlib from 'node:zlib'
import { Failure } from '../../errors.ts'
import type { Zstd } from '../../tiering/zstd.ts'

/** What is used of node:zlib; @types/node 20 does not know it. */
const { zstdCompressSync, zstdDecompressSync, constants } = zlib as unknown as {
  zstdCompressSync(bytes: Uint8Array, options: { params: Record<number, number> }): Uint8Array
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array
  constants: { ZSTD_c_compressionLevel: number }
}

/** Bytes of output to allow: workerd counts those of its buffer, which grows by doubling, not those that are in it. */
const outputMax = (sizeBytes: number) => 2 * sizeBytes + 256 * 1024

/** zstd of the platform. */
export const workersZstd: Zstd = {
  name: 'zstd',
  compress: (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  decompress(bytes, sizeBytes) {
    let plain: Uint8Array
    try {
      plain = zstdDecompressSync(bytes, { maxOutputLength: outputMax(sizeBytes) })
    } catch (error) {
      throw new Failure('invalid', `${bytes.length} bytes are no zstd frame of ${sizeBytes} bytes`, undefined, error)
    }
    if (plain.length === sizeBytes) return plain
    throw new Failure('invalid', `a zstd frame became ${plain.length} bytes, not ${sizeBytes}`)
  },
}
