import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { codecCases } from '../../tiering/iceberg/read-codecs.conformance.ts'
import { workersLakeCodecs as codecs } from './lake-codecs.ts'
import { workersZstd as zstd } from './zstd.ts'

describe('decompression in workerd', () => {
  it.each(codecCases)('$name', ({ run }) => {
    return run({
      codecs,
      packers: { deflateRaw: deflateRawSync, gzip: gzipSync, brotli: brotliCompressSync, zstd },
      expect,
    })
  })
})
