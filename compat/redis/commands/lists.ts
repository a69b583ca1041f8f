/** The list commands, but for those that wait (blocking.ts). */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import * as lists from '../engine/lists.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, toCount, toInteger } from './arguments.ts'
import { numberedKeys, oneKey, rows, twoKeys } from './rows.ts'

type Argv = readonly Bin[]

function pushing(end: lists.End) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => lists.push(tx, db, argv[1] as Bin, argv.slice(2), end)
}

/** LPUSHX and RPUSHX: only to a list that is there. */
function pushingExisting(end: lists.End) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    if (lists.findList(tx, db, argv[1] as Bin) === undefined) return 0
    return lists.push(tx, db, argv[1] as Bin, argv.slice(2), end)
  }
}

function popping(name: string, end: lists.End) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    if (argv.length > 3) throw new Failure('invalid', `ERR wrong number of arguments for '${name}' command`)
    const count = argv[2] === undefined ? undefined : toCount(argv[2])
    const row = lists.findList(tx, db, argv[1] as Bin)
    if (count === undefined) return row === undefined ? null : (lists.pop(tx, row, end, 1)[0] as Bin)
    return row === undefined ? { nilArray: true } : lists.pop(tx, row, end, count)
  }
}

function llen(tx: Tx, argv: Argv, { db }: Context): Value {
  return lists.findList(tx, db, argv[1] as Bin)?.size ?? 0
}

/** Turn a range with negative indexes into one from 0 on; `stop` is included. */
function toRange(size: number, start: number, stop: number): [from: number, to: number] {
  const from = start < 0 ? Math.max(0, size + start) : start
  const to = stop < 0 ? size + stop : Math.min(stop, size - 1)
  return [from, to]
}

function lrange(tx: Tx, argv: Argv, { db }: Context): Value {
  const [start, stop] = [toInteger(argv[2] as Bin), toInteger(argv[3] as Bin)]
  const row = lists.findList(tx, db, argv[1] as Bin)
  if (row === undefined) return []
  const [from, to] = toRange(row.size, start, stop)
  return from > to ? [] : lists.readItems(tx, row, from, to - from + 1)
}

function ltrim(tx: Tx, argv: Argv, { db }: Context): Value {
  const [start, stop] = [toInteger(argv[2] as Bin), toInteger(argv[3] as Bin)]
  const row = lists.findList(tx, db, argv[1] as Bin)
  if (row === undefined) return OK
  const [from, to] = toRange(row.size, start, stop)
  lists.trim(tx, row, ...(from > to ? ([row.size, -1] as const) : ([from, to] as const)))
  return OK
}

function lindex(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = lists.findList(tx, db, argv[1] as Bin)
  const index = toInteger(argv[2] as Bin)
  return row === undefined ? null : (lists.readItem(tx, row, index) ?? null)
}

function lset(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = lists.findList(tx, db, argv[1] as Bin)
  if (row === undefined) throw new Failure('not_found', 'ERR no such key')
  if (lists.setItem(tx, row, toInteger(argv[2] as Bin), argv[3] as Bin)) return OK
  throw new Failure('invalid', 'ERR index out of range')
}

function linsert(tx: Tx, argv: Argv, { db }: Context): Value {
  const side = (argv[2] as Bin).toLowerCase()
  if (side !== 'before' && side !== 'after') throw syntaxError()
  const row = lists.findList(tx, db, argv[1] as Bin)
  return row === undefined ? 0 : lists.insertBeside(tx, row, side, argv[3] as Bin, argv[4] as Bin)
}

function lrem(tx: Tx, argv: Argv, { db }: Context): Value {
  const limit = toInteger(argv[2] as Bin)
  const row = lists.findList(tx, db, argv[1] as Bin)
  return row === undefined ? 0 : lists.removeEqual(tx, row, limit, argv[3] as Bin)
}

interface Position {
  /** The first match that counts; negative to search from the tail. */
  rank: number
  /** How many matches to return, 0 for all; undefined for one, as a number. */
  count: number | undefined
  /** How many items to compare, 0 for all. */
  maxLength: number
}

function parsePosition(argv: Argv): Position {
  const found: Position = { rank: 1, count: undefined, maxLength: 0 }
  for (let i = 3; i < argv.length; i += 2) {
    const word = (argv[i] as Bin).toUpperCase()
    const argument = argv[i + 1]
    if (argument === undefined) throw syntaxError()
    if (word === 'RANK') found.rank = toRank(argument)
    else if (word === 'COUNT') found.count = notNegative(argument, 'COUNT')
    else if (word === 'MAXLEN') found.maxLength = notNegative(argument, 'MAXLEN')
    else throw syntaxError()
  }
  return found
}

function toRank(argument: Bin): number {
  const rank = toInteger(argument)
  if (rank === 0) {
    const hint =
      'use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list'
    throw new Failure('invalid', `ERR RANK can't be zero: ${hint}`)
  }
  if (rank <= -(2 ** 63)) throw new Failure('invalid', 'ERR value is out of range')
  return rank
}

function notNegative(argument: Bin, name: string): number {
  const value = toInteger(argument)
  if (value < 0) throw new Failure('invalid', `ERR ${name} can't be negative`)
  return value
}

function lpos(tx: Tx, argv: Argv, { db }: Context): Value {
  const { rank, count, maxLength } = parsePosition(argv)
  const row = lists.findList(tx, db, argv[1] as Bin)
  const found: number[] = []
  if (row !== undefined) {
    let skip = Math.abs(rank) - 1
    let left = maxLength === 0 ? row.size : maxLength
    const wanted = count === undefined ? 1 : count === 0 ? row.size : count
    lists.scanItems(tx, row, rank < 0 ? -1 : 1, (item, index) => {
      if (item === argv[2] && skip-- <= 0) found.push(index)
      return --left > 0 && found.length < wanted
    })
  }
  return count === undefined ? (found[0] ?? null) : found
}

/** Parse LEFT or RIGHT.
 *  @throws invalid */
export function toEnd(argument: Bin): lists.End {
  const end = argument.toLowerCase()
  if (end === 'left' || end === 'right') return end
  throw syntaxError()
}

/** Move an item between lists: nil when there is none. */
export function move(
  tx: Tx,
  db: number,
  [source, target]: readonly [Bin, Bin],
  [from, to]: readonly lists.End[],
): Value {
  const row = lists.findList(tx, db, source)
  if (row === undefined) return null
  return lists.moveItem(tx, row, from as lists.End, { key: target, end: to as lists.End })
}

function lmove(tx: Tx, argv: Argv, { db }: Context): Value {
  return move(tx, db, [argv[1] as Bin, argv[2] as Bin], [toEnd(argv[3] as Bin), toEnd(argv[4] as Bin)])
}

function rpoplpush(tx: Tx, argv: Argv, { db }: Context): Value {
  return move(tx, db, [argv[1] as Bin, argv[2] as Bin], ['right', 'left'])
}

/** Read `numkeys key... LEFT|RIGHT [COUNT n]` from an index on. */
export function parseMultiPop(argv: Argv, at: number): { keys: Argv; end: lists.End; count: number } {
  const places = numberedKeys(argv, at)
  const options = argv.slice(at + 1 + places.length)
  const end = options[0] === undefined ? undefined : toEnd(options[0])
  if (end === undefined) throw syntaxError()
  let count: number | undefined
  for (let i = 1; i < options.length; i += 2) {
    if (options[i]?.toUpperCase() !== 'COUNT' || count !== undefined || options[i + 1] === undefined)
      throw syntaxError()
    count = toInteger(options[i + 1] as Bin)
    if (!(count > 0)) throw new Failure('invalid', 'ERR count should be greater than 0')
  }
  return { keys: places.map((place) => argv[place] as Bin), end, count: count ?? 1 }
}

/** Pop from the first list that is there. */
export function multiPop(tx: Tx, argv: Argv, db: number, at: number): Value {
  const { keys, end, count } = parseMultiPop(argv, at)
  for (const key of keys) {
    const row = lists.findList(tx, db, key)
    if (row !== undefined) return [key, lists.pop(tx, row, end, count)]
  }
  return { nilArray: true }
}

function lmpop(tx: Tx, argv: Argv, { db }: Context): Value {
  return multiPop(tx, argv, db, 1)
}

const manyKeys = { findKeys: (argv: Argv) => numberedKeys(argv, 1) }

/** The list commands. */
export const listCommands: readonly Command[] = rows('list', [
  ['lindex', 3, oneKey, 'read', '1.0.0', lindex, 'Returns an item by its index.'],
  ['linsert', 5, oneKey, 'write', '2.2.0', linsert, 'Inserts an item before or after another one.'],
  ['llen', 2, oneKey, 'read', '1.0.0', llen, 'Returns the number of items.'],
  ['lmove', 5, twoKeys, 'write', '6.2.0', lmove, 'Moves an item from an end of a list to an end of another.'],
  ['lmpop', -4, undefined, 'write', '7.0.0', lmpop, 'Takes items from the first list that is there.', manyKeys],
  ['lpop', -2, oneKey, 'write', '1.0.0', popping('lpop', 'left'), 'Takes items from the head.'],
  ['lpos', -3, oneKey, 'read', '6.0.6', lpos, 'Returns the indexes of items that equal a value.'],
  ['lpush', -3, oneKey, 'write', '1.0.0', pushing('left'), 'Puts items before the head; creates the list when absent.'],
  [
    'lpushx',
    -3,
    oneKey,
    'write',
    '2.2.0',
    pushingExisting('left'),
    'Puts items before the head of a list that is there.',
  ],
  ['lrange', 4, oneKey, 'read', '1.0.0', lrange, 'Returns the items from one index to another.'],
  ['lrem', 4, oneKey, 'write', '1.0.0', lrem, 'Removes items that equal a value.'],
  ['lset', 4, oneKey, 'write', '1.0.0', lset, 'Overwrites an item.'],
  ['ltrim', 4, oneKey, 'write', '1.0.0', ltrim, 'Removes all items but those from one index to another.'],
  ['rpop', -2, oneKey, 'write', '1.0.0', popping('rpop', 'right'), 'Takes items from the tail.'],
  ['rpoplpush', 3, twoKeys, 'write', '1.2.0', rpoplpush, 'Moves the last item of a list to the head of another.'],
  [
    'rpush',
    -3,
    oneKey,
    'write',
    '1.0.0',
    pushing('right'),
    'Puts items behind the tail; creates the list when absent.',
  ],
  [
    'rpushx',
    -3,
    oneKey,
    'write',
    '2.2.0',
    pushingExisting('right'),
    'Puts items behind the tail of a list that is there.',
  ],
])
