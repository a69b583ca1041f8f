/** The part of a query that can run where rows are: in a shard, or on the batches of a file. What leaves is groups, or
 *  the first rows, never all of them.
 *
 *  1. A plan is plain data, and so is what comes of it: both cross threads and networks.
 *  2. Merging the parts of any split gives what one run over all rows gives. */
import { QUERY_GROUP_BYTES_MAX, QUERY_SORT_BYTES_MAX } from '../../../limits.ts'
import { type Grouping, Groups, type PartialGroups } from './aggregate.ts'
import { type Batch, type Column, compile, compileFilter, type Expr } from './expression.ts'
import { type Order, type Row, TopRows } from './sort.ts'
import { type Budget, budget } from './values.ts'

/** Rows that are made of a source's, of which the first ones are wanted. */
export interface TopPlan {
  /** The outputs, and after them what is sorted by besides. */
  readonly exprs: readonly Expr[]
  readonly order: readonly Order[]
  /** Of offset and limit together. */
  readonly limit: number
}

/** What to do with the rows of one source. */
export interface PartialPlan {
  /** Columns that it reads: their places in its expressions, and their names. */
  readonly columns: readonly (readonly [at: number, name: string])[]
  readonly filter?: Expr
  /** One of these. */
  readonly grouping?: Grouping
  readonly top?: TopPlan
}

/** What has come of the rows of one part of a source. */
export interface PartialResult {
  /** Rows that were looked at. */
  readonly rows: number
  readonly groups?: PartialGroups
  readonly top?: readonly Row[]
}

const way = "filter or group more, or run it on Node's engine or Spark"

/** What a query may hold of groups. */
export function groupBudget(): Budget {
  return budget(QUERY_GROUP_BYTES_MAX, 'groups and distinct values', way)
}

/** What a query may hold of rows in order. */
export function sortBudget(): Budget {
  return budget(QUERY_SORT_BYTES_MAX, 'rows to sort', `set a smaller limit, ${way}`)
}

/** Find the rows of a batch that meet a filter. */
export function selectRows(batch: Batch, filter: ReturnType<typeof compileFilter>): number[] | undefined {
  if (filter === undefined) return undefined
  const rows: number[] = []
  for (let row = 0; row < batch.rows; row++) if (filter(batch.columns, row)) rows.push(row)
  return rows
}

/** Make rows of a batch's.
 *  @param rows the places of those wanted; all when left out */
export function rowMaker(exprs: readonly Expr[]): (batch: Batch, rows?: readonly number[]) => Iterable<Row> {
  const evaluate = exprs.map(compile)
  const make = (columns: readonly Column[], row: number): Row => evaluate.map((one) => one(columns, row))
  return function* ({ columns, rows: total }, rows) {
    const count = rows?.length ?? total
    for (let at = 0; at < count; at++) yield make(columns, rows === undefined ? at : (rows[at] as number))
  }
}

/** Run a plan over batches. This is what a shard calls.
 *  @param batches columns at the places that the plan names
 *  @throws limit past the groups or bytes that may be held, invalid for values that cannot be computed with */
export function runPartial(plan: PartialPlan, batches: Iterable<Batch>): PartialResult {
  const filter = compileFilter(plan.filter)
  const groups = plan.grouping && new Groups(plan.grouping, groupBudget())
  const top = plan.top && new TopRows(plan.top.order, plan.top.limit, sortBudget())
  const make = rowMaker(plan.top?.exprs ?? [])
  let rows = 0
  for (const batch of batches) {
    rows += batch.rows
    const selected = selectRows(batch, filter)
    groups?.add(batch, selected)
    if (top !== undefined) for (const row of make(batch, selected)) top.add(row)
  }
  return { rows, ...(groups && { groups: groups.partial() }), ...(top && { top: top.finish() }) }
}

/** Put columns that came in the order of a plan's into their places. */
export function placeColumns(plan: Pick<PartialPlan, 'columns'>, rows: number, columns: readonly Column[]): Batch {
  const placed: Column[] = []
  plan.columns.forEach(([at], index) => {
    placed[at] = columns[index] as Column
  })
  return { rows, columns: placed }
}
