/** What decompression must do on every host: manifests as Spark and PyIceberg write them, and pages of Parquet. */
import { snappyCompress } from 'hyparquet-writer/src/snappy.js'
import { AvroInput, AvroOutput } from '../avro/binary.ts'
import { compileDecoder } from '../avro/decode.ts'
import { crc32 } from '../objects/crc32.ts'
import type { Zstd } from '../zstd.ts'
import { LakeFiles } from './files.ts'
import { specOf } from './metadata.ts'
import type { LakeCodecs } from './read-codecs.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { TestLake, testClock, testRoot } from './testing.ts'

/** Compression, to make files with. */
export interface Packers {
  deflateRaw(bytes: Uint8Array): Uint8Array
  gzip(bytes: Uint8Array): Uint8Array
  brotli(bytes: Uint8Array): Uint8Array
  readonly zstd: Zstd
}

/** What a case runs with. */
export interface CodecContext {
  readonly codecs: LakeCodecs
  readonly packers: Packers
  // biome-ignore lint/suspicious/noExplicitAny: vitest's expect, of either pool
  readonly expect: any
}

/** Write an Avro file again, its blocks compressed. */
function recode(bytes: Uint8Array, codec: string, pack: (block: Uint8Array) => Uint8Array): Uint8Array {
  const input = new AvroInput(bytes)
  const output = new AvroOutput()
  output.raw(input.part(4))
  const header = compileDecoder({ type: 'map', values: 'bytes' })(input) as Map<string, Uint8Array>
  header.set('avro.codec', new TextEncoder().encode(codec))
  output.long(header.size)
  for (const [key, value] of header) {
    output.text(key)
    output.sized(value)
  }
  output.long(0)
  const sync = input.part(16)
  output.raw(sync)
  while (input.left > 0) {
    output.long(input.integer())
    output.sized(pack(input.part(input.integer())))
    output.raw(sync)
    input.part(16)
  }
  return output.take()
}

function packSnappy(block: Uint8Array): Uint8Array {
  const packed = snappyCompress(block)
  const bytes = new Uint8Array(packed.length + 4)
  bytes.set(packed)
  new DataView(bytes.buffer).setUint32(packed.length, crc32(block))
  return bytes
}

const avroPackers = ({ deflateRaw, zstd }: Packers) =>
  ({ deflate: deflateRaw, snappy: packSnappy, zstandard: (block: Uint8Array) => zstd.compress(block) }) as const

/** Write a table whose manifests and manifest list are compressed, and plan a scan of it. */
async function planCompressed({ codecs, packers, expect }: CodecContext, codec: 'deflate' | 'snappy' | 'zstandard') {
  const lake = new TestLake()
  await lake.create({ schema: makeSchema([{ name: 'id', type: 'long' }]) })
  for (const id of [1, 2]) await lake.append([{ id }])
  const table = await lake.load()
  expect(specOf(table).fields).toEqual([])
  for (let cursor: string | undefined; ; ) {
    const page = await lake.store.list({ cursor })
    for (const { key } of page.objects) {
      if (!key.endsWith('.avro')) continue
      const bytes = (await lake.store.get(key))?.bytes as Uint8Array
      await lake.store.put(key, recode(bytes, codec, avroPackers(packers)[codec]))
    }
    cursor = page.next
    if (cursor === undefined) break
  }
  const open = (avro: LakeCodecs['avro']) =>
    new LakeFiles({ store: lake.store, root: testRoot, chance: testClock(), codecs: avro })
  await expect(planScan(open({}), table)).rejects.toMatchObject({ code: 'invalid' })
  const { tasks } = await planScan(open(codecs.avro), table)
  expect(tasks.length).toBe(2)
}

const text = new TextEncoder().encode('many words, and the same words again: '.repeat(5_000))

/** The cases. */
export const codecCases: readonly { readonly name: string; run(context: CodecContext): Promise<void> }[] = [
  ...(['deflate', 'snappy', 'zstandard'] as const).map((codec) => ({
    name: `manifests of ${codec} are read`,
    run: (context: CodecContext) => planCompressed(context, codec),
  })),
  {
    name: 'pages of zstd, gzip and brotli are unpacked to their size, and to no other',
    async run({ codecs, packers, expect }) {
      const packed = { ZSTD: packers.zstd.compress(text), GZIP: packers.gzip(text), BROTLI: packers.brotli(text) }
      for (const name of ['ZSTD', 'GZIP', 'BROTLI'] as const) {
        const unpack = codecs.parquet[name]
        const plain = unpack?.(packed[name], text.length)
        expect(plain?.length).toBe(text.length)
        expect(plain?.every((byte: number, at: number) => byte === text[at])).toBe(true)
        expect(() => unpack?.(Uint8Array.of(1, 2, 3), text.length)).toThrow()
      }
    },
  },
  {
    name: 'damaged blocks of manifests are refused',
    async run({ codecs, packers, expect }) {
      for (const [codec, pack] of Object.entries(avroPackers(packers))) {
        const block = pack(text)
        block[block.length - 6] = (block[block.length - 6] as number) ^ 0xff
        block[2] = (block[2] as number) ^ 0xff
        expect(() => codecs.avro[codec]?.(block)).toThrow()
      }
    },
  },
]
