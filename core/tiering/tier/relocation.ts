/** Where rows are after rewrites: the arithmetic of relocations. */
import { ByteReader, ByteWriter } from '../../bytes.ts'
import type { Relocation } from './port.ts'

/** Finds the new place of a row of one old file. */
export interface Relocator {
  readonly to: number
  /** @returns undefined for a row that was deleted before the rewrite, and is in no file any more */
  place(pos: number): number | undefined
}

/** Make a relocation ready for many rows.
 *  @cost a binary search a row */
export function relocator({ to, offset, without }: Relocation): Relocator {
  return {
    to,
    place(pos) {
      let low = 0
      for (let high = without.length; low < high; ) {
        const middle = (low + high) >> 1
        if ((without[middle] as number) < pos) low = middle + 1
        else high = middle
      }
      return without[low] === pos ? undefined : offset + pos - low
    },
  }
}

/** A row's place in the lake: a file by its id, and the row's number in it. */
export interface Place {
  readonly file: number
  readonly pos: number
}

/** Follow a row through all rewrites, one after the other.
 *  @param moves by the old file's id
 *  @param each told of every place the row has had, the given one first
 *  @returns where it is now; undefined when it was deleted on the way */
export function follow(
  moves: ReadonlyMap<number, Relocator>,
  place: Place,
  each?: (place: Place) => void,
): Place | undefined {
  let at = place
  // A file is written once, so that no chain comes back; the bound is for a table that is broken.
  for (let hops = 0; hops <= moves.size; hops++) {
    each?.(at)
    const move = moves.get(at.file)
    if (move === undefined) return at
    const pos = move.place(at.pos)
    if (pos === undefined) return undefined
    at = { file: move.to, pos }
  }
  return at
}

/** Write ascending positions as the steps between them: a byte each, mostly. */
export function encodePositions(positions: readonly number[]): Uint8Array {
  const writer = new ByteWriter(positions.length + 16)
  let before = -1
  for (const position of positions) {
    writer.uint(position - before)
    before = position
  }
  return writer.view().slice()
}

/** Read what `encodePositions` wrote. */
export function decodePositions(bytes: Uint8Array): number[] {
  const reader = new ByteReader(bytes)
  const positions: number[] = []
  for (let at = -1; !reader.done; ) {
    at += reader.uint()
    positions.push(at)
  }
  return positions
}
