/** Deletion vectors: which rows of one data file are deleted, as a blob of a Puffin file. Format v3.
 *
 *    size of the next two (4, big endian) | D1 D3 39 64 | Roaring bitmap | CRC-32 of those two (4, big endian)
 *
 *  1. A data file has one vector at most: it holds everything that was ever deleted from the file.
 *  @source https://iceberg.apache.org/puffin-spec/, "deletion-vector-v1 blob type" */
import { Failure } from '../../errors.ts'
import { crc32 } from '../objects/crc32.ts'
import { type DataFile, isVector } from './data-file.ts'
import type { LakeFiles } from './files.ts'
import { type Blob, type NewBlob, writePuffin } from './puffin.ts'
import { decodeRoaring, encodeRoaring } from './roaring.ts'

const blobType = 'deletion-vector-v1'
const magic = 0xd1d33964
/** Field id of `_pos`, a row's position: what vectors are about. */
const positionId = 2_147_483_645

/** Write positions as a blob.
 *  @param positions ascending, none twice
 *  @throws invalid when they are not */
export function encodeVector(positions: ArrayLike<number>): Uint8Array {
  const bitmap = encodeRoaring(positions)
  const bytes = new Uint8Array(bitmap.length + 12)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bitmap.length + 4)
  view.setUint32(4, magic)
  bytes.set(bitmap, 8)
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(4, -4)))
  return bytes
}

/** Read positions from a blob.
 *  @returns them, ascending
 *  @throws invalid when it is damaged */
export function decodeVector(bytes: Uint8Array): number[] {
  if (bytes.length < 12) throw new Failure('invalid', `a deletion vector of ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0) !== bytes.length - 8) throw new Failure('invalid', 'a deletion vector of another size')
  if (view.getUint32(4) !== magic) throw new Failure('invalid', 'a deletion vector without its mark')
  if (view.getUint32(bytes.length - 4) !== crc32(bytes.subarray(4, -4))) {
    throw new Failure('invalid', 'a deletion vector whose checksum is wrong')
  }
  return decodeRoaring(bytes.subarray(8, -4))
}

/** The rows to delete from a data file: all of them, those of before too. */
export interface Vector {
  readonly file: DataFile
  /** Ascending, none twice. */
  readonly positions: ArrayLike<number>
}

/** Write the vectors of data files as one Puffin file.
 *  @param path where the file will be
 *  @returns its bytes, and a delete file for each data file */
export function deletionVectorFile(
  vectors: readonly Vector[],
  path: string,
): { readonly bytes: Uint8Array; readonly files: readonly DataFile[] } {
  const { bytes, blobs } = writePuffin(vectors.map(blobOf))
  const files = vectors.map(({ file, positions }, at): DataFile => {
    const { offset, length } = blobs[at] as Blob
    return {
      content: 'position-deletes',
      path,
      format: 'PUFFIN',
      specId: file.specId,
      partition: file.partition,
      recordCount: positions.length,
      sizeBytes: bytes.length,
      referencedDataFile: file.path,
      contentOffset: offset,
      contentSizeBytes: length,
    }
  })
  return { bytes, files }
}

function blobOf({ file, positions }: Vector): NewBlob {
  const properties = { 'referenced-data-file': file.path, cardinality: `${positions.length}` }
  return { type: blobType, fields: [positionId], properties, bytes: encodeVector(positions) }
}

/** Read which rows a deletion vector deletes.
 *  @returns positions in its data file, ascending
 *  @throws invalid when it is damaged, or is not what its manifest says; not_found
 *  @cost one ranged read */
export async function readDeletionVector(files: LakeFiles, vector: DataFile): Promise<number[]> {
  const { path, contentOffset: start, contentSizeBytes: size, recordCount } = vector
  if (!isVector(vector) || start === undefined || size === undefined) {
    throw new Failure('invalid', `${path} is no deletion vector with offset and size`)
  }
  const positions = decodeVector(await files.readRange(path, { start, end: start + size }))
  if (positions.length === recordCount) return positions
  throw new Failure('invalid', `${path}: a vector of ${positions.length} rows, its manifest says ${recordCount}`)
}

/** Say what is wrong with a vector's blob, as the footer of its file describes it. */
export function checkVectorBlob(vector: DataFile, blobs: readonly Blob[]): string[] {
  const { contentOffset, contentSizeBytes, referencedDataFile, recordCount } = vector
  const blob = blobs.find(({ offset }) => offset === contentOffset)
  if (blob === undefined) return [`has no blob at ${contentOffset}`]
  const said: [string, unknown, unknown][] = [
    ['type', blob.type, blobType],
    ['length', blob.length, contentSizeBytes],
    ['fields', blob.fields.join(), `${positionId}`],
    ['snapshot-id', blob['snapshot-id'], -1],
    ['sequence-number', blob['sequence-number'], -1],
    ['compression-codec', blob['compression-codec'], undefined],
    ['referenced-data-file', blob.properties?.['referenced-data-file'], referencedDataFile],
    ['cardinality', blob.properties?.cardinality, `${recordCount}`],
  ]
  return said.flatMap(([what, is, right]) =>
    is === right ? [] : [`blob ${contentOffset}: ${what} ${is}, not ${right}`],
  )
}
