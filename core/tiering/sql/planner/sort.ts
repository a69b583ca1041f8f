/** Order and the first rows: what is sorted is held, and charged to a budget. */
import { assert } from '../../../errors.ts'
import { type Budget, type Datum, orderOf, sizeOf } from './values.ts'

/** One term of an order: a place in the rows that are sorted. */
export interface Order {
  readonly at: number
  readonly type: string
  readonly isDescending: boolean
  readonly nullsFirst: boolean
}

/** A row. */
export type Row = readonly Datum[]

/** Make the comparison of rows. */
export function compareRows(order: readonly Order[]): (a: Row, b: Row) => number {
  const terms = order.map(({ at, type, isDescending, nullsFirst }) => {
    const compare = orderOf(type)
    assert(compare, `order by ${type}`)
    return { at, compare, sign: isDescending ? -1 : 1, nullSign: nullsFirst ? -1 : 1 }
  })
  return (a, b) => {
    for (const { at, compare, sign, nullSign } of terms) {
      const [x, y] = [a[at] as Datum, b[at] as Datum]
      if (x === null || y === null) {
        if (x === y) continue
        return x === null ? nullSign : -nullSign
      }
      const sense = compare(x, y)
      if (sense !== 0) return sense * sign
    }
    return 0
  }
}

/** Rows past the ones wanted that may be held until the next cut. */
const slack = 4_096

const sizeOfRow = (row: Row) => row.reduce<number>((sum, value) => sum + sizeOf(value), 32)

/** Gathers rows, of which the first so many in order are wanted. */
export class TopRows {
  private rows: Row[] = []
  private readonly compare: ((a: Row, b: Row) => number) | undefined
  private readonly limit: number
  private readonly budget: Budget
  /** The last of the rows wanted, once there are so many: what comes after it is left out at once. */
  private bar: Row | undefined

  /** @param order none: any rows are as good
   *  @param limit Infinity for all */
  constructor(order: readonly Order[], limit: number, budget: Budget) {
    this.compare = order.length === 0 ? undefined : compareRows(order)
    this.limit = limit
    this.budget = budget
  }

  /** Whether nothing that comes can change the result. */
  get isFull(): boolean {
    return this.limit === 0 || (this.compare === undefined && this.rows.length >= this.limit)
  }

  /** Add a row. @throws limit past the bytes that may be held */
  add(row: Row): void {
    if (this.isFull) return
    if (this.bar !== undefined && (this.compare as (a: Row, b: Row) => number)(row, this.bar) >= 0) return
    this.budget.spend(sizeOfRow(row))
    this.rows.push(row)
    if (this.rows.length >= this.limit * 2 + slack) this.cut()
  }

  private cut(): void {
    this.rows.sort(this.compare)
    for (const row of this.rows.slice(this.limit)) this.budget.spend(-sizeOfRow(row))
    this.rows.length = Math.min(this.rows.length, this.limit)
    this.bar = this.rows.at(-1)
  }

  /** Give the rows, in order. */
  finish(): readonly Row[] {
    if (this.compare !== undefined) this.rows.sort(this.compare)
    return this.rows.slice(0, this.limit)
  }
}
