/** Aggregates in two steps: partial states are plain data that merge in any split, and finish as SQL's results.
 *
 *  1. Nulls do not count; only `count(*)` sees them.
 *  2. Sums of integers are exact, and refused past 64 bits; sums of doubles depend on their order in their last bits.
 *  3. Groups and their states are charged to a budget, so that a query ends before its host does. */
import { assert, Failure } from '../../../errors.ts'
import { QUERY_GROUPS_MAX } from '../../../limits.ts'
import type { Long } from '../../avro/binary.ts'
import { type Batch, compile, type Evaluate, type Expr } from './expression.ts'
import { addLongs, type Budget, type Datum, isInteger, keyOf, orderOf, sizeOf } from './values.ts'

/** What can be computed. */
export type AggregateOp = 'count(*)' | 'count' | 'count distinct' | 'sum' | 'avg' | 'min' | 'max'

/** One aggregate; `count(*)` is without an argument. */
export interface Aggregate {
  readonly op: AggregateOp
  readonly arg?: Expr
  /** Of the result. */
  readonly type: string
}

/** Groups and their aggregates. Without `by` there is one group, even of no rows. */
export interface Grouping {
  readonly by: readonly Expr[]
  readonly aggregates: readonly Aggregate[]
}

/** The states of groups, by column: the keys first, then what each aggregate has. Plain data. */
export interface PartialGroups {
  readonly groups: number
  readonly keys: readonly (readonly Datum[])[]
  readonly states: readonly (readonly unknown[])[]
}

/** One aggregate of all groups. */
interface Accumulator {
  /** Begin a group: they are numbered from 0. */
  begin(): void
  /** @param value not null, but for `count(*)` */
  add(group: number, value: Datum): void
  state(group: number): unknown
  merge(group: number, state: unknown): void
  result(group: number): Datum
}

function counting(): Accumulator {
  const counts: number[] = []
  return {
    begin: () => void counts.push(0),
    add(group) {
      counts[group] = (counts[group] as number) + 1
    },
    state: (group) => counts[group],
    merge(group, state) {
      counts[group] = (counts[group] as number) + (state as number)
    },
    result: (group) => counts[group] as number,
  }
}

type SumState = readonly [sum: Long, count: number]

function summing({ op, arg }: Aggregate): Accumulator {
  const sums: Long[] = []
  const counts: number[] = []
  const isWhole = isInteger(arg?.type ?? 'null')
  const plus = isWhole ? addLongs : (a: Long, b: Long) => (a as number) + Number(b)
  const more = (group: number, value: Long, count: number) => {
    sums[group] = plus(sums[group] as Long, value)
    counts[group] = (counts[group] as number) + count
  }
  return {
    begin() {
      sums.push(0)
      counts.push(0)
    },
    add: (group, value) => more(group, value as Long, 1),
    state: (group): SumState => [sums[group] as Long, counts[group] as number],
    merge: (group, state) => more(group, ...(state as SumState)),
    result(group) {
      const [sum, count] = [sums[group] as Long, counts[group] as number]
      return count === 0 ? null : op === 'avg' ? Number(sum) / count : sum
    },
  }
}

function choosing({ op, arg }: Aggregate, budget: Budget): Accumulator {
  const order = orderOf(arg?.type ?? 'null')
  assert(order, `${op} of ${arg?.type}`)
  const sign = op === 'min' ? -1 : 1
  const best: Datum[] = []
  const add = (group: number, value: Datum) => {
    const known = best[group] as Datum
    if (known !== null && order(value, known) * sign <= 0) return
    if (typeof value === 'string') budget.spend(sizeOf(value) - (known === null ? 0 : sizeOf(known)))
    best[group] = value
  }
  return {
    begin: () => void best.push(null),
    add,
    state: (group) => best[group],
    merge: (group, state) => {
      if (state !== null) add(group, state as Datum)
    },
    result: (group) => best[group] as Datum,
  }
}

/** Bytes that an entry of a Set or Map takes, besides its key. */
const entryBytes = 48

function distinct({ arg }: Aggregate, budget: Budget): Accumulator {
  const key = keyOf(arg?.type ?? 'null')
  assert(key, `count(distinct) of ${arg?.type}`)
  const values: Map<unknown, Datum>[] = []
  const add = (group: number, value: Datum) => {
    const known = values[group] as Map<unknown, Datum>
    const name = key(value)
    if (known.has(name)) return
    budget.spend(entryBytes + sizeOf(value))
    known.set(name, value)
  }
  return {
    begin: () => void values.push(new Map()),
    add,
    state: (group) => [...(values[group] as Map<unknown, Datum>).values()],
    merge(group, state) {
      for (const value of state as readonly Datum[]) add(group, value)
    },
    result: (group) => (values[group] as Map<unknown, Datum>).size,
  }
}

function accumulator(aggregate: Aggregate, budget: Budget): Accumulator {
  switch (aggregate.op) {
    case 'count(*)':
    case 'count':
      return counting()
    case 'count distinct':
      return distinct(aggregate, budget)
    case 'sum':
    case 'avg':
      return summing(aggregate)
    case 'min':
    case 'max':
      return choosing(aggregate, budget)
  }
}

/** Groups by nested maps, one level a key: no text is made of the keys of a row. */
type Level = Map<unknown, Level | number>

/** Gathers rows and partial states into groups. */
export class Groups {
  private readonly by: readonly Evaluate[]
  private readonly args: readonly (Evaluate | undefined)[]
  private readonly budget: Budget
  private readonly accumulators: readonly Accumulator[]
  private readonly root: Level = new Map()
  private readonly keys: Datum[][]
  private readonly keyOf: readonly ((value: Datum) => unknown)[]
  private readonly groupsMax: number
  private count = 0

  constructor(grouping: Grouping, budget: Budget, groupsMax: number = QUERY_GROUPS_MAX) {
    this.by = grouping.by.map(compile)
    this.args = grouping.aggregates.map(({ arg }) => arg && compile(arg))
    this.budget = budget
    this.groupsMax = groupsMax
    this.accumulators = grouping.aggregates.map((aggregate) => accumulator(aggregate, budget))
    this.keys = grouping.by.map(() => [])
    this.keyOf = grouping.by.map(({ type }) => {
      const key = keyOf(type)
      assert(key, `group by ${type}`)
      return key
    })
    if (grouping.by.length === 0) this.begin([])
  }

  /** Add the rows of a batch.
   *  @param rows the places of those to add; all when left out
   *  @throws limit past the groups or bytes that may be held */
  add({ columns, rows: total }: Batch, rows?: readonly number[]): void {
    const { by, args, accumulators } = this
    const values: Datum[] = []
    const count = rows?.length ?? total
    for (let at = 0; at < count; at++) {
      const row = rows === undefined ? at : (rows[at] as number)
      for (let key = 0; key < by.length; key++) values[key] = (by[key] as Evaluate)(columns, row)
      const group = this.groupOf(values)
      for (let one = 0; one < accumulators.length; one++) {
        const arg = args[one]
        const value = arg === undefined ? null : arg(columns, row)
        if (value !== null || arg === undefined) (accumulators[one] as Accumulator).add(group, value)
      }
    }
  }

  /** Add what others have gathered. @throws limit */
  merge({ groups, keys, states }: PartialGroups): void {
    for (let from = 0; from < groups; from++) {
      const group = this.groupOf(keys.map((column) => column[from] as Datum))
      this.accumulators.forEach((one, at) => {
        one.merge(group, (states[at] as readonly unknown[])[from])
      })
    }
  }

  /** Give what has been gathered to others. */
  partial(): PartialGroups {
    const numbers = Array.from({ length: this.count }, (_, group) => group)
    const states = this.accumulators.map((one) => numbers.map((group) => one.state(group)))
    return { groups: this.count, keys: this.keys, states }
  }

  /** Finish: a row a group, the keys first, then the aggregates. */
  results(): Batch {
    const numbers = Array.from({ length: this.count }, (_, group) => group)
    const results = this.accumulators.map((one) => numbers.map((group) => one.result(group)))
    return { rows: this.count, columns: [...this.keys, ...results] }
  }

  private groupOf(values: readonly Datum[]): number {
    const last = this.keyOf.length - 1
    if (last < 0) return 0
    let level = this.root
    for (let at = 0; at < last; at++) {
      const key = this.name(values, at)
      let next = level.get(key) as Level | undefined
      if (next === undefined) {
        this.budget.spend(entryBytes * 2)
        next = new Map()
        level.set(key, next)
      }
      level = next
    }
    const key = this.name(values, last)
    const known = level.get(key) as number | undefined
    if (known !== undefined) return known
    const group = this.begin(values)
    level.set(key, group)
    return group
  }

  private name(values: readonly Datum[], at: number): unknown {
    const value = values[at] as Datum
    return value === null ? null : (this.keyOf[at] as (value: Datum) => unknown)(value)
  }

  private begin(values: readonly Datum[]): number {
    if (this.count >= this.groupsMax) {
      const way = "group by less, filter more, or run it on Node's engine or Spark"
      throw new Failure('limit', `the query makes more than ${this.groupsMax} groups: ${way}`, { max: this.groupsMax })
    }
    let size = entryBytes + 16 * this.accumulators.length
    values.forEach((value, at) => {
      // One zero only, so that what is shown does not depend on which of the two came first.
      const shown = value === 0 ? 0 : value
      size += sizeOf(shown)
      ;(this.keys[at] as Datum[]).push(shown)
    })
    this.budget.spend(size)
    for (const one of this.accumulators) one.begin()
    return this.count++
  }
}
