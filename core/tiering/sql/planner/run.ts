/** Running a bound query over readers of tables: filter, join, group, sort, and give rows. */
import { QUERY_BATCH_ROWS, QUERY_JOIN_BYTES_MAX } from '../../../limits.ts'
import { Groups } from './aggregate.ts'
import { type Batch, type Column, compileFilter, fingerprint } from './expression.ts'
import { JoinSide } from './join.ts'
import {
  groupBudget,
  type PartialPlan,
  type PartialResult,
  rowMaker,
  selectRows,
  sortBudget,
  type TopPlan,
} from './partial.ts'
import type { Query, SourcePlan } from './plan.ts'
import { type Row, TopRows } from './sort.ts'
import { budget, type Datum, keyOf } from './values.ts'

/** What a reader gives: rows that nothing has been done with, or what has come of rows where they are. */
export type ScanPart = { readonly batch: Batch } | { readonly partial: PartialResult }

/** Reads the tables of a query. */
export interface TableReader {
  /** Read a table.
   *  @param plan what can be done where rows are: its filter may be used to read less; batches are filtered again */
  scan(source: SourcePlan, plan: PartialPlan): AsyncIterable<ScanPart>
}

/** Rows up to which the first ones of a result without order are asked for where rows are. */
const firstRowsMax = 10_000

/** Run a query.
 *  @returns its rows, some thousand at a time
 *  @throws Failure */
export async function* runQuery(query: Query, reader: TableReader): AsyncGenerator<readonly Row[]> {
  if (query.limit === 0) return
  const run = new QueryRun(query, reader)
  yield* query.grouping === undefined ? run.rows() : run.groups()
}

/** Say what of a query runs where the rows of its first source are. */
export function partialPlanOf(query: Query): PartialPlan {
  const { first, joins, filter, grouping, outputs, keys, order, limit, offset } = query
  const columns = (first?.used ?? []).map((at) => [at, first?.columns[at]?.name ?? ''] as const)
  const plan: PartialPlan = { columns, ...(first?.filter !== undefined && { filter: first.filter }) }
  // What must be joined or tested first is not grouped before.
  if (joins.length > 0 || filter !== undefined) return plan
  if (grouping !== undefined) return { ...plan, grouping }
  const wanted = offset + limit
  if (!Number.isFinite(wanted) || (order.length === 0 && wanted > firstRowsMax)) return plan
  const top: TopPlan = { exprs: [...outputs.map(({ expr }) => expr), ...keys], order, limit: wanted }
  return { ...plan, top }
}

class QueryRun {
  private readonly query: Query
  private readonly reader: TableReader

  constructor(query: Query, reader: TableReader) {
    this.query = query
    this.reader = reader
  }

  /** The result of a query with groups. */
  async *groups(): AsyncGenerator<readonly Row[]> {
    const { grouping, having, order, limit, offset, isDistinct } = this.query
    if (grouping === undefined) return
    const groups = new Groups(grouping, groupBudget())
    for await (const part of this.parts()) {
      if ('partial' in part) {
        if (part.partial.groups !== undefined) groups.merge(part.partial.groups)
      } else groups.add(part.batch, part.rows)
    }
    const results = groups.results()
    const top = new TopRows(order, limit + offset, sortBudget())
    const isNew = isDistinct ? this.distinct() : () => true
    for (const row of this.make()(results, selectRows(results, compileFilter(having)))) if (isNew(row)) top.add(row)
    yield* this.chunks(top.finish().slice(offset))
  }

  /** The result of a query without groups. */
  async *rows(): AsyncGenerator<readonly Row[]> {
    const { order, limit, offset } = this.query
    if (order.length === 0) {
      yield* this.stream()
      return
    }
    const make = this.make()
    const top = new TopRows(order, limit + offset, sortBudget())
    for await (const part of this.parts()) {
      const made = 'partial' in part ? (part.partial.top ?? []) : make(part.batch, part.rows)
      for (const row of made) top.add(row)
    }
    yield* this.chunks(top.finish().slice(offset))
  }

  /** Rows as they come, until there are enough. */
  private async *stream(): AsyncGenerator<readonly Row[]> {
    const make = this.make()
    let { offset: skip, limit: left } = this.query
    let ready: Row[] = []
    for await (const part of this.parts()) {
      for (const row of 'partial' in part ? (part.partial.top ?? []) : make(part.batch, part.rows)) {
        if (skip > 0) {
          skip--
          continue
        }
        ready.push(row)
        left--
        if (left === 0) break
        if (ready.length < QUERY_BATCH_ROWS) continue
        yield ready
        ready = []
      }
      if (left === 0) break
    }
    if (ready.length > 0) yield ready
  }

  private make(): ReturnType<typeof rowMaker> {
    const { outputs, keys } = this.query
    return rowMaker([...outputs.map(({ expr }) => expr), ...keys])
  }

  private *chunks(rows: readonly Row[]): Generator<readonly Row[]> {
    const width = this.query.outputs.length
    const isWide = this.query.keys.length > 0
    for (let at = 0; at < rows.length; at += QUERY_BATCH_ROWS) {
      const chunk = rows.slice(at, at + QUERY_BATCH_ROWS)
      yield isWide ? chunk.map((row) => row.slice(0, width)) : chunk
    }
  }

  /** Tell rows apart by their outputs. */
  private distinct(): (row: Row) => boolean {
    const seen = new Set<string>()
    const held = groupBudget()
    const keys = this.query.outputs.map(({ type }) => keyOf(type))
    return (row) => {
      const values = row.map((value, at): Datum => (value === null ? null : (keys[at]?.(value) as Datum)))
      const name = fingerprint({ op: 'literal', value: values, type: 'other' })
      if (seen.has(name)) return false
      held.spend(48 + 2 * name.length)
      seen.add(name)
      return true
    }
  }

  /** Rows of the query's sources that meet its filters, joined; or what has come of them already. */
  private async *parts(): AsyncGenerator<Selected | { readonly partial: PartialResult }> {
    const { first, filter } = this.query
    const after = compileFilter(filter)
    if (first === undefined) {
      yield narrow({ batch: { rows: 1, columns: [] } }, after)
      return
    }
    const before = compileFilter(first.filter)
    const sides = await this.sides()
    for await (const part of this.read(first, partialPlanOf(this.query))) {
      if ('partial' in part) yield part
      else for (const joined of joinAll(narrow(part, before), sides)) yield narrow(joined, after)
    }
  }

  private async sides(): Promise<JoinSide[]> {
    const { joins } = this.query
    const way = 'put the larger table first in from, filter the joined one, or run it on Node or Spark'
    const held = budget(QUERY_JOIN_BYTES_MAX, 'joined tables', way)
    const sides: JoinSide[] = []
    for (const join of joins) {
      const { right } = join
      const side = new JoinSide(join, held)
      const filter = compileFilter(right.filter)
      const columns = right.used.map((at) => [at, right.columns[at]?.name ?? ''] as const)
      const plan: PartialPlan = { columns, ...(right.filter !== undefined && { filter: right.filter }) }
      for await (const part of this.read(right, plan)) {
        if ('batch' in part) side.hold(part.batch, selectRows(part.batch, filter))
      }
      sides.push(side)
    }
    return sides
  }

  private async *read(source: SourcePlan, plan: PartialPlan): AsyncGenerator<ScanPart> {
    if (source.origin.kind === 'table') {
      yield* this.reader.scan(source, plan)
      return
    }
    const width = source.columns.length
    for await (const rows of runQuery(source.origin.query, this.reader)) yield { batch: transpose(rows, width) }
  }
}

/** Rows of a batch; all of them without `rows`. */
interface Selected {
  readonly batch: Batch
  readonly rows?: readonly number[]
}

/** Leave out rows that do not meet a filter. */
function narrow(selected: Selected, filter: ReturnType<typeof compileFilter>): Selected {
  if (filter === undefined) return selected
  const { batch, rows } = selected
  const kept = rows?.filter((row) => filter(batch.columns, row)) ?? selectRows(batch, filter)
  return kept === undefined ? selected : { batch, rows: kept }
}

/** Join rows to one side after the other. */
function* joinAll(selected: Selected, sides: readonly JoinSide[]): Generator<Selected> {
  const [side, ...more] = sides
  if (side === undefined) {
    yield selected
    return
  }
  for (const batch of side.probe(selected.batch, selected.rows)) yield* joinAll({ batch }, more)
}

function transpose(rows: readonly Row[], width: number): Batch {
  const columns = Array.from({ length: width }, (_, at): Column => rows.map((row) => row[at] as Datum))
  return { rows: rows.length, columns }
}
