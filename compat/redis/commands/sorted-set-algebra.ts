/** The sorted set commands that compute with several keys: unions, intersections, differences. Plain sets count too. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import {
  type Aggregate,
  intersect,
  type Operand,
  operandOf,
  subtract,
  unite,
  type Weighing,
} from '../engine/algebra.ts'
import { parseDouble } from '../engine/doubles.ts'
import { inOrder, replaceSortedSet } from '../engine/sorted-sets.ts'
import type { Value } from '../value.ts'
import { computing, parseLimit } from './algebra.ts'
import { syntaxError, toInteger } from './arguments.ts'
import { type Line, rows } from './rows.ts'
import { scoredReply } from './sorted-sets.ts'

type Argv = readonly Bin[]

/** A way to compute. */
interface Operation {
  readonly name: string
  readonly compute: (operands: readonly Operand[], weighing: Weighing) => ReadonlyMap<Bin, number>
  /** Whether it puts scores together. */
  readonly weighs: boolean
}

const union: Operation = { name: 'zunion', compute: unite, weighs: true }
const intersection: Operation = { name: 'zinter', compute: intersect, weighs: true }
const difference: Operation = { name: 'zdiff', compute: subtract, weighs: false }

/** Find the keys that are computed with. @param at where their number stands */
function sources(name: string, argv: Argv, at: number): number[] {
  const count = toInteger(argv[at] as Bin)
  if (count < 1) throw new Failure('invalid', `ERR at least 1 input key is needed for '${name}' command`)
  if (count > argv.length - at - 1) throw syntaxError()
  return Array.from({ length: count }, (_, i) => at + 1 + i)
}

interface Options {
  weights: number[] | undefined
  aggregate: Aggregate
  withScores: boolean
}

function toWeight(argument: Bin): number {
  const weight = parseDouble(argument)
  if (weight === undefined) throw new Failure('invalid', 'ERR weight value is not a float')
  return weight
}

function toAggregate(argument: Bin): Aggregate {
  const aggregate = argument.toLowerCase()
  if (aggregate === 'sum' || aggregate === 'min' || aggregate === 'max') return aggregate
  throw syntaxError()
}

/** Parse what follows the keys.
 *  @param store whether the result is stored, without a word on scores */
function parseOptions(argv: Argv, from: number, count: number, { weighs, store }: { weighs: boolean; store: boolean }) {
  const options: Options = { weights: undefined, aggregate: 'sum', withScores: false }
  for (let i = from; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const left = argv.length - i
    if (weighs && word === 'WEIGHTS' && left >= count + 1) {
      options.weights = argv.slice(i + 1, i + 1 + count).map(toWeight)
      i += count
    } else if (weighs && word === 'AGGREGATE' && left >= 2) options.aggregate = toAggregate(argv[++i] as Bin)
    else if (!store && word === 'WITHSCORES') options.withScores = true
    else throw syntaxError()
  }
  return options
}

/** ZUNION and its like. */
function reading({ name, compute, weighs }: Operation, summary: string): Line {
  const findKeys = (argv: Argv) => sources(name, argv, 1)
  const { run, more } = computing(
    'all',
    (operands, argv): Value => {
      const options = parseOptions(argv, 2 + operands.length, operands.length, { weighs, store: false })
      const found = compute(operands, options)
      // A difference leaves scores as they are, and stands in the first operand's order.
      return scoredReply(inOrder(found), options.withScores)
    },
    findKeys,
  )
  return [name, -3, undefined, 'read', '6.2.0', run, summary, more]
}

/** ZUNIONSTORE and its like: only where all keys live together. */
function storing({ name, compute, weighs }: Operation, since: string, summary: string): Line {
  const command = `${name}store`
  const run = (tx: Tx, argv: Argv, { db }: Context): Value => {
    const places = sources(command, argv, 2)
    const operands = places.map((at) => operandOf(tx, db, argv[at] as Bin, 'all'))
    const options = parseOptions(argv, 3 + places.length, places.length, { weighs, store: true })
    return replaceSortedSet(tx, db, argv[1] as Bin, compute(operands, options))
  }
  const findKeys = (argv: Argv) => [1, ...sources(command, argv, 2)]
  return [command, -4, undefined, 'write', since, run, summary, { findKeys }]
}

const zintercard = computing(
  'all',
  (operands, argv) => intersect(operands, {}, parseLimit(argv, 2 + operands.length)).size,
  (argv) => sources('zintercard', argv, 1),
)

/** The sorted set commands of several keys. */
export const sortedSetAlgebraCommands: readonly Command[] = rows('sorted-set', [
  reading(difference, 'Returns the members of the first sorted set that no other has.'),
  storing(difference, '6.2.0', 'Stores the difference of sorted sets.'),
  reading(intersection, 'Returns the members that all sorted sets have.'),
  ['zintercard', -3, undefined, 'read', '7.0.0', zintercard.run, 'Counts the members that all have.', zintercard.more],
  storing(intersection, '2.0.0', 'Stores the intersection of sorted sets.'),
  reading(union, 'Returns the members that any of the sorted sets has.'),
  storing(union, '2.0.0', 'Stores the union of sorted sets.'),
])
