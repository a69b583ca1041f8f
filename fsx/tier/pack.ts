/** Objects as they are made: pieces one after the other, each a zstd frame where that saves a tenth. */
import { FSX_OBJECT_BYTES } from '@dotdo/core/limits'
import { OBJECT_PIECES, type PieceRow } from '../tables.ts'
import { hexOf, type TierTools } from './tools.ts'

/** A piece of an object that is not written yet. */
export type Packed = Omit<PieceRow, 'piece'>

/** An object that is being made. */
export class Pack {
  readonly pieces: Packed[] = []
  /** Bytes of the object so far. */
  bytes = 0
  private readonly parts: Uint8Array[] = []
  private readonly byHash = new Map<string, number>()

  /** @returns the index of the piece with a hash */
  find(hash: Uint8Array): number | undefined {
    return this.byHash.get(hexOf(hash))
  }

  /** Add a piece.
   *  @param stored as `encode` made it
   *  @param bytes how many bytes it is of
   *  @returns its index */
  add(hash: Uint8Array, stored: Uint8Array, bytes: number): number {
    const index = this.pieces.push({ hash, at: this.bytes, stored: stored.length, bytes }) - 1
    this.byHash.set(hexOf(hash), index)
    this.parts.push(stored)
    this.bytes += stored.length
    return index
  }

  /** Whether it is to be written before anything is added. */
  get isFull(): boolean {
    return this.bytes >= FSX_OBJECT_BYTES || this.pieces.length >= OBJECT_PIECES
  }

  /** @returns the object */
  join(): Uint8Array {
    const whole = new Uint8Array(this.bytes)
    for (const [i, part] of this.parts.entries()) whole.set(part, (this.pieces[i] as Packed).at)
    return whole
  }
}

/** Make of content what is stored. */
export function encode({ codec }: TierTools, bytes: Uint8Array): Uint8Array {
  const frame = codec.compress(bytes)
  return frame.length <= bytes.length * 0.9 ? frame : bytes
}

/** Make content of what is stored.
 *  @returns undefined when it is not what it should be */
export function decode(
  { codec, sha256 }: TierTools,
  stored: Uint8Array,
  { hash, bytes }: Pick<PieceRow, 'hash' | 'bytes'>,
): Uint8Array | undefined {
  try {
    // A copy: what is kept must not keep a whole range of an object with it.
    const content = stored.length < bytes ? codec.decompress(stored, bytes) : stored.slice()
    const actual = sha256(content)
    return content.length === bytes && actual.every((byte, i) => byte === hash[i]) ? content : undefined
  } catch {
    return undefined
  }
}
