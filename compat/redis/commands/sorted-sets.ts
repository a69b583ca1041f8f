/** The sorted set commands, but for those that wait, and those that compute with several keys. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import { formatDouble } from '../codec.ts'
import type { Command, Context } from '../command.ts'
import { randomElements } from '../engine/collections.ts'
import { parseDouble } from '../engine/doubles.ts'
import { scanMembers } from '../engine/scan.ts'
import * as zsets from '../engine/sorted-sets.ts'
import type { Value } from '../value.ts'
import { syntaxError, toCount, toRandomCount } from './arguments.ts'
import { numberedKeys, oneKey, rows, twoKeys } from './rows.ts'
import { cursorReply, parseScan, SCAN_WHOLE, toCursor } from './scan-options.ts'
import { type Form, parseQuery, parseRange, type RangeKind, ranksOf, readQuery } from './sorted-set-range.ts'

type Argv = readonly Bin[]

/** Parse a score.
 *  @throws invalid */
export function toScore(argument: Bin): number {
  const score = parseDouble(argument)
  if (score === undefined) throw new Failure('invalid', 'ERR value is not a valid float')
  return score
}

/** Answer members, with their scores if they are wanted. */
export function scoredReply({ names, orders }: zsets.Scored, withScores: boolean): Value {
  if (!withScores) return names
  return { pairs: names.map((name, i) => [name, { double: orders[i] as number }] as const) }
}

interface AddOptions {
  nx: boolean
  xx: boolean
  gt: boolean
  lt: boolean
  ch: boolean
  increment: boolean
}

const addWords: { readonly [word: string]: keyof AddOptions } = {
  nx: 'nx',
  xx: 'xx',
  gt: 'gt',
  lt: 'lt',
  ch: 'ch',
  incr: 'increment',
}

/** @returns the options, and where the first score stands
 *  @source redis 7.2 t_zset.c zaddGenericCommand */
function parseAdd(argv: Argv): { options: AddOptions; from: number } {
  const options: AddOptions = { nx: false, xx: false, gt: false, lt: false, ch: false, increment: false }
  let from = 2
  for (; from < argv.length; from++) {
    const word = argv[from] as Bin
    // Most often a score stands here, which begins with a sign, a point or a digit.
    if (word.charCodeAt(0) < 58) break
    const option = Object.hasOwn(addWords, word.toLowerCase()) ? addWords[word.toLowerCase()] : undefined
    if (option === undefined) break
    options[option] = true
  }
  const count = argv.length - from
  if (count === 0 || count % 2 !== 0) throw syntaxError()
  const { nx, xx, gt, lt, increment } = options
  if (nx && xx) throw new Failure('invalid', 'ERR XX and NX options at the same time are not compatible')
  if ((gt && nx) || (lt && nx) || (gt && lt)) {
    throw new Failure('invalid', 'ERR GT, LT, and/or NX options at the same time are not compatible')
  }
  if (increment && count > 2) throw new Failure('invalid', 'ERR INCR option supports a single increment-element pair')
  return { options, from }
}

function zadd(tx: Tx, argv: Argv, { db }: Context): Value {
  const { options, from } = parseAdd(argv)
  const names: Bin[] = []
  const given: number[] = []
  for (let i = from; i < argv.length; i += 2) {
    given.push(toScore(argv[i] as Bin))
    names.push(argv[i + 1] as Bin)
  }
  const change = zsets.setScores(tx, db, argv[1] as Bin, { names, given, rules: options })
  if (options.increment) return change.score === undefined ? null : { double: change.score }
  return options.ch ? change.added + change.updated : change.added
}

function zincrby(tx: Tx, argv: Argv, { db }: Context): Value {
  const given = [toScore(argv[2] as Bin)]
  const rules = { increment: true }
  const { score } = zsets.setScores(tx, db, argv[1] as Bin, { names: [argv[3] as Bin], given, rules })
  return { double: score as number }
}

function zrem(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
  return row === undefined ? 0 : zsets.removeScores(tx, row, argv.slice(2))
}

function zcard(tx: Tx, argv: Argv, { db }: Context): Value {
  return zsets.findSortedSet(tx, db, argv[1] as Bin)?.size ?? 0
}

function zmscore(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
  return argv.slice(2).map((member): Value => {
    const score = row && zsets.readScore(tx, row, member)
    return score === undefined ? null : { double: score }
  })
}

function zscore(tx: Tx, argv: Argv, context: Context): Value {
  return (zmscore(tx, argv, context) as Value[])[0] as Value
}

function counting(kind: RangeKind) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const range = parseRange(kind, argv[2] as Bin, argv[3] as Bin)
    const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
    if (row === undefined) return 0
    const [from, to] = ranksOf(tx, row, range)
    return to - from
  }
}

function removing(kind: RangeKind) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const range = parseRange(kind, argv[2] as Bin, argv[3] as Bin)
    const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
    return row === undefined ? 0 : zsets.removeRanks(tx, row, ranksOf(tx, row, range))
  }
}

function ranking(name: string, reverse: boolean) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    if (argv.length > 4) throw new Failure('invalid', `ERR wrong number of arguments for '${name}' command`)
    const withScore = argv[3] !== undefined
    if (withScore && argv[3]?.toUpperCase() !== 'WITHSCORE') throw syntaxError()
    const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
    const found = row && zsets.readRank(tx, row, argv[2] as Bin)
    if (row === undefined || found === undefined) return withScore ? { nilArray: true } : null
    const rank = reverse ? row.size - 1 - found.rank : found.rank
    return withScore ? [rank, { double: found.score }] : rank
  }
}

/** ZRANGE and its older forms. */
function ranging(form: Form) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const query = parseQuery(argv, 2, form)
    const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
    return scoredReply(row === undefined ? { names: [], orders: [] } : readQuery(tx, row, query), query.withScores)
  }
}

function zrangestore(tx: Tx, argv: Argv, { db }: Context): Value {
  const query = parseQuery(argv, 3, { store: true })
  const row = zsets.findSortedSet(tx, db, argv[2] as Bin)
  const { names, orders } = row === undefined ? { names: [], orders: [] } : readQuery(tx, row, query)
  const found = new Map(names.map((name, i) => [name, orders[i] as number]))
  return zsets.replaceSortedSet(tx, db, argv[1] as Bin, found)
}

type Pair = readonly [Value, Value]

function pairsOf({ names, orders }: zsets.Scored): Pair[] {
  return names.map((name, i) => [name, { double: orders[i] as number }] as const)
}

function popping(end: 'min' | 'max') {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    if (argv.length > 3) throw syntaxError()
    const count = argv[2] === undefined ? undefined : toCount(argv[2])
    const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
    if (row === undefined) return []
    const found = pairsOf(zsets.popScores(tx, row, end, count ?? 1))
    return count === undefined ? found.flat() : { pairs: found }
  }
}

/** Parse `numkeys key... MIN|MAX [COUNT n]` from an index on. */
export function parseScorePop(argv: Argv, at: number): { keys: Argv; end: 'min' | 'max'; count: number } {
  const places = numberedKeys(argv, at)
  const [end, ...options] = argv.slice(at + 1 + places.length).map((word) => word.toLowerCase())
  if (end !== 'min' && end !== 'max') throw syntaxError()
  let count: number | undefined
  for (let i = 0; i < options.length; i += 2) {
    const argument = options[i + 1]
    if (options[i] !== 'count' || count !== undefined || argument === undefined) throw syntaxError()
    count = /^-?\d+$/.test(argument) ? Number(argument) : 0
    if (count <= 0) throw new Failure('invalid', 'ERR count should be greater than 0')
  }
  return { keys: places.map((place) => argv[place] as Bin), end, count: count ?? 1 }
}

/** Pop from the first sorted set that is there.
 *  @returns undefined when none is */
export function popFirst(
  tx: Tx,
  db: number,
  { keys, end, count }: ReturnType<typeof parseScorePop>,
): readonly [key: Bin, found: Pair[]] | undefined {
  for (const key of keys) {
    const row = zsets.findSortedSet(tx, db, key)
    if (row !== undefined) return [key, pairsOf(zsets.popScores(tx, row, end, count))]
  }
  return undefined
}

function zmpop(tx: Tx, argv: Argv, { db }: Context): Value {
  return popFirst(tx, db, parseScorePop(argv, 1)) ?? { nilArray: true }
}

function zrandmember(tx: Tx, argv: Argv, { db }: Context): Value {
  const [, key, amount, option] = argv as [Bin, Bin, Bin?, Bin?]
  const row = () => zsets.findSortedSet(tx, db, key)
  if (amount === undefined) {
    const found = row()
    return found === undefined ? null : (randomElements(tx, found, -1).names[0] as Bin)
  }
  const count = toRandomCount(amount, option !== undefined)
  if (argv.length > 4 || (option !== undefined && option.toUpperCase() !== 'WITHSCORES')) throw syntaxError()
  const found = row()
  return found === undefined ? [] : scoredReply(randomElements(tx, found, count), option !== undefined)
}

function zscan(tx: Tx, argv: Argv, { db }: Context): Value {
  const cursor = toCursor(argv[2] as Bin)
  const row = zsets.findSortedSet(tx, db, argv[1] as Bin)
  if (row === undefined) return ['0', []]
  const { count, matches } = parseScan(argv, 3, [])
  const page = scanMembers(tx, row, cursor, row.size <= SCAN_WHOLE ? SCAN_WHOLE + 1 : count)
  const found = page.items.filter(([member]) => matches(member))
  return cursorReply(
    page.next,
    found.flatMap(([member, score]) => [member, formatDouble(score as number)]),
  )
}

const multiPop = { findKeys: (argv: Argv) => numberedKeys(argv, 1) }
const zrange = ranging({})
const zrangebyscore = ranging({ kind: 'score', reverse: false })
const zrangebylex = ranging({ kind: 'name', reverse: false })
const zrevrange = ranging({ kind: 'rank', reverse: true })
const zrevrangebyscore = ranging({ kind: 'score', reverse: true })
const zrevrangebylex = ranging({ kind: 'name', reverse: true })
const zrank = ranking('zrank', false)
const zrevrank = ranking('zrevrank', true)

/** The sorted set commands of one key. */
export const sortedSetCommands: readonly Command[] = rows('sorted-set', [
  ['zadd', -4, oneKey, 'write', '1.2.0', zadd, 'Sets the scores of members; creates the sorted set when absent.'],
  ['zcard', 2, oneKey, 'read', '1.2.0', zcard, 'Returns the number of members.'],
  ['zcount', 4, oneKey, 'read', '2.0.0', counting('score'), 'Counts the members with scores in a range.'],
  ['zincrby', 4, oneKey, 'write', '1.2.0', zincrby, 'Adds to the score of a member; an absent one counts as 0.'],
  ['zlexcount', 4, oneKey, 'read', '2.8.9', counting('name'), 'Counts the members in a lexicographical range.'],
  ['zmpop', -4, undefined, 'write', '7.0.0', zmpop, 'Takes members from the first sorted set there is.', multiPop],
  ['zmscore', -3, oneKey, 'read', '6.2.0', zmscore, 'Returns the scores of members.'],
  ['zpopmax', -2, oneKey, 'write', '5.0.0', popping('max'), 'Takes out the members with the highest scores.'],
  ['zpopmin', -2, oneKey, 'write', '5.0.0', popping('min'), 'Takes out the members with the lowest scores.'],
  ['zrandmember', -2, oneKey, 'read', '6.2.0', zrandmember, 'Returns members chosen at random.'],
  ['zrange', -4, oneKey, 'read', '1.2.0', zrange, 'Returns members in a range of ranks, scores or names.'],
  ['zrangebylex', -4, oneKey, 'read', '2.8.9', zrangebylex, 'Returns members in a lexicographical range.'],
  ['zrangebyscore', -4, oneKey, 'read', '1.0.5', zrangebyscore, 'Returns members with scores in a range.'],
  ['zrangestore', -5, twoKeys, 'write', '6.2.0', zrangestore, 'Stores the members in a range.'],
  ['zrank', -3, oneKey, 'read', '2.0.0', zrank, 'Returns the rank of a member, lowest score first.'],
  ['zrem', -3, oneKey, 'write', '1.2.0', zrem, 'Removes members, and the sorted set with its last one.'],
  ['zremrangebylex', 4, oneKey, 'write', '2.8.9', removing('name'), 'Removes members in a lexicographical range.'],
  ['zremrangebyrank', 4, oneKey, 'write', '2.0.0', removing('rank'), 'Removes members in a range of ranks.'],
  ['zremrangebyscore', 4, oneKey, 'write', '1.2.0', removing('score'), 'Removes members with scores in a range.'],
  ['zrevrange', -4, oneKey, 'read', '1.2.0', zrevrange, 'Returns members in a range of ranks, highest score first.'],
  ['zrevrangebylex', -4, oneKey, 'read', '2.8.9', zrevrangebylex, 'As ZRANGEBYLEX, the last member first.'],
  ['zrevrangebyscore', -4, oneKey, 'read', '2.2.0', zrevrangebyscore, 'As ZRANGEBYSCORE, the highest score first.'],
  ['zrevrank', -3, oneKey, 'read', '2.0.0', zrevrank, 'Returns the rank of a member, highest score first.'],
  ['zscan', -3, oneKey, 'read', '2.8.0', zscan, 'Walks the members and scores of a sorted set.'],
  ['zscore', 3, oneKey, 'read', '1.2.0', zscore, 'Returns the score of a member.'],
])
