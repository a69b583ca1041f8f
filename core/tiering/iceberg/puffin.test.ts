import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryObjects } from '../objects/memory.ts'
import type { DataFile } from './data-file.ts'
import {
  checkVectorBlob,
  decodeVector,
  deletionVectorFile,
  encodeVector,
  readDeletionVector,
} from './deletion-vector.ts'
import { LakeFiles } from './files.ts'
import { readPuffin, writePuffin } from './puffin.ts'
import { testClock } from './testing.ts'

const utf8 = new TextEncoder()
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const blob = (body: string) => ({ type: 'x', fields: [1], properties: { of: 'b' }, bytes: utf8.encode(body) })
const data = (path: string): DataFile => {
  return { content: 'data', path, format: 'PARQUET', specId: 3, partition: ['a'], recordCount: 100, sizeBytes: 10 }
}

describe('a Puffin file', () => {
  it('has its blobs, and says where', () => {
    const { bytes, blobs } = writePuffin([blob('first'), blob(''), blob('third')])
    expect(readPuffin(bytes)).toEqual(blobs)
    expect(
      blobs.map(({ offset, length }) => new TextDecoder().decode(bytes.subarray(offset, offset + length))),
    ).toEqual(['first', '', 'third'])
    expect(blobs[0]).toEqual({
      type: 'x',
      fields: [1],
      'snapshot-id': -1,
      'sequence-number': -1,
      offset: 4,
      length: 5,
      properties: { of: 'b' },
    })
    // To the letter: mark, blobs, mark, JSON, its size, no flags, mark.
    const json = Buffer.from(bytes).toString('latin1').slice(18, -12)
    expect(Buffer.from(bytes).toString('latin1')).toBe(
      `PFA1firstthirdPFA1${json}${String.fromCharCode(json.length & 255, json.length >> 8, 0, 0)}\0\0\0\0PFA1`,
    )
    expect(readPuffin(writePuffin([]).bytes)).toEqual([])
  })

  it('is refused when it is damaged, cut or of another kind', () => {
    const { bytes } = writePuffin([blob('body')])
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readPuffin(bytes.subarray(0, length))).toThrow('no Puffin file')
    }
    const compressed = bytes.slice()
    compressed[bytes.length - 8] = 1
    expect(() => readPuffin(compressed)).toThrow('compressed footer')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const damaged = bytes.slice()
        damaged[at] = byte
        try {
          const blobs = readPuffin(damaged)
          for (const { offset, length } of blobs) expect(offset + length).toBeLessThan(bytes.length)
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/invalid|unsupported/) })
        }
      }),
    )
  })
})

describe('a deletion vector', () => {
  it('is size, mark, bitmap and checksum', () => {
    const bitmap = '0100000000000000000000003a3000000100000000000000100000000700'
    // The checksum of mark and bitmap is Python's zlib.crc32.
    expect(hex(encodeVector([7]))).toBe(`00000022d1d33964${bitmap}b8e72272`)
    expect(decodeVector(encodeVector([7]))).toEqual([7])
    expect(decodeVector(encodeVector([]))).toEqual([])
  })

  it('does not hide a damaged byte', () => {
    const bytes = encodeVector([1, 5, 6, 7, 100_000])
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] as number) ^ 0x10
      expect(() => decodeVector(damaged)).toThrow('deletion vector')
      expect(() => decodeVector(bytes.subarray(0, at))).toThrow('deletion vector')
    }
  })

  it('shares a file with others, each read by its range', async () => {
    const files = new LakeFiles({ store: memoryObjects(testClock()), root: 's3://b', chance: testClock() })
    const path = 's3://b/t/data/v.puffin'
    const vectors = [
      { file: data('s3://b/one'), positions: [0, 99] },
      { file: data('s3://b/two'), positions: [5] },
    ]
    const { bytes, files: deletes } = deletionVectorFile(vectors, path)
    await files.write(path, bytes)
    expect(deletes.map((file) => file.referencedDataFile)).toEqual(['s3://b/one', 's3://b/two'])
    expect(deletes[1]).toMatchObject({ content: 'position-deletes', format: 'PUFFIN', recordCount: 1, specId: 3 })
    const read = await Promise.all(deletes.map((file) => readDeletionVector(files, file)))
    expect(read).toEqual([[0, 99], [5]])
    const [first, second] = deletes as [DataFile, DataFile]
    expect(checkVectorBlob(first, readPuffin(bytes))).toEqual([])
    expect(checkVectorBlob({ ...first, recordCount: 3, referencedDataFile: 'x' }, readPuffin(bytes))).toHaveLength(2)
    expect(checkVectorBlob({ ...first, contentOffset: 5 }, readPuffin(bytes))).toEqual(['has no blob at 5'])
    await expect(readDeletionVector(files, { ...second, recordCount: 2 })).rejects.toThrow('its manifest says 2')
    await expect(readDeletionVector(files, { ...second, contentOffset: undefined })).rejects.toThrow(
      'no deletion vector',
    )
  })
})
