/** The set commands. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { intersect, type Operand, operandOf, subtract, unite } from '../engine/algebra.ts'
import { randomElements } from '../engine/collections.ts'
import { parseInt64 } from '../engine/integers.ts'
import { scanMembers } from '../engine/scan.ts'
import * as sets from '../engine/sets.ts'
import type { Value } from '../value.ts'
import { computing, parseLimit } from './algebra.ts'
import { syntaxError, toCount, toRandomCount } from './arguments.ts'
import { allKeys, type Line, oneKey, rows, twoKeys } from './rows.ts'
import { cursorReply, parseScan, SCAN_WHOLE, toCursor } from './scan-options.ts'

type Argv = readonly Bin[]

function sadd(tx: Tx, argv: Argv, { db }: Context): Value {
  return sets.addMembers(tx, db, argv[1] as Bin, argv.slice(2))
}

function srem(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = sets.findSet(tx, db, argv[1] as Bin)
  return row === undefined ? 0 : sets.removeMembers(tx, row, argv.slice(2))
}

function scard(tx: Tx, argv: Argv, { db }: Context): Value {
  return sets.findSet(tx, db, argv[1] as Bin)?.size ?? 0
}

function smismember(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = sets.findSet(tx, db, argv[1] as Bin)
  return argv.slice(2).map((member) => (row !== undefined && sets.hasMember(tx, row, member) ? 1 : 0))
}

function sismember(tx: Tx, argv: Argv, context: Context): Value {
  return (smismember(tx, argv, context) as Value[])[0] as Value
}

function smembers(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = sets.findSet(tx, db, argv[1] as Bin)
  return { set: row === undefined ? [] : sets.readMembers(tx, row) }
}

function spop(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length > 3) throw syntaxError()
  const count = argv[2] === undefined ? undefined : toCount(argv[2])
  const row = sets.findSet(tx, db, argv[1] as Bin)
  if (count === undefined) return row === undefined ? null : (sets.popMembers(tx, row, 1)[0] as Bin)
  return { set: row === undefined ? [] : sets.popMembers(tx, row, count) }
}

function srandmember(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length > 3) throw syntaxError()
  const count = argv[2] === undefined ? undefined : toRandomCount(argv[2], false)
  const row = sets.findSet(tx, db, argv[1] as Bin)
  if (count === undefined) return row === undefined ? null : (randomElements(tx, row, -1).names[0] as Bin)
  return row === undefined ? [] : randomElements(tx, row, count).names
}

function smove(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = sets.findSet(tx, db, argv[1] as Bin)
  if (row === undefined) return 0
  return sets.moveMember(tx, row, argv[2] as Bin, argv[3] as Bin) ? 1 : 0
}

function sscan(tx: Tx, argv: Argv, { db }: Context): Value {
  const cursor = toCursor(argv[2] as Bin)
  const row = sets.findSet(tx, db, argv[1] as Bin)
  if (row === undefined) return ['0', []]
  const { count, matches } = parseScan(argv, 3, [])
  const page = scanMembers(tx, row, cursor, row.size <= SCAN_WHOLE ? SCAN_WHOLE + 1 : count)
  return cursorReply(
    page.next,
    page.items.map(([member]) => member).filter((member) => matches(member)),
  )
}

type Compute = (operands: readonly Operand[]) => ReadonlyMap<Bin, number>

/** SINTER and its like. */
function combining(compute: Compute) {
  return computing('sets', (operands) => ({ set: [...compute(operands).keys()] }))
}

/** SINTERSTORE and its like: only where all keys live together. */
function storing(compute: Compute) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const operands = argv.slice(2).map((key) => operandOf(tx, db, key, 'sets'))
    return sets.replaceSet(tx, db, argv[1] as Bin, [...compute(operands).keys()])
  }
}

function countedKeys(argv: Argv): number[] {
  const count = Number(parseInt64(argv[1] as Bin) ?? 0)
  if (count <= 0) throw new Failure('invalid', 'ERR numkeys should be greater than 0')
  if (count > argv.length - 2) {
    throw new Failure('invalid', "ERR Number of keys can't be greater than number of args")
  }
  return Array.from({ length: count }, (_, i) => 2 + i)
}

const limitOf = (argv: Argv) => parseLimit(argv, 2 + countedKeys(argv).length)
const sintercard = computing(
  'sets',
  (operands, argv) => intersect(operands, {}, limitOf(argv)).size,
  countedKeys,
  limitOf,
)

/** A command that is computed from all of its keys. */
function combined(name: string, compute: Compute, summary: string): Line {
  const { run, more } = combining(compute)
  return [name, -2, allKeys, 'read', '1.0.0', run, summary, more]
}

/** The set commands. */
export const setCommands: readonly Command[] = rows('set', [
  ['sadd', -3, oneKey, 'write', '1.0.0', sadd, 'Adds members; creates the set when absent.'],
  ['scard', 2, oneKey, 'read', '1.0.0', scard, 'Returns the number of members.'],
  combined('sdiff', subtract, 'Returns the members of the first set that no other has.'),
  ['sdiffstore', -3, allKeys, 'write', '1.0.0', storing(subtract), 'Stores the difference of sets.'],
  combined('sinter', intersect, 'Returns the members that all sets have.'),
  [
    'sintercard',
    -3,
    undefined,
    'read',
    '7.0.0',
    sintercard.run,
    'Counts the members that all sets have.',
    sintercard.more,
  ],
  ['sinterstore', -3, allKeys, 'write', '1.0.0', storing(intersect), 'Stores the intersection of sets.'],
  ['sismember', 3, oneKey, 'read', '1.0.0', sismember, 'Tells whether a set has a member.'],
  ['smembers', 2, oneKey, 'read', '1.0.0', smembers, 'Returns all members.'],
  ['smismember', -3, oneKey, 'read', '6.2.0', smismember, 'Tells which of some members a set has.'],
  ['smove', 4, twoKeys, 'write', '1.0.0', smove, 'Moves a member from a set to another.'],
  ['spop', -2, oneKey, 'write', '1.0.0', spop, 'Takes out members chosen at random.'],
  ['srandmember', -2, oneKey, 'read', '1.0.0', srandmember, 'Returns members chosen at random.'],
  ['srem', -3, oneKey, 'write', '1.0.0', srem, 'Removes members, and the set with its last one.'],
  ['sscan', -3, oneKey, 'read', '2.8.0', sscan, 'Walks the members of a set.'],
  combined('sunion', unite, 'Returns the members that any of the sets has.'),
  ['sunionstore', -3, allKeys, 'write', '1.0.0', storing(unite), 'Stores the union of sets.'],
])
