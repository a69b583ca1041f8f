/** Sets of rows as ranges: sorted, apart from each other, ends excluded. */

/** Rows `from` up to `to`. */
export type Range = readonly [from: number, to: number]

/** A set of rows. */
export type Ranges = readonly Range[]

/** Count rows. */
export function countRows(ranges: Ranges): number {
  let rows = 0
  for (const [from, to] of ranges) rows += to - from
  return rows
}

/** Rows that are in both sets. */
export function intersect(a: Ranges, b: Ranges): Ranges {
  const both: Range[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [fromA, toA] = a[i] as Range
    const [fromB, toB] = b[j] as Range
    const [from, to] = [Math.max(fromA, fromB), Math.min(toA, toB)]
    if (from < to) both.push([from, to])
    if (toA < toB) i++
    else j++
  }
  return both
}

/** Rows that are in one of the sets. */
export function union(a: Ranges, b: Ranges): Ranges {
  const all = [...a, ...b].sort(([x], [y]) => x - y)
  const joined: [number, number][] = []
  for (const [from, to] of all) {
    const last = joined.at(-1)
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to)
    else joined.push([from, to])
  }
  return joined
}

/** The set of some rows.
 *  @param rows ascending */
export function rangesOf(rows: Iterable<number>): Ranges {
  const ranges: [number, number][] = []
  for (const row of rows) {
    const last = ranges.at(-1)
    if (last !== undefined && row === last[1]) last[1]++
    else if (last === undefined || row > last[1]) ranges.push([row, row + 1])
  }
  return ranges
}

/** List rows. */
export function* rowsOf(ranges: Ranges): Generator<number> {
  for (const [from, to] of ranges) for (let row = from; row < to; row++) yield row
}

/** Whether a set has a row in a range. */
export function touches(ranges: Ranges, from: number, to: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ranges[middle] as Range)[1] <= from) low = middle + 1
    else high = middle
  }
  const found = ranges[low]
  return found !== undefined && found[0] < to
}

/** Take at most so many rows from the front. */
export function take(ranges: Ranges, rows: number): Ranges {
  const taken: Range[] = []
  let left = rows
  for (const [from, to] of ranges) {
    if (left <= 0) break
    taken.push([from, Math.min(to, from + left)])
    left -= to - from
  }
  return taken
}

/** Cut a set into pieces of about so many rows. */
export function split(ranges: Ranges, rows: number): Ranges[] {
  const pieces: Range[][] = []
  let room = 0
  for (const [from, to] of ranges) {
    for (let at = from; at < to; ) {
      if (room === 0) {
        pieces.push([])
        room = rows
      }
      const end = Math.min(to, at + room)
      ;(pieces.at(-1) as Range[]).push([at, end])
      room -= end - at
      at = end
    }
  }
  return pieces
}
