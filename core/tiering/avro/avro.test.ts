import { deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { ByteWriter } from 'hyparquet-writer'
import { avroMetadata } from 'icebird/src/avro/avro.metadata.js'
import { avroRead } from 'icebird/src/avro/avro.read.js'
import { avroWrite } from 'icebird/src/avro/avro.write.js'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { AvroInput, AvroOutput, type Long } from './binary.ts'
import { readContainer, writeContainer } from './container.ts'
import { compileDecoder } from './decode.ts'
import { compileEncoder } from './encode.ts'
import type { AvroSchema } from './schema.ts'

const sync = Uint8Array.from({ length: 16 }, (_, i) => i * 7)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

function encode(schema: AvroSchema, value: unknown): Uint8Array {
  const output = new AvroOutput(1)
  compileEncoder(schema)(output, value)
  return output.take()
}

const decode = (schema: AvroSchema, bytes: Uint8Array) => compileDecoder(schema)(new AvroInput(bytes))

describe('binary encoding', () => {
  // The tables of the specification, "Primitive types" and "Complex types".
  it.each([
    ['long', 0, '00'],
    ['long', -1, '01'],
    ['long', 1, '02'],
    ['long', -2, '03'],
    ['long', -64, '7f'],
    ['long', 64, '8001'],
    ['int', -(2 ** 31), 'ffffffff0f'],
    ['long', 2n ** 63n - 1n, 'feffffffffffffffff01'],
    ['long', -(2n ** 63n), 'ffffffffffffffffff01'],
    ['string', 'foo', '06666f6f'],
    ['boolean', true, '01'],
    ['float', 1.5, '0000c03f'],
    ['double', -2, '00000000000000c0'],
    [
      {
        type: 'record',
        name: 'test',
        fields: [
          { name: 'a', type: 'long' },
          { name: 'b', type: 'string' },
        ],
      },
      { a: 27, b: 'foo' },
      '3606666f6f',
    ],
    [{ type: 'array', items: 'long' }, [3, 27], '04063600'],
    [['null', 'string'], null, '00'],
    [['null', 'string'], 'a', '020261'],
    [{ type: 'enum', name: 'Foo', symbols: ['A', 'B', 'C', 'D'] }, 'D', '06'],
    [{ type: 'fixed', name: 'f', size: 2 }, unhex('0a0b'), '0a0b'],
    [{ type: 'map', values: 'int' }, new Map([['k', 1]]), '02026b0200'],
  ] as [AvroSchema, unknown, string][])('writes %o %s as %s, and reads it back', (schema, value, bytes) => {
    expect(hex(encode(schema, value))).toBe(bytes)
    expect(decode(schema, unhex(bytes))).toEqual(value)
  })

  it('keeps every 64-bit integer: numbers within 2^53, bigints beyond', () => {
    const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    const near = fc
      .constantFrom(2n ** 51n, 2n ** 52n, 2n ** 53n, 2n ** 49n)
      .chain((base) => fc.integer({ min: -2, max: 2 }).map((d) => base + BigInt(d)))
    fc.assert(
      fc.property(
        fc.oneof(
          long,
          near,
          near.map((value) => -value),
        ),
        (wide) => {
          const value: Long = Number.isSafeInteger(Number(wide)) ? Number(wide) : wide
          expect(decode('long', encode('long', value))).toBe(value)
        },
      ),
    )
  })

  it('reads blocks with a negative count and their size', () => {
    expect(decode({ type: 'array', items: 'long' }, unhex('030406360002'))).toEqual([3, 27])
  })

  it('reads unions of many branches and types named before', () => {
    const schema: AvroSchema = {
      type: 'record',
      name: 'node',
      namespace: 'a.b',
      fields: [
        { name: 'value', type: ['null', 'string', 'long'] },
        { name: 'next', type: ['null', 'node'] },
      ],
    }
    expect(decode(schema, unhex('04020202026100'))).toEqual({ value: 1, next: { value: 'a', next: null } })
  })

  it('refuses values of another type, saying where', () => {
    const schema: AvroSchema = {
      type: 'record',
      name: 'r',
      fields: [{ name: 'x', type: { type: 'array', items: 'int' } }],
    }
    expect(() => encode(schema, { x: [2 ** 31] })).toThrow('value.x[]: number 2147483648 is no int')
    expect(() => encode('string', '\ud800')).toThrow(Failure)
    expect(() => encode('long', 2n ** 63n)).toThrow(Failure)
    expect(() => encode({ type: 'fixed', name: 'f', size: 2 }, unhex('0a'))).toThrow('fixed of 2 bytes')
  })
})

describe('container files', () => {
  const schema: AvroSchema = {
    type: 'record',
    name: 'entry',
    fields: [
      { name: 'id', type: 'long', 'field-id': 1 },
      { name: 'name', type: ['null', 'string'], default: null, 'field-id': 2 },
      { name: 'tags', type: { type: 'array', items: 'string', 'element-id': 4 }, 'field-id': 3 },
      { name: 'day', type: { type: 'int', logicalType: 'date' }, 'field-id': 5 },
    ],
  }
  const record = fc.record({
    id: fc.oneof(fc.maxSafeInteger(), fc.bigInt(2n ** 53n, 2n ** 62n)),
    name: fc.option(fc.string({ unit: 'grapheme' })),
    tags: fc.array(fc.string()),
    day: fc.integer({ min: -100_000, max: 100_000 }),
  })

  it('gives back what was written, and keeps ids in the schema', () => {
    fc.assert(
      fc.property(fc.array(record), (records) => {
        const file = readContainer(writeContainer(records, { schema, metadata: { content: 'data' }, sync }))
        expect(file.records).toEqual(records)
        expect(file.metadata.content).toBe('data')
        expect(file.schema).toEqual(schema)
      }),
    )
  })

  it('cuts many records into blocks', () => {
    const records = Array.from({ length: 20_000 }, (_, id) => ({ id, name: `name ${id}`, tags: ['a', 'b'], day: id }))
    const bytes = writeContainer(records, { schema, sync })
    expect(Buffer.from(bytes).toString('latin1').split(Buffer.from(sync).toString('latin1')).length).toBeGreaterThan(5)
    expect(readContainer(bytes).records).toEqual(records)
  })

  it('is read by icebird', () => {
    const bytes = writeContainer([{ id: 2n ** 60n, name: 'é', tags: ['x'], day: 2 }], { schema, sync })
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
    const rows = avroRead({ reader, ...avroMetadata(reader) })
    expect(rows).toEqual([{ id: 2n ** 60n, name: 'é', tags: ['x'], day: new Date(2 * 86_400_000) }])
  })

  it('reads what icebird writes', () => {
    const writer = new ByteWriter()
    const records = [{ id: 5n, name: undefined, tags: ['x', 'y'], day: 3 }]
    avroWrite({ writer, schema, records } as unknown as Parameters<typeof avroWrite>[0])
    expect(readContainer(writer.getBytes()).records).toEqual([{ id: 5, name: null, tags: ['x', 'y'], day: 3 }])
  })

  it('names fields by id when asked', () => {
    const bytes = writeContainer([{ id: 1, name: null, tags: [], day: 0 }], { schema, sync })
    const { records } = readContainer(bytes, { nameOf: (field) => `f${field['field-id']}` })
    expect(records).toEqual([{ f1: 1, f2: null, f3: [], f5: 0 }])
  })

  it('reads deflate through a codec that the host brings', () => {
    const header = new AvroOutput()
    header.raw(unhex('4f626a01'))
    header.long(2)
    for (const part of ['avro.codec', 'deflate', 'avro.schema', '"string"']) header.text(part)
    header.long(0)
    header.raw(sync)
    header.long(1)
    header.sized(deflateRawSync(encode('string', 'hello')))
    header.raw(sync)
    expect(readContainer(header.take(), { codecs: { deflate: inflateRawSync } }).records).toEqual(['hello'])
    expect(() => readContainer(header.take())).toThrow('no codec deflate')
  })

  it('answers damage with a failure, never with a crash or a hang', () => {
    const records = [{ id: 7, name: 'seven', tags: ['a', 'b'], day: 1 }]
    const whole = writeContainer(records, { schema, metadata: { k: 'v' }, sync })
    const damage = fc.tuple(fc.nat(whole.length - 1), fc.nat(255), fc.option(fc.nat(whole.length)))
    fc.assert(
      fc.property(damage, ([at, byte, cut]) => {
        const bytes = whole.slice(0, cut ?? undefined)
        if (at < bytes.length) bytes[at] = byte
        try {
          readContainer(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})
