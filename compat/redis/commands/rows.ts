/** Rows of the command table, written one to a line. */
import type { Command, KeyPositions } from '../command.ts'

/** Keys of a command with one key. */
export const oneKey: KeyPositions = { first: 1, last: 1, step: 1 }
/** Keys of a command whose first two arguments are keys. */
export const twoKeys: KeyPositions = { first: 1, last: 2, step: 1 }
/** Keys of a command whose arguments are all keys. */
export const allKeys: KeyPositions = { first: 1, last: -1, step: 1 }
/** Keys of a command whose arguments are keys and values in turn. */
export const pairKeys: KeyPositions = { first: 1, last: -1, step: 2 }

/** A row as it is written: name, arity, keys, what it does to them, first Redis version, function, summary. */
export type Line = readonly [
  name: string,
  arity: number,
  keys: KeyPositions | undefined,
  mode: 'read' | 'write',
  since: string,
  run: NonNullable<Command['run']>,
  summary: string,
  more?: Pick<Command, 'scatter' | 'findKeys' | 'block'>,
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
