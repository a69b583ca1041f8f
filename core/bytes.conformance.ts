/** What bytes are on every host: Buffer differs between Node and workerd where its methods are called with defaults. */
import type { ExpectStatic } from 'vitest'
import {
  ByteReader,
  ByteWriter,
  binToJson,
  binToText,
  fromBase64Url,
  fromBin,
  textToBin,
  toBase64Url,
  toBin,
} from './bytes.ts'
import { Failure } from './errors.ts'

/** One thing that bytes do. */
export interface BytesCase {
  readonly name: string
  run(expect: ExpectStatic): void
}

const every = Uint8Array.from({ length: 256 }, (_, i) => i)

/** Every case. */
export const bytesCases: readonly BytesCase[] = [
  {
    name: 'bytes and binary strings are each other, from any view and any part',
    run(expect) {
      const bin = toBin(every)
      expect([...bin].map((char) => char.charCodeAt(0))).toEqual([...every])
      expect([...fromBin(bin)]).toEqual([...every])
      expect(toBin(every.subarray(10, 20))).toBe(bin.slice(10, 20))
      expect(toBin(every, 250)).toBe(bin.slice(250))
      expect(toBin(every, 3, 5)).toBe('\x03\x04')
    },
  },
  {
    name: 'text is its UTF-8',
    run(expect) {
      expect(textToBin('grüß 漢 😀')).toBe('gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80')
      expect(binToText(textToBin('grüß 漢 😀'))).toBe('grüß 漢 😀')
      expect(binToText('\xff')).toBe(undefined)
      // A byte order mark is part of the bytes: without it, two keys would have one name.
      expect(binToText('\xef\xbb\xbfa')).toBe('\ufeffa')
      expect(binToJson('a')).toBe('a')
      expect(binToJson('\xff\x00')).toEqual({ $binary: '/wA=' })
    },
  },
  {
    name: 'base64url comes back',
    run(expect) {
      expect(toBase64Url('grüß?')).toBe('Z3LDvMOfPw')
      expect(fromBase64Url('Z3LDvMOfPw')).toBe('grüß?')
      expect(fromBase64Url(toBase64Url(textToBin('x'.repeat(5_000))))).toBe('x'.repeat(5_000))
      expect(() => fromBase64Url('_w')).toThrow(Failure)
    },
  },
  {
    name: 'what is written is read, at any offset and past any growth',
    run(expect) {
      const writer = new ByteWriter(16)
      const numbers = [0, 1, 63, 64, 127, 128, 16_384, 2 ** 32, Number.MAX_SAFE_INTEGER]
      for (const number of numbers) {
        writer.uint(number)
        writer.int(-number)
        writer.double(number / 3)
      }
      for (const size of [0, 1, 7, 300, 70_000]) {
        writer.bin('\xe9'.repeat(size))
        writer.text('é'.repeat(size))
        writer.bytes(new Uint8Array(size).fill(233))
      }
      writer.byte(255)
      const reader = new ByteReader(writer.view())
      for (const number of numbers) {
        expect([reader.uint(), reader.int(), reader.double()]).toEqual([number, 0 - number, number / 3])
      }
      for (const size of [0, 1, 7, 300, 70_000]) {
        expect(reader.bin() === '\xe9'.repeat(size)).toBe(true)
        expect(reader.text() === 'é'.repeat(size)).toBe(true)
        expect(toBin(reader.bytes()) === '\xe9'.repeat(size)).toBe(true)
      }
      expect([reader.byte(), reader.done]).toEqual([255, true])
      expect(() => reader.byte()).toThrow(RangeError)
    },
  },
]
