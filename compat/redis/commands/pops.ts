/** Commands that take an element of a list or a sorted set, and wait for one when there is none. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import type { Blocking, Command, Context } from '../command.ts'
import * as lists from '../engine/lists.ts'
import type { Value, WouldBlock } from '../value.ts'
import { move, multiPop, toEnd } from './lists.ts'
import { numberedKeys, oneKey, rows, twoKeys } from './rows.ts'
import { parseScorePop, popFirst } from './sorted-sets.ts'

type Argv = readonly Bin[]
type Answer = Value | WouldBlock

const nothing: WouldBlock = { wouldBlock: { nilArray: true } }

function poppingFirst(end: lists.End) {
  return (tx: Tx, argv: Argv, { db }: Context): Answer => {
    for (const key of argv.slice(1, -1)) {
      const row = lists.findList(tx, db, key)
      if (row !== undefined) return [key, ...lists.pop(tx, row, end, 1)]
    }
    return nothing
  }
}

function poppingScore(end: 'min' | 'max') {
  return (tx: Tx, argv: Argv, { db }: Context): Answer => {
    const popped = popFirst(tx, db, { keys: argv.slice(1, -1), end, count: 1 })
    if (popped === undefined) return nothing
    const [key, [[member, score] = []]] = popped
    return [key, member as Bin, score as Value]
  }
}

function blmove(tx: Tx, argv: Argv, { db }: Context): Answer {
  const ends = [toEnd(argv[3] as Bin), toEnd(argv[4] as Bin)]
  return move(tx, db, [argv[1] as Bin, argv[2] as Bin], ends) ?? nothing
}

function brpoplpush(tx: Tx, argv: Argv, { db }: Context): Answer {
  return move(tx, db, [argv[1] as Bin, argv[2] as Bin], ['right', 'left']) ?? nothing
}

function blmpop(tx: Tx, argv: Argv, { db }: Context): Answer {
  const popped = multiPop(tx, argv, db, 2)
  return Array.isArray(popped) ? popped : nothing
}

function bzmpop(tx: Tx, argv: Argv, { db }: Context): Answer {
  return popFirst(tx, db, parseScorePop(argv, 2)) ?? nothing
}

const manyKeys = { first: 1, last: -2, step: 1 }
const last: { block: Blocking } = { block: { timeoutAt: -1, unit: 'seconds' } }
const moving: { block: Blocking } = { block: { timeoutAt: -1, unit: 'seconds', keys: () => [oneKey.first] } }
const counted = {
  findKeys: (argv: Argv) => numberedKeys(argv, 2),
  block: { timeoutAt: 1, unit: 'seconds' } satisfies Blocking,
}
const blpop = poppingFirst('left')
const brpop = poppingFirst('right')
const bzpopmin = poppingScore('min')
const bzpopmax = poppingScore('max')

/** The commands that wait for an element. */
export const popCommands: readonly Command[] = [
  ...rows('list', [
    ['blmove', 6, twoKeys, 'write', '6.2.0', blmove, 'As LMOVE; waits for an item.', moving],
    ['blmpop', -5, undefined, 'write', '7.0.0', blmpop, 'As LMPOP; waits for an item.', counted],
    ['blpop', -3, manyKeys, 'write', '2.0.0', blpop, 'Takes the head of the first list there is; waits for one.', last],
    ['brpop', -3, manyKeys, 'write', '2.0.0', brpop, 'Takes the tail of the first list there is; waits for one.', last],
    ['brpoplpush', 4, twoKeys, 'write', '2.2.0', brpoplpush, 'As RPOPLPUSH; waits for an item.', moving],
  ]),
  ...rows('sorted-set', [
    ['bzmpop', -5, undefined, 'write', '7.0.0', bzmpop, 'As ZMPOP; waits for a member.', counted],
    ['bzpopmax', -3, manyKeys, 'write', '5.0.0', bzpopmax, 'As ZPOPMAX, of the first there is; waits for one.', last],
    ['bzpopmin', -3, manyKeys, 'write', '5.0.0', bzpopmin, 'As ZPOPMIN, of the first there is; waits for one.', last],
  ]),
]
