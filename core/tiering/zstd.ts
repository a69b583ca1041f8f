/** The compression port: hosts bring zstd (host/node/zstd.ts, host/workers/zstd.ts), files name it by its codec. */

/** Compresses pages. Synchronous: a page is a few hundred KB, and zstd level 1 takes milliseconds for it. */
export interface Compressor {
  readonly name: 'zstd' | 'uncompressed'
  /** @param bytes borrowed
   *  @returns one frame in fresh bytes of the caller's own */
  compress(bytes: Uint8Array): Uint8Array
}

/** Compresses and reads back: what a host brings. */
export interface Zstd extends Compressor {
  readonly name: 'zstd'
  /** @param bytes one frame, borrowed
   *  @param sizeBytes how many bytes it becomes, as the file says
   *  @returns fresh bytes
   *  @throws invalid when the bytes are no frame, or become another number of bytes */
  decompress(bytes: Uint8Array, sizeBytes: number): Uint8Array
}

/** Leaves pages as they are. */
export const uncompressed: Compressor = { name: 'uncompressed', compress: (bytes) => bytes.slice() }
