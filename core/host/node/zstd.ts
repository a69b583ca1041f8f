/** zstd in Node: its own from Node 22.15 on, a WebAssembly build before. Level 1 in both. Node only. */
import { createRequire } from 'node:module'
import { Failure } from '../../errors.ts'
import type { Zstd } from '../../tiering/zstd.ts'

/** What is used of node:zlib; @types/node 20 does not know it. */
interface ZlibZstd {
  zstdCompressSync?(bytes: Uint8Array, options: { params: Record<number, number> }): Uint8Array
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array
  constants: { ZSTD_c_compressionLevel: number }
}

/** What is used of @bokuweb/zstd-wasm. */
interface WasmZstd {
  init(): Promise<void>
  createCCtx(): number
  compressUsingDict(context: number, bytes: Uint8Array, dictionary: Uint8Array, level: number): Uint8Array
  decompress(bytes: Uint8Array): Uint8Array
}

/** The level: on JSON, level 3 takes a quarter more time and saves 4 %. */
const level = 1

let wasm: Promise<Zstd> | undefined

/** Get zstd ready; the WebAssembly build is loaded once a process.
 *  @param wanted `native` or `wasm`, or undefined for the first there is
 *  @throws unsupported when this Node has no zstd of its own and @bokuweb/zstd-wasm is missing */
export async function openZstd(wanted?: 'native' | 'wasm'): Promise<Zstd> {
  const require = createRequire(import.meta.url)
  const native = wanted === 'wasm' ? undefined : nativeZstd(require('node:zlib') as ZlibZstd)
  if (native !== undefined) return native
  if (wanted === 'native') throw new Failure('unsupported', `Node ${process.versions.node} has no zstd; 22.15 has`)
  wasm ??= wasmZstd(require)
  return wasm
}

function nativeZstd({ zstdCompressSync, zstdDecompressSync, constants }: ZlibZstd): Zstd | undefined {
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return undefined
  const params = { [constants.ZSTD_c_compressionLevel]: level }
  return checked(
    (bytes) => zstdCompressSync(bytes, { params }),
    (bytes, sizeBytes) => zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, sizeBytes) }),
  )
}

async function wasmZstd(require: NodeJS.Require): Promise<Zstd> {
  let module: WasmZstd
  try {
    module = require('@bokuweb/zstd-wasm') as WasmZstd
    await module.init()
  } catch (error) {
    wasm = undefined
    const advice = 'run `npm install @bokuweb/zstd-wasm`, or use Node >= 22.15'
    throw new Failure('unsupported', `no zstd for Node ${process.versions.node}: ${advice}`, undefined, error)
  }
  // One context for all calls, and no dictionary: without it each call makes a context of its own (a third of the
  // time of an 8 KB page).
  const context = module.createCCtx()
  const none = new Uint8Array(0)
  return checked(
    (bytes) => module.compressUsingDict(context, bytes, none, level),
    (bytes) => module.decompress(bytes),
  )
}

function checked(compress: Zstd['compress'], decompress: Zstd['decompress']): Zstd {
  return {
    name: 'zstd',
    compress,
    decompress(bytes, sizeBytes) {
      let plain: Uint8Array
      try {
        plain = decompress(bytes, sizeBytes)
      } catch (error) {
        throw new Failure('invalid', `${bytes.length} bytes are no zstd frame of ${sizeBytes} bytes`, undefined, error)
      }
      if (plain.length === sizeBytes) return plain
      throw new Failure('invalid', `a zstd frame became ${plain.length} bytes, not ${sizeBytes}`)
    },
  }
}
