/** How to undo what the running group did in memory: one list for all buffered tables, the newest last. */

/** What undoes the change of an entry. */
export interface Undoer {
  undo(entry: unknown, row: unknown, generation: number): void
}

/** A flat list of (entry, row, generation, table) quadruples, or functions. */
export class Journal {
  private steps: unknown[] = []

  /** Where to roll back to. */
  mark(): number {
    return this.steps.length
  }

  /** Note an entry as it is before it changes. */
  note(entry: unknown, row: unknown, generation: number, table: Undoer): void {
    this.steps.push(entry, row, generation, table)
  }

  /** Have `work` done if what comes after this is undone. */
  onUndo(work: () => void): void {
    this.steps.push(work)
  }

  /** Ask of the entries noted since `mark` whether one is such, the newest first.
   *  @param limit steps looked at: where there are more, the answer is yes */
  some(mark: number, limit: number, isSuch: (table: Undoer, entry: unknown) => boolean): boolean {
    const { steps } = this
    const first = Math.max(mark, steps.length - limit)
    for (let at = steps.length; at > first; ) {
      const last = steps[at - 1]
      if (typeof last === 'function') at -= 1
      else if (isSuch(last as Undoer, steps[at - 4])) return true
      else at -= 4
    }
    return first > mark
  }

  /** Undo what was done since `mark`. */
  rollback(mark: number): void {
    const { steps } = this
    while (steps.length > mark) {
      const last = steps.pop()
      if (typeof last === 'function') {
        last()
        continue
      }
      const generation = steps.pop() as number
      const row = steps.pop()
      ;(last as Undoer).undo(steps.pop(), row, generation)
    }
  }

  /** Forget how to undo: the group is committed. */
  commit(): void {
    if (this.steps.length > 0) this.steps = []
  }
}
