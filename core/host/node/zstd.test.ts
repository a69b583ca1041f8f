import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { openZstd } from './zstd.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasNative = major > 22 || (major === 22 && minor >= 15)

const samples: readonly (readonly [string, Uint8Array])[] = [
  ['nothing', new Uint8Array(0)],
  ['a byte', Uint8Array.of(7)],
  ['text', Buffer.from('{"name":"value"}'.repeat(20_000))],
  ['noise', Uint8Array.from({ length: 200_000 }, (_, at) => Math.imul(at ^ (at >>> 7), 0x9e3779b1) >>> 24)],
  ['a part of a larger buffer', new Uint8Array(1000).fill(3).subarray(100, 900)],
]

describe.each(hasNative ? (['wasm', 'native'] as const) : (['wasm'] as const))('zstd, %s', (kind) => {
  it.each(samples)('gives back %s', async (_, bytes) => {
    const zstd = await openZstd(kind)
    const packed = zstd.compress(bytes)
    expect([...packed.subarray(0, 4)]).toEqual([0x28, 0xb5, 0x2f, 0xfd])
    expect(Buffer.compare(zstd.decompress(packed, bytes.length), bytes)).toBe(0)
  })

  it('makes text smaller', async () => {
    const [, [, text]] = [0, samples[2]] as [number, (typeof samples)[2]]
    expect((await openZstd(kind)).compress(text).length).toBeLessThan(text.length / 50)
  })

  it('refuses what is no frame, or becomes another size', async () => {
    const zstd = await openZstd(kind)
    const packed = zstd.compress(Uint8Array.of(1, 2, 3))
    expect(() => zstd.decompress(Uint8Array.of(1, 2, 3, 4, 5), 3)).toThrow(Failure)
    expect(() => zstd.decompress(packed, 4)).toThrow(Failure)
    expect(() => zstd.decompress(packed, 2)).toThrow(Failure)
  })
})

it('says which Node has its own', async () => {
  if (hasNative) expect((await openZstd('native')).name).toBe('zstd')
  else await expect(openZstd('native')).rejects.toMatchObject({ code: 'unsupported' })
})
