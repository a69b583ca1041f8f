/** How to undo what the running group did in memory: one list for all buffered tables, the newest last. */

/** What undoes the change of an entry. */
export interface Undoer {
  undo(entry: unknown, row: unknown, generation: number): void
}

/** A list that has been so long once is not kept for the next group. */
const STEPS_KEPT_MAX = 65_536

/** A flat list of (entry, row, generation, table) quadruples, or functions. */
export class Journal {
  /** Its first `length` are noted; the room behind is kept, as a list that grows anew for each group is slow. */
  private steps: unknown[] = []
  private length = 0

  /** Where to roll back to. */
  mark(): number {
    return this.length
  }

  /** Note an entry as it is before it changes. */
  note(entry: unknown, row: unknown, generation: number, table: Undoer): void {
    const { steps, length } = this
    steps[length] = entry
    steps[length + 1] = row
    steps[length + 2] = generation
    steps[length + 3] = table
    this.length = length + 4
  }

  /** Have `work` done if what comes after this is undone. */
  onUndo(work: () => void): void {
    this.steps[this.length++] = work
  }

  /** Ask of the entries noted since `mark` whether one is such, the newest first.
   *  @param limit steps looked at: where there are more, the answer is yes */
  some(mark: number, limit: number, isSuch: (table: Undoer, entry: unknown) => boolean): boolean {
    const { steps, length } = this
    const first = Math.max(mark, length - limit)
    for (let at = length; at > first; ) {
      const last = steps[at - 1]
      if (typeof last === 'function') at -= 1
      else if (isSuch(last as Undoer, steps[at - 4])) return true
      else at -= 4
    }
    return first > mark
  }

  /** Undo what was done since `mark`. */
  rollback(mark: number): void {
    while (this.length > mark) {
      const last = this.take()
      if (typeof last === 'function') {
        last()
        continue
      }
      const generation = this.take() as number
      const row = this.take()
      ;(last as Undoer).undo(this.take(), row, generation)
    }
  }

  private take(): unknown {
    const at = --this.length
    const step = this.steps[at]
    this.steps[at] = undefined
    return step
  }

  /** Forget how to undo: the group is committed. */
  commit(): void {
    const { steps, length } = this
    if (steps.length > STEPS_KEPT_MAX) this.steps = []
    else steps.fill(undefined, 0, length)
    this.length = 0
  }
}
