/** Functions by name: how many arguments, of which types, and what comes out. */
import { Failure } from '../../../errors.ts'
import { call, cast } from './coerce.ts'
import type { Expr } from './expression.ts'
import { refused } from './parse.ts'
import { isTruncUnit } from './time-functions.ts'
import { isInteger, kindOf } from './values.ts'

/** What an argument must be. */
type Wanted = 'text' | 'number' | 'integer'

interface Signature {
  /** The function that runs, where names differ. */
  readonly name?: string
  readonly args: readonly Wanted[]
  /** Arguments that may be left out, at the end. */
  readonly optional?: number
  /** The type that comes out; `same` as the first argument's. */
  readonly type: 'string' | 'long' | 'double' | 'same'
}

const signatures: { readonly [name: string]: Signature } = {
  lower: { args: ['text'], type: 'string' },
  upper: { args: ['text'], type: 'string' },
  length: { args: ['text'], type: 'long' },
  char_length: { name: 'length', args: ['text'], type: 'long' },
  character_length: { name: 'length', args: ['text'], type: 'long' },
  substr: { args: ['text', 'integer', 'integer'], optional: 1, type: 'string' },
  substring: { name: 'substr', args: ['text', 'integer', 'integer'], optional: 1, type: 'string' },
  abs: { args: ['number'], type: 'same' },
  round: { args: ['number', 'integer'], optional: 1, type: 'same' },
  floor: { args: ['number'], type: 'double' },
  ceil: { args: ['number'], type: 'double' },
  ceiling: { name: 'ceil', args: ['number'], type: 'double' },
}

function fits(value: Expr, wanted: Wanted): Expr | undefined {
  const kind = kindOf(value.type)
  const isLoose = kind === 'null' || (value.op === 'literal' && value.isUntyped === true)
  switch (wanted) {
    case 'text':
      return kind === 'string' || kind === 'json' ? value : isLoose ? cast(value, 'string') : undefined
    case 'integer':
      return isInteger(value.type) ? value : isLoose ? cast(value, 'long') : undefined
    case 'number':
      return isInteger(value.type) || kind === 'double' ? value : isLoose ? cast(value, 'double') : undefined
  }
}

/** Bind a call of a function.
 *  @throws unsupported for a function that is not there, invalid for arguments that do not fit */
export function bindFunction(name: string, args: readonly Expr[]): Expr {
  if (name === 'date_trunc') return bindTrunc(args)
  const signature = Object.hasOwn(signatures, name) ? signatures[name] : undefined
  if (signature === undefined) throw refused(`the function ${name}`)
  const { args: wanted, optional = 0, type } = signature
  if (args.length > wanted.length || args.length < wanted.length - optional) {
    const count = optional === 0 ? `${wanted.length}` : `${wanted.length - optional} to ${wanted.length}`
    throw new Failure('invalid', `${name} takes ${count} arguments, not ${args.length}`)
  }
  const fitting = args.map((arg, at) => {
    const fit = fits(arg, wanted[at] as Wanted)
    if (fit === undefined) throw new Failure('invalid', `${name} is for ${wanted[at]}, not for ${arg.type}; cast it`)
    return fit
  })
  return call(signature.name ?? name, type === 'same' ? (fitting[0]?.type ?? 'null') : type, fitting)
}

function bindTrunc([unit, value, ...more]: readonly Expr[]): Expr {
  if (unit === undefined || value === undefined || more.length > 0) {
    throw new Failure('invalid', "date_trunc takes a unit and a time: date_trunc('day', at)")
  }
  if (unit.op !== 'literal' || typeof unit.value !== 'string')
    throw refused('date_trunc with a unit that is no constant')
  const name = unit.value.toLowerCase()
  if (!isTruncUnit(name)) throw refused(`date_trunc(${JSON.stringify(name)}, ...)`)
  const kind = kindOf(value.type)
  const isLoose = kind === 'null' || (value.op === 'literal' && value.isUntyped === true)
  if (kind !== 'timestamptz' && !isLoose) {
    throw new Failure('invalid', `date_trunc is for times, not for ${value.type}; cast it`)
  }
  return call('date_trunc', 'timestamptz', [cast(value, 'timestamptz')], name)
}
