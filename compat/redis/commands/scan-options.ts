/** What the commands that walk with a cursor take and answer. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { globMatches } from '../engine/glob.ts'
import type { Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'

/** Elements looked at when COUNT is not given. */
const COUNT_DEFAULT = 10
/** Beyond this a larger COUNT makes no difference: no shard has as many rows. */
const COUNT_MAX = 2 ** 40

/** Collections up to this size are walked in one step, as Redis walks a listpack. */
export const SCAN_WHOLE = 128

/** Options of a walk. */
export interface ScanOptions {
  count: number
  /** Whether a name matches the pattern. */
  matches(name: Bin): boolean
  type?: string
  noValues?: true
}

/** Parse a cursor.
 *  @throws invalid when it is no unsigned integer of 64 bits */
export function toCursor(argument: Bin): number {
  if (!/^\d{1,20}$/.test(argument) || BigInt(argument) >= 2n ** 64n) {
    throw new Failure('invalid', 'ERR invalid cursor')
  }
  return Number(argument)
}

/** Parse MATCH and COUNT, and the options that only some commands have.
 *  @param allowed which of those
 *  @throws invalid */
export function parseScan(argv: readonly Bin[], from: number, allowed: readonly ('type' | 'noValues')[]): ScanOptions {
  const options: ScanOptions = { count: COUNT_DEFAULT, matches: () => true }
  for (let i = from; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const argument = argv[i + 1]
    if (word === 'NOVALUES' && allowed.includes('noValues')) {
      options.noValues = true
      continue
    }
    if (argument === undefined) throw syntaxError()
    if (word === 'COUNT') {
      options.count = Math.min(toInteger(argument), COUNT_MAX)
      if (options.count < 1) throw syntaxError()
    } else if (word === 'MATCH') options.matches = (name) => globMatches(argument, name)
    else if (word === 'TYPE' && allowed.includes('type')) options.type = argument.toLowerCase()
    else throw syntaxError()
    i++
  }
  return options
}

/** Answer a step of a walk. */
export function cursorReply(next: number, found: readonly Bin[]): Value {
  return [String(next), found]
}
