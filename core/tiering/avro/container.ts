/** Avro object container files: a header with the schema, then blocks of records.
 *  @source https://avro.apache.org/docs/1.11.1/specification/ (object container files) */
import { AvroInput, AvroOutput, corrupt } from './binary.ts'
import { compileDecoder, emptyItemsMax, type NameOf } from './decode.ts'
import { compileEncoder } from './encode.ts'
import type { AvroSchema } from './schema.ts'

const magic = new Uint8Array([0x4f, 0x62, 0x6a, 1])
const syncBytes = 16
/** Bytes after which a block ends: a reader holds one, and can start at any. */
const blockBytes = 64 * 1024

const text = new TextDecoder()

/** What a container file is made of. */
export interface ContainerOptions {
  /** Written as it stands. */
  readonly schema: AvroSchema
  /** More of the header, by key; keys with `avro.` in front are Avro's own. */
  readonly metadata?: { readonly [key: string]: string }
  /** 16 random bytes that mark the ends of blocks. */
  readonly sync: Uint8Array
}

/** Write records as a container file, uncompressed.
 *  @param records objects of the schema
 *  @throws invalid for a record that the schema does not hold */
export function writeContainer(records: Iterable<unknown>, { schema, metadata, sync }: ContainerOptions): Uint8Array {
  if (sync.length !== syncBytes) throw corrupt(`a sync marker of ${sync.length} bytes`)
  const file = new AvroOutput(blockBytes)
  file.raw(magic)
  const header = Object.entries({ ...metadata, 'avro.schema': JSON.stringify(schema), 'avro.codec': 'null' })
  file.long(header.length)
  for (const [key, value] of header) {
    file.text(key)
    file.text(value)
  }
  file.long(0)
  file.raw(sync)
  const encode = compileEncoder(schema)
  const block = new AvroOutput(blockBytes)
  let count = 0
  const flush = () => {
    if (count === 0) return
    file.long(count)
    file.sized(block.written())
    file.raw(sync)
    block.clear()
    count = 0
  }
  for (const record of records) {
    encode(block, record)
    count++
    if (block.length >= blockBytes) flush()
  }
  flush()
  return file.take()
}

/** Turns a compressed block into its bytes. */
export type Decompress = (bytes: Uint8Array) => Uint8Array

/** How to read a container file. */
export interface ReadOptions {
  /** By codec name: `deflate` is raw RFC 1951. Hosts bring them. */
  readonly codecs?: { readonly [codec: string]: Decompress | undefined } | undefined
  /** What fields are called in the records; their own names when left out. */
  readonly nameOf?: NameOf | undefined
}

/** A container file, read. */
export interface Container {
  readonly schema: AvroSchema
  /** The header by key. */
  readonly metadata: { readonly [key: string]: string }
  readonly records: readonly Record<string, unknown>[]
}

/** Read a container file whole.
 *  @throws invalid when it is damaged, or of a codec that is not among `codecs` */
export function readContainer(bytes: Uint8Array, { codecs, nameOf }: ReadOptions = {}): Container {
  const input = new AvroInput(bytes)
  const metadata = readHeader(input)
  const schema = parseSchema(metadata['avro.schema'])
  const codec = metadata['avro.codec'] ?? 'null'
  const decompress = codec === 'null' ? (block: Uint8Array) => block : codecs?.[codec]
  if (decompress === undefined) throw corrupt(`no codec ${codec}`)
  const sync = input.part(syncBytes)
  const decode = compileDecoder(schema, nameOf)
  const records: Record<string, unknown>[] = []
  while (input.left > 0) {
    const count = input.integer()
    const block = new AvroInput(unpack(decompress, input.part(input.integer())))
    if (count < 0 || count > block.left + emptyItemsMax)
      throw corrupt(`a block of ${count} records in ${block.left} bytes`)
    for (let left = count; left > 0; left--) records.push(decode(block) as Record<string, unknown>)
    if (block.left > 0) throw corrupt(`a block has ${block.left} bytes after its last record`)
    if (!input.part(syncBytes).every((byte, at) => byte === sync[at])) throw corrupt('a block without its sync marker')
  }
  return { schema, metadata, records }
}

function unpack(decompress: Decompress, block: Uint8Array): Uint8Array {
  try {
    return decompress(block)
  } catch (error) {
    throw corrupt(`a block does not decompress: ${error instanceof Error ? error.message : error}`)
  }
}

function readHeader(input: AvroInput): Record<string, string> {
  if (input.left < magic.length || !input.part(magic.length).every((byte, at) => byte === magic[at])) {
    throw corrupt('the bytes are no object container file')
  }
  const entries = compileDecoder({ type: 'map', values: 'bytes' })(input) as Map<string, Uint8Array>
  return Object.fromEntries([...entries].map(([key, value]) => [key, text.decode(value)]))
}

function parseSchema(text: string | undefined): AvroSchema {
  if (text === undefined) throw corrupt('the header has no schema')
  try {
    return JSON.parse(text) as AvroSchema
  } catch {
    throw corrupt('the schema is not JSON')
  }
}
