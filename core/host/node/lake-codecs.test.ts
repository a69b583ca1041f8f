import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { codecCases } from '../../tiering/iceberg/read-codecs.conformance.ts'
import { openLakeCodecs } from './lake-codecs.ts'
import { openZstd } from './zstd.ts'

describe('decompression in Node', () => {
  it.each(codecCases)('$name', async ({ run }) => {
    const packers = { deflateRaw: deflateRawSync, gzip: gzipSync, brotli: brotliCompressSync, zstd: await openZstd() }
    await run({ codecs: await openLakeCodecs(), packers, expect })
  })
})
