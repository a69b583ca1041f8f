/** Unions, intersections and differences of sets and sorted sets, wherever their members come from. The members of a
 *  set count as having the score 1. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_GATHERED_MEMBERS_MAX } from '@dotdo/core/limits'
import type { View } from '@dotdo/core/shard'
import { ask } from './indexes.ts'
import { findKey, wrongType } from './keys.ts'
import { hasMember } from './sets.ts'
import { readScore } from './sorted-sets.ts'

/** A collection that is computed with. */
export interface Operand {
  readonly size: number
  /** @returns undefined for what is no member */
  scoreOf(member: Bin): number | undefined
  /** Visit the members in order until `visit` returns false. */
  each(visit: (member: Bin, score: number) => boolean): void
}

/** What a key holds, as plain data that travels between shards. */
export interface Held {
  readonly names: readonly Bin[]
  /** Undefined for the members of a set. */
  readonly scores: readonly number[] | undefined
}

/** Which types a command computes with. */
export type Kinds = 'sets' | 'all'

const nothing: Operand = { size: 0, scoreOf: () => undefined, each: () => {} }

/** Look at what a key holds as an operand; a key that is not there holds nothing.
 *  @throws type_mismatch */
export function operandOf(view: View, db: number, key: Bin, kinds: Kinds): Operand {
  const row = findKey(view, db, key)
  if (row === undefined) return nothing
  const { size } = row
  if (row.type === 'set') {
    return {
      size,
      scoreOf: (member) => (hasMember(view, row, member) ? 1 : undefined),
      each: (visit) => ask(view, row, (ranked) => ranked.walk(0, 1, (_, member) => visit(member, 1))),
    }
  }
  if (row.type !== 'zset' || kinds === 'sets') throw wrongType()
  return {
    size,
    scoreOf: (member) => readScore(view, row, member),
    each: (visit) => ask(view, row, (ranked) => ranked.walk(0, 1, (score, member) => visit(member, score))),
  }
}

/** Read all that keys hold.
 *  @throws type_mismatch; limit when it is more than REDIS_GATHERED_MEMBERS_MAX members */
export function readHeld(view: View, db: number, keys: readonly Bin[], kinds: Kinds): Held[] {
  const operands = keys.map((key) => operandOf(view, db, key, kinds))
  checkGathered(operands)
  return operands.map((operand, i) => {
    const names: Bin[] = []
    const scores: number[] = []
    operand.each((member, score) => {
      names.push(member)
      scores.push(score)
      return true
    })
    const sorted = findKey(view, db, keys[i] as Bin)?.type === 'zset'
    return { names, scores: sorted ? scores : undefined }
  })
}

/** Check that what lives apart can be gathered.
 *  @throws limit */
function checkGathered(operands: readonly { readonly size: number }[]): void {
  const total = operands.reduce((sum, { size }) => sum + size, 0)
  if (total <= REDIS_GATHERED_MEMBERS_MAX) return
  const most = `at most ${REDIS_GATHERED_MEMBERS_MAX} members of keys that live apart`
  throw new Failure('limit', `ERR the keys live apart and have ${total} members: ${most} are computed with`)
}

/** Make operands of what was gathered.
 *  @throws limit */
export function gatheredOperands(held: readonly Held[]): Operand[] {
  checkGathered(held.map(({ names }) => ({ size: names.length })))
  return held.map(({ names, scores }) => {
    let known: Map<Bin, number> | undefined
    const score = (at: number) => scores?.[at] ?? 1
    return {
      size: names.length,
      scoreOf(member) {
        known ??= new Map(names.map((name, at) => [name, score(at)]))
        return known.get(member)
      },
      each: (visit) => void names.every((name, at) => visit(name, score(at))),
    }
  })
}

/** How scores of the same member are put together. */
export type Aggregate = 'sum' | 'min' | 'max'

/** How scores count. */
export interface Weighing {
  /** A factor for each operand. */
  readonly weights?: readonly number[] | undefined
  readonly aggregate?: Aggregate
}

const notNaN = (score: number) => (Number.isNaN(score) ? 0 : score)

/** @source redis 7.2 t_zset.c zunionInterAggregate: opposite infinities are 0 together */
function together(left: number, right: number, aggregate: Aggregate): number {
  if (aggregate === 'min') return Math.min(left, right)
  if (aggregate === 'max') return Math.max(left, right)
  return notNaN(left + right)
}

/** Put the smallest first, as Redis does: sums of many scores depend on their order. */
function weighed(operands: readonly Operand[], { weights }: Weighing) {
  return operands
    .map((operand, i) => ({ operand, weight: weights?.[i] ?? 1 }))
    .sort((a, b) => a.operand.size - b.operand.size)
}

/** Compute a union. */
export function unite(operands: readonly Operand[], weighing: Weighing = {}): Map<Bin, number> {
  const found = new Map<Bin, number>()
  const { aggregate = 'sum' } = weighing
  for (const { operand, weight } of weighed(operands, weighing)) {
    operand.each((member, given) => {
      const score = notNaN(given * weight)
      const other = found.get(member)
      found.set(member, other === undefined ? score : together(other, score, aggregate))
      return true
    })
  }
  return found
}

/** Compute an intersection.
 *  @param limit how many members are enough; 0 for all
 *  @cost the smallest operand, and a look-up in each other for each of its members */
export function intersect(operands: readonly Operand[], weighing: Weighing = {}, limit = 0): Map<Bin, number> {
  const found = new Map<Bin, number>()
  const { aggregate = 'sum' } = weighing
  const [smallest, ...others] = weighed(operands, weighing)
  if (smallest === undefined || smallest.operand.size === 0) return found
  smallest.operand.each((member, given) => {
    let score = notNaN(given * smallest.weight)
    for (const { operand, weight } of others) {
      const other = operand === smallest.operand ? given : operand.scoreOf(member)
      if (other === undefined) return true
      score = together(score, notNaN(other * weight), aggregate)
    }
    found.set(member, score)
    return limit === 0 || found.size < limit
  })
  return found
}

/** Compute the members of the first that no other has. */
export function subtract(operands: readonly Operand[]): Map<Bin, number> {
  const found = new Map<Bin, number>()
  const [first, ...others] = operands
  first?.each((member, score) => {
    if (others.every((other) => other.scoreOf(member) === undefined)) found.set(member, score)
    return true
  })
  return found
}
