/** Puffin files: blobs end to end, and a footer that says what and where they are.
 *
 *    PFA1 blob blob ... | PFA1 payload (JSON) payload's size (4) flags (4) PFA1
 *  @source https://iceberg.apache.org/puffin-spec/ */
import { joinBytes } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { parseJson, stringifyJson } from './json.ts'

const magic = Uint8Array.of(0x50, 0x46, 0x41, 0x31)
/** Size, flags and magic, at the end. */
const tailBytes = 12
const utf8 = new TextEncoder()
const text = new TextDecoder()

/** A blob to write. */
export interface NewBlob {
  readonly type: string
  /** Ids of the fields that it is about. */
  readonly fields: readonly number[]
  readonly properties: { readonly [key: string]: string }
  readonly bytes: Uint8Array
}

/** A blob as the footer describes it. */
export interface Blob {
  readonly type: string
  readonly fields: readonly number[]
  /** -1 where it is inherited from the manifest. */
  readonly 'snapshot-id': Long
  readonly 'sequence-number': Long
  readonly offset: number
  readonly length: number
  readonly 'compression-codec'?: string
  readonly properties?: { readonly [key: string]: string }
}

/** Write a file; blobs inherit their snapshot and sequence number.
 *  @returns its bytes, and where each blob is */
export function writePuffin(blobs: readonly NewBlob[]): {
  readonly bytes: Uint8Array
  readonly blobs: readonly Blob[]
} {
  let offset = magic.length
  const placed = blobs.map(({ type, fields, properties, bytes }): Blob => {
    const blob = { type, fields, 'snapshot-id': -1, 'sequence-number': -1, offset, length: bytes.length, properties }
    offset += bytes.length
    return blob
  })
  const footer = { blobs: placed, properties: { 'created-by': 'dotdo version 1.0.0' } }
  const payload = utf8.encode(stringifyJson(footer))
  const tail = new Uint8Array(tailBytes)
  new DataView(tail.buffer).setUint32(0, payload.length, true)
  tail.set(magic, 8)
  const parts = [magic, ...blobs.map(({ bytes }) => bytes), magic, payload, tail]
  return { bytes: joinBytes(parts), blobs: placed }
}

const broken = (why: string) => new Failure('invalid', `no Puffin file: ${why}`)
const isMagic = (bytes: Uint8Array, at: number) => magic.every((byte, index) => bytes[at + index] === byte)

/** Read the footer of a whole file.
 *  @throws invalid when it is damaged, unsupported for a compressed footer */
export function readPuffin(bytes: Uint8Array): readonly Blob[] {
  const end = bytes.length - tailBytes
  if (end < 2 * magic.length || !isMagic(bytes, 0) || !isMagic(bytes, end + 8)) throw broken('it lacks its marks')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = end - view.getUint32(end, true)
  const flags = view.getUint32(end + 4, true)
  if ((flags & 1) === 1) throw new Failure('unsupported', 'a Puffin file with a compressed footer')
  if (flags !== 0) throw broken(`flags ${flags}`)
  if (start < 2 * magic.length || !isMagic(bytes, start - magic.length)) throw broken('its footer does not begin')
  const footer = parseJson(text.decode(bytes.subarray(start, end))) as { blobs?: readonly Blob[] } | null
  const blobs = footer?.blobs
  if (!Array.isArray(blobs)) throw broken('its footer lists no blobs')
  for (const blob of blobs as readonly (Partial<Blob> | null)[]) {
    const { offset = -1, length = -1, fields } = blob ?? {}
    const isInside = offset >= magic.length && length >= 0 && offset + length <= start - magic.length
    if (!isInside || !Array.isArray(fields)) throw broken(`its blob at ${offset} is not what it should be`)
  }
  return blobs
}
