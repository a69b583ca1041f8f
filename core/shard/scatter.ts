/** Joining what many shards answered: ordered merge, and aggregates in two steps.
 *
 *  1. Pure functions over plain data. Each shard filters, sorts and limits (to offset + limit) its own rows, or makes
 *     a `partial`; the caller merges, or makes the `final`.
 *  2. `final(spec, [partial(spec, a), partial(spec, b)])` is `final(spec, [partial(spec, a ++ b)])`, whatever the
 *     split (sums of fractions apart, in their last bits).
 *  3. Nulls do not count, as in SQL: only `count` without a column sees them. */
import { Failure } from '../errors.ts'
import { AGGREGATE_ENTRIES_MAX } from '../limits.ts'
import { canonicalKey, compoundKey, type Scalar } from './hash.ts'

/** Merge sorted lists into one, in order; of equals, the earlier list's come first.
 *  @param lists each sorted by `compare`; to page, each needs its first offset + limit elements only
 *  @cost O(k log n) for k = offset + limit and n lists; a sort when most is wanted (facts/sharding.md, 1.4) */
export function mergeOrdered<T>(
  lists: readonly (readonly T[])[],
  compare: (a: T, b: T) => number,
  options: { limit?: number; offset?: number } = {},
): T[] {
  const total = lists.reduce((sum, list) => sum + list.length, 0)
  const offset = Math.min(options.offset ?? 0, total)
  const end = Math.min(offset + (options.limit ?? Number.POSITIVE_INFINITY), total)
  // The sort is stable and its input made of sorted runs, which is what TimSort is good at.
  if (lists.length < 2 || end >= total / 4) return lists.flat().sort(compare).slice(offset, end)
  return mergeHeap(lists, compare, { offset, end })
}

function mergeHeap<T>(
  lists: readonly (readonly T[])[],
  compare: (a: T, b: T) => number,
  { offset, end }: { offset: number; end: number },
): T[] {
  const positions = new Uint32Array(lists.length)
  const head = (list: number) => (lists[list] as readonly T[])[positions[list] as number] as T
  const before = (a: number, b: number) => {
    const order = compare(head(a), head(b))
    return order < 0 || (order === 0 && a < b)
  }
  const heap = lists.flatMap((list, index) => (list.length > 0 ? [index] : []))
  for (let at = (heap.length >> 1) - 1; at >= 0; at--) sink(heap, at, before)
  const merged: T[] = []
  for (let taken = 0; taken < end; taken++) {
    const list = heap[0] as number
    if (taken >= offset) merged.push(head(list))
    positions[list] = (positions[list] as number) + 1
    if ((positions[list] as number) === (lists[list] as readonly T[]).length) {
      const last = heap.pop() as number
      if (heap.length === 0) break
      heap[0] = last
    }
    sink(heap, 0, before)
  }
  return merged
}

/** Let the element at `at` sink until none below comes before it. */
function sink(heap: number[], at: number, before: (a: number, b: number) => boolean): void {
  const value = heap[at] as number
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1] as number, heap[child] as number)) child++
    if (!before(heap[child] as number, value)) break
    heap[at] = heap[child] as number
    at = child
  }
  heap[at] = value
}

/** Order values as SQLite does: null, then booleans and numbers, then text by code point, then bytes. */
export function compareScalars(a: Scalar, b: Scalar): number {
  if (typeof a === 'number' && typeof b === 'number') {
    if (a < b) return -1
    if (a > b) return 1
    if (a === b) return 0
  }
  // Canonical keys sort as their values do, and text of other than UTF-16 order (past U+FFFF) too.
  const left = canonicalKey(a)
  const right = canonicalKey(b)
  return left < right ? -1 : left > right ? 1 : 0
}

/** One column of an ORDER BY. */
export interface OrderBy {
  readonly column: string
  readonly descending?: boolean
}

/** Make a comparison of rows by columns. */
export function compareBy(order: readonly OrderBy[]): (a: AggregateRow, b: AggregateRow) => number {
  return (a, b) => {
    for (const { column, descending } of order) {
      const sign = compareScalars(a[column] ?? null, b[column] ?? null)
      if (sign !== 0) return descending ? -sign : sign
    }
    return 0
  }
}

/** What can be computed: `distinct` is the sorted list of values, `count_distinct` their number. */
export type AggregateOp = 'count' | 'sum' | 'min' | 'max' | 'avg' | 'distinct' | 'count_distinct'

/** Which aggregates, over which groups. */
export interface AggregateSpec {
  /** Columns whose values make a group. Without any there is one group, even of no rows. */
  readonly groupBy?: readonly string[]
  /** Result columns. Only `count` may do without a column: it then counts rows. */
  readonly values: { readonly [name: string]: { readonly op: AggregateOp; readonly column?: string } }
  /** Groups and distinct values, together, that may be held; no more than the limit of core/limits.ts. */
  readonly entriesMax?: number
}

/** A row to be aggregated, or ordered. */
export type AggregateRow = Readonly<Record<string, Scalar>>
/** A row of a result: the group's columns, then the values. */
export type ResultRow = Record<string, Scalar | Scalar[]>

/** What a shard knows of one aggregate of one group; plain data. */
type State = { count: number } | { sum: number; count: number } | { best: Scalar } | { values: Scalar[] }

/** What a shard knows: groups with their state a value, in the order of the spec. Plain data: it crosses networks. */
export interface Partial {
  readonly groups: readonly { readonly by: readonly Scalar[]; readonly states: readonly State[] }[]
}

/** Aggregates one column of one group. */
interface Accumulator {
  /** @param value not null; for `count` without a column, anything */
  add(value: Scalar): void
  merge(state: State): void
  state(): State
  result(): Scalar | Scalar[]
}

/** Counts entries down, so that all groups of one aggregate share one limit. */
type Spend = () => void

function budget(spec: AggregateSpec): Spend {
  const max = spec.entriesMax ?? AGGREGATE_ENTRIES_MAX
  let spent = 0
  return () => {
    if (++spent <= max) return
    throw new Failure('limit', `more than ${max} groups and distinct values in one aggregate`, { max })
  }
}

function counting(): Accumulator {
  let count = 0
  return {
    add: () => {
      count++
    },
    merge: (state) => {
      count += (state as { count: number }).count
    },
    state: () => ({ count }),
    result: () => count,
  }
}

function summing(op: 'sum' | 'avg'): Accumulator {
  let sum = 0
  let count = 0
  return {
    add(value) {
      if (typeof value !== 'number') throw new Failure('type_mismatch', `${op} of a ${typeof value}, not of a number`)
      sum += value
      count++
    },
    merge(state) {
      const other = state as { sum: number; count: number }
      sum += other.sum
      count += other.count
    },
    state: () => ({ sum, count }),
    result: () => (count === 0 ? null : op === 'avg' ? sum / count : sum),
  }
}

function choosing(sign: 1 | -1): Accumulator {
  let best: Scalar = null
  const add = (value: Scalar) => {
    if (best === null || compareScalars(value, best) * sign > 0) best = value
  }
  return {
    add,
    merge: (state) => {
      const other = (state as { best: Scalar }).best
      if (other !== null) add(other)
    },
    state: () => ({ best }),
    result: () => best,
  }
}

function collecting(op: 'distinct' | 'count_distinct', spend: Spend): Accumulator {
  const values = new Map<string, Scalar>()
  const add = (value: Scalar) => {
    const key = canonicalKey(value)
    if (values.has(key)) return
    spend()
    values.set(key, value)
  }
  return {
    add,
    merge: (state) => {
      for (const value of (state as { values: Scalar[] }).values) add(value)
    },
    state: () => ({ values: [...values.values()] }),
    result: () => (op === 'count_distinct' ? values.size : sortedValues(values)),
  }
}

/** The values of a map, in the order of its keys. */
function sortedValues<T>(map: ReadonlyMap<string, T>): T[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

const accumulators: Record<AggregateOp, (spend: Spend) => Accumulator> = {
  count: counting,
  sum: () => summing('sum'),
  avg: () => summing('avg'),
  min: () => choosing(-1),
  max: () => choosing(1),
  distinct: (spend) => collecting('distinct', spend),
  count_distinct: (spend) => collecting('count_distinct', spend),
}

function checkSpec(spec: AggregateSpec): void {
  for (const [name, { op, column }] of Object.entries(spec.values)) {
    if (!Object.hasOwn(accumulators, op)) throw new Failure('invalid', `aggregate ${name}: ${op} is not known`)
    if (column === undefined && op !== 'count')
      throw new Failure('invalid', `aggregate ${name}: ${op} of which column?`)
    if (spec.groupBy?.includes(name)) throw new Failure('invalid', `aggregate ${name} is a column of groupBy too`)
  }
  const { entriesMax = AGGREGATE_ENTRIES_MAX } = spec
  if (Number.isInteger(entriesMax) && entriesMax > 0 && entriesMax <= AGGREGATE_ENTRIES_MAX) return
  throw new Failure('invalid', `entriesMax of ${entriesMax} is not within 1 and ${AGGREGATE_ENTRIES_MAX}`)
}

interface Group {
  readonly by: readonly Scalar[]
  readonly accumulators: readonly Accumulator[]
}

/** The groups of one aggregate, made as they are asked for. */
function grouping(spec: AggregateSpec): { groups: Map<string, Group>; group(by: readonly Scalar[]): Group } {
  checkSpec(spec)
  const spend = budget(spec)
  const ops = Object.values(spec.values).map(({ op }) => accumulators[op])
  const groups = new Map<string, Group>()
  const group = (by: readonly Scalar[]) => {
    const key = compoundKey(by)
    const found = groups.get(key)
    if (found !== undefined) return found
    spend()
    const made = { by, accumulators: ops.map((make) => make(spend)) }
    groups.set(key, made)
    return made
  }
  if ((spec.groupBy ?? []).length === 0) group([])
  return { groups, group }
}

/** One zero only, so that what is shown does not depend on which of the two came first. */
function normal(value: Scalar | undefined): Scalar {
  return value === undefined ? null : value === 0 ? 0 : value
}

/** Compute a shard's part of an aggregate.
 *  @throws limit past the entries that may be held; type_mismatch for a sum of what is not a number */
export function partial(spec: AggregateSpec, rows: Iterable<AggregateRow>): Partial {
  const { groups, group } = grouping(spec)
  const by = spec.groupBy ?? []
  const columns = Object.values(spec.values).map(({ column }) => column)
  for (const row of rows) {
    const { accumulators } = group(by.map((column) => normal(row[column])))
    columns.forEach((column, i) => {
      const value = column === undefined ? true : normal(row[column])
      if (value !== null) (accumulators[i] as Accumulator).add(value)
    })
  }
  const state = (one: Accumulator) => one.state()
  return { groups: [...groups.values()].map((made) => ({ by: made.by, states: made.accumulators.map(state) })) }
}

/** Join the parts of all shards into the result, its groups in ascending order.
 *  @throws limit past the entries that may be held */
export function final(spec: AggregateSpec, partials: readonly Partial[]): ResultRow[] {
  const { groups, group } = grouping(spec)
  for (const { groups: parts } of partials) {
    for (const { by, states } of parts) {
      const { accumulators } = group(by)
      states.forEach((state, i) => {
        ;(accumulators[i] as Accumulator).merge(state)
      })
    }
  }
  const by = spec.groupBy ?? []
  const names = Object.keys(spec.values)
  return sortedValues(groups).map((made) => {
    const row: [string, Scalar | Scalar[]][] = by.map((column, i) => [column, made.by[i] as Scalar])
    names.forEach((name, i) => {
      row.push([name, (made.accumulators[i] as Accumulator).result()])
    })
    return Object.fromEntries(row)
  })
}
