/** Rows of the command table, written one to a line. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Command, KeyPositions } from '../command.ts'
import { parseInt64 } from '../engine/integers.ts'

/** Keys of a command with one key. */
export const oneKey: KeyPositions = { first: 1, last: 1, step: 1 }
/** Keys of a command whose first two arguments are keys. */
export const twoKeys: KeyPositions = { first: 1, last: 2, step: 1 }
/** Keys of a command whose arguments are all keys. */
export const allKeys: KeyPositions = { first: 1, last: -1, step: 1 }
/** Keys of a command whose arguments are keys and values in turn. */
export const pairKeys: KeyPositions = { first: 1, last: -1, step: 2 }

/** Find the keys of a command that says how many there are.
 *  @param at where the number stands; the keys follow it
 *  @throws invalid, in Redis' words, when it is no number, not positive or too large */
export function numberedKeys(argv: readonly Bin[], at: number): number[] {
  const count = parseInt64(argv[at] as Bin)
  if (typeof count !== 'number' || count <= 0) throw new Failure('invalid', 'ERR numkeys should be greater than 0')
  if (count > argv.length - at - 1) throw new Failure('invalid', 'ERR syntax error')
  return Array.from({ length: count }, (_, i) => at + 1 + i)
}

/** A row as it is written: name, arity, keys, what it does to them, first Redis version, function, summary. */
export type Line = readonly [
  name: string,
  arity: number,
  keys: KeyPositions | undefined,
  mode: 'read' | 'write',
  since: string,
  run: NonNullable<Command['run']>,
  summary: string,
  more?: Pick<Command, 'scatter' | 'findKeys' | 'block' | 'checkApart'>,
]

/** Make the rows of one group of the documentation. */
export function rows(group: string, lines: readonly Line[]): Command[] {
  return lines.map(([name, arity, keys, mode, since, run, summary, more]) => ({
    name,
    arity,
    ...(keys === undefined ? {} : { keys }),
    mode,
    since,
    group,
    summary,
    run,
    ...more,
  }))
}
