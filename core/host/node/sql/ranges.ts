/** Ranges of bytes: which of a file are there, and which are missing. */

/** Bytes from `start` up to `end`, excluded. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** A set of bytes. */
export class Ranges {
  /** In order, none touching another. */
  private list: Range[] = []

  constructor(ranges: readonly Range[] = []) {
    for (const range of ranges) this.add(range)
  }

  /** How many bytes there are. */
  get bytes(): number {
    return this.list.reduce((sum, { start, end }) => sum + end - start, 0)
  }

  /** Add bytes. */
  add({ start, end }: Range): void {
    if (end <= start) return
    const apart = this.list.filter((one) => one.end < start || one.start > end)
    const touching = this.list.filter((one) => one.end >= start && one.start <= end)
    const joined = {
      start: Math.min(start, ...touching.map((one) => one.start)),
      end: Math.max(end, ...touching.map((one) => one.end)),
    }
    this.list = [...apart, joined].sort((a, b) => a.start - b.start)
  }

  /** Count the bytes of a range that are there. */
  overlap({ start, end }: Range): number {
    return this.list.reduce((sum, one) => sum + Math.max(0, Math.min(end, one.end) - Math.max(start, one.start)), 0)
  }

  /** List what is missing of some ranges, near ones joined, large ones cut.
   *  @param options `gapBytes`: what may lie between two that are joined */
  missing(wanted: readonly Range[], { gapBytes, sizeMax }: { gapBytes: number; sizeMax: number }): Range[] {
    const holes = new Ranges(wanted).list.flatMap((range) => this.holes(range))
    const joined: Range[] = []
    for (const hole of holes) {
      const last = joined.at(-1)
      if (last !== undefined && hole.start - last.end <= gapBytes)
        joined[joined.length - 1] = { ...last, end: hole.end }
      else joined.push(hole)
    }
    return joined.flatMap(({ start, end }) => {
      const count = Math.ceil((end - start) / sizeMax)
      const cut = (part: number) => start + Math.floor(((end - start) * part) / count)
      return Array.from({ length: count }, (_, part) => ({ start: cut(part), end: cut(part + 1) }))
    })
  }

  private holes({ start, end }: Range): Range[] {
    const holes: Range[] = []
    let at = start
    for (const one of this.list) {
      if (one.end <= at || one.start >= end) continue
      if (one.start > at) holes.push({ start: at, end: one.start })
      at = one.end
    }
    if (at < end) holes.push({ start: at, end })
    return holes
  }
}
