/** Rows of shards, held until the answers they belong to are whole: a later piece may take a row back. */
import type { HotPiece } from '../hot.ts'
import type { Batch, Column } from './expression.ts'
import { type PartialPlan, placeColumns } from './partial.ts'
import { type Budget, type Datum, sizeOf } from './values.ts'

/** The rows of one shard's answer. */
export class HotRows {
  private readonly width: number
  private readonly budget: Budget
  /** Rows by their ids: where they are among `columns`. */
  private readonly places = new Map<string, number>()
  private readonly columns: Datum[][]
  /** Rows that were taken back. */
  private readonly dropped = new Set<number>()
  private count = 0

  /** @param width columns of a piece */
  constructor(width: number, budget: Budget) {
    this.width = width
    this.budget = budget
    this.columns = Array.from({ length: width }, () => [])
  }

  /** Take a piece.
   *  @throws limit past the bytes that may be held */
  add({ ids, columns, gone }: HotPiece): void {
    for (const id of gone) this.drop(id)
    ids.forEach((id, row) => {
      this.drop(id)
      this.budget.spend(64 + sizeOf(id))
      this.places.set(id, this.count)
      this.push(columns, row)
    })
  }

  /** Take a piece of rows that are never taken back: many may have one id.
   *  @throws limit past the bytes that may be held */
  append({ ids, columns }: HotPiece): void {
    for (let row = 0; row < ids.length; row++) this.push(columns, row)
  }

  private push(columns: HotPiece['columns'], row: number): void {
    let size = 0
    for (let at = 0; at < this.width; at++) {
      const value = (columns[at] as readonly Datum[])[row] as Datum
      size += sizeOf(value)
      ;(this.columns[at] as Datum[]).push(value)
    }
    this.budget.spend(size)
    this.count++
  }

  private drop(id: string): void {
    const place = this.places.get(id)
    if (place === undefined) return
    this.dropped.add(place)
    this.places.delete(id)
  }

  /** Give the rows.
   *  @param shard the value of `_shard`, which shards do not know */
  batch(plan: Pick<PartialPlan, 'columns'>, shard: number): Batch {
    const kept = Array.from({ length: this.count }, (_, row) => row).filter((row) => !this.dropped.has(row))
    const columns = plan.columns.map(([, name], at): Column => {
      if (name === '_shard') return kept.map(() => shard)
      const column = this.columns[at] as Datum[]
      return this.dropped.size === 0 ? column : kept.map((row) => column[row] as Datum)
    })
    return placeColumns(plan, kept.length, columns)
  }
}
