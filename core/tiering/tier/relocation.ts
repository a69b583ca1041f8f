/** Where rows are after rewrites: the arithmetic of relocations. */
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
