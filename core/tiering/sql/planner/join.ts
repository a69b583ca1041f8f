/** Joining batches to a small side that is held in memory, by equality of keys. */
import { assert } from '../../../errors.ts'
import { type Batch, type Column, compile, compileFilter, type Evaluate } from './expression.ts'
import type { JoinPlan } from './plan.ts'
import { type Budget, type Datum, keyOf, sizeOf } from './values.ts'

/** Rows of a batch that a join makes: one row of the large side may meet many of the small one. */
const batchRows = 8_192

/** Makes one key of several values; undefined when one of them is null, as null equals nothing. */
function keyMaker(keys: JoinPlan['leftKeys']): (columns: readonly Column[], row: number) => unknown {
  const parts = keys.map((expr) => {
    const key = keyOf(expr.type)
    assert(key, `join by ${expr.type}`)
    return { evaluate: compile(expr), key }
  })
  const one = (
    part: { evaluate: Evaluate; key: (value: Datum) => unknown },
    columns: readonly Column[],
    row: number,
  ) => {
    const value = part.evaluate(columns, row)
    return value === null ? undefined : part.key(value)
  }
  const [first] = parts
  if (parts.length === 1 && first !== undefined) return (columns, row) => one(first, columns, row)
  return (columns, row) => {
    let joined = ''
    for (const part of parts) {
      const key = one(part, columns, row)
      if (key === undefined) return undefined
      const text = String(key)
      joined += `${text.length}:${text};`
    }
    return joined
  }
}

/** The small side of a join. */
export class JoinSide {
  private readonly plan: JoinPlan
  private readonly budget: Budget
  private readonly rows = new Map<unknown, number[]>()
  private readonly columns: Datum[][] = []
  private readonly keyOfLeft: ReturnType<typeof keyMaker>
  private readonly keyOfRight: ReturnType<typeof keyMaker>
  private readonly residual: ReturnType<typeof compileFilter>
  private count = 0

  constructor(plan: JoinPlan, budget: Budget) {
    this.plan = plan
    this.budget = budget
    this.keyOfLeft = keyMaker(plan.leftKeys)
    this.keyOfRight = keyMaker(plan.rightKeys)
    this.residual = compileFilter(plan.residual)
    for (const at of plan.right.used) this.columns[at] = []
  }

  /** Hold rows of the small side.
   *  @throws limit past the bytes that may be held */
  hold(batch: Batch, rows?: readonly number[]): void {
    const count = rows?.length ?? batch.rows
    for (let at = 0; at < count; at++) {
      const row = rows === undefined ? at : (rows[at] as number)
      const key = this.keyOfRight(batch.columns, row)
      if (key === undefined) continue
      let size = 64
      for (const own of this.plan.right.used) {
        const value = (batch.columns[own] as Column)[row] as Datum
        size += sizeOf(value)
        ;(this.columns[own] as Datum[]).push(value)
      }
      this.budget.spend(size)
      const known = this.rows.get(key)
      if (known === undefined) this.rows.set(key, [this.count])
      else known.push(this.count)
      this.count++
    }
  }

  /** Join rows of the large side. */
  *probe(batch: Batch, rows?: readonly number[]): Generator<Batch> {
    const count = rows?.length ?? batch.rows
    let [lefts, rights]: [number[], number[]] = [[], []]
    for (let at = 0; at < count; at++) {
      const row = rows === undefined ? at : (rows[at] as number)
      const found = this.matches(batch, row)
      if (found.length === 0 && this.plan.kind === 'left') {
        lefts.push(row)
        rights.push(-1)
      }
      for (const right of found) {
        lefts.push(row)
        rights.push(right)
        if (lefts.length < batchRows) continue
        yield this.gather(batch, lefts, rights)
        ;[lefts, rights] = [[], []]
      }
    }
    if (lefts.length > 0) yield this.gather(batch, lefts, rights)
  }

  private matches(batch: Batch, row: number): readonly number[] {
    const key = this.keyOfLeft(batch.columns, row)
    const found = (key === undefined ? undefined : this.rows.get(key)) ?? []
    const { residual } = this
    if (residual === undefined || found.length === 0) return found
    const lefts = found.map(() => row)
    const { columns } = this.gather(batch, lefts, found)
    return found.filter((_, at) => residual(columns, at))
  }

  private gather(batch: Batch, lefts: readonly number[], rights: readonly number[]): Batch {
    const columns: Column[] = []
    batch.columns.forEach((column, at) => {
      if (column !== undefined) columns[at] = lefts.map((row) => column[row] as Datum)
    })
    for (const own of this.plan.right.used) {
      const column = this.columns[own] as Datum[]
      const values = rights.map((row) => (row < 0 ? null : (column[row] as Datum)))
      columns[this.plan.right.offset + own] = values
    }
    return { rows: lefts.length, columns }
  }
}
