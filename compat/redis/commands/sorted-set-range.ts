/** Ranges of sorted sets, as ZRANGE and its older forms are given. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { View } from '@dotdo/core/shard'
import { parseBound } from '../engine/doubles.ts'
import * as zsets from '../engine/sorted-sets.ts'
import type { KeyRow } from '../tables.ts'
import { syntaxError, toInteger } from './arguments.ts'

type Argv = readonly Bin[]
/** What a range is of. */
export type RangeKind = 'rank' | 'score' | 'name'
/** A range, parsed. */
export type Range = zsets.RankRange | zsets.ScoreRange | zsets.NameRange

/** Which members a command wants. */
export interface Query {
  readonly range: Range
  readonly reverse: boolean
  /** How many to leave out first; negative for all. */
  readonly offset: number
  /** How many at most; negative for all. */
  readonly limit: number
  readonly withScores: boolean
}

/** Parse a range.
 *  @throws invalid */
export function parseRange(kind: RangeKind, min: Bin, max: Bin): Range {
  if (kind === 'rank') return { kind, start: toInteger(min), stop: toInteger(max) }
  if (kind === 'score') return { kind, min: toScoreBound(min), max: toScoreBound(max) }
  return { kind, min: toNameBound(min), max: toNameBound(max) }
}

function toScoreBound(argument: Bin): zsets.Bound<number> {
  const open = argument.startsWith('(')
  const at = parseBound(open ? argument.slice(1) : argument)
  if (at === undefined) throw new Failure('invalid', 'ERR min or max is not a float')
  return { at, open }
}

function toNameBound(argument: Bin): zsets.NameRange['min'] {
  if (argument === '-' || argument === '+') return argument
  if (argument.startsWith('(') || argument.startsWith('[')) return { at: argument.slice(1), open: argument[0] === '(' }
  throw new Failure('invalid', 'ERR min or max not valid string range item')
}

/** What the name of a command says already. */
export interface Form {
  readonly kind?: RangeKind
  readonly reverse?: boolean
  /** Whether members are stored, without a word on scores. */
  readonly store?: boolean
}

/** Parse `min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`.
 *  @param at where min stands
 *  @source redis 7.2 t_zset.c zrangeGenericCommand */
export function parseQuery(argv: Argv, at: number, form: Form): Query {
  let { kind, reverse } = form
  let [offset, limit, withScores] = [0, -1, false]
  for (let i = at + 2; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    if (word === 'WITHSCORES' && !form.store) withScores = true
    else if (word === 'LIMIT' && i + 2 < argv.length) {
      offset = toInteger(argv[i + 1] as Bin)
      limit = toInteger(argv[i + 2] as Bin)
      i += 2
    } else if (word === 'REV' && reverse === undefined) reverse = true
    else if (word === 'BYLEX' && kind === undefined) kind = 'name'
    else if (word === 'BYSCORE' && kind === undefined) kind = 'score'
    else throw syntaxError()
  }
  kind ??= 'rank'
  if (limit !== -1 && kind === 'rank') {
    const hint = 'LIMIT is only supported in combination with either BYSCORE or BYLEX'
    throw new Failure('invalid', `ERR syntax error, ${hint}`)
  }
  if (withScores && kind === 'name') {
    throw new Failure('invalid', 'ERR syntax error, WITHSCORES not supported in combination with BYLEX')
  }
  const [first, second] = [argv[at] as Bin, argv[at + 1] as Bin]
  const [min, max] = reverse && kind !== 'rank' ? [second, first] : [first, second]
  if (kind === 'rank') [offset, limit] = [0, -1]
  return { range: parseRange(kind, min, max), reverse: reverse ?? false, offset, limit, withScores }
}

/** Find which ranks a range covers. */
export function ranksOf(view: View, row: KeyRow, range: Range): zsets.Ranks {
  return range.kind === 'rank' ? zsets.clampRanks(range, row.size) : zsets.findRanks(view, row, range)
}

/** Read what a query wants. */
export function readQuery(view: View, row: KeyRow, { range, reverse, offset, limit }: Query): zsets.Scored {
  // Ranks count from the end when the order is reversed.
  const turned = reverse && range.kind === 'rank'
  const [low, high] = ranksOf(view, row, range)
  const [from, to] = turned ? [row.size - high, row.size - low] : [low, high]
  const left = to - from - offset
  const count = offset < 0 ? 0 : limit < 0 ? left : Math.min(limit, left)
  if (count <= 0 || from >= to) return { orders: [], names: [] }
  if (reverse) return zsets.readFrom(view, row, to - 1 - offset, count, -1)
  return zsets.readFrom(view, row, from + offset, count)
}
