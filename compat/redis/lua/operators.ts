/** Compiles arithmetic and comparison: plain operands first, the machine for all others. */
import type { Bin } from '@dotdo/core/bytes'
import type { Evaluate } from './code.ts'
import { type Machine, modulo } from './machine.ts'
import { LuaTable } from './table.ts'
import type { LuaValue, Site } from './value.ts'

/** The two sides of an operator, compiled. */
export interface Operands {
  readonly left: Evaluate
  readonly right: Evaluate
  readonly site: Site
}

/** Compile an arithmetic operator.
 *  @param operands with what they are called */
export function compileBinary(
  machine: Machine,
  operator: string,
  { left, right, site, whats }: Operands & { readonly whats: readonly [Bin, Bin] },
): Evaluate {
  const slow = (event: Bin) => (a: LuaValue, b: LuaValue) => machine.arithmetic(event, a, b, site, whats)
  switch (operator) {
    case '+': {
      const other = slow('__add')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? a + b : other(a, b)
      }
    }
    case '-': {
      const other = slow('__sub')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? a - b : other(a, b)
      }
    }
    case '*': {
      const other = slow('__mul')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? a * b : other(a, b)
      }
    }
    case '/': {
      const other = slow('__div')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? a / b : other(a, b)
      }
    }
    case '%': {
      const other = slow('__mod')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? modulo(a, b) : other(a, b)
      }
    }
    default: {
      const other = slow('__pow')
      return (frame, cells) => {
        const a = left(frame, cells)
        const b = right(frame, cells)
        return typeof a === 'number' && typeof b === 'number' ? a ** b : other(a, b)
      }
    }
  }
}

/** Compile a comparison. */
export function compileComparison(machine: Machine, operator: string, { left, right, site }: Operands): Evaluate {
  const equal = (a: LuaValue, b: LuaValue) =>
    a === b || (a instanceof LuaTable && b instanceof LuaTable && machine.equalTables(a, b, site))
  const less = (a: LuaValue, b: LuaValue) => {
    if (typeof a === 'number' && typeof b === 'number') return a < b
    return typeof a === 'string' && typeof b === 'string' ? a < b : machine.lessThan(a, b, site)
  }
  const lessOrEqual = (a: LuaValue, b: LuaValue) => {
    if (typeof a === 'number' && typeof b === 'number') return a <= b
    return typeof a === 'string' && typeof b === 'string' ? a <= b : machine.lessOrEqual(a, b, site)
  }
  switch (operator) {
    case '==':
      return (frame, cells) => equal(left(frame, cells), right(frame, cells))
    case '~=':
      return (frame, cells) => !equal(left(frame, cells), right(frame, cells))
    case '<':
      return (frame, cells) => less(left(frame, cells), right(frame, cells))
    case '<=':
      return (frame, cells) => lessOrEqual(left(frame, cells), right(frame, cells))
    case '>':
      return (frame, cells) => {
        const a = left(frame, cells)
        return less(right(frame, cells), a)
      }
    default:
      return (frame, cells) => {
        const a = left(frame, cells)
        return lessOrEqual(right(frame, cells), a)
      }
  }
}
