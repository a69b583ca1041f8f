/** Sorted sets: a key's row that counts, and a row a member with its score. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { clearKey, findCollection, sortElements, storeSize, type Target, targetCollection } from './collections.ts'
import { scores } from './elements.ts'
import { ask, changing, indexNew } from './indexes.ts'
import { checkSize, newKey, placeOf, putKey, removeElements } from './keys.ts'
import type { Elements } from './ranked.ts'

/** Members in the order of their scores, as two columns. */
export type Scored = Elements

/** Find a sorted set that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findSortedSet(view: View, db: number, key: Bin): KeyRow | undefined {
  return findCollection(view, db, key, 'zset')
}

/** Read the score of a member.
 *  @returns undefined when there is no such member */
export function readScore(view: View, { slot, db, key }: KeyRow, member: Bin): number | undefined {
  return view.find(scores, { slot, db, key, hash: placeOf(member), member })?.score
}

/** How scores are set. */
export interface ScoreRules {
  /** Only members that are not there. */
  readonly nx?: boolean
  /** Only members that are there. */
  readonly xx?: boolean
  /** Of members that are there, only to a greater score, or a lesser one. */
  readonly gt?: boolean
  readonly lt?: boolean
  /** Add to the score; an absent one counts as 0. */
  readonly increment?: boolean
}

/** What setting scores did. */
export interface ScoreChange {
  added: number
  /** Members that were there, and have another score now. */
  updated: number
  /** The last member's score; undefined when the rules left it as it was. */
  score: number | undefined
}

/** Decide on a member's score.
 *  @returns undefined to leave it as it is
 *  @source redis 7.2 t_zset.c zsetAdd */
function decide(old: number | undefined, given: number, rules: ScoreRules): number | undefined {
  if (old === undefined) return rules.xx ? undefined : given
  if (rules.nx) return undefined
  const score = rules.increment ? old + given : given
  if (Number.isNaN(score)) throw new Failure('invalid', 'ERR resulting score is not a number (NaN)')
  if ((rules.gt && score <= old) || (rules.lt && score >= old)) return undefined
  return score
}

/** Set scores of members of the sorted set at `key`, creating it when absent.
 *  @param given the scores of `names`
 *  @throws type_mismatch when the key holds another type; invalid when a sum is no number; limit when a member is too
 *  large
 *  @source https://redis.io/docs/latest/commands/zadd/ */
export function setScores(
  tx: Tx,
  db: number,
  key: Bin,
  { names, given, rules }: { names: readonly Bin[]; given: readonly number[]; rules: ScoreRules },
): ScoreChange {
  const target = targetCollection(tx, db, key, 'zset')
  for (const member of names) checkSize(key, member.length)
  const change: ScoreChange = { added: 0, updated: 0, score: undefined }
  if (target.row === undefined) {
    if (!rules.xx) create(tx, target, { names, given, rules, change })
    return change
  }
  const { row } = target
  const { slot } = row
  const index = changing(tx, row)
  for (let i = 0; i < names.length; i++) {
    const member = names[i] as Bin
    const put = { slot, db, key, hash: placeOf(member), member, score: 0 }
    const old = index?.ranked.isNamed ? index.ranked.orderOf(member) : tx.find(scores, put)?.score
    // SQLite keeps no negative zero.
    const score = decide(old, (given[i] as number) + 0, rules)
    change.score = score
    if (score === undefined || score === old) continue
    if (old === undefined) change.added++
    else {
      change.updated++
      index?.ranked.remove(old, member)
    }
    index?.ranked.add(score, member)
    put.score = score
    tx.put(scores, put)
  }
  if (change.added > 0 || change.updated > 0) storeSize(tx, row, index, row.size + change.added)
  return change
}

interface Creation {
  readonly names: readonly Bin[]
  readonly given: readonly number[]
  readonly rules: ScoreRules
  readonly change: ScoreChange
}

/** Create a sorted set from members that may come more than once. */
function create(tx: Tx, { probe, stored }: Target, { names, given, rules, change }: Creation): void {
  const found = new Map<Bin, number>()
  for (const [i, member] of names.entries()) {
    const old = found.get(member)
    const score = decide(old, (given[i] as number) + 0, rules)
    change.score = score
    if (score === undefined || score === old) continue
    if (old === undefined) change.added++
    else change.updated++
    found.set(member, score)
  }
  if (stored !== undefined) removeElements(tx, stored)
  putAll(tx, probe, found)
}

function putAll(tx: Tx, probe: Target['probe'], given: ReadonlyMap<Bin, number>): void {
  const { slot, db, key } = probe
  const found = new Map([...given].map(([member, score]) => [member, score + 0]))
  for (const [member, score] of found) tx.put(scores, { slot, db, key, hash: placeOf(member), member, score })
  const row = newKey(probe, 'zset', found.size)
  putKey(tx, row)
  indexNew(tx, row, inOrder(found))
}

/** Put members in the order of their scores. */
export function inOrder(found: ReadonlyMap<Bin, number>): Scored {
  const given = [...found.values()]
  return sortElements([...found.keys()], (at) => given[at] as number)
}

/** Store members as a sorted set, replacing whatever the key holds; without members, there is no key.
 *  @returns how many there are */
export function replaceSortedSet(tx: Tx, db: number, key: Bin, found: ReadonlyMap<Bin, number>): number {
  for (const member of found.keys()) checkSize(key, member.length)
  const probe = clearKey(tx, db, key, found.size > 0)
  if (found.size > 0) putAll(tx, probe, found)
  return found.size
}

/** Remove members, and the sorted set with its last one.
 *  @returns how many were there */
export function removeScores(tx: Tx, row: KeyRow, names: readonly Bin[]): number {
  const found: Scored = { orders: [], names: [] }
  for (const member of new Set(names)) {
    const score = readScore(tx, row, member)
    if (score === undefined) continue
    found.orders.push(score)
    found.names.push(member)
  }
  return removeFound(tx, row, found)
}

function removeFound(tx: Tx, row: KeyRow, { orders, names }: Scored): number {
  if (names.length === 0) return 0
  const { slot, db, key } = row
  const index = changing(tx, row)
  for (let i = 0; i < names.length; i++) {
    const member = names[i] as Bin
    index?.ranked.remove(orders[i] as number, member)
    tx.remove(scores, { slot, db, key, hash: placeOf(member), member })
  }
  storeSize(tx, row, index, row.size - names.length)
  return names.length
}

/** Ranks from one on, up to another that is not among them. */
export type Ranks = readonly [from: number, to: number]

/** A bound of a range: of scores, or of names when all scores are equal. */
export interface Bound<T> {
  readonly at: T
  /** Whether what is exactly there is left out. */
  readonly open: boolean
}

/** A range of scores. */
export interface ScoreRange {
  readonly kind: 'score'
  readonly min: Bound<number>
  readonly max: Bound<number>
}

/** A range of names; '-' and '+' are before and after all. */
export interface NameRange {
  readonly kind: 'name'
  readonly min: Bound<Bin> | '-' | '+'
  readonly max: Bound<Bin> | '-' | '+'
}

/** A range by ranks, which may be negative to count from the end; the last one is among them. */
export interface RankRange {
  readonly kind: 'rank'
  readonly start: number
  readonly stop: number
}

/** Find which ranks a range covers; from 0 to 0 when it is empty.
 *  @cost O(log n) */
export function findRanks(view: View, row: KeyRow, range: ScoreRange | NameRange): Ranks {
  const [from, to] = ask(view, row, (ranked): Ranks => {
    if (range.kind === 'score') {
      const { min, max } = range
      return [
        ranked.countBefore((score) => score < min.at || (min.open && score === min.at)),
        ranked.countBefore((score) => score < max.at || (!max.open && score === max.at)),
      ]
    }
    const { min, max } = range
    const before = (bound: NameRange['min'], name: Bin, equal: boolean) => {
      if (typeof bound === 'string') return bound === '+'
      return name < bound.at || (name === bound.at && (equal ? bound.open : !bound.open))
    }
    return [
      ranked.countBefore((_, name) => before(min, name, true)),
      ranked.countBefore((_, name) => before(max, name, false)),
    ]
  })
  return from < to ? [from, to] : [0, 0]
}

/** Turn a range by ranks into ranks that are there. */
export function clampRanks({ start, stop }: RankRange, size: number): Ranks {
  const from = Math.max(0, start < 0 ? size + start : start)
  const to = Math.min(size, (stop < 0 ? size + stop : stop) + 1)
  return from < to ? [from, to] : [0, 0]
}

/** Read members from a rank on.
 *  @param step -1 to go from there to the first
 *  @cost O(log n) and the members read */
export function readFrom(view: View, row: KeyRow, rank: number, count: number, step: 1 | -1 = 1): Scored {
  return ask(view, row, (ranked) => ranked.slice(rank, count, step), rank)
}

/** Find the rank of a member, from 0.
 *  @returns undefined when there is no such member */
export function readRank(
  view: View,
  row: KeyRow,
  member: Bin,
): { readonly rank: number; readonly score: number } | undefined {
  const score = readScore(view, row, member)
  if (score === undefined) return undefined
  return { rank: ask(view, row, (ranked) => ranked.rankOf(score, member)), score }
}

/** Remove the members at ranks.
 *  @returns how many */
export function removeRanks(tx: Tx, row: KeyRow, [from, to]: Ranks): number {
  return removeFound(tx, row, readFrom(tx, row, from, to - from))
}

/** Take out the members with the lowest scores, or the highest.
 *  @returns them, the outermost first; fewer when there are not as many
 *  @source https://redis.io/docs/latest/commands/zpopmin/ */
export function popScores(tx: Tx, row: KeyRow, end: 'min' | 'max', count: number): Scored {
  const found = end === 'min' ? readFrom(tx, row, 0, count) : readFrom(tx, row, row.size - 1, count, -1)
  removeFound(tx, row, found)
  return found
}
