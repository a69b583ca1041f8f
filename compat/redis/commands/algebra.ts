/** Commands that compute with all that several keys hold: where the keys live together, or gathered. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { gatheredOperands, type Held, type Kinds, type Operand, operandOf, readHeld } from '../engine/algebra.ts'
import { parseInt64 } from '../engine/integers.ts'
import type { Value } from '../value.ts'
import { syntaxError } from './arguments.ts'
import type { Line } from './rows.ts'

/** Compute a reply. @param argv checked already as far as its keys go */
export type Compute = (operands: readonly Operand[], argv: readonly Bin[]) => Value

/** Make the function of a command, and what its row says of keys that live apart.
 *  @param findKeys tells where the keys stand; default: all arguments are keys
 *  @param check checks arguments that Redis looks at before it looks at any key */
export function computing(
  kinds: Kinds,
  compute: Compute,
  findKeys?: (argv: readonly Bin[]) => number[],
  check?: (argv: readonly Bin[]) => unknown,
): { run: Line[5]; more: NonNullable<Line[7]> } {
  const keysOf = (argv: readonly Bin[]) => findKeys?.(argv).map((at) => argv[at] as Bin) ?? argv.slice(1)
  return {
    run(tx, argv, { db }) {
      check?.(argv)
      return compute(
        keysOf(argv).map((key) => operandOf(tx, db, key, kinds)),
        argv,
      )
    },
    more: {
      ...(check && { checkApart: check }),
      ...(findKeys && { findKeys }),
      scatter: {
        kind: 'gather',
        read: (view, keys, { db }) => readHeld(view, db, keys, kinds),
        compute: (held, argv) => compute(gatheredOperands(held as readonly Held[]), argv),
      },
    },
  }
}

/** Parse `[LIMIT n]`, which ends a command.
 *  @returns 0 for no limit */
export function parseLimit(argv: readonly Bin[], from: number): number {
  let limit = 0
  for (let i = from; i < argv.length; i += 2) {
    if (argv[i]?.toUpperCase() !== 'LIMIT' || argv[i + 1] === undefined) throw syntaxError()
    const value = parseInt64(argv[i + 1] as Bin)
    if (value === undefined || value < 0) throw new Failure('invalid', "ERR LIMIT can't be negative")
    limit = Number(value)
  }
  return limit
}
