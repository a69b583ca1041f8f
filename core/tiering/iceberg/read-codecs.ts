/** Decompression for files of other writers: what a host brings for a lake, and what needs no host. */
import { snappyUncompress } from 'hyparquet/src/snappy.js'
import { Failure } from '../../errors.ts'
import { LAKE_BLOCK_BYTES_MAX } from '../../limits.ts'
import type { Decompress } from '../avro/container.ts'
import { crc32 } from '../objects/crc32.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'

/** What a host brings: `avro` for LakeFiles, `parquet` for reading tables. */
export interface LakeCodecs {
  /** By the names of Avro. */
  readonly avro: { readonly [codec: string]: Decompress }
  readonly parquet: ParquetCodecs
}

/** Unpack a block of Avro's snappy codec: snappy, then the CRC-32 of what is packed, big endian.
 *  @throws invalid for a damaged block, limit for a large one
 *  @source https://avro.apache.org/docs/1.11.1/specification/ ("Required Codecs") */
export function unpackAvroSnappy(block: Uint8Array): Uint8Array {
  if (block.length < 5) throw new Failure('invalid', `${block.length} bytes are no snappy block`)
  const packed = block.subarray(0, -4)
  let size = 0
  for (let at = 0, scale = 1; ; at++, scale *= 128) {
    const byte = packed[at]
    if (byte === undefined || at > 4) throw new Failure('invalid', 'a snappy block without its size')
    size += (byte & 0x7f) * scale
    if (byte < 0x80) break
  }
  if (size > LAKE_BLOCK_BYTES_MAX)
    throw new Failure('limit', `a block of ${size} bytes; ${LAKE_BLOCK_BYTES_MAX} are read`)
  const plain = new Uint8Array(size)
  if (size > 0) snappyUncompress(packed, plain)
  const sum = new DataView(block.buffer, block.byteOffset + packed.length, 4).getUint32(0)
  if (crc32(plain) !== sum) throw new Failure('invalid', 'a snappy block whose checksum is wrong')
  return plain
}
