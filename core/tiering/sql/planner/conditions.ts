/** What is true, false or unknown: comparisons, logic, case. */

import { assert } from '../../../errors.ts'
import type { Evaluate, Make } from './expression.ts'
import { likeMatcher } from './like.ts'
import { type Compare, type Datum, keyOf, orderOf } from './values.ts'

/** The arguments of a call whose number the binder has checked. */
export function operands(args: readonly Evaluate[]): readonly [Evaluate, Evaluate, Evaluate] {
  return args as unknown as readonly [Evaluate, Evaluate, Evaluate]
}

/** The order of the first argument's type: arguments have been brought to one. */
function orderOfArgs(call: Parameters<Make>[1]): Compare {
  const types = call.args.map(({ type }) => type)
  const order = orderOf(types.find((type) => type !== 'null') ?? 'null')
  assert(order, `${call.name} of ${types}`)
  return order
}

function comparison(test: (order: number) => boolean): Make {
  return (args, call) => {
    const [a, b] = operands(args)
    const order = orderOfArgs(call)
    return (columns, row) => {
      const left = a(columns, row)
      if (left === null) return null
      const right = b(columns, row)
      return right === null ? null : test(order(left, right))
    }
  }
}

const not = (value: Datum) => (value === null ? null : !value)

/** Three-valued `and` with `decisive` false, `or` with it true. */
function logic(decisive: boolean): Make {
  return (args) => (columns, row) => {
    let result: Datum = !decisive
    for (const arg of args) {
      const value = arg(columns, row)
      if (value === decisive) return decisive
      if (value === null) result = null
    }
    return result
  }
}

/** `x in (a, b)`: unknown when x is null, or is not there and one of them is null. */
const within: Make = ([value, ...list], call) => {
  assert(value, 'in without a value')
  const literals = call.args.slice(1)
  const types = call.args.map(({ type }) => type)
  const key = keyOf(types.find((type) => type !== 'null') ?? 'null')
  assert(key, `in of ${types}`)
  if (literals.every(({ op }) => op === 'literal')) {
    const values = literals.map((one) => (one as { value: Datum }).value)
    const keys = new Set(values.filter((one) => one !== null).map(key))
    const otherwise = values.includes(null) ? null : false
    return (columns, row) => {
      const one = value(columns, row)
      return one === null ? null : keys.has(key(one)) ? true : otherwise
    }
  }
  const order = orderOfArgs(call)
  return (columns, row) => {
    const one = value(columns, row)
    if (one === null) return null
    let result: Datum = false
    for (const each of list) {
      const other = each(columns, row)
      if (other === null) result = null
      else if (order(one, other) === 0) return true
    }
    return result
  }
}

const like =
  (isFolded: boolean): Make =>
  (args, call) => {
    const [text, pattern] = operands(args)
    const fixed = call.args[1]
    let known = fixed?.op === 'literal' ? fixed.value : null
    let matches = known === null ? undefined : likeMatcher(known as string, isFolded)
    return (columns, row) => {
      const value = text(columns, row)
      const wanted = pattern(columns, row)
      if (value === null || wanted === null) return null
      if (matches === undefined || wanted !== known) {
        known = wanted
        matches = likeMatcher(wanted as string, isFolded)
      }
      return matches(value as string)
    }
  }

/** `case when a then b when c then d else e end`: pairs, then the rest. */
const choice: Make = (args) => (columns, row) => {
  const last = args.length - 1
  for (let at = 0; at < last; at += 2) {
    if ((args[at] as Evaluate)(columns, row) === true) return (args[at + 1] as Evaluate)(columns, row)
  }
  return (args[last] as Evaluate)(columns, row)
}

const is =
  (test: (value: Datum) => boolean): Make =>
  ([value]) =>
  (columns, row) =>
    test((value as Evaluate)(columns, row))

/** Conditions by name. */
export const conditions: { readonly [name: string]: Make } = {
  '=': comparison((order) => order === 0),
  '<>': comparison((order) => order !== 0),
  '<': comparison((order) => order < 0),
  '<=': comparison((order) => order <= 0),
  '>': comparison((order) => order > 0),
  '>=': comparison((order) => order >= 0),
  and: logic(false),
  or: logic(true),
  not:
    ([value]) =>
    (columns, row) =>
      not((value as Evaluate)(columns, row)),
  'is null': is((value) => value === null),
  'is not null': is((value) => value !== null),
  'is true': is((value) => value === true),
  'is not true': is((value) => value !== true),
  'is false': is((value) => value === false),
  'is not false': is((value) => value !== false),
  in: within,
  like: like(false),
  ilike: like(true),
  case: choice,
  coalesce: (args) => (columns, row) => {
    for (const arg of args) {
      const value = arg(columns, row)
      if (value !== null) return value
    }
    return null
  },
  nullif: (args, call) => {
    const [a, b] = operands(args)
    const order = orderOfArgs(call)
    return (columns, row) => {
      const [left, right] = [a(columns, row), b(columns, row)]
      return left !== null && right !== null && order(left, right) === 0 ? null : left
    }
  },
}
