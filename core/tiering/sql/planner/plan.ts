/** What a query is once it is bound: plain data. The first source is read in batches, the others are joined to it. */
import type { Grouping } from './aggregate.ts'
import type { Expr } from './expression.ts'
import type { SourceColumn } from './scope.ts'
import type { Order } from './sort.ts'

/** What a source reads: a table, or another query. */
export type Origin =
  | { readonly kind: 'table'; readonly database: string; readonly table: string }
  | { readonly kind: 'query'; readonly query: Query }

/** One source of a query. */
export interface SourcePlan {
  readonly origin: Origin
  readonly alias: string
  readonly columns: readonly SourceColumn[]
  /** The place of its first column in the query's rows. */
  readonly offset: number
  /** Places of the columns that are read, among its own. */
  readonly used: readonly number[]
  /** What its rows must meet, over its own columns. */
  readonly filter?: Expr
}

/** A source joined to those before it. */
export interface JoinPlan {
  readonly kind: 'inner' | 'left'
  readonly right: SourcePlan
  /** What must be equal: over the query's rows, and over the right side's own columns. */
  readonly leftKeys: readonly Expr[]
  readonly rightKeys: readonly Expr[]
  /** What must hold besides, over the query's rows. */
  readonly residual?: Expr
}

/** A column of a result. */
export interface Output {
  readonly name: string
  readonly type: string
  readonly expr: Expr
}

/** A bound query. */
export interface Query {
  /** None: one row without columns. */
  readonly first?: SourcePlan
  readonly joins: readonly JoinPlan[]
  /** What rows must meet when they have been joined. */
  readonly filter?: Expr
  /** From here on, expressions are over the group's keys and aggregates. */
  readonly grouping?: Grouping
  readonly having?: Expr
  readonly outputs: readonly Output[]
  /** What is sorted by besides the outputs. */
  readonly keys: readonly Expr[]
  /** Over the outputs and, after them, the keys. */
  readonly order: readonly Order[]
  /** Rows that are equal to another are left out, after grouping. */
  readonly isDistinct: boolean
  /** Infinity for all. */
  readonly limit: number
  readonly offset: number
}
