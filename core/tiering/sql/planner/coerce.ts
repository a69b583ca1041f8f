/** What binding makes of types: calls, casts, and bringing expressions to one type. */
import type { DataTypeDef } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import { converter } from './casts.ts'
import { constant, type Expr, type FunctionCall } from './expression.ts'
import { refused } from './parse.ts'
import { isInteger, isNumber, kindOf, orderOf } from './values.ts'

/** Make a call. */
export function call(name: string, type: string, args: readonly Expr[], option?: string | number): FunctionCall {
  return { op: 'call', name, type, args, ...(option !== undefined && { option }) }
}

/** Make a call that is true, false or unknown. */
export function truth(name: string, ...args: Expr[]): FunctionCall {
  return call(name, 'boolean', args)
}

/** The type of several expressions that have been brought to one. */
export function typeOfAll(values: readonly Expr[]): string {
  return values.find(({ type }) => type !== 'null')?.type ?? 'null'
}

/** Bring expressions to one type: literals in quotes to the others', integers to longs, those to doubles.
 *  @throws invalid when they have none in common */
export function common(values: readonly Expr[], what: string): Expr[] {
  const typed = values.filter((value) => value.type !== 'null' && !isUntyped(value))
  let type = typed[0]?.type ?? (values.some(isUntyped) ? 'string' : 'null')
  for (const one of typed) {
    if (one.type === type || (kindOf(one.type) !== 'other' && kindOf(one.type) === kindOf(type))) continue
    if (!isNumber(one.type) || !isNumber(type)) {
      throw new Failure('invalid', `${what}: ${type} and ${one.type} do not mix; cast one of them`)
    }
    type = isInteger(one.type) && isInteger(type) ? 'long' : 'double'
  }
  return values.map((value) => (value.type === type || value.type === 'null' ? value : cast(value, type)))
}

/** Whether an expression is text in quotes that takes the type of what it meets. */
export const isUntyped = (value: Expr) => value.op === 'literal' && value.isUntyped === true

/** Refuse an expression whose values have no order here.
 *  @throws unsupported */
export function ordered(value: Expr, what: string): void {
  if (orderOf(value.type) === undefined) {
    throw refused(`${what} of type ${value.type}`, 'select it as it is, or use an engine that knows the type')
  }
}

/** Take an expression as a number.
 *  @throws invalid */
export function number(value: Expr, what: string): Expr {
  if (isNumber(value.type)) return value
  if (value.type === 'null') return { op: 'literal', value: null, type: 'int' }
  if (isUntyped(value)) return cast(value, 'double')
  if (kindOf(value.type) === 'timestamptz') {
    throw refused(`${what} of times`, 'compute with extract(epoch from ...), or give the bounds as parameters')
  }
  throw new Failure('invalid', `${what} is for numbers, not for ${value.type}; cast it`)
}

/** Take an expression as true, false or unknown.
 *  @throws invalid */
export function condition(value: Expr, what: string): Expr {
  if (value.type === 'boolean' || value.type === 'null') return value
  if (isUntyped(value)) return cast(value, 'boolean')
  throw new Failure('invalid', `${what} needs a condition, not ${value.type}`)
}

/** Take an expression as text.
 *  @throws invalid */
export function text(value: Expr, what: string): Expr {
  const kind = kindOf(value.type)
  if (kind === 'string' || kind === 'json' || kind === 'null') return value
  throw new Failure('invalid', `${what} is for text, not for ${value.type}; cast it`)
}

/** Take an expression as text, cast if need be.
 *  @throws invalid */
export function asText(value: Expr): Expr {
  return kindOf(value.type) === 'string' ? value : cast(value, 'string')
}

/** Take an expression as a time.
 *  @throws invalid */
export function asTime(value: Expr, what: string): Expr {
  const kind = kindOf(value.type)
  if (kind === 'timestamptz') return value
  if (kind === 'null' || isUntyped(value)) return cast(value, 'timestamptz')
  throw new Failure('invalid', `${what} is for times, not for ${value.type}; cast it`)
}

const castNames: { readonly [name: string]: string } = {
  boolean: 'boolean',
  bool: 'boolean',
  int: 'int',
  integer: 'int',
  int4: 'int',
  bigint: 'long',
  int8: 'long',
  long: 'long',
  double: 'double',
  'double precision': 'double',
  float8: 'double',
  text: 'string',
  varchar: 'string',
  string: 'string',
  timestamptz: 'timestamptz',
  'timestamp with time zone': 'timestamptz',
}

/** Find the type that a cast names.
 *  @throws unsupported */
export function castTarget(to: DataTypeDef): string {
  if (to.kind === 'array') throw refused('a cast to an array')
  const shown = to.config === undefined ? to.name : `${to.name}(${to.config})`
  const target = Object.hasOwn(castNames, to.name) && to.config === undefined ? castNames[to.name] : undefined
  if (target !== undefined) return target
  if (to.name === 'date' || to.name === 'timestamp')
    throw refused(`type ${shown}`, "use timestamptz, date_trunc('day', ...)")
  throw refused(`type ${shown}`, 'there are boolean, int, bigint, double, text and timestamptz')
}

/** Cast an expression; a literal at once.
 *  @throws invalid */
export function cast(value: Expr, type: string): Expr {
  if (value.type === type && !isUntyped(value)) return value
  if (converter(value.type, type) === undefined) {
    throw new Failure('invalid', `${value.type} cannot be cast to ${type}`)
  }
  const made = call('cast', type, [value])
  return value.op === 'literal' ? { op: 'literal', value: constant(made), type } : made
}
