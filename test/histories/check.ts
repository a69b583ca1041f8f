/** Whether what clients saw of a file could have come about one operation after the other: linearizability.
 *  @source Wing and Gong, Testing and verifying concurrent objects (1993); Lowe (2017), for what is looked at once */

/** What a client did to a file, when it asked and when it knew. */
export interface Done {
  readonly kind: 'write' | 'make' | 'append' | 'read' | 'remove'
  /** What was written. */
  readonly value?: string
  /** What was read; null when there was no file. */
  readonly found?: string | null
  /** Whether it was done: a file is made where there is none, and removed where there is one. */
  readonly ok?: boolean
  readonly askedAt: number
  readonly knownAt: number
}

/** What a file is after an operation; undefined when that cannot have been seen. */
function after(file: string | null, { kind, value = '', found, ok }: Done): string | null | undefined {
  switch (kind) {
    case 'write':
      return value
    case 'append':
      return (file ?? '') + value
    case 'make':
      return ok === (file === null) ? (ok ? value : file) : undefined
    case 'remove':
      return ok === (file !== null) ? null : undefined
    case 'read':
      return found === file ? file : undefined
  }
}

/** Tell whether a history of one file, which is not there at first, is linearizable.
 *  @cost exponential in how many clients were at it at once, in the worst case */
export function isLinearizable(history: readonly Done[]): boolean {
  const ordered = history.toSorted((a, b) => a.askedAt - b.askedAt)
  const left = new Set(ordered.keys())
  const seen = new Set<string>()
  const contents = new Map<string | null, number>()
  const search = (file: string | null): boolean => {
    if (left.size === 0) return true
    const content = contents.get(file) ?? contents.size
    contents.set(file, content)
    const key = `${[...left].sort().join()} ${content}`
    if (seen.has(key)) return false
    seen.add(key)
    let firstKnown = Number.POSITIVE_INFINITY
    for (const at of left) firstKnown = Math.min(firstKnown, (ordered[at] as Done).knownAt)
    for (const at of [...left].sort((a, b) => a - b)) {
      const done = ordered[at] as Done
      // Another was over before this one began: it cannot come first.
      if (done.askedAt > firstKnown) break
      const next = after(file, done)
      if (next === undefined) continue
      left.delete(at)
      if (search(next)) return true
      left.add(at)
    }
    return false
  }
  return search(null)
}
