/** Bound expressions: plain data, so that a plan crosses threads and networks, and their evaluation over columns.
 *
 *  1. Nothing is generated as code: closures run in workerd too, where `new Function` does not.
 *  2. An expression is null where SQL's is: three-valued logic is in the functions. */
import { assert } from '../../../errors.ts'
import { casts } from './casts.ts'
import { conditions } from './conditions.ts'
import { jsonFunctions } from './json-member.ts'
import { numbers } from './numbers.ts'
import { textFunctions } from './text-functions.ts'
import { timeFunctions } from './time-functions.ts'
import type { Datum } from './values.ts'

/** A constant. */
export interface Literal {
  readonly op: 'literal'
  readonly value: Datum
  readonly type: string
  /** Text in quotes that takes the type of what it meets. */
  readonly isUntyped?: boolean
}

/** A column of the input, by its place. */
export interface ColumnRef {
  readonly op: 'column'
  readonly at: number
  readonly type: string
}

/** A function or an operator. */
export interface FunctionCall {
  readonly op: 'call'
  readonly name: string
  readonly args: readonly Expr[]
  readonly type: string
  /** What is fixed by the text: a unit of time, a member's name. */
  readonly option?: string | number
}

/** An expression. */
export type Expr = Literal | ColumnRef | FunctionCall

/** Values of a column, null where there is none. Borrowed. */
export type Column = ArrayLike<Datum>

/** Rows as columns. */
export interface Batch {
  readonly rows: number
  readonly columns: readonly Column[]
}

/** Computes an expression for one row. */
export type Evaluate = (columns: readonly Column[], row: number) => Datum

/** Makes a function ready to run. */
export type Make = (args: readonly Evaluate[], call: FunctionCall) => Evaluate

const functions: { readonly [name: string]: Make } = {
  ...conditions,
  ...numbers,
  ...textFunctions,
  ...timeFunctions,
  ...jsonFunctions,
  ...casts,
}

/** Make an expression ready to run. */
export function compile(expr: Expr): Evaluate {
  switch (expr.op) {
    case 'literal': {
      const { value } = expr
      return () => value
    }
    case 'column': {
      const { at } = expr
      return (columns, row) => (columns[at] as Column)[row] as Datum
    }
    case 'call': {
      const make = Object.hasOwn(functions, expr.name) ? functions[expr.name] : undefined
      assert(make, `no function ${expr.name}`)
      return make(expr.args.map(compile), expr)
    }
  }
}

/** Make a filter ready to run: true only where the expression is. */
export function compileFilter(
  expr: Expr | undefined,
): ((columns: readonly Column[], row: number) => boolean) | undefined {
  if (expr === undefined) return undefined
  const evaluate = compile(expr)
  return (columns, row) => evaluate(columns, row) === true
}

/** Compute an expression that has no columns. */
export function constant(expr: Expr): Datum {
  return compile(expr)([], 0)
}

/** Visit the columns of an expression. */
export function columnsOf(expr: Expr, visit: (at: number) => void): void {
  if (expr.op === 'column') visit(expr.at)
  else if (expr.op === 'call') for (const arg of expr.args) columnsOf(arg, visit)
}

/** Put other columns in the place of an expression's. */
export function mapColumns(expr: Expr, map: (at: number) => number): Expr {
  if (expr.op === 'column') return { ...expr, at: map(expr.at) }
  if (expr.op === 'literal') return expr
  return { ...expr, args: expr.args.map((arg) => mapColumns(arg, map)) }
}

/** Split what must all hold. */
export function conjuncts(expr: Expr | undefined): readonly Expr[] {
  if (expr === undefined) return []
  return expr.op === 'call' && expr.name === 'and' ? expr.args.flatMap(conjuncts) : [expr]
}

/** Join what must all hold. */
export function conjunction(parts: readonly Expr[]): Expr | undefined {
  if (parts.length < 2) return parts[0]
  return { op: 'call', name: 'and', args: parts, type: 'boolean' }
}

/** Name an expression, the same for the same. */
export function fingerprint(expr: Expr): string {
  return JSON.stringify(expr, (_, value) => {
    if (typeof value === 'bigint') return { bigint: `${value}` }
    if (value instanceof Uint8Array) return { bytes: [...value] }
    return typeof value === 'number' && !Number.isFinite(value) ? { number: `${value}` } : value
  })
}
