/** Rows of files that are not so any more: a bit a row, for files that shards name. */

/** Positions by the file's id. */
export class DeletedPlaces {
  private readonly bits = new Map<number, Uint8Array>()
  private readonly rows: ReadonlyMap<number, number>

  /** @param rows of the files that are read, by their ids; the others do not matter */
  constructor(rows: ReadonlyMap<number, number>) {
    this.rows = rows
  }

  /** Add what a shard tells. */
  add(deletes: readonly (readonly [file: number, positions: readonly number[]])[]): void {
    for (const [file, positions] of deletes) {
      const rows = this.rows.get(file)
      if (rows === undefined) continue
      const bits = this.bits.get(file) ?? new Uint8Array(Math.ceil(rows / 8))
      this.bits.set(file, bits)
      for (const at of positions) if (at < rows) bits[at >>> 3] = (bits[at >>> 3] as number) | (1 << (at & 7))
    }
  }

  /** List a file's positions; undefined when none is deleted. */
  of(file: number | undefined): Iterable<number> | undefined {
    const bits = file === undefined ? undefined : this.bits.get(file)
    return bits && places(bits)
  }
}

function* places(bits: Uint8Array): Generator<number> {
  for (let byte = 0; byte < bits.length; byte++) {
    for (let rest = bits[byte] as number; rest !== 0; rest &= rest - 1) {
      yield byte * 8 + (31 - Math.clz32(rest & -rest))
    }
  }
}
